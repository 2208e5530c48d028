//! `postfleet policy`: limits below the plan.

use super::body::{Data, not_empty, put};
use super::names::POLICY;
use super::{Consent, Pages};
use crate::client::{Answer, Api};
use crate::failure::Outcome;
use crate::output::{Column, Kind, plain};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists policies, newest first
    List(Pages),
    /// Shows a policy with the limits that hold under it
    #[command(visible_aliases = ["show", "read"])]
    Get(One),
    /// Makes a policy
    Create(Box<Create>),
    /// Changes a policy: what is not named stays
    Update(Box<Update>),
    /// Removes a policy, and takes it from its workspaces
    Delete(Delete),
}

/// A policy.
#[derive(clap::Args)]
pub struct One {
    /// Its id or name
    policy: String,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    limits: Limits,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    limits: Limits,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// The limits. Each takes a number, `unlimited` where the plan has no limit, or `plan` for what the plan allows.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits (a number, `unlimited`, or `plan` for what the plan allows)")]
pub struct Limits {
    /// Messages sent in a UTC day
    #[arg(long, alias = "limit-count-daily-email-sent", value_name = "N", value_parser = limit)]
    daily_sends: Option<Value>,
    /// Messages received in a UTC day
    #[arg(long, alias = "limit-count-daily-message-received", value_name = "N", value_parser = limit)]
    daily_received: Option<Value>,
    /// Bytes that a mailbox keeps
    #[arg(long, alias = "limit-storage-total", value_name = "BYTES", value_parser = limit)]
    storage: Option<Value>,
    /// Bytes of one inbound message
    #[arg(long, alias = "limit-size-total-mime", value_name = "BYTES", value_parser = limit)]
    message_size: Option<Value>,
    /// Bytes of one attachment of an inbound message
    #[arg(long, alias = "limit-attachment-size-limit", value_name = "BYTES", value_parser = limit)]
    attachment_size: Option<Value>,
    /// Attachments of one inbound message
    #[arg(long, alias = "limit-attachment-count-limit", value_name = "N", value_parser = limit)]
    attachment_count: Option<Value>,
    /// Media types that attachments may have, separated by commas, such as application/pdf,image/*
    #[arg(long, alias = "limit-attachment-allowed-types", value_name = "TYPES")]
    attachment_types: Option<String>,
    /// Days that mail outside junk is kept
    #[arg(long, alias = "limit-inbox-retention-period", value_name = "DAYS", value_parser = limit)]
    retention_days: Option<Value>,
    /// Days that junk is kept: fewer than other mail
    #[arg(long, alias = "limit-spam-retention-period", value_name = "DAYS", value_parser = limit)]
    spam_retention_days: Option<Value>,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("sends a day", "/limits/limit_count_daily_email_sent", Kind::Count),
    Column("received a day", "/limits/limit_count_daily_message_received", Kind::Count),
    Column("storage", "/limits/limit_storage_total", Kind::Count),
    Column("days kept", "/limits/limit_inbox_retention_period", Kind::Count),
    Column("days of junk", "/limits/limit_spam_retention_period", Kind::Count),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("sends a day", "/limits/limit_count_daily_email_sent", Kind::Count),
    Column("received a day", "/limits/limit_count_daily_message_received", Kind::Count),
    Column("storage, bytes", "/limits/limit_storage_total", Kind::Count),
    Column("message, bytes", "/limits/limit_size_total_mime", Kind::Count),
    Column("attachment, bytes", "/limits/limit_attachment_size_limit", Kind::Count),
    Column("attachments", "/limits/limit_attachment_count_limit", Kind::Count),
    Column("attachment types", "/limits/limit_attachment_allowed_types", Kind::Allowed),
    Column("days kept", "/limits/limit_inbox_retention_period", Kind::Count),
    Column("days of junk", "/limits/limit_spam_retention_period", Kind::Count),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List(pages) => {
            let things = api.list(&["policies"], &[], pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { policy }) => {
            let id = POLICY.id(&api, &policy).await?;
            let answer = api.get(&["policies", &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Create(arguments) => {
            let Create { name, data, limits } = *arguments;
            let mut body = data.body(session)?;
            put(&mut body, "name", name);
            limits.put(&mut body);
            let answer = api.post(&["policies"], &Value::Object(body)).await?;
            show_with_warnings(answer, session)
        }
        Verb::Update(arguments) => {
            let Update { one, name, data, limits } = *arguments;
            let mut body = data.body(session)?;
            put(&mut body, "name", name);
            limits.put(&mut body);
            let body = not_empty(body)?;
            let id = POLICY.id(&api, &one.policy).await?;
            let answer = api.put(&["policies", &id], &body).await?;
            show_with_warnings(answer, session)
        }
        Verb::Delete(arguments) => delete(arguments, &api, session).await,
    }
}

/// Shows a policy, and what the interface thinks of it.
fn show_with_warnings(answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    let warnings = answer.body["data"]["warnings"].as_array().cloned().unwrap_or_default();
    session.show(FIELDS, answer)?;
    for warning in &warnings {
        session.note(&format!("note: {}", plain(warning)));
    }
    Ok(())
}

async fn delete(arguments: Delete, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let name = arguments.one.policy;
    let id = POLICY.id(api, &name).await?;
    let what = format!("remove the policy {name}; in its workspaces holds what the plan allows");
    session.confirm(arguments.consent.yes, &what)?;
    let answer = api.delete(&["policies", &id]).await?;
    session.done(&format!("removed {name}"), answer)
}

fn limit(text: &str) -> Result<Value, String> {
    match text {
        "plan" => Ok(Value::Null),
        "unlimited" => Ok(json!(-1)),
        number => number.parse::<i64>().map(|number| json!(number)).map_err(|_| {
            "a limit is a number, `unlimited` where the plan has none, or `plan` for what the plan allows".to_owned()
        }),
    }
}

impl Limits {
    fn put(self, body: &mut Map<String, Value>) {
        let types = self.attachment_types.map(|types| match types.as_str() {
            "plan" => Value::Null,
            types => json!(types.split(',').map(str::trim).filter(|one| !one.is_empty()).collect::<Vec<_>>()),
        });
        let said = [
            ("limit_count_daily_email_sent", self.daily_sends),
            ("limit_count_daily_message_received", self.daily_received),
            ("limit_storage_total", self.storage),
            ("limit_size_total_mime", self.message_size),
            ("limit_attachment_size_limit", self.attachment_size),
            ("limit_attachment_count_limit", self.attachment_count),
            ("limit_attachment_allowed_types", types),
            ("limit_inbox_retention_period", self.retention_days),
            ("limit_spam_retention_period", self.spam_retention_days),
        ];
        let mut limits = body.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
        let is_said = said.iter().any(|(_, value)| value.is_some());
        for (field, value) in said {
            put(&mut limits, field, value);
        }
        if is_said {
            body.insert("limits".to_owned(), Value::Object(limits));
        }
    }
}
