//! What machines say of themselves in header fields, so that they need not answer each other for ever: which messages are
//! written by machines (RFC 3834), and by how many mailboxes of one installation a message was answered in turn.

use crate::syntax::header::{self, Field, Fields};

/// The field that says how many mailboxes of the installation have answered one another in turn. Who submits a message
/// cannot set it.
pub const HOPS_FIELD: &str = "X-Postfleet-Hops";

/// The highest count that is read.
const HOPS_MAX: u64 = 1_000_000;

/// The latest time that is read: the end of the year 9999.
const TIME_MAX: i64 = 253_402_300_799;

/// What such a field says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hops {
    /// How many.
    pub count: u64,
    /// When that was written, in unix seconds.
    pub at: i64,
    /// The mark by which those who wrote it know it as theirs.
    pub mark: String,
}

/// What a message says of that.
pub fn hops(raw: &[u8]) -> Option<Hops> {
    let field = Fields::new(raw).find(|field| field.is(HOPS_FIELD))?;
    let text = field.text();
    let mut parts = text.splitn(3, ';').map(str::trim);
    let count = parts.next()?.parse().ok().filter(|count| (1..=HOPS_MAX).contains(count))?;
    let at = parts.next()?.parse().ok().filter(|at| (0..=TIME_MAX).contains(at))?;
    Some(Hops { count, at, mark: parts.next()?.to_owned() })
}

/// The message with a count in place of the one that it had.
pub fn with_hops(raw: &[u8], hops: &Hops) -> Vec<u8> {
    let (block, _) = header::split(raw);
    let Hops { count, at, mark } = hops;
    let mut out = Vec::with_capacity(raw.len() + 80);
    out.extend_from_slice(format!("{HOPS_FIELD}: {count}; {at}; {mark}\r\n").as_bytes());
    if !Fields::new(block).any(|field| field.is(HOPS_FIELD)) {
        out.extend_from_slice(raw);
        return out;
    }
    for field in Fields::new(block).filter(|field| !field.is(HOPS_FIELD)) {
        out.extend_from_slice(field.name.as_bytes());
        out.push(b':');
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&raw[block.len()..]);
    out
}

/// Whether a message says that a machine wrote it on its own (RFC 3834 §5).
pub fn is_automatic(raw: &[u8]) -> bool {
    Fields::new(header::split(raw).0).any(|field| is_auto_submitted(&field))
}

/// Why no machine should answer a message (RFC 3834 §2), for people; none if one may.
pub fn why_unanswered(raw: &[u8]) -> Option<&'static str> {
    let mut has_path = false;
    for field in Fields::new(header::split(raw).0) {
        // The first one is the receiving server's own.
        if field.is("Return-Path") && !has_path {
            has_path = true;
            if field.text().trim() == "<>" {
                return Some("it came with the null reverse path");
            }
        }
        if is_auto_submitted(&field) {
            return Some("it is an automatic message itself");
        }
        if field.name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("List-")) {
            return Some("it came from a mailing list");
        }
        if field.is("Precedence")
            && matches!(field.text().trim().to_ascii_lowercase().as_str(), "bulk" | "junk" | "list")
        {
            return Some("it was sent to many at once");
        }
    }
    None
}

fn is_auto_submitted(field: &Field<'_>) -> bool {
    if !field.is("Auto-Submitted") {
        return false;
    }
    let text = field.text();
    let keyword = text.split([';', '(']).next().unwrap_or_default().trim();
    !keyword.is_empty() && !keyword.eq_ignore_ascii_case("no")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_back_and_replaced() {
        let plain = b"From: a@x.test\r\nX-Y: 1\r\n 2\r\n\r\nHello\r\n".as_slice();
        assert_eq!(hops(plain), None);
        let of = |count, mark: &str| Hops { count, at: 1_772_445_600, mark: mark.to_owned() };
        let one = with_hops(plain, &of(1, "ab"));
        assert_eq!(hops(&one), Some(of(1, "ab")));
        assert!(one.ends_with(plain));
        let two = with_hops(&one, &of(2, "cd"));
        assert_eq!(two, [b"X-Postfleet-Hops: 2; 1772445600; cd\r\n".as_slice(), plain].concat());
    }

    #[test]
    fn what_is_no_count_is_none() {
        for value in [
            "",
            "3",
            "3; 1",
            "x; 1; y",
            "-1; 1; y",
            "0; 1; y",
            "1000001; 1; y",
            "99999999999999999999999; 1; y",
            "1; -1; y",
        ] {
            assert_eq!(hops(format!("X-Postfleet-Hops: {value}\r\n\r\n").as_bytes()), None, "{value}");
        }
        assert_eq!(hops(b"A: b\r\n\r\nX-Postfleet-Hops: 3; y\r\n"), None, "in the body");
    }

    #[test]
    fn machines_are_known_by_what_they_say() {
        let why = |header: &str| why_unanswered(format!("{header}\r\nFrom: a@x.test\r\n\r\n").as_bytes());
        for header in [
            "Auto-Submitted: auto-replied",
            "auto-submitted: auto-generated; x=y",
            "List-Id: <l.x.test>",
            "LIST-Unsubscribe: <mailto:x@x.test>",
            "Precedence: Bulk",
            "Return-Path: <>",
        ] {
            assert!(why(header).is_some(), "{header}");
        }
        for header in [
            "Auto-Submitted: no",
            "Auto-Submitted: No (really)",
            "Listing: 3",
            "Precedence: first-class",
            "Return-Path: <a@x.test>\r\nReturn-Path: <>",
        ] {
            assert_eq!(why(header), None, "{header}");
        }
        assert!(is_automatic(b"Auto-Submitted: auto-replied\r\n\r\n") && !is_automatic(b"List-Id: <l>\r\n\r\n"));
    }
}
