//! What one node remembers of the requests of the last second, in memory alone. Who has no rate is not remembered.

use postfleet_core::request_rate::{RequestRates, RequestScope, Standing, Window, too_many_requests};
use postfleet_core::{Problem, UnixMicros};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Parts that are locked by themselves, so that requests do not wait for each other.
const SHARDS: usize = 16;

/// Windows of a part after which those that are over are looked for, when another comes.
const SWEEP_FROM: usize = 4_096;

/// The id of whoever has a rate.
pub type Subject = [u8; 16];

/// The windows of everybody who has a rate.
#[derive(Debug, Default)]
pub struct Requests([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    windows: HashMap<(RequestScope, Subject), Window>,
    /// How many there may be before the next sweep.
    sweep_from: usize,
}

impl Requests {
    /// Counts a request, or refuses it. Without a rate nothing is said.
    pub fn take(
        &self,
        rates: &RequestRates,
        scope: RequestScope,
        subject: Subject,
        now: UnixMicros,
    ) -> Result<Option<Standing>, Problem> {
        let Some(limit) = rates.of(scope) else { return Ok(None) };
        // The end of an id is chance.
        let shard = &self.0[usize::from(subject[15]) % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.sweep(now);
        let taken = shard.windows.entry((scope, subject)).or_default().take(limit, now);
        taken.map(Some).map_err(|until| too_many_requests(scope, limit, until))
    }
}

impl Shard {
    /// Forgets windows that are over, once there are twice as many as were left the last time.
    fn sweep(&mut self, now: UnixMicros) {
        if self.windows.len() >= self.sweep_from.max(SWEEP_FROM) {
            self.windows.retain(|_, window| !window.is_over(now));
            self.sweep_from = self.windows.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_window_of_their_own_and_what_is_over_is_forgotten() {
        let requests = Requests::default();
        let rates = RequestRates { mailbox: Some(1), ..RequestRates::default() };
        let at = UnixMicros::from_seconds;
        let take = |scope, subject: u128, now| requests.take(&rates, scope, subject.to_be_bytes(), now);
        assert!(take(RequestScope::Mailbox, 1, at(1)).unwrap().is_some());
        assert!(take(RequestScope::Mailbox, 1, at(1)).is_err());
        assert!(take(RequestScope::Mailbox, 2, at(1)).is_ok(), "another mailbox");
        assert_eq!(take(RequestScope::Key, 1, at(1)), Ok(None), "no rate");
        let many = SWEEP_FROM as u128 * 3;
        for subject in 0..many {
            take(RequestScope::Mailbox, subject * SHARDS as u128, at(10 + subject as i64)).unwrap();
        }
        let kept = requests.0[0].lock().unwrap().windows.len();
        assert!(kept <= SWEEP_FROM, "{kept}");
    }
}
