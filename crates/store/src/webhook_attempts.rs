//! Attempts to tell webhooks: what was sent and what came back. All that were not taken and the first that was taken after one are kept
//! for a while; of the others the last few.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{EventId, GrantId, ReplayId, WebhookId};
use postfleet_core::readers::Cause;
use std::time::Duration;

/// Attempts of one webhook that are kept at most.
pub const KEPT_MAX: i64 = 10_000;

/// Of those that were taken, and are kept only until others have come.
pub const PASSING_MAX: usize = 50;

/// It is looked for what is beyond the limit once in so many attempts.
const LOOK_EVERY: i64 = 250;

/// An attempt, about to be written.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// What was told.
    pub event_id: EventId,
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// Under which name.
    pub name: &'static str,
    /// For which replay.
    pub replay_id: Option<ReplayId>,
    /// When it was begun.
    pub at: UnixMicros,
    /// How long it took.
    pub took: Duration,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub cause: Option<Cause>,
    /// Whether it is kept only until others have come.
    pub is_passing: bool,
    /// Where it went, without a query.
    pub url: String,
    /// The header fields, as a JSON list of pairs, without signatures.
    pub request_headers: String,
    /// How long the body was, in octets, as it was sent.
    pub body_octets: u64,
    /// Its SHA-256.
    pub body_hash: [u8; 32],
    /// The header fields of the answer, as a JSON list of pairs; empty if there was none.
    pub answer_headers: String,
    /// The beginning of the answer's body.
    pub answer_body: Vec<u8>,
}

/// An attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number among those of its webhook.
    pub number: i64,
    /// What was told.
    pub event_id: EventId,
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// Under which name.
    pub name: String,
    /// For which replay.
    pub replay_id: Option<ReplayId>,
    /// When it was begun.
    pub at: UnixMicros,
    /// How long it took.
    pub took: Duration,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was not taken; `None` if it was.
    pub cause: Option<Cause>,
    /// Where it went, without a query.
    pub url: String,
    /// The header fields, as a JSON list of pairs, without signatures.
    pub request_headers: String,
    /// How long the body was, in octets, as it was sent.
    pub body_octets: u64,
    /// Its SHA-256.
    pub body_hash: Vec<u8>,
    /// The header fields of the answer, as a JSON list of pairs; empty if there was none.
    pub answer_headers: String,
    /// The beginning of the answer's body.
    pub answer_body: Vec<u8>,
}

/// Another command about a webhook or one of its replays, and what was attempted meanwhile: both in one transaction.
#[derive(Clone, Debug)]
pub struct WithAttempts<C> {
    /// The command.
    pub command: C,
    /// The webhook.
    pub webhook: WebhookId,
    /// What was attempted.
    pub attempts: Vec<NewAttempt>,
}

impl<C: Command + Sync> Command for WithAttempts<C> {
    /// That of the command. What was attempted is written whatever came of it: it did happen.
    type Outcome = C::Outcome;

    async fn run(&self, tx: &mut Tx) -> Result<C::Outcome, DbError> {
        // The row of the webhook is locked before that of a replay, as by whoever removes both.
        write(tx, self.webhook, &self.attempts).await?;
        self.command.run(tx).await
    }
}

/// Writes what was attempted.
#[derive(Clone, Debug)]
pub struct WriteAttempts {
    /// The webhook.
    pub webhook: WebhookId,
    /// What was attempted.
    pub attempts: Vec<NewAttempt>,
}

impl Command for WriteAttempts {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        write(tx, self.webhook, &self.attempts).await
    }
}

async fn write(tx: &mut Tx, webhook: WebhookId, attempts: &[NewAttempt]) -> Result<(), DbError> {
    const TAKE: &str = "UPDATE webhooks SET attempts = attempts + $2 WHERE id = $1 RETURNING attempts";
    const INSERT: &str = "INSERT INTO webhook_attempts (webhook_id, number, event_id, grant_id, name, replay_id, at, micros, \
        attempt, status, cause, is_taken, is_passing, url, request_headers, body_octets, body_hash, answer_headers, \
        answer_body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
    if attempts.is_empty() {
        return Ok(());
    }
    let (id, count) = (webhook.uuid(), attempts.len() as i64);
    // One that was removed meanwhile has no record any more.
    let Some(row) = tx.query_one(TAKE, params![id, count]).await? else { return Ok(()) };
    let last = row.int(0)?;
    let causes: Vec<String> = attempts.iter().map(|one| one.cause.map(Cause::name).unwrap_or_default()).collect();
    let rows: Vec<_> = (last - count + 1..)
        .zip(attempts.iter().zip(&causes))
        .map(|(number, (one, cause))| {
            params![
                id,
                number,
                one.event_id.uuid(),
                one.grant_id.uuid(),
                one.name,
                one.replay_id.map(ReplayId::uuid),
                one.at.as_micros(),
                i64::try_from(one.took.as_micros()).unwrap_or(i64::MAX),
                i64::from(one.attempt),
                i64::from(one.status.unwrap_or(0)),
                cause,
                one.cause.is_none(),
                one.is_passing,
                &one.url,
                &one.request_headers,
                one.body_octets as i64,
                &one.body_hash[..],
                &one.answer_headers,
                &one.answer_body[..]
            ]
            .to_vec()
        })
        .collect();
    tx.db().execute_each(INSERT, &rows).await?;
    if attempts.iter().any(|one| one.is_passing) {
        tx.execute(PASS, params![id, PASSING_MAX as i64]).await?;
    }
    if last / LOOK_EVERY != (last - count) / LOOK_EVERY {
        tx.execute(CUT, params![id, KEPT_MAX - LOOK_EVERY]).await?;
    }
    Ok(())
}

