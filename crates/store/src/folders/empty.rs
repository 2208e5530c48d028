//! Taking the messages out of folders that are gone, a little at a time: so little that mail does not wait for it.

use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::params;
use crate::purge::{Doomed, Purge, doomed_columns, event_id};
use crate::refile::UpdateMessage;
use postfleet_core::UnixMicros;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, FolderId, GrantId, MessageId};

/// Takes messages out of one folder that is gone. Those that are in no other folder go into the trash, or for good.
#[derive(Clone, Debug)]
pub struct EmptyFolder {
    /// Which; any one if none is named.
    pub folder: Option<(GrantId, FolderId)>,
    /// Messages at once.
    pub limit: usize,
    /// What the ids of the events are made from.
    pub event_seed: [u8; 32],
    /// When.
    pub at: UnixMicros,
}

/// What became of [`EmptyFolder`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Emptied {
    /// There may be more to do.
    More,
    /// There was nothing to do.
    Nothing,
}

/// The oldest messages in a folder.
pub(crate) const IN_FOLDER: &str = concat!(
    "SELECT ",
    doomed_columns!(),
    " FROM listings l JOIN messages m ON m.id = l.message_id WHERE l.grant_id = $1 AND l.folder = $2 \
     ORDER BY l.date, l.message_id LIMIT $3"
);

impl Command for EmptyFolder {
    type Outcome = Emptied;

    async fn run(&self, tx: &mut Tx) -> Result<Emptied, DbError> {
        // Not locked: the mailbox is, which every writer of these rows locks first.
        const ANY: &str = "SELECT grant_id, id FROM removed_folders LIMIT 1";
        const STILL: &str = "SELECT hard FROM removed_folders WHERE grant_id = $1 AND id = $2";
        const DONE: &str = "DELETE FROM removed_folders WHERE grant_id = $1 AND id = $2";
        const UNCOUNT: &str = "DELETE FROM folder_counts WHERE grant_id = $1 AND folder = $2";
        let (grant, folder) = match self.folder {
            Some((grant, folder)) => (grant, folder.to_string()),
            None => match tx.query_one(ANY, &[]).await? {
                Some(row) => (GrantId::from_uuid(row.uuid(0)?), row.text(1)?),
                None => return Ok(Emptied::Nothing),
            },
        };
        if !drafts::lock(tx, grant).await? {
            // The mailbox is gone, and takes its messages along.
            tx.execute(DONE, params![grant.uuid(), &folder]).await?;
            return Ok(Emptied::More);
        }
        let Some(row) = tx.query_one(STILL, params![grant.uuid(), &folder]).await? else {
            return Ok(if self.folder.is_some() { Emptied::Nothing } else { Emptied::More });
        };
        let hard = row.flag(0)?;
        let rows = tx.query(IN_FOLDER, params![grant.uuid(), &folder, self.limit as i64]).await?;
        let doomed = rows.iter().map(Doomed::read).collect::<Result<Vec<_>, _>>()?;
        self.take_out(tx, grant, (&folder, hard), &doomed).await?;
        if doomed.len() < self.limit {
            tx.execute(DONE, params![grant.uuid(), &folder]).await?;
            tx.execute(UNCOUNT, params![grant.uuid(), &folder]).await?;
        }
        Ok(Emptied::More)
    }
}

impl EmptyFolder {
    async fn take_out(
        &self,
        tx: &mut Tx,
        grant: GrantId,
        (folder, hard): (&str, bool),
        messages: &[Doomed],
    ) -> Result<(), DbError> {
        let Some(application) = application(tx, grant).await? else { return Ok(()) };
        let is_elsewhere = |message: &&Doomed| message.folders().iter().any(|one| one != folder);
        for message in messages.iter().filter(|message| !hard || is_elsewhere(message)) {
            let rest: Vec<String> = message.folders().iter().filter(|one| *one != folder).cloned().collect();
            let rest = if rest.is_empty() { vec![SystemFolder::Trash.id().to_owned()] } else { rest };
            self.refile(tx, (application, grant, message.id), rest).await?;
        }
        let gone: Vec<&Doomed> = messages.iter().filter(|message| hard && !is_elsewhere(message)).collect();
        let (event_seed, at) = (self.event_seed, self.at);
        Purge { application_id: application, grant_id: grant, event_seed, at }.run(tx, &gone).await?;
        Ok(())
    }

    async fn refile(
        &self,
        tx: &mut Tx,
        message: (ApplicationId, GrantId, MessageId),
        folders: Vec<String>,
    ) -> Result<(), DbError> {
        let event_id = event_id(&self.event_seed, message.2, self.at);
        UpdateMessage { folders: Some(folders), ..UpdateMessage::nothing(message, event_id, self.at) }
            .apply(tx)
            .await?;
        Ok(())
    }
}

async fn application(tx: &mut Tx, grant: GrantId) -> Result<Option<ApplicationId>, DbError> {
    const READ: &str = "SELECT application_id FROM mailboxes WHERE grant_id = $1";
    let row = tx.query_one(READ, params![grant.uuid()]).await?;
    row.map(|row| Ok(ApplicationId::from_uuid(row.uuid(0)?))).transpose()
}
