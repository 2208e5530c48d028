//! `postfleet feedback`: what came back about messages that a mailbox sent, and what became of it.

use super::Pages;
use crate::client::{Answer, Api};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Value, json};

const KINDS: [&str; 8] = ["bounce", "delay", "delivery", "complaint", "notice", "auto_reply", "challenge", "other"];
const OUTCOMES: [&str; 7] = ["counted", "noted", "replayed", "unmatched", "unsigned", "forged", "expired"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists what came back to a mailbox, newest first
    List(List),
    /// Shows one report in full
    #[command(visible_alias = "get")]
    Show(Show),
    /// Lists what could be assigned to no mailbox, newest first (operator of the installation)
    Unassigned(Pages),
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// The mailbox: its id or address
    #[arg(value_name = "ID|EMAIL")]
    agent: String,
    /// Only reports of this kind
    #[arg(long, value_parser = KINDS)]
    kind: Option<String>,
    /// Only those that this became of
    #[arg(long, value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Only those about this message
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// Which to show.
#[derive(clap::Args)]
pub struct Show {
    /// The mailbox: its id or address
    #[arg(value_name = "ID|EMAIL")]
    agent: String,
    /// The id of the report
    #[arg(value_name = "REPORT")]
    report: String,
}

const COLUMNS: &[Column] = &[
    Column("at", "/reported_at", Kind::Time),
    Column("kind", "/kind", Kind::Text),
    Column("outcome", "/outcome", Kind::Text),
    Column("recipient", "/recipient", Kind::Text),
    Column("class", "/bounce_class", Kind::Text),
    Column("type", "/bounce_type", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("message", "/message_id", Kind::Text),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("at", "/reported_at", Kind::Time),
    Column("kind", "/kind", Kind::Text),
    Column("outcome", "/outcome", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("recipient", "/recipient", Kind::Text),
    Column("class", "/bounce_class", Kind::Text),
    Column("type", "/bounce_type", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("said", "/diagnostic_code", Kind::Text),
    Column("reporter", "/reporter", Kind::Text),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("message", "/message_id", Kind::Text),
    Column("filed as", "/report_message_id", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    match verb {
        Verb::List(arguments) => {
            let api = session.application()?;
            list(arguments, &api, session).await
        }
        Verb::Show(Show { agent, report }) => {
            let api = session.application()?;
            let things = api.list(&["grants", &agent, "feedback"], &[], None).await?;
            let found = things.items.into_iter().find(|one| one["id"] == report.as_str());
            let none = || Failure::Local(format!("{agent} has no report {report}; postfleet feedback list shows all"));
            session.show(FIELDS, Answer { body: json!({ "data": found.ok_or_else(none)? }) })
        }
        Verb::Unassigned(pages) => {
            let api = session.operator()?;
            let things = api.list(&["admin", "feedback"], &[], pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
    }
}

/// The interface has no filters here, so with one all is read, and what is left counts.
async fn list(arguments: List, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let List { agent, kind, outcome, message, pages } = arguments;
    let wanted = [("kind", kind), ("outcome", outcome), ("message_id", message)];
    let is_filtered = wanted.iter().any(|(_, value)| value.is_some());
    let most = if is_filtered { None } else { pages.most() };
    let mut things = api.list(&["grants", &agent, "feedback"], &[], most).await?;
    let is_wanted =
        |thing: &Value| wanted.iter().all(|(field, value)| value.as_deref().is_none_or(|value| thing[*field] == value));
    things.items.retain(is_wanted);
    if let Some(most) = pages.most().filter(|_| is_filtered) {
        things.has_more |= things.items.len() > most;
        things.items.truncate(most);
    }
    session.show_list(COLUMNS, things)
}
