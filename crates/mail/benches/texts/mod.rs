//! Texts that are measured.

/// Words of syllables, in lines of about 70 octets.
pub fn words(octets: usize) -> String {
    let mut text = String::with_capacity(octets + 80);
    let (mut state, mut line) = (88_172_645_463_325_252_u64, 0);
    let mut below = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit) as usize
    };
    while text.len() < octets {
        for _ in 0..1 + below(4) {
            text.push(char::from(b"bcdfghklmnprstvwz"[below(17)]));
            text.push(char::from(b"aeiou"[below(5)]));
        }
        let is_full = text.len() > line + 66;
        text.push_str(if is_full { "\r\n" } else { " " });
        line = if is_full { text.len() } else { line };
    }
    text
}
