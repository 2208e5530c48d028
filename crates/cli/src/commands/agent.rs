//! `postfleet agent`: mailboxes.

use super::body::{not_empty, put, put_or_clear};
use super::names::{WORKSPACE, is_id};
use super::{Consent, Pages, overview, policy, rule};
use crate::client::{Answer, Api};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, count, parse_time, plain, time};
use crate::session::Session;
use serde_json::{Map, Value, json};

mod import;

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    #[command(flatten)]
    Account(AccountVerb),
    /// The same verbs, where the hosted service's command has them
    #[command(subcommand, hide = true, name = "account")]
    Nested(AccountVerb),
    /// `postfleet policy`, where the hosted service's command has it
    #[command(subcommand, hide = true)]
    Policy(policy::Verb),
    /// `postfleet rule`, where the hosted service's command has it
    #[command(subcommand, hide = true)]
    Rule(rule::Verb),
    /// `postfleet overview`, where the hosted service's command has it
    #[command(hide = true, alias = "tree")]
    Overview(overview::Arguments),
}

/// What may be done with mailboxes.
#[derive(clap::Subcommand)]
pub enum AccountVerb {
    /// Makes a mailbox; one that is there is answered and given what is named anew
    Create(Create),
    /// Lists mailboxes, newest first
    List(List),
    /// Shows a mailbox
    #[command(visible_alias = "show")]
    Get(One),
    /// Changes a mailbox
    Update(Update),
    /// Moves mailboxes into a workspace
    Move(Move),
    /// Removes a mailbox with all that it holds
    Delete(Delete),
    /// Shows the limits that hold for a mailbox, and which of them comes from where
    Limits(One),
    /// Lists what rules said about the mail of a mailbox, newest first
    Evaluations(Evaluations),
    /// Makes many mailboxes from a file
    Import(import::Import),
}

/// A mailbox.
#[derive(clap::Args)]
pub struct One {
    /// Its id or address
    #[arg(value_name = "ID|EMAIL")]
    agent: String,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    /// Its address, on a domain of the organization
    email: String,
    /// The display name of what it sends
    #[arg(long)]
    name: Option<String>,
    /// The password for mail clients, 18 to 40 characters; - reads it from the standard input
    #[arg(long, value_name = "PASSWORD")]
    app_password: Option<String>,
    /// Its workspace: id, name or domain; without it, the one that its domain leads to
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// Text that the mailbox shows again
    #[arg(long)]
    state: Option<String>,
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// That of this address
    #[arg(long)]
    email: Option<String>,
    /// Those in this workspace: id, name or domain
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// Those made then or later: seconds or a date
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Those made before: seconds or a date
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<i64>,
    /// The order
    #[arg(long, value_parser = ["created_at", "updated_at"])]
    sort_by: Option<String>,
    /// Newest or oldest first
    #[arg(long, value_parser = ["desc", "asc"])]
    order_by: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// The display name; "" takes it away
    #[arg(long)]
    name: Option<String>,
    /// The password for mail clients; - reads it from the standard input, "" takes it away
    #[arg(long, value_name = "PASSWORD")]
    app_password: Option<String>,
    /// Text that the mailbox shows again; "" takes it away
    #[arg(long)]
    state: Option<String>,
}

