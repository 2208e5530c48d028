//! The visible text of one place of a message, with what was left out of it. The text is the same that
//! [`crate::message::plain_text`] and [`crate::message::html_as_text`] give, so that offsets mean something to whoever reads
//! those.

use crate::message::content;
use crate::message::structure::Part;
use crate::syntax::html::{self, Anchor, Links};
use crate::syntax::invisible;
use memchr::memchr_iter;
use postfleet_core::suspicion::{Means, Place};
use std::borrow::Cow;

/// Octets of the visible text of one place that are looked at. More is no letter, and no agent reads it.
pub(super) const TEXT_MAX: usize = 1 << 20;

/// Pieces of hidden text of one place that are looked through, and of those that say nothing.
const HIDDEN_MAX: usize = 600;
const SILENT_MAX: usize = 60;

/// Blank lines, and white space, before a text that nobody scrolls to.
const BLANK_LINES_MIN: usize = 30;
const BLANKS_MIN: usize = 600;

/// A visible text, and what is not visible in it.
pub(super) struct View {
    pub(super) place: Place,
    pub(super) part: Option<u32>,
    pub(super) text: String,
    pub(super) hidden: Vec<Covered>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) is_cut: bool,
}

/// Something that is not visible.
pub(super) struct Covered {
    pub(super) means: Means,
    /// The visible characters before it.
    pub(super) at: u32,
    pub(super) characters: u32,
    pub(super) text: String,
}

impl View {
    pub(super) fn new(place: Place, part: Option<u32>) -> Self {
        Self { place, part, text: String::new(), hidden: Vec::new(), anchors: Vec::new(), is_cut: false }
    }

    /// Of a text that has no markup.
    pub(super) fn of(place: Place, part: Option<u32>, text: &str) -> Self {
        let mut view = Self::new(place, part);
        view.add_plain(text, 0);
        view
    }

    /// Adds a text, in front of which there are `before` characters.
    fn add_plain(&mut self, text: &str, before: usize) {
        let Self { hidden, is_cut, .. } = self;
        let seen = invisible::split(text, &mut [], &mut |run| *is_cut |= !keep(hidden, Covered::of(run, before)));
        match seen {
            Cow::Owned(seen) if self.text.is_empty() => self.text = seen,
            seen => self.text.push_str(&seen),
        }
    }

    fn add_html(&mut self, reading: html::Reading, before: usize) {
        let mut marks: Vec<usize> = reading.hidden.iter().map(|covered| covered.at).collect();
        let Self { hidden, is_cut, .. } = self;
        let add = &mut |run| *is_cut |= !keep(hidden, Covered::of(run, before));
        match invisible::split(&reading.text, &mut marks, add) {
            Cow::Owned(seen) if self.text.is_empty() => self.text = seen,
            Cow::Borrowed(_) if self.text.is_empty() => self.text = reading.text,
            seen => self.text.push_str(&seen),
        }
        for (covered, at) in reading.hidden.into_iter().zip(marks) {
            let characters = count(&covered.text);
            let text = invisible::visible(&covered.text).into_owned();
            let covered = Covered { means: covered.means, at: small(before + at), characters, text };
            self.is_cut |= !keep(&mut self.hidden, covered);
        }
        self.anchors.extend(reading.anchors);
        self.is_cut |= reading.is_cut;
    }
}

impl Covered {
    fn of(run: invisible::Run, before: usize) -> Self {
        Self { means: run.means, at: small(before + run.at), characters: small(run.characters), text: run.text }
    }
}

/// Keeps what is hidden, up to what is looked through. What says nothing needs few examples.
fn keep(hidden: &mut Vec<Covered>, covered: Covered) -> bool {
    let has_room = hidden.len() < if covered.text.is_empty() { SILENT_MAX } else { HIDDEN_MAX };
    if has_room {
        hidden.push(covered);
    }
    has_room
}

/// The views of the body: as plain text, and as HTML where that says something else.
pub(super) fn of_body(parts: &[Part<'_>]) -> Vec<View> {
    let plain = content::choose(parts, "text/plain");
    let html = content::choose(parts, "text/html");
    let is_same = plain.len() == html.len() && plain.iter().zip(&html).all(|(a, b)| std::ptr::eq(*a, *b));
    let has_html = |chosen: &[&Part<'_>]| chosen.iter().any(|part| part.is_html());
    if is_same {
        return vec![joined(if has_html(&html) { Place::Html } else { Place::Text }, &plain)];
    }
    vec![joined(Place::Text, &plain), joined(Place::Html, &html)]
}

fn joined(place: Place, chosen: &[&Part<'_>]) -> View {
    let mut view = View::new(place, None);
    for part in chosen {
        if view.text.len() >= TEXT_MAX {
            view.is_cut = true;
            break;
        }
        if !view.text.is_empty() && !view.text.ends_with('\n') {
            view.text.push('\n');
        }
        let before = view.text.chars().count();
        let left = TEXT_MAX - view.text.len();
        if part.is_html() {
            view.is_cut |= part.content.len() > 4 * TEXT_MAX;
            view.add_html(html::read(&part.prefix(4 * TEXT_MAX), Links::Keep, left), before);
        } else {
            view.is_cut |= part.content.len() > left;
            view.add_plain(&part.prefix(left), before);
        }
    }
    let behind = behind_blank(&view.text);
    view.hidden.extend(behind);
    view.hidden.sort_by_key(|covered| covered.at);
    view
}

/// The text behind the first long blank space, if there is one.
fn behind_blank(text: &str) -> Option<Covered> {
    let mut at = 0;
    // A space that is long enough has one of the octets that are looked at, in whatever part of it.
    while let Some(octet) = text.as_bytes().get(at) {
        if matches!(octet, b' ' | b'\t'..=b'\r' | 0x80..) {
            let (before, behind) = text.split_at(text.floor_char_boundary(at));
            let (before, rest) = (before.trim_end(), behind.trim_start());
            let blank = &text[before.len()..text.len() - rest.len()];
            if is_long(blank) && !before.is_empty() && !rest.is_empty() {
                return Some(Covered {
                    means: Means::BehindBlankSpace,
                    at: count(&text[..text.len() - rest.len()]),
                    characters: count(rest),
                    text: rest.chars().take(500).collect(),
                });
            }
            at = at.max(text.len() - rest.len());
        }
        at += BLANK_LINES_MIN;
    }
    None
}

/// Whether nobody scrolls behind a blank space.
fn is_long(blank: &str) -> bool {
    blank.len() >= BLANK_LINES_MIN
        && (memchr_iter(b'\n', blank.as_bytes()).count() >= BLANK_LINES_MIN || blank.chars().count() >= BLANKS_MIN)
}

fn count(text: &str) -> u32 {
    small(text.chars().count())
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
