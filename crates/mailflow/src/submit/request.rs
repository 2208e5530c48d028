//! A request to send as the public interface has it, carried out: whether it comes by HTTP or by the message bus, it is read,
//! completed and judged by the same steps.

use super::once::Fingerprint;
use super::{Outgoing, Sent, Terms};
use crate::platform::Platform;
use crate::schedules::{self, Keeping, Scheduled};
use postfleet_core::Problem;
use postfleet_core::audit::Author;
use postfleet_fleet::{opt_ins, signatures, templates};
use postfleet_mail::Participant;
use postfleet_mail::compose::Attachment;
use postfleet_mailbox::summary::Tracking;
use postfleet_mailbox::view::Fields;
use postfleet_schema::message as schema;
use postfleet_schema::send::{SendRequest, SendResponse};
use postfleet_store::grants::Grant;
use postfleet_store::idempotency::KeyedRequest;
use postfleet_store::templates::Owner;
use serde::Serialize;
use serde_json::Value;

/// The route by which a mailbox sends, as keys of requests know it.
pub const ROUTE: &str = "/v3/grants/{grant}/messages/send";

/// Who asks, and what is said beside the request.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Who sends; `None` if the mailbox itself does.
    pub by: Option<Author>,
    /// What the answer shows of the sent copy.
    pub shown: Fields,
    /// Whether the message is sent although the same was sent a moment ago.
    pub allow_duplicate: bool,
    /// The key that it came with.
    pub key: Option<KeyedRequest>,
    /// The id of the request, which its answer names.
    pub request_id: &'a str,
}

/// What became of it.
#[derive(Debug)]
pub enum Accepted {
    /// It is on its way, waits for its turn, or is held.
    Sent(Sent),
    /// It waits for its time.
    Scheduled(Scheduled),
}

/// Carries a request out: now, or by a schedule if it says when.
pub async fn carry_out(
    platform: &Platform,
    grant: &Grant,
    (request, attachments): (SendRequest, Vec<Attachment>),
    asked: Asked<'_>,
) -> Result<Accepted, Problem> {
    let Asked { by, shown, key, request_id, .. } = asked;
    let (send_at, use_draft) = (request.send_at.filter(|at| *at != 0), request.use_draft == Some(true));
    let allow_duplicate = asked.allow_duplicate || request.allow_duplicate == Some(true);
    let owner = Owner { application: grant.application_id, grant: Some(grant.id) };
    let request = dressed(platform, owner, request).await?;
    let outgoing = Outgoing { attachments, shown, by, ..outgoing(request)? };
    let Some(send_at) = send_at else {
        let outgoing = Outgoing { terms: Terms { may_wait: true, key, allow_duplicate, pool: None }, ..outgoing };
        return Ok(Accepted::Sent(super::send(platform, grant, outgoing).await?));
    };
    let written = |waits: &Scheduled| written(request_id, grant, waits);
    let keeping = key.map(|key| Keeping { key, written: &written });
    let waits = schedules::send_later(platform, grant, outgoing, send_at, use_draft, keeping).await?;
    Ok(Accepted::Scheduled(waits))
}

/// What a send asks for, however it comes: two that ask for the same have the same fingerprint. `fields` is what is shown of
/// the sent copy, as the request names it.
pub fn fingerprint(fields: &str, request: &SendRequest, files: &[Attachment]) -> Fingerprint {
    let mut print = Fingerprint::default();
    print.add("POST");
    print.add(ROUTE);
    print.add(fields);
    print.add(canonical(request));
    print.add_files(files);
    print
}

/// A request as JSON whose fields are in order, and in which what is null or empty is absent.
pub fn canonical<T: Serialize>(request: &T) -> String {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    value.sort_all_objects();
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    }
    value.to_string()
}

/// The message with what its template and its signature give it: before anybody judges it, and before its recipients are
/// looked at. What the request gives itself is not taken from the template.
pub async fn dressed(platform: &Platform, owner: Owner, mut request: SendRequest) -> Result<SendRequest, Problem> {
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

/// Refuses a message that is to be a draft although it is sent now.
pub fn check_use_draft(use_draft: bool, send_at: Option<i64>) -> Result<(), Problem> {
    if use_draft && send_at.is_none() {
        return Err(Problem::invalid("use_draft", "use_draft is for scheduled sends: it needs send_at"));
    }
    Ok(())
}

/// The message without its files.
pub fn outgoing(request: SendRequest) -> Result<Outgoing, Problem> {
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

/// People as a request names them.
pub fn people(people: Vec<schema::Participant>) -> Vec<Participant> {
    people.into_iter().map(|person| Participant { name: person.name, email: person.email }).collect()
}

/// What the application wants to be told of.
pub fn tracking(options: schema::TrackingOptions) -> Tracking {
    let schema::TrackingOptions { opens, links, thread_replies, label, domain_name } = options;
    Tracking { opens, links, thread_replies, label, domain_name }
}

/// The answer to a send that is no repeat.
pub fn answer(request_id: &str, grant: &Grant, data: schema::Message) -> SendResponse {
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

/// The answer to a send that waits for its time.
pub fn waits(request_id: &str, grant: &Grant, scheduled: &Scheduled) -> SendResponse {
    SendResponse {
        schedule_id: Some(scheduled.schedule_id.to_string()),
        send_at: Some(scheduled.send_at),
        use_draft: Some(scheduled.use_draft),
        ..answer(request_id, grant, scheduled.message.clone())
    }
}

/// The same as it is kept under the key of its request.
pub fn written(request_id: &str, grant: &Grant, scheduled: &Scheduled) -> String {
    serde_json::to_string(&waits(request_id, grant, scheduled)).unwrap_or_default()
}
