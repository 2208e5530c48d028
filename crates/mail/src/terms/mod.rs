//! Text as it is searched: words as numbers, in every script alike, and what is kept of a message so that it is found.
//!
//! Words are runs of letters, marks and digits, compared without case and in their compatible form (NFKC), and in Latin, Greek and
//! Cyrillic without accents. Where words are not parted by blanks, in Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese, each character
//! is a word: to seek several of them that follow each other finds them wherever they stand. Nothing is left out, and
//! no word stands for its other forms: what is found has what was sought in it.

mod facts;
mod letters;
#[cfg(test)]
mod tests;
mod words;

pub use facts::{key_of, keyed_as, long_subject, named_as, pieces, pieces_of_part, spelled};

use crate::message::{PARTICIPANTS_MAX, Parsed, content, structure};
use crate::syntax::invisible;
use postfleet_core::search::vector::Writer;
use postfleet_core::search::{Field, Query, Sought, Term};
use std::borrow::Cow;

/// Octets of the text of a message that are searched.
pub const TEXT_OCTETS_MAX: usize = 256 << 10;

/// Octets of a text up to which the vector of its message is kept from the beginning. Of prose in Latin letters it takes 2.7 KB
/// then (`cargo bench -p postfleet-mail --bench terms`), of many short words more. Those of longer texts are made when they are needed.
pub const KEPT_TEXT_OCTETS_MAX: usize = 3_000;

/// Octets of a message above which its vector is kept in any case: to make it anew would take too long.
pub const REREAD_OCTETS_MAX: usize = 64 << 10;

/// Words of the text of a message that are searched.
pub const WORDS_MAX: u32 = 20_000;

/// People of a message that filters find, in From, To, Cc and Bcc: all that lists know.
const FACTS_MAX: usize = 4 * PARTICIPANTS_MAX;

/// Under which header somebody is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Who wrote it.
    From = 1,
    /// To whom it is.
    To = 2,
    /// Who got a copy.
    Cc = 3,
    /// Who got a copy unseen.
    Bcc = 4,
    /// Where answers go.
    ReplyTo = 5,
}

/// Somebody whom a message names.
#[derive(Clone, Copy, Debug)]
pub struct Named<'m> {
    /// Where.
    pub role: Role,
    /// The display name.
    pub name: &'m str,
    /// The address.
    pub email: &'m str,
}

/// What is searched of a message beside its text.
#[derive(Clone, Debug, Default)]
pub struct Head<'m> {
    /// The subject.
    pub subject: &'m str,
    /// Everybody.
    pub people: Vec<Named<'m>>,
    /// Names of the files that are attached.
    pub files: Vec<&'m str>,
}

/// The vector of a message: see `postfleet_core::search::vector`.
pub fn of_message(raw: &[u8], head: &Head<'_>) -> Vec<u8> {
    let parts = structure::parse(raw).parts;
    vector(head, &content::text_prefix(&parts, TEXT_OCTETS_MAX))
}

/// The vector of a message, if it is to be kept from the beginning.
pub fn kept(raw: &[u8], head: &Head<'_>) -> Option<Vec<u8>> {
    kept_of_parts(&structure::parse(raw).parts, raw.len(), head)
}

/// The same of a message that was taken apart: text that was decoded already is not decoded once more.
pub fn kept_of(message: &Parsed<'_>, head: &Head<'_>) -> Option<Vec<u8>> {
    kept_of_parts(&message.parts, message.octets, head)
}

fn kept_of_parts(parts: &[structure::Part<'_>], message_octets: usize, head: &Head<'_>) -> Option<Vec<u8>> {
    let is_large = message_octets > REREAD_OCTETS_MAX;
    // What is certainly too long is not even decoded. Much of markup is no text.
    let octets = |part: &&structure::Part<'_>| part.content.len() / if part.is_html() { 4 } else { 1 };
    if !is_large && content::choose(parts, "text/plain").iter().map(octets).sum::<usize>() > KEPT_TEXT_OCTETS_MAX {
        return None;
    }
    let text = content::text_prefix(parts, TEXT_OCTETS_MAX);
    (is_large || text.len() <= KEPT_TEXT_OCTETS_MAX).then(|| vector(head, &text))
}

/// The vector of a message with that text.
pub fn vector(head: &Head<'_>, text: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    let text = cut(text, TEXT_OCTETS_MAX);
    let mut at = Field::Body.base();
    words::split(text, &mut |term| {
        writer.add(term, at);
        at += 1;
        at < WORDS_MAX
    });
    write(&mut writer, Field::Subject, [head.subject]);
    let people = head.people.iter().flat_map(|named| [named.name, named.email]);
    write(&mut writer, Field::People, people);
    write(&mut writer, Field::Files, head.files.iter().copied());
    // No filter asks where answers go.
    for named in head.people.iter().filter(|named| named.role != Role::ReplyTo).take(FACTS_MAX) {
        writer.add(named_as(named.role, named.email), Field::Facts.base());
    }
    writer.finish()
}

/// Writes the values of a field. No word of one follows one of another.
fn write<'v>(writer: &mut Writer, field: Field, values: impl IntoIterator<Item = &'v str>) {
    values.into_iter().fold(field.base(), |mut at, value| {
        if at + 2 >= field.end() {
            return at;
        }
        words::split(cut(value, TEXT_OCTETS_MAX), &mut |term| {
            writer.add(term, at);
            at += 1;
            at + 2 < field.end()
        });
        at + 1
    });
}

fn cut(text: &str, octets: usize) -> &str {
    &text[..text.floor_char_boundary(octets)]
}

/// The terms that a word of a query comes to, or a phrase.
pub fn of_text(text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let text: Cow<'_, str> = invisible::visible(text);
    words::split(&text, &mut |term| {
        terms.push(term);
        true
    });
    terms
}

/// What a query seeks; `None` if there is no letter and no digit in it. What has none beside others is passed over.
pub fn of_query(query: &Query) -> Option<Sought> {
    let many = |parts: &[Query], many: fn(Vec<Sought>) -> Sought| {
        let mut parts: Vec<Sought> = parts.iter().filter_map(of_query).collect();
        if parts.len() > 1 { Some(many(parts)) } else { parts.pop() }
    };
    match query {
        Query::Word(text) | Query::Phrase(text) => {
            Some(of_text(text)).filter(|terms| !terms.is_empty()).map(Sought::Terms)
        }
        Query::All(parts) => many(parts, Sought::All),
        Query::Any(parts) => many(parts, Sought::Any),
        Query::Not(inner) => of_query(inner).map(|inner| Sought::Not(Box::new(inner))),
    }
}
