//! `postfleet queue destinations`: the domains to which mail goes, as a whole.

use super::super::Pages;
use super::route;
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists destinations that fail, have mail waiting, or were paused or rerouted
    List(All),
    /// Shows a destination
    #[command(visible_alias = "show")]
    Get(One),
    /// Keeps everything from being attempted there
    Pause(One),
    /// Lets a paused destination go on
    Resume(One),
    /// Tries one of its messages now, although it is left alone
    Retry(One),
    /// Sends its mail to another server
    Reroute(Reroute),
}

/// Which to list.
#[derive(clap::Args)]
pub struct All {
    /// Only those that fail or are paused
    #[arg(long)]
    closed: bool,
    #[command(flatten)]
    pages: Pages,
}

/// A destination.
#[derive(clap::Args)]
pub struct One {
    /// The domain of recipients
    domain: String,
}

/// Sending its mail elsewhere.
#[derive(clap::Args)]
pub struct Reroute {
    #[command(flatten)]
    one: One,
    /// The server that gets it; "" for the domain's own
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
}

const COLUMNS: &[Column] = &[
    Column("destination", "/name", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("depth", "/depth", Kind::Count),
    Column("waiting", "/waiting", Kind::Count),
    Column("oldest", "/oldest_queued_at", Kind::Time),
    Column("next attempt", "/next_attempt_at", Kind::Time),
    Column("last reply", "/last_reply", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("destination", "/name", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("depth", "/depth", Kind::Count),
    Column("waiting", "/waiting", Kind::Count),
    Column("oldest", "/oldest_queued_at", Kind::Time),
    Column("failures", "/failures", Kind::Count),
    Column("failing since", "/failing_since", Kind::Time),
    Column("next attempt", "/next_attempt_at", Kind::Time),
    Column("route", "/route", Kind::Text),
    Column("last reply", "/last_reply", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.operator()?;
    match verb {
        Verb::List(All { closed, pages }) => {
            let query: Vec<_> = closed.then(|| ("closed", "true".to_owned())).into_iter().collect();
            let things = api.list(&["admin", "destinations"], &query, pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { domain }) => {
            let answer = api.get(&["admin", "destinations", &domain]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Pause(one) => change(&one, json!({"paused": true}), "is paused", session).await,
        Verb::Resume(one) => change(&one, json!({"paused": false}), "goes on", session).await,
        Verb::Retry(One { domain }) => {
            let answer = api.post(&["admin", "destinations", &domain, "retry"], &json!({})).await?;
            session.done(&format!("{domain} is tried now"), answer)
        }
        Verb::Reroute(Reroute { one, to }) => {
            let sentence = match to.as_str() {
                "" => "goes to its own servers".to_owned(),
                to => format!("goes to {to}"),
            };
            change(&one, json!({"route": route(&to)}), &sentence, session).await
        }
    }
}

async fn change(one: &One, body: Value, sentence: &str, session: &mut Session<'_, '_>) -> Outcome {
    let answer = session.operator()?.patch(&["admin", "destinations", &one.domain], &body).await?;
    session.done(&format!("{} {sentence}", one.domain), answer)
}
