//! Sending once: which requests under a key are under way on this node, what makes two messages the same, and what was
//! sent before.

use super::{Outgoing, left_out};
use crate::platform::Platform;
use postfleet_core::id::{BlobId, GrantId, MessageId, SenderPoolId, ThreadId};
use postfleet_core::rule::Placement;
use postfleet_core::suppression::Suppressed;
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_mail::Participant;
use postfleet_mail::compose::Attachment;
use postfleet_mailbox::messages::load;
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::Message;
use postfleet_store::idempotency::{Content, KeyedRequest, Once};
use postfleet_store::messages::StoredMessage;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Who asks for a send, and what they say about repeats.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Whether they can be told that the message waits for its turn.
    pub may_wait: bool,
    /// The key that the request came with.
    pub key: Option<KeyedRequest>,
    /// Whether a message is sent although the same was sent a moment ago.
    pub allow_duplicate: bool,
    /// The pool that chose the mailbox.
    pub pool: Option<SenderPoolId>,
}

impl Terms {
    /// What the store is told. Who names a key has said what is to happen once.
    pub(super) fn into_once(self, platform: &Platform, content: Option<[u8; 32]>) -> Once {
        let window = platform.settings.repeat_window;
        let may_repeat = self.allow_duplicate || self.key.is_some();
        // Without a window nothing is remembered of what was sent; what is held is known by its content all the same.
        let content = content.map(|hash| Content { hash, window, may_repeat });
        Once { key: self.key, content, pool: self.pool }
    }
}

