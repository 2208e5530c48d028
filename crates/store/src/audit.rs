//! The record of every change of the control plane, written in the transaction of the change.

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::audit::Act;

/// What was changed, as a record shows it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What happened, such as `policy.updated`.
    pub action: &'static str,
    /// The kind of thing, such as `policy`.
    pub target_kind: &'static str,
    /// Its id, as the interface shows it.
    pub target_id: &'a str,
    /// What it was, as a JSON object; `None` if it is new. Never a secret.
    pub before: Option<&'a str>,
    /// What it is, as a JSON object; `None` if it is gone. Never a secret.
    pub after: Option<&'a str>,
}

/// Writes the record of a change. One act has one record: its id is the act's.
pub(crate) async fn record(tx: &mut Tx, act: &Act, change: Change<'_>) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO audit (id, organization_id, application_id, actor_kind, actor_id, actor_name, \
        action, target_kind, target_id, before, after, request_id, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let values = params![
        act.record_id.uuid(),
        act.organization_id.uuid(),
        act.application_id.map(|id| id.uuid()),
        act.actor.kind.name(),
        &act.actor.id,
        &act.actor.name,
        change.action,
        change.target_kind,
        change.target_id,
        change.before,
        change.after,
        &act.request_id,
        act.at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}
