//! Reading the record of changes.

use crate::pages::{self, Page};
use postfleet_core::id::AuditId;
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::audit as schema;
use postfleet_store::Store;
use postfleet_store::audit::{self, Of, Record};

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// From this second on.
    pub since: Option<i64>,
    /// Before this second.
    pub before: Option<i64>,
    /// Of this thing only.
    pub target_id: Option<String>,
}

/// The last second that can be asked for: the end of the year 9999.
const SECOND_MAX: i64 = 253_402_300_799;

/// Characters of an id.
const TARGET_CHARS_MAX: usize = 320;

/// Records, newest first.
pub async fn list(
    store: &Store,
    of: Of,
    filter: &Filter,
    limit: usize,
    page_token: Option<&str>,
) -> Result<Page<Record>, Problem> {
    if filter.target_id.as_ref().is_some_and(|id| id.chars().count() > TARGET_CHARS_MAX) {
        let text = format!("target_id must have at most {TARGET_CHARS_MAX} characters");
        return Err(Problem::invalid("target_id", text));
    }
    let (after, before) = (pages::after::<AuditId>(page_token)?, first_at("before", filter.before)?);
    let page = audit::Page {
        of,
        target_id: filter.target_id.as_deref(),
        first: first_at("since", filter.since)?,
        end: match (after, before) {
            (Some(after), Some(before)) => Some(after.min(before)),
            (end, None) | (None, end) => end,
        },
        limit: limit + 1,
    };
    let records = audit::list(&mut store.reader().await?, &page).await?;
    Ok(pages::cut(records, limit, |record| record.id))
}

/// The first id of a second: ids grow with time.
fn first_at(field: &str, seconds: Option<i64>) -> Result<Option<AuditId>, Problem> {
    match seconds {
        Some(seconds) if !(0..=SECOND_MAX).contains(&seconds) => {
            let text = format!("{field} must be a time in seconds, from 0 to {SECOND_MAX}");
            Err(Problem::invalid(field, text))
        }
        seconds => Ok(seconds.map(|seconds| AuditId::first_at(UnixMicros::from_seconds(seconds)))),
    }
}

/// Shows a record.
pub fn show(record: Record) -> schema::AuditRecord {
    // What was written is an object; what is not is not shown rather than shown wrongly.
    let object = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    schema::AuditRecord {
        id: record.id.to_string(),
        created_at: record.created_at.as_seconds(),
        actor: schema::Actor { kind: record.actor_kind, id: record.actor_id, name: record.actor_name },
        action: record.action,
        target: schema::Target { kind: record.target_kind, id: record.target_id },
        before: object(record.before),
        after: object(record.after),
        request_id: record.request_id,
        application_id: record.application_id.map(|id| id.to_string()),
        organization_id: record.organization_id.to_string(),
    }
}
