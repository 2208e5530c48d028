//! What the messages and drafts of a thread add up to: kept with the thread, so that a list of threads reads no messages but
//! the latest of each. Whoever files, marks, moves or removes one says so here, under the lock of its mailbox.

use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::messages;
use crate::params;
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Participants that are known of one thread. Of one that has had more, not all are there, and they are not counted well.
pub const PARTICIPANTS_MAX: usize = 200;

/// What one message or draft adds to its thread.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) id: MessageId,
    /// When it was taken, in microseconds.
    pub(crate) date: i64,
    pub(crate) is_draft: bool,
    pub(crate) placement: Placement,
    has_files: bool,
    people: Vec<Participant>,
}

impl Share {
    /// From what is kept of a message: where it is and how it is marked, and its summary.
    pub(crate) fn of(
        (id, date): (MessageId, i64),
        is_draft: bool,
        (folders, unread, starred): (&[String], bool, bool),
        summary: &str,
    ) -> Self {
        let Summed { from, to, cc, attachments } = serde_json::from_str(summary).unwrap_or_default();
        let people = [from, to, cc].concat();
        let placement = Placement { folders: folders.to_vec(), unread, starred };
        Self { id, date, is_draft, placement, has_files: !attachments.is_empty(), people }
    }

    /// What only waits to be sent is not in the mailbox yet.
    fn is_seen(&self) -> bool {
        !self.placement.folders.iter().any(|folder| folder == SCHEDULED)
    }
}

/// Of a summary, what is added up.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Summed {
    from: Vec<Participant>,
    to: Vec<Participant>,
    cc: Vec<Participant>,
    attachments: Vec<serde::de::IgnoredAny>,
}

/// Somebody who wrote or was written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The address, as it was written first.
    pub email: String,
    /// The display name that stood there.
    #[serde(default)]
    pub name: String,
    /// In how many headers of messages the address stands.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

/// What is added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages, without drafts.
    pub messages: i64,
    /// Drafts.
    pub drafts: i64,
    /// Messages and drafts that are unread.
    pub unread: i64,
    /// Those with a star.
    pub starred: i64,
    /// Those with attachments.
    pub files: i64,
    /// The date, in microseconds, and the id of the latest of them.
    pub latest: Option<(i64, MessageId)>,
    /// Everybody who wrote or was written to, in the order of appearance.
    pub participants: Vec<Participant>,
    /// How many of them are in each folder.
    pub folders: BTreeMap<String, i64>,
}

macro_rules! totals_columns {
    () => {
        "t.message_count, t.draft_count, t.unread_count, t.starred_count, t.file_count, t.latest_date, t.latest_id, \
         t.participants, t.folders"
    };
}
pub(crate) use totals_columns;

impl Totals {
    /// Of one message.
    pub(crate) fn of(share: &Share) -> Self {
        let mut totals = Self::default();
        totals.add(share);
        totals
    }

    /// Reads the columns of `totals_columns!`, of which the first is at `first`.
    pub(crate) fn read(row: &Row, first: usize) -> Result<Self, DbError> {
        let id = row.opt_uuid(first + 6)?.map(MessageId::from_uuid);
        let participants = serde_json::from_str(row.str(first + 7)?);
        let folders = serde_json::from_str(row.str(first + 8)?);
        Ok(Self {
            messages: row.int(first)?,
            drafts: row.int(first + 1)?,
            unread: row.int(first + 2)?,
            starred: row.int(first + 3)?,
            files: row.int(first + 4)?,
            latest: row.opt_int(first + 5)?.zip(id),
            participants: participants.map_err(|_| DbError::Malformed("participants"))?,
            folders: folders.map_err(|_| DbError::Malformed("folders"))?,
        })
    }

    /// The participants as they are stored.
    pub(crate) fn participants_json(&self) -> String {
        serde_json::to_string(&self.participants).unwrap_or_else(|_| "[]".to_owned())
    }

    /// The folders as they are stored.
    pub(crate) fn folders_json(&self) -> String {
        serde_json::to_string(&self.folders).unwrap_or_else(|_| "{}".to_owned())
    }

    pub(crate) fn add(&mut self, share: &Share) {
        if !share.is_seen() {
            return;
        }
        self.count(share, 1);
        self.latest = self.latest.max(Some((share.date, share.id)));
        let mut places: HashMap<String, usize> =
            self.participants.iter().enumerate().map(|(place, one)| (one.email.to_lowercase(), place)).collect();
        for person in &share.people {
            let key = person.email.to_lowercase();
            match places.get(&key) {
                Some(place) => self.participants[*place].times += 1,
                None if self.participants.len() < PARTICIPANTS_MAX => {
                    places.insert(key, self.participants.len());
                    self.participants.push(Participant { times: 1, ..person.clone() });
                }
                None => {}
            }
        }
    }

    /// Takes a message out. Which is the latest then is not known here: nothing is, if it was that.
    pub(crate) fn remove(&mut self, share: &Share) {
        if !share.is_seen() {
            return;
        }
        self.count(share, -1);
        self.latest = self.latest.filter(|(_, id)| *id != share.id);
        let mut gone: HashMap<String, u32> = HashMap::new();
        for person in &share.people {
            *gone.entry(person.email.to_lowercase()).or_default() += 1;
        }
        for one in &mut self.participants {
            one.times = one.times.saturating_sub(gone.get(&one.email.to_lowercase()).copied().unwrap_or(0));
        }
        self.participants.retain(|one| one.times > 0);
    }

