//! What is odd about the header fields and the structure of a message: what programs that send much get wrong, and what
//! those do that pass for others.

use super::{Body, Surroundings};
use crate::message::{Defect, MessageView, Parsed};
use crate::syntax::header::Header;
use crate::syntax::word;
use postfleet_core::spam::SpamReason;
use std::time::Duration;

/// How far ahead a date may be, and how far back.
const AHEAD: Duration = Duration::from_secs(24 * 3_600);
const BACK: Duration = Duration::from_secs(14 * 86_400);

/// Characters of a long subject.
const SUBJECT_CHARS: usize = 200;

/// Providers at which anybody has an address: nobody's company answers there.
const FREE_MAIL: &[&str] = &[
    "aol.com",
    "gmail.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mail.com",
    "mail.ru",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "web.de",
    "yahoo.com",
    "yandex.com",
    "yandex.ru",
    "zoho.com",
];

/// What the fields have that the view does not keep.
#[derive(Default)]
struct Seen {
    date: bool,
    message_id: Option<String>,
    mime_version: bool,
    to: bool,
    subject: String,
    has_raw_octets: bool,
    forged_hop: bool,
    received: usize,
    bare_received: bool,
}

pub(super) fn look(message: &Parsed<'_>, body: &Body, around: &Surroundings<'_>) -> Vec<SpamReason> {
    let (view, seen) = (&message.view, Seen::read(&message.header, around.hostname));
    let mut reasons = Vec::new();
    let mut add = |name: &str, score: i64, text: String| reasons.push(SpamReason::new(name, score, text));
    date(&seen, view, around, &mut add);
    message_id(&seen, &mut add);
    structure(&seen, view, body, &mut add);
    subject(&seen, view, &mut add);
    addresses(view, &mut add);
    if seen.forged_hop {
        add("forged_received", 200, format!("a Received field says that {} wrote it, which did not", around.hostname));
    }
    if seen.bare_received {
        add("odd_received", 50, "a Received field does not say from where or by whom".into());
    }
    reasons
}

impl Seen {
    fn read(header: &Header<'_>, hostname: &str) -> Self {
        let mut seen = Self::default();
        for field in &header.fields {
            seen.has_raw_octets |= !field.value.is_ascii();
            match field.name.len() {
                4 if field.is("Date") => seen.date = true,
                2 => seen.to |= field.is("To") || field.is("Cc"),
                10 if field.is("Message-ID") && seen.message_id.is_none() => seen.message_id = Some(field.text()),
                12 if field.is("MIME-Version") => seen.mime_version = true,
                7 if field.is("Subject") && seen.subject.is_empty() => seen.subject = field.text(),
                8 if field.is("Received") && seen.received < 100 => {
                    seen.received += 1;
                    let text = field.text().to_ascii_lowercase();
                    let mut words = text.split_ascii_whitespace();
                    let by = words.by_ref().find(|word| *word == "by").and_then(|_| words.next());
                    seen.forged_hop |= by.is_some_and(|by| by == hostname) && hostname.contains('.');
                    seen.bare_received |= by.is_none() && !text.starts_with("from");
                }
                _ => {}
            }
        }
        seen
    }
}

type Add<'a> = dyn FnMut(&str, i64, String) + 'a;

fn date(seen: &Seen, view: &MessageView, around: &Surroundings<'_>, add: &mut Add<'_>) {
    match view.date {
        None if !seen.date => add("no_date", 100, "it has no Date field".into()),
        None => add("bad_date", 100, "its date cannot be read".into()),
        Some(date) if date > around.now.plus(AHEAD) => add("future_date", 150, "its date has not come yet".into()),
        Some(date) if date < around.now.minus(BACK) => add("old_date", 80, "its date is weeks ago".into()),
        Some(_) => {}
    }
}

fn message_id(seen: &Seen, add: &mut Add<'_>) {
    let Some(text) = &seen.message_id else {
        return add("no_message_id", 80, "it has no Message-ID".into());
    };
    let text = text.trim();
    let inside = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
    let (left, right) = inside.rsplit_once('@').unwrap_or_default();
    let is_odd = left.is_empty()
        || right.is_empty()
        || inside.contains(char::is_whitespace)
        || matches!(right, "localhost" | "localhost.localdomain" | "example.com")
        || !right.contains('.') && right.bytes().all(|b| b.is_ascii_digit());
    if is_odd {
        add("odd_message_id", 80, "its Message-ID is not one that a mail program makes".into());
    }
}

fn structure(seen: &Seen, view: &MessageView, body: &Body, add: &mut Add<'_>) {
    if view.defects.contains(&Defect::MissingFrom) {
        add("no_from", 200, "it has no author with an address".into());
    }
    if view.from.len() > 1 {
        add("several_authors", 100, "it has several authors".into());
    }
    if view.defects.contains(&Defect::DuplicateHeader) {
        add("repeated_field", 150, "a field stands there twice that may stand once".into());
    }
    if view.defects.contains(&Defect::MalformedHeader) {
        add("bad_header", 80, "a line of its header is no field".into());
    }
    if !seen.to {
        add("no_recipient_shown", 60, "it does not say to whom it is".into());
    }
    if body.is_multipart && !seen.mime_version {
        add("no_mime_version", 60, "it has parts, and does not say by which standard".into());
    }
    if body.has_html && !body.has_plain {
        add("html_only", 40, "it has markup and no plain text".into());
    }
    if seen.has_raw_octets {
        add("raw_header", 50, "its header has letters that are not encoded".into());
    }
}

fn subject(seen: &Seen, view: &MessageView, add: &mut Add<'_>) {
    if view.subject.trim().is_empty() {
        add("no_subject", 60, "it has no subject".into());
    }
    if view.subject.chars().nth(SUBJECT_CHARS).is_some() {
        add("long_subject", 80, format!("its subject has more than {SUBJECT_CHARS} characters"));
    }
    let charsets = word::charsets(&seen.subject);
    if charsets.len() > 1 {
        add("mixed_charsets", 80, format!("its subject is written in {} charsets", charsets.len()));
    }
    if !charsets.is_empty() && view.subject.is_ascii() && seen.subject.to_ascii_lowercase().contains("?b?") {
        add("needless_encoding", 80, "its subject is encoded although it need not be".into());
    }
}

fn addresses(view: &MessageView, add: &mut Add<'_>) {
    let domain = |email: &str| email.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    let Some(from) = view.from.first().and_then(|author| domain(&author.email)) else { return };
    let reply = view.reply_to.first().and_then(|one| domain(&one.email));
    if let Some(reply) = reply.filter(|reply| !super::hosts::is_same_site(reply, &from)) {
        if FREE_MAIL.binary_search(&reply.as_str()).is_ok() {
            add("reply_to_free_mail", 150, format!("answers go to {reply}, and the author is of {from}"));
        } else if !view.automation.is_bulk {
            add("reply_to_elsewhere", 50, format!("answers go to {reply}, and the author is of {from}"));
        }
    }
    let name = view.from.first().map(|author| author.name.trim()).unwrap_or_default();
    let named = name.trim_matches(|c: char| !c.is_alphanumeric()).rsplit_once('@').map(|(_, rest)| rest);
    let named =
        named.map(|rest| rest.split(|c: char| c.is_whitespace() || matches!(c, '>' | '"')).next().unwrap_or(rest));
    if let Some(named) =
        named.filter(|named| named.contains('.') && !super::hosts::is_same_site(&named.to_lowercase(), &from))
    {
        add("name_is_another_address", 180, format!("the author's name is an address at {named}, its address is not"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_are_in_order() {
        assert!(FREE_MAIL.is_sorted());
    }
}
