//! What an application has learned: how many of its messages that were said to be spam, and of those that were said not to
//! be, have a word. The words are hashes under a secret, so that whoever sees the model sees none. Judged by Robinson's
//! estimate for each word and Fisher's method for all of them.

use super::SpamReason;
use super::filter::Filter;
use crate::rule::sip;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Words of a model: beyond, those are forgotten that were seen least.
pub const TOKENS_MAX: usize = 32_768;

/// Words of one message.
pub const MESSAGE_TOKENS_MAX: usize = 1_500;

/// Messages of each kind below which a model says nothing.
pub const MESSAGES_MIN: u32 = 20;

/// Messages of either kind at which everything is halved: what is old counts less.
const MESSAGES_MAX: u32 = 30_000;

/// Words by which a message is judged: those that say most.
const DECIDING_MAX: usize = 150;

/// Probabilities of words that are multiplied before the logarithm is taken. None is below a millionth, so that the product
/// is far from what is too small for a number.
const PRODUCT_MAX: usize = 40;

/// How far from even a word must be to say anything.
const DEVIATION_MIN: f64 = 0.1;

/// How many messages the belief that a new word says nothing is worth.
const PRIOR_STRENGTH: f64 = 0.45;

/// What a model adds at most for spam, and takes away at most for other mail, in hundredths.
const SPAM_POINTS: f64 = 510.0;
const HAM_POINTS: f64 = 350.0;

/// The mark of the form in which a model is written.
const FORM: u8 = 1;

/// Makes words into hashes under a secret.
#[derive(Clone, Copy)]
pub struct TokenHasher {
    key: [u64; 2],
}

impl TokenHasher {
    /// From a secret: whoever knows it can try words.
    pub fn new(key: [u64; 2]) -> Self {
        Self { key }
    }

    /// The hash of a word.
    pub fn word(&self, word: &[u8]) -> u64 {
        sip::quick(self.key, word)
    }

    /// The hash of a word of at most seven octets, the first one lowest; what is above them is nought.
    pub fn short_word(&self, octets: u64, len: usize) -> u64 {
        sip::quick_short(self.key, octets, len)
    }

    /// The hash of what stands somewhere: in the subject, in a link, beside another word.
    pub fn joined(&self, place: u64, word: u64) -> u64 {
        let mixed = (place.rotate_left(23) ^ self.key[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word;
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 32)
    }
}

impl std::fmt::Debug for TokenHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHasher(…)")
    }
}

/// As what a message was trained.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trained {
    /// It was put into junk.
    Spam,
    /// It was taken out of junk.
    Ham,
}

/// What was learned. Its default knows nothing.
#[derive(Clone, Debug, Default)]
pub struct Model {
    spam_messages: u32,
    ham_messages: u32,
    tokens: HashMap<u64, Counts, BuildHasherDefault<AlreadyHashed>>,
    /// Has the words of these, and perhaps some that were forgotten.
    filter: Filter,
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.messages() == other.messages() && self.tokens == other.tokens
    }
}

impl Eq for Model {}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    spam: u16,
    ham: u16,
}

impl Counts {
    fn total(self) -> u32 {
        u32::from(self.spam) + u32::from(self.ham)
    }
}

impl Model {
    /// Messages that it learned from: spam, and others.
    pub fn messages(&self) -> (u32, u32) {
        (self.spam_messages, self.ham_messages)
    }

    /// Words that it knows.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether it has seen enough of both kinds to say anything.
    pub fn is_ready(&self) -> bool {
        self.spam_messages >= MESSAGES_MIN && self.ham_messages >= MESSAGES_MIN
    }

