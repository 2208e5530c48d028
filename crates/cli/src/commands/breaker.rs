//! `postfleet breaker`: the lines that a workspace draws before those of the platform.

use super::names::WORKSPACE;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Column, Kind};
use crate::session::Session;
use serde_json::{Value, json};

const METRICS: [&str; 7] = [
    "bounce_rate",
    "complaint_rate",
    "rejection_rate",
    "sends_per_hour",
    "new_recipients_per_day",
    "repeated_content",
    "replies_per_thread_per_day",
];
const ACTIONS: [&str; 4] = ["alert", "throttle", "hold", "pause"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists the breakers of a workspace beside the lines of the platform
    List(Of),
    /// Sets a breaker; one of the same metric with the same action is replaced
    Set(Set),
    /// Removes breakers: those of a metric, or all
    Remove(Remove),
}

/// Of a workspace.
#[derive(clap::Args)]
pub struct Of {
    /// The workspace: id, name or domain
    workspace: String,
}

/// A breaker.
#[derive(clap::Args)]
pub struct Set {
    #[command(flatten)]
    of: Of,
    /// What is measured of each mailbox
    #[arg(value_parser = METRICS)]
    metric: String,
    /// The line: percent of a rate, a number of the others
    threshold: f64,
    /// What follows
    #[arg(long, value_parser = ACTIONS)]
    action: String,
    /// Messages in an hour, with --action throttle
    #[arg(long, value_name = "N")]
    throttle_to: Option<u64>,
    /// Recipients of which a rate must be before it says anything; 100 if it is not said
    #[arg(long, value_name = "N")]
    min_volume: Option<u64>,
    /// Keep it without letting it count
    #[arg(long)]
    disabled: bool,
}

/// What to remove.
#[derive(clap::Args)]
pub struct Remove {
    #[command(flatten)]
    of: Of,
    /// Only those of this metric
    #[arg(value_parser = METRICS, required_unless_present = "all")]
    metric: Option<String>,
    /// All of them
    #[arg(long, conflicts_with = "metric")]
    all: bool,
}

const COLUMNS: &[Column] = &[
    Column("metric", "/metric", Kind::Text),
    Column("line", "/threshold", Kind::Text),
    Column("of at least", "/min_volume", Kind::Text),
    Column("action", "/action", Kind::Text),
    Column("to", "/throttle_to", Kind::Text),
    Column("on", "/enabled", Kind::Flag),
    Column("review", "/platform/review", Kind::Text),
    Column("pause", "/platform/pause", Kind::Text),
    Column("worst", "/worst/0/email", Kind::Text),
    Column("now", "/worst/0/value", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List(Of { workspace }) => {
            let workspace = WORKSPACE.id(&api, &workspace).await?;
            let answer = api.get(&["workspaces", &workspace, "breakers"]).await?.data();
            show(session, &answer)
        }
        Verb::Set(arguments) => set(arguments, &api, session).await,
        Verb::Remove(arguments) => remove(arguments, &api, session).await,
    }
}

fn show(session: &mut Session<'_, '_>, answer: &Value) -> Outcome {
    if session.is_json() {
        return session.print_json(answer);
    }
    let breakers = answer["breakers"].as_array().cloned().unwrap_or_default();
    session.print_table(&output::table(COLUMNS, &breakers))
}

/// The breakers that there are, as they are set.
async fn present(api: &Api, workspace: &str) -> Result<Vec<Value>, Failure> {
    const SET: [&str; 6] = ["metric", "threshold", "min_volume", "action", "throttle_to", "enabled"];
    let answer = api.get(&["workspaces", workspace, "breakers"]).await?.data();
    let breakers = answer["breakers"].as_array().cloned().unwrap_or_default();
    let as_set = |breaker: &Value| SET.iter().map(|name| ((*name).to_owned(), breaker[*name].clone())).collect();
    Ok(breakers.iter().map(as_set).map(Value::Object).collect())
}

async fn set(arguments: Set, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let workspace = WORKSPACE.id(api, &arguments.of.workspace).await?;
    let mut breakers = present(api, &workspace).await?;
    let new = json!({
        "metric": arguments.metric,
        "threshold": arguments.threshold,
        "min_volume": arguments.min_volume,
        "action": arguments.action,
        "throttle_to": arguments.throttle_to,
        "enabled": !arguments.disabled,
    });
    let is_same = |one: &Value| one["metric"] == new["metric"] && one["action"] == new["action"];
    match breakers.iter_mut().find(|one| is_same(one)) {
        Some(same) => *same = new,
        None => breakers.push(new),
    }
    let answer = api.put(&["workspaces", &workspace, "breakers"], &json!({"breakers": breakers})).await?;
    show(session, &answer.data())
}

async fn remove(arguments: Remove, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let workspace = WORKSPACE.id(api, &arguments.of.workspace).await?;
    let Some(metric) = arguments.metric else {
        let answer = api.delete(&["workspaces", &workspace, "breakers"]).await?;
        return session.done("removed all breakers", answer);
    };
    let mut breakers = present(api, &workspace).await?;
    breakers.retain(|one| one["metric"] != metric.as_str());
    let answer = api.put(&["workspaces", &workspace, "breakers"], &json!({"breakers": breakers})).await?;
    show(session, &answer.data())
}
