//! Random bytes. The only place that asks for them: engines hold an [`Entropy`], so that a simulation repeats
//! exactly from its seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::{Mutex, PoisonError};

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// Ten bytes: what an id takes (`core::id`).
    fn ten(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        bytes
    }

    /// Sixteen bytes: a nonce or a boundary.
    fn sixteen(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }

    /// Thirty-two bytes: a key.
    fn thirty_two(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }

    /// A number of 64 random bits.
    fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `limit`, for spreading and jitter; zero when `limit` is zero. The bias of at most
    /// `limit`/2⁶⁴ does not matter there.
    fn below(&self, limit: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(limit)) >> 64) as u64
    }
}

/// A cryptographically secure generator per thread, seeded by the operating system: fit for keys, and free of
/// locks and system calls in the common case.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The same bytes for the same seed. For tests and simulations; never for keys of a running installation.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    generator: Mutex<StdRng>,
}

impl SeededEntropy {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, generator: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// The generator of one actor, which does not depend on how much this one has already given out: what one
    /// actor draws does not change what another one gets.
    pub fn child(&self, actor: u64) -> Self {
        Self::new(scramble(self.seed ^ scramble(actor.wrapping_add(1))))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// Spreads nearby numbers over all 64 bits: multiplication by an odd constant and a shift, twice.
fn scramble(number: u64) -> u64 {
    let mixed = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let (one, same, other) = (SeededEntropy::new(7), SeededEntropy::new(7), SeededEntropy::new(8));
        assert_eq!(one.thirty_two(), same.thirty_two());
        assert_eq!(one.ten(), same.ten());
        assert_ne!(one.thirty_two(), other.thirty_two());
    }

    #[test]
    fn a_child_does_not_depend_on_what_was_drawn_before() {
        let parent = SeededEntropy::new(7);
        let before = parent.child(1).thirty_two();
        parent.number();
        assert_eq!(parent.child(1).thirty_two(), before);
        assert_ne!(parent.child(2).thirty_two(), before);
        assert_ne!(parent.child(0).thirty_two(), SeededEntropy::new(7).thirty_two());
    }

    #[test]
    fn the_system_does_not_repeat_itself() {
        assert_ne!(SystemEntropy.thirty_two(), SystemEntropy.thirty_two());
        assert_ne!(SystemEntropy.sixteen(), SystemEntropy.sixteen());
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_every_value() {
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        assert_eq!(entropy.below(0), 0);
        assert_eq!(entropy.below(1), 0);
        let mut seen = [false; 6];
        for _ in 0..1_000 {
            seen[entropy.below(6) as usize] = true;
        }
        assert_eq!(seen, [true; 6]);
    }
}
