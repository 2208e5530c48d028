//! Stops: reading what a request wants, carrying it out, and showing what there is.

use crate::input;
use crate::operator;
use crate::pages::{self, Page};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, EventId, GrantId, OrganizationId, StopId, WorkspaceId};
use postfleet_core::stop::{self, Kind, REASON_CHARS_MAX, REFERENCE_CHARS_MAX, Scope};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::stop as schema;
use postfleet_store::stops::{
    self, Author, Behind, Lift, LiftOutcome, LiftStop, RaiseOutcome, RaiseStop, Record, Whose, Within,
};
use postfleet_store::{Reader, Store, applications};

/// Characters of what is stopped: of an address.
const SUBJECT_CHARS_MAX: usize = 320;

/// What is counted behind a stop.
const COUNTED_MAX: u64 = 10_000;

/// Stops of a support bundle.
const BUNDLED_MAX: usize = 50;

/// A stop that somebody wants.
#[derive(Debug)]
pub struct Wish {
    /// What sort: a restriction or a switch.
    pub kind: Kind,
    /// What is stopped.
    pub scope: Option<String>,
    /// Which.
    pub subject: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The case.
    pub reference: Option<String>,
    /// What may be stopped.
    pub within: Within,
}

/// The scopes that an operator restricts.
const RESTRICTED: &[Scope] = &[Scope::Address, Scope::Domain, Scope::Organization, Scope::Application, Scope::Grant];
/// The scopes that an application stops.
const SWITCHED: &[Scope] = &[Scope::Grant, Scope::Workspace, Scope::Domain, Scope::Address, Scope::Application];

/// Stops somebody. If they are stopped like that already, that is answered.
pub async fn raise(store: &Store, entropy: &dyn Entropy, act: Act, wish: Wish) -> Result<schema::Stop, Problem> {
    let scope = scope(&wish)?;
    let reason = reason(wish.reason)?;
    let subject = match (wish.subject.unwrap_or_default(), scope, wish.within) {
        (text, Scope::Application, Within::Application(own)) if text.is_empty() => own.to_string(),
        (text, ..) if text.trim().is_empty() => {
            return Err(Problem::invalid("subject", "subject must be given: an id, a domain or an address"));
        }
        (text, ..) => text,
    };
    input::text("subject", &subject, SUBJECT_CHARS_MAX)?;
    let reference = wish.reference.filter(|text| !text.is_empty());
    if let Some(reference) = &reference {
        input::text("reference", reference, REFERENCE_CHARS_MAX)?;
    }
    let (now, event_id) = (act.at, EventId::new(act.at, entropy.ten()));
    let id = StopId::new(now, entropy.ten());
    let command =
        RaiseStop { id, act, event_id, kind: wish.kind, scope, subject, within: wish.within, reason, reference };
    match store.run(command).await? {
        RaiseOutcome::InForce(record, _) => shown(&mut store.reader().await?, &record).await,
        RaiseOutcome::NoSubject => {
            let what = scope.shown().replace('_', " ");
            let text = match scope {
                Scope::Address | Scope::Domain => format!("subject names no {what} that you may stop"),
                _ => format!("subject must be the id of a {what} that you may stop: it names none"),
            };
            Err(Problem::invalid("subject", text))
        }
    }
}

fn scope(wish: &Wish) -> Result<Scope, Problem> {
    let allowed = match (wish.kind, wish.within) {
        (Kind::Restriction, _) => RESTRICTED,
        (_, Within::Application(_)) => SWITCHED,
        (_, Within::Operator(_)) => &Scope::ALL[..Scope::ALL.len() - 1],
    };
    let meant = wish.scope.as_deref().and_then(Scope::meant).filter(|scope| allowed.contains(scope));
    meant.ok_or_else(|| {
        let words: Vec<&str> = allowed.iter().map(|scope| scope.shown()).collect();
        Problem::invalid("scope", format!("scope must be one of {}", words.join(", ")))
    })
}

fn reason(text: Option<String>) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Problem::invalid("reason", format!("reason must have 1 to {REASON_CHARS_MAX} characters")));
    }
    input::text("reason", &text, REASON_CHARS_MAX)?;
    Ok(text)
}

/// Lifts a stop; of one that was lifted already, that is answered.
pub async fn lift(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    (id, kind, within): (StopId, Option<Kind>, Within),
    request: schema::LiftStop,
) -> Result<schema::Stop, Problem> {
    let reason = reason(request.reason)?;
    let event_id = EventId::new(act.at, entropy.ten());
    match store.run(LiftStop { id, kind, within, lift: Lift { act, event_id, reason } }).await? {
        LiftOutcome::Lifted(record, _) => shown(&mut store.reader().await?, &record).await,
        LiftOutcome::NotFound => Err(Problem::not_found()),
        LiftOutcome::ByRecovery => Err(postfleet_core::recovery::only_by_recovery()),
        LiftOutcome::NotYours => Err(match within {
            Within::Application(_) => {
                let text = "only an operator lifts this stop: restrictions and pauses that of the installation, a stop of the \
                    organization its own";
                Problem::new(ProblemKind::Forbidden, "operator_lifts", text)
            }
            Within::Operator(_) => operator::installation_only(),
        }),
    }
}

/// What a list is asked for.
#[derive(Debug, Default)]
pub struct Query<'a> {
    /// How many.
    pub limit: usize,
    /// Where the page before has ended.
    pub page_token: Option<&'a str>,
    /// Only of this kind.
    pub kind: Option<&'a str>,
    /// Only of this scope.
    pub scope: Option<&'a str>,
    /// Only those of this mailbox.
    pub grant_id: Option<&'a str>,
    /// Only those of this workspace.
    pub workspace_id: Option<&'a str>,
    /// Only those that are in force, or are not.
    pub is_active: Option<bool>,
}

