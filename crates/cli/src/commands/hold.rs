//! `postfleet hold`: sends that wait for their quota, or for somebody to approve them.

use super::body::put;
use super::{Consent, Pages};
use crate::client::{Api, Things};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, counted};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists held sends, newest first
    List(List),
    /// Shows a held send: everyone who would get it, what it says, and the digest that an approval must name
    #[command(visible_alias = "get")]
    Show(One),
    /// Takes held sends back
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
    #[arg(long, value_name = "AGENT")]
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

/// Taking some back.
#[derive(clap::Args)]
pub struct Cancel {
    /// Their ids
    #[arg(value_name = "HOLD", required_unless_present = "agent")]
    holds: Vec<String>,
    /// All that are not over of this mailbox: its address or id
    #[arg(long, value_name = "AGENT", conflicts_with = "holds")]
    agent: Option<String>,
    /// With --agent, only those that are held for this
    #[arg(long, value_parser = REASONS, requires = "agent")]
    held_for: Option<String>,
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

const REASONS: [&str; 5] = ["quota", "rule", "approval", "loop", "breaker"];

/// Mailboxes whose addresses are looked up for a list; of others their ids are shown.
const LOOKED_UP_MAX: usize = 20;

const COLUMNS: &[Column] = &[
    Column("state", "/state", Kind::Text),
    Column("reason", "/reason", Kind::Text),
    Column("mailbox", "/shown", Kind::Text),
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
            let mut things = match agent {
                Some(agent) if open => open_of(&api, &agent, pages.most()).await?,
                Some(agent) => api.list(&["grants", &agent, "holds"], &[], pages.most()).await?,
                None => {
                    let query: Vec<_> = open.then(|| ("open", "true".to_owned())).into_iter().collect();
                    api.list(&["holds"], &query, pages.most()).await?
                }
            };
            if !session.is_json() {
                with_addresses(&mut things.items, &api).await?;
            }
            session.show_list(COLUMNS, things)
        }
        Verb::Show(One { hold }) => {
            let answer = api.get(&["holds", &hold]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Cancel(arguments) => cancel(arguments, &api, session).await,
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

/// Those of a mailbox that are not over.
async fn open_of(api: &Api, agent: &str, most: Option<usize>) -> Result<Things, Failure> {
    let mut things = api.list(&["grants", agent, "holds"], &[], None).await?;
    things.items.retain(|hold| hold["closed_at"].is_null());
    let most = most.unwrap_or(usize::MAX);
    things.has_more = things.items.len() > most;
    things.items.truncate(most);
    Ok(things)
}

/// With the addresses of their mailboxes, as far as those are few.
async fn with_addresses(holds: &mut [Value], api: &Api) -> Result<(), Failure> {
    let mut known: Vec<(Value, Value)> = Vec::new();
    for hold in holds {
        let id = hold["grant_id"].clone();
        if !known.iter().any(|(grant, _)| *grant == id) && known.len() < LOOKED_UP_MAX {
            let found = api.get(&["grants", id.as_str().unwrap_or_default()]).await;
            // A mailbox that is gone is shown by its id.
            let email = found.map_or(Value::Null, |answer| answer.data()["email"].clone());
            known.push((id.clone(), email));
        }
        let email =
            known.iter().find(|(grant, email)| *grant == id && !email.is_null()).map(|(_, email)| email.clone());
        hold["shown"] = email.unwrap_or(id);
    }
    Ok(())
}

async fn cancel(arguments: Cancel, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let Cancel { holds, agent, held_for, consent } = arguments;
    let Some(agent) = agent else {
        session.confirm(consent.yes, &format!("take {} back", holds.join(", ")))?;
        let mut answers = Vec::with_capacity(holds.len());
        for hold in &holds {
            let found = api.get(&["holds", hold]).await?.data();
            let answer = api.delete(&["grants", found["grant_id"].as_str().unwrap_or_default(), "holds", hold]).await?;
            answers.push(answer.data());
            if !session.is_json() {
                session.print(&format!("{hold} is not sent\n"))?;
            }
        }
        // One document: of one hold as it was, of several a list.
        return match (session.is_json(), answers.as_slice()) {
            (false, _) => Ok(()),
            (true, [one]) => session.print_json(one),
            (true, several) => session.print_json(&json!(several)),
        };
    };
    let mut found = open_of(api, &agent, None).await?.items;
    found.retain(|hold| held_for.as_deref().is_none_or(|reason| hold["reason"] == reason));
    let what = counted(found.len(), "held send");
    session.confirm(consent.yes, &format!("take {what} of {agent} back"))?;
    for hold in &found {
        api.delete(&["grants", &agent, "holds", hold["id"].as_str().unwrap_or_default()]).await?;
    }
    if session.is_json() {
        return session.print_json(&json!({"cancelled": found.len()}));
    }
    session.print(&format!("{what} of {agent}: not sent\n"))
}
