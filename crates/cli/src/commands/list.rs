//! `postfleet list`: domains, last labels or addresses in which rules look things up.

mod import;

use super::body::{not_empty, put, put_or_clear};
use super::names::LIST;
use super::{Consent, Pages};
use crate::client::{Answer, Api};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, Kind, counted};
use crate::session::Session;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// How many items one request takes.
const AT_ONCE: usize = 1_000;

/// What may be done.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists the lists
    List(Pages),
    /// Shows a list, without its items
    #[command(visible_alias = "show")]
    Get(One),
    /// Shows the items of a list
    Items(Items),
    /// Makes a list
    Create(Create),
    /// Changes the name or the description of a list
    Update(Update),
    /// Removes a list with its items; rules that look into it match nothing there any more
    Delete(Delete),
    /// Puts items into a list; those that are there already stay
    Add(Change),
    /// Fills a list from a file, however long, and says which of its lines are no items
    Import(import::Import),
    /// Takes items out of a list; those that are not there are passed over
    Remove(Change),
}

/// A list.
#[derive(clap::Args)]
pub struct One {
    /// Its id or name
    list: String,
}

/// Its items.
#[derive(clap::Args)]
pub struct Items {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    pages: Pages,
}

/// Making one.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    #[arg(long)]
    name: String,
    /// What its items are; it stays
    #[arg(long = "type", value_name = "TYPE", value_parser = ["domain", "tld", "address"])]
    kind: String,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// An item; may be given several times
    #[arg(long = "item", value_name = "ITEM")]
    items: Vec<String>,
    /// A file with an item in each line; - is the standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<String>,
}

/// Changing one.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    one: One,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// What it is for; "" takes it away
    #[arg(long)]
    description: Option<String>,
}

/// Removing one.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    consent: Consent,
}

/// Items that come or go.
#[derive(clap::Args)]
pub struct Change {
    #[command(flatten)]
    one: One,
    /// The items
    #[arg(value_name = "ITEM", required_unless_present = "file")]
    items: Vec<String>,
    /// A file with an item in each line; - is the standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column("name", "/name", Kind::Text),
    Column("type", "/type", Kind::Text),
    Column("items", "/items_count", Kind::Count),
    Column("changed", "/updated_at", Kind::Time),
    Column("id", "/id", Kind::Text),
];

const FIELDS: &[Column] = &[
    Column("id", "/id", Kind::Text),
    Column("name", "/name", Kind::Text),
    Column("type", "/type", Kind::Text),
    Column("description", "/description", Kind::Text),
    Column("items", "/items_count", Kind::Count),
    Column("made", "/created_at", Kind::Time),
    Column("changed", "/updated_at", Kind::Time),
];

const ITEMS: &[Column] = &[Column("item", "/value", Kind::Text), Column("since", "/created_at", Kind::Time)];

/// Runs a verb.
pub async fn run(verb: Verb, session: &mut Session<'_, '_>) -> Outcome {
    let api = session.application()?;
    match verb {
        Verb::List(pages) => {
            let things = api.list(&["lists"], &[], pages.most()).await?;
            session.show_list(COLUMNS, things)
        }
        Verb::Get(One { list }) => {
            let id = LIST.id(&api, &list).await?;
            let answer = api.get(&["lists", &id]).await?;
            session.show(FIELDS, answer)
        }
        Verb::Items(Items { one, pages }) => {
            let id = LIST.id(&api, &one.list).await?;
            let things = api.list(&["lists", &id, "items"], &[], pages.most()).await?;
            session.show_list(ITEMS, things)
        }
        Verb::Create(arguments) => create(arguments, &api, session).await,
        Verb::Update(Update { one, name, description }) => {
            let mut body = Map::new();
            put(&mut body, "name", name);
            put_or_clear(&mut body, "description", description.as_deref());
            let body = not_empty(body)?;
            let id = LIST.id(&api, &one.list).await?;
            let answer = api.put(&["lists", &id], &body).await?;
            session.show(FIELDS, answer)
        }
        Verb::Delete(Delete { one, consent }) => {
            let id = LIST.id(&api, &one.list).await?;
            session.confirm(consent.yes, &format!("remove the list {} with its items", one.list))?;
            let answer = api.delete(&["lists", &id]).await?;
            session.done(&format!("removed {}", one.list), answer)
        }
        Verb::Add(change) => apply(change, Method::POST, &api, session).await,
        Verb::Import(arguments) => import::run(arguments, &api, session).await,
        Verb::Remove(change) => apply(change, Method::DELETE, &api, session).await,
    }
}

async fn create(arguments: Create, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let items = items(arguments.items, arguments.file.as_deref(), session)?;
    let mut body = Map::new();
    put(&mut body, "name", Some(arguments.name));
    put(&mut body, "type", Some(arguments.kind));
    put(&mut body, "description", arguments.description);
    let made = api.post(&["lists"], &Value::Object(body)).await?;
    let id = made.body["data"]["id"].as_str().unwrap_or_default().to_owned();
    match change(api, Method::POST, &id, &items, session).await {
        Ok(filled) => session.show(FIELDS, filled.unwrap_or(made)),
        Err(failure) => {
            let what =
                if api.delete(&["lists", &id]).await.is_ok() { "is taken back" } else { "could not be taken back" };
            session.warn(&format!("the list {id} was made without all of its items, and {what}"));
            Err(failure)
        }
    }
}

async fn apply(arguments: Change, method: Method, api: &Api, session: &mut Session<'_, '_>) -> Outcome {
    let items = items(arguments.items, arguments.file.as_deref(), session)?;
    let id = LIST.id(api, &arguments.one.list).await?;
    let Some(answer) = change(api, method, &id, &items, session).await? else {
        return Err(Failure::Usage("no items: name some, or a file that has some".to_owned()));
    };
    let sentence = format!("{} has {}", arguments.one.list, items_of(&answer.body["data"]));
    session.done(&sentence, answer)
}

/// How many items a list has, in words.
pub fn items_of(list: &Value) -> String {
    counted(list["items_count"].as_u64().unwrap_or(0) as usize, "item")
}

/// Adds or removes items, as many at once as the interface takes; answers the last answer.
async fn change(
    api: &Api,
    method: Method,
    list: &str,
    items: &[String],
    session: &mut Session<'_, '_>,
) -> Result<Option<Answer>, Failure> {
    let mut last = None;
    for (index, chunk) in items.chunks(AT_ONCE).enumerate() {
        let body = json!({"items": chunk});
        match api.ask(method.clone(), &["lists", list, "items"], &[], Some(&body)).await {
            Ok(answer) => last = Some(answer),
            Err(failure) => {
                if index > 0 {
                    session.note(&format!(
                        "the first {} of {} items were taken; the refusal counts from there",
                        index * AT_ONCE,
                        items.len()
                    ));
                }
                return Err(failure);
            }
        }
    }
    Ok(last)
}

/// Items that were typed and those of a file. Empty lines and those that begin with `#` say nothing.
pub(super) fn items(
    mut typed: Vec<String>,
    file: Option<&str>,
    session: &mut Session<'_, '_>,
) -> Result<Vec<String>, Failure> {
    if let Some(path) = file {
        let text = session.read(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        typed.extend(lines.map(str::to_owned));
    }
    Ok(typed)
}
