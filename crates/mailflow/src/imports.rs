//! Importing mail that a mailbox had elsewhere: lines of JSON, one for each message, as they come. Each command of some
//! messages says where in the source it stands, so that whoever broke off asks how far it came and goes on from there.
//!
//! What is imported was received long ago: it is filed where it was, judged by nobody, announced only if that is asked for,
//! and counts for storage alone.

use crate::platform::Platform;
use crate::receive::{new_copy, shard};
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{BlobId, ImportId};
use postfleet_core::import::{MESSAGE_OCTETS_MAX, OPEN_MAX, SOURCE_CHARS_MAX, Skip};
use postfleet_core::rule::Placement;
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_mail::message::Parsed;
use postfleet_mailbox::filing;
use postfleet_mailbox::summary::Summary;
use postfleet_schema::import as schema;
use postfleet_store::grants::Grant;
use postfleet_store::imports::{
    self, BeginImport, BeginOutcome, CancelImport, ImportMessages, ImportOutcome, Item, NewMessage,
};

/// Octets of a line: a message in base64, and the rest.
pub const LINE_OCTETS_MAX: usize = MESSAGE_OCTETS_MAX / 3 * 4 + 4_096;

/// Messages of a command.
const MESSAGES_AT_ONCE: usize = 50;

/// Octets of messages after which a command is not made larger.
const OCTETS_AT_ONCE: usize = 1 << 20;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Begins an import.
pub async fn begin(
    platform: &Platform,
    grant: &Grant,
    request: schema::CreateImport,
) -> Result<schema::Import, Problem> {
    let source = request.source.unwrap_or_default();
    if source.chars().count() > SOURCE_CHARS_MAX {
        let text = format!("source may have at most {SOURCE_CHARS_MAX} characters");
        return Err(Problem::invalid("source", text));
    }
    let at = platform.clock.now();
    let id = ImportId::new(at, platform.entropy.ten());
    let announce = request.announce.unwrap_or(false);
    let command = BeginImport { id, grant_id: grant.id, source, announce, at };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        BeginOutcome::Begun(import) => Ok(show(*import)),
        BeginOutcome::TooMany => {
            let text = format!("the mailbox has {OPEN_MAX} imports that are not over; end or cancel one of them");
            Err(Problem::new(ProblemKind::Conflict, "too_many_imports", text))
        }
        BeginOutcome::NoSuchGrant => Err(Problem::not_found()),
    }
}

/// Finds an import.
pub async fn find(platform: &Platform, grant: &Grant, id: ImportId) -> Result<schema::Import, Problem> {
    let found = imports::find(&mut platform.store.reader().await?, grant.id, id).await?;
    found.map(show).ok_or_else(Problem::not_found)
}

/// A page of a mailbox's imports, latest first, and the cursor of the next.
pub async fn list(
    platform: &Platform,
    grant: &Grant,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<schema::Import>, Option<String>), Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let before = cursor.map(|cursor| cursor.parse().map_err(|_| invalid())).transpose()?;
    let mut found = imports::list(&mut platform.store.reader().await?, grant.id, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok((found.into_iter().map(show).collect(), next))
}

/// Gives an import up; what was imported stays.
pub async fn cancel(platform: &Platform, grant: &Grant, id: ImportId) -> Result<schema::Import, Problem> {
    let command = CancelImport { id, grant_id: grant.id, at: platform.clock.now() };
    if !platform.store.run_near(shard(grant.id.uuid()), command).await? {
        return Err(Problem::not_found());
    }
    find(platform, grant, id).await
}

/// Messages under way into an import.
pub struct Taking<'a> {
    platform: &'a Platform,
    grant: &'a Grant,
    id: ImportId,
    /// The number of the first item that waits.
    position: u64,
    waiting: Vec<Item>,
    octets: usize,
    /// The line that has not ended.
    line: Vec<u8>,
    is_too_long: bool,
    /// How the import was after the last command.
    last: Option<imports::Import>,
}

impl<'a> Taking<'a> {
    /// What comes from now on begins with the message of that number in the source.
    pub fn from(platform: &'a Platform, grant: &'a Grant, id: ImportId, position: u64) -> Self {
        let (waiting, line) = (Vec::new(), Vec::new());
        Self { platform, grant, id, position, waiting, octets: 0, line, is_too_long: false, last: None }
    }

