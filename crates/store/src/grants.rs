//! Grants: the mailboxes that exist, and what holds for them.

use crate::blobs;
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, NewEvent};
use crate::messages;
use crate::params;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId, OrganizationId, WorkspaceId};
use postfleet_core::plan::{self, Limits, PolicyLimits};
use postfleet_core::{Domain, EmailAddress, UnixMicros};

macro_rules! grant_columns {
    () => {
        "id, application_id, workspace_id, email, name, created_at, updated_at"
    };
}

/// A mailbox as the interface shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Whose policy governs it.
    pub workspace_id: WorkspaceId,
    /// Its address.
    pub email: EmailAddress,
    /// The display name of what it sends; may be empty.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// Makes a mailbox, or finds the one that the application already has under that address.
#[derive(Clone, Debug)]
pub struct CreateGrant {
    /// The id if it is made.
    pub id: GrantId,
    /// Whose.
    pub application_id: ApplicationId,
    /// Where; the application's default workspace if not given.
    pub workspace_id: Option<WorkspaceId>,
    /// The address.
    pub email: EmailAddress,
    /// The display name.
    pub name: String,
    /// The id of the event that announces it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`CreateGrant`].
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
    /// The organization has as many mailboxes as its plan allows.
    TooMany(u64),
    /// The application has no such workspace.
    WorkspaceUnknown,
}

impl Command for CreateGrant {
    type Outcome = GrantOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<GrantOutcome, DbError> {
        let tenant = self.lock_tenant(tx).await?;
        if let Some(grant) = find_by_email(tx, &self.email).await? {
            let own = grant.application_id == self.application_id;
            return Ok(if own { GrantOutcome::Existing(grant) } else { GrantOutcome::Taken });
        }
        if !has_domain(tx, tenant.organization_id, self.email.domain()).await? {
            return Ok(GrantOutcome::DomainUnknown);
        }
        let Some(workspace_id) = self.place(tx, &tenant).await? else { return Ok(GrantOutcome::WorkspaceUnknown) };
        if let Some(limit) = tenant.grants_max.filter(|limit| tenant.grant_count >= *limit) {
            return Ok(GrantOutcome::TooMany(limit));
        }
        let grant = self.insert(tx, &tenant, workspace_id).await?;
        Ok(GrantOutcome::Created(grant))
    }
}

struct Tenant {
    organization_id: OrganizationId,
    grants_max: Option<u64>,
    grant_count: u64,
    default_workspace_id: WorkspaceId,
}

impl CreateGrant {
    /// Reads the organization under a lock: its number of mailboxes is counted against the plan.
    async fn lock_tenant(&self, tx: &mut Tx) -> Result<Tenant, DbError> {
        const LOCK: &str = "SELECT o.id, o.plan, o.grant_count, a.default_workspace_id FROM applications a \
            JOIN organizations o ON o.id = a.organization_id WHERE a.id = $1 {lock}";
        let row = tx.query_one(LOCK, params![self.application_id.uuid()]).await?;
        let row = row.ok_or(DbError::Malformed("application"))?;
        let plan = plan::preset(&row.text(1)?).ok_or(DbError::Malformed("plan"))?;
        Ok(Tenant {
            organization_id: OrganizationId::from_uuid(row.uuid(0)?),
            grants_max: plan.grants_max,
            grant_count: row.count(2)?,
            default_workspace_id: WorkspaceId::from_uuid(row.uuid(3)?),
        })
    }

    async fn place(&self, tx: &mut Tx, tenant: &Tenant) -> Result<Option<WorkspaceId>, DbError> {
        const FIND: &str = "SELECT id FROM workspaces WHERE id = $1 AND application_id = $2";
        let wanted = self.workspace_id.unwrap_or(tenant.default_workspace_id);
        let found = tx.query_one(FIND, params![wanted.uuid(), self.application_id.uuid()]).await?;
        Ok(found.map(|_| wanted))
    }

