//! Imports of mail into a mailbox. How far one is stands in its row, which is written with each message that it takes: what
//! was taken once is passed over when it comes again, so that an import that broke off goes on without a message twice.

use crate::blobs::{self, PreparedBlob};
use crate::db::{DbError, Row};
use crate::drafts;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, NewEvent};
use crate::folders;
use crate::listings::{Flags, MARKED};
use crate::messages::{self, MailboxCopy, MessageFacts};
use crate::metadata;
use crate::params;
use crate::retention;
use crate::search;
use crate::threads;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{GrantId, ImportId, ThreadId};
use postfleet_core::import::{OPEN_MAX, SKIPS_MAX, Skip, State};
use postfleet_core::retention::{Window, Windows};
use postfleet_core::rule::Placement;
use postfleet_core::{Problem, UnixMicros};
use serde::{Deserialize, Serialize};

/// An import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// What it says of where it comes from.
    pub source: String,
    /// Whether each message is announced as if it had just come in.
    pub announce: bool,
    /// How far it is.
    pub state: State,
    /// Why it is paused.
    pub reason: Option<String>,
    /// Messages of the source that are done.
    pub position: u64,
    /// Those of them that were imported.
    pub imported: u64,
    /// Octets of their raw forms.
    pub octets: u64,
    /// Those that were passed over.
    pub skipped: u64,
    /// The first of these.
    pub skips: Vec<Skipped>,
    /// When it began.
    pub created_at: UnixMicros,
    /// When it went on last.
    pub updated_at: UnixMicros,
}

/// A message that was passed over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Skipped {
    /// Its number in the source, from 0.
    pub position: u64,
    /// Why, as a word.
    pub code: String,
    /// Why, for people.
    pub text: String,
}

macro_rules! columns {
    () => {
        "id, grant_id, source, announce, state, reason, position, imported, octets, skipped, skips, created_at, updated_at"
    };
}

/// Begins an import.
#[derive(Clone, Debug)]
pub struct BeginImport {
    /// Its id.
    pub id: ImportId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// What it says of where it comes from.
    pub source: String,
    /// Whether each message is announced.
    pub announce: bool,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`BeginImport`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BeginOutcome {
    /// It is there.
    Begun(Box<Import>),
    /// As many are open as may be.
    TooMany,
    /// The mailbox is gone.
    NoSuchGrant,
}

impl Command for BeginImport {
    type Outcome = BeginOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<BeginOutcome, DbError> {
        const OPEN: &str = "SELECT count(*) FROM imports WHERE grant_id = $1 AND state IN ('open', 'paused')";
        const INSERT: &str = concat!(
            "INSERT INTO imports (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, 'open', NULL, 0, 0, 0, 0, '[]', $5, $5)"
        );
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(BeginOutcome::NoSuchGrant);
        }
        let open = tx.query_one(OPEN, params![self.grant_id.uuid()]).await?;
        if open.map(|row| row.count(0)).transpose()?.unwrap_or(0) >= OPEN_MAX {
            return Ok(BeginOutcome::TooMany);
        }
        let at = self.at.as_micros();
        tx.execute(INSERT, params![self.id.uuid(), self.grant_id.uuid(), &self.source, self.announce, at]).await?;
        let import = locked(tx, self.grant_id, self.id).await?.ok_or(DbError::Malformed("import"))?;
        Ok(BeginOutcome::Begun(Box::new(import)))
    }
}

/// What comes next in the source.
#[derive(Clone, Debug)]
pub enum Item {
    /// A message to file.
    Message(Box<NewMessage>),
    /// One to pass over, and why.
    Skip(Skip, String),
}

/// A message that is imported.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its raw form.
    pub blob: PreparedBlob,
    /// What it is; its date is when it was received.
    pub facts: MessageFacts,
    /// Where it goes.
    pub placement: Placement,
    /// The mailbox, and the ids that it gets.
    pub copy: MailboxCopy,
}

