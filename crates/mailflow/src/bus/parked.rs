//! Sends from the bus that were refused: putting them aside, showing them, sending them again, removing them.

use super::send::{self, Outcome, Refusal, Wanted, key_of};
use crate::platform::Platform;
use postfleet_core::audit::{Act, Author};
use postfleet_core::id::{ApplicationId, ParkedId};
use postfleet_core::{Problem, ProblemKind};
use postfleet_schema::parked_send as schema;
use postfleet_store::bus_parked::{self, Leaves, Park, ParkAgain, Parked, PruneParked, Reason, RemoveParked};
use std::time::Duration;

/// Octets of what was published that are kept of one.
const BODY_OCTETS_MAX: usize = 1 << 20;

/// How long a parked send is kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Puts a send aside. False when there are as many as there may be.
pub(super) async fn park(platform: &Platform, wanted: Wanted, reason: Reason) -> Result<bool, Problem> {
    let now = platform.clock.now();
    let Wanted { application, sender, place, id, body, .. } = wanted;
    let parked = Parked {
        id: ParkedId::new(now, platform.entropy.ten()),
        application_id: application,
        sender: send::shown(&sender),
        place,
        key: id.filter(|id| key_of(id).is_ok()),
        reason,
        retries: 0,
        octets: body.len() as u64,
        parked_at: now,
    };
    let body = (body.len() <= BODY_OCTETS_MAX).then(|| body.to_vec());
    tracing::info!(code = %parked.reason.code, sequence = place.1, "a send from the bus is put aside");
    Ok(platform.store.run(Park { parked, body }).await?)
}

/// An application's parked sends, newest first, and the cursor of the next page.
pub async fn list(
    platform: &Platform,
    application: ApplicationId,
    (limit, cursor): (usize, Option<&str>),
) -> Result<(Vec<schema::ParkedSend>, Option<String>), Problem> {
    let wrong = |_| Problem::invalid("page_token", "page_token must be the next_cursor of a page");
    let before = cursor.map(|cursor| cursor.parse::<ParkedId>().map_err(wrong)).transpose()?;
    let mut found = bus_parked::list(&mut platform.store.reader().await?, application, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok((found.iter().map(show).collect(), next))
}

/// A parked send, with what was published.
pub async fn find(
    platform: &Platform,
    application: ApplicationId,
    id: ParkedId,
) -> Result<schema::ParkedSendDetails, Problem> {
    let (parked, body) = load(platform, application, id).await?;
    let schema::ParkedSend { id, grant_id, message_id, error, retries, bytes, parked_at, expires_at } = show(&parked);
    let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
    Ok(schema::ParkedSendDetails { id, grant_id, message_id, error, retries, bytes, parked_at, expires_at, body })
}

async fn load(
    platform: &Platform,
    application: ApplicationId,
    id: ParkedId,
) -> Result<(Parked, Option<Vec<u8>>), Problem> {
    let found = bus_parked::find(&mut platform.store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

fn show(parked: &Parked) -> schema::ParkedSend {
    let Reason { status, code, message, field } = parked.reason.clone();
    schema::ParkedSend {
        id: parked.id.to_string(),
        grant_id: parked.sender.clone(),
        message_id: parked.key.clone(),
        error: schema::ParkedReason { status, code, message, field },
        retries: parked.retries,
        bytes: parked.octets,
        parked_at: parked.parked_at.as_seconds(),
        expires_at: parked.parked_at.plus(KEPT).as_seconds(),
    }
}

/// Sends a parked send again, under the key that it had. If it is accepted it is parked no more.
pub async fn retry(
    platform: &Platform,
    (act, author): (Act, Author),
    application: ApplicationId,
    id: ParkedId,
) -> Result<schema::RetriedSend, Problem> {
    let (parked, body) = load(platform, application, id).await?;
    let body = body.ok_or_else(|| {
        let text =
            format!("what was published is larger than {BODY_OCTETS_MAX} bytes and was not kept: publish it again");
        Problem::new(ProblemKind::Conflict, "parked_send_not_kept", text)
    })?;
    let Parked { sender, place, key, .. } = parked;
    let wanted = Wanted { application, sender, place, id: key, body: body.into(), by: Some(author) };
    let refusal = match send::carry_out(platform, wanted).await {
        Ok(outcome) => {
            platform.store.run(RemoveParked { act, application_id: application, id, why: Leaves::Sent }).await?;
            return Ok(retried(outcome));
        }
        Err(refusal) => refusal,
    };
    platform.store.run(ParkAgain { application_id: application, id, reason: refusal.reason() }).await?;
    Err(match refusal {
        Refusal::Now(problem) => problem,
        Refusal::Before(reason) => {
            let text = format!("a request with the same key was refused before: {}", reason.message);
            Problem::new(ProblemKind::Conflict, "refused_before", text)
        }
    })
}

fn retried(outcome: Outcome) -> schema::RetriedSend {
    let Outcome { status, message_id, thread_id, schedule_id, hold_id, duplicate } = outcome;
    schema::RetriedSend { status, message_id, thread_id, schedule_id, hold_id, duplicate }
}

/// Removes a parked send.
pub async fn remove(platform: &Platform, act: Act, application: ApplicationId, id: ParkedId) -> Result<(), Problem> {
    let command = RemoveParked { act, application_id: application, id, why: Leaves::Removed };
    if platform.store.run(command).await? { Ok(()) } else { Err(Problem::not_found()) }
}

/// Removes, at most so many at once, those whose time is over; answers how many that were.
pub(crate) async fn prune_once(platform: &Platform, limit: usize) -> Result<u64, Problem> {
    let before = platform.clock.now().minus(KEPT);
    Ok(platform.store.run(PruneParked { before, limit }).await?)
}
