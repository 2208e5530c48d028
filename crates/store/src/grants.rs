//! Grants: the mailboxes that exist, and what holds for them.

use crate::blobs;
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, NewEvent};
use crate::limits;
use crate::messages;
use crate::params;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId, OrganizationId, WorkspaceId};
use postfleet_core::plan::Limits;
use postfleet_core::{Domain, EmailAddress, UnixMicros};

macro_rules! grant_columns {
    () => {
        "id, application_id, workspace_id, placement, email, name, state, ip, user_agent, blocked, \
         CASE WHEN app_password IS NULL THEN CAST(0 AS {int}) ELSE CAST(1 AS {int}) END, created_at, updated_at"
    };
}

/// A mailbox as the interface shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Whose policy governs it; what the plan allows holds for one that is in no workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// How it came to be there.
    pub placement: Placement,
    /// Its address.
    pub email: EmailAddress,
    /// The display name of what it sends; may be empty.
    pub name: String,
    /// What the caller that made it wants to see again.
    pub state: Option<String>,
    /// Where the request that made it came from; may be empty.
    pub ip: String,
    /// What that client called itself; may be empty.
    pub user_agent: String,
    /// Whether the interface refuses it.
    pub is_blocked: bool,
    /// Whether mail clients can log in.
    pub has_app_password: bool,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// How a mailbox came into its workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// The request that made it named the workspace.
    Explicit,
    /// The workspace takes mailboxes of its domain.
    AutoGroup,
    /// Nothing else matched: it fell through to the default workspace.
    Default,
    /// Somebody moved it.
    Moved,
}

