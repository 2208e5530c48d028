//! The reputation of a sender: how many of the recipients that it wrote to last were not there, and how many complained.
//!
//! Everything is counted in whole numbers, per recipient, over the volume that was sent last and not over a time: the
//! window is the last W recipients for which a server answered, where W is what was sent in seven days, from 1,000 to
//! 100,000. What was sent to 100 people in a month is judged like what was sent to 100,000 in a day. A state follows
//! from the counts and from the state before; no time clears it. See docs/adr/0031.

mod head_room;
#[cfg(test)]
mod tests;
mod window;

pub use head_room::HeadRoom;
pub use window::{Bucket, Counts, Window};

use crate::send_event::Counted;
use crate::time::{UnixMicros, UtcDay};
use crate::words::words;

words! {
    /// Where a sender stands.
    State {
        /// Nothing is the matter.
        Healthy = "healthy",
        /// More bounces than there should be; nothing follows from it.
        Elevated = "elevated",
        /// Too many bounces or complaints: sending goes on, and is paused if it does not get better.
        UnderReview = "under_review",
        /// Nothing is sent until an operator lifts the pause.
        Paused = "paused",
    }
}

impl State {
    /// The number in the store: more is worse.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Finds the one of that number.
    pub fn numbered(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.number() == number)
    }
}

words! {
    /// Whose reputation it is.
    SubjectKind {
        /// A mailbox: the only one that is paused.
        Grant = "grant",
        /// A domain from which is sent.
        Domain = "domain",
        /// All mailboxes of a workspace.
        Workspace = "workspace",
        /// All mailboxes of an application.
        Application = "application",
        /// All mailboxes of an organization.
        Organization = "organization",
    }
}

impl SubjectKind {
    /// The number in the store.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Finds the one of that number.
    pub fn numbered(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.number() == number)
    }

    /// Whether its own rates pause it. What many mailboxes share is looked at, but the mailboxes that behave do not
    /// stand still for those that do not.
    pub const fn is_paused_by_rates(self) -> bool {
        matches!(self, Self::Grant)
    }
}

/// A part of a volume that must not be reached: so many of so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// So many…
    pub count: u64,
    /// … of so many.
    pub of: u64,
}

impl Line {
    /// Parts of a million.
    pub const fn per_million(self) -> u64 {
        self.count * 1_000_000 / self.of
    }
}

/// Bounces from here on are more than there should be; below, and only there, a review because of them ends.
pub const ELEVATED_BOUNCES: Line = Line { count: 2, of: 100 };
/// Bounces from here on are looked into.
pub const REVIEW_BOUNCES: Line = Line { count: 5, of: 100 };
/// Bounces from here on pause a mailbox.
pub const PAUSE_BOUNCES: Line = Line { count: 10, of: 100 };
/// Complaints from here on are looked into; below, a review because of them ends.
pub const REVIEW_COMPLAINTS: Line = Line { count: 1, of: 1_000 };
/// Complaints from here on pause a mailbox.
pub const PAUSE_COMPLAINTS: Line = Line { count: 5, of: 1_000 };

/// Bounces are divided by so many recipients at least.
pub const BOUNCES_OF_AT_LEAST: u64 = 100;
/// Complaints are divided by so many recipients at least.
pub const COMPLAINTS_OF_AT_LEAST: u64 = 1_000;

/// So many of so many, that is a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// So many…
    pub count: u64,
    /// … of so many, never 0.
    pub of: u64,
}

impl Rate {
    /// Whether the line is reached.
    pub const fn reaches(self, line: Line) -> bool {
        self.count as u128 * line.of as u128 >= line.count as u128 * self.of as u128
    }

    /// How many more reach the line, with the volume as it is.
    pub const fn until(self, line: Line) -> u64 {
        let least = (line.count as u128 * self.of as u128).div_ceil(line.of as u128) as u64;
        least.saturating_sub(self.count)
    }

    /// Parts of a million, cut off.
    pub const fn per_million(self) -> u64 {
        (self.count as u128 * 1_000_000 / self.of as u128) as u64
    }
}

/// The rates by which a sender is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Hard bounces by recipients.
    pub bounces: Rate,
    /// Complaints by recipients of domains that send feedback.
    pub complaints: Rate,
}

