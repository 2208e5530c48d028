//! The quota advisor: which daily quota fits what the mailboxes of a workspace really send.

use crate::workspaces;
use postfleet_core::id::{ApplicationId, GrantId, WorkspaceId};
use postfleet_core::policy::UNLIMITED;
use postfleet_core::{Problem, UnixMicros, UtcDay, quota};
use postfleet_schema::quota_advice as schema;
use postfleet_store::peaks::{self, Peak};
use postfleet_store::{Store, findings, layout};

/// Days that are looked at, today included.
const DAYS: i64 = 30;

/// Mailboxes that are looked at, and how many of them in one read.
const MAILBOXES_MAX: usize = 100_000;
const MAILBOXES_AT_ONCE: usize = 5_000;

/// What was seen of a workspace.
#[derive(Default)]
struct Seen {
    busiest: Option<(GrantId, u64)>,
    mailboxes: usize,
    is_truncated: bool,
}

/// What quota to suggest for the workspace that a path segment names.
pub async fn advise(
    store: &Store,
    application: ApplicationId,
    segment: &str,
    now: UnixMicros,
) -> Result<schema::QuotaAdvice, Problem> {
    let workspace = workspaces::find(store, application, segment).await?.workspace.id;
    let since = UtcDay::from_number(now.day().number() - (DAYS - 1));
    let seen = look(store, workspace, since).await?;
    let mut reader = store.reader().await?;
    let peak = match seen.busiest {
        Some((grant, _)) => peaks::of_mailbox(&mut reader, grant, since).await?,
        None => None,
    };
    let application_plan = findings::application(&mut reader, application).await?.ok_or_else(Problem::not_found)?.plan;
    let limit = layout::daily_sends_max(&mut reader, application, Some(workspace)).await?;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let suggest = |peak: &Peak| number(quota::advised(peak.sent, application_plan.limits.daily_sends_max));
    Ok(schema::QuotaAdvice {
        workspace_id: workspace.to_string(),
        days: DAYS.unsigned_abs(),
        mailboxes: seen.mailboxes as u64,
        truncated: seen.is_truncated,
        limit_count_daily_email_sent: limit.map_or(UNLIMITED, number),
        at_limit: peak.is_some_and(|peak| limit.is_some_and(|limit| peak.sent >= limit)),
        suggested_limit_count_daily_email_sent: peak.as_ref().map(suggest),
        peak: peak.map(show),
    })
}

/// Goes over the mailboxes of a workspace, some at a time: others read between.
async fn look(store: &Store, workspace: WorkspaceId, since: UtcDay) -> Result<Seen, Problem> {
    let (mut seen, mut after) = (Seen::default(), None);
    loop {
        let mut reader = store.reader().await?;
        let found = peaks::busiest(&mut reader, workspace, after, MAILBOXES_AT_ONCE, since).await?;
        seen.mailboxes += found.looked_at;
        let most = |mailbox: Option<(GrantId, u64)>| mailbox.map_or(0, |(_, sent)| sent);
        if most(found.mailbox) > most(seen.busiest) {
            seen.busiest = found.mailbox;
        }
        after = found.last;
        if after.is_none() || seen.mailboxes >= MAILBOXES_MAX {
            // The last read may have come to the very end without knowing it.
            if after.is_some() {
                seen.is_truncated = peaks::busiest(&mut reader, workspace, after, 1, since).await?.looked_at > 0;
            }
            return Ok(seen);
        }
    }
}

fn show(peak: Peak) -> schema::Peak {
    schema::Peak { grant_id: peak.grant.to_string(), day: peak.day.start().as_seconds(), sent: peak.sent }
}