/// A hash over fields, each of which keeps its bounds.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds a field.
    pub fn add(&mut self, field: impl AsRef<[u8]>) {
        let field = field.as_ref();
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    /// Adds the number of what follows.
    fn count(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    /// Adds files.
    pub fn add_files(&mut self, files: &[Attachment]) {
        self.count(files.len());
        for file in files {
            self.add(&file.filename);
            self.add(&file.content_type);
            self.add(&file.content);
            self.add(file.content_id.as_deref().unwrap_or_default());
            self.add([u8::from(file.is_inline)]);
        }
    }

    fn add_people(&mut self, people: &[Participant]) {
        self.count(people.len());
        for person in people {
            self.add(&person.name);
            self.add(EmailAddress::parse(&person.email).map_or_else(|_| person.email.clone(), |email| email.key()));
        }
    }

    /// The hash.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// What a message says and to whom, without what is new each time: its date, its id, its boundaries.
pub(super) fn content(outgoing: &Outgoing) -> [u8; 32] {
    let mut print = Fingerprint::default();
    for people in [&outgoing.to, &outgoing.cc, &outgoing.bcc, &outgoing.from, &outgoing.reply_to] {
        print.add_people(people);
    }
    print.add(&outgoing.subject);
    print.add(&outgoing.body);
    print.add([u8::from(outgoing.is_plaintext)]);
    print.add_files(&outgoing.attachments);
    print.add(outgoing.reply_to_message_id.as_deref().unwrap_or_default());
    print.count(outgoing.custom_headers.len());
    for (name, value) in &outgoing.custom_headers {
        print.add(name.to_ascii_lowercase());
        print.add(value);
    }
    print.add([u8::from(outgoing.has_unsubscribe_link)]);
    print.finish()
}

/// As [`content`], of a message that is written already: everything but its Date and Message-ID.
pub fn content_of_mime(mime: &[u8]) -> [u8; 32] {
    let mut print = Fingerprint::default();
    let (mut in_header, mut is_new_each_time) = (true, false);
    for line in mime.split_inclusive(|octet| *octet == b'\n') {
        if in_header && line.trim_ascii().is_empty() {
            (in_header, is_new_each_time) = (false, false);
        } else if in_header && !matches!(line[0], b' ' | b'\t') {
            let name = line.split(|octet| *octet == b':').next().unwrap_or_default().trim_ascii_end();
            is_new_each_time = [b"date".as_slice(), b"message-id"].iter().any(|one| name.eq_ignore_ascii_case(one));
        }
        if !is_new_each_time {
            print.0.update(line);
        }
    }
    print.finish()
}

/// Requests under a key that this node is carrying out.
#[derive(Debug, Default)]
pub struct Underway(Mutex<HashSet<(Uuid, [u8; 32])>>);

/// A request is under way until this is dropped.
#[derive(Debug)]
pub struct Turn {
    underway: Arc<Underway>,
    key: (Uuid, [u8; 32]),
}

impl Underway {
    /// Begins a request, unless one with the same key in the same scope is under way.
    pub fn begin(self: &Arc<Self>, scope: Uuid, key: [u8; 32]) -> Option<Turn> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((scope, key));
        is_new.then(|| Turn { underway: self.clone(), key: (scope, key) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.underway.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Shows a message that was sent before, and who did not get it: filed as it was then, or as it is now. Of one whose copy has been removed since,
/// only the ids are known.
pub async fn sent_before(
    platform: &Platform,
    grant: GrantId,
    sent: (MessageId, ThreadId, Option<Placement>),
    suppressed: &[Suppressed],
    shown: Fields,
) -> Result<Message, Problem> {
    let message = copy_as_filed(platform, grant, sent, shown).await?;
    Ok(Message { suppressed_recipients: Some(left_out(suppressed)), ..message })
}

async fn copy_as_filed(
    platform: &Platform,
    grant: GrantId,
    sent: (MessageId, ThreadId, Option<Placement>),
    shown: Fields,
) -> Result<Message, Problem> {
    let (id, thread_id, placement) = sent;
    let mut reader = platform.store.reader().await?;
    let Some((stored, raw)) = load(&platform.store, &mut reader, grant, id).await? else {
        return Ok(view::message(&removed(grant, id, thread_id), Some(&[]), shown));
    };
    let stored = match placement {
        Some(Placement { folders, unread, starred }) => {
            StoredMessage { thread_id, folders, unread, starred, draft: false, ..stored }
        }
        None => stored,
    };
    Ok(view::message(&stored, Some(&raw), shown))
}

fn removed(grant_id: GrantId, id: MessageId, thread_id: ThreadId) -> StoredMessage {
    StoredMessage {
        id,
        grant_id,
        thread_id,
        blob_id: BlobId::from_uuid(id.uuid()),
        outgoing: true,
        // An id begins with the milliseconds of its making.
        date: UnixMicros::from_micros((id.uuid().as_u128() >> 80) as i64 * 1_000),
        unread: false,
        starred: false,
        octets: 0,
        folders: Vec::new(),
        summary: "{}".to_owned(),
        draft: false,
        assessment: None,
        answered: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing() -> Outgoing {
        let person = |email: &str| Participant { name: "Ada".into(), email: email.into() };
        Outgoing {
            to: vec![person("ada@sender.test")],
            subject: "Hello".into(),
            body: "<p>Hi</p>".into(),
            attachments: vec![Attachment { filename: "a".into(), content: b"bc".to_vec(), ..Attachment::default() }],
            custom_headers: vec![("X-A".into(), "1".into())],
            ..Outgoing::default()
        }
    }

    #[test]
    fn whatever_a_reader_would_notice_makes_another_message() {
        let change: [fn(&mut Outgoing); 11] = [
            |it| it.to[0].email = "bob@sender.test".into(),
            |it| it.to[0].name = "Bob".into(),
            |it| it.bcc = it.to.clone(),
            |it| it.cc = std::mem::take(&mut it.to),
            |it| it.subject = "Hello ".into(),
            |it| it.body.clear(),
            |it| it.is_plaintext = true,
            |it| (it.attachments[0].filename, it.attachments[0].content) = ("ab".into(), b"c".to_vec()),
            |it| it.reply_to_message_id = Some("x".into()),
            |it| it.custom_headers[0].1 = "2".into(),
            |it| it.has_unsubscribe_link = true,
        ];
        let mut seen = HashSet::from([content(&outgoing())]);
        for (number, change) in change.into_iter().enumerate() {
            let mut other = outgoing();
            change(&mut other);
            assert!(seen.insert(content(&other)), "change {number}");
        }
        let mut same = outgoing();
        same.to[0].email = "ada@SENDER.test".into();
        same.metadata.insert("task".into(), "1".into());
        assert_eq!(content(&same), content(&outgoing()), "what nobody gets");
    }

    #[test]
    fn date_and_id_do_not_make_another_message() {
        let first = b"Date: Mon, 2 Mar 2026 10:00:00 +0000\r\nSubject: A\r\nMessage-ID:\r\n <1@x>\r\n\r\nDate: 1\r\n";
        let again = b"date: Mon, 2 Mar 2026 11:00:00 +0000\r\nSubject: A\r\nMessage-Id: <2@x>\r\n\r\nDate: 1\r\n";
        let other = b"Date: Mon, 2 Mar 2026 10:00:00 +0000\r\nSubject: A\r\n\r\nDate: 2\r\n";
        assert_eq!(content_of_mime(first), content_of_mime(again));
        assert_ne!(content_of_mime(first), content_of_mime(other));
    }

    #[test]
    fn a_key_is_under_way_until_its_turn_ends() {
        let underway = Arc::new(Underway::default());
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let turn = underway.begin(one, [1; 32]).expect("free");
        assert!(underway.begin(one, [1; 32]).is_none());
        assert!(underway.begin(one, [2; 32]).is_some() && underway.begin(other, [1; 32]).is_some());
        drop(turn);
        assert!(underway.begin(one, [1; 32]).is_some());
    }
}