    /// Learns a message; each word of it counts once.
    pub fn learn(&mut self, tokens: &[u64], kind: Trained) {
        let of_kind = match kind {
            Trained::Spam => &mut self.spam_messages,
            Trained::Ham => &mut self.ham_messages,
        };
        *of_kind += 1;
        for token in distinct(tokens) {
            self.filter.add(token);
            let counts = self.tokens.entry(token).or_default();
            match kind {
                Trained::Spam => counts.spam = counts.spam.saturating_add(1),
                Trained::Ham => counts.ham = counts.ham.saturating_add(1),
            }
        }
        if self.spam_messages.max(self.ham_messages) >= MESSAGES_MAX {
            self.halve();
        }
        if self.tokens.len() > TOKENS_MAX {
            self.forget();
        }
    }

    /// Takes back that it learned a message: it was said to be of the other kind since.
    pub fn unlearn(&mut self, tokens: &[u64], kind: Trained) {
        let of_kind = match kind {
            Trained::Spam => &mut self.spam_messages,
            Trained::Ham => &mut self.ham_messages,
        };
        *of_kind = of_kind.saturating_sub(1);
        for token in distinct(tokens) {
            let Some(counts) = self.tokens.get_mut(&token) else { continue };
            match kind {
                Trained::Spam => counts.spam = counts.spam.saturating_sub(1),
                Trained::Ham => counts.ham = counts.ham.saturating_sub(1),
            }
            if counts.total() == 0 {
                self.tokens.remove(&token);
            }
        }
    }

    /// How likely a message is spam by its words, from 0 to 1; nothing while too little was learned, or if no word of it
    /// says anything.
    pub fn probability(&self, tokens: &[u64]) -> Option<f64> {
        if !self.is_ready() {
            return None;
        }
        let mut says = [0; MESSAGE_TOKENS_MAX];
        let count = self.what_words_say(tokens, &mut says);
        let says = &mut says[..count];
        if says.is_empty() {
            return None;
        }
        let less = says.len().saturating_sub(DECIDING_MAX);
        if less > 0 {
            says.select_nth_unstable(less);
        }
        let says = &says[less..];
        let (mut of_spam, mut of_ham) = (0.0, 0.0);
        for some in says.chunks(PRODUCT_MAX) {
            let products = some
                .iter()
                .map(|away| of_size(*away))
                .fold((1.0, 1.0), |(spam, ham), away| (spam * (0.5 - away), ham * (0.5 + away)));
            of_spam += f64::ln(products.0);
            of_ham += f64::ln(products.1);
        }
        let spam = 1.0 - chi_square_tail(-2.0 * of_spam, says.len());
        let ham = 1.0 - chi_square_tail(-2.0 * of_ham, says.len());
        Some((spam - ham + 1.0) / 2.0)
    }

    /// How far from even the words are that say anything, by size, and how many these are. Whether a word is known, and
    /// says anything, is as good as chance: nothing here waits to know it.
    fn what_words_say(&self, tokens: &[u64], says: &mut [u64; MESSAGE_TOKENS_MAX]) -> usize {
        let mut known = 0;
        for token in tokens.iter().take(MESSAGE_TOKENS_MAX) {
            says[known] = *token;
            known += usize::from(self.filter.may_have(*token));
        }
        let mut counts = [Counts::default(); MESSAGE_TOKENS_MAX];
        for (token, counts) in says[..known].iter().zip(&mut counts) {
            *counts = self.tokens.get(token).copied().unwrap_or_default();
        }
        let mut count = 0;
        for counts in &counts[..known] {
            // What is not known is even, and no number.
            let away = self.estimate(*counts) - 0.5;
            says[count] = by_size(away);
            count += usize::from(away.abs() >= DEVIATION_MIN);
        }
        count
    }

    /// The reason for what the words of a message say.
    pub fn reason(&self, tokens: &[u64]) -> Option<SpamReason> {
        let probability = self.probability(tokens)?;
        let away = (probability - 0.5) * 2.0;
        let points = if away > 0.0 { away * SPAM_POINTS } else { away * HAM_POINTS };
        let percent = probability * 100.0;
        let text = format!("by its words {percent:.0} of 100 such messages are what this application calls junk");
        Some(SpamReason::new("trained_words", points.round() as i64, text))
    }