    async fn insert(&self, tx: &mut Tx, tenant: &Tenant, workspace_id: WorkspaceId) -> Result<Grant, DbError> {
        const GRANT: &str = "INSERT INTO grants \
            (id, application_id, workspace_id, email, email_key, name, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
        const MAILBOX: &str = "INSERT INTO mailboxes (grant_id, storage_octets, event_sequence) VALUES ($1, 0, 1)";
        const COUNT: &str = "UPDATE organizations SET grant_count = grant_count + 1 WHERE id = $1";
        let (id, application, at) = (self.id.uuid(), self.application_id.uuid(), self.at.as_micros());
        let (email, key) = (self.email.to_string(), self.email.key());
        tx.execute(GRANT, params![id, application, workspace_id.uuid(), &email, &key, &self.name, at]).await?;
        tx.execute(MAILBOX, params![id]).await?;
        tx.execute(COUNT, params![tenant.organization_id.uuid()]).await?;
        tx.announce(NewEvent {
            id: self.event_id,
            application_id: self.application_id,
            grant_id: self.id,
            grant_sequence: 1,
            trigger: Trigger::GrantCreated,
            message_id: None,
            data: "{}".into(),
            at: self.at,
        });
        Ok(Grant {
            id: self.id,
            application_id: self.application_id,
            workspace_id,
            email: self.email.clone(),
            name: self.name.clone(),
            created_at: self.at,
            updated_at: self.at,
        })
    }
}

async fn has_domain(tx: &mut Tx, organization: OrganizationId, domain: &Domain) -> Result<bool, DbError> {
    const FIND: &str = "SELECT 1 FROM domains WHERE name = $1 AND organization_id = $2";
    Ok(tx.query_one(FIND, params![domain.as_str(), organization.uuid()]).await?.is_some())
}

async fn find_by_email(tx: &mut Tx, email: &EmailAddress) -> Result<Option<Grant>, DbError> {
    const FIND: &str = concat!("SELECT ", grant_columns!(), " FROM grants WHERE email_key = $1");
    tx.query_one(FIND, params![&email.key()]).await?.as_ref().map(read).transpose()
}

/// Removes a mailbox: at once for everybody, its content a little at a time by [`PruneRemoved`].
#[derive(Clone, Debug)]
pub struct RemoveGrant {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: GrantId,
    /// The id of the event that announces it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

impl Command for RemoveGrant {
    /// Whether there was such a mailbox.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM grants WHERE id = $1 AND application_id = $2";
        const COUNT: &str = "UPDATE organizations SET grant_count = grant_count - 1 \
            WHERE id = (SELECT organization_id FROM applications WHERE id = $1)";
        const REMEMBER: &str = "INSERT INTO removed_grants (grant_id, removed_at) VALUES ($1, $2)";
        let (id, application) = (self.id.uuid(), self.application_id.uuid());
        if tx.execute(REMOVE, params![id, application]).await? == 0 {
            return Ok(false);
        }
        tx.execute(COUNT, params![application]).await?;
        tx.execute(REMEMBER, params![id, self.at.as_micros()]).await?;
        let sequence = events::next_sequence(tx, self.id, 0).await?.ok_or(DbError::Malformed("mailbox"))?;
        const CLOSE: &str = "DELETE FROM mailboxes WHERE grant_id = $1";
        tx.execute(CLOSE, params![id]).await?;
        tx.announce(NewEvent {
            id: self.event_id,
            application_id: self.application_id,
            grant_id: self.id,
            grant_sequence: sequence,
            trigger: Trigger::GrantDeleted,
            message_id: None,
            data: "{}".into(),
            at: self.at,
        });
        Ok(true)
    }
}

/// Removes up to `limit` messages of one removed mailbox, then as many of its other rows: never much at once, so that
/// the writer stays free for mail.
#[derive(Clone, Copy, Debug)]
pub struct PruneRemoved {
    /// Rows of a kind at once.
    pub limit: usize,
}

impl Command for PruneRemoved {
    /// Whether there may be more to do.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        // Locked: two nodes that prune the same mailbox would each take its references to bodies away.
        const OLDEST: &str = "SELECT grant_id FROM removed_grants LIMIT 1 {skip_locked}";
        const FORGET: &str = "DELETE FROM removed_grants WHERE grant_id = $1";
        let Some(row) = tx.query_one(OLDEST, params![]).await? else { return Ok(false) };
        let grant = GrantId::from_uuid(row.uuid(0)?);
        if self.remove_messages(tx, grant).await? == 0 && self.remove_remains(tx, grant).await? == 0 {
            tx.execute(FORGET, params![grant.uuid()]).await?;
        }
        Ok(true)
    }
}

