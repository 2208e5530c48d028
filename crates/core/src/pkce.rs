//! Proof Key for Code Exchange (RFC 7636): whoever exchanges a code shows that it also began the sign-in.
//!
//! Two encodings of the SHA-256 digest are in use: that of the RFC, and that of the official clients of the hosted
//! service, which encode the digest's hexadecimal text. Both are taken. The digest itself is made elsewhere.

/// Characters of a challenge and of a verifier (RFC 7636 §4.1 and §4.2).
pub const CHALLENGE_CHARS: std::ops::RangeInclusive<usize> = 43..=128;

/// Characters of a verifier that are looked at. The official clients send a UUID, which is shorter than the RFC asks for.
pub const VERIFIER_CHARS_MAX: usize = 128;

/// How a challenge was made from its verifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// It is the verifier's SHA-256 digest.
    S256,
    /// It is the verifier.
    Plain,
}

impl Method {
    /// The method of that name, in any case; without one it is `plain` (RFC 7636 §4.3).
    pub fn named(name: Option<&str>) -> Option<Self> {
        match name.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "plain") => Some(Self::Plain),
            Some("s256") => Some(Self::S256),
            Some(_) => None,
        }
    }
}

/// What a sign-in was begun with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    method: Method,
    text: String,
}

impl Challenge {
    /// Takes a challenge of 43 to 128 characters of the base64 alphabets and of verifiers.
    pub fn new(method: Method, text: &str) -> Option<Self> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let is_whole = CHALLENGE_CHARS.contains(&text.len()) && text.bytes().all(is_fit);
        is_whole.then(|| Self { method, text: text.to_owned() })
    }

    /// The text under which it is stored.
    pub fn stored(&self) -> String {
        match self.method {
            Method::S256 => format!("S256 {}", self.text),
            Method::Plain => format!("plain {}", self.text),
        }
    }

    /// Reads what [`Self::stored`] wrote.
    pub fn of_stored(stored: &str) -> Option<Self> {
        let (method, text) = stored.split_once(' ')?;
        Some(Self { method: Method::named(Some(method))?, text: text.to_owned() })
    }

    /// Whether the proof belongs to this challenge. How long the answer takes does not depend on where they differ.
    pub fn is_met_by(&self, proof: &Proof) -> bool {
        match self.method {
            Method::S256 => proof.digests.iter().fold(false, |met, digest| met | is_same(digest, unpadded(&self.text))),
            Method::Plain => is_same(&proof.verifier, &self.text),
        }
    }
}

/// A verifier, and its digest in each encoding.
#[derive(Clone)]
pub struct Proof {
    /// The verifier as it was sent.
    pub verifier: String,
    /// Its SHA-256 digest as base64url without padding: of the digest, and of the digest's lower-case hexadecimal text.
    pub digests: [String; 2],
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

fn unpadded(text: &str) -> &str {
    text.trim_end_matches('=')
}

/// Compares without stopping at the first difference.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |found, (one, other)| found | (one ^ other));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636, Appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const DIGEST: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const OF_HEX: &str = "MTNkMzFlOTYxYTFhZDhlYzJmMTZiMTBjNGM5ODJlMDg3NmE4NzhhZDZkZjE0NDU2NmVlMTg5NGFjYjcwZjljMw";

    fn proof() -> Proof {
        Proof { verifier: VERIFIER.into(), digests: [DIGEST.into(), OF_HEX.into()] }
    }

    #[test]
    fn the_verifier_meets_its_own_challenge_in_both_encodings() {
        for text in [DIGEST, OF_HEX, &format!("{OF_HEX}==")] {
            assert!(Challenge::new(Method::S256, text).unwrap().is_met_by(&proof()), "{text}");
        }
        assert!(Challenge::new(Method::Plain, VERIFIER).unwrap().is_met_by(&proof()));
    }

    #[test]
    fn nothing_else_meets_it() {
        let other = DIGEST.replace("cM", "cN");
        for (method, text) in [
            (Method::S256, VERIFIER),
            (Method::S256, other.as_str()),
            (Method::Plain, DIGEST),
            (Method::Plain, OF_HEX),
            (Method::Plain, &format!("{VERIFIER}x")),
        ] {
            assert!(!Challenge::new(method, text).unwrap().is_met_by(&proof()), "{method:?} {text}");
        }
    }

    #[test]
    fn challenges_have_43_to_128_characters_and_known_methods() {
        assert!(Challenge::new(Method::Plain, &"a".repeat(43)).is_some());
        assert!(Challenge::new(Method::Plain, &"a".repeat(128)).is_some());
        for bad in ["a".repeat(42), "a".repeat(129), "a b".repeat(20), "ä".repeat(30), String::new()] {
            assert!(Challenge::new(Method::Plain, &bad).is_none(), "{bad}");
        }
        assert_eq!(
            (Method::named(Some("s256")), Method::named(Some("S256"))),
            (Some(Method::S256), Some(Method::S256))
        );
        assert_eq!((Method::named(None), Method::named(Some("md5"))), (Some(Method::Plain), None));
    }

    #[test]
    fn a_challenge_comes_back_from_the_store() {
        for method in [Method::S256, Method::Plain] {
            let challenge = Challenge::new(method, DIGEST).unwrap();
            assert_eq!(Challenge::of_stored(&challenge.stored()), Some(challenge));
        }
        assert_eq!(Challenge::of_stored("nonsense"), None);
    }
}
