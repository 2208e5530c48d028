//! Counting mail in memory: a message must not cost a write of its own for that. What is counted since the last flush is
//! lost with the process.

use postfleet_core::UtcDay;
use postfleet_core::dmarc_report::Sighting;
use postfleet_store::dmarc_reports::Count;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Kinds of messages that are told apart between two flushes. What comes on top is counted by nobody.
const KINDS_MAX: usize = 50_000;

type Kind = (UtcDay, String, Sighting);

/// The counts of this node since the last flush.
#[derive(Default)]
pub struct Tally(Mutex<HashMap<Kind, u64>>);

impl Tally {
    /// Counts a message.
    pub(super) fn add(&self, day: UtcDay, domain: String, sighting: Sighting) {
        self.put((day, domain, sighting), 1);
    }

    fn put(&self, kind: Kind, messages: u64) {
        let mut counts = self.counts();
        let is_full = counts.len() >= KINDS_MAX;
        match counts.get_mut(&kind) {
            Some(known) => *known += messages,
            None if is_full => tracing::warn!("too many kinds of mail to count for DMARC reports since the last flush"),
            None => drop(counts.insert(kind, messages)),
        }
    }

    /// Takes everything out, domain by domain.
    pub(super) fn take(&self) -> Vec<Count> {
        let counts = std::mem::take(&mut *self.counts());
        let count = |((day, domain, sighting), messages)| Count { day, domain, sighting, messages };
        let mut counts: Vec<Count> = counts.into_iter().map(count).collect();
        counts.sort_unstable_by(|a, b| (a.day, &a.domain).cmp(&(b.day, &b.domain)));
        counts
    }

    /// Puts back what could not be written.
    pub(super) fn give_back(&self, counts: Vec<Count>) {
        counts.into_iter().for_each(|count| self.put((count.day, count.domain, count.sighting), count.messages));
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Kind, u64>> {
        // The map is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::authentication::{AuthResult, DmarcPolicy};
    use postfleet_core::dmarc_report::Spf;

    fn sighting(number: u32) -> Sighting {
        Sighting {
            source: std::net::IpAddr::V4(number.into()),
            disposition: DmarcPolicy::None,
            dkim_aligned: false,
            spf_aligned: false,
            exception: None,
            header_from: "a.test".to_owned(),
            envelope_from: "a.test".to_owned(),
            signatures: Vec::new(),
            spf: Spf { domain: "a.test".to_owned(), is_helo: false, result: AuthResult::None },
        }
    }

    #[test]
    fn memory_has_an_end_and_what_is_known_goes_on_counting() {
        let tally = Tally::default();
        let day = UtcDay::from_number(1);
        for number in 0..=KINDS_MAX as u32 {
            tally.add(day, "a.test".to_owned(), sighting(number));
        }
        tally.add(day, "a.test".to_owned(), sighting(0));
        let taken = tally.take();
        assert_eq!(taken.len(), KINDS_MAX);
        assert_eq!(taken.iter().map(|count| count.messages).sum::<u64>(), KINDS_MAX as u64 + 1);
        assert!(tally.take().is_empty());
        tally.give_back(taken);
        tally.add(day, "a.test".to_owned(), sighting(0));
        assert_eq!(tally.take().iter().map(|count| count.messages).max(), Some(3));
    }
}
