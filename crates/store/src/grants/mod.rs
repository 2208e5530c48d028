//! Grants: the mailboxes that exist, and what holds for them.

mod bulk;
mod change;
mod create;
mod list;
mod remove;

pub use bulk::CreateGrants;
pub use change::{GrantChange, UpdateGrant, UpdateOutcome};
pub use create::{CreateGrant, GrantOutcome, NewGrant, Origin};
pub use list::{GrantsPage, Sort, list};
pub use remove::{PruneRemoved, RemoveGrant};

#[cfg(test)]
pub(crate) use create::STATEMENTS as PROVISIONING;
#[cfg(test)]
pub(crate) use list::STATEMENTS as LISTS;

use crate::db::{DbError, Row};
use crate::engine::{Reader, Store, Tx};
use crate::error::StoreError;
use crate::judging::{self, Scope};
use crate::limits;
use crate::messages;
use crate::params;
use postfleet_core::id::{ApplicationId, ConnectorId, GrantId, OrganizationId, WorkspaceId};
use postfleet_core::meter::{Caps, account_storage_cap};
use postfleet_core::plan::{Limits, Plan};
use postfleet_core::policy::SpamDetection;
use postfleet_core::{EmailAddress, UnixMicros};

macro_rules! grant_columns {
    () => {
        "id, application_id, workspace_id, placement, email, name, state, ip, user_agent, blocked, \
         CASE WHEN app_password IS NULL THEN CAST(0 AS {int}) ELSE CAST(1 AS {int}) END, created_at, updated_at, \
         (SELECT c.id FROM connectors c WHERE c.application_id = grants.application_id AND c.provider = 'nylas') \
         AS connector_id"
    };
}
use grant_columns;

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
    /// The connector of its application, if there is one.
    pub connector_id: Option<ConnectorId>,
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

impl Grant {
    /// What a record of a change shows of it: no password, and not even its hash.
    pub(crate) fn facts(&self) -> serde_json::Value {
        serde_json::json!({
            "email": self.email.to_string(),
            "name": self.name,
            "state": self.state,
            "workspace_id": self.workspace_id.map(|id| id.to_string()),
            "placement": self.placement.name(),
            "has_app_password": self.has_app_password,
        })
    }
}

/// What the plan of an application's organization allows, and where its mailboxes go.
struct Tenant {
    organization_id: OrganizationId,
    grants_cap: Option<u64>,
    grant_count: u64,
    default_workspace_id: WorkspaceId,
    connector_id: Option<ConnectorId>,
}

const LOCK_TENANT: &str = "SELECT o.plan, o.grant_count, a.default_workspace_id, \
    (SELECT c.id FROM connectors c WHERE c.application_id = a.id AND c.provider = 'nylas') \
    FROM organizations o JOIN applications a ON a.organization_id = o.id WHERE o.id = $1 AND a.id = $2 {lock}";
const HAS_WORKSPACE: &str = "SELECT id FROM workspaces WHERE id = $1 AND application_id = $2";

/// Reads an organization and one of its applications under a lock, the organization first: mailboxes are counted
/// against the plan, and a workspace that is named must still be there when the mailbox comes. `None` if the
/// organization has no such application.
async fn lock_tenant(
    tx: &mut Tx,
    organization: OrganizationId,
    application: ApplicationId,
) -> Result<Option<Tenant>, DbError> {
    let found = tx.query_one(LOCK_TENANT, params![organization.uuid(), application.uuid()]).await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(Tenant {
        organization_id: organization,
        grants_cap: tx.plan(row.str(0)?)?.grants_cap(),
        grant_count: row.count(1)?,
        default_workspace_id: WorkspaceId::from_uuid(row.uuid(2)?),
        connector_id: row.opt_uuid(3)?.map(ConnectorId::from_uuid),
    }))
}

/// Whether an application has a workspace.
async fn has_workspace(tx: &mut Tx, application: ApplicationId, workspace: WorkspaceId) -> Result<bool, DbError> {
    Ok(tx.query_one(HAS_WORKSPACE, params![workspace.uuid(), application.uuid()]).await?.is_some())
}

/// Reads a mailbox that is about to be changed or removed, under a lock.
async fn lock(tx: &mut Tx, application: ApplicationId, id: GrantId) -> Result<Option<Grant>, DbError> {
    const LOCK: &str =
        concat!("SELECT ", grant_columns!(), " FROM grants WHERE id = $1 AND application_id = $2 {lock}");
    tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await?.as_ref().map(read).transpose()
}

const FIND: &str = concat!("SELECT ", grant_columns!(), " FROM grants WHERE id = $1 AND application_id = $2");
const FIND_BY_EMAIL: &str =
    concat!("SELECT ", grant_columns!(), " FROM grants WHERE email_key = $1 AND application_id = $2");

