//! A message as a request carries it: as JSON with its files in base64, as a form with a part for each file, or as raw MIME
//! in a form. Whatever takes a message to send takes it through here.

use crate::extract::multipart::{Part, is_multipart, multipart};
use crate::extract::{self, Pieces, Query, declared_octets, media_type};
use axum::body::Body;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::{Bytes, BytesMut};
use postfleet_core::{Problem, ProblemKind};
use postfleet_mail::compose::Attachment;
use postfleet_mail::content_id;
use postfleet_mail::form::PartHead;
use postfleet_schema::send::{SendAttachment, SendRequest};
use serde::de::DeserializeOwned;
use sync_wrapper::SyncWrapper;

/// Octets of the files of a JSON body, before base64, and of everything else in it. The official clients send files as
/// parts of a form as soon as they are together this large.
pub(crate) const JSON_OCTETS_MAX: usize = 3 << 20;

/// Octets of a JSON body that are read: both of the above, with room for base64 in lines.
const JSON_READ_OCTETS_MAX: usize = 8 << 20;

/// Names of the part that has the message, and that of the part that has raw MIME.
const MESSAGE_PARTS: [&str; 2] = ["message", "draft"];
const MIME_PART: &str = "mime";

/// A request that carries a message.
pub(crate) trait Letter: DeserializeOwned {
    /// Its files in base64; they are taken out.
    fn take_files(&mut self) -> Vec<SendAttachment>;
    /// The text, if it is HTML.
    fn html(&self) -> Option<&str>;
}

impl Letter for SendRequest {
    fn take_files(&mut self) -> Vec<SendAttachment> {
        std::mem::take(&mut self.attachments)
    }

    fn html(&self) -> Option<&str> {
        self.body.as_deref().filter(|_| self.is_plaintext != Some(true))
    }
}

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
    let octets = json_octets(parts, body).await?;
    let mut letter: T = extract::read(&octets)?;
    let files = letter.take_files();
    let packed: usize = files.iter().map(|file| file.content.len()).sum();
    if octets.len().saturating_sub(packed) > JSON_OCTETS_MAX {
        return Err(json_too_large(octets.len() as u64));
    }
    drop(octets);
    let attachments = attachments(&letter, files, Vec::new())?;
    let unpacked: usize = attachments.iter().map(|file| file.content.len()).sum();
    if unpacked > JSON_OCTETS_MAX { Err(json_too_large(unpacked as u64)) } else { Ok((letter, attachments)) }
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

/// The text is that of the hosted service, which clients may look for.
fn json_too_large(octets: u64) -> Problem {
    let text = format!(
        "max size of attachments for json is 3MB, received '{octets}'; the same holds for everything else in the request: \
         send larger messages as multipart/form-data"
    );
    Problem::new(ProblemKind::Invalid, "json_too_large", text)
}

/// A part with the message, wherever it stands and whatever else its header says; all others are files.
fn of_form<T: Letter>(parts: Vec<Part>) -> Result<(T, Vec<Attachment>), Problem> {
    let (messages, files): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| MESSAGE_PARTS.contains(&part.head.name.as_str()));
    let [message] = <[Part; 1]>::try_from(messages).map_err(|messages| {
        let text = format!("the form must have one part message with the message as JSON, not {}", messages.len());
        Problem::invalid("message", text)
    })?;
    let mut letter: T = extract::read(&message.octets)?;
    drop(message);
    let in_json = letter.take_files();
    let attachments = attachments(&letter, in_json, files)?;
    Ok((letter, attachments))
}

/// All files in their order: those in the JSON, then the parts.
fn attachments<T: Letter>(
    letter: &T,
    in_json: Vec<SendAttachment>,
    parts: Vec<Part>,
) -> Result<Vec<Attachment>, Problem> {
    if in_json.is_empty() && parts.is_empty() {
        return Ok(Vec::new());
    }
    let shown = letter.html().map(content_id::referred).unwrap_or_default();
    let is_shown = |id: &Option<String>| id.as_ref().is_some_and(|id| shown.contains(id));
    let mut attachments = Vec::with_capacity(in_json.len() + parts.len());
    for (index, file) in in_json.into_iter().enumerate() {
        attachments.push(of_json(index, file, &is_shown)?);
    }
    attachments.extend(parts.into_iter().map(|part| of_part(part, &is_shown)));
    Ok(attachments)
}

fn of_json(
    index: usize,
    file: SendAttachment,
    is_shown: &impl Fn(&Option<String>) -> bool,
) -> Result<Attachment, Problem> {
    let content_id = file.content_id.filter(|id| !id.is_empty());
    let is_inline = match (file.is_inline, file.content_disposition.as_deref()) {
        (Some(is_inline), _) => is_inline,
        (None, disposition) => match disposition_of(disposition.unwrap_or_default()) {
            "" => is_shown(&content_id),
            kind if kind.eq_ignore_ascii_case("inline") => true,
            kind if kind.eq_ignore_ascii_case("attachment") => false,
            _ => {
                let field = format!("attachments[{index}].content_disposition");
                return Err(Problem::invalid(&field, format!("{field} must be inline or attachment")));
            }
        },
    };
    let content = unpack(&file.content).map_err(|error| {
        let field = format!("attachments[{index}].content");
        Problem::invalid(&field, format!("{field} is not base64: {error}"))
    })?;
    Ok(Attachment {
        filename: file.filename.unwrap_or_default(),
        content_type: file.content_type.unwrap_or_default(),
        content,
        is_inline,
        content_id,
    })
}

fn disposition_of(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// Base64 in either alphabet, in lines or not.
pub(crate) fn unpack(content: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let decode = |packed: &[u8]| STANDARD.decode(packed).or_else(|_| URL_SAFE.decode(packed));
    if content.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let packed: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return decode(&packed);
    }
    decode(content.as_bytes())
}

/// A part is called by its Content-ID, unless its name only counts.
fn of_part(part: Part, is_shown: &impl Fn(&Option<String>) -> bool) -> Attachment {
    let PartHead { name, filename, content_type, .. } = part.head;
    let counts = name.strip_prefix("file").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let content_id = (!counts && name != "attachment").then_some(name);
    let is_inline = is_shown(&content_id);
    Attachment { filename: filename.unwrap_or_default(), content_type, content: part.octets, content_id, is_inline }
}
