//! How a receiver knows that a notification is from us, and when it was sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The headers that sign a body, by the secrets that are good now, the newest first. `body` is what is sent, octet by
/// octet; `id` that of the event, `at` the time of the attempt in unix seconds.
///
/// `x-nylas-signature` is that of the hosted service, by the newest secret alone. The other three are those of Standard
/// Webhooks 1.0: they sign the time as well, so that nobody can send an old notification again, and there is a signature
/// for each secret.
pub(super) fn headers(secrets: &[&str], id: &str, at: i64, body: &[u8]) -> Vec<(&'static str, String)> {
    let newest = secrets.first().copied().unwrap_or_default();
    let timestamped =
        |secret: &&str| format!("v1,{}", STANDARD.encode(mac(secret, &[format!("{id}.{at}.").as_bytes(), body])));
    vec![
        ("x-nylas-signature", hex::encode(mac(newest, &[body]))),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", secrets.iter().map(timestamped).collect::<Vec<_>>().join(" ")),
    ]
}

/// HMAC-SHA-256 over some pieces, one behind the other.
fn mac(secret: &str, pieces: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of every length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return Vec::new() };
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231_test_case_2() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(mac("Jefe", &[b"what do ya want ", b"for nothing?"])), expected);
    }

    #[test]
    fn the_time_is_signed_by_each_secret_and_the_body_alone_by_the_newest() {
        let headers = headers(&["new", "old"], "evt", 1_700_000_000, b"{}");
        let value = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("x-nylas-signature"), Some(&*hex::encode(mac("new", &[b"{}"]))));
        assert_eq!((value("webhook-id"), value("webhook-timestamp")), (Some("evt"), Some("1700000000")));
        let signed = |secret| STANDARD.encode(mac(secret, &[b"evt.1700000000.{}"]));
        let expected = format!("v1,{} v1,{}", signed("new"), signed("old"));
        assert_eq!(value("webhook-signature"), Some(&*expected));
    }
}
