//! Threads: which conversation a message joins, and the conversations of a mailbox.

mod change;
pub(crate) mod totals;

#[cfg(test)]
pub(crate) use change::MEMBERS;
pub use change::{AfterMember, Change, ChangeOutcome, ChangeThread};
pub use totals::{PARTICIPANTS_MAX, Participant, Totals};

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::messages::{self, MailboxCopy, MessageFacts};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_core::threading::{base_subject, looked_up, names_a_message, subject_may_join};
use serde::Deserialize;
use std::cmp::Reverse;
use totals::{Share, totals_columns};

/// What a message's thread is found by.
#[derive(Clone, Debug, Default)]
pub struct ThreadHints {
    /// Its own Message-ID, without brackets.
    pub message_id: Option<String>,
    /// Message-IDs that it answers.
    pub in_reply_to: Vec<String>,
    /// Message-IDs of the conversation so far.
    pub references: Vec<String>,
    /// Its subject.
    pub subject: String,
    /// Those it is exchanged with: the sender of a received message, the recipients of a sent one.
    pub correspondents: Vec<String>,
    /// How many mailboxes of the installation have answered in turn: of a sent message with it, of a received one with
    /// whoever answers it; 0 if nothing is known of that.
    pub hops: u64,
    /// When whoever sent a received message counted that.
    pub counted_at: Option<UnixMicros>,
}

impl ThreadHints {
    /// Whether it says which messages it answers, in a way that can be understood. The address of somebody is none.
    fn has_references(&self) -> bool {
        let named = self.in_reply_to.iter().chain(&self.references).filter(|id| names_a_message(id));
        named.into_iter().any(|id| self.correspondents.iter().all(|address| !address.eq_ignore_ascii_case(id)))
    }
}

/// Correspondents of one message that the subject fallback knows; a message to more is no conversation.
const CORRESPONDENTS_MAX: usize = 10;

/// Finds or starts the thread of a message that is being filed, and makes it findable by the message's own keys.
pub(crate) async fn join(
    tx: &mut Tx,
    copy: &MailboxCopy,
    facts: &MessageFacts,
    placement: &Placement,
    given: Option<ThreadId>,
) -> Result<ThreadId, DbError> {
    let marks = (placement.folders.as_slice(), placement.unread, placement.starred);
    let share = Share::of((copy.message_id, facts.date.as_micros()), false, marks, &facts.summary);
    let found = match given {
        Some(thread) => Some(thread),
        None => find(tx, copy.grant_id, facts).await?,
    };
    let thread_id = match found {
        Some(thread) if extend(tx, copy.grant_id, thread, facts).await? => {
            totals::add(tx, copy.grant_id, thread, &share).await?;
            thread
        }
        _ => start(tx, copy, facts, &share).await?,
    };
    for key in own_keys(&facts.thread) {
        remember(tx, copy.grant_id, key, thread_id, facts.date).await?;
    }
    Ok(thread_id)
}

async fn find(tx: &mut Tx, grant: GrantId, facts: &MessageFacts) -> Result<Option<ThreadId>, DbError> {
    let hints = &facts.thread;
    if let Some(thread) = answered(tx, grant, hints).await? {
        return Ok(Some(thread));
    }
    let has_references = hints.has_references();
    if !subject_may_join(&hints.subject, has_references, facts.date, facts.date) {
        return Ok(None);
    }
    for correspondent in hints.correspondents.iter().take(CORRESPONDENTS_MAX) {
        let found = look_up(tx, grant, subject_key(&hints.subject, correspondent)).await?;
        if let Some((thread, latest)) = found
            && subject_may_join(&hints.subject, has_references, latest, facts.date)
        {
            return Ok(Some(thread));
        }
    }
    Ok(None)
}

/// The conversation of the messages that a message says it answers.
pub(crate) async fn answered(tx: &mut Tx, grant: GrantId, hints: &ThreadHints) -> Result<Option<ThreadId>, DbError> {
    for id in looked_up(&hints.in_reply_to, &hints.references) {
        if let Some((thread, _)) = look_up(tx, grant, message_key(id)).await? {
            return Ok(Some(thread));
        }
    }
    Ok(None)
}

