//! Keys that stand in the DNS (RFC 6376 §3.6.1, RFC 8463 §4), and checking a signature with them.

use super::super::dns::{self, Dns, Looked, Pending};
use super::super::tags::{Tags, base64, members};
use super::key_cache::KeyCache;
use crate::dkim::Algorithm;
use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, VerificationAlgorithm,
};
use postfleet_core::authentication::AuthResult;
use std::sync::Arc;

/// Records at one name that are looked at: one is allowed (§3.6.2.2), and a zone that is being changed has two.
const RECORDS_MAX: usize = 4;

/// Bits that an RSA key must have (RFC 8301 §3.2).
const RSA_BITS_MIN: usize = 1_024;

/// A key.
#[derive(Debug)]
pub(in super::super) struct Key {
    algorithm: Algorithm,
    public: Vec<u8>,
    /// Ready to be used; nothing if it cannot be read.
    ready: Option<ParsedPublicKey>,
    pub(in super::super) is_testing: bool,
    /// Whoever signs must be of the domain itself, not of one below it (`t=s`).
    pub(in super::super) is_strict: bool,
}

/// Why there is no key, or why a signature does not hold.
pub(in super::super) type Refusal = (AuthResult, &'static str);

/// The keys of a selector, at least one, or why there is none.
pub(in super::super) type Keys = Result<Vec<Arc<Key>>, Refusal>;

/// Where keys are found.
#[derive(Clone, Copy)]
pub(in super::super) struct Keyring<'a> {
    pub(in super::super) dns: &'a dyn Dns,
    /// Those that were read before.
    pub(in super::super) cache: Option<&'a KeyCache>,
}

impl Keyring<'_> {
    /// The keys of a selector.
    pub(in super::super) fn find(&self, selector: &str, domain: &str) -> Result<Keys, Pending> {
        let texts = match dns::texts(self.dns, &format!("{selector}._domainkey.{domain}"))? {
            Looked::Found(texts) => texts,
            Looked::Missing => return Ok(Err((AuthResult::Permerror, "no key in the DNS"))),
            Looked::Failed => return Ok(Err((AuthResult::Temperror, "no answer about the key"))),
        };
        let (mut keys, mut why) = (Vec::new(), (AuthResult::Permerror, "no key in the DNS"));
        for text in texts.iter().take(RECORDS_MAX) {
            match self.cache.map_or_else(|| parse(text).map(Arc::new), |cache| cache.read(text)) {
                Ok(key) => keys.push(key),
                Err(reason) => why = (AuthResult::Permerror, reason),
            }
        }
        Ok(if keys.is_empty() { Err(why) } else { Ok(keys) })
    }
}

pub(super) fn parse(text: &str) -> Result<Key, &'static str> {
    let tags = Tags::parse(text).ok_or("the key record cannot be read")?;
    if tags.get("v").is_some_and(|version| version != "DKIM1" || tags.first().is_some_and(|(name, _)| name != "v")) {
        return Err("the key record is of another version");
    }
    if tags.get("h").is_some_and(|hashes| !members(hashes).any(|hash| hash == "sha256")) {
        return Err("the key is not for SHA-256");
    }
    if tags.get("s").is_some_and(|services| !members(services).any(|service| matches!(service, "*" | "email"))) {
        return Err("the key is not for mail");
    }
    let (algorithm, verifier): (_, &'static dyn VerificationAlgorithm) = match tags.get("k").unwrap_or("rsa") {
        "rsa" => (Algorithm::RsaSha256, &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        "ed25519" => (Algorithm::Ed25519Sha256, &ED25519),
        _ => return Err("the key is of an unknown kind"),
    };
    let public = match tags.get("p").ok_or("the key record has no key")? {
        "" => return Err("the key was revoked"),
        encoded => base64(encoded).ok_or("the key cannot be read")?,
    };
    let flags = tags.get("t").unwrap_or_default();
    Ok(Key {
        algorithm,
        ready: ParsedPublicKey::new(verifier, &public).ok(),
        public,
        is_testing: members(flags).any(|flag| flag == "y"),
        is_strict: members(flags).any(|flag| flag == "s"),
    })
}

impl Key {
    /// Whether the key made the signature.
    pub(in super::super) fn check(
        &self,
        algorithm: Algorithm,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), Refusal> {
        if algorithm != self.algorithm {
            return Err((AuthResult::Permerror, "the key is of another kind than the signature"));
        }
        let is_good = self.ready.as_ref().is_some_and(|key| match algorithm {
            Algorithm::RsaSha256 => key.verify_digest_sig(digest, signature).is_ok(),
            // RFC 8463 §3: the digest is what is signed.
            Algorithm::Ed25519Sha256 => key.verify_sig(digest.as_ref(), signature).is_ok(),
        });
        if is_good { Ok(()) } else { Err(self.why_not()) }
    }

    fn why_not(&self) -> Refusal {
        if self.algorithm == Algorithm::Ed25519Sha256 {
            return match self.public.len() {
                32 => (AuthResult::Fail, "the signature does not match"),
                _ => (AuthResult::Permerror, "the key cannot be read"),
            };
        }
        match modulus_bits(&self.public) {
            Some(bits) if bits < RSA_BITS_MIN => (AuthResult::Policy, "the key has less than 1024 bits"),
            Some(_) => (AuthResult::Fail, "the signature does not match"),
            None => (AuthResult::Permerror, "the key cannot be read"),
        }
    }
}

/// Bits of the modulus of an RSA key, in either of the two forms in which keys are published (RFC 8017 A.1.1, RFC 5280
/// §4.1).
fn modulus_bits(der: &[u8]) -> Option<usize> {
    const INTEGER: u8 = 2;
    const BIT_STRING: u8 = 3;
    const SEQUENCE: u8 = 0x30;
    let (inside, after) = element(der, SEQUENCE)?;
    if !after.is_empty() {
        return None;
    }
    let key = match element(inside, SEQUENCE) {
        Some((_, after)) => {
            let (bits, _) = element(after, BIT_STRING)?;
            // No bits are left over.
            element(bits.strip_prefix(&[0])?, SEQUENCE)?.0
        }
        None => inside,
    };
    let (modulus, exponent) = element(key, INTEGER)?;
    element(exponent, INTEGER)?;
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The content of an element of DER at the beginning, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [first, length @ 0..=127, rest @ ..] if *first == tag => (usize::from(*length), rest),
        [first, 0x81, length, rest @ ..] if *first == tag => (usize::from(*length), rest),
        [first, 0x82, high, low, rest @ ..] if *first == tag => (usize::from(*high) << 8 | usize::from(*low), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}
