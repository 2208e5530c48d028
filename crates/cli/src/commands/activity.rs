//! `postfleet activity`: what became of what was sent, recipient by recipient.

use super::Pages;
use super::names::is_id;
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, parse_time};
use crate::session::Session;

const TYPES: [&str; 5] = ["accepted", "delivered", "bounced", "complaint", "rejected"];
const CLASSES: [&str; 3] = ["hard", "soft", "undetermined"];

/// Which to show.
#[derive(clap::Args)]
pub struct Arguments {
    /// One of them in full, by its id
    #[arg(value_name = "EVENT")]
    event: Option<String>,
    /// Only what this mailbox sent: id or address; the id, if it is gone
    #[arg(long, value_name = "ID|EMAIL")]
    agent: Option<String>,
    /// Only these, several times for several
    #[arg(long = "type", value_name = "TYPE", value_parser = TYPES)]
    types: Vec<String>,
    /// Only failures of this class
    #[arg(long, value_parser = CLASSES)]
    class: Option<String>,
    /// Only of this address
    #[arg(long, value_name = "EMAIL")]
    recipient: Option<String>,
    /// Only of addresses of this domain
    #[arg(long, value_name = "DOMAIN")]
    recipient_domain: Option<String>,
    /// Only what mailboxes of this domain sent
    #[arg(long, value_name = "DOMAIN")]
    sending_domain: Option<String>,
    /// Only what was sent from this address, whichever mailbox had it
    #[arg(long, value_name = "EMAIL")]
    from: Option<String>,
    /// Only of this message
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// Only of messages of this thread
    #[arg(long, value_name = "ID")]
    thread: Option<String>,
    /// Then or later; the last seven days if it is not said
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Before this
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Option<i64>,
    #[command(flatten)]
    pages: Pages,
}

const COLUMNS: &[Column] = &[
    Column("at", "/timestamp", Kind::Time),
    Column("what", "/event_type", Kind::Text),
    Column("class", "/bounce_class", Kind::Text),
    Column("from", "/from", Kind::Text),
    Column("recipient", "/recipient", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("message", "/message_id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("at", "/timestamp", Kind::Time),
    Column("what", "/event_type", Kind::Text),
    Column("class", "/bounce_class", Kind::Text),
    Column("why", "/detail/bounce_subtype", Kind::Text),
    Column("status", "/detail/status", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("from", "/from", Kind::Text),
    Column("recipient", "/recipient", Kind::Text),
    Column("out of time", "/detail/expired", Kind::Flag),
    Column("told later", "/detail/late", Kind::Flag),
    Column("counts against the sender", "/detail/counted", Kind::Flag),
    Column("why not", "/detail/not_counted_because", Kind::Text),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("message", "/message_id", Kind::Text),
    Column("thread", "/thread_id", Kind::Text),
];

/// Shows it.
pub async fn run(arguments: Arguments, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    if let Some(event) = &arguments.event {
        let answer = api.get(&["activity", "send", event]).await?;
        return session.show(FIELDS, answer);
    }
    let most = arguments.pages.most();
    let query = query(arguments, &api).await?;
    let things = api.list(&["activity", "send"], &query, most).await?;
    session.show_list(COLUMNS, things)
}

async fn query(arguments: Arguments, api: &Api) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut query: Vec<_> = arguments.types.into_iter().map(|kind| ("event_type", kind)).collect();
    let texts = [
        ("bounce_class", arguments.class),
        ("recipient", arguments.recipient),
        ("recipient_domain", arguments.recipient_domain),
        ("sending_domain", arguments.sending_domain),
        ("from", arguments.from),
        ("message_id", arguments.message),
        ("thread_id", arguments.thread),
        ("start", arguments.since.map(|time| time.to_string())),
        ("end", arguments.before.map(|time| time.to_string())),
    ];
    query.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if let Some(agent) = &arguments.agent {
        query.push(("grant_id", mailbox(api, agent).await?));
    }
    Ok(query)
}

/// The id of a mailbox; an id is taken as it is, since the mailbox may be gone.
async fn mailbox(api: &Api, agent: &str) -> Result<String, Failure> {
    if is_id(agent) {
        return Ok(agent.to_owned());
    }
    let found = api.get(&["grants", agent]).await?;
    Ok(found.body["data"]["id"].as_str().unwrap_or_default().to_owned())
}
