//! Whether a message is one of those that a list is narrowed to: the one place where that is decided, for what is listed and
//! for what has just come in.

use crate::messages::Filter;
use crate::view;
use postfleet_core::folder::SystemFolder;
use postfleet_mail::fold::fold;
pub(crate) use postfleet_mail::terms::key_of;
use postfleet_mail::terms::spelled;
use postfleet_store::listings::Flags;
use postfleet_store::messages::StoredMessage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A filter made ready: what it compares with is folded once, and not for each message.
#[derive(Debug)]
pub struct Matcher<'f> {
    filter: &'f Filter,
    folders: Vec<&'f str>,
    subject: Option<String>,
    from: Vec<String>,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    any_email: Vec<String>,
}

impl<'f> Matcher<'f> {
    /// Makes a filter ready.
    pub fn of(filter: &'f Filter) -> Self {
        let keys = |list: &[String]| list.iter().map(|email| key_of(email)).collect();
        Self {
            filter,
            folders: filter.folders.iter().map(|name| id_of(name)).collect(),
            subject: filter.subject.as_deref().map(fold),
            from: keys(&filter.from),
            to: keys(&filter.to),
            cc: keys(&filter.cc),
            bcc: keys(&filter.bcc),
            any_email: keys(&filter.any_email),
        }
    }

    /// Whether a message passes all of the filter but the search, the thread and the dates.
    pub fn matches(&self, stored: &StoredMessage) -> bool {
        let Filter { folders, drafts, unread, starred, .. } = self.filter;
        (folders.is_empty() || self.folders.iter().any(|id| stored.folders.iter().any(|folder| folder == id)))
            && if *drafts { view::is_seen_draft(stored) } else { !stored.draft }
            && unread.is_none_or(|unread| unread == stored.unread)
            && starred.is_none_or(|starred| starred == stored.starred)
            && (!self.looks_into_summary() || self.matches_summary(&stored.summary))
    }

    /// Whether the place of a message in a listing says that it may pass.
    pub(crate) fn may_match(&self, flags: Flags) -> bool {
        let Filter { unread, starred, has_attachment, .. } = self.filter;
        unread.is_none_or(|unread| unread == flags.unread)
            && starred.is_none_or(|starred| starred == flags.starred)
            && has_attachment.is_none_or(|wanted| wanted == flags.has_attachment)
    }

    /// Whether places of listings can be told by what they say which messages pass.
    pub(crate) fn looks_into_messages(&self) -> bool {
        let Filter { subject, from, to, cc, bcc, any_email, metadata, .. } = self.filter;
        subject.is_some() || !metadata.is_empty() || [from, to, cc, bcc, any_email].iter().any(|list| !list.is_empty())
    }

    /// Whether the place of any message in a listing says that it may pass.
    pub(crate) fn takes_any_flags(&self) -> bool {
        let Filter { unread, starred, has_attachment, .. } = self.filter;
        unread.is_none() && starred.is_none() && has_attachment.is_none()
    }

    /// The keys of addresses that are asked for: from, to, cc, bcc, any of them.
    pub(crate) fn addresses(&self) -> [&[String]; 5] {
        [&self.from, &self.to, &self.cc, &self.bcc, &self.any_email]
    }

    /// The part of the subject that is asked for, folded.
    pub(crate) fn part_of_subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether a message is of the thread that is asked for.
    pub(crate) fn is_of_thread(&self, stored: &StoredMessage) -> bool {
        self.filter.thread_id.is_none_or(|thread| thread == stored.thread_id)
    }

    /// Whether nothing but a listing and dates narrows the list.
    pub(crate) fn takes_all(&self) -> bool {
        !self.looks_into_messages() && self.takes_any_flags()
    }

    fn looks_into_summary(&self) -> bool {
        self.filter.has_attachment.is_some() || self.looks_into_messages()
    }