    /// How likely a message with that word is spam, as far as is known; no number, if none had it.
    fn estimate(&self, counts: Counts) -> f64 {
        // Shares of the messages of their kind, times the messages of both kinds.
        let spam = f64::from(counts.spam) * f64::from(self.ham_messages);
        let ham = f64::from(counts.ham) * f64::from(self.spam_messages);
        let (seen, both) = (f64::from(counts.total()), spam + ham);
        (PRIOR_STRENGTH * 0.5 * both + seen * spam) / ((PRIOR_STRENGTH + seen) * both)
    }

    fn halve(&mut self) {
        self.spam_messages /= 2;
        self.ham_messages /= 2;
        self.tokens.retain(|_, counts| {
            *counts = Counts { spam: counts.spam / 2, ham: counts.ham / 2 };
            counts.total() > 0
        });
    }

    /// Leaves seven eighths of the words that may be there: those that were seen most often.
    fn forget(&mut self) {
        let mut all: Vec<(u32, u64)> = self.tokens.iter().map(|(token, counts)| (counts.total(), *token)).collect();
        let gone = all.len().saturating_sub(TOKENS_MAX / 8 * 7);
        if gone > 0 && gone < all.len() {
            all.select_nth_unstable(gone);
        }
        for (_, token) in all.iter().take(gone) {
            self.tokens.remove(token);
        }
    }

    /// As it is kept: a mark of the form, the messages of both kinds, and the words in order with their counts.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all: Vec<(u64, Counts)> = self.tokens.iter().map(|(token, counts)| (*token, *counts)).collect();
        all.sort_unstable_by_key(|(token, _)| *token);
        let mut bytes = Vec::with_capacity(9 + all.len() * ENTRY_OCTETS);
        bytes.push(FORM);
        bytes.extend_from_slice(&self.spam_messages.to_le_bytes());
        bytes.extend_from_slice(&self.ham_messages.to_le_bytes());
        for (token, counts) in all {
            bytes.extend_from_slice(&token.to_le_bytes());
            bytes.extend_from_slice(&counts.spam.to_le_bytes());
            bytes.extend_from_slice(&counts.ham.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; nothing if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, entries) = bytes.split_at_checked(9)?;
        if head[0] != FORM || entries.len() % ENTRY_OCTETS != 0 || entries.len() / ENTRY_OCTETS > TOKENS_MAX {
            return None;
        }
        let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let mut model = Self { spam_messages: number(1)?, ham_messages: number(5)?, ..Self::default() };
        model.tokens.reserve(entries.len() / ENTRY_OCTETS);
        for entry in entries.chunks_exact(ENTRY_OCTETS) {
            let count = |at: usize| Some(u16::from_le_bytes(entry.get(at..at + 2)?.try_into().ok()?));
            let token = u64::from_le_bytes(entry.get(..8)?.try_into().ok()?);
            model.filter.add(token);
            model.tokens.insert(token, Counts { spam: count(8)?, ham: count(10)? });
        }
        Some(model)
    }
}

/// Octets of a word with its counts.
const ENTRY_OCTETS: usize = 12;

fn distinct(tokens: &[u64]) -> HashSet<u64, BuildHasherDefault<AlreadyHashed>> {
    tokens.iter().take(MESSAGE_TOKENS_MAX).copied().collect()
}

/// A number as one by which numbers are in the order of their size, whatever their sign.
fn by_size(number: f64) -> u64 {
    number.to_bits().rotate_left(1)
}

/// The number again.
fn of_size(bits: u64) -> f64 {
    f64::from_bits(bits.rotate_right(1))
}

/// The probability that a chi-square value with twice so many degrees of freedom is at least so large.
fn chi_square_tail(value: f64, half_degrees: usize) -> f64 {
    let half = value / 2.0;
    let mut term = (-half).exp();
    let mut sum = term;
    for i in 1..half_degrees {
        term *= half / i as f64;
        sum += term;
    }
    sum.min(1.0)
}

