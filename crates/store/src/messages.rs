//! Messages: filing them into mailboxes, and reading them back.

mod judged;

pub(crate) use judged::{Numbered, number};
pub use judged::{Received, placed};

use crate::blobs::{self, PreparedBlob, StoredBlob};
use crate::correspondents;
use crate::db::{DbError, Passing, Row};
use crate::drafts;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, NewEvent};
use crate::folders;
use crate::listings::{self, Flags};
use crate::metadata;
use crate::meters::{self, GrantMeters, Owner};
use crate::params;
use crate::refused_mail::{self, NewRefusal};
use crate::search;
use crate::threads::{self, ThreadHints};
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId, OrganizationId, ThreadId};
use postfleet_core::meter::Caps;
use postfleet_core::recipient;
use postfleet_core::refused_mail::outcome;
use postfleet_core::rule::{Placement, Verdict};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What one message has in common in every mailbox that it is filed into.
#[derive(Clone, Debug)]
pub struct MessageFacts {
    /// When the server took it.
    pub date: UnixMicros,
    /// Whether the mailbox sent it.
    pub outgoing: bool,
    /// The folder it goes into.
    pub folder: &'static str,
    /// Whether it starts unread.
    pub unread: bool,
    /// Whether it starts with a star.
    pub starred: bool,
    /// Octets of its raw form.
    pub octets: u64,
    /// What lists show of it, as JSON: see `postfleet-mailbox`.
    pub summary: String,
    /// What its thread is found by.
    pub thread: ThreadHints,
}

impl MessageFacts {
    /// Where a copy goes of which no rule says anything.
    pub fn placement(&self) -> Placement {
        Placement { folders: vec![self.folder.to_owned()], unread: self.unread, starred: self.starred }
    }
}

/// One mailbox's copy of a message.
#[derive(Clone, Copy, Debug)]
pub struct MailboxCopy {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// The id of the copy.
    pub message_id: MessageId,
    /// The id of its thread, if it starts one.
    pub new_thread_id: ThreadId,
    /// The id of the event that announces it.
    pub event_id: EventId,
}

/// A mailbox's copy of a message, where it goes, and what was found of it.
#[derive(Clone, Debug)]
pub struct FiledCopy {
    /// The copy.
    pub copy: MailboxCopy,
    /// Where it goes.
    pub placement: Placement,
    /// What was found of it for this mailbox, as JSON: see `postfleet-mailbox`. Nothing for what was not received.
    pub assessment: Option<String>,
    /// What the rules of the mailbox see of it. Nothing for what is ours, which no rule judges.
    pub received: Option<Box<Received>>,
}

impl FiledCopy {
    /// A copy about which nothing is said.
    pub fn plain(copy: MailboxCopy, facts: &MessageFacts) -> Self {
        Self { copy, placement: facts.placement(), assessment: None, received: None }
    }
}

/// Files a received message into the mailboxes of its recipients, all or none.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The message, shared by all copies.
    pub blob: PreparedBlob,
    /// What it is.
    pub facts: MessageFacts,
    /// One for each recipient; a mailbox appears once.
    pub copies: Vec<FiledCopy>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Where a message comes from that is filed.
#[derive(Clone, Debug)]
pub enum Provenance {
    /// From somebody: it counts as mail that came in.
    Received(Incoming),
    /// From us, to tell something that must be told: it is neither counted as mail that came in nor refused.
    Ours,
}

/// What is known of the mailboxes of a message that came in.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// Those that are capped, and have to have room.
    pub capped: Vec<GrantId>,
    /// That others did not take it: written down if these do.
    pub dropped: Vec<NewRefusal>,
}