    fn matches_summary(&self, json: &str) -> bool {
        let Filter { has_attachment, metadata, .. } = self.filter;
        // A damaged one reads as empty, as everywhere.
        let seen: Seen<'_> = serde_json::from_str(json).unwrap_or_default();
        has_attachment.is_none_or(|wanted| wanted != seen.attachments.is_empty())
            && self.subject.as_ref().is_none_or(|part| fold(&seen.subject).contains(part))
            && metadata.iter().all(|(key, value)| seen.metadata.get(key) == Some(value))
            && among(&self.from, &[&seen.from])
            && among(&self.to, &[&seen.to])
            && among(&self.cc, &[&seen.cc])
            && among(&self.bcc, &[&seen.bcc])
            && among(&self.any_email, &[&seen.from, &seen.to, &seen.cc, &seen.bcc])
    }
}

/// What is looked at of a summary.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen<'s> {
    #[serde(borrow)]
    subject: Cow<'s, str>,
    from: Vec<Person<'s>>,
    to: Vec<Person<'s>>,
    cc: Vec<Person<'s>>,
    bcc: Vec<Person<'s>>,
    attachments: Vec<IgnoredAny>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Person<'s> {
    #[serde(borrow)]
    email: Cow<'s, str>,
}

/// The id of a folder that is named by its id or its name.
pub(crate) fn id_of(name: &str) -> &str {
    SystemFolder::named(name).map_or(name, |folder| folder.id())
}

fn among(wanted: &[String], headers: &[&Vec<Person<'_>>]) -> bool {
    wanted.is_empty() || headers.iter().any(|people| people.iter().any(|person| is_among(wanted, &person.email)))
}

pub(crate) fn is_among(wanted: &[String], email: &str) -> bool {
    let spelled = spelled(email);
    wanted.iter().any(|key| key.eq_ignore_ascii_case(&spelled))
}

impl Filter {
    /// Whether a message passes all of the filter but the search, the thread and the dates. For many messages, make a
    /// [`Matcher`] once.
    pub fn matches(&self, stored: &StoredMessage) -> bool {
        Matcher::of(self).matches(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Summary;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn addresses_are_compared_by_their_keys() {
        for (name, wanted, email, expected) in [
            ("case", "Ada@People.test", "ada@people.TEST", true),
            ("case beyond ASCII", "ÜNAL@people.test", "ünal@people.test", true),
            ("domain in its own script", "a@bücher.test", "a@xn--bcher-kva.test", true),
            ("domain in ASCII", "a@xn--bcher-kva.test", "a@bücher.test", true),
            ("needless quotes", "ada@people.test", "\"ada\"@people.test", true),
            ("another", "ada@people.test", "ada@people.test.example", false),
            ("part", "da@people.test", "ada@people.test", false),
            ("no address", "Undisclosed", "undisclosed", true),
        ] {
            let is = is_among(&[key_of(wanted)], email);
            assert_eq!(is, expected, "{name}");
        }
    }

    #[test]
    fn summaries_pass_by_all_of_a_filter() {
        let mut summary = Summary { subject: "Grüße aus Athen".into(), ..Summary::default() };
        summary.metadata.insert("key1".into(), "a, b".into());
        let passes = |filter: Filter| Matcher::of(&filter).matches_summary(&summary.to_json());
        let subject = |text: &str| Filter { subject: Some(text.into()), ..Filter::default() };
        for (text, expected) in [("grüsse", true), ("GRÜSSE AUS", true), ("ＡＴＨＥＮ", true), ("grusse", false)]
        {
            assert_eq!(passes(subject(text)), expected, "{text}");
        }
        let pair = |value: &str| Filter { metadata: vec![("key1".into(), value.into())], ..Filter::default() };
        assert!(passes(pair("a, b")) && !passes(pair("a")));
        assert!(!passes(Filter { from: texts(&["ada@people.test"]), ..Filter::default() }));
        assert!(passes(Filter { has_attachment: Some(false), ..Filter::default() }));
        assert!(!passes(Filter { has_attachment: Some(true), ..Filter::default() }));
    }
}
