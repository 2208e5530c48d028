//! Making and changing webhooks, with the handshake that proves that a receiver wants them.

use crate::platform::{Platform, Settings};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::event::{ACCEPTED_UNANNOUNCED, Trigger};
use postfleet_core::id::{ApplicationId, WebhookId};
use postfleet_core::{Problem, ProblemKind, Secret, UnixMicros};
use postfleet_schema::webhook as schema;
use postfleet_store::lag::{self, Pending};
use postfleet_store::webhooks::{self, Channel, CreateWebhook, RemoveWebhook, UpdateWebhook, Webhook};
use std::time::Duration;

/// Trigger names of one webhook.
const TRIGGERS_MAX: usize = 100;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Addresses that are told of failures.
const ADDRESSES_MAX: usize = 20;
/// Events that wait which are counted at most.
const PENDING_MAX: u64 = 1_000;
/// How long a receiver has to echo the challenge.
const CHALLENGE_DEADLINE: Duration = Duration::from_secs(10);

/// Makes a webhook, after its receiver has echoed a challenge.
pub async fn create(
    platform: &Platform,
    application_id: ApplicationId,
    request: &schema::CreateWebhook,
) -> Result<Webhook, Problem> {
    let now = platform.clock.now();
    let webhook = Webhook {
        id: WebhookId::new(now, platform.entropy.ten()),
        application_id,
        url: request.webhook_url.clone(),
        description: request.description.clone().unwrap_or_default(),
        triggers: request.trigger_types.clone(),
        secret: new_secret(platform),
        status: "active".to_owned(),
        notification_addresses: request.notification_email_addresses.clone().unwrap_or_default(),
        compressed: request.compressed_delivery.unwrap_or(false),
        position: 0,
        status_updated_at: now,
        created_at: now,
        updated_at: now,
        channel: Channel::Webhook,
        workspace_id: None,
        include_junk: request.include_junk.unwrap_or(false),
    };
    check(&webhook)?;
    challenge(platform, &webhook.url).await?;
    if platform.store.run(CreateWebhook(webhook.clone())).await? { Ok(webhook) } else { Err(url_taken()) }
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
    if let Some(status) = &request.status {
        new.status = status_named(status)?;
    }
    new.updated_at = now;
    if new.status != old.status {
        new.status_updated_at = now;
    }
    check(&new)?;
    if new.url != old.url || (new.status == "active" && old.status != "active") {
        challenge(platform, &new.url).await?;
    }
    if platform.store.run(UpdateWebhook(new.clone())).await? { Ok(new) } else { Err(url_taken()) }
}

/// Gives a webhook a new secret; the old one is worthless at once.
pub async fn rotate_secret(platform: &Platform, application: ApplicationId, id: WebhookId) -> Result<Webhook, Problem> {
    let old = find(platform, application, id).await?;
    let new = Webhook { secret: new_secret(platform), updated_at: platform.clock.now(), ..old };
    if platform.store.run(UpdateWebhook(new.clone())).await? { Ok(new) } else { Err(Problem::not_found()) }
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

/// Shows a webhook and what it is still to be told of, with its secret only when it is new.
pub async fn shown(platform: &Platform, webhook: &Webhook, with_secret: bool) -> Result<schema::Webhook, Problem> {
    let pending = lag::pending(&mut platform.store.reader().await?, webhook, PENDING_MAX).await?;
    Ok(show(webhook, with_secret, pending))
}

/// The same, where that is known.
pub fn show(webhook: &Webhook, with_secret: bool, pending: Pending) -> schema::Webhook {
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

fn status_named(name: &str) -> Result<String, Problem> {
    match name {
        "active" => Ok("active".to_owned()),
        "pause" | "paused" | "inactive" => Ok("pause".to_owned()),
        _ => Err(Problem::invalid("status", "status must be active or pause")),
    }
}

fn url_taken() -> Problem {
    let text = "a webhook with this webhook_url already exists";
    Problem { field: Some("webhook_url".into()), ..Problem::new(ProblemKind::Conflict, "webhook_url_taken", text) }
}

fn check(webhook: &Webhook) -> Result<(), Problem> {
    if webhook.triggers.is_empty() || webhook.triggers.len() > TRIGGERS_MAX {
        let text = format!("trigger_types must name 1 to {TRIGGERS_MAX} triggers");
        return Err(Problem::invalid("trigger_types", text));
    }
    for name in &webhook.triggers {
        if Trigger::subscribed_as(name).is_none() && !ACCEPTED_UNANNOUNCED.contains(&name.as_str()) {
            let text = format!("trigger_types: {name:?} is not a trigger");
            return Err(Problem::invalid("trigger_types", text));
        }
    }
    if webhook.description.chars().count() > DESCRIPTION_CHARS_MAX {
        let text = format!("description must be at most {DESCRIPTION_CHARS_MAX} characters");
        return Err(Problem::invalid("description", text));
    }
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if webhook.description.chars().any(is_bad) {
        return Err(Problem::invalid("description", "description must not have control characters"));
    }
    if webhook.url.chars().any(char::is_control) {
        return Err(Problem::invalid("webhook_url", "webhook_url must not have control characters"));
    }
    if webhook.notification_addresses.len() > ADDRESSES_MAX {
        let text = format!("notification_email_addresses must be at most {ADDRESSES_MAX}");
        return Err(Problem::invalid("notification_email_addresses", text));
    }
    if webhook.compressed {
        return Err(Problem::invalid("compressed_delivery", "compressed_delivery is not available yet"));
    }
    Ok(())
}

/// Asks the receiver to echo a random text, which shows that it expects us.
async fn challenge(platform: &Platform, url: &str) -> Result<(), Problem> {
    let refused = |text: String| Problem::invalid("webhook_url", format!("unable.verify.webhook_url : {text}"));
    platform.http.check_target(url).await.map_err(|error| refused(error.to_string()))?;
    let challenge = hex::encode(platform.entropy.sixteen());
    let separator = if url.contains('?') { '&' } else { '?' };
    let asked = format!("{url}{separator}challenge={challenge}");
    let answer = platform.http.get(&asked, &[], CHALLENGE_DEADLINE).await;
    let answer = answer.map_err(|error| refused(error.to_string()))?;
    if answer.status != 200 {
        return Err(refused(format!("status is not ok, got {}", answer.status)));
    }
    if answer.body_prefix != challenge.as_bytes() {
        return Err(refused("the body of the answer is not the challenge".to_owned()));
    }
    Ok(())
}
