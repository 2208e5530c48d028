//! Breakers of a workspace: lines that its people draw before those of the platform, and what happens to a mailbox that
//! crosses one.

use crate::exchange::{Said, hour};
use crate::stop::Effect;
use crate::time::UnixMicros;
use crate::words::words;

words! {
    /// What is measured of a mailbox.
    Metric {
        /// Hard bounces among those for whom a server answered.
        BounceRate = "bounce_rate",
        /// Complaints among those at domains that send feedback.
        ComplaintRate = "complaint_rate",
        /// Refusals because of the sender, its content or its authentication, and recipients that are suppressed.
        RejectionRate = "rejection_rate",
        /// Messages in an hour of the clock.
        SendsPerHour = "sends_per_hour",
        /// Recipients on a UTC day to whom the mailbox has never written.
        NewRecipientsPerDay = "new_recipients_per_day",
        /// Messages in an hour of the clock that say the same.
        RepeatedContent = "repeated_content",
        /// Messages in one conversation on a UTC day.
        RepliesPerThreadPerDay = "replies_per_thread_per_day",
    }
}

words! {
    /// What follows.
    Action {
        /// It is told.
        Alert = "alert",
        /// The mailbox sends so many in an hour at most.
        Throttle = "throttle",
        /// What the mailbox sends waits until somebody approves it.
        Hold = "hold",
        /// The mailbox sends nothing.
        Pause = "pause",
    }
}

/// Breakers of a workspace at most.
pub const BREAKERS_MAX: usize = 20;

/// The highest threshold of what is counted.
pub const COUNT_MAX: u64 = 1_000_000;

/// A whole, in the unit in which rates are kept: thousandths of a percent.
pub const WHOLE: u64 = 100_000;

/// How much there must be of a rate before it says anything, unless something else is set.
pub const MIN_VOLUME: u64 = 100;

/// One line, and what follows when a mailbox crosses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// What is measured.
    pub metric: Metric,
    /// The line: a rate in thousandths of a percent trips when it reaches it, a count when it is above.
    pub threshold: u64,
    /// How much there must be of a rate.
    pub min_volume: u64,
    /// What follows.
    pub action: Action,
    /// Sends in an hour, where that is to throttle.
    pub throttle_to: Option<u64>,
    /// Whether it counts at all.
    pub enabled: bool,
}

/// What was measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// How many.
    pub count: u64,
    /// Of how many, for a rate.
    pub volume: u64,
}

impl Metric {
    /// Whether it is a part of a whole.
    pub const fn is_rate(self) -> bool {
        matches!(self, Self::BounceRate | Self::ComplaintRate | Self::RejectionRate)
    }

    /// The number of the period in which it is told once.
    pub fn period(self, at: UnixMicros) -> i64 {
        match self {
            Self::SendsPerHour | Self::RepeatedContent => hour(at),
            _ => at.day().number(),
        }
    }
}

impl Action {
    /// What a stop does that follows from it; none if it is only told.
    pub const fn effect(self) -> Option<Effect> {
        match self {
            Self::Alert => None,
            Self::Throttle => Some(Effect::Throttle),
            Self::Hold => Some(Effect::Hold),
            Self::Pause => Some(Effect::Refuse),
        }
    }
}

/// How strong a stop is: a stronger one takes the place of a weaker one.
pub const fn strength(effect: Effect) -> u8 {
    match effect {
        Effect::Throttle => 1,
        Effect::Hold => 2,
        Effect::Refuse => 3,
    }
}

impl Reading {
    /// A count.
    pub const fn of(count: u64) -> Self {
        Self { count, volume: 0 }
    }

    /// The value in the unit of the threshold: of a rate in thousandths of a percent, cut off.
    pub fn value(&self, metric: Metric) -> u64 {
        match metric.is_rate() {
            true => self.count.saturating_mul(WHOLE) / self.volume.max(1),
            false => self.count,
        }
    }
}

impl Breaker {
    /// Whether what was measured crosses the line.
    pub fn trips(&self, reading: &Reading) -> bool {
        if !self.enabled {
            return false;
        }
        if !self.metric.is_rate() {
            return reading.count > self.threshold;
        }
        // Compared as products: no rate is rounded over a line.
        let volume = reading.volume.max(1);
        reading.count > 0
            && reading.volume >= self.min_volume
            && reading.count.saturating_mul(WHOLE) >= self.threshold.saturating_mul(volume)
    }
}

