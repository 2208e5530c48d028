//! `/v3/grants/{grant}/messages`.

use crate::call::Call;
use crate::extract::{Query, json};
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use postfleet_core::Problem;
use postfleet_core::id::MessageId;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::view::Fields;
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
    ]
}

const UPDATE_DETAILS: &str = "What is absent stays. A message that is moved into `junk`, or out of it, is learned from: later \
    messages like it are judged accordingly, in all mailboxes of the application, once it has learned from twenty of each \
    kind. Drafts are changed as drafts.";

const LIST_DETAILS: &str = "Newest first. A request looks at no more than 2,000 messages: a filter that few pass may \
    give a short page, even an empty one, with a `next_cursor`; go on until there is none. With `fields=raw_mime`, \
    the items are of the kind RawMessage. Without `body` in `select` no stored message is read, which is fast.";

/// What the list may be narrowed to, and how it is shown.
pub(crate) const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    Parameter::new("in", Kind::List, "Folder ids: messages that are in any of them."),
    Parameter::new("thread_id", Kind::Text, "A thread's id: messages of this conversation."),
    Parameter::new("received_after", Kind::Integer(i64::MIN, i64::MAX), "Unix seconds: messages later than this."),
    Parameter::new("received_before", Kind::Integer(i64::MIN, i64::MAX), "Unix seconds: messages earlier than this."),
    Parameter::new("unread", Kind::Flag, "Only unread messages, or only read ones."),
    Parameter::new("starred", Kind::Flag, "Only messages with a star, or only those without."),
    Parameter::new("has_attachment", Kind::Flag, "Only messages with attachments, or only those without."),
    Parameter::new("subject", Kind::Text, "Part of the subject, in any case."),
    Parameter::new("from", Kind::List, "Addresses, any of which wrote the message."),
    Parameter::new("to", Kind::List, "Addresses, any of which the message is to."),
    Parameter::new("cc", Kind::List, "Addresses, any of which got a copy."),
    Parameter::new("bcc", Kind::List, "Addresses, any of which got a copy unseen; known only for own mail."),
    Parameter::new("any_email", Kind::List, "At most 25 addresses, any of which is in one of the four."),
    Parameter::new("metadata_pair", Kind::List, "Pairs `key:value`, all of which the metadata must have."),
    FIELDS,
];

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
    let grant = call.grant().await?;
    // What is not shown is not read either.
    let select = query.list("select");
    let request = PageRequest {
        limit: query.limit(50, 200)?,
        cursor: query.get("page_token").filter(|token| !token.is_empty()).map(str::to_owned),
        fields: fields(&query)?,
        with_body: select.is_empty() || select.iter().any(|field| field == "body"),
    };
    let filter = filter(&query)?;
    let (shown, next) = messages::list(&call.platform.store, grant.id, &filter, &request).await?;
    Ok(match shown {
        Shown::Raw(messages) => respond::page(&call.id, messages, next),
        Shown::Messages(messages) => respond::page(&call.id, messages, next),
    })
}

/// `GET /v3/grants/{grant}/messages/{message}`
pub(crate) async fn find(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.grant().await?;
    let shown = messages::find(&call.platform.store, grant.id, call.id_at(1)?, fields(&query)?).await?;
    match shown {
        Shown::Raw(messages) => first(&call, messages),
        Shown::Messages(messages) => first(&call, messages),
    }
}

/// `PUT` and `PATCH /v3/grants/{grant}/messages/{message}`
pub(crate) async fn update(call: Call) -> Answer {
    let (grant, message) = (call.grant().await?, call.id_at::<MessageId>(1)?);
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateMessage = json(&parts, body, UPDATE_OCTETS_MAX).await?;
    let changed = refile::update(&platform, application, grant.id, message, request).await?;
    Ok(respond::single(&id, changed))
}

/// Octets of a request to move or mark a message.
const UPDATE_OCTETS_MAX: usize = 64 << 10;

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

/// Pairs of the metadata, repeated or separated by commas.
fn metadata(query: &Query) -> Result<Vec<(String, String)>, Problem> {
    let pair = |text: String| match text.split_once(':') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Problem::invalid("metadata_pair", "metadata_pair must be key:value")),
    };
    query.list("metadata_pair").into_iter().map(pair).collect()
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
        folders: query.list("in"),
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
    })
}
