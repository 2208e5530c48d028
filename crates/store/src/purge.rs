//! Taking messages out of a mailbox with all that is kept of them: one way, whether their time is over or somebody deletes
//! them. Listings, counts, thread, keys, body and storage change in the transaction of the caller.

use crate::blobs;
use crate::db::{DbError, Row};
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::folders;
use crate::messages;
use crate::metadata;
use crate::params;
use crate::refile::{UpdateMessage, UpdateOutcome};
use crate::threads::{self, totals::Share};
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId, ThreadId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A message with what has to be known of it to purge it.
pub(crate) struct Doomed {
    pub(crate) id: MessageId,
    thread_id: ThreadId,
    blob_id: BlobId,
    pub(crate) date: i64,
    unread: bool,
    octets: u64,
    folders: Vec<String>,
    summary: String,
    outgoing: bool,
    starred: bool,
}

macro_rules! doomed_columns {
    () => {
        "m.id, m.thread_id, m.blob_id, m.date, m.unread, m.octets, m.folders, m.summary, m.outgoing, m.starred"
    };
}
pub(crate) use doomed_columns;

/// Columns before those that somebody else adds.
pub(crate) const COLUMNS: usize = 10;

impl Doomed {
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: MessageId::from_uuid(row.uuid(0)?),
            thread_id: ThreadId::from_uuid(row.uuid(1)?),
            blob_id: BlobId::from_uuid(row.uuid(2)?),
            date: row.int(3)?,
            unread: row.flag(4)?,
            octets: row.count(5)?,
            folders: messages::folders(row.str(6)?)?,
            summary: row.text(7)?,
            outgoing: row.flag(8)?,
            starred: row.flag(9)?,
        })
    }

    /// When it was taken.
    pub(crate) fn date(&self) -> UnixMicros {
        UnixMicros::from_micros(self.date)
    }

    /// What its thread loses with it.
    fn share(&self) -> Share {
        let marks = (self.folders.as_slice(), self.unread, self.starred);
        Share::of((self.id, self.date), false, marks, &self.summary)
    }

    /// The folders that it is in.
    pub(crate) fn folders(&self) -> &[String] {
        &self.folders
    }
}

/// In which mailbox messages are purged, and how it is told.
pub(crate) struct Purge {
    pub(crate) application_id: ApplicationId,
    pub(crate) grant_id: GrantId,
    /// What the ids of the events are made from.
    pub(crate) event_seed: [u8; 32],
    pub(crate) at: UnixMicros,
}

impl Purge {
    /// Purges messages, none of them a draft, of the mailbox, which is locked; answers the octets of their raw forms. What
    /// still goes out is in the queue with a copy of its own, and goes on.
    pub(crate) async fn run(&self, tx: &mut Tx, doomed: &[&Doomed]) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM messages WHERE id = $1";
        let grant = self.grant_id;
        let mut counts: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        let mut lost: BTreeMap<ThreadId, Vec<Share>> = BTreeMap::new();
        let mut octets = 0;
        for one in doomed {
            messages::unlist(tx, grant, one.id, one.date, &one.folders).await?;
            tx.execute(REMOVE, params![one.id.uuid()]).await?;
            metadata::remove(tx, grant, (one.date, one.id), &one.summary).await?;
            blobs::release(tx, one.blob_id).await?;
            let kept = (one.summary.as_str(), one.outgoing, one.date());
            threads::forget_keys(tx, grant, one.thread_id, kept).await?;
            for folder in &one.folders {
                let (total, unread) = counts.entry(folder).or_default();
                *total -= 1;
                *unread -= i64::from(one.unread);
            }
            lost.entry(one.thread_id).or_default().push(one.share());
            octets += one.octets;
        }
        for (folder, (total, unread)) in counts {
            folders::count(tx, grant, folder, total, unread).await?;
        }
        for (thread, gone) in lost {
            threads::settle(tx, grant, thread, &gone).await?;
        }
        self.announce(tx, doomed, octets).await?;
        Ok(octets)
    }

    /// Takes the octets out of the mailbox, and announces what is gone, in the order given.
    async fn announce(&self, tx: &mut Tx, doomed: &[&Doomed], octets: u64) -> Result<(), DbError> {
        if doomed.is_empty() {
            return Ok(());
        }
        let taken = events::next_many(tx, self.grant_id, doomed.len(), -(octets as i64)).await?;
        let (last, _) = taken.ok_or(DbError::Malformed("mailbox"))?;
        let first = last + 1 - doomed.len() as u64;
        for (sequence, one) in (first..).zip(doomed) {
            tx.announce(NewEvent {
                id: event_id(&self.event_seed, one.id, self.at),
                application_id: self.application_id,
                grant_id: self.grant_id,
                grant_sequence: sequence,
                trigger: Trigger::MessageDeleted,
                message_id: Some(one.id),
                data: kept_at(&one.folders, &one.summary),
                at: self.at,
            });
        }
        Ok(())
    }
}

