//! Figures of what was sent: sums of outcomes, the rates that follow from them, and what they say about health.
//!
//! An answer is a recipient that was delivered to or that failed for good. The rate of bounces is hard bounces by answers,
//! that of deliveries is deliveries by answers, that of complaints is complaints by deliveries. Without anything to divide
//! by there is no rate.

use crate::bounce::{BounceClass, BounceType};
use crate::reputation::{ELEVATED_BOUNCES, PAUSE_BOUNCES, PAUSE_COMPLAINTS, REVIEW_BOUNCES, REVIEW_COMPLAINTS};
use crate::send_event::SendEventKind;
use crate::words::words;

/// Answers below which nothing is said about health.
pub const ASSESSED_FROM: u64 = 100;
/// Findings at most.
pub const FINDINGS_MAX: usize = 3;

/// Millionths, of which rates are counted.
pub const WHOLE: u64 = 1_000_000;

/// Where bounces are no longer healthy, where they endanger sending, and where they end it, in millionths: as reputation is
/// judged.
const BOUNCE_LINES: [u64; 3] =
    [ELEVATED_BOUNCES.per_million(), REVIEW_BOUNCES.per_million(), PAUSE_BOUNCES.per_million()];
/// Where complaints endanger sending, and where they end it, in millionths: likewise.
const COMPLAINT_LINES: [u64; 2] = [REVIEW_COMPLAINTS.per_million(), PAUSE_COMPLAINTS.per_million()];
/// A share of failures that are not hard above which it is said, in millionths.
const OTHER_FAILURES_LINE: u64 = 50_000;

/// How often each thing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Recipients for whom a message was taken.
    pub accepted: u64,
    /// Recipients to whom it was delivered.
    pub delivered: u64,
    /// Failures that say that nobody is there.
    pub hard: u64,
    /// Failures of addresses that may be good.
    pub soft: u64,
    /// Failures of which nothing can be told.
    pub undetermined: u64,
    /// Complaints.
    pub complaints: u64,
    /// Recipients that were not attempted.
    pub rejected: u64,
}

words! {
    /// A rate.
    Metric {
        /// Hard bounces by answers.
        Bounces = "bounce_rate",
        /// Complaints by deliveries.
        Complaints = "complaint_rate",
        /// Deliveries by answers.
        Deliveries = "delivery_rate",
    }
}

words! {
    /// How sending is.
    Health {
        /// Nothing is wrong.
        Healthy = "healthy",
        /// It would be stopped if it went on like this.
        AtRisk = "at_risk",
        /// It is as bad as what stops sending.
        Critical = "critical",
        /// Too little was sent to say.
        Insufficient = "insufficient_data",
    }
}

impl Sums {
    /// Counts one outcome.
    pub fn count(&mut self, kind: SendEventKind, bounce: Option<BounceType>) {
        let class = bounce.map_or(BounceClass::Undetermined, BounceType::class);
        *match (kind, class) {
            (SendEventKind::Accepted, _) => &mut self.accepted,
            (SendEventKind::Delivered, _) => &mut self.delivered,
            (SendEventKind::Bounced, BounceClass::Hard) => &mut self.hard,
            (SendEventKind::Bounced, BounceClass::Soft) => &mut self.soft,
            (SendEventKind::Bounced, BounceClass::Undetermined) => &mut self.undetermined,
            (SendEventKind::Complaint, _) => &mut self.complaints,
            (SendEventKind::Rejected, _) => &mut self.rejected,
        } += 1;
    }

    /// The same in a row, in the order of the fields.
    pub const fn in_order(&self) -> [u64; 7] {
        let Self { accepted, delivered, hard, soft, undetermined, complaints, rejected } = *self;
        [accepted, delivered, hard, soft, undetermined, complaints, rejected]
    }

