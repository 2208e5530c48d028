//! Messages as JSON, written once: what is stored in the shape in which it is shown is copied, and what is not selected is
//! not even looked at. The shape is that of [`view::message`], member for member.

use crate::assessment;
use crate::kept::{Kept, Part};
use crate::summary::{Automated, DraftFacts, File, Tracking};
use crate::view::{self, Fields};
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_mail::message as mail;
use postfleet_schema::message as schema;
use postfleet_store::messages::{Extent, Listed};
use serde::{Deserialize, Serialize};
use std::io::Write;
use uuid::Uuid;

/// Names things in one place, and numbers them in the order in which they are written.
macro_rules! members {
    ($($member:ident $name:literal,)*) => {
        /// A member of a message that can be selected; without `id`, `object` and `grant_id` nobody can do.
        #[derive(Clone, Copy)]
        enum Member { $($member,)* }

        /// Their names.
        const MEMBERS: &[&str] = &[$($name,)*];
    };
}

members! {
    ThreadId "thread_id",
    Subject "subject",
    From "from",
    To "to",
    Cc "cc",
    Bcc "bcc",
    ReplyTo "reply_to",
    Date "date",
    Unread "unread",
    Starred "starred",
    Answered "answered",
    Folders "folders",
    Snippet "snippet",
    Body "body",
    VisibleText "visible_text",
    Attachments "attachments",
    Headers "headers",
    InReplyTo "in_reply_to",
    MessageIdHeader "message_id_header",
    Metadata "metadata",
    TrackingOptions "tracking_options",
    Automated "automated",
    Authentication "authentication",
    Marks "marks",
    Spam "spam",
    Suspicion "suspicion",
    Direction "direction",
    CreatedAt "created_at",
    SendAt "send_at",
    ListUnsubscribe "list_unsubscribe",
    ReplyToMessageId "reply_to_message_id",
}

/// Of which part of a summary a member is made.
const PARTS_SHOWN: &[(Member, Part)] = &[
    (Member::Subject, Part::Subject),
    (Member::From, Part::From),
    (Member::To, Part::To),
    (Member::Cc, Part::Cc),
    (Member::Bcc, Part::Bcc),
    (Member::ReplyTo, Part::ReplyTo),
    (Member::Snippet, Part::Snippet),
    (Member::Attachments, Part::Attachments),
    (Member::InReplyTo, Part::InReplyTo),
    (Member::MessageIdHeader, Part::MessageId),
    (Member::Metadata, Part::Metadata),
    (Member::TrackingOptions, Part::Tracking),
    (Member::Automated, Part::Automated),
];

/// Which members of a message are shown beside those that always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection(u64);

impl Selection {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// Those that are named; all of them where none is. Names that no message has are ignored.
    pub fn of(names: &[String]) -> Self {
        if names.is_empty() {
            return Self::ALL;
        }
        let named = |(place, member): (usize, &&str)| names.iter().any(|name| name == member).then_some(1 << place);
        Self(MEMBERS.iter().enumerate().filter_map(named).fold(0, |all, one: u64| all | one))
    }

    /// Whether a member is shown.
    pub fn has(self, member: &str) -> bool {
        MEMBERS.iter().position(|one| *one == member).is_some_and(|place| self.0 & (1 << place) != 0)
    }

    /// What of a message has to be read beside its standard fields: nothing where that is not selected.
    pub fn fields(self, asked: Fields) -> Fields {
        let member = match asked {
            Fields::Standard | Fields::RawMime => return asked,
            Fields::IncludeHeaders | Fields::IncludeBasicHeaders => "headers",
            Fields::IncludeTrackingOptions => "tracking_options",
            Fields::IncludeVisibleText => "visible_text",
        };
        if self.has(member) { asked } else { Fields::Standard }
    }

    fn shows(self, member: Member) -> bool {
        self.0 & (1 << member as usize) != 0
    }

    /// The parts of summaries of which it is made.
    fn parts(self) -> u32 {
        let of = |(member, part): &(Member, Part)| if self.shows(*member) { part.bit() } else { 0 };
        PARTS_SHOWN.iter().map(of).fold(0, |all, one| all | one)
    }

