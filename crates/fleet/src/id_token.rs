//! Tokens that say who has signed in: JSON Web Tokens (RFC 7519) with HMAC-SHA-256, under a key that only the
//! installation has. They open nothing.

use crate::keys::KeyHasher;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::sign_in::TokenInfo;
use sha2::Sha256;

/// What the key is made for; another purpose gives another key.
const PURPOSE: &str = "postfleet id token 1";

/// The only header that is written and taken: the algorithm is not the token's to choose (RFC 8725 §3.1).
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Characters of a token that are looked at; ours are shorter.
const CHARS_MAX: usize = 4_096;

/// Writes a token.
pub fn sign(hasher: &KeyHasher, claims: &TokenInfo) -> Result<String, Problem> {
    let claims = serde_json::to_vec(claims).map_err(Problem::internal)?;
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let signature = mac(hasher, &signed)?.finalize().into_bytes();
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Reads a token of this installation that has not ended; `None` for every other text.
pub fn read(hasher: &KeyHasher, now: UnixMicros, token: &str) -> Option<TokenInfo> {
    let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= CHARS_MAX)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    // Compared in constant time.
    mac(hasher, signed).ok()?.verify_slice(&signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    if URL_SAFE_NO_PAD.decode(header).ok()? != HEADER.as_bytes() {
        return None;
    }
    let claims: TokenInfo = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    (claims.exp > now.as_seconds()).then_some(claims)
}

fn mac(hasher: &KeyHasher, signed: &str) -> Result<Hmac<Sha256>, Problem> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&hasher.derive(PURPOSE)).map_err(Problem::internal)?;
    mac.update(signed.as_bytes());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> TokenInfo {
        TokenInfo {
            iss: "https://mx.test".into(),
            aud: "application".into(),
            sub: "mailbox".into(),
            email: "agent@acme.test".into(),
            iat: 100,
            exp: 200,
        }
    }

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros::from_seconds(seconds)
    }

    #[test]
    fn what_was_signed_is_read_until_it_ends() {
        let hasher = KeyHasher::new([1; 32]);
        let token = sign(&hasher, &claims()).unwrap();
        assert_eq!(read(&hasher, at(199), &token), Some(claims()));
        assert_eq!(read(&hasher, at(200), &token), None);
        assert_eq!(read(&KeyHasher::new([2; 32]), at(150), &token), None);
    }

    #[test]
    fn nothing_else_is_read() {
        let hasher = KeyHasher::new([1; 32]);
        let token = sign(&hasher, &claims()).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&TokenInfo { sub: "other".into(), ..claims() }).unwrap());
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        for forged in [
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}.{}", parts[2]),
            format!("{token}a"),
            token.to_lowercase(),
            String::new(),
            ".".into(),
            "..".into(),
            "a".repeat(10_000),
        ] {
            assert_eq!(read(&hasher, at(150), &forged), None, "{forged}");
        }
    }
}