/// Message-IDs that are looked up to see whether a message is an answer.
const ANSWERED_MAX: usize = 4;

pub(crate) const ANSWERED: &str = "SELECT 1 FROM thread_keys k JOIN threads t ON t.id = k.thread_id \
    WHERE k.grant_id = $1 AND k.key IN ($2, $3, $4, $5) AND t.sent_date IS NOT NULL LIMIT 1";

/// Whether any of some Message-IDs, of which only the first few are looked up, is of a conversation in which the mailbox has
/// written.
pub(crate) async fn answers_own(reader: &mut Reader<'_>, grant: GrantId, ids: &[&str]) -> Result<bool, StoreError> {
    if ids.is_empty() {
        return Ok(false);
    }
    let key = |number: usize| ids.get(number).map(|id| message_key(id));
    let keys: [Option<i64>; ANSWERED_MAX] = std::array::from_fn(key);
    let values = params![grant.uuid(), keys[0], keys[1], keys[2], keys[3]];
    Ok(reader.query_one(ANSWERED, values).await?.is_some())
}

async fn look_up(tx: &mut Tx, grant: GrantId, key: i64) -> Result<Option<(ThreadId, UnixMicros)>, DbError> {
    const FIND: &str = "SELECT thread_id, date FROM thread_keys WHERE grant_id = $1 AND key = $2 \
        ORDER BY date DESC, thread_id DESC LIMIT 1";
    let row = tx.query_one(FIND, params![grant.uuid(), key]).await?;
    row.map(|row| Ok((ThreadId::from_uuid(row.uuid(0)?), UnixMicros::from_micros(row.int(1)?)))).transpose()
}

async fn remember(tx: &mut Tx, grant: GrantId, key: i64, thread: ThreadId, date: UnixMicros) -> Result<(), DbError> {
    const REMEMBER: &str = "INSERT INTO thread_keys (grant_id, key, thread_id, date) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (grant_id, key, thread_id) DO UPDATE SET date = excluded.date \
        WHERE thread_keys.date < excluded.date";
    tx.execute(REMEMBER, params![grant.uuid(), key, thread.uuid(), date.as_micros()]).await?;
    Ok(())
}

/// Starts a thread with its first message; it may be there already if drafts are in it.
async fn start(tx: &mut Tx, copy: &MailboxCopy, facts: &MessageFacts, share: &Share) -> Result<ThreadId, DbError> {
    const INSERT: &str = "INSERT INTO threads \
        (id, grant_id, subject, earliest_date, received_date, sent_date, sort_date, hops, message_count, unread_count, \
        starred_count, file_count, latest_date, latest_id, participants, folders) \
        VALUES ($1, $2, $3, $4, $5, $6, $4, $7, $8, $9, $10, $11, $4, $12, $13, $14) ON CONFLICT (id) DO NOTHING";
    const GO_ON: &str = "UPDATE threads SET sent_date = $2, sort_date = $3 WHERE id = $1";
    let date = facts.date.as_micros();
    let (received, sent) = if facts.outgoing { (None, Some(date)) } else { (Some(date), None) };
    let (id, grant, first) = (copy.new_thread_id, copy.grant_id, Totals::of(share));
    let (participants, folders) = (first.participants_json(), first.folders_json());
    let values = params![
        id.uuid(),
        grant.uuid(),
        &facts.thread.subject,
        date,
        received,
        sent,
        facts.thread.hops as i64,
        first.messages,
        first.unread,
        first.starred,
        first.files,
        share.id.uuid(),
        &participants,
        &folders
    ];
    if tx.execute(INSERT, values).await? == 0 {
        tx.execute(GO_ON, params![id.uuid(), sent, date]).await?;
        totals::add(tx, grant, id, share).await?;
    }
    Ok(id)
}

/// Makes sure that the thread of a draft exists. One that has nothing but drafts stands where the latest of them put it,
/// under its subject; the others are as their messages have it.
pub(crate) async fn hold(
    tx: &mut Tx,
    grant: GrantId,
    thread: ThreadId,
    subject: &str,
    date: UnixMicros,
) -> Result<(), DbError> {
    const HOLD: &str = "INSERT INTO threads (id, grant_id, subject, earliest_date, received_date, sent_date, sort_date) \
        VALUES ($1, $2, $3, $4, NULL, NULL, $4) ON CONFLICT (id) DO UPDATE \
        SET subject = excluded.subject, sort_date = excluded.sort_date \
        WHERE threads.grant_id = excluded.grant_id AND threads.received_date IS NULL AND threads.sent_date IS NULL";
    tx.execute(HOLD, params![thread.uuid(), grant.uuid(), subject, date.as_micros()]).await?;
    Ok(())
}