    /// Whether something is shown of what was found when the message came in.
    pub(crate) fn has_assessment(self) -> bool {
        ["authentication", "marks", "spam", "suspicion"].iter().any(|member| self.has(member))
    }
}

/// Writes messages of one mailbox, separated by commas.
pub struct Writer {
    out: Vec<u8>,
    /// Where the first message begins.
    start: usize,
    grant: GrantId,
    /// The same as it is written.
    grant_written: [u8; 36],
    fields: Fields,
    selection: Selection,
    has_assessment: bool,
    /// What has to be known of a summary for it.
    parts: u32,
}

impl Writer {
    /// Writes messages of a mailbox, with what is selected of each.
    pub fn new(grant: GrantId, fields: Fields, selection: Selection) -> Self {
        Self::after(Vec::with_capacity(16_384), grant, fields, selection)
    }

    /// The same, behind what was written by somebody else.
    pub fn after(out: Vec<u8>, grant: GrantId, fields: Fields, selection: Selection) -> Self {
        let mut written = [0; 36];
        grant.uuid().hyphenated().encode_lower(&mut written);
        let has_assessment = selection.has_assessment();
        let parts = selection.parts();
        Self { start: out.len(), out, grant, grant_written: written, fields, selection, has_assessment, parts }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Writes a message. Without its raw form there is no body and there are no headers.
    pub fn write(&mut self, listed: &Listed<'_>, raw: Option<&[u8]>) {
        let kept = Kept::read(listed.summary, if listed.draft { self.parts | Part::Draft.bit() } else { self.parts });
        self.open(listed);
        self.head(listed, &kept);
        self.content(listed, &kept, raw);
        self.findings(listed, &kept);
        self.out.push(b'}');
    }

    /// How much has to be read of messages for it.
    pub(crate) fn extent(&self) -> Extent {
        let more = [Member::ThreadId, Member::Starred, Member::Answered, Member::Direction];
        match self.has_assessment {
            true => Extent::All,
            false if more.into_iter().any(|member| self.selection.shows(member)) => Extent::Most,
            false => Extent::Few,
        }
    }

    /// What every object has.
    fn open(&mut self, listed: &Listed<'_>) {
        let start: &[u8] = if self.out.len() == self.start { b"{\"id\":\"" } else { b",{\"id\":\"" };
        self.out.extend_from_slice(start);
        self.id(listed.id.uuid());
        let object: &[u8] = if view::is_kind(listed, true) { b"draft" } else { b"message" };
        self.out.extend_from_slice(b"\",\"object\":\"");
        self.out.extend_from_slice(object);
        self.out.extend_from_slice(b"\",\"grant_id\":\"");
        self.out.extend_from_slice(&self.grant_written);
        self.out.push(b'"');
    }

    fn head(&mut self, listed: &Listed<'_>, kept: &Kept<'_>) {
        if self.member(Member::ThreadId) {
            self.out.push(b'"');
            self.id(listed.thread_id.uuid());
            self.out.push(b'"');
        }
        self.copy(Member::Subject, kept.subject, "\"\"");
        for (member, people) in [
            (Member::From, kept.from),
            (Member::To, kept.to),
            (Member::Cc, kept.cc),
            (Member::Bcc, kept.bcc),
            (Member::ReplyTo, kept.reply_to),
        ] {
            self.copy(member, people, "[]");
        }
        self.value(Member::Date, || listed.date.as_seconds());
        self.value(Member::Unread, || listed.unread);
        self.value(Member::Starred, || listed.starred);
        self.value(Member::Answered, || listed.answered);
        self.folders(&listed.folders);
        self.copy(Member::Snippet, kept.snippet, "\"\"");
    }

    fn content(&mut self, listed: &Listed<'_>, kept: &Kept<'_>, raw: Option<&[u8]>) {
        if let Some(raw) = raw {
            self.value(Member::Body, || mail::body(raw));
            if self.fields == Fields::IncludeVisibleText {
                self.value(Member::VisibleText, || view::visible_text(raw));
            }
        }
        match kept.attachments {
            Some(_) => self.value(Member::Attachments, {
                let grant = self.grant;
                move || attachments(kept, grant, listed.id)
            }),
            None => self.copy(Member::Attachments, None, "[]"),
        }
        if let Some(headers) = raw.and_then(|raw| view::headers(raw, self.fields)) {
            self.value(Member::Headers, || headers);
        }
        self.bracketed(Member::InReplyTo, kept.in_reply_to);
        self.bracketed(Member::MessageIdHeader, kept.message_id);
        self.copy(Member::Metadata, kept.metadata, "{}");
        if self.fields == Fields::IncludeTrackingOptions {
            self.value(Member::TrackingOptions, || view::tracking(parsed::<Tracking>(kept.tracking)));
        }
    }

    fn findings(&mut self, listed: &Listed<'_>, kept: &Kept<'_>) {
        self.value(Member::Automated, || {
            let automated = parsed::<Automated>(kept.automated);
            automated.map(|Automated { kind, list, .. }| schema::Automated { kind, list })
        });
        if self.has_assessment {
            let found = listed.assessment.map(assessment::from_json);
            let (authentication, marks, spam, suspicion) = match found {
                Some(found) => {
                    let marks = assessment::marks(&found.marks);
                    (Some(found.authentication), Some(marks), Some(found.spam), Some(found.suspicion))
                }
                None => (None, None, None, None),
            };
            self.value(Member::Authentication, || authentication.map(assessment::authentication));
            self.value(Member::Marks, || marks);
            self.value(Member::Spam, || spam.map(assessment::spam));
            self.value(Member::Suspicion, || suspicion.map(assessment::suspicion));
        }
        self.value(Member::Direction, || if listed.outgoing { "outbound" } else { "inbound" });
        let draft = parsed::<DraftFacts>(kept.draft.filter(|_| listed.draft));
        self.value(Member::CreatedAt, || draft.as_ref().map_or(listed.date.as_seconds(), |draft| draft.created_at));
        let Some(draft) = draft else { return };
        if let Some(send_at) = draft.send_at {
            self.value(Member::SendAt, || send_at);
        }
        if draft.list_unsubscribe {
            self.value(Member::ListUnsubscribe, || true);
        }
        if let Some(id) = &draft.reply_to_message_id {
            self.value(Member::ReplyToMessageId, || id);
        }
    }

    /// Writes the name of a member, if it is selected.
    fn member(&mut self, member: Member) -> bool {
        let is_selected = self.selection.shows(member);
        if is_selected {
            self.out.extend_from_slice(b",\"");
            self.out.extend_from_slice(MEMBERS[member as usize].as_bytes());
            self.out.extend_from_slice(b"\":");
        }
        is_selected
    }

    /// The folders, but for the one that only says that it waits to be sent.
    fn folders(&mut self, folders: &str) {
        if !self.selection.shows(Member::Folders) {
            return;
        }
        if view::is_scheduled(folders) {
            let all: Vec<String> = serde_json::from_str(folders).unwrap_or_default();
            self.value(Member::Folders, || all.into_iter().filter(|folder| folder != SCHEDULED).collect::<Vec<_>>());
        } else if self.member(Member::Folders) {
            self.out.extend_from_slice(folders.as_bytes());
        }
    }

    /// Copies a member as it is stored, or `absent` where it is not.
    fn copy(&mut self, member: Member, stored: Option<&str>, absent: &str) {
        if self.member(member) {
            self.out.extend_from_slice(stored.unwrap_or(absent).as_bytes());
        }
    }

    /// A Message-ID, which is stored without its brackets.
    fn bracketed(&mut self, member: Member, stored: Option<&str>) {
        if !self.member(member) {
            return;
        }
        let inner = stored.and_then(|id| id.strip_prefix('"')?.strip_suffix('"'));
        // A `Vec` takes whatever is written.
        let _ = match inner {
            Some(id) => write!(self.out, "\"<{id}>\""),
            None => write!(self.out, "null"),
        };
    }

    /// Writes a member that has to be made, if it is selected.
    fn value<T: Serialize>(&mut self, member: Member, make: impl FnOnce() -> T) {
        if self.member(member) {
            let start = self.out.len();
            if serde_json::to_writer(&mut self.out, &make()).is_err() {
                self.out.truncate(start);
                self.out.extend_from_slice(b"null");
            }
        }
    }

    fn id(&mut self, id: Uuid) {
        let mut text = [0; 36];
        id.hyphenated().encode_lower(&mut text);
        self.out.extend_from_slice(&text);
    }
}

fn attachments(kept: &Kept<'_>, grant: GrantId, message: MessageId) -> Vec<schema::Attachment> {
    let files: Vec<File> = parsed(kept.attachments).unwrap_or_default();
    files.iter().map(|file| view::attachment(grant, message, file)).collect()
}

fn parsed<'s, T: Deserialize<'s>>(stored: Option<&'s str>) -> Option<T> {
    serde_json::from_str(stored?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Person, Summary};
    use postfleet_core::UnixMicros;
    use postfleet_core::assessment::Assessment;
    use postfleet_core::id::{BlobId, MessageId, ThreadId};
    use postfleet_store::messages::StoredMessage;
    use serde_json::Value;

    const RAW: &[u8] = b"From: Ada <ada@people.test>\r\nMessage-ID: <one@people.test>\r\nX-A: 1\r\nX-A: 2\r\n\
        Content-Type: text/html\r\n\r\n<p>\"Hello\" <a href=\"https://people.test\">there</a></p>\r\n";

    fn stored(summary: &Summary) -> StoredMessage {
        let id = |last: u128| Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + last);
        StoredMessage {
            id: MessageId::from_uuid(id(1)),
            grant_id: GrantId::from_uuid(id(2)),
            thread_id: ThreadId::from_uuid(id(3)),
            blob_id: BlobId::from_uuid(id(4)),
            outgoing: false,
            date: UnixMicros::from_seconds(1_772_445_600),
            unread: true,
            starred: false,
            octets: 7,
            folders: vec!["inbox".into(), "Kunden \"A\"".into()],
            summary: summary.to_json(),
            draft: false,
            assessment: None,
            answered: true,
        }
    }

