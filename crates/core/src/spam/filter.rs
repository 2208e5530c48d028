//! Tells of most words that a model does not know that it does not, by one look at few octets: a bit for each of many
//! values, set by each word that was ever added.

/// Bits, eight for each word that a model may know and more: one in sixteen is set in a full one. A power of two.
const BITS: usize = 1 << 19;

/// Its default has nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(Vec<u64>);

impl Filter {
    pub(super) fn add(&mut self, token: u64) {
        if self.0.is_empty() {
            self.0.resize(BITS / 64, 0);
        }
        let at = token as usize % BITS;
        self.0[at / 64] |= 1 << (at % 64);
    }

    /// Whether a word may have been added; one that was is never denied.
    pub(super) fn may_have(&self, token: u64) -> bool {
        let at = token as usize % BITS;
        self.0.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_never_denied_and_most_else_is() {
        let token = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        let mut filter = Filter::default();
        assert!(!filter.may_have(token(1)));
        (0..super::super::TOKENS_MAX as u64).for_each(|number| filter.add(token(number)));
        assert!((0..super::super::TOKENS_MAX as u64).all(|number| filter.may_have(token(number))));
        assert!((100_000..200_000).filter(|number| filter.may_have(token(*number))).count() < 10_000);
    }
}
