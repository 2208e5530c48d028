//! Checking DKIM signatures (RFC 6376, RFC 8301, RFC 8463), each by itself.

pub(super) mod key;
mod key_cache;
pub(super) mod signature;

pub use key_cache::{KEYS_MAX, KeyCache, RECORD_OCTETS_MAX};

use super::dns::Pending;
use super::header::{Header, put_own};
use crate::dkim::canonical::{self, BodyHash, Canonicalization};
use aws_lc_rs::digest::{SHA256, digest};
use key::{Keyring, Refusal};
use postfleet_core::UnixMicros;
use postfleet_core::authentication::{AuthResult, DkimResult};
use signature::{Kind, Shown, Signature};

/// Signatures of a message that are looked at; those beyond are not.
pub const SIGNATURES_MAX: usize = 20;

/// Hashes of one body, each made once.
pub(super) struct Bodies<'a> {
    body: &'a [u8],
    made: Vec<((Canonicalization, Option<u64>), BodyHash)>,
}

/// Different parts of a body that are hashed: signers agree about it, whoever makes us work does not.
const PARTS_MAX: usize = 6;

impl<'a> Bodies<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, made: Vec::new() }
    }

    /// Whether the signed body is the one that is there; and whether it is a part of it only.
    pub(super) fn check(&mut self, signature: &Signature) -> Result<bool, Refusal> {
        let wanted = (signature.body, signature.body_octets);
        let at = match self.made.iter().position(|(how, _)| *how == wanted) {
            Some(at) => at,
            None if self.made.len() == PARTS_MAX => {
                return Err((AuthResult::Policy, "too many different parts of the body are signed"));
            }
            None => {
                self.made.push((wanted, canonical::hash_body(self.body, wanted.0, wanted.1)));
                self.made.len() - 1
            }
        };
        let hash = &self.made[at].1;
        if signature.body_octets.is_some_and(|octets| octets > hash.octets) {
            return Err((AuthResult::Permerror, "l= is more than there is"));
        }
        if hash.digest.as_ref() != signature.body_hash {
            return Err((AuthResult::Fail, "the body was changed"));
        }
        Ok(signature.body_octets.is_some_and(|octets| octets < hash.octets))
    }
}

/// A signature with everything about it that needs no key.
pub(super) struct Candidate {
    /// Its field.
    at: usize,
    shown: Shown,
    signature: Result<Signature, Refusal>,
    is_partial: bool,
}

/// The signatures of a message, in the order in which they stand.
pub(super) fn candidates(header: &Header<'_>, bodies: &mut Bodies<'_>, now: UnixMicros) -> Vec<Candidate> {
    let fields = header.all("dkim-signature").take(SIGNATURES_MAX);
    let read = |(at, field): (usize, &crate::syntax::header::Field<'_>)| {
        let (shown, signature) = signature::parse(field.value, Kind::Dkim);
        let mut is_partial = false;
        let signature = signature.and_then(|signature| {
            whole(header)?;
            signature.in_force(now)?;
            is_partial = bodies.check(&signature)?;
            Ok(signature)
        });
        Candidate { at, shown, signature, is_partial }
    };
    fields.map(read).collect()
}

/// Signatures of a message that readers may read differently prove nothing.
pub(super) fn whole(header: &Header<'_>) -> Result<(), Refusal> {
    match (header.is_clean, header.is_cut) {
        (false, _) => Err((AuthResult::Policy, "the message has line ends other than CRLF")),
        (_, true) => Err((AuthResult::Policy, "the header is larger than is read")),
        (true, false) => Ok(()),
    }
}

/// The key of a signature, if it is worth looking for.
pub(super) type Keys = Option<key::Keys>;

impl Candidate {
    /// Asks for the key.
    pub(super) fn keys(&self, ring: Keyring<'_>) -> Result<Keys, Pending> {
        match &self.signature {
            Ok(signature) => ring.find(signature.selector.as_str(), signature.domain.as_str()).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Checks it with its key.
    pub(super) fn check(&self, header: &Header<'_>, keys: &Keys) -> DkimResult {
        let Shown { domain, selector, algorithm, signature } = self.shown.clone();
        let mut result = DkimResult { domain, selector, algorithm, signature, ..DkimResult::default() };
        match self.judge(header, keys) {
            Ok(is_testing) => {
                (result.result, result.is_partial, result.is_testing) = (AuthResult::Pass, self.is_partial, is_testing);
                if self.is_partial {
                    result.reason = "only a part of the body is signed".to_owned();
                }
            }
            Err((why, reason)) => (result.result, result.reason) = (why, reason.to_owned()),
        }
        result
    }

    fn judge(&self, header: &Header<'_>, keys: &Keys) -> Result<bool, Refusal> {
        let signature = self.signature.as_ref().map_err(|why| *why)?;
        let keys = keys.as_ref().map_or(Ok([].as_slice()), |keys| keys.as_deref().map_err(|why| *why))?;
        let signed = hash_header(header, signature, self.at);
        let mut why = (AuthResult::Permerror, "no key in the DNS");
        for key in keys {
            if key.is_strict && !signature.is_of_domain {
                why = (AuthResult::Permerror, "the key is not for domains below");
                continue;
            }
            match key.check(signature.algorithm, &signed, &signature.signature) {
                Ok(()) => return Ok(key.is_testing),
                Err(other) => why = other,
            }
        }
        Err(why)
    }
}

/// The hash of what a signature covers of the header, its own field last (§3.7).
pub(super) fn hash_header(header: &Header<'_>, signature: &Signature, own: usize) -> aws_lc_rs::digest::Digest {
    let mut input = Vec::with_capacity(header.block.len().min(16_384));
    header.put_signed(&signature.names, own, signature.header, &mut input);
    put_own(&header.fields[own], signature.header, &mut input);
    digest(&SHA256, &input)
}
