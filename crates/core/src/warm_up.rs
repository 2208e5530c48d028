//! Warming up a sending domain: how many messages may leave from it on each day of four weeks, and which days count. Other
//! servers trust a domain of which they have never seen mail only little by little.

use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::time::UtcDay;

/// Days that have to count until a domain is warm: four weeks.
pub const STAGES: u32 = 28;

/// Messages in a day that a warm-up may aim at.
pub const TARGETS: std::ops::RangeInclusive<u64> = 100..=10_000_000;

/// The code of the refusal of more than a domain may send on this day of its warm-up.
pub const DOMAIN_WARM_UP_EXCEEDED: &str = "domain_warm_up_exceeded";

/// How much the cap of a day is above that of the day before, at least, by default and at most.
const GROWTH: [f64; 3] = [1.10, 1.15, 1.20];

/// Where a warm-up goes: the caps of its first and its last day, in messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Course {
    /// The cap of the first day.
    pub start: u64,
    /// The cap of the last day.
    pub target: u64,
}

impl Course {
    /// The way to a target that grows by 15 % a day.
    pub fn to(target: u64) -> Self {
        Self { start: beginning(target, GROWTH[1]), target }
    }

    /// The first days' caps from which the target is reached by 10 to 20 % a day: the lowest and the highest.
    pub fn starts(target: u64) -> (u64, u64) {
        (beginning(target, GROWTH[2]), beginning(target, GROWTH[0]))
    }

    /// Messages that may leave on the day of a stage, from 1 on; `None` beyond the last: the domain is warm.
    pub fn cap(self, stage: u32) -> Option<u64> {
        let steps = stage.max(1) - 1;
        if steps >= STAGES {
            return None;
        }
        if steps == STAGES - 1 {
            return Some(self.target);
        }
        let growth = (self.target as f64 / self.start.max(1) as f64).powf(1.0 / f64::from(STAGES - 1));
        Some(((self.start.max(1) as f64 * growth.powi(steps as i32)).round() as u64).min(self.target))
    }
}

/// The first day's cap from which a target is reached by this growth.
fn beginning(target: u64, growth: f64) -> u64 {
    ((target as f64 / growth.powi(STAGES as i32 - 1)).round() as u64).clamp(1, target.max(1))
}

/// How far a warm-up is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WarmUp {
    /// Where it goes.
    pub course: Course,
    /// The day of the warm-up, from 1 on; above [`STAGES`] the domain is warm.
    pub stage: u32,
    /// The UTC day on which it was that.
    pub day: UtcDay,
    /// Messages that left on it.
    pub used: u64,
}

impl WarmUp {
    /// One that begins.
    pub const fn new(course: Course, today: UtcDay) -> Self {
        Self { course, stage: 1, day: today, used: 0 }
    }

    /// How far it is today: the next day of the warm-up if the last one on which something left counts. Days without
    /// sends are none.
    pub fn on(self, today: UtcDay) -> Self {
        if today.number() <= self.day.number() {
            return self;
        }
        let stage = match self.cap() {
            Some(cap) => next_stage(self.stage, self.used, cap),
            None => self.stage,
        };
        Self { stage, day: today, used: 0, ..self }
    }

    /// Messages that may leave today; `None` once the domain is warm.
    pub fn cap(self) -> Option<u64> {
        self.course.cap(self.stage)
    }

    /// Whether nothing is capped any more.
    pub fn is_over(self) -> bool {
        self.cap().is_none()
    }

    /// With one message more; the refusal if there is no room for it.
    pub fn take(self) -> Result<Self, Problem> {
        match self.cap() {
            Some(cap) if self.used >= cap => Err(self.exceeded(cap)),
            _ => Ok(Self { used: self.used + 1, ..self }),
        }
    }

    /// The first day without a cap if every day from today on counts; `None` once the domain is warm.
    pub fn forecast(self) -> Option<UtcDay> {
        forecast(self.stage, self.day)
    }

    fn exceeded(self, cap: u64) -> Problem {
        let stage = self.stage;
        let text = format!("the domain is warming up and may send {cap} messages on day {stage} of {STAGES}");
        let exhausted = Exhausted { scope: "domain", limit: cap, used: self.used, resets_at: Some(self.day.end()) };
        let problem = Problem::new(ProblemKind::OverQuota, DOMAIN_WARM_UP_EXCEEDED, text);
        Problem { exhausted: Some(Box::new(exhausted)), ..problem }
    }
}

