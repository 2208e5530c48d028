//! Raises: higher limits for a while, of one mailbox or of every mailbox of a workspace.
//!
//! Where a limit is enforced, `in_force!` reads the highest raise that holds at that moment, from an index of those that
//! were granted. Nothing is put back when one ends: from then on it is not read.

mod change;

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, RaiseId, WorkspaceId};
use postfleet_core::raise::State;
use uuid::Uuid;

pub use change::{DecideOutcome, DecideRaise, RequestOutcome, RequestRaise};

/// The highest raise of the daily sends of the mailbox `g` that holds at the time which the parameter says; null if none
/// does.
macro_rules! in_force {
    ($now:literal) => {
        concat!(
            "(SELECT max(r.value) FROM raises r WHERE r.target_id IN (g.id, g.workspace_id) \
             AND r.limit_name = 'limit_count_daily_email_sent' AND r.state = 'granted' AND r.ends_at > ",
            $now,
            " AND r.starts_at <= ",
            $now,
            ")"
        )
    };
}
pub(crate) use in_force;

/// Whose limit is raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// One mailbox.
    Grant(GrantId),
    /// Each mailbox of a workspace.
    Workspace(WorkspaceId),
}

impl Target {
    /// The word for it in the store.
    const fn kind(self) -> &'static str {
        match self {
            Self::Grant(_) => "grant",
            Self::Workspace(_) => "workspace",
        }
    }

    /// Its id.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Grant(id) => id.uuid(),
            Self::Workspace(id) => id.uuid(),
        }
    }
}

/// Who asked or decided: the kind, the id and the name of an actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// By what right.
    pub kind: String,
    /// The id of the key or the mailbox.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// A raise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raise {
    /// Its id.
    pub id: RaiseId,
    /// In which application.
    pub application_id: ApplicationId,
    /// Whose limit.
    pub target: Target,
    /// Which limit, by the name that it has in policies.
    pub limit_name: String,
    /// The limit while it holds.
    pub value: u64,
    /// From when on it holds.
    pub starts_at: UnixMicros,
    /// From when on it does not hold any more.
    pub ends_at: UnixMicros,
    /// What was decided. That it is over is not stored: [`State::at`].
    pub state: State,
    /// Why it is wanted.
    pub reason: String,
    /// Who asked for it.
    pub requested_by: Author,
    /// Who decided, if anybody has.
    pub decided_by: Option<Author>,
    /// When.
    pub decided_at: Option<UnixMicros>,
    /// What they noted.
    pub note: Option<String>,
    /// When it was asked for.
    pub created_at: UnixMicros,
}

macro_rules! raise_columns {
    () => {
        "id, application_id, target_kind, target_id, limit_name, value, starts_at, ends_at, state, reason, \
         requested_by_kind, requested_by_id, requested_by_name, decided_by_kind, decided_by_id, decided_by_name, \
         decided_at, note, created_at"
    };
}
use raise_columns;

fn read(row: &Row) -> Result<Raise, DbError> {
    let target = match row.text(2)?.as_str() {
        "grant" => Target::Grant(GrantId::from_uuid(row.uuid(3)?)),
        _ => Target::Workspace(WorkspaceId::from_uuid(row.uuid(3)?)),
    };
    let decided_by = match row.opt_text(13)? {
        Some(kind) => Some(Author { kind, id: row.text(14)?, name: row.text(15)? }),
        None => None,
    };
    Ok(Raise {
        id: RaiseId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        target,
        limit_name: row.text(4)?,
        value: row.count(5)?,
        starts_at: UnixMicros::from_micros(row.int(6)?),
        ends_at: UnixMicros::from_micros(row.int(7)?),
        state: State::named(row.str(8)?).ok_or(DbError::Malformed("raise"))?,
        reason: row.text(9)?,
        requested_by: Author { kind: row.text(10)?, id: row.text(11)?, name: row.text(12)? },
        decided_by,
        decided_at: row.opt_int(16)?.map(UnixMicros::from_micros),
        note: row.opt_text(17)?,
        created_at: UnixMicros::from_micros(row.int(18)?),
    })
}

macro_rules! page {
    ($whose:literal) => {
        concat!(
            "SELECT ",
            raise_columns!(),
            " FROM raises WHERE ",
            $whose,
            " AND id < $2 AND ($3 = '' OR $3 = CASE WHEN state IN ('requested', 'granted') AND ends_at <= $4 \
             THEN 'ended' ELSE state END) ORDER BY id DESC LIMIT $5"
        )
    };
}

pub(crate) const LIST: &str = page!("application_id = $1");
pub(crate) const OF_TARGET: &str = page!("application_id = $1 AND target_id = $6");

/// Which raises a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only those of this mailbox or workspace.
    pub target: Option<Target>,
    /// Only those that are so now.
    pub state: Option<State>,
    /// Only those before this one.
    pub before: Option<RaiseId>,
    /// How many at most.
    pub limit: usize,
    /// Now.
    pub now: UnixMicros,
}

/// Raises of an application, newest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId, page: Page) -> Result<Vec<Raise>, StoreError> {
    let before = page.before.map_or(Uuid::max(), RaiseId::uuid);
    let (state, now) = (page.state.map_or("", State::name), page.now.as_micros());
    let (application, limit) = (application.uuid(), page.limit as i64);
    let rows = match page.target {
        None => reader.query(LIST, params![application, before, state, now, limit]).await?,
        Some(target) => reader.query(OF_TARGET, params![application, before, state, now, limit, target.uuid()]).await?,
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Finds a raise of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: RaiseId,
) -> Result<Option<Raise>, StoreError> {
    const FIND: &str = concat!("SELECT ", raise_columns!(), " FROM raises WHERE id = $1 AND application_id = $2");
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

pub(crate) const HOLDING: &str = concat!(
    "SELECT ",
    raise_columns!(),
    " FROM raises WHERE target_id IN ($1, $2) AND limit_name = 'limit_count_daily_email_sent' AND state = 'granted' \
     AND ends_at > $3 AND starts_at <= $3 ORDER BY value DESC, id LIMIT 1"
);

/// The highest raise of a mailbox's daily sends that holds now: its own, or that of its workspace.
pub async fn holding(
    reader: &mut Reader<'_>,
    grant: GrantId,
    workspace: Option<WorkspaceId>,
    now: UnixMicros,
) -> Result<Option<Raise>, StoreError> {
    let workspace = workspace.map_or(grant.uuid(), WorkspaceId::uuid);
    let row = reader.query_one(HOLDING, params![grant.uuid(), workspace, now.as_micros()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}