impl Placement {
    /// The word in the store and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::AutoGroup => "auto_group",
            Self::Default => "default",
            Self::Moved => "moved",
        }
    }

    fn named(name: &str) -> Result<Self, DbError> {
        let all = [Self::Explicit, Self::AutoGroup, Self::Default, Self::Moved];
        all.into_iter().find(|placement| placement.name() == name).ok_or(DbError::Malformed("placement"))
    }
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
        let Some(place) = self.place(tx, &tenant).await? else { return Ok(GrantOutcome::WorkspaceUnknown) };
        if let Some(limit) = tenant.grants_max.filter(|limit| tenant.grant_count >= *limit) {
            return Ok(GrantOutcome::TooMany(limit));
        }
        let grant = self.insert(tx, &tenant, place).await?;
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
        Ok(Tenant {
            organization_id: OrganizationId::from_uuid(row.uuid(0)?),
            grants_max: tx.plan(&row.text(1)?)?.grants_max,
            grant_count: row.count(2)?,
            default_workspace_id: WorkspaceId::from_uuid(row.uuid(3)?),
        })
    }

    /// Where it goes: into the workspace that was named, else the oldest one that takes mailboxes of its domain, else
    /// the default one. `None` if the named one is not the application's.
    async fn place(&self, tx: &mut Tx, tenant: &Tenant) -> Result<Option<(WorkspaceId, Placement)>, DbError> {
        const NAMED: &str = "SELECT id FROM workspaces WHERE id = $1 AND application_id = $2";
        const GROUPING: &str = "SELECT id FROM workspaces \
            WHERE application_id = $1 AND domain = $2 AND auto_group = 1 ORDER BY id LIMIT 1";
        let application = self.application_id.uuid();
        if let Some(wanted) = self.workspace_id {
            let found = tx.query_one(NAMED, params![wanted.uuid(), application]).await?;
            return Ok(found.map(|_| (wanted, Placement::Explicit)));
        }
        let grouping = tx.query_one(GROUPING, params![application, self.email.domain().as_str()]).await?;
        Ok(Some(match grouping {
            Some(row) => (WorkspaceId::from_uuid(row.uuid(0)?), Placement::AutoGroup),
            None => (tenant.default_workspace_id, Placement::Default),
        }))
    }

    async fn insert(&self, tx: &mut Tx, tenant: &Tenant, place: (WorkspaceId, Placement)) -> Result<Grant, DbError> {
        const GRANT: &str = "INSERT INTO grants (application_id, id, workspace_id, placement, email, email_key, name, \
            state, ip, user_agent, blocked, app_password, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, NULL, $11, $11)";
        const MAILBOX: &str = "INSERT INTO mailboxes (grant_id, storage_octets, event_sequence) VALUES ($1, 0, 1)";
        const COUNT: &str = "UPDATE organizations SET grant_count = grant_count + 1 WHERE id = $1";
        const COUNT_DOMAIN: &str = "UPDATE domains SET grant_count = grant_count + 1 WHERE name = $1";
        let grant = Grant {
            id: self.id,
            application_id: self.application_id,
            workspace_id: Some(place.0),
            placement: place.1,
            email: self.email.clone(),
            name: self.name.clone(),
            state: None,
            ip: String::new(),
            user_agent: String::new(),
            is_blocked: false,
            has_app_password: false,
            created_at: self.at,
            updated_at: self.at,
        };
        let (email, key) = (grant.email.to_string(), grant.email.key());
        let values = params![
            grant.application_id.uuid(),
            grant.id.uuid(),
            place.0.uuid(),
            grant.placement.name(),
            &email,
            &key,
            &grant.name,
            grant.state.as_ref(),
            &grant.ip,
            &grant.user_agent,
            self.at.as_micros()
        ];
        tx.execute(GRANT, values).await?;
        tx.execute(MAILBOX, params![grant.id.uuid()]).await?;
        tx.execute(COUNT, params![tenant.organization_id.uuid()]).await?;
        tx.execute(COUNT_DOMAIN, params![grant.email.domain().as_str()]).await?;
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
        Ok(grant)
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
        const REMOVE: &str = "DELETE FROM grants WHERE id = $1 AND application_id = $2 RETURNING email";
        const COUNT_DOMAIN: &str = "UPDATE domains SET grant_count = grant_count - 1 WHERE name = $1";
        const COUNT: &str = "UPDATE organizations SET grant_count = grant_count - 1 \
            WHERE id = (SELECT organization_id FROM applications WHERE id = $1)";
        const REMEMBER: &str = "INSERT INTO removed_grants (grant_id, removed_at) VALUES ($1, $2)";
        let (id, application) = (self.id.uuid(), self.application_id.uuid());
        let Some(removed) = tx.query_one(REMOVE, params![id, application]).await? else { return Ok(false) };
        let email = EmailAddress::parse(&removed.text(0)?).map_err(|_| DbError::Malformed("address"))?;
        tx.execute(COUNT_DOMAIN, params![email.domain().as_str()]).await?;
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
            "DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens WHERE grant_id = $1 LIMIT $2)",
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
pub(crate) const LIST: &str =
    concat!("SELECT ", grant_columns!(), " FROM grants WHERE application_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3");
pub(crate) const MAILBOX: &str = concat!(
    "SELECT g.id, g.application_id, o.plan, ",
    limits::policy_limit_columns!(),
    " FROM grants g JOIN applications a ON a.id = g.application_id JOIN organizations o ON o.id = a.organization_id \
     LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
     WHERE g.email_key = $1"
);

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
        limits: limits::effective(&*reader.plan(&row.text(2)?)?, &row, 3)?,
    }))
}

fn read(row: &Row) -> Result<Grant, DbError> {
    Ok(Grant {
        id: GrantId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        workspace_id: row.opt_uuid(2)?.map(WorkspaceId::from_uuid),
        placement: Placement::named(&row.text(3)?)?,
        email: EmailAddress::parse(&row.text(4)?).map_err(|_| DbError::Malformed("address"))?,
        name: row.text(5)?,
        state: row.opt_text(6)?,
        ip: row.text(7)?,
        user_agent: row.text(8)?,
        is_blocked: row.flag(9)?,
        has_app_password: row.flag(10)?,
        created_at: UnixMicros::from_micros(row.int(11)?),
        updated_at: UnixMicros::from_micros(row.int(12)?),
    })
}
