//! The hashes of a message's words: each once, in their order, and no more than are kept.

use postfleet_core::spam::MESSAGE_TOKENS_MAX;

/// Places for them: so many that most hashes stand where they are looked for first. A power of two.
const SLOTS: usize = 4_096;

pub(super) struct Tokens {
    list: Vec<u64>,
    /// The numbers of those of the list, counted from one, each at the place that the highest bits of the hash name or a
    /// little behind; nought is a gap.
    slots: Box<[u16; SLOTS]>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { list: Vec::with_capacity(MESSAGE_TOKENS_MAX), slots: Box::new([0; SLOTS]) }
    }

    /// Whether no more are kept.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MESSAGE_TOKENS_MAX
    }

    pub(super) fn insert(&mut self, token: u64) {
        if self.is_full() {
            return;
        }
        let mut at = (token >> (u64::BITS - SLOTS.trailing_zeros())) as usize;
        while let Some(number) = usize::from(self.slots[at % SLOTS]).checked_sub(1) {
            if self.list.get(number) == Some(&token) {
                return;
            }
            at += 1;
        }
        self.list.push(token);
        self.slots[at % SLOTS] = self.list.len() as u16;
    }

    pub(super) fn into_list(self) -> Vec<u64> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_kept_once_in_order_and_not_too_many() {
        let mut tokens = Tokens::new();
        // Many with one place, and those at the end go on at the beginning.
        let many = || (1..=800).chain((0..=900).map(|number| u64::MAX - number)).chain([7]);
        many().chain(many()).for_each(|token| tokens.insert(token));
        assert!(tokens.is_full());
        let expected: Vec<u64> = many().take(MESSAGE_TOKENS_MAX).collect();
        assert_eq!(tokens.into_list(), expected);
    }
}
