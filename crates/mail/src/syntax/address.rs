//! Address lists (RFC 5322 §3.4), read leniently. Encoded words are decoded in names only, never inside an address:
//! an address is what the sender's server could have been given, not what a decoder makes of it.

use super::{invisible, word};
use crate::Participant;

/// Octets of a name that are kept; more is no name.
const NAME_OCTETS_MAX: usize = 16 << 10;

/// Reads an unfolded list onto `found`, up to `max` entries there. Returns whether all of it was taken.
pub(crate) fn parse(text: &str, found: &mut Vec<Participant>, max: usize) -> bool {
    let mut reader = Reader { mailbox: Mailbox::default(), found, max };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if reader.found.len() == max {
            return false;
        }
        rest = reader.step(c, rest);
    }
    reader.finish()
}

struct Reader<'a> {
    mailbox: Mailbox,
    found: &'a mut Vec<Participant>,
    max: usize,
}

/// What was seen of one entry so far.
#[derive(Default)]
struct Mailbox {
    /// As written, outside angle brackets and comments.
    source: String,
    /// The same, without quotes and with single spaces.
    display: String,
    angle: Option<String>,
    comment: String,
}

impl Reader<'_> {
    /// Takes what begins with `c`, and returns what follows it.
    fn step<'t>(&mut self, c: char, rest: &'t str) -> &'t str {
        let after = &rest[c.len_utf8()..];
        match c {
            ',' | ';' => {
                self.finish();
                after
            }
            // A group's name (RFC 5322 §3.4) is no address.
            ':' => {
                self.mailbox = Mailbox::default();
                after
            }
            '(' => comment(after, &mut self.mailbox.comment),
            '"' => {
                let len = quoted_len(after);
                // A quote that is never closed is no part of an address.
                if after[..len].ends_with('"') {
                    self.mailbox.source.push_str(&rest[..1 + len]);
                }
                unescape(after[..len].strip_suffix('"').unwrap_or(&after[..len]), &mut self.mailbox.display);
                &after[len..]
            }
            '<' => {
                // Two addresses in one entry: both are kept, so that neither is hidden.
                if self.mailbox.angle.is_some() {
                    self.finish();
                }
                let len = angle_len(after);
                self.mailbox.angle = Some(after[..len].to_owned());
                after[len..].strip_prefix('>').unwrap_or_default()
            }
            '=' if let Some(len) = word::len_at(rest) => {
                self.mailbox.source.push_str(&rest[..len]);
                self.mailbox.display.push_str(&rest[..len]);
                &rest[len..]
            }
            c => {
                self.mailbox.push(c);
                after
            }
        }
    }

    /// Ends the entry. Returns false when there was no room for it.
    fn finish(&mut self) -> bool {
        match std::mem::take(&mut self.mailbox).participant() {
            Some(_) if self.found.len() >= self.max => false,
            Some(participant) => {
                self.found.push(participant);
                true
            }
            None => true,
        }
    }
}

impl Mailbox {
    fn push(&mut self, c: char) {
        self.source.push(c);
        if self.display.len() >= NAME_OCTETS_MAX {
            return;
        }
        if !c.is_whitespace() {
            self.display.push(c);
        } else if !self.display.is_empty() && !self.display.ends_with(' ') {
            self.display.push(' ');
        }
    }

    fn participant(self) -> Option<Participant> {
        let (name, email) = match &self.angle {
            Some(angle) => (self.display, without_route(angle)),
            None => {
                // "Name user@host" without brackets: the last word with an @ is the address.
                let source = self.source.trim();
                let at = source.rfind('@').unwrap_or(0);
                let quoted = source.starts_with('"');
                let start = source[..at].rfind([' ', '\t']).filter(|_| !quoted).map_or(0, |space| space + 1);
                match source.contains('@') {
                    true => (source[..start].to_owned(), &source[start..]),
                    false => (self.display, ""),
                }
            }
        };
        let name = if name.trim().is_empty() { &self.comment } else { &name };
        let name = invisible::visible(&word::decode(name.trim())).replace(char::is_control, "");
        let email: String = email.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
        (!name.is_empty() || !email.is_empty()).then_some(Participant { name, email })
    }
}

