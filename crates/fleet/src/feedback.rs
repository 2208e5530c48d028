//! What came back about messages that were sent: reading the records.

use crate::pages::{self, Page};
use postfleet_core::Problem;
use postfleet_core::bounce::BounceType;
use postfleet_core::id::{FeedbackId, GrantId};
use postfleet_schema::feedback::FeedbackReport;
use postfleet_store::Store;
use postfleet_store::feedback::{self, Record};

/// A page of a mailbox's records, or of those that could be assigned to none; newest first.
pub async fn list(
    store: &Store,
    grant_id: Option<GrantId>,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<FeedbackReport>, Problem> {
    let before = pages::after::<FeedbackId>(cursor)?;
    let found = feedback::list(&mut store.reader().await?, grant_id, before, limit + 1).await?;
    Ok(pages::cut(found, limit, |record| record.id).map(|record| show(grant_id, record)))
}

fn show(grant_id: Option<GrantId>, record: Record) -> FeedbackReport {
    let kind = record.bounce_type.as_deref();
    let known = kind.and_then(|name| BounceType::ALL.into_iter().find(|kind| kind.name() == name));
    FeedbackReport {
        id: record.id.to_string(),
        object: "feedback_report",
        grant_id: grant_id.map(|id| id.to_string()),
        message_id: record.message_id.map(|id| id.to_string()),
        report_message_id: record.report_id.map(|id| id.to_string()),
        kind: record.kind,
        outcome: record.outcome,
        reason: record.reason,
        recipient: Some(record.recipient).filter(|recipient| !recipient.is_empty()),
        bounce_class: known.map(|kind| kind.class().name().to_owned()),
        bounce_type: record.bounce_type,
        status: record.status,
        diagnostic_code: record.diagnostic,
        reporter: record.reporter,
        reported_at: record.reported_at.as_seconds(),
    }
}
