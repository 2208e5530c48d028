//! Lists of tags, `name=value; name=value`, as DKIM, ARC and DMARC have them (RFC 6376 §3.2).

use crate::dkim::canonical::BASE64;
use base64::Engine;

/// Tags of one list that are read.
const TAGS_MAX: usize = 100;

/// A list, in order. Names are told apart by case, and none stands there twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    /// Reads a list; `None` if it is none. Values keep the space inside them.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_matches(is_space);
        let text = text.strip_suffix(';').unwrap_or(text);
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for tag in text.split(';') {
            let (name, value) = tag.split_once('=')?;
            let (name, value) = (name.trim_matches(is_space), value.trim_matches(is_space));
            let is_new = is_name(name) && tags.iter().all(|(known, _)| *known != name);
            if !is_new || !is_value(value) || tags.len() == TAGS_MAX {
                return None;
            }
            tags.push((name, value));
        }
        Some(Self(tags))
    }

    /// The value of a tag.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The tag that comes first.
    pub(super) fn first(&self) -> Option<(&'a str, &'a str)> {
        self.0.first().copied()
    }
}

/// What may stand between words, folds included.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// What Base64 stands for, with space anywhere in it.
pub(super) fn base64(value: &str) -> Option<Vec<u8>> {
    let mut encoded = Vec::with_capacity(value.len());
    encoded.extend(value.bytes().filter(|byte| !is_space(char::from(*byte))));
    BASE64.decode(encoded).ok()
}

/// The members of a list with colons in it, without space around them.
pub(super) fn members(value: &str) -> impl Iterator<Item = &str> {
    value.split(':').map(|member| member.trim_matches(is_space))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `VALCHAR`, space, and what RFC 8616 adds.
fn is_value(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b';');
    text.bytes().fold(true, |all, byte| all & is_plain(byte))
        || text.chars().all(|c| is_space(c) || (!c.is_control() && c != ';'))
}
