//! Workspaces: groups of an application's mailboxes under one policy.

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, PolicyId, WorkspaceId};

/// A workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// The domain whose new mailboxes it takes if it groups them by itself; empty if none.
    pub domain: String,
    /// Whether it takes new mailboxes of its domain that name no workspace.
    pub auto_group: bool,
    /// The policy that governs its mailboxes; without one, the plan alone does.
    pub policy_id: Option<PolicyId>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

pub(crate) async fn insert(tx: &mut Tx, workspace: &Workspace) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO workspaces \
        (id, application_id, name, domain, auto_group, policy_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = params![
        workspace.id.uuid(),
        workspace.application_id.uuid(),
        &workspace.name,
        &workspace.domain,
        workspace.auto_group,
        workspace.policy_id.map(|id| id.uuid()),
        workspace.created_at.as_micros(),
        workspace.updated_at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}