    fn full() -> Summary {
        let person = |name: &str, email: &str| Person { name: name.into(), email: email.into() };
        Summary {
            subject: "Grüße, \"you\" \\ \u{1}\u{2028}".into(),
            from: vec![person("Ada \"A\"", "ada@people.test"), person("", "b@people.test")],
            to: vec![person("", "agent@acme.test")],
            cc: vec![person("C", "c@people.test")],
            bcc: vec![person("", "d@people.test")],
            reply_to: vec![person("E", "e@people.test")],
            snippet: "Hello".into(),
            message_id: Some("one\"@people.test".into()),
            in_reply_to: Some("zero@people.test".into()),
            references: vec!["zero@people.test".into()],
            attachments: vec![File {
                index: 2,
                filename: "a.pdf".into(),
                content_type: "application/pdf".into(),
                size: 5,
                content_id: None,
                disposition: Some("attachment".into()),
                is_inline: false,
            }],
            places: Vec::new(),
            metadata: [("key1".to_owned(), "a, b".to_owned())].into(),
            tracking: Some(Tracking { opens: true, label: Some("x".into()), ..Tracking::default() }),
            require_opt_in: Some("news".into()),
            automated: Some(Automated { kind: "bulk".into(), list: true, null_path: false }),
            draft: Some(DraftFacts {
                created_at: 7,
                send_at: Some(9),
                list_unsubscribe: true,
                reply_to_message_id: Some("m".into()),
                ..DraftFacts::default()
            }),
        }
    }

