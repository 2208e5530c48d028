//! Rules about mail, and which of them a workspace uses.

pub(crate) mod definition;

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::id::ApplicationId;

/// Says that the rules of an application, its lists, or what its workspaces use of them are not what they were. Every
/// command that changes any of them ends with this, so that nobody judges by what was read before.
pub(crate) async fn changed(tx: &mut Tx, application: ApplicationId) -> Result<(), DbError> {
    const CHANGED: &str = "UPDATE applications SET rules_version = rules_version + 1 WHERE id = $1";
    tx.execute(CHANGED, params![application.uuid()]).await?;
    Ok(())
}