impl PruneRemoved {
    async fn remove_messages(&self, tx: &mut Tx, grant: GrantId) -> Result<usize, DbError> {
        const HELD: &str = "SELECT m.id, m.blob_id, m.date, m.folders FROM listings l \
            JOIN messages m ON m.id = l.message_id WHERE l.grant_id = $1 AND l.folder = '' LIMIT $2";
        const REMOVE: &str = "DELETE FROM messages WHERE id = $1";
        let held = tx.query(HELD, params![grant.uuid(), self.limit as i64]).await?;
        for row in &held {
            let id = MessageId::from_uuid(row.uuid(0)?);
            messages::unlist(tx, grant, id, row.int(2)?, &messages::folders(&row.text(3)?)?).await?;
            tx.execute(REMOVE, params![id.uuid()]).await?;
            blobs::release(tx, BlobId::from_uuid(row.uuid(1)?)).await?;
        }
        Ok(held.len())
    }

    async fn remove_remains(&self, tx: &mut Tx, grant: GrantId) -> Result<u64, DbError> {
        const REMAINS: &[&str] = &[
            "DELETE FROM threads WHERE id IN (SELECT id FROM threads WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM thread_keys WHERE grant_id = $1 AND key IN \
             (SELECT key FROM thread_keys WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM folder_counts WHERE grant_id = $1 AND folder IN \
             (SELECT folder FROM folder_counts WHERE grant_id = $1 LIMIT $2)",
            "DELETE FROM daily_sends WHERE grant_id = $1 AND day IN \
             (SELECT day FROM daily_sends WHERE grant_id = $1 LIMIT $2)",
        ];
        let mut removed = 0;
        for statement in REMAINS {
            removed += tx.execute(statement, params![grant.uuid(), self.limit as i64]).await?;
        }
        Ok(removed)
    }
}

const FIND: &str = concat!("SELECT ", grant_columns!(), " FROM grants WHERE id = $1 AND application_id = $2");
const FIND_BY_EMAIL: &str =
    concat!("SELECT ", grant_columns!(), " FROM grants WHERE email_key = $1 AND application_id = $2");
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    grant_columns!(),
    " FROM grants WHERE application_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3"
);
pub(crate) const MAILBOX: &str = "SELECT g.id, g.application_id, o.plan, p.daily_sends_max FROM grants g \
    JOIN applications a ON a.id = g.application_id JOIN organizations o ON o.id = a.organization_id \
    JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id WHERE g.email_key = $1";

/// Finds a mailbox of an application by id.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: GrantId,
) -> Result<Option<Grant>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Finds a mailbox of an application by address.
pub async fn find_email(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    email: &EmailAddress,
) -> Result<Option<Grant>, StoreError> {
    let row = reader.query_one(FIND_BY_EMAIL, params![&email.key(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// An application's mailboxes, newest first.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
    offset: usize,
) -> Result<Vec<Grant>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid(), limit as i64, offset as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Where mail for an address goes, and the limits that hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Its effective limits.
    pub limits: Limits,
}

/// Finds the mailbox that receives mail for an address, whosever it is.
pub async fn receiving(reader: &mut Reader<'_>, address: &EmailAddress) -> Result<Option<Mailbox>, StoreError> {
    let Some(row) = reader.query_one(MAILBOX, params![&address.key()]).await? else { return Ok(None) };
    Ok(Some(Mailbox {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        limits: limits(&row.text(2)?, row.opt_int(3)?)?,
    }))
}

/// Effective limits from the stored plan name and the policy's columns.
pub(crate) fn limits(plan: &str, daily_sends_max: Option<i64>) -> Result<Limits, DbError> {
    let plan = plan::preset(plan).ok_or(DbError::Malformed("plan"))?;
    let daily_sends_max = daily_sends_max.map(u64::try_from).transpose().map_err(|_| DbError::Malformed("limit"))?;
    Ok(Limits::effective(plan, &PolicyLimits { daily_sends_max }))
}

fn read(row: &Row) -> Result<Grant, DbError> {
    Ok(Grant {
        id: GrantId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        workspace_id: WorkspaceId::from_uuid(row.uuid(2)?),
        email: EmailAddress::parse(&row.text(3)?).map_err(|_| DbError::Malformed("address"))?,
        name: row.text(4)?,
        created_at: UnixMicros::from_micros(row.int(5)?),
        updated_at: UnixMicros::from_micros(row.int(6)?),
    })
}