/// Removes a thread that has lost its last message.
pub(crate) async fn drop_empty(tx: &mut Tx, grant: GrantId, thread: ThreadId) -> Result<(), DbError> {
    const DROP: &str = "DELETE FROM threads WHERE id = $1 AND grant_id = $2 \
        AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.thread_id = $1)";
    tx.execute(DROP, params![thread.uuid(), grant.uuid()]).await?;
    Ok(())
}

/// Sets a thread right that has lost messages: its dates are those of the messages that it has, it adds up to these, and
/// without any it is gone.
pub(crate) async fn settle(tx: &mut Tx, grant: GrantId, thread: ThreadId, gone: &[Share]) -> Result<(), DbError> {
    // What came later than anything that was lost is as it was: only then are the messages looked through.
    const DATES: &str = "UPDATE threads SET \
        earliest_date = coalesce((SELECT m.date FROM messages m WHERE m.thread_id = $1 \
            ORDER BY m.date, m.id LIMIT 1), earliest_date), \
        received_date = CASE WHEN received_date <= $3 THEN (SELECT m.date FROM messages m \
            WHERE m.thread_id = $1 AND m.outgoing = 0 AND m.draft = 0 AND m.date <= $3 \
            ORDER BY m.date DESC, m.id DESC LIMIT 1) ELSE received_date END, \
        sent_date = CASE WHEN sent_date <= $3 THEN (SELECT m.date FROM messages m \
            WHERE m.thread_id = $1 AND m.outgoing = 1 AND m.draft = 0 AND m.date <= $3 \
            ORDER BY m.date DESC, m.id DESC LIMIT 1) ELSE sent_date END \
        WHERE id = $1 AND grant_id = $2";
    const PLACE: &str = "UPDATE threads SET sort_date = coalesce(received_date, sent_date, sort_date) \
        WHERE id = $1 AND grant_id = $2";
    let lost = gone.iter().map(|share| share.date).max().unwrap_or(i64::MIN);
    drop_empty(tx, grant, thread).await?;
    if tx.execute(DATES, params![thread.uuid(), grant.uuid(), lost]).await? > 0 {
        tx.execute(PLACE, params![thread.uuid(), grant.uuid()]).await?;
        totals::remove(tx, grant, thread, gone).await?;
    }
    Ok(())
}

/// What the keys of a message were made from, as its summary says it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    subject: String,
    message_id: Option<String>,
    from: Vec<Correspondent>,
    to: Vec<Correspondent>,
    cc: Vec<Correspondent>,
}

#[derive(Clone, Deserialize)]
struct Correspondent {
    email: String,
}

/// Forgets the keys by which a message that is removed led to its thread, unless a later one has them as well.
pub(crate) async fn forget_keys(
    tx: &mut Tx,
    grant: GrantId,
    thread: ThreadId,
    (summary, outgoing, date): (&str, bool, UnixMicros),
) -> Result<(), DbError> {
    const FORGET: &str = "DELETE FROM thread_keys WHERE grant_id = $1 AND key = $2 AND thread_id = $3 AND date <= $4";
    let Named { subject, message_id, from, to, cc } = serde_json::from_str(summary).unwrap_or_default();
    let people = if outgoing { [to, cc].concat() } else { from };
    let correspondents = people.into_iter().map(|one| one.email).collect();
    let hints = ThreadHints { message_id, subject, correspondents, ..ThreadHints::default() };
    for key in own_keys(&hints) {
        tx.execute(FORGET, params![grant.uuid(), key, thread.uuid(), date.as_micros()]).await?;
    }
    Ok(())
}