impl Command for Deliver {
    /// The copies that were filed; the others' mailboxes were removed since their recipients were admitted, or their rules
    /// block it. A problem if a mailbox has no room any more, if its rules cannot be decided, or if those of all
    /// mailboxes block it: nothing was filed then, and that is written down.
    type Outcome = Result<Vec<MessageId>, Problem>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Outcome, DbError> {
        if let Some(problem) = self.no_room(tx).await? {
            return Ok(Err(problem));
        }
        let mut numbered = Vec::with_capacity(self.copies.len());
        for filing in &self.copies {
            numbered.extend(number(tx, filing, self.facts.octets).await?);
        }
        if let Some(problem) = sift(tx, &mut numbered).await? {
            if problem.kind == ProblemKind::BlockedByRule {
                self.record_dropped(tx, true).await?;
            }
            return Ok(Err(problem));
        }
        let mut filed = Vec::with_capacity(numbered.len());
        let mut received = Vec::with_capacity(numbered.len());
        for numbered in &numbered {
            let copy = &numbered.filing.copy;
            file_numbered(tx, self.blob.id(), &self.facts, numbered, None).await?;
            filed.push(copy.message_id);
            received.push((numbered.owner, copy.grant_id, copy.message_id));
        }
        if !filed.is_empty() {
            blobs::insert(tx, &self.blob, filed.len()).await?;
            if matches!(self.provenance, Provenance::Received(_)) {
                tx.tally().receive(&received, self.facts.date.day(), self.facts.octets);
                self.record_dropped(tx, false).await?;
            }
        }
        Ok(Ok(filed))
    }
}

/// Leaves the copies that rules let go on, and writes down the others. A problem if nobody gets the message: it is blocked for
/// all, or cannot be decided for one, and then for all of them it must not go on now.
async fn sift(tx: &mut Tx, numbered: &mut Vec<Numbered<'_>>) -> Result<Option<Problem>, DbError> {
    let is = |verdict| move |copy: &Numbered<'_>| copy.verdict() == verdict;
    let is_undecidable = numbered.iter().any(is(Verdict::Undecidable));
    let reason = if is_undecidable { Verdict::Undecidable } else { Verdict::Block };
    if !numbered.iter().any(is(reason)) {
        return Ok(None);
    }
    let nobody = is_undecidable || numbered.iter().all(is(Verdict::Block));
    let mut first = None;
    for copy in numbered.iter().filter(|copy| nobody || is(reason)(copy)) {
        copy.give_back(tx).await?;
        // Of what is blocked now nothing is decided yet if all of it comes again.
        if let Some(refusal) = copy.refusal(!nobody).filter(|_| is(reason)(copy)) {
            refused_mail::record(tx, &refusal).await?;
            first = first.or(Some(refusal.problem));
        }
    }
    numbered.retain(|copy| !is(reason)(copy));
    Ok(first.filter(|_| nobody))
}

impl Deliver {
    /// Writes down that mailboxes did not take it which were asked before; others did, or it turned out that none does.
    async fn record_dropped(&self, tx: &mut Tx, is_refused: bool) -> Result<(), DbError> {
        let Provenance::Received(Incoming { dropped, .. }) = &self.provenance else { return Ok(()) };
        for refusal in dropped {
            let outcome = if is_refused { outcome(&refusal.problem) } else { refusal.outcome };
            refused_mail::record(tx, &NewRefusal { outcome, ..refusal.clone() }).await?;
        }
        Ok(())
    }

    /// Why one of the capped mailboxes cannot take the message. All are looked at before any gets it.
    async fn no_room(&self, tx: &mut Tx) -> Result<Option<Problem>, DbError> {
        let Provenance::Received(Incoming { capped, .. }) = &self.provenance else { return Ok(None) };
        let (at, octets) = (self.facts.date, self.facts.octets);
        let mut kept: BTreeMap<OrganizationId, u64> = BTreeMap::new();
        let mut allowed = Vec::new();
        for filing in self.copies.iter().filter(|filing| capped.contains(&filing.copy.grant_id)) {
            let copy = &filing.copy;
            if !drafts::lock(tx, copy.grant_id).await? {
                continue;
            }
            let Some(judged) = meters::judge(tx, copy.application_id, copy.grant_id, at).await? else { continue };
            let GrantMeters { organization_id, mut meters, .. } = judged;
            // Each copy is kept, and all of them came in once.
            let earlier = kept.entry(organization_id).or_default();
            meters.storage.used += *earlier;
            *earlier += octets;
            if let Err(problem) = recipient::has_room(Some(&meters), octets) {
                if let Some(received) = &filing.received {
                    let refusal = received.refusal(filing, problem.clone(), outcome(&problem));
                    refused_mail::record(tx, &refusal).await?;
                }
                return Ok(Some(problem));
            }
            allowed.push((organization_id.uuid(), Caps { sends: None, ..meters.caps() }));
        }
        for (organization, caps) in allowed {
            tx.tally().hold(organization, at.day().month(), caps);
        }
        Ok(None)
    }
}