/// Removes attempts of before a time, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct PruneWebhookAttempts {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneWebhookAttempts {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute(OLD, params![self.before.as_micros(), self.limit as i64]).await
    }
}

macro_rules! attempt_columns {
    () => {
        "number, event_id, grant_id, name, replay_id, at, micros, attempt, status, cause, url, request_headers, \
         body_octets, body_hash, answer_headers, answer_body"
    };
}

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM webhook_attempts WHERE webhook_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3"
);
pub(crate) const LIST_OF_OUTCOME: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM webhook_attempts WHERE webhook_id = $1 AND is_taken = $4 AND number < $2 ORDER BY number DESC LIMIT $3"
);
pub(crate) const LIST_OF_EVENT: &str = concat!(
    "SELECT ",
    attempt_columns!(),
    " FROM webhook_attempts WHERE webhook_id = $1 AND event_id = $4 AND number < $2 \
        AND is_taken >= $5 AND is_taken <= $6 ORDER BY number DESC LIMIT $3"
);
const FIND: &str =
    concat!("SELECT ", attempt_columns!(), " FROM webhook_attempts WHERE webhook_id = $1 AND number = $2");

pub(crate) const PASS: &str = "DELETE FROM webhook_attempts WHERE webhook_id = $1 AND is_passing = 1 AND number <= \
    (SELECT number FROM webhook_attempts WHERE webhook_id = $1 AND is_passing = 1 ORDER BY number DESC LIMIT 1 OFFSET $2)";

pub(crate) const CUT: &str = "DELETE FROM webhook_attempts WHERE webhook_id = $1 AND number <= \
    (SELECT number FROM webhook_attempts WHERE webhook_id = $1 ORDER BY number DESC LIMIT 1 OFFSET $2)";

pub(crate) const OLD: &str = "DELETE FROM webhook_attempts WHERE (webhook_id, number) IN \
    (SELECT a.webhook_id, a.number FROM webhook_attempts a WHERE a.at < $1 ORDER BY a.at LIMIT $2)";

/// Which attempts are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only those of this event.
    pub event: Option<EventId>,
    /// Only those that were taken, or only those that were not.
    pub is_taken: Option<bool>,
}

/// Attempts of a webhook before a number, newest first.
pub async fn list(
    reader: &mut Reader<'_>,
    webhook: WebhookId,
    wanted: Wanted,
    (before, limit): (i64, usize),
) -> Result<Vec<Attempt>, StoreError> {
    let (id, limit) = (webhook.uuid(), limit as i64);
    let rows = match (wanted.event, wanted.is_taken) {
        (None, None) => reader.query(LIST, params![id, before, limit]).await?,
        (None, Some(is_taken)) => reader.query(LIST_OF_OUTCOME, params![id, before, limit, is_taken]).await?,
        (Some(event), is_taken) => {
            let (least, most) = (is_taken.unwrap_or(false), is_taken.unwrap_or(true));
            reader.query(LIST_OF_EVENT, params![id, before, limit, event.uuid(), least, most]).await?
        }
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// One attempt of a webhook.
pub async fn find(reader: &mut Reader<'_>, webhook: WebhookId, number: i64) -> Result<Option<Attempt>, StoreError> {
    let row = reader.query_one(FIND, params![webhook.uuid(), number]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Forgets the attempts of a webhook that is gone.
pub(crate) async fn forget(tx: &mut Tx, webhook: WebhookId) -> Result<(), DbError> {
    const REMOVE: &str = "DELETE FROM webhook_attempts WHERE webhook_id = $1";
    tx.execute(REMOVE, params![webhook.uuid()]).await?;
    Ok(())
}

fn read(row: &Row) -> Result<Attempt, DbError> {
    Ok(Attempt {
        number: row.int(0)?,
        event_id: EventId::from_uuid(row.uuid(1)?),
        grant_id: GrantId::from_uuid(row.uuid(2)?),
        name: row.text(3)?,
        replay_id: row.opt_uuid(4)?.map(ReplayId::from_uuid),
        at: UnixMicros::from_micros(row.int(5)?),
        took: Duration::from_micros(row.count(6)?),
        attempt: u32::try_from(row.int(7)?).unwrap_or(u32::MAX),
        status: u16::try_from(row.int(8)?).ok().filter(|status| *status > 0),
        cause: Cause::named(row.str(9)?),
        url: row.text(10)?,
        request_headers: row.text(11)?,
        body_octets: row.count(12)?,
        body_hash: row.bytes(13)?,
        answer_headers: row.text(14)?,
        answer_body: row.bytes(15)?,
    })
}
