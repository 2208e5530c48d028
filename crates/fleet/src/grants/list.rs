//! Lists of mailboxes, with the filters of the hosted service. Some of those can match nothing here.

use postfleet_core::id::{ApplicationId, ConnectorId, GrantId, WorkspaceId};
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_store::grants::{self, Grant, GrantsPage, Sort};
use postfleet_store::{Reader, Store, connectors};
use std::net::IpAddr;

/// The last moment that an id can tell.
const END_SECONDS: i64 = 253_402_300_799;

/// Which mailboxes are wanted. What is not set lets all pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The address.
    pub email: Option<String>,
    /// The workspace that it is in.
    pub workspace_id: Option<WorkspaceId>,
    /// Made at this time or later, in Unix seconds.
    pub since: Option<i64>,
    /// Made before this time, in Unix seconds.
    pub before: Option<i64>,
    /// The address from which it was made.
    pub ip: Option<String>,
    /// Its status: all are `valid`.
    pub grant_status: Option<String>,
    /// Its provider: all are `nylas`.
    pub provider: Option<String>,
    /// The connector of its application.
    pub connector_id: Option<String>,
    /// Accounts of an older version: no mailbox has one.
    pub account_ids: Vec<String>,
    /// The only mailbox that the caller may see.
    pub only: Option<GrantId>,
}

/// A page of an application's mailboxes.
pub async fn list(store: &Store, page: GrantsPage, filter: &Filter) -> Result<Vec<Grant>, Problem> {
    let mut reader = store.reader().await?;
    if !filter.can_match(&mut reader, page.application_id).await? {
        return Ok(Vec::new());
    }
    let page = GrantsPage {
        workspace_id: filter.workspace_id,
        ip: filter.ip.as_deref().and_then(address).map(|ip| ip.to_canonical().to_string()),
        created: (filter.since.is_some() || filter.before.is_some())
            .then(|| time(filter.since.unwrap_or(0))..time(filter.before.unwrap_or(END_SECONDS))),
        ..page
    };
    // At most one has an address, or an id.
    let found = match (&filter.email, filter.only) {
        (Some(email), _) => match EmailAddress::parse(email) {
            Ok(email) => grants::find_email(&mut reader, page.application_id, &email).await?,
            Err(_) => None,
        },
        (None, Some(id)) => grants::find(&mut reader, page.application_id, id).await?,
        (None, None) => return Ok(grants::list(&mut reader, &page).await?),
    };
    let found = found.filter(|grant| filter.only.is_none_or(|only| only == grant.id) && matches(&page, grant));
    Ok(found.into_iter().skip(page.offset).collect())
}

impl Filter {
    /// Whether any mailbox could pass what is the same for all of them.
    async fn can_match(&self, reader: &mut Reader<'_>, application: ApplicationId) -> Result<bool, Problem> {
        let is = |wanted: &Option<String>, all: &str| wanted.as_deref().is_none_or(|wanted| wanted == all);
        if !is(&self.grant_status, "valid") || !is(&self.provider, "nylas") || !self.account_ids.is_empty() {
            return Ok(false);
        }
        if self.ip.as_deref().is_some_and(|ip| address(ip).is_none()) {
            return Ok(false);
        }
        let Some(wanted) = &self.connector_id else { return Ok(true) };
        let Ok(wanted) = wanted.parse::<ConnectorId>() else { return Ok(false) };
        Ok(connectors::find(reader, application).await?.is_some_and(|connector| connector.id == wanted))
    }
}

fn matches(page: &GrantsPage, grant: &Grant) -> bool {
    page.workspace_id.is_none_or(|wanted| grant.workspace_id == Some(wanted))
        && page.ip.as_ref().is_none_or(|wanted| *wanted == grant.ip)
        && page.created.as_ref().is_none_or(|wanted| wanted.contains(&grant.created_at))
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn time(seconds: i64) -> UnixMicros {
    UnixMicros::from_seconds(seconds.clamp(0, END_SECONDS))
}

/// What a list may be ordered by, by its name in a query.
pub fn sort(name: &str) -> Option<Sort> {
    match name {
        "created_at" => Some(Sort::CreatedAt),
        "updated_at" => Some(Sort::UpdatedAt),
        _ => None,
    }
}
