//! Where links really lead. A target is read as browsers read it, which is more forgiving than the standard: what they
//! would ask for is what counts.

use super::fold::Folded;
use crate::syntax::transfer;
use memchr::{memchr, memmem};
use postfleet_core::suspicion::{Link, LinkReason, Place, TARGET_CHARS_MAX};
use std::borrow::Cow;

/// Links in plain text that are looked at.
const FOUND_MAX: usize = 512;

/// Parameters of a target that are looked at.
const PARAMETERS_MAX: usize = 64;

/// Octets of a host that is one: 255 in the DNS (RFC 1035 §2.3.4), more in other letters.
const HOST_OCTETS_MAX: usize = 600;

/// Schemes whose targets have their content in themselves, run, or reach into the machine.
const ACTIVE: &[&str] =
    &["javascript", "vbscript", "data", "file", "blob", "view-source", "search-ms", "ms-msdt", "intent"];

/// Hosts that lead on to wherever they were told.
const SHORTENERS: &[&str] = &[
    "bit.ly",
    "tinyurl.com",
    "t.co",
    "goo.gl",
    "ow.ly",
    "is.gd",
    "v.gd",
    "buff.ly",
    "rebrand.ly",
    "cutt.ly",
    "rb.gy",
    "shorturl.at",
    "tiny.cc",
    "t.ly",
    "s.id",
    "bl.ink",
    "lnkd.in",
    "soo.gd",
    "adf.ly",
    "shorte.st",
    "clck.ru",
    "qr.ae",
    "po.st",
    "x.co",
    "trib.al",
    "dlvr.it",
    "snip.ly",
    "short.io",
    "t2mio.com",
    "u.to",
    "vk.cc",
    "urlz.fr",
    "0rz.tw",
    "reurl.cc",
    "suo.im",
    "dwz.cn",
    "me2.do",
];

/// Endings of names of files that are endings of domains too.
const FILE_ENDINGS: &[&str] =
    &["js", "py", "rs", "md", "sh", "ps", "pl", "cc", "so", "zip", "mov", "cs", "ai", "app", "pub", "st", "in", "net"];

/// A link with what is wrong with it.
pub(super) fn examine(place: Place, text: &str, target: &str) -> Link {
    let mut reasons = Vec::new();
    let host = read(target, &mut reasons);
    if text_differs(text, target, &host) {
        reasons.push(LinkReason::TextDiffers);
    }
    reasons.sort_unstable();
    reasons.dedup();
    Link { place, text: cut(text), target: cut(target), host, reasons }
}

/// The links of a plain text.
pub(super) fn in_text(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(text.as_bytes(), b"://") {
        let start = if ends_with(&text[..at], "https") { at - 5 } else { at.saturating_sub(4) };
        let is_link = start >= from && (ends_with(&text[..at], "http") || ends_with(&text[..at], "https"));
        if !is_link || found.len() == FOUND_MAX {
            continue;
        }
        let rest = &text[start..];
        let end = rest
            .find(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"'))
            .unwrap_or(rest.len());
        let target = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        from = start + end;
        found.push(target);
    }
    found
}

fn begins_with(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|octets| octets.eq_ignore_ascii_case(start.as_bytes()))
}

fn ends_with(text: &str, end: &str) -> bool {
    let octets = text.as_bytes();
    octets.len() >= end.len() && octets[octets.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
}

/// The host that a target leads to, in ASCII; empty if to none.
fn read(target: &str, reasons: &mut Vec<LinkReason>) -> String {
    let target = target.trim_matches(|c: char| c <= ' ');
    let target = if target.bytes().all(|octet| matches!(octet, b'!'..=b'~') && octet != b'\\') {
        // So nearly all are written.
        Cow::Borrowed(target)
    } else {
        let before_query = target.split(['?', '#']).next().unwrap_or_default();
        if target.contains(|c: char| c.is_control()) || before_query.contains([' ', '\\']) {
            reasons.push(LinkReason::Malformed);
        }
        Cow::Owned(target.replace(['\t', '\n', '\r'], ""))
    };
    let (scheme, rest) = match memchr(b':', target.as_bytes()) {
        Some(colon) if is_scheme(&target[..colon]) => (&target[..colon], &target[colon + 1..]),
        _ if target.starts_with("//") => ("", &*target),
        _ => return String::new(),
    };
    if ACTIVE.iter().any(|active| scheme.eq_ignore_ascii_case(active)) {
        reasons.push(LinkReason::Active);
        return String::new();
    }
    if !["", "http", "https", "ftp"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return String::new();
    }
    let rest = rest.trim_start_matches(['/', '\\']);
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, authority)) => {
            reasons.push(LinkReason::UserInfo);
            authority
        }
        None => authority,
    };
    let host = host_of(authority, reasons);
    if leads_on(after, &host) {
        reasons.push(LinkReason::Redirect);
    }
    host
}