/// What the application kept at something that is removed, which is nowhere else any more: the folders that it was in,
/// and its metadata if it had any.
pub(crate) fn kept_at(folders: &[String], summary: &str) -> String {
    let mut kept = json!({ "folders": folders });
    let summary: Value = serde_json::from_str(summary).unwrap_or_default();
    if let Some(metadata) = summary.get("metadata") {
        kept["metadata"] = metadata.clone();
    }
    kept.to_string()
}

/// The id of the event about one of many messages: the same however often the command is run.
pub(crate) fn event_id(seed: &[u8; 32], message: MessageId, at: UnixMicros) -> EventId {
    let hash = blake3::keyed_hash(seed, message.uuid().as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.as_bytes()[..10]);
    EventId::new(at, random)
}

/// Deletes a message: it goes into the trash, and from there for good.
#[derive(Clone, Debug)]
pub struct DeleteMessage {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The message.
    pub id: MessageId,
    /// Whether it goes for good wherever it is.
    pub hard: bool,
    /// What the id of the event is made from.
    pub event_seed: [u8; 32],
    /// When.
    pub at: UnixMicros,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeleteOutcome {
    /// It is in the trash and nowhere else.
    Trashed,
    /// It is gone, and its storage is free.
    Purged,
    /// There is no such message, or it is a draft, which has a way of its own.
    Gone,
}

impl Command for DeleteMessage {
    type Outcome = DeleteOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<DeleteOutcome, DbError> {
        const FIND: &str = concat!(
            "SELECT ",
            doomed_columns!(),
            " FROM messages m WHERE m.id = $1 AND m.grant_id = $2 AND m.draft = 0"
        );
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(DeleteOutcome::Gone);
        }
        let row = tx.query_one(FIND, params![self.id.uuid(), self.grant_id.uuid()]).await?;
        let Some(row) = row else { return Ok(DeleteOutcome::Gone) };
        let doomed = Doomed::read(&row)?;
        let trash = SystemFolder::Trash.id();
        // What is in another folder as well is not thrown away yet.
        if !self.hard && doomed.folders() != [trash] {
            let event_id = event_id(&self.event_seed, self.id, self.at);
            let message = (self.application_id, self.grant_id, self.id);
            let moved = UpdateMessage {
                folders: Some(vec![trash.to_owned()]),
                ..UpdateMessage::nothing(message, event_id, self.at)
            };
            return Ok(match moved.run(tx).await? {
                UpdateOutcome::Done => DeleteOutcome::Trashed,
                _ => DeleteOutcome::Gone,
            });
        }
        let Self { application_id, grant_id, event_seed, at, .. } = *self;
        Purge { application_id, grant_id, event_seed, at }.run(tx, &[&doomed]).await?;
        Ok(DeleteOutcome::Purged)
    }
}