    fn count(&mut self, share: &Share, sign: i64) {
        let of = |counts: bool| if counts { sign } else { 0 };
        let Placement { folders, unread, starred } = &share.placement;
        self.messages += of(!share.is_draft);
        self.drafts += of(share.is_draft);
        self.unread += of(*unread);
        self.starred += of(*starred);
        self.files += of(share.has_files);
        for folder in folders {
            *self.folders.entry(folder.clone()).or_default() += sign;
        }
        self.folders.retain(|_, count| *count > 0);
    }
}

/// Adds a message to its thread.
pub(crate) async fn add(tx: &mut Tx, grant: GrantId, thread: ThreadId, share: &Share) -> Result<(), DbError> {
    let Some(mut totals) = load(tx, grant, thread).await? else { return Ok(()) };
    totals.add(share);
    write(tx, thread, &totals).await
}

/// Takes messages out of their thread, which were removed before or are somewhere else.
pub(crate) async fn remove(tx: &mut Tx, grant: GrantId, thread: ThreadId, shares: &[Share]) -> Result<(), DbError> {
    let Some(mut totals) = load(tx, grant, thread).await? else { return Ok(()) };
    for share in shares {
        totals.remove(share);
    }
    if totals.latest.is_none() {
        totals.latest = latest(tx, thread).await?;
    }
    write(tx, thread, &totals).await
}

/// Counts a message of a thread otherwise than before: where it is, and how it is marked.
pub(crate) async fn remark(
    tx: &mut Tx,
    grant: GrantId,
    thread: ThreadId,
    (before, after): (&Placement, &Placement),
) -> Result<(), DbError> {
    if before == after {
        return Ok(());
    }
    let Some(mut totals) = load(tx, grant, thread).await? else { return Ok(()) };
    totals.unread += i64::from(after.unread) - i64::from(before.unread);
    totals.starred += i64::from(after.starred) - i64::from(before.starred);
    for (folders, sign) in [(&before.folders, -1), (&after.folders, 1)] {
        for folder in folders {
            *totals.folders.entry(folder.clone()).or_default() += sign;
        }
    }
    totals.folders.retain(|_, count| *count > 0);
    write(tx, thread, &totals).await
}

async fn load(tx: &mut Tx, grant: GrantId, thread: ThreadId) -> Result<Option<Totals>, DbError> {
    const LOAD: &str = concat!("SELECT ", totals_columns!(), " FROM threads t WHERE t.id = $1 AND t.grant_id = $2");
    let row = tx.query_one(LOAD, params![thread.uuid(), grant.uuid()]).await?;
    row.as_ref().map(|row| Totals::read(row, 0)).transpose()
}

async fn write(tx: &mut Tx, thread: ThreadId, totals: &Totals) -> Result<(), DbError> {
    const WRITE: &str = "UPDATE threads SET message_count = $2, draft_count = $3, unread_count = $4, starred_count = $5, \
        file_count = $6, latest_date = $7, latest_id = $8, participants = $9, folders = $10 WHERE id = $1";
    let (participants, folders) = (totals.participants_json(), totals.folders_json());
    let values = params![
        thread.uuid(),
        totals.messages,
        totals.drafts,
        totals.unread,
        totals.starred,
        totals.files,
        totals.latest.map(|(date, _)| date),
        totals.latest.map(|(_, id)| id.uuid()),
        &participants,
        &folders
    ];
    tx.execute(WRITE, values).await?;
    Ok(())
}

async fn latest(tx: &mut Tx, thread: ThreadId) -> Result<Option<(i64, MessageId)>, DbError> {
    const LATEST: &str = "SELECT m.date, m.id FROM messages m WHERE m.thread_id = $1 \
        AND (m.draft = 0 OR m.folders <> '[\"scheduled\"]') ORDER BY m.date DESC, m.id DESC LIMIT 1";
    let row = tx.query_one(LATEST, params![thread.uuid()]).await?;
    row.map(|row| Ok((row.int(0)?, MessageId::from_uuid(row.uuid(1)?)))).transpose()
}

/// The share of a message as it is stored.
pub(crate) fn of_row(row: &Row) -> Result<Share, DbError> {
    let folders = messages::folders(row.str(5)?)?;
    let (id, date) = (MessageId::from_uuid(row.uuid(0)?), row.int(1)?);
    Ok(Share::of((id, date), row.flag(2)?, (folders.as_slice(), row.flag(3)?, row.flag(4)?), row.str(6)?))
}

/// What the messages of a thread add up to, by reading all of them: for tests and for whoever doubts the columns.
pub(crate) async fn recount(tx: &mut Tx, thread: ThreadId) -> Result<Totals, DbError> {
    const READ: &str = "SELECT m.id, m.date, m.draft, m.unread, m.starred, m.folders, m.summary FROM messages m \
        WHERE m.thread_id = $1 ORDER BY m.date, m.id";
    let mut totals = Totals::default();
    for row in tx.query(READ, params![thread.uuid()]).await? {
        totals.add(&of_row(&row)?);
    }
    Ok(totals)
}
