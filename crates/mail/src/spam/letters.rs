//! Letters that pass for others, and characters that nobody sees. Only what is used to write words so that programs do not
//! find them; the full table of Unicode (UTS 39) has much more, most of which no mail has.

/// Characters without width: they part words for programs and not for people.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Those of them that stand inside words of no language: joiners and marks of direction have their uses.
pub(super) const fn is_hiding(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{34f}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}')
}

/// Small letters, and characters that are words, of the scripts in which most mail is written: those that no table needs to
/// be asked about.
pub(super) const fn is_plain(c: char) -> bool {
    matches!(
        c,
        '\u{df}'..='\u{f6}' | '\u{f8}'..='\u{ff}' | '\u{3b1}'..='\u{3ce}' | '\u{430}'..='\u{45f}'
            | '\u{5d0}'..='\u{5ea}' | '\u{620}'..='\u{64a}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
            | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
    )
}

/// Scripts that are told apart within a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Script {
    Latin,
    /// Cyrillic, Greek and others with letters that look Latin.
    Lookalike,
    /// Latin letters in another dress: mathematical, full width, circled.
    Dressed,
    /// Written without spaces: each character stands for itself.
    Ideographic,
    Other,
}

pub(super) const fn script(c: char) -> Script {
    match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{531}'..='\u{587}' | '\u{13a0}'..='\u{13ff}' => {
            Script::Lookalike
        }
        '\u{1d400}'..='\u{1d7ff}' | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' | '\u{24b6}'..='\u{24e9}' => {
            Script::Dressed
        }
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2ffff}' => {
            Script::Ideographic
        }
        _ => Script::Other,
    }
}

/// The Latin letter that a small letter looks like; itself, if none.
pub(super) const fn latin(c: char) -> char {
    match c {
        'а' | 'α' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ё' | 'є' | 'ε' => 'e',
        'һ' | 'н' => 'h',
        'і' | 'ї' | 'ι' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'п' | 'η' => 'n',
        'о' | 'ο' | 'σ' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' => 'r',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        _ => dressed(c),
    }
}

/// The letter in the dress.
const fn dressed(c: char) -> char {
    let code = c as u32;
    let offset = match c {
        '\u{1d400}'..='\u{1d6a3}' => (code - 0x1d400) % 26,
        '\u{ff21}'..='\u{ff3a}' => code - 0xff21,
        '\u{ff41}'..='\u{ff5a}' => code - 0xff41,
        '\u{24b6}'..='\u{24cf}' => code - 0x24b6,
        '\u{24d0}'..='\u{24e9}' => code - 0x24d0,
        _ => return c,
    };
    (b'a' + offset as u8) as char
}

/// The letter that a digit or sign stands for in a word.
pub(super) const fn for_sign(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_letters_are_letters_and_small() {
        for c in ('\0'..=char::MAX).filter(|c| is_plain(*c)) {
            assert!(c.is_alphanumeric() && c.to_lowercase().eq([c]) && !is_invisible(c), "{c:?}");
        }
    }

    #[test]
    fn letters_that_pass_for_others() {
        let latin = |text: &str| text.chars().map(latin).collect::<String>();
        assert_eq!(latin("раураl"), "paypal");
        assert_eq!(latin("ｖｉａｇｒａ"), "viagra");
        assert_eq!(latin("𝓬𝓪𝓼𝓲𝓷𝓸"), "casino");
        assert_eq!(latin("ⓕⓡⓔⓔ"), "free");
        assert_eq!("c4$1n0".chars().map(for_sign).collect::<String>(), "casino");
        assert_eq!((script('ж'), script('é'), script('日')), (Script::Lookalike, Script::Latin, Script::Ideographic));
        assert!(is_hiding('\u{200b}') && !is_hiding('\u{200d}') && is_invisible('\u{200d}') && !is_invisible('a'));
    }
}
