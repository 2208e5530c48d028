//! Honouring that somebody wants no more mail: at once, and with a record.

use super::{Cause, suppress};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{ApplicationId, AuditId, GrantId, MessageId, OrganizationId};
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::json;

/// Suppresses a recipient who followed the link of a message.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    /// Whose mail it was.
    pub application_id: ApplicationId,
    /// Which mailbox sent it.
    pub grant_id: GrantId,
    /// The message.
    pub message_id: MessageId,
    /// Who wants no more.
    pub address: EmailAddress,
    /// The id of the record.
    pub record_id: AuditId,
    /// The id of the request.
    pub request_id: String,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`Unsubscribe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsubscribeOutcome {
    /// Nothing goes there any more.
    Suppressed,
    /// Nothing did before, for this or a weightier reason.
    AlreadySuppressed,
    /// The application is gone, and sends nothing.
    ApplicationGone,
}

impl Command for Unsubscribe {
    type Outcome = UnsubscribeOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UnsubscribeOutcome, DbError> {
        const HOLDER: &str = "SELECT organization_id FROM applications WHERE id = $1";
        let Some(row) = tx.query_one(HOLDER, params![self.application_id.uuid()]).await? else {
            return Ok(UnsubscribeOutcome::ApplicationGone);
        };
        let cause = Cause {
            reason: Reason::Unsubscribe,
            source: "one_click",
            grant_id: Some(self.grant_id),
            message_id: Some(self.message_id),
        };
        if !suppress(tx, self.application_id, &self.address, &cause, self.at).await? {
            return Ok(UnsubscribeOutcome::AlreadySuppressed);
        }
        let act = self.act(OrganizationId::from_uuid(row.uuid(0)?));
        let after = json!({
            "count": 1,
            "addresses": [self.address.to_string()],
            "reason": cause.reason.name(),
            "source": cause.source,
            "grant_id": self.grant_id.to_string(),
            "message_id": self.message_id.to_string(),
        })
        .to_string();
        let target = self.address.to_string();
        let action = "suppression.added";
        let change =
            Change { action, target_kind: "suppression", target_id: &target, before: None, after: Some(&after) };
        audit::record(tx, &act, change).await?;
        Ok(UnsubscribeOutcome::Suppressed)
    }
}

impl Unsubscribe {
    fn act(&self, organization_id: OrganizationId) -> Act {
        let actor = Actor { kind: ActorKind::System, id: String::new(), name: "unsubscribe link".to_owned() };
        Act {
            record_id: self.record_id,
            actor,
            organization_id,
            application_id: Some(self.application_id),
            request_id: self.request_id.clone(),
            at: self.at,
        }
    }
}