/// A text with what percent signs stand for.
fn unescaped(text: &str) -> Cow<'_, str> {
    match memchr(b'%', text.as_bytes()) {
        Some(_) => Cow::Owned(String::from_utf8_lossy(&transfer::unescape(text.as_bytes(), b'%')).into_owned()),
        None => Cow::Borrowed(text),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn host_of(authority: &str, reasons: &mut Vec<LinkReason>) -> String {
    if authority.starts_with('[') {
        reasons.push(LinkReason::IpHost);
        return authority.split_inclusive(']').next().unwrap_or_default().to_ascii_lowercase();
    }
    let name = authority.split(':').next().unwrap_or_default();
    let decoded = unescaped(name);
    if decoded.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reasons.push(LinkReason::Malformed);
    }
    let decoded = decoded.trim_end_matches('.');
    if decoded.len() > HOST_OCTETS_MAX {
        reasons.push(LinkReason::Malformed);
        return cut(decoded);
    }
    if is_ip(decoded) {
        reasons.push(LinkReason::IpHost);
        return decoded.to_ascii_lowercase();
    }
    let is_international = !decoded.is_ascii() || decoded.split('.').any(|label| begins_with(label, "xn--"));
    if !is_international {
        let host = decoded.to_ascii_lowercase();
        let mut bare = host.as_str();
        while let Some(rest) = bare.strip_prefix("www.") {
            bare = rest;
        }
        if SHORTENERS.contains(&bare) {
            reasons.push(LinkReason::Shortener);
        }
        return host;
    }
    let ascii = idna::domain_to_ascii(decoded).unwrap_or_else(|_| decoded.to_lowercase());
    // Full-width letters and the like come to ASCII: another way of writing, which nobody needs.
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    reasons.push(if unicode.is_ascii() { LinkReason::Malformed } else { LinkReason::InternationalHost });
    if unicode.split('.').any(is_lookalike) {
        reasons.push(LinkReason::LookalikeHost);
    }
    ascii
}

