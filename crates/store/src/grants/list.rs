//! Lists of mailboxes: every order and every filter is answered from an index, in its order.

use super::{Grant, grant_columns, read};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, WorkspaceId};
use std::ops::Range;

/// What a list is ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// When the mailbox was made, which is the order of ids.
    CreatedAt,
    /// When it was last changed.
    UpdatedAt,
}

/// A page of an application's mailboxes.
#[derive(Clone, Debug)]
pub struct GrantsPage {
    /// Whose.
    pub application_id: ApplicationId,
    /// Only those in this workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// Only those made from this address.
    pub ip: Option<String>,
    /// Only those made in this time.
    pub created: Option<Range<UnixMicros>>,
    /// By what.
    pub sort: Sort,
    /// Smallest first.
    pub is_ascending: bool,
    /// How many.
    pub limit: usize,
    /// How many are passed over.
    pub offset: usize,
}

impl GrantsPage {
    /// The newest ones.
    pub const fn newest(application_id: ApplicationId, limit: usize, offset: usize) -> Self {
        let (sort, is_ascending) = (Sort::CreatedAt, false);
        Self { application_id, workspace_id: None, ip: None, created: None, sort, is_ascending, limit, offset }
    }
}

/// `*` stands for any address.
macro_rules! list_statement {
    ($conditions:literal, $order:literal) => {
        concat!(
            "SELECT ",
            grant_columns!(),
            " FROM grants WHERE ",
            $conditions,
            " AND ($4 = '*' OR ip = $4) ORDER BY ",
            $order,
            " LIMIT $5 OFFSET $6"
        )
    };
}

// Ids grow with time, so that a time of making is a range of ids.
const NEWEST: &str = list_statement!("application_id = $1 AND id >= $2 AND id < $3", "id DESC");
const OLDEST: &str = list_statement!("application_id = $1 AND id >= $2 AND id < $3", "id");

// The cast keeps SQLite to the index of the workspace: it cannot tell which of two indexes leads to fewer rows.
const NEWEST_OF_WORKSPACE: &str = list_statement!(
    "workspace_id = $7 AND CAST(application_id AS {id}) = $1 AND id >= $2 AND id < $3",
    "workspace_id DESC, id DESC"
);
const OLDEST_OF_WORKSPACE: &str = list_statement!(
    "workspace_id = $7 AND CAST(application_id AS {id}) = $1 AND id >= $2 AND id < $3",
    "workspace_id, id"
);

// Here it keeps it to the index that has the order: what is in no order would have to be sorted for every page.
const LATEST: &str = list_statement!(
    "application_id = $1 AND created_at >= $2 AND created_at < $3",
    "application_id DESC, updated_at DESC, id DESC"
);
const EARLIEST: &str =
    list_statement!("application_id = $1 AND created_at >= $2 AND created_at < $3", "application_id, updated_at, id");
const LATEST_OF_WORKSPACE: &str = list_statement!(
    "application_id = $1 AND CAST(workspace_id AS {id}) = $7 AND created_at >= $2 AND created_at < $3",
    "application_id DESC, updated_at DESC, id DESC"
);
const EARLIEST_OF_WORKSPACE: &str = list_statement!(
    "application_id = $1 AND CAST(workspace_id AS {id}) = $7 AND created_at >= $2 AND created_at < $3",
    "application_id, updated_at, id"
);

/// All of them, with the index that each is to be read from.
#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, &str, &str)] = &[
    ("grants::NEWEST", "PRIMARY KEY", NEWEST),
    ("grants::OLDEST", "PRIMARY KEY", OLDEST),
    ("grants::NEWEST_OF_WORKSPACE", "grants_by_workspace", NEWEST_OF_WORKSPACE),
    ("grants::OLDEST_OF_WORKSPACE", "grants_by_workspace", OLDEST_OF_WORKSPACE),
    ("grants::LATEST", "grants_by_update", LATEST),
    ("grants::EARLIEST", "grants_by_update", EARLIEST),
    ("grants::LATEST_OF_WORKSPACE", "grants_by_update", LATEST_OF_WORKSPACE),
    ("grants::EARLIEST_OF_WORKSPACE", "grants_by_update", EARLIEST_OF_WORKSPACE),
];

const fn statement(sort: Sort, is_ascending: bool, of_workspace: bool) -> &'static str {
    match (sort, is_ascending, of_workspace) {
        (Sort::CreatedAt, false, false) => NEWEST,
        (Sort::CreatedAt, true, false) => OLDEST,
        (Sort::CreatedAt, false, true) => NEWEST_OF_WORKSPACE,
        (Sort::CreatedAt, true, true) => OLDEST_OF_WORKSPACE,
        (Sort::UpdatedAt, false, false) => LATEST,
        (Sort::UpdatedAt, true, false) => EARLIEST,
        (Sort::UpdatedAt, false, true) => LATEST_OF_WORKSPACE,
        (Sort::UpdatedAt, true, true) => EARLIEST_OF_WORKSPACE,
    }
}

/// A page of an application's mailboxes.
pub async fn list(reader: &mut Reader<'_>, page: &GrantsPage) -> Result<Vec<Grant>, StoreError> {
    const ANY: Range<UnixMicros> = UnixMicros::from_micros(0)..UnixMicros::from_micros(i64::MAX);
    let created = page.created.clone().unwrap_or(ANY);
    let [from, to] = match page.sort {
        Sort::CreatedAt => [created.start, created.end].map(|time| GrantId::first_at(time).uuid().into()),
        Sort::UpdatedAt => [created.start, created.end].map(|time| time.as_micros().into()),
    };
    let (application, ip) = (page.application_id.uuid(), page.ip.as_deref().unwrap_or("*"));
    let mut values = vec![application.into(), from, to, ip.into()];
    values.extend_from_slice(params![page.limit as i64, page.offset as i64]);
    values.extend(page.workspace_id.map(|id| crate::db::Param::from(id.uuid())));
    let sql = statement(page.sort, page.is_ascending, page.workspace_id.is_some());
    let rows = reader.query(sql, &values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}
