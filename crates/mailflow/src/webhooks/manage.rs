//! Making and changing webhooks, with the handshake that proves that a receiver wants them.

use crate::platform::{Platform, Settings};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::domain::Domain;
use postfleet_core::event;
use postfleet_core::event_filter::EventFilter;
use postfleet_core::id::{ApplicationId, WebhookId};
use postfleet_core::{EmailAddress, Patch, Problem, ProblemKind, Secret, UnixMicros};
use postfleet_fleet::workspaces;
use postfleet_schema::webhook as schema;
use postfleet_store::gaps::ForgetGap;
use postfleet_store::grants;
use postfleet_store::lag::{self, Pending};
use postfleet_store::webhooks::{
    self, CreateWebhook, Created, RemoveWebhook, RotateSecret, UpdateWebhook, WEBHOOKS_MAX, Webhook,
};
use std::time::Duration;

/// Trigger names of one webhook.
const TRIGGERS_MAX: usize = 100;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Addresses that are told of failures.
const ADDRESSES_MAX: usize = 20;
/// Events a second that a webhook may be limited to.
const RATE_MAX: u32 = 10_000;
/// Events that wait which are counted at most.
const PENDING_MAX: u64 = 1_000;
/// Entries of one list of a filter.
const FILTER_MAX: usize = 100;
/// For how long an old secret may sign beside the new one: a week.
const OVERLAP_MAX: Duration = Duration::from_secs(7 * 86_400);
/// How long a receiver has to echo the challenge, or to take a test event.
pub(super) const RECEIVER_DEADLINE: Duration = Duration::from_secs(10);

/// Makes a webhook, after its receiver has echoed a challenge.
pub async fn create(
    platform: &Platform,
    application_id: ApplicationId,
    request: &schema::CreateWebhook,
) -> Result<Webhook, Problem> {
    let now = platform.clock.now();
    let id = WebhookId::new(now, platform.entropy.ten());
    let webhook = Webhook {
        description: request.description.clone().unwrap_or_default(),
        triggers: request.trigger_types.clone(),
        secret: new_secret(platform),
        notification_addresses: request.notification_email_addresses.clone().unwrap_or_default(),
        compressed: request.compressed_delivery.unwrap_or(false),
        include_junk: request.include_junk.unwrap_or(false),
        filter: filter(platform, application_id, request.filters.as_ref()).await?,
        auto_resume: request.auto_resume.unwrap_or(true),
        rate: request.rate,
        ordered: request.ordered.unwrap_or(true),
        ..Webhook::new(id, application_id, request.webhook_url.clone(), now)
    };
    check(&webhook)?;
    challenge(platform, &webhook.url).await?;
    match platform.store.run(CreateWebhook(webhook.clone())).await? {
        Created::Made => Ok(webhook),
        Created::UrlTaken => Err(url_taken()),
        Created::TooMany => {
            let text = format!("an application may have at most {WEBHOOKS_MAX} webhooks");
            Err(Problem::new(ProblemKind::Conflict, "webhooks_max_reached", text))
        }
    }
}

/// Changes a webhook. A new URL, and one that is switched on again, must echo a challenge.
pub async fn update(
    platform: &Platform,
    application: ApplicationId,
    id: WebhookId,
    request: &schema::UpdateWebhook,
) -> Result<Webhook, Problem> {
    let now = platform.clock.now();
    let old = find(platform, application, id).await?;
    let mut new = old.clone();
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut new.url, &request.webhook_url);
    set(&mut new.description, &request.description);
    new.triggers = request.trigger_types.clone().unwrap_or(new.triggers);
    new.notification_addresses = request.notification_email_addresses.clone().unwrap_or(new.notification_addresses);
    new.compressed = request.compressed_delivery.unwrap_or(new.compressed);
    new.include_junk = request.include_junk.unwrap_or(new.include_junk);
    new.auto_resume = request.auto_resume.unwrap_or(new.auto_resume);
    new.rate = request.rate.apply(old.rate);
    new.ordered = request.ordered.unwrap_or(new.ordered);
    match &request.filters {
        Patch::Keep => {}
        Patch::Clear => new.filter = EventFilter::default(),
        Patch::Set(filters) => new.filter = filter(platform, application, Some(filters)).await?,
    }
    if let Some(status) = &request.status {
        new.status = status_named(status)?;
    }
    new.updated_at = now;
    if new.status != old.status {
        new.status_updated_at = now;
    }
    if request.gap.value().is_some() {
        return Err(invalid("gap", "gap can only be null, which forgets it"));
    }
    check(&new)?;
    if new.url != old.url || (new.status == "active" && old.status != "active") {
        challenge(platform, &new.url).await?;
    }
    if let (Patch::Clear, Some(seen)) = (&request.gap, old.gap) {
        platform.store.run(ForgetGap { application_id: application, id, seen }).await?;
    }
    if !platform.store.run(UpdateWebhook(new)).await? {
        return Err(url_taken());
    }
    find(platform, application, id).await
}

