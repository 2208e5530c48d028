//! Looks through a text once for concepts near each other. Time is linear in the text, memory does not depend on it: only
//! the last place of each concept is remembered.

use super::fold::{Folded, is_dense, is_word};
use super::lexicon::{Found, Lexicon, Spacing};
use super::rules::{RULES, Rule, mask};
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
    let (mut at, mut chars) = (0, 0_u32);
    while at < text.len() {
        let end = chunk_end(text, at);
        let own = u32::try_from(text[at..end].chars().count()).unwrap_or(u32::MAX);
        scanner.folded.fill(&text[at..text.ceil_char_boundary(end.saturating_add(AHEAD))]);
        scanner.read(chars, own);
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
    folded: Folded,
    latest: [Seen; 64],
    step: u32,
    sentence: u32,
    groups: Vec<Group>,
    found: Found,
}

impl<'l> Scanner<'l> {
    fn new(lexicon: &'l Lexicon) -> Self {
        Self {
            lexicon,
            folded: Folded::default(),
            latest: [Seen::default(); 64],
            step: 1,
            sentence: 0,
            groups: Vec::new(),
            found: Found::default(),
        }
    }

    /// Reads what is folded; its first character is number `base` of the text, and `own` characters are not read again.
    fn read(&mut self, base: u32, own: u32) {
        let folded = std::mem::take(&mut self.folded);
        let mut at = 0;
        while at < folded.chars.len() && folded.origin[at] < own {
            at = self.token(&folded, at, base);
        }
        self.folded = folded;
    }

    /// Takes a word, a letter of a dense script, or a mark. Returns where the next begins.
    fn token(&mut self, folded: &Folded, at: usize, base: u32) -> usize {
        let chars = &folded.chars;
        let c = chars[at];
        if is_dense(c) {
            self.step += 1;
            self.look_up(folded, at, base, Spacing::Apart);
            return at + 1;
        }
        if !is_word(c) {
            self.boundary(c, chars.get(at + 1).copied());
            if !matches!(c, ' ' | '\n') && self.lexicon.begins(c) {
                self.look_up(folded, at, base, Spacing::Apart);
            }
            return at + 1;
        }
        let end = at + chars[at..].iter().take_while(|c| is_word(**c) && !is_dense(**c)).count();
        self.step += WORD;
        if end - at == 1
            && let Some(end) = spaced_end(chars, at)
        {
            self.run_together(folded, at, end, base, true);
            return end;
        }
        self.look_up(folded, at, base, Spacing::Apart);
        self.shape(folded, at, end, base);
        if end - at >= RUN_TOGETHER_MIN {
            self.run_together(folded, at, end, base, false);
        }
        end
    }

    fn boundary(&mut self, c: char, next: Option<char>) {
        let ends = match c {
            '.' | '!' | '?' | ';' => next.is_none_or(|next| !is_word(next)),
            '。' | '！' | '？' => true,
            _ => false,
        };
        if ends || c == '\n' {
            self.sentence += 1;
            self.step += WORD * if c == '\n' { PARAGRAPH_WORDS } else { SENTENCE_WORDS };
        }
    }

    fn look_up(&mut self, folded: &Folded, at: usize, base: u32, spacing: Spacing) {
        let mut found = std::mem::take(&mut self.found);
        self.lexicon.look_up(&folded.chars, at, spacing, &mut found);
        let start = base + folded.origin[at];
        // "Do not forget" first: it has "forget" in it.
        for (concepts, end) in found.phrases.iter().filter(|(concepts, _)| concepts & Concept::Remember.bit() != 0) {
            self.see(*concepts, start, base + folded.origin[end - 1] + 1);
        }
        for (concepts, end) in found.phrases.drain(..) {
            self.see(concepts, start, base + folded.origin[end - 1] + 1);
        }
        self.found = found;
    }

