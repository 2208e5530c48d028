//! `/v3/grants/{grant}/threads`.

use crate::call::Call;
use crate::extract::{Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use crate::routes::messages::{HARD_DELETE, SEARCH};
use postfleet_core::Problem;
use postfleet_mailbox::messages::Filter;
use postfleet_mailbox::threads::{self, PageRequest, ThreadFilter};
use postfleet_mailflow::threads as flow;
use postfleet_schema::thread::{Thread, UpdateThread};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most, and never more than 50; 20 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("thread_id", Kind::Text, "A thread's id: this thread, if it is as wanted otherwise."),
        Parameter::new("in", Kind::List, "Folders by their ids or names: a message is in any of them."),
        Parameter::new("unread", Kind::Flag, "A message is unread, or is read."),
        Parameter::new("starred", Kind::Flag, "A message has a star, or has none."),
        Parameter::new("has_attachment", Kind::Flag, "A message has attachments, or has none."),
        Parameter::new("subject", Kind::Text, "Part of the subject of a message, in any case."),
        Parameter::new("from", Kind::List, "Addresses, any of which wrote a message."),
        Parameter::new("to", Kind::List, "Addresses, any of which a message is to."),
        Parameter::new("cc", Kind::List, "Addresses, any of which got a copy."),
        Parameter::new("bcc", Kind::List, "Addresses, any of which got a copy unseen; known only for own mail."),
        Parameter::new("any_email", Kind::List, "At most 25 addresses, any of which is in one of the four."),
        Parameter::new("metadata_pair", Kind::List, "Pairs `key:value`, all of which the metadata of a message has."),
        Parameter::new("search_query_native", Kind::Text, SEARCH),
        Parameter::new("q", Kind::Text, "The same as `search_query_native`, which counts where both are given."),
        Parameter::new("latest_message_before", SECONDS, "Unix seconds: threads whose latest message came earlier."),
        Parameter::new("latest_message_after", SECONDS, "Unix seconds: threads whose latest message came later."),
        Parameter::new(
            "earliest_message_date",
            SECONDS,
            "Unix seconds: threads whose first message came then or later.",
        ),
    ];
    vec![
        Route::get("/v3/grants/{grant}/threads", "messages.read", list)
            .about("List threads", LIST_DETAILS)
            .query(LIST)
            .lists::<Thread>(),
        Route::get(PATH, "messages.read", find)
            .about("Find a thread", "A conversation with its latest message and the ids of all.")
            .answers::<Thread>(),
        Route::put(PATH, "messages.write", update)
            .about("Move or mark a thread", UPDATE_DETAILS)
            .takes::<UpdateThread>()
            .answers::<Thread>(),
        Route::patch(PATH, "messages.write", update)
            .about("Move or mark a thread", UPDATE_DETAILS)
            .takes::<UpdateThread>()
            .answers::<Thread>(),
        Route::delete(PATH, "messages.write", delete).about("Delete a thread", DELETE_DETAILS).query(DELETE),
    ]
}

const SECONDS: Kind = Kind::Integer(i64::MIN, i64::MAX);

const LIST_DETAILS: &str = "That with the latest message first: the one that came in last, or, if none came in, that was sent last. \
    What is asked of messages must all be so of one message or draft of the thread, and dates are those of the thread. As with \
    messages, a filter that few threads pass may give a short page with a `next_cursor`. With `search_query_native`, those come first \
    in which a message fits best, and no more than the best 20,000 messages are looked at.";

const PATH: &str = "/v3/grants/{grant}/threads/{thread}";

const UPDATE_DETAILS: &str = "Every message of the conversation is changed, and each that really changes is told of by a \
    `message.updated`; what comes in meanwhile stays as it is. What is absent stays. Drafts are marked, and stay in `drafts`.";

const DELETE_DETAILS: &str = "Its messages go into the folder `trash`, and nowhere else. Those of a thread that is in `trash` alone, or \
    of any with `hard_delete`, are gone for good. Its drafts stay, and are deleted as drafts.";

const DELETE: &[Parameter] = &[HARD_DELETE];

/// Threads of a page at most: a larger `limit` is taken as this, since the clients' documents promise 200.
const PAGE_MAX: usize = 50;

fn filter(query: &Query) -> Result<ThreadFilter, Problem> {
    // Dates are those of the thread.
    let message = Filter { received_after: None, received_before: None, ..super::messages::filter(query)? };
    Ok(ThreadFilter {
        message,
        latest_before: query.number("latest_message_before")?,
        latest_after: query.number("latest_message_after")?,
        earliest: query.number("earliest_message_date")?,
    })
}

/// `GET /v3/grants/{grant}/threads`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let select = query.list("select");
    let request = PageRequest {
        limit: query.limit(20, 200)?.min(PAGE_MAX),
        cursor: query.get("page_token").filter(|token| !token.is_empty()).map(str::to_owned),
        with_body: select.is_empty() || select.iter().any(|field| field == "latest_draft_or_message"),
    };
    let (threads, next) = threads::list(&call.platform.store, grant, &filter(&query)?, &request).await?;
    Ok(respond::page(&call.id, threads, next))
}

/// Octets of a request to move or mark a thread.
const UPDATE_OCTETS_MAX: usize = 64 << 10;

/// `PUT` and `PATCH /v3/grants/{grant}/threads/{thread}`
pub(crate) async fn update(call: Call) -> Answer {
    let (grant, thread) = (call.mailbox().await?, call.id_at(1)?);
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateThread = json(&parts, body, UPDATE_OCTETS_MAX).await?;
    let changed = flow::update(&platform, (application, grant), thread, request).await?;
    Ok(respond::single(&id, changed))
}

/// `DELETE /v3/grants/{grant}/threads/{thread}`
pub(crate) async fn delete(call: Call) -> Answer {
    let hard = Query::of(&call.parts)?.flag("hard_delete")?.unwrap_or(false);
    let grant = call.mailbox().await?;
    flow::delete(&call.platform, (call.application, grant), call.id_at(1)?, hard).await?;
    Ok(respond::done(&call.id))
}

/// `GET /v3/grants/{grant}/threads/{thread}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let thread = threads::find(&call.platform.store, grant, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, thread))
}