    /// From a row.
    pub const fn of([accepted, delivered, hard, soft, undetermined, complaints, rejected]: [u64; 7]) -> Self {
        Self { accepted, delivered, hard, soft, undetermined, complaints, rejected }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        let (mut sums, other) = (self.in_order(), other.in_order());
        sums.iter_mut().zip(other).for_each(|(sum, more)| *sum += more);
        *self = Self::of(sums);
    }

    /// Failures of all classes.
    pub const fn bounced(&self) -> u64 {
        self.hard + self.soft + self.undetermined
    }

    /// Recipients with a last word.
    pub const fn answers(&self) -> u64 {
        self.delivered + self.bounced()
    }

    /// A rate in millionths; none if there is nothing to divide by. A complaint or a failure may come without what it
    /// belongs to, days later: a rate is never above the whole.
    pub fn rate(&self, metric: Metric) -> Option<u64> {
        let (part, whole) = match metric {
            Metric::Bounces => (self.hard, self.answers()),
            Metric::Complaints => (self.complaints, self.delivered),
            Metric::Deliveries => (self.delivered, self.answers()),
        };
        (whole > 0).then(|| (part.saturating_mul(WHOLE) / whole).min(WHOLE))
    }

    /// How sending is, and at most three findings about it, in words for people, the worst first.
    pub fn health(&self) -> (Health, Vec<String>) {
        let answers = self.answers();
        if answers < ASSESSED_FROM {
            let text = format!("only {answers} recipients were answered for; {ASSESSED_FROM} are needed to say more");
            return (Health::Insufficient, vec![text]);
        }
        let bounces = self.rate(Metric::Bounces).unwrap_or_default();
        let complaints = self.rate(Metric::Complaints).unwrap_or_default();
        let [elevated, review, pause] = BOUNCE_LINES;
        let [complained, complained_much] = COMPLAINT_LINES;
        let mut findings = Vec::new();
        if bounces >= elevated {
            let limit = if bounces >= pause {
                pause
            } else if bounces >= review {
                review
            } else {
                elevated
            };
            findings.push((
                bounces.saturating_mul(WHOLE) / pause,
                format!(
                    "{} of recipients are not there ({} of {answers}), {} or more: stop sending to addresses that were not \
                     checked",
                    percent(bounces),
                    self.hard,
                    percent(limit)
                ),
            ));
        }
        if complaints >= complained {
            let limit = if complaints >= complained_much { complained_much } else { complained };
            findings.push((
                complaints.saturating_mul(WHOLE) / complained_much,
                format!(
                    "{} of deliveries led to complaints ({} of {}), {} or more: write only to those who want it",
                    percent(complaints),
                    self.complaints,
                    self.delivered,
                    percent(limit)
                ),
            ));
        }
        let others = (self.soft + self.undetermined).saturating_mul(WHOLE) / answers;
        if others >= OTHER_FAILURES_LINE {
            let text = format!(
                "{} of recipients failed for other reasons ({} of {answers}): see postfleet activity --type bounced",
                percent(others),
                self.soft + self.undetermined
            );
            findings.push((0, text));
        }
        findings.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let health = if bounces >= pause || complaints >= complained_much {
            Health::Critical
        } else if bounces >= elevated || complaints >= complained {
            Health::AtRisk
        } else {
            Health::Healthy
        };
        (health, findings.into_iter().map(|(_, text)| text).take(FINDINGS_MAX).collect())
    }
}

