//! Changing a message that is there: the folders that it is in, whether it is read, answered, whether it has a star, and what
//! its application hung on it. What moves into junk or out of it is to be learned, which is noted in the same transaction.

use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::folders;
use crate::listings;
use crate::messages;
use crate::metadata;
use crate::params;
use crate::spam;
use crate::threads::totals;
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_core::spam::Trained;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Changes a message of a mailbox. What is absent stays.
#[derive(Clone, Debug)]
pub struct UpdateMessage {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The message.
    pub id: MessageId,
    /// The folders that it is to be in, at least one, by their ids or names. Drafts are in no list of these.
    pub folders: Option<Vec<String>>,
    /// Whether it is to be unread.
    pub unread: Option<bool>,
    /// Whether it is to have a star.
    pub starred: Option<bool>,
    /// Whether it is to be answered.
    pub answered: Option<bool>,
    /// The pairs that it is to have in place of those that it has.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The id of the event that tells it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

impl UpdateMessage {
    /// Nothing is to be changed yet of a message, which is named with its application and its mailbox.
    pub fn nothing(
        (application_id, grant_id, id): (ApplicationId, GrantId, MessageId),
        event_id: EventId,
        at: UnixMicros,
    ) -> Self {
        let (folders, unread, starred, answered, metadata) = (None, None, None, None, None);
        Self { application_id, grant_id, id, folders, unread, starred, answered, metadata, event_id, at }
    }
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UpdateOutcome {
    /// Done; it may have been so before.
    Done,
    /// There is no such message.
    Gone,
    /// It is a draft, which has a way of its own.
    Draft,
    /// The mailbox has no folder of that id or name. Nothing was changed.
    NoSuchFolder(String),
}

impl Command for UpdateMessage {
    type Outcome = UpdateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(UpdateOutcome::Gone);
        }
        let Some(named) = &self.folders else { return self.apply(tx).await };
        let assigned = folders::assign(tx, (self.grant_id, self.id), named, self.at).await?;
        let mut ids: Vec<String> = Vec::with_capacity(named.len());
        for name in named {
            match assigned.id(name) {
                None => return Ok(UpdateOutcome::NoSuchFolder(name.clone())),
                Some(id) if ids.contains(&id) => {}
                Some(id) => ids.push(id),
            }
        }
        let outcome = Self { folders: Some(ids), ..self.clone() }.apply(tx).await?;
        assigned.announce(tx, (self.application_id, self.grant_id), self.at).await?;
        Ok(outcome)
    }
}

impl UpdateMessage {
    /// Changes the message in its mailbox, which is locked; folders are ids of such as are there.
    pub(crate) async fn apply(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        const FIND: &str = "SELECT date, unread, starred, folders, draft, outgoing, summary, answered, thread_id \
            FROM messages WHERE id = $1 AND grant_id = $2";
        // Junk is kept for a time of its own, from when it went there.
        const UPDATE: &str = "UPDATE messages SET folders = $2, unread = $3, starred = $4, \
            junked_at = CASE WHEN CAST($5 AS {int}) = 0 THEN NULL ELSE coalesce(junked_at, $6) END, answered = $7 \
            WHERE id = $1";
        const MARK: &str = "UPDATE messages SET summary = $2 WHERE id = $1";
        let row = tx.query_one(FIND, params![self.id.uuid(), self.grant_id.uuid()]).await?;
        let Some(row) = row else { return Ok(UpdateOutcome::Gone) };
        if row.flag(4)? {
            return Ok(UpdateOutcome::Draft);
        }
        let before = State {
            folders: messages::folders(row.str(3)?)?,
            unread: row.flag(1)?,
            starred: row.flag(2)?,
            answered: row.flag(7)?,
        };
        let after = State {
            folders: self.folders.clone().unwrap_or_else(|| before.folders.clone()),
            unread: self.unread.unwrap_or(before.unread),
            starred: self.starred.unwrap_or(before.starred),
            answered: self.answered.unwrap_or(before.answered),
        };
        let summary = row.text(6)?;
        let marked = self.metadata.as_ref().and_then(|pairs| with_metadata(&summary, pairs));
        if before == after && marked.is_none() {
            return Ok(UpdateOutcome::Done);
        }
        let folders = Value::from(after.folders.as_slice()).to_string();
        let is_junk = after.is_in(SystemFolder::Junk);
        let (unread, starred, answered) = (after.unread, after.starred, after.answered);
        let values = params![self.id.uuid(), &folders, unread, starred, is_junk, self.at.as_micros(), answered];
        tx.execute(UPDATE, values).await?;
        if let Some(marked) = &marked {
            tx.execute(MARK, params![self.id.uuid(), marked]).await?;
            metadata::change(tx, self.grant_id, (row.int(0)?, self.id), (&summary, marked)).await?;
        }
        self.list(tx, row.int(0)?, &before, &after).await?;
        let thread = ThreadId::from_uuid(row.uuid(8)?);
        totals::remark(tx, self.grant_id, thread, (&before.placement(), &after.placement())).await?;
        if !row.flag(5)? {
            self.note_junk(tx, (&before, &after), &summary).await?;
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
    answered: bool,
}

/// The summary with these pairs in place of those that it has; nothing if it has the same.
fn with_metadata(summary: &str, pairs: &BTreeMap<String, String>) -> Option<String> {
    let mut summary: Map<String, Value> = serde_json::from_str(summary).unwrap_or_default();
    let wanted: Map<String, Value> = pairs.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let has = summary.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    if has == wanted {
        return None;
    }
    if wanted.is_empty() {
        summary.remove("metadata");
    } else {
        summary.insert("metadata".to_owned(), Value::Object(wanted));
    }
    Some(Value::Object(summary).to_string())
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
        if (before.unread, before.starred) == (after.unread, after.starred) {
            return Ok(());
        }
        // Those that it came into say it already.
        let stayed = after.folders.iter().filter(|folder| before.folders.contains(folder));
        listings::mark(tx, grant, self.id, date, stayed).await
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