/// Adds a message to a thread; false when there is no such thread in this mailbox. Nodes may file messages in another
/// order than that of their dates, so no date goes back.
async fn extend(tx: &mut Tx, grant: GrantId, thread: ThreadId, facts: &MessageFacts) -> Result<bool, DbError> {
    // The count of answers falls only by what was counted after the mailbox wrote last: by no old message that comes again.
    // A thread stands where its latest received message put it; one that has only sent ones moves with those.
    const RECEIVED: &str = "UPDATE threads SET \
        earliest_date = CASE WHEN earliest_date < $3 THEN earliest_date ELSE $3 END, \
        received_date = CASE WHEN received_date > $3 THEN received_date ELSE $3 END, \
        sort_date = CASE WHEN received_date > $3 THEN received_date ELSE $3 END, \
        hops = CASE WHEN hops > $4 AND coalesce(sent_date, $5) >= $5 THEN hops ELSE $4 END \
        WHERE id = $1 AND grant_id = $2";
    const SENT: &str = "UPDATE threads SET \
        earliest_date = CASE WHEN earliest_date < $3 THEN earliest_date ELSE $3 END, \
        sent_date = CASE WHEN sent_date > $3 THEN sent_date ELSE $3 END, \
        sort_date = CASE WHEN received_date IS NULL AND sort_date < $3 THEN $3 ELSE sort_date END, hops = $4 \
        WHERE id = $1 AND grant_id = $2";
    let (thread, grant, date) = (thread.uuid(), grant.uuid(), facts.date.as_micros());
    let (hops, counted_at) = (facts.thread.hops as i64, facts.thread.counted_at.map_or(0, UnixMicros::as_micros));
    let changed = match facts.outgoing {
        true => tx.execute(SENT, params![thread, grant, date, hops]).await?,
        false => tx.execute(RECEIVED, params![thread, grant, date, hops, counted_at]).await?,
    };
    Ok(changed > 0)
}

fn own_keys(hints: &ThreadHints) -> Vec<i64> {
    let mut keys: Vec<i64> = hints.message_id.iter().map(|id| message_key(id)).collect();
    if base_subject(&hints.subject).chars().count() >= 3 {
        let correspondents = hints.correspondents.iter().take(CORRESPONDENTS_MAX);
        keys.extend(correspondents.map(|correspondent| subject_key(&hints.subject, correspondent)));
    }
    keys
}

fn message_key(message_id: &str) -> i64 {
    // Some programs write the name of the host in another case.
    hash64(&[b"m", message_id.to_lowercase().as_bytes()])
}

fn subject_key(subject: &str, correspondent: &str) -> i64 {
    hash64(&[b"s", base_subject(subject).as_bytes(), correspondent.to_lowercase().as_bytes()])
}

fn hash64(parts: &[&[u8]]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(first)
}

/// A conversation as it is stored.
#[derive(Clone, Debug)]
pub struct StoredThread {
    /// Its id.
    pub id: ThreadId,
    /// Its mailbox.
    pub grant_id: GrantId,
    /// The subject of its first message.
    pub subject: String,
    /// The date of its first message.
    pub earliest_date: UnixMicros,
    /// The date of the latest received message.
    pub received_date: Option<UnixMicros>,
    /// The date of the latest sent message.
    pub sent_date: Option<UnixMicros>,
    /// Where it stands in the list.
    pub sort_date: UnixMicros,
    /// What its messages and drafts add up to.
    pub totals: Totals,
}

/// Where a page of threads starts: after this one. Latest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterThread {
    /// Its place.
    pub sort_date: UnixMicros,
    /// Its id.
    pub id: ThreadId,
}

impl AfterThread {
    /// Before the latest.
    pub const START: Self =
        Self { sort_date: UnixMicros::from_micros(i64::MAX), id: ThreadId::from_uuid(uuid::Uuid::max()) };
}

macro_rules! thread_columns {
    () => {
        "t.id, t.grant_id, t.subject, t.earliest_date, t.received_date, t.sent_date, t.sort_date"
    };
}

/// Columns before those of the totals.
const COLUMNS: usize = 7;

