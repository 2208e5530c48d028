//! Authentication-Results (RFC 8601): the field that we add, what a field of others says, and which fields of others
//! pretend to be ours.

use crate::exchange::HOPS_FIELD;
use crate::syntax::word;
use postfleet_core::Domain;
use postfleet_core::authentication::{AuthResult, Authentication, DkimResult, SpfResult};
use std::net::IpAddr;

/// What the field says beside the results.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Our name, which is our `authserv-id`.
    pub host: &'a str,
    /// Where the client connected from.
    pub ip: IpAddr,
    /// The envelope sender is null, so that SPF was asked about HELO alone.
    pub is_null_sender: bool,
}

/// The field, complete with its line end (§2.2).
pub fn field(hop: &Hop<'_>, found: &Authentication) -> String {
    let mut out = String::with_capacity(1_024);
    out.push_str("Authentication-Results: ");
    put(&mut out, hop.host);
    let before = out.len();
    if found.is_local {
        // Its author signed in here (RFC 4954).
        out.push_str(";\r\n auth=pass");
    }
    for signature in &found.dkim {
        dkim(&mut out, signature);
    }
    if !hop.is_null_sender {
        spf(&mut out, &found.spf, "smtp.mailfrom");
    }
    spf(&mut out, &found.helo, "smtp.helo");
    let dmarc = &found.dmarc;
    if let Some(domain) = &dmarc.domain {
        method(&mut out, "dmarc", dmarc.result, &dmarc.reason);
        if let Some(policy) = &dmarc.policy {
            out.push_str(&format!(" (p={} dis={})", policy, dmarc.disposition.word()));
        }
        property(&mut out, "header.from", domain);
    } else if dmarc.result != AuthResult::None {
        method(&mut out, "dmarc", dmarc.result, &dmarc.reason);
    }
    if found.arc != AuthResult::None {
        method(&mut out, "arc", found.arc, &found.arc_reason);
        if let Some(last) = found.arc_sealers.last() {
            out.push_str(&format!(" (i={} d={last})", found.arc_sealers.len()));
        }
    }
    if found.iprev != AuthResult::None {
        method(&mut out, "iprev", found.iprev, "");
        property(&mut out, "policy.iprev", &hop.ip.to_canonical().to_string());
    }
    if out.len() == before {
        out.push_str("; none");
    }
    out.push_str("\r\n");
    out
}

fn dkim(out: &mut String, signature: &DkimResult) {
    method(out, "dkim", signature.result, &signature.reason);
    for (name, text) in [
        ("header.d", &signature.domain),
        ("header.s", &signature.selector),
        ("header.a", &signature.algorithm),
        ("header.b", &signature.signature),
    ] {
        if let Some(text) = text {
            property(out, name, text);
        }
    }
}

fn spf(out: &mut String, found: &SpfResult, name: &str) {
    if let Some(domain) = &found.domain {
        method(out, "spf", found.result, &found.reason);
        property(out, name, domain);
    }
}

fn method(out: &mut String, name: &str, result: AuthResult, reason: &str) {
    [";\r\n ", name, "=", result.word()].iter().for_each(|word| out.push_str(word));
    if !reason.is_empty() {
        out.push_str(" reason=");
        put_quoted(out, reason);
    }
}

fn property(out: &mut String, name: &str, text: &str) {
    ["\r\n  ", name, "="].iter().for_each(|word| out.push_str(word));
    put(out, text);
}

/// A token if it can be one (RFC 2045 §5.1), else a quoted string.
fn put(out: &mut String, text: &str) {
    let is_special = |byte: u8| {
        matches!(
            byte,
            b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'='
        )
    };
    let is_token = |byte: u8| byte.is_ascii_graphic() && !is_special(byte);
    if !text.is_empty() && text.bytes().all(is_token) { out.push_str(text) } else { put_quoted(out, text) }
}

