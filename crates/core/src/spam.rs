//! How much a message looks like spam, and why. What was seen are reasons, each with a score; their sum is the score of the
//! message, and the sensitivity of the mailbox's policy says from which sum on it is junk. Pure: what is seen is found out
//! elsewhere.

mod filter;
mod list;
mod model;
mod sender;

pub use list::of_lists;
pub use model::{MESSAGE_TOKENS_MAX, MESSAGES_MIN, Model, TOKENS_MAX, TokenHasher, Trained};
pub use sender::{History, of_authentication, of_history};

use serde::{Deserialize, Serialize};

/// The score from which on a message is junk at a sensitivity of 1, in hundredths.
pub const THRESHOLD: i64 = 500;

/// Reasons that are kept with a message: the weightiest.
pub const REASONS_MAX: usize = 40;

/// Characters of a reason's text.
pub const TEXT_CHARS_MAX: usize = 200;

/// The weakest and the strongest sensitivity, in thousandths.
pub const SENSITIVITY_PERMILLE: (u32, u32) = (100, 5_000);

/// What was made of a message by one mailbox's policy. Its default means that nothing was looked at.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpamVerdict {
    /// The sum of what speaks for it and against it; higher is worse.
    pub score: f64,
    /// From which score on it is spam; 0 if nothing was looked at.
    pub threshold: f64,
    /// Whether it is.
    pub is_spam: bool,
    /// What made the score, the weightiest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<SpamReason>,
}

/// One thing that speaks for or against it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpamReason {
    /// Its name, stable, in snake_case.
    pub name: String,
    /// What it adds to the score; below zero it speaks against spam.
    pub score: f64,
    /// What was seen, in a sentence.
    pub text: String,
}

impl SpamReason {
    /// A reason that adds so many hundredths.
    pub fn new(name: &str, hundredths: i64, text: impl AsRef<str>) -> Self {
        Self { name: name.to_owned(), score: points(hundredths), text: one_line(text.as_ref()) }
    }

    /// What it adds, in hundredths.
    pub fn hundredths(&self) -> i64 {
        // What is no number adds nothing, and nothing adds without end.
        (self.score.clamp(-1_000.0, 1_000.0) * 100.0).round() as i64
    }
}

/// What a policy of that sensitivity makes of what was seen. The sum is multiplied by the sensitivity and compared with
/// [`THRESHOLD`]; what is shown is the sum itself, and the threshold divided by the sensitivity. More sensitivity never
/// makes junk into other mail: a sum that is not above zero is no junk at any.
pub fn decide(mut reasons: Vec<SpamReason>, sensitivity_permille: u32) -> SpamVerdict {
    let (weakest, strongest) = SENSITIVITY_PERMILLE;
    let sensitivity = i64::from(sensitivity_permille.clamp(weakest, strongest));
    reasons.retain(|reason| reason.hundredths() != 0);
    let sum: i64 = reasons.iter().map(SpamReason::hundredths).sum();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.hundredths().abs()));
    reasons.truncate(REASONS_MAX);
    SpamVerdict {
        score: points(sum),
        threshold: (THRESHOLD * 1_000) as f64 / sensitivity as f64 / 100.0,
        is_spam: sum * sensitivity >= THRESHOLD * 1_000,
        reasons,
    }
}

fn points(hundredths: i64) -> f64 {
    hundredths as f64 / 100.0
}

/// A text of one line, and not too long: it may quote the message.
fn one_line(text: &str) -> String {
    let is_kept = |c: &char| !c.is_control();
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_kept).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reasons(scores: &[i64]) -> Vec<SpamReason> {
        scores.iter().map(|score| SpamReason::new("x", *score, "seen")).collect()
    }

    #[test]
    fn the_sum_decides_at_the_threshold() {
        for (scores, sensitivity, is_spam) in [
            (vec![300, 200], 1_000, true),
            (vec![300, 199], 1_000, false),
            (vec![300, 200, -1], 1_000, false),
            (vec![250], 2_000, true),
            (vec![249], 2_000, false),
            (vec![100], 5_000, true),
            (vec![99], 5_000, false),
            (vec![4_999], 100, false),
            (vec![5_000], 100, true),
            (vec![], 5_000, false),
            (vec![0, -100], 5_000, false),
        ] {
            let verdict = decide(reasons(&scores), sensitivity);
            assert_eq!(verdict.is_spam, is_spam, "{scores:?} at {sensitivity}");
            assert_eq!(verdict.is_spam, verdict.score >= verdict.threshold, "{verdict:?}");
        }
        let verdict = decide(reasons(&[50, -200, 0, 125]), 500);
        assert_eq!((verdict.score, verdict.threshold), (-0.25, 10.0));
        assert_eq!(verdict.reasons.iter().map(|reason| reason.score).collect::<Vec<_>>(), [-2.0, 1.25, 0.5]);
    }

    #[test]
    fn reasons_are_bounded() {
        let verdict = decide(reasons(&[10; REASONS_MAX + 1]), 1_000);
        assert_eq!((verdict.reasons.len(), verdict.score), (REASONS_MAX, 4.1));
        let reason = SpamReason::new("x", 1, format!("a\r\n\u{1b}b{}", "ä".repeat(TEXT_CHARS_MAX)));
        assert!(reason.text.starts_with("a  b"));
        assert_eq!(reason.text.chars().count(), TEXT_CHARS_MAX);
        assert_eq!(SpamReason { score: f64::NAN, ..SpamReason::default() }.hundredths(), 0);
        assert_eq!(SpamReason { score: f64::INFINITY, ..SpamReason::default() }.hundredths(), 100_000);
    }

    proptest! {
        #[test]
        fn more_sensitivity_never_finds_less(
            scores in proptest::collection::vec(-600_i64..600, 0..20),
            low in 0_u32..6_000,
            more in 0_u32..6_000,
        ) {
            let (before, after) = (decide(reasons(&scores), low), decide(reasons(&scores), low + more));
            prop_assert!(after.is_spam || !before.is_spam);
            prop_assert!(after.threshold <= before.threshold);
            prop_assert_eq!(before.score, after.score);
        }
    }
}
