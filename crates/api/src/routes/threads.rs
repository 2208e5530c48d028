//! `/v3/grants/{grant}/threads`.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_mailbox::threads;
use postfleet_schema::thread::Thread;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most, and never more than 50; 20 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    ];
    vec![
        Route::get("/v3/grants/{grant}/threads", "messages.read", list)
            .about("List threads", "That with the latest message first.")
            .query(LIST)
            .lists::<Thread>(),
        Route::get("/v3/grants/{grant}/threads/{thread}", "messages.read", find)
            .about("Find a thread", "A conversation with its latest message and the ids of all.")
            .answers::<Thread>(),
    ]
}

/// Threads of a page at most: a larger `limit` is taken as this, since the clients' documents promise 200.
const PAGE_MAX: usize = 50;

/// What a list of threads cannot be narrowed to yet. Whoever asks for it must not take all threads for those.
const NOT_YET: &[&str] = &[
    "any_email",
    "to",
    "from",
    "cc",
    "bcc",
    "subject",
    "in",
    "unread",
    "starred",
    "has_attachment",
    "thread_id",
    "latest_message_before",
    "latest_message_after",
    "earliest_message_date",
    "search_query_native",
    "q",
];

fn refuse_filters(query: &Query) -> Result<(), Problem> {
    match NOT_YET.iter().find(|name| query.get(name).is_some_and(|value| !value.is_empty())) {
        Some(name) => Err(Problem::invalid(name, format!("{name}: threads cannot be narrowed by it yet"))),
        None => Ok(()),
    }
}

/// `GET /v3/grants/{grant}/threads`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    refuse_filters(&query)?;
    let grant = call.grant().await?;
    let limit = query.limit(20, 200)?.min(PAGE_MAX);
    let cursor = query.get("page_token").filter(|token| !token.is_empty());
    let select = query.list("select");
    let with_body = select.is_empty() || select.iter().any(|field| field == "latest_draft_or_message");
    let (threads, next) = threads::list(&call.platform.store, grant.id, limit, cursor, with_body).await?;
    Ok(respond::page(&call.id, threads, next))
}

/// `GET /v3/grants/{grant}/threads/{thread}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.grant().await?;
    let thread = threads::find(&call.platform.store, grant.id, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, thread))
}