/// Words are hashes already.
#[derive(Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> Vec<u64> {
        let hasher = TokenHasher::new([1, 2]);
        text.split(' ').map(|word| hasher.word(word.as_bytes())).collect()
    }

    fn trained(messages: u32) -> Model {
        let mut model = Model::default();
        for number in 0..messages {
            model.learn(&tokens(&format!("cheap pills for you n{number}")), Trained::Spam);
            model.learn(&tokens(&format!("minutes of the meeting for you m{number}")), Trained::Ham);
        }
        model
    }

    #[test]
    fn it_says_nothing_before_it_has_seen_enough_of_both() {
        let mut model = trained(MESSAGES_MIN - 1);
        assert_eq!(model.probability(&tokens("cheap pills")), None);
        model.learn(&tokens("cheap"), Trained::Spam);
        assert_eq!(model.probability(&tokens("cheap pills")), None);
        model.learn(&tokens("minutes"), Trained::Ham);
        assert!(model.probability(&tokens("cheap pills")).unwrap() > 0.9);
        assert!(model.probability(&tokens("meeting minutes")).unwrap() < 0.1);
        assert_eq!(model.probability(&tokens("for you")), None);
        assert_eq!(model.probability(&tokens("unheard thing")), None);
        assert!(model.reason(&tokens("cheap pills")).unwrap().hundredths() > 300);
        assert!(model.reason(&tokens("meeting minutes")).unwrap().hundredths() < -200);
    }

    #[test]
    fn words_are_hashed_under_a_secret() {
        let (one, other) = (TokenHasher::new([1, 2]), TokenHasher::new([3, 4]));
        assert_ne!(one.word(b"viagra"), other.word(b"viagra"));
        assert_eq!(one.word(b"casino"), one.short_word(u64::from_le_bytes(*b"casino\0\0"), 6));
        assert_ne!(one.joined(1, one.word(b"a")), one.joined(2, one.word(b"a")));
        assert_eq!(format!("{one:?}"), "TokenHasher(…)");
    }

    #[test]
    fn it_forgets_what_was_seen_least() {
        let mut model = trained(30);
        for chunk in 0..40_u64 {
            let message: Vec<u64> =
                (0..1_000).map(|n| (chunk * 1_000 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            model.learn(&message, Trained::Ham);
            assert!(model.len() <= TOKENS_MAX, "{}", model.len());
        }
        assert!(model.probability(&tokens("cheap pills")).unwrap() > 0.9);
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut model = Model { spam_messages: MESSAGES_MAX - 1, ..trained(25) };
        model.learn(&tokens("cheap"), Trained::Spam);
        assert_eq!(model.messages(), (MESSAGES_MAX / 2, 12));
    }

    #[test]
    fn what_is_no_model_is_not_read() {
        let bytes = trained(3).to_bytes();
        for (bytes, expected) in
            [(&bytes[..], true), (&bytes[1..], false), (&bytes[..bytes.len() - 1], false), (&[], false)]
        {
            assert_eq!(Model::from_bytes(bytes).is_some(), expected, "{}", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn what_is_learned_and_taken_back_was_never_there(
            messages in proptest::collection::vec((proptest::collection::vec(0_u64..50, 0..12), any::<bool>()), 0..30),
        ) {
            let kind = |is_spam: bool| if is_spam { Trained::Spam } else { Trained::Ham };
            let mut model = Model::default();
            for (tokens, is_spam) in &messages {
                model.learn(tokens, kind(*is_spam));
            }
            prop_assert_eq!(Model::from_bytes(&model.to_bytes()), Some(model.clone()));
            for (tokens, is_spam) in &messages {
                model.unlearn(tokens, kind(*is_spam));
            }
            prop_assert_eq!(model, Model::default());
        }

        #[test]
        fn a_probability_is_one(words in proptest::collection::vec(any::<u64>(), 0..40), seen in 0_usize..40) {
            let mut model = trained(40);
            model.learn(&words[..seen.min(words.len())], Trained::Spam);
            if let Some(probability) = model.probability(&words) {
                prop_assert!((0.0..=1.0).contains(&probability));
            }
        }
    }
}
