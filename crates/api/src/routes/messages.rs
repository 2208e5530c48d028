//! `/v3/grants/{grant}/messages`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use postfleet_core::Problem;
use postfleet_core::id::MessageId;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::search::Search;
use postfleet_mailbox::view::Fields;
use postfleet_mailbox::writer::Selection;
use postfleet_mailflow::refile;
use postfleet_schema::message::{Message, RawMessage, UpdateMessage};
use serde::Serialize;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/messages", "messages.read", list)
            .about("List messages", LIST_DETAILS)
            .query(LIST)
            .lists::<Message>()
            .answers_also(Answers::Page(Shape::of::<RawMessage>())),
        Route::get("/v3/grants/{grant}/messages/{message}", "messages.read", find)
            .about("Find a message", "With `fields=raw_mime`, `data` is a RawMessage.")
            .query(&[FIELDS])
            .answers::<Message>()
            .answers_also(Answers::Single(200, Shape::of::<RawMessage>())),
        Route::put("/v3/grants/{grant}/messages/{message}", "messages.write", update)
            .about("Move or mark a message", UPDATE_DETAILS)
            .takes::<UpdateMessage>()
            .answers::<Message>(),
        Route::patch("/v3/grants/{grant}/messages/{message}", "messages.write", update)
            .about("Move or mark a message", UPDATE_DETAILS)
            .takes::<UpdateMessage>()
            .answers::<Message>(),
        Route::delete("/v3/grants/{grant}/messages/{message}", "messages.write", delete)
            .about("Delete a message", DELETE_DETAILS)
            .query(&[HARD_DELETE]),
    ]
}

const UPDATE_DETAILS: &str = "What is absent or null stays; what is given replaces what was there as a \
    whole. The same request twice changes, and tells, nothing more. A message that is moved into `junk`, or out of it, is learned from: later \
    messages like it are judged accordingly, in all mailboxes of the application, once it has learned from twenty of each \
    kind. Drafts are changed as drafts.";

const DELETE_DETAILS: &str = "It goes into the folder `trash`, and nowhere else. One that is in `trash` alone, or any with \
    `hard_delete`, is gone for good: with its storage, and with nothing left to find it by. What still goes out goes on. A \
    draft is deleted as a draft; here it is not found.";

/// For all that can be deleted to the trash.
pub(crate) const HARD_DELETE: Parameter = Parameter::new(
    "hard_delete",
    Kind::Flag,
    "Whether it goes for good in place of into the trash; `false` if absent.",
);

const LIST_DETAILS: &str = "Newest first; with `search_query_native`, those first that fit best: each word counts for every part of the \
    message in which it is found, most in the subject, then among the people, then in names of files, then in the text. Every \
    filter is answered from an index, however few messages pass it. Seldom, as for two common things that are seldom together, a request gives \
    a short page, even an empty one, with a `next_cursor`; go on until there is none. With `fields=raw_mime`, the items are of the kind RawMessage. Without `body` in `select` no stored \
    message is read, which is fast.";

/// What the list may be narrowed to, and how it is shown.
pub(crate) const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    Parameter::new("in", Kind::List, "Folders by their ids or names: messages that are in any of them."),
    Parameter::new("thread_id", Kind::Text, "A thread's id: messages of this conversation."),
    Parameter::new("received_after", Kind::Integer(i64::MIN, i64::MAX), "Unix seconds: messages later than this."),
    Parameter::new("received_before", Kind::Integer(i64::MIN, i64::MAX), "Unix seconds: messages earlier than this."),
    Parameter::new("unread", Kind::Flag, "Only unread messages, or only read ones."),
    Parameter::new("starred", Kind::Flag, "Only messages with a star, or only those without."),
    Parameter::new("has_attachment", Kind::Flag, "Only messages with attachments, or only those without."),
    Parameter::new(
        "subject",
        Kind::Text,
        "Part of the subject; case and compatible forms of characters make no difference.",
    ),
    Parameter::new("from", Kind::List, "Addresses, any of which wrote the message."),
    Parameter::new("to", Kind::List, "Addresses, any of which the message is to."),
    Parameter::new("cc", Kind::List, "Addresses, any of which got a copy."),
    Parameter::new("bcc", Kind::List, "Addresses, any of which got a copy unseen; known only for own mail."),
    Parameter::new("any_email", Kind::List, "At most 25 addresses, any of which is in one of the four."),
    Parameter::new(
        "metadata_pair",
        Kind::List,
        "Pairs `key:value`, all of which the metadata must have; a comma before no other `key:` belongs to the value.",
    ),
    Parameter::new("search_query_native", Kind::Text, SEARCH),
    Parameter::new("q", Kind::Text, "The same as `search_query_native`, which counts where both are given."),
    FIELDS,
];

pub(crate) const SEARCH: &str = "Words that are sought in the subject, in names and addresses, in names of files and in the text: all of them, with \
    `OR` between them any, with `-` before them none; `AND` may stand between them, quotes make phrases, parentheses group. At most 512 \
    octets, 64 words, phrases, operators and negations, 8 levels.";

const FIELDS: Parameter = Parameter::new("fields", Kind::OneOf(FIELD_SETS), "What is shown; `standard` if absent.");

const FIELD_SETS: &[&str] = &[
    "standard",
    "include_headers",
    "include_basic_headers",
    "include_tracking_options",
    "include_visible_text",
    "raw_mime",
];

/// Addresses in `any_email`.
const ANY_EMAIL_MAX: usize = 25;

