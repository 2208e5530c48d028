//! Looks through a text once for concepts near each other. Time is linear in the text, memory does not depend on it: only
//! the last place of each concept is remembered.

use super::fold::Folded;
use super::lexicon::{Found, Lexicon, Phrase, Spacing};
use super::rules::{self, Rule};
use super::sign::{Kind, Sign, char_at, word_len};
use super::terms::Concept;
use postfleet_core::suspicion::Reason;

/// Octets of a text that are folded at once.
const CHUNK: usize = 8 << 10;

/// Octets beyond a chunk in which a phrase may end that begins in it.
const AHEAD: usize = 256;

/// Passages of one text that are told apart.
const GROUPS_MAX: usize = 64;

/// Steps of a word; a letter of a script without blanks is one step.
const WORD: u32 = 2;

/// Words between sentences, and between paragraphs.
const SENTENCE_WORDS: u32 = 4;
const PARAGRAPH_WORDS: u32 = 6;

/// Words between two hints that belong together.
const NEAR_WORDS: u32 = 16;

/// Words before the first concept in which a negation counts.
const BEFORE_WORDS: u32 = 4;

/// Letters that stand alone, one after the other, before they are taken for spaced words.
const SPACED_MIN: usize = 6;

/// Letters of a word from which on it may be several that were run together.
const RUN_TOGETHER_MIN: usize = 18;

/// A place in a text where it instructs, in characters of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) reasons: Vec<Reason>,
}

/// Finds what instructs the reader. `strict` takes hints for enough: for text that was hidden.
pub(super) fn scan(lexicon: &Lexicon, text: &str, strict: bool) -> Vec<Finding> {
    let mut scanner = Scanner::new(lexicon);
    let mut folded = Folded::default();
    let (mut at, mut chars) = (0, 0_u32);
    while at < text.len() {
        let end = chunk_end(text, at);
        let own = u32::try_from(text[at..end].chars().count()).unwrap_or(u32::MAX);
        folded.fill(&text[at..text.ceil_char_boundary(end.saturating_add(AHEAD))]);
        scanner.read(&folded, chars, own);
        chars = chars.saturating_add(own);
        at = end;
    }
    scanner.finish(strict)
}

/// Where a chunk ends: behind white space if there is any near.
fn chunk_end(text: &str, at: usize) -> usize {
    if text.len() - at <= CHUNK {
        return text.len();
    }
    let end = text.ceil_char_boundary(at + CHUNK);
    let near = &text[end..text.ceil_char_boundary(end + AHEAD)];
    near.find(char::is_whitespace).map_or(end, |blank| end + blank)
}

#[derive(Clone, Copy, Default)]
struct Seen {
    /// Steps from the beginning, from 1; 0 is never.
    step: u32,
    sentence: u32,
    start: u32,
    end: u32,
}

struct Group {
    first_step: u32,
    last_step: u32,
    start: u32,
    end: u32,
    reasons: u32,
    is_sure: bool,
}

struct Scanner<'l> {
    lexicon: &'l Lexicon,
    latest: [Seen; 64],
    /// The concepts that were seen, and those in the sentence, as bits.
    seen: u64,
    seen_in_sentence: u64,
    step: u32,
    sentence: u32,
    groups: Vec<Group>,
    found: Found,
}

impl<'l> Scanner<'l> {
    fn new(lexicon: &'l Lexicon) -> Self {
        Self {
            lexicon,
            latest: [Seen::default(); 64],
            seen: 0,
            seen_in_sentence: 0,
            step: 1,
            sentence: 0,
            groups: Vec::new(),
            found: Found::default(),
        }
    }

    /// Reads what is folded; its first character is number `base` of the text, and `own` characters are not read again.
    fn read(&mut self, folded: &Folded, base: u32, own: u32) {
        let (mut at, end) = (0, folded.octets_of(own));
        while at < end {
            at = match word_len(folded.octets(), at) {
                0 => self.sign(folded, at, base),
                len => self.word(folded, at, at + len, base),
            };
        }
    }

    /// Takes a letter of a dense script, white space, or a mark. Returns where the next begins.
    fn sign(&mut self, folded: &Folded, at: usize, base: u32) -> usize {
        let text = folded.octets();
        let Some(sign) = Sign::at(text, at) else { return text.len() };
        let end = at + sign.len;
        match sign.kind {
            Kind::Letter | Kind::Blank => {}
            Kind::Dense => {
                self.step += 1;
                self.look_up(folded, at, base);
            }
            Kind::Paragraph => self.end_sentence(PARAGRAPH_WORDS),
            Kind::Mark => {
                if is_full_stop(text, at, end) {
                    self.end_sentence(SENTENCE_WORDS);
                }
                if self.lexicon.begins(text, at, end) {
                    self.look_up(folded, at, base);
                }
            }
        }
        end
    }