const FIND: &str = concat!(
    "SELECT ",
    thread_columns!(),
    ", ",
    totals_columns!(),
    " FROM threads t WHERE t.id = $1 AND t.grant_id = $2"
);
/// Some threads. How many these are is said once more: without that PostgreSQL expects many, and reads a small table whole.
pub(crate) const NAMED: &str = concat!(
    "SELECT ",
    thread_columns!(),
    ", ",
    totals_columns!(),
    " FROM (SELECT j.value FROM {json_each}($2) AS j LIMIT $3) AS e CROSS JOIN threads t \
     WHERE t.id = {hex_id}(e.value ->> 0) AND t.grant_id = $1"
);
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    thread_columns!(),
    ", ",
    totals_columns!(),
    " FROM threads t WHERE t.grant_id = $1 AND (t.sort_date, t.id) < ($2, $3) AND t.sort_date >= $4 \
     AND t.message_count + t.draft_count > 0 ORDER BY t.sort_date DESC, t.id DESC LIMIT $5"
);
/// What is in a thread, latest first: read from the index alone, but for its drafts. What only waits to be sent is not in the
/// mailbox yet.
pub(crate) const IDS: &str = "SELECT m.id, m.draft FROM messages m WHERE m.thread_id = $1 \
    AND (m.draft = 0 OR m.folders <> '[\"scheduled\"]') ORDER BY m.date DESC, m.id DESC LIMIT $2";

/// What is in some short threads, in no particular order, as in [`NAMED`].
pub(crate) const IDS_OF_SOME: &str = "SELECT m.thread_id, m.date, m.id, m.draft \
    FROM (SELECT j.value FROM {json_each}($1) AS j LIMIT $3) AS e CROSS JOIN messages m WHERE m.thread_id = {hex_id}(e.value ->> 0) \
    AND (m.draft = 0 OR m.folders <> '[\"scheduled\"]') LIMIT $2";

/// Threads that a key leads to.
pub(crate) const WITH_KEY: &str =
    "SELECT k.thread_id FROM thread_keys k WHERE k.grant_id = $1 AND k.key = $2 ORDER BY k.thread_id DESC LIMIT 10";

/// The threads of a mailbox in which a message with this Message-ID (without brackets) is or was, latest first.
pub async fn with_message_id(
    reader: &mut Reader<'_>,
    grant: GrantId,
    message_id: &str,
) -> Result<Vec<ThreadId>, StoreError> {
    let rows = reader.query(WITH_KEY, params![grant.uuid(), message_key(message_id)]).await?;
    Ok(rows.iter().map(|row| Ok(ThreadId::from_uuid(row.uuid(0)?))).collect::<Result<_, DbError>>()?)
}

/// How a conversation stands that a message goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The conversation.
    pub thread_id: ThreadId,
    /// How many mailboxes of the installation have answered in turn.
    pub hops: u64,
    /// When something came in last.
    pub received_at: Option<UnixMicros>,
}

const STANDING_WITH_KEY: &str = "SELECT t.id, t.hops, t.received_date, k.date FROM thread_keys k \
    JOIN threads t ON t.id = k.thread_id WHERE k.grant_id = $1 AND k.key = $2 \
    ORDER BY k.date DESC, k.thread_id DESC LIMIT 1";

/// The conversation of a mailbox that a message goes on with: the one that is named, or the one that it is filed into by
/// what it says.
pub async fn standing(
    reader: &mut Reader<'_>,
    grant: GrantId,
    named: Option<ThreadId>,
    hints: &ThreadHints,
    at: UnixMicros,
) -> Result<Option<Standing>, StoreError> {
    const OF_THREAD: &str = "SELECT id, hops, received_date FROM threads WHERE id = $1 AND grant_id = $2";
    if let Some(thread) = named {
        let row = reader.query_one(OF_THREAD, params![thread.uuid(), grant.uuid()]).await?;
        return Ok(row.as_ref().map(read_standing).transpose()?);
    }
    for id in looked_up(&hints.in_reply_to, &hints.references) {
        if let Some(row) = reader.query_one(STANDING_WITH_KEY, params![grant.uuid(), message_key(id)]).await? {
            return Ok(Some(read_standing(&row)?));
        }
    }
    let has_references = hints.has_references();
    if !subject_may_join(&hints.subject, has_references, at, at) {
        return Ok(None);
    }
    for correspondent in hints.correspondents.iter().take(CORRESPONDENTS_MAX) {
        let key = subject_key(&hints.subject, correspondent);
        let Some(row) = reader.query_one(STANDING_WITH_KEY, params![grant.uuid(), key]).await? else { continue };
        if subject_may_join(&hints.subject, has_references, UnixMicros::from_micros(row.int(3)?), at) {
            return Ok(Some(read_standing(&row)?));
        }
    }
    Ok(None)
}

