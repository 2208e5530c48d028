//! Who is stopped, who was, and why.

use super::{reach, read_stop};
use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Actor;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, StopId, WorkspaceId};
use postfleet_core::stop::{Effect, Kind, Scope, Stop};
use postfleet_core::{EmailAddress, UnixMicros};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How many stops of each sort are in force, in all organizations.
pub async fn count_by_kind(reader: &mut Reader<'_>) -> Result<BTreeMap<&'static str, u64>, StoreError> {
    const COUNT: &str = "SELECT kind, count(*) FROM stops WHERE lifted_at IS NULL GROUP BY kind";
    let mut counts: BTreeMap<&'static str, u64> = Kind::ALL.iter().map(|kind| (kind.name(), 0)).collect();
    for row in reader.query(COUNT, &[]).await? {
        let kind = Kind::named(row.str(0)?).ok_or(DbError::Malformed("kind of a stop"))?;
        counts.insert(kind.name(), row.count(1)?);
    }
    Ok(counts)
}

/// Who raised or lifted a stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// By what right.
    pub kind: String,
    /// The id of their key; empty for the product and the command line.
    pub id: String,
    /// What people call it.
    pub name: String,
}

impl Author {
    /// Who acts.
    pub fn of(actor: &Actor) -> Self {
        Self { kind: actor.kind.name().to_owned(), id: actor.id.clone(), name: actor.name.clone() }
    }
}

/// A stop, with all that is kept of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it is.
    pub stop: Stop,
    /// Whose.
    pub organization_id: OrganizationId,
    /// The application, unless it concerns several.
    pub application_id: Option<ApplicationId>,
    /// The workspace, if it is one or the mailbox was in one.
    pub workspace_id: Option<WorkspaceId>,
    /// The mailbox, if it concerns one.
    pub grant_id: Option<GrantId>,
    /// The mailbox's address; `None` if it concerns none, or it was removed.
    pub email: Option<String>,
    /// What was seen, as a JSON object.
    pub evidence: String,
    /// The case that it belongs to.
    pub reference: Option<String>,
    /// Who raised it.
    pub raised_by: Author,
    /// When.
    pub raised_at: UnixMicros,
    /// Who lifted it, if it was lifted.
    pub lifted_by: Option<Author>,
    /// When.
    pub lifted_at: Option<UnixMicros>,
    /// Why.
    pub lifted_why: Option<String>,
    /// Whether it restricts a domain above one of whoever looks, and is kept under somebody else.
    pub is_from_above: bool,
}

macro_rules! record_columns {
    () => {
        "s.id, s.kind, s.effect, s.scope, s.subject, s.reason, s.value, s.organization_id, s.application_id, \
         s.workspace_id, s.grant_id, s.evidence, s.reference, s.raised_kind, s.raised_id, s.raised_name, s.raised_at, \
         s.lifted_kind, s.lifted_id, s.lifted_name, s.lifted_at, s.lifted_why, \
         (SELECT g.email FROM grants g WHERE g.id = s.grant_id)"
    };
}

pub(super) fn read_record(row: &Row) -> Result<Record, DbError> {
    let author = |first: usize| -> Result<Author, DbError> {
        Ok(Author { kind: row.text(first)?, id: row.text(first + 1)?, name: row.text(first + 2)? })
    };
    let lifted_by = match row.opt_text(17)? {
        Some(_) => Some(author(17)?),
        None => None,
    };
    Ok(Record {
        stop: read_stop(row)?,
        organization_id: OrganizationId::from_uuid(row.uuid(7)?),
        application_id: row.opt_uuid(8)?.map(ApplicationId::from_uuid),
        workspace_id: row.opt_uuid(9)?.map(WorkspaceId::from_uuid),
        grant_id: row.opt_uuid(10)?.map(GrantId::from_uuid),
        evidence: row.text(11)?,
        reference: row.opt_text(12)?,
        raised_by: author(13)?,
        raised_at: UnixMicros::from_micros(row.int(16)?),
        lifted_by,
        lifted_at: row.opt_int(20)?.map(UnixMicros::from_micros),
        lifted_why: row.opt_text(21)?,
        is_from_above: false,
        email: row.opt_text(22)?,
    })
}

pub(super) const FIND: &str = concat!("SELECT ", record_columns!(), " FROM stops s WHERE s.id = $1");

/// Whose stops are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Those that concern an application: its own, and those of its whole organization and of its domains.
    Application(OrganizationId, ApplicationId),
    /// Those of an organization.
    Organization(OrganizationId),
    /// Everybody's.
    All,
}

impl Whose {
    fn ids(self) -> (Uuid, bool, Uuid) {
        match self {
            Self::Application(organization, application) => (organization.uuid(), false, application.uuid()),
            Self::Organization(organization) => (organization.uuid(), true, Uuid::nil()),
            Self::All => (Uuid::nil(), true, Uuid::nil()),
        }
    }
}

