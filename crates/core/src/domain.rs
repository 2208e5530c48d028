//! Domain names, always in one spelling: lower-case ASCII (RFC 5890 A-labels), no trailing dot.

use std::borrow::Cow;
use std::sync::Arc;

/// A normalised domain name of at most 253 octets (RFC 5321 §4.5.3.1.2 allows 255; DNS leaves 253 visible ones).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomain {
    /// Nothing there.
    #[error("domain is empty")]
    Empty,
    /// Longer than 253 octets in ASCII form.
    #[error("domain is longer than 253 octets")]
    TooLong,
    /// A label is empty, longer than 63 octets, or has other than letters, digits and inner hyphens.
    #[error("domain has a label that is not letters, digits and inner hyphens, 1 to 63 octets long")]
    Label,
    /// Not convertible to ASCII (RFC 5891).
    #[error("domain cannot be converted to ASCII")]
    Idna,
}

impl Domain {
    /// Parses and normalises: Unicode labels become A-labels, upper case becomes lower, one trailing dot is dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidDomain> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidDomain::Empty);
        }
        if text.len() > 1_024 {
            return Err(InvalidDomain::TooLong);
        }
        let ascii = match text.is_ascii() {
            true if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(text.to_ascii_lowercase()),
            true => Cow::Borrowed(text),
            false => Cow::Owned(idna::domain_to_ascii(text).map_err(|_| InvalidDomain::Idna)?),
        };
        if ascii.len() > 253 {
            return Err(InvalidDomain::TooLong);
        }
        if !ascii.split('.').all(is_label) {
            return Err(InvalidDomain::Label);
        }
        Ok(Self(Arc::from(&*ascii)))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A domain as people see it: A-labels in the letters that they stand for. What is none stays as it is.
pub fn to_unicode(domain: &str) -> String {
    if domain.to_ascii_lowercase().contains("xn--") { idna::domain_to_unicode(domain).0 } else { domain.to_owned() }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

impl std::str::FromStr for Domain {
    type Err = InvalidDomain;
    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for (input, expected) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("müller.example", "xn--mller-kva.example"),
        ] {
            assert_eq!(Domain::parse(input).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn limits() {
        assert!(Domain::parse(&format!("{}.example", "a".repeat(63))).is_ok());
        assert_eq!(Domain::parse(&format!("{}.example", "a".repeat(64))), Err(InvalidDomain::Label));
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        assert_eq!(long.len(), 253);
        assert!(Domain::parse(&long).is_ok());
        assert_eq!(Domain::parse(&format!("{long}d")), Err(InvalidDomain::TooLong));
        for bad in ["", ".", "a..b", "-a.example", "a-.example", "a b.example", "a\r\n.example", "[127.0.0.1]"] {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
    }
}
