//! Jobs: work that goes over all mailboxes of an application, a chunk in each transaction. What a job has done is
//! written with the chunk, so that it goes on where it stopped, whoever does the next one.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::layout;
use crate::moves::Mover;
use crate::params;
use crate::workspaces;
use postfleet_core::UnixMicros;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{ApplicationId, AuditId, GrantId, JobId, OrganizationId};
use serde::{Deserialize, Serialize};

/// Jobs of one application that wait or run.
pub const UNFINISHED_JOBS_MAX: u64 = 10;

/// What a job does. Both kinds lay mailboxes out; they differ in where their assignments come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// Mailboxes that nobody has placed go to the workspace of their domain.
    AutoGroup,
    /// Mailboxes go where the request says.
    Layout,
}

impl JobKind {
    /// The word in the store and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AutoGroup => "auto_group",
            Self::Layout => "layout",
        }
    }
}

/// How far a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobStatus {
    /// Nobody has begun it.
    Queued,
    /// A chunk of it is done, and not the last.
    Running,
    /// All of it is done.
    Done,
    /// It cannot go on; what it has done stays.
    Failed,
}

impl JobStatus {
    /// The word in the store and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What a job has done so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Mailboxes that were looked at.
    pub examined: u64,
    /// Mailboxes that were moved.
    pub moved: u64,
    /// Mailboxes that no assignment matches.
    pub unmatched: u64,
    /// Mailboxes that stay where they are because the workspace is gone into which they should go.
    pub skipped: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// A job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose.
    pub application_id: ApplicationId,
    /// What it does.
    pub kind: JobKind,
    /// How far it is.
    pub status: JobStatus,
    /// What it has done.
    pub progress: Progress,
    /// When it was begun.
    pub created_at: UnixMicros,
    /// When it last went on.
    pub updated_at: UnixMicros,
}

/// Who began a job: its changes are recorded under that name.
#[derive(Serialize, Deserialize)]
struct Author {
    kind: String,
    id: String,
    name: String,
    organization_id: String,
    request_id: String,
}

impl Author {
    fn of(act: &Act) -> Self {
        Self {
            kind: act.actor.kind.name().to_owned(),
            id: act.actor.id.clone(),
            name: act.actor.name.clone(),
            organization_id: act.organization_id.to_string(),
            request_id: act.request_id.clone(),
        }
    }

    fn act(self, application: ApplicationId, record_id: AuditId, at: UnixMicros) -> Result<Act, DbError> {
        const KINDS: &[ActorKind] = &[
            ActorKind::ApiKey,
            ActorKind::OperatorKey,
            ActorKind::ServiceAccount,
            ActorKind::AccessToken,
            ActorKind::System,
            ActorKind::CommandLine,
        ];
        let kind = KINDS.iter().copied().find(|kind| kind.name() == self.kind);
        let organization: Option<OrganizationId> = self.organization_id.parse().ok();
        let malformed = || DbError::Malformed("author of a job");
        Ok(Act {
            record_id,
            actor: Actor { kind: kind.ok_or_else(malformed)?, id: self.id, name: self.name },
            organization_id: organization.ok_or_else(malformed)?,
            application_id: Some(application),
            request_id: self.request_id,
            at,
        })
    }
}

/// Queues a job, in the transaction of the act that begins it.
pub(crate) async fn insert(
    tx: &mut Tx,
    act: &Act,
    job: (JobId, ApplicationId, JobKind),
    parameters: &str,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO jobs (id, application_id, kind, status, parameters, result, author, cursor_id, \
        created_at, updated_at) VALUES ($1, $2, $3, 'queued', $4, $5, $6, NULL, $7, $7)";
    let (id, application, kind) = job;
    let result = json(&Progress::default())?;
    let author = json(&Author::of(act))?;
    let at = act.at.as_micros();
    let values = params![id.uuid(), application.uuid(), kind.name(), parameters, &result, &author, at];
    tx.execute(INSERT, values).await?;
    tx.wake_jobs();
    Ok(())
}

