//! Doing once what is asked for more than once: answers to requests under a key, and what each mailbox has just sent. What
//! a send leaves here is written in the transaction that accepts it, so that a crash neither loses nor doubles it.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{GrantId, HoldId, MessageId, SenderPoolId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_core::suppression::{Reason, Suppressed};
use postfleet_core::{EmailAddress, Problem, UnixMicros, idempotency};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A request under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Where the key is known: the id of a mailbox, of a pool of them, or of an application.
    pub scope: Uuid,
    /// The hash of the key.
    pub key: [u8; 32],
    /// The hash of what is asked for.
    pub request: [u8; 32],
    /// The id of this request, which its answer names.
    pub request_id: String,
    /// For how long the answer is kept; at least [`idempotency::KEPT`].
    pub kept: Duration,
}

impl KeyedRequest {
    /// The refusal of a request whose key was used for the request of that hash. Its answer was not there when this one
    /// began, so both were under way.
    fn refusal(&self, used: &[u8]) -> Problem {
        if used == self.request { idempotency::concurrent() } else { idempotency::other_request() }
    }
}

/// What is sent, for telling whether it was sent a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The hash of whom it goes to and what it says.
    pub hash: [u8; 32],
    /// For how long the same is not sent again.
    pub window: Duration,
    /// Whether it is sent all the same.
    pub may_repeat: bool,
}

/// What keeps a send from happening twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Once {
    /// The key that it came with.
    pub key: Option<KeyedRequest>,
    /// What it says; none where repeats are meant.
    pub content: Option<Content>,
    /// The pool that chose the mailbox.
    pub pool: Option<SenderPoolId>,
}

/// What is known about an earlier one.
pub(crate) enum Earlier {
    /// There is none that matters.
    Nothing,
    /// The key was used.
    Key(Problem),
    /// The same was sent a moment ago, but not to these.
    Sent(MessageId, ThreadId, Vec<Suppressed>),
}

/// Joins that find what was sent by the mailbox `g` before, with the values of [`Once::bounds`] as `$5` to `$8`
/// and that of [`Once::scope`] as `$12`, and the
/// columns that [`Once::earlier`] reads.
macro_rules! earlier_joins {
    () => {
        " LEFT JOIN idempotency_keys k ON k.scope_id = $12 AND k.key_hash = $5 AND k.created_at > $6 \
         LEFT JOIN recent_sends r ON r.grant_id = g.id AND r.content_hash = $7 AND r.sent_at > $8"
    };
}
macro_rules! earlier_columns {
    () => {
        "k.request_hash, r.message_id, r.thread_id, r.suppressed"
    };
}
pub(crate) use {earlier_columns, earlier_joins};

/// How many columns `earlier_columns!` names.
pub(crate) const EARLIER_COLUMNS: usize = 4;

/// The newest time at which what was kept for `kept` no longer counts.
fn over(at: UnixMicros, kept: Duration) -> i64 {
    at.minus(kept).as_micros()
}

impl Once {
    /// Where the key is known; that of the mailbox if there is no key.
    pub(crate) fn scope(&self, grant: GrantId) -> Uuid {
        self.key.as_ref().map_or(grant.uuid(), |key| key.scope)
    }

    /// What is looked for at a time: the key and since when it counts, the content and since when it does. Nothing has an
    /// empty hash.
    pub(crate) fn bounds(&self, at: UnixMicros) -> (&[u8], i64, &[u8], i64) {
        let key = self.key.as_ref().map_or([].as_slice(), |key| &key.key);
        let content = self.content.as_ref().filter(|content| !content.may_repeat && self.key.is_none());
        let since = content.map_or(at.as_micros(), |content| over(at, content.window));
        (key, over(at, idempotency::KEPT), content.map_or(&[], |content| &content.hash), since)
    }

    /// Reads the columns of `earlier_columns!`, of which the first is at `first`.
    pub(crate) fn earlier(&self, row: &Row, first: usize) -> Result<Earlier, DbError> {
        if let (Some(key), Some(used)) = (&self.key, row.opt_bytes(first)?) {
            return Ok(Earlier::Key(key.refusal(&used)));
        }
        Ok(match row.opt_uuid(first + 1)? {
            Some(message) => {
                let thread = ThreadId::from_uuid(row.uuid(first + 2)?);
                let suppressed = serde_json::from_str(row.str(first + 3)?).ok();
                let suppressed = suppressed.as_ref().and_then(left_out).ok_or(DbError::Malformed("suppressed"))?;
                Earlier::Sent(MessageId::from_uuid(message), thread, suppressed)
            }
            None => Earlier::Nothing,
        })
    }

