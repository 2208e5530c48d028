//! Service accounts: making the file that a client is given, and telling whether a request is signed by one.
//!
//! What is signed is a JSON object with its keys in order and without spaces: the method in lower case, the nonce, the
//! path as sent, the body as sent (as a text, if there is one and the method carries one) and the time.

use crate::applications::REGION;
use crate::input;
use crate::operator::{self, Operator};
use crate::pages::{self, Page};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::audit::Act;
use postfleet_core::id::ServiceAccountId;
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::service_account as schema;
use postfleet_store::Store;
use postfleet_store::service_accounts::{self, CreateServiceAccount, RevokeServiceAccount, ServiceAccount, UseNonce};
use std::time::Duration;

/// How far the time of a request may be from ours, in either direction.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Characters of a nonce; clients send 20.
const NONCE_CHARS_MAX: usize = 128;

/// Makes a service account. The private key is in the file that is answered, and nowhere else.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    operator: &Operator,
    act: Act,
    request: &schema::CreateServiceAccount,
) -> Result<schema::ServiceAccountFile, Problem> {
    let organization_id = operator.organization(request.organization_id.as_deref())?;
    let name = input::name("name", &request.name)?;
    let permissions = match &request.permissions {
        Some(permissions) => input::permissions(permissions)?,
        None => operator.permissions.clone(),
    };
    if let Some(lacking) = operator.maker().lacks(&permissions, false) {
        return Err(operator::lacking(&lacking));
    }
    let pair = new_pair().await?;
    let account = ServiceAccount {
        id: ServiceAccountId::new(act.at, entropy.ten()),
        organization_id,
        name,
        public_key: pair.public_key,
        permissions,
        revoked_at: None,
        last_used_at: None,
        created_at: act.at,
    };
    if !store.run(CreateServiceAccount { account: account.clone(), act }).await? {
        return Err(Problem::invalid("organization_id", "organization_id names no organization that you may use"));
    }
    Ok(schema::ServiceAccountFile {
        kind: "service_account",
        private_key_id: account.id.to_string(),
        private_key: pair.private_pem,
        organization_id: organization_id.to_string(),
        region: REGION.to_owned(),
        permissions: account.permissions,
        id: account.id.to_string(),
        name: account.name,
    })
}

/// The two halves of a new key.
struct Pair {
    public_key: Vec<u8>,
    private_pem: String,
}

/// Makes an RSA key, which takes about a tenth of a second: not where other requests would wait for it.
async fn new_pair() -> Result<Pair, Problem> {
    tokio::task::spawn_blocking(generate).await.map_err(Problem::internal)?
}

fn generate() -> Result<Pair, Problem> {
    let failed = |_| Problem::internal("making an RSA key failed");
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let private: Pkcs8V1Der<'static> = pair.as_der().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(Pair { public_key: public.as_ref().to_vec(), private_pem: pem(private.as_ref()) })
}

/// PKCS #8 in PEM (RFC 7468 §10).
fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

/// An organization's service accounts, newest first; also revoked ones.
pub async fn list(
    store: &Store,
    operator: &Operator,
    organization_id: Option<&str>,
    limit: usize,
    page_token: Option<&str>,
) -> Result<Page<ServiceAccount>, Problem> {
    let organization = operator.organization(organization_id)?;
    let after = pages::after(page_token)?;
    let found = service_accounts::list(&mut store.reader().await?, organization, after, limit + 1).await?;
    Ok(pages::cut(found, limit, |account| account.id))
}

/// Makes a service account worthless at once.
pub async fn revoke(store: &Store, operator: &Operator, id: ServiceAccountId, act: Act) -> Result<(), Problem> {
    let found = store.run(RevokeServiceAccount { id, scope: operator.scope(), act }).await?;
    if found { Ok(()) } else { Err(Problem::not_found()) }
}

/// Shows a service account, without its key.
pub fn show(account: &ServiceAccount) -> schema::ServiceAccount {
    schema::ServiceAccount {
        id: account.id.to_string(),
        name: account.name.clone(),
        private_key_id: account.id.to_string(),
        organization_id: account.organization_id.to_string(),
        region: REGION.to_owned(),
        permissions: account.permissions.clone(),
        status: if account.revoked_at.is_some() { "revoked" } else { "active" },
        last_used_at: account.last_used_at.map(UnixMicros::as_seconds),
        created_at: account.created_at.as_seconds(),
    }
}

/// What a signed request says beside its body.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The id of the key that signed.
    pub key_id: &'a str,
    /// The time, as sent.
    pub timestamp: &'a str,
    /// A text that no other request has.
    pub nonce: &'a str,
    /// The signature in Base64.
    pub signature: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
}

