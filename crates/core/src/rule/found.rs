//! What was found of a message that came in, as rules see it: words and a number, whatever else is known of it.

use super::Field;
use crate::assessment::Assessment;
use crate::authentication::AuthResult;

/// What a method of authentication can come to (RFC 8601 §2.7).
pub const AUTHENTICATION_RESULTS: &[&str] =
    &["none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror"];

/// What kind of mail a message can be for its mailbox.
pub const MARKS: &[&str] = &["first_contact", "automated", "list", "bulk", "display_name_mismatch"];

/// What was found of a message. Its default is a message of which nothing was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// One of [`AUTHENTICATION_RESULTS`].
    pub spf: &'static str,
    /// That of the best signature.
    pub dkim: &'static str,
    /// One of [`AUTHENTICATION_RESULTS`].
    pub dmarc: &'static str,
    /// In hundredths; higher is worse.
    pub spam_score: i64,
    /// Each once.
    pub suspicion_kinds: Vec<String>,
    /// Some of [`MARKS`].
    pub marks: Vec<&'static str>,
}

impl Default for Found {
    fn default() -> Self {
        Self { spf: "none", dkim: "none", dmarc: "none", spam_score: 0, suspicion_kinds: Vec::new(), marks: Vec::new() }
    }
}

impl Found {
    /// What rules see of what was found. Mail of the installation itself was written by whoever signed in.
    pub fn of(assessment: &Assessment) -> Self {
        let Assessment { authentication, marks, spam, suspicion } = assessment;
        let local = authentication.is_local.then_some(AuthResult::Pass);
        let word = |result: AuthResult| local.unwrap_or(result).word();
        let best = authentication.dkim.iter().map(|signature| signature.result).min_by_key(|result| rank(*result));
        // What was found in general, and of what kind the instructions are.
        let reasons = suspicion.reasons();
        let kinds = suspicion.labels().into_iter().chain(reasons.iter().map(|reason| reason.word()));
        let mut suspicion_kinds: Vec<String> = kinds.map(str::to_owned).collect();
        suspicion_kinds.sort_unstable();
        suspicion_kinds.dedup();
        let marked = [
            marks.is_first_contact,
            marks.is_automated,
            marks.is_list,
            marks.is_bulk,
            marks.display_name_mismatch.is_some(),
        ];
        Self {
            spf: word(authentication.spf.result),
            dkim: word(best.unwrap_or_default()),
            dmarc: word(authentication.dmarc.result),
            // What is no number is zero, and what is too high or too low is as far as it goes.
            spam_score: (spam.score * 100.0).round() as i64,
            suspicion_kinds,
            marks: MARKS.iter().zip(marked).filter(|(_, is_marked)| *is_marked).map(|(mark, _)| *mark).collect(),
        }
    }

    /// The words that a field sees.
    pub(super) fn words(&self, field: Field) -> Vec<&str> {
        match field {
            Field::AuthenticationSpf => vec![self.spf],
            Field::AuthenticationDkim => vec![self.dkim],
            Field::AuthenticationDmarc => vec![self.dmarc],
            Field::SuspicionKind => self.suspicion_kinds.iter().map(String::as_str).collect(),
            Field::MessageMark => self.marks.clone(),
            _ => Vec::new(),
        }
    }
}

/// How much a result speaks for a message, first what speaks for it most.
fn rank(result: AuthResult) -> u8 {
    match result {
        AuthResult::Pass => 0,
        AuthResult::Policy => 1,
        AuthResult::Neutral => 2,
        AuthResult::Softfail => 3,
        // It may still hold.
        AuthResult::Temperror => 4,
        AuthResult::Fail => 5,
        AuthResult::Permerror => 6,
        AuthResult::None => 7,
    }
}

/// The hundredths of a decimal number with at most four digits before the point and two behind it.
pub(super) fn hundredths(text: &str) -> Option<i64> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole, 4) || !is_number(part, 2) {
        return None;
    }
    let part = part.parse::<i64>().ok()? * if part.len() == 1 { 10 } else { 1 };
    let number = whole.parse::<i64>().ok()? * 100 + part;
    Some(if is_negative { -number } else { number })
}

/// A number of hundredths as people write it.
pub(super) fn decimal(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, part) = (hundredths.abs() / 100, hundredths.abs() % 100);
    match part {
        0 => format!("{sign}{whole}"),
        part if part % 10 == 0 => format!("{sign}{whole}.{}", part / 10),
        part => format!("{sign}{whole}.{part:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::DkimResult;
    use crate::marks::Marks;
    use crate::suspicion::{Hidden, Means, Place, Reason};

    #[test]
    fn what_was_found_is_words_and_a_number() {
        assert_eq!(Found::of(&Assessment::default()), Found::default());
        let mut assessment = Assessment::default();
        let signed = |result| DkimResult { result, ..DkimResult::default() };
        assessment.authentication.spf.result = AuthResult::Softfail;
        assessment.authentication.dkim = [AuthResult::Fail, AuthResult::Pass, AuthResult::Temperror].map(signed).into();
        assessment.authentication.dmarc.result = AuthResult::Fail;
        assessment.spam.score = 7.499;
        let hidden = |reason| Hidden {
            place: Place::Html,
            means: Means::NotDisplayed,
            at: 0,
            characters: 1,
            text: "a".into(),
            reasons: vec![reason],
        };
        assessment.suspicion.hidden = [Reason::Override, Reason::Exfiltration, Reason::Override].map(hidden).into();
        assessment.marks = Marks { is_bulk: true, is_first_contact: true, ..Marks::default() };
        let found = Found::of(&assessment);
        assert_eq!((found.spf, found.dkim, found.dmarc), ("softfail", "pass", "fail"));
        assert_eq!(
            (found.spam_score, found.suspicion_kinds),
            (750, ["exfiltration", "hidden_text", "instructs_reader", "override"].map(str::to_owned).into())
        );
        assert_eq!(found.marks, ["first_contact", "bulk"]);
        assessment.authentication.is_local = true;
        assert_eq!(Found::of(&assessment).dmarc, "pass");
        for (score, seen) in [(f64::NAN, 0), (f64::INFINITY, i64::MAX), (-1e300, i64::MIN)] {
            assessment.spam.score = score;
            assert_eq!(Found::of(&assessment).spam_score, seen);
        }
    }

    #[test]
    fn every_result_is_a_word_that_rules_know() {
        use AuthResult::{Fail, Neutral, None, Pass, Permerror, Policy, Softfail, Temperror};
        for result in [None, Pass, Fail, Softfail, Neutral, Policy, Temperror, Permerror] {
            assert!(AUTHENTICATION_RESULTS.contains(&result.word()), "{result:?}");
        }
    }

    #[test]
    fn numbers_are_read_and_written_in_one_way() {
        for (text, number, written) in [
            ("5", 500, "5"),
            ("5.0", 500, "5"),
            ("05.10", 510, "5.1"),
            ("0.07", 7, "0.07"),
            ("-2.5", -250, "-2.5"),
            ("-0", 0, "0"),
            ("9999.99", 999_999, "9999.99"),
        ] {
            assert_eq!(hundredths(text), Some(number), "{text}");
            assert_eq!(decimal(number), written);
        }
        for text in ["", "-", ".5", "5.", "1.234", "10000", "1e3", "+1", "--1", "1,5", "nan", "1.-5", "٣"] {
            assert_eq!(hundredths(text), None, "{text}");
        }
    }
}
