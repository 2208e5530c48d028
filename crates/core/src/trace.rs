//! Where in a trace something happens, as it is handed from one process to the next: in a header
//! (W3C Trace Context §3.2) or in 25 octets of a row.

use std::fmt;

/// The place of a span in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Which trace; never all zero.
    pub trace: [u8; 16],
    /// Which span of it; never all zero.
    pub span: [u8; 8],
    /// Bit 0: the trace is recorded.
    pub flags: u8,
}

/// The flag of a trace that is recorded.
pub const SAMPLED: u8 = 1;

impl TraceContext {
    /// Octets of its short form.
    pub const OCTETS: usize = 25;

    /// Reads the value of a `traceparent` header. Later versions are read as far as they agree with the first, as the
    /// standard wants it; `None` for everything that it says to ignore.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let version: [u8; 1] = hex(text.get(..2)?)?;
        let is_whole = match version[0] {
            0 => text.len() == 55,
            0xff => false,
            _ => text.len() == 55 || text.get(55..)?.starts_with('-'),
        };
        let dashes = [2, 35, 52].into_iter().all(|at| text.as_bytes().get(at) == Some(&b'-'));
        if !is_whole || !dashes {
            return None;
        }
        let flags: [u8; 1] = hex(text.get(53..55)?)?;
        Self { trace: hex(text.get(3..35)?)?, span: hex(text.get(36..52)?)?, flags: flags[0] & SAMPLED }.valid()
    }

    /// The value of a `traceparent` header.
    pub fn traceparent(&self) -> String {
        self.to_string()
    }

    /// Reads the short form; `None` if it is none.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; Self::OCTETS] = octets.try_into().ok()?;
        let (trace, rest) = octets.split_first_chunk::<16>()?;
        let (span, flags) = rest.split_first_chunk::<8>()?;
        Self { trace: *trace, span: *span, flags: *flags.first()? }.valid()
    }

    /// The short form: trace, span, flags.
    pub fn to_octets(&self) -> [u8; Self::OCTETS] {
        let mut octets = [0; Self::OCTETS];
        octets[..16].copy_from_slice(&self.trace);
        octets[16..24].copy_from_slice(&self.span);
        octets[24] = self.flags;
        octets
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    fn valid(self) -> Option<Self> {
        (self.trace != [0; 16] && self.span != [0; 8]).then_some(self)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

/// Lower-case hexadecimal alone: the standard forbids the other.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_read_or_ignored() {
        let good = [
            (format!("00-{TRACE}-{SPAN}-01"), true, "recorded"),
            (format!("00-{TRACE}-{SPAN}-00"), false, "not recorded"),
            (format!("00-{TRACE}-{SPAN}-ff"), true, "flags of later versions"),
            (format!("cc-{TRACE}-{SPAN}-01"), true, "a later version"),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes"), true, "a later version with more"),
        ];
        for (text, sampled, case) in good {
            let context = TraceContext::from_traceparent(&text).expect(case);
            assert_eq!(context.is_sampled(), sampled, "{case}");
            assert_eq!(context.traceparent(), format!("00-{TRACE}-{SPAN}-{:02x}", u8::from(sampled)), "{case}");
        }
        let zeros = "0".repeat(32);
        let bad = [
            (String::new(), "nothing"),
            (format!("00-{TRACE}-{SPAN}"), "no flags"),
            (format!("00-{TRACE}-{SPAN}-01-more"), "more than the first version has"),
            (format!("ff-{TRACE}-{SPAN}-01"), "the version that is none"),
            (format!("cc-{TRACE}-{SPAN}-01.what-comes"), "more without a dash"),
            (format!("00-{zeros}-{SPAN}-01"), "no trace"),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), "no span"),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), "capitals"),
            (format!("00_{TRACE}-{SPAN}-01"), "no dash"),
            (format!("0g-{TRACE}-{SPAN}-01"), "no version"),
            (format!("00-{TRACE}-{SPAN}-0é"), "beyond ASCII"),
            (format!("00-{}é-{SPAN}-01", &TRACE[..30]), "a letter of two octets"),
        ];
        for (text, case) in bad {
            assert_eq!(TraceContext::from_traceparent(&text), None, "{case}");
        }
    }

    #[test]
    fn the_short_form_comes_back() {
        let context = TraceContext::from_traceparent(&format!("00-{TRACE}-{SPAN}-01")).expect("context");
        assert_eq!(TraceContext::from_octets(&context.to_octets()), Some(context));
        let short: [&[u8]; 4] = [&[], &[1; 24], &[1; 26], &[0; 25]];
        for octets in short {
            assert_eq!(TraceContext::from_octets(octets), None, "{octets:?}");
        }
    }
}