    /// Remembers what was just accepted, with which status, and who does not get it.
    pub(crate) async fn remember(
        &self,
        tx: &mut Tx,
        grant: GrantId,
        sent: (u16, MessageId, ThreadId, &Placement),
        suppressed: &[Suppressed],
        at: UnixMicros,
    ) -> Result<(), DbError> {
        const SENT: &str = "INSERT INTO recent_sends (grant_id, content_hash, message_id, thread_id, suppressed, sent_at) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (grant_id, content_hash) DO UPDATE \
            SET message_id = excluded.message_id, thread_id = excluded.thread_id, suppressed = excluded.suppressed, \
            sent_at = excluded.sent_at";
        let (status, message, thread, placement) = sent;
        let suppressed = suppressed.iter().map(|one| json!([one.address.to_string(), one.reason.name()]));
        let suppressed: Value = suppressed.collect();
        if let Some(content) = self.content.as_ref().filter(|content| !content.window.is_zero()) {
            let hash = content.hash.as_slice();
            let (left_out, at) = (suppressed.to_string(), at.as_micros());
            tx.execute(SENT, params![grant.uuid(), hash, message.uuid(), thread.uuid(), &left_out, at]).await?;
        }
        if let Some(key) = &self.key {
            let Placement { folders, unread, starred } = placement;
            let answer = json!({"grant_id": grant.to_string(), "thread_id": thread.to_string(), "folders": folders, "unread": unread,
                "starred": starred, "suppressed": suppressed});
            keep(tx, key, (status, Some(message), &answer.to_string()), at).await?;
        }
        Ok(())
    }
}

/// Writes the answer to a request under its key, unless there is one that still counts: status, the message that was
/// accepted, and the body or what is kept of it. For the transaction that does what is asked for.
pub(crate) async fn keep(
    tx: &mut Tx,
    request: &KeyedRequest,
    answer: (u16, Option<MessageId>, &str),
    at: UnixMicros,
) -> Result<(), DbError> {
    const KEEP: &str = "INSERT INTO idempotency_keys \
        (scope_id, key_hash, request_hash, request_id, status, message_id, answer, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (scope_id, key_hash) DO UPDATE \
        SET request_hash = excluded.request_hash, request_id = excluded.request_id, status = excluded.status, \
        message_id = excluded.message_id, answer = excluded.answer, created_at = excluded.created_at \
        WHERE idempotency_keys.created_at <= $9";
    let (status, message, text) = answer;
    let values = params![
        request.scope,
        request.key.as_slice(),
        request.request.as_slice(),
        &request.request_id,
        i64::from(status),
        message.map(MessageId::uuid),
        text,
        // Everything else counts from here on for as long as most answers are kept.
        at.plus(request.kept.saturating_sub(idempotency::KEPT)).as_micros(),
        over(at, idempotency::KEPT)
    ];
    tx.execute(KEEP, values).await?;
    Ok(())
}

/// Keeps an answer that is known whole, such as a refusal: as a command, or in the transaction that does what is asked
/// for.
#[derive(Clone, Debug)]
pub struct KeepAnswer {
    /// To what.
    pub request: KeyedRequest,
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// When.
    pub at: UnixMicros,
}

impl Command for KeepAnswer {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        keep(tx, &self.request, (self.status, None, &self.body), self.at).await
    }
}

impl KeepAnswer {
    /// Why the request is not carried out, if its key was used meanwhile.
    pub(crate) async fn refusal(&self, tx: &mut Tx) -> Result<Option<Problem>, DbError> {
        const USED: &str = "SELECT request_hash FROM idempotency_keys \
            WHERE scope_id = $1 AND key_hash = $2 AND created_at > $3";
        let request = &self.request;
        let values = params![request.scope, request.key.as_slice(), over(self.at, idempotency::KEPT)];
        let Some(row) = tx.query_one(USED, values).await? else { return Ok(None) };
        Ok(Some(request.refusal(&row.bytes(0)?)))
    }
}

/// An answer that was given under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The hash of what was asked for.
    pub request: Vec<u8>,
    /// The id of the request that was answered.
    pub request_id: String,
    /// The status.
    pub status: u16,
    /// The mailbox that sent, if one did.
    pub grant: Option<GrantId>,
    /// The rest.
    pub answer: KeptAnswer,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptAnswer {
    /// A message was accepted: its copy, its thread, how the copy was filed, and who does not get it.
    Sent(MessageId, ThreadId, Placement, Vec<Suppressed>),
    /// A send is held: its message, and the hold.
    Held(MessageId, HoldId),
    /// This text.
    Body(String),
}

