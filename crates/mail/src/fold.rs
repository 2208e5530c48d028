//! Text in the form in which it is compared where case and compatible forms of characters make no difference: full case
//! folding and NFKC (UAX #15, Unicode §3.13). `Straße` and `STRASSE` are the same, and so are a ligature and its letters.

use unicode_normalization::UnicodeNormalization;

/// Folds a text. Between lower case and lower case comes upper case, since only so every form of a letter comes to the same:
/// `ß`, `ẞ` and `SS` to `ss`, all three sigmas to one.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfkc().flat_map(char::to_lowercase);
    let cased = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    // Folding may leave a mark apart from its letter.
    cased.nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_case_or_form_alone_is_the_same() {
        for (name, one, other) in [
            ("plain", "Invoice 7", "INVOICE 7"),
            ("sharp s", "Grüße", "GRÜSSE"),
            ("capital sharp s", "GRÜẞE", "grüsse"),
            ("sigma at the end", "Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"),
            ("decomposed", "Caf\u{65}\u{301}", "CAFÉ"),
            ("ligature", "ofﬁce", "OFFICE"),
            ("full width", "ＡＢＣ１", "abc1"),
            ("dotted capital i", "İstanbul", "i\u{307}stanbul"),
            ("Cyrillic", "Счёт", "СЧЁТ"),
        ] {
            assert_eq!(fold(one), fold(other), "{name}");
        }
    }

    #[test]
    fn what_differs_in_more_stays_different() {
        for (name, one, other) in [("accent", "résumé", "resume"), ("script", "а", "a"), ("space", "a b", "ab")] {
            assert_ne!(fold(one), fold(other), "{name}");
        }
    }

    #[test]
    fn what_is_folded_stays_as_it_is() {
        for text in ["Grüße", "Ὀδυσσεύς", "İ", "ŉ", "ǰ", "ﬃ", "ΐ"] {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
    }
}
