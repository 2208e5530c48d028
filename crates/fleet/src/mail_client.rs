//! Mail clients: signing in to a mailbox with its password, and whether that still holds. The brakes on guessing are those
//! of the sign-in by browser, with the same counters.

use crate::sign_in::{self, Gate, Guess, Opened, Outcome};
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::plan::Limits;
use postfleet_core::{EmailAddress, Problem, Secret};
use postfleet_store::Store;
use postfleet_store::grants::{self, Grant};

/// A client that has shown the password of a mailbox.
#[derive(Clone, Debug)]
pub struct MailClient {
    /// The address of the mailbox.
    pub email: EmailAddress,
    /// Whether the password had been right a moment ago, so that nothing slow was needed.
    pub is_remembered: bool,
    grant_id: GrantId,
    application_id: ApplicationId,
    /// The stored form of the password that was right.
    verified: Secret<String>,
}

/// Lets a client in, or does not; what was wrong is not to be told apart.
pub async fn sign_in(gate: Gate<'_>, guess: Guess<'_>) -> Result<Outcome<MailClient>, Problem> {
    Ok(match sign_in::verify(gate, guess, |door| !door.is_blocked).await? {
        Outcome::Accepted(Opened { door, is_remembered }) => Outcome::Accepted(MailClient {
            email: door.email,
            is_remembered,
            grant_id: door.grant_id,
            application_id: door.application_id,
            verified: Secret::new(door.app_password.unwrap_or_default()),
        }),
        Outcome::Refused => Outcome::Refused,
        Outcome::Throttled(exhausted) => Outcome::Throttled(exhausted),
    })
}

/// The mailbox of a client, unless its password was changed or taken away since, or it was blocked or removed.
pub async fn mailbox(store: &Store, client: &MailClient) -> Result<Option<Grant>, Problem> {
    let mut reader = store.reader().await?;
    let verified = client.verified.expose();
    Ok(grants::opened_with(&mut reader, client.application_id, client.grant_id, verified).await?)
}

/// What the mailbox of a client is allowed now, on the same terms.
pub async fn limits(store: &Store, client: &MailClient) -> Result<Option<Limits>, Problem> {
    let Some(grant) = mailbox(store, client).await? else { return Ok(None) };
    let found = grants::receiving(&mut store.reader().await?, &grant.email).await?;
    Ok(found.filter(|mailbox| mailbox.grant_id == grant.id).map(|mailbox| mailbox.limits))
}
