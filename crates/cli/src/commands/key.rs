//! `postfleet key`: the keys of applications and of operators, with an operator's key. A key is shown once, when it is made
//! or rotated.

use super::body::put;
use super::names::is_id;
use super::{Consent, Pages, app};
use crate::client::{Answer, Api};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value, json};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists keys, newest first, with those that have ended
    List(List),
    /// Makes a key and shows it, once
    Create(Create),
    /// Says what may be sent with a key from now on: what is named, and nothing else is limited
    Limit(Limit),
    /// Gives a key another secret and shows it, once
    Rotate(Rotate),
    /// Ends a key: the next request with it is refused
    #[command(visible_alias = "delete")]
    Revoke(Revoke),
}

/// Whose keys.
#[derive(clap::Args)]
pub struct Owner {
    /// Keys of this application: id or name; without it, the application that the own key belongs to
    #[arg(long, value_name = "APP", conflicts_with = "operator")]
    app: Option<String>,
    /// Keys of operators instead
    #[arg(long)]
    operator: bool,
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    pages: Pages,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    #[command(flatten)]
    owner: Owner,
    /// What it is for
    #[arg(long)]
    name: String,
    /// Days until it ends, 1 to 3650; without it, it does not end
    #[arg(long, value_name = "DAYS")]
    expires_in: Option<i64>,
    /// What it may do, such as grants.read or *.read; may be given several times; without it, as much as the key that makes it
    #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Vec<String>,
    #[command(flatten)]
    capabilities: Capabilities,
    /// The organization whose operator it is for
    #[arg(long, value_name = "ID", requires = "operator")]
    organization: Option<String>,
    /// A key of the installation's operator
    #[arg(long, requires = "operator")]
    installation: bool,
}

/// What may be sent with a key of an application.
#[derive(clap::Args)]
pub struct Capabilities {
    /// What may be sent with it: all, replies (answers to what was received), thread_recipients (such answers, to those in the conversation), none
    #[arg(long, value_name = "WHAT", value_parser = ["all", "replies", "thread_recipients", "none"])]
    sending: Option<String>,
    /// A domain that may be written to, and no other; may be given several times
    #[arg(long = "recipient-domain", value_name = "DOMAIN", value_delimiter = ',')]
    recipient_domains: Vec<String>,
    /// Addresses that may be written to on a day although nothing was sent to them with the key before
    #[arg(long, value_name = "N")]
    new_recipients_per_day: Option<u64>,
    /// Nothing may be attached
    #[arg(long)]
    no_attachments: bool,
}

impl Capabilities {
    /// As a request has them; `None` if none is limited.
    fn body(self) -> Option<Value> {
        let mut body = Map::new();
        put(&mut body, "sending", self.sending);
        put(&mut body, "recipient_domains", Some(self.recipient_domains).filter(|domains| !domains.is_empty()));
        put(&mut body, "new_recipients_per_day", self.new_recipients_per_day);
        put(&mut body, "attachments", self.no_attachments.then_some(json!(false)));
        (!body.is_empty()).then_some(Value::Object(body))
    }
}

/// What a key may be changed to.
#[derive(clap::Args)]
pub struct Limit {
    /// Its id or name
    #[arg(value_name = "KEY")]
    which: String,
    /// Keys of this application: id or name; without it, the application that the own key belongs to
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    #[command(flatten)]
    capabilities: Capabilities,
}

/// A new secret.
#[derive(clap::Args)]
pub struct Rotate {
    /// Its id or name
    #[arg(value_name = "KEY")]
    which: String,
    #[command(flatten)]
    owner: Owner,
    /// How long the secret before stays good, at most 604800
    #[arg(long, value_name = "SECONDS")]
    overlap_seconds: Option<i64>,
}

