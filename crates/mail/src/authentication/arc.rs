//! ARC (RFC 8617): whether those who forwarded a message vouch in an unbroken chain for what it was when it came to them,
//! and whether one whom we trust says that its author was proved then.

use super::dkim::key::{self, Key, Keyring, Refusal};
use super::dkim::signature::{self, Kind, Signature};
use super::dkim::{Bodies, hash_header, whole};
use super::dns::Pending;
use super::header::{Header, put, put_own};
use super::results;
use super::tags::{Tags, base64};
use crate::dkim::Algorithm;
use crate::dkim::canonical::Canonicalization;
use aws_lc_rs::digest::{Context, SHA256};
use postfleet_core::authentication::AuthResult;
use postfleet_core::{Domain, UnixMicros};
use std::sync::Arc;

/// Sets of a chain (§4.2.1).
pub const SETS_MAX: usize = 50;

/// The chain of a message, with everything about it that needs no key.
pub(super) enum Chain {
    None,
    Broken(&'static str),
    Sets(Sets),
}

pub(super) struct Sets {
    sets: Vec<Set>,
    /// The message signature of the last set; of it alone the message must still be what was signed.
    last: Signature,
}

/// One set: where its fields stand, and what its seal says.
struct Set {
    results: usize,
    message: usize,
    seal: usize,
    algorithm: Algorithm,
    domain: Domain,
    selector: Domain,
    signature: Vec<u8>,
}

/// Reads the chain (§5.2 steps 1 to 4).
pub(super) fn chain(header: &Header<'_>, bodies: &mut Bodies<'_>, now: UnixMicros) -> Chain {
    match read(header, bodies, now) {
        Ok(None) => Chain::None,
        Ok(Some(sets)) => Chain::Sets(sets),
        Err(why) => Chain::Broken(why),
    }
}

fn read(header: &Header<'_>, bodies: &mut Bodies<'_>, now: UnixMicros) -> Result<Option<Sets>, &'static str> {
    let [results, messages, seals] =
        ["arc-authentication-results", "arc-message-signature", "arc-seal"].map(|name| numbered(header, name));
    let (results, messages, seals) = (results?, messages?, seals?);
    if results.is_empty() && messages.is_empty() && seals.is_empty() {
        return Ok(None);
    }
    whole(header).map_err(|(_, why)| why)?;
    if results.len() != seals.len() || messages.len() != seals.len() {
        return Err("a set is not complete");
    }
    let mut sets = Vec::with_capacity(seals.len());
    for (number, ((results, message), seal)) in (1..).zip(results.iter().zip(&messages).zip(&seals)) {
        if [results, message, seal].iter().any(|(instance, _)| *instance != number) {
            return Err("the sets are not numbered from 1 on");
        }
        sets.push(set(header, number, (results.1, message.1, seal.1))?);
    }
    let at = sets.last().map(|set| set.message).ok_or("a set is not complete")?;
    let last = signature::parse(header.fields[at].value, Kind::Arc).1.map_err(|(_, why)| why)?;
    last.in_force(now).map_err(|(_, why)| why)?;
    if bodies.check(&last).map_err(|(_, why)| why)? {
        return Err("only a part of the body is signed");
    }
    Ok(Some(Sets { sets, last }))
}

/// The fields of a name with their instances, in their order.
fn numbered(header: &Header<'_>, name: &str) -> Result<Vec<(usize, usize)>, &'static str> {
    let mut found = Vec::new();
    for (at, field) in header.all(name) {
        if found.len() == SETS_MAX {
            return Err("there are more than 50 sets");
        }
        found.push((instance(field.value).ok_or("a set has no number")?, at));
    }
    found.sort_unstable();
    Ok(found)
}

/// The instance of a field: its tag `i`, which comes first in results.
fn instance(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?;
    let number = text.split(';').find_map(|tag| {
        let (name, number) = tag.split_once('=')?;
        (name.trim() == "i").then_some(number.trim())
    })?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    number.parse().ok().filter(|number| is_plain && (1..=SETS_MAX).contains(number))
}

fn set(
    header: &Header<'_>,
    number: usize,
    (results, message, seal): (usize, usize, usize),
) -> Result<Set, &'static str> {
    const UNREADABLE: &str = "a seal cannot be read";
    let tags = std::str::from_utf8(header.fields[seal].value).ok().and_then(Tags::parse).ok_or(UNREADABLE)?;
    // Results begin with their instance; a message signature has it among its tags.
    if !begins_with_instance(header.fields[results].value) {
        return Err("results of a set do not begin with their number");
    }
    if std::str::from_utf8(header.fields[message].value).ok().and_then(Tags::parse).is_none() {
        return Err("a message signature cannot be read");
    }
    if tags.get("h").is_some() {
        return Err("a seal lists fields");
    }
    match (number, tags.get("cv")) {
        (_, Some("fail")) => return Err("a seal says that the chain was broken before"),
        (1, Some("none")) | (2.., Some("pass")) => {}
        _ => return Err("a seal does not say what it must of the chain before it"),
    }
    let name = |tag| tags.get(tag).and_then(|text| Domain::parse(text).ok()).ok_or(UNREADABLE);
    Ok(Set {
        results,
        message,
        seal,
        algorithm: tags.get("a").map(signature::algorithm).ok_or(UNREADABLE)?.map_err(|(_, why)| why)?,
        domain: name("d")?,
        selector: name("s")?,
        signature: tags.get("b").and_then(base64).ok_or(UNREADABLE)?,
    })
}

