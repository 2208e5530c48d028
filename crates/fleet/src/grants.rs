//! Mailboxes: making, finding, listing and removing them.

use postfleet_core::id::{ApplicationId, EventId, GrantId};
use postfleet_core::{EmailAddress, Problem, ProblemKind, UnixMicros, plan};
use postfleet_net::Entropy;
use postfleet_schema::grant as schema;
use postfleet_store::Store;
use postfleet_store::grants::{self, CreateGrant, Grant, GrantOutcome, RemoveGrant};

/// The longest display name.
pub const NAME_CHARS_MAX: usize = 256;

/// Makes the mailbox that a request asks for, or finds the one that is there.
pub async fn provision(
    store: &Store,
    entropy: &dyn Entropy,
    now: UnixMicros,
    application_id: ApplicationId,
    request: &schema::CreateGrant,
) -> Result<Grant, Problem> {
    let command = CreateGrant {
        id: GrantId::new(now, entropy.ten()),
        application_id,
        workspace_id: workspace(request)?,
        email: email(request)?,
        name: name(request)?,
        event_id: EventId::new(now, entropy.ten()),
        at: now,
    };
    let domain = command.email.domain().clone();
    match store.run(command).await? {
        GrantOutcome::Created(grant) | GrantOutcome::Existing(grant) => Ok(grant),
        GrantOutcome::Taken => {
            let text = "settings.email already exists in another application";
            Err(in_email(Problem::new(ProblemKind::Conflict, "email_taken", text)))
        }
        GrantOutcome::DomainUnknown => {
            let text = format!("domain is not registered: {}", request.settings.email);
            Err(in_email(Problem::new(ProblemKind::Invalid, "domain_not_registered", text)))
        }
        GrantOutcome::DomainUnowned => {
            let text = format!("domain is not verified: {domain}");
            Err(in_email(Problem::new(ProblemKind::Invalid, "domain_not_verified", text)))
        }
        GrantOutcome::TooMany(limit) => Err(plan::cap_reached("grants_max_reached", "agent accounts", limit)),
        GrantOutcome::WorkspaceUnknown => {
            Err(Problem::invalid("workspace_id", "workspace_id does not belong to this application"))
        }
    }
}

fn email(request: &schema::CreateGrant) -> Result<EmailAddress, Problem> {
    if request.provider != "nylas" {
        return Err(Problem::invalid("provider", "provider must be \"nylas\""));
    }
    let text = &request.settings.email;
    EmailAddress::parse(text)
        .map_err(|error| Problem::invalid("settings.email", format!("settings.email is not an address: {error}")))
}

fn name(request: &schema::CreateGrant) -> Result<String, Problem> {
    let name = request.name.clone().unwrap_or_default();
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::invalid("name", format!("name must be at most {NAME_CHARS_MAX} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "name must not have control characters"));
    }
    Ok(name)
}

fn workspace(request: &schema::CreateGrant) -> Result<Option<postfleet_core::id::WorkspaceId>, Problem> {
    let parse = |id: &String| id.parse().map_err(|_| Problem::invalid("workspace_id", "workspace_id must be a UUID"));
    request.workspace_id.as_ref().filter(|id| !id.is_empty()).map(parse).transpose()
}

fn in_email(problem: Problem) -> Problem {
    Problem { field: Some("settings.email".into()), ..problem }
}

/// Finds the mailbox that a path segment names: `<id>`, `grant:<id>`, `<email>` or `email:<email>`.
pub async fn find(store: &Store, application: ApplicationId, segment: &str) -> Result<Grant, Problem> {
    let mut reader = store.reader().await?;
    let id = segment.strip_prefix("grant:").unwrap_or(segment).parse::<GrantId>();
    let found = match id {
        Ok(id) => grants::find(&mut reader, application, id).await?,
        Err(_) => match EmailAddress::parse(segment.strip_prefix("email:").unwrap_or(segment)) {
            Ok(email) => grants::find_email(&mut reader, application, &email).await?,
            Err(_) => None,
        },
    };
    found.ok_or_else(Problem::not_found)
}

/// An application's mailboxes, newest first.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    limit: usize,
    offset: usize,
) -> Result<Vec<Grant>, Problem> {
    Ok(grants::list(&mut store.reader().await?, application, limit, offset).await?)
}

/// Removes a mailbox.
pub async fn remove(
    store: &Store,
    entropy: &dyn Entropy,
    now: UnixMicros,
    application_id: ApplicationId,
    id: GrantId,
) -> Result<(), Problem> {
    let command = RemoveGrant { application_id, id, event_id: EventId::new(now, entropy.ten()), at: now };
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
        blocked: grant.is_blocked,
        workspace_id: grant.workspace_id.map(|id| id.to_string()),
        created_at: grant.created_at.as_seconds(),
        updated_at: grant.updated_at.as_seconds(),
    }
}
