//! `postfleet alert`: who is told by e-mail or chat when a quota is crossed, a raise asked for or somebody stopped.

use super::Consent;
use super::body::put;
use super::names::WORKSPACE;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value, json};

const TRIGGERS: [&str; 16] = [
    "quota.warning",
    "quota.reached",
    "quota.exceeded",
    "raise.requested",
    "recovery.requested",
    "raise.decided",
    "recovery.decided",
    "sending.stopped",
    "sending.resumed",
    "breaker.tripped",
    "domain.endangered",
    "reputation.changed",
    "alert.triggered",
    "webhook.failing",
    "webhook.failed",
    "webhook.resumed",
];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists who is told
    List,
    /// Tells an address by mail, or a chat by its incoming webhook
    Add(Add),
    /// Tells somebody at once that this is a test
    Test(One),
    /// Lists the lines that are drawn for rates of what is sent, and what they found last
    Rules,
    /// Draws a line for a rate: alert.triggered is announced when it is crossed
    Watch(Watch),
    /// Takes such a line away
    Unwatch(Remove),
    /// Tells somebody nothing more
    #[command(visible_alias = "delete")]
    Remove(Remove),
}

/// Who is to be told.
#[derive(clap::Args)]
pub struct Add {
    /// To this address, by mail
    #[arg(long, value_name = "ADDRESS", required_unless_present = "chat", conflicts_with = "chat", requires = "from")]
    email: Option<String>,
    /// The mailbox that sends the mail: id or address
    #[arg(long, value_name = "AGENT")]
    from: Option<String>,
    /// To this chat: the URL of its incoming webhook
    #[arg(long, value_name = "URL")]
    chat: Option<String>,
    /// Of what, several times for several; of quotas and raises that are asked for if it is not said
    #[arg(long = "trigger", value_name = "TRIGGER", value_parser = TRIGGERS)]
    triggers: Vec<String>,
    /// Only of mailboxes of this workspace: id, name or domain
    #[arg(long)]
    workspace: Option<String>,
    /// A text for people
    #[arg(long)]
    description: Option<String>,
}

/// A line that is drawn for a rate.
#[derive(clap::Args)]
pub struct Watch {
    /// Which rate: bounces and complaints from the threshold upwards, deliveries below it
    #[arg(value_parser = METRICS)]
    metric: String,
    /// From where on, as a fraction: 0.05 is 5 %
    #[arg(long, value_name = "FRACTION")]
    threshold: f64,
    /// How many hours are looked back, 1 to 24
    #[arg(long, value_name = "HOURS")]
    window_hours: Option<i64>,
    /// Recipients with a last word that are needed to say anything
    #[arg(long, value_name = "N")]
    min_volume: Option<i64>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
}

/// An alert.
#[derive(clap::Args)]
pub struct One {
    /// The alert's id
    id: String,
}

/// An alert that is removed.
#[derive(clap::Args)]
pub struct Remove {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

const METRICS: [&str; 3] = ["bounce_rate", "complaint_rate", "delivery_rate"];

const RULES: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("metric", "/metric", Kind::Text),
    Column("threshold", "/threshold", Kind::Text),
    Column("hours", "/window_hours", Kind::Count),
    Column("from", "/min_volume", Kind::Count),
    Column("state", "/state", Kind::Text),
    Column("value", "/last_value", Kind::Text),
    Column("of", "/last_volume", Kind::Text),
    Column("told", "/last_triggered_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const COLUMNS: &[Column] = &[
    Column("type", "/type", Kind::Text),
    Column("to", "/to", Kind::Text),
    Column("of", "/trigger_types", Kind::Text),
    Column("workspace", "/workspace_id", Kind::Text),
    Column("description", "/description", Kind::Text),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("type", "/type", Kind::Text),
    Column("address", "/email", Kind::Text),
    Column("from", "/from_grant_id", Kind::Text),
    Column("chat at", "/url_host", Kind::Text),
    Column("of", "/trigger_types", Kind::Text),
    Column("workspace", "/workspace_id", Kind::Text),
    Column("description", "/description", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List => {
            let mut things = api.list(&["alerts"], &[], None).await?;
            if !session.is_json() {
                for thing in &mut things.items {
                    let name = if thing["email"].is_null() { "url_host" } else { "email" };
                    thing["to"] = thing[name].clone();
                }
            }
            session.show_list(COLUMNS, things)
        }
        Verb::Rules => {
            let things = api.list(&["alerts", "send"], &[], None).await?;
            session.show_list(RULES, things)
        }
        Verb::Watch(watch) => {
            let mut body = Map::new();
            put(&mut body, "metric", Some(watch.metric));
            put(&mut body, "threshold", Some(watch.threshold));
            put(&mut body, "window_hours", watch.window_hours);
            put(&mut body, "min_volume", watch.min_volume);
            put(&mut body, "name", watch.name);
            let answer = api.post(&["alerts", "send"], &Value::Object(body)).await?;
            session.show(RULES, answer)
        }
        Verb::Unwatch(Remove { one: One { id }, consent }) => {
            session.confirm(consent.yes, &format!("remove the alert rule {id}"))?;
            let answer = api.delete(&["alerts", "send", &id]).await?;
            session.done("its line is not looked at any more", answer)
        }
        Verb::Add(arguments) => add(arguments, &api, session).await,
        Verb::Test(One { id }) => {
            let answer = api.post(&["alerts", &id, "test"], &json!({})).await?;
            if answer.body["data"]["delivered"] == true {
                return session.done("it was taken", answer);
            }
            let why = answer.body["data"]["detail"].as_str().unwrap_or_default();
            Err(Failure::Local(format!("it was not taken: {why}")))
        }
        Verb::Remove(Remove { one: One { id }, consent }) => {
            session.confirm(consent.yes, &format!("remove the alert {id}"))?;
            let answer = api.delete(&["alerts", &id]).await?;
            session.done("it is told of nothing more", answer)
        }
    }
}

async fn add(arguments: Add, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "type", Some(if arguments.chat.is_some() { "chat" } else { "email" }));
    put(&mut body, "email", arguments.email);
    put(&mut body, "from_grant_id", arguments.from);
    put(&mut body, "url", arguments.chat);
    put(&mut body, "trigger_types", (!arguments.triggers.is_empty()).then_some(arguments.triggers));
    if let Some(workspace) = &arguments.workspace {
        put(&mut body, "workspace_id", Some(WORKSPACE.id(api, workspace).await?));
    }
    put(&mut body, "description", arguments.description);
    let answer = api.post(&["alerts"], &Value::Object(body)).await?;
    session.show(FIELDS, answer)
}