/// Files one copy that no rule judges: counters, message, thread, listings and the event, in the caller's transaction.
/// `thread` overrules what the hints would find. Answers the thread and whose the mailbox is, or `None` when it is gone.
pub(crate) async fn file(
    tx: &mut Tx,
    blob_id: BlobId,
    facts: &MessageFacts,
    filing: &FiledCopy,
    thread: Option<ThreadId>,
) -> Result<Option<(ThreadId, Owner)>, DbError> {
    let Some(numbered) = number(tx, filing, facts.octets).await? else { return Ok(None) };
    let thread_id = file_numbered(tx, blob_id, facts, &numbered, thread).await?;
    Ok(Some((thread_id, numbered.owner)))
}

/// Files a copy that has its number, where the rules want it, and writes down what they said.
pub(crate) async fn file_numbered(
    tx: &mut Tx,
    blob_id: BlobId,
    facts: &MessageFacts,
    numbered: &Numbered<'_>,
    thread: Option<ThreadId>,
) -> Result<ThreadId, DbError> {
    let FiledCopy { copy, assessment, .. } = numbered.filing;
    let (placement, assigned) = numbered.placement(tx, facts.date).await?;
    let thread_id = threads::join(tx, copy, facts, &placement, thread).await?;
    insert(tx, blob_id, facts, (copy, &placement, assessment.as_deref()), thread_id).await?;
    metadata::add(tx, copy.grant_id, (facts.date.as_micros(), copy.message_id), &facts.summary).await?;
    let exchanged = (facts.thread.correspondents.as_slice(), facts.outgoing);
    correspondents::note(tx, copy.grant_id, exchanged, &placement.folders).await?;
    let flags = Flags::of(placement.unread, placement.starred, &facts.summary).bits();
    list(tx, (copy.grant_id, copy.message_id), facts.date, &placement.folders, flags).await?;
    for folder in &placement.folders {
        folders::count(tx, copy.grant_id, folder, 1, i64::from(placement.unread)).await?;
    }
    listings::mark_older(tx, copy.grant_id, numbered.sequence, facts.date).await?;
    search::filed(tx, (copy, facts.date), numbered.searched_until, numbered.sequence).await?;
    numbered.record(tx, &assigned, facts.date).await?;
    let is_junk = !facts.outgoing && placement.folders.iter().any(|folder| folder == SystemFolder::Junk.id());
    tx.announce(NewEvent {
        id: copy.event_id,
        application_id: copy.application_id,
        grant_id: copy.grant_id,
        grant_sequence: numbered.sequence,
        trigger: Trigger::MessageCreated,
        message_id: Some(copy.message_id),
        data: if is_junk { events::OF_JUNK } else { "{}" }.into(),
        at: facts.date,
    });
    assigned.announce(tx, (copy.application_id, copy.grant_id), facts.date).await?;
    Ok(thread_id)
}