fn begins_with_instance(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    text.split(';').next().and_then(|tag| tag.split_once('=')).is_some_and(|(name, _)| name.trim() == "i")
}

/// What a chain came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) result: AuthResult,
    /// Who sealed it, first to last, if it passes.
    pub(super) sealers: Vec<String>,
    pub(super) reason: String,
}

/// The keys of the last message signature and of each seal.
pub(super) type Keys = Vec<key::Keys>;

impl Chain {
    /// Asks for all keys.
    pub(super) fn keys(&self, ring: Keyring<'_>) -> Result<Keys, Pending> {
        let Self::Sets(Sets { sets, last }) = self else { return Ok(Vec::new()) };
        let seals = sets.iter().map(|set| (&set.selector, &set.domain));
        let mut pending = Pending::default();
        let mut keys = Vec::with_capacity(sets.len() + 1);
        for (selector, domain) in std::iter::once((&last.selector, &last.domain)).chain(seals) {
            keys.extend(pending.settle(ring.find(selector.as_str(), domain.as_str())));
        }
        if pending.0.is_empty() { Ok(keys) } else { Err(pending) }
    }

    /// Checks the last message signature and every seal (§5.2 steps 4 and 5).
    pub(super) fn check(&self, header: &Header<'_>, keys: &Keys) -> Found {
        let fail = |reason: &str| Found { result: AuthResult::Fail, reason: reason.to_owned(), ..Found::default() };
        let sets = match self {
            Self::None => return Found::default(),
            Self::Broken(why) => return fail(why),
            Self::Sets(sets) => sets,
        };
        match sets.check(header, keys) {
            Ok(()) => Found {
                result: AuthResult::Pass,
                sealers: sets.sets.iter().map(|set| set.domain.to_string()).collect(),
                reason: String::new(),
            },
            Err((_, why)) => fail(why),
        }
    }

    /// The sealer whom we trust and who says that the author was proved when the message came to it: all who sealed after
    /// it must be trusted too, since they could have changed everything. To be asked of a chain that passes only.
    pub(super) fn voucher(&self, header: &Header<'_>, author: &Domain, trusted: &[Domain]) -> Option<String> {
        let Self::Sets(Sets { sets, .. }) = self else { return None };
        let trusted = sets.iter().rev().take_while(|set| trusted.contains(&set.domain));
        let vouching = trusted.filter(|set| {
            let text = String::from_utf8_lossy(header.fields[set.results].value);
            results::says_dmarc_passed(&text, author)
        });
        vouching.map(|set| set.domain.to_string()).next()
    }
}

impl Sets {
    fn check(&self, header: &Header<'_>, keys: &Keys) -> Result<(), Refusal> {
        let at = self.sets.last().map_or(0, |set| set.message);
        let mut keys = keys.iter().map(|keys| keys.as_deref().map_err(|why| *why));
        let mut next = || keys.next().unwrap_or(Err((AuthResult::Permerror, "no key in the DNS")));
        let hash = hash_header(header, &self.last, at);
        with_any(next()?, |key| key.check(self.last.algorithm, &hash, &self.last.signature))?;
        let mut sealed = Context::new(&SHA256);
        for set in &self.sets {
            let mut fields = Vec::new();
            put(&header.fields[set.results], Canonicalization::Relaxed, &mut fields);
            put(&header.fields[set.message], Canonicalization::Relaxed, &mut fields);
            sealed.update(&fields);
            let (mut own, mut whole) = (Vec::new(), Vec::new());
            put_own(&header.fields[set.seal], Canonicalization::Relaxed, &mut own);
            put(&header.fields[set.seal], Canonicalization::Relaxed, &mut whole);
            let mut hash = sealed.clone();
            hash.update(&own);
            let hash = hash.finish();
            with_any(next()?, |key| key.check(set.algorithm, &hash, &set.signature))?;
            sealed.update(&whole);
        }
        Ok(())
    }
}

fn with_any(keys: &[Arc<Key>], check: impl Fn(&Key) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let mut why = (AuthResult::Permerror, "no key in the DNS");
    for key in keys {
        match check(key) {
            Ok(()) => return Ok(()),
            Err(other) => why = other,
        }
    }
    Err(why)
}