/// The stops that concern an application.
pub async fn whose(store: &Store, application: ApplicationId) -> Result<Whose, Problem> {
    let found = applications::find(&mut store.reader().await?, application).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    Ok(Whose::Application(found.organization_id, application))
}

/// A page of stops, newest first.
pub async fn list(store: &Store, whose: Whose, query: &Query<'_>) -> Result<Page<schema::Stop>, Problem> {
    let unknown = |field: &str| Problem::invalid(field, format!("{field} is not one of those that there are"));
    let kind = query.kind.map(|word| Kind::named(word).ok_or_else(|| unknown("kind"))).transpose()?;
    let scope = query.scope.map(|word| Scope::meant(word).ok_or_else(|| unknown("scope"))).transpose()?;
    let is_id = |field: &str| Problem::invalid(field, format!("{field} must be a UUID"));
    let grant = query.grant_id.map(|id| id.parse::<GrantId>().map_err(|_| is_id("grant_id"))).transpose()?;
    let workspace = query.workspace_id.map(|id| id.parse::<WorkspaceId>().map_err(|_| is_id("workspace_id")));
    let page = stops::Page {
        whose,
        kind,
        scope,
        grant,
        workspace: workspace.transpose()?,
        is_active: query.is_active,
        before: pages::after::<StopId>(query.page_token)?,
        limit: query.limit + 1,
    };
    let mut reader = store.reader().await?;
    let found = stops::list(&mut reader, &page).await?;
    let page = pages::cut(found, query.limit, |record| record.stop.id);
    let mut items = Vec::with_capacity(page.items.len());
    for record in &page.items {
        items.push(shown(&mut reader, record).await?);
    }
    Ok(Page { items, next_cursor: page.next_cursor })
}

/// A stop that somebody may see; of a kind, if only those are meant.
pub async fn find(store: &Store, whose: Whose, id: StopId, kind: Option<Kind>) -> Result<schema::Stop, Problem> {
    let mut reader = store.reader().await?;
    let found = stops::find(&mut reader, whose, id).await?;
    let record = found.filter(|record| kind.is_none_or(|kind| record.stop.kind == kind));
    shown(&mut reader, &record.ok_or_else(Problem::not_found)?).await
}

/// By what sending of a mailbox is stopped, if it is: what a send is told first.
pub async fn of_grant(
    store: &Store,
    application: ApplicationId,
    grant: GrantId,
) -> Result<Option<schema::GrantSending>, Problem> {
    let found = stops::all_of_grant(&mut store.reader().await?, application, grant).await?;
    let stop = stop::keeping_back(&found, false);
    Ok(stop.map(|stop| schema::GrantSending {
        stopped: true,
        stop_id: stop.id.to_string(),
        kind: stop.kind.name(),
        effect: stop.effect.name(),
        reason: stop.reason.clone(),
    }))
}

/// All stops that concern a mailbox, past and present: its own, and those in force of what it belongs to. Newest first.
pub async fn history(
    store: &Store,
    (organization, application): (OrganizationId, ApplicationId),
    grant: GrantId,
) -> Result<Vec<schema::Stop>, Problem> {
    let mut reader = store.reader().await?;
    let whose = Whose::Application(organization, application);
    let page = stops::Page {
        whose,
        kind: None,
        scope: None,
        grant: Some(grant),
        workspace: None,
        is_active: None,
        before: None,
        limit: BUNDLED_MAX,
    };
    let mut all = stops::list(&mut reader, &page).await?;
    for stop in stops::all_of_grant(&mut reader, application, grant).await? {
        if !all.iter().any(|known| known.stop.id == stop.id) {
            all.extend(stops::find(&mut reader, whose, stop.id).await?);
        }
    }
    all.sort_by_key(|record| std::cmp::Reverse(record.stop.id));
    let mut shown_all = Vec::with_capacity(all.len());
    for record in all.iter().take(BUNDLED_MAX) {
        shown_all.push(shown(&mut reader, record).await?);
    }
    Ok(shown_all)
}

async fn shown(reader: &mut Reader<'_>, record: &Record) -> Result<schema::Stop, Problem> {
    let behind = stops::behind(reader, record, COUNTED_MAX).await?;
    Ok(show(record, behind))
}

fn actor(author: &Author) -> schema::StopActor {
    schema::StopActor { kind: author.kind.clone(), id: author.id.clone(), name: author.name.clone() }
}

fn show(record: &Record, behind: Behind) -> schema::Stop {
    let stop = &record.stop;
    schema::Stop {
        id: stop.id.to_string(),
        kind: stop.kind.name(),
        effect: stop.effect.name(),
        scope: stop.scope.shown(),
        subject: stop.subject.clone(),
        reason: stop.reason.clone(),
        evidence: serde_json::from_str(&record.evidence).unwrap_or_default(),
        sends_per_hour: stop.value,
        reference: record.reference.clone(),
        organization_id: record.organization_id.to_string(),
        application_id: record.application_id.map(|id| id.to_string()),
        workspace_id: record.workspace_id.map(|id| id.to_string()),
        grant_id: record.grant_id.map(|id| id.to_string()),
        email: record.email.clone(),
        active: record.lifted_at.is_none(),
        raised_by: actor(&record.raised_by),
        raised_at: record.raised_at.as_seconds(),
        lifted_by: record.lifted_by.as_ref().map(actor),
        lifted_at: record.lifted_at.map(UnixMicros::as_seconds),
        lift_reason: record.lifted_why.clone(),
        queued_recipients: behind.recipients,
        held_sends: behind.holds,
    }
}