/// An end.
#[derive(clap::Args)]
pub struct Revoke {
    /// Its id or name
    #[arg(value_name = "KEY")]
    which: String,
    #[command(flatten)]
    owner: Owner,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("begins with", "/hint", Kind::Text),
    Column("status", "/status", Kind::Text),
    Column("may", "/permissions", Kind::Text),
    Column("used", "/last_used_at", Kind::Time),
    Column("ends", "/expires_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("may", "/permissions", Kind::Text),
    Column("sends", "/capabilities/sending", Kind::Text),
    Column("to domains", "/capabilities/recipient_domains", Kind::Text),
    Column("new recipients a day", "/capabilities/new_recipients_per_day", Kind::Count),
    Column("attachments", "/capabilities/attachments", Kind::Flag),
    Column("status", "/status", Kind::Text),
    Column("ends", "/expires_at", Kind::Time),
    Column("key", "/api_key", Kind::Text),
];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.operator()?;
    match verb {
        Verb::List(List { owner, pages }) => {
            let path = owner.path(&api, session).await?;
            let things = api.list(&segments(&path), &[], pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Create(arguments) => create(arguments, &api, session).await,
        Verb::Limit(Limit { which, app, capabilities }) => {
            let mut path = Owner { app, operator: false }.path(&api, session).await?;
            path.push(id(&api, &path, &which).await?);
            let body = json!({"capabilities": capabilities.body()});
            let answer = api.patch(&segments(&path), &body).await?;
            session.show(FIELDS, answer)
        }
        Verb::Rotate(Rotate { which, owner, overlap_seconds }) => {
            let mut path = owner.path(&api, session).await?;
            path.push(id(&api, &path, &which).await?);
            path.push("rotate".to_owned());
            let mut body = Map::new();
            put(&mut body, "overlap_seconds", overlap_seconds);
            let answer = api.post(&segments(&path), &Value::Object(body)).await?;
            show_once(answer, session)
        }
        Verb::Revoke(Revoke { which, owner, consent }) => {
            let mut path = owner.path(&api, session).await?;
            path.push(id(&api, &path, &which).await?);
            session.confirm(consent.yes, &format!("revoke the key {which}: requests with it are refused at once"))?;
            let answer = api.delete(&segments(&path)).await?;
            session.done(&format!("revoked {which}"), answer)
        }
    }
}

async fn create(arguments: Create, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let path = arguments.owner.path(api, session).await?;
    let mut body = Map::new();
    put(&mut body, "name", Some(arguments.name));
    put(&mut body, "expires_in", arguments.expires_in);
    put(&mut body, "permissions", Some(arguments.permissions).filter(|permissions| !permissions.is_empty()));
    if let Some(capabilities) = arguments.capabilities.body() {
        if arguments.owner.operator {
            let text = "--sending, --recipient-domain, --new-recipients-per-day and --no-attachments are for keys of applications";
            return Err(Failure::Usage(text.to_owned()));
        }
        put(&mut body, "capabilities", Some(capabilities));
    }
    put(&mut body, "organization_id", arguments.organization);
    put(&mut body, "installation", arguments.installation.then_some(json!(true)));
    let answer = api.post(&segments(&path), &Value::Object(body)).await?;
    show_once(answer, session)
}

fn show_once(answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    session.show(FIELDS, answer)?;
    session.note("keep the key now: it is not shown again");
    Ok(())
}

impl Owner {
    /// Where the keys are.
    async fn path(&self, api: &Api, session: &Session<'_, '_>) -> Result<Vec<String>, Failure> {
        if self.operator {
            return Ok(vec!["admin".to_owned(), "keys".to_owned()]);
        }
        let id = app::meant(self.app.as_deref(), api, session).await?;
        Ok(vec!["admin".to_owned(), "applications".to_owned(), id, "api-keys".to_owned()])
    }
}

fn segments(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// The id of a key that is called so and has not ended.
async fn id(api: &Api, path: &[String], which: &str) -> Result<String, Failure> {
    if is_id(which) {
        return Ok(which.to_owned());
    }
    let keys = api.list(&segments(path), &[], None).await?.items;
    let called = keys.iter().filter(|key| key["name"] == which && key["status"] != "revoked");
    let ids: Vec<&str> = called.filter_map(|key| key["id"].as_str()).collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::Local(format!("there is no key {which:?}: `postfleet key list` shows those there are"))),
        several => Err(Failure::Usage(format!(
            "several keys are called {which:?}: name one by its id: {}",
            several.join(", ")
        ))),
    }
}
