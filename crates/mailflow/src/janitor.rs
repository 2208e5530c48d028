//! Cleaning up, a little at a time: what removed mailboxes, folders and lists left, old events, outcomes, attempts and records of what rules
//! said, sends at a later time that are over, tokens, failed sign-ins and nonces, answers under keys that are over, what is
//! over of the ways to other servers, suppressions that have ended, bodies that nothing names.

use crate::folders;
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::dmarc_report;
use postfleet_core::{hold, schedule};
use postfleet_store::activity::PruneActivity;
use postfleet_store::dmarc_reports;
use postfleet_store::domain_reports::PruneReports;
use postfleet_store::evaluations::PruneEvaluations;
use postfleet_store::events::PruneEvents;
use postfleet_store::feedback::PruneFeedback;
use postfleet_store::folders::Emptied;
use postfleet_store::grants::PruneRemoved;
use postfleet_store::holds::PruneHolds;
use postfleet_store::idempotency::PruneOnce;
use postfleet_store::imports::PruneImports;
use postfleet_store::jobs::PruneJobs;
use postfleet_store::key_use::PruneKeyUse;
use postfleet_store::lists::{PruneRemovals, PruneRemovedLists};
use postfleet_store::queue::{PruneAttempts, PruneDestinations};
use postfleet_store::refusals::PruneRefusals;
use postfleet_store::refused_mail::PruneRefusedMail;
use postfleet_store::retention::PruneReport;
use postfleet_store::schedules::PruneSchedules;
use postfleet_store::send_sums::PruneSums;
use postfleet_store::service_accounts::PruneNonces;
use postfleet_store::spam::PruneSpamMoves;
use postfleet_store::sts::PrunePolicies;
use postfleet_store::suppressions::PruneSuppressions;
use postfleet_store::tls_sessions::PruneSessions;
use postfleet_store::tokens::PruneTokens;
use postfleet_store::transfers::PruneTransfers;
use postfleet_store::watch::PruneWrittenTo;
use postfleet_store::webhook_attempts::PruneWebhookAttempts;
use std::time::Duration;

/// Rows that one command removes: few enough that mail does not wait for it.
const ROWS_MAX: usize = 200;

/// Rounds of one pass; the next pass goes on where this one stopped.
const ROUNDS_MAX: usize = 1_000;

/// Files younger than this may belong to a message that is just being stored.
const ORPHAN_AGE: Duration = Duration::from_secs(3_600);

/// How long jobs that are over can be asked about.
const JOB_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// How long figures of what was sent are kept, by the day.
const SUMS_RETENTION: Duration = Duration::from_secs(400 * 86_400);

/// And by the hour: as long as what looks back at most, and a day more.
const HOURLY_SUMS_RETENTION: Duration = Duration::from_secs(2 * 86_400);

/// How long it can be asked what was removed because its time was over.
const REPORT_RETENTION: Duration = Duration::from_secs(400 * 86_400);

/// How long it can be asked why sending was refused, or why mail was not taken.
const REFUSAL_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// How long a destination is remembered that did not answer and for which nothing waits.
const DESTINATION_MEMORY: Duration = Duration::from_secs(86_400);

/// How long a list remembers what was removed from it: who has not looked for longer reads all of it anew.
const LIST_REMOVAL_RETENTION: Duration = Duration::from_secs(86_400);

/// How long it is remembered that a policy of another domain could not be fetched.
const POLICY_RETENTION: Duration = Duration::from_secs(86_400);

/// How long it is remembered that a message was moved into junk or out of it, and whose mail.
const SPAM_MOVE_RETENTION: Duration = Duration::from_secs(400 * 86_400);

/// One pass over everything that may have to go.
pub async fn clean_once(platform: &Platform) -> Result<(), Problem> {
    prune_removed(platform).await?;
    prune_lists(platform).await?;
    empty_folders(platform).await?;
    prune_events(platform).await?;
    prune_evaluations(platform).await?;
    prune_feedback(platform).await?;
    prune_activity(platform).await?;
    prune_attempts(platform).await?;
    prune_webhook_attempts(platform).await?;
    forget_destinations(platform).await?;
    prune_jobs(platform).await?;
    prune_schedules(platform).await?;
    prune_holds(platform).await?;
    prune_tokens(platform).await?;
    prune_nonces(platform).await?;
    prune_routes(platform).await?;
    prune_suppressions(platform).await?;
    prune_once(platform).await?;
    prune_limits(platform).await?;
    prune_spam(platform).await?;
    let mut reader = platform.store.reader().await?;
    let removed = platform.store.blobs().collect_orphans(&mut reader, ORPHAN_AGE).await?;
    if removed > 0 {
        tracing::info!(removed, "removed bodies that no message names");
    }
    Ok(())
}

/// Lets the mailboxes send again whose pause ends by rule.
pub async fn recover_once(platform: &Platform) -> Result<(), Problem> {
    let granted = platform.recoveries().round(platform.clock.now()).await?;
    if granted > 0 {
        tracing::info!(granted, "pauses lifted by rule");
    }
    Ok(())
}

/// One look at the domains that are due to be looked at, and at what block lists say of them.
pub async fn recheck_domains_once(platform: &Platform) -> Result<(), Problem> {
    let domains = platform.domains();
    domains.recheck_once().await?;
    for ((zone, answer), count) in domains.ask_block_lists_once().await? {
        platform.metrics.block_list_answered(zone, answer, count);
    }
    Ok(())
}

