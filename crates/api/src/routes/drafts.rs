//! `/v3/grants/{grant}/drafts`.

use super::messages::page_request;
use super::send;
use crate::call::Call;
use crate::extract::{self, Query};
use crate::idempotency::Keyed;
use crate::letter;
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::MessageId;
use postfleet_core::{Patch, Problem};
use postfleet_fleet::signatures;
use postfleet_mail::compose::Attachment;
use postfleet_mailbox::drafts as mailbox;
use postfleet_mailbox::messages::Filter;
use postfleet_mailbox::view::Fields;
use postfleet_mailbox::writer::Selection;
use postfleet_mailflow::drafts::{self, Dispatched, DraftChange, KeepingDraft, Sign};
use postfleet_mailflow::schedules::{Keeping, Scheduled};
use postfleet_mailflow::submit::request::{people, tracking};
use postfleet_schema::draft::{DraftRequest, SendDraftRequest};
use postfleet_schema::message::Message;
use postfleet_schema::page::Single;
use postfleet_schema::send::{CustomHeader, SendResponse};
use postfleet_store::grants::Grant;
use postfleet_store::idempotency::KeyedRequest;
use postfleet_store::signatures::Signature;
use std::convert::Infallible;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const PATH: &str = "/v3/grants/{grant}/drafts/{draft}";
    const CHANGE: &str = "What is not mentioned stays as it is; what is mentioned is replaced as a whole, the list of files \
        too. A draft that is to be sent later is sent as it is at that time; with another `send_at` it moves there, and \
        with `send_at` null that is cancelled.";
    vec![
        Route::get("/v3/grants/{grant}/drafts", "drafts.read", list)
            .about("List drafts", LIST_DETAILS)
            .query(LIST)
            .lists::<Message>(),
        Route::post("/v3/grants/{grant}/drafts", "drafts.write", create)
            .about("Make a draft", MAKE_DETAILS)
            .keyed()
            .takes_message::<DraftRequest>()
            .answers::<Message>(),
        Route::get(PATH, "drafts.read", find).about("Find a draft", "").answers::<Message>(),
        Route::put(PATH, "drafts.write", update)
            .about("Change a draft", CHANGE)
            .takes_message::<DraftRequest>()
            .answers::<Message>(),
        Route::patch(PATH, "drafts.write", update)
            .about("Change a draft", CHANGE)
            .takes_message::<DraftRequest>()
            .answers::<Message>(),
        Route::delete(PATH, "drafts.write", delete).about("Remove a draft", "What was to send it later is cancelled."),
        Route::post(PATH, "messages.send", send_draft)
            .about("Send a draft", SEND_DETAILS)
            .keyed()
            .takes::<SendDraftRequest>()
            .answers_bare::<SendResponse>()
            .answers_also(Answers::Bare(202, Shape::of::<SendResponse>())),
    ]
}

const MAKE_DETAILS: &str = "Nothing is required. Files may be parts of a form, as in a send. A request with an `Idempotency-Key` makes one \
    draft, however often it is sent within 24 hours.";

const LIST_DETAILS: &str = "The last changed first. As with messages, a filter that few drafts pass may give a short page \
    with a `next_cursor`.";

const SEND_DETAILS: &str = "The draft disappears, and a message in `sent` takes its place and its id. What is refused leaves \
    the draft as it was; of two requests that send one draft, one does, and the other is refused with 409. A draft with \
    `send_at` is sent at that time, and stays a draft until then: the answer is 202 and names the schedule.";

/// What the list may be narrowed to.
const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    Parameter::new("thread_id", Kind::Text, "A thread's id: drafts of this conversation."),
    Parameter::new("subject", Kind::Text, "Part of the subject, in any case."),
    Parameter::new("any_email", Kind::List, "At most 25 addresses, any of which is in from, to, cc or bcc."),
    Parameter::new("from", Kind::List, "Addresses, any of which wrote the draft."),
    Parameter::new("to", Kind::List, "Addresses, any of which the draft is to."),
    Parameter::new("cc", Kind::List, "Addresses, any of which gets a copy."),
    Parameter::new("bcc", Kind::List, "Addresses, any of which gets a copy unseen."),
    Parameter::new("in", Kind::List, "Folder ids: drafts are in `drafts`, and in no other folder."),
    Parameter::new("unread", Kind::Flag, "Only unread drafts, or only read ones."),
    Parameter::new("starred", Kind::Flag, "Only drafts with a star, or only those without."),
    Parameter::new("has_attachment", Kind::Flag, "Only drafts with attachments, or only those without."),
    Parameter::new("metadata_pair", Kind::List, "Pairs `key:value`, all of which the metadata must have."),
];

