//! The PROXY protocol, versions 1 and 2: the header in which a balancer says whose connection it passes on, before anything
//! else on that connection. The specification is `proxy-protocol.txt` of HAProxy.
//!
//! Whoever may send it is believed, so that nobody may send it but those that the operator names; and from those it is
//! demanded, for a receiver that guesses can be made to guess wrong (§2 of the specification).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the longest line of version 1, with its CRLF (§2.1).
const LINE_OCTETS_MAX: usize = 107;
/// Octets that may follow the fixed part of version 2: addresses, and what a balancer adds to them.
const EXTENSION_OCTETS_MAX: usize = 2_048;
/// The longest header that is read.
pub const HEADER_OCTETS_MAX: usize = FIXED_OCTETS + EXTENSION_OCTETS_MAX;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_OCTETS: usize = 16;

/// What the octets so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scan {
    /// The beginning of a header: more has to come, and all that came belongs to it.
    Incomplete,
    /// A header of so many octets. Without an address the connection is the balancer's own, as when it looks whether
    /// somebody is there.
    Complete(usize, Option<IpAddr>),
}

/// Why they are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// Something else.
    #[error("no PROXY header")]
    Absent,
    /// More octets than a header may have.
    #[error("PROXY header is too long")]
    TooLong,
    /// Neither of the two versions, or a command that there is not.
    #[error("PROXY header has an unknown version or command")]
    Version,
    /// No TCP over IP.
    #[error("PROXY header is not about TCP")]
    Family,
    /// Addresses or ports that are none.
    #[error("PROXY header has no valid addresses")]
    Address,
}

/// Looks for a header at the beginning of `octets`.
pub fn scan(octets: &[u8]) -> Result<Scan, Invalid> {
    if octets.len() >= SIGNATURE.len() && octets.starts_with(SIGNATURE) {
        return scan_binary(octets);
    }
    if is_beginning_of(octets, SIGNATURE) || is_beginning_of(octets, b"PROXY ") {
        return Ok(Scan::Incomplete);
    }
    if octets.starts_with(b"PROXY ") { scan_line(octets) } else { Err(Invalid::Absent) }
}

fn is_beginning_of(octets: &[u8], whole: &[u8]) -> bool {
    octets.len() < whole.len() && whole.starts_with(octets)
}

/// Version 1: one line (§2.1).
fn scan_line(octets: &[u8]) -> Result<Scan, Invalid> {
    let window = &octets[..octets.len().min(LINE_OCTETS_MAX)];
    let Some(end) = memchr::memchr2(b'\r', b'\n', window) else {
        return if window.len() == LINE_OCTETS_MAX { Err(Invalid::TooLong) } else { Ok(Scan::Incomplete) };
    };
    match (window[end], window.get(end + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) if window.len() < LINE_OCTETS_MAX => return Ok(Scan::Incomplete),
        (b'\r', None) => return Err(Invalid::TooLong),
        _ => return Err(Invalid::Address),
    }
    let line = std::str::from_utf8(&window[..end]).map_err(|_| Invalid::Address)?;
    Ok(Scan::Complete(end + 2, parse_line(line)?))
}

fn parse_line(line: &str) -> Result<Option<IpAddr>, Invalid> {
    let mut words = line.split(' ').skip(1);
    let is_v6 = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => false,
        Some("TCP6") => true,
        _ => return Err(Invalid::Family),
    };
    let mut address = || -> Result<IpAddr, Invalid> {
        let word = words.next().ok_or(Invalid::Address)?;
        let parsed = if is_v6 { word.parse().map(IpAddr::V6) } else { word.parse().map(IpAddr::V4) };
        parsed.map_err(|_| Invalid::Address)
    };
    let (source, _destination) = (address()?, address()?);
    let ports: Vec<&str> = words.collect();
    let is_port = |word: &&str| word.bytes().all(|b| b.is_ascii_digit()) && word.parse::<u16>().is_ok();
    if ports.len() != 2 || !ports.iter().all(is_port) {
        return Err(Invalid::Address);
    }
    Ok(Some(source.to_canonical()))
}

