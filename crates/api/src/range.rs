//! Which octets of a file a request asks for (RFC 9110 §13, §14): all, one range of them, or none since it has them.

use axum::http::{HeaderMap, Method, header};
use std::ops::Range;

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// 200: the whole file.
    Whole,
    /// 206: these octets, which are within it.
    Part(Range<u64>),
    /// 304: the client has it.
    NotModified,
    /// 416: there are no such octets.
    Unsatisfiable,
}

/// What a request asks for of a file of `size` octets whose entity tag is `tag`, without quotes. A range that cannot be
/// read, several of them, and one in another unit are ignored, as a server may (RFC 9110 §14.2).
pub(crate) fn asked(method: &Method, headers: &HeaderMap, tag: &str, size: u64) -> Asked {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, tag)) {
        return Asked::NotModified;
    }
    // A file has no date, so one in If-Range never fits (RFC 9110 §13.1.5), and neither does a weak tag.
    let is_current = text(header::IF_RANGE).is_none_or(|given| given.trim() == format!("\"{tag}\""));
    let range = text(header::RANGE).filter(|_| is_current && *method == Method::GET);
    range.and_then(|range| part(range, size)).unwrap_or(Asked::Whole)
}

/// Whether a list of entity tags has this one, compared weakly (RFC 9110 §8.8.3.2).
fn names(tags: &str, tag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim).map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
    tags.any(|given| given == "*" || given.strip_prefix('"').and_then(|given| given.strip_suffix('"')) == Some(tag))
}

/// The one range of a header field; `None` for what is to be ignored.
fn part(range: &str, size: u64) -> Option<Asked> {
    let (unit, set) = range.split_once('=')?;
    let mut specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
    let (spec, None) = (specs.next()?, specs.next()) else { return None };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.split_once('-')?;
    let range = match (first, last) {
        ("", last) => {
            let suffix = number(last)?;
            // Nothing has a beginning that could be named.
            if size == 0 && suffix > 0 {
                return None;
            }
            size.saturating_sub(suffix)..size
        }
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if range.start < range.end { Asked::Part(range) } else { Asked::Unsatisfiable })
}

/// A number of octets; one that is too large for any file is the largest.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const TAG: &str = "abc-1";

    fn ask(fields: &[(header::HeaderName, &'static str)], size: u64) -> Asked {
        let headers = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        asked(&Method::GET, &headers, TAG, size)
    }

    /// RFC 9110 §14.1.2, §14.2.
    #[test]
    fn ranges() {
        let part = Asked::Part;
        for (range, size, expected) in [
            ("bytes=0-0", 100, part(0..1)),
            ("bytes=0-99", 100, part(0..100)),
            ("bytes=0-499", 100, part(0..100)),
            ("bytes=10-19", 100, part(10..20)),
            ("bytes=99-", 100, part(99..100)),
            ("bytes=0-", 100, part(0..100)),
            ("bytes=-1", 100, part(99..100)),
            ("bytes=-100", 100, part(0..100)),
            ("bytes=-500", 100, part(0..100)),
            ("bytes=5-99999999999999999999999", 100, part(5..100)),
            ("bytes=5-18446744073709551615", 100, part(5..100)),
            ("BYTES=1-2", 100, part(1..3)),
            ("bytes= 1-2 ,", 100, part(1..3)),
            ("bytes=100-", 100, Asked::Unsatisfiable),
            ("bytes=100-200", 100, Asked::Unsatisfiable),
            ("bytes=99999999999999999999999-", 100, Asked::Unsatisfiable),
            ("bytes=-0", 100, Asked::Unsatisfiable),
            ("bytes=0-", 0, Asked::Unsatisfiable),
            ("bytes=-5", 0, Asked::Whole),
            ("bytes=2-1", 100, Asked::Whole),
            ("bytes=0-1,4-5", 100, Asked::Whole),
            ("bytes=", 100, Asked::Whole),
            ("bytes=a-b", 100, Asked::Whole),
            ("bytes=-", 100, Asked::Whole),
            ("bytes=1", 100, Asked::Whole),
            ("bytes=+1-2", 100, Asked::Whole),
            ("bytes=1- 2", 100, Asked::Whole),
            ("items=0-1", 100, Asked::Whole),
            ("0-1", 100, Asked::Whole),
        ] {
            assert_eq!(ask(&[(header::RANGE, range)], size), expected, "{range} of {size}");
        }
    }

    #[test]
    fn conditions() {
        let range = (header::RANGE, "bytes=1-2");
        for (given, expected) in [
            ("\"abc-1\"", Asked::Part(1..3)),
            ("W/\"abc-1\"", Asked::Whole),
            ("\"abc-2\"", Asked::Whole),
            ("abc-1", Asked::Whole),
            ("Sun, 22 Nov 2026 10:00:00 GMT", Asked::Whole),
        ] {
            assert_eq!(ask(&[range.clone(), (header::IF_RANGE, given)], 100), expected, "If-Range: {given}");
        }
        for (given, has_it) in [
            ("\"abc-1\"", true),
            ("W/\"abc-1\"", true),
            ("\"x\", \"abc-1\"", true),
            ("*", true),
            ("\"abc-2\"", false),
            ("abc-1", false),
        ] {
            let expected = if has_it { Asked::NotModified } else { Asked::Part(1..3) };
            assert_eq!(ask(&[range.clone(), (header::IF_NONE_MATCH, given)], 100), expected, "If-None-Match: {given}");
        }
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=1-2"))]);
        assert_eq!(asked(&Method::HEAD, &headers, TAG, 100), Asked::Whole);
    }
}
