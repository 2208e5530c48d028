//! `postfleet hold`: sends that wait for their quota, or for somebody to approve them.

use super::body::put;
use super::{Consent, Pages};
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists held sends, newest first
    List(List),
    /// Shows a held send: everyone who would get it, what it says, and the digest that an approval must name
    #[command(visible_alias = "get")]
    Show(One),
    /// Takes a held send back
    Cancel(Cancel),
    /// Approves exactly what the digest says, and releases it; not with the key that sent it
    Approve(Approve),
    /// Decides that a send does not leave; not with the key that sent it
    Reject(Reject),
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// Those of this mailbox: its address or id
    #[arg(long, value_name = "AGENT", conflicts_with = "open")]
    agent: Option<String>,
    /// Only those that are not over
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    pages: Pages,
}

/// A hold.
#[derive(clap::Args)]
pub struct One {
    /// Its id
    hold: String,
}

/// Taking one back.
#[derive(clap::Args)]
pub struct Cancel {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// Approving one.
#[derive(clap::Args)]
pub struct Approve {
    #[command(flatten)]
    one: One,
    /// The digest that `show` printed
    #[arg(long, value_name = "DIGEST")]
    digest: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Rejecting one.
#[derive(clap::Args)]
pub struct Reject {
    #[command(flatten)]
    one: One,
    /// Why, for the record and for the sender
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column("state", "/state", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("ends", "/expires_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("message", "/message_id", Kind::Text),
    Column("recipients", "/review/recipients", Kind::Text),
    Column("subject", "/review/message/subject", Kind::Text),
    Column("body", "/review/message/body", Kind::Text),
    Column("attachments", "/review/message/attachments", Kind::Length),
    Column("digest", "/review/digest", Kind::Text),
    Column("decided by", "/decided_by/id", Kind::Text),
    Column("note", "/note", Kind::Text),
    Column("refused", "/refusal/message", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("ends", "/expires_at", Kind::Time),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List(List { agent, open, pages }) => {
            let things = match agent {
                Some(agent) => api.list(&["grants", &agent, "holds"], &[], pages.most()).await?,
                None => {
                    let query: Vec<_> = open.then(|| ("open", "true".to_owned())).into_iter().collect();
                    api.list(&["holds"], &query, pages.most()).await?
                }
            };
            session.show_list(COLUMNS, things)
        }
        Verb::Show(One { hold }) => {
            let answer = api.get(&["holds", &hold]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Cancel(Cancel { one, consent }) => {
            session.confirm(consent.yes, &format!("take {} back", one.hold))?;
            let found = api.get(&["holds", &one.hold]).await?;
            let grant = found.data()["grant_id"].as_str().unwrap_or_default().to_owned();
            let answer = api.delete(&["grants", &grant, "holds", &one.hold]).await?;
            session.done(&format!("{} is not sent", one.hold), answer)
        }
        Verb::Approve(Approve { one, digest, reason }) => {
            let mut body = Map::new();
            put(&mut body, "digest", Some(digest));
            put(&mut body, "reason", reason);
            let answer = api.post(&["holds", &one.hold, "approve"], &Value::Object(body)).await?;
            session.show(FIELDS, answer)
        }
        Verb::Reject(Reject { one, reason }) => {
            let mut body = Map::new();
            put(&mut body, "reason", reason);
            let answer = api.post(&["holds", &one.hold, "reject"], &Value::Object(body)).await?;
            session.show(FIELDS, answer)
        }
    }
}
