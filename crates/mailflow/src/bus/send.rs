//! One send from the bus: read, known by its key, and carried out by the steps of the interface.

use crate::platform::Platform;
use crate::submit::once::Fingerprint;
use crate::submit::request::{self, Accepted, Asked};
use crate::submit::{Sent, files};
use bytes::Bytes;
use postfleet_core::audit::Author;
use postfleet_core::id::ApplicationId;
use postfleet_core::{Problem, idempotency};
use postfleet_fleet::grants;
use postfleet_mailbox::view::Fields;
use postfleet_schema::error::status_and_type;
use postfleet_schema::send::SendRequest;
use postfleet_store::bus_parked::Reason;
use postfleet_store::idempotency::{Kept, KeptAnswer, KeyedRequest, find};
use serde_json::Value;
use std::time::Duration;

/// For how long a send is known by its key. Until the bus knows that it was taken it may give it out again, and it may be away
/// for long.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 1_000;

/// A send as the bus has it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Whose.
    pub(super) application: ApplicationId,
    /// The mailbox, as the subject names it.
    pub(super) sender: String,
    /// Its place in the bus.
    pub(super) place: (i64, u64),
    /// The id that its publisher gave it.
    pub(super) id: Option<String>,
    /// The JSON.
    pub(super) body: Bytes,
    /// Who sends it; `None` if it is whoever has published it.
    pub(super) by: Option<Author>,
}

/// What became of a send that was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The status that the interface would have answered.
    pub status: u16,
    /// The sent copy, or the message that waits.
    pub message_id: Option<String>,
    /// Its thread.
    pub thread_id: Option<String>,
    /// The schedule, if it waits for its time.
    pub schedule_id: Option<String>,
    /// The hold, if it is held.
    pub hold_id: Option<String>,
    /// Whether it was accepted before, and nothing was sent now.
    pub duplicate: bool,
}

/// Why a send was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For this reason.
    Now(Problem),
    /// The same request was refused under the same key by the interface.
    Before(Reason),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Now(problem)
    }
}

impl Refusal {
    /// As it is told and kept.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Before(reason) => reason.clone(),
            Self::Now(problem) => Reason {
                status: status_and_type(problem.kind).0,
                code: problem.code.to_owned(),
                message: shown(&problem.public),
                field: problem.field.as_deref().map(shown),
            },
        }
    }
}

/// A text as it can be kept.
pub(super) fn shown(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(REASON_CHARS_MAX).map(printable).collect()
}

/// The id of a publisher, if it can be a key.
pub(super) fn key_of(id: &str) -> Result<&str, Problem> {
    let is_plain = !id.chars().any(char::is_control);
    let key = idempotency::read_key(id.as_bytes()).ok().filter(|_| is_plain);
    key.ok_or_else(|| {
        let text =
            format!("Nats-Msg-Id must have 1 to {} characters, no control characters", idempotency::KEY_CHARS_MAX);
        Problem::invalid("Nats-Msg-Id", text)
    })
}

/// Carries a send out, unless that was done before.
pub(super) async fn carry_out(platform: &Platform, wanted: Wanted) -> Result<Outcome, Refusal> {
    let Wanted { application, sender, place: (source, sequence), id, body, by } = wanted;
    let key = match &id {
        Some(id) => key_of(id)?.to_owned(),
        None => format!("bus:{source}:{sequence}"),
    };
    let grant = grants::find(&platform.store, application, &sender).await?;
    if body.len() > files::JSON_READ_OCTETS_MAX {
        return Err(files::json_too_large(body.len() as u64).into());
    }
    let (message, attachments) = files::read::<SendRequest>(body)?;
    let mut print = Fingerprint::default();
    print.add(&key);
    let (scope, key) = (grant.id.uuid(), print.finish());
    let asked = request::fingerprint("", &message, &attachments).finish();
    let request_id = format!("bus:{source}:{sequence}");
    let keyed = KeyedRequest { scope, key, request: asked, request_id: request_id.clone(), kept: KEPT };
    let _turn = platform.underway.begin(scope, key).ok_or_else(idempotency::concurrent)?;
    match known(platform, &keyed).await? {
        Some(kept) if kept.request == asked => return before(kept),
        Some(_) => return Err(idempotency::other_request().into()),
        None => {}
    }
    let asked =
        Asked { by, shown: Fields::Standard, allow_duplicate: false, key: Some(keyed), request_id: &request_id };
    Ok(accepted(request::carry_out(platform, &grant, (message, attachments), asked).await?))
}

/// What was answered under a key.
async fn known(platform: &Platform, keyed: &KeyedRequest) -> Result<Option<Kept>, Problem> {
    let mut reader = platform.store.reader().await?;
    Ok(find(&mut reader, keyed.scope, &keyed.key, platform.clock.now()).await?)
}

fn accepted(accepted: Accepted) -> Outcome {
    match accepted {
        Accepted::Sent(Sent { message, is_duplicate, waits, held, .. }) => Outcome {
            status: if waits || held.is_some() { 202 } else { 200 },
            message_id: Some(message.id),
            thread_id: Some(message.thread_id),
            schedule_id: None,
            hold_id: held.map(|hold| hold.id.to_string()),
            duplicate: is_duplicate,
        },
        Accepted::Scheduled(waits) => Outcome {
            status: 202,
            message_id: Some(waits.message.id),
            thread_id: Some(waits.message.thread_id),
            schedule_id: Some(waits.schedule_id.to_string()),
            ..Outcome::default()
        },
    }
}

/// The same as what became of the send.
fn before(kept: Kept) -> Result<Outcome, Refusal> {
    let outcome = Outcome { status: kept.status, duplicate: true, ..Outcome::default() };
    match kept.answer {
        KeptAnswer::Sent(message, thread, ..) => {
            let (message_id, thread_id) = (Some(message.to_string()), Some(thread.to_string()));
            Ok(Outcome { message_id, thread_id, ..outcome })
        }
        KeptAnswer::Held(message, hold) => {
            let (message_id, hold_id) = (Some(message.to_string()), Some(hold.to_string()));
            Ok(Outcome { message_id, hold_id, ..outcome })
        }
        KeptAnswer::Body(body) => {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            if kept.status < 400 {
                let data = &body["data"];
                let (message_id, thread_id) = (text(&data["id"]), text(&data["thread_id"]));
                return Ok(Outcome { message_id, thread_id, schedule_id: text(&body["schedule_id"]), ..outcome });
            }
            let error = &body["error"];
            Err(Refusal::Before(Reason {
                status: kept.status,
                code: text(&error["code"]).unwrap_or_default(),
                message: text(&error["message"]).unwrap_or_default(),
                field: text(&error["field"]),
            }))
        }
    }
}
