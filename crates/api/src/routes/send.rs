//! `POST /v3/grants/{grant}/messages/send`.

use crate::call::Call;
use crate::error;
use crate::extract::Query;
use crate::extract::multipart::is_multipart;
use crate::idempotency::Keyed;
use crate::letter::{self, Mime};
use crate::respond::{self, Answer, RequestId};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use postfleet_core::Problem;
use postfleet_core::UnixMicros;
use postfleet_core::quota::Allowance;
use postfleet_fleet::limits;
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::Platform;
use postfleet_mailflow::schedules::{self, Keeping, Scheduled};
use postfleet_mailflow::submit::once::content_of_mime;
use postfleet_mailflow::submit::raw::{self, Envelope};
use postfleet_mailflow::submit::request::{self, Accepted, Asked, answer, check_use_draft};
use postfleet_mailflow::submit::{self, Prepared, Sent, Terms};
use postfleet_schema::hold::HeldSend;
use postfleet_schema::message as schema;
use postfleet_schema::send::{SendRequest, SendResponse};
use postfleet_store::grants::Grant;
use postfleet_store::holds::Hold;
use postfleet_store::idempotency::KeyedRequest;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post(request::ROUTE, "messages.send", send)
            .about("Send a message", DETAILS)
            .query(&[TYPE, FIELDS, ALLOW_DUPLICATE, SEND_AT, USE_DRAFT])
            .keyed()
            .takes_message::<SendRequest>()
            .answers_bare::<SendResponse>()
            .answers_also(Answers::Bare(202, Shape::of::<SendResponse>())),
    ]
}

const DETAILS: &str = "The answer comes once the message is on stable storage. It is 202 with a `hold` if a rule holds the message until somebody \
    approves it, or if the quota is used up and the workspace has such messages wait. With `send_at` it is 202, and the message \
    is sent at that time; whether it may be sent is judged then, and its quota is that of the day. In a form, the part `message` (or `draft`) \
    has the message as JSON, and every other part is a file; a part's name is its Content-ID, unless it is `attachment`, \
    `file` or `file` with a number, and the file is shown in the text if the HTML refers to `cid:` and that name. With \
    `type=mime` the form has one part `mime` with the message in RFC 5322 form, which goes to everyone in its To, Cc and \
    Bcc; Bcc is taken out. When to send it, and whether it is a draft until then, is said by `send_at` and `use_draft`, as \
    parts of the form or in the query; it leaves octet for octet as it was given. A request with an `Idempotency-Key` is carried out once: for 24 hours, another with the same \
    key and content is answered as the first was, with `Idempotent-Response: true`. Without a key, the same message to \
    the same recipients within two minutes is not sent again: the answer is the first one's, `duplicate` is true, and \
    `Duplicate-Of` names the message.";

const TYPE: Parameter =
    Parameter::new("type", Kind::OneOf(&["mime"]), "`mime`: the form has the message in RFC 5322 form.");

pub(crate) const FIELDS: Parameter =
    Parameter::new("fields", Kind::OneOf(FIELD_SETS), "What is shown of the sent copy; `standard` if absent.");

pub(crate) const ALLOW_DUPLICATE: Parameter = Parameter::new(
    "allow_duplicate",
    Kind::Flag,
    "Whether the message is sent although the mailbox sent the same a moment ago; as the field of the same name.",
);

const SEND_AT: Parameter = Parameter::new(
    "send_at",
    Kind::Integer(0, 253_402_300_799),
    "With `type=mime`: when to send, in unix seconds, at least 60 seconds and at most 30 days ahead; now if absent or 0.",
);

const USE_DRAFT: Parameter = Parameter::new(
    "use_draft",
    Kind::Flag,
    "With `type=mime` and `send_at`: whether it is a draft of the mailbox until then.",
);

const FIELD_SETS: &[&str] = &["standard", "include_headers", "include_basic_headers", "include_tracking_options"];

/// Sends a message now.
pub(crate) async fn send(call: Call) -> Answer {
    let grant = call.grant().await?;
    let (platform, id) = (call.platform.clone(), call.id.clone());
    let answer = carry_out(call, grant.clone()).await;
    Ok(with_allowance(&platform, &id, &grant, answer).await)
}