/// `GET /v3/grants/{grant}/drafts`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let selection = Selection::of(&query.list("select"));
    let request = page_request(&query, Fields::Standard, selection)?;
    let (filter, folders) = (filter(&query)?, query.list("in"));
    let is_drafts = |name: &String| SystemFolder::named(name) == Some(SystemFolder::Drafts);
    if !folders.is_empty() && !folders.iter().any(is_drafts) {
        return Ok(respond::page::<Message>(&call.id, Vec::new(), None));
    }
    let (items, next) = mailbox::list_written(&call.platform.store, grant, filter, &request, selection).await?;
    Ok(respond::written_page(&call.id, &items, next.as_deref()))
}

fn filter(query: &Query) -> Result<Filter, Problem> {
    let of_messages = super::messages::filter(query)?;
    let Filter { thread_id, unread, starred, has_attachment, subject, from, to, cc, bcc, any_email, metadata, .. } =
        of_messages;
    let filter = Filter {
        thread_id,
        unread,
        starred,
        has_attachment,
        subject,
        from,
        to,
        cc,
        bcc,
        any_email,
        metadata,
        ..Filter::default()
    };
    Ok(filter)
}

/// `POST /v3/grants/{grant}/drafts`
pub(crate) async fn create(call: Call) -> Answer {
    let grant = call.grant().await?;
    let mut keyed = Keyed::of(&call, &grant)?;
    let (CallWithoutBody { platform, id }, request, files) = read(call).await?;
    keyed.add_request(&request, &files);
    let make = async |key: Option<KeyedRequest>| {
        let signature = signatures::named(&platform.store, grant.id, signature_of(&request)).await?;
        let change = signed(change(request, files), signature.as_ref());
        let written = |draft: &Message| {
            let answer = Single { request_id: id.0.clone(), data: draft };
            serde_json::to_string(&answer).unwrap_or_default()
        };
        let keeping = key.map(|key| KeepingDraft { key, written: &written });
        let draft = drafts::create(&platform, &grant, change, keeping).await?;
        Ok(respond::single(&id, draft))
    };
    keyed.once(&platform, &id, Fields::Standard, make).await
}

/// `GET /v3/grants/{grant}/drafts/{draft}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let draft = mailbox::find(&call.platform.store, grant, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, draft))
}

/// `PUT` and `PATCH /v3/grants/{grant}/drafts/{draft}`
pub(crate) async fn update(call: Call) -> Answer {
    let (grant, id) = named(&call).await?;
    let by = call.caller.key;
    let (call, request, files) = read(call).await?;
    if signature_of(&request).is_some() {
        let text = "signature_id must be absent: a draft gets its signature when it is made or sent";
        return Err(Problem::invalid("signature_id", text));
    }
    let change = DraftChange { by, ..change(request, files) };
    let draft = drafts::update(&call.platform, &grant, id, change).await?;
    Ok(respond::single(&call.id, draft))
}

/// `DELETE /v3/grants/{grant}/drafts/{draft}`
pub(crate) async fn delete(call: Call) -> Answer {
    let (grant, id) = named(&call).await?;
    drafts::delete(&call.platform, &grant, id).await?;
    Ok(respond::done(&call.id))
}

/// `POST /v3/grants/{grant}/drafts/{draft}`
pub(crate) async fn send_draft(call: Call) -> Answer {
    let grant = call.grant().await?;
    let (platform, id) = (call.platform.clone(), call.id.clone());
    let answer = carry_out(call, grant.clone()).await;
    Ok(send::with_allowance(&platform, &id, &grant, answer).await)
}