/// Version 2: a fixed part, addresses, and what else a balancer has to say, which is not looked at (§2.2).
fn scan_binary(octets: &[u8]) -> Result<Scan, Invalid> {
    let Some((fixed, rest)) = octets.split_at_checked(FIXED_OCTETS) else { return Ok(Scan::Incomplete) };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if command != 0x20 && command != 0x21 {
        return Err(Invalid::Version);
    }
    if length > EXTENSION_OCTETS_MAX {
        return Err(Invalid::TooLong);
    }
    let Some(extension) = rest.get(..length) else { return Ok(Scan::Incomplete) };
    let is_local = command == 0x20;
    let client = match family {
        _ if is_local => None,
        0x00 => None,
        0x11 => {
            Some(Ipv4Addr::from(*extension.get(..12).and_then(<[u8]>::first_chunk).ok_or(Invalid::Address)?).into())
        }
        0x21 => {
            Some(Ipv6Addr::from(*extension.get(..36).and_then(<[u8]>::first_chunk).ok_or(Invalid::Address)?).into())
        }
        _ => return Err(Invalid::Family),
    };
    Ok(Scan::Complete(FIXED_OCTETS + length, client.map(|client: IpAddr| client.to_canonical())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn binary(command: u8, family: u8, extension: &[u8]) -> Vec<u8> {
        let length = u16::try_from(extension.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, extension].concat()
    }

    fn v4() -> Vec<u8> {
        vec![192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 1, 0, 25]
    }

    fn v6(first: u16) -> Vec<u8> {
        let source = Ipv6Addr::new(first, 0xdb8, 0, 0, 0, 0, 0, 7).octets();
        [&source[..], &source[..], &[0xc0, 1, 0, 25]].concat()
    }

    /// Each case as one text of the line, and as what follows a header.
    #[test]
    fn headers() {
        let address = |text: &str| Ok(Some(text.parse::<IpAddr>().unwrap()));
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_OCTETS_MAX - 16));
        type Source = Result<Option<IpAddr>, Invalid>;
        let cases: Vec<(Vec<u8>, Source)> = vec![
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 25\r\n".to_vec(), address("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 49153 25\r\n".to_vec(), address("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(), address("192.0.2.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Ok(None)),
            (b"PROXY UNKNOWN whatever 1 2 3 4 5\r\n".to_vec(), Ok(None)),
            (long.into_bytes(), Ok(None)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 49153\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 25 1\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 25\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 25\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1  25\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.256 10.0.0.1 1 25\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP6 192.0.2.7 10.0.0.1 1 25\r\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 25\n".to_vec(), Err(Invalid::Address)),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 25\rx".to_vec(), Err(Invalid::Address)),
            (b"PROXY UDP4 192.0.2.7 10.0.0.1 1 25\r\n".to_vec(), Err(Invalid::Family)),
            (b"PROXY tcp4 192.0.2.7 10.0.0.1 1 25\r\n".to_vec(), Err(Invalid::Family)),
            (b"PROXY \r\n".to_vec(), Err(Invalid::Family)),
            (b"PROXY TCP4 \xff\r\n".to_vec(), Err(Invalid::Address)),
            (format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_OCTETS_MAX - 15)).into_bytes(), Err(Invalid::TooLong)),
            (b"EHLO c.example\r\n".to_vec(), Err(Invalid::Absent)),
            (b"proxy TCP4 192.0.2.7 10.0.0.1 1 25\r\n".to_vec(), Err(Invalid::Absent)),
            (b"\x16\x03\x01\x02\x00\x01".to_vec(), Err(Invalid::Absent)),
            (b"\r\n\r\nQUIT\r\n......".to_vec(), Err(Invalid::Absent)),
            (binary(0x21, 0x11, &v4()), address("192.0.2.7")),
            (binary(0x21, 0x11, &[v4(), vec![0x20, 0, 3, 1, 2, 3]].concat()), address("192.0.2.7")),
            (binary(0x21, 0x21, &v6(0x2001)), address("2001:db8::7")),
            (binary(0x21, 0x00, &[]), Ok(None)),
            (binary(0x20, 0x11, &v4()), Ok(None)),
            (binary(0x20, 0x00, &[]), Ok(None)),
            (binary(0x20, 0x31, &[0; 216]), Ok(None)),
            (binary(0x21, 0x11, &v4()[..11]), Err(Invalid::Address)),
            (binary(0x21, 0x21, &v4()), Err(Invalid::Address)),
            (binary(0x21, 0x12, &v4()), Err(Invalid::Family)),
            (binary(0x21, 0x31, &[0; 216]), Err(Invalid::Family)),
            (binary(0x22, 0x11, &v4()), Err(Invalid::Version)),
            (binary(0x11, 0x11, &v4()), Err(Invalid::Version)),
            (binary(0x21, 0x11, &[0; EXTENSION_OCTETS_MAX]), address("0.0.0.0")),
            (binary(0x21, 0x11, &[0; EXTENSION_OCTETS_MAX + 1]), Err(Invalid::TooLong)),
        ];
        for (octets, expected) in &cases {
            let what = octets[..octets.len().min(120)].escape_ascii();
            let expected = expected.map(|client| Scan::Complete(octets.len(), client));
            assert_eq!(scan(octets), expected, "{what}");
            // What follows is not part of it.
            if let Ok(Scan::Complete(..)) = expected {
                assert_eq!(scan(&[&octets[..], b"EHLO c.example\r\n"].concat()), expected, "{what} and more");
                for cut in 0..octets.len() {
                    assert_eq!(scan(&octets[..cut]), Ok(Scan::Incomplete), "{what} cut at {cut}");
                }
            }
        }
        println!("{} headers", cases.len());
    }

    proptest! {
        #[test]
        fn anything_is_judged_within_bounds(is_line in any::<bool>(), tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let octets = [if is_line { &b"PROXY TCP4 "[..] } else { &SIGNATURE[..] }, &tail].concat();
            match scan(&octets) {
                Ok(Scan::Complete(length, _)) => prop_assert!(length <= octets.len()),
                Ok(Scan::Incomplete) => prop_assert!(octets.len() < HEADER_OCTETS_MAX),
                Err(_) => {}
            }
        }
    }
}