/// Takes what comes next: all of it, or as much as there is room for.
#[derive(Clone, Debug)]
pub struct ImportMessages {
    /// Which import.
    pub id: ImportId,
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// The number of the first item in the source, from 0.
    pub first: u64,
    /// What comes there. What is done already is passed over.
    pub items: Vec<Item>,
    /// Whether nothing comes after them.
    pub is_last: bool,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`ImportMessages`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportOutcome {
    /// How the import is now. Paused: there was no room for the item at its position.
    Import(Box<Import>),
    /// What comes next is another one: this many are done.
    Elsewhere(u64),
    /// Nothing more is taken.
    Closed(State),
    /// There is no such import.
    Unknown,
}

impl Command for ImportMessages {
    type Outcome = ImportOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<ImportOutcome, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(ImportOutcome::Unknown);
        }
        let Some(mut import) = locked(tx, self.grant_id, self.id).await? else { return Ok(ImportOutcome::Unknown) };
        let is_repeat = import.state == State::Done && self.first + self.items.len() as u64 <= import.position;
        if !import.state.is_open() && !is_repeat {
            return Ok(ImportOutcome::Closed(import.state));
        }
        if self.first > import.position {
            return Ok(ImportOutcome::Elsewhere(import.position));
        }
        if is_repeat {
            return Ok(ImportOutcome::Import(Box::new(import)));
        }
        (import.state, import.reason) = (State::Open, None);
        let windows = retention::windows(tx, self.grant_id).await?.unwrap_or_default();
        let done = (import.position - self.first) as usize;
        for item in self.items.iter().skip(done) {
            if let Some(problem) = self.take(tx, &mut import, item, windows).await? {
                (import.state, import.reason) = (State::Paused, Some(problem.public));
                break;
            }
        }
        if self.is_last && import.state == State::Open {
            import.state = State::Done;
        }
        import.updated_at = self.at;
        write(tx, &import).await?;
        Ok(ImportOutcome::Import(Box::new(import)))
    }
}

impl ImportMessages {
    /// Takes one item. A problem: there is no room for it.
    async fn take(
        &self,
        tx: &mut Tx,
        import: &mut Import,
        item: &Item,
        windows: Windows,
    ) -> Result<Option<Problem>, DbError> {
        match item {
            Item::Skip(why, text) => import.skip(*why, text.clone()),
            Item::Message(message) => {
                if let Some((days, age)) = too_old(message, windows, self.at) {
                    let text = format!("it is {age} days old, and mail like it is kept for {days} days");
                    import.skip(Skip::TooOld, text);
                } else {
                    let octets = message.facts.octets;
                    if let Some(problem) = drafts::no_room(tx, &message.copy, octets as i64, self.at).await? {
                        return Ok(Some(problem));
                    }
                    file(tx, message, import.announce, self.at).await?;
                    import.imported += 1;
                    import.octets += octets;
                }
            }
        }
        import.position += 1;
        Ok(None)
    }
}

/// For how many days such mail is kept, and how old this is, if that is longer.
fn too_old(message: &NewMessage, windows: Windows, now: UnixMicros) -> Option<(u64, u64)> {
    let is_junk = message.placement.folders.iter().any(|folder| folder == SystemFolder::Junk.id());
    let window = if is_junk { Window::Spam } else { Window::Inbox };
    let age = now.since(message.facts.date).as_secs() / 86_400;
    let is_over = |window: &Window| windows.is_over(*window, message.facts.date, now);
    let over = [window, Window::Inbox].into_iter().find(is_over)?;
    windows.days(over).map(|days| (days, age))
}

/// Files a message. It is kept, and did not come in today: nothing else counts it.
async fn file(tx: &mut Tx, message: &NewMessage, announce: bool, at: UnixMicros) -> Result<(), DbError> {
    let NewMessage { blob, facts, placement, copy } = message;
    let thread_id = threads::join(tx, copy, facts, placement, None).await?;
    blobs::insert(tx, blob, 1).await?;
    insert(tx, message, thread_id).await?;
    metadata::add(tx, copy.grant_id, (facts.date.as_micros(), copy.message_id), &facts.summary).await?;
    // They come in the order of their dates, and so do their entries in the indexes.
    let flags = Flags::of(placement.unread, placement.starred, &facts.summary).bits() | MARKED;
    messages::list(tx, (copy.grant_id, copy.message_id), facts.date, &placement.folders, flags).await?;
    for folder in &placement.folders {
        folders::count(tx, copy.grant_id, folder, 1, i64::from(placement.unread)).await?;
    }
    drafts::store_octets(tx, copy.grant_id, facts.octets as i64).await?;
    search::imported(tx, copy, facts.date).await?;
    if announce && let Some(sequence) = events::next_sequence(tx, copy.grant_id).await? {
        tx.announce(NewEvent {
            id: copy.event_id,
            application_id: copy.application_id,
            grant_id: copy.grant_id,
            grant_sequence: sequence,
            trigger: Trigger::MessageCreated,
            message_id: Some(copy.message_id),
            data: "{}".into(),
            at,
        });
    }
    Ok(())
}

