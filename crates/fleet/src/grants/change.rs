//! Changing a mailbox.

use super::{check, provision};
use postfleet_core::audit::Act;
use postfleet_core::id::EventId;
use postfleet_core::{Patch, Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::grant::{UpdateGrant as Request, UpdateGrantSettings};
use postfleet_store::Store;
use postfleet_store::grants::{Grant, GrantChange, UpdateGrant, UpdateOutcome};

/// Changes a mailbox as a request wants it; answers what it is like then.
pub async fn update(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    grant: &Grant,
    request: Request,
) -> Result<Grant, Problem> {
    let change = change(entropy, grant, request).await?;
    let event_id = EventId::new(act.at, entropy.ten());
    let command = UpdateGrant { act, application_id: grant.application_id, id: grant.id, change, event_id };
    match store.run(command).await? {
        UpdateOutcome::Done(grant) => Ok(*grant),
        UpdateOutcome::NoSuchGrant => Err(Problem::not_found()),
        UpdateOutcome::WorkspaceUnknown => Err(check::no_such_workspace()),
    }
}

async fn change(entropy: &dyn Entropy, grant: &Grant, request: Request) -> Result<GrantChange, Problem> {
    let Request { settings, scope, name, workspace_id, state } = request;
    if settings.is_keep() && scope.is_keep() && name.is_keep() && workspace_id.is_keep() && state.is_keep() {
        let text = "the request must have at least one of settings, scope, name, workspace_id and state";
        return Err(Problem::new(ProblemKind::Invalid, "invalid_request", text));
    }
    Ok(GrantChange {
        name: name.try_map(check::name)?,
        state: state.try_map(check::state)?,
        workspace_id: workspace_id.try_map(|id| check::workspace(&id))?,
        app_password: match settings {
            Patch::Keep => Patch::Keep,
            Patch::Clear => return Err(Problem::invalid("settings", "settings must be an object")),
            Patch::Set(settings) => app_password(entropy, grant, settings).await?,
        },
    })
}

/// What the settings change: only the password can be changed.
async fn app_password(
    entropy: &dyn Entropy,
    grant: &Grant,
    settings: UpdateGrantSettings,
) -> Result<Patch<postfleet_core::Secret<String>>, Problem> {
    if let Some(text) = &settings.email
        && check::email(text)?.key() != grant.email.key()
    {
        let text = format!("settings.email must be the address of the mailbox, {}", grant.email);
        return Err(Problem::invalid("settings.email", text));
    }
    Ok(match settings.app_password {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(password) => Patch::Set(provision::hashed(entropy, &password).await?),
    })
}
