//! DKIM signatures (RFC 6376, RFC 8463 for Ed25519): keys, and signing with relaxed canonicalization of both header
//! and body.
//!
//! Never signs a part of the body only (`l=`), and lists each signed field once more than it occurs, so that none can
//! be added to a signed message. Making a key draws on the entropy of the system, inside the cryptographic library;
//! that is the one thing in this crate that is no function of its arguments.

pub(crate) mod canonical;
#[cfg(test)]
mod tests;

use crate::syntax::header::{self, Fields};
use crate::write::header::FieldWriter;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::{Domain, Secret, UnixMicros};

/// Fields that are signed, whether or not they are there. All that a reader sees or acts on, and what tells how the
/// body is to be read; not the fields that servers on the way change.
const SIGNED: [&str; 15] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Reply-To",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    crate::feedback::TOKEN_FIELD,
];

/// Occurrences of one field that are signed; a message with more is refused rather than half signed.
const OCCURRENCES_MAX: usize = 20;

/// A signature algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// RSA with 2048 bits: every verifier knows it.
    RsaSha256,
    /// Ed25519 (RFC 8463): small and quick, not known everywhere; used beside RSA.
    Ed25519Sha256,
}

impl Algorithm {
    /// The name in `a=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }
}

/// A key, in the form in which it is stored.
#[derive(Clone, Debug)]
pub struct PrivateKey {
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The PKCS #8 encoding (RFC 5958).
    pub pkcs8: Secret<Vec<u8>>,
    /// The TXT record to publish at `selector._domainkey.domain`: `v=DKIM1; k=…; p=…`. An RSA record is longer than
    /// the 255 octets of one DNS string: the zone has to split it.
    pub public_dns: String,
}

/// Why there is no key or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    /// The key could not be made.
    #[error("key generation failed")]
    Generate,
    /// The stored key is not one of this algorithm.
    #[error("private key is not valid")]
    Key,
    /// The message has no From (RFC 6376 §5.4 requires it to be signed).
    #[error("message has no From header")]
    NoFrom,
    /// The message has a CR or LF on its own: servers on the way would change it and break the signature.
    #[error("message has line ends other than CRLF")]
    LineEnd,
    /// The header is beyond what is read, or a field occurs too often: it cannot be signed as a whole.
    #[error("message header is too large")]
    HeaderTooLarge,
    /// The cryptographic library refused.
    #[error("signing failed")]
    Sign,
}

/// Makes a key, with entropy of the system. RSA takes about a tenth of a second.
pub fn generate(algorithm: Algorithm) -> Result<PrivateKey, DkimError> {
    let pkcs8: Pkcs8V1Der<'static> = match algorithm {
        Algorithm::RsaSha256 => {
            RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der()).map_err(|_| DkimError::Generate)?
        }
        Algorithm::Ed25519Sha256 => {
            Ed25519KeyPair::generate().and_then(|pair| pair.as_der()).map_err(|_| DkimError::Generate)?
        }
    };
    PrivateKey::from_pkcs8(algorithm, pkcs8.as_ref().to_vec())
}

impl PrivateKey {
    /// Takes a key from its encoding, and works out its DNS record.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: Vec<u8>) -> Result<Self, DkimError> {
        let public_dns = match Loaded::new(algorithm, &pkcs8)? {
            Loaded::Rsa(pair) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| DkimError::Key)?;
                format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(der.as_ref()))
            }
            // The bare 32 octets (RFC 8463 §4.2).
            Loaded::Ed25519(pair) => format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key())),
        };
        Ok(Self { algorithm, pkcs8: Secret::new(pkcs8), public_dns })
    }
}

enum Loaded {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Loaded {
    fn new(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, DkimError> {
        match algorithm {
            Algorithm::RsaSha256 => RsaKeyPair::from_pkcs8(pkcs8).map(|pair| Self::Rsa(Box::new(pair))),
            Algorithm::Ed25519Sha256 => Ed25519KeyPair::from_pkcs8(pkcs8).map(|pair| Self::Ed25519(Box::new(pair))),
        }
        .map_err(|_| DkimError::Key)
    }

    fn sign(&self, digest: &Digest) -> Result<Vec<u8>, DkimError> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, digest, &mut signature).map_err(|_| DkimError::Sign)?;
                Ok(signature)
            }
            // RFC 8463 §3: the digest is what is signed.
            Self::Ed25519(pair) => Ok(pair.sign(digest.as_ref()).as_ref().to_vec()),
        }
    }
}

