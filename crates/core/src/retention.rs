//! How long mail is kept: a window for all mail of a mailbox, and a shorter one for junk. Drafts and sends that wait are
//! no mail yet, and are never due.
//!
//! The windows count from when a message was taken, which the server notes itself: no header field moves it. What is
//! moved into junk counts from the move, and never longer than other mail.

use crate::plan::Limits;
use crate::time::UnixMicros;
use std::time::Duration;

const DAY_SECONDS: u64 = 86_400;

/// By which of the two windows something is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// `limit_inbox_retention_period`: whatever is as old as that, in every folder.
    Inbox,
    /// `limit_spam_retention_period`: what is in junk.
    Spam,
}

impl Window {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Spam => "spam",
        }
    }
}

/// The windows that hold for a mailbox, in days of 24 hours. `None`: it is kept until somebody removes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Windows {
    /// Of all mail.
    pub inbox_days: Option<u64>,
    /// Of junk.
    pub spam_days: Option<u64>,
}

impl Windows {
    /// Those of the limits that hold for a mailbox: its plan's, shortened by its policy.
    pub const fn of(limits: &Limits) -> Self {
        Self { inbox_days: limits.inbox_retention_days, spam_days: limits.spam_retention_days }
    }

    /// How many days a window has.
    pub const fn days(&self, window: Window) -> Option<u64> {
        match window {
            Window::Inbox => self.inbox_days,
            Window::Spam => self.spam_days,
        }
    }

    /// What was there before this moment is due under a window; `None` if nothing ever is.
    pub fn due_before(&self, window: Window, now: UnixMicros) -> Option<UnixMicros> {
        self.days(window).map(|days| now.minus(duration(days)))
    }

    /// When something is due that is there since then.
    pub fn due_at(&self, window: Window, since: UnixMicros) -> Option<UnixMicros> {
        self.days(window).map(|days| since.plus(duration(days)))
    }

    /// Whether something of a mailbox is due whose oldest message, and whose oldest in junk, were taken then.
    pub fn is_due(&self, oldest: Option<UnixMicros>, oldest_junk: Option<UnixMicros>, now: UnixMicros) -> bool {
        let is_due = |window, since: Option<UnixMicros>| since.is_some_and(|since| self.is_over(window, since, now));
        is_due(Window::Inbox, oldest) || is_due(Window::Spam, oldest_junk)
    }

    /// Whether a window is over for what is there since then: its last moment still belongs to it.
    pub fn is_over(&self, window: Window, since: UnixMicros, now: UnixMicros) -> bool {
        self.due_before(window, now).is_some_and(|before| since < before)
    }
}

fn duration(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(DAY_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_800_000_000);

    fn ago(seconds: u64) -> UnixMicros {
        NOW.minus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_window_is_over_a_moment_after_its_last() {
        let day = DAY_SECONDS;
        for (name, days, age, over) in [
            ("at the edge", Some(30), 30 * day, false),
            ("a second later", Some(30), 30 * day + 1, true),
            ("young", Some(30), 0, false),
            ("no days at all, this moment", Some(0), 0, false),
            ("no days at all, a second ago", Some(0), 1, true),
            ("unlimited", None, 100_000 * day, false),
            ("more days than there are", Some(u64::MAX), 100_000 * day, false),
        ] {
            let windows = Windows { inbox_days: days, spam_days: days };
            for window in [Window::Inbox, Window::Spam] {
                assert_eq!(windows.is_over(window, ago(age), NOW), over, "{name}");
            }
        }
    }

    #[test]
    fn each_window_is_judged_by_its_own_oldest_message() {
        let windows = Windows { inbox_days: Some(30), spam_days: Some(7) };
        let day = |days: u64| Some(ago(days * DAY_SECONDS));
        for (name, oldest, junk, due) in [
            ("an empty mailbox", None, None, false),
            ("both young", day(29), day(6), false),
            ("old mail", day(31), None, true),
            ("old junk", day(8), day(8), true),
            ("mail as old as old junk", day(8), None, false),
        ] {
            assert_eq!(windows.is_due(oldest, junk, NOW), due, "{name}");
        }
        assert!(!Windows::default().is_due(day(10_000), day(10_000), NOW), "nothing ends it");
        assert_eq!(windows.due_at(Window::Spam, ago(0)), Some(NOW.plus(Duration::from_secs(7 * DAY_SECONDS))));
    }
}
