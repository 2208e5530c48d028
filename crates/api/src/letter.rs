//! A message as a request carries it: as JSON with its files in base64, as a form with a part for each file, or as raw MIME
//! in a form. Whatever takes a message to send takes it through here.

use crate::extract::multipart::{Part, is_multipart, multipart};
use crate::extract::{self, Pieces, Query, declared_octets, media_type};
use axum::body::Body;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use postfleet_core::{Problem, ProblemKind};
use postfleet_mail::compose::Attachment;
use postfleet_mail::form::PartHead;
use postfleet_mailflow::submit::files::{self, JSON_READ_OCTETS_MAX, Letter, json_too_large};
use sync_wrapper::SyncWrapper;

/// Names of the part that has the message, and that of the part that has raw MIME.
const MESSAGE_PARTS: [&str; 2] = ["message", "draft"];
const MIME_PART: &str = "mime";

/// Reads a message and its files from JSON or a form. `limit` is the largest raw MIME that any message may have.
pub(crate) async fn read<T: Letter>(
    parts: &Parts,
    body: SyncWrapper<Body>,
    limit: u64,
) -> Result<(T, Vec<Attachment>), Problem> {
    if is_multipart(parts) {
        return of_form(multipart(parts, body, limit).await?);
    }
    if !matches!(&*media_type(parts).to_ascii_lowercase(), "" | "application/json") {
        let text = "request must be of content-type multipart/form-data or application/json";
        return Err(Problem::invalid("Content-Type", text));
    }
    files::read(json_octets(parts, body).await?)
}

/// A message in raw MIME, and when it is to leave.
pub(crate) struct Mime {
    /// The message.
    pub(crate) message: Vec<u8>,
    /// When to send it, in unix seconds; now if absent.
    pub(crate) send_at: Option<i64>,
    /// Whether it is a draft until then.
    pub(crate) use_draft: bool,
}

/// Reads raw MIME from a form. When it leaves is said beside it, by a part or in the query.
pub(crate) async fn mime(parts: &Parts, body: SyncWrapper<Body>, limit: u64) -> Result<Mime, Problem> {
    let mut beside = Beside::of(&Query::of(parts)?)?;
    let mut message = None;
    for part in multipart(parts, body, limit).await? {
        match part.head.name.as_str() {
            MIME_PART if message.is_some() => {
                return Err(Problem::invalid(MIME_PART, "the form must have the part mime once"));
            }
            MIME_PART => message = Some(part.octets),
            name => beside.add(name, part.octets)?,
        }
    }
    let message =
        message.ok_or_else(|| Problem::invalid(MIME_PART, "the form must have a part mime with the message"))?;
    Ok(Mime { message, send_at: beside.send_at.filter(|at| *at != 0), use_draft: beside.use_draft.unwrap_or(false) })
}

/// What is said beside raw MIME.
struct Beside {
    send_at: Option<i64>,
    use_draft: Option<bool>,
}

impl Beside {
    fn of(query: &Query) -> Result<Self, Problem> {
        Ok(Self { send_at: query.number("send_at")?, use_draft: query.flag("use_draft")? })
    }

    /// Reads a part of the form.
    fn add(&mut self, name: &str, value: Vec<u8>) -> Result<(), Problem> {
        let said_before = match name {
            "send_at" => self.send_at.is_some(),
            "use_draft" => self.use_draft.is_some(),
            // What would not travel must not look as if it did.
            _ => {
                let text = format!(
                    "with type=mime the form must have the part {MIME_PART}, perhaps send_at and use_draft, and nothing \
                     else, not {name:?}"
                );
                return Err(Problem::invalid(MIME_PART, text));
            }
        };
        if said_before {
            return Err(Problem::invalid(name, format!("{name} must be given once, in the form or in the query")));
        }
        let value = String::from_utf8(value).unwrap_or_else(|_| "not UTF-8".to_owned());
        let value = Query::single(name, value.trim());
        match name {
            "send_at" => self.send_at = value.number(name)?,
            _ => self.use_draft = value.flag(name)?,
        }
        Ok(())
    }
}

/// The whole of a JSON body, copied only if it came in several pieces.
async fn json_octets(parts: &Parts, body: SyncWrapper<Body>) -> Result<Bytes, Problem> {
    let too_large = |problem: Problem| match problem.kind {
        ProblemKind::TooLarge => json_too_large(declared_octets(parts).unwrap_or(JSON_READ_OCTETS_MAX as u64 + 1)),
        _ => problem,
    };
    let mut pieces = Pieces::of(parts, body, JSON_READ_OCTETS_MAX).map_err(too_large)?;
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    loop {
        match pieces.next().await {
            Ok(None) if whole.is_empty() => return Ok(first),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(piece)) if first.is_empty() && whole.is_empty() => first = piece,
            Ok(Some(piece)) => {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&piece);
            }
            Err(problem) => return Err(pieces.refuse(parts, too_large(problem))),
        }
    }
}

/// A part with the message, wherever it stands and whatever else its header says; all others are files.
fn of_form<T: Letter>(parts: Vec<Part>) -> Result<(T, Vec<Attachment>), Problem> {
    let (messages, parts): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| MESSAGE_PARTS.contains(&part.head.name.as_str()));
    let [message] = <[Part; 1]>::try_from(messages).map_err(|messages| {
        let text = format!("the form must have one part message with the message as JSON, not {}", messages.len());
        Problem::invalid("message", text)
    })?;
    let mut letter: T = extract::read(&message.octets)?;
    drop(message);
    // All files in their order: those in the JSON, then the parts.
    let shown = files::shown(&letter);
    let mut attachments = files::in_json(letter.take_files(), &shown)?;
    let is_shown = |id: &Option<String>| id.as_ref().is_some_and(|id| shown.contains(id));
    attachments.extend(parts.into_iter().map(|part| of_part(part, &is_shown)));
    Ok((letter, attachments))
}

/// A part is called by its Content-ID, unless its name only counts.
fn of_part(part: Part, is_shown: &impl Fn(&Option<String>) -> bool) -> Attachment {
    let PartHead { name, filename, content_type, .. } = part.head;
    let counts = name.strip_prefix("file").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let content_id = (!counts && name != "attachment").then_some(name);
    let is_inline = is_shown(&content_id);
    Attachment { filename: filename.unwrap_or_default(), content_type, content: part.octets, content_id, is_inline }
}
