//! `postfleet queue`: what is on its way out, why it is still there, and what to do about it.

mod destinations;
mod inspect;

use super::body::put;
use super::{Consent, Pages};
use crate::client::Api;
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists messages on their way out, newest first
    List(List),
    /// Tells a message's whole life: where it stands and why, every attempt, every reply
    #[command(visible_alias = "show")]
    Inspect(One),
    /// Keeps a message from being attempted
    Pause(One),
    /// Lets a paused message go on
    Resume(One),
    /// Tries a message now, even if its destination is left alone
    Retry(One),
    /// Gives a message up; its sender gets a report
    Bounce(Bounce),
    /// Sends a message to another server (operator)
    Reroute(Reroute),
    /// Destinations: which do not answer, which are paused (operator)
    #[command(subcommand, visible_alias = "dest")]
    Destinations(destinations::Verb),
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// Those with a recipient of this domain
    #[arg(long, value_name = "DOMAIN")]
    destination: Option<String>,
    /// Those of this mailbox: its address or id
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Those with a recipient in this state
    #[arg(long, value_name = "STATE", value_parser = ["paused", "sending", "waiting", "deferred", "queued"])]
    state: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// A message.
#[derive(clap::Args)]
pub struct One {
    /// Its id
    message: String,
}

/// Giving one up.
#[derive(clap::Args)]
pub struct Bounce {
    #[command(flatten)]
    one: One,
    /// What the report to the sender says
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Sending one elsewhere.
#[derive(clap::Args)]
pub struct Reroute {
    #[command(flatten)]
    one: One,
    /// The server that gets it; "" for where its recipients are
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
}

const COLUMNS: &[Column] = &[
    Column("state", "/state", Kind::Text),
    Column("from", "/from", Kind::Text),
    Column("open", "/recipients_open", Kind::Count),
    Column("attempts", "/attempts", Kind::Count),
    Column("accepted", "/queued_at", Kind::Time),
    Column("next attempt", "/next_attempt_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    match verb {
        Verb::List(List { destination, agent, state, pages }) => {
            let mut query = Vec::new();
            query.extend(destination.map(|destination| ("destination", destination)));
            query.extend(agent.map(|agent| ("grant_id", agent)));
            query.extend(state.map(|state| ("state", state)));
            let things = session.application()?.list(&["queue"], &query, pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Inspect(One { message }) => {
            let answer = session.application()?.get(&["queue", &message]).await?;
            inspect::show(answer, session)
        }
        Verb::Pause(One { message }) => act(&message, "pause", "is paused", session).await,
        Verb::Resume(One { message }) => act(&message, "resume", "goes on", session).await,
        Verb::Retry(One { message }) => act(&message, "retry", "is tried now", session).await,
        Verb::Bounce(Bounce { one, reason, consent }) => {
            let question = format!("give up {} and report that to its sender", one.message);
            session.confirm(consent.yes, &question)?;
            let mut body = Map::new();
            put(&mut body, "reason", reason);
            let path = ["queue", &one.message, "bounce"];
            let answer = session.application()?.post(&path, &Value::Object(body)).await?;
            session.done(&format!("{} is given up", one.message), answer)
        }
        Verb::Reroute(Reroute { one, to }) => {
            let api = session.operator()?;
            let answer = api.post(&["admin", "queue", &one.message, "reroute"], &json!({"route": route(&to)})).await?;
            let sentence = match to.as_str() {
                "" => format!("{} goes where its recipients are", one.message),
                to => format!("{} goes to {to}", one.message),
            };
            session.done(&sentence, answer)
        }
        Verb::Destinations(verb) => destinations::run(verb, session).await,
    }
}

/// Where to, or null for nowhere else.
fn route(to: &str) -> Value {
    if to.is_empty() { Value::Null } else { Value::from(to) }
}

async fn act(message: &str, verb: &str, sentence: &str, session: &mut Session<'_, '_>) -> Outcome {
    let api: Api = session.application()?;
    let answer = api.post(&["queue", message, verb], &json!({})).await?;
    session.done(&format!("{message} {sentence}"), answer)
}