async fn insert(
    tx: &mut Tx,
    blob_id: BlobId,
    facts: &MessageFacts,
    (copy, placement, assessment): (&MailboxCopy, &Placement, Option<&str>),
    thread_id: ThreadId,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO messages \
        (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, octets, folders, summary, sent_by, assessment) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let folders = serde_json::Value::from(placement.folders.as_slice()).to_string();
    let values = params![
        copy.message_id.uuid(),
        copy.grant_id.uuid(),
        thread_id.uuid(),
        blob_id.uuid(),
        facts.outgoing,
        facts.date.as_micros(),
        placement.unread,
        placement.starred,
        facts.octets as i64,
        &folders,
        &facts.summary,
        facts.outgoing.then_some(copy.application_id.uuid()),
        assessment
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Puts a message into the listing of its mailbox and into those of folders.
pub(crate) async fn list(
    tx: &mut Tx,
    (grant, id): (GrantId, MessageId),
    date: UnixMicros,
    folders: &[String],
    flags: i64,
) -> Result<(), DbError> {
    // What is not younger than what was marked is marked at once.
    macro_rules! flags {
        () => {
            "CAST($5 AS {int}) | (SELECT CAST(CASE WHEN b.marked_until >= $2 THEN 8 ELSE 0 END AS {int}) \
             FROM mailboxes b WHERE b.grant_id = $1)"
        };
    }
    const INSERT: &str = concat!(
        "INSERT INTO listings (grant_id, folder, date, message_id, flags) VALUES ($1, '', $2, $3, ",
        flags!(),
        "), ($1, $4, $2, $3, ",
        flags!(),
        ")"
    );
    const INSERT_ALSO: &str = concat!(
        "INSERT INTO listings (grant_id, folder, date, message_id, flags) VALUES ($1, $4, $2, $3, ",
        flags!(),
        ")"
    );
    for (place, folder) in folders.iter().enumerate() {
        let statement = if place == 0 { INSERT } else { INSERT_ALSO };
        tx.execute(statement, params![grant.uuid(), date.as_micros(), id.uuid(), folder, flags]).await?;
    }
    Ok(())
}

/// Puts a draft into the listing of its folder, and no other.
pub(crate) async fn list_draft(
    tx: &mut Tx,
    grant: GrantId,
    id: MessageId,
    date: UnixMicros,
    folder: &str,
) -> Result<(), DbError> {
    listings::insert(tx, grant, id, date, folder).await
}

/// Takes a message out of every listing.
pub(crate) async fn unlist(
    tx: &mut Tx,
    grant: GrantId,
    id: MessageId,
    date: i64,
    folders: &[String],
) -> Result<(), DbError> {
    const REMOVE: &str = "DELETE FROM listings WHERE grant_id = $1 AND folder = $2 AND date = $3 AND message_id = $4";
    for folder in folders.iter().map(String::as_str).chain([""]) {
        tx.execute(REMOVE, params![grant.uuid(), folder, date, id.uuid()]).await?;
    }
    Ok(())
}

/// The folders column.
pub(crate) fn folders(json: &str) -> Result<Vec<String>, DbError> {
    serde_json::from_str(json).map_err(|_| DbError::Malformed("folders"))
}

/// A message as it is stored.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// Its id.
    pub id: MessageId,
    /// Its mailbox.
    pub grant_id: GrantId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Its raw form.
    pub blob_id: BlobId,
    /// Whether the mailbox sent it.
    pub outgoing: bool,
    /// When the server took it.
    pub date: UnixMicros,
    /// Not read yet.
    pub unread: bool,
    /// Marked with a star.
    pub starred: bool,
    /// Octets of its raw form.
    pub octets: u64,
    /// The folders it is in.
    pub folders: Vec<String>,
    /// What lists show of it, as JSON.
    pub summary: String,
    /// Not sent yet.
    pub draft: bool,
    /// What was found of it when it came in, as JSON; nothing for what the mailbox wrote itself.
    pub assessment: Option<String>,
    /// Answered: the mailbox sent a reply, or somebody said so.
    pub answered: bool,
}

/// The place of a message, and where a page starts: after this one. Newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// Its date.
    pub date: UnixMicros,
    /// Its id.
    pub id: MessageId,
}

impl After {
    /// Before the newest message.
    pub const START: Self =
        Self { date: UnixMicros::from_micros(i64::MAX), id: MessageId::from_uuid(uuid::Uuid::max()) };

    /// Of a row of a date and an id.
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self { date: UnixMicros::from_micros(row.int(0)?), id: MessageId::from_uuid(row.uuid(1)?) })
    }
}

/// Places as a JSON list of lists.
pub(crate) fn list_of_places(places: &[After]) -> String {
    let place = |place: &After| {
        let values: [serde_json::Value; 2] =
            [place.date.as_micros().into(), place.id.uuid().simple().to_string().into()];
        values.to_vec()
    };
    serde_json::Value::from_iter(places.iter().map(place)).to_string()
}

/// One page of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The mailbox.
    pub grant_id: GrantId,
    /// A folder's id, or empty for the whole mailbox.
    pub folder: &'a str,
    /// Where the page starts.
    pub after: After,
    /// Only messages with a date after this.
    pub newer_than: UnixMicros,
    /// How many.
    pub limit: usize,
}

macro_rules! message_columns {
    () => {
        "m.id, m.grant_id, m.thread_id, m.blob_id, m.outgoing, m.date, m.unread, m.starred, m.octets, m.folders, \
         m.summary, m.draft, m.assessment, m.answered"
    };
}

/// What lists show of a message, in the order of [`Listed::read`].
macro_rules! listed_columns {
    () => {
        "m.id, m.date, m.unread, m.draft, m.folders, m.summary"
    };
}

/// What they show of it if more is asked for, behind the columns before.
macro_rules! more_listed_columns {
    () => {
        ", m.thread_id, m.outgoing, m.starred, m.answered"
    };
}

