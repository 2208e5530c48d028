//! Laying an existing fleet out anew: beginning it, doing a chunk of it, and what a preview reads. All of them ask
//! `postfleet_core::layout` which mailbox belongs where.

use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::grants::Placement;
use crate::jobs::{self, Claimed, JobKind, Progress};
use crate::limits;
use crate::moves::{Moved, Mover};
use crate::params;
use crate::workspaces;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId, JobId, WorkspaceId};
use postfleet_core::layout::{Assignment, Grouping, Layout, Match, Placed, Verdict};
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// How long an application waits before it groups by domain again.
pub const GROUPING_INTERVAL: Duration = Duration::from_secs(60);

/// Begins grouping an application's mailboxes by domain, with the workspaces as they are now.
#[derive(Clone, Debug)]
pub struct StartGrouping {
    /// Who begins it.
    pub act: Act,
    /// The job.
    pub job_id: JobId,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which mailboxes.
    pub grouping: Grouping,
}

/// Begins a new layout.
#[derive(Clone, Debug)]
pub struct StartLayout {
    /// Who begins it.
    pub act: Act,
    /// The job.
    pub job_id: JobId,
    /// Whose.
    pub application_id: ApplicationId,
    /// What goes where.
    pub assignments: Vec<Assignment>,
}

/// What became of [`StartGrouping`] and [`StartLayout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// The job waits for the janitor.
    Started,
    /// The application began grouping less than [`GROUPING_INTERVAL`] ago; at this time it may again.
    TooSoon(UnixMicros),
    /// The application has too many unfinished jobs.
    TooMany,
    /// The assignment of that number leads into no workspace of the application.
    WorkspaceUnknown(usize),
    /// There is no such application any more.
    ApplicationGone,
}

impl Command for StartGrouping {
    type Outcome = StartOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<StartOutcome, DbError> {
        let application = self.application_id;
        let Some(home) = workspaces::lock_application(tx, application).await? else {
            return Ok(StartOutcome::ApplicationGone);
        };
        if let Some(last) = jobs::last_begun(tx, application, JobKind::AutoGroup).await? {
            let again = last.plus(GROUPING_INTERVAL);
            if self.act.at < again {
                return Ok(StartOutcome::TooSoon(again));
            }
        }
        let assignments =
            self.grouping.assignments(home.default_workspace_id, &grouping_workspaces(tx, application).await?);
        start(tx, &self.act, (self.job_id, application, JobKind::AutoGroup), &assignments).await
    }
}

impl Command for StartLayout {
    type Outcome = StartOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<StartOutcome, DbError> {
        let application = self.application_id;
        if workspaces::lock_application(tx, application).await?.is_none() {
            return Ok(StartOutcome::ApplicationGone);
        }
        for (number, assignment) in self.assignments.iter().enumerate() {
            if !has_workspace(tx, application, assignment.workspace_id).await? {
                return Ok(StartOutcome::WorkspaceUnknown(number));
            }
        }
        start(tx, &self.act, (self.job_id, application, JobKind::Layout), &self.assignments).await
    }
}

/// The workspaces of an application that take mailboxes of their domain, oldest first.
async fn grouping_workspaces(tx: &mut Tx, application: ApplicationId) -> Result<Vec<(WorkspaceId, Domain)>, DbError> {
    let rows = tx.query(GROUPING, params![application.uuid()]).await?;
    let read = |row: &crate::db::Row| {
        let domain = Domain::parse(row.str(1)?).map_err(|_| DbError::Malformed("domain"))?;
        Ok((WorkspaceId::from_uuid(row.uuid(0)?), domain))
    };
    rows.iter().map(read).collect()
}

async fn has_workspace(tx: &mut Tx, application: ApplicationId, id: WorkspaceId) -> Result<bool, DbError> {
    const FIND: &str = "SELECT id FROM workspaces WHERE id = $1 AND application_id = $2";
    Ok(tx.query_one(FIND, params![id.uuid(), application.uuid()]).await?.is_some())
}

async fn start(
    tx: &mut Tx,
    act: &Act,
    job: (JobId, ApplicationId, JobKind),
    assignments: &[Assignment],
) -> Result<StartOutcome, DbError> {
    let (id, application, kind) = job;
    if jobs::is_full(tx, application).await? {
        return Ok(StartOutcome::TooMany);
    }
    let stored = Parameters { assignments: assignments.iter().map(StoredAssignment::of).collect() };
    let parameters = serde_json::to_string(&stored).map_err(|_| DbError::Malformed("job"))?;
    jobs::insert(tx, act, job, &parameters).await?;
    let after = serde_json::json!({"kind": kind.name(), "assignments": assignments.len()}).to_string();
    let target_id = id.to_string();
    let change =
        Change { action: "job.started", target_kind: "job", target_id: &target_id, before: None, after: Some(&after) };
    audit::record(tx, act, change).await?;
    Ok(StartOutcome::Started)
}

/// Assignments as the row of a job keeps them.
#[derive(Serialize, Deserialize)]
struct Parameters {
    assignments: Vec<StoredAssignment>,
}

#[derive(Serialize, Deserialize)]
struct StoredAssignment {
    workspace_id: String,
    domain: Option<String>,
    current: Vec<Option<String>>,
    email_contains: Option<String>,
    created_from: Option<i64>,
    created_before: Option<i64>,
}

impl StoredAssignment {
    fn of(assignment: &Assignment) -> Self {
        let wanted = &assignment.wanted;
        Self {
            workspace_id: assignment.workspace_id.to_string(),
            domain: wanted.domain.as_ref().map(Domain::to_string),
            current: wanted.current.iter().map(|place| place.map(|id| id.to_string())).collect(),
            email_contains: wanted.email_contains.clone(),
            created_from: wanted.created_from.map(UnixMicros::as_micros),
            created_before: wanted.created_before.map(UnixMicros::as_micros),
        }
    }

