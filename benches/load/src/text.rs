//! Bodies of messages: words that compress like prose, never the same twice in a row, so that neither compression nor
//! storing equal bodies once can flatter a server.

/// Lines in the pool.
const LINES: usize = 65_536;
/// Octets of each line with its CRLF.
const LINE_OCTETS: usize = 72;
/// Words in the vocabulary.
const WORDS: usize = 4_096;

/// A pool of lines from which every message takes its own stretch.
pub struct Text {
    pool: Vec<u8>,
}

impl Text {
    /// Fills the pool; always the same way.
    pub fn new() -> Self {
        let mut chance = Chance(88_172_645_463_325_252);
        let words: Vec<Vec<u8>> = (0..WORDS).map(|_| word(&mut chance)).collect();
        let mut pool = Vec::with_capacity(LINES * LINE_OCTETS);
        for _ in 0..LINES {
            let mut line = Vec::with_capacity(LINE_OCTETS);
            while line.len() < LINE_OCTETS - 2 {
                // The smaller of two draws: some words are far more common than others.
                let pick = chance.below(WORDS).min(chance.below(WORDS));
                line.extend_from_slice(&words[pick]);
                line.push(b' ');
            }
            line.truncate(LINE_OCTETS - 2);
            line.extend_from_slice(b"\r\n");
            pool.extend_from_slice(&line);
        }
        Self { pool }
    }

    /// At least `octets` octets of whole lines, by the number of the message.
    pub fn stretch(&self, number: u64, octets: usize) -> &[u8] {
        let lines = octets.div_ceil(LINE_OCTETS).clamp(1, LINES / 2);
        // A prime step visits all starts before it repeats one.
        let start = usize::try_from(number.wrapping_mul(7_919)).unwrap_or(0) % (LINES - lines);
        &self.pool[start * LINE_OCTETS..(start + lines) * LINE_OCTETS]
    }
}

fn word(chance: &mut Chance) -> Vec<u8> {
    let mut word = Vec::new();
    for _ in 0..1 + chance.below(4) {
        word.push(b"bcdfghklmnprstvwz"[chance.below(17)]);
        word.push(b"aeiou"[chance.below(5)]);
    }
    word
}

/// Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn neighbours_differ_and_have_the_size() {
        let text = Text::new();
        let (first, second) = (text.stretch(1, 10_000), text.stretch(2, 10_000));
        assert!((10_000..10_072).contains(&first.len()));
        assert_ne!(first, second);
        assert!(first.split_inclusive(|octet| *octet == b'\n').all(|line| line.len() == 72 && line[0] != b'.'));
    }
}