/// Finds out which service account signed a request, and that it is not sent a second time.
pub async fn authenticate(
    store: &Store,
    now: UnixMicros,
    signed: Signed<'_>,
    body: &[u8],
) -> Result<ServiceAccount, Problem> {
    let time = timestamp(signed.timestamp, now)?;
    let is_nonce = |text: &str| text.len() <= NONCE_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    if signed.nonce.is_empty() || !is_nonce(signed.nonce) {
        return Err(invalid_signature());
    }
    let id: ServiceAccountId = signed.key_id.parse().map_err(|_| invalid_signature())?;
    let found = service_accounts::find(&mut store.reader().await?, id).await?;
    let account = found.filter(|account| account.revoked_at.is_none()).ok_or_else(invalid_signature)?;
    let text = canonical(&signed, time.as_seconds(), body).ok_or_else(invalid_signature)?;
    if !verifies(&account.public_key, text.as_bytes(), signed.signature) {
        return Err(invalid_signature());
    }
    // Only now: nobody else can use up the nonces of an account.
    let nonce = signed.nonce.to_owned();
    // A second more, so that the nonce is there as long as its request would be taken.
    let expires_at = time.plus(CLOCK_TOLERANCE + Duration::from_secs(1));
    if store.run(UseNonce { account_id: id, nonce, expires_at, at: now }).await? {
        return Ok(account);
    }
    let text = "Unauthorized: X-Nylas-Nonce was used before.";
    Err(Problem::new(ProblemKind::Unauthenticated, "nonce_used", text))
}

fn timestamp(text: &str, now: UnixMicros) -> Result<UnixMicros, Problem> {
    let time = UnixMicros::from_seconds(text.parse().map_err(|_| invalid_signature())?);
    let now = UnixMicros::from_seconds(now.as_seconds());
    if now.since(time) <= CLOCK_TOLERANCE && time.since(now) <= CLOCK_TOLERANCE {
        return Ok(time);
    }
    let seconds = CLOCK_TOLERANCE.as_secs();
    let text = format!("Unauthorized: X-Nylas-Timestamp is more than {seconds} seconds from the server's time.");
    Err(Problem::new(ProblemKind::Unauthenticated, "signature_expired", text))
}

/// What is signed. `None` for a body that is no text.
fn canonical(signed: &Signed<'_>, seconds: i64, body: &[u8]) -> Option<String> {
    let method = signed.method.to_ascii_lowercase();
    let quoted = |text: &str| serde_json::to_string(text).ok();
    let mut text = format!("{{\"method\":{},\"nonce\":{}", quoted(&method)?, quoted(signed.nonce)?);
    text.push_str(&format!(",\"path\":{}", quoted(signed.path)?));
    if !body.is_empty() && matches!(method.as_str(), "post" | "put" | "patch") {
        text.push_str(&format!(",\"payload\":{}", quoted(std::str::from_utf8(body).ok()?)?));
    }
    text.push_str(&format!(",\"timestamp\":{seconds}}}"));
    Some(text)
}

fn verifies(public_key: &[u8], text: &[u8], signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key);
    key.is_ok_and(|key| key.verify_sig(text, &signature).is_ok())
}

fn invalid_signature() -> Problem {
    let text = "Unauthorized: the signature of the request is not valid.";
    Problem::new(ProblemKind::Unauthenticated, "invalid_signature", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::RSA_PKCS1_SHA256;

    fn request<'a>(method: &'a str, path: &'a str) -> Signed<'a> {
        Signed { key_id: "", timestamp: "", nonce: "n\"1", signature: "", method, path }
    }

    #[test]
    fn what_is_signed_has_its_keys_in_order_and_the_body_as_a_text() {
        let text = |method, body: &str| canonical(&request(method, "/v3/a%20b"), 17, body.as_bytes());
        let bare =
            |method: &str| format!(r#"{{"method":"{method}","nonce":"n\"1","path":"/v3/a%20b","timestamp":17}}"#);
        assert_eq!(text("GET", ""), Some(bare("get")));
        assert_eq!(text("DELETE", "{}"), Some(bare("delete")), "only three methods carry a body");
        assert_eq!(text("POST", ""), Some(bare("post")));
        let with_body =
            r#"{"method":"post","nonce":"n\"1","path":"/v3/a%20b","payload":"{\"a\":\"ü\\n\"}","timestamp":17}"#;
        assert_eq!(text("POST", "{\"a\":\"ü\\n\"}").as_deref(), Some(with_body));
        assert_eq!(canonical(&request("PUT", "/"), 17, b"\xff"), None);
    }

    #[test]
    fn the_private_key_in_the_file_signs_what_the_public_key_verifies() {
        let (pair, other) = (generate().expect("key"), generate().expect("key"));
        let body: String = pair.private_pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let private = RsaKeyPair::from_pkcs8(&STANDARD.decode(body).expect("base64")).expect("key");
        assert_eq!(private.public_modulus_len() * 8, 2_048);
        let mut signature = vec![0; private.public_modulus_len()];
        private.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"text", &mut signature).expect("signature");
        let signature = STANDARD.encode(signature);
        assert!(verifies(&pair.public_key, b"text", &signature));
        assert!(!verifies(&pair.public_key, b"texT", &signature));
        assert!(!verifies(&other.public_key, b"text", &signature));
        assert!(!verifies(b"no key", b"text", &signature) && !verifies(&pair.public_key, b"text", ""));
    }

    #[test]
    fn a_time_may_differ_by_the_tolerance_and_not_by_a_second_more() {
        let now = UnixMicros::from_micros(1_000_000_999_999);
        for (text, expected) in [
            ("1000000", Ok(1_000_000)),
            ("999700", Ok(999_700)),
            ("1000300", Ok(1_000_300)),
            ("999699", Err("signature_expired")),
            ("1000301", Err("signature_expired")),
            ("9223372036854775807", Err("signature_expired")),
            ("", Err("invalid_signature")),
            ("1e6", Err("invalid_signature")),
        ] {
            let read = timestamp(text, now).map(UnixMicros::as_seconds).map_err(|problem| problem.code);
            assert_eq!(read, expected, "{text}");
        }
    }
}
