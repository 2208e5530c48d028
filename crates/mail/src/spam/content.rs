//! What is odd about what a message says: how it shouts, where its links lead, what it hides, what it is about.

use super::hosts::{is_address, is_same_site};
use super::words::Words;
use super::{Body, files, phrases};
use crate::message::MessageView;
use postfleet_core::spam::SpamReason;

/// Services that hide where a link leads.
const SHORTENERS: &[&str] = &[
    "adf.ly",
    "bit.do",
    "bit.ly",
    "bl.ink",
    "buff.ly",
    "clck.ru",
    "cutt.ly",
    "goo.gl",
    "goo.su",
    "is.gd",
    "lnkd.in",
    "ow.ly",
    "qrco.de",
    "rb.gy",
    "rebrand.ly",
    "s.id",
    "shorturl.at",
    "shrtco.de",
    "soo.gd",
    "t.co",
    "t.ly",
    "t2m.io",
    "tiny.cc",
    "tiny.one",
    "tinyurl.com",
    "tr.im",
    "u.to",
    "urlz.fr",
    "v.gd",
    "vk.cc",
    "x.co",
];

/// Hidden letters below which nothing is said: newsletters have a hidden first line.
const HIDDEN_MIN: usize = 250;

pub(super) fn look(view: &MessageView, body: &Body, words: &Words) -> Vec<SpamReason> {
    let mut reasons = files::look(&view.attachments);
    subject(&view.subject, &mut reasons);
    links(body, &mut reasons);
    hidden(body, words, &mut reasons);
    disguised(words, &mut reasons);
    shape(body, words, &mut reasons);
    reasons.extend(phrases::look(words));
    reasons
}

fn subject(subject: &str, reasons: &mut Vec<SpamReason>) {
    let (mut letters, mut large, mut marks, mut money) = (0, 0, 0, 0);
    for c in subject.chars().take(300) {
        letters += usize::from(c.is_alphabetic());
        large += usize::from(c.is_uppercase());
        marks += usize::from(matches!(c, '!' | '！'));
        money += usize::from(matches!(c, '$' | '€' | '£' | '💰' | '💵' | '🤑' | '🔥' | '🚀' | '🎁'));
    }
    if letters >= 8 && large * 10 >= letters * 8 {
        reasons.push(SpamReason::new("shouting_subject", 100, "the subject is in capitals"));
    }
    if marks >= 2 || money >= 2 {
        reasons.push(SpamReason::new("excited_subject", 70, "the subject is full of signs that call for attention"));
    }
}

fn links(body: &Body, reasons: &mut Vec<SpamReason>) {
    let mut add = |name: &str, score: i64, text: String| {
        if reasons.iter().all(|reason| reason.name != name) {
            reasons.push(SpamReason::new(name, score, text));
        }
    };
    for link in &body.html.links {
        if let Some(shown) = link.shown.as_deref().filter(|shown| !is_same_site(shown, &link.host)) {
            add("link_mismatch", 180, format!("a link shows {shown:?} and leads to {:?}", link.host));
        }
    }
    for host in body.html.links.iter().map(|link| &link.host).chain(&body.hosts) {
        let bare = host.strip_prefix("www.").unwrap_or(host);
        if SHORTENERS.binary_search(&bare).is_ok() {
            add("shortened_link", 100, format!("a link goes by {bare:?}, which hides where it leads"));
        }
        if is_address(host) {
            add("numeric_link", 150, format!("a link leads to the bare address {host}"));
        }
        if host.split('.').any(|label| label.starts_with("xn--")) || !host.is_ascii() {
            add("odd_letters_in_link", 60, format!("a link leads to {host:?}, which may look like another name"));
        }
    }
    if body.html.has_form {
        add("form", 120, "it has a form to be filled in".to_owned());
    }
    if body.html.has_script {
        add("script", 120, "it has a program in it".to_owned());
    }
}

fn hidden(body: &Body, words: &Words, reasons: &mut Vec<SpamReason>) {
    let hidden = body.html.hidden_chars;
    if hidden >= HIDDEN_MIN && hidden * 4 >= words.letters_count {
        reasons.push(SpamReason::new("hidden_text", 150, format!("{hidden} characters of it are not shown to people")));
    }
}

fn disguised(words: &Words, reasons: &mut Vec<SpamReason>) {
    let mut add = |name: &str, count: usize, (one, most): (i64, i64), text: &str| {
        if count > 0 {
            let score = most.min(one * i64::try_from(count).unwrap_or(i64::MAX / one));
            reasons.push(SpamReason::new(name, score, format!("{count} {text}")));
        }
    };
    add("split_words", words.split, (70, 250), "words are parted by characters that nobody sees");
    add("mixed_letters", words.mixed, (80, 250), "words have letters that pass for others");
    add("disguised_words", words.disguised, (120, 300), "words are disguised by digits, signs or gaps");
}

fn shape(body: &Body, words: &Words, reasons: &mut Vec<SpamReason>) {
    if body.has_needless_base64 {
        reasons.push(SpamReason::new("needless_base64", 80, "its text is packed although it need not be"));
    }
    let has_links = !body.html.links.is_empty();
    if body.has_html && body.html.images > 0 && has_links && words.len() - words.of_subject < 15 {
        reasons.push(SpamReason::new("image_only", 200, "it is an image with a link, and hardly a word"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_are_in_order() {
        assert!(SHORTENERS.is_sorted());
    }
}
