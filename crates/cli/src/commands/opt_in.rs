//! `postfleet opt-in`: asking somebody whether they want mail for a purpose, and the proof of what they said.

use super::body::put;
use super::{Consent, Pages};
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value};

const STATES: [&str; 6] = ["pending", "confirmed", "declined", "withdrawn", "not_sent", "expired"];

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Asks somebody by mail whether they want mail for a purpose
    Request(Request),
    /// Lists who was asked, newest first
    List(All),
    /// Shows the proof of one
    #[command(visible_alias = "get")]
    Show(One),
    /// Takes back what somebody agreed to, or was asked
    Withdraw(Withdraw),
}

/// Whom to ask about what.
#[derive(clap::Args)]
pub struct Request {
    /// The mailbox that asks: id or address
    agent: String,
    /// Whom to ask
    email: String,
    /// What they agree to, as the mail and the page show it
    #[arg(long)]
    purpose: String,
    /// What they are called
    #[arg(long)]
    name: Option<String>,
    /// A page that is offered after confirming: https://...
    #[arg(long, value_name = "URL")]
    redirect_url: Option<String>,
}

/// Which to list.
#[derive(clap::Args)]
pub struct All {
    /// Only those that are so now
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    /// Only those for exactly this purpose
    #[arg(long)]
    purpose: Option<String>,
    /// Only those of this address
    #[arg(long)]
    email: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// One of them.
#[derive(clap::Args)]
pub struct One {
    /// Its id
    id: String,
}

/// One that is taken back.
#[derive(clap::Args)]
pub struct Withdraw {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column("email", "/email", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("asked", "/asked_at", Kind::Time),
    Column("confirmed", "/confirmed/at", Kind::Time),
    Column("purpose", "/purpose", Kind::Text),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("email", "/email", Kind::Text),
    Column("state", "/state", Kind::Text),
    Column("purpose", "/purpose", Kind::Text),
    Column("text", "/text", Kind::Text),
    Column("SHA-256 of it", "/text_sha256", Kind::Text),
    Column("mailbox", "/grant_id", Kind::Text),
    Column("message", "/message_id", Kind::Text),
    Column("asked", "/asked_at", Kind::Time),
    Column("ends", "/expires_at", Kind::Time),
    Column("confirmed", "/confirmed/at", Kind::Time),
    Column("from", "/confirmed/ip", Kind::Text),
    Column("with", "/confirmed/user_agent", Kind::Text),
    Column("declined", "/declined/at", Kind::Time),
    Column("withdrawn", "/withdrawn_at", Kind::Time),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::Request(Request { agent, email, purpose, name, redirect_url }) => {
            let mut body = Map::new();
            put(&mut body, "email", Some(email));
            put(&mut body, "purpose", Some(purpose));
            put(&mut body, "name", name);
            put(&mut body, "redirect_url", redirect_url);
            let answer = api.post(&["grants", &agent, "opt-ins"], &Value::Object(body)).await?;
            session.show(FIELDS, answer)
        }
        Verb::List(All { state, purpose, email, pages }) => {
            let filters = [("state", state), ("purpose", purpose), ("email", email)];
            let filters: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let things = api.list(&["opt-ins"], &filters, pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Show(One { id }) => {
            let answer = api.get(&["opt-ins", &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Withdraw(Withdraw { one: One { id }, consent }) => {
            session.confirm(consent.yes, &format!("take back opt-in {id}"))?;
            let answer = api.delete(&["opt-ins", &id]).await?;
            session.show(FIELDS, answer)
        }
    }
}