/// How much is read of the messages of a list: each column of each row takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Id, date, whether it is unread, folders and summary; the rest of [`Listed`] is empty.
    Few,
    /// Everything but what was found of it when it came in.
    Most,
    /// Everything.
    All,
}

/// Columns before those of a joined blob.
const COLUMNS: usize = 14;

/// A message, and where its body is if that was read.
pub type ReadMessage = (StoredMessage, Option<StoredBlob>);

/// A message of a listing as its row has it, for lists that show it as it is kept.
#[derive(Clone, Debug)]
pub struct Listed<'r> {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub thread_id: ThreadId,
    /// Whether the mailbox sent it.
    pub outgoing: bool,
    /// When it was received or sent.
    pub date: UnixMicros,
    /// Whether nobody has read it.
    pub unread: bool,
    /// Whether it has a star.
    pub starred: bool,
    /// Whether it was answered.
    pub answered: bool,
    /// Whether it is a draft.
    pub draft: bool,
    /// The ids of its folders as a JSON list.
    pub folders: Cow<'r, str>,
    /// See [`StoredMessage::summary`].
    pub summary: &'r str,
    /// See [`StoredMessage::assessment`]; nothing if it was not asked for.
    pub assessment: Option<&'r str>,
}

impl<'r> Listed<'r> {
    fn read(row: &'r Passing<'_>, extent: Extent) -> Result<Self, DbError> {
        let few = Self {
            id: MessageId::from_uuid(row.uuid(0)?),
            thread_id: ThreadId::from_uuid(Uuid::nil()),
            outgoing: false,
            date: UnixMicros::from_micros(row.int(1)?),
            unread: row.flag(2)?,
            starred: false,
            answered: false,
            draft: row.flag(3)?,
            folders: Cow::Borrowed(row.str(4)?),
            summary: row.str(5)?,
            assessment: None,
        };
        if extent == Extent::Few {
            return Ok(few);
        }
        Ok(Self {
            thread_id: ThreadId::from_uuid(row.uuid(6)?),
            outgoing: row.flag(7)?,
            starred: row.flag(8)?,
            answered: row.flag(9)?,
            assessment: if extent == Extent::All { row.opt_str(10)? } else { None },
            ..few
        })
    }

    /// The same of a message that was read whole.
    pub fn of(stored: &'r StoredMessage) -> Self {
        Self {
            id: stored.id,
            thread_id: stored.thread_id,
            outgoing: stored.outgoing,
            date: stored.date,
            unread: stored.unread,
            starred: stored.starred,
            answered: stored.answered,
            draft: stored.draft,
            folders: Cow::Owned(serde_json::Value::from(stored.folders.as_slice()).to_string()),
            summary: &stored.summary,
            assessment: stored.assessment.as_deref(),
        }
    }
}

const FIND: &str = concat!("SELECT ", message_columns!(), " FROM messages m WHERE m.id = $1 AND m.grant_id = $2");
const FIND_WITH_BODY: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", b.hash, b.octets, b.data FROM messages m JOIN blobs b ON b.id = m.blob_id WHERE m.id = $1 AND m.grant_id = $2"
);
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", b.hash, b.octets, b.data FROM listings l JOIN messages m ON m.id = l.message_id \
     JOIN blobs b ON b.id = m.blob_id \
     WHERE l.grant_id = $1 AND l.folder = $2 AND (l.date, l.message_id) < ($3, $4) AND l.date > $5 \
     ORDER BY l.date DESC, l.message_id DESC LIMIT $6"
);
pub(crate) const LIST_WITHOUT_BODY: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM listings l JOIN messages m ON m.id = l.message_id \
     WHERE l.grant_id = $1 AND l.folder = $2 AND (l.date, l.message_id) < ($3, $4) AND l.date > $5 \
     ORDER BY l.date DESC, l.message_id DESC LIMIT $6"
);
macro_rules! listed {
    ($more:expr, $assessment:literal) => {
        concat!(
            "SELECT ",
            listed_columns!(),
            $more,
            $assessment,
            " FROM listings l JOIN messages m ON m.id = l.message_id \
             WHERE l.grant_id = $1 AND l.folder = $2 AND (l.date, l.message_id) < ($3, $4) AND l.date > $5 \
             ORDER BY l.date DESC, l.message_id DESC LIMIT $6"
        )
    };
}
pub(crate) const LISTED_FEW: &str = listed!("", "");
pub(crate) const LISTED: &str = listed!(more_listed_columns!(), "");
pub(crate) const LISTED_WITH_ASSESSMENT: &str = listed!(more_listed_columns!(), ", m.assessment");
pub(crate) const LIST_THREAD: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM messages m WHERE m.thread_id = $1 AND (m.date, m.id) < ($2, $3) AND m.grant_id = $4 AND m.date > $5 \
     ORDER BY m.date DESC, m.id DESC LIMIT $6"
);

