//! Making a mailbox, or finding the one that the application already has under that address. One and many are made by
//! the same steps: what holds for all of a call is read once.

use super::change::{self, GrantChange};
use super::{Grant, Placement, Tenant, grant_columns, has_workspace, lock_tenant, read};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::NewEvent;
use crate::params;
use crate::readings;
use crate::suppressions;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, WorkspaceId};
use postfleet_core::plan::Cap;
use postfleet_core::{Domain, EmailAddress, Patch, Secret};
use std::collections::HashMap;

/// A mailbox that somebody wants.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// The id if it is made.
    pub id: GrantId,
    /// Where; if not given, the oldest workspace that takes its domain, else the application's default workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// The address.
    pub email: EmailAddress,
    /// The display name, if one was given.
    pub name: Option<String>,
    /// The hash of the password for mail clients, if one was given.
    pub app_password: Option<Secret<String>>,
    /// What the caller wants to see again.
    pub state: Option<String>,
    /// The id of the event that announces it.
    pub event_id: EventId,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address at the other end; empty if it is not known.
    pub ip: String,
    /// What the client calls itself; empty if it does not say.
    pub user_agent: String,
}

/// Makes a mailbox, or finds the one that the application already has under that address and gives it what was given
/// anew.
#[derive(Clone, Debug)]
pub struct CreateGrant {
    /// Who does it, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Where the request came from.
    pub origin: Origin,
    /// The mailbox.
    pub grant: NewGrant,
}

/// What became of a mailbox that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantOutcome {
    /// It was made.
    Created(Grant),
    /// It was there.
    Existing(Grant),
    /// Another application has that address.
    Taken,
    /// The organization has no such domain.
    DomainUnknown,
    /// The organization has not proven yet that the domain is its own.
    DomainUnowned,
    /// The organization has as many mailboxes as its plan allows.
    TooMany(Cap),
    /// The application has no such workspace.
    WorkspaceUnknown,
}

impl Command for CreateGrant {
    type Outcome = GrantOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<GrantOutcome, DbError> {
        let mut provisioning = Provisioning::begin(tx, &self.act, self.application_id, &self.origin).await?;
        let provided = provisioning.provide(tx, &self.grant).await?;
        provisioning.count(tx).await?;
        match &provided {
            Provided::Created(grant) => record_created(tx, &self.act, grant).await?,
            Provided::Changed { before, after } => {
                change::record(tx, &self.act, before, after, self.grant.app_password.is_some()).await?;
            }
            Provided::Existing(_) | Provided::Refused(_) => {}
        }
        Ok(provided.into_outcome())
    }
}

async fn record_created(tx: &mut Tx, act: &Act, grant: &Grant) -> Result<(), DbError> {
    let (id, facts) = (grant.id.to_string(), grant.facts().to_string());
    let change =
        Change { action: "grant.created", target_kind: "grant", target_id: &id, before: None, after: Some(&facts) };
    audit::record(tx, act, change).await
}

/// What was done for one wanted mailbox.
pub(super) enum Provided {
    Created(Grant),
    Existing(Grant),
    /// It was there, and something was given anew.
    Changed {
        before: Box<Grant>,
        after: Grant,
    },
    Refused(GrantOutcome),
}

impl Provided {
    pub(super) fn into_outcome(self) -> GrantOutcome {
        match self {
            Self::Created(grant) => GrantOutcome::Created(grant),
            Self::Existing(grant) | Self::Changed { after: grant, .. } => GrantOutcome::Existing(grant),
            Self::Refused(outcome) => outcome,
        }
    }
}

const OURS: &str = "SELECT owned_at FROM domains WHERE name = $1 AND organization_id = $2";
const GROUPING: &str = "SELECT id FROM workspaces \
    WHERE application_id = $1 AND domain = $2 AND auto_group = 1 ORDER BY id LIMIT 1";
const LOCK_BY_EMAIL: &str = concat!("SELECT ", grant_columns!(), " FROM grants WHERE email_key = $1 {lock}");
const COUNT_DOMAIN: &str = "UPDATE domains SET grant_count = grant_count + $2 WHERE name = $1";

/// What is read and counted for a mailbox that is made.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] =
    &[super::LOCK_TENANT, super::HAS_WORKSPACE, OURS, GROUPING, LOCK_BY_EMAIL, readings::COUNT, COUNT_DOMAIN];