/// Gives a webhook a new secret. The old one signs beside it for as long as is wanted, and is worthless then.
pub async fn rotate_secret(
    platform: &Platform,
    application_id: ApplicationId,
    id: WebhookId,
    request: &schema::RotateSecret,
) -> Result<Webhook, Problem> {
    let overlap = Duration::from_secs(request.overlap_seconds.unwrap_or(0));
    if overlap > OVERLAP_MAX {
        let text = format!("overlap_seconds must be at most {}", OVERLAP_MAX.as_secs());
        return Err(invalid("overlap_seconds", text));
    }
    let at = platform.clock.now();
    let command =
        RotateSecret { application_id, id, secret: new_secret(platform), previous_until: at.plus(overlap), at };
    platform.store.run(command).await?.ok_or_else(Problem::not_found)
}

/// One webhook of an application.
pub async fn find(platform: &Platform, application: ApplicationId, id: WebhookId) -> Result<Webhook, Problem> {
    let found = webhooks::find(&mut platform.store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// An application's webhooks.
pub async fn list(platform: &Platform, application: ApplicationId) -> Result<Vec<Webhook>, Problem> {
    Ok(webhooks::list(&mut platform.store.reader().await?, application).await?)
}

/// From where webhooks are called, as the operator has said.
pub fn source_addresses(settings: &Settings) -> schema::SourceAddresses {
    schema::SourceAddresses {
        ip_addresses: settings.webhook_sources.iter().map(ToString::to_string).collect(),
        updated_at: settings.read_at.as_seconds(),
    }
}

/// Removes a webhook.
pub async fn remove(platform: &Platform, application_id: ApplicationId, id: WebhookId) -> Result<(), Problem> {
    let removed = platform.store.run(RemoveWebhook { application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// Shows a webhook as it is now and what it is still to be told of, with its secret only when it is new.
pub async fn shown(platform: &Platform, webhook: &Webhook, with_secret: bool) -> Result<schema::Webhook, Problem> {
    let pending = lag::pending(&mut platform.store.reader().await?, webhook, PENDING_MAX).await?;
    Ok(show(webhook, with_secret, pending, platform.clock.now()))
}

/// The same, where that is known.
pub fn show(webhook: &Webhook, with_secret: bool, pending: Pending, now: UnixMicros) -> schema::Webhook {
    schema::Webhook {
        id: webhook.id.to_string(),
        description: webhook.description.clone(),
        trigger_types: webhook.triggers.clone(),
        webhook_url: webhook.url.clone(),
        webhook_secret: with_secret.then(|| webhook.secret.expose().clone()),
        status: webhook.status.clone(),
        notification_email_addresses: webhook.notification_addresses.clone(),
        compressed_delivery: webhook.compressed,
        include_junk: webhook.include_junk,
        auto_resume: webhook.auto_resume,
        rate: webhook.rate,
        ordered: webhook.ordered,
        gap: webhook.gap.map(|gap| schema::Gap {
            from: gap.from.as_seconds(),
            to: gap.to.as_seconds(),
            events: gap.events,
        }),
        filters: schema::WebhookFilters {
            grant_ids: webhook.filter.grants.iter().map(ToString::to_string).collect(),
            workspace_ids: webhook.filter.workspaces.iter().map(ToString::to_string).collect(),
            domains: webhook.filter.domains.clone(),
        },
        previous_secret_until: webhook
            .previous
            .as_ref()
            .filter(|previous| now < previous.until)
            .map(|previous| previous.until.as_seconds()),
        pending: pending.events,
        oldest_pending_at: pending.oldest.map(UnixMicros::as_seconds),
        status_updated_at: webhook.status_updated_at.as_seconds(),
        created_at: webhook.created_at.as_seconds(),
        updated_at: webhook.updated_at.as_seconds(),
    }
}

fn new_secret(platform: &Platform) -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(platform.entropy.thirty_two()))
}

/// What is wrong with a request about webhooks. The hosted service has a word of its own for that.
pub(super) fn invalid(field: &str, text: impl Into<String>) -> Problem {
    Problem { code: "webhook_invalid", ..Problem::invalid(field, text) }
}

/// The receiver did not do what was asked of it, or may not be asked.
pub(super) fn unverified(text: impl std::fmt::Display) -> Problem {
    let text = format!("unable.verify.webhook_url : {text}");
    Problem { code: "webhook_unverified", ..Problem::invalid("webhook_url", text) }
}

/// Reads a filter: what it names must be of the application.
async fn filter(
    platform: &Platform,
    application: ApplicationId,
    wanted: Option<&schema::WebhookFilters>,
) -> Result<EventFilter, Problem> {
    let Some(schema::WebhookFilters { grant_ids, workspace_ids, domains }) = wanted else {
        return Ok(EventFilter::default());
    };
    for (name, list) in [("grant_ids", grant_ids), ("workspace_ids", workspace_ids), ("domains", domains)] {
        if list.len() > FILTER_MAX {
            return Err(invalid(&format!("filters.{name}"), format!("filters.{name} must be at most {FILTER_MAX}")));
        }
    }
    let unknown = |name: &str, index: usize, what: &str| {
        let field = format!("filters.{name}[{index}]");
        invalid(&field, format!("{field} must be {what}"))
    };
    let mut filter = EventFilter::default();
    let mut reader = platform.store.reader().await?;
    for (index, id) in grant_ids.iter().enumerate() {
        let found = match id.parse() {
            Ok(id) => grants::find_id(&mut reader, application, id).await?,
            Err(_) => None,
        };
        filter.grants.push(found.ok_or_else(|| unknown("grant_ids", index, "a mailbox of this application"))?);
    }
    drop(reader);
    for (index, id) in workspace_ids.iter().enumerate() {
        let found = workspaces::find(&platform.store, application, id).await.map_err(|problem| match problem.kind {
            ProblemKind::NotFound => unknown("workspace_ids", index, "a workspace of this application"),
            _ => problem,
        })?;
        filter.workspaces.push(found.workspace.id);
    }
    for (index, name) in domains.iter().enumerate() {
        let domain = Domain::parse(name).map_err(|_| unknown("domains", index, "a domain name"))?;
        filter.domains.push(domain.to_string());
    }
    Ok(filter)
}

fn status_named(name: &str) -> Result<String, Problem> {
    match name {
        "active" => Ok("active".to_owned()),
        "pause" | "paused" | "inactive" => Ok("pause".to_owned()),
        _ => Err(invalid("status", "status must be active or pause")),
    }
}

fn url_taken() -> Problem {
    let text = "a webhook with this webhook_url already exists";
    Problem { field: Some("webhook_url".into()), ..Problem::new(ProblemKind::Conflict, "webhook_url_taken", text) }
}

fn check(webhook: &Webhook) -> Result<(), Problem> {
    if webhook.triggers.is_empty() || webhook.triggers.len() > TRIGGERS_MAX {
        let text = format!("trigger_types must name 1 to {TRIGGERS_MAX} triggers");
        return Err(invalid("trigger_types", text));
    }
    for name in &webhook.triggers {
        if !event::is_accepted(name) {
            return Err(invalid("trigger_types", format!("trigger_types: {name:?} is not a trigger")));
        }
    }
    if webhook.description.chars().count() > DESCRIPTION_CHARS_MAX {
        let text = format!("description must be at most {DESCRIPTION_CHARS_MAX} characters");
        return Err(invalid("description", text));
    }
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if webhook.description.chars().any(is_bad) {
        return Err(invalid("description", "description must not have control characters"));
    }
    check_url(&webhook.url)?;
    if webhook.rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
        return Err(invalid("rate", format!("rate must be 1 to {RATE_MAX} events a second, or null")));
    }
    if webhook.notification_addresses.len() > ADDRESSES_MAX {
        let text = format!("notification_email_addresses must be at most {ADDRESSES_MAX}");
        return Err(invalid("notification_email_addresses", text));
    }
    for (index, address) in webhook.notification_addresses.iter().enumerate() {
        if let Err(error) = EmailAddress::parse(address) {
            let field = format!("notification_email_addresses[{index}]");
            return Err(invalid(&field, format!("{field} is not an address: {error}")));
        }
    }
    Ok(())
}

/// Refuses what no URL has, however lenient whoever reads it is.
pub(super) fn check_url(url: &str) -> Result<(), Problem> {
    if url.chars().any(char::is_control) {
        return Err(invalid("webhook_url", "webhook_url must not have control characters"));
    }
    Ok(())
}

/// Asks the receiver to echo a random text, which shows that it expects us.
pub(super) async fn challenge(platform: &Platform, url: &str) -> Result<(), Problem> {
    platform.http.check_target(url).await.map_err(unverified)?;
    let challenge = hex::encode(platform.entropy.sixteen());
    let separator = if url.contains('?') { '&' } else { '?' };
    let asked = format!("{url}{separator}challenge={challenge}");
    let answer = platform.http.get(&asked, &[], RECEIVER_DEADLINE).await.map_err(unverified)?;
    if answer.status != 200 {
        return Err(unverified(format_args!("status is not ok, got {}", answer.status)));
    }
    if answer.body_prefix != challenge.as_bytes() {
        return Err(unverified("the body of the answer is not the challenge"));
    }
    Ok(())
}
