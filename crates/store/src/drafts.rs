//! Drafts: messages of a mailbox that are not sent yet. A draft's body is never changed: an edit puts another one in its
//! place, so that the body's id tells whether the draft is still as somebody read it.
//!
//! Every command here holds the lock on the mailbox, as sending does.

use crate::blobs::{self, PreparedBlob};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::folders;
use crate::holds;
use crate::idempotency::KeepAnswer;
use crate::messages::{self, MailboxCopy, MessageFacts};
use crate::metadata;
use crate::meters::{self, Owner};
use crate::params;
use crate::purge;
use crate::schedules::{self, NewSchedule, Release};
use crate::threads;
use crate::threads::totals::{self, Share};
use postfleet_core::event::Trigger;
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{ApplicationId, AuditId, BlobId, EventId, GrantId, KeyId, MessageId, ThreadId};
use postfleet_core::meter::Caps;
use postfleet_core::rule::Placement;
use postfleet_core::{Problem, UnixMicros};

/// Makes a draft, and perhaps schedules it.
#[derive(Clone, Debug)]
pub struct CreateDraft {
    /// The message so far.
    pub blob: PreparedBlob,
    /// What it is. Its folder is that of drafts, or the one that nobody sees.
    pub facts: MessageFacts,
    /// The mailbox, and the ids that the draft gets.
    pub copy: MailboxCopy,
    /// The thread of the message that it answers; otherwise it begins one.
    pub thread_id: Option<ThreadId>,
    /// Marked with a star.
    pub starred: bool,
    /// When it is to be sent.
    pub schedule: Option<NewSchedule>,
    /// What is answered, if the request came with a key.
    pub answer: Option<KeepAnswer>,
}

/// What became of [`CreateDraft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It is there.
    Created(ThreadId),
    /// As many sends of the mailbox wait as may.
    TooManySchedules,
    /// The key of the request was used, or there is no room for it.
    Refused(Problem),
    /// The mailbox was removed meanwhile.
    NoSuchGrant,
}

impl Command for CreateDraft {
    type Outcome = CreateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CreateOutcome, DbError> {
        let grant = self.copy.grant_id;
        if !lock(tx, grant).await? {
            return Ok(CreateOutcome::NoSuchGrant);
        }
        if let Some(answer) = &self.answer
            && let Some(problem) = answer.refusal(tx).await?
        {
            return Ok(CreateOutcome::Refused(problem));
        }
        if self.schedule.is_some() && !schedules::has_room(tx, grant).await? {
            return Ok(CreateOutcome::TooManySchedules);
        }
        if let Some(problem) = no_room(tx, &self.copy, self.facts.octets as i64, self.facts.date).await? {
            return Ok(CreateOutcome::Refused(problem));
        }
        let thread_id = self.thread_id.unwrap_or(self.copy.new_thread_id);
        if self.is_seen() {
            threads::hold(tx, grant, thread_id, &self.facts.thread.subject, self.facts.date).await?;
            totals::add(tx, grant, thread_id, &self.share()).await?;
        }
        store_octets(tx, grant, self.facts.octets as i64).await?;
        blobs::insert(tx, &self.blob, 1).await?;
        self.insert(tx, thread_id).await?;
        let place = (self.facts.date.as_micros(), self.copy.message_id);
        metadata::add(tx, grant, place, &self.facts.summary).await?;
        messages::list_draft(tx, grant, self.copy.message_id, self.facts.date, self.facts.folder).await?;
        folders::count(tx, grant, self.facts.folder, 1, i64::from(self.facts.unread)).await?;
        if self.is_seen() {
            let announcement = Announcement::of(&self.copy, Trigger::DraftCreated, self.facts.date);
            announcement.make(tx).await?;
        }
        if let Some(schedule) = &self.schedule {
            schedule.insert(tx, &self.copy, self.facts.date).await?;
        }
        if let Some(answer) = &self.answer {
            answer.run(tx).await?;
        }
        Ok(CreateOutcome::Created(thread_id))
    }
}

impl CreateDraft {
    /// Whether it is a draft of the mailbox, in place of a message that only waits.
    fn is_seen(&self) -> bool {
        self.facts.folder != SCHEDULED
    }

    fn share(&self) -> Share {
        let (folders, place) = ([self.facts.folder.to_owned()], (self.copy.message_id, self.facts.date.as_micros()));
        Share::of(place, true, (folders.as_slice(), self.facts.unread, self.starred), &self.facts.summary)
    }

