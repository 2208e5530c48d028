//! `/v3/grants/{grant}/imports`: taking over mail that a mailbox had elsewhere; and `/v3/grants/{grant}/export`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Pieces, Query, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_mailbox::export;
use postfleet_mailflow::imports::{self, LINE_OCTETS_MAX, Taking};
use postfleet_schema::import::{CreateImport, Import, PortableMessage};

/// Octets of one request with messages: as many as the longest line has, and some more.
const MESSAGES_OCTETS_MAX: usize = LINE_OCTETS_MAX + (4 << 20);

const MESSAGES: &[Parameter] = &[
    Parameter::new(
        "position",
        Kind::Integer(0, i64::MAX),
        "The number of the first of these messages in the source, from 0; 0 if absent.",
    ),
    Parameter::new("last", Kind::Flag, "Whether nothing comes after them: the import is done then."),
];

const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
];

const MESSAGES_DETAILS: &str = "Lines of JSON (`application/x-ndjson`), each a PortableMessage, in the order of the source; at \
    most 64 MiB, and 45 MiB of one message. They are filed while they come, some at once. If the request breaks off, the import's \
    `position` says how many messages are done: go on with the next. Messages before `position` that come again are passed over, so \
    that none is there twice. What is no message, and what is older than the mailbox keeps mail, is passed over and named. Without \
    room the import is `paused`: when there is, go on at its `position`. Imported mail counts for storage, and neither as \
    received today nor as bandwidth; rules and spam filters do not see it.";

const EXPORT_DETAILS: &str = "All but drafts, oldest first, octet for octet. A page ends after `limit` messages or 8 MiB. There is a \
    `next_cursor` as long as a page has something: keep it, and a later request tells what has come since.";

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/imports", "messages.read", list)
            .about("List imports", "Latest first. They are forgotten 30 days after they went on last.")
            .query(LIST)
            .lists::<Import>(),
        Route::post("/v3/grants/{grant}/imports", "messages.import", begin)
            .about("Begin an import", "Nothing is imported yet. A mailbox may have ten imports that are not over.")
            .takes::<CreateImport>()
            .answers::<Import>(),
        Route::get("/v3/grants/{grant}/imports/{import}", "messages.read", find)
            .about("Find an import", "How far it is, and what was passed over.")
            .answers::<Import>(),
        Route::delete("/v3/grants/{grant}/imports/{import}", "messages.import", cancel)
            .about("Cancel an import", "What was imported stays.")
            .answers::<Import>(),
        Route::post("/v3/grants/{grant}/imports/{import}/messages", "messages.import", take)
            .about("Import messages", MESSAGES_DETAILS)
            .query(MESSAGES)
            .takes_text()
            .answers::<Import>(),
        Route::get("/v3/grants/{grant}/export", "messages.read", page)
            .about("Export messages", EXPORT_DETAILS)
            .query(LIST)
            .lists::<PortableMessage>(),
    ]
}

/// `GET /v3/grants/{grant}/imports`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (grant, limit) = (call.grant().await?, query.limit(50, 200)?);
    let cursor = query.get("page_token").filter(|token| !token.is_empty());
    let (found, next) = imports::list(&call.platform, &grant, cursor, limit).await?;
    Ok(respond::page(&call.id, found, next))
}

/// `POST /v3/grants/{grant}/imports`
pub(crate) async fn begin(call: Call) -> Answer {
    let grant = call.grant().await?;
    let Call { platform, id, parts, body, .. } = call;
    let request: CreateImport = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, imports::begin(&platform, &grant, request).await?))
}

/// `GET /v3/grants/{grant}/imports/{import}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.grant().await?;
    let found = imports::find(&call.platform, &grant, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, found))
}

/// `DELETE /v3/grants/{grant}/imports/{import}`
pub(crate) async fn cancel(call: Call) -> Answer {
    let grant = call.grant().await?;
    let cancelled = imports::cancel(&call.platform, &grant, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, cancelled))
}

/// `POST /v3/grants/{grant}/imports/{import}/messages`
pub(crate) async fn take(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let below = |_| Problem::invalid("position", "position must be greater than or equal to 0");
    let position = u64::try_from(query.number("position")?.unwrap_or(0)).map_err(below)?;
    let is_last = query.flag("last")?.unwrap_or(false);
    let (grant, import) = (call.grant().await?, call.id_at(1)?);
    let Call { platform, id, parts, body, .. } = call;
    let mut taking = Taking::from(&platform, &grant, import, position);
    let mut pieces = Pieces::of(&parts, body, MESSAGES_OCTETS_MAX)?;
    let mut has_room = true;
    while let Some(piece) = pieces.next().await? {
        // Without room the rest is read all the same: most clients look for the answer only when all is sent.
        has_room = has_room && taking.take(&piece).await?;
    }
    Ok(respond::single(&id, taking.end(is_last).await?))
}

/// `GET /v3/grants/{grant}/export`
pub(crate) async fn page(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (grant, limit) = (call.mailbox().await?, query.limit(50, 200)?);
    let cursor = query.get("page_token").filter(|token| !token.is_empty());
    let (page, next) = export::page(&call.platform.store, grant, cursor, limit).await?;
    Ok(respond::page(&call.id, page, next))
}