    /// Takes a word. Returns where the next sign begins that says something.
    fn word(&mut self, folded: &Folded, at: usize, end: usize, base: u32) -> usize {
        let text = folded.octets();
        let len = end - at;
        self.step += WORD;
        if (len == 1 || !text[at].is_ascii())
            && let Some(end) = spaced_end(text, at, end)
        {
            self.run_together(folded, at, end, base);
            return end;
        }
        if self.lexicon.may_begin(text, at, end) {
            self.look_up(folded, at, base);
        }
        if len < RUN_TOGETHER_MIN && text.get(end) == Some(&b' ') {
            // So do most words stand, and have no form that says anything.
            return end + 1;
        }
        self.shape(folded, at, end, base);
        if len >= RUN_TOGETHER_MIN && letters(&text[at..end]) >= RUN_TOGETHER_MIN {
            self.run_together(folded, at, end, base);
        }
        end
    }

    fn end_sentence(&mut self, words: u32) {
        self.seen_in_sentence = 0;
        self.sentence += 1;
        self.step += WORD * words;
    }

    fn look_up(&mut self, folded: &Folded, at: usize, base: u32) {
        let mut found = std::mem::take(&mut self.found);
        self.lexicon.look_up(folded.octets(), at, Spacing::Apart, &mut found);
        let start = base + folded.origin(at);
        let remember = Concept::Remember.bit();
        // "Do not forget" first: it has "forget" in it.
        for Phrase { concepts, last } in found.phrases.iter().filter(|phrase| phrase.concepts & remember != 0) {
            self.see(*concepts, start, base + folded.origin(*last) + 1);
        }
        for Phrase { concepts, last } in found.phrases.drain(..) {
            self.see(concepts, start, base + folded.origin(last) + 1);
        }
        self.found = found;
    }

    /// Looks for phrases in letters whose blanks say nothing.
    fn run_together(&mut self, folded: &Folded, start: usize, end: usize, base: u32) {
        let (mut letters, mut origins) = (Vec::with_capacity(end - start), Vec::with_capacity(end - start));
        let mut at = start;
        while at < end
            && let Some(sign) = Sign::at(folded.octets(), at)
        {
            if sign.is_word() {
                letters.extend_from_slice(&folded.octets()[at..at + sign.len]);
                origins.resize(letters.len(), base + folded.origin(at));
            }
            at += sign.len;
        }
        let mut found = std::mem::take(&mut self.found);
        let mut covered = None;
        let mut at = 0;
        while let Some(sign) = Sign::at(&letters, at) {
            self.lexicon.look_up(&letters, at, Spacing::None, &mut found);
            for Phrase { concepts, last } in found.phrases.drain(..) {
                if covered.is_none_or(|covered| at > covered) {
                    self.step += WORD;
                }
                covered = covered.max(Some(last));
                self.see(concepts, origins[at], origins[last] + 1);
            }
            at += sign.len;
        }
        self.found = found;
    }

    /// What a word is by its form: an address or a link, a name of a program, a wallet.
    fn shape(&mut self, folded: &Folded, at: usize, end: usize, base: u32) {
        let text = folded.octets();
        let concept = match text.get(end..).unwrap_or_default() {
            [b'@', ..] => Concept::ToMe,
            [b'_', ..] => Concept::Identifier,
            [b'(', next, ..] if !matches!(next, b' ' | b'\n') => Concept::Identifier,
            _ if is_wallet(&text[at..end]) => Concept::Wallet,
            _ => return,
        };
        self.see(concept.bit(), base + folded.origin(at), base + folded.origin(end - 1) + 1);
    }

    /// Notes concepts at a place, and whether they complete a rule.
    fn see(&mut self, concepts: u64, start: u32, end: u32) {
        let remember = self.latest[Concept::Remember as usize];
        let denied = Concept::Override.bit() | Concept::Forget.bit();
        let is_denied = remember.step != 0 && start < remember.end && start >= remember.start;
        let concepts = if is_denied { concepts & !denied } else { concepts };
        let seen = Seen { step: self.step, sentence: self.sentence, start, end };
        let mut bits = concepts;
        while bits != 0 {
            self.latest[bits.trailing_zeros() as usize] = seen;
            bits &= bits - 1;
        }
        self.seen |= concepts;
        self.seen_in_sentence |= concepts;
        let mut bits = concepts;
        while bits != 0 {
            let lexicon = self.lexicon;
            for rule in &lexicon.completes[bits.trailing_zeros() as usize] {
                // Most rules lack a concept: no need to look where the others are.
                let seen = if rule.one_sentence { self.seen_in_sentence } else { self.seen };
                if rule.sets().all(|set| set & seen != 0) {
                    self.apply(rule, concepts);
                }
            }
            bits &= bits - 1;
        }
    }