pub(crate) const EXPORT: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", b.hash, b.octets, b.data FROM listings l JOIN messages m ON m.id = l.message_id \
     JOIN blobs b ON b.id = m.blob_id WHERE l.grant_id = $1 AND l.folder = '' AND (l.date, l.message_id) > ($2, $3) \
     ORDER BY l.date, l.message_id LIMIT $4"
);

/// All messages of a mailbox but drafts after one, oldest first, with their bodies.
pub async fn export(
    reader: &mut Reader<'_>,
    grant: GrantId,
    after: After,
    limit: usize,
) -> Result<Vec<(StoredMessage, StoredBlob)>, StoreError> {
    let values = params![grant.uuid(), after.date.as_micros(), after.id.uuid(), limit as i64];
    with_blobs(&reader.query(EXPORT, values).await?)
}

/// Finds a message of a mailbox.
pub async fn find(reader: &mut Reader<'_>, grant: GrantId, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), grant.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Finds a message of a mailbox with its body, as they are at one moment: a draft gets another body with every change.
pub async fn find_with_body(
    reader: &mut Reader<'_>,
    grant: GrantId,
    id: MessageId,
) -> Result<Option<(StoredMessage, StoredBlob)>, StoreError> {
    let row = reader.query_one(FIND_WITH_BODY, params![id.uuid(), grant.uuid()]).await?;
    Ok(with_blobs(row.as_slice())?.pop())
}

// How many there are is said once more: without that PostgreSQL expects many, and reads a small table whole.
pub(crate) const NAMED: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM (SELECT j.value FROM {json_each}($2) AS j LIMIT $3) AS e CROSS JOIN messages m \
     WHERE m.id = {hex_id}(e.value ->> 0) AND m.grant_id = $1"
);
pub(crate) const NAMED_WITH_BODIES: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", b.hash, b.octets, b.data FROM (SELECT j.value FROM {json_each}($2) AS j LIMIT $3) AS e CROSS JOIN messages m \
     JOIN blobs b ON b.id = m.blob_id WHERE m.id = {hex_id}(e.value ->> 0) AND m.grant_id = $1"
);

