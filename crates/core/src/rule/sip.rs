//! SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): a keyed hash whose collisions nobody can prepare who
//! does not know the key, and which does not tell what was hashed.

/// SipHash-2-4 with 128 bits under a key of two words: for values of which nothing but the hash is kept.
pub(crate) fn hash(key: [u64; 2], data: &[u8]) -> u128 {
    let mut state = State::new(key);
    state.0[1] ^= 0xee;
    let (words, rest) = data.as_chunks();
    words.iter().for_each(|word| state.absorb::<2>(u64::from_le_bytes(*word)));
    state.absorb::<2>(last(lowest_first(rest), data.len()));
    state.0[2] ^= 0xee;
    let low = state.squeeze::<4>();
    state.0[1] ^= 0xdd;
    u128::from(low) | u128::from(state.squeeze::<4>()) << 64
}

/// SipHash-1-3 with 64 bits, which hash tables use: for what is hashed often.
pub(crate) fn quick(key: [u64; 2], data: &[u8]) -> u64 {
    let mut state = State::new(key);
    let (words, rest) = data.as_chunks();
    words.iter().for_each(|word| state.absorb::<1>(u64::from_le_bytes(*word)));
    state.end_quick(last(lowest_first(rest), data.len()))
}

/// [`quick`] of at most seven octets, the first one lowest.
pub(crate) fn quick_short(key: [u64; 2], octets: u64, len: usize) -> u64 {
    State::new(key).end_quick(last(octets, len))
}

/// What is absorbed last: the octets that fill no word, and the length.
fn last(octets: u64, len: usize) -> u64 {
    octets | (len as u64) << 56
}

fn lowest_first(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |before, octet| before << 8 | u64::from(*octet))
}

struct State([u64; 4]);

impl State {
    fn new(key: [u64; 2]) -> Self {
        Self([
            key[0] ^ 0x736f_6d65_7073_6575,
            key[1] ^ 0x646f_7261_6e64_6f6d,
            key[0] ^ 0x6c79_6765_6e65_7261,
            key[1] ^ 0x7465_6462_7974_6573,
        ])
    }

    fn absorb<const ROUNDS: usize>(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds::<ROUNDS>();
        self.0[0] ^= word;
    }

    fn squeeze<const ROUNDS: usize>(&mut self) -> u64 {
        self.rounds::<ROUNDS>();
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }

    fn end_quick(mut self, last: u64) -> u64 {
        self.absorb::<1>(last);
        self.0[2] ^= 0xff;
        self.squeeze::<3>()
    }

    fn rounds<const ROUNDS: usize>(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..ROUNDS {
            a = a.wrapping_add(b);
            c = c.wrapping_add(d);
            b = b.rotate_left(13) ^ a;
            d = d.rotate_left(16) ^ c;
            a = a.rotate_left(32);
            c = c.wrapping_add(b);
            a = a.wrapping_add(d);
            b = b.rotate_left(17) ^ c;
            d = d.rotate_left(21) ^ a;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(hash(key, &[]).to_le_bytes(), 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293_u128.to_be_bytes());
        assert_eq!(hash(key, &[0]).to_le_bytes(), 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45_u128.to_be_bytes());
    }

    #[test]
    fn the_quick_one_is_that_of_the_standard_library() {
        use std::hash::{DefaultHasher, Hasher};
        let data: Vec<u8> = (0..=64).map(|octet| octet * 3).collect();
        for len in 0..=64 {
            let mut standard = DefaultHasher::new();
            standard.write(&data[..len]);
            assert_eq!(quick([0, 0], &data[..len]), standard.finish(), "{len}");
        }
        for len in 0..8 {
            assert_eq!(quick_short([1, 2], lowest_first(&data[..len]), len), quick([1, 2], &data[..len]), "{len}");
        }
        assert_ne!(quick([1, 2], b"a"), quick([1, 3], b"a"));
        assert_ne!(quick([1, 2], b"a"), quick([2, 2], b"a"));
    }

    #[test]
    fn every_length_and_key_gives_another_hash() {
        let data: Vec<u8> = (0..=64).collect();
        let mut hashes: Vec<u128> = (0..=64).map(|length| hash([1, 2], &data[..length])).collect();
        hashes.push(hash([2, 1], &data));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 66);
    }
}