/// A source route (`@a,@b:user@host`, RFC 5321 appendix C) says nothing about the mailbox.
fn without_route(angle: &str) -> &str {
    match angle.split_once(':') {
        Some((route, address)) if route.trim_start().starts_with('@') => address,
        _ => angle,
    }
}

/// Length of a quoted string after its opening quote, with the closing one.
fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of what stands between angle brackets; a `>` in quotes does not close them.
fn angle_len(text: &str) -> usize {
    let mut at = 0;
    while let Some(found) = text[at..].find(['"', '>']) {
        at += found;
        if text.as_bytes()[at] == b'>' {
            return at;
        }
        at += 1 + quoted_len(&text[at + 1..]);
    }
    text.len()
}

/// Reads a comment after its opening parenthesis, with those inside it, and returns what follows.
fn comment<'t>(text: &'t str, into: &mut String) -> &'t str {
    let mut depth = 1_u32;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
        if into.len() < NAME_OCTETS_MAX {
            into.push(c);
        }
    }
    ""
}

fn unescape(quoted: &str, into: &mut String) {
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => into.extend(chars.next()),
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let mut found = Vec::new();
        assert!(parse(text, &mut found, 1_000));
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.email.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lists() {
        check("", &[]);
        check("a@b.example", &[("", "a@b.example")]);
        check("<a@b.example>", &[("", "a@b.example")]);
        check("Ann  Lee <a@b>, \"Doe, John\" <j@d>,,", &[("Ann Lee", "a@b"), ("Doe, John", "j@d")]);
        check("\"a \\\"b\\\" c\" <a@b>", &[("a \"b\" c", "a@b")]);
        check("a@b (Ann (the) Lee)", &[("Ann (the) Lee", "a@b")]);
        check("Ann (comment) <a@b>", &[("Ann", "a@b")]);
        check("=?utf-8?Q?J=C3=B6rg?= =?utf-8?Q?_M?= <j@d>", &[("Jörg M", "j@d")]);
        check("=?utf-8?Q?Doe,_John?= <j@d>", &[("Doe, John", "j@d")]);
        check("\"=?utf-8?Q?J=C3=B6rg?=\" <j@d>", &[("Jörg", "j@d")]);
        check("=?utf-8?Q?a=40evil.example?=@good.example", &[("", "=?utf-8?Q?a=40evil.example?=@good.example")]);
        check("team: a@b, Ann <c@d>; e@f", &[("", "a@b"), ("Ann", "c@d"), ("", "e@f")]);
        check("undisclosed-recipients:;", &[]);
        check("<@x,@y:a@b>", &[("", "a@b")]);
        check("<\"a>b\"@c>, d@e", &[("", "\"a>b\"@c"), ("", "d@e")]);
        check("\"a b\"@c", &[("", "\"a b\"@c")]);
        check("Ann a@b", &[("Ann", "a@b")]);
        check("Mailer Daemon", &[("Mailer Daemon", "")]);
        check("x <a@b> <c@d>", &[("x", "a@b"), ("", "c@d")]);
        check("a@b <c@d>", &[("a@b", "c@d")]);
        check("<a@b", &[("", "a@b")]);
        check("\"unclosed <a@b>", &[("unclosed <a@b>", "")]);
        check("(unclosed", &[("unclosed", "")]);
        // White space of more than one octet before the address.
        check("x\u{a0}a@b", &[("", "x\u{a0}a@b")]);
        check("\u{2003}a@b \u{3000}", &[("", "a@b")]);
    }

    #[test]
    fn limit() {
        let at = ["a@b"; 10].join(",");
        assert!(parse(&at, &mut Vec::new(), 10));
        assert!(!parse(&at, &mut Vec::new(), 9));
        assert!(!parse(&format!("{at},x@y"), &mut Vec::new(), 10));
    }
}
