//! What in a received message is aimed at the program that reads it: text that gives it orders, text that a human would
//! not see, links that lead elsewhere than they say, and a structure that readers take differently.
//!
//! Labels with evidence, never a verdict. Orders are recognised by what words mean near each other, in twelve languages;
//! whoever writes around that gets through, which is why that nothing was found must never be taken for a reason to
//! trust. Time is linear in the message, what is found is bounded.

mod calendar;
mod encoded;
mod fold;
mod lexicon;
mod links;
mod rules;
mod scan;
mod sign;
mod starts;
mod terms;
mod view;

pub use lexicon::Lexicon;

use crate::message::structure;
use crate::message::{Defect, Parsed};
use crate::syntax::word;
use memchr::memchr2;
use postfleet_core::suspicion::{
    Ambiguity, EXCERPT_CHARS_MAX, HIDDEN_MAX, Hidden, LINKS_MAX, Link, Means, PASSAGES_MAX, Passage, Place, Reason,
    Suspicion,
};
use scan::{Finding, scan};
use view::View;

/// File names and calendar entries that are looked at.
const PARTS_LOOKED_AT_MAX: usize = 100;

/// Links of a message that are shown to who asks for all of them.
pub const ALL_LINKS_MAX: usize = 200;

/// Looks at a message.
pub fn look(lexicon: &Lexicon, message: &Parsed<'_>) -> Suspicion {
    let ambiguities = ambiguities(&message.view.defects);
    let mut suspicion = Suspicion { looked_at: true, ambiguities, ..Suspicion::default() };
    for view in views(message) {
        suspicion.is_cut |= view.is_cut;
        find_passages(lexicon, &view, &mut suspicion);
        list_hidden(lexicon, &view, &mut suspicion);
        list_links(&view, &mut suspicion);
    }
    suspicion
}

/// All links of a message, those that are as they say among them, at most [`ALL_LINKS_MAX`].
pub fn links(raw: &[u8]) -> Vec<Link> {
    let parts = structure::parse(raw).parts;
    let mut links: Vec<Link> = Vec::new();
    for view in view::of_body(&parts) {
        for link in examined(&view).take(ALL_LINKS_MAX) {
            if links.len() < ALL_LINKS_MAX
                && !links.iter().any(|have| have.target == link.target && have.text == link.text)
            {
                links.push(link);
            }
        }
    }
    links
}

/// Everything of a message that is read.
fn views(message: &Parsed<'_>) -> Vec<View> {
    let Parsed { view, header, parts, .. } = message;
    let mut views = Vec::new();
    if let Some(subject) = header.first("Subject") {
        views.push(View::of(Place::Subject, None, &word::decode(&subject.text())));
    }
    views.extend(view.from.first().map(|from| View::of(Place::SenderName, None, &from.name)));
    views.extend(view::of_body(parts));
    let numbered = (0_u32..).zip(parts).filter(|(_, part)| part.is_attachment());
    for (index, part) in numbered.take(PARTS_LOOKED_AT_MAX) {
        if !part.given_name().is_empty() {
            views.push(View::of(Place::AttachmentName, Some(index), part.given_name()));
        }
        if part.content_type.value == "text/calendar" {
            views.push(View::of(Place::Calendar, Some(index), &calendar::texts(&part.prefix(calendar::READ_MAX))));
        }
    }
    views
}

fn find_passages(lexicon: &Lexicon, view: &View, suspicion: &mut Suspicion) {
    let mut findings = scan(lexicon, &view.text, false);
    for blob in encoded::blobs(&view.text) {
        let within = scan(lexicon, &blob.text, true);
        if let Some(mut reasons) = all_reasons(&within) {
            reasons.push(Reason::Encoded);
            findings.push(Finding { start: blob.start, end: blob.end, reasons });
        }
    }
    findings.sort_by_key(|finding| finding.start);
    for Finding { start, end, mut reasons } in findings {
        if suspicion.passages.len() == PASSAGES_MAX {
            suspicion.is_cut = true;
            return;
        }
        reasons.sort_unstable();
        reasons.dedup();
        let text = excerpt(&view.text, start as usize, end as usize);
        suspicion.passages.push(Passage { place: view.place, part: view.part, start, end, text, reasons });
    }
}

