//! Mail addresses (RFC 5321 §4.1.2, RFC 6531 for UTF-8), made only by parsing.

use crate::domain::{Domain, InvalidDomain};
use std::fmt::Write as _;

/// A mailbox address: local part and domain. The local part keeps its spelling; two addresses that differ only in
/// case are the same mailbox here (see [`EmailAddress::key`]).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress {
    local: Box<str>,
    domain: Domain,
}

/// Octets of an address at most: a path has 256 with its brackets (RFC 5321 §4.5.3.1.3).
pub const ADDRESS_OCTETS_MAX: usize = 254;

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// There is no `@`.
    #[error("address has no \"@\"")]
    NoAt,
    /// The local part is empty, too long (64 octets, RFC 5321 §4.5.3.1.1) or has characters that it may not have.
    #[error("local part must be 1 to 64 octets of dot-separated atoms or a quoted string")]
    Local,
    /// Together they are too long.
    #[error("address is longer than {ADDRESS_OCTETS_MAX} octets")]
    TooLong,
    /// The part after the `@`.
    #[error(transparent)]
    Domain(#[from] InvalidDomain),
}

impl EmailAddress {
    /// Parses `local@domain` with no surrounding space or brackets. Quoted local parts lose needless quotes;
    /// address literals, source routes, encoded words and what nobody can see are refused.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidAddress::NoAt)?;
        let address = Self { local: parse_local(local)?.into(), domain: Domain::parse(domain)? };
        if address.octets() > ADDRESS_OCTETS_MAX { Err(InvalidAddress::TooLong) } else { Ok(address) }
    }

    /// The local part, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }
    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
    /// The spelling under which a mailbox is looked up: all lower case.
    pub fn key(&self) -> String {
        let mut text = String::with_capacity(self.octets());
        // A text takes whatever is written.
        let _ = write!(text, "{self}");
        if text.is_ascii() {
            text.make_ascii_lowercase();
            return text;
        }
        text.to_lowercase()
    }
    /// Whether it needs SMTPUTF8 (RFC 6531): the local part is not ASCII.
    pub fn is_internationalized(&self) -> bool {
        !self.local.is_ascii()
    }

    /// How long it is where it is written.
    fn octets(&self) -> usize {
        let added = match is_dot_atom(&self.local) {
            true => 0,
            false => 2 + self.local.bytes().filter(|byte| needs_backslash(char::from(*byte))).count(),
        };
        self.local.len() + added + 1 + self.domain.as_str().len()
    }
}

/// Whether a character of a quoted string stands behind a backslash.
fn needs_backslash(c: char) -> bool {
    matches!(c, '"' | '\\')
}

fn parse_local(local: &str) -> Result<String, InvalidAddress> {
    let is_hidden = || !local.is_ascii() && local.chars().any(is_invisible);
    if local.is_empty() || local.len() > 64 || has_encoded_word(local) || is_hidden() {
        return Err(InvalidAddress::Local);
    }
    if is_dot_atom(local) {
        return Ok(local.to_owned());
    }
    let inner = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(InvalidAddress::Local)?;
    unquote(inner).filter(|text| !text.is_empty()).ok_or(InvalidAddress::Local)
}

/// Whether there is something that a reader of headers may decode into another address (RFC 2047 §5 allows none in
/// addresses): `=?utf-8?q?ann=40bank.example=3e?=x@evil.example`.
fn has_encoded_word(local: &str) -> bool {
    local.find("=?").is_some_and(|begin| local[begin + 2..].contains("?="))
}

/// Characters that are not seen or turn others around, so that an address looks like one that it is not. Joiners are not
/// among them: some scripts need them (RFC 5892 §A).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
    )
}

fn unquote(inner: &str) -> Option<String> {
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            // RFC 6531 §3.3 leaves quoted pairs to ASCII.
            '\\' => chars.next().filter(char::is_ascii)?,
            '"' => return None,
            c => c,
        };
        if c.is_control() {
            return None;
        }
        plain.push(c);
    }
    Some(plain)
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 §3.2.3 `atext`, with RFC 6532's UTF-8.
pub fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        '!' | '#'..='\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'..='`' | '{'..='~' => true,
        c => !c.is_ascii() && !c.is_control() && !c.is_whitespace(),
    }
}

impl std::fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if is_dot_atom(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if needs_backslash(c) {
                    f.write_str("\\")?;
                }
                f.write_char(c)?;
            }
            f.write_str("\"")?;
        }
        f.write_str("@")?;
        f.write_str(self.domain.as_str())
    }
}

impl std::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmailAddress({self})")
    }
}

impl std::str::FromStr for EmailAddress {
    type Err = InvalidAddress;
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepted_and_refused() {
        for good in [
            "a@example.com",
            "first.last+tag@example.com",
            "müller@example.com",
            "\"a b\"@example.com",
            "\"a@b\"@example.com",
        ] {
            assert_eq!(EmailAddress::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(EmailAddress::parse("\"plain\"@example.com").unwrap().to_string(), "plain@example.com");
        assert_eq!(EmailAddress::parse("Bob@Example.COM").unwrap().key(), "bob@example.com");
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            ".a@example.com",
            "a..b@example.com",
            "a b@example.com",
            "<a@example.com>",
            "a@[127.0.0.1]",
            "a\r\nb@example.com",
            "\"a\nb\"@example.com",
            "@a,@b:c@d.example",
            "\"a\"b\"@example.com",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(64))).is_ok());
        assert_eq!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(65))), Err(InvalidAddress::Local));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(text in "\\PC{1,40}@[a-z]{1,10}\\.example") {
            if let Ok(address) = EmailAddress::parse(&text) {
                let written = address.to_string();
                prop_assert_eq!((address.octets(), address.key()), (written.len(), written.to_lowercase()));
                prop_assert_eq!(EmailAddress::parse(&written).unwrap(), address);
            }
        }
    }
}
