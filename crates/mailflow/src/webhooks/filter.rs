//! Of which mailboxes a webhook is told, by where they are when their events are sent.

use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, GrantId, WorkspaceId};
use postfleet_store::events::Event;
use postfleet_store::webhooks::Webhook;
use postfleet_store::{Reader, grants};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Where the mailboxes of some events are.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<GrantId, (Option<WorkspaceId>, String)>);

impl Places {
    /// Looks up what the filter of a webhook has to know of the mailboxes of events.
    pub(super) async fn of<'a>(
        reader: &mut Reader<'_>,
        webhook: &Webhook,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<Self, Problem> {
        if !webhook.filter.needs_place() {
            return Ok(Self::default());
        }
        let application: ApplicationId = webhook.application_id;
        let ids: BTreeSet<GrantId> = events.filter_map(of_mailbox).collect();
        let ids: Vec<GrantId> = ids.into_iter().collect();
        let found = grants::places(reader, application, &ids).await?;
        Ok(Self(found.into_iter().map(|(id, workspace, domain)| (id, (workspace, domain))).collect()))
    }

    /// Whether a webhook is told of an event.
    pub(super) fn pass(&self, webhook: &Webhook, event: &Event) -> bool {
        let filter = &webhook.filter;
        if filter.is_empty() {
            return true;
        }
        let grant = of_mailbox(event);
        match grant.and_then(|id| self.0.get(&id)) {
            Some((workspace, domain)) => filter.passes(grant, *workspace, Some(domain)),
            None => passes_by_itself(webhook, event, grant),
        }
    }
}

/// Of no mailbox, or of one that is gone: what the event itself says of it.
fn passes_by_itself(webhook: &Webhook, event: &Event, grant: Option<GrantId>) -> bool {
    let facts: Value = serde_json::from_str(&event.event.data).unwrap_or_default();
    let workspace = facts["workspace_id"].as_str().and_then(|id| id.parse().ok());
    let of_address = || facts["email"].as_str().and_then(|email| email.rsplit('@').next());
    let domain = facts["domain"].as_str().or_else(of_address);
    if webhook.filter.passes(grant, workspace, domain) {
        return true;
    }
    // Nobody knows any more where the mailbox was: rather told than lost.
    let is_unknown = workspace.is_none() && domain.is_none();
    grant.is_some() && is_unknown && webhook.filter.needs_place()
}

fn of_mailbox(event: &Event) -> Option<GrantId> {
    Some(event.event.grant_id).filter(|id| !id.uuid().is_nil())
}
