//! What a draft says, field by field: read from its message, changed, and ready to be written again.

use super::send_time;
use crate::submit::{Outgoing, Prepared};
use postfleet_core::id::KeyId;
use postfleet_core::{Patch, Problem, UnixMicros};
use postfleet_mail::compose::Attachment;
use postfleet_mail::{Participant, message};
use postfleet_mailbox::summary::{DraftFacts, Person, Summary, Tracking};
use postfleet_store::messages::StoredMessage;
use std::collections::BTreeMap;

/// A change of a draft: what it does not mention stays, and what it mentions is replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct DraftChange {
    /// To.
    pub to: Patch<Vec<Participant>>,
    /// At most one, which must be the mailbox's own address.
    pub from: Patch<Vec<Participant>>,
    /// Cc.
    pub cc: Patch<Vec<Participant>>,
    /// Bcc.
    pub bcc: Patch<Vec<Participant>>,
    /// Reply-To.
    pub reply_to: Patch<Vec<Participant>>,
    /// The subject.
    pub subject: Patch<String>,
    /// HTML, or plain text.
    pub body: Patch<String>,
    /// Whether the body is plain text.
    pub is_plaintext: Patch<bool>,
    /// Files.
    pub attachments: Patch<Vec<Attachment>>,
    /// The message of this mailbox that is answered.
    pub reply_to_message_id: Patch<String>,
    /// Further header fields.
    pub custom_headers: Patch<Vec<(String, String)>>,
    /// Key and value pairs of the application.
    pub metadata: Patch<BTreeMap<String, String>>,
    /// What the application wants to be told of.
    pub tracking: Patch<Tracking>,
    /// Whether it gets a link by which its recipient wants no more mail.
    pub list_unsubscribe: Patch<bool>,
    /// Marked with a star.
    pub starred: Patch<bool>,
    /// Not read yet.
    pub unread: Patch<bool>,
    /// When it is to be sent, in unix seconds.
    pub send_at: Patch<i64>,
    /// The key with which it is changed; `None` if a person changes it.
    pub by: Option<KeyId>,
}

/// A draft, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    pub(crate) outgoing: Outgoing,
    pub(crate) facts: DraftFacts,
    pub(crate) starred: bool,
    pub(crate) unread: bool,
    /// The message, if it leaves as it was given, and not as the fields would have it written.
    pub(crate) written: Option<Vec<u8>>,
}

impl DraftChange {
    /// Whether the message itself stays as it is.
    fn keeps_message(&self) -> bool {
        let Self { to, from, cc, bcc, reply_to, subject, body, is_plaintext, attachments, .. } = self;
        let people = [to, from, cc, bcc, reply_to].into_iter().all(Patch::is_keep);
        let text = subject.is_keep() && body.is_keep() && is_plaintext.is_keep() && attachments.is_keep();
        people
            && text
            && self.list_unsubscribe.is_keep()
            && self.reply_to_message_id.is_keep()
            && self.custom_headers.is_keep()
    }
}

impl Letter {
    /// Reads a draft.
    pub(super) fn of(stored: &StoredMessage, raw: &[u8]) -> Self {
        let summary = Summary::from_json(&stored.summary);
        let answers = summary.in_reply_to;
        // A draft that a mail client wrote has no facts beside its message.
        let facts = summary.draft.unwrap_or_else(|| DraftFacts {
            created_at: stored.date.as_seconds(),
            is_plaintext: message::is_plain(raw),
            reply_to_message_id: answers.map(|id| format!("<{id}>")),
            ..DraftFacts::default()
        });
        let outgoing = Outgoing {
            to: people(summary.to),
            from: people(summary.from),
            cc: people(summary.cc),
            bcc: people(summary.bcc),
            reply_to: people(summary.reply_to),
            subject: summary.subject,
            body: message::body(raw),
            is_plaintext: facts.is_plaintext,
            attachments: message::files(raw),
            reply_to_message_id: facts.reply_to_message_id.clone(),
            custom_headers: facts.custom_headers.clone(),
            metadata: summary.metadata,
            tracking: summary.tracking,
            message_id: Some(stored.id),
            has_unsubscribe_link: facts.list_unsubscribe,
            require_opt_in: summary.require_opt_in,
            ..Outgoing::default()
        };
        let written = facts.as_written.then(|| raw.to_vec());
        Self { outgoing, facts, starred: stored.starred, unread: stored.unread, written }
    }