/// Whether an application, which is locked, has as many unfinished jobs as it may have.
pub(crate) async fn is_full(tx: &mut Tx, application: ApplicationId) -> Result<bool, DbError> {
    const UNFINISHED: &str = "SELECT count(*) FROM jobs WHERE status = $1 AND application_id = $2";
    let mut count = 0;
    for status in [JobStatus::Queued, JobStatus::Running] {
        let row = tx.query_one(UNFINISHED, params![status.name(), application.uuid()]).await?;
        count += row.map(|row| row.count(0)).transpose()?.unwrap_or(0);
    }
    Ok(count >= UNFINISHED_JOBS_MAX)
}

/// When an application last began a job of a kind.
pub(crate) async fn last_begun(
    tx: &mut Tx,
    application: ApplicationId,
    kind: JobKind,
) -> Result<Option<UnixMicros>, DbError> {
    let row = tx.query_one(LAST, params![application.uuid(), kind.name()]).await?;
    row.map(|row| Ok(UnixMicros::from_micros(row.int(0)?))).transpose()
}

/// Does the next chunk of a job.
#[derive(Clone, Debug)]
pub struct WorkOnJob {
    /// Which.
    pub id: JobId,
    /// Mailboxes of a chunk.
    pub limit: usize,
    /// The id of the record of what the chunk changes.
    pub record_id: AuditId,
    /// What the ids of its events are made from.
    pub event_seed: [u8; 32],
    /// When.
    pub at: UnixMicros,
}

/// What became of [`WorkOnJob`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkOutcome {
    /// A chunk is done, and there is more.
    MoreToDo,
    /// The job is done.
    Done,
    /// Another node is at it, or it is finished.
    Elsewhere,
}

/// What a chunk needs of its job.
pub(crate) struct Claimed {
    pub(crate) application_id: ApplicationId,
    pub(crate) kind: JobKind,
    pub(crate) parameters: String,
    pub(crate) cursor: Option<GrantId>,
    pub(crate) limit: usize,
}

impl Command for WorkOnJob {
    type Outcome = WorkOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<WorkOutcome, DbError> {
        // Passed over where another node holds it: nobody waits for a whole chunk.
        const CLAIM: &str = "SELECT application_id, kind, parameters, result, author, cursor_id FROM jobs \
            WHERE id = $1 AND status IN ('queued', 'running') {skip_locked}";
        const WRITE: &str = "UPDATE jobs SET status = $2, result = $3, cursor_id = $4, updated_at = $5 WHERE id = $1";
        let Some(row) = tx.query_one(CLAIM, params![self.id.uuid()]).await? else { return Ok(WorkOutcome::Elsewhere) };
        let claimed = self.claimed(&row)?;
        let mut progress: Progress = parse(row.str(3)?)?;
        let author: Author = parse(row.str(4)?)?;
        let act = author.act(claimed.application_id, self.record_id, self.at)?;

        workspaces::lock_application(tx, claimed.application_id).await?;
        let mover = Mover { application_id: claimed.application_id, event_seed: &self.event_seed, at: self.at };
        let chunk = layout::apply_chunk(tx, &claimed, &mover, &mut progress).await?;
        chunk.moved.record(tx, &act, "job", &self.id.to_string()).await?;
        let status = if chunk.is_last { JobStatus::Done } else { JobStatus::Running };
        let (result, cursor) = (json(&progress)?, chunk.cursor.map(GrantId::uuid));
        let values = params![self.id.uuid(), status.name(), &result, cursor, self.at.as_micros()];
        tx.execute(WRITE, values).await?;
        Ok(if chunk.is_last { WorkOutcome::Done } else { WorkOutcome::MoreToDo })
    }
}

impl WorkOnJob {
    fn claimed(&self, row: &Row) -> Result<Claimed, DbError> {
        Ok(Claimed {
            application_id: ApplicationId::from_uuid(row.uuid(0)?),
            kind: kind_named(row.str(1)?)?,
            parameters: row.text(2)?,
            cursor: row.opt_uuid(5)?.map(GrantId::from_uuid),
            limit: self.limit,
        })
    }
}