    /// Messages of every kind, by name.
    fn cases() -> Vec<(&'static str, StoredMessage)> {
        let assessed = |summary: &Summary| StoredMessage {
            assessment: Some(assessment::to_json(&Assessment::default())),
            ..stored(summary)
        };
        let draft = StoredMessage { draft: true, outgoing: true, folders: vec!["drafts".into()], ..stored(&full()) };
        vec![
            ("full", assessed(&full())),
            ("empty", assessed(&Summary::default())),
            ("own", StoredMessage { outgoing: true, unread: false, starred: true, ..stored(&full()) }),
            ("waiting", StoredMessage { folders: vec!["scheduled".into()], ..draft.clone() }),
            ("draft", draft),
            ("damaged", StoredMessage { summary: "{\"subject\":".into(), ..stored(&full()) }),
        ]
    }

    const MODES: &[Fields] = &[
        Fields::Standard,
        Fields::IncludeHeaders,
        Fields::IncludeBasicHeaders,
        Fields::IncludeTrackingOptions,
        Fields::IncludeVisibleText,
    ];

    fn written(stored: &StoredMessage, raw: Option<&[u8]>, fields: Fields, selection: Selection) -> String {
        let mut writer = Writer::new(stored.grant_id, fields, selection);
        writer.write(&Listed::of(stored), raw);
        String::from_utf8(writer.finish()).expect("UTF-8")
    }

