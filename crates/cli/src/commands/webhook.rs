//! `postfleet webhook`: which programs are told of events, what became of it, and telling them once more.

use super::body::put;
use super::{Consent, Pages};
use crate::client::Api;
use crate::failure::Outcome;
use crate::output::{Column, Kind, parse_time};
use crate::session::Session;
use clap::ArgGroup;
use serde_json::{Map, Value};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists webhooks
    List,
    /// Shows a webhook: what it is told, and how far it is behind
    #[command(visible_alias = "get")]
    Show(One),
    /// Shows what became of telling a webhook of each event, newest first
    Deliveries(Deliveries),
    /// Shows what was sent to a webhook and what came back, newest first
    Attempts(Attempts),
    /// Shows one attempt, with what was sent
    Attempt(OneAttempt),
    /// Tells a webhook once more: one event, a part of the log, what happened since a time, or what was given up
    Replay(Replay),
    /// Lists the replays of a webhook, newest first
    Replays(One),
    /// Ends a replay
    CancelReplay(CancelReplay),
}

/// A webhook.
#[derive(clap::Args)]
pub struct One {
    /// Its id
    webhook: String,
}

/// Which events.
#[derive(clap::Args)]
pub struct Deliveries {
    #[command(flatten)]
    one: One,
    /// Only those of this trigger
    #[arg(long = "type", value_name = "TRIGGER")]
    kind: Option<String>,
    /// Only those of this mailbox: its id
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// None before this: 2026-03-02T10:00:00Z or unix seconds
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    #[command(flatten)]
    pages: Pages,
}

/// Which attempts.
#[derive(clap::Args)]
pub struct Attempts {
    #[command(flatten)]
    one: One,
    /// Only those of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Only those that were taken, or that were not
    #[arg(long, value_parser = ["taken", "failed"])]
    outcome: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// An attempt.
#[derive(clap::Args)]
pub struct OneAttempt {
    #[command(flatten)]
    one: One,
    /// Its number
    attempt: String,
}

/// What is told once more.
#[derive(clap::Args)]
#[command(group(ArgGroup::new("what").args(["event", "from", "since", "given_up"]).multiple(true).required(true)))]
pub struct Replay {
    #[command(flatten)]
    one: One,
    /// This event
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "since"])]
    event: Option<String>,
    /// From this event on, by its cursor
    #[arg(long, value_name = "CURSOR", conflicts_with = "since")]
    from: Option<String>,
    /// Up to this event, by its cursor
    #[arg(long, value_name = "CURSOR", requires = "from")]
    to: Option<String>,
    /// What happened at this time or later: 2026-03-02T10:00:00Z or unix seconds
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// What happened before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "since")]
    until: Option<i64>,
    /// Only what the webhook has not taken and is not told any more
    #[arg(long)]
    given_up: bool,
    /// Only events of this trigger, several times for several
    #[arg(long = "type", value_name = "TRIGGER")]
    types: Vec<String>,
    /// Only events of this mailbox, by its id, several times for several
    #[arg(long = "grant", value_name = "ID")]
    grants: Vec<String>,
}

