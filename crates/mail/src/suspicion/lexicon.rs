//! The words and phrases that are looked for, as one tree of their octets. Made once, from the tables of all languages;
//! looking a place up costs no more than the longest phrase, and most places are not looked up ([`super::starts`]).

use super::fold::Folded;
use super::rules::{RULES, Rule};
use super::sign::{Kind, Sign};
use super::starts::Starts;
use super::terms::{self, Concept};
use std::collections::BTreeMap;

/// Signs of the longest phrase that is looked for.
const REACH_MAX: usize = 64;

/// What stands above a place where there is no node.
const NONE: u32 = u32::MAX;

/// The octet that leads behind the rest of a word: none of UTF-8.
const ANY: u8 = u8::MAX;

/// All words and phrases, and what they stand for.
pub struct Lexicon {
    /// The root, and the nodes below each other: that to which an octet leads stands so many places behind the base of the
    /// one above it.
    nodes: Vec<Node>,
    starts: Starts,
    /// For each concept the rules that it can complete.
    pub(super) completes: [Vec<&'static Rule>; 64],
}

#[derive(Clone, Copy, Default)]
struct Node {
    /// What the phrase that ends here stands for.
    concepts: u64,
    base: u32,
    /// The node above; the root itself above the root.
    above: u32,
    /// The node behind the rest of a word, whatever it is.
    any: u32,
}

impl Default for Lexicon {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Lexicon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lexicon").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// What was found at a place, and the room to look for it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) phrases: Vec<Phrase>,
    ways: Vec<Way>,
}

/// A phrase that was found.
#[derive(Clone, Copy)]
pub(super) struct Phrase {
    /// What it stands for.
    pub(super) concepts: u64,
    /// The octet at which its last sign begins.
    pub(super) last: usize,
}

/// A way through the tree and the text.
#[derive(Clone, Copy)]
struct Way {
    node: u32,
    /// The octet of the text that comes next, and that at which the sign before it begins.
    at: usize,
    last: usize,
    /// The signs behind.
    signs: usize,
}

/// How a text is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// Words stand apart.
    Apart,
    /// Blanks say nothing: letters are spaced, or words are run together.
    None,
}

impl Lexicon {
    /// Builds the tree.
    pub fn new() -> Self {
        let mut builder = Builder { branches: vec![Branch::default()], starts: Starts::default() };
        for (concept, phrases) in terms::tables() {
            for phrase in phrases {
                builder.add(phrase, concept.bit());
            }
        }
        for (concept, word) in terms::veiled() {
            builder.add(&word, concept.bit() | Concept::Veiled.bit());
        }
        builder.finish()
    }

    /// Whether a phrase may begin with the word that stands from `at` to `end`.
    pub(super) fn may_begin(&self, text: &[u8], at: usize, end: usize) -> bool {
        self.starts.may_be(text, at, end)
    }

    /// Finds the phrases that begin at an octet of a folded text.
    pub(super) fn look_up(&self, text: &[u8], start: usize, spacing: Spacing, found: &mut Found) {
        found.phrases.clear();
        let Some(sign) = Sign::at(text, start) else { return };
        let Some(node) = self.below(0, &text[start..start + sign.len]) else { return };
        let mut next = Some(Way { node, at: start + sign.len, last: start, signs: 1 });
        while let Some(way) = next {
            self.follow(text, sign, way, spacing, found);
            next = found.ways.pop();
        }
    }

