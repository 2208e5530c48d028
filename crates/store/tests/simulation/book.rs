//! The slow ledger of one sender: every outcome that ever counted, and the lines written down once more. It shares no
//! arithmetic with the product.

use crate::history::Counts;
use postfleet_core::reputation::State;
use std::collections::BTreeMap;

/// As what one outcome counts.
pub type Entry = [bool; 4];

/// Everything that counted for one sender.
#[derive(Clone, Debug)]
pub struct Book {
    /// What there was before each entry, and at last before the next one.
    before: Vec<Counts>,
    /// Where the buckets begin, the oldest first; the last one is open.
    cuts: Vec<usize>,
    days: BTreeMap<i64, u64>,
    can_pause: bool,
    stayed: u64,
    pub state: State,
}

impl Book {
    /// Of one who has sent nothing; only mailboxes are ever paused.
    pub fn new(can_pause: bool) -> Self {
        Self { before: vec![[0; 4]], cuts: vec![0], days: BTreeMap::new(), can_pause, stayed: 0, state: State::Healthy }
    }

    fn between(&self, first: usize, end: usize) -> Counts {
        let (low, high) = (self.before[first], self.before[end]);
        [0, 1, 2, 3].map(|column| high[column] - low[column])
    }

    fn end(&self) -> usize {
        self.before.len() - 1
    }

    /// Everything that ever counted.
    pub fn all(&self) -> Counts {
        self.before[self.end()]
    }

    /// Every entry, from the first.
    pub fn entries(&self) -> Vec<Entry> {
        (0..self.end()).map(|place| self.between(place, place + 1).map(|count| count > 0)).collect()
    }

    /// What counts now.
    pub fn counts(&self) -> Counts {
        self.between(self.cuts[0], self.end())
    }

    fn volume(&self, day: i64) -> u64 {
        self.days.range(day - 6..=day).map(|(_, attempts)| attempts).sum::<u64>().clamp(1_000, 100_000)
    }

    /// Writes an entry down; answers the state before if it is another one now.
    pub fn enter(&mut self, entry: Entry, day: i64) -> Option<State> {
        let all = self.all();
        self.before.push([0, 1, 2, 3].map(|column| all[column] + u64::from(entry[column])));
        if entry[0] {
            *self.days.entry(day).or_default() += 1;
            self.cut(self.volume(day));
        }
        let old = self.state;
        self.state = self.judge(entry[0], day);
        (old != self.state).then_some(old)
    }

    /// A bucket is full with a twentieth of the volume; the oldest goes when the volume is there without it; there are
    /// twenty full ones at most.
    fn cut(&mut self, volume: u64) {
        let open = self.cuts[self.cuts.len() - 1];
        if self.between(open, self.end())[0] * 20 < volume {
            return;
        }
        self.cuts.push(self.end());
        while self.cuts.len() > 2 && self.between(self.cuts[1], self.end())[0] >= volume {
            self.cuts.remove(0);
        }
        while self.cuts.len() > 21 {
            let both = |first: usize| self.between(self.cuts[first], self.cuts[first + 2])[0];
            let least = (0..self.cuts.len() - 2).map(both).min().expect("several buckets");
            let first = (0..self.cuts.len() - 2).find(|first| both(*first) == least).expect("the least");
            self.cuts.remove(first + 1);
        }
    }

    fn judge(&mut self, is_attempt: bool, day: i64) -> State {
        let [attempts, feedback, bounces, complaints] = self.counts();
        let (attempts, feedback) = (attempts.max(100), feedback.max(1_000));
        // 10 %, 5 % and 2 %; 0.5 % and 0.1 %.
        let pauses = bounces * 10 >= attempts || complaints * 200 >= feedback;
        let reviews = bounces * 20 >= attempts || complaints * 1_000 >= feedback;
        let elevates = bounces * 50 >= attempts;
        let ends = !elevates && complaints * 1_000 < feedback;
        self.stayed = match self.state == State::UnderReview && reviews {
            true => self.stayed + u64::from(is_attempt),
            false => 0,
        };
        match self.state {
            State::Paused => State::Paused,
            _ if self.can_pause && pauses => State::Paused,
            State::UnderReview if self.can_pause && self.stayed >= self.volume(day) / 2 => State::Paused,
            State::UnderReview if !ends => State::UnderReview,
            _ if reviews => State::UnderReview,
            State::UnderReview => State::Healthy,
            _ if elevates => State::Elevated,
            _ => State::Healthy,
        }
    }

    /// What was written down so far counts no more.
    pub fn begin_anew(&mut self) {
        (self.cuts, self.stayed, self.state) = (vec![self.end()], 0, State::Healthy);
        self.days.clear();
    }
}
