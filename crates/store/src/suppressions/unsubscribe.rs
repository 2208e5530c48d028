//! Honouring that somebody wants no more mail: at once, and with a record.

use super::{Cause, suppress};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::params;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, AuditId, EventId, GrantId, MessageId, OrganizationId};
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::json;

/// Suppresses a recipient who followed the link of a message, or wrote to its address.
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
    /// By what way they said so.
    pub way: Way,
    /// The id of the event.
    pub event_id: EventId,
    /// The id of the record.
    pub record_id: AuditId,
    /// The id of the request.
    pub request_id: String,
    /// When.
    pub at: UnixMicros,
}

/// How somebody says that they want no more mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the link, or the button that a mail program makes of it.
    OneClick,
    /// By mail to the address that the message names.
    Mail,
}

impl Way {
    /// The word for it, which the entry has as its source.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneClick => "one_click",
            Self::Mail => "mailto",
        }
    }

    /// Whom the record names.
    const fn actor(self) -> &'static str {
        match self {
            Self::OneClick => "unsubscribe link",
            Self::Mail => "unsubscribe address",
        }
    }
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
        // As all who announce something of a mailbox: the mailbox first.
        let has_mailbox = drafts::lock(tx, self.grant_id).await?;
        let cause = Cause {
            reason: Reason::Unsubscribe,
            source: self.way.name(),
            grant_id: Some(self.grant_id),
            message_id: Some(self.message_id),
            expires_at: None,
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
        if has_mailbox {
            self.announce(tx).await?;
        }
        Ok(UnsubscribeOutcome::Suppressed)
    }
}

impl Unsubscribe {
    async fn announce(&self, tx: &mut Tx) -> Result<(), DbError> {
        let data = json!({
            "at": self.at.as_seconds(),
            "recipient": self.address.to_string(),
            "source": self.way.name(),
        });
        let Some(grant_sequence) = events::next_sequence(tx, self.grant_id).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: self.event_id,
            application_id: self.application_id,
            grant_id: self.grant_id,
            grant_sequence,
            trigger: Trigger::MessageUnsubscribed,
            message_id: Some(self.message_id),
            data: data.to_string(),
            at: self.at,
        });
        Ok(())
    }

    fn act(&self, organization_id: OrganizationId) -> Act {
        let actor = Actor { kind: ActorKind::System, id: String::new(), name: self.way.actor().to_owned() };
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
