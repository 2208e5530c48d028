//! Which parts a text of HTML shows: `cid:` and a Content-ID (RFC 2392).

use crate::syntax::transfer;
use std::collections::HashSet;

/// The Content-IDs that HTML refers to, without angle brackets.
pub fn referred(html: &str) -> HashSet<String> {
    let mut ids = HashSet::new();
    let mut rest = html;
    while let Some(at) = find_scheme(rest) {
        rest = &rest[at + 4..];
        let end = rest.find(|c: char| c.is_whitespace() || "\"'<>()".contains(c)).unwrap_or(rest.len());
        let id = rest[..end].replace("&amp;", "&");
        ids.insert(String::from_utf8_lossy(&transfer::unescape(id.as_bytes(), b'%')).into_owned());
        rest = &rest[end..];
    }
    ids.remove("");
    ids
}

fn find_scheme(text: &str) -> Option<usize> {
    let text = text.as_bytes();
    let is_scheme = |at: &usize| text.get(*at..at + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"cid:"));
    memchr::memchr2_iter(b'c', b'C', text).find(is_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (html, expected) in [
            ("", vec![]),
            ("cid:", vec![]),
            ("ci", vec![]),
            ("<img src=\"cid:logo\"> and <img src=CID:b@c.d>", vec!["b@c.d", "logo"]),
            ("<img src='cid:a%25b%40c'><p style=\"background: url(cid:x)\">", vec!["a%b@c", "x"]),
            ("<a href=\"cid:a&amp;b\">ß cid:é ccid:z", vec!["a&b", "z", "é"]),
        ] {
            let mut found: Vec<String> = referred(html).into_iter().collect();
            found.sort();
            assert_eq!(found, expected, "{html}");
        }
    }

    #[test]
    fn many_references_cost_linear_time() {
        assert_eq!(referred(&"cid:cid:c".repeat(100_000)).len(), 1);
    }
}
