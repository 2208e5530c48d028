//! A message with its files as JSON, in base64: whatever takes such a message reads it here.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use postfleet_core::{Patch, Problem, ProblemKind};
use postfleet_mail::compose::Attachment;
use postfleet_mail::content_id;
use postfleet_schema::draft::DraftRequest;
use postfleet_schema::read;
use postfleet_schema::send::{SendAttachment, SendRequest};
use serde::de::DeserializeOwned;
use std::collections::HashSet;

/// Octets of the files of a JSON body, before base64, and of everything else in it. The official clients send files as
/// parts of a form as soon as they are together this large.
pub const JSON_OCTETS_MAX: usize = 3 << 20;

/// Octets of a JSON body that are read: both of the above, with room for base64 in lines.
pub const JSON_READ_OCTETS_MAX: usize = 8 << 20;

/// A request that carries a message.
pub trait Letter: DeserializeOwned {
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

impl Letter for DraftRequest {
    fn take_files(&mut self) -> Vec<SendAttachment> {
        match &mut self.attachments {
            Patch::Set(files) => std::mem::take(files),
            Patch::Keep | Patch::Clear => Vec::new(),
        }
    }

    fn html(&self) -> Option<&str> {
        self.body.value().map(String::as_str).filter(|_| self.is_plaintext != Patch::Set(true))
    }
}

/// Reads a message and its files.
pub fn read<T: Letter>(octets: Bytes) -> Result<(T, Vec<Attachment>), Problem> {
    let mut letter: T = read::read(&octets)?;
    let files = letter.take_files();
    let packed: usize = files.iter().map(|file| file.content.len()).sum();
    if octets.len().saturating_sub(packed) > JSON_OCTETS_MAX {
        return Err(json_too_large(octets.len() as u64));
    }
    drop(octets);
    let attachments = in_json(files, &shown(&letter))?;
    let unpacked: usize = attachments.iter().map(|file| file.content.len()).sum();
    if unpacked > JSON_OCTETS_MAX { Err(json_too_large(unpacked as u64)) } else { Ok((letter, attachments)) }
}

/// The Content-IDs that its text refers to.
pub fn shown<T: Letter>(letter: &T) -> HashSet<String> {
    letter.html().map(content_id::referred).unwrap_or_default()
}

/// Files of the JSON in their order.
pub fn in_json(files: Vec<SendAttachment>, shown: &HashSet<String>) -> Result<Vec<Attachment>, Problem> {
    let is_shown = |id: &Option<String>| id.as_ref().is_some_and(|id| shown.contains(id));
    files.into_iter().enumerate().map(|(index, file)| of_json(index, file, &is_shown)).collect()
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
pub fn unpack(content: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let decode = |packed: &[u8]| STANDARD.decode(packed).or_else(|_| URL_SAFE.decode(packed));
    if content.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let packed: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return decode(&packed);
    }
    decode(content.as_bytes())
}

/// The refusal of a JSON body of so many octets. The text is that of the hosted service, which clients may look for.
pub fn json_too_large(octets: u64) -> Problem {
    let text = format!(
        "max size of attachments for json is 3MB, received '{octets}'; the same holds for everything else in the request: \
         send larger messages as multipart/form-data"
    );
    Problem::new(ProblemKind::Invalid, "json_too_large", text)
}