    /// Follows one way through the tree to its end, and notes where it parts.
    fn follow(&self, text: &[u8], start: Sign, mut way: Way, spacing: Spacing, found: &mut Found) {
        while way.signs <= REACH_MAX {
            let here = self.nodes[way.node as usize];
            if here.concepts == 0 && here.any == 0 && text.get(way.at).is_some_and(u8::is_ascii_lowercase) {
                // In the midst of a word: nothing ends here, and nothing parts.
                if let Some(node) = self.below(way.node, &text[way.at..=way.at]) {
                    way = Way { node, at: way.at + 1, last: way.at, signs: way.signs + 1 };
                    continue;
                }
                if spacing == Spacing::Apart {
                    return;
                }
            }
            let next = Sign::at(text, way.at);
            if here.concepts != 0 && is_end(text, &way, next, spacing) {
                found.phrases.push(Phrase { concepts: here.concepts, last: way.last });
            }
            if here.any != 0 {
                let behind = Way { node: here.any, ..way };
                found.ways.push(if spacing == Spacing::None { behind } else { behind_word(text, behind) });
            }
            let Some(sign) = next else { return };
            let octets: &[u8] = match sign.kind {
                Kind::Blank => b" ",
                Kind::Paragraph => b"\n",
                _ => &text[way.at..way.at + sign.len],
            };
            if let Some(node) = self.below(way.node, octets) {
                way = way.past(sign);
                way.node = node;
                continue;
            }
            let blank = self.below(way.node, b" ");
            if spacing == Spacing::None {
                // Blanks of the phrase are not in the text.
                match blank {
                    Some(node) => way.node = node,
                    None => return,
                }
                continue;
            }
            if sign.is_word() || sign.kind == Kind::Paragraph {
                return;
            }
            let behind = behind_marks(text, way);
            let is_dense = |at| Sign::at(text, at).is_some_and(|sign| sign.kind == Kind::Dense);
            way = match blank {
                Some(node) => Way { node, ..behind },
                // Marks of prompts are set with and without blanks.
                None if sign.kind == Kind::Blank && !start.is_word() => way.past(sign),
                None if is_dense(way.last) || is_dense(behind.at) => behind,
                None => return,
            };
        }
    }

    /// The node below one that the octets of a sign lead to.
    #[inline]
    fn below(&self, node: u32, octets: &[u8]) -> Option<u32> {
        octets.iter().try_fold(node, |node, octet| {
            let below = self.nodes[node as usize].base + u32::from(*octet);
            let is_below = self.nodes.get(below as usize).is_some_and(|have| have.above == node);
            is_below.then_some(below)
        })
    }

    /// Whether a phrase begins with the sign that stands from `at` to `end`.
    pub(super) fn begins(&self, text: &[u8], at: usize, end: usize) -> bool {
        self.below(0, &text[at..end]).is_some()
    }
}

impl Way {
    fn past(self, sign: Sign) -> Self {
        Self { node: self.node, at: self.at + sign.len, last: self.at, signs: self.signs + 1 }
    }
}

/// Whether a phrase may end where a way is.
fn is_end(text: &[u8], way: &Way, next: Option<Sign>, spacing: Spacing) -> bool {
    spacing == Spacing::None && way.signs >= 5
        || !next.is_some_and(Sign::is_word)
        || Sign::at(text, way.last).is_some_and(|last| last.kind != Kind::Letter)
}

/// Goes on behind the rest of a word.
fn behind_word(text: &[u8], mut way: Way) -> Way {
    let reach = way.signs + REACH_MAX;
    while way.signs < reach
        && let Some(sign) = Sign::at(text, way.at).filter(|sign| sign.kind == Kind::Letter)
    {
        way = way.past(sign);
    }
    way
}

/// Goes on behind blanks and marks, not into the next paragraph.
fn behind_marks(text: &[u8], mut way: Way) -> Way {
    for _ in 0..4 {
        match Sign::at(text, way.at) {
            Some(sign) if matches!(sign.kind, Kind::Blank | Kind::Mark) => way = way.past(sign),
            _ => break,
        }
    }
    way
}

#[derive(Default)]
struct Branch {
    children: BTreeMap<u8, usize>,
    concepts: u64,
    any: usize,
}

struct Builder {
    branches: Vec<Branch>,
    starts: Starts,
}

impl Builder {
    fn add(&mut self, phrase: &str, concepts: u64) {
        let folded = Folded::of(phrase);
        let text = folded.octets();
        self.starts.add(text);
        let kind = |at| Sign::at(text, at).map(|sign| sign.kind);
        let is_word = |kind| matches!(kind, Some(Kind::Letter | Kind::Dense));
        let (mut node, mut at, mut before) = (0, 0, None);
        while let Some(sign) = Sign::at(text, at) {
            let octets = &text[at..at + sign.len];
            let beside_dense = before == Some(Kind::Dense) || kind(at + sign.len) == Some(Kind::Dense);
            node = match octets {
                b" " if beside_dense => node,
                b"*" if is_word(before) => self.any(node),
                // An apostrophe in a word is a blank in the text.
                b"'" | b"-" if is_word(before) && is_word(kind(0)) => self.child(node, b" "),
                b" " if before == Some(Kind::Mark) && text[at - 1] != b'*' => node,
                octets => self.child(node, octets),
            };
            before = Some(sign.kind);
            at += sign.len;
        }
        self.branches[node].concepts |= concepts;
    }

