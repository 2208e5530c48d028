//! The window: what was counted of the last recipients, in buckets that are sealed when they are full, so that the
//! oldest can be left out without knowing each recipient.

use crate::send_event::Counted;
use crate::time::UtcDay;
use std::collections::VecDeque;

/// The smallest volume by which a sender is judged.
const VOLUME_MIN: u64 = 1_000;
/// The greatest.
const VOLUME_MAX: u64 = 100_000;
/// Sealed buckets at most.
const BUCKETS: usize = 20;
/// Days of which the volume is that by which a sender is judged: today and those before.
const DAYS: usize = 7;

/// What was counted of some recipients one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Recipients for whom a server answered.
    pub attempts: u64,
    /// Those of domains that send feedback.
    pub feedback_attempts: u64,
    /// Those who are not there.
    pub hard_bounces: u64,
    /// Those who complained.
    pub complaints: u64,
}

/// What was counted while a bucket was open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    /// What of it.
    pub counts: Counts,
    /// How many happenings it was.
    pub outcomes: u64,
}

impl Bucket {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        let Counts { attempts, feedback_attempts, hard_bounces, complaints } = other.counts;
        self.counts.attempts += attempts;
        self.counts.feedback_attempts += feedback_attempts;
        self.counts.hard_bounces += hard_bounces;
        self.counts.complaints += complaints;
        self.outcomes += other.outcomes;
    }
}

impl From<Counted> for Bucket {
    fn from(counted: Counted) -> Self {
        let counts = Counts {
            attempts: u64::from(counted.attempt),
            feedback_attempts: u64::from(counted.feedback),
            hard_bounces: u64::from(counted.hard_bounce),
            complaints: u64::from(counted.complaint),
        };
        Self { counts, outcomes: 1 }
    }
}

/// What was counted of the last recipients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// Full ones, the oldest first.
    sealed: VecDeque<Bucket>,
    /// The one that is being filled.
    filling: Bucket,
    /// The newest day on which there was an attempt, and the attempts of that day and those before it.
    newest_day: i64,
    days: [u64; DAYS],
    /// Attempts one after the other under review, without falling below its line.
    under_review: u64,
    /// How many happenings were ever counted: the number of the last one.
    counted: u64,
}

impl Window {
    /// What it has counted.
    pub fn counts(&self) -> Counts {
        self.whole().counts
    }

    /// How many happenings it is made of: those with the highest numbers.
    pub fn outcomes(&self) -> u64 {
        self.whole().outcomes
    }

    /// How many were ever counted.
    pub const fn counted(&self) -> u64 {
        self.counted
    }

    fn whole(&self) -> Bucket {
        let mut all = self.filling;
        self.sealed.iter().for_each(|bucket| all.add(bucket));
        all
    }

    /// The volume by which the sender is judged: W.
    pub fn volume(&self, today: UtcDay) -> u64 {
        self.week(today).clamp(VOLUME_MIN, VOLUME_MAX)
    }

    /// Recipients for whom a server answered, on the last seven days.
    pub fn week(&self, today: UtcDay) -> u64 {
        self.attempts_since(today.number() - DAYS as i64 + 1)
    }

    fn attempts_since(&self, first_day: i64) -> u64 {
        let days = (0..).zip(&self.days).filter(|(back, _)| self.newest_day - back >= first_day);
        days.map(|(_, attempts)| attempts).sum()
    }

    /// After so many attempts under review without falling below its line, a mailbox is paused.
    pub fn patience(&self, today: UtcDay) -> u64 {
        self.volume(today) / 2
    }

    /// Attempts one after the other under review, without falling below its line.
    pub const fn under_review(&self) -> u64 {
        self.under_review
    }

    pub(super) fn count(&mut self, outcome: Counted, today: UtcDay) {
        self.counted += 1;
        self.filling.add(&Bucket::from(outcome));
        if !outcome.attempt {
            return;
        }
        self.count_day(today.number());
        let volume = self.volume(today);
        if self.filling.counts.attempts >= volume.div_ceil(BUCKETS as u64) {
            self.seal(volume);
        }
    }

    /// Counts an attempt under review, or begins to count anew.
    pub(super) fn go_on_under_review(&mut self, outcome: Counted, is_above: bool) {
        self.under_review = if is_above { self.under_review + u64::from(outcome.attempt) } else { 0 };
    }

    pub(super) fn begin_anew(&mut self) {
        *self = Self { counted: self.counted, ..Self::default() };
    }

    fn count_day(&mut self, day: i64) {
        if day > self.newest_day {
            let passed = usize::try_from(day - self.newest_day).unwrap_or(DAYS).min(DAYS);
            self.days.rotate_right(passed % DAYS);
            self.days[..passed].fill(0);
            self.newest_day = day;
        }
        // Of a clock that went back.
        if let Some(attempts) = usize::try_from(self.newest_day - day).ok().and_then(|back| self.days.get_mut(back)) {
            *attempts += 1;
        }
    }

    /// Closes the bucket, leaves out what is older than the volume, and joins the smallest where there are too many.
    fn seal(&mut self, volume: u64) {
        self.sealed.push_back(std::mem::take(&mut self.filling));
        let mut attempts: u64 = self.sealed.iter().map(|bucket| bucket.counts.attempts).sum();
        while let Some(oldest) = self.sealed.front().filter(|oldest| attempts - oldest.counts.attempts >= volume) {
            attempts -= oldest.counts.attempts;
            self.sealed.pop_front();
        }
        while self.sealed.len() > BUCKETS {
            self.join_smallest();
        }
    }

    fn join_smallest(&mut self) {
        let both = |first: usize| self.sealed[first].counts.attempts + self.sealed[first + 1].counts.attempts;
        let Some(first) = (0..self.sealed.len().saturating_sub(1)).min_by_key(|first| both(*first)) else { return };
        if let Some(next) = self.sealed.remove(first + 1) {
            self.sealed[first].add(&next);
        }
    }
}

/// As it is kept: whole numbers, with a blank between them.
impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.counted, self.under_review, self.newest_day)?;
        self.days.iter().try_for_each(|attempts| write!(f, " {attempts}"))?;
        std::iter::once(&self.filling).chain(&self.sealed).try_for_each(|bucket| {
            let Bucket { counts, outcomes } = bucket;
            let Counts { attempts, feedback_attempts, hard_bounces, complaints } = counts;
            write!(f, " {attempts} {feedback_attempts} {hard_bounces} {complaints} {outcomes}")
        })
    }
}

/// The text is not a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a window")]
pub struct NotAWindow;

impl std::str::FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| NotAWindow)?;
        let (head, rest) = numbers.split_at_checked(3 + DAYS).ok_or(NotAWindow)?;
        let mut days = [0; DAYS];
        days.copy_from_slice(&head[3..]);
        let (buckets, odd) = rest.as_chunks::<5>();
        let bucket = |&[attempts, feedback_attempts, hard_bounces, complaints, outcomes]: &[u64; 5]| Bucket {
            counts: Counts { attempts, feedback_attempts, hard_bounces, complaints },
            outcomes,
        };
        let (filling, sealed) = buckets.split_first().filter(|_| odd.is_empty()).ok_or(NotAWindow)?;
        Ok(Self {
            sealed: sealed.iter().map(bucket).collect(),
            filling: bucket(filling),
            newest_day: i64::try_from(head[2]).map_err(|_| NotAWindow)?,
            days,
            under_review: head[1],
            counted: head[0],
        })
    }
}
