//! What is kept of a message beside its raw form, so that lists need not parse it: written when it is filed, read
//! whenever it is shown. Stored as JSON; new fields get a default so that older rows stay readable.

use postfleet_mail::Participant;
use postfleet_mail::automation::Automation;
use postfleet_mail::message::{AttachmentMeta, Encoding, FileKind, MessageView, Place};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A message in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The subject, decoded.
    #[serde(default)]
    pub subject: String,
    /// Who wrote it.
    #[serde(default)]
    pub from: Vec<Person>,
    /// To whom.
    #[serde(default)]
    pub to: Vec<Person>,
    /// Who got a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<Person>,
    /// Who got a copy unseen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<Person>,
    /// Where answers go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<Person>,
    /// The first characters.
    #[serde(default)]
    pub snippet: String,
    /// Its Message-ID, without brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The Message-ID that it answers, without brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The Message-IDs of the conversation so far, without brackets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// What is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<File>,
    /// Where the octets of what is attached stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<FilePlace>,
    /// Key and value pairs of the application.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What the application wants to be told of opens and links; nothing is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// The purpose for which everybody who gets it must have agreed to mail, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_opt_in: Option<String>,
    /// What machine or list sent it, if one did; known only of what was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automated: Option<Automated>,
    /// What a draft has beside its message; nothing once it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<DraftFacts>,
}

/// What is known of the machine or the list that sent a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Automated {
    /// `auto_replied`, `auto_generated`, `auto_notified` or `bulk`.
    pub kind: String,
    /// Whether it came by a mailing list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list: bool,
    /// Whether it came with the null reverse path: nothing may be sent back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub null_path: bool,
}

impl Automated {
    /// From what a message says; nothing for one that a human may have written.
    pub fn of(automation: &Automation) -> Option<Self> {
        let kind = automation.kind()?.to_owned();
        Some(Self { kind, list: automation.is_list, null_path: automation.is_null_path })
    }
}

/// What a draft has that its message cannot hold, or not as it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftFacts {
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// Whether its body is plain text.
    #[serde(default)]
    pub is_plaintext: bool,
    /// Further header fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_headers: Vec<(String, String)>,
    /// What it answers, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to_message_id: Option<String>,
    /// When it is to be sent, in unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<i64>,
    /// Whether it has a link by which its one recipient wants no more mail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list_unsubscribe: bool,
    /// Whether its message leaves as it was given, octet for octet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_written: bool,
}

/// What an application wants to be told of a message that it sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// That it was opened.
    #[serde(default)]
    pub opens: bool,
    /// That a link in it was followed.
    #[serde(default)]
    pub links: bool,
    /// That it was answered.
    #[serde(default)]
    pub thread_replies: bool,
    /// A word of the application's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where links would lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
}

/// A name and an address, stored as they are shown: lists copy them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The display name.
    #[serde(default)]
    pub name: String,
    /// The address.
    pub email: String,
}

/// An attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Which part of the message.
    pub index: u32,
    /// Its name.
    #[serde(default)]
    pub filename: String,
    /// What it is.
    pub content_type: String,
    /// Octets after decoding.
    pub size: u64,
    /// Its Content-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Its disposition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
    /// Whether the body shows it.
    #[serde(default)]
    pub is_inline: bool,
}

/// Where an attachment stands in its message. Stored as a list, since a message may have many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u32, u64, u64, String, String)", try_from = "(u32, u64, u64, String, String)")]
pub struct FilePlace {
    /// Which part of the message.
    pub index: u32,
    /// Where, and what it looks like.
    pub place: Place,
}

impl From<FilePlace> for (u32, u64, u64, String, String) {
    fn from(FilePlace { index, place }: FilePlace) -> Self {
        let Place { from_end, octets, encoding, kind } = place;
        (index, from_end, octets, encoding.letter().to_owned(), kind.name().to_owned())
    }
}

impl TryFrom<(u32, u64, u64, String, String)> for FilePlace {
    type Error = &'static str;

    fn try_from(stored: (u32, u64, u64, String, String)) -> Result<Self, Self::Error> {
        let (index, from_end, octets, encoding, kind) = stored;
        let encoding = Encoding::of_letter(&encoding).ok_or("encoding")?;
        Ok(Self { index, place: Place { from_end, octets, encoding, kind: FileKind::named(&kind) } })
    }
}

impl From<&AttachmentMeta> for FilePlace {
    fn from(file: &AttachmentMeta) -> Self {
        Self { index: file.index, place: file.place }
    }
}

impl Summary {
    /// Sums up a parsed message.
    pub fn of(view: &MessageView) -> Self {
        let people = |people: &[Participant]| people.iter().map(Person::from).collect();
        Self {
            subject: view.subject.clone(),
            from: people(&view.from),
            to: people(&view.to),
            cc: people(&view.cc),
            bcc: people(&view.bcc),
            reply_to: people(&view.reply_to),
            snippet: view.snippet.clone(),
            message_id: view.message_id.clone(),
            in_reply_to: view.in_reply_to.first().cloned(),
            references: view.references.clone(),
            attachments: view.attachments.iter().map(File::from).collect(),
            places: view.attachments.iter().map(FilePlace::from).collect(),
            metadata: BTreeMap::new(),
            tracking: None,
            require_opt_in: None,
            automated: None,
            draft: None,
        }
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// From how it is stored; a damaged one reads as empty, so that the message itself stays readable.
    pub fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}

impl From<&Participant> for Person {
    fn from(person: &Participant) -> Self {
        Self { email: person.email.clone(), name: person.name.clone() }
    }
}

impl From<&Person> for Participant {
    fn from(person: &Person) -> Self {
        Self { name: person.name.clone(), email: person.email.clone() }
    }
}

impl From<&AttachmentMeta> for File {
    fn from(file: &AttachmentMeta) -> Self {
        Self {
            index: file.index,
            filename: file.filename.clone(),
            content_type: file.content_type.clone(),
            size: file.size,
            content_id: file.content_id.clone(),
            disposition: file.disposition.clone(),
            is_inline: file.is_inline,
        }
    }
}
