//! Breakers of workspaces: how they are kept (JSON, in a column of the workspace that is read with every send), changed
//! and shown.

use crate::audit;
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::breaker::{Action, Breaker, Metric};
use postfleet_core::id::{ApplicationId, WorkspaceId};
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
