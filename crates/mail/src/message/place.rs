//! Where an attachment stands in its message, so that it can be read without the rest; and what its octets look like.

pub use crate::syntax::transfer::{Decoder, Encoding};

/// Octets after decoding that are looked at to tell what a file is.
pub(super) const LOOKED_AT_OCTETS: usize = 256;

/// Where an attachment stands, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Octets from its beginning to the end of the message. What is written before a message on its way does not change
    /// them.
    pub from_end: u64,
    /// Octets as they stand.
    pub octets: u64,
    /// How they are encoded.
    pub encoding: Encoding,
    /// What they look like.
    pub kind: FileKind,
}

/// What the first octets of a file say that it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileKind {
    /// None of the others.
    #[default]
    Other,
    /// No octet that is not in a text.
    Text,
    /// PDF.
    Pdf,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// A zip archive, which also documents of newer office programs are.
    Zip,
    /// A compound file: a document of an older office program.
    Compound,
}

/// Every kind with its name, as it is stored.
const KINDS: &[(FileKind, &str)] = &[
    (FileKind::Other, ""),
    (FileKind::Text, "text"),
    (FileKind::Pdf, "pdf"),
    (FileKind::Png, "png"),
    (FileKind::Jpeg, "jpeg"),
    (FileKind::Gif, "gif"),
    (FileKind::Webp, "webp"),
    (FileKind::Zip, "zip"),
    (FileKind::Compound, "compound"),
];

/// What a file begins with, by kind.
const BEGINNINGS: &[(&[u8], FileKind)] = &[
    (b"%PDF-", FileKind::Pdf),
    (b"\x89PNG\r\n\x1a\n", FileKind::Png),
    (b"\xff\xd8\xff", FileKind::Jpeg),
    (b"GIF87a", FileKind::Gif),
    (b"GIF89a", FileKind::Gif),
    (b"PK\x03\x04", FileKind::Zip),
    // One without files.
    (b"PK\x05\x06", FileKind::Zip),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind::Compound),
];

/// The types under which a file may be handed out, and what it must look like then. Nothing here is a page or a program
/// that a browser would run.
const HANDED_OUT: &[(&str, FileKind)] = &[
    ("application/pdf", FileKind::Pdf),
    ("image/png", FileKind::Png),
    ("image/jpeg", FileKind::Jpeg),
    ("image/gif", FileKind::Gif),
    ("image/webp", FileKind::Webp),
    ("text/plain", FileKind::Text),
    ("text/csv", FileKind::Text),
    ("application/zip", FileKind::Zip),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", FileKind::Zip),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", FileKind::Zip),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", FileKind::Zip),
    ("application/vnd.oasis.opendocument.text", FileKind::Zip),
    ("application/vnd.oasis.opendocument.spreadsheet", FileKind::Zip),
    ("application/vnd.oasis.opendocument.presentation", FileKind::Zip),
    ("application/msword", FileKind::Compound),
    ("application/vnd.ms-excel", FileKind::Compound),
    ("application/vnd.ms-powerpoint", FileKind::Compound),
];

impl FileKind {
    /// Looks at the first octets of a file.
    pub fn of(beginning: &[u8]) -> Self {
        let beginning = &beginning[..beginning.len().min(LOOKED_AT_OCTETS)];
        if let Some((_, kind)) = BEGINNINGS.iter().find(|(octets, _)| beginning.starts_with(octets)) {
            return *kind;
        }
        if beginning.starts_with(b"RIFF") && beginning.get(8..12) == Some(b"WEBP") {
            return Self::Webp;
        }
        let is_of_text =
            |octet: &u8| matches!(octet, b'\t' | b'\n' | b'\r' | 0x0c) || (*octet >= 0x20 && *octet != 0x7f);
        if beginning.iter().all(is_of_text) { Self::Text } else { Self::Other }
    }

    /// Its name, as it is stored; empty for none of them.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Reads a name back; one that is not known is none of them.
    pub fn named(name: &str) -> Self {
        KINDS.iter().find(|(_, known)| *known == name).map_or(Self::Other, |(kind, _)| *kind)
    }

    /// The media type under which a file that looks like this is handed out: what its sender declares if that is a harmless
    /// one and fits, else one that says nothing.
    pub fn media_type(self, declared: &str) -> &'static str {
        let known = HANDED_OUT.iter().find(|(name, kind)| *name == declared && *kind == self);
        known.map_or("application/octet-stream", |(name, _)| name)
    }
}

impl Encoding {
    /// A letter for it, as it is stored.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Identity => "i",
            Self::Base64 => "b",
            Self::QuotedPrintable => "q",
        }
    }

    /// Reads a letter back.
    pub fn of_letter(letter: &str) -> Option<Self> {
        [Self::Identity, Self::Base64, Self::QuotedPrintable].into_iter().find(|encoding| encoding.letter() == letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_begin_with() {
        for (octets, kind) in [
            (b"%PDF-1.7\n".as_slice(), FileKind::Pdf),
            (b"\x89PNG\r\n\x1a\n\0\0", FileKind::Png),
            (b"\xff\xd8\xff\xe0", FileKind::Jpeg),
            (b"GIF89a\x01\0", FileKind::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8 ", FileKind::Webp),
            (b"RIFF\x10\0\0\0WAVE", FileKind::Other),
            (b"PK\x03\x04\0", FileKind::Zip),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind::Compound),
            (b"a;b\r\n1;2\r\n", FileKind::Text),
            ("gr\u{fc}n".as_bytes(), FileKind::Text),
            (b"", FileKind::Text),
            (b"a\0b", FileKind::Other),
            (b"\x7fELF", FileKind::Other),
            (b" %PDF-", FileKind::Text),
        ] {
            assert_eq!(FileKind::of(octets), kind, "{octets:?}");
            assert_eq!(FileKind::named(kind.name()), kind);
        }
        assert_eq!(FileKind::named("new"), FileKind::Other);
    }

    #[test]
    fn only_harmless_types_that_fit_are_handed_out() {
        for (declared, kind, expected) in [
            ("application/pdf", FileKind::Pdf, "application/pdf"),
            ("application/pdf", FileKind::Text, "application/octet-stream"),
            ("image/png", FileKind::Jpeg, "application/octet-stream"),
            ("text/csv", FileKind::Text, "text/csv"),
            ("text/html", FileKind::Text, "application/octet-stream"),
            ("image/svg+xml", FileKind::Text, "application/octet-stream"),
            ("application/javascript", FileKind::Text, "application/octet-stream"),
            ("message/rfc822", FileKind::Text, "application/octet-stream"),
            ("", FileKind::Other, "application/octet-stream"),
        ] {
            assert_eq!(kind.media_type(declared), expected, "{declared} {kind:?}");
        }
    }
}
