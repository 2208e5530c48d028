//! Writing down what the rules said about a message.

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, EvaluationId, GrantId, MessageId, OrganizationId, RuleId};
use postfleet_core::list::ListKind;
use postfleet_core::rule::{Effects, Input, Judgement};
use serde_json::{Map, Value, json};

/// Where a message was judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before the message was there, of its envelope sender.
    SmtpRcpt,
    /// Once it was there, before it was filed.
    InboxProcessing,
    /// Before it was accepted for sending.
    OutboundSend,
}

impl Stage {
    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SmtpRcpt => "smtp_rcpt",
            Self::InboxProcessing => "inbox_processing",
            Self::OutboundSend => "outbound_send",
        }
    }
}

/// That a message was judged.
pub(crate) struct Evaluation<'a> {
    pub id: EvaluationId,
    pub organization_id: OrganizationId,
    pub application_id: ApplicationId,
    pub grant_id: GrantId,
    /// The copy, where there is one.
    pub message_id: Option<MessageId>,
    pub stage: Stage,
    pub input: &'a Input,
    pub judgement: &'a Judgement,
    /// The ids of the folders that rules assigned, as far as there are such folders.
    pub folder_ids: &'a [String],
    pub at: UnixMicros,
}

/// Writes down what the rules said, in the transaction of what followed from it.
pub(crate) async fn record(tx: &mut Tx, evaluation: &Evaluation<'_>) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO rule_evaluations (id, organization_id, application_id, grant_id, message_id, \
        stage, input, applied, matched, shadow, evaluated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let said = describe(evaluation.input, evaluation.judgement);
    let (seen, shadow, matched) = (said.input.to_string(), said.shadow.to_string(), said.matched.to_string());
    let applied = applied(&evaluation.judgement.effects, evaluation.folder_ids).to_string();
    let values = params![
        evaluation.id.uuid(),
        evaluation.organization_id.uuid(),
        evaluation.application_id.uuid(),
        evaluation.grant_id.uuid(),
        evaluation.message_id.map(MessageId::uuid),
        evaluation.stage.name(),
        &seen,
        &applied,
        &matched,
        &shadow,
        evaluation.at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// What rules said, in the shape of the interface.
#[derive(Clone, Debug)]
pub struct Described {
    /// What they saw.
    pub input: Value,
    /// What they do. Folders are named as the rules name them: where there is no mailbox, they have no ids.
    pub applied: Value,
    /// Those that matched.
    pub matched: Value,
    /// What those said that only watch.
    pub shadow: Value,
}

/// Describes what rules said, as records show it.
pub fn describe(input: &Input, judgement: &Judgement) -> Described {
    let effects = &judgement.shadow.effects;
    let shadow = json!({
        "matched_rule_ids": ids(&judgement.shadow.matched_rule_ids),
        "actions": applied(effects, &effects.folders),
    });
    Described {
        input: seen(input),
        applied: applied(&judgement.effects, &judgement.effects.folders),
        matched: ids(&judgement.matched_rule_ids),
        shadow,
    }
}

fn ids(rules: &[RuleId]) -> Value {
    rules.iter().map(RuleId::to_string).collect()
}

/// What the rules saw, as they saw it.
fn seen(input: &Input) -> Value {
    let [address, domain, tld] = input.from().unwrap_or_default();
    let mut shown = json!({"from_address": address, "from_domain": domain, "from_tld": tld});
    if let Some(found) = input.found() {
        shown["from_addresses"] = json!(input.authors().collect::<Vec<_>>());
        shown["authentication"] = json!({"spf": found.spf, "dkim": found.dkim, "dmarc": found.dmarc});
        shown["spam_score"] = json!(found.spam_score as f64 / 100.0);
        shown["suspicion_kinds"] = json!(found.suspicion_kinds);
        shown["marks"] = json!(found.marks);
    }
    if let Some(outbound_type) = input.outbound_type() {
        let values = |kind| input.recipients(kind).collect::<Vec<_>>();
        shown["recipient_addresses"] = json!(values(ListKind::Address));
        shown["recipient_domains"] = json!(values(ListKind::Domain));
        shown["recipient_tlds"] = json!(values(ListKind::Tld));
        shown["outbound_type"] = json!(outbound_type.name());
    }
    shown
}

/// What was done: nothing is there that was not.
fn applied(effects: &Effects, folder_ids: &[String]) -> Value {
    let flags = [
        ("blocked", effects.blocked),
        ("blocked_by_evaluation_error", effects.blocked_by_evaluation_error),
        ("held", effects.held),
        ("marked_as_spam", effects.marked_as_spam),
        ("marked_as_read", effects.marked_as_read),
        ("marked_starred", effects.marked_starred),
        ("archived", effects.archived),
        ("trashed", effects.trashed),
    ];
    let mut shown: Map<String, Value> =
        flags.into_iter().filter(|(_, done)| *done).map(|(key, done)| (key.to_owned(), done.into())).collect();
    if !folder_ids.is_empty() {
        shown.insert("folder_ids".into(), json!(folder_ids));
    }
    Value::Object(shown)
}
