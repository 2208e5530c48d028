//! The words and phrases that are looked for, as one tree of letters. Made once, from the tables of all languages; looking
//! a place up costs no more than the longest phrase.

use super::fold::{Folded, is_dense, is_word};
use super::rules::RULES;
use super::terms::{self, Concept};

/// Letters of the longest phrase that is looked for, blanks among them.
const REACH_MAX: usize = 64;

/// All words and phrases, and what they stand for.
pub struct Lexicon {
    nodes: Vec<Node>,
    edges: Vec<(char, u32)>,
    /// The nodes below the root for ASCII.
    first: [u32; 128],
    /// For each concept the rules that it can complete.
    pub(super) completes: [Vec<u16>; 64],
}

#[derive(Default)]
struct Node {
    first: u32,
    count: u32,
    /// What the phrase that ends here stands for.
    concepts: u64,
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
    /// What phrases stand for, each with the place behind its end.
    pub(super) phrases: Vec<(u64, usize)>,
    ways: Vec<(u32, usize)>,
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
        let mut builder = Builder { nodes: vec![Branch::default()] };
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

    /// Finds the phrases that begin at `start`.
    pub(super) fn look_up(&self, chars: &[char], start: usize, spacing: Spacing, found: &mut Found) {
        found.phrases.clear();
        // Most words begin like no phrase.
        let Some(first) = chars.get(start).and_then(|c| self.child(0, *c)) else { return };
        found.ways.push((first, start + 1));
        while let Some((node, at)) = found.ways.pop() {
            self.step(chars, start, (node, at), spacing, found);
        }
    }

    /// Follows one way through the tree to its end, and notes where it parts.
    fn step(&self, chars: &[char], start: usize, from: (u32, usize), spacing: Spacing, found: &mut Found) {
        let (mut node, mut at) = from;
        while at <= chars.len() && at - start <= REACH_MAX {
            let here = &self.nodes[node as usize];
            let next = chars.get(at).copied();
            let last = chars[at - 1];
            let is_end = spacing == Spacing::None && at - start >= 5
                || next.is_none_or(|c| !is_word(c))
                || is_dense(last)
                || !is_word(last);
            if here.concepts != 0 && is_end {
                found.phrases.push((here.concepts, at));
            }
            if here.any != 0 {
                let rest = chars[at..].iter().take(REACH_MAX).take_while(|c| is_word(**c) && !is_dense(**c)).count();
                found.ways.push((here.any, if spacing == Spacing::None { at } else { at + rest }));
            }
            let Some(c) = next else { return };
            if let Some(child) = self.child(node, c) {
                (node, at) = (child, at + 1);
                continue;
            }
            if spacing == Spacing::None {
                // Blanks of the phrase are not in the text.
                match self.child(node, ' ') {
                    Some(child) => node = child,
                    None => return,
                }
                continue;
            }
            if is_word(c) || c == '\n' {
                return;
            }
            let blank = chars[at..].iter().take(4).take_while(|c| !is_word(**c) && **c != '\n').count();
            let touches_dense = is_dense(last) || chars.get(at + blank).is_some_and(|c| is_dense(*c));
            match self.child(node, ' ') {
                Some(child) => (node, at) = (child, at + blank),
                // Marks of prompts are set with and without blanks.
                None if c == ' ' && !is_word(chars[start]) => at += 1,
                None if touches_dense => at += blank,
                None => return,
            }
        }
    }

    fn child(&self, node: u32, c: char) -> Option<u32> {
        if node == 0 && c.is_ascii() {
            return Some(self.first[c as usize]).filter(|child| *child != 0);
        }
        let Node { first, count, .. } = self.nodes[node as usize];
        let edges = &self.edges[first as usize..(first + count) as usize];
        edges.binary_search_by_key(&c, |(letter, _)| *letter).ok().map(|at| edges[at].1)
    }

    /// Whether a phrase begins with a character.
    pub(super) fn begins(&self, c: char) -> bool {
        self.child(0, c).is_some()
    }
}

#[derive(Default)]
struct Branch {
    children: std::collections::BTreeMap<char, u32>,
    concepts: u64,
    any: u32,
}

struct Builder {
    nodes: Vec<Branch>,
}

impl Builder {
    fn add(&mut self, phrase: &str, concepts: u64) {
        let chars = Folded::of(phrase).chars;
        let mut node = 0_usize;
        for (at, c) in chars.iter().enumerate() {
            let beside_dense = at > 0 && is_dense(chars[at - 1]) || chars.get(at + 1).is_some_and(|c| is_dense(*c));
            node = match c {
                ' ' if beside_dense => node,
                '*' if at > 0 && is_word(chars[at - 1]) => self.any(node),
                // An apostrophe in a word is a blank in the text.
                '\'' | '-' if at > 0 && is_word(chars[at - 1]) && is_word(chars[0]) => self.child(node, ' '),
                ' ' if at > 0 && !is_word(chars[at - 1]) && chars[at - 1] != '*' => node,
                c => self.child(node, *c),
            };
        }
        self.nodes[node].concepts |= concepts;
    }

    fn child(&mut self, node: usize, c: char) -> usize {
        if let Some(child) = self.nodes[node].children.get(&c) {
            return *child as usize;
        }
        let child = self.grow();
        self.nodes[node].children.insert(c, child as u32);
        child
    }

    fn any(&mut self, node: usize) -> usize {
        if self.nodes[node].any == 0 {
            let child = self.grow();
            self.nodes[node].any = child as u32;
        }
        self.nodes[node].any as usize
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Branch::default());
        self.nodes.len() - 1
    }

    fn finish(self) -> Lexicon {
        let completes = std::array::from_fn(|concept| {
            let able = RULES.iter().enumerate().filter(|(_, rule)| rule.concepts() >> concept & 1 == 1);
            able.map(|(index, _)| index as u16).collect()
        });
        let mut lexicon =
            Lexicon { nodes: Vec::with_capacity(self.nodes.len()), edges: Vec::new(), first: [0; 128], completes };
        for branch in &self.nodes {
            let first = lexicon.edges.len() as u32;
            lexicon.edges.extend(branch.children.iter().map(|(c, child)| (*c, *child)));
            let count = branch.children.len() as u32;
            lexicon.nodes.push(Node { first, count, concepts: branch.concepts, any: branch.any });
        }
        for (c, child) in &self.nodes[0].children {
            if let Some(first) = lexicon.first.get_mut(*c as usize) {
                *first = *child;
            }
        }
        lexicon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, spacing: Spacing) -> Vec<usize> {
        let lexicon = Lexicon::new();
        let mut found = Found::default();
        lexicon.look_up(&Folded::of(text).chars, 0, spacing, &mut found);
        let mut found = found.phrases;
        found.retain(|(concepts, _)| {
            concepts & (Concept::Override.bit() | Concept::Inner.bit() | Concept::Markup.bit()) != 0
        });
        found.into_iter().map(|(_, end)| end).collect()
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
