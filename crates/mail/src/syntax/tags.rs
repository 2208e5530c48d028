//! HTML as a sequence of tags and texts, in one pass without a tree. What is no text to read (scripts, comments, titles)
//! is passed over; what is markup and what is text is decided as in [`super::html`], so that both see the same message.

use super::html::{Name, STYLE, UNREAD, character, skip_element, tag_len};
use memchr::{memchr2, memmem};

/// A piece of HTML.
#[derive(Debug)]
pub(crate) enum Token<'h> {
    /// Text without character references.
    Text(&'h str),
    /// What a character reference stands for.
    Character(char),
    /// A tag that opens an element: its name, and the text behind the name.
    Open(Name, &'h str),
    /// A tag that closes one.
    Close(Name),
    /// The content of a `style` element.
    Sheet(&'h str),
}

/// The pieces of `html`, in order. All together cost time linear in its length.
pub(crate) fn tokens(html: &str) -> Tokens<'_> {
    Tokens { rest: html }
}

/// See [`tokens`].
pub(crate) struct Tokens<'h> {
    rest: &'h str,
}

impl<'h> Iterator for Tokens<'h> {
    type Item = Token<'h>;

    fn next(&mut self) -> Option<Token<'h>> {
        while !self.rest.is_empty() {
            let token = match memchr2(b'<', b'&', self.rest.as_bytes()) {
                Some(0) if self.rest.starts_with('<') => self.markup(),
                Some(0) => {
                    let (c, len) = character(self.rest);
                    self.rest = &self.rest[len..];
                    c.map(Token::Character)
                }
                at => {
                    let (text, after) = self.rest.split_at(at.unwrap_or(self.rest.len()));
                    self.rest = after;
                    Some(Token::Text(text))
                }
            };
            if token.is_some() {
                return token;
            }
        }
        None
    }
}

impl<'h> Tokens<'h> {
    /// Takes a tag or comment off the front, with its content where that is no text; a `<` that opens none is text.
    fn markup(&mut self) -> Option<Token<'h>> {
        let rest = self.rest;
        if let Some(comment) = rest.strip_prefix("<!--") {
            self.rest = memmem::find(comment.as_bytes(), b"-->").map_or("", |at| &comment[at + 3..]);
            return None;
        }
        let inside = &rest[1..];
        match inside.bytes().next() {
            Some(b'!' | b'?') => {
                self.rest = inside.split_once('>').map_or("", |(_, after)| after);
                None
            }
            Some(b'/') => {
                let (tag, after) = inside[1..].split_once('>').unwrap_or((&inside[1..], ""));
                self.rest = after;
                Some(Token::Close(Name::of(tag)))
            }
            Some(first) if first.is_ascii_alphabetic() => {
                let (tag, after) = inside.split_at(tag_len(inside));
                let name = Name::of(tag);
                let after = after.strip_prefix('>').unwrap_or(after);
                self.rest = after;
                if name == STYLE {
                    self.rest = skip_element(after, &tag[..name.len()]);
                    return Some(Token::Sheet(&after[..after.len() - self.rest.len()]));
                }
                if UNREAD.contains(&name) {
                    self.rest = skip_element(after, &tag[..name.len()]);
                    return None;
                }
                Some(Token::Open(name, tag.get(name_len(tag)..).unwrap_or_default()))
            }
            _ => {
                self.rest = inside;
                Some(Token::Text("<"))
            }
        }
    }
}

/// Octets of the whole name of a tag, of which only the first letters tell it from others.
fn name_len(tag: &str) -> usize {
    tag.bytes().position(|byte| byte.is_ascii_whitespace() || byte == b'/').unwrap_or(tag.len())
}
