//! The log of events, and what became of telling somebody of them.

use super::filter::Places;
use super::{LATE_MAX, wants};
use crate::platform::Platform;
use crate::wait::Place;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId};
use postfleet_core::readers::Cause;
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::event as schema;
use postfleet_store::Reader;
use postfleet_store::deliveries::{self, Delivery};
use postfleet_store::events::{self, Event};
use postfleet_store::webhooks::Webhook;
use serde_json::Value;

/// Events that are looked at for a page. There may be fewer on it than were asked for, and more behind it.
const LOOKED_AT_MAX: usize = 1_000;

/// In which order events are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// What happened last comes first.
    NewestFirst,
    /// As it happened: for who reads along.
    OldestFirst,
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// In which order.
    pub order: Order,
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

/// A page of an application's events, and the cursor of the next one.
pub async fn events(
    platform: &Platform,
    application: ApplicationId,
    wanted: Wanted<'_>,
) -> Result<(Vec<schema::Event>, Option<String>), Problem> {
    let mut reader = platform.store.reader().await?;
    let place = wanted.place(&mut reader).await?;
    // What is of no mailbox is of all applications.
    let grant = wanted.grant.filter(|grant| !grant.uuid().is_nil());
    let mut found = match (wanted.order, grant) {
        (Order::NewestFirst, None) => events::before_of(&mut reader, application, place, LOOKED_AT_MAX).await?,
        (Order::NewestFirst, Some(of)) => events::before_of_grant(&mut reader, of, place, LOOKED_AT_MAX).await?,
        (Order::OldestFirst, None) => events::after_of(&mut reader, application, place, LOOKED_AT_MAX).await?,
        (Order::OldestFirst, Some(of)) => events::after_of_grant(&mut reader, of, place, LOOKED_AT_MAX).await?,
    };
    // A mailbox is of one application: of another's nothing is left.
    found.retain(|event| event.event.application_id == application);
    let (page, next) = wanted.page(found, |event| event, |_| true);
    Ok((page.iter().map(shown).collect(), next))
}

/// One event of an application.
pub async fn event(platform: &Platform, application: ApplicationId, id: EventId) -> Result<schema::Event, Problem> {
    let found = events::find(&mut platform.store.reader().await?, id).await?;
    let found = found.filter(|event| event.event.application_id == application);
    found.as_ref().map(shown).ok_or_else(Problem::not_found)
}

/// A page of what became of telling a webhook or an alert of each event that it wants, newest first, and the cursor of
/// the next one. What was before it was made is no matter of its.
pub async fn deliveries(
    platform: &Platform,
    webhook: &Webhook,
    wanted: Wanted<'_>,
) -> Result<(Vec<schema::Delivery>, Option<String>), Problem> {
    let since = wanted.since.max(Some(webhook.created_at));
    let wanted = Wanted { order: Order::NewestFirst, since, ..wanted };
    let mut reader = platform.store.reader().await?;
    let before = wanted.place(&mut reader).await?;
    let found = deliveries::list(&mut reader, webhook, before, LOOKED_AT_MAX).await?;
    let places = Places::of(&mut reader, webhook, found.iter().map(|(event, _)| event)).await?;
    let is_told = |event: &Event| wants(webhook, event) && places.pass(webhook, event);
    let (page, next) = wanted.page(found, |(event, _)| event, is_told);
    Ok((page.iter().map(|(event, delivery)| told(event, *delivery)).collect(), next))
}

impl Wanted<'_> {
    /// Where the page begins: behind the one before, or at that end of the log that comes first.
    async fn place(&self, reader: &mut Reader<'_>) -> Result<i64, Problem> {
        match (self.cursor, self.order, self.since) {
            (Some(cursor), ..) => Ok(Place::read(cursor, "page_token")?.position()),
            (None, Order::NewestFirst, _) => Ok(i64::MAX),
            (None, Order::OldestFirst, Some(since)) => Ok(events::position_at(reader, since.minus(LATE_MAX)).await?),
            (None, Order::OldestFirst, None) => Ok(0),
        }
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
            let is_too_old = self.since.is_some_and(|since| facts.at < since);
            if is_too_old && self.order == Order::NewestFirst {
                return (page, None);
            }
            if page.len() == self.limit {
                more = true;
                break;
            }
            last = Some(*position);
            let is_wanted = self.trigger.is_none_or(|trigger| trigger == facts.trigger)
                && self.grant.is_none_or(|grant| grant == facts.grant_id)
                && !is_too_old
                && is_told(of);
            if is_wanted {
                page.push(one);
            }
        }
        (page, last.filter(|_| more).map(|last| Place::behind(last).write()))
    }
}

fn shown(event: &Event) -> schema::Event {
    let facts = &event.event;
    schema::Event {
        id: facts.id.to_string(),
        cursor: Place::behind(event.position).write(),
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
            | Trigger::AlertTriggered
            | Trigger::WebhookFailing
            | Trigger::WebhookFailed
            | Trigger::WebhookResumed => serde_json::from_str(&facts.data).unwrap_or(Value::Null),
            _ => Value::Null,
        },
        created_at: facts.at.as_seconds(),
    }
}

fn told(event: &Event, delivery: Delivery) -> schema::Delivery {
    let (state, attempts, next, given_up_at, cause) = match delivery {
        Delivery::Delivered => ("delivered", None, None, None, None),
        Delivery::Pending => ("pending", None, None, None, None),
        Delivery::Waiting { attempts, due_at, cause } => ("waiting", Some(attempts), due_at, None, cause),
        Delivery::GivenUp { attempts, at, cause } => ("given_up", Some(attempts), None, Some(at), cause),
    };
    schema::Delivery {
        event_id: event.event.id.to_string(),
        kind: event.event.trigger.name(),
        grant_id: grant_id(event.event.grant_id),
        state,
        attempts,
        next_attempt_at: next.map(UnixMicros::as_seconds),
        given_up_at: given_up_at.map(UnixMicros::as_seconds),
        reason: cause.map(Cause::name),
        created_at: event.event.at.as_seconds(),
    }
}

/// What concerns a whole workspace is of no mailbox.
fn grant_id(id: GrantId) -> Option<String> {
    (!id.uuid().is_nil()).then(|| id.to_string())
}
