//! What a message itself says of whether it is spam: its header fields, its words, its links and its files. Every sign is a
//! reason with a score, and the words are hashed for what an application has learned. One pass over a bounded part of the
//! message; nothing here asks anybody, and nothing here decides.

mod content;
mod files;
mod headers;
mod hosts;
mod html;
mod letters;
mod phrases;
mod recent;
mod tag;
mod tokens;
mod word;
mod words;

#[cfg(test)]
mod tests;

use crate::message::{MessageView, Parsed, content as text};
use postfleet_core::UnixMicros;
use postfleet_core::spam::{SpamReason, TokenHasher};
use std::borrow::Cow;
use words::Words;

/// Octets of the text, and of the markup, that are read.
pub const TEXT_OCTETS_MAX: usize = 48 << 10;

/// Domains that lists are asked about: the author's, and those of links.
pub const DOMAINS_MAX: usize = 12;

/// What a message says. Its default is that of a message without anything odd.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Looked {
    /// What is odd about its header fields and its structure.
    pub headers: Vec<SpamReason>,
    /// What is odd about what it says.
    pub content: Vec<SpamReason>,
    /// The domains of its authors and of its links, in lower case, each once: at most [`DOMAINS_MAX`].
    pub domains: Vec<String>,
    /// Its words, hashed, each once.
    pub tokens: Vec<u64>,
}

/// What is known when a message is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// When it came.
    pub now: UnixMicros,
    /// The names under which this server writes Received fields.
    pub hostname: &'a str,
    /// Makes words into hashes.
    pub hasher: TokenHasher,
}

/// Looks at a message as it came, without the fields that this server writes on top of it.
pub fn look(message: &Parsed<'_>, around: &Surroundings<'_>) -> Looked {
    let (view, body) = (&message.view, Body::read(message));
    let mut words = Words::new(around.hasher);
    words.subject(&view.subject);
    for author in &view.from {
        words.author(&author.email, &author.name);
    }
    for text in [&body.plain, &body.html.visible] {
        words.text(text);
    }
    for link in &body.html.links {
        words.link(&link.host);
    }
    for host in &body.hosts {
        words.link(host);
    }
    for file in &view.attachments {
        words.file(&file.content_type, files::extension(&file.filename));
    }
    let headers = headers::look(message, &body, around);
    let content = content::look(view, &body, &words);
    Looked { headers, content, domains: domains(view, &body), tokens: words.into_tokens() }
}

/// The body as far as it is read.
#[derive(Default)]
struct Body {
    /// The plain text.
    plain: String,
    /// What the markup shows, hides and leads to.
    html: html::Page,
    /// Hosts of links in the plain text.
    hosts: Vec<String>,
    has_plain: bool,
    has_html: bool,
    /// A text part was packed as base64 although it is plain ASCII.
    has_needless_base64: bool,
    /// Kinds of parts that say something by being there.
    is_multipart: bool,
}

impl Body {
    fn read(message: &Parsed<'_>) -> Self {
        let parts = &message.parts;
        let mut body = Self { is_multipart: parts.first().is_some_and(|part| part.is_multipart), ..Self::default() };
        let mut markup = String::new();
        for text in text::texts(parts, TEXT_OCTETS_MAX) {
            body.has_needless_base64 |= text.is_base64 && text.text.len() > 200 && text.text.is_ascii();
            if text.is_html {
                body.has_html = true;
                markup.push_str(&text.text);
            } else {
                body.has_plain = true;
                body.plain.push_str(&text.text);
                body.plain.push('\n');
            }
        }
        body.plain.truncate(body.plain.floor_char_boundary(TEXT_OCTETS_MAX));
        body.html = html::read(&markup);
        body.hosts = hosts::hosts_in_text(&body.plain);
        body
    }
}

fn domains(view: &MessageView, body: &Body) -> Vec<String> {
    let authors = view.from.iter().chain(&view.reply_to).filter_map(|one| one.email.rsplit_once('@'));
    let authors = authors.map(|(_, domain)| Cow::Owned(domain.to_ascii_lowercase()));
    let links =
        body.html.links.iter().map(|link| &link.host).chain(&body.hosts).map(|host| Cow::Borrowed(host.as_str()));
    let mut domains: Vec<String> = Vec::new();
    for domain in authors.chain(links) {
        let is_name = domain.contains('.') && !hosts::is_address(&domain) && domain.len() <= 253;
        if is_name && domains.len() < DOMAINS_MAX && domains.iter().all(|known| *known != domain) {
            domains.push(domain.into_owned());
        }
    }
    domains
}