/// Whoever sent it, it was not sent from here.
async fn insert(tx: &mut Tx, message: &NewMessage, thread_id: ThreadId) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO messages \
        (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, octets, folders, summary) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let NewMessage { blob, facts, placement, copy } = message;
    let folders = serde_json::Value::from(placement.folders.as_slice()).to_string();
    let values = params![
        copy.message_id.uuid(),
        copy.grant_id.uuid(),
        thread_id.uuid(),
        blob.id().uuid(),
        facts.outgoing,
        facts.date.as_micros(),
        placement.unread,
        placement.starred,
        facts.octets as i64,
        &folders,
        &facts.summary
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Gives an import up; what was imported stays.
#[derive(Clone, Copy, Debug)]
pub struct CancelImport {
    /// Which.
    pub id: ImportId,
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// When.
    pub at: UnixMicros,
}

impl Command for CancelImport {
    /// Whether there is such an import. One that is over stays as it is.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(false);
        }
        let Some(mut import) = locked(tx, self.grant_id, self.id).await? else { return Ok(false) };
        if import.state.is_open() {
            (import.state, import.reason, import.updated_at) = (State::Cancelled, None, self.at);
            write(tx, &import).await?;
        }
        Ok(true)
    }
}

impl Import {
    fn skip(&mut self, why: Skip, text: String) {
        self.skipped += 1;
        if self.skips.len() < SKIPS_MAX {
            self.skips.push(Skipped { position: self.position, code: why.code().into(), text });
        }
    }

    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: ImportId::from_uuid(row.uuid(0)?),
            grant_id: GrantId::from_uuid(row.uuid(1)?),
            source: row.text(2)?,
            announce: row.flag(3)?,
            state: State::named(row.str(4)?).ok_or(DbError::Malformed("import"))?,
            reason: row.opt_text(5)?,
            position: row.count(6)?,
            imported: row.count(7)?,
            octets: row.count(8)?,
            skipped: row.count(9)?,
            skips: serde_json::from_str(row.str(10)?).map_err(|_| DbError::Malformed("skips"))?,
            created_at: UnixMicros::from_micros(row.int(11)?),
            updated_at: UnixMicros::from_micros(row.int(12)?),
        })
    }
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM imports WHERE id = $1 AND grant_id = $2");

/// An import of a mailbox, which is locked.
async fn locked(tx: &mut Tx, grant: GrantId, id: ImportId) -> Result<Option<Import>, DbError> {
    tx.query_one(FIND, params![id.uuid(), grant.uuid()]).await?.as_ref().map(Import::read).transpose()
}

async fn write(tx: &mut Tx, import: &Import) -> Result<(), DbError> {
    const WRITE: &str = "UPDATE imports SET state = $2, reason = $3, position = $4, imported = $5, octets = $6, \
        skipped = $7, skips = $8, updated_at = $9 WHERE id = $1";
    let skips = serde_json::to_string(&import.skips).map_err(|_| DbError::Malformed("skips"))?;
    let values = params![
        import.id.uuid(),
        import.state.name(),
        import.reason.as_deref(),
        import.position as i64,
        import.imported as i64,
        import.octets as i64,
        import.skipped as i64,
        &skips,
        import.updated_at.as_micros()
    ];
    tx.execute(WRITE, values).await?;
    Ok(())
}

/// An import of a mailbox.
pub async fn find(reader: &mut Reader<'_>, grant: GrantId, id: ImportId) -> Result<Option<Import>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), grant.uuid()]).await?;
    Ok(row.as_ref().map(Import::read).transpose()?)
}

pub(crate) const LIST: &str =
    concat!("SELECT ", columns!(), " FROM imports WHERE grant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");

/// Imports of a mailbox before one, latest first.
pub async fn list(
    reader: &mut Reader<'_>,
    grant: GrantId,
    before: Option<ImportId>,
    limit: usize,
) -> Result<Vec<Import>, StoreError> {
    let before = before.map_or(uuid::Uuid::max(), ImportId::uuid);
    let rows = reader.query(LIST, params![grant.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(Import::read).collect::<Result<_, DbError>>()?)
}

pub(crate) const OLD: &str = "SELECT id FROM imports WHERE updated_at < $1 ORDER BY updated_at LIMIT $2";

/// Forgets imports that have not gone on since then.
#[derive(Clone, Copy, Debug)]
pub struct PruneImports {
    /// Earlier ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneImports {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM imports WHERE id = $1";
        let mut removed = 0;
        for row in tx.query(OLD, params![self.before.as_micros(), self.limit as i64]).await? {
            removed += tx.execute(REMOVE, params![row.uuid(0)?]).await?;
        }
        Ok(removed)
    }
}