    fn child(&mut self, node: usize, octets: &[u8]) -> usize {
        octets.iter().fold(node, |node, octet| match self.branches[node].children.get(octet) {
            Some(child) => *child,
            None => {
                let child = self.grow();
                self.branches[node].children.insert(*octet, child);
                child
            }
        })
    }

    fn any(&mut self, node: usize) -> usize {
        if self.branches[node].any == 0 {
            self.branches[node].any = self.grow();
        }
        self.branches[node].any
    }

    fn grow(&mut self) -> usize {
        self.branches.push(Branch::default());
        self.branches.len() - 1
    }

    /// Gives each node its place: the first that is free for all the nodes below one.
    fn finish(self) -> Lexicon {
        let mut nodes = vec![Node { above: 0, ..Node::default() }];
        // No octet leads below its own number.
        let mut free = usize::from(u8::MAX) + 1;
        let mut waiting = vec![(0, 0)];
        while let Some((branch, node)) = waiting.pop() {
            let Branch { children, concepts, any } = &self.branches[branch];
            let below = children.iter().map(|(octet, child)| (*octet, *child));
            let below: Vec<(u8, usize)> = below.chain((*any != 0).then_some((ANY, *any))).collect();
            let is_free = |nodes: &[Node], at: usize| nodes.get(at).is_none_or(|have| have.above == NONE);
            while !is_free(&nodes, free) {
                free += 1;
            }
            let first = below.first().map_or(0, |(octet, _)| usize::from(*octet));
            let fits = |base: &usize| below.iter().all(|(octet, _)| is_free(&nodes, base + usize::from(*octet)));
            let base = (free - first..).find(fits).unwrap_or_default();
            let end = base + below.last().map_or(0, |(octet, _)| usize::from(*octet)) + 1;
            if nodes.len() < end {
                nodes.resize(end, Node { above: NONE, ..Node::default() });
            }
            for (octet, child) in &below {
                nodes[base + usize::from(*octet)].above = node as u32;
                waiting.push((*child, base + usize::from(*octet)));
            }
            let any = if *any == 0 { 0 } else { base + usize::from(ANY) };
            let above = nodes[node].above;
            nodes[node] = Node { concepts: *concepts, base: base as u32, above, any: any as u32 };
        }
        let completes =
            std::array::from_fn(|concept| RULES.iter().filter(|rule| rule.concepts() >> concept & 1 == 1).collect());
        Lexicon { nodes, starts: self.starts, completes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where phrases end, in signs.
    fn finds(text: &str, spacing: Spacing) -> Vec<usize> {
        let lexicon = Lexicon::new();
        let mut found = Found::default();
        let folded = Folded::of(text);
        let text = folded.octets();
        lexicon.look_up(text, 0, spacing, &mut found);
        found.phrases.retain(|phrase| {
            phrase.concepts & (Concept::Override.bit() | Concept::Inner.bit() | Concept::Markup.bit()) != 0
        });
        let signs = |last| {
            let (mut at, mut signs) = (0, 0);
            while at <= last {
                at += Sign::at(text, at).expect("a sign").len;
                signs += 1;
            }
            signs
        };
        found.phrases.iter().map(|phrase| signs(phrase.last)).collect()
    }

    #[test]
    fn phrases_are_found_as_whole_words() {
        for (text, ends) in [
            ("ignore all", vec![6]),
            ("ignored all", vec![]),
            ("Ignoriere bitte", vec![9]),
            ("忽略之前", vec![2]),
            ("忽 略之前", vec![3]),
            ("system prompt!", vec![13]),
            ("system-prompt", vec![13]),
            ("system  prompt", vec![13]),
            ("systemprompt", vec![12]),
            ("<|im_start|>x", vec![12]),
        ] {
            assert_eq!(finds(text, Spacing::Apart), ends, "{text}");
        }
        assert_eq!(finds("ignoreall", Spacing::None), [6]);
    }
}
