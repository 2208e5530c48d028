//! Changing all messages of a thread, some at a time: so few that mail does not wait for it.

use super::totals;
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::folders;
use crate::params;
use crate::refile::{UpdateMessage, UpdateOutcome};
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
        /// The folders that it is to be in, at least one, each once, and all of them there.
        folders: Option<Vec<String>>,
        /// Whether it is to be unread.
        unread: Option<bool>,
        /// Whether it is to have a star.
        starred: Option<bool>,
    },
    /// It goes into the trash, and a draft stays.
    Trash,
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
        let mut last = None;
        for row in &members {
            let member = AfterMember { date: row.int(0)?, id: MessageId::from_uuid(row.uuid(1)?) };
            match row.flag(2)? {
                true => self.change_draft(tx, member.id).await?,
                false => self.change_message(tx, member.id).await?,
            }
            last = Some(member);
        }
        Ok(last.filter(|_| members.len() == self.limit).map_or(ChangeOutcome::Done, ChangeOutcome::More))
    }
}

impl ChangeThread {
    async fn change_message(&self, tx: &mut Tx, id: MessageId) -> Result<(), DbError> {
        let (folders, unread, starred) = match &self.change {
            Change::Mark { folders, unread, starred } => (folders.clone(), *unread, *starred),
            Change::Trash => (Some(vec![SystemFolder::Trash.id().to_owned()]), None, None),
        };
        let update = UpdateMessage {
            application_id: self.application_id,
            grant_id: self.grant_id,
            id,
            folders,
            unread,
            starred,
            event_id: self.event_id(id),
            at: self.at,
        };
        match update.run(tx).await? {
            UpdateOutcome::Done | UpdateOutcome::Gone | UpdateOutcome::Draft => Ok(()),
        }
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
        totals::remark(tx, self.grant_id, self.thread, (&before, &after)).await?;
        drafts::announce_update(tx, (self.application_id, self.grant_id), id, self.event_id(id), self.at).await
    }

    /// The id of the event of a message: the same however often the command is run.
    fn event_id(&self, message: MessageId) -> EventId {
        crate::retention::event_id(&self.event_seed, message, self.at)
    }
}