async fn carry_out(call: Call, grant: Grant) -> Answer {
    let draft: MessageId = call.id_at(1)?;
    let (mut keyed, by) = (Keyed::of(&call, &grant)?, Some(call.author()));
    let Call { platform, id, parts, body, .. } = call;
    let request: Option<SendDraftRequest> = extract::json_or_nothing(&parts, body, extract::BODY_OCTETS_MAX).await?;
    let signature = request.and_then(|request| request.signature_id).filter(|id| !id.is_empty());
    keyed.add(signature.as_deref().unwrap_or_default());
    let shown = Fields::Standard;
    let send = async |key: Option<KeyedRequest>| {
        let written = |waits: &Scheduled| send::written(&id, &grant, waits);
        let keeping = key.map(|key| Keeping { key, written: &written });
        let signature = signatures::named(&platform.store, grant.id, signature.as_deref()).await?;
        let signed = |body: &str, is_plaintext: bool| match &signature {
            Some(signature) => signatures::signed(body, is_plaintext, signature),
            None => body.to_owned(),
        };
        let signed: Option<&Sign> = signature.as_ref().map(|_| &signed as &Sign);
        match drafts::send(&platform, &grant, draft, (shown, by), signed, keeping).await? {
            Dispatched::Sent(sent) => Ok(send::sent(&platform, &id, &grant, sent)),
            Dispatched::Scheduled(scheduled) => Ok(send::scheduled(&id, &grant, &scheduled)),
        }
    };
    keyed.once(&platform, &id, shown, send).await
}

/// The mailbox and the draft that the path names.
async fn named(call: &Call) -> Result<(Grant, MessageId), Problem> {
    let grant = call.grant().await?;
    Ok((grant, call.id_at(1)?))
}

/// Reads what the body says of a draft.
async fn read(call: Call) -> Result<(CallWithoutBody, DraftRequest, Vec<Attachment>), Problem> {
    let Call { platform, id, parts, body, .. } = call;
    let limit = platform.store.plans().outbound_octets_ceiling();
    let (request, files) = letter::read::<DraftRequest>(&parts, body, limit).await?;
    Ok((CallWithoutBody { platform, id }, request, files))
}

/// The id of the signature that a draft is to have.
fn signature_of(request: &DraftRequest) -> Option<&str> {
    request.signature_id.value().map(String::as_str).filter(|id| !id.is_empty())
}

/// With a signature at its end, if there is one.
fn signed(change: DraftChange, signature: Option<&Signature>) -> DraftChange {
    let Some(signature) = signature else { return change };
    let body = change.body.value().map_or("", String::as_str);
    let body = signatures::signed(body, change.is_plaintext == Patch::Set(true), signature);
    DraftChange { body: Patch::Set(body), ..change }
}

/// What is left of a call whose body was read.
struct CallWithoutBody {
    platform: std::sync::Arc<postfleet_mailflow::Platform>,
    id: respond::RequestId,
}

fn change(request: DraftRequest, files: Vec<Attachment>) -> DraftChange {
    // The parts of a form are files even if the JSON does not mention any.
    let keeps_files = request.attachments.is_keep() && files.is_empty();
    DraftChange {
        to: map(request.to, people),
        from: map(request.from, people),
        cc: map(request.cc, people),
        bcc: map(request.bcc, people),
        reply_to: map(request.reply_to, people),
        subject: request.subject,
        body: request.body,
        is_plaintext: request.is_plaintext,
        attachments: if keeps_files { Patch::Keep } else { Patch::Set(files) },
        reply_to_message_id: request.reply_to_message_id,
        custom_headers: map(request.custom_headers, headers),
        metadata: request.metadata,
        tracking: map(request.tracking_options, tracking),
        list_unsubscribe: request.list_unsubscribe,
        starred: request.starred,
        unread: request.unread,
        send_at: request.send_at,
        by: None,
    }
}

fn headers(headers: Vec<CustomHeader>) -> Vec<(String, String)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

fn map<T, U>(patch: Patch<T>, read: impl FnOnce(T) -> U) -> Patch<U> {
    match patch.try_map(|value| Ok::<_, Infallible>(read(value))) {
        Ok(patch) => patch,
        Err(never) => match never {},
    }
}
