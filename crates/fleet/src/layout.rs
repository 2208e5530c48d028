//! Laying a fleet out anew: the preview, and beginning the job that does it. Both ask the same function which mailbox
//! belongs where.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId, JobId, WorkspaceId};
use postfleet_core::layout::{Assignment, Grouping, Layout, Match, Verdict};
use postfleet_core::problem::Exhausted;
use postfleet_core::{Domain, Problem, ProblemKind, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::job as job_schema;
use postfleet_schema::layout as schema;
use postfleet_schema::workspace::{AutoGroup, AutoGroupStarted};
use postfleet_store::jobs::{self, Job, UNFINISHED_JOBS_MAX};
use postfleet_store::layout::{self, LaidOut, StartGrouping, StartLayout, StartOutcome};
use postfleet_store::{Reader, Store, workspaces};
use std::collections::HashMap;

/// Assignments of one request.
pub const ASSIGNMENTS_MAX: usize = 100;

/// Characters of the text that an address must contain.
const PART_CHARS_MAX: usize = 256;

/// Mailboxes that a preview reads at once.
const PAGE: usize = 500;

/// Mailboxes that a preview looks at.
const EXAMINED_MAX: u64 = 1_000_000;

/// Pairs of workspaces that a preview shows.
const MOVES_MAX: usize = 1_000;

/// Mailboxes that it shows of each.
const SAMPLE_MAX: usize = 10;

/// Begins grouping an application's mailboxes by domain.
pub async fn group(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: &AutoGroup,
) -> Result<AutoGroupStarted, Problem> {
    let domain = request.specific_domain.as_deref().filter(|text| !text.is_empty());
    let grouping = Grouping {
        created_from: time("after_created_at", request.after_created_at)?,
        domain: domain.map(|text| domain_in("specific_domain", text)).transpose()?,
    };
    let job_id = JobId::new(act.at, entropy.ten());
    started(store.run(StartGrouping { act, job_id, application_id, grouping }).await?)?;
    let message = format!(
        "Auto-grouping started successfully under JobID '{job_id}', please wait for the process to complete. It may take \
         some time."
    );
    Ok(AutoGroupStarted { job_id: job_id.to_string(), message })
}

/// Begins the job of a layout, or answers what it would do.
pub async fn lay_out(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: &schema::Layout,
) -> Result<schema::LayoutAnswer, Problem> {
    let assignments = assignments(store, application_id, &request.assignments).await?;
    if request.dry_run.unwrap_or(true) {
        let preview = preview(store, application_id, &Layout::new(assignments)).await?;
        return Ok(schema::LayoutAnswer::Preview(preview));
    }
    let job_id = JobId::new(act.at, entropy.ten());
    started(store.run(StartLayout { act, job_id, application_id, assignments }).await?)?;
    Ok(schema::LayoutAnswer::Started(schema::LayoutStarted { job_id: job_id.to_string() }))
}

fn started(outcome: StartOutcome) -> Result<(), Problem> {
    match outcome {
        StartOutcome::Started => Ok(()),
        StartOutcome::TooSoon(again) => Err(Problem {
            exhausted: Some(Box::new(Exhausted { scope: "application", limit: 1, used: 1, resets_at: Some(again) })),
            ..Problem::new(
                ProblemKind::RateLimited,
                "auto_group_rate_limited",
                "Too many requests, please try again shortly.",
            )
        }),
        StartOutcome::TooMany => {
            let text = format!("{UNFINISHED_JOBS_MAX} jobs of this application are not finished yet");
            Err(Problem::new(ProblemKind::RateLimited, "too_many_jobs", text))
        }
        StartOutcome::WorkspaceUnknown(number) => {
            Err(unknown_workspace(&format!("assignments[{number}].workspace_id")))
        }
        StartOutcome::ApplicationGone => Err(Problem::not_found()),
    }
}

/// Reads the assignments of a request.
async fn assignments(
    store: &Store,
    application: ApplicationId,
    wanted: &[schema::LayoutAssignment],
) -> Result<Vec<Assignment>, Problem> {
    if wanted.is_empty() || wanted.len() > ASSIGNMENTS_MAX {
        let text = format!("assignments must be 1 to {ASSIGNMENTS_MAX}");
        return Err(Problem::invalid("assignments", text));
    }
    let mut reader = store.reader().await?;
    let mut assignments = Vec::with_capacity(wanted.len());
    for (number, assignment) in wanted.iter().enumerate() {
        let at = format!("assignments[{number}]");
        assignments.push(Assignment {
            workspace_id: workspace(&mut reader, application, &format!("{at}.workspace_id"), &assignment.workspace_id)
                .await?,
            wanted: read_match(&mut reader, application, &format!("{at}.match"), &assignment.wanted).await?,
        });
    }
    Ok(assignments)
}

async fn read_match(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    at: &str,
    wanted: &schema::LayoutMatch,
) -> Result<Match, Problem> {
    let place = format!("{at}.workspace_id");
    let current = match wanted.workspace_id.as_deref() {
        None => Vec::new(),
        Some("none") => vec![None],
        Some(id) => vec![Some(workspace(reader, application, &place, id).await?)],
    };
    let domain = wanted.domain.as_deref().map(|text| domain_in(&format!("{at}.domain"), text)).transpose()?;
    let email_contains = wanted.email_contains.clone();
    if email_contains.as_ref().is_some_and(|text| !(1..=PART_CHARS_MAX).contains(&text.chars().count())) {
        let field = format!("{at}.email_contains");
        return Err(Problem::invalid(&field, format!("{field} must have 1 to {PART_CHARS_MAX} characters")));
    }
    let read = Match {
        domain,
        current,
        email_contains,
        created_from: time(&format!("{at}.created_after"), wanted.created_after)?,
        created_before: time(&format!("{at}.created_before"), wanted.created_before)?,
    };
    if read == Match::default() {
        let fields = "domain, workspace_id, email_contains, created_after or created_before";
        return Err(Problem::invalid(at, format!("{at} must have at least one of {fields}")));
    }
    Ok(read)
}

async fn workspace(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    field: &str,
    id: &str,
) -> Result<WorkspaceId, Problem> {
    let Ok(id) = id.parse() else { return Err(unknown_workspace(field)) };
    let found = workspaces::find(reader, application, id).await?;
    found.map(|_| id).ok_or_else(|| unknown_workspace(field))
}

fn unknown_workspace(field: &str) -> Problem {
    Problem::invalid(field, format!("{field} not found or does not belong to this application"))
}

fn domain_in(field: &str, text: &str) -> Result<Domain, Problem> {
    Domain::parse(text).map_err(|error| Problem::invalid(field, format!("{field} is not a domain name: {error}")))
}

fn time(field: &str, seconds: Option<i64>) -> Result<Option<UnixMicros>, Problem> {
    if seconds.is_some_and(|seconds| seconds < 0) {
        return Err(Problem::invalid(field, format!("{field} must be a time in unix seconds, from 0")));
    }
    Ok(seconds.map(UnixMicros::from_seconds))
}

/// What a layout would do, over all mailboxes of an application, read in pages.
async fn preview(store: &Store, application: ApplicationId, wanted: &Layout) -> Result<schema::LayoutPreview, Problem> {
    let (mut tally, mut after) = (Tally::default(), None);
    loop {
        // A connection is given back between pages: others read, too.
        let page = layout::grants_after(&mut store.reader().await?, application, after, PAGE).await?;
        for mailbox in &page {
            tally.count(mailbox, wanted.judge(&mailbox.placed()));
        }
        after = page.last().map(|mailbox| mailbox.id);
        if page.len() < PAGE {
            break;
        }
        if tally.examined >= EXAMINED_MAX {
            tally.is_truncated = true;
            break;
        }
        tokio::task::yield_now().await;
    }
    show_preview(store, application, tally).await
}

/// What a preview adds up.
#[derive(Default)]
struct Tally {
    examined: u64,
    moved: u64,
    unmatched: u64,
    moves: HashMap<(Option<WorkspaceId>, WorkspaceId), Move>,
    is_truncated: bool,
}

#[derive(Default)]
struct Move {
    count: u64,
    sample: Vec<(GrantId, String)>,
}

impl Tally {
    fn count(&mut self, mailbox: &LaidOut, verdict: Verdict) {
        self.examined += 1;
        let to = match verdict {
            Verdict::Stay => return,
            Verdict::Unmatched => {
                self.unmatched += 1;
                return;
            }
            Verdict::Move(to) => to,
        };
        self.moved += 1;
        let pair = (mailbox.workspace_id, to);
        if self.moves.len() >= MOVES_MAX && !self.moves.contains_key(&pair) {
            self.is_truncated = true;
            return;
        }
        let entry = self.moves.entry(pair).or_default();
        entry.count += 1;
        if entry.sample.len() < SAMPLE_MAX {
            entry.sample.push((mailbox.id, mailbox.email.to_string()));
        }
    }
}

async fn show_preview(
    store: &Store,
    application: ApplicationId,
    tally: Tally,
) -> Result<schema::LayoutPreview, Problem> {
    let mut moves: Vec<_> = tally.moves.into_iter().collect();
    moves.sort_by_key(|(pair, found)| (std::cmp::Reverse(found.count), *pair));
    let mut caps = Caps { application, known: HashMap::new() };
    let mut reader = store.reader().await?;
    let mut shown = Vec::with_capacity(moves.len());
    for ((from, to), found) in moves {
        shown.push(schema::LayoutMove {
            from_workspace_id: from.map(|id| id.to_string()),
            to_workspace_id: to.to_string(),
            count: found.count,
            daily_sends_before: caps.of(&mut reader, from).await?,
            daily_sends_after: caps.of(&mut reader, Some(to)).await?,
            sample: found
                .sample
                .into_iter()
                .map(|(id, email)| schema::LayoutSample { grant_id: id.to_string(), email })
                .collect(),
        });
    }
    Ok(schema::LayoutPreview {
        examined: tally.examined,
        moved: tally.moved,
        unmatched: tally.unmatched,
        moves: shown,
        truncated: tally.is_truncated,
    })
}

/// Daily caps by workspace, each read once.
struct Caps {
    application: ApplicationId,
    known: HashMap<Option<WorkspaceId>, Option<u64>>,
}

impl Caps {
    async fn of(&mut self, reader: &mut Reader<'_>, workspace: Option<WorkspaceId>) -> Result<Option<u64>, Problem> {
        if let Some(known) = self.known.get(&workspace) {
            return Ok(*known);
        }
        let cap = layout::daily_sends_max(reader, self.application, workspace).await?;
        self.known.insert(workspace, cap);
        Ok(cap)
    }
}

/// One job of an application.
pub async fn find_job(store: &Store, application: ApplicationId, id: JobId) -> Result<Job, Problem> {
    jobs::find(&mut store.reader().await?, application, id).await?.ok_or_else(Problem::not_found)
}

/// A page of an application's jobs, newest first, and the cursor of the next page.
pub async fn list_jobs(
    store: &Store,
    application: ApplicationId,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<Job>, Option<String>), Problem> {
    let older_than = cursor.map(read_cursor).transpose()?;
    // One more than wanted, to know whether another page follows.
    let mut page = jobs::list(&mut store.reader().await?, application, older_than, limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|job| URL_SAFE_NO_PAD.encode(job.id.to_string()));
    Ok((page, next))
}

/// A cursor is the id of the last job of the page before.
fn read_cursor(cursor: &str) -> Result<JobId, Problem> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let id = text.and_then(|text| text.parse().ok());
    id.ok_or_else(|| Problem::invalid("page_token", "page_token is not a cursor of this list"))
}

/// Shows a job.
pub fn show_job(job: &Job) -> job_schema::Job {
    let progress = &job.progress;
    job_schema::Job {
        id: job.id.to_string(),
        kind: job.kind.name(),
        status: job.status.name(),
        created_at: job.created_at.as_seconds(),
        updated_at: job.updated_at.as_seconds(),
        examined: progress.examined,
        moved: progress.moved,
        result: job_schema::JobResult {
            unmatched: progress.unmatched,
            skipped: progress.skipped,
            error: progress.error.clone(),
        },
    }
}