async fn prune_removed(platform: &Platform) -> Result<(), Problem> {
    for _ in 0..ROUNDS_MAX {
        if !platform.store.run(PruneRemoved { limit: ROWS_MAX }).await? {
            break;
        }
    }
    Ok(())
}

async fn empty_folders(platform: &Platform) -> Result<(), Problem> {
    for _ in 0..ROUNDS_MAX {
        if folders::empty(platform, None).await? == Emptied::Nothing {
            break;
        }
    }
    Ok(())
}

async fn prune_lists(platform: &Platform) -> Result<(), Problem> {
    for _ in 0..ROUNDS_MAX {
        if !platform.store.run(PruneRemovedLists { limit: ROWS_MAX }).await? {
            break;
        }
    }
    let before = platform.clock.now().minus(LIST_REMOVAL_RETENTION);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneRemovals { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_events(platform: &Platform) -> Result<(), Problem> {
    let retention = platform.settings.event_retention;
    let before = platform.clock.now().minus(retention);
    // Who stands still is waited for as long again, and then goes without.
    let command = PruneEvents { before, unread_before: before.minus(retention), limit: ROWS_MAX };
    for _ in 0..ROUNDS_MAX {
        let pruned = platform.store.run(command).await?;
        for loser in pruned.losers {
            platform.metrics.lost(loser.kind, loser.gap.events);
            if loser.is_first {
                let webhook = loser.webhook.map(|id| id.to_string());
                tracing::warn!(
                    kind = loser.kind,
                    webhook.id = webhook,
                    "events were removed before somebody was told of them"
                );
            }
        }
        if pruned.events == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_evaluations(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(platform.settings.evaluation_retention);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneEvaluations { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_feedback(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(platform.settings.feedback_retention);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneFeedback { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let before = platform.clock.now().minus(platform.settings.domain_report_retention);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneReports { before, limit: ROWS_MAX / 10 }).await? == 0 {
            break;
        }
    }
    let before = dmarc_report::kept_since(platform.clock.now());
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(dmarc_reports::PruneReports { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_activity(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(platform.settings.activity_retention);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneActivity { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let now = platform.clock.now();
    let (before, hours_before) = (now.minus(SUMS_RETENTION).day(), now.minus(HOURLY_SUMS_RETENTION));
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneSums { before, hours_before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_attempts(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(platform.settings.attempt_retention);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneAttempts { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_webhook_attempts(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(platform.settings.webhook_attempt_retention);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneWebhookAttempts { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn forget_destinations(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(DESTINATION_MEMORY);
    platform.store.run(PruneDestinations { before }).await.map(|_| ()).map_err(Problem::from)
}

async fn prune_nonces(platform: &Platform) -> Result<(), Problem> {
    let now = platform.clock.now();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneNonces { now, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Policies of other domains that are over, and old counts of encrypted connections.
async fn prune_routes(platform: &Platform) -> Result<(), Problem> {
    let now = platform.clock.now();
    let tried_before = now.minus(POLICY_RETENTION);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PrunePolicies { now, tried_before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let before = now.minus(platform.settings.routes.report_retention).day();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneSessions { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_suppressions(platform: &Platform) -> Result<(), Problem> {
    let now = platform.clock.now();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneSuppressions { now, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Answers under idempotency keys, what was sent a moment ago, and sends from the bus that were put aside.
async fn prune_once(platform: &Platform) -> Result<(), Problem> {
    let (at, window) = (platform.clock.now(), platform.settings.repeat_window);
    for _ in 0..ROUNDS_MAX {
        let others = crate::sender_pools::prune_once(platform).await?
            + crate::bus::parked::prune_once(platform, ROWS_MAX).await?;
        if platform.store.run(PruneOnce { at, window, limit: ROWS_MAX }).await? + others == 0 {
            break;
        }
    }
    Ok(())
}

/// What keys that may not send everything were used for, what was refused, and what usage is counted anew from.
async fn prune_limits(platform: &Platform) -> Result<(), Problem> {
    let now = platform.clock.now();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneKeyUse { today: now.day(), limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneWrittenTo { today: now.day(), limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let before = now.day().month().previous().first_day();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneTransfers { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let before = now.minus(REFUSAL_RETENTION);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneRefusedMail { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let before = before.day();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneRefusals { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    let before = now.minus(REPORT_RETENTION).day();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneReport { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_jobs(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(JOB_RETENTION);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneJobs { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneImports { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_schedules(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(schedule::KEPT);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneSchedules { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn prune_holds(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(hold::KEPT);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneHolds { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Moves into junk and out of it of long ago.
async fn prune_spam(platform: &Platform) -> Result<(), Problem> {
    let before = platform.clock.now().minus(SPAM_MOVE_RETENTION);
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneSpamMoves { before, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Codes and tokens that are over.
async fn prune_tokens(platform: &Platform) -> Result<(), Problem> {
    let now = platform.clock.now();
    for _ in 0..ROUNDS_MAX {
        if platform.store.run(PruneTokens { before: now, limit: ROWS_MAX }).await? == 0 {
            break;
        }
    }
    Ok(())
}