/// A replay that is ended.
#[derive(clap::Args)]
pub struct CancelReplay {
    #[command(flatten)]
    one: One,
    /// The replay's id
    replay: String,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column("url", "/webhook_url", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("pending", "/pending", Kind::Count),
    Column("oldest", "/oldest_pending_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("url", "/webhook_url", Kind::Text),
    Column("description", "/description", Kind::Text),
    Column("of", "/trigger_types", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("since", "/status_updated_at", Kind::Time),
    Column("pending", "/pending", Kind::Count),
    Column("oldest", "/oldest_pending_at", Kind::Time),
    Column("compressed", "/compressed_delivery", Kind::Text),
    Column("junk", "/include_junk", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

const DELIVERIES: &[Column] = &[
    Column("happened", "/created_at", Kind::Time),
    Column("type", "/type", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("attempts", "/attempts", Kind::Count),
    Column("why", "/reason", Kind::Text),
    Column("next", "/next_attempt_at", Kind::Time),
    Column("event", "/event_id", Kind::Text),
];

const ATTEMPTS: &[Column] = &[
    Column("when", "/created_at", Kind::Time),
    Column("type", "/type", Kind::Text),
    Column("attempt", "/attempt", Kind::Count),
    Column("outcome", "/outcome", Kind::Text),
    Column("why", "/reason", Kind::Text),
    Column("ms", "/duration_ms", Kind::Text),
    Column("event", "/event_id", Kind::Text),
    Column("number", "/id", Kind::Text),
];

const ATTEMPT: &[Column] = &[
    Column("number", "/id", Kind::Text),
    Column("when", "/created_at", Kind::Time),
    Column("type", "/type", Kind::Text),
    Column("event", "/event_id", Kind::Text),
    Column("replay", "/replay_id", Kind::Text),
    Column("attempt", "/attempt", Kind::Count),
    Column("outcome", "/outcome", Kind::Text),
    Column("why", "/reason", Kind::Text),
    Column("ms", "/duration_ms", Kind::Text),
    Column("to", "/url", Kind::Text),
    Column("bytes", "/request_bytes", Kind::Count),
    Column("SHA-256", "/request_sha256", Kind::Text),
    Column("as sent", "/request_body_is_as_sent", Kind::Text),
    Column("sent", "/request_body", Kind::Text),
    Column("answer", "/answer_body", Kind::Text),
];

const REPLAYS: &[Column] = &[
    Column("begun", "/created_at", Kind::Time),
    Column("status", "/status", Kind::Text),
    Column("told", "/told", Kind::Count),
    Column("not taken", "/not_taken", Kind::Count),
    Column("over", "/ended_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List => {
            let things = api.list(&["webhooks"], &[], None).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Show(One { webhook }) => {
            let answer = api.get(&["webhooks", &webhook]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Deliveries(Deliveries { one, kind, grant, since, pages }) => {
            let given = [("type", kind), ("grant_id", grant), ("since", since.map(|time| time.to_string()))];
            let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let things = api.list(&["webhooks", &one.webhook, "deliveries"], &query, pages.most()).await?;
            session.show_list(DELIVERIES, things)
        }
        Verb::Attempts(Attempts { one, event, outcome, pages }) => {
            let given = [("event_id", event), ("outcome", outcome)];
            let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let things = api.list(&["webhooks", &one.webhook, "attempts"], &query, pages.most()).await?;
            session.show_list(ATTEMPTS, things)
        }
        Verb::Attempt(OneAttempt { one: One { webhook }, attempt }) => {
            let answer = api.get(&["webhooks", &webhook, "attempts", &attempt]).await?;
            session.show(ATTEMPT, answer)
        }
        Verb::Replay(arguments) => replay(arguments, &api, session).await,
        Verb::Replays(One { webhook }) => {
            let things = api.list(&["webhooks", &webhook, "replays"], &[], None).await?;
            session.show_list(REPLAYS, things)
        }
        Verb::CancelReplay(CancelReplay { one: One { webhook }, replay, consent }) => {
            session.confirm(consent.yes, &format!("end the replay {replay}"))?;
            let answer = api.delete(&["webhooks", &webhook, "replays", &replay]).await?;
            session.show(REPLAYS, answer)
        }
    }
}

async fn replay(arguments: Replay, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let Replay { one: One { webhook }, event, from, to, since, until, given_up, types, grants } = arguments;
    let mut body = Map::new();
    put(&mut body, "event_id", event);
    put(&mut body, "from", from);
    put(&mut body, "to", to);
    put(&mut body, "since", since);
    put(&mut body, "until", until);
    put(&mut body, "given_up", given_up.then_some(true));
    put(&mut body, "types", (!types.is_empty()).then_some(types));
    put(&mut body, "grant_ids", (!grants.is_empty()).then_some(grants));
    let answer = api.post(&["webhooks", &webhook, "replay"], &Value::Object(body)).await?;
    session.show(REPLAYS, answer)
}
