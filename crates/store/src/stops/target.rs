//! Whom a stop is to concern: found by what somebody calls them, within what is theirs.

use super::reach;
use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::organizations;
use crate::params;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, WorkspaceId};
use postfleet_core::stop::{Scope, with_parents};
use postfleet_core::{Domain, EmailAddress};
use uuid::Uuid;

/// Whom a stop concerns, with what they belong to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Whose.
    pub organization: OrganizationId,
    /// The application, unless it concerns several.
    pub application: Option<ApplicationId>,
    /// The workspace, if it is one or the mailbox is in one.
    pub workspace: Option<WorkspaceId>,
    /// The mailbox, if it concerns one.
    pub grant: Option<GrantId>,
    /// What it is.
    pub scope: Scope,
    /// Which: the key of an address, the name of a domain, or the text of an id.
    pub subject: String,
}

/// Whose things somebody may stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Within {
    /// Those of an application, and the domains of its organization.
    Application(ApplicationId),
    /// Those that an operator may see.
    Operator(organizations::Scope),
}

impl Within {
    /// Whether what belongs there may be stopped by whoever asks.
    pub(super) fn covers(self, target: &Target, home: Option<OrganizationId>) -> bool {
        match self {
            Self::Operator(scope) => scope.covers(target.organization),
            // What concerns other applications, too, is not for one of them; but for its organization's domains.
            Self::Application(own) => match target.scope {
                Scope::Domain => home == Some(target.organization),
                _ => target.application == Some(own),
            },
        }
    }
}

/// The organization of an application.
pub(super) async fn home(tx: &mut Tx, application: ApplicationId) -> Result<Option<OrganizationId>, DbError> {
    const HOME: &str = "SELECT organization_id FROM applications WHERE id = $1";
    let row = tx.query_one(HOME, params![application.uuid()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(OrganizationId::from_uuid))
}

const GRANT: &str = "SELECT a.organization_id, g.application_id, g.workspace_id, g.id FROM grants g \
    JOIN applications a ON a.id = g.application_id WHERE g.id = $1";

/// Finds whom somebody means; `None` if there is nobody.
pub(super) async fn find(tx: &mut Tx, scope: Scope, subject: &str) -> Result<Option<Target>, DbError> {
    const ADDRESS: &str = "SELECT a.organization_id, g.application_id, g.workspace_id, g.id FROM grants g \
        JOIN applications a ON a.id = g.application_id WHERE g.email_key = $1";
    const ORGANIZATION: &str = "SELECT id FROM organizations WHERE id = $1";
    const APPLICATION: &str = "SELECT organization_id, id FROM applications WHERE id = $1";
    const WORKSPACE: &str = "SELECT a.organization_id, w.application_id, w.id FROM workspaces w \
        JOIN applications a ON a.id = w.application_id WHERE w.id = $1";
    let (row, subject) = match scope {
        Scope::Address => {
            let Ok(address) = EmailAddress::parse(subject) else { return Ok(None) };
            let key = address.key();
            (tx.query_one(ADDRESS, params![&key]).await?, key)
        }
        Scope::Domain => return of_domain(tx, subject).await,
        // Conversations are stopped by what watches them.
        Scope::Thread => return Ok(None),
        _ => {
            let Ok(id) = subject.parse::<GrantId>() else { return Ok(None) };
            let statement = match scope {
                Scope::Organization => ORGANIZATION,
                Scope::Application => APPLICATION,
                Scope::Workspace => WORKSPACE,
                _ => GRANT,
            };
            (tx.query_one(statement, params![id.uuid()]).await?, id.to_string())
        }
    };
    let Some(row) = row else { return Ok(None) };
    let named = |column: usize| -> Result<Option<Uuid>, DbError> {
        if column < columns(scope) { row.opt_uuid(column) } else { Ok(None) }
    };
    Ok(Some(Target {
        organization: OrganizationId::from_uuid(row.uuid(0)?),
        application: named(1)?.map(ApplicationId::from_uuid),
        workspace: named(2)?.map(WorkspaceId::from_uuid),
        grant: named(3)?.map(GrantId::from_uuid),
        scope,
        subject,
    }))
}

/// How many columns the statement of a scope has.
const fn columns(scope: Scope) -> usize {
    match scope {
        Scope::Organization | Scope::Domain => 1,
        Scope::Application => 2,
        Scope::Workspace => 3,
        Scope::Address | Scope::Grant | Scope::Thread => 4,
    }
}

/// A domain that is registered, or is below one that is: the nearest says whose it is.
async fn of_domain(tx: &mut Tx, name: &str) -> Result<Option<Target>, DbError> {
    const DOMAIN: &str = "SELECT organization_id FROM domains WHERE name = $1";
    let Ok(domain) = Domain::parse(name) else { return Ok(None) };
    for name in with_parents(&domain) {
        if let Some(row) = tx.query_one(DOMAIN, params![name]).await? {
            return Ok(Some(of_row(&row, domain.as_str().to_owned())?));
        }
    }
    Ok(None)
}

/// A name that is registered nowhere, with domains below it.
pub(super) async fn of_those_below(tx: &mut Tx, name: &str) -> Result<Option<Target>, DbError> {
    let Ok(domain) = Domain::parse(name) else { return Ok(None) };
    if !domain.as_str().contains('.') {
        return Ok(None);
    }
    let Some(organization) = reach::home_below(tx, &domain).await? else { return Ok(None) };
    let (scope, subject) = (Scope::Domain, domain.as_str().to_owned());
    Ok(Some(Target { organization, application: None, workspace: None, grant: None, scope, subject }))
}

fn of_row(row: &Row, subject: String) -> Result<Target, DbError> {
    let organization = OrganizationId::from_uuid(row.uuid(0)?);
    Ok(Target { organization, application: None, workspace: None, grant: None, scope: Scope::Domain, subject })
}
