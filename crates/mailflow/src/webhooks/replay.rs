//! Telling a webhook once more: one event, a part of the log, what happened since a time, or what was given up. A replay is read
//! by a [`super::Worker`] of its own, beside that of the webhook, so neither waits for the other.

use super::filter::Places;
use super::manage::{find, invalid};
use super::{LATE_MAX, wants};
use crate::platform::Platform;
use crate::wait::Place;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, ReplayId, WebhookId};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_schema::replay as schema;
use postfleet_store::events::{self, Event};
use postfleet_store::replays::{self, AskedFor, BeginReplay, Begun, CancelReplay, RUNNING_MAX, Replay, State};
use postfleet_store::webhooks::Webhook;
use postfleet_store::{Reader, grants};

/// Entries of one list of a request.
const LIST_MAX: usize = 100;

/// A replay has this part of the requests that may be under way to a webhook, and beside it this part of its rate.
const PART: u8 = 4;

/// Begins to tell a webhook once more what a request asks for.
pub async fn begin(
    platform: &Platform,
    application_id: ApplicationId,
    webhook: WebhookId,
    request: &schema::ReplayWebhook,
) -> Result<Replay, Problem> {
    let webhook = find(platform, application_id, webhook).await?;
    check(request)?;
    let mut reader = platform.store.reader().await?;
    let (first, last) = span(&mut reader, &webhook, request).await?;
    let asked_for = asked_for(&mut reader, application_id, request).await?;
    drop(reader);
    let now = platform.clock.now();
    let is_empty = first > last;
    let replay = Replay {
        id: ReplayId::new(now, platform.entropy.ten()),
        webhook_id: webhook.id,
        state: if is_empty { State::Done } else { State::Running },
        first,
        last,
        asked_for,
        position: first - 1,
        told: 0,
        given_up: 0,
        rests_until: None,
        created_at: now,
        ended_at: is_empty.then_some(now),
    };
    match platform.store.run(BeginReplay { application_id, replay: replay.clone() }).await? {
        Begun::Made => Ok(replay),
        Begun::Unknown => Err(Problem::not_found()),
        Begun::TooMany => {
            let text = format!("a webhook may have at most {RUNNING_MAX} replays that are not over");
            Err(Problem::new(ProblemKind::Conflict, "replays_max_reached", text))
        }
    }
}

/// The replays of a webhook, newest first.
pub async fn list(platform: &Platform, application: ApplicationId, id: WebhookId) -> Result<Vec<Replay>, Problem> {
    let webhook = find(platform, application, id).await?;
    Ok(replays::list(&mut platform.store.reader().await?, webhook.id).await?)
}

