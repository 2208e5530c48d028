//! How long mail is kept, and what was removed when its time was over.

use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::retention::Window;
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::retention as schema;
use postfleet_store::Store;
use postfleet_store::retention::{self, Day, Removed, Standing};

/// Days that are shown.
const DAYS_MAX: usize = 400;

/// What a mailbox keeps how long, and what it has lost by that.
pub async fn of_grant(
    store: &Store,
    application: ApplicationId,
    grant: GrantId,
    now: UnixMicros,
) -> Result<schema::GrantRetention, Problem> {
    let mut reader = store.reader().await?;
    let standing = retention::standing(&mut reader, application, grant, now).await?.ok_or_else(Problem::not_found)?;
    let days = retention::days(&mut reader, grant, DAYS_MAX).await?;
    let sum = |of: fn(&Removed) -> u64| days.iter().map(|day| of(&day.inbox) + of(&day.spam)).sum();
    Ok(schema::GrantRetention {
        grant_id: grant.to_string(),
        inbox: window(&standing, Window::Inbox, standing.oldest),
        spam: window(&standing, Window::Spam, standing.oldest_junk),
        removed_messages: sum(|removed| removed.messages),
        removed_bytes: sum(|removed| removed.octets),
        days: days.iter().map(day).collect(),
    })
}

fn window(standing: &Standing, window: Window, oldest: Option<UnixMicros>) -> schema::RetentionWindow {
    let due = oldest.and_then(|since| standing.windows.due_at(window, since));
    schema::RetentionWindow {
        days: days_or_unlimited(standing.windows.days(window)),
        oldest_at: oldest.map(UnixMicros::as_seconds),
        next_due_at: due.map(UnixMicros::as_seconds_up),
    }
}

fn day(day: &Day) -> schema::RetentionDay {
    let removed = |window, removed: Removed| schema::RetentionRemoved {
        days: days_or_unlimited(day.windows.days(window)),
        messages: removed.messages,
        bytes: removed.octets,
    };
    schema::RetentionDay {
        date: day.day.to_string(),
        inbox: removed(Window::Inbox, day.inbox),
        spam: removed(Window::Spam, day.spam),
        removed_at: day.removed_at.as_seconds(),
    }
}

fn days_or_unlimited(days: Option<u64>) -> i64 {
    days.map_or(-1, |days| i64::try_from(days).unwrap_or(i64::MAX))
}
