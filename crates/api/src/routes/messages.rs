//! `/v3/grants/{grant}/messages`.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::Problem;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::view::Fields;
use postfleet_schema::message::Message;
use serde::Serialize;
use serde_json::Value;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/messages", "messages.read", list)
            .about("List messages", "Newest first.")
            .lists::<Message>(),
        Route::get("/v3/grants/{grant}/messages/{message}", "messages.read", find)
            .about("Find a message", "")
            .answers::<Message>(),
    ]
}

/// Addresses in `any_email`.
const ANY_EMAIL_MAX: usize = 25;

/// `GET /v3/grants/{grant}/messages`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.grant().await?;
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
        Shown::Messages(messages) if select.is_empty() => respond::page(&call.id, messages, next),
        Shown::Messages(messages) => respond::page(&call.id, selected(&messages, &select)?, next),
    })
}

/// `GET /v3/grants/{grant}/messages/{message}`
pub(crate) async fn find(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.grant().await?;
    let select = query.list("select");
    let shown = messages::find(&call.platform.store, grant.id, call.id_at(1)?, fields(&query)?).await?;
    match shown {
        Shown::Raw(messages) => first(&call, messages),
        Shown::Messages(messages) if select.is_empty() => first(&call, messages),
        Shown::Messages(messages) => first(&call, selected(&messages, &select)?),
    }
}

fn first<T: Serialize>(call: &Call, items: Vec<T>) -> Answer {
    let item = items.into_iter().next().ok_or_else(Problem::not_found)?;
    Ok(respond::single(&call.id, item))
}

fn fields(query: &Query) -> Result<Fields, Problem> {
    let name = query.get("fields").filter(|name| !name.is_empty()).unwrap_or("standard");
    Fields::named(name).ok_or_else(|| {
        let text =
            "fields must be standard, include_headers, include_basic_headers, include_tracking_options or raw_mime";
        Problem::invalid("fields", text)
    })
}

fn filter(query: &Query) -> Result<Filter, Problem> {
    let any_email = query.list("any_email");
    if any_email.len() > ANY_EMAIL_MAX {
        return Err(Problem::invalid("any_email", format!("any_email may name at most {ANY_EMAIL_MAX} addresses")));
    }
    let thread = query.get("thread_id").filter(|id| !id.is_empty());
    let thread_id = thread.map(|id| id.parse().map_err(|_| Problem::invalid("thread_id", "thread_id must be a UUID")));
    Ok(Filter {
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

/// Keeps only the fields that were selected, and those without which clients break.
pub(crate) fn selected<T: Serialize>(items: &[T], select: &[String]) -> Result<Vec<Value>, Problem> {
    const ALWAYS: &[&str] = &["id", "grant_id", "object"];
    let keep = |item: &T| {
        let mut value = serde_json::to_value(item).map_err(Problem::internal)?;
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, _| ALWAYS.contains(&name.as_str()) || select.contains(name));
        }
        Ok(value)
    };
    items.iter().map(keep).collect()
}
