//! From bytes in any charset to UTF-8 text. Unlabelled 8-bit text is UTF-8 if it is valid UTF-8, else Windows-1252.
//!
//! Conversion tables are third-party code that meets hostile bytes: a panic in it is caught here and costs only the
//! conversion. UTF-7 is not converted: it hides markup from filters and no current software sends it.

use mail_parser::decoders::charsets::map::charset_decoder;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Decodes `bytes` labelled `charset` (empty: unlabelled). Takes a byte order mark and all NULs out. What is UTF-8 already,
/// as most text is, is not copied.
pub(crate) fn decode<'b>(charset: &str, bytes: impl Into<Cow<'b, [u8]>>) -> Cow<'b, str> {
    let bytes = without_mark(bytes.into());
    let label = charset.trim();
    let text = if is_utf8(label) {
        valid(bytes).unwrap_or_else(|bytes| Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
    } else if is_unlabelled(label) {
        unlabelled(bytes)
    } else {
        convert(label, &bytes).map(Cow::Owned).unwrap_or_else(|| unlabelled(bytes))
    };
    without_nuls(text)
}

/// As [`decode`] for the beginning of a text: a character that the cut left incomplete is dropped.
pub(crate) fn decode_prefix<'b>(charset: &str, bytes: impl Into<Cow<'b, [u8]>>) -> Cow<'b, str> {
    let mut bytes = bytes.into();
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        match &mut bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[..error.valid_up_to()],
            Cow::Owned(bytes) => bytes.truncate(error.valid_up_to()),
        }
    }
    decode(charset, bytes)
}

/// Text of a header value (RFC 6532 allows UTF-8 there; older software puts Latin letters).
pub(crate) fn header_text<'b>(bytes: impl Into<Cow<'b, [u8]>>) -> Cow<'b, str> {
    without_nuls(unlabelled(bytes.into()))
}

fn without_mark(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.strip_prefix(MARK).unwrap_or(bytes)),
        Cow::Owned(mut bytes) => {
            if bytes.starts_with(MARK) {
                bytes.drain(..MARK.len());
            }
            Cow::Owned(bytes)
        }
    }
}

fn is_utf8(label: &str) -> bool {
    label.eq_ignore_ascii_case("utf-8") || label.eq_ignore_ascii_case("utf8")
}

fn is_unlabelled(label: &str) -> bool {
    const NONE: [&str; 6] = ["", "us-ascii", "ascii", "unknown-8bit", "binary", "8bit"];
    NONE.iter().any(|none| label.eq_ignore_ascii_case(none)) || label.to_ascii_lowercase().contains("utf-7")
}

/// The text that octets are, or the octets if they are none.
fn valid(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Cow<'_, [u8]>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Cow::Borrowed(bytes)),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| Cow::Owned(error.into_bytes())),
    }
}

fn unlabelled(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    valid(bytes).unwrap_or_else(|bytes| {
        let converted = convert("windows-1252", &bytes);
        Cow::Owned(converted.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned()))
    })
}

fn convert(label: &str, bytes: &[u8]) -> Option<String> {
    let decoder = charset_decoder(label.as_bytes())?;
    catch_unwind(AssertUnwindSafe(|| decoder(bytes))).ok()
}

fn without_nuls(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_some() { Cow::Owned(text.replace('\0', "")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets() {
        for (charset, bytes, expected) in [
            ("iso-8859-1", b"caf\xe9".as_slice(), "café"),
            ("ISO-8859-15", b"5 \xa4", "5 €"),
            ("windows-1252", b"\x93quoted\x94", "“quoted”"),
            ("Shift_JIS", b"\x93\xfa\x96\x7b", "日本"),
            ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本"),
            ("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
            ("gb18030", b"\xc4\xe3\xba\xc3", "你好"),
            ("big5", b"\xa7A\xa6n", "你好"),
            ("utf-16le", b"h\0i\0", "hi"),
            ("utf-8", b"\xef\xbb\xbfh\xc3\xa9", "hé"),
            ("utf-8", b"h\xe9", "h\u{fffd}"),
            ("", b"h\xc3\xa9", "hé"),
            ("us-ascii", b"h\xe9", "hé"),
            ("no-such-charset", b"h\xe9", "hé"),
            ("utf-7", b"+ADw-script+AD4-", "+ADw-script+AD4-"),
            ("utf-8", b"a\0b", "ab"),
        ] {
            assert_eq!(decode(charset, bytes), expected, "{charset}");
        }
        assert_eq!(decode_prefix("utf-8", b"h\xc3"), "h");
        assert_eq!(decode_prefix("", b"h\xc3"), "h");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_charset(index in 0_usize..12, bytes: Vec<u8>) {
            let labels = ["utf-16", "utf-16be", "iso-2022-jp", "iso-2022-kr", "hz-gb-2312", "gb18030", "big5", "euc-kr",
                "shift_jis", "x-user-defined", "ibm850", "macintosh"];
            decode(labels[index], &bytes);
        }
    }
}