/// The mailboxes of one call in the making: what is known of the tenant, each fact read once, and how many were made.
pub(super) struct Provisioning<'a> {
    act: &'a Act,
    application_id: ApplicationId,
    origin: &'a Origin,
    tenant: Tenant,
    created: u64,
    domains: HashMap<Domain, DomainFacts>,
    workspaces: HashMap<WorkspaceId, bool>,
}

struct DomainFacts {
    /// Whether it is known to be the organization's; `None` if the organization has no such domain.
    is_owned: Option<bool>,
    /// Where mailboxes go that name no workspace.
    place: Place,
    created: i64,
}

type Place = (WorkspaceId, Placement);

impl<'a> Provisioning<'a> {
    pub(super) async fn begin(
        tx: &mut Tx,
        act: &'a Act,
        application_id: ApplicationId,
        origin: &'a Origin,
    ) -> Result<Self, DbError> {
        let tenant = lock_tenant(tx, act.organization_id, application_id).await?;
        let tenant = tenant.ok_or(DbError::Malformed("application"))?;
        let (domains, workspaces) = (HashMap::new(), HashMap::new());
        Ok(Self { act, application_id, origin, tenant, created: 0, domains, workspaces })
    }

    /// Makes one mailbox, or finds it. One that is there comes before every refusal but that of its workspace.
    pub(super) async fn provide(&mut self, tx: &mut Tx, new: &NewGrant) -> Result<Provided, DbError> {
        let is_owned = self.domain(tx, new.email.domain()).await?.is_owned;
        let place = self.place(tx, new).await?;
        let used = self.tenant.grant_count + self.created;
        let full = self.tenant.grants_cap.filter(|limit| used >= *limit).map(|limit| Cap { limit, used });
        if let (Some(true), Some(place), None) = (is_owned, place, full)
            && let Some(grant) = self.insert(tx, new, place).await?
        {
            return Ok(Provided::Created(grant));
        }
        match find_by_email(tx, &new.email).await? {
            Some(grant) if grant.application_id != self.application_id => Ok(Provided::Refused(GrantOutcome::Taken)),
            Some(_) if place.is_none() => Ok(Provided::Refused(GrantOutcome::WorkspaceUnknown)),
            Some(grant) => self.give_anew(tx, grant, new).await,
            None => Ok(Provided::Refused(match full {
                _ if is_owned.is_none() => GrantOutcome::DomainUnknown,
                _ if is_owned == Some(false) => GrantOutcome::DomainUnowned,
                _ if place.is_none() => GrantOutcome::WorkspaceUnknown,
                Some(cap) => GrantOutcome::TooMany(cap),
                // Inserting did nothing because of a row that is not there.
                None => return Err(DbError::Malformed("address")),
            })),
        }
    }

    /// Writes how many were made: once for the organization and once for each domain.
    pub(super) async fn count(self, tx: &mut Tx) -> Result<(), DbError> {
        if self.created == 0 {
            return Ok(());
        }
        let created = i64::try_from(self.created).unwrap_or(i64::MAX);
        readings::count_accounts(tx, self.tenant.organization_id, created, self.act.at).await?;
        for (domain, facts) in self.domains.iter().filter(|(_, facts)| facts.created > 0) {
            tx.execute(COUNT_DOMAIN, params![domain.as_str(), facts.created]).await?;
        }
        Ok(())
    }

    async fn domain(&mut self, tx: &mut Tx, domain: &Domain) -> Result<&mut DomainFacts, DbError> {
        if !self.domains.contains_key(domain) {
            let (name, organization) = (domain.as_str(), self.tenant.organization_id.uuid());
            let domain_row = tx.query_one(OURS, params![name, organization]).await?;
            let is_owned = domain_row.map(|row| Ok::<_, DbError>(row.opt_int(0)?.is_some())).transpose()?;
            let place = match tx.query_one(GROUPING, params![self.application_id.uuid(), name]).await? {
                Some(row) => (WorkspaceId::from_uuid(row.uuid(0)?), Placement::AutoGroup),
                None => (self.tenant.default_workspace_id, Placement::Default),
            };
            self.domains.insert(domain.clone(), DomainFacts { is_owned, place, created: 0 });
        }
        self.domains.get_mut(domain).ok_or(DbError::Malformed("domain"))
    }

