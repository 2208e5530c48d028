//! Changing a message that is there: the folders that it is in, whether it is read, whether it has a star. What moves into
//! junk or out of it is to be learned, which is noted in the same transaction.

use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::folders;
use crate::messages;
use crate::params;
use crate::spam;
use crate::threads::totals;
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_core::spam::Trained;
use serde_json::Value;

/// Changes a message of a mailbox. What is absent stays.
#[derive(Clone, Debug)]
pub struct UpdateMessage {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The message.
    pub id: MessageId,
    /// The folders that it is to be in, at least one, each once, and all of them there.
    pub folders: Option<Vec<String>>,
    /// Whether it is to be unread.
    pub unread: Option<bool>,
    /// Whether it is to have a star.
    pub starred: Option<bool>,
    /// The id of the event that tells it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateOutcome {
    /// Done; it may have been so before.
    Done,
    /// There is no such message.
    Gone,
    /// It is a draft, which has a way of its own.
    Draft,
}

impl Command for UpdateMessage {
    type Outcome = UpdateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        const FIND: &str = "SELECT date, unread, starred, folders, draft, outgoing, summary, thread_id FROM messages \
            WHERE id = $1 AND grant_id = $2";
        // Junk is kept for a time of its own, from when it went there.
        const UPDATE: &str = "UPDATE messages SET folders = $2, unread = $3, starred = $4, \
            junked_at = CASE WHEN CAST($5 AS {int}) = 0 THEN NULL ELSE coalesce(junked_at, $6) END WHERE id = $1";
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(UpdateOutcome::Gone);
        }
        let row = tx.query_one(FIND, params![self.id.uuid(), self.grant_id.uuid()]).await?;
        let Some(row) = row else { return Ok(UpdateOutcome::Gone) };
        if row.flag(4)? {
            return Ok(UpdateOutcome::Draft);
        }
        let before = State { folders: messages::folders(&row.text(3)?)?, unread: row.flag(1)?, starred: row.flag(2)? };
        let after = State {
            folders: self.folders.clone().unwrap_or_else(|| before.folders.clone()),
            unread: self.unread.unwrap_or(before.unread),
            starred: self.starred.unwrap_or(before.starred),
        };
        if before == after {
            return Ok(UpdateOutcome::Done);
        }
        let folders = Value::from(after.folders.as_slice()).to_string();
        let is_junk = after.is_in(SystemFolder::Junk);
        let values = params![self.id.uuid(), &folders, after.unread, after.starred, is_junk, self.at.as_micros()];
        tx.execute(UPDATE, values).await?;
        self.list(tx, row.int(0)?, &before, &after).await?;
        let thread = ThreadId::from_uuid(row.uuid(7)?);
        totals::remark(tx, self.grant_id, thread, (&before.placement(), &after.placement())).await?;
        if !row.flag(5)? {
            self.note_junk(tx, (&before, &after), &row.text(6)?).await?;
        }
        self.announce(tx).await?;
        Ok(UpdateOutcome::Done)
    }
}

/// What can be changed of a message.
#[derive(PartialEq)]
struct State {
    folders: Vec<String>,
    unread: bool,
    starred: bool,
}

impl State {
    fn is_in(&self, folder: SystemFolder) -> bool {
        self.folders.iter().any(|one| one == folder.id())
    }

    fn placement(&self) -> Placement {
        Placement { folders: self.folders.clone(), unread: self.unread, starred: self.starred }
    }
}

impl UpdateMessage {
    /// Listings and counts follow.
    async fn list(&self, tx: &mut Tx, date: i64, before: &State, after: &State) -> Result<(), DbError> {
        const REMOVE: &str =
            "DELETE FROM listings WHERE grant_id = $1 AND folder = $2 AND date = $3 AND message_id = $4";
        let grant = self.grant_id;
        for folder in &before.folders {
            if !after.folders.contains(folder) {
                tx.execute(REMOVE, params![grant.uuid(), folder, date, self.id.uuid()]).await?;
                folders::count(tx, grant, folder, -1, -i64::from(before.unread)).await?;
            }
        }
        for folder in &after.folders {
            if before.folders.contains(folder) {
                let unread = i64::from(after.unread) - i64::from(before.unread);
                if unread != 0 {
                    folders::count(tx, grant, folder, 0, unread).await?;
                }
            } else {
                messages::list_draft(tx, grant, self.id, UnixMicros::from_micros(date), folder).await?;
                folders::count(tx, grant, folder, 1, i64::from(after.unread)).await?;
            }
        }
        Ok(())
    }

    /// What went into junk is spam to whoever reads the mailbox; what came out of it is not, unless it went into the trash.
    async fn note_junk(&self, tx: &mut Tx, (before, after): (&State, &State), summary: &str) -> Result<(), DbError> {
        let kind = match (before.is_in(SystemFolder::Junk), after.is_in(SystemFolder::Junk)) {
            (false, true) => Trained::Spam,
            (true, false) if !after.is_in(SystemFolder::Trash) => Trained::Ham,
            _ => return Ok(()),
        };
        let summary: Value = serde_json::from_str(summary).unwrap_or_default();
        let moved = spam::Moved {
            application_id: self.application_id,
            grant_id: self.grant_id,
            message_id: self.id,
            author: summary.pointer("/from/0/email").and_then(Value::as_str),
            kind,
            at: self.at,
        };
        spam::note(tx, &moved).await
    }

    async fn announce(&self, tx: &mut Tx) -> Result<(), DbError> {
        let Some(sequence) = events::next_sequence(tx, self.grant_id).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: self.event_id,
            application_id: self.application_id,
            grant_id: self.grant_id,
            grant_sequence: sequence,
            trigger: Trigger::MessageUpdated,
            message_id: Some(self.id),
            data: "{}".into(),
            at: self.at,
        });
        Ok(())
    }
}
