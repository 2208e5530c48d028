//! `postfleet app`: applications, with an operator's key; the own one with its own key.

use super::body::{not_empty, put};
use super::names::APPLICATION;
use super::{Consent, Pages};
use crate::client::Api;
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind};
use crate::session::Session;
use serde_json::{Map, Value};

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists applications, newest first
    List(List),
    /// Shows an application; without a name, the one that the key belongs to
    #[command(visible_alias = "show")]
    Get(Get),
    /// Makes an application with its default workspace; it has no key yet
    Create(Create),
    /// Changes an application
    Update(Update),
    /// Removes an application without mailboxes, with all that it has
    Delete(Delete),
}

/// Which to list.
#[derive(clap::Args)]
pub struct List {
    /// Those of this organization, for the installation's operator
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

/// An application or the own one.
#[derive(clap::Args)]
pub struct Get {
    /// Its id or name
    app: Option<String>,
}

/// An application.
#[derive(clap::Args)]
pub struct One {
    /// Its id or name
    app: String,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// What it is for
    #[arg(long, value_parser = ["sandbox", "staging", "production"])]
    environment: Option<String>,
    /// The organization that it belongs to, for the installation's operator
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_parser = ["sandbox", "staging", "production"])]
    environment: Option<String>,
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
    Column("environment", "/environment", Kind::Text),
    Column("organization", "/organization_id", Kind::Text),
    Column("made", "/created_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("environment", "/environment", Kind::Text),
    Column("organization", "/organization_id", Kind::Text),
    Column("default workspace", "/default_workspace_id", Kind::Text),
    Column("redirect URIs", "/callback_uris", Kind::Length),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

const ADMIN: &str = "admin";
const ALL: &str = "applications";

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    match verb {
        Verb::List(List { organization, pages }) => {
            let query: Vec<_> = organization.map(|id| ("organization_id", id)).into_iter().collect();
            let things = session.operator()?.list(&[ADMIN, ALL], &query, pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(Get { app: None }) => {
            let answer = session.application()?.get(&[ALL]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Get(Get { app: Some(app) }) => {
            let api = session.operator()?;
            let id = APPLICATION.id(&api, &app).await?;
            let answer = api.get(&[ADMIN, ALL, &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Create(arguments) => {
            let mut body = Map::new();
            put(&mut body, "name", Some(&arguments.name));
            put(&mut body, "environment", arguments.environment);
            put(&mut body, "organization_id", arguments.organization);
            let answer = session.operator()?.post(&[ADMIN, ALL], &Value::Object(body)).await?;
            let id = answer.body["data"]["id"].as_str().unwrap_or_default().to_owned();
            session.show(FIELDS, answer)?;
            session.note(&format!("it has no key yet: postfleet key create --app {id} --name <name>"));
            Ok(())
        }
        Verb::Update(Update { one, name, environment }) => {
            let mut body = Map::new();
            put(&mut body, "name", name);
            put(&mut body, "environment", environment);
            let body = not_empty(body)?;
            let api = session.operator()?;
            let id = APPLICATION.id(&api, &one.app).await?;
            let answer = api.patch(&[ADMIN, ALL, &id], &body).await?;
            session.show(FIELDS, answer)
        }
        Verb::Delete(Delete { one, consent }) => {
            let api = session.operator()?;
            let id = APPLICATION.id(&api, &one.app).await?;
            session.confirm(consent.yes, &format!("remove the application {} with all that it has", one.app))?;
            let answer = api.delete(&[ADMIN, ALL, &id]).await?;
            session.done(&format!("removed {}", one.app), answer)
        }
    }
}

/// The id of the application that a command is about: the one that was named, or that of the own key.
pub async fn meant(named: Option<&str>, operator: &Api, session: &Session<'_, '_>) -> Result<String, Failure> {
    if let Some(named) = named {
        return APPLICATION.id(operator, named).await;
    }
    let own =
        session.application().map_err(|_| Failure::Usage("say which application: --app <id or name>".to_owned()))?;
    let data = own.get(&[ALL]).await?.data();
    Ok(data["id"].as_str().unwrap_or_default().to_owned())
}
