//! Fields in which only this server may speak. What others wrote there is taken out of mail that comes in, so that no
//! reader takes it for ours; everything else stays as it was and where it was.
//!
//! These are: Authentication-Results in our name, in one in which ours stands, or in one that nobody can read (RFC 8601 §5);
//! Received-SPF in which our name stands, or none (RFC 7208 §9.1); Return-Path, of which the server that delivers writes the only one (RFC 5321 §4.4);
//! and all that begins with `X-Postfleet-`, but for the count of answers, which proves by its mark who wrote it.

use crate::authentication::results;
use crate::exchange::HOPS_FIELD;
use crate::syntax::header::{self, Field};
use crate::syntax::word;
use postfleet_core::Domain;

/// What the names of fields begin with that only this product writes.
const OWN_PREFIX: &str = "X-Postfleet-";

/// What is kept of a message that comes in to `host`, in pieces that stand one behind the other. Looks at the whole header,
/// in linear time.
pub fn kept<'a>(raw: &'a [u8], host: &Domain) -> Vec<&'a [u8]> {
    let (block, _) = header::split(raw);
    let mut pieces = Vec::new();
    let mut start = first_field(block);
    let mut at = start;
    while at < block.len() {
        let end = at + header::folded_len(&block[at..]);
        let field = &block[at..end];
        let speaks_for_us = header::parse(field).is_some_and(|field| is_claim(&field, host))
            || results::is_pretended(field, host.as_str());
        if speaks_for_us {
            push(&mut pieces, &raw[start..at]);
            start = end;
        }
        at = end;
    }
    push(&mut pieces, &raw[start..]);
    pieces
}

fn push<'a>(pieces: &mut Vec<&'a [u8]>, piece: &'a [u8]) {
    if !piece.is_empty() {
        pieces.push(piece);
    }
}

/// Where the first field begins. Lines before it that begin with a space belong to no field, and would become part of the
/// last one that is written above the message.
fn first_field(block: &[u8]) -> usize {
    match block.first() {
        Some(b' ' | b'\t') => header::folded_len(block),
        _ => 0,
    }
}

/// Whether a field says something that only we may say.
fn is_claim(field: &Field<'_>, host: &Domain) -> bool {
    if field.is("Authentication-Results") {
        return is_named(&field.text(), host);
    }
    if field.is("Received-SPF") {
        return names_receiver(&field.text(), host);
    }
    let is_own = field.name.get(..OWN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX));
    field.is("Return-Path") || (is_own && !field.is(HOPS_FIELD))
}

/// Whether results are given in the name of `host`, however it is written, or in a name that cannot be read.
fn is_named(text: &str, host: &Domain) -> bool {
    let decoded = word::decode(text);
    let plain = without_comments(&decoded);
    let head = plain.split(';').next().unwrap_or_default();
    let first: String = head.trim_start_matches(is_blank).chars().take_while(|c| is_of_name(*c)).collect();
    // Spaces, quotes and invisible characters inside of a name: some readers see the name all the same.
    let squeezed: String = head.chars().filter(|c| is_of_name(*c)).collect();
    // With the version (RFC 8601 §2.2) behind it.
    let unversioned = squeezed.trim_end_matches(|c: char| c.is_ascii_digit());
    first.is_empty() || [&first, squeezed.as_str(), unversioned].iter().any(|name| is_host(name, host))
}

/// Whether a Received-SPF is said to be written by `host` (`receiver=`).
fn names_receiver(text: &str, host: &Domain) -> bool {
    let lower = text.to_ascii_lowercase();
    let values = lower.split("receiver").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('='));
    values.into_iter().any(|rest| {
        let rest = rest.trim_start_matches(is_blank);
        is_host(&rest.chars().take_while(|c| is_of_name(*c)).collect::<String>(), host)
    })
}

fn is_host(name: &str, host: &Domain) -> bool {
    let name = name.trim_matches('.');
    Domain::parse(name).map_or_else(|_| name.eq_ignore_ascii_case(host.as_str()), |name| name == *host)
}

/// What may stand before a name without being part of it: space, quotes, and whatever cannot be seen.
fn is_blank(c: char) -> bool {
    !is_of_name(c) && c != ';'
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// A value without comments (RFC 5322 §3.2.2), which may be nested and hold quoted pairs.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut depth, mut is_escaped) = (0_u32, false);
    for c in text.chars() {
        match c {
            _ if is_escaped => {
                is_escaped = false;
                if depth == 0 {
                    plain.push(c);
                }
            }
            '\\' => is_escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests;