/// The answer under a key, if there is one that still counts at a time.
pub async fn find(
    reader: &mut Reader<'_>,
    scope: Uuid,
    key: &[u8; 32],
    at: UnixMicros,
) -> Result<Option<Kept>, StoreError> {
    const FIND: &str = "SELECT request_hash, request_id, status, message_id, answer FROM idempotency_keys \
        WHERE scope_id = $1 AND key_hash = $2 AND created_at > $3";
    let values = params![scope, key.as_slice(), over(at, idempotency::KEPT)];
    let row = reader.query_one(FIND, values).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

fn read(row: &Row) -> Result<Kept, DbError> {
    let text = row.text(4)?;
    let mut grant = None;
    let answer = match row.opt_uuid(3)? {
        Some(message) => {
            let message = MessageId::from_uuid(message);
            grant = sender(&text);
            held(message, &text).or_else(|| sent(message, &text)).ok_or(DbError::Malformed("kept answer"))?
        }
        None => KeptAnswer::Body(text),
    };
    let status = u16::try_from(row.int(2)?).map_err(|_| DbError::Malformed("kept status"))?;
    Ok(Kept { request: row.bytes(0)?, request_id: row.text(1)?, status, grant, answer })
}

/// Writes under the key of a request that what it sends is held, unless an answer that still counts is there.
pub(crate) async fn keep_held(
    tx: &mut Tx,
    request: &KeyedRequest,
    message: MessageId,
    hold: HoldId,
    at: UnixMicros,
) -> Result<(), DbError> {
    let answer = json!({"hold_id": hold.to_string()}).to_string();
    keep(tx, request, (202, Some(message), &answer), at).await
}

fn sender(text: &str) -> Option<GrantId> {
    let kept: Value = serde_json::from_str(text).ok()?;
    kept["grant_id"].as_str()?.parse().ok()
}

fn held(message: MessageId, text: &str) -> Option<KeptAnswer> {
    let kept: Value = serde_json::from_str(text).ok()?;
    Some(KeptAnswer::Held(message, kept["hold_id"].as_str()?.parse().ok()?))
}

fn sent(message: MessageId, text: &str) -> Option<KeptAnswer> {
    let kept: Value = serde_json::from_str(text).ok()?;
    let folders = kept["folders"].as_array()?.iter();
    let folders: Option<Vec<String>> = folders.map(|folder| Some(folder.as_str()?.to_owned())).collect();
    let placement =
        Placement { folders: folders?, unread: kept["unread"].as_bool()?, starred: kept["starred"].as_bool()? };
    let thread = kept["thread_id"].as_str()?.parse().ok()?;
    Some(KeptAnswer::Sent(message, thread, placement, left_out(&kept["suppressed"])?))
}

/// Those who did not get it: pairs of an address and a reason.
fn left_out(kept: &Value) -> Option<Vec<Suppressed>> {
    let one = |pair: &Value| {
        let address = EmailAddress::parse(pair[0].as_str()?).ok()?;
        Some(Suppressed { address, reason: Reason::named(pair[1].as_str()?)? })
    };
    kept.as_array()?.iter().map(one).collect()
}

/// Removes answers and marks of sends that no longer count, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct PruneOnce {
    /// When.
    pub at: UnixMicros,
    /// For how long the same is not sent again.
    pub window: Duration,
    /// How many of a kind at once.
    pub limit: usize,
}

pub(crate) const OLD_KEYS: &str =
    "SELECT scope_id, key_hash FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2";
pub(crate) const OLD_SENDS: &str =
    "SELECT grant_id, content_hash FROM recent_sends WHERE sent_at <= $1 ORDER BY sent_at LIMIT $2";

impl Command for PruneOnce {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        // Asked for the time once more: a key may have been used anew meanwhile.
        const FORGET_KEY: &str =
            "DELETE FROM idempotency_keys WHERE scope_id = $1 AND key_hash = $2 AND created_at <= $3";
        const FORGET_SEND: &str =
            "DELETE FROM recent_sends WHERE grant_id = $1 AND content_hash = $2 AND sent_at <= $3";
        let mut removed = 0;
        for (list, forget, kept) in [(OLD_KEYS, FORGET_KEY, idempotency::KEPT), (OLD_SENDS, FORGET_SEND, self.window)] {
            let until = over(self.at, kept);
            for row in tx.query(list, params![until, self.limit as i64]).await? {
                removed += tx.execute(forget, params![row.uuid(0)?, row.bytes(1)?.as_slice(), until]).await?;
            }
        }
        Ok(removed)
    }
}
