//! The hosts to which links lead, or say that they do.

use memchr::{memmem, memrchr};
use std::borrow::Cow;
use std::net::IpAddr;

/// Links of a text that are looked at.
const LINKS_MAX: usize = 100;

/// Octets of a host name.
const HOST_OCTETS_MAX: usize = 253;

/// The host of a web address.
pub(super) fn host_of(target: &str) -> Option<&str> {
    let target = target.trim();
    let rest = ["https://", "http://", "//"].iter().find_map(|scheme| {
        target.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &target[scheme.len()..])
    })?;
    let authority = until(rest, |octet| matches!(octet, b'/' | b'?' | b'#' | b'\\'));
    let host = &authority[memrchr(b'@', authority.as_bytes()).map_or(0, |at| at + 1)..];
    let host = match host.strip_prefix('[') {
        Some(v6) => until(v6, |octet| octet == b']'),
        None => until(host, |octet| octet == b':'),
    };
    let host = host.trim_end_matches('.');
    (!host.is_empty() && host.len() <= HOST_OCTETS_MAX).then_some(host)
}

/// A text up to the first octet of a kind, which is ASCII.
fn until(text: &str, is_end: impl Fn(u8) -> bool) -> &str {
    &text[..text.bytes().position(is_end).unwrap_or(text.len())]
}

/// The host that a text without spaces shows: a web address, or a name that looks like one.
pub(super) fn shown_host(text: &str) -> Option<&str> {
    if let Some(host) = host_of(text) {
        return Some(host);
    }
    let name = until(text, |octet| matches!(octet, b'/' | b'?' | b':'));
    let last = name.rsplit_once('.').map_or("", |(_, last)| last);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_name = last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic());
    (is_name && name.len() <= HOST_OCTETS_MAX && name.split('.').all(is_label)).then_some(name)
}

/// The hosts of web addresses in plain text, in small letters, each once.
pub(super) fn hosts_in_text(text: &str) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for at in memmem::find_iter(text.as_bytes(), b"://").take(LINKS_MAX) {
        let before = &text.as_bytes()[at.saturating_sub(5)..at];
        let scheme = before.iter().rev().take_while(|octet| octet.is_ascii_alphabetic()).count();
        let rest = &text[at - scheme..text.floor_char_boundary((at + 260).min(text.len()))];
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')')).unwrap_or(rest.len());
        let Some(host) = host_of(&rest[..end]).map(small) else { continue };
        if !hosts.iter().any(|known| *known == host) {
            hosts.push(host.into_owned());
        }
    }
    hosts
}

/// A host in small letters.
pub(super) fn small(host: &str) -> Cow<'_, str> {
    let is_small = host.bytes().all(|octet| octet.is_ascii() && !octet.is_ascii_uppercase());
    if is_small { Cow::Borrowed(host) } else { Cow::Owned(host.to_lowercase()) }
}

/// Whether two hosts are of one owner, as far as names tell without a list of suffixes: the last two labels are the same,
/// or the last three where the second last is
/// one of those below which countries give names.
pub(super) fn is_same_site(one: &str, other: &str) -> bool {
    site(one) == site(other)
}

/// The part of a host that its owner has.
pub(super) fn site(host: &str) -> &str {
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    let (Some(_), Some(second)) = (dots.next(), dots.next()) else { return host };
    let middle = host[second + 1..].split('.').next().unwrap_or_default();
    let below = ["ac", "co", "com", "edu", "gob", "gouv", "gov", "go", "ne", "net", "or", "org"];
    let is_below_country = below.contains(&middle);
    match (is_below_country, dots.next()) {
        (true, Some(third)) => &host[third + 1..],
        (true, None) => host,
        (false, _) => &host[second + 1..],
    }
}

/// Whether a host is a bare address.
pub(super) fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_a_text() {
        let hosts = hosts_in_text("see https://a.test/x, (http://b.test) and ftp://c.test ://d https://a.test/y ä://é");
        assert_eq!(hosts, ["a.test,", "b.test"].map(|host| host.trim_end_matches(',').to_owned()));
    }

    #[test]
    fn sites() {
        for (one, other, expected) in [
            ("www.bank.test", "login.bank.test", true),
            ("a.co.uk", "b.co.uk", false),
            ("www.a.co.uk", "a.co.uk", true),
            ("bank.test", "bank.evil.test", false),
            ("localhost", "localhost", true),
        ] {
            assert_eq!(is_same_site(one, other), expected, "{one} {other}");
        }
    }
}