/// Millionths as `2.5 %`.
pub fn percent(millionths: u64) -> String {
    let text = format!("{}.{:04}", millionths / 10_000, millionths % 10_000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What somebody wants to be told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Which rate.
    pub metric: Metric,
    /// From where on, in millionths: rates of bounces and complaints from it upwards, of deliveries below it.
    pub threshold: u64,
    /// Answers below which nothing is said.
    pub min_volume: u64,
}

impl Line {
    /// Whether the figures are beyond the line, and the rate; none of both if there is too little to say so.
    pub fn judge(&self, sums: &Sums) -> Option<(bool, u64)> {
        if sums.answers() < self.min_volume {
            return None;
        }
        let rate = sums.rate(self.metric)?;
        let is_beyond = match self.metric {
            Metric::Bounces | Metric::Complaints => rate >= self.threshold,
            Metric::Deliveries => rate < self.threshold,
        };
        Some((is_beyond, rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(delivered: u64, hard: u64, soft: u64, complaints: u64) -> Sums {
        Sums { accepted: delivered + hard + soft, delivered, hard, soft, complaints, ..Sums::default() }
    }

    #[test]
    fn rates_have_the_denominators_that_are_said() {
        let some = Sums { undetermined: 5, rejected: 1_000, ..sums(180, 10, 5, 9) };
        assert_eq!(some.rate(Metric::Bounces), Some(50_000));
        assert_eq!(some.rate(Metric::Complaints), Some(50_000));
        assert_eq!(some.rate(Metric::Deliveries), Some(900_000));
        assert_eq!(Sums::default().rate(Metric::Bounces), None);
        assert_eq!(sums(0, 1, 0, 1).rate(Metric::Complaints), None);
        assert_eq!(sums(1, 0, 0, 5).rate(Metric::Complaints), Some(WHOLE));
        assert_eq!(
            (percent(25_000), percent(1_000), percent(1_000_000)),
            ("2.5 %".into(), "0.1 %".into(), "100 %".into())
        );
    }

    #[test]
    fn health_changes_at_its_lines() {
        for (of, expected) in [
            (sums(99, 0, 0, 99), Health::Insufficient),
            (sums(100, 0, 0, 0), Health::Healthy),
            (sums(9_801, 199, 0, 9), Health::Healthy),
            (sums(9_800, 200, 0, 0), Health::AtRisk),
            (sums(9_001, 999, 0, 0), Health::AtRisk),
            (sums(9_000, 1_000, 0, 0), Health::Critical),
            (sums(1_000, 0, 0, 1), Health::AtRisk),
            (sums(1_000, 0, 0, 5), Health::Critical),
        ] {
            let (health, findings) = of.health();
            assert_eq!(health, expected, "{of:?}");
            assert_eq!(findings.is_empty(), expected == Health::Healthy, "{findings:?}");
        }
        let (_, findings) = sums(800, 100, 100, 50).health();
        assert_eq!(findings.len(), 3);
        assert!(findings[0].contains("complaints") && findings[1].contains("not there"), "{findings:?}");
    }

    #[test]
    fn a_line_is_crossed_at_its_threshold_and_needs_a_volume() {
        let line = |metric, threshold| Line { metric, threshold, min_volume: 100 };
        let bounces = line(Metric::Bounces, 50_000);
        assert_eq!(bounces.judge(&sums(95, 5, 0, 0)), Some((true, 50_000)));
        assert_eq!(bounces.judge(&sums(96, 4, 0, 0)), Some((false, 40_000)));
        assert_eq!(bounces.judge(&sums(90, 9, 0, 0)), None);
        let deliveries = line(Metric::Deliveries, 900_000);
        assert_eq!(deliveries.judge(&sums(90, 10, 0, 0)), Some((false, 900_000)));
        assert_eq!(deliveries.judge(&sums(89, 11, 0, 0)), Some((true, 890_000)));
    }

    #[test]
    fn each_outcome_is_counted_where_it_belongs() {
        let mut all = Sums::default();
        for kind in SendEventKind::ALL {
            all.count(*kind, None);
        }
        all.count(SendEventKind::Bounced, Some(BounceType::UnknownUser));
        all.count(SendEventKind::Bounced, Some(BounceType::MailboxFull));
        assert_eq!(all.in_order(), [1; 7]);
        let mut twice = all;
        twice.add(&all);
        assert_eq!(twice.in_order(), [2; 7]);
    }
}