    /// Takes the next piece; false when there is no use in more, because there is no room.
    pub async fn take(&mut self, piece: &[u8]) -> Result<bool, Problem> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
            self.extend(&rest[..end]);
            rest = &rest[end + 1..];
            if !self.end_line().await? {
                return Ok(false);
            }
        }
        self.extend(rest);
        Ok(true)
    }

    /// Ends it. `is_last`: nothing comes after what came.
    pub async fn end(mut self, is_last: bool) -> Result<schema::Import, Problem> {
        if !self.is_paused() && (!self.line.is_empty() || self.is_too_long) {
            self.end_line().await?;
        }
        if !self.is_paused() {
            self.run(is_last).await?;
        }
        match self.last {
            Some(import) => Ok(show(import)),
            None => find(self.platform, self.grant, self.id).await,
        }
    }

    fn is_paused(&self) -> bool {
        self.last.as_ref().is_some_and(|import| import.reason.is_some())
    }

    fn extend(&mut self, octets: &[u8]) {
        self.is_too_long |= self.line.len() + octets.len() > LINE_OCTETS_MAX;
        if self.is_too_long {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(octets);
        }
    }

    async fn end_line(&mut self) -> Result<bool, Problem> {
        let line = std::mem::take(&mut self.line);
        let item = if std::mem::take(&mut self.is_too_long) {
            Item::Skip(Skip::TooLarge, format!("a message may have at most {MESSAGE_OCTETS_MAX} bytes"))
        } else if line.trim_ascii().is_empty() {
            return Ok(true);
        } else {
            self.read(&line).await?
        };
        if let Item::Message(message) = &item {
            self.octets += message.facts.octets as usize;
        }
        self.waiting.push(item);
        if self.waiting.len() >= MESSAGES_AT_ONCE || self.octets >= OCTETS_AT_ONCE {
            self.run(false).await?;
        }
        Ok(!self.is_paused())
    }

    /// What a line says.
    async fn read(&self, line: &[u8]) -> Result<Item, Problem> {
        let portable: schema::PortableMessage = match serde_json::from_slice(line) {
            Ok(portable) => portable,
            Err(error) => return Ok(Item::Skip(Skip::Unreadable, format!("the line is no message: {error}"))),
        };
        let decoded = BASE64URL.decode(&portable.raw_mime).or_else(|_| BASE64.decode(&portable.raw_mime));
        let Ok(raw) = decoded else {
            return Ok(Item::Skip(Skip::Unreadable, "raw_mime is no base64url".to_owned()));
        };
        if raw.is_empty() {
            return Ok(Item::Skip(Skip::Empty, "there is nothing in raw_mime".to_owned()));
        }
        if raw.len() > MESSAGE_OCTETS_MAX {
            let text = format!("a message may have at most {MESSAGE_OCTETS_MAX} bytes, and this one has {}", raw.len());
            return Ok(Item::Skip(Skip::TooLarge, text));
        }
        Ok(Item::Message(Box::new(self.message(&portable, &raw).await?)))
    }

    async fn message(&self, portable: &schema::PortableMessage, raw: &[u8]) -> Result<NewMessage, Problem> {
        let now = self.platform.clock.now();
        let date = portable.received_at.map_or(now, UnixMicros::from_seconds).clamp(UnixMicros::default(), now);
        let message = Parsed::read(raw);
        let view = &message.view;
        let folder = folder(&portable.folder);
        let octets = raw.len() as u64;
        let facts = match folder {
            SystemFolder::Sent => filing::sent(Summary::of(view), octets, date),
            _ => filing::received(view, octets, date),
        };
        let blob_id = BlobId::new(now, self.platform.entropy.ten());
        let folders = vec![folder.id().to_owned()];
        Ok(NewMessage {
            blob: self.platform.store.blobs().prepare(blob_id, raw).await?.with_terms(filing::terms_of(&message)),
            facts,
            placement: Placement { folders, unread: portable.unread, starred: portable.starred },
            copy: new_copy(self.platform, self.grant.id, self.grant.application_id, now),
        })
    }

    async fn run(&mut self, is_last: bool) -> Result<(), Problem> {
        if self.waiting.is_empty() && !is_last {
            return Ok(());
        }
        let items = std::mem::take(&mut self.waiting);
        let (first, at) = (self.position, self.platform.clock.now());
        self.position += items.len() as u64;
        self.octets = 0;
        let command = ImportMessages { id: self.id, grant_id: self.grant.id, first, items, is_last, at };
        match self.platform.store.run_near(shard(self.grant.id.uuid()), command).await? {
            ImportOutcome::Import(import) => self.last = Some(*import),
            ImportOutcome::Elsewhere(position) => {
                let text = format!("position must be at most {position}: so many messages are done");
                return Err(Problem { kind: ProblemKind::Conflict, ..Problem::invalid("position", text) });
            }
            ImportOutcome::Closed(state) => {
                let text = format!("the import is {}: it takes no more", state.name());
                return Err(Problem::new(ProblemKind::Conflict, "import_closed", text));
            }
            ImportOutcome::Unknown => return Err(Problem::not_found()),
        }
        Ok(())
    }
}

/// Where a message goes. Drafts of elsewhere are no drafts here, and other folders are not there.
fn folder(name: &str) -> SystemFolder {
    match SystemFolder::named(name.trim()) {
        None if name.trim().is_empty() => SystemFolder::Inbox,
        None | Some(SystemFolder::Drafts) => SystemFolder::Archive,
        Some(folder) => folder,
    }
}

fn show(import: imports::Import) -> schema::Import {
    schema::Import {
        id: import.id.to_string(),
        object: "import",
        grant_id: import.grant_id.to_string(),
        source: import.source,
        announce: import.announce,
        state: import.state.name(),
        reason: import.reason,
        position: import.position,
        imported_messages: import.imported,
        imported_bytes: import.octets,
        skipped_messages: import.skipped,
        skipped: import.skips.into_iter().map(skipped).collect(),
        created_at: import.created_at.as_seconds(),
        updated_at: import.updated_at.as_seconds(),
    }
}

fn skipped(skipped: imports::Skipped) -> schema::SkippedMessage {
    schema::SkippedMessage { position: skipped.position, code: skipped.code, message: skipped.text }
}
