//! SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): a keyed hash whose collisions
//! nobody can prepare who does not know the key.

/// The hash of `data` under a key of two words.
pub(crate) fn hash(key: [u64; 2], data: &[u8]) -> u128 {
    let mut state = State([
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ]);
    let mut words = data.chunks_exact(8);
    for word in &mut words {
        state.absorb(read(word));
    }
    state.absorb(read(words.remainder()) | (data.len() as u64) << 56);
    state.0[2] ^= 0xee;
    let low = state.squeeze();
    state.0[1] ^= 0xdd;
    u128::from(low) | u128::from(state.squeeze()) << 64
}

/// Up to eight octets, the first one lowest.
fn read(octets: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..octets.len()].copy_from_slice(octets);
    u64::from_le_bytes(word)
}

struct State([u64; 4]);

impl State {
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds(2);
        self.0[0] ^= word;
    }

    fn squeeze(&mut self) -> u64 {
        self.rounds(4);
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }

    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..count {
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
    fn every_length_and_key_gives_another_hash() {
        let data: Vec<u8> = (0..=64).collect();
        let mut hashes: Vec<u128> = (0..=64).map(|length| hash([1, 2], &data[..length])).collect();
        hashes.push(hash([2, 1], &data));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 66);
    }
}