/// The columns that [`Mailbox::read`] reads of a mailbox `g`, and of what governs it.
macro_rules! mailbox_columns {
    () => {
        concat!(
            "g.name, o.name, ",
            limits::policy_limit_columns!(),
            ", p.use_list_dnsbl, p.use_header_anomaly_detection, p.spam_sensitivity_permille, ",
            judging::scope_columns!()
        )
    };
}

/// Mailboxes with what governs them.
macro_rules! mailboxes {
    () => {
        " FROM grants g JOIN applications a ON a.id = g.application_id JOIN organizations o ON o.id = a.organization_id \
         LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id"
    };
}

pub(crate) const MAILBOX: &str = concat!(
    "SELECT g.id, g.application_id, o.plan, (SELECT d.owned_at FROM domains d WHERE d.name = $2), ",
    mailbox_columns!(),
    mailboxes!(),
    " WHERE g.email_key = $1"
);

pub(crate) const HOLDER: &str =
    concat!("SELECT g.application_id, g.email, o.plan, ", mailbox_columns!(), mailboxes!(), " WHERE g.id = $1");

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

// How many there are is said once more: without that PostgreSQL expects many, and reads a small table whole.
pub(crate) const PLACES: &str = "SELECT g.id, g.workspace_id, g.email FROM \
    (SELECT j.value FROM {json_each}($2) AS j LIMIT $3) AS e CROSS JOIN grants g \
    WHERE g.id = {hex_id}(e.value ->> 0) AND g.application_id = $1";

