//! Adding many addresses from a text, each with a reason and an end of its own.

use super::RECORDED_ADDRESSES_MAX;
use super::change::{Wanted, write};
use super::check::check_in;
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::ApplicationId;
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

/// Adds a part of a text. What it says replaces what is there.
#[derive(Clone, Debug)]
pub struct ImportSuppressions {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which, why, and when they end, if they do. Of several for one address the last holds. At most
    /// [`postfleet_core::suppression::ADDRESSES_MAX`].
    pub entries: Vec<(EmailAddress, Reason, Option<UnixMicros>)>,
}

/// What [`ImportSuppressions`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Addresses that were not suppressed before.
    pub added: u64,
    /// Addresses that were, with another reason, note or end.
    pub changed: u64,
}

impl Command for ImportSuppressions {
    /// `None` if there is no such application any more.
    type Outcome = Option<Imported>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Imported>, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        if tx.query_one(LOCK, params![self.application_id.uuid()]).await?.is_none() {
            return Ok(None);
        }
        let addresses = self.entries.iter().map(|(address, ..)| address);
        let before = check_in(tx, self.application_id, addresses, self.act.at).await?;
        let before: HashSet<String> = before.iter().map(|one| one.address.key()).collect();
        let rows = self.entries.iter();
        let rows =
            rows.map(|(address, reason, expires_at)| Wanted { address, reason: *reason, expires_at: *expires_at });
        let rows: Vec<Wanted<'_>> = rows.collect();
        let written = write(tx, self.application_id, &rows, ("import", None), self.act.at).await?;
        let changed = written.iter().filter(|key| before.contains(*key)).count() as u64;
        if !written.is_empty() {
            self.record(tx, &written).await?;
        }
        Ok(Some(Imported { added: written.len() as u64 - changed, changed }))
    }
}

impl ImportSuppressions {
    async fn record(&self, tx: &mut Tx, written: &HashSet<String>) -> Result<(), DbError> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        let mut named = Vec::new();
        let mut seen = HashSet::new();
        for (address, reason, _) in self.entries.iter().rev() {
            let key = address.key();
            if written.contains(&key) && seen.insert(key) {
                *reasons.entry(reason.name()).or_default() += 1;
                named.push(address.to_string());
            }
        }
        named.reverse();
        named.truncate(RECORDED_ADDRESSES_MAX);
        let after = json!({"count": written.len(), "addresses": named, "reasons": reasons, "source": "import"});
        let (target, after) = (self.application_id.to_string(), after.to_string());
        let change = Change {
            action: "suppression.added",
            target_kind: "suppression",
            target_id: &target,
            before: None,
            after: Some(&after),
        };
        audit::record(tx, &self.act, change).await
    }
}