    #[test]
    fn what_is_written_is_what_is_shown() {
        let mut compared = 0;
        for (name, stored) in cases() {
            for (fields, raw) in MODES.iter().flat_map(|fields| [(*fields, Some(RAW)), (*fields, None)]) {
                let shown = serde_json::to_string(&view::message(&stored, raw, fields)).expect("JSON");
                assert_eq!(written(&stored, raw, fields, Selection::ALL), shown, "{name}, {fields:?}");
                compared += 1;
            }
        }
        println!("{compared} messages written as they are shown");
    }

    #[test]
    fn each_member_is_shown_alone_where_it_is_selected() {
        for (name, stored) in cases() {
            for fields in MODES {
                let shown = serde_json::to_value(view::message(&stored, Some(RAW), *fields)).expect("JSON");
                for member in MEMBERS.iter().chain(&["nothing", "id"]) {
                    let selection = Selection::of(&[(*member).to_owned()]);
                    let text = written(&stored, Some(RAW), *fields, selection);
                    let mut expected = shown.clone();
                    let kept = |key: &str| ["id", "object", "grant_id", *member].contains(&key);
                    expected.as_object_mut().expect("object").retain(|key, _| kept(key));
                    let found: Value = serde_json::from_str(&text).expect("JSON");
                    assert_eq!(found, expected, "{name}, {fields:?}, {member}");
                }
            }
        }
        // Nothing is shown that cannot be selected.
        let (_, draft) = cases().swap_remove(4);
        let shown = serde_json::to_value(view::message(&draft, Some(RAW), Fields::Standard)).expect("JSON");
        for key in shown.as_object().expect("object").keys() {
            assert!(["id", "object", "grant_id"].contains(&key.as_str()) || MEMBERS.contains(&key.as_str()), "{key}");
        }
    }

    #[test]
    fn several_are_separated_by_commas_and_none_is_nothing() {
        let (_, stored) = cases().swap_remove(0);
        let selection = Selection::of(&["subject".to_owned()]);
        let mut writer = Writer::new(stored.grant_id, Fields::Standard, selection);
        writer.write(&Listed::of(&stored), None);
        writer.write(&Listed::of(&stored), None);
        let text = format!("[{}]", String::from_utf8(writer.finish()).expect("UTF-8"));
        let found: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!((found.len(), found[0] == found[1]), (2, true));
        assert!(Writer::new(stored.grant_id, Fields::Standard, selection).finish().is_empty());
    }

    #[test]
    fn what_is_not_selected_is_not_read() {
        let subject = Selection::of(&["subject".to_owned(), "headers".to_owned()]);
        assert_eq!(subject.fields(Fields::IncludeVisibleText), Fields::Standard);
        assert_eq!(subject.fields(Fields::IncludeHeaders), Fields::IncludeHeaders);
        assert_eq!(subject.fields(Fields::RawMime), Fields::RawMime);
        assert!(!subject.has_assessment() && Selection::of(&["spam".to_owned()]).has_assessment());
        assert!(Selection::of(&[]).has("body") && !subject.has("body"));
    }
}