/// `GET /v3/grants/{grant}/messages`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    // What is not shown is not read either.
    let selection = Selection::of(&query.list("select"));
    let request = page_request(&query, selection.fields(fields(&query)?), selection)?;
    let filter = filter(&query)?;
    let store = &call.platform.store;
    if request.fields == Fields::RawMime {
        return match messages::list(store, grant, &filter, &request).await? {
            (Shown::Raw(messages), next) => Ok(respond::page(&call.id, messages, next)),
            (Shown::Messages(messages), next) => Ok(respond::page(&call.id, messages, next)),
        };
    }
    let (items, next) = messages::list_written(store, grant, &filter, &request, selection).await?;
    Ok(respond::written_page(&call.id, &items, next.as_deref()))
}

/// How a page of messages is asked for.
pub(crate) fn page_request(query: &Query, fields: Fields, selection: Selection) -> Result<PageRequest, Problem> {
    Ok(PageRequest {
        limit: query.limit(50, 200)?,
        cursor: query.get("page_token").filter(|token| !token.is_empty()).map(str::to_owned),
        fields,
        with_body: selection.has("body"),
    })
}

/// `GET /v3/grants/{grant}/messages/{message}`
pub(crate) async fn find(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let shown = messages::find(&call.platform.store, grant, call.id_at(1)?, fields(&query)?).await?;
    match shown {
        Shown::Raw(messages) => first(&call, messages),
        Shown::Messages(messages) => first(&call, messages),
    }
}

/// `PUT` and `PATCH /v3/grants/{grant}/messages/{message}`
pub(crate) async fn update(call: Call) -> Answer {
    let (grant, message) = (call.mailbox().await?, call.id_at::<MessageId>(1)?);
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateMessage = json(&parts, body, BODY_OCTETS_MAX).await?;
    let changed = refile::update(&platform, application, grant, message, request).await?;
    Ok(respond::single(&id, changed))
}

/// `DELETE /v3/grants/{grant}/messages/{message}`
pub(crate) async fn delete(call: Call) -> Answer {
    let hard = Query::of(&call.parts)?.flag("hard_delete")?.unwrap_or_default();
    let (grant, message) = (call.mailbox().await?, call.id_at::<MessageId>(1)?);
    refile::delete(&call.platform, (call.application, grant), message, hard).await?;
    Ok(respond::done(&call.id))
}

fn first<T: Serialize>(call: &Call, items: Vec<T>) -> Answer {
    let item = items.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(respond::single(&call.id, item))
}

pub(crate) fn fields(query: &Query) -> Result<Fields, Problem> {
    let name = query.get("fields").filter(|name| !name.is_empty()).unwrap_or("standard");
    Fields::named(name).ok_or_else(|| {
        let text = "fields must be standard, include_headers, include_basic_headers, include_tracking_options, \
            include_visible_text or raw_mime";
        Problem::invalid("fields", text)
    })
}

/// Pairs of the metadata: repeated, or in one parameter with commas between them. A value may have commas of its own.
fn metadata(query: &Query) -> Result<Vec<(String, String)>, Problem> {
    let pair = |text: &str| match text.split_once(':') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Problem::invalid("metadata_pair", "metadata_pair must be key:value")),
    };
    query.all("metadata_pair").flat_map(pairs).map(pair).collect()
}

/// Parts a text before each comma that a key and a colon follow: other commas belong to values.
fn pairs(text: &str) -> Vec<&str> {
    let begins_pair = |rest: &str| {
        let end = rest.find([':', ',']).filter(|end| rest[*end..].starts_with(':'));
        let is_key =
            |key: &str| !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c));
        // An address of a page is no key.
        end.is_some_and(|end| is_key(&rest[..end]) && !rest[end..].starts_with("://"))
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for (comma, _) in text.match_indices(',') {
        if begins_pair(text[comma + 1..].trim_start()) {
            parts.push(&text[start..comma]);
            start = comma + 1;
        }
    }
    parts.push(&text[start..]);
    // One parameter more, or a comma at an end, is no pair.
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Folders by ids or names. How a search names one is refused: it would find nothing.
fn folders(query: &Query) -> Result<Vec<String>, Problem> {
    let folders = query.list("in");
    match folders.iter().find(|name| name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("in:"))) {
        Some(name) => Err(Problem::invalid("in", format!("in must name folders by their ids or names, not {name:?}"))),
        None => Ok(folders),
    }
}

/// What is searched for, under the name by which it was given.
fn search(query: &Query) -> Result<Option<Search>, Problem> {
    let given = |name: &'static str| query.get(name).filter(|text| !text.is_empty()).map(|text| (name, text));
    let Some((name, text)) = given("search_query_native").or_else(|| given("q")) else { return Ok(None) };
    Search::parse(text).map_err(|wrong| Problem::invalid(name, format!("{name} {wrong}")))
}

pub(crate) fn filter(query: &Query) -> Result<Filter, Problem> {
    let any_email = query.list("any_email");
    if any_email.len() > ANY_EMAIL_MAX {
        return Err(Problem::invalid("any_email", format!("any_email may name at most {ANY_EMAIL_MAX} addresses")));
    }
    let thread = query.get("thread_id").filter(|id| !id.is_empty());
    let thread_id = thread.map(|id| id.parse().map_err(|_| Problem::invalid("thread_id", "thread_id must be a UUID")));
    Ok(Filter {
        drafts: false,
        metadata: metadata(query)?,
        folders: folders(query)?,
        thread_id: thread_id.transpose()?,
        received_after: query.number("received_after")?,
        received_before: query.number("received_before")?,
        unread: query.flag("unread")?,
        starred: query.flag("starred")?,
        has_attachment: query.flag("has_attachment")?,
        subject: query.get("subject").filter(|text| !text.is_empty()).map(str::to_owned),
        from: query.list("from"),
        to: query.list("to"),
        cc: query.list("cc"),
        bcc: query.list("bcc"),
        any_email,
        search: search(query)?,
    })
}
