//! The tags of a signature (RFC 6376 §3.5).

use super::super::tags::{Tags, base64, is_space, members};
use super::key::Refusal;
use crate::dkim::Algorithm;
use crate::dkim::canonical::Canonicalization;
use postfleet_core::authentication::AuthResult;
use postfleet_core::{Domain, UnixMicros};
use std::time::Duration;

/// How far the clocks of signers may be from ours.
const SKEW: Duration = Duration::from_secs(300);

/// Characters of `b=` that are shown (RFC 6008).
const SHOWN: usize = 8;

/// What a signature says of itself.
#[derive(Debug)]
pub(in super::super) struct Signature {
    pub(in super::super) algorithm: Algorithm,
    pub(in super::super) header: Canonicalization,
    pub(in super::super) body: Canonicalization,
    pub(in super::super) domain: Domain,
    pub(in super::super) selector: Domain,
    /// Whom it speaks for is of the domain itself, not of one below it.
    pub(in super::super) is_of_domain: bool,
    /// Names of fields, in lower case.
    pub(in super::super) names: Vec<String>,
    pub(in super::super) body_hash: Vec<u8>,
    pub(in super::super) body_octets: Option<u64>,
    pub(in super::super) signed_at: Option<u64>,
    pub(in super::super) ends_at: Option<u64>,
    pub(in super::super) signature: Vec<u8>,
}

/// What can be shown of a signature, whether or not it can be read.
#[derive(Debug, Default, Clone)]
pub(in super::super) struct Shown {
    pub(in super::super) domain: Option<String>,
    pub(in super::super) selector: Option<String>,
    pub(in super::super) algorithm: Option<String>,
    pub(in super::super) signature: Option<String>,
}

/// Which fields this is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Kind {
    /// DKIM-Signature.
    Dkim,
    /// ARC-Message-Signature (RFC 8617 §4.1.2).
    Arc,
}

/// Reads the value of a field.
pub(in super::super) fn parse(value: &[u8], kind: Kind) -> (Shown, Result<Signature, Refusal>) {
    let Some(tags) = std::str::from_utf8(value).ok().and_then(Tags::parse) else {
        return (Shown::default(), Err(unreadable("the signature is no list of tags")));
    };
    let name = |tag| tags.get(tag).map(Domain::parse).and_then(Result::ok);
    let (domain, selector) = (name("d"), name("s"));
    (shown(&tags, (&domain, &selector)), read(&tags, kind, (domain, selector)))
}

const fn unreadable(why: &'static str) -> Refusal {
    (AuthResult::Neutral, why)
}

fn shown(tags: &Tags<'_>, (domain, selector): (&Option<Domain>, &Option<Domain>)) -> Shown {
    let text = |name: &Option<Domain>| name.as_ref().map(|name| name.as_str().to_owned());
    let is_word = |word: &&str| word.len() <= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let beginning = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "+/".contains(*c)).take(SHOWN).collect()
    };
    Shown {
        domain: text(domain),
        selector: text(selector),
        algorithm: tags.get("a").filter(is_word).map(str::to_owned),
        signature: tags.get("b").map(beginning).filter(|text| !text.is_empty()),
    }
}

