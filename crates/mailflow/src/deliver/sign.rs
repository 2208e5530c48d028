//! DKIM: the sender's domain signs once per message, with every key that it has.

use crate::platform::Platform;
use postfleet_core::{Domain, EmailAddress, Problem};
use postfleet_mail::dkim::{Algorithm, PrivateKey, Signer};
use postfleet_mail::feedback::TOKEN_FIELD;
use postfleet_store::domains::{self, DkimKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Loaded keys by domain and selector: loading an RSA key costs several times as much as signing with it.
#[derive(Default)]
pub struct Signers(Mutex<HashMap<(Domain, String), Arc<Signer>>>);

/// The fields to put before a message, complete with line ends: its return path once more, for reporters of complaints
/// who take the envelope's away, and a signature over it all for each key. A domain without keys signs nothing.
pub(super) async fn sign(platform: &Platform, reverse_path: &EmailAddress, raw: &[u8]) -> Result<Vec<u8>, Problem> {
    let domain = reverse_path.domain();
    let keys = domains::dkim_keys(&mut platform.store.reader().await?, domain).await?;
    let now = platform.clock.now();
    let token = format!("{TOKEN_FIELD}: {reverse_path}\r\n");
    let with_token = [token.as_bytes(), raw].concat();
    let mut fields = Vec::new();
    for key in keys {
        let signer = platform.signers.load(domain, key)?;
        fields.extend(signer.sign(&with_token, now).map_err(Problem::internal)?);
    }
    fields.extend_from_slice(token.as_bytes());
    Ok(fields)
}

impl Signers {
    fn load(&self, domain: &Domain, key: DkimKey) -> Result<Arc<Signer>, Problem> {
        let name = (domain.clone(), key.selector.clone());
        if let Some(signer) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(signer.clone());
        }
        let algorithms = [Algorithm::RsaSha256, Algorithm::Ed25519Sha256];
        let algorithm = algorithms.into_iter().find(|algorithm| algorithm.name() == key.algorithm);
        let algorithm = algorithm.ok_or_else(|| Problem::internal("stored signing key has no known algorithm"))?;
        let private = PrivateKey { algorithm, pkcs8: key.private_key, public_dns: key.public_record };
        let selector = Domain::parse(&key.selector).map_err(Problem::internal)?;
        let signer = Arc::new(Signer::new(domain.clone(), selector, &private).map_err(Problem::internal)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, signer.clone());
        Ok(signer)
    }
}