/// Signs for one domain and selector. The key is loaded once: keep the signer.
pub struct Signer {
    domain: Domain,
    selector: Domain,
    algorithm: Algorithm,
    key: Loaded,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}._domainkey.{}, {})", self.selector, self.domain, self.algorithm.name())
    }
}

impl Signer {
    /// Loads the key. The selector has the form of a domain name (RFC 6376 §3.1).
    pub fn new(domain: Domain, selector: Domain, key: &PrivateKey) -> Result<Self, DkimError> {
        let loaded = Loaded::new(key.algorithm, key.pkcs8.expose())?;
        Ok(Self { domain, selector, algorithm: key.algorithm, key: loaded })
    }

    /// The DKIM-Signature field for a message, complete with its line end, to be put before the message. To sign with
    /// two keys, sign the same message with both.
    pub fn sign(&self, raw: &[u8], now: UnixMicros) -> Result<Vec<u8>, DkimError> {
        let (block, body) = header::split(raw);
        if !canonical::has_only_crlf(raw) {
            return Err(DkimError::LineEnd);
        }
        let signed = SignedFields::of(block)?;
        let body_hash = canonical::body_hash(body);
        let mut field = self.unsigned(&signed.names, body_hash.as_ref(), now);
        let mut input = signed.canonical;
        input.extend_from_slice(&canonical::own_field(&field));
        let signature = self.key.sign(&digest(&SHA256, &input))?;
        append_signature(&mut field, &signature);
        Ok(field)
    }

    /// The field up to and including `b=` (RFC 6376 §3.5).
    fn unsigned(&self, names: &[&str], body_hash: &[u8], now: UnixMicros) -> Vec<u8> {
        let mut out = Vec::with_capacity(1_024);
        let mut field = FieldWriter::new(&mut out, "DKIM-Signature");
        field.token("v=1;");
        field.token(&format!("a={};", self.algorithm.name()));
        field.token("c=relaxed/relaxed;");
        field.token(&format!("d={};", self.domain));
        field.token(&format!("s={};", self.selector));
        field.token(&format!("t={};", now.as_seconds().max(0)));
        field.token(&format!("h={}:", names.first().unwrap_or(&"From")));
        for (index, name) in names.iter().enumerate().skip(1) {
            let mark = if index + 1 < names.len() { ":" } else { ";" };
            field.token(&format!("{name}{mark}"));
        }
        field.token(&format!("bh={};", STANDARD.encode(body_hash)));
        field.token("b=");
        out
    }
}

/// Puts the signature behind `b=`, in lines.
fn append_signature(field: &mut Vec<u8>, signature: &[u8]) {
    let encoded = STANDARD.encode(signature);
    for line in encoded.as_bytes().chunks(72) {
        field.extend_from_slice(b"\r\n ");
        field.extend_from_slice(line);
    }
    field.extend_from_slice(b"\r\n");
}

/// What goes into `h=`, and what it stands for.
struct SignedFields {
    names: Vec<&'static str>,
    canonical: Vec<u8>,
}

impl SignedFields {
    fn of(block: &[u8]) -> Result<Self, DkimError> {
        let mut found: [Vec<&[u8]>; SIGNED.len()] = Default::default();
        let mut fields = Fields::new(block);
        for field in fields.by_ref() {
            if let Some(index) = SIGNED.iter().position(|name| field.is(name)) {
                found[index].push(field.value);
            }
        }
        if fields.cut || found.iter().any(|values| values.len() > OCCURRENCES_MAX) {
            return Err(DkimError::HeaderTooLarge);
        }
        if found[0].is_empty() {
            return Err(DkimError::NoFrom);
        }
        let mut signed = Self { names: Vec::new(), canonical: Vec::new() };
        for (name, values) in SIGNED.into_iter().zip(&found) {
            // From the last to the first (RFC 6376 §5.4.2), and once more for one that must not be added.
            for value in values.iter().rev() {
                signed.names.push(name);
                canonical::field(name, value, &mut signed.canonical);
                signed.canonical.extend_from_slice(b"\r\n");
            }
            signed.names.push(name);
        }
        Ok(signed)
    }
}