fn read(
    tags: &Tags<'_>,
    kind: Kind,
    (domain, selector): (Option<Domain>, Option<Domain>),
) -> Result<Signature, Refusal> {
    let required = |tag, why| tags.get(tag).filter(|value| !value.is_empty()).ok_or(unreadable(why));
    if kind == Kind::Dkim && tags.get("v") != Some("1") {
        return Err(unreadable("v= is not 1"));
    }
    let algorithm = algorithm(required("a", "a= is missing")?)?;
    let signature = base64(required("b", "b= is missing")?).ok_or(unreadable("b= is no Base64"))?;
    let body_hash = base64(required("bh", "bh= is missing")?).ok_or(unreadable("bh= is no Base64"))?;
    required("d", "d= is missing")?;
    let domain = domain.ok_or(unreadable("d= is no domain"))?;
    required("s", "s= is missing")?;
    let selector = selector.ok_or(unreadable("s= is no selector"))?;
    let names: Vec<String> = members(required("h", "h= is missing")?).map(str::to_ascii_lowercase).collect();
    let is_field = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if !names.iter().all(is_field) {
        return Err(unreadable("h= is no list of fields"));
    }
    if kind == Kind::Dkim && !names.iter().any(|name| name == "from") {
        return Err((AuthResult::Permerror, "From is not signed"));
    }
    if kind == Kind::Arc && names.iter().any(|name| name == "arc-seal") {
        return Err(unreadable("ARC-Seal is signed"));
    }
    let (header, body) = canonicalizations(tags.get("c").unwrap_or("simple/simple"))?;
    if tags.get("q").is_some_and(|methods| !members(methods).any(|method| method.eq_ignore_ascii_case("dns/txt"))) {
        return Err(unreadable("the key is not in the DNS"));
    }
    let is_of_domain = match tags.get("i").filter(|_| kind == Kind::Dkim) {
        None => true,
        Some(identity) => speaks_for(identity, &domain)?,
    };
    let (signed_at, ends_at) = (number(tags, "t")?, number(tags, "x")?);
    if let (Some(signed_at), Some(ends_at)) = (signed_at, ends_at)
        && ends_at <= signed_at
    {
        return Err((AuthResult::Permerror, "x= is not after t="));
    }
    Ok(Signature {
        algorithm,
        header,
        body,
        domain,
        selector,
        is_of_domain,
        names,
        body_hash,
        body_octets: number(tags, "l")?,
        signed_at,
        ends_at,
        signature,
    })
}

pub(in super::super) fn algorithm(name: &str) -> Result<Algorithm, Refusal> {
    match name {
        "rsa-sha256" => Ok(Algorithm::RsaSha256),
        "ed25519-sha256" => Ok(Algorithm::Ed25519Sha256),
        // RFC 8301 §3.1.
        "rsa-sha1" => Err((AuthResult::Policy, "rsa-sha1 proves nothing any more")),
        _ => Err(unreadable("a= is not known")),
    }
}

fn canonicalizations(value: &str) -> Result<(Canonicalization, Canonicalization), Refusal> {
    let one = |word: &str| match word.trim_matches(is_space) {
        "simple" => Ok(Canonicalization::Simple),
        "relaxed" => Ok(Canonicalization::Relaxed),
        _ => Err(unreadable("c= is not known")),
    };
    match value.split_once('/') {
        Some((header, body)) => Ok((one(header)?, one(body)?)),
        None => Ok((one(value)?, Canonicalization::Simple)),
    }
}

/// Whether the identity is of the signing domain itself; one that is not even below it is a mistake (§6.1.1).
fn speaks_for(identity: &str, domain: &Domain) -> Result<bool, Refusal> {
    const MISMATCH: Refusal = (AuthResult::Permerror, "i= is not of d=");
    let (_, of) = identity.rsplit_once('@').ok_or(MISMATCH)?;
    let of = Domain::parse(of.trim_matches(is_space)).map_err(|_| MISMATCH)?;
    if of == *domain {
        return Ok(true);
    }
    match of.as_str().strip_suffix(domain.as_str()) {
        Some(below) if below.ends_with('.') => Ok(false),
        _ => Err(MISMATCH),
    }
}

/// A decimal number; what is too large to count is as large as can be.
fn number(tags: &Tags<'_>, tag: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(text) = tags.get(tag) else { return Ok(None) };
    let is_number = !text.is_empty() && text.len() <= 76 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(unreadable("a number in it is none"));
    }
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

impl Signature {
    /// Whether it is in force (§3.5 `t=` and `x=`).
    pub(in super::super) fn in_force(&self, now: UnixMicros) -> Result<(), Refusal> {
        let seconds = |time: UnixMicros| u64::try_from(time.as_seconds()).unwrap_or(0);
        if self.signed_at.is_some_and(|at| at > seconds(now.plus(SKEW))) {
            return Err((AuthResult::Policy, "the signature is from the future"));
        }
        if self.ends_at.is_some_and(|at| at < seconds(now.minus(SKEW))) {
            return Err((AuthResult::Policy, "the signature has ended"));
        }
        Ok(())
    }
}
