//! Who did what: every change of the control plane carries its author and is recorded in its own transaction.

use crate::id::{ApplicationId, AuditId, KeyId, OrganizationId};
use crate::time::UnixMicros;

/// By what right somebody acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActorKind {
    /// An application's key.
    ApiKey,
    /// A key of the operator.
    OperatorKey,
    /// A service account that signs its requests.
    ServiceAccount,
    /// A token of one mailbox.
    AccessToken,
    /// The product itself: a periodic check or a background job.
    System,
    /// Somebody at the machine, with the command line.
    CommandLine,
}

impl ActorKind {
    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::OperatorKey => "operator_key",
            Self::ServiceAccount => "service_account",
            Self::AccessToken => "access_token",
            Self::System => "system",
            Self::CommandLine => "command_line",
        }
    }
}

/// Who changes something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// By what right.
    pub kind: ActorKind,
    /// The id of the key, account or mailbox; empty for the product and the command line.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// Who sends something, or writes what is sent later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// Who.
    pub actor: Actor,
    /// The id of the request; empty if there was none.
    pub request_id: String,
}

impl Author {
    /// Somebody with a key of the application, long after they asked.
    pub fn of_key(key: KeyId) -> Self {
        let actor = Actor { kind: ActorKind::ApiKey, id: key.to_string(), name: String::new() };
        Self { actor, request_id: String::new() }
    }

    /// The key, if it is one of an application: what is sent with it is judged by it.
    pub fn key(&self) -> Option<KeyId> {
        self.actor.key()
    }
}

impl Actor {
    /// The key, if it is one of an application.
    pub fn key(&self) -> Option<KeyId> {
        if self.kind == ActorKind::ApiKey { self.id.parse().ok() } else { None }
    }
}

/// One change in the making: who, when, in whose name, and under which request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Act {
    /// The id of its record.
    pub record_id: AuditId,
    /// Who.
    pub actor: Actor,
    /// Whose.
    pub organization_id: OrganizationId,
    /// In which application, if in one.
    pub application_id: Option<ApplicationId>,
    /// The id of the request; empty if there was none.
    pub request_id: String,
    /// When.
    pub at: UnixMicros,
}

impl Act {
    /// A change that somebody at the machine makes to an organization.
    pub fn of_command_line(record_id: AuditId, organization_id: OrganizationId, at: UnixMicros) -> Self {
        let actor = Actor { kind: ActorKind::CommandLine, id: String::new(), name: "command line".to_owned() };
        Self { record_id, actor, organization_id, application_id: None, request_id: String::new(), at }
    }

    /// The same change, made to another organization: that of what is changed.
    pub fn to(&self, organization_id: OrganizationId) -> Self {
        Self { organization_id, ..self.clone() }
    }
}
