//! How many requests to the interface there may be in a second. Rolling windows, as those of sending ([`crate::rate`]), but
//! held by each node for itself, in memory: a request is no message, and nothing is written for it.

use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::rate::{CLOCKS_APART, WINDOW};
use crate::time::UnixMicros;
use std::collections::VecDeque;

/// The rates of requests of a plan, per second and node. `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestRates {
    /// Of one application, at what is of no single mailbox: applications, connectors, grants, workspaces, webhooks, …
    pub application: Option<u64>,
    /// Of what one mailbox has: messages, drafts, folders, …
    pub mailbox: Option<u64>,
    /// Of sends of one mailbox that come as forms, with files.
    pub mailbox_forms: Option<u64>,
    /// With one API key, whatever is asked for.
    pub key: Option<u64>,
}

/// Whose requests are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestScope {
    /// An application's.
    Application,
    /// A mailbox's.
    Mailbox,
    /// A mailbox's that send a form.
    MailboxForms,
    /// An API key's.
    Key,
}

impl RequestScope {
    /// The word on the wire: whose allowance it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Mailbox | Self::MailboxForms => "grant",
            Self::Key => "api_key",
        }
    }
}

impl RequestRates {
    /// The rate of one scope.
    pub const fn of(&self, scope: RequestScope) -> Option<u64> {
        match scope {
            RequestScope::Application => self.application,
            RequestScope::Mailbox => self.mailbox,
            RequestScope::MailboxForms => self.mailbox_forms,
            RequestScope::Key => self.key,
        }
    }
}

/// What is left in a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// How many there may be.
    pub limit: u64,
    /// How many more there may be now.
    pub remaining: u64,
    /// When nothing of it is used any more.
    pub resets_at: UnixMicros,
}

/// The requests of somebody in the last second.
#[derive(Clone, Debug, Default)]
pub struct Window(VecDeque<UnixMicros>);

impl Window {
    /// Counts one more, unless there are as many as there may be: then the time from which on there may be one.
    pub fn take(&mut self, limit: u64, now: UnixMicros) -> Result<Standing, UnixMicros> {
        self.forget(now);
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.0.len() >= room {
            // The one that has to be over first, should the limit be lower than before.
            let first = self.0.len().checked_sub(room).and_then(|index| self.0.get(index));
            return Err(first.map_or(now.plus(WINDOW), |first| first.plus(WINDOW)));
        }
        self.0.push_back(now);
        Ok(Standing { limit, remaining: limit - self.0.len() as u64, resets_at: now.plus(WINDOW) })
    }

    /// Whether nothing is left of it.
    pub fn is_over(&self, now: UnixMicros) -> bool {
        self.0.back().is_none_or(|last| last.plus(WINDOW) <= now)
    }

    fn forget(&mut self, now: UnixMicros) {
        // Written before the clock was set back.
        if self.0.back().is_some_and(|last| *last > now.plus(CLOCKS_APART)) {
            self.0.clear();
        }
        while self.0.front().is_some_and(|first| first.plus(WINDOW) <= now) {
            self.0.pop_front();
        }
    }
}

/// The refusal of a request above a rate.
pub fn too_many_requests(scope: RequestScope, limit: u64, until: UnixMicros) -> Problem {
    let text = "Too many requests, please try again shortly.";
    let exhausted = Exhausted { scope: scope.name(), limit, used: limit, resets_at: Some(until) };
    let problem = Problem::new(ProblemKind::RateLimited, "rate_limit_exceeded", text);
    Problem { exhausted: Some(Box::new(exhausted)), ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(milliseconds: i64) -> UnixMicros {
        UnixMicros::from_micros(1_700_000_000_000_000 + milliseconds * 1_000)
    }

    #[test]
    fn the_window_rolls_and_a_refusal_takes_nothing() {
        let mut window = Window::default();
        let standing = |remaining, at| Ok(Standing { limit: 2, remaining, resets_at: ms(at) });
        assert_eq!(window.take(2, ms(0)), standing(1, 1_000));
        assert_eq!(window.take(2, ms(900)), standing(0, 1_900));
        assert_eq!(window.take(2, ms(950)), Err(ms(1_000)));
        assert_eq!(window.take(2, ms(999)), Err(ms(1_000)));
        assert_eq!(window.take(2, ms(1_000)), standing(0, 2_000));
        assert_eq!(window.take(1, ms(1_001)), Err(ms(2_000)), "a limit that was lowered");
        assert!(!window.is_over(ms(1_999)) && window.is_over(ms(2_000)));
        assert_eq!(window.take(0, ms(9_000)), Err(ms(10_000)), "nothing at all");
        let mut ahead = Window::default();
        ahead.take(1, ms(3_600_000)).unwrap();
        assert!(ahead.take(1, ms(0)).is_ok(), "a clock that was set back stops nobody");
    }

    #[test]
    fn the_refusal_says_whose_rate_it_is() {
        let problem = too_many_requests(RequestScope::Mailbox, 200, ms(1_000));
        assert_eq!((problem.code, problem.kind), ("rate_limit_exceeded", ProblemKind::RateLimited));
        let exhausted = problem.exhausted.unwrap();
        assert_eq!((exhausted.scope, exhausted.limit, exhausted.resets_at), ("grant", 200, Some(ms(1_000))));
    }

    proptest! {
        #[test]
        fn no_second_holds_more_than_the_limit(limit in 1_u64..6, steps in prop::collection::vec(0_i64..500, 1..200)) {
            let (mut window, mut clock, mut gone) = (Window::default(), 0, Vec::new());
            for step in steps {
                clock += step;
                match window.take(limit, ms(clock)) {
                    Ok(_) => gone.push(clock),
                    Err(until) => prop_assert!(until > ms(clock)),
                }
            }
            for first in &gone {
                let within = gone.iter().filter(|at| (*first..*first + 1_000).contains(at)).count();
                prop_assert!(within as u64 <= limit);
            }
        }
    }
}
