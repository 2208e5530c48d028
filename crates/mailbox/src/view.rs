//! From a stored message to the shape that the interface shows.

use crate::assessment;
use crate::summary::{File, Person, Summary, Tracking};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_mail::{message as mail, suspicion};
use postfleet_schema::assessment::VisibleText;
use postfleet_schema::message::{Attachment, Automated, Header, Message, Participant, RawMessage, TrackingOptions};
use postfleet_store::messages::{Listed, StoredMessage};

/// Which parts of a message are shown beside its standard fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// The standard ones.
    #[default]
    Standard,
    /// And all header fields.
    IncludeHeaders,
    /// And Message-ID, In-Reply-To and References.
    IncludeBasicHeaders,
    /// And what the application wanted to be told of it.
    IncludeTrackingOptions,
    /// And what a human sees, as text.
    IncludeVisibleText,
    /// Only the source.
    RawMime,
}

impl Fields {
    /// Reads the `fields` parameter.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "standard" => Some(Self::Standard),
            "include_headers" => Some(Self::IncludeHeaders),
            "include_basic_headers" => Some(Self::IncludeBasicHeaders),
            "include_tracking_options" => Some(Self::IncludeTrackingOptions),
            "include_visible_text" => Some(Self::IncludeVisibleText),
            "raw_mime" => Some(Self::RawMime),
            _ => None,
        }
    }
}

/// Shows a message. Without its raw form there is no body and there are no headers.
pub fn message(stored: &StoredMessage, raw: Option<&[u8]>, fields: Fields) -> Message {
    let summary = Summary::from_json(&stored.summary);
    let draft = summary.draft.filter(|_| stored.draft);
    let created_at = draft.as_ref().map_or(stored.date.as_seconds(), |draft| draft.created_at);
    let found = stored.assessment.as_deref().map(assessment::from_json);
    let bracketed = |id: String| format!("<{id}>");
    Message {
        id: stored.id.to_string(),
        object: if is_seen_draft(stored) { "draft" } else { "message" },
        grant_id: stored.grant_id.to_string(),
        thread_id: stored.thread_id.to_string(),
        attachments: summary.attachments.iter().map(|file| attachment(stored.grant_id, stored.id, file)).collect(),
        subject: summary.subject,
        from: participants(summary.from),
        to: participants(summary.to),
        cc: participants(summary.cc),
        bcc: participants(summary.bcc),
        reply_to: participants(summary.reply_to),
        date: stored.date.as_seconds(),
        unread: stored.unread,
        starred: stored.starred,
        answered: stored.answered,
        folders: stored.folders.iter().filter(|folder| *folder != SCHEDULED).cloned().collect(),
        snippet: summary.snippet,
        body: raw.map(mail::body),
        visible_text: raw.filter(|_| fields == Fields::IncludeVisibleText).map(visible_text),
        headers: raw.and_then(|raw| headers(raw, fields)),
        in_reply_to: summary.in_reply_to.map(bracketed),
        message_id_header: summary.message_id.map(bracketed),
        metadata: summary.metadata,
        tracking_options: (fields == Fields::IncludeTrackingOptions).then(|| tracking(summary.tracking)),
        automated: summary.automated.map(|automated| Automated { kind: automated.kind, list: automated.list }),
        authentication: found.as_ref().map(|found| assessment::authentication(found.authentication.clone())),
        marks: found.as_ref().map(|found| assessment::marks(&found.marks)),
        spam: found.as_ref().map(|found| assessment::spam(found.spam.clone())),
        suspicion: found.map(|found| assessment::suspicion(found.suspicion)),
        direction: if stored.outgoing { "outbound" } else { "inbound" },
        created_at,
        send_at: draft.as_ref().and_then(|draft| draft.send_at),
        list_unsubscribe: draft.as_ref().and_then(|draft| draft.list_unsubscribe.then_some(true)),
        reply_to_message_id: draft.and_then(|draft| draft.reply_to_message_id),
        schedule_id: None,
        use_draft: None,
        suppressed_recipients: None,
        conversation: None,
        conversation_truncated: None,
    }
}

/// Whether it is a draft of the mailbox, in place of a message that only waits to be sent.
pub fn is_seen_draft(stored: &StoredMessage) -> bool {
    stored.draft && stored.folders.iter().all(|folder| folder != SCHEDULED)
}

/// The same of one of a listing: whether it is a draft, or whether it is none.
pub(crate) fn is_kind(listed: &Listed<'_>, draft: bool) -> bool {
    if draft { listed.draft && !is_scheduled(&listed.folders) } else { !listed.draft }
}

/// Whether a JSON list of the ids of folders names the one of what waits to be sent. No id has a quote in it.
pub(crate) fn is_scheduled(folders: &str) -> bool {
    folders.split('"').any(|folder| folder == SCHEDULED)
}

/// Shows only a message's source.
pub fn raw_message(stored: &StoredMessage, raw: &[u8]) -> RawMessage {
    RawMessage {
        id: stored.id.to_string(),
        object: "message",
        grant_id: stored.grant_id.to_string(),
        raw_mime: URL_SAFE.encode(raw),
    }
}

/// The id of an attachment: its message's id and which part it is.
pub fn attachment_id(message: MessageId, index: u32) -> String {
    format!("{message}-{index}")
}

/// Reads an attachment's id back.
pub fn parse_attachment_id(id: &str) -> Option<(MessageId, u32)> {
    let (message, index) = id.rsplit_once('-')?;
    Some((message.parse().ok()?, index.parse().ok()?))
}

/// Shows an attachment.
pub fn attachment(grant: GrantId, message: MessageId, file: &File) -> Attachment {
    Attachment {
        id: attachment_id(message, file.index),
        grant_id: grant.to_string(),
        filename: file.filename.clone(),
        content_type: file.content_type.clone(),
        size: file.size,
        content_id: file.content_id.clone(),
        content_disposition: file.disposition.clone(),
        is_inline: file.is_inline,
    }
}

pub(crate) fn headers(raw: &[u8], fields: Fields) -> Option<Vec<Header>> {
    const BASIC: &[&str] = &["message-id", "in-reply-to", "references"];
    let wanted = |name: &str| match fields {
        Fields::IncludeBasicHeaders => BASIC.contains(&name.to_ascii_lowercase().as_str()),
        _ => true,
    };
    if !matches!(fields, Fields::IncludeHeaders | Fields::IncludeBasicHeaders) {
        return None;
    }
    let all = mail::headers(raw).into_iter().filter(|(name, _)| wanted(name));
    Some(all.map(|(name, value)| Header { name, value }).collect())
}

pub(crate) fn visible_text(raw: &[u8]) -> VisibleText {
    VisibleText {
        text: mail::plain_text(raw),
        html: mail::html_as_text(raw),
        links: suspicion::links(raw).into_iter().map(assessment::link).collect(),
    }
}

/// What was wanted; of a message of which nothing is known, nothing.
pub(crate) fn tracking(tracking: Option<Tracking>) -> TrackingOptions {
    let Tracking { opens, links, thread_replies, label, domain_name } = tracking.unwrap_or_default();
    TrackingOptions { opens, links, thread_replies, label, domain_name }
}

fn participants(people: Vec<Person>) -> Vec<Participant> {
    people.into_iter().map(|person| Participant { name: person.name, email: person.email }).collect()
}