/// One replay of a webhook.
pub async fn look_up(
    platform: &Platform,
    application: ApplicationId,
    (webhook, id): (WebhookId, ReplayId),
) -> Result<Replay, Problem> {
    let webhook = find(platform, application, webhook).await?;
    let found = replays::find(&mut platform.store.reader().await?, webhook.id, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// Ends a replay, if it is not over.
pub async fn cancel(
    platform: &Platform,
    application: ApplicationId,
    (webhook, id): (WebhookId, ReplayId),
) -> Result<Replay, Problem> {
    let webhook_id = find(platform, application, webhook).await?.id;
    let ended = platform.store.run(CancelReplay { webhook_id, id, at: platform.clock.now() }).await?;
    ended.ok_or_else(Problem::not_found)
}

/// A replay as it is shown.
pub fn shown(replay: &Replay) -> schema::WebhookReplay {
    let asked = &replay.asked_for;
    schema::WebhookReplay {
        id: replay.id.to_string(),
        webhook_id: replay.webhook_id.to_string(),
        status: replay.state.name(),
        from: Place::behind(replay.first).write(),
        to: Place::behind(replay.last).write(),
        since: asked.since.map(UnixMicros::as_seconds),
        until: asked.until.map(UnixMicros::as_seconds),
        types: asked.triggers.iter().map(|trigger| trigger.name()).collect(),
        grant_ids: asked.grants.iter().map(ToString::to_string).collect(),
        given_up: asked.given_up,
        cursor: (replay.position >= replay.first).then(|| Place::behind(replay.position).write()),
        told: replay.told,
        not_taken: replay.given_up,
        created_at: replay.created_at.as_seconds(),
        ended_at: replay.ended_at.map(UnixMicros::as_seconds),
    }
}

/// Whether a replay, if it is one that reads for this webhook, asks for an event.
pub(super) fn asks_for(webhook: &Webhook, event: &Event) -> bool {
    let Some(Replay { asked_for, first, last, .. }) = &webhook.replay else { return true };
    let facts = &event.event;
    (*first..=*last).contains(&event.position)
        && (asked_for.triggers.is_empty() || asked_for.triggers.contains(&facts.trigger))
        && (asked_for.grants.is_empty() || asked_for.grants.contains(&facts.grant_id))
        && asked_for.since.is_none_or(|since| facts.at >= since)
        && asked_for.until.is_none_or(|until| facts.at < until)
}

/// Leaves only what was given up, where that is all that is asked for.
pub(super) async fn retain(reader: &mut Reader<'_>, webhook: &Webhook, events: &mut Vec<Event>) -> Result<(), Problem> {
    let replay = webhook.replay.as_ref().filter(|replay| replay.asked_for.given_up);
    let (Some(replay), Some(first), Some(last)) = (replay, events.first(), events.last()) else { return Ok(()) };
    let given_up = replays::given_up(reader, replay.webhook_id, (first.position, last.position)).await?;
    events.retain(|event| given_up.contains(&event.position));
    Ok(())
}

/// Up to where a webhook is told, if that is not to the end.
pub(super) fn last_position(webhook: &Webhook) -> i64 {
    webhook.replay.as_ref().map_or(i64::MAX, |replay| replay.last)
}

/// How many requests may be under way to a webhook, out of those that are configured.
pub(super) fn concurrency(webhook: &Webhook, configured: usize) -> usize {
    if webhook.replay.is_some() { (configured / usize::from(PART)).max(1) } else { configured }
}

/// How many events a second a webhook is told at most, if that is limited.
pub(super) fn rate(webhook: &Webhook) -> Option<u32> {
    let part = if webhook.replay.is_some() { u32::from(PART) } else { 1 };
    webhook.rate.map(|rate| (rate / part).max(1))
}

/// Refuses a request that says nothing, or two things.
fn check(request: &schema::ReplayWebhook) -> Result<(), Problem> {
    let schema::ReplayWebhook { event_id, from, to, since, until, given_up, .. } = request;
    let forms = [
        ("event_id", event_id.is_some()),
        ("from", from.is_some() || to.is_some()),
        ("since", since.is_some() || until.is_some()),
    ];
    let named: Vec<&str> = forms.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
    match named[..] {
        [] if *given_up != Some(true) => {
            Err(invalid("event_id", "one of event_id, from, since and given_up must say what is to be told"))
        }
        [_, other, ..] => {
            let text = format!("{other} must not be given with {}: they say two different things", named[0]);
            Err(invalid(other, text))
        }
        _ if to.is_some() && from.is_none() => Err(invalid("from", "from must be given with to")),
        _ if until.is_some() && since.is_none() => Err(invalid("since", "since must be given with until")),
        _ => Ok(()),
    }
}

/// The first and the last position of what is asked for. Nothing after the present end of the log: that is told as it happens.
async fn span(
    reader: &mut Reader<'_>,
    webhook: &Webhook,
    request: &schema::ReplayWebhook,
) -> Result<(i64, i64), Problem> {
    if let Some(id) = &request.event_id {
        let position = of_event(reader, webhook, id).await?;
        return Ok((position, position));
    }
    let head = events::head(reader).await?;
    if let Some(from) = &request.from {
        let first = Place::read(from, "from")?.position();
        let last = match &request.to {
            Some(to) => Place::read(to, "to")?.position(),
            None => head,
        };
        if last < first {
            return Err(invalid("to", "to must not be before from"));
        }
        return Ok((first.max(1), last.min(head)));
    }
    let (since, until) = (time("since", request.since)?, time("until", request.until)?);
    if until.is_some_and(|until| since.is_some_and(|since| until <= since)) {
        return Err(invalid("until", "until must be after since"));
    }
    // Neighbours in the log may be a little out of the order of time: what is too early or too late is left out one by one.
    let before = match since {
        Some(since) => events::position_at(reader, since.minus(LATE_MAX)).await?,
        None => 0,
    };
    let last = match until {
        Some(until) => events::position_at(reader, until.plus(LATE_MAX)).await?,
        None => head,
    };
    Ok((before + 1, last))
}

/// Where an event is that the webhook is told of.
async fn of_event(reader: &mut Reader<'_>, webhook: &Webhook, id: &str) -> Result<i64, Problem> {
    let found = match id.parse::<EventId>() {
        Ok(id) => events::find(reader, id).await?,
        Err(_) => None,
    };
    let found = found.filter(|event| event.event.application_id == webhook.application_id);
    let unknown = || invalid("event_id", "event_id must be the id of an event of this application that is still kept");
    let event = found.ok_or_else(unknown)?;
    let places = Places::of(reader, webhook, std::iter::once(&event)).await?;
    if !wants(webhook, &event) || !places.pass(webhook, &event) {
        return Err(invalid("event_id", "event_id must be an event of which this webhook is told"));
    }
    Ok(event.position)
}

async fn asked_for(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    request: &schema::ReplayWebhook,
) -> Result<AskedFor, Problem> {
    let types = request.types.as_deref().unwrap_or_default();
    let grant_ids = request.grant_ids.as_deref().unwrap_or_default();
    for (name, count) in [("types", types.len()), ("grant_ids", grant_ids.len())] {
        if count > LIST_MAX {
            return Err(invalid(name, format!("{name} must be at most {LIST_MAX}")));
        }
    }
    let mut triggers = Vec::new();
    for (index, name) in types.iter().enumerate() {
        let unknown = || invalid(&format!("types[{index}]"), format!("types[{index}]: {name:?} is not a trigger"));
        triggers.push(Trigger::subscribed_as(name).ok_or_else(unknown)?);
    }
    let mut grants = Vec::new();
    for (index, id) in grant_ids.iter().enumerate() {
        grants.push(mailbox(reader, application, id).await?.ok_or_else(|| {
            let field = format!("grant_ids[{index}]");
            invalid(&field, format!("{field} must be a mailbox of this application, which may be gone"))
        })?);
    }
    Ok(AskedFor {
        triggers,
        grants,
        since: time("since", request.since)?,
        until: time("until", request.until)?,
        given_up: request.given_up.unwrap_or(false),
    })
}

/// A mailbox that is there, or of which there are still events.
async fn mailbox(reader: &mut Reader<'_>, application: ApplicationId, id: &str) -> Result<Option<GrantId>, Problem> {
    let Ok(id) = id.parse::<GrantId>() else { return Ok(None) };
    if grants::find_id(reader, application, id).await?.is_some() {
        return Ok(Some(id));
    }
    let last = events::before_of_grant(reader, id, i64::MAX, 1).await?;
    Ok(last.first().filter(|event| event.event.application_id == application).map(|_| id))
}

fn time(field: &str, seconds: Option<i64>) -> Result<Option<UnixMicros>, Problem> {
    match seconds {
        Some(seconds) if !(0..=253_402_300_799).contains(&seconds) => {
            Err(invalid(field, format!("{field} must be from 0 to 253402300799, in unix seconds")))
        }
        _ => Ok(seconds.map(UnixMicros::from_seconds)),
    }
}