/// Those that trip, the one with the strongest consequence first.
pub fn tripped(breakers: &[Breaker], measured: impl Fn(Metric) -> Option<Reading>) -> Vec<(Breaker, Reading)> {
    let trips = |breaker: &Breaker| measured(breaker.metric).filter(|reading| breaker.trips(reading));
    let mut all: Vec<(Breaker, Reading)> =
        breakers.iter().filter_map(|breaker| Some((*breaker, trips(breaker)?))).collect();
    all.sort_by_key(|(breaker, _)| std::cmp::Reverse(breaker.action.effect().map_or(0, strength)));
    all
}

/// A rate as people write it: `2.5` for 2,500 thousandths of a percent.
pub fn percent(thousandths: u64) -> String {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    let text = format!("{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why a mailbox is stopped, for people.
pub fn reason(breaker: &Breaker, reading: &Reading) -> String {
    let value = reading.value(breaker.metric);
    match breaker.metric.is_rate() {
        true => format!(
            "{} of {} percent reached the line of {} percent: {} of {}",
            breaker.metric.name(),
            percent(value),
            percent(breaker.threshold),
            reading.count,
            reading.volume
        ),
        false => format!("{} of {value} is above the line of {}", breaker.metric.name(), breaker.threshold),
    }
}

/// What is counted of a mailbox where its workspace has breakers, or a throttle holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// The hour of the clock in which it sent last.
    pub hour: i64,
    /// What it sent in that hour.
    pub sends: u64,
    /// The UTC day on which it sent last.
    pub day: i64,
    /// To how many it wrote on that day for the first time.
    pub new_recipients: u64,
    /// What it said in that hour, as [`Said`] is stored.
    pub said: String,
    /// Since when all this is counted: a stop that was lifted lets it begin anew.
    pub since: Option<UnixMicros>,
    /// What was told, and in which period.
    pub told: Vec<(Metric, i64)>,
}

impl Watch {
    /// As it is at a time: what belongs to an hour or a day that is over is gone.
    pub fn at(mut self, now: UnixMicros) -> Self {
        let (hour, day) = (hour(now), now.day().number());
        if self.hour != hour {
            (self.hour, self.sends, self.said) = (hour, 0, String::new());
        }
        if self.day != day {
            (self.day, self.new_recipients) = (day, 0);
        }
        self.told.retain(|(metric, period)| *period == metric.period(now));
        self
    }

    /// Counted anew from a time on.
    pub fn anew(self, since: UnixMicros) -> Self {
        Self { sends: 0, new_recipients: 0, said: String::new(), since: Some(since), told: Vec::new(), ..self }
    }

    /// How often it was said in this hour.
    pub fn repeated(&self, print: u64, now: UnixMicros) -> u64 {
        Said::read(&self.said, now).count(print)
    }

    /// How often the text was said that was said most in this hour.
    pub fn most_repeated(&self, now: UnixMicros) -> u64 {
        Said::read(&self.said, now).most()
    }

    /// With one more that was sent.
    pub fn with(mut self, print: u64, new_recipients: u64, now: UnixMicros) -> Self {
        self.sends += 1;
        self.new_recipients += new_recipients;
        if print != 0 {
            self.said = Said::read(&self.said, now).with(print).write();
        }
        self
    }

    /// Notes that something is told; false if it was already, in this period.
    pub fn tells(&mut self, metric: Metric, now: UnixMicros) -> bool {
        let told = (metric, metric.period(now));
        let is_new = !self.told.contains(&told);
        if is_new {
            self.told.push(told);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(metric: Metric, threshold: u64, action: Action) -> Breaker {
        Breaker { metric, threshold, min_volume: 10, action, throttle_to: None, enabled: true }
    }

    #[test]
    fn rates_trip_where_they_reach_the_line_and_counts_above_it() {
        let rate = breaker(Metric::BounceRate, 2_500, Action::Hold);
        for (count, volume, trips) in [
            (1, 40, true),
            (1, 41, false),
            (999, 40_000, false),
            (1_000, 40_000, true),
            (9, 9, false),
            (10, 10, true),
            (0, 1_000, false),
        ] {
            assert_eq!(rate.trips(&Reading { count, volume }), trips, "{count} of {volume}");
        }
        let count = breaker(Metric::SendsPerHour, 3, Action::Hold);
        assert!(!count.trips(&Reading::of(3)) && count.trips(&Reading::of(4)));
        assert!(!Breaker { enabled: false, ..count }.trips(&Reading::of(4)));
        let none = breaker(Metric::ComplaintRate, 0, Action::Hold);
        assert!(!none.trips(&Reading { count: 0, volume: 100 }), "nothing is no complaint");
        assert!(none.trips(&Reading { count: 1, volume: 100 }));
    }

    #[test]
    fn the_strongest_consequence_comes_first() {
        let all: Vec<Breaker> = Action::ALL.iter().map(|action| breaker(Metric::SendsPerHour, 1, *action)).collect();
        let found = tripped(&all, |metric| (metric == Metric::SendsPerHour).then_some(Reading::of(2)));
        let actions: Vec<&str> = found.iter().map(|(breaker, _)| breaker.action.name()).collect();
        assert_eq!(actions, ["pause", "hold", "throttle", "alert"]);
        assert!(tripped(&all, |_| None).is_empty());
    }

    #[test]
    fn figures_are_written_as_people_write_them() {
        for (thousandths, text) in
            [(0, "0"), (5_000, "5"), (2_500, "2.5"), (100, "0.1"), (1, "0.001"), (100_000, "100")]
        {
            assert_eq!(percent(thousandths), text);
        }
        let reading = Reading { count: 3, volume: 40 };
        let text = reason(&breaker(Metric::BounceRate, 5_000, Action::Hold), &reading);
        assert_eq!(text, "bounce_rate of 7.5 percent reached the line of 5 percent: 3 of 40");
        let text = reason(&breaker(Metric::SendsPerHour, 5, Action::Hold), &Reading::of(6));
        assert_eq!(text, "sends_per_hour of 6 is above the line of 5");
    }

    #[test]
    fn what_is_counted_ends_with_its_hour_and_its_day() {
        let now = UnixMicros::from_seconds(1_772_445_600);
        let later = |seconds| now.plus(std::time::Duration::from_secs(seconds));
        let watch = Watch::default().at(now).with(7, 2, now).with(7, 0, now);
        assert_eq!((watch.sends, watch.new_recipients, watch.repeated(7, now)), (2, 2, 2));
        assert_eq!(watch.most_repeated(now), 2);
        let next_hour = watch.clone().at(later(3_600));
        assert_eq!((next_hour.sends, next_hour.new_recipients, next_hour.repeated(7, later(3_600))), (0, 2, 0));
        assert_eq!(watch.clone().at(later(86_400)).new_recipients, 0);
        let anew = watch.clone().anew(later(1));
        assert_eq!((anew.sends, anew.new_recipients, anew.repeated(7, now), anew.since), (0, 0, 0, Some(later(1))));
        assert_eq!(anew.at(now), watch.anew(later(1)));
    }

    #[test]
    fn everything_is_told_once_in_its_period() {
        let now = UnixMicros::from_seconds(1_772_445_600);
        let mut watch = Watch::default().at(now);
        assert!(watch.tells(Metric::SendsPerHour, now) && !watch.tells(Metric::SendsPerHour, now));
        assert!(watch.tells(Metric::BounceRate, now));
        let later = now.plus(std::time::Duration::from_secs(3_600));
        let mut watch = watch.at(later);
        assert!(watch.tells(Metric::SendsPerHour, later) && !watch.tells(Metric::BounceRate, later));
    }

    #[test]
    fn words_are_read_back() {
        assert!(Metric::ALL.iter().all(|one| Metric::named(one.name()) == Some(*one)));
        assert!(Action::ALL.iter().all(|one| Action::named(one.name()) == Some(*one)));
        assert_eq!(Metric::ALL.iter().filter(|metric| metric.is_rate()).count(), 3);
    }
}