/// The stage after a day: the next one if the day counts, because at least half of its cap was used.
pub const fn next_stage(stage: u32, used: u64, cap: u64) -> u32 {
    if used.saturating_mul(2) >= cap { stage + 1 } else { stage }
}

/// The first day without a cap if every day from `today` on counts; `None` once there is none.
pub fn forecast(stage: u32, today: UtcDay) -> Option<UtcDay> {
    let left = (STAGES + 1).checked_sub(stage.max(1)).filter(|left| *left > 0)?;
    Some(UtcDay::from_number(today.number() + i64::from(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> UtcDay {
        UtcDay::from_number(number)
    }

    #[test]
    fn a_warm_up_to_a_thousand() {
        let course = Course::to(1_000);
        let caps: Vec<u64> = (1..=STAGES).map(|stage| course.cap(stage).unwrap()).collect();
        let expected = [
            23, 26, 30, 35, 40, 46, 53, 61, 70, 81, 93, 107, 123, 141, 163, 187, 215, 247, 284, 327, 376, 432, 497,
            572, 658, 756, 870, 1_000,
        ];
        assert_eq!(caps, expected);
        assert_eq!(course.cap(29), None, "after four weeks it is warm");
        assert_eq!(Course::starts(1_000), (7, 76));
    }

    #[test]
    fn only_days_that_were_used_by_half_count() {
        assert_eq!([(0, 1), (11, 1), (12, 2), (23, 2)].map(|(used, _)| next_stage(1, used, 23)), [1, 1, 2, 2]);
        let begun = WarmUp::new(Course::to(1_000), day(100));
        let used = WarmUp { used: 12, ..begun };
        assert_eq!(used.on(day(100)), used, "the day is not over");
        assert_eq!(used.on(day(99)), used, "a clock that goes back gives nothing away");
        assert_eq!(used.on(day(101)), WarmUp { stage: 2, day: day(101), used: 0, ..begun });
        assert_eq!(used.on(day(130)).stage, 2, "days without sends are none");
        assert_eq!(WarmUp { used: 11, ..begun }.on(day(101)), WarmUp { day: day(101), ..begun });
    }

    #[test]
    fn the_cap_holds_at_its_edge_and_is_told() {
        let begun = WarmUp::new(Course::to(1_000), day(100));
        let last = WarmUp { used: 22, ..begun }.take().unwrap();
        assert_eq!(last.used, 23);
        let refused = last.take().unwrap_err();
        assert_eq!((refused.code, refused.kind), (DOMAIN_WARM_UP_EXCEEDED, ProblemKind::OverQuota));
        let exhausted = refused.exhausted.unwrap();
        assert_eq!((exhausted.scope, exhausted.limit, exhausted.used), ("domain", 23, 23));
        assert_eq!(exhausted.resets_at, Some(day(101).start()));
        let warm = WarmUp { stage: 29, used: 1_000_000, ..begun };
        assert!(warm.is_over() && warm.take().is_ok());
        assert_eq!(warm.on(day(500)).stage, 29);
    }

    #[test]
    fn the_forecast_is_four_weeks_at_the_beginning_and_tomorrow_at_the_end() {
        assert_eq!(forecast(1, day(100)), Some(day(128)));
        assert_eq!(forecast(28, day(100)), Some(day(101)));
        assert_eq!(forecast(29, day(100)), None);
        let mut warm_up = WarmUp::new(Course::to(5_000), day(100));
        let foreseen = warm_up.forecast();
        while let Some(cap) = warm_up.cap() {
            warm_up.used = cap.div_ceil(2);
            warm_up = warm_up.on(day(warm_up.day.number() + 1));
        }
        assert_eq!(Some(warm_up.day), foreseen, "what is foreseen comes to pass");
    }

    proptest::proptest! {
        /// Whatever the target and wherever in its bounds it starts: caps never fall, none grows by much more than a fifth,
        /// and the last is the target.
        #[test]
        fn caps_grow_to_the_target(target in TARGETS, place in 0.0..=1.0) {
            let (low, high) = Course::starts(target);
            let start = low + ((high - low) as f64 * place) as u64;
            for course in [Course::to(target), Course { start, target }] {
                let caps: Vec<u64> = (1..=STAGES).map(|stage| course.cap(stage).unwrap()).collect();
                proptest::prop_assert_eq!((caps[0], caps[27]), (course.start, target));
                for pair in caps.windows(2) {
                    proptest::prop_assert!(pair[0] <= pair[1]);
                    proptest::prop_assert!((pair[1] as f64) < pair[0] as f64 * 1.24 + 1.0, "{} {}", pair[0], pair[1]);
                }
            }
        }
    }
}
