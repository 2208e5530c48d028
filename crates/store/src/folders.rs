//! How many messages the folders of a mailbox hold. System folders exist without rows; counts appear when first used.

use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::GrantId;

/// What one folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderCount {
    /// The folder's id.
    pub folder: String,
    /// Messages in it.
    pub total: u64,
    /// Unread ones among them.
    pub unread: u64,
}

/// The id of a folder that a rule names by its id, name or path. There are no others yet than those that every mailbox
/// has.
pub(crate) fn id_of_system_folder(name: &str) -> Option<String> {
    SystemFolder::named(name).map(|folder| folder.id().to_owned())
}

/// Adds to a folder's counts.
pub(crate) async fn count(tx: &mut Tx, grant: GrantId, folder: &str, total: i64, unread: i64) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO folder_counts (grant_id, folder, total, unread) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (grant_id, folder) DO UPDATE \
        SET total = folder_counts.total + excluded.total, unread = folder_counts.unread + excluded.unread";
    tx.execute(COUNT, params![grant.uuid(), folder, total, unread]).await?;
    Ok(())
}

/// The counts of a mailbox's folders; a folder that was never used is missing.
pub async fn counts(reader: &mut Reader<'_>, grant: GrantId) -> Result<Vec<FolderCount>, StoreError> {
    const LIST: &str = "SELECT folder, total, unread FROM folder_counts WHERE grant_id = $1 ORDER BY folder";
    let rows = reader.query(LIST, params![grant.uuid()]).await?;
    let counts =
        rows.iter().map(|row| Ok(FolderCount { folder: row.text(0)?, total: row.count(1)?, unread: row.count(2)? }));
    Ok(counts.collect::<Result<_, DbError>>()?)
}