/// Moving some.
#[derive(clap::Args)]
pub struct Move {
    /// Their ids or addresses, up to 500
    #[arg(value_name = "ID|EMAIL", required = true, num_args = 1..=500)]
    agents: Vec<String>,
    /// Where to: id, name or domain
    #[arg(long, value_name = "WORKSPACE")]
    workspace: String,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// What rules said.
#[derive(clap::Args)]
pub struct Evaluations {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    pages: Pages,
}

const COLUMNS: &[Column] = &[
    Column("email", "/email", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("workspace", "/workspace_id", Kind::Text),
    Column("placement", "/placement", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("email", "/email", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("status", "/grant_status", Kind::Text),
    Column("workspace", "/workspace_id", Kind::Text),
    Column("placement", "/placement", Kind::Text),
    Column("app password", "/settings/has_app_password", Kind::Flag),
    Column("state", "/state", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let verb = match verb {
        Verb::Account(verb) | Verb::Nested(verb) => verb,
        Verb::Policy(verb) => return policy::run(verb, session).await,
        Verb::Rule(verb) => return rule::run(verb, session).await,
        Verb::Overview(arguments) => return overview::run(arguments, session).await,
    };
    let api = session.application()?;
    match verb {
        AccountVerb::Create(arguments) => create(arguments, &api, session).await,
        AccountVerb::List(arguments) => list(arguments, &api, session).await,
        AccountVerb::Get(One { agent }) => {
            let answer = api.get(&["grants", &agent]).await?;
            let stop = answer.body["data"]["sending"].clone();
            session.show(FIELDS, answer)?;
            if let Some(id) = stop["stop_id"].as_str() {
                let (kind, reason) = (plain(&stop["kind"]), plain(&stop["reason"]));
                session.note(&format!("it is stopped by a {kind}: {reason}\nhow it ends: postfleet stops {id}"));
            }
            Ok(())
        }
        AccountVerb::Update(arguments) => update(arguments, &api, session).await,
        AccountVerb::Move(arguments) => move_to(arguments, &api, session).await,
        AccountVerb::Delete(arguments) => delete(arguments, &api, session).await,
        AccountVerb::Limits(One { agent }) => limits(&agent, &api, session).await,
        AccountVerb::Evaluations(arguments) => evaluations(arguments, &api, session).await,
        AccountVerb::Import(arguments) => import::run(arguments, &api, session).await,
    }
}

async fn create(arguments: Create, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    body.insert("provider".to_owned(), json!("nylas"));
    put(&mut body, "name", arguments.name);
    put(&mut body, "state", arguments.state);
    if let Some(workspace) = &arguments.workspace {
        body.insert("workspace_id".to_owned(), json!(WORKSPACE.id(api, workspace).await?));
    }
    let mut settings = Map::new();
    settings.insert("email".to_owned(), json!(arguments.email));
    put(&mut settings, "app_password", password(arguments.app_password, session)?);
    body.insert("settings".to_owned(), Value::Object(settings));
    let answer = api.post(&["connect", "custom"], &Value::Object(body)).await?;
    session.show(FIELDS, answer)
}

/// A password that was given, or that stands on the standard input: the command line is seen by others of the machine.
fn password(given: Option<String>, session: &mut Session<'_, '_>) -> Result<Option<String>, Failure> {
    match given.as_deref() {
        Some("-") => Ok(Some(session.read("-")?.trim_end_matches(['\r', '\n']).to_owned())),
        _ => Ok(given),
    }
}

async fn list(arguments: List, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut query = Vec::new();
    if let Some(workspace) = &arguments.workspace {
        query.push(("workspace_id", WORKSPACE.id(api, workspace).await?));
    }
    query.extend(arguments.email.map(|email| ("email", email)));
    query.extend(arguments.since.map(|since| ("since", since.to_string())));
    query.extend(arguments.before.map(|before| ("before", before.to_string())));
    query.extend(arguments.sort_by.map(|sort_by| ("sort_by", sort_by)));
    query.extend(arguments.order_by.map(|order_by| ("order_by", order_by)));
    let things = api.offset_list(&["grants"], &query, arguments.pages.most()).await?;
    session.show_list(COLUMNS, things)
}

async fn update(arguments: Update, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put_or_clear(&mut body, "name", arguments.name.as_deref());
    put_or_clear(&mut body, "state", arguments.state.as_deref());
    if let Some(password) = password(arguments.app_password, session)? {
        let mut settings = Map::new();
        put_or_clear(&mut settings, "app_password", Some(&password));
        body.insert("settings".to_owned(), Value::Object(settings));
    }
    let body = not_empty(body)?;
    let answer = api.patch(&["grants", &arguments.one.agent], &body).await?;
    session.show(FIELDS, answer)
}

async fn move_to(arguments: Move, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let workspace = WORKSPACE.id(api, &arguments.workspace).await?;
    let body = json!({"assign_grants": arguments.agents});
    let answer = api.post(&["workspaces", &workspace, "manual-assign"], &body).await?;
    let moved = answer.body["data"]["grants_assigned"].as_array().map_or(0, Vec::len);
    session.done(&format!("moved {moved} of {} into {}", arguments.agents.len(), arguments.workspace), answer)
}

async fn delete(arguments: Delete, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let agent = arguments.one.agent;
    session.confirm(arguments.consent.yes, &format!("remove the mailbox {agent} with all that it holds"))?;
    let answer = api.delete(&["grants", &agent]).await?;
    session.done(&format!("removed {agent}"), answer)
}

async fn limits(agent: &str, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let answer = api.get(&["grants", agent, "limits"]).await?;
    if session.is_json() {
        return session.print_json(&answer.data());
    }
    let data = answer.data();
    session.print_table(&limits_table(&data))?;
    session.print(&format!("\n{}\n", daily_sends(&data)))
}

/// The limits that hold, each with its source.
pub fn limits_table(data: &Value) -> String {
    let limits = data["limits"].as_object();
    let rows: Vec<Value> = limits
        .into_iter()
        .flatten()
        .map(|(name, limit)| {
            let value = &limit["value"];
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            let value = if is_empty { "any".to_owned() } else { count(value) };
            json!({"name": name, "value": value, "source": limit["source"]})
        })
        .collect();
    let columns = [
        Column("limit", "/name", Kind::Text),
        Column("value", "/value", Kind::Count),
        Column("source", "/source", Kind::Text),
    ];
    crate::output::table(&columns, &rows)
}

/// What is used of the day's sends.
pub fn daily_sends(data: &Value) -> String {
    let sends = &data["daily_sends"];
    let remaining = match &sends["remaining"] {
        Value::Null => "no limit".to_owned(),
        remaining => format!("{} left", plain(remaining)),
    };
    let resets_at = sends["resets_at"].as_i64().map(time).unwrap_or_default();
    format!("sent today: {}, {remaining}, anew at {resets_at}", plain(&sends["used"]))
}

async fn evaluations(arguments: Evaluations, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let columns = [
        Column("at", "/evaluated_at", Kind::Time),
        Column("stage", "/evaluation_stage", Kind::Text),
        Column("from", "/evaluation_input/from_address", Kind::Text),
        Column("did", "/did", Kind::Text),
        Column("rules", "/matched_rule_ids", Kind::Text),
        Column("would do", "/would_do", Kind::Text),
        Column("message", "/message_id", Kind::Text),
    ];
    let path = ["grants", &arguments.one.agent, "rule-evaluations"];
    let mut things = api.list(&path, &[], arguments.pages.most()).await?;
    if !session.is_json() {
        for thing in &mut things.items {
            thing["did"] = json!(applied(&thing["applied_actions"]));
            thing["would_do"] = json!(applied(&thing["shadow"]["actions"]));
        }
    }
    session.show_list(&columns, things)
}

/// The names of what was applied; folders with their ids.
fn applied(actions: &Value) -> String {
    let names = actions.as_object().into_iter().flatten().filter_map(|(name, value)| match value {
        Value::Bool(true) => Some(name.clone()),
        Value::Array(folders) if !folders.is_empty() => Some(format!("{name} {}", plain(value))),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A mailbox by id or address.
pub async fn find(api: &Api, agent: &str) -> Result<Value, Failure> {
    if !is_id(agent) && !agent.contains('@') {
        return Err(Failure::Usage(format!("{agent:?} is neither an id nor an address")));
    }
    let answer: Answer = api.get(&["grants", agent]).await?;
    Ok(answer.data())
}