/// Which stops a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Whose.
    pub whose: Whose,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this scope.
    pub scope: Option<Scope>,
    /// Only those of this mailbox itself.
    pub grant: Option<GrantId>,
    /// Only those of this workspace itself.
    pub workspace: Option<WorkspaceId>,
    /// Only those that are in force, or that are not.
    pub is_active: Option<bool>,
    /// Only those before this one.
    pub before: Option<StopId>,
    /// How many at most.
    pub limit: usize,
}

macro_rules! page {
    ($which:literal) => {
        concat!(
            "SELECT ",
            record_columns!(),
            " FROM stops s WHERE s.organization_id = $1",
            $which,
            " AND ($2 = CAST(1 AS {int}) OR s.application_id IS NULL OR s.application_id = $3) AND s.id < $4 \
             AND ($5 = '' OR s.kind = $5) AND ($6 = '' OR s.scope = $6) ORDER BY s.id DESC LIMIT $7"
        )
    };
}

pub(crate) const LIST: &str = page!("");
pub(crate) const LIST_ACTIVE: &str = page!(" AND s.lifted_at IS NULL");
pub(crate) const LIST_OVER: &str = page!(" AND s.lifted_at IS NOT NULL");
pub(crate) const LIST_OF_GRANT: &str = page!(
    " AND s.grant_id = $8 AND ($9 = CAST(-1 AS {int}) OR (s.lifted_at IS NULL AND $9 = CAST(1 AS {int})) \
      OR (s.lifted_at IS NOT NULL AND $9 = CAST(0 AS {int})))"
);
pub(crate) const LIST_OF_WORKSPACE: &str = page!(
    " AND s.workspace_id = $8 AND ($9 = CAST(-1 AS {int}) OR (s.lifted_at IS NULL AND $9 = CAST(1 AS {int})) \
      OR (s.lifted_at IS NOT NULL AND $9 = CAST(0 AS {int})))"
);

const ORGANIZATION_OF_GRANT: &str = "SELECT s.organization_id FROM stops s WHERE s.grant_id = $1 LIMIT 1";
const ORGANIZATION_OF_WORKSPACE: &str = "SELECT s.organization_id FROM stops s WHERE s.workspace_id = $1 LIMIT 1";

pub(crate) const LIST_ALL: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM stops s WHERE s.id < $1 AND ($2 = '' OR s.kind = $2) AND ($3 = '' OR s.scope = $3) \
     AND ($5 = CAST(-1 AS {int}) OR (s.lifted_at IS NULL AND $5 = CAST(1 AS {int})) \
     OR (s.lifted_at IS NOT NULL AND $5 = CAST(0 AS {int}))) ORDER BY s.id DESC LIMIT $4"
);

pub(crate) const LIST_ABOVE: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM stops s WHERE s.kind = 'restriction' AND s.scope = 'domain' AND s.organization_id <> $1 AND s.id < $2 \
     AND ($3 = CAST(-1 AS {int}) OR (s.lifted_at IS NULL AND $3 = CAST(1 AS {int})) \
     OR (s.lifted_at IS NOT NULL AND $3 = CAST(0 AS {int}))) \
     AND EXISTS (SELECT 1 FROM domains d WHERE d.organization_id = $1 AND ",
    reach::is_under!("d.name", "s.subject"),
    ") ORDER BY s.id DESC LIMIT $4"
);

/// Stops, newest first.
pub async fn list(reader: &mut Reader<'_>, page: &Page) -> Result<Vec<Record>, StoreError> {
    let mut found = list_kept(reader, page).await?;
    let is_of_all = page.grant.is_none() && page.workspace.is_none();
    let may_reach =
        page.kind.is_none_or(|kind| kind == Kind::Restriction) && page.scope.is_none_or(|scope| scope == Scope::Domain);
    let (Whose::Application(own, _) | Whose::Organization(own)) = page.whose else { return Ok(found) };
    if is_of_all && may_reach {
        let before = page.before.map_or(Uuid::max(), StopId::uuid);
        let values = params![own.uuid(), before, page.is_active.map_or(-1, i64::from), page.limit as i64];
        for row in reader.query(LIST_ABOVE, values).await? {
            found.push(reach::veiled(own, read_record(&row)?));
        }
        found.sort_by_key(|record| std::cmp::Reverse(record.stop.id));
        found.truncate(page.limit);
    }
    Ok(found)
}

