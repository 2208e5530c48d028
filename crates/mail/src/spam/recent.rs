//! The hashes of short words that came before: most words of a text come again. A word of up to eight octets is one number,
//! by which it is found; one that has the same place takes it.

const PLACES: usize = 512;

pub(super) struct Recent(Box<[(u64, u64); PLACES]>);

impl Recent {
    pub(super) fn new() -> Self {
        Self(Box::new([(0, 0); PLACES]))
    }

    pub(super) fn get(&self, word: u64) -> Option<u64> {
        let (known, hash) = self.0[place(word)];
        (known == word).then_some(hash)
    }

    pub(super) fn put(&mut self, word: u64, hash: u64) {
        self.0[place(word)] = (word, hash);
    }
}

fn place(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES
}
