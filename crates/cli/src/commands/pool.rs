//! `postfleet pool`: mailboxes among which volume is split over their domains.

use super::Consent;
use super::body::{not_empty, put};
use super::names::POOL;
use crate::client::{Answer, Api};
use crate::failure::Outcome;
use crate::output::{Column, Kind, table};
use crate::session::Session;
use serde_json::{Map, Value};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists pools
    List,
    /// Shows a pool, how its mailboxes stand, and what each of them sent lately
    #[command(visible_alias = "show")]
    Get(One),
    /// Makes a pool
    Create(Create),
    /// Changes a pool; what is not said stays
    Update(Update),
    /// Says how a volume would spread over the mailboxes and domains of a pool
    Plan(Plan),
    /// Removes a pool; its mailboxes stay
    Delete(Delete),
}

/// A pool.
#[derive(clap::Args)]
pub struct One {
    /// Its name or id
    pool: String,
}

/// A new pool.
#[derive(clap::Args)]
pub struct Create {
    /// A name for people
    #[arg(long)]
    name: String,
    /// A mailbox of it, several times for several: id or address
    #[arg(long = "agent", value_name = "AGENT", required = true)]
    agents: Vec<String>,
}

/// A change.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// All of its mailboxes, several times for several: id or address
    #[arg(long = "agent", value_name = "AGENT")]
    agents: Vec<String>,
}

/// A volume.
#[derive(clap::Args)]
pub struct Plan {
    #[command(flatten)]
    one: One,
    /// Messages in a day
    #[arg(value_name = "VOLUME", value_parser = clap::value_parser!(u64).range(1..))]
    volume: u64,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("mailboxes", "/grant_ids", Kind::Length),
    Column("made", "/created_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const MEMBERS: &[Column] = &[
    Column("mailbox", "/email", Kind::Text),
    Column("ready", "/is_ready", Kind::Flag),
    Column("why not", "/obstacle", Kind::Text),
    Column("domain", "/health", Kind::Text),
    Column("left today", "/remaining", Kind::Count),
    Column("sent today", "/sent_today", Kind::Count),
    Column("in 7 days", "/sent_lately", Kind::Count),
];

const PLANNED: &[Column] = &[
    Column("mailbox", "/email", Kind::Text),
    Column("messages", "/messages", Kind::Count),
    Column("limit", "/limit", Kind::Count),
    Column("why not", "/obstacle", Kind::Text),
];

const DOMAINS: &[Column] = &[Column("domain", "/domain", Kind::Text), Column("messages", "/messages", Kind::Count)];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List => {
            let things = api.list(&["sender-pools"], &[], None).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { pool }) => {
            let id = POOL.id(&api, &pool).await?;
            details(api.get(&["sender-pools", &id]).await?, session)
        }
        Verb::Create(Create { name, agents }) => {
            let mut body = Map::new();
            put(&mut body, "name", Some(name));
            put(&mut body, "grant_ids", Some(grants(&api, &agents).await?));
            details(api.post(&["sender-pools"], &Value::Object(body)).await?, session)
        }
        Verb::Update(Update { one: One { pool }, name, agents }) => {
            let mut body = Map::new();
            put(&mut body, "name", name);
            let grants = if agents.is_empty() { None } else { Some(grants(&api, &agents).await?) };
            put(&mut body, "grant_ids", grants);
            let (body, id) = (not_empty(body)?, POOL.id(&api, &pool).await?);
            details(api.patch(&["sender-pools", &id], &body).await?, session)
        }
        Verb::Plan(Plan { one: One { pool }, volume }) => {
            let id = POOL.id(&api, &pool).await?;
            plan(
                api.ask(reqwest::Method::GET, &["sender-pools", &id, "plan"], &[("volume", volume.to_string())], None)
                    .await?,
                session,
            )
        }
        Verb::Delete(Delete { one: One { pool }, consent }) => {
            let id = POOL.id(&api, &pool).await?;
            session.confirm(consent.yes, &format!("remove the pool {pool}"))?;
            let answer = api.delete(&["sender-pools", &id]).await?;
            session.done(&format!("removed {pool}; its mailboxes stay"), answer)
        }
    }
}

/// The ids of mailboxes that are named by id or address.
async fn grants(api: &Api, agents: &[String]) -> Result<Vec<String>, crate::failure::Failure> {
    let mut ids = Vec::new();
    for agent in agents {
        let found = api.get(&["grants", agent]).await?.data();
        ids.push(found["id"].as_str().unwrap_or_default().to_owned());
    }
    Ok(ids)
}

fn details(answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    let pool = answer.data();
    if session.is_json() {
        return session.print_json(&pool);
    }
    session.print_table(&table(COLUMNS, std::slice::from_ref(&pool)))?;
    let mut members = pool["members"].as_array().cloned().unwrap_or_default();
    unlimited(&mut members, "remaining");
    session.print_table(&format!("\n{}", table(MEMBERS, &members)))
}

fn plan(answer: Answer, session: &mut Session<'_, '_>) -> Outcome {
    let plan = answer.data();
    if session.is_json() {
        return session.print_json(&plan);
    }
    let mut members = plan["members"].as_array().cloned().unwrap_or_default();
    unlimited(&mut members, "limit");
    session.print_table(&table(PLANNED, &members))?;
    let domains = plan["domains"].as_array().cloned().unwrap_or_default();
    session.print_table(&format!("\n{}", table(DOMAINS, &domains)))?;
    if plan["unsent"] != 0 {
        session.note(&format!("{} of {} could not be sent by anybody", plan["unsent"], plan["volume"]));
    }
    Ok(())
}

/// Without a limit there is as much as one likes.
fn unlimited(members: &mut [Value], field: &str) {
    for member in members.iter_mut().filter(|member| member[field].is_null()) {
        member[field] = (-1).into();
    }
}
