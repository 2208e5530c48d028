//! Breakers of workspaces: how they are kept (JSON, in a column of the workspace that is read with every send), changed
//! and shown.

use crate::audit;
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::watch;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::breaker::{Action, Breaker, Metric, Watch};
use postfleet_core::id::{ApplicationId, GrantId, WorkspaceId};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One breaker as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    metric: String,
    threshold: u64,
    min_volume: u64,
    action: String,
    throttle_to: Option<u64>,
    enabled: bool,
}

/// Reads the column.
pub(crate) fn read(text: Option<&str>) -> Result<Vec<Breaker>, DbError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let malformed = || DbError::Malformed("breakers");
    let kept: Vec<Kept> = serde_json::from_str(text).map_err(|_| malformed())?;
    let one = |kept: &Kept| {
        Ok(Breaker {
            metric: Metric::named(&kept.metric).ok_or_else(malformed)?,
            threshold: kept.threshold,
            min_volume: kept.min_volume,
            action: Action::named(&kept.action).ok_or_else(malformed)?,
            throttle_to: kept.throttle_to,
            enabled: kept.enabled,
        })
    };
    kept.iter().map(one).collect()
}

/// Writes the column: nothing where there are none.
fn write(breakers: &[Breaker]) -> Option<String> {
    let one = |breaker: &Breaker| Kept {
        metric: breaker.metric.name().to_owned(),
        threshold: breaker.threshold,
        min_volume: breaker.min_volume,
        action: breaker.action.name().to_owned(),
        throttle_to: breaker.throttle_to,
        enabled: breaker.enabled,
    };
    let kept: Vec<Kept> = breakers.iter().map(one).collect();
    (!kept.is_empty()).then(|| json!(kept).to_string())
}

/// The breakers of a workspace; `None` if there is no such workspace.
pub async fn of(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    workspace: WorkspaceId,
) -> Result<Option<Vec<Breaker>>, StoreError> {
    const FIND: &str = "SELECT breakers FROM workspaces WHERE id = $1 AND application_id = $2";
    let Some(row) = reader.query_one(FIND, params![workspace.uuid(), application.uuid()]).await? else {
        return Ok(None);
    };
    Ok(Some(read(row.opt_text(0)?.as_deref())?))
}

/// What is counted of a mailbox.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Its address.
    pub email: String,
    /// What is counted.
    pub watch: Watch,
}

/// Mailboxes of a workspace that are looked at.
const MEASURED_MAX: i64 = 1_000;

pub(crate) const MEASURED: &str = "SELECT g.id, g.email, t.state FROM grants g LEFT JOIN watches t ON t.grant_id = g.id \
    WHERE g.application_id = $1 AND g.workspace_id = $2 ORDER BY g.id LIMIT $3";

/// What is counted of the first thousand mailboxes of a workspace, as it is now.
pub async fn measured(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    workspace: WorkspaceId,
    now: UnixMicros,
) -> Result<Vec<Measured>, StoreError> {
    let rows = reader.query(MEASURED, params![application.uuid(), workspace.uuid(), MEASURED_MAX]).await?;
    let one = |row: &Row| {
        let watch = row.opt_text(2)?.map(|text| watch::read(&text)).transpose()?.unwrap_or_default();
        Ok(Measured { grant_id: GrantId::from_uuid(row.uuid(0)?), email: row.text(1)?, watch: watch.at(now) })
    };
    Ok(rows.iter().map(one).collect::<Result<_, DbError>>()?)
}

/// Replaces the breakers of a workspace.
#[derive(Clone, Debug)]
pub struct SetBreakers {
    /// Who sets them.
    pub act: Act,
    /// Whose the workspace is.
    pub application_id: ApplicationId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// All that there are from now on.
    pub breakers: Vec<Breaker>,
}

impl Command for SetBreakers {
    /// Whether there is such a workspace.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FIND: &str = "SELECT breakers FROM workspaces WHERE id = $1 AND application_id = $2 {lock}";
        const WRITE: &str = "UPDATE workspaces SET breakers = $2 WHERE id = $1";
        let (id, application) = (self.workspace_id.uuid(), self.application_id.uuid());
        let Some(row) = tx.query_one(FIND, params![id, application]).await? else { return Ok(false) };
        let (before, after) = (row.opt_text(0)?, write(&self.breakers));
        if before == after {
            return Ok(true);
        }
        tx.execute(WRITE, params![id, after.as_deref()]).await?;
        let target = self.workspace_id.to_string();
        let shown = |breakers: Option<&str>| format!("{{\"breakers\":{}}}", breakers.unwrap_or("[]"));
        let (before, after) = (shown(before.as_deref()), shown(after.as_deref()));
        let change = audit::Change {
            action: "breakers.updated",
            target_kind: "workspace",
            target_id: &target,
            before: Some(&before),
            after: Some(&after),
        };
        audit::record(tx, &self.act, change).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakers_are_read_back() {
        let breaker = Breaker {
            metric: Metric::BounceRate,
            threshold: 2_500,
            min_volume: 50,
            action: Action::Throttle,
            throttle_to: Some(10),
            enabled: true,
        };
        let all = [breaker, Breaker { metric: Metric::SendsPerHour, throttle_to: None, enabled: false, ..breaker }];
        assert_eq!(read(write(&all).as_deref()).unwrap(), all);
        assert_eq!(write(&[]), None);
        assert!(read(None).unwrap().is_empty());
        assert!(read(Some("[{\"metric\":\"x\"}]")).is_err());
    }
}
