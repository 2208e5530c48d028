//! Making many mailboxes in one request: what is wrong with one is said of it alone.

use super::check;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, EventId, GrantId};
use postfleet_core::{Problem, ProblemKind};
use postfleet_net::Entropy;
use postfleet_schema::bulk::{BulkGrant, BulkGrantSettings, CreateGrants as Request, Loose, LooseText};
use postfleet_store::Store;
use postfleet_store::grants::{CreateGrants, Grant, NewGrant, Origin};

/// Mailboxes in one request.
pub const BULK_MAX: usize = 1_000;

/// A mailbox that was asked for.
#[derive(Clone, Debug)]
pub struct Provided {
    /// The mailbox.
    pub grant: Grant,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// Makes the mailboxes that a request asks for, or finds those that are there; answers one for each, in their order.
pub async fn provision_all(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    origin: Origin,
    application_id: ApplicationId,
    request: Request,
) -> Result<Vec<Result<Provided, Problem>>, Problem> {
    if !(1..=BULK_MAX).contains(&request.grants.len()) {
        return Err(Problem::invalid("grants", format!("grants must have 1 to {BULK_MAX} mailboxes")));
    }
    let wanted = wanted(entropy, &act, request.grants);
    let grants: Vec<NewGrant> = wanted.iter().filter_map(|wanted| wanted.as_ref().ok()).cloned().collect();
    let mut outcomes = store.run(CreateGrants { act, application_id, origin, grants }).await?.into_iter();
    let provided = wanted.into_iter().map(|wanted| {
        let wanted = wanted?;
        let outcome = outcomes.next().ok_or_else(|| Problem::internal("a mailbox has no outcome"))?;
        check::outcome(outcome, &wanted.email).map(|(grant, is_new)| Provided { grant, is_new })
    });
    Ok(provided.collect())
}

fn wanted(entropy: &dyn Entropy, act: &Act, grants: Vec<Loose<BulkGrant>>) -> Vec<Result<NewGrant, Problem>> {
    // Ids of one moment have no order but that of chance: sorted, they have that of the request, and their rows go to
    // the end of every index.
    let mut ids: Vec<GrantId> = grants.iter().map(|_| GrantId::new(act.at, entropy.ten())).collect();
    ids.sort_unstable();
    let one = |(grant, id)| new(grant, id, EventId::new(act.at, entropy.ten()));
    grants.into_iter().zip(ids).map(one).collect()
}

fn new(grant: Loose<BulkGrant>, id: GrantId, event_id: EventId) -> Result<NewGrant, Problem> {
    let Loose::Object(grant) = grant else {
        return Err(Problem::new(ProblemKind::Invalid, "invalid_request", "a mailbox must be an object"));
    };
    let settings = match grant.settings {
        Loose::Object(settings) => settings,
        Loose::Absent => BulkGrantSettings::default(),
        Loose::Wrong => return Err(Problem::invalid("settings", "settings must be an object")),
    };
    if !matches!(settings.app_password, LooseText::Absent) {
        let text =
            "settings.app_password is not taken for many mailboxes at once; give it with PATCH /v3/grants/{grant}";
        return Err(Problem::invalid("settings.app_password", text));
    }
    let email = text("settings.email", settings.email)?;
    let email = email.ok_or_else(|| Problem::invalid("settings.email", "settings.email is missing"))?;
    Ok(NewGrant {
        id,
        workspace_id: text("workspace_id", grant.workspace_id)?.as_deref().map(check::workspace).transpose()?,
        email: check::email(&email)?,
        name: text("name", grant.name)?.map(check::name).transpose()?,
        app_password: None,
        state: text("state", grant.state)?.map(check::state).transpose()?,
        event_id,
    })
}

fn text(field: &str, value: LooseText) -> Result<Option<String>, Problem> {
    match value {
        LooseText::Absent => Ok(None),
        LooseText::Text(text) => Ok(Some(text)),
        LooseText::Wrong => Err(Problem::invalid(field, format!("{field} must be text"))),
    }
}
