//! Making many mailboxes at once: one transaction and one flush for all of them, each judged by itself.

use super::create::{GrantOutcome, NewGrant, Origin, Provided, Provisioning};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId};

/// Makes mailboxes, or finds those that the application already has, in the order given. One that is refused does not
/// disturb the others; of two with one address the second finds the first.
#[derive(Clone, Debug)]
pub struct CreateGrants {
    /// Who does it, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Where the request came from.
    pub origin: Origin,
    /// The mailboxes.
    pub grants: Vec<NewGrant>,
}

impl Command for CreateGrants {
    /// One for each, in their order.
    type Outcome = Vec<GrantOutcome>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<GrantOutcome>, DbError> {
        let mut provisioning = Provisioning::begin(tx, &self.act, self.application_id, &self.origin).await?;
        let mut outcomes = Vec::with_capacity(self.grants.len());
        let (mut created, mut updated) = (Vec::new(), Vec::new());
        for new in &self.grants {
            let provided = provisioning.provide(tx, new).await?;
            match &provided {
                Provided::Created(grant) => created.push(grant.id),
                Provided::Changed { after, .. } => updated.push(after.id),
                Provided::Existing(_) | Provided::Refused(_) => {}
            }
            outcomes.push(provided.into_outcome());
        }
        provisioning.count(tx).await?;
        self.record(tx, &created, &updated).await?;
        Ok(outcomes)
    }
}

impl CreateGrants {
    /// One record for all.
    async fn record(&self, tx: &mut Tx, created: &[GrantId], updated: &[GrantId]) -> Result<(), DbError> {
        if created.is_empty() && updated.is_empty() {
            return Ok(());
        }
        let texts = |ids: &[GrantId]| ids.iter().map(GrantId::to_string).collect::<Vec<_>>();
        let after = serde_json::json!({"grants": texts(created), "updated": texts(updated)}).to_string();
        let application = self.application_id.to_string();
        let change = Change {
            action: "grants.provisioned",
            target_kind: "application",
            target_id: &application,
            before: None,
            after: Some(&after),
        };
        audit::record(tx, &self.act, change).await
    }
}