    /// A message that is to wait for its time.
    pub(crate) fn waiting(outgoing: Outgoing, send_at: i64, now: UnixMicros) -> Self {
        let facts = DraftFacts {
            created_at: now.as_seconds(),
            is_plaintext: outgoing.is_plaintext,
            custom_headers: outgoing.custom_headers.clone(),
            reply_to_message_id: outgoing.reply_to_message_id.clone().filter(|id| !id.is_empty()),
            send_at: Some(send_at),
            list_unsubscribe: outgoing.has_unsubscribe_link,
            as_written: false,
        };
        Self { starred: outgoing.starred, outgoing, facts, ..Self::default() }
    }

    /// A message that was written by somebody else and is to wait for its time: it leaves as it is.
    pub(crate) fn written(prepared: Prepared, send_at: i64, now: UnixMicros) -> Self {
        let Prepared { message_id, raw, summary, .. } = prepared;
        let facts = DraftFacts {
            created_at: now.as_seconds(),
            is_plaintext: message::is_plain(&raw),
            reply_to_message_id: summary.in_reply_to.map(|id| format!("<{id}>")),
            send_at: Some(send_at),
            as_written: true,
            ..DraftFacts::default()
        };
        let outgoing = Outgoing { bcc: people(summary.bcc), message_id: Some(message_id), ..Outgoing::default() };
        Self { outgoing, facts, written: Some(raw), ..Self::default() }
    }

    /// The draft after a change.
    pub(super) fn changed(mut self, change: DraftChange, now: UnixMicros) -> Result<Self, Problem> {
        if !change.keeps_message() {
            (self.written, self.facts.as_written) = (None, false);
        }
        let Self { outgoing, facts, starred, unread, .. } = &mut self;
        put(&mut outgoing.to, change.to);
        put(&mut outgoing.from, change.from);
        put(&mut outgoing.cc, change.cc);
        put(&mut outgoing.bcc, change.bcc);
        put(&mut outgoing.reply_to, change.reply_to);
        put(&mut outgoing.subject, change.subject);
        put(&mut outgoing.body, change.body);
        put(&mut outgoing.is_plaintext, change.is_plaintext);
        put(&mut outgoing.attachments, change.attachments);
        put(&mut outgoing.custom_headers, change.custom_headers);
        put(&mut outgoing.metadata, change.metadata);
        put(&mut outgoing.has_unsubscribe_link, change.list_unsubscribe);
        put(starred, change.starred);
        put(unread, change.unread);
        let answers = change.reply_to_message_id.apply(outgoing.reply_to_message_id.take());
        outgoing.reply_to_message_id = answers.filter(|id| !id.is_empty());
        outgoing.tracking = change.tracking.apply(outgoing.tracking.take());
        match change.send_at {
            Patch::Keep => {}
            Patch::Clear => facts.send_at = None,
            Patch::Set(seconds) => facts.send_at = send_time(seconds, now)?,
        }
        if facts.created_at == 0 {
            facts.created_at = now.as_seconds();
        }
        facts.list_unsubscribe = outgoing.has_unsubscribe_link;
        facts.is_plaintext = outgoing.is_plaintext;
        facts.custom_headers = outgoing.custom_headers.clone();
        facts.reply_to_message_id = outgoing.reply_to_message_id.clone();
        Ok(self)
    }
}

/// Null is nothing.
fn put<T: Default>(field: &mut T, change: Patch<T>) {
    match change {
        Patch::Keep => {}
        Patch::Clear => *field = T::default(),
        Patch::Set(value) => *field = value,
    }
}

fn people(people: Vec<Person>) -> Vec<Participant> {
    people.into_iter().map(|person| Participant { name: person.name, email: person.email }).collect()
}
