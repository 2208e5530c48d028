//! Mailboxes: making, finding, listing, changing and removing them.

mod bulk;
mod change;
mod check;
mod list;
mod provision;

pub use bulk::{BULK_MAX, Provided, provision_all};
pub use change::update;
pub use check::{NAME_CHARS_MAX, STATE_CHARS_MAX};
pub use list::{Filter, list, sort};
pub use provision::provision;

use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, EventId, GrantId};
use postfleet_core::{EmailAddress, Problem};
use postfleet_net::Entropy;
use postfleet_schema::grant as schema;
use postfleet_store::Store;
use postfleet_store::grants::{self, Grant, RemoveGrant};

/// Finds the mailbox that a path segment names: `<id>`, `grant:<id>`, `<email>` or `email:<email>`.
pub async fn find(store: &Store, application: ApplicationId, segment: &str) -> Result<Grant, Problem> {
    let mut reader = store.reader().await?;
    let found = match Named::read(segment) {
        Some(Named::Id(id)) => grants::find(&mut reader, application, id).await?,
        Some(Named::Email(email)) => grants::find_email(&mut reader, application, &email).await?,
        None => None,
    };
    found.ok_or_else(Problem::not_found)
}

/// As [`find`], where only its id has to be known.
pub async fn find_id(store: &Store, application: ApplicationId, segment: &str) -> Result<GrantId, Problem> {
    let found = match Named::read(segment) {
        Some(Named::Id(id)) => grants::find_known_id(store, application, id).await?,
        Some(Named::Email(email)) => grants::find_id_of_email(&mut store.reader().await?, application, &email).await?,
        None => None,
    };
    found.ok_or_else(Problem::not_found)
}

/// How a mailbox is named.
enum Named {
    Id(GrantId),
    Email(EmailAddress),
}

impl Named {
    fn read(segment: &str) -> Option<Self> {
        if let Ok(id) = segment.strip_prefix("grant:").unwrap_or(segment).parse() {
            return Some(Self::Id(id));
        }
        EmailAddress::parse(segment.strip_prefix("email:").unwrap_or(segment)).ok().map(Self::Email)
    }
}

/// Removes a mailbox.
pub async fn remove(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    id: GrantId,
) -> Result<(), Problem> {
    let event_id = EventId::new(act.at, entropy.ten());
    let command = RemoveGrant { act, application_id, id, event_id };
    if store.run(command).await? { Ok(()) } else { Err(Problem::not_found()) }
}

/// Shows a mailbox.
pub fn show(grant: &Grant) -> schema::Grant {
    let email = grant.email.to_string();
    schema::Grant {
        id: grant.id.to_string(),
        provider: "nylas",
        email: email.clone(),
        name: grant.name.clone(),
        grant_status: "valid",
        scope: Vec::new(),
        settings: schema::GrantSettings { email, has_app_password: grant.has_app_password },
        state: grant.state.clone(),
        ip: grant.ip.clone(),
        user_agent: grant.user_agent.clone(),
        blocked: grant.is_blocked,
        workspace_id: grant.workspace_id.map(|id| id.to_string()),
        placement: grant.placement.name(),
        credential_id: grant.connector_id.map(|id| id.to_string()),
        provider_user_id: None,
        account_id: None,
        created_at: grant.created_at.as_seconds(),
        updated_at: grant.updated_at.as_seconds(),
        email_aliases: Vec::new(),
        sending: None,
    }
}