    /// Looks for phrases in letters whose blanks say nothing.
    fn run_together(&mut self, folded: &Folded, start: usize, end: usize, base: u32, spaced: bool) {
        let pick = |at: &usize| is_word(folded.chars[*at]);
        let places: Vec<usize> = if spaced { (start..end).filter(pick).collect() } else { (start..end).collect() };
        let letters: Vec<char> = places.iter().map(|at| folded.chars[*at]).collect();
        let mut found = std::mem::take(&mut self.found);
        let mut covered = 0;
        for at in 0..letters.len() {
            self.lexicon.look_up(&letters, at, Spacing::None, &mut found);
            for (concepts, end) in found.phrases.drain(..) {
                if at >= covered {
                    self.step += WORD;
                }
                covered = covered.max(end);
                let of = |letter: usize| base + folded.origin[places[letter]];
                self.see(concepts, of(at), of(end - 1) + 1);
            }
        }
        self.found = found;
    }

    /// What a word is by its form: an address or a link, a name of a program, a wallet.
    fn shape(&mut self, folded: &Folded, at: usize, end: usize, base: u32) {
        let chars = &folded.chars;
        let word = &chars[at..end];
        let next = chars.get(end).copied();
        let concept = match next {
            Some('@') => Concept::ToMe,
            Some('_') => Concept::Identifier,
            Some('(') if chars.get(end + 1).is_some_and(|c| !matches!(c, ' ' | '\n')) => Concept::Identifier,
            _ if is_wallet(word) => Concept::Wallet,
            _ => return,
        };
        self.see(concept.bit(), base + folded.origin[at], base + folded.origin[end - 1] + 1);
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
        let mut bits = concepts;
        while bits != 0 {
            let concept = bits.trailing_zeros() as usize;
            let lexicon = self.lexicon;
            for rule in &lexicon.completes[concept] {
                self.apply(&RULES[usize::from(*rule)], concepts);
            }
            bits &= bits - 1;
        }
    }

    fn apply(&mut self, rule: &Rule, now: u64) {
        let oldest = self.step.saturating_sub(rule.window * WORD);
        let (mut first, mut last_end, mut veiled) =
            (Seen { step: u32::MAX, start: u32::MAX, ..Seen::default() }, 0, false);
        let mut completed = false;
        for set in rule.sets {
            let set = mask(set);
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
        let mut reasons = rule.reasons.iter().fold(0, |all, reason| all | 1 << *reason as u32);
        if veiled {
            reasons |= 1 << Reason::Encoded as u32;
        }
        self.add(first.step, first.start, last_end, reasons, rule.is_sure);
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
        let denies = |concept: &Concept| {
            let seen = self.latest[*concept as usize];
            seen.step != 0 && seen.step >= from && seen.sentence == self.sentence
        };
        rule.unless.iter().any(denies)
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
    ALL.into_iter().filter(|reason| bits >> *reason as u32 & 1 == 1).collect()
}

/// Where letters end that stand alone one after the other, if they are enough.
fn spaced_end(chars: &[char], start: usize) -> Option<usize> {
    let (mut at, mut letters) = (start, 0);
    loop {
        letters += 1;
        let blank = at + 1;
        let next = at + 2;
        let is_alone = |at: usize| {
            chars.get(at).is_some_and(|c| c.is_alphabetic() && !is_dense(*c))
                && chars.get(at + 1).is_none_or(|c| !is_word(*c))
        };
        if chars.get(blank).is_none_or(|c| is_word(*c)) {
            break;
        }
        // Three blanks, folded to one, may part the words.
        if !is_alone(next) {
            break;
        }
        at = next;
    }
    (letters >= SPACED_MIN).then_some(at + 1)
}

/// Whether a word has the form of an address of a wallet: Bitcoin or Ethereum.
fn is_wallet(word: &[char]) -> bool {
    let has_digits = word.iter().filter(|c| c.is_ascii_alphanumeric()).count() == word.len();
    let starts = |prefix: &str| prefix.chars().zip(word).filter(|(a, b)| a == *b).count() == prefix.len();
    // Folding has made letters of the digits.
    has_digits
        && (word.len() == 42 && (starts("ox") || starts("0x") || starts("bci"))
            || (26..=35).contains(&word.len()) && is_mixed(word))
}

fn is_mixed(word: &[char]) -> bool {
    matches!(word[0], 'i' | '1') && word.iter().filter(|c| c.is_ascii_digit()).count() >= 3
}
