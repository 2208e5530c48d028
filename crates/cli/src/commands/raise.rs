//! `postfleet raise`: higher quotas for a while, asked for by one key and granted by another.

use super::Pages;
use super::body::put;
use super::names::WORKSPACE;
use crate::client::Api;
use crate::failure::Outcome;
use crate::output::{Column, Kind, parse_time};
use crate::session::Session;
use serde_json::{Map, Value};

const STATES: [&str; 5] = ["requested", "granted", "refused", "withdrawn", "ended"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Asks for a higher quota of a mailbox, or of each mailbox of a workspace, for a while
    Request(Request),
    /// Lists raises, newest first
    List(All),
    /// Shows a raise
    #[command(visible_alias = "show")]
    Get(One),
    /// Grants a raise that another key has asked for
    Grant(Decide),
    /// Refuses a raise that another key has asked for
    Refuse(Decide),
    /// Takes a raise back; one that is in force ends at once
    Withdraw(Decide),
}

/// What is asked for.
#[derive(clap::Args)]
pub struct Request {
    /// The mailbox: id or address
    #[arg(required_unless_present = "workspace", conflicts_with = "workspace")]
    agent: Option<String>,
    /// For each mailbox of this workspace: id, name or domain
    #[arg(long)]
    workspace: Option<String>,
    /// Messages that it may send in a day meanwhile
    #[arg(long, value_name = "N")]
    to: u64,
    /// From when on; at once if it is not said
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<i64>,
    /// Until when, at most 31 days
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: i64,
    /// Why
    #[arg(long)]
    reason: String,
}

/// Which to list.
#[derive(clap::Args)]
pub struct All {
    /// Those of this mailbox: id or address
    agent: Option<String>,
    /// Only those that are so now
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// A raise.
#[derive(clap::Args)]
pub struct One {
    /// The raise's id
    id: String,
}

/// A decision.
#[derive(clap::Args)]
pub struct Decide {
    #[command(flatten)]
    one: One,
    /// What is noted with it
    #[arg(long)]
    note: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column("state", "/state", Kind::Text),
    Column("to", "/value", Kind::Count),
    Column("from", "/starts_at", Kind::Time),
    Column("until", "/ends_at", Kind::Time),
    Column("asked by", "/requested_by/name", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("in force", "/is_in_force", Kind::Flag),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("workspace", "/workspace_id", Kind::Text),
    Column("limit", "/limit_name", Kind::Text),
    Column("to", "/value", Kind::Count),
    Column("from", "/starts_at", Kind::Time),
    Column("until", "/ends_at", Kind::Time),
    Column("reason", "/reason", Kind::Text),
    Column("asked by", "/requested_by/name", Kind::Text),
    Column("decided by", "/decided_by/name", Kind::Text),
    Column("note", "/note", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::Request(arguments) => request(arguments, &api, session).await,
        Verb::List(All { agent, state, pages }) => {
            let filters: Vec<_> = state.into_iter().map(|state| ("state", state)).collect();
            let path = agent.as_deref().map_or(vec!["raises"], |agent| vec!["grants", agent, "raises"]);
            let things = api.list(&path, &filters, pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { id }) => {
            let answer = api.get(&["raises", &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Grant(decision) => decide(decision, "grant", &api, session).await,
        Verb::Refuse(decision) => decide(decision, "refuse", &api, session).await,
        Verb::Withdraw(decision) => decide(decision, "withdraw", &api, session).await,
    }
}

async fn request(arguments: Request, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "value", Some(arguments.to));
    put(&mut body, "starts_at", arguments.from);
    put(&mut body, "ends_at", Some(arguments.until));
    put(&mut body, "reason", Some(arguments.reason));
    let (kind, target) = match (arguments.workspace, arguments.agent) {
        (Some(workspace), _) => ("workspaces", WORKSPACE.id(api, &workspace).await?),
        (None, agent) => ("grants", agent.unwrap_or_default()),
    };
    let answer = api.post(&[kind, &target, "raises"], &Value::Object(body)).await?;
    session.show(FIELDS, answer)
}

async fn decide(decision: Decide, verb: &str, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "note", decision.note);
    let answer = api.post(&["raises", &decision.one.id, verb], &Value::Object(body)).await?;
    session.show(FIELDS, answer)
}
