//! Changing all messages of a thread, some at a time: so few that mail does not wait for it.

use super::totals;
use crate::db::{DbError, Row};
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::folders;
use crate::listings;
use crate::params;
use crate::purge::{Doomed, Purge, doomed_columns, event_id};
use crate::refile::UpdateMessage;
use postfleet_core::UnixMicros;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::rule::Placement;

/// Changes the next messages of a thread, from the oldest on.
#[derive(Clone, Debug)]
pub struct ChangeThread {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The thread.
    pub thread: ThreadId,
    /// What is done with each.
    pub change: Change,
    /// After which message it goes on.
    pub after: AfterMember,
    /// Messages that it looks at, at most.
    pub limit: usize,
    /// What the ids of its events are made from.
    pub event_seed: [u8; 32],
    /// When. What came later stays as it is.
    pub at: UnixMicros,
}

/// What is done with each message of a thread.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is moved or marked; what is absent stays. A draft stays in its folder.
    Mark {
        /// The folders that it is to be in, at least one, by their ids or names.
        folders: Option<Vec<String>>,
        /// Whether it is to be unread.
        unread: Option<bool>,
        /// Whether it is to have a star.
        starred: Option<bool>,
    },
    /// It goes into the trash, and a draft stays.
    Trash,
    /// It is purged, and a draft stays.
    Purge,
}

/// A place among the messages of a thread, the oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AfterMember {
    date: i64,
    id: MessageId,
}

impl AfterMember {
    /// Before the oldest.
    pub const START: Self = Self { date: i64::MIN, id: MessageId::from_uuid(uuid::Uuid::nil()) };
}

/// What became of [`ChangeThread`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeOutcome {
    /// There is more: it goes on after this one.
    More(AfterMember),
    /// All that was there is changed.
    Done,
    /// There is no such thread.
    Gone,
    /// The mailbox has no folder of that id or name. Nothing was changed.
    NoSuchFolder(String),
}

/// The next messages of a thread, the oldest first: read from the index alone.
pub(crate) const MEMBERS: &str = "SELECT m.date, m.id, m.draft FROM messages m WHERE m.thread_id = $1 \
    AND (m.date, m.id) > ($2, $3) AND m.date <= $4 ORDER BY m.date, m.id LIMIT $5";

impl Command for ChangeThread {
    type Outcome = ChangeOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<ChangeOutcome, DbError> {
        const FIND: &str = "SELECT 1 FROM threads WHERE id = $1 AND grant_id = $2";
        let (thread, grant) = (self.thread.uuid(), self.grant_id.uuid());
        if !drafts::lock(tx, self.grant_id).await? || tx.query_one(FIND, params![thread, grant]).await?.is_none() {
            return Ok(ChangeOutcome::Gone);
        }
        let (after, at) = (self.after, self.at.as_micros());
        let values = params![thread, after.date, after.id.uuid(), at, self.limit as i64];
        let members = tx.query(MEMBERS, values).await?;
        let folders = match self.folders(tx, members.first()).await? {
            Ok(folders) => folders,
            Err(name) => return Ok(ChangeOutcome::NoSuchFolder(name)),
        };
        let mut last = None;
        for row in &members {
            let member = AfterMember { date: row.int(0)?, id: MessageId::from_uuid(row.uuid(1)?) };
            match row.flag(2)? {
                true => self.change_draft(tx, member.id).await?,
                false => self.change_message(tx, member.id, folders.as_deref()).await?,
            }
            last = Some(member);
        }
        Ok(last.filter(|_| members.len() == self.limit).map_or(ChangeOutcome::Done, ChangeOutcome::More))
    }
}

impl ChangeThread {
    /// The ids of the folders that messages are to be in, if these are to be moved; or the name of one that is not there.
    async fn folders(&self, tx: &mut Tx, first: Option<&Row>) -> Result<Result<Option<Vec<String>>, String>, DbError> {
        let (named, first) = match (&self.change, first) {
            (Change::Trash, _) => return Ok(Ok(Some(vec![SystemFolder::Trash.id().to_owned()]))),
            (Change::Mark { folders: Some(named), .. }, Some(first)) => (named, MessageId::from_uuid(first.uuid(1)?)),
            _ => return Ok(Ok(None)),
        };
        let assigned = folders::assign(tx, (self.grant_id, first), named, self.at).await?;
        if let Some(missing) = named.iter().find(|name| assigned.id(name).is_none()) {
            return Ok(Err(missing.clone()));
        }
        assigned.announce(tx, (self.application_id, self.grant_id), self.at).await?;
        let mut ids: Vec<String> = Vec::with_capacity(named.len());
        for id in assigned.ids_of(named) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(Ok(Some(ids)))
    }

    async fn change_message(&self, tx: &mut Tx, id: MessageId, folders: Option<&[String]>) -> Result<(), DbError> {
        let (unread, starred) = match &self.change {
            Change::Mark { unread, starred, .. } => (*unread, *starred),
            Change::Trash => (None, None),
            Change::Purge => return self.purge(tx, id).await,
        };
        let message = (self.application_id, self.grant_id, id);
        let nothing = UpdateMessage::nothing(message, self.event_id(id), self.at);
        let update = UpdateMessage { folders: folders.map(<[String]>::to_vec), unread, starred, ..nothing };
        // It is there, and no draft: whatever comes of it, it is as it was asked for.
        update.apply(tx).await?;
        Ok(())
    }

    async fn purge(&self, tx: &mut Tx, id: MessageId) -> Result<(), DbError> {
        const FIND: &str =
            concat!("SELECT ", doomed_columns!(), " FROM messages m WHERE m.id = $1 AND m.grant_id = $2");
        let Some(row) = tx.query_one(FIND, params![id.uuid(), self.grant_id.uuid()]).await? else { return Ok(()) };
        let Self { application_id, grant_id, event_seed, at, .. } = *self;
        Purge { application_id, grant_id, event_seed, at }.run(tx, &[&Doomed::read(&row)?]).await?;
        Ok(())
    }

    /// A draft is marked, and stays where drafts are. What only waits to be sent stays as it is.
    async fn change_draft(&self, tx: &mut Tx, id: MessageId) -> Result<(), DbError> {
        const MARK: &str = "UPDATE messages SET unread = $2, starred = $3 WHERE id = $1";
        let Change::Mark { unread, starred, .. } = &self.change else { return Ok(()) };
        let Some(draft) = drafts::held(tx, self.grant_id, id).await?.filter(drafts::Held::is_seen) else {
            return Ok(());
        };
        let before = draft.placement();
        let (unread, starred) = (unread.unwrap_or(before.unread), starred.unwrap_or(before.starred));
        let after = Placement { unread, starred, ..before.clone() };
        if before == after {
            return Ok(());
        }
        tx.execute(MARK, params![id.uuid(), unread, starred]).await?;
        for folder in &after.folders {
            folders::count(tx, self.grant_id, folder, 0, i64::from(unread) - i64::from(before.unread)).await?;
        }
        listings::mark(tx, self.grant_id, id, draft.date, after.folders.iter()).await?;
        totals::remark(tx, self.grant_id, self.thread, (&before, &after)).await?;
        drafts::announce_update(tx, (self.application_id, self.grant_id), id, self.event_id(id), self.at).await
    }

    /// The id of the event of a message: the same however often the command is run.
    fn event_id(&self, message: MessageId) -> EventId {
        event_id(&self.event_seed, message, self.at)
    }
}
