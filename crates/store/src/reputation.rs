//! Where senders stand: the counts by which mailboxes, domains, workspaces, applications and organizations are judged,
//! and what follows when that changes.
//!
//! Nothing of it is written while a command runs: what happened is in the tally of the batch, and is counted just before
//! the commit, once for each row that it concerns. What follows (an event, the pause of a mailbox) is in the same
//! transaction as the outcome that it follows from: see docs/adr/0031.

mod apply;
mod guard;
mod read;
mod tell;

pub(crate) use apply::{apply, begin_anew, forget};
#[cfg(test)]
pub(crate) use guard::LEDGER;
pub use read::{Kept, Recount, find, find_all, of_application, recount, worst};
#[cfg(test)]
pub(crate) use read::{OF_APPLICATION, WORST};

use crate::send_events::SendEvent;
use postfleet_core::id::{ApplicationId, OrganizationId};
use postfleet_core::reputation::SubjectKind;
use postfleet_core::simulator;
use serde_json::Value;

/// Whose reputation it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subject {
    /// The number of the kind: rows are taken in the order of kinds and names, always.
    kind: i64,
    /// An id, or the name of a domain.
    pub name: String,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The application, unless it is one of several.
    pub application_id: Option<ApplicationId>,
}

impl Subject {
    fn new(kind: SubjectKind, name: impl ToString, of: &SendEvent, is_of_application: bool) -> Self {
        let application_id = is_of_application.then_some(of.sent.application_id);
        Self { kind: kind.number(), name: name.to_string(), organization_id: of.sent.organization_id, application_id }
    }

    /// What it is.
    pub fn kind(&self) -> SubjectKind {
        SubjectKind::numbered(self.kind).unwrap_or(SubjectKind::Organization)
    }

    /// Whom an outcome counts for. A mailbox that is gone is nobody any more.
    fn concerned(event: &SendEvent) -> Vec<Self> {
        let sent = &event.sent;
        let grant = (!event.is_of_removed).then(|| Self::new(SubjectKind::Grant, sent.grant_id, event, true));
        let domain = Self::new(SubjectKind::Domain, sent.sender.domain(), event, false);
        let workspace = sent.workspace_id.map(|id| Self::new(SubjectKind::Workspace, id, event, true));
        let application = Self::new(SubjectKind::Application, sent.application_id, event, true);
        // What was only tried out says nothing about those who share a domain or an organization.
        if simulator::is_simulated(event.recipient.as_ref()) {
            return [grant, workspace, Some(application)].into_iter().flatten().collect();
        }
        let organization = Self::new(SubjectKind::Organization, sent.organization_id, event, false);
        [grant, Some(domain), workspace, Some(application), Some(organization)].into_iter().flatten().collect()
    }

    /// Subjects as the statements take them.
    fn list<'a>(subjects: impl IntoIterator<Item = &'a Self>) -> String {
        let row = |subject: &Self| {
            let application = subject.application_id.map(|id| id.uuid().as_simple().to_string());
            serde_json::json!([
                subject.kind,
                subject.name,
                subject.organization_id.uuid().as_simple().to_string(),
                application
            ])
        };
        Value::Array(subjects.into_iter().map(row).collect()).to_string()
    }
}
