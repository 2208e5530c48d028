//! What the rules said about messages: reading the records of a mailbox.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::Problem;
use postfleet_core::id::{EvaluationId, GrantId, MessageId};
use postfleet_schema::evaluation::RuleEvaluation;
use postfleet_store::Store;
use postfleet_store::evaluations::{self, Page, Record};
use serde::de::DeserializeOwned;

/// A page of a mailbox's records, newest first, and the cursor of the next one.
pub async fn list(
    store: &Store,
    grant_id: GrantId,
    message: Option<&str>,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<RuleEvaluation>, Option<String>), Problem> {
    let wrong = |_| Problem::invalid("message_id", "message_id must be the id of a message");
    let message_id = message.map(str::parse::<MessageId>).transpose().map_err(wrong)?;
    let before = cursor.map(read_cursor).transpose()?;
    let page = Page { grant_id, message_id, before, limit: limit + 1 };
    let mut found = evaluations::list(&mut store.reader().await?, page).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| URL_SAFE_NO_PAD.encode(last.id.to_string()));
    Ok((found.iter().map(show).collect::<Result<_, _>>()?, next))
}

fn read_cursor(cursor: &str) -> Result<EvaluationId, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    std::str::from_utf8(&text).ok().and_then(|id| id.parse().ok()).ok_or_else(invalid)
}

fn show(record: &Record) -> Result<RuleEvaluation, Problem> {
    let evaluated_at = record.evaluated_at.as_seconds();
    Ok(RuleEvaluation {
        id: record.id.to_string(),
        grant_id: record.grant_id.to_string(),
        application_id: record.application_id.to_string(),
        organization_id: record.organization_id.to_string(),
        message_id: record.message_id.map(|id| id.to_string()),
        evaluated_at,
        evaluation_stage: record.stage.clone(),
        evaluation_input: parsed(&record.input)?,
        applied_actions: parsed(&record.applied)?,
        matched_rule_ids: parsed(&record.matched)?,
        shadow: parsed(&record.shadow)?,
        created_at: evaluated_at,
        updated_at: evaluated_at,
    })
}

/// What the store keeps as JSON, in the shape of the interface.
fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(Problem::internal)
}