    fn apply(&mut self, rule: &Rule, now: u64) {
        let oldest = self.step.saturating_sub(rule.window * WORD);
        let (mut first, mut last_end, mut veiled) =
            (Seen { step: u32::MAX, start: u32::MAX, ..Seen::default() }, 0, false);
        let mut completed = false;
        for set in rule.sets() {
            let Some(seen) = self.latest_of(set) else { return };
            if seen.step < oldest || rule.one_sentence && seen.sentence != self.sentence {
                return;
            }
            completed |= set & now != 0;
            veiled |= self.latest[Concept::Veiled as usize].start == seen.start
                && self.latest[Concept::Veiled as usize].step == seen.step;
            last_end = last_end.max(seen.end);
            first.step = first.step.min(seen.step);
            first.start = first.start.min(seen.start);
        }
        if !completed || self.is_denied(rule, first.step) {
            return;
        }
        let encoded = if veiled { rules::bit(Reason::Encoded) } else { 0 };
        self.add(first.step, first.start, last_end, rule.reasons | encoded, rule.is_sure);
    }

    fn latest_of(&self, set: u64) -> Option<Seen> {
        let mut best = None::<Seen>;
        let mut bits = set;
        while bits != 0 {
            let seen = self.latest[bits.trailing_zeros() as usize];
            if seen.step != 0 && best.is_none_or(|best| seen.step > best.step) {
                best = Some(seen);
            }
            bits &= bits - 1;
        }
        best
    }

    fn is_denied(&self, rule: &Rule, first_step: u32) -> bool {
        let from = first_step.saturating_sub(BEFORE_WORDS * WORD);
        let mut bits = rule.unless & self.seen_in_sentence;
        while bits != 0 {
            if self.latest[bits.trailing_zeros() as usize].step >= from {
                return true;
            }
            bits &= bits - 1;
        }
        false
    }

    fn add(&mut self, first_step: u32, start: u32, end: u32, reasons: u32, is_sure: bool) {
        let last_step = self.step;
        if let Some(group) = self.groups.last_mut()
            && first_step <= group.last_step + NEAR_WORDS * WORD
        {
            group.first_step = group.first_step.min(first_step);
            group.last_step = last_step;
            group.start = group.start.min(start);
            group.end = group.end.max(end);
            group.reasons |= reasons;
            group.is_sure |= is_sure;
        } else if self.groups.len() < GROUPS_MAX {
            self.groups.push(Group { first_step, last_step, start, end, reasons, is_sure });
        }
    }

    fn finish(self, strict: bool) -> Vec<Finding> {
        let counts = |group: &Group| group.is_sure || group.reasons.count_ones() >= if strict { 1 } else { 2 };
        let finding = |group: Group| Finding { start: group.start, end: group.end, reasons: reasons_of(group.reasons) };
        self.groups.into_iter().filter(counts).map(finding).collect()
    }
}

fn reasons_of(bits: u32) -> Vec<Reason> {
    const ALL: [Reason; 11] = [
        Reason::Override,
        Reason::Role,
        Reason::AddressesMachine,
        Reason::Secrets,
        Reason::Exfiltration,
        Reason::Deletion,
        Reason::Payment,
        Reason::Markup,
        Reason::Encoded,
        Reason::Concealment,
        Reason::UrgencyWithAuthority,
    ];
    ALL.into_iter().filter(|reason| bits & rules::bit(*reason) != 0).collect()
}

/// Whether a mark ends a sentence.
fn is_full_stop(text: &[u8], at: usize, end: usize) -> bool {
    match &text[at..end] {
        b"." | b"!" | b"?" | b";" => !Sign::at(text, end).is_some_and(Sign::is_word),
        mark => mark == "。".as_bytes(),
    }
}

/// Letters of a word: octets that do not go on with one.
fn letters(word: &[u8]) -> usize {
    word.iter().filter(|octet| **octet & 0xc0 != 0x80).count()
}

/// Where letters end that stand alone one after the other, if the word is the first of them and they are enough.
fn spaced_end(text: &[u8], at: usize, mut end: usize) -> Option<usize> {
    if Sign::at(text, at)?.len < end - at {
        return None;
    }
    let mut count = 1;
    // Three blanks, folded to one, may part the words.
    while let Some(blank) = Sign::at(text, end).filter(|sign| !sign.is_word())
        && let Some(next) = alone_end(text, end + blank.len)
    {
        end = next;
        count += 1;
    }
    (count >= SPACED_MIN).then_some(end)
}

/// Where the letter ends that stands alone at an octet, if one does.
fn alone_end(text: &[u8], at: usize) -> Option<usize> {
    let sign = Sign::at(text, at).filter(|sign| sign.kind == Kind::Letter)?;
    let end = at + sign.len;
    let is_alone = char_at(text, at)?.is_alphabetic() && !Sign::at(text, end).is_some_and(Sign::is_word);
    is_alone.then_some(end)
}

/// Whether a word has the form of an address of a wallet: Bitcoin or Ethereum.
fn is_wallet(word: &[u8]) -> bool {
    // Folding has made letters of the digits.
    let starts = |prefix: &str| word.starts_with(prefix.as_bytes());
    match word.len() {
        42 => word.is_ascii() && (starts("ox") || starts("0x") || starts("bci")),
        26..=35 => word.is_ascii() && is_mixed(word),
        _ => false,
    }
}

fn is_mixed(word: &[u8]) -> bool {
    matches!(word[0], b'i' | b'1') && word.iter().filter(|octet| octet.is_ascii_digit()).count() >= 3
}
