//! SMTP smuggling (2023): two servers disagree about where a message ends, and what one of them takes for text is a message
//! to the other. RFC 5321 §4.1.1.4: CRLF.CRLF ends a message. Everything that looks like it to somebody else is refused.

use crate::support::{Seen, Server};
use postfleet_wire::smtp::server::{Breach, Service};

/// The message that would be smuggled. With DATA it can never be taken: its octets follow DATA without a wait.
const SMUGGLED: &[u8] = b"MAIL FROM:<s@evil.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nx\r\n.\r\n";
const REFUSED: &str = "550 5.6.0 message has a bare CR, a bare LF or a NUL\r\n";

/// Every string of one to four octets over CR, LF, dot, NUL, space and a letter.
fn strings() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..4 {
        let until = all.len();
        for at in from..until {
            for octet in [b'\r', b'\n', b'.', 0, b' ', b'x'] {
                let longer = [&all[at][..], &[octet]].concat();
                all.push(longer);
            }
        }
        from = until;
    }
    all.remove(0);
    assert_eq!(all.len(), 1_554);
    all
}

/// Whether lines end with CRLF alone, as far as can be told: a CR at the end may still get its LF.
fn is_strict(octets: &[u8]) -> bool {
    (0..octets.len()).all(|at| match octets[at] {
        0 => false,
        b'\n' => at > 0 && octets[at - 1] == b'\r',
        b'\r' => octets.get(at + 1).is_none_or(|next| *next == b'\n'),
        _ => true,
    })
}

/// What a stream after 354 is, found the slow and obvious way.
enum Meant {
    More,
    Broken,
    /// The message on the wire, with its last line.
    Message(usize),
}

fn meant(stream: &[u8]) -> Meant {
    for end in 1..=stream.len() {
        let so_far = &stream[..end];
        if !is_strict(so_far) {
            return Meant::Broken;
        }
        if so_far == b".\r\n" || so_far.ends_with(b"\r\n.\r\n") {
            return Meant::Message(end);
        }
    }
    Meant::More
}

/// A message as it was meant: without its end and the dots that were added.
fn without_dots(wire: &[u8]) -> Vec<u8> {
    let lines = wire[..wire.len() - 3].split_inclusive(|b| *b == b'\n');
    lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line).to_vec()).collect()
}

fn messages(seen: &Seen) -> Vec<&[u8]> {
    seen.messages.iter().map(|(_, message)| &message[..]).collect()
}

/// Feeds a stream after 354, split at `cut`; counts the messages that were taken.
fn after_data(stream: &[u8], cut: usize) -> usize {
    let mut server = Server::greeted(Service::Mx, false).with_envelope(true);
    server.write([&stream[..cut], &stream[cut..]]);
    let what = format!("{} split at {cut}", stream.escape_ascii());
    match meant(stream) {
        Meant::More => assert!(server.seen.output.is_empty() && !server.seen.is_closed, "{what}"),
        Meant::Broken => {
            assert_eq!(server.seen.output, REFUSED, "{what}");
            assert!(server.seen.is_closed && server.breach() == Some(Breach::Content), "{what}");
            assert_eq!(server.seen.recipients, 0, "{what}: no command behind it was carried out");
        }
        Meant::Message(end) => {
            assert_eq!(messages(&server.seen), [&without_dots(&stream[..end])[..]], "{what}");
        }
    }
    assert!(messages(&server.seen).len() <= 1, "{what}: a second message");
    server.seen.messages.len()
}

#[test]
fn nothing_but_crlf_dot_crlf_ends_data() {
    let (mut cases, mut taken) = (0, 0);
    let strings = strings();
    for string in &strings {
        for before in [&b"a\r\n"[..], b"a"] {
            // In the middle: what follows is a message of its own, to whom this looks like an end.
            let middle = [before, string, SMUGGLED].concat();
            // At the end: there is nothing more.
            let end = [before, string].concat();
            for stream in [&middle[..], &end] {
                // What comes in one piece with the envelope is another table; elsewhere one octet is like the other.
                let cuts = (0..stream.len()).filter(|cut| *cut <= before.len() + string.len() + 2);
                for cut in cuts {
                    taken += after_data(stream, cut);
                    cases += 1;
                }
            }
        }
    }
    println!(
        "{} strings as ends in DATA, in the middle and at the end, in {cases} pieces: {taken} true ends",
        strings.len()
    );
}

#[test]
fn chunks_have_no_end_but_their_length() {
    let (mut cases, mut taken) = (0, 0);
    let strings = strings();
    for string in &strings {
        for tail in [&b"MAIL FROM:<s@evil.example>\r\n"[..], b""] {
            let message = [b"a\r\n", &string[..], tail].concat();
            let is_message = is_strict(&message) && !message.ends_with(b"\r");
            for cut in 0..=message.len() {
                // In two chunks, and the stream of both split there too.
                let (first, second) = message.split_at(cut);
                let chunks = [
                    format!("BDAT {}\r\n", first.len()).as_bytes(),
                    first,
                    format!("BDAT {} LAST\r\n", second.len()).as_bytes(),
                    second,
                    b"RSET\r\n",
                ]
                .concat();
                let mut server = Server::greeted(Service::Mx, false).with_envelope(false);
                server.write([&chunks[..cut], &chunks[cut..]]);
                let what = chunks.escape_ascii();
                if is_message {
                    assert_eq!(messages(&server.seen), [&message[..]], "{what}");
                    assert!(server.seen.output.ends_with("250 2.0.0 ok\r\n") && !server.seen.is_closed, "{what}");
                    taken += 1;
                } else {
                    assert!(server.seen.messages.is_empty() && server.seen.is_closed, "{what}");
                    assert!(server.seen.output.ends_with(REFUSED), "{what}: {}", server.seen.output);
                }
                cases += 1;
            }
        }
    }
    println!(
        "{} strings in chunks, in the middle and at the end, in {cases} pieces: {taken} taken whole",
        strings.len()
    );
}
