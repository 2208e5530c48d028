//! How much each mailbox sent on each day, and how much it may after it came back.

use crate::history::Account;
use std::collections::BTreeMap;

#[derive(Clone, Default)]
pub struct Ramps {
    sent: BTreeMap<(Account, i64), u64>,
    /// Since which day, a tenth of the highest day, that day, and what was sent before.
    begun: BTreeMap<Account, (i64, u64, u64)>,
}

impl Ramps {
    fn on(&self, account: Account, day: i64) -> u64 {
        self.sent.get(&(account, day)).copied().unwrap_or(0)
    }

    pub fn sent(&mut self, account: Account, day: i64) {
        *self.sent.entry((account, day)).or_default() += 1;
    }

    /// No server ever answered: it took nothing.
    pub fn gave_back(&mut self, account: Account, day: i64) {
        if let Some(sent) = self.sent.get_mut(&(account, day)) {
            *sent -= 1;
        }
    }

    pub fn begin(&mut self, account: Account, day: i64) {
        let highest = (day - 29..=day).map(|day| self.on(account, day)).max().unwrap_or(0);
        self.begun.insert(account, (day, highest, self.on(account, day)));
    }

    /// On the first day a tenth of the highest of 30, at least 20, beside what went before; each day twice as many, until
    /// that was above the highest, or 14 days are over.
    pub fn allow(&self, account: Account, day: i64) -> bool {
        let Some((began, highest, before)) = self.begun.get(&account).copied() else { return true };
        let mut most = highest.div_ceil(10).max(20);
        if day == began {
            return self.on(account, day) < most + before;
        }
        for _ in began + 1..=day {
            if most > highest {
                return true;
            }
            most *= 2;
        }
        day - began >= 14 || self.on(account, day) < most
    }
}
