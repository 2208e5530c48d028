//! What was found of a message that came in, as rules see it: words and a number, whatever else is known of it.

use super::Field;

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