/// Where mailboxes of an application are: the workspace of each and its domain. Those that do not exist any more are
/// missing.
pub async fn places(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    ids: &[GrantId],
) -> Result<Vec<(GrantId, Option<WorkspaceId>, String)>, StoreError> {
    let list = messages::list_of(ids.iter().map(|id| id.uuid()));
    let rows = reader.query(PLACES, params![application.uuid(), &list, ids.len() as i64]).await?;
    let read = |row: &Row| -> Result<_, DbError> {
        let workspace = row.opt_uuid(1)?.map(WorkspaceId::from_uuid);
        let domain = row.str(2)?.rsplit('@').next().unwrap_or_default().to_owned();
        Ok((GrantId::from_uuid(row.uuid(0)?), workspace, domain))
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Whether an application has a mailbox of this id: then its id.
pub async fn find_id(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: GrantId,
) -> Result<Option<GrantId>, StoreError> {
    const FIND: &str = "SELECT id FROM grants WHERE id = $1 AND application_id = $2";
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(GrantId::from_uuid))
}

/// As [`find_id`], without asking the database where what it would say is known.
pub async fn find_known_id(
    store: &Store,
    application: ApplicationId,
    id: GrantId,
) -> Result<Option<GrantId>, StoreError> {
    let as_of = match store.remembered().map(|remembered| remembered.mailboxes.find(&id)) {
        Some(Ok(owner)) => return Ok((owner == application).then_some(id)),
        Some(Err(as_of)) => Some(as_of),
        None => None,
    };
    let found = find_id(&mut store.reader().await?, application, id).await?;
    if let (Some(remembered), Some(as_of), Some(id)) = (store.remembered(), as_of, found) {
        remembered.mailboxes.keep(id, application, as_of);
    }
    Ok(found)
}

/// The id of the mailbox of an application that has this address.
pub async fn find_id_of_email(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    email: &EmailAddress,
) -> Result<Option<GrantId>, StoreError> {
    const FIND: &str = "SELECT id FROM grants WHERE email_key = $1 AND application_id = $2";
    let row = reader.query_one(FIND, params![&email.key(), application.uuid()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(GrantId::from_uuid))
}

/// Finds a mailbox as long as its password is the one whose stored form this is, and it is not blocked.
pub async fn opened_with(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: GrantId,
    app_password: &str,
) -> Result<Option<Grant>, StoreError> {
    const OPENED: &str = concat!(
        "SELECT ",
        grant_columns!(),
        " FROM grants WHERE id = $1 AND application_id = $2 AND app_password = $3 AND blocked = 0"
    );
    let row = reader.query_one(OPENED, params![id.uuid(), application.uuid(), app_password]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Whose mail goes out: the address of a mailbox and its workspace, as they are now. `None` if it is gone.
pub async fn sender(
    reader: &mut Reader<'_>,
    id: GrantId,
) -> Result<Option<(EmailAddress, Option<WorkspaceId>)>, StoreError> {
    const SENDER: &str = "SELECT email, workspace_id FROM grants WHERE id = $1";
    let Some(row) = reader.query_one(SENDER, params![id.uuid()]).await? else { return Ok(None) };
    let address = EmailAddress::parse(row.str(0)?).map_err(|_| DbError::Malformed("address"))?;
    Ok(Some((address, row.opt_uuid(1)?.map(WorkspaceId::from_uuid))))
}

/// Where mail for an address goes, and the limits that hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// The address by which it was found.
    pub address: EmailAddress,
    /// The names that others may not show: its own, and that of its organization.
    pub names: [String; 2],
    /// Its effective limits.
    pub limits: Limits,
    /// Whether its plan or its policy ends what it may keep or get, or its organization may send or transfer.
    pub is_capped: bool,
    /// How its policy recognises junk.
    pub spam: SpamDetection,
    /// Which rules judge its mail, as of now; none if its workspace has none.
    pub rules: Option<Scope>,
}

impl Mailbox {
    /// Reads the columns of `mailbox_columns!`, of which the first is at `first`.
    fn read(
        grant_id: GrantId,
        application_id: ApplicationId,
        address: &EmailAddress,
        plan: &Plan,
        (row, first): (&Row, usize),
    ) -> Result<Self, DbError> {
        let names = [row.text(first)?, row.text(first + 1)?];
        let policy_at = first + names.len();
        let spam_at = policy_at + limits::POLICY_LIMIT_COLUMNS;
        let policy = limits::policy_limits(row, policy_at)?;
        let limits = Limits::effective(&plan.limits, &policy);
        let is_capped = Caps::of(plan) != Caps::default()
            || account_storage_cap(plan, &policy).is_some()
            || limits.daily_received_max.is_some();
        let spam = spam_detection(row, spam_at)?;
        let rules = judging::scope(row, spam_at + SPAM_COLUMNS)?;
        Ok(Self { grant_id, application_id, address: address.clone(), names, limits, is_capped, spam, rules })
    }
}

/// How many columns [`spam_detection`] reads.
const SPAM_COLUMNS: usize = 3;

/// How a policy recognises junk, from the column `first` on; as a policy that says nothing, where there is none.
fn spam_detection(row: &Row, first: usize) -> Result<SpamDetection, DbError> {
    let default = SpamDetection::default();
    let flag = |column: usize| Ok::<_, DbError>(row.opt_int(column)?.map(|value| value != 0));
    let permille = row.opt_int(first + 2)?.map(u32::try_from).transpose();
    Ok(SpamDetection {
        use_list_dnsbl: flag(first)?.unwrap_or(default.use_list_dnsbl),
        use_header_anomaly_detection: flag(first + 1)?.unwrap_or(default.use_header_anomaly_detection),
        sensitivity_permille: permille
            .map_err(|_| DbError::Malformed("sensitivity"))?
            .unwrap_or(default.sensitivity_permille),
    })
}

/// Finds the mailbox that receives mail for an address, whosever it is.
pub async fn receiving(reader: &mut Reader<'_>, address: &EmailAddress) -> Result<Option<Mailbox>, StoreError> {
    Ok(receiving_at(reader, address).await?.map(|(mailbox, _)| mailbox))
}

/// As [`receiving`], and whether mail for the address's domain is for us (see [`crate::domains::is_ours`]).
pub async fn receiving_at(
    reader: &mut Reader<'_>,
    address: &EmailAddress,
) -> Result<Option<(Mailbox, bool)>, StoreError> {
    let found = reader.query_one(MAILBOX, params![&address.key(), address.domain().as_str()]).await?;
    let Some(row) = found else { return Ok(None) };
    let (id, application) = (GrantId::from_uuid(row.uuid(0)?), ApplicationId::from_uuid(row.uuid(1)?));
    let mailbox = Mailbox::read(id, application, address, &*reader.plan(row.str(2)?)?, (&row, 4))?;
    Ok(Some((mailbox, row.opt_int(3)?.is_some())))
}

/// A mailbox and its address, whosever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its address.
    pub email: EmailAddress,
    /// The mailbox.
    pub mailbox: Mailbox,
}

/// Finds a mailbox by its id alone.
pub async fn holder(reader: &mut Reader<'_>, id: GrantId) -> Result<Option<Holder>, StoreError> {
    let Some(row) = reader.query_one(HOLDER, params![id.uuid()]).await? else { return Ok(None) };
    let application = ApplicationId::from_uuid(row.uuid(0)?);
    let email = EmailAddress::parse(row.str(1)?).map_err(|_| DbError::Malformed("address"))?;
    let mailbox = Mailbox::read(id, application, &email, &*reader.plan(row.str(2)?)?, (&row, 3))?;
    Ok(Some(Holder { email, mailbox }))
}

fn read(row: &Row) -> Result<Grant, DbError> {
    Ok(Grant {
        id: GrantId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        workspace_id: row.opt_uuid(2)?.map(WorkspaceId::from_uuid),
        placement: Placement::named(row.str(3)?)?,
        email: EmailAddress::parse(row.str(4)?).map_err(|_| DbError::Malformed("address"))?,
        name: row.text(5)?,
        state: row.opt_text(6)?,
        ip: row.text(7)?,
        user_agent: row.text(8)?,
        is_blocked: row.flag(9)?,
        has_app_password: row.flag(10)?,
        created_at: UnixMicros::from_micros(row.int(11)?),
        updated_at: UnixMicros::from_micros(row.int(12)?),
        connector_id: row.opt_uuid(13)?.map(ConnectorId::from_uuid),
    })
}