    async fn insert(&self, tx: &mut Tx, thread_id: ThreadId) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO messages \
            (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, octets, folders, summary, draft) \
            VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, 1)";
        let folders = serde_json::Value::from([self.facts.folder].as_slice()).to_string();
        let values = params![
            self.copy.message_id.uuid(),
            self.copy.grant_id.uuid(),
            thread_id.uuid(),
            self.blob.id().uuid(),
            self.facts.date.as_micros(),
            self.facts.unread,
            self.starred,
            self.facts.octets as i64,
            &folders,
            &self.facts.summary
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }
}

/// Puts an edited draft in the place of the one that was read.
#[derive(Clone, Debug)]
pub struct UpdateDraft {
    /// The mailbox, the draft's id and that of the event.
    pub copy: MailboxCopy,
    /// The body that was read.
    pub seen: BlobId,
    /// The message as it is now.
    pub blob: PreparedBlob,
    /// What it is.
    pub facts: MessageFacts,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Marked with a star.
    pub starred: bool,
    /// When it is to be sent: its schedule, if it has one, moves there, and is cancelled without.
    pub send_at: Option<UnixMicros>,
    /// The key that changes it, if one does.
    pub by: Option<KeyId>,
}

/// What became of a change of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftOutcome {
    /// Done.
    Done,
    /// Somebody else changed it meanwhile: it is to be read again.
    Changed,
    /// There is no such draft.
    Gone,
    /// There is no room for what it has become.
    Refused(Problem),
}

impl Command for UpdateDraft {
    type Outcome = DraftOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<DraftOutcome, DbError> {
        let (grant, id, facts) = (self.copy.grant_id, self.copy.message_id, &self.facts);
        if !lock(tx, grant).await? {
            return Ok(DraftOutcome::Gone);
        }
        let before = match held(tx, grant, id).await? {
            Some(before) if before.is_seen() => before,
            _ => return Ok(DraftOutcome::Gone),
        };
        if before.blob_id != self.seen {
            return Ok(DraftOutcome::Changed);
        }
        if let Some(problem) = no_room(tx, &self.copy, facts.octets as i64 - before.octets, facts.date).await? {
            return Ok(DraftOutcome::Refused(problem));
        }
        blobs::insert(tx, &self.blob, 1).await?;
        self.write(tx).await?;
        blobs::release(tx, before.blob_id).await?;
        metadata::remove(tx, grant, (before.date, id), &before.summary).await?;
        metadata::add(tx, grant, (facts.date.as_micros(), id), &facts.summary).await?;
        messages::unlist(tx, grant, id, before.date, &before.folders).await?;
        for folder in &before.folders {
            messages::list_draft(tx, grant, id, facts.date, folder).await?;
            folders::count(tx, grant, folder, 0, i64::from(facts.unread) - i64::from(before.unread)).await?;
        }
        store_octets(tx, grant, facts.octets as i64 - before.octets).await?;
        threads::hold(tx, grant, self.thread_id, &facts.thread.subject, facts.date).await?;
        if before.thread_id != self.thread_id {
            threads::drop_empty(tx, grant, before.thread_id).await?;
        }
        totals::remove(tx, grant, before.thread_id, &[before.share(id)]).await?;
        let marks = (before.folders.as_slice(), facts.unread, self.starred);
        let share = Share::of((id, facts.date.as_micros()), true, marks, &facts.summary);
        totals::add(tx, grant, self.thread_id, &share).await?;
        schedules::follow(tx, id, self.send_at, facts.date).await?;
        if self.send_at.is_some() {
            schedules::take_over(tx, id, self.by).await?;
        }
        holds::follow(tx, &self.copy, self.blob.id(), self.by, facts.date).await?;
        Announcement::of(&self.copy, Trigger::DraftUpdated, facts.date).make(tx).await?;
        Ok(DraftOutcome::Done)
    }
}

impl UpdateDraft {
    async fn write(&self, tx: &mut Tx) -> Result<(), DbError> {
        const UPDATE: &str = "UPDATE messages SET thread_id = $2, blob_id = $3, date = $4, unread = $5, starred = $6, \
            octets = $7, summary = $8 WHERE id = $1";
        let values = params![
            self.copy.message_id.uuid(),
            self.thread_id.uuid(),
            self.blob.id().uuid(),
            self.facts.date.as_micros(),
            self.facts.unread,
            self.starred,
            self.facts.octets as i64,
            &self.facts.summary
        ];
        tx.execute(UPDATE, values).await?;
        Ok(())
    }
}