/// Whether a host is an IPv4 address, in any of the ways in which browsers take one.
fn is_ip(host: &str) -> bool {
    let is_number = |part: &str| {
        let hex = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        match hex {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    !host.is_empty() && host.split('.').nth(4).is_none() && host.split('.').all(is_number)
}

/// Whether a label mixes Latin letters with those of scripts that look like them, or has none but look-alikes.
fn is_lookalike(label: &str) -> bool {
    let is_similar_script = |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}' | '\u{250}'..='\u{2af}');
    if !label.contains(is_similar_script) {
        return false;
    }
    label.contains(|c: char| c.is_ascii_alphabetic()) || Folded::of(label).octets().is_ascii()
}

/// Whether a parameter is a link to another host.
fn leads_on(after: &str, host: &str) -> bool {
    let Some((_, query)) = after.split_once('?') else { return false };
    query.split(['&', ';', '#']).take(PARAMETERS_MAX).any(|parameter| {
        let Some((_, value)) = parameter.split_once('=') else { return false };
        if !value.starts_with(['h', 'H', '/', '%']) {
            // Most are short words and numbers.
            return false;
        }
        let value = unescaped(value).to_ascii_lowercase();
        let inner = value.strip_prefix("https:").or_else(|| value.strip_prefix("http:")).unwrap_or(&value);
        let Some(inner) = inner.strip_prefix("//") else { return false };
        let inner = inner.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let inner = inner.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
        inner.contains('.') && !is_related(inner, host)
    })
}

/// Whether what is shown names a host, or an address, and the target is another.
fn text_differs(text: &str, target: &str, host: &str) -> bool {
    let text = text.trim();
    let scheme = target.trim_start().get(..7).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("mailto:") {
        let address = target.trim_start()[7..].split('?').next().unwrap_or_default();
        let is_address = text.contains('@') && !text.contains(char::is_whitespace);
        return is_address && !text.trim_matches(['<', '>']).eq_ignore_ascii_case(&unescaped(address));
    }
    if host.is_empty() {
        return false;
    }
    named_host(text).is_some_and(|shown| !is_related(&shown, host))
}

/// The host that a text names, if it is a link or nothing but a host.
fn named_host(text: &str) -> Option<String> {
    let is_marked = |word: &&str| ["http://", "https://", "www."].iter().any(|mark| begins_with(word, mark));
    let word = text.split_whitespace().find(is_marked);
    let is_marked = word.is_some();
    let word = word.or_else(|| (!text.contains(char::is_whitespace)).then_some(text))?;
    if word.is_ascii() && !word.contains('.') {
        // So no host is named, and most words are.
        return None;
    }
    let rest = memmem::find(word.as_bytes(), b"://").map_or(word, |at| &word[at + 3..]);
    if rest.contains('@') {
        return None;
    }
    let name = rest.split(['/', '?', '#', ':', '\\']).next()?.trim_matches(['.', ',', ')', '(']).to_lowercase();
    let ascii = if name.len() > HOST_OCTETS_MAX { return None } else { idna::domain_to_ascii(&name).ok()? };
    let (_, ending) = ascii.rsplit_once('.')?;
    let is_domain = ending.len() >= 2
        && ending.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-' || ending.starts_with("xn--"));
    let is_file = !is_marked && FILE_ENDINGS.contains(&ending) && !name.contains('/');
    let is_known = is_marked
        || ending.len() == 2
        || matches!(
            ending,
            "com" | "org" | "edu" | "gov" | "info" | "biz" | "bank" | "dev" | "online" | "shop" | "xyz"
        );
    (is_domain && is_known && !is_file).then_some(ascii)
}

/// Whether two hosts belong to one owner, as far as their names tell.
fn is_related(a: &str, b: &str) -> bool {
    registered(a) == registered(b)
}

/// The part of a name that somebody has registered: two labels, three below endings such as `co.uk`.
fn registered(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    let (Some(last), Some(second)) = (dots.next(), dots.next()) else { return host };
    let is_short = host.len() - last == 3 && last - second <= 4;
    let start = if is_short { dots.next().map_or(0, |third| third + 1) } else { second + 1 };
    &host[start..]
}

fn cut(text: &str) -> String {
    if text.len() <= TARGET_CHARS_MAX && text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().filter(|c| !c.is_control()).take(TARGET_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use LinkReason::*;

    #[test]
    fn targets() {
        for (text, target, host, reasons) in [
            ("here", "https://shop.example.com/a?b=c", "shop.example.com", vec![]),
            ("www.example.com", "https://example.com/x", "example.com", vec![]),
            ("https://www.example.co.uk/", "https://mail.example.co.uk/", "mail.example.co.uk", vec![]),
            ("report.pdf", "https://files.example.com/1", "files.example.com", vec![]),
            ("Node.js", "https://nodejs.org/", "nodejs.org", vec![]),
            ("me@example.com", "mailto:me@example.com", "", vec![]),
            ("top", "#top", "", vec![]),
            ("picture", "cid:1@x", "", vec![]),
            ("www.bank.example", "https://evil.example.net/", "evil.example.net", vec![TextDiffers]),
            ("https://bank.com/login", "http://bank.com.evil.org/", "bank.com.evil.org", vec![TextDiffers]),
            ("paypal.com", "https://paypa1.com", "paypa1.com", vec![TextDiffers]),
            ("help@bank.com", "mailto:thief@evil.org", "", vec![TextDiffers]),
            ("x", "https://bank.com@evil.org/", "evil.org", vec![UserInfo]),
            ("x", "https://www.bank.com%2flogin@evil.org", "evil.org", vec![UserInfo]),
            ("x", "http://192.0.2.1/a", "192.0.2.1", vec![IpHost]),
            ("x", "http://3221225985/", "3221225985", vec![IpHost]),
            ("x", "http://0xC0.0x00.0x02.0x01/", "0xc0.0x00.0x02.0x01", vec![IpHost]),
            ("x", "http://[2001:db8::1]:80/", "[2001:db8::1]", vec![IpHost]),
            ("x", "https://bit.ly/3x", "bit.ly", vec![Shortener]),
            ("x", "https://www.google.com/url?q=https%3A%2F%2Fevil.org%2F", "www.google.com", vec![Redirect]),
            ("x", "https://example.com/login?next=https://www.example.com/", "example.com", vec![]),
            ("x", "https://example.com/r?to=//evil.org/x", "example.com", vec![Redirect]),
            ("x", "javascript:alert(1)", "", vec![Active]),
            ("x", "java\nscript:alert(1)", "", vec![Active, Malformed]),
            ("x", "data:text/html;base64,PGI+", "", vec![Active]),
            ("x", "https:\\\\evil.org\\a", "evil.org", vec![Malformed]),
            ("x", "https://bücher.example/", "xn--bcher-kva.example", vec![InternationalHost]),
            ("x", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", vec![InternationalHost]),
            ("x", "https://аррӏе.com/", "xn--80ak6aa92e.com", vec![InternationalHost, LookalikeHost]),
            ("x", "https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com", vec![InternationalHost, LookalikeHost]),
            ("x", "https://pаypal.com/", "xn--pypal-4ve.com", vec![InternationalHost, LookalikeHost]),
            ("x", "https://ｅｘａｍｐｌｅ.com/", "example.com", vec![Malformed]),
            ("x", "//evil.org/a", "evil.org", vec![]),
            ("x", "", "", vec![]),
        ] {
            let link = examine(Place::Html, text, target);
            assert_eq!((link.host.as_str(), &link.reasons), (host, &reasons), "{text} {target}");
        }
    }

    #[test]
    fn links_in_plain_text() {
        let text =
            "See https://a.example/x, (HTTP://b.example/y?z=1) or <https://c.example>. ://no http://\nftp://d.example";
        assert_eq!(in_text(text), ["https://a.example/x", "HTTP://b.example/y?z=1", "https://c.example", "http://"]);
    }
}