fn put_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ') {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Whether results that a sealer wrote (the value of ARC-Authentication-Results) say that the author was proved. What can
/// be read in two ways says nothing.
pub(super) fn says_dmarc_passed(text: &str, author: &Domain) -> bool {
    let Some(statements) = statements(text) else { return false };
    let mut dmarc = statements.iter().filter(|words| {
        words
            .first()
            .and_then(|word| word.split_once('='))
            .is_some_and(|(method, _)| method.split('/').next().unwrap_or_default().eq_ignore_ascii_case("dmarc"))
    });
    let (Some(words), None) = (dmarc.next(), dmarc.next()) else { return false };
    let has = |name: &str, is_wanted: &dyn Fn(&str) -> bool| {
        let mut found = words
            .iter()
            .filter_map(|word| word.split_once('='))
            .filter(|(known, _)| known.split('/').next().unwrap_or_default().eq_ignore_ascii_case(name));
        matches!((found.next(), found.next()), (Some((_, text)), None) if is_wanted(text))
    };
    has("dmarc", &|result| result.eq_ignore_ascii_case("pass"))
        && has("header.from", &|domain| Domain::parse(domain).is_ok_and(|domain| domain == *author))
}

/// The parts between semicolons, each as words without comments and quotes; `None` if one of these has no end.
fn statements(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut all, mut words, mut word) = (Vec::new(), Vec::<String>::new(), String::new());
    let mut depth = 0_u32;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if depth > 0 => drop(chars.next()?),
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            '"' => loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            },
            ';' => {
                end_word(&mut word, &mut words);
                all.push(std::mem::take(&mut words));
            }
            ' ' | '\t' | '\r' | '\n' => {
                while chars.next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
                // Space may stand on both sides of the sign.
                if !word.ends_with('=') && chars.peek() != Some(&'=') {
                    end_word(&mut word, &mut words);
                }
            }
            c => word.push(c),
        }
    }
    end_word(&mut word, &mut words);
    all.push(words);
    (depth == 0).then_some(all)
}

fn end_word(word: &mut String, words: &mut Vec<String>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// Whether a field, with its line end, pretends to be ours: results under our name (§5), what SPF told us, and fields of
/// this product that it does not take from outside.
pub(crate) fn is_pretended(field: &[u8], host: &str) -> bool {
    let Some(colon) = memchr::memchr(b':', field) else { return false };
    let (name, value) = (&field[..colon], &field[colon + 1..]);
    let is = |known: &str| letters(name).eq(known.bytes().map(|byte| byte.to_ascii_lowercase()));
    let begins = |start: &str| letters(name).take(start.len()).eq(start.bytes());
    if is("authentication-results") {
        is_of(value, host)
    } else if is("received-spf") {
        let all = harmless(value);
        all.contains(host) || !all.contains("receiver=")
    } else {
        begins("x-postfleet-") && !is(HOPS_FIELD)
    }
}

/// Whether any reader may take the results for those of a host: its name is what stands before the first semicolon.
fn is_of(value: &[u8], host: &str) -> bool {
    let text = String::from_utf8_lossy(value);
    // What has no end can be read in many ways (§5 allows to remove it).
    let Some(statements) = statements(&text) else { return true };
    let written = text.split(';').next().unwrap_or_default();
    let unfolded: String = written.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let read = statements.first().map(|words| words.concat()).unwrap_or_default();
    let candidates = [written.to_owned(), word::decode(unfolded.trim()), read];
    candidates.iter().any(|candidate| {
        let bare = candidate.trim().trim_matches('"');
        harmless(candidate.as_bytes()).contains(host) || Domain::parse(bare).is_ok_and(|domain| domain.as_str() == host)
    })
}

/// The letters, digits and signs of a text, small: without what readers pass over.
fn harmless(text: &[u8]) -> String {
    letters(text).map(char::from).collect()
}

fn letters(text: &[u8]) -> impl Iterator<Item = u8> {
    let kept = text.iter().filter(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    kept.map(|byte| byte.to_ascii_lowercase())
}
