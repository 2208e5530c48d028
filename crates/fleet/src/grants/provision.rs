//! Making one mailbox, or finding the one that is there.

use super::check;
use crate::app_password;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, EventId, GrantId};
use postfleet_core::{Problem, Secret};
use postfleet_net::Entropy;
use postfleet_schema::grant as schema;
use postfleet_store::Store;
use postfleet_store::grants::{CreateGrant, Grant, NewGrant, Origin};

/// Makes the mailbox that a request asks for, or finds the one that is there.
pub async fn provision(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    origin: Origin,
    application_id: ApplicationId,
    request: &schema::CreateGrant,
) -> Result<Grant, Problem> {
    let grant = wanted(entropy, &act, request).await?;
    let email = grant.email.clone();
    let outcome = store.run(CreateGrant { act, application_id, origin, grant }).await?;
    check::outcome(outcome, &email).map(|(grant, _)| grant)
}

async fn wanted(entropy: &dyn Entropy, act: &Act, request: &schema::CreateGrant) -> Result<NewGrant, Problem> {
    if request.provider != "nylas" {
        return Err(Problem::invalid("provider", "provider must be \"nylas\""));
    }
    Ok(NewGrant {
        id: GrantId::new(act.at, entropy.ten()),
        workspace_id: request.workspace_id.as_deref().map(check::workspace).transpose()?,
        email: check::email(&request.settings.email)?,
        name: request.name.clone().map(check::name).transpose()?,
        state: request.state.clone().map(check::state).transpose()?,
        // Last: hashing is slow on purpose, and for nothing if something else is wrong.
        app_password: match &request.settings.app_password {
            Some(password) => Some(hashed(entropy, password).await?),
            None => None,
        },
        event_id: EventId::new(act.at, entropy.ten()),
    })
}

/// The hash of a password that is good enough.
pub(super) async fn hashed(entropy: &dyn Entropy, password: &Secret<String>) -> Result<Secret<String>, Problem> {
    app_password::check(password.expose())?;
    app_password::hash(entropy, password.clone()).await.map(Secret::new)
}
