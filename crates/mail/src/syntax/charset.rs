//! From bytes in any charset to UTF-8 text. Unlabelled 8-bit text is UTF-8 if it is valid UTF-8, else Windows-1252.
//!
//! Conversion tables are third-party code that meets hostile bytes: a panic in it is caught here and costs only the
//! conversion. UTF-7 is not converted: it hides markup from filters and no current software sends it.

use mail_parser::decoders::charsets::map::charset_decoder;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Decodes `bytes` labelled `charset` (empty: unlabelled). Takes a byte order mark and all NULs out.
pub(crate) fn decode(charset: &str, bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let label = charset.trim();
    let text = if is_utf8(label) {
        String::from_utf8_lossy(bytes).into_owned()
    } else if is_unlabelled(label) {
        unlabelled(bytes)
    } else {
        convert(label, bytes).unwrap_or_else(|| unlabelled(bytes))
    };
    without_nuls(text)
}

/// As [`decode`] for the beginning of a text: a character that the cut left incomplete is dropped.
pub(crate) fn decode_prefix(charset: &str, bytes: &[u8]) -> String {
    let cut = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    decode(charset, cut)
}

/// Text of a header value (RFC 6532 allows UTF-8 there; older software puts Latin letters).
pub(crate) fn header_text(bytes: &[u8]) -> String {
    without_nuls(unlabelled(bytes))
}

fn is_utf8(label: &str) -> bool {
    label.eq_ignore_ascii_case("utf-8") || label.eq_ignore_ascii_case("utf8")
}

fn is_unlabelled(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    matches!(lower.as_str(), "" | "us-ascii" | "ascii" | "unknown-8bit" | "binary" | "8bit") || lower.contains("utf-7")
}

fn unlabelled(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => convert("windows-1252", bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn convert(label: &str, bytes: &[u8]) -> Option<String> {
    let decoder = charset_decoder(label.as_bytes())?;
    catch_unwind(AssertUnwindSafe(|| decoder(bytes))).ok()
}

fn without_nuls(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
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