    /// Where it goes: into the workspace that was named, else the oldest one that takes mailboxes of its domain, else
    /// the default one. `None` if the named one is not the application's.
    async fn place(&mut self, tx: &mut Tx, new: &NewGrant) -> Result<Option<Place>, DbError> {
        let Some(wanted) = new.workspace_id else { return Ok(Some(self.domain(tx, new.email.domain()).await?.place)) };
        let is_own = match self.workspaces.get(&wanted) {
            Some(known) => *known,
            None => {
                let is_own = has_workspace(tx, self.application_id, wanted).await?;
                self.workspaces.insert(wanted, is_own);
                is_own
            }
        };
        Ok(is_own.then_some((wanted, Placement::Explicit)))
    }

    /// Answers nothing if there is a mailbox under that address.
    async fn insert(&mut self, tx: &mut Tx, new: &NewGrant, place: Place) -> Result<Option<Grant>, DbError> {
        const GRANT: &str = "INSERT INTO grants (application_id, id, workspace_id, placement, email, email_key, name, \
            state, ip, user_agent, blocked, app_password, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $12) ON CONFLICT (email_key) DO NOTHING";
        const MAILBOX: &str = "INSERT INTO mailboxes \
            (grant_id, organization_id, application_id, storage_octets, event_sequence) VALUES ($1, $2, $3, 0, 1)";
        let (email, key) = (new.email.to_string(), new.email.key());
        let values = params![
            self.application_id.uuid(),
            new.id.uuid(),
            place.0.uuid(),
            place.1.name(),
            &email,
            &key,
            new.name.as_deref().unwrap_or_default(),
            new.state.as_ref(),
            &self.origin.ip,
            &self.origin.user_agent,
            new.app_password.as_ref().map(Secret::expose),
            self.act.at.as_micros()
        ];
        if tx.execute(GRANT, values).await? == 0 {
            return Ok(None);
        }
        let owner = (self.tenant.organization_id.uuid(), self.application_id.uuid());
        tx.execute(MAILBOX, params![new.id.uuid(), owner.0, owner.1]).await?;
        suppressions::forget_bounce(tx, self.application_id, &new.email).await?;
        tx.announce(NewEvent {
            id: new.event_id,
            application_id: self.application_id,
            grant_id: new.id,
            grant_sequence: 1,
            trigger: Trigger::GrantCreated,
            message_id: None,
            data: "{}".into(),
            at: self.act.at,
        });
        self.created += 1;
        self.domain(tx, new.email.domain()).await?.created += 1;
        Ok(Some(self.made(new, place)))
    }

    fn made(&self, new: &NewGrant, place: Place) -> Grant {
        Grant {
            id: new.id,
            application_id: self.application_id,
            workspace_id: Some(place.0),
            placement: place.1,
            email: new.email.clone(),
            name: new.name.clone().unwrap_or_default(),
            state: new.state.clone(),
            ip: self.origin.ip.clone(),
            user_agent: self.origin.user_agent.clone(),
            is_blocked: false,
            has_app_password: new.app_password.is_some(),
            created_at: self.act.at,
            updated_at: self.act.at,
            connector_id: self.tenant.connector_id,
        }
    }

    /// What was left out stays as it is.
    async fn give_anew(&self, tx: &mut Tx, grant: Grant, new: &NewGrant) -> Result<Provided, DbError> {
        let given = |text: &Option<String>| text.clone().map_or(Patch::Keep, Patch::Set);
        let change = GrantChange {
            name: given(&new.name),
            state: given(&new.state),
            workspace_id: new.workspace_id.map_or(Patch::Keep, Patch::Set),
            app_password: new.app_password.clone().map_or(Patch::Keep, Patch::Set),
        };
        Ok(match change::apply(tx, &grant, &change, new.event_id, self.act.at).await? {
            Some(after) => Provided::Changed { before: Box::new(grant), after },
            None => Provided::Existing(grant),
        })
    }
}

async fn find_by_email(tx: &mut Tx, email: &EmailAddress) -> Result<Option<Grant>, DbError> {
    tx.query_one(LOCK_BY_EMAIL, params![&email.key()]).await?.as_ref().map(read).transpose()
}
