//! The keys of a domain: made two at a time, and replaced by a rotation.

use super::Domains;
use super::show::show_keys;
use postfleet_core::audit::Act;
use postfleet_core::id::OrganizationId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mail::dkim;
use postfleet_net::Entropy;
use postfleet_schema::domain as schema;
use postfleet_store::domains::{DkimKey, RotationOutcome, StartRotation};

/// Bits of an RSA key. Verifiers must take up to 2,048 (RFC 8301 §3.2); fewer are not safe enough.
const KEY_LENGTH: i64 = 2_048;

/// An RSA and an Ed25519 key: the first for everybody, the second for those who verify it (RFC 8463 §3). Takes a tenth
/// of a second, away from the threads that answer requests.
pub(crate) async fn signing_keys(entropy: &dyn Entropy) -> Result<Vec<DkimKey>, Problem> {
    let suffix: String = entropy.ten().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let made = tokio::task::spawn_blocking(move || {
        let rsa = make(dkim::Algorithm::RsaSha256, format!("pfr{suffix}"))?;
        Ok(vec![rsa, make(dkim::Algorithm::Ed25519Sha256, format!("pfe{suffix}"))?])
    });
    made.await.map_err(Problem::internal)?
}

fn make(algorithm: dkim::Algorithm, selector: String) -> Result<DkimKey, Problem> {
    let key = dkim::generate(algorithm).map_err(Problem::internal)?;
    let algorithm = algorithm.name().to_owned();
    Ok(DkimKey { selector, algorithm, private_key: key.pkcs8, public_record: key.public_dns })
}

/// Refuses keys of a length that is not made.
pub(super) fn check_options(options: Option<&schema::VerifyOptions>) -> Result<(), Problem> {
    match options.and_then(|options| options.key_length) {
        None | Some(KEY_LENGTH) => Ok(()),
        Some(_) => Err(Problem::invalid("options.key_length", format!("options.key_length must be {KEY_LENGTH}"))),
    }
}

impl Domains<'_> {
    /// The keys of a domain, by selector.
    pub async fn keys(&self, organization: OrganizationId, segment: &str) -> Result<Vec<schema::DkimKey>, Problem> {
        Ok(show_keys(&self.find(organization, segment).await?))
    }

    /// Makes the keys that are to sign for a domain next. Answers all of its keys.
    pub async fn start_rotation(
        &self,
        act: Act,
        segment: &str,
        request: &schema::RotateDkimKeys,
    ) -> Result<Vec<schema::DkimKey>, Problem> {
        check_options(request.options.as_ref())?;
        let organization = act.organization_id;
        let id = self.find(organization, segment).await?.domain.id;
        let command = StartRotation { id, keys: signing_keys(self.entropy).await?, act };
        match self.store.run(command).await? {
            RotationOutcome::Started => self.keys(organization, &id.to_string()).await,
            RotationOutcome::Unknown => Err(Problem::not_found()),
            RotationOutcome::UnderWay => {
                let text = "a rotation is under way: publish the keys whose state is next and verify dkim";
                Err(Problem::new(ProblemKind::Conflict, "dkim_rotation_under_way", text))
            }
        }
    }
}
