//! Text as it may stand in HTML.

use memchr::memchr3;

/// A text between tags.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_text(text, &mut out);
    out
}

/// Writes a text between tags behind what was written.
pub(crate) fn push_text(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr3(b'&', b'<', b'>', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            _ => "&gt;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// The value of an attribute between double quotes.
pub(crate) fn value(value: &str) -> String {
    text(value).replace('"', "&quot;").replace('\'', "&#39;").replace('`', "&#96;")
}