impl Rates {
    /// The rates of what a window has counted.
    pub fn of(counts: Counts) -> Self {
        let Counts { attempts, feedback_attempts, hard_bounces, complaints } = counts;
        Self {
            bounces: Rate { count: hard_bounces, of: attempts.max(BOUNCES_OF_AT_LEAST) },
            complaints: Rate { count: complaints, of: feedback_attempts.max(COMPLAINTS_OF_AT_LEAST) },
        }
    }

    /// Whether they are to be looked into.
    pub const fn needs_review(&self) -> bool {
        self.bounces.reaches(REVIEW_BOUNCES) || self.complaints.reaches(REVIEW_COMPLAINTS)
    }

    /// Whether they pause a mailbox.
    pub const fn pauses(&self) -> bool {
        self.bounces.reaches(PAUSE_BOUNCES) || self.complaints.reaches(PAUSE_COMPLAINTS)
    }

    /// Whether a review ends.
    pub const fn is_clear(&self) -> bool {
        !self.bounces.reaches(ELEVATED_BOUNCES) && !self.complaints.reaches(REVIEW_COMPLAINTS)
    }

    /// How bad they are: parts of 10,000 of what pauses a mailbox.
    pub fn severity(&self) -> u64 {
        let part =
            |rate: Rate, line: Line| rate.count as u128 * line.of as u128 * 10_000 / (line.count * rate.of) as u128;
        part(self.bounces, PAUSE_BOUNCES).max(part(self.complaints, PAUSE_COMPLAINTS)) as u64
    }
}

/// From where to where a sender went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// Where it stood.
    pub from: State,
    /// Where it stands.
    pub to: State,
}

/// Where a sender stands, and by what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What was counted.
    pub window: Window,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: UnixMicros,
}

impl Standing {
    /// Of one who has sent nothing yet.
    pub fn new(now: UnixMicros) -> Self {
        Self { window: Window::default(), state: State::Healthy, since: now }
    }

    /// Begins anew, as after a pause that was lifted: what was counted before counts no more.
    pub fn begin_anew(&mut self, now: UnixMicros) -> Option<Transition> {
        self.window.begin_anew();
        self.enter(State::Healthy, now)
    }

    /// Counts something that happened, and answers if that changes where the sender stands.
    pub fn observe(&mut self, kind: SubjectKind, outcome: Counted, now: UnixMicros) -> Option<Transition> {
        self.window.count(outcome, now.day());
        let rates = self.rates();
        self.window.go_on_under_review(outcome, self.state == State::UnderReview && rates.needs_review());
        let is_sustained = self.window.under_review() >= self.window.patience(now.day());
        let state = match self.state {
            State::Paused => State::Paused,
            _ if kind.is_paused_by_rates() && rates.pauses() => State::Paused,
            State::UnderReview if kind.is_paused_by_rates() && is_sustained => State::Paused,
            State::UnderReview if rates.is_clear() => State::Healthy,
            State::UnderReview => State::UnderReview,
            State::Healthy | State::Elevated if rates.needs_review() => State::UnderReview,
            State::Healthy | State::Elevated if rates.bounces.reaches(ELEVATED_BOUNCES) => State::Elevated,
            State::Healthy | State::Elevated => State::Healthy,
        };
        self.enter(state, now)
    }

    fn enter(&mut self, state: State, now: UnixMicros) -> Option<Transition> {
        let transition = Transition { from: self.state, to: state };
        if transition.from == transition.to {
            return None;
        }
        (self.state, self.since) = (state, now);
        Some(transition)
    }

    /// Its rates.
    pub fn rates(&self) -> Rates {
        Rates::of(self.window.counts())
    }

    /// How far it is from what follows.
    pub fn head_room(&self, kind: SubjectKind, today: UtcDay) -> HeadRoom {
        HeadRoom::of(self, kind, today)
    }

    /// A number that is greater the worse it stands; 0 if it is healthy.
    pub fn badness(&self) -> i64 {
        match self.state {
            State::Healthy => 0,
            state => state.number() * 1_000_000 + self.rates().severity().min(999_999) as i64,
        }
    }
}
