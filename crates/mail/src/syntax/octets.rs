//! Eight octets of a text at once, as one number with the first of them lowest: what runs of small letters and digits are
//! told by without a branch for each octet.

/// An octet in each of the eight places.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each.
const HIGH: u64 = 0x80 * EACH;

/// The octets from there on; behind the end there are noughts.
#[inline]
pub(crate) fn eight(text: &[u8], at: usize) -> u64 {
    if let Some(Ok(eight)) = text.get(at..at + 8).map(<[u8; 8]>::try_from) {
        return u64::from_le_bytes(eight);
    }
    let rest = text.get(at..).unwrap_or_default().iter().take(8);
    rest.rev().fold(0, |before, octet| before << 8 | u64::from(*octet))
}

/// How many of them, from the first on, are small letters of ASCII or digits.
pub(crate) const fn word_len(eight: u64) -> usize {
    (!word_octets(eight) & HIGH).trailing_zeros() as usize / 8
}

/// How many octets of a text, from there on, are small letters of ASCII or digits.
#[inline]
pub(crate) fn run_len(text: &[u8], at: usize) -> usize {
    let mut end = at;
    loop {
        let len = word_len(eight(text, end));
        end += len;
        if len < 8 {
            return end - at;
        }
    }
}

/// How many of them, from the first on, are other ASCII.
pub(crate) const fn gap_len(eight: u64) -> usize {
    ((word_octets(eight) | eight) & HIGH).trailing_zeros() as usize / 8
}

/// The first so many of them, and noughts.
pub(crate) const fn first(eight: u64, len: usize) -> u64 {
    if len < 8 { eight & ((1 << (8 * len)) - 1) } else { eight }
}

/// Of octets that are all letters or digits: whether one is a digit. These lack a bit that letters have.
pub(crate) const fn has_digit(eight: u64, len: usize) -> bool {
    first(!eight & (0x40 * EACH), len) != 0
}

/// The places of the digits among them, from the first on.
pub(crate) fn digits(eight: u64) -> impl Iterator<Item = usize> {
    let mut left = digit_octets(eight & !HIGH) & !eight & HIGH;
    std::iter::from_fn(move || {
        let place = (left != 0).then(|| left.trailing_zeros() as usize / 8);
        left &= left.wrapping_sub(1);
        place
    })
}

/// The highest bit of each octet that is a small letter of ASCII or a digit.
const fn word_octets(eight: u64) -> u64 {
    // Without its highest bit, no octet runs over into the next one.
    let low = eight & !HIGH;
    let is_letter = from(low, b'a') & !from(low, b'z' + 1);
    (is_letter | digit_octets(low)) & !eight & HIGH
}

/// The highest bit of each octet that is a digit; others are undefined. The highest bits of what is given are not set.
const fn digit_octets(low: u64) -> u64 {
    from(low, b'0') & !from(low, b'9' + 1)
}

/// The highest bit of each octet that is that one or above.
const fn from(low: u64, least: u8) -> u64 {
    low + (0x80 - least as u64) * EACH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_in_every_place() {
        for octet in 0..=u8::MAX {
            let is_word = octet.is_ascii_lowercase() || octet.is_ascii_digit();
            let is_gap = octet.is_ascii() && !is_word;
            for place in 0..8 {
                let mut word = *b"abcxyz09";
                word[place] = octet;
                assert_eq!(word_len(eight(&word, 0)), if is_word { 8 } else { place }, "{octet} {place}");
                let mut gap = *b" .\0\x7f`{/:";
                gap[place] = octet;
                assert_eq!(gap_len(eight(&gap, 0)), if is_gap { 8 } else { place }, "{octet} {place}");
                let mut no_digits = *b"abc/:\xb0~\0";
                no_digits[place] = octet;
                let expected = octet.is_ascii_digit().then_some(place);
                assert!(digits(eight(&no_digits, 0)).eq(expected), "{octet} {place}");
            }
            for place in 0..20 {
                let mut text = [b'a'; 20];
                text[place] = octet;
                assert_eq!(run_len(&text, 0), if is_word { 20 } else { place }, "{octet} {place}");
            }
        }
    }

    #[test]
    fn the_end_of_a_text() {
        assert_eq!(eight(b"abcdefgh", 0).to_le_bytes(), *b"abcdefgh");
        assert_eq!(eight(b"abcdefgh", 6).to_le_bytes(), *b"gh\0\0\0\0\0\0");
        assert_eq!((eight(b"abc", 3), eight(b"abc", 9)), (0, 0));
        assert_eq!((run_len(b"abc", 0), run_len(b"abcdefgh", 0), run_len(b"abc", 3)), (3, 8, 0));
        assert!(digits(eight(b"a1b2345 67", 0)).eq([1, 3, 4, 5, 6]));
        assert_eq!((first(eight(b"ab cd", 0), 2), first(u64::MAX, 8)), (eight(b"ab", 0), u64::MAX));
        assert!(
            has_digit(eight(b"ab1", 0), 3) && !has_digit(eight(b"ab1", 0), 2) && has_digit(eight(b"abcdefg9", 0), 8)
        );
    }
}
