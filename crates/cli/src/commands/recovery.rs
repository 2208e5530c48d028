//! `postfleet recovery`: coming back from a pause, asked for with cause and fix and decided by an operator.

use super::Pages;
use super::body::put;
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value};

const STATES: [&str; 4] = ["requested", "granted", "refused", "withdrawn"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Asks that a paused mailbox may send again
    Request(Request),
    /// Lists recoveries, newest first: of a mailbox, or (operator) of all
    List(All),
    /// Shows a recovery of a mailbox, with what is missing
    #[command(visible_alias = "get")]
    Show(OfAgent),
    /// Takes a recovery back about which nobody has decided
    Withdraw(OfAgent),
    /// Lifts the pause (operator)
    Grant(Grant),
    /// Lets the pause stay (operator)
    Refuse(Decide),
}

/// What is asked for.
#[derive(clap::Args)]
pub struct Request {
    /// The mailbox: id or address
    agent: String,
    /// Why it came to the pause
    #[arg(long)]
    cause: String,
    /// What was done about it
    #[arg(long)]
    fix: String,
    /// What shows it; may be given up to 10 times
    #[arg(long)]
    evidence: Vec<String>,
}

/// Which to list.
#[derive(clap::Args)]
pub struct All {
    /// Those of this mailbox: id or address
    agent: Option<String>,
    /// Only those that are so
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// A recovery of a mailbox.
#[derive(clap::Args)]
pub struct OfAgent {
    /// The mailbox: id or address
    agent: String,
    /// The recovery's id
    id: String,
}

/// A decision.
#[derive(clap::Args)]
pub struct Decide {
    /// The recovery's id
    id: String,
    /// What is noted with it
    #[arg(long)]
    note: Option<String>,
}

/// That sending goes on.
#[derive(clap::Args)]
pub struct Grant {
    #[command(flatten)]
    decide: Decide,
    /// Although something is missing; the note says why
    #[arg(long, requires = "note")]
    despite_checks: bool,
}

const COLUMNS: &[Column] = &[
    Column("state", "/state", Kind::Text),
    Column("mailbox", "/email", Kind::Text),
    Column("paused", "/paused_since", Kind::Time),
    Column("asked", "/created_at", Kind::Time),
    Column("asked by", "/requested_by/name", Kind::Text),
    Column("cause", "/cause", Kind::Text),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("mailbox", "/email", Kind::Text),
    Column("paused", "/paused_since", Kind::Time),
    Column("cause", "/cause", Kind::Text),
    Column("fix", "/fix", Kind::Text),
    Column("evidence", "/evidence", Kind::Text),
    Column("missing", "/missing", Kind::Text),
    Column("looked at", "/checked_at", Kind::Time),
    Column("asked by", "/requested_by/name", Kind::Text),
    Column("decided by", "/decided_by/name", Kind::Text),
    Column("note", "/note", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    match verb {
        Verb::Request(arguments) => {
            let mut body = Map::new();
            put(&mut body, "cause", Some(arguments.cause));
            put(&mut body, "fix", Some(arguments.fix));
            put(&mut body, "evidence", Some(arguments.evidence));
            let path = ["grants", &arguments.agent, "recoveries"];
            let answer = session.application()?.post(&path, &Value::Object(body)).await?;
            session.show(FIELDS, answer)
        }
        Verb::List(All { agent, state, pages }) => {
            let filters: Vec<_> = state.into_iter().map(|state| ("state", state)).collect();
            let things = match agent.as_deref() {
                Some(agent) => {
                    let path = ["grants", agent, "recoveries"];
                    session.application()?.list(&path, &filters, pages.most()).await?
                }
                None => session.operator()?.list(&["admin", "recoveries"], &filters, pages.most()).await?,
            };
            session.show_list(COLUMNS, things)
        }
        Verb::Show(OfAgent { agent, id }) => {
            let answer = session.application()?.get(&["grants", &agent, "recoveries", &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Withdraw(OfAgent { agent, id }) => {
            let path = ["grants", &agent, "recoveries", &id, "withdraw"];
            let answer = session.application()?.post(&path, &Value::Object(Map::new())).await?;
            session.show(FIELDS, answer)
        }
        Verb::Grant(Grant { decide: decision, despite_checks }) => {
            decide(decision, "grant", despite_checks, session).await
        }
        Verb::Refuse(decision) => decide(decision, "refuse", false, session).await,
    }
}

async fn decide(decision: Decide, word: &str, despite_checks: bool, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "decision", Some(word));
    put(&mut body, "note", decision.note);
    put(&mut body, "despite_checks", despite_checks.then_some(true));
    let path = ["admin", "recoveries", &decision.id, "decide"];
    let answer = session.operator()?.post(&path, &Value::Object(body)).await?;
    session.show(FIELDS, answer)
}
