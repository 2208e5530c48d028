//! Making, finding, removing and testing alerts.

use super::{chat, mail, text};
use crate::platform::Platform;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, WebhookId, WorkspaceId};
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_fleet::{grants, workspaces};
use postfleet_schema::alert as schema;
use postfleet_store::alerts::{self, ALERTS_MAX, CreateAlert, RemoveAlert};
use postfleet_store::webhooks::{Channel, Webhook};

/// What alerts may be told of.
const TRIGGERS: [Trigger; 16] = [
    Trigger::QuotaWarning,
    Trigger::QuotaReached,
    Trigger::QuotaExceeded,
    Trigger::RaiseRequested,
    Trigger::RecoveryRequested,
    Trigger::RaiseDecided,
    Trigger::RecoveryDecided,
    Trigger::SendingStopped,
    Trigger::SendingResumed,
    Trigger::BreakerTripped,
    Trigger::DomainEndangered,
    Trigger::ReputationChanged,
    Trigger::AlertTriggered,
    Trigger::WebhookFailing,
    Trigger::WebhookFailed,
    Trigger::WebhookResumed,
];
/// How many of them, from the first, an alert is told of that names none.
const USUAL: usize = 5;
/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 256;
/// Characters of a chat's address.
const URL_CHARS_MAX: usize = 2_048;

/// Makes an alert.
pub async fn create(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreateAlert,
) -> Result<Webhook, Problem> {
    let now = act.at;
    let (channel, url) = channel(platform, application_id, &request).await?;
    let triggers = triggers(request.trigger_types)?;
    let description = request.description.unwrap_or_default();
    if description.chars().count() > DESCRIPTION_CHARS_MAX || description.chars().any(char::is_control) {
        let text =
            format!("description must have at most {DESCRIPTION_CHARS_MAX} characters, and no control characters");
        return Err(Problem::invalid("description", text));
    }
    let alert = Webhook {
        description,
        triggers,
        channel,
        workspace_id: workspace(platform, application_id, request.workspace_id.as_deref()).await?,
        ..Webhook::new(WebhookId::new(now, platform.entropy.ten()), application_id, url, now)
    };
    if platform.store.run(CreateAlert { act, alert: alert.clone() }).await? {
        return Ok(alert);
    }
    let text = format!("an application may have at most {ALERTS_MAX} alerts");
    Err(Problem::new(ProblemKind::Conflict, "alerts_max_reached", text))
}

async fn channel(
    platform: &Platform,
    application: ApplicationId,
    request: &schema::CreateAlert,
) -> Result<(Channel, String), Problem> {
    match request.kind.as_deref() {
        Some("chat") => {
            let url = request.url.as_deref().unwrap_or_default();
            if url.is_empty() || url.len() > URL_CHARS_MAX || url.chars().any(char::is_control) {
                let text =
                    format!("url must be an address of 1 to {URL_CHARS_MAX} characters without control characters");
                return Err(Problem::invalid("url", text));
            }
            let refused = |error| Problem::invalid("url", format!("url cannot be used: {error}"));
            platform.http.check_target(url).await.map_err(refused)?;
            Ok((Channel::Chat, url.to_owned()))
        }
        Some("email") => {
            let email = EmailAddress::parse(request.email.as_deref().unwrap_or_default().trim());
            let email =
                email.map_err(|error| Problem::invalid("email", format!("email is not an address: {error}")))?;
            let from = request.from_grant_id.as_deref().unwrap_or_default();
            let unknown = |problem: Problem| match problem.kind {
                ProblemKind::NotFound => {
                    Problem::invalid("from_grant_id", "from_grant_id must be a mailbox of this application")
                }
                _ => problem,
            };
            let grant = grants::find(&platform.store, application, from).await.map_err(unknown)?;
            Ok((Channel::Email(grant.id), format!("mailto:{email}")))
        }
        _ => Err(Problem::invalid("type", "type must be email or chat")),
    }
}

fn triggers(wanted: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
    let names = TRIGGERS.map(Trigger::name);
    let Some(wanted) = wanted else { return Ok(names[..USUAL].iter().map(|name| (*name).to_owned()).collect()) };
    let is_known = |name: &String| names.contains(&name.as_str());
    if wanted.is_empty() || wanted.len() > names.len() || !wanted.iter().all(is_known) {
        let text = format!("trigger_types must name 1 to {} of {}", names.len(), names.join(", "));
        return Err(Problem::invalid("trigger_types", text));
    }
    Ok(wanted)
}

async fn workspace(
    platform: &Platform,
    application: ApplicationId,
    id: Option<&str>,
) -> Result<Option<WorkspaceId>, Problem> {
    let Some(id) = id else { return Ok(None) };
    match workspaces::find(&platform.store, application, id).await {
        Ok(found) => Ok(Some(found.workspace.id)),
        Err(problem) if problem.kind == ProblemKind::NotFound => {
            Err(Problem::invalid("workspace_id", "workspace_id must be a workspace of this application"))
        }
        Err(problem) => Err(problem),
    }
}

/// An application's alerts.
pub async fn list(platform: &Platform, application: ApplicationId) -> Result<Vec<Webhook>, Problem> {
    Ok(alerts::list(&mut platform.store.reader().await?, application).await?)
}

/// One alert of an application.
pub async fn find(platform: &Platform, application: ApplicationId, id: WebhookId) -> Result<Webhook, Problem> {
    alerts::find(&mut platform.store.reader().await?, application, id).await?.ok_or_else(Problem::not_found)
}

/// Removes an alert.
pub async fn remove(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    id: WebhookId,
) -> Result<(), Problem> {
    let removed = platform.store.run(RemoveAlert { act, application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// Tells an alert that this is a test, at once and once.
pub async fn test(platform: &Platform, alert: &Webhook) -> Result<schema::AlertTest, Problem> {
    let said = text::test();
    let detail = match alert.channel {
        Channel::Email(grant) => {
            let what = format!("test {}", hex::encode(platform.entropy.sixteen()));
            mail(platform, alert, grant, &what, said).await.err().map(|problem| problem.public)
        }
        Channel::Chat | Channel::Webhook => match chat(platform, alert, &said).await {
            Ok(answer) if (200..300).contains(&answer.status) => None,
            Ok(answer) => Some(format!("the chat answered with status {}", answer.status)),
            Err(failure) => Some(failure.to_string()),
        },
    };
    Ok(schema::AlertTest { delivered: detail.is_none(), detail })
}

/// Shows an alert. Of a chat's address only the host: the rest is its password.
pub fn show(alert: &Webhook) -> schema::Alert {
    let (kind, from) = match alert.channel {
        Channel::Email(grant) => ("email", Some(grant.to_string())),
        Channel::Chat | Channel::Webhook => ("chat", None),
    };
    let email = alert.url.strip_prefix("mailto:").map(str::to_owned);
    schema::Alert {
        id: alert.id.to_string(),
        kind,
        url_host: if email.is_some() { None } else { Some(host(&alert.url).to_owned()) },
        email,
        from_grant_id: from,
        trigger_types: alert.triggers.clone(),
        workspace_id: alert.workspace_id.map(|id| id.to_string()),
        description: alert.description.clone(),
        created_at: alert.created_at.as_seconds(),
    }
}

/// The host of an address: the rest may be a secret.
pub(crate) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Who signs in there is a secret, too.
    authority.rsplit('@').next().unwrap_or_default()
}