    fn read(self) -> Result<Assignment, DbError> {
        let malformed = || DbError::Malformed("assignment of a job");
        let id = |text: String| text.parse::<WorkspaceId>().map_err(|_| malformed());
        let domain = self.domain.map(|text| Domain::parse(&text).map_err(|_| malformed())).transpose()?;
        let current = self.current.into_iter().map(|place| place.map(id).transpose());
        Ok(Assignment {
            workspace_id: id(self.workspace_id)?,
            wanted: Match {
                domain,
                current: current.collect::<Result<_, DbError>>()?,
                email_contains: self.email_contains,
                created_from: self.created_from.map(UnixMicros::from_micros),
                created_before: self.created_before.map(UnixMicros::from_micros),
            },
        })
    }
}

/// What a chunk of a job did.
pub(crate) struct Chunk {
    pub(crate) moved: Moved,
    /// The last mailbox that was looked at.
    pub(crate) cursor: Option<GrantId>,
    pub(crate) is_last: bool,
}

/// Lays out the next mailboxes of a job. The application is locked.
pub(crate) async fn apply_chunk(
    tx: &mut Tx,
    job: &Claimed,
    mover: &Mover<'_>,
    progress: &mut Progress,
) -> Result<Chunk, DbError> {
    let stored: Parameters = serde_json::from_str(&job.parameters).map_err(|_| DbError::Malformed("job"))?;
    let layout = Layout::new(stored.assignments.into_iter().map(StoredAssignment::read).collect::<Result<_, _>>()?);
    let placement = match job.kind {
        JobKind::AutoGroup => Placement::AutoGroup,
        JobKind::Layout => Placement::Moved,
    };
    let cursor = job.cursor.map_or(Uuid::nil(), GrantId::uuid);
    let rows = tx.query(AFTER, params![job.application_id.uuid(), cursor, job.limit as i64]).await?;
    let (mut moved, mut targets) = (Moved::default(), HashMap::new());
    let mut last = job.cursor;
    for row in &rows {
        let grant = read(row)?;
        progress.examined += 1;
        last = Some(grant.id);
        let to = match layout.judge(&grant.placed()) {
            Verdict::Unmatched => {
                progress.unmatched += 1;
                continue;
            }
            Verdict::Stay => continue,
            Verdict::Move(to) => to,
        };
        if let std::collections::hash_map::Entry::Vacant(unknown) = targets.entry(to) {
            unknown.insert(has_workspace(tx, job.application_id, to).await?);
        }
        if targets.get(&to) != Some(&true) {
            progress.skipped += 1;
        } else if mover.move_grant(tx, grant.id, grant.workspace_id, Some(to), placement).await? {
            progress.moved += 1;
            moved.add(grant.id, grant.workspace_id, Some(to));
        }
    }
    Ok(Chunk { moved, cursor: last, is_last: rows.len() < job.limit })
}

/// A mailbox as far as a layout looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaidOut {
    /// Its id.
    pub id: GrantId,
    /// Where it is.
    pub workspace_id: Option<WorkspaceId>,
    /// Its address.
    pub email: EmailAddress,
    /// When it was made.
    pub created_at: UnixMicros,
}

impl LaidOut {
    /// What assignments look at.
    pub fn placed(&self) -> Placed<'_> {
        Placed { email: &self.email, workspace_id: self.workspace_id, created_at: self.created_at }
    }
}

pub(crate) const AFTER: &str = "SELECT id, workspace_id, email, created_at FROM grants \
    WHERE application_id = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(crate) const GROUPING: &str = "SELECT id, domain FROM workspaces \
    WHERE application_id = $1 AND auto_group = 1 AND domain <> '' ORDER BY id";

/// An application's mailboxes after one, oldest first.
pub async fn grants_after(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    after: Option<GrantId>,
    limit: usize,
) -> Result<Vec<LaidOut>, StoreError> {
    let after = after.map_or(Uuid::nil(), GrantId::uuid);
    let rows = reader.query(AFTER, params![application.uuid(), after, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &crate::db::Row) -> Result<LaidOut, DbError> {
    Ok(LaidOut {
        id: GrantId::from_uuid(row.uuid(0)?),
        workspace_id: row.opt_uuid(1)?.map(WorkspaceId::from_uuid),
        email: EmailAddress::parse(row.str(2)?).map_err(|_| DbError::Malformed("address"))?,
        created_at: UnixMicros::from_micros(row.int(3)?),
    })
}

/// Sends a day that each mailbox of a workspace of the application may have; in no workspace the plan alone says so.
pub async fn daily_sends_max(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    workspace: Option<WorkspaceId>,
) -> Result<Option<u64>, StoreError> {
    const FIND: &str = concat!(
        "SELECT o.plan, ",
        limits::policy_limit_columns!(),
        " FROM applications a JOIN organizations o ON o.id = a.organization_id \
         LEFT JOIN workspaces w ON w.application_id = a.id AND w.id = $2 LEFT JOIN policies p ON p.id = w.policy_id \
         WHERE a.id = $1"
    );
    let workspace = workspace.map(WorkspaceId::uuid);
    let Some(row) = reader.query_one(FIND, params![application.uuid(), workspace]).await? else { return Ok(None) };
    let plan = reader.plan(row.str(0)?)?;
    Ok(limits::effective(&plan, &row, 1)?.daily_sends_max)
}
