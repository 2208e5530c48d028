//! How far a sender is from what follows: in whole complaints and bounces, since of few recipients a handful decides.

use super::{PAUSE_BOUNCES, PAUSE_COMPLAINTS, REVIEW_BOUNCES, REVIEW_COMPLAINTS, Standing, State, SubjectKind};
use crate::time::UtcDay;

/// How many more it takes, with the volume as it is. None where that follows for nobody, or has followed already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadRoom {
    /// Hard bounces until it is under review.
    pub bounces_until_review: Option<u64>,
    /// Complaints until it is under review.
    pub complaints_until_review: Option<u64>,
    /// Hard bounces until it is paused.
    pub bounces_until_pause: Option<u64>,
    /// Complaints until it is paused.
    pub complaints_until_pause: Option<u64>,
    /// Under review and above its line: recipients until it is paused for staying there.
    pub attempts_until_pause: Option<u64>,
}

impl HeadRoom {
    pub(super) fn of(standing: &Standing, kind: SubjectKind, today: UtcDay) -> Self {
        let rates = standing.rates();
        let to_review = matches!(standing.state, State::Healthy | State::Elevated);
        let to_pause = kind.is_paused_by_rates() && standing.state != State::Paused;
        let is_above = standing.state == State::UnderReview && rates.needs_review();
        let left = standing.window.patience(today).saturating_sub(standing.window.under_review());
        Self {
            bounces_until_review: to_review.then(|| rates.bounces.until(REVIEW_BOUNCES)),
            complaints_until_review: to_review.then(|| rates.complaints.until(REVIEW_COMPLAINTS)),
            bounces_until_pause: to_pause.then(|| rates.bounces.until(PAUSE_BOUNCES)),
            complaints_until_pause: to_pause.then(|| rates.complaints.until(PAUSE_COMPLAINTS)),
            attempts_until_pause: (to_pause && is_above).then_some(left),
        }
    }

    /// The same for people.
    pub fn in_words(&self) -> String {
        let complaints =
            |count: u64| if count == 1 { "1 more complaint".into() } else { format!("{count} more complaints") };
        let bounces =
            |count: u64| if count == 1 { "1 more hard bounce".into() } else { format!("{count} more hard bounces") };
        let either = |complaint: Option<u64>, bounce: Option<u64>, what: &str| {
            Some(format!("{} or {} until {what}", complaints(complaint?), bounces(bounce?)))
        };
        let review = either(self.complaints_until_review, self.bounces_until_review, "review");
        let pause = either(self.complaints_until_pause, self.bounces_until_pause, "pause");
        let stays = self.attempts_until_pause.map(|count| {
            format!("paused after {count} more recipients if the rates do not fall below the lines of review")
        });
        let said: Vec<String> = [review, pause, stays].into_iter().flatten().collect();
        said.join("; ")
    }
}
