//! The log of events, and what became of telling somebody of them.

use super::wants;
use crate::platform::Platform;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::event as schema;
use postfleet_store::deliveries::{self, Delivery};
use postfleet_store::events::{self, Event};
use postfleet_store::webhooks::Webhook;
use serde_json::Value;

/// Events that are looked at for a page. There may be fewer on it than were asked for, and more behind it.
const LOOKED_AT_MAX: usize = 1_000;

/// Which events are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of this kind only.
    pub trigger: Option<Trigger>,
    /// Of this mailbox only.
    pub grant: Option<GrantId>,
    /// None before this.
    pub since: Option<UnixMicros>,
    /// How many on a page.
    pub limit: usize,
    /// Where the page before has ended.
    pub cursor: Option<&'a str>,
}

/// A page of an application's events, newest first, and the cursor of the next one.
pub async fn events(
    platform: &Platform,
    application: ApplicationId,
    wanted: Wanted<'_>,
) -> Result<(Vec<schema::Event>, Option<String>), Problem> {
    let before = wanted.before()?;
    let found = events::before_of(&mut platform.store.reader().await?, application, before, LOOKED_AT_MAX).await?;
    let (page, next) = wanted.page(found, |event| event, |_| true);
    Ok((page.iter().map(shown).collect(), next))
}

/// A page of what became of telling a webhook or an alert of each event that it wants, newest first, and the cursor of
/// the next one. What was before it was made is no matter of its.
pub async fn deliveries(
    platform: &Platform,
    webhook: &Webhook,
    wanted: Wanted<'_>,
) -> Result<(Vec<schema::Delivery>, Option<String>), Problem> {
    let wanted = Wanted { since: wanted.since.max(Some(webhook.created_at)), ..wanted };
    let before = wanted.before()?;
    let found = deliveries::list(&mut platform.store.reader().await?, webhook, before, LOOKED_AT_MAX).await?;
    let is_told = |event: &Event| wants(webhook, event);
    let (page, next) = wanted.page(found, |(event, _)| event, is_told);
    Ok((page.iter().map(|(event, delivery)| told(event, *delivery)).collect(), next))
}

impl Wanted<'_> {
    fn before(&self) -> Result<i64, Problem> {
        let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
        let Some(cursor) = self.cursor else { return Ok(i64::MAX) };
        let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).ok_or_else(invalid)
    }

    /// Takes the wanted ones until the page is full. There may be more behind it if it is, or if not all were looked at.
    fn page<T>(
        &self,
        found: Vec<T>,
        event: impl Fn(&T) -> &Event,
        is_told: impl Fn(&Event) -> bool,
    ) -> (Vec<T>, Option<String>) {
        let (mut page, mut last, mut more) = (Vec::new(), None, found.len() == LOOKED_AT_MAX);
        for one in found {
            let of = event(&one);
            let Event { position, event: facts, .. } = of;
            if self.since.is_some_and(|since| facts.at < since) {
                return (page, None);
            }
            if page.len() == self.limit {
                more = true;
                break;
            }
            last = Some(*position);
            let is_wanted = self.trigger.is_none_or(|trigger| trigger == facts.trigger)
                && self.grant.is_none_or(|grant| grant == facts.grant_id)
                && is_told(of);
            if is_wanted {
                page.push(one);
            }
        }
        (page, last.filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last.to_string())))
    }
}

fn shown(event: &Event) -> schema::Event {
    let facts = &event.event;
    schema::Event {
        id: facts.id.to_string(),
        kind: facts.trigger.name(),
        grant_id: grant_id(facts.grant_id),
        grant_sequence: facts.grant_sequence,
        message_id: facts.message_id.map(|id| id.to_string()),
        junk: facts.is_of_junk(),
        // What messages and mailboxes are is shown where they are, as they are now.
        object: match facts.trigger {
            Trigger::FolderCreated
            | Trigger::FolderUpdated
            | Trigger::FolderDeleted
            | Trigger::QuotaWarning
            | Trigger::QuotaReached
            | Trigger::QuotaExceeded
            | Trigger::RaiseRequested
            | Trigger::RaiseDecided
            | Trigger::RecoveryRequested
            | Trigger::RecoveryDecided
            | Trigger::ReputationChanged
            | Trigger::SendingStopped
            | Trigger::SendingResumed
            | Trigger::BreakerTripped
            | Trigger::DomainEndangered
            | Trigger::AlertTriggered => serde_json::from_str(&facts.data).unwrap_or(Value::Null),
            _ => Value::Null,
        },
        created_at: facts.at.as_seconds(),
    }
}

fn told(event: &Event, delivery: Delivery) -> schema::Delivery {
    let (state, attempts, next) = match delivery {
        Delivery::Delivered => ("delivered", None, None),
        Delivery::Pending => ("pending", None, None),
        Delivery::Waiting { attempts, due_at } => ("waiting", Some(attempts), due_at),
        Delivery::GivenUp => ("given_up", None, None),
    };
    schema::Delivery {
        event_id: event.event.id.to_string(),
        kind: event.event.trigger.name(),
        grant_id: grant_id(event.event.grant_id),
        state,
        attempts,
        next_attempt_at: next.map(UnixMicros::as_seconds),
        created_at: event.event.at.as_seconds(),
    }
}

/// What concerns a whole workspace is of no mailbox.
fn grant_id(id: GrantId) -> Option<String> {
    (!id.uuid().is_nil()).then(|| id.to_string())
}
