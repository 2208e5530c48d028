//! `postfleet org`: organizations and their plans, with an operator's key.

use super::Pages;
use super::body::{not_empty, put};
use super::names::ORGANIZATION;
use crate::failure::Outcome;
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists organizations: all for the installation's operator, else the own one
    List(Pages),
    /// Shows an organization
    #[command(visible_alias = "show")]
    Get(One),
    /// Makes an organization, for the installation's operator
    Create(Create),
    /// Changes an organization; a plan is given by the installation's operator
    Update(Update),
    /// Lists the plans with what they allow
    Plans,
}

/// An organization.
#[derive(clap::Args)]
pub struct One {
    /// Its id or name
    org: String,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// Its plan: `postfleet org plans` lists them
    #[arg(long)]
    plan: Option<String>,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// Its plan
    #[arg(long)]
    plan: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("plan", "/plan", Kind::Text),
    Column("mailboxes", "/grant_count", Kind::Count),
    Column("in plan", "/allowances/grants_max", Kind::Count),
    Column("made", "/created_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("plan", "/plan", Kind::Text),
    Column("mailboxes", "/grant_count", Kind::Count),
    Column("mailboxes in plan", "/allowances/grants_max", Kind::Count),
    Column("rules at most", "/allowances/rules_max", Kind::Count),
    Column("lists at most", "/allowances/lists_max", Kind::Count),
    Column("storage in plan, bytes", "/allowances/storage_bytes_max", Kind::Count),
    Column("sends a month in plan", "/allowances/monthly_sends_max", Kind::Count),
    Column("sends a day and mailbox", "/allowances/limits/limit_count_daily_email_sent", Kind::Count),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

const PLANS: &[Column] = &[
    Column("plan", "/name", Kind::Text),
    Column("mailboxes", "/grants_max", Kind::Count),
    Column("rules", "/rules_max", Kind::Count),
    Column("lists", "/lists_max", Kind::Count),
    Column("storage", "/storage_bytes_max", Kind::Count),
    Column("sends a month", "/monthly_sends_max", Kind::Count),
    Column("a day and mailbox", "/limits/limit_count_daily_email_sent", Kind::Count),
];

const ADMIN: &str = "admin";
const ALL: &str = "organizations";

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.operator()?;
    match verb {
        Verb::List(pages) => {
            let things = api.list(&[ADMIN, ALL], &[], pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { org }) => {
            let id = ORGANIZATION.id(&api, &org).await?;
            let answer = api.get(&[ADMIN, ALL, &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Create(Create { name, plan }) => {
            let mut body = Map::new();
            put(&mut body, "name", Some(name));
            put(&mut body, "plan", plan);
            let answer = api.post(&[ADMIN, ALL], &Value::Object(body)).await?;
            session.show(FIELDS, answer)
        }
        Verb::Update(Update { one, name, plan }) => {
            let mut body = Map::new();
            put(&mut body, "name", name);
            put(&mut body, "plan", plan);
            let body = not_empty(body)?;
            let id = ORGANIZATION.id(&api, &one.org).await?;
            let answer = api.patch(&[ADMIN, ALL, &id], &body).await?;
            session.show(FIELDS, answer)
        }
        Verb::Plans => {
            let things = api.list(&[ADMIN, "plans"], &[], None).await?;
            session.show_list(PLANS, things)
        }
    }
}
