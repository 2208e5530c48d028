//! A tag in markup: where it ends, its name, and what is to be known of its attributes. All in small letters.

use memchr::{memchr, memchr_iter};

/// Octets of a style that is read.
const STYLE_OCTETS_MAX: usize = 2_000;

/// A name as a number; nought if it has more than eight octets.
pub(super) const fn number(name: &str) -> u64 {
    let (name, mut number, mut at) = (name.as_bytes(), 0, 0);
    if name.len() > 8 {
        return 0;
    }
    while at < name.len() {
        number |= (name[at] as u64) << (8 * at);
        at += 1;
    }
    number
}

pub(super) const fn numbers<const N: usize>(names: [&str; N]) -> [u64; N] {
    let (mut numbers, mut at) = ([0; N], 0);
    while at < N {
        numbers[at] = number(names[at]);
        at += 1;
    }
    numbers
}

/// What is to be known of a tag.
#[derive(Default)]
pub(super) struct Tag<'t> {
    pub(super) name: &'t str,
    /// Where it leads.
    pub(super) href: Option<&'t str>,
    style: Option<&'t str>,
    is_hidden: bool,
}

impl<'t> Tag<'t> {
    /// Reads what stands behind a `<`, and a `/` if there is one; what follows the tag.
    pub(super) fn read(text: &'t str) -> (Self, &'t str) {
        let mut at = past(text, 0, |octet| octet.is_ascii_alphanumeric());
        let mut tag = Self { name: &text[..at], ..Self::default() };
        loop {
            at = past(text, at, |octet| octet.is_ascii_whitespace() || octet == b'/');
            if matches!(text.as_bytes().get(at), None | Some(b'>')) {
                return (tag, text.get(at + 1..).unwrap_or_default());
            }
            at = tag.attribute(text, at);
        }
    }

    /// Reads an attribute; where it ends.
    fn attribute(&mut self, text: &'t str, start: usize) -> usize {
        let is_space = |octet: u8| octet.is_ascii_whitespace();
        let end = past(text, start, |octet| !is_space(octet) && !matches!(octet, b'=' | b'/' | b'>'));
        let equals = past(text, end, is_space);
        let (value, behind) = match text.as_bytes().get(equals) {
            Some(b'=') => value(text, past(text, equals + 1, is_space)),
            _ => ("", end),
        };
        match &text[start..end] {
            "href" => self.href = self.href.or(Some(value)),
            "style" => self.style = self.style.or(Some(value)),
            "hidden" => self.is_hidden = true,
            _ => {}
        }
        behind
    }

    /// Whether what is in the element is not seen: as far as that stands in the tag.
    pub(super) fn hides(&self) -> bool {
        match self.style {
            Some(style) => style.len() <= STYLE_OCTETS_MAX && rules(style).any(is_hiding),
            None => self.is_hidden,
        }
    }
}

/// The value that begins there, and where what follows it does. A `>` in quotes does not end it.
fn value(text: &str, start: usize) -> (&str, usize) {
    match text.as_bytes().get(start) {
        Some(quote @ (b'"' | b'\'')) => {
            let inside = &text[start + 1..];
            memchr(*quote, inside.as_bytes()).map_or((inside, text.len()), |len| (&inside[..len], start + len + 2))
        }
        _ => {
            let end = past(text, start, |octet| !octet.is_ascii_whitespace() && octet != b'>');
            (&text[start..end], end)
        }
    }
}

/// Where octets of a kind end. The kind has all of a character or nothing of it.
fn past(text: &str, start: usize, is_kind: impl Fn(u8) -> bool) -> usize {
    let rest = &text.as_bytes()[start..];
    start + rest.iter().position(|octet| !is_kind(*octet)).unwrap_or(rest.len())
}

/// The rules of a style.
fn rules(style: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    memchr_iter(b';', style.as_bytes())
        .chain([style.len()])
        .map(move |end| &style[std::mem::replace(&mut start, end + 1)..end])
}

/// Whether a rule of a style hides what it is for.
fn is_hiding(rule: &str) -> bool {
    let rule = rule.trim_ascii_start();
    // Most rules are about something else.
    if !matches!(
        rule.as_bytes(),
        [b'd', b'i', ..] | [b'v', b'i', ..] | [b'o', b'p', ..] | [b'f', _, _, _, b'-', b's', ..]
    ) {
        return false;
    }
    let Some((property, value)) = rule.split_once(':') else { return false };
    // What follows is only `!important`.
    let value = value.split('!').next().unwrap_or_default().trim();
    let (number, unit) = value.split_at(value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%').len());
    let is_at_most = |most: f64| number.parse::<f64>().is_ok_and(|number| number <= most);
    match property.trim_ascii_end() {
        "display" => value == "none",
        "visibility" => value == "hidden",
        "opacity" => is_at_most(0.05),
        "font-size" => is_at_most(if matches!(unit, "em" | "rem") { 0.1 } else { 1.0 }),
        _ => false,
    }
}
