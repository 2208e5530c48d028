//! Media types and ranges of them (RFC 9110 §12.5.1), as lists of allowed attachment types are written.

/// One media type such as `application/pdf`, or a family such as `image/*`, in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MediaRange(Box<str>);

/// The text is neither `type/subtype` nor `type/*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be a media type such as application/pdf, or a family such as image/*")]
pub struct InvalidMediaRange;

impl MediaRange {
    /// Reads `type/subtype`, `type/*` or `*/*`, in any case.
    pub fn parse(text: &str) -> Result<Self, InvalidMediaRange> {
        let text = text.trim().to_ascii_lowercase();
        let (family, subtype) = text.split_once('/').ok_or(InvalidMediaRange)?;
        let subtype_is_right = subtype == "*" || is_token(subtype);
        let family_is_right = is_token(family) || (family == "*" && subtype == "*");
        if text.len() > 255 || !family_is_right || !subtype_is_right {
            return Err(InvalidMediaRange);
        }
        Ok(Self(text.into()))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether everything that `other` stands for is in this range.
    pub fn contains(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }

    /// Whether a media type without parameters is in this range; case does not matter.
    pub fn matches(&self, media_type: &str) -> bool {
        if &*self.0 == "*/*" {
            return true;
        }
        match self.0.strip_suffix('*') {
            Some(family) => media_type.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family)),
            None => media_type.eq_ignore_ascii_case(&self.0),
        }
    }
}

/// `token` of RFC 9110 §5.6.2, without the asterisk, which here stands for a family.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&b))
}

impl std::fmt::Display for MediaRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_match_their_family() {
        let range = |text: &str| MediaRange::parse(text).unwrap();
        for (text, media_type, expected) in [
            ("image/*", "image/png", true),
            ("image/*", "IMAGE/PNG", true),
            ("image/*", "imagery/png", false),
            ("application/pdf", "application/PDF", true),
            ("application/pdf", "application/pdfx", false),
            ("*/*", "text/plain", true),
        ] {
            assert_eq!(range(text).matches(media_type), expected, "{text} {media_type}");
        }
        assert!(range("image/*").contains(&range("image/png")));
        assert!(range("image/*").contains(&range("image/*")));
        assert!(!range("image/png").contains(&range("image/*")));
        assert!(!range("image/*").contains(&range("*/*")));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "image", "image/", "/png", "*/png", "image/p*", "image/png; q=1", "image /png", "a/b/c"] {
            assert!(MediaRange::parse(bad).is_err(), "{bad:?}");
        }
    }
}