/// Those of the messages that a mailbox has, in any order.
pub async fn named(
    reader: &mut Reader<'_>,
    grant: GrantId,
    ids: &[MessageId],
) -> Result<Vec<StoredMessage>, StoreError> {
    let rows =
        reader.query(NAMED, params![grant.uuid(), &list_of(ids.iter().map(|id| id.uuid())), ids.len() as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// As [`named`], with their bodies.
pub async fn named_with_bodies(
    reader: &mut Reader<'_>,
    grant: GrantId,
    ids: &[MessageId],
) -> Result<Vec<(StoredMessage, StoredBlob)>, StoreError> {
    with_blobs(
        &reader
            .query(NAMED_WITH_BODIES, params![grant.uuid(), &list_of(ids.iter().map(|id| id.uuid())), ids.len() as i64])
            .await?,
    )
}

pub(crate) const ANYWHERE: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM (SELECT j.value FROM {json_each}($1) AS j LIMIT $2) AS e CROSS JOIN messages m \
     WHERE m.id = {hex_id}(e.value ->> 0)"
);
pub(crate) const ANYWHERE_WITH_BODIES: &str = concat!(
    "SELECT ",
    message_columns!(),
    ", b.hash, b.octets, b.data FROM (SELECT j.value FROM {json_each}($1) AS j LIMIT $2) AS e CROSS JOIN messages m \
     JOIN blobs b ON b.id = m.blob_id WHERE m.id = {hex_id}(e.value ->> 0)"
);

/// Those of the messages that there are, of whatever mailboxes, in any order.
pub async fn anywhere(reader: &mut Reader<'_>, ids: &[MessageId]) -> Result<Vec<StoredMessage>, StoreError> {
    let named = list_of(ids.iter().map(|id| id.uuid()));
    let rows = reader.query(ANYWHERE, params![&named, ids.len() as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// As [`anywhere`], with their bodies.
pub async fn anywhere_with_bodies(
    reader: &mut Reader<'_>,
    ids: &[MessageId],
) -> Result<Vec<(StoredMessage, StoredBlob)>, StoreError> {
    let named = list_of(ids.iter().map(|id| id.uuid()));
    with_blobs(&reader.query(ANYWHERE_WITH_BODIES, params![&named, ids.len() as i64]).await?)
}

/// Ids as a JSON list of lists.
pub(crate) fn list_of(ids: impl Iterator<Item = uuid::Uuid>) -> String {
    serde_json::Value::from_iter(ids.map(|id| vec![id.simple().to_string()])).to_string()
}

/// A page of a listing, with bodies.
pub async fn list_page(
    reader: &mut Reader<'_>,
    page: &Page<'_>,
) -> Result<Vec<(StoredMessage, StoredBlob)>, StoreError> {
    with_blobs(&query_page(reader, LIST, page).await?)
}

/// A page of a listing, without bodies.
pub async fn list_page_without_bodies(
    reader: &mut Reader<'_>,
    page: &Page<'_>,
) -> Result<Vec<StoredMessage>, StoreError> {
    let rows = query_page(reader, LIST_WITHOUT_BODY, page).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Shows the messages of a page of a listing as they are kept, newest first, one after the other; answers where the last of
/// them is if there are more.
pub async fn listed(
    reader: &mut Reader<'_>,
    page: &Page<'_>,
    extent: Extent,
    show: &mut (dyn FnMut(&Listed<'_>) + Send),
) -> Result<Option<After>, StoreError> {
    let sql = match extent {
        Extent::Few => LISTED_FEW,
        Extent::Most => LISTED,
        Extent::All => LISTED_WITH_ASSESSMENT,
    };
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    // One more than is shown tells whether there are more.
    let limit = page.limit as i64 + 1;
    let (mut shown, mut last, mut next) = (0, None, None);
    let values = params![grant, page.folder, after, id, page.newer_than.as_micros(), limit];
    let look = &mut |row: Passing<'_>| -> Result<(), DbError> {
        if shown == page.limit {
            next = last;
            return Ok(());
        }
        let listed = Listed::read(&row, extent)?;
        (shown, last) = (shown + 1, Some(After { date: listed.date, id: listed.id }));
        show(&listed);
        Ok(())
    };
    reader.each(sql, values, look).await?;
    Ok(next)
}

async fn query_page(reader: &mut Reader<'_>, sql: &'static str, page: &Page<'_>) -> Result<Vec<Row>, StoreError> {
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    let values = params![grant, page.folder, after, id, page.newer_than.as_micros(), page.limit as i64];
    reader.query(sql, values).await
}

/// A page of one thread, newest first, without bodies; the page's folder is not looked at.
pub async fn list_thread(
    reader: &mut Reader<'_>,
    thread: ThreadId,
    page: &Page<'_>,
) -> Result<Vec<StoredMessage>, StoreError> {
    let rows = query_thread(reader, LIST_THREAD, thread, page).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

async fn query_thread(
    reader: &mut Reader<'_>,
    sql: &'static str,
    thread: ThreadId,
    page: &Page<'_>,
) -> Result<Vec<Row>, StoreError> {
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    let values = params![thread.uuid(), after, id, grant, page.newer_than.as_micros(), page.limit as i64];
    reader.query(sql, values).await
}

fn with_blobs(rows: &[Row]) -> Result<Vec<(StoredMessage, StoredBlob)>, StoreError> {
    let messages = rows.iter().map(|row| Ok((read(row)?, StoredBlob::from_row(row, COLUMNS)?)));
    Ok(messages.collect::<Result<_, DbError>>()?)
}

pub(crate) fn read(row: &Row) -> Result<StoredMessage, DbError> {
    Ok(StoredMessage {
        id: MessageId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        thread_id: ThreadId::from_uuid(row.uuid(2)?),
        blob_id: BlobId::from_uuid(row.uuid(3)?),
        outgoing: row.flag(4)?,
        date: UnixMicros::from_micros(row.int(5)?),
        unread: row.flag(6)?,
        starred: row.flag(7)?,
        octets: row.count(8)?,
        folders: folders(row.str(9)?)?,
        summary: row.text(10)?,
        draft: row.flag(11)?,
        assessment: row.opt_text(12)?,
        answered: row.flag(13)?,
    })
}