fn read_standing(row: &Row) -> Result<Standing, DbError> {
    Ok(Standing {
        thread_id: ThreadId::from_uuid(row.uuid(0)?),
        hops: row.count(1)?,
        received_at: row.opt_int(2)?.map(UnixMicros::from_micros),
    })
}

/// Finds a thread of a mailbox.
pub async fn find_thread(
    reader: &mut Reader<'_>,
    grant: GrantId,
    id: ThreadId,
) -> Result<Option<StoredThread>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), grant.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Those of the threads that a mailbox has, in any order.
pub async fn named(reader: &mut Reader<'_>, grant: GrantId, ids: &[ThreadId]) -> Result<Vec<StoredThread>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let list = messages::list_of(ids.iter().map(|id| id.uuid()));
    let rows = reader.query(NAMED, params![grant.uuid(), &list, ids.len() as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A page of a mailbox's threads, latest first, none of which stands before `since`.
pub async fn list(
    reader: &mut Reader<'_>,
    grant: GrantId,
    after: AfterThread,
    since: UnixMicros,
    limit: usize,
) -> Result<Vec<StoredThread>, StoreError> {
    let (place, id) = (after.sort_date.as_micros(), after.id.uuid());
    let values = params![grant.uuid(), place, id, since.as_micros(), limit as i64];
    let rows = reader.query(LIST, values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The ids of the latest messages and drafts of a thread, the latest first, each with whether it is a draft.
pub async fn ids(
    reader: &mut Reader<'_>,
    thread: ThreadId,
    limit: usize,
) -> Result<Vec<(MessageId, bool)>, StoreError> {
    let rows = reader.query(IDS, params![thread.uuid(), limit as i64]).await?;
    let ids = rows.iter().map(|row| Ok((MessageId::from_uuid(row.uuid(0)?), row.flag(1)?)));
    Ok(ids.collect::<Result<_, DbError>>()?)
}

/// The ids of the messages and drafts of some threads that have, together, no more than `limit`; each with its thread, and
/// whether it is a draft, the latest first.
pub async fn ids_of_some(
    reader: &mut Reader<'_>,
    threads: &[ThreadId],
    limit: usize,
) -> Result<Vec<(ThreadId, MessageId, bool)>, StoreError> {
    if threads.is_empty() {
        return Ok(Vec::new());
    }
    let ids = messages::list_of(threads.iter().map(|thread| thread.uuid()));
    let rows = reader.query(IDS_OF_SOME, params![&ids, limit as i64, threads.len() as i64]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = MessageId::from_uuid(row.uuid(2)?);
        found.push((ThreadId::from_uuid(row.uuid(0)?), row.int(1)?, id, row.flag(3)?));
    }
    found.sort_unstable_by_key(|&(_, date, id, _)| Reverse((date, id)));
    Ok(found.into_iter().map(|(thread, _, id, is_draft)| (thread, id, is_draft)).collect())
}

/// What the messages of a thread add up to, by reading all of them.
#[derive(Clone, Copy, Debug)]
pub struct Recount {
    /// The mailbox.
    pub grant_id: GrantId,
    /// The thread.
    pub thread: ThreadId,
}

impl Command for Recount {
    type Outcome = Totals;

    async fn run(&self, tx: &mut Tx) -> Result<Totals, DbError> {
        crate::drafts::lock(tx, self.grant_id).await?;
        totals::recount(tx, self.thread).await
    }
}

fn read(row: &Row) -> Result<StoredThread, DbError> {
    Ok(StoredThread {
        id: ThreadId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        subject: row.text(2)?,
        earliest_date: UnixMicros::from_micros(row.int(3)?),
        received_date: row.opt_int(4)?.map(UnixMicros::from_micros),
        sent_date: row.opt_int(5)?.map(UnixMicros::from_micros),
        sort_date: UnixMicros::from_micros(row.int(6)?),
        totals: Totals::read(row, COLUMNS)?,
    })
}
