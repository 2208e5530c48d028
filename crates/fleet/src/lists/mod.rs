//! Lists in which rules look things up: reading what a request wants, carrying it out, and showing what there is.

mod import;

pub use crate::lines::Format;
pub use import::{Import, Mode};

use crate::input;
use crate::pages::{self, Page};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ListId, ListItemId};
use postfleet_core::list::{ITEMS_MAX, ListKind, normalize};
use postfleet_core::{Patch, Problem, plan};
use postfleet_net::Entropy;
use postfleet_schema::list as schema;
use postfleet_store::Store;
use postfleet_store::lists::{
    self, AddItems, CreateList, CreateOutcome, Item, ItemsOutcome, List, NewItem, Position, RemoveItems, RemoveList,
    UpdateList, UpdateOutcome,
};

/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 1_024;

/// Makes a list without items.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    request: schema::CreateList,
) -> Result<List, Problem> {
    let name = input::name("name", &request.name)?;
    let description = description(request.description)?;
    let kind = ListKind::named(&request.kind);
    let kind = kind.ok_or_else(|| Problem::invalid("type", "type must be domain, tld or address"))?;
    let id = ListId::new(act.at, entropy.ten());
    match store.run(CreateList { act, id, application_id, name, description, kind }).await? {
        CreateOutcome::Created(list) => Ok(list),
        CreateOutcome::TooMany(cap) => Err(plan::cap_reached("lists_max_reached", "lists", cap)),
        CreateOutcome::ApplicationGone => Err(Problem::not_found()),
    }
}

/// Changes a list's name and description; what the request does not name stays.
pub async fn update(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    id: ListId,
    request: schema::UpdateList,
) -> Result<List, Problem> {
    let current = find(store, application_id, id).await?;
    let name = match request.name {
        Patch::Keep => None,
        Patch::Clear => Some(input::name("name", "")?),
        Patch::Set(text) => Some(input::name("name", &text)?),
    };
    let description = match request.description {
        Patch::Set(text) => description(Some(text))?.map_or(Patch::Clear, Patch::Set),
        patch => patch,
    };
    if let Some(wanted) = request.kind.filter(|wanted| wanted != current.kind.name()) {
        let text = format!("type cannot be changed: the list is one of type {}, not {wanted}", current.kind.name());
        return Err(Problem::invalid("type", text));
    }
    match store.run(UpdateList { act, application_id, id, name, description }).await? {
        UpdateOutcome::Written(list) => Ok(list),
        UpdateOutcome::NotFound => Err(Problem::not_found()),
    }
}

fn description(text: Option<String>) -> Result<Option<String>, Problem> {
    if let Some(text) = &text {
        input::text("description", text, DESCRIPTION_CHARS_MAX)?;
    }
    Ok(text)
}