/// Gives a job up.
#[derive(Clone, Debug)]
pub struct FailJob {
    /// Which.
    pub id: JobId,
    /// Why, for people.
    pub error: String,
    /// When.
    pub at: UnixMicros,
}

impl Command for FailJob {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const CLAIM: &str = "SELECT result FROM jobs WHERE id = $1 AND status IN ('queued', 'running') {lock}";
        const WRITE: &str = "UPDATE jobs SET status = 'failed', result = $2, updated_at = $3 WHERE id = $1";
        let Some(row) = tx.query_one(CLAIM, params![self.id.uuid()]).await? else { return Ok(()) };
        // It may be what is malformed.
        let progress: Progress = parse(row.str(0)?).unwrap_or_default();
        let result = json(&Progress { error: Some(self.error.clone()), ..progress })?;
        tx.execute(WRITE, params![self.id.uuid(), &result, self.at.as_micros()]).await?;
        Ok(())
    }
}

/// Removes jobs that were begun before a time and are over, at most `limit` of each end.
#[derive(Clone, Copy, Debug)]
pub struct PruneJobs {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneJobs {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM jobs WHERE id IN \
            (SELECT j.id FROM jobs j WHERE j.status = $1 AND j.id < $2 ORDER BY j.id LIMIT $3)";
        let first_kept = JobId::first_at(self.before).uuid();
        let mut removed = 0;
        for status in [JobStatus::Done, JobStatus::Failed] {
            removed += tx.execute(REMOVE, params![status.name(), first_kept, self.limit as i64]).await?;
        }
        Ok(removed)
    }
}

macro_rules! job_columns {
    () => {
        "id, application_id, kind, status, result, created_at, updated_at"
    };
}

pub(crate) const LIST: &str =
    concat!("SELECT ", job_columns!(), " FROM jobs WHERE application_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
pub(crate) const OLDEST: &str = "SELECT id FROM jobs WHERE status = $1 ORDER BY id LIMIT 1";
pub(crate) const LAST: &str =
    "SELECT created_at FROM jobs WHERE application_id = $1 AND kind = $2 ORDER BY id DESC LIMIT 1";

/// The job to go on with: one that was begun, else the one that waits longest.
pub async fn oldest_unfinished(reader: &mut Reader<'_>) -> Result<Option<JobId>, StoreError> {
    for status in [JobStatus::Running, JobStatus::Queued] {
        if let Some(row) = reader.query_one(OLDEST, params![status.name()]).await? {
            return Ok(Some(JobId::from_uuid(row.uuid(0)?)));
        }
    }
    Ok(None)
}

/// One job of an application.
pub async fn find(reader: &mut Reader<'_>, application: ApplicationId, id: JobId) -> Result<Option<Job>, StoreError> {
    const FIND: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1 AND application_id = $2");
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// An application's jobs that are older than one, newest first.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    older_than: Option<JobId>,
    limit: usize,
) -> Result<Vec<Job>, StoreError> {
    let before = older_than.map_or(uuid::Uuid::max(), JobId::uuid);
    let rows = reader.query(LIST, params![application.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Job, DbError> {
    let all = [JobStatus::Queued, JobStatus::Running, JobStatus::Done, JobStatus::Failed];
    let status = row.text(3)?;
    let status = all.into_iter().find(|known| known.name() == status);
    Ok(Job {
        id: JobId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        kind: kind_named(row.str(2)?)?,
        status: status.ok_or(DbError::Malformed("status of a job"))?,
        progress: parse(row.str(4)?)?,
        created_at: UnixMicros::from_micros(row.int(5)?),
        updated_at: UnixMicros::from_micros(row.int(6)?),
    })
}

fn kind_named(name: &str) -> Result<JobKind, DbError> {
    let kind = [JobKind::AutoGroup, JobKind::Layout].into_iter().find(|kind| kind.name() == name);
    kind.ok_or(DbError::Malformed("kind of a job"))
}

fn json<T: Serialize>(value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|_| DbError::Malformed("job"))
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|_| DbError::Malformed("job"))
}