/// Lists what is hidden. All of it is looked through together: an order may be spread over many pieces.
fn list_hidden(lexicon: &Lexicon, view: &View, suspicion: &mut Suspicion) {
    let mut together = String::new();
    let mut chars = 0;
    let mut starts = Vec::with_capacity(view.hidden.len());
    for covered in view.hidden.iter().filter(|covered| covered.means != Means::BehindBlankSpace) {
        starts.push(chars);
        together.push_str(&covered.text);
        together.push(' ');
        chars += covered.text.chars().count() + 1;
    }
    let findings = scan(lexicon, &together, true);
    let mut starts = starts.into_iter();
    for covered in &view.hidden {
        let from =
            if covered.means == Means::BehindBlankSpace { usize::MAX } else { starts.next().unwrap_or_default() };
        let to = from.saturating_add(covered.text.chars().count() + 1);
        let mut inside =
            findings.iter().filter(|finding| (finding.start as usize) < to && finding.end as usize > from).peekable();
        let first = inside.peek().map(|finding| (finding.start as usize).saturating_sub(from));
        let mut reasons: Vec<Reason> = inside.flat_map(|finding| finding.reasons.iter().copied()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        if covered.means == Means::Comment && reasons.is_empty() {
            continue;
        }
        if suspicion.hidden.len() == HIDDEN_MAX {
            suspicion.is_cut = true;
            // What instructs is not crowded out by what only pads.
            let Some(idle) =
                suspicion.hidden.iter().rposition(|have| have.reasons.is_empty()).filter(|_| !reasons.is_empty())
            else {
                continue;
            };
            suspicion.hidden.remove(idle);
        }
        let text = excerpt(&covered.text, first.unwrap_or_default(), usize::MAX).trim().to_owned();
        let (means, at, characters) = (covered.means, covered.at, covered.characters);
        suspicion.hidden.push(Hidden { place: view.place, means, at, characters, text, reasons });
    }
}

fn list_links(view: &View, suspicion: &mut Suspicion) {
    for link in examined(view).filter(|link| !link.reasons.is_empty()) {
        if suspicion.links.iter().any(|have| have.target == link.target && have.text == link.text) {
            continue;
        }
        if suspicion.links.len() == LINKS_MAX {
            suspicion.is_cut = true;
            return;
        }
        suspicion.links.push(link);
    }
}

/// The links of a view, each with what is wrong with it.
fn examined(view: &View) -> impl Iterator<Item = Link> {
    let in_text = if view.place == Place::Text { links::in_text(&view.text) } else { Vec::new() };
    let anchors = view.anchors.iter().map(|anchor| links::examine(view.place, &anchor.text, &anchor.target));
    anchors.chain(in_text.into_iter().map(|target| links::examine(view.place, target, target)))
}

fn all_reasons(findings: &[Finding]) -> Option<Vec<Reason>> {
    (!findings.is_empty()).then(|| findings.iter().flat_map(|finding| finding.reasons.iter().copied()).collect())
}

/// The characters from `start` to `end`, cut to the length of an excerpt, on one line.
fn excerpt(text: &str, start: usize, end: usize) -> String {
    let taken = text.chars().skip(start).take(end.saturating_sub(start).min(EXCERPT_CHARS_MAX));
    let mut excerpt: String = taken.collect();
    if memchr2(b'\n', b'\r', excerpt.as_bytes()).is_some() {
        excerpt = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    excerpt
}

/// Why readers may take a message differently, from what was wrong with it.
fn ambiguities(defects: &[Defect]) -> Vec<Ambiguity> {
    let mut ambiguities: Vec<Ambiguity> = defects.iter().filter_map(|defect| ambiguity(*defect)).collect();
    ambiguities.sort_unstable();
    ambiguities.dedup();
    ambiguities
}

fn ambiguity(defect: Defect) -> Option<Ambiguity> {
    Some(match defect {
        Defect::DuplicateHeader | Defect::RepeatedParameter => Ambiguity::RepeatedField,
        Defect::MissingFrom | Defect::SeveralSenders => Ambiguity::UnclearSender,
        Defect::MalformedHeader | Defect::OddHeaderOctets => Ambiguity::MalformedHeader,
        Defect::MissingBoundary | Defect::UnclosedMultipart | Defect::OverlappingBoundaries => {
            Ambiguity::UnclearBoundary
        }
        Defect::EncodedMultipart => Ambiguity::EncodedMultipart,
        Defect::MalformedContentType => Ambiguity::UnclearType,
        Defect::ConflictingFileNames => Ambiguity::ConflictingFileNames,
        Defect::JunkInEncoding => Ambiguity::UnclearEncoding,
        Defect::HeaderTooLarge
        | Defect::TooManyAddresses
        | Defect::TooManyParameters
        | Defect::TooDeep
        | Defect::TooManyParts => Ambiguity::BeyondLimits,
        Defect::TooManyReferences => return None,
    })
}