/// Removes a draft; what was to send it is cancelled.
#[derive(Clone, Copy, Debug)]
pub struct DeleteDraft {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The draft.
    pub id: MessageId,
    /// The id of the event that tells of it.
    pub event_id: EventId,
    /// The id of the record, should its send have been held.
    pub audit_id: AuditId,
    /// When.
    pub at: UnixMicros,
}

impl Command for DeleteDraft {
    /// Whether there was such a draft.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        if !lock(tx, self.grant_id).await? {
            return Ok(false);
        }
        let Some(draft) = held(tx, self.grant_id, self.id).await?.filter(Held::is_seen) else { return Ok(false) };
        remove(tx, self.grant_id, self.id, &draft).await?;
        schedules::cancel_of(tx, self.id, self.at).await?;
        holds::cancel_of(tx, self.id, self.audit_id, self.at).await?;
        let announcement = Announcement {
            id: self.event_id,
            application_id: self.application_id,
            grant_id: self.grant_id,
            message_id: self.id,
            trigger: Trigger::DraftDeleted,
            data: &purge::kept_at(&draft.folders, &draft.summary),
            at: self.at,
        };
        announcement.make(tx).await?;
        Ok(true)
    }
}

/// The draft that is sent, as it was read.
#[derive(Clone, Debug)]
pub struct FromDraft {
    /// The body that was read.
    pub seen: BlobId,
    /// The schedule whose time has come, unless somebody sends the draft now.
    pub release: Option<Release>,
    /// The hold that ends, if it is one that is released.
    pub hold: Option<holds::Release>,
}

impl FromDraft {
    /// Whether the draft is as it was read, and the schedule due. Nobody changes that before the commit.
    pub(crate) async fn claim(&self, tx: &mut Tx, copy: &MailboxCopy, at: UnixMicros) -> Result<Option<Held>, DbError> {
        if let Some(release) = &self.release
            && !schedules::is_due(tx, release.id, at).await?
        {
            return Ok(None);
        }
        Ok(held(tx, copy.grant_id, copy.message_id).await?.filter(|draft| draft.blob_id == self.seen))
    }

    /// Tells that the schedule is done.
    pub(crate) async fn close(&self, tx: &mut Tx, copy: &MailboxCopy, at: UnixMicros) -> Result<(), DbError> {
        match &self.release {
            Some(release) => release.succeed(tx, copy, at).await,
            // A draft that is sent now is not sent again later.
            None => schedules::cancel_of(tx, copy.message_id, at).await,
        }
    }
}

/// A draft as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) thread_id: ThreadId,
    pub(crate) blob_id: BlobId,
    pub(crate) date: i64,
    unread: bool,
    starred: bool,
    pub(crate) octets: i64,
    folders: Vec<String>,
    summary: String,
}

impl Held {
    /// Whether it is a draft of the mailbox, in place of a message that only waits.
    pub(crate) fn is_seen(&self) -> bool {
        self.folders.iter().all(|folder| folder != SCHEDULED)
    }

    /// Where it is, and how it is marked.
    pub(crate) fn placement(&self) -> Placement {
        Placement { folders: self.folders.clone(), unread: self.unread, starred: self.starred }
    }

    /// What its thread loses with it.
    fn share(&self, id: MessageId) -> Share {
        Share::of((id, self.date), true, (self.folders.as_slice(), self.unread, self.starred), &self.summary)
    }
}

/// The draft of that id, in a mailbox that is locked.
pub(crate) async fn held(tx: &mut Tx, grant: GrantId, id: MessageId) -> Result<Option<Held>, DbError> {
    const FIND: &str = "SELECT thread_id, blob_id, date, unread, octets, folders, starred, summary FROM messages \
        WHERE id = $1 AND grant_id = $2 AND draft = 1";
    let Some(row) = tx.query_one(FIND, params![id.uuid(), grant.uuid()]).await? else { return Ok(None) };
    Ok(Some(Held {
        thread_id: ThreadId::from_uuid(row.uuid(0)?),
        blob_id: BlobId::from_uuid(row.uuid(1)?),
        date: row.int(2)?,
        unread: row.flag(3)?,
        octets: row.int(4)?,
        folders: messages::folders(row.str(5)?)?,
        starred: row.flag(6)?,
        summary: row.text(7)?,
    }))
}