async fn carry_out(call: Call, grant: Grant) -> Answer {
    if is_multipart(&call.parts) {
        call.rate.of_form(&call.platform, grant.id)?;
    }
    let mut keyed = Keyed::of(&call, &grant)?;
    let by = Some(call.author());
    let Call { platform, id, parts, body, .. } = call;
    let query = Query::of(&parts)?;
    let (shown, is_mime) = (shown(&query)?, is_mime(&query)?);
    let limit = platform.store.plans().outbound_octets_ceiling();
    keyed.add(query.get("fields").unwrap_or_default());
    let repeat = query.flag("allow_duplicate")?.unwrap_or(false);
    if is_mime {
        let Mime { message: mime, send_at, use_draft } = letter::mime(&parts, body, limit).await?;
        check_use_draft(use_draft, send_at)?;
        keyed.add(&mime);
        keyed.add(format!("{send_at:?} {use_draft}"));
        let content = Some(content_of_mime(&mime));
        let send = async |key: Option<KeyedRequest>| {
            if let Some(send_at) = send_at {
                let written = |waits: &Scheduled| written(&id, &grant, waits);
                let keeping = key.map(|key| Keeping { key, written: &written });
                let mime = (mime.as_slice(), shown, by.as_ref());
                let waits = schedules::send_written_later(&platform, &grant, mime, send_at, use_draft, keeping).await?;
                return Ok(scheduled(&id, &grant, &waits));
            }
            let prepared = raw::prepare(&platform, &grant, &mime, Envelope::OfHeader, "mime");
            let terms = Terms { may_wait: true, key, allow_duplicate: repeat, pool: None };
            let prepared = prepared.map(|prepared| Prepared { shown, terms, content, by, ..prepared });
            Ok(sent(&platform, &id, &grant, submit::submit(&platform, &grant, prepared).await?))
        };
        return keyed.once(&platform, &id, shown, send).await;
    }
    let (request, attachments) = letter::read::<SendRequest>(&parts, body, limit).await?;
    keyed.add_request(&request, &attachments);
    let send = async |key: Option<KeyedRequest>| {
        let asked = Asked { by, shown, allow_duplicate: repeat, key, request_id: &id.0 };
        Ok(match request::carry_out(&platform, &grant, (request, attachments), asked).await? {
            Accepted::Sent(message) => sent(&platform, &id, &grant, message),
            Accepted::Scheduled(waits) => scheduled(&id, &grant, &waits),
        })
    };
    keyed.once(&platform, &id, shown, send).await
}

/// The answer to a message that is on its way. One that is a repeat also says so in its header.
pub(crate) fn sent(platform: &Platform, id: &RequestId, grant: &Grant, sent: Sent) -> Response {
    let Sent { message, daily, suppressed: _, is_duplicate, waits, held } = sent;
    if let Some(hold) = held {
        return respond::json(StatusCode::ACCEPTED, id, &held_answer(&id.0, grant, message, &hold));
    }
    let status = if waits { StatusCode::ACCEPTED } else { StatusCode::OK };
    let of = HeaderValue::try_from(message.id.as_str()).ok().filter(|_| is_duplicate);
    let body = SendResponse { duplicate: is_duplicate, ..answer(&id.0, grant, message) };
    let mut response = respond::json(status, id, &body);
    quota_headers(response.headers_mut(), &daily, platform.clock.now());
    response.extensions_mut().insert(AllowanceSaid);
    if let Some(of) = of {
        response.headers_mut().insert("duplicate-of", of);
    }
    response
}

/// The answer to a message that is held.
pub(crate) fn held_answer(request_id: &str, grant: &Grant, message: schema::Message, hold: &Hold) -> SendResponse {
    let held = HeldSend {
        id: hold.id.to_string(),
        reason: hold.reason.name(),
        state: hold.state.name(),
        expires_at: hold.expires_at.as_seconds(),
    };
    SendResponse { hold: Some(held), ..answer(request_id, grant, message) }
}

/// The answer to a message that waits for its time.
pub(crate) fn scheduled(id: &RequestId, grant: &Grant, scheduled: &Scheduled) -> Response {
    respond::json(StatusCode::ACCEPTED, id, &request::waits(&id.0, grant, scheduled))
}

/// The same as it is kept under the key of its request.
pub(crate) fn written(id: &RequestId, grant: &Grant, scheduled: &Scheduled) -> String {
    request::written(&id.0, grant, scheduled)
}

/// The answer says what is left of the daily quota, which is nothing where there is no limit.
#[derive(Clone, Copy)]
struct AllowanceSaid;

/// The answer to a send, whatever it is, with what is left of the daily quota, unless it says what is left of something
/// else. Where that cannot be read just now, the answer is as good without it.
pub(crate) async fn with_allowance(platform: &Platform, id: &RequestId, grant: &Grant, answer: Answer) -> Response {
    let now = platform.clock.now();
    let mut response = answer.unwrap_or_else(|problem| respond::problem(id, &problem, now));
    let is_said = error::has_rate_limit(response.headers()) || response.extensions().get::<AllowanceSaid>().is_some();
    if !is_said && let Ok(Some(daily)) = limits::daily_sends(&platform.store, grant.application_id, grant.id, now).await
    {
        quota_headers(response.headers_mut(), &daily, now);
    }
    response
}

/// What is left of the daily quota. Nothing is said of an allowance without limit.
fn quota_headers(headers: &mut axum::http::HeaderMap, daily: &Allowance, now: UnixMicros) {
    if let (Some(limit), Some(remaining)) = (daily.limit, daily.remaining()) {
        error::rate_limit(headers, limit, remaining, error::reset_seconds(daily.resets_at, now));
    }
}

pub(crate) fn shown(query: &Query) -> Result<Fields, Problem> {
    let name = query.get("fields").filter(|name| !name.is_empty()).unwrap_or("standard");
    Fields::named(name).filter(|fields| !matches!(fields, Fields::RawMime | Fields::IncludeVisibleText)).ok_or_else(
        || {
            let text = "fields must be standard, include_headers, include_basic_headers or include_tracking_options";
            Problem::invalid("fields", text)
        },
    )
}

fn is_mime(query: &Query) -> Result<bool, Problem> {
    match query.get("type").unwrap_or_default() {
        "" => Ok(false),
        "mime" => Ok(true),
        _ => Err(Problem::invalid("type", "type must be mime, or absent")),
    }
}
