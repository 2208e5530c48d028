//! `/v3/lists` and their items.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, BULK_OCTETS_MAX, IMPORT_OCTETS_MAX, Pieces, Query, json, text_format};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::ListId;
use postfleet_fleet::lists::{self, Import, ItemsQuery, Mode};
use postfleet_schema::list::{CreateList, List, ListImport, ListItem, ListItems, UpdateList};

const PAGE_TOKEN: Parameter = Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before.");

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = list_routes();
    routes.extend(item_routes());
    routes
}

fn list_routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, i64::MAX), "How many at most; 10 if absent, and never above 200."),
        PAGE_TOKEN,
    ];
    const CHANGE: (&str, &str) =
        ("Change a list", "Its name and description; what is absent stays. The type cannot be changed.");
    vec![
        Route::get("/v3/lists", "lists.read", list).about("List lists", "Newest first.").query(LIST).lists::<List>(),
        Route::post("/v3/lists", "lists.write", create)
            .about("Make a list", "It has no items. The plan says how many lists an organization may have.")
            .takes::<CreateList>()
            .creates::<List>(),
        Route::get("/v3/lists/{list}", "lists.read", find).about("Find a list", "").answers::<List>(),
        Route::put("/v3/lists/{list}", "lists.write", update)
            .about(CHANGE.0, CHANGE.1)
            .takes::<UpdateList>()
            .answers::<List>(),
        Route::patch("/v3/lists/{list}", "lists.write", update)
            .about(CHANGE.0, CHANGE.1)
            .takes::<UpdateList>()
            .answers::<List>(),
        Route::delete("/v3/lists/{list}", "lists.write", remove)
            .about("Remove a list", "With its items. Rules that look something up in it find nothing from then on."),
    ]
}

fn item_routes() -> Vec<Route> {
    const ITEMS: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, i64::MAX), "How many at most; 200 if absent, and never above 1,000."),
        PAGE_TOKEN,
        Parameter::new("value", Kind::Text, "Only the item of this value, in any spelling, if it is there."),
    ];
    const IMPORT: &[Parameter] = &[Parameter::new(
        "mode",
        Kind::OneOf(Mode::NAMES),
        "`add`, if absent; `replace` also removes what the text does not have.",
    )];
    vec![
        Route::get("/v3/lists/{list}/items", "lists.read", items)
            .about("List items of a list", "In the order in which they were added.")
            .query(ITEMS)
            .lists::<ListItem>(),
        Route::post("/v3/lists/{list}/items", "lists.write", add_items)
            .about(
                "Add items to a list",
                "All of them, or none if one is wrong. Those that are there already are passed over. The very next \
                 message is judged by them.",
            )
            .takes::<ListItems>()
            .answers::<List>(),
        Route::delete("/v3/lists/{list}/items", "lists.write", remove_items)
            .about(
                "Remove items from a list",
                "All of them, or none if one is wrong. Those that are not there are passed over.",
            )
            .takes::<ListItems>()
            .answers::<List>(),
        Route::post("/v3/lists/{list}/import", "lists.write", import)
            .about(
                "Import items into a list",
                "One value in each line, or the first column of CSV; blank lines and those that begin with `#` are \
                 passed over, and lines that are no item of the list's type are refused each for itself. At most 64 \
                 MiB. Items are added 1,000 at a time while the text comes: if it breaks off, those that came are \
                 there, and importing again does no harm. `replace` removes the others at the end, unless a line was \
                 refused or there was none.",
            )
            .query(IMPORT)
            .takes_text()
            .answers::<ListImport>(),
    ]
}

/// Lists of a page at most. A larger `limit` is taken as this: clients of the hosted service know no maximum.
const PAGE_MAX: usize = 200;

/// Items of a page at most.
const ITEMS_PAGE_MAX: usize = 1_000;

/// `GET /v3/lists`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let limit = query.limit(10, usize::MAX >> 1)?.min(PAGE_MAX);
    let page = lists::list(&call.platform.store, call.application, limit, query.get("page_token")).await?;
    let page = page.map(|list| lists::show(&list));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `POST /v3/lists`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateList = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = lists::create(&platform.store, &*platform.entropy, act, application, request).await?;
    Ok(respond::created(&id, lists::show(&made)))
}

/// `GET /v3/lists/{list}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = lists::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, lists::show(&found)))
}

/// `PUT /v3/lists/{list}`, and `PATCH`.
pub(crate) async fn update(call: Call) -> Answer {
    let (list, act): (ListId, _) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateList = json(&parts, body, BODY_OCTETS_MAX).await?;
    let changed = lists::update(&platform.store, act, application, list, request).await?;
    Ok(respond::single(&id, lists::show(&changed)))
}

/// `DELETE /v3/lists/{list}`
pub(crate) async fn remove(call: Call) -> Answer {
    lists::remove(&call.platform.store, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}

/// `GET /v3/lists/{list}/items`
pub(crate) async fn items(call: Call) -> Answer {
    let list: ListId = call.id_at(0)?;
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let limit = query.limit(200, usize::MAX >> 1)?.min(ITEMS_PAGE_MAX);
    let wanted = ItemsQuery { limit, page_token: given("page_token"), value: given("value") };
    let page = lists::items(&call.platform.store, call.application, list, wanted).await?;
    let page = page.map(|item| lists::show_item(list, &item));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `POST /v3/lists/{list}/items`
pub(crate) async fn add_items(call: Call) -> Answer {
    let (list, act): (ListId, _) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: ListItems = json(&parts, body, BULK_OCTETS_MAX).await?;
    let changed = lists::add_items(&platform.store, &*platform.entropy, act, application, list, request).await?;
    Ok(respond::single(&id, lists::show(&changed)))
}

/// `DELETE /v3/lists/{list}/items`
pub(crate) async fn remove_items(call: Call) -> Answer {
    let (list, act): (ListId, _) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: ListItems = json(&parts, body, BULK_OCTETS_MAX).await?;
    let changed = lists::remove_items(&platform.store, act, application, list, request).await?;
    Ok(respond::single(&id, lists::show(&changed)))
}

/// `POST /v3/lists/{list}/import`
pub(crate) async fn import(call: Call) -> Answer {
    let act = call.act();
    let list = lists::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    let Call { platform, id, parts, body, .. } = call;
    let query = Query::of(&parts)?;
    let mode = query.get("mode").filter(|mode| !mode.is_empty()).map_or(Some(Mode::Add), Mode::named);
    let mode = mode.ok_or_else(|| Problem::invalid("mode", "mode must be add or replace"))?;
    let format = text_format(&parts)?;
    let mut import = Import::begin(&platform.store, &*platform.entropy, act, list, (format, mode));
    let mut pieces = Pieces::of(&parts, body, IMPORT_OCTETS_MAX)?;
    while let Some(piece) = pieces.next().await? {
        import.take(&piece).await?;
    }
    Ok(respond::single(&id, import.end().await?))
}