/// Takes a draft out of its mailbox, which is locked.
pub(crate) async fn remove(tx: &mut Tx, grant: GrantId, id: MessageId, draft: &Held) -> Result<(), DbError> {
    const REMOVE: &str = "DELETE FROM messages WHERE id = $1";
    messages::unlist(tx, grant, id, draft.date, &draft.folders).await?;
    for folder in &draft.folders {
        folders::count(tx, grant, folder, -1, -i64::from(draft.unread)).await?;
    }
    tx.execute(REMOVE, params![id.uuid()]).await?;
    metadata::remove(tx, grant, (draft.date, id), &draft.summary).await?;
    blobs::release(tx, draft.blob_id).await?;
    store_octets(tx, grant, -draft.octets).await?;
    threads::drop_empty(tx, grant, draft.thread_id).await?;
    totals::remove(tx, grant, draft.thread_id, &[draft.share(id)]).await
}

/// Why a mailbox, which is locked, may not keep so many octets more. What becomes smaller is never refused.
pub(crate) async fn no_room(
    tx: &mut Tx,
    copy: &MailboxCopy,
    octets: i64,
    at: UnixMicros,
) -> Result<Option<Problem>, DbError> {
    let Some(octets) = u64::try_from(octets).ok().filter(|octets| *octets > 0) else { return Ok(None) };
    let Some(judged) = meters::judge(tx, copy.application_id, copy.grant_id, at).await? else { return Ok(None) };
    if let Err(problem) = judged.meters.keep(octets) {
        return Ok(Some(problem));
    }
    let caps = Caps { storage: judged.meters.storage.limit, ..Caps::default() };
    tx.tally().hold(judged.organization_id.uuid(), at.day().month(), caps);
    Ok(None)
}

/// Locks a mailbox; false if it is gone.
pub(crate) async fn lock(tx: &mut Tx, grant: GrantId) -> Result<bool, DbError> {
    const LOCK: &str = "SELECT grant_id FROM mailboxes WHERE grant_id = $1 {lock}";
    Ok(tx.query_one(LOCK, params![grant.uuid()]).await?.is_some())
}

pub(crate) async fn store_octets(tx: &mut Tx, grant: GrantId, octets: i64) -> Result<(), DbError> {
    const STORE: &str = "UPDATE mailboxes SET storage_octets = storage_octets + $2 WHERE grant_id = $1 \
        RETURNING organization_id, application_id";
    let row = tx.query_one(STORE, params![grant.uuid(), octets]).await?.ok_or(DbError::Malformed("mailbox"))?;
    tx.tally().store(Owner::read(&row, 0)?, octets);
    Ok(())
}

/// Tells that a draft was changed.
pub(crate) async fn announce_update(
    tx: &mut Tx,
    (application_id, grant_id): (ApplicationId, GrantId),
    message_id: MessageId,
    id: EventId,
    at: UnixMicros,
) -> Result<(), DbError> {
    let trigger = Trigger::DraftUpdated;
    Announcement { id, application_id, grant_id, message_id, trigger, data: "{}", at }.make(tx).await
}

/// An event about a draft, or about what became of it.
pub(crate) struct Announcement<'a> {
    pub(crate) id: EventId,
    pub(crate) application_id: ApplicationId,
    pub(crate) grant_id: GrantId,
    pub(crate) message_id: MessageId,
    pub(crate) trigger: Trigger,
    pub(crate) data: &'a str,
    pub(crate) at: UnixMicros,
}

impl Announcement<'_> {
    fn of(copy: &MailboxCopy, trigger: Trigger, at: UnixMicros) -> Self {
        let MailboxCopy { grant_id, application_id, message_id, event_id, .. } = *copy;
        Self { id: event_id, application_id, grant_id, message_id, trigger, data: "{}", at }
    }

    pub(crate) async fn make(self, tx: &mut Tx) -> Result<(), DbError> {
        // A removed mailbox has no more events.
        let Some(grant_sequence) = events::next_sequence(tx, self.grant_id).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: self.id,
            application_id: self.application_id,
            grant_id: self.grant_id,
            grant_sequence,
            trigger: self.trigger,
            message_id: Some(self.message_id),
            data: self.data.to_owned(),
            at: self.at,
        });
        Ok(())
    }
}
