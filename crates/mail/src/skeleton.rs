//! What a text looks like, whatever letters it is written with: texts that a reader takes for one another have the same
//! skeleton (after UTS #39 §4, for the letters that are used to deceive). For comparing, never for showing.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_compatible;

/// Characters of a text that are looked at.
const CHARS_MAX: usize = 1_000;

/// The skeleton: lower-case letters and digits with single spaces between the words, without accents and without what
/// nobody sees, look-alikes as the Latin letters that they pass for.
pub fn skeleton(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(CHARS_MAX));
    // Before lower case: some letters pass for others in one case only.
    let put = |c: char| match look_alike(c) {
        Some(letter) => plain.push(letter),
        None => c.to_lowercase().for_each(|lower| plain.push(shape(lower))),
    };
    let chars = text.chars().take(CHARS_MAX);
    match text.is_ascii() {
        true => chars.filter(|c| !is_invisible(*c)).for_each(put),
        false => chars.nfkd().filter(|c| !is_invisible(*c)).for_each(put),
    }
    // What two letters look like together.
    let joined = plain.replace("rn", "m").replace("vv", "w");
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A lower-case letter as it looks; what is no letter or digit parts words.
fn shape(c: char) -> char {
    match look_alike(c) {
        Some(letter) => letter,
        None if c.is_alphanumeric() => c,
        None => ' ',
    }
}

/// Whether a word of a text is written to be taken for another: it mixes scripts whose letters pass for one another, or has
/// letters that were made to look like Latin ones. A word in one script is nobody's disguise, whatever it looks like; what it
/// looks like is its [`skeleton`].
pub fn is_disguised(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let text: String = text.chars().take(CHARS_MAX).collect();
    text.split(|c: char| c.is_whitespace() || matches!(c, '.' | '@' | '-' | '/' | ',')).any(is_disguised_word)
}

fn is_disguised_word(word: &str) -> bool {
    let mut first = None;
    word.chars().any(|c| {
        let script = script(c).filter(|script| *script != Script::Other);
        is_styled(c) || script.is_some_and(|script| *first.get_or_insert(script) != script)
    })
}

/// A script whose letters pass for those of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    /// All others, which nobody takes for these.
    Other,
}

fn script(c: char) -> Option<Script> {
    Some(match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{a640}'..='\u{a69f}' => Script::Cyrillic,
        '\u{530}'..='\u{58f}' => Script::Armenian,
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Script::Cherokee,
        c if c.is_alphabetic() => Script::Other,
        _ => return None,
    })
}

/// Whether a letter was made to look like a Latin one: full width, mathematical, circled, small capital. Ligatures, and
/// signs such as ª and ™, are for other purposes.
fn is_styled(c: char) -> bool {
    if c.is_ascii()
        || matches!(c, 'ª' | 'º' | '℠' | '™' | 'ℓ' | '№' | '\u{fb00}'..='\u{fb06}' | '\u{2070}'..='\u{209f}')
    {
        return false;
    }
    let mut first = None;
    decompose_compatible(c, |part| first = first.or(Some(part)));
    let is_style_of_one = matches!(c, '\u{ff21}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d7ff}' | '\u{2100}'..='\u{214f}'
        | '\u{2460}'..='\u{24ff}' | '\u{1f100}'..='\u{1f1ff}');
    is_style_of_one && first.is_some_and(|part| part.is_ascii_alphabetic())
}

/// Characters that nobody sees: zero width, directions, selectors of variants, tags, soft hyphens, accents that combine.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}' | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
        || (c.is_control() && !c.is_whitespace())
}

/// The Latin letter that a character passes for; none for most.
pub(crate) fn look_alike(c: char) -> Option<char> {
    if c.is_ascii() {
        return match c {
            'l' | '1' | '|' | '!' => Some('i'),
            '0' => Some('o'),
            '5' | '$' => Some('s'),
            _ => None,
        };
    }
    LOOK_ALIKES.iter().find(|(_, others)| others.contains(c)).map(|(letter, _)| *letter)
}

/// Latin letters, and what passes for them. Digits are among them: a reader takes `paypa1` for `paypal`.
const LOOK_ALIKES: &[(char, &str)] = &[
    ('a', "аɑαАΑӑӓꭺᎪ"),
    ('b', "ЬВΒʙᏴƅьᖯ"),
    ('c', "ςсСϲⅭᏟꮯƈ"),
    ('d', "ԁժᏧɗḍꓒᎠ"),
    ('e', "εеЕΕɛҽᎬ℮єЄέ"),
    ('f', "ғƒϝẝꓝ"),
    ('g', "ɡցԌԍɢᏀᏳ"),
    ('h', "һнНΗհᎻʜ"),
    ('i', "іІΙιɩıᎥӏ|!1lⅼǀӀ"),
    ('j', "јЈϳʝᎫ"),
    ('k', "кКΚκᏦĸ"),
    ('m', "мМΜⅿᎷʍϻ"),
    ('n', "пηոռΝɴ"),
    ('o', "оОΟοσօ0ՕᴏøØꮎⲟ"),
    ('p', "рРΡρᏢϱ"),
    ('q', "ԛգզɋ"),
    ('r', "гᎡʀᖇꭱɼ"),
    ('s', "ѕЅՏꜱᏚ5$"),
    ('t', "тТΤτᎢƫ"),
    ('u', "υսʋᴜՍ"),
    ('v', "νѵᏙⅴѴ"),
    ('w', "ѡԝɯᎳω"),
    ('x', "хХΧχⅹ×"),
    ('y', "уУΥγүҮʏᎩ"),
    ('z', "ΖᴢᏃʐ"),
];

#[cfg(test)]
mod tests;
