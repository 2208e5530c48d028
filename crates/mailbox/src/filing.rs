//! From a parsed message to what the store files.

use crate::summary::{Automated, Person, Summary};
use postfleet_core::UnixMicros;
use postfleet_core::folder::SystemFolder;
use postfleet_core::search::Term;
use postfleet_mail::message::{MessageView, Parsed};
use postfleet_mail::terms::{self, Head, Named, Role};
use postfleet_store::messages::MessageFacts;
use postfleet_store::search::Vector;
use postfleet_store::threads::ThreadHints;
use postfleet_store::{Store, StoreError};
use serde::Deserialize;
use std::borrow::Cow;

/// What is searched of a message that was received, if it is kept from the beginning.
pub fn terms_of(message: &Parsed<'_>) -> Option<Vec<u8>> {
    let view = &message.view;
    let lists = [
        (Role::From, &view.from),
        (Role::To, &view.to),
        (Role::Cc, &view.cc),
        (Role::Bcc, &view.bcc),
        (Role::ReplyTo, &view.reply_to),
    ];
    let people = lists.into_iter().flat_map(|(role, list)| {
        list.iter().map(move |person| Named { role, name: &person.name, email: &person.email })
    });
    let files = view.attachments.iter().map(|file| file.filename.as_str());
    terms::kept_of(message, &Head { subject: &view.subject, people: people.collect(), files: files.collect() })
}

/// The same of a message that the mailbox sends: also who gets it unseen.
pub fn terms_of_sent(summary: &Summary, raw: &[u8]) -> Option<Vec<u8>> {
    terms::kept(raw, &head(summary))
}

/// What is searched of a message that is stored: as it is kept, or made anew.
pub async fn terms_of_stored(store: &Store, vector: &mut Vector) -> Result<(), StoreError> {
    if let Some(blob) = vector.unread.take() {
        let raw = store.blobs().load(&blob).await?;
        vector.terms = terms_of_source(&raw, vector.summary.as_deref().unwrap_or_default());
    }
    Ok(())
}

/// The pieces of the subject of a message that is gathered.
pub fn pieces_of_stored(vector: &Vector) -> Vec<Term> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Seen<'s> {
        #[serde(borrow)]
        subject: Cow<'s, str>,
    }
    // A damaged one reads as empty, as everywhere.
    let seen: Seen<'_> = vector.summary.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    terms::pieces(&seen.subject)
}

/// The same, made of its source and of its summary.
pub(crate) fn terms_of_source(raw: &[u8], summary: &str) -> Vec<u8> {
    terms::of_message(raw, &head(&Summary::from_json(summary)))
}

fn head(summary: &Summary) -> Head<'_> {
    let lists: [(Role, &Vec<Person>); 5] = [
        (Role::From, &summary.from),
        (Role::To, &summary.to),
        (Role::Cc, &summary.cc),
        (Role::Bcc, &summary.bcc),
        (Role::ReplyTo, &summary.reply_to),
    ];
    let people = lists.into_iter().flat_map(|(role, list)| {
        list.iter().map(move |person| Named { role, name: &person.name, email: &person.email })
    });
    let files = summary.attachments.iter().map(|file| file.filename.as_str());
    Head { subject: &summary.subject, people: people.collect(), files: files.collect() }
}

/// What is filed of a message that was received.
pub fn received(view: &MessageView, octets: u64, date: UnixMicros) -> MessageFacts {
    let correspondents = view.from.iter().map(|person| person.email.clone()).collect();
    let summary = Summary { automated: Automated::of(&view.automation), ..Summary::of(view) };
    facts(summary, octets, date, SystemFolder::Inbox, correspondents)
}

/// What is filed of a message that the mailbox sends; `summary` knows the bcc recipients, the raw message does not.
pub fn sent(summary: Summary, octets: u64, date: UnixMicros) -> MessageFacts {
    let correspondents = summary.to.iter().chain(&summary.cc).map(|person| person.email.clone()).collect();
    facts(summary, octets, date, SystemFolder::Sent, correspondents)
}

/// What is filed of a draft, or of a message that waits to be sent: `folder` tells which.
pub fn draft(summary: Summary, octets: u64, date: UnixMicros, unread: bool, folder: &'static str) -> MessageFacts {
    let filed = facts(summary, octets, date, SystemFolder::Drafts, Vec::new());
    MessageFacts { outgoing: true, unread, folder, ..filed }
}

fn facts(
    summary: Summary,
    octets: u64,
    date: UnixMicros,
    folder: SystemFolder,
    correspondents: Vec<String>,
) -> MessageFacts {
    let outgoing = folder == SystemFolder::Sent;
    MessageFacts {
        date,
        outgoing,
        folder: folder.id(),
        unread: !outgoing,
        starred: false,
        octets,
        summary: summary.to_json(),
        thread: ThreadHints {
            message_id: summary.message_id,
            in_reply_to: summary.in_reply_to.into_iter().collect(),
            references: summary.references,
            subject: summary.subject,
            correspondents,
            hops: 0,
            counted_at: None,
        },
    }
}
