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
use postfleet_fleet::{limits, opt_ins, signatures, templates};
use postfleet_mail::Participant;
use postfleet_mailbox::summary::Tracking;
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::Platform;
use postfleet_mailflow::schedules::{self, Keeping, Scheduled};
use postfleet_mailflow::submit::once::content_of_mime;
use postfleet_mailflow::submit::raw::{self, Envelope};
use postfleet_mailflow::submit::{self, Outgoing, Prepared, Sent, Terms};
use postfleet_schema::hold::HeldSend;
use postfleet_schema::message as schema;
use postfleet_schema::send::{SendRequest, SendResponse};
use postfleet_store::grants::Grant;
use postfleet_store::holds::Hold;
use postfleet_store::idempotency::KeyedRequest;
use postfleet_store::templates::Owner;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v3/grants/{grant}/messages/send", "messages.send", send)
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
        let (send_at, use_draft) = (request.send_at.filter(|at| *at != 0), request.use_draft == Some(true));
        let allow_duplicate = repeat || request.allow_duplicate == Some(true);
        let owner = Owner { application: grant.application_id, grant: Some(grant.id) };
        let request = dressed(&platform, owner, request).await?;
        let outgoing = Outgoing { attachments, shown, by, ..outgoing(request)? };
        let Some(send_at) = send_at else {
            let outgoing = Outgoing { terms: Terms { may_wait: true, key, allow_duplicate, pool: None }, ..outgoing };
            return Ok(sent(&platform, &id, &grant, submit::send(&platform, &grant, outgoing).await?));
        };
        let written = |waits: &Scheduled| written(&id, &grant, waits);
        let keeping = key.map(|key| Keeping { key, written: &written });
        let waits = schedules::send_later(&platform, &grant, outgoing, send_at, use_draft, keeping).await?;
        Ok(scheduled(&id, &grant, &waits))
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
    respond::json(StatusCode::ACCEPTED, id, &waits(id, grant, scheduled))
}

/// The same as it is kept under the key of its request.
pub(crate) fn written(id: &RequestId, grant: &Grant, scheduled: &Scheduled) -> String {
    serde_json::to_string(&waits(id, grant, scheduled)).unwrap_or_default()
}

fn waits(id: &RequestId, grant: &Grant, scheduled: &Scheduled) -> SendResponse {
    SendResponse {
        schedule_id: Some(scheduled.schedule_id.to_string()),
        send_at: Some(scheduled.send_at),
        use_draft: Some(scheduled.use_draft),
        ..answer(&id.0, grant, scheduled.message.clone())
    }
}

/// The answer to a send that is no repeat.
pub(crate) fn answer(request_id: &str, grant: &Grant, data: schema::Message) -> SendResponse {
    SendResponse {
        request_id: request_id.to_owned(),
        grant_id: grant.id.to_string(),
        duplicate: false,
        data,
        schedule_id: None,
        send_at: None,
        use_draft: None,
        hold: None,
    }
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

/// The message with what its template and its signature give it: before anybody judges it, and before its recipients are
/// looked at. What the request gives itself is not taken from the template.
pub(crate) async fn dressed(
    platform: &Platform,
    owner: Owner,
    mut request: SendRequest,
) -> Result<SendRequest, Problem> {
    let is_plaintext = request.is_plaintext == Some(true);
    let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if let Some(template) = request.template.take() {
        let wants = [!is_given(&request.subject), !is_given(&request.body)];
        let filled = templates::fill_message(&platform.store, owner, template, wants, is_plaintext).await?;
        request.subject = filled.subject.or(request.subject);
        request.body = filled.body.or(request.body);
    }
    let named = request.signature_id.take();
    let Some(grant) = owner.grant else {
        return match named.filter(|id| !id.is_empty()) {
            None => Ok(request),
            Some(_) => Err(Problem::invalid("signature_id", "signature_id must be absent: a pool has no signatures")),
        };
    };
    if let Some(signature) = signatures::named(&platform.store, grant, named.as_deref()).await? {
        let body = request.body.as_deref().unwrap_or_default();
        request.body = Some(signatures::signed(body, is_plaintext, &signature));
    }
    Ok(request)
}

fn check_use_draft(use_draft: bool, send_at: Option<i64>) -> Result<(), Problem> {
    if use_draft && send_at.is_none() {
        return Err(Problem::invalid("use_draft", "use_draft is for scheduled sends: it needs send_at"));
    }
    Ok(())
}

/// The message without its files.
pub(crate) fn outgoing(request: SendRequest) -> Result<Outgoing, Problem> {
    check_use_draft(request.use_draft == Some(true), request.send_at.filter(|at| *at != 0))?;
    let require_opt_in = request.require_opt_in.filter(|purpose| !purpose.is_empty());
    let require_opt_in = require_opt_in.map(|purpose| opt_ins::purpose("require_opt_in", &purpose)).transpose()?;
    Ok(Outgoing {
        require_opt_in,
        has_unsubscribe_link: request.list_unsubscribe.unwrap_or(false),
        to: people(request.to),
        from: people(request.from),
        cc: people(request.cc),
        bcc: people(request.bcc),
        reply_to: people(request.reply_to),
        subject: request.subject.unwrap_or_default(),
        body: request.body.unwrap_or_default(),
        is_plaintext: request.is_plaintext.unwrap_or(false),
        reply_to_message_id: request.reply_to_message_id,
        custom_headers: request.custom_headers.into_iter().map(|header| (header.name, header.value)).collect(),
        metadata: request.metadata.unwrap_or_default(),
        tracking: request.tracking_options.map(tracking),
        starred: request.starred == Some(true),
        ..Outgoing::default()
    })
}

pub(crate) fn people(people: Vec<schema::Participant>) -> Vec<Participant> {
    people.into_iter().map(|person| Participant { name: person.name, email: person.email }).collect()
}

pub(crate) fn tracking(options: schema::TrackingOptions) -> Tracking {
    let schema::TrackingOptions { opens, links, thread_replies, label, domain_name } = options;
    Tracking { opens, links, thread_replies, label, domain_name }
}