/// Removes a list and its items. Rules that look something up in it find nothing there from then on.
pub async fn remove(store: &Store, act: Act, application_id: ApplicationId, id: ListId) -> Result<(), Problem> {
    let removed = store.run(RemoveList { act, application_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// One list of an application.
pub async fn find(store: &Store, application: ApplicationId, id: ListId) -> Result<List, Problem> {
    let found = lists::find(&mut store.reader().await?, application, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// A page of an application's lists, newest first.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    limit: usize,
    page_token: Option<&str>,
) -> Result<Page<List>, Problem> {
    let before = pages::after(page_token)?;
    let found = lists::list(&mut store.reader().await?, application, before, limit + 1).await?;
    Ok(pages::cut(found, limit, |list| list.id))
}

/// Which items are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ItemsQuery<'a> {
    /// How many at most.
    pub limit: usize,
    /// Where the page goes on.
    pub page_token: Option<&'a str>,
    /// Only the item of this value.
    pub value: Option<&'a str>,
}

/// A page of a list's items, those that were added first at the beginning.
pub async fn items(
    store: &Store,
    application: ApplicationId,
    id: ListId,
    query: ItemsQuery<'_>,
) -> Result<Page<Item>, Problem> {
    let list = find(store, application, id).await?;
    let mut reader = store.reader().await?;
    if let Some(value) = query.value {
        let value = normalize(list.kind, value).map_err(|error| Problem::invalid("value", format!("value {error}")))?;
        let items = lists::find_item(&mut reader, id, &value).await?.into_iter().collect();
        return Ok(Page { items, next_cursor: None });
    }
    let after = query.page_token.map(read_cursor).transpose()?.unwrap_or_default();
    let found = lists::items(&mut reader, id, &after, query.limit + 1).await?;
    Ok(cut(found, query.limit))
}

fn cut(mut items: Vec<Item>, limit: usize) -> Page<Item> {
    let has_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|item| URL_SAFE_NO_PAD.encode(format!("{}:{}", item.version, item.value)));
    Page { items, next_cursor }
}

fn read_cursor(cursor: &str) -> Result<Position, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    // PostgreSQL takes no text with this character.
    let (version, value) = text.split_once(':').filter(|(_, value)| !value.contains('\0')).ok_or_else(invalid)?;
    Ok(Position { version: version.parse().map_err(|_| invalid())?, value: value.to_owned() })
}

/// Adds items to a list: all of them, or none if one is wrong. Those that are there already stay as they are.
pub async fn add_items(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    application_id: ApplicationId,
    id: ListId,
    request: schema::ListItems,
) -> Result<List, Problem> {
    let kind = find(store, application_id, id).await?.kind;
    let at = act.at;
    let new = |value| NewItem { id: ListItemId::new(at, entropy.ten()), value };
    let items = values(kind, &request.items)?.into_iter().map(new).collect();
    changed(store.run(AddItems { act, application_id, id, items }).await?).map(|(list, _)| list)
}

/// Removes items from a list: all of them, or none if one is wrong. Those that are not there are passed over.
pub async fn remove_items(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    id: ListId,
    request: schema::ListItems,
) -> Result<List, Problem> {
    let kind = find(store, application_id, id).await?.kind;
    let values = values(kind, &request.items)?;
    changed(store.run(RemoveItems { act, application_id, id, values }).await?).map(|(list, _)| list)
}

fn changed(outcome: ItemsOutcome) -> Result<(List, u64), Problem> {
    match outcome {
        ItemsOutcome::Changed { list, changed } => Ok((list, changed)),
        ItemsOutcome::NotFound => Err(Problem::not_found()),
    }
}

/// The values of a request in their one spelling.
fn values(kind: ListKind, items: &[String]) -> Result<Vec<String>, Problem> {
    if items.is_empty() {
        return Err(Problem::invalid("items", format!("items must have 1 to {ITEMS_MAX} values")));
    }
    if items.len() > ITEMS_MAX {
        let count = items.len();
        let text = format!(
            "items must have at most {ITEMS_MAX} values, not {count}; POST /v3/lists/{{list}}/import takes more"
        );
        return Err(Problem::invalid("items", text));
    }
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let field = format!("items[{index}]");
        values.push(normalize(kind, item).map_err(|error| Problem::invalid(&field, format!("{field} {error}")))?);
    }
    Ok(values)
}

/// Shows a list.
pub fn show(list: &List) -> schema::List {
    schema::List {
        id: list.id.to_string(),
        name: list.name.clone(),
        description: list.description.clone(),
        kind: list.kind.name(),
        items_count: list.items_count,
        application_id: list.application_id.to_string(),
        organization_id: list.organization_id.to_string(),
        created_at: list.created_at.as_seconds(),
        updated_at: list.updated_at.as_seconds(),
    }
}

/// Shows an item of a list.
pub fn show_item(list: ListId, item: &Item) -> schema::ListItem {
    schema::ListItem {
        id: item.id.to_string(),
        list_id: list.to_string(),
        value: item.value.clone(),
        created_at: item.created_at.as_seconds(),
    }
}