/// Those that are kept under whom the page is of.
async fn list_kept(reader: &mut Reader<'_>, page: &Page) -> Result<Vec<Record>, StoreError> {
    let (mut organization, is_all, application) = page.whose.ids();
    let before = page.before.map_or(Uuid::max(), StopId::uuid);
    let (kind, scope) = (page.kind.map_or("", Kind::name), page.scope.map_or("", Scope::name));
    let limit = page.limit as i64;
    let one = match (page.grant, page.workspace) {
        (Some(grant), _) => Some((LIST_OF_GRANT, grant.uuid())),
        (None, Some(workspace)) => Some((LIST_OF_WORKSPACE, workspace.uuid())),
        (None, None) => None,
    };
    if page.whose == Whose::All && one.is_none() {
        let is_active = page.is_active.map_or(-1, i64::from);
        let rows = reader.query(LIST_ALL, params![before, kind, scope, limit, is_active]).await?;
        return Ok(rows.iter().map(read_record).collect::<Result<_, DbError>>()?);
    }
    let rows = match one {
        Some((statement, one)) => {
            if page.whose == Whose::All {
                // One of them is of one organization, whoever asks.
                let which = if page.grant.is_some() { ORGANIZATION_OF_GRANT } else { ORGANIZATION_OF_WORKSPACE };
                let Some(row) = reader.query_one(which, params![one]).await? else { return Ok(Vec::new()) };
                organization = row.uuid(0)?;
            }
            let is_active = page.is_active.map_or(-1, i64::from);
            let values = params![organization, is_all, application, before, kind, scope, limit, one, is_active];
            reader.query(statement, values).await?
        }
        None => {
            let statement = match page.is_active {
                None => LIST,
                Some(true) => LIST_ACTIVE,
                Some(false) => LIST_OVER,
            };
            reader.query(statement, params![organization, is_all, application, before, kind, scope, limit]).await?
        }
    };
    Ok(rows.iter().map(read_record).collect::<Result<_, DbError>>()?)
}

/// Finds a stop that somebody may see.
pub async fn find(reader: &mut Reader<'_>, whose: Whose, id: StopId) -> Result<Option<Record>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid()]).await?;
    let Some(record) = row.as_ref().map(read_record).transpose()? else { return Ok(None) };
    let own = match whose {
        Whose::All => return Ok(Some(record)),
        Whose::Organization(own) | Whose::Application(own, _) => own,
    };
    if record.organization_id != own {
        return reach::as_seen_by(reader, own, record).await;
    }
    let is_seen = match whose {
        Whose::Application(_, application) => record.application_id.is_none_or(|concerned| concerned == application),
        _ => true,
    };
    Ok(is_seen.then_some(record))
}

/// What waits because of a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Recipients in the queue.
    pub recipients: u64,
    /// Sends that are held.
    pub holds: u64,
}

pub(crate) const BEHIND: &str = "SELECT count(*) FROM (SELECT q.id FROM queue q WHERE q.stop_id = $1 AND q.parked = 2 \
    ORDER BY q.due_at, q.id LIMIT $2) AS waiting";

/// How much waits behind a stop: up to `most` recipients and held sends are counted.
pub async fn behind(reader: &mut Reader<'_>, stop: &Record, most: u64) -> Result<Behind, StoreError> {
    const HOLDS: &str = "SELECT count(*) FROM (SELECT h.id FROM holds h WHERE h.application_id = $1 \
        AND h.closed_at IS NULL AND h.reason = $2 AND ($3 = CAST(0 AS {int}) OR h.grant_id = $4) LIMIT $5) AS waiting";
    const BEHIND_OF_OWN: &str = "SELECT count(*) FROM (SELECT q.id FROM queue q \
        JOIN outbound o ON o.message_id = q.message_id WHERE q.stop_id = $1 AND q.parked = 2 \
        AND o.organization_id = $3 LIMIT $2) AS waiting";
    let id = stop.stop.id.uuid();
    let row = match stop.is_from_above {
        true => reader.query_one(BEHIND_OF_OWN, params![id, most as i64, stop.organization_id.uuid()]).await?,
        false => reader.query_one(BEHIND, params![id, most as i64]).await?,
    };
    let recipients = row.map(|row| row.count(0)).transpose()?.unwrap_or(0);
    let reason = match (stop.stop.effect, stop.stop.kind) {
        (Effect::Hold, Kind::Loop) => "loop",
        (Effect::Hold, _) => "breaker",
        _ => return Ok(Behind { recipients, holds: 0 }),
    };
    let Some(application) = stop.application_id else { return Ok(Behind { recipients, holds: 0 }) };
    let grant = stop.grant_id.map_or(Uuid::nil(), GrantId::uuid);
    let values = params![application.uuid(), reason, stop.grant_id.is_some(), grant, most as i64];
    let row = reader.query_one(HOLDS, values).await?;
    Ok(Behind { recipients, holds: row.map(|row| row.count(0)).transpose()?.unwrap_or(0) })
}

/// The stops that concern a mailbox now, in the order of reporting.
pub async fn all_of_grant(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
) -> Result<Vec<Stop>, StoreError> {
    const SENDER: &str = "SELECT o.id, o.active_stops, g.workspace_id, g.email FROM grants g \
        JOIN applications a ON a.id = g.application_id JOIN organizations o ON o.id = a.organization_id \
        WHERE g.application_id = $1 AND g.id = $2";
    let Some(row) = reader.query_one(SENDER, params![application.uuid(), grant.uuid()]).await? else {
        return Ok(Vec::new());
    };
    if row.int(1)? <= 0 {
        return Ok(Vec::new());
    }
    let organization = OrganizationId::from_uuid(row.uuid(0)?);
    let address = EmailAddress::parse(row.str(3)?).map_err(|_| DbError::Malformed("address"))?;
    let workspace = row.opt_uuid(2)?.map(WorkspaceId::from_uuid);
    let sender = super::Sender { organization, application, workspace, grant, address, thread: None };
    super::read_in_force(reader, &sender).await
}
