//! What follows when the DNS was looked at: the state of each record, whether the domain is owned and may send, and
//! whether its next keys take over. All of it changes together or not at all.

use super::{DomainDetails, PublishedKey, RecordStates, RegisteredDomain, keys, manage, read, write_record};
use crate::audit;
use crate::db::DbError;
use crate::domains::keys::KeyState;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::domain_check::Judgement;
use postfleet_core::domain_records::{RETIRED_KEEP, RecordKind, RecordStatus, after_check, next_check};
use postfleet_core::id::{DomainId, OrganizationId};
use std::time::Duration;

/// What was found for one record.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its kind.
    pub kind: RecordKind,
    /// The selector of a signing key; empty for all other kinds.
    pub selector: String,
    /// What the DNS answered.
    pub judgement: Judgement,
}

/// Records what the DNS was found to hold for some records of a domain.
#[derive(Clone, Debug)]
pub struct RecordChecks {
    /// Which domain of the act's organization.
    pub id: DomainId,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What must be right before a domain may send.
    pub required_to_send: Vec<RecordKind>,
    /// How often a domain that may send is looked at again.
    pub recheck: Duration,
    /// By whom.
    pub act: Act,
}

/// What became of [`RecordChecks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// It is recorded; whether anything but texts and times changed by it.
    Recorded(bool),
    /// The organization has no such domain any more.
    Unknown,
}

impl Command for RecordChecks {
    type Outcome = CheckOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CheckOutcome, DbError> {
        let Some(before) = self.lock(tx).await? else { return Ok(CheckOutcome::Unknown) };
        let mut after = before.clone();
        self.apply(&mut after);
        let removed = succeed(&mut after, self.act.at);
        self.judge(&mut after);
        let has_changed = describe(&before) != describe(&after);
        if has_changed {
            after.domain.updated_at = self.act.at;
        }
        self.write(tx, &before, &after, &removed).await?;
        if has_changed {
            self.record(tx, &before, &after).await?;
        }
        Ok(CheckOutcome::Recorded(has_changed))
    }
}

impl RecordChecks {
    async fn lock(&self, tx: &mut Tx) -> Result<Option<DomainDetails>, DbError> {
        let id = self.id.uuid();
        let Some(row) = tx.query_one(manage::LOCK, params![id, self.act.organization_id.uuid()]).await? else {
            return Ok(None);
        };
        let domain = read(&row)?;
        let rows = tx.query(manage::RECORDS_OF_DOMAIN, params![id]).await?;
        let states = rows.iter().map(super::read_record).collect::<Result<RecordStates, DbError>>()?;
        let rows = tx.query(keys::OF_DOMAIN, params![id]).await?;
        let keys = rows.iter().map(keys::read).collect::<Result<Vec<_>, DbError>>()?;
        Ok(Some(DomainDetails { domain, states, keys }))
    }

    /// Takes the findings in. What was asked before a key went away, or of a domain that is exempt, says nothing.
    fn apply(&self, details: &mut DomainDetails) {
        for finding in &self.findings {
            let key = details.keys.iter().find(|key| key.selector == finding.selector);
            let counts = match finding.kind {
                RecordKind::Dkim => key.is_some_and(|k| !details.domain.is_exempt() || k.state == KeyState::Next),
                _ => !details.domain.is_exempt(),
            };
            if counts {
                let state = details.states.entry((finding.kind, finding.selector.clone())).or_default();
                *state = after_check(state, &finding.judgement, self.act.at);
            }
        }
    }

    /// Whether the domain is owned, and whether it may send.
    fn judge(&self, details: &mut DomainDetails) {
        if details.domain.is_exempt() {
            return;
        }
        let at = self.act.at;
        let is_owned = details.is_done(RecordKind::Ownership);
        let is_verified = self.required_to_send.iter().all(|kind| details.is_done(*kind));
        details.domain.owned_at = is_owned.then(|| details.domain.owned_at.unwrap_or(at));
        details.domain.verified_at = is_verified.then(|| details.domain.verified_at.unwrap_or(at));
    }

    async fn write(
        &self,
        tx: &mut Tx,
        before: &DomainDetails,
        after: &DomainDetails,
        removed: &[String],
    ) -> Result<(), DbError> {
        const DOMAIN: &str = "UPDATE domains SET owned_at = $1, verified_at = $2, check_at = $3, updated_at = $4 \
            WHERE id = $5";
        const KEY: &str = "UPDATE dkim_keys SET state = $1, retired_at = $2 WHERE domain_id = $3 AND selector = $4";
        const FORGET: [&str; 2] = [
            "DELETE FROM dkim_keys WHERE domain_id = $1 AND selector = $2",
            "DELETE FROM domain_records WHERE domain_id = $1 AND selector = $2",
        ];
        let id = self.id.uuid();
        for selector in removed {
            for statement in FORGET {
                tx.execute(statement, params![id, selector]).await?;
            }
        }
        for (record, state) in after.states.iter().filter(|(record, state)| before.states.get(record) != Some(state)) {
            write_record(tx, self.id, record, state).await?;
        }
        for key in after.keys.iter().filter(|key| !before.keys.contains(key)) {
            let retired_at = key.retired_at.map(UnixMicros::as_micros);
            tx.execute(KEY, params![key.state.name(), retired_at, id, &key.selector]).await?;
        }
        let micros = |time: Option<UnixMicros>| time.map(UnixMicros::as_micros);
        let domain = &after.domain;
        let values = params![
            micros(domain.owned_at),
            micros(domain.verified_at),
            micros(self.next(after)),
            domain.updated_at.as_micros(),
            id
        ];
        tx.execute(DOMAIN, values).await?;
        Ok(())
    }

    /// When to look again; never, at an exempt domain whose keys stay as they are.
    fn next(&self, details: &DomainDetails) -> Option<UnixMicros> {
        let (domain, at) = (&details.domain, self.act.at);
        let started = details.keys.iter().filter(|key| key.state == KeyState::Next).map(|key| key.created_at).max();
        if let Some(started) = started {
            return Some(next_check(false, started.max(domain.created_at), at, self.recheck));
        }
        let retired = details.keys.iter().filter_map(|key| Some(key.retired_at?.plus(RETIRED_KEEP))).min();
        if domain.is_exempt() {
            return retired;
        }
        let regular = next_check(domain.verified_at.is_some(), domain.created_at, at, self.recheck);
        Some(retired.map_or(regular, |retired| retired.min(regular)))
    }

    async fn record(&self, tx: &mut Tx, before: &DomainDetails, after: &DomainDetails) -> Result<(), DbError> {
        let (target_id, before, after) = (self.id.to_string(), describe(before), describe(after));
        let change = audit::Change {
            action: "domain.checked",
            target_kind: "domain",
            target_id: &target_id,
            before: Some(&before),
            after: Some(&after),
        };
        audit::record(tx, &self.act, change).await
    }
}

/// Lets the next keys take over once all of them are published, and drops those that retired long enough ago; answers
/// the selectors of the latter.
fn succeed(details: &mut DomainDetails, at: UnixMicros) -> Vec<String> {
    let DomainDetails { states, keys, .. } = details;
    let is_published = |key: &PublishedKey| {
        let state = states.get(&(RecordKind::Dkim, key.selector.clone()));
        state.is_some_and(|state| state.status == RecordStatus::Done && state.failures == 0)
    };
    let mut next = keys.iter().filter(|key| key.state == KeyState::Next).peekable();
    if next.peek().is_some() && next.all(is_published) {
        for key in keys.iter_mut() {
            match key.state {
                KeyState::Active => (key.state, key.retired_at) = (KeyState::Retired, Some(at)),
                KeyState::Next => key.state = KeyState::Active,
                KeyState::Retired => {}
            }
        }
    }
    let is_over = |key: &PublishedKey| key.retired_at.is_some_and(|retired| retired.plus(RETIRED_KEEP) <= at);
    let removed: Vec<String> = keys.iter().filter(|key| is_over(key)).map(|key| key.selector.clone()).collect();
    keys.retain(|key| !is_over(key));
    states.retain(|(_, selector), _| selector.is_empty() || !removed.contains(selector));
    removed
}

/// What of a domain is worth a record when it changes, as JSON.
fn describe(details: &DomainDetails) -> String {
    let RegisteredDomain { name, owned_at, verified_at, .. } = &details.domain;
    let records: serde_json::Map<String, serde_json::Value> = details
        .states
        .iter()
        .map(|((kind, selector), state)| {
            let name = if selector.is_empty() { kind.name().to_owned() } else { format!("{}:{selector}", kind.name()) };
            (name, state.status.name().into())
        })
        .collect();
    let keys: serde_json::Map<String, serde_json::Value> =
        details.keys.iter().map(|key| (key.selector.clone(), key.state.name().into())).collect();
    let (owned, verified) = (owned_at.is_some(), verified_at.is_some());
    serde_json::json!({"domain_address": name.as_str(), "can_receive": owned, "can_send": verified,
        "records": records, "dkim_keys": keys})
    .to_string()
}

/// Takes domains that are due to be looked at, so that no other node looks at them meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct ClaimChecks {
    /// The present.
    pub now: UnixMicros,
    /// When they are due again if nothing comes of it.
    pub until: UnixMicros,
    /// How many at most.
    pub limit: usize,
}

macro_rules! due {
    () => {
        "SELECT id FROM domains WHERE check_at <= $1 ORDER BY check_at LIMIT $2"
    };
}

#[cfg(test)]
pub(crate) const DUE: &str = due!();

impl Command for ClaimChecks {
    /// The domains, with their organizations.
    type Outcome = Vec<(OrganizationId, DomainId)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Outcome, DbError> {
        const CLAIM: &str = concat!(
            "UPDATE domains SET check_at = $3 WHERE id IN (",
            due!(),
            " {skip_locked}) RETURNING organization_id, id"
        );
        let values = params![self.now.as_micros(), self.limit as i64, self.until.as_micros()];
        let rows = tx.query(CLAIM, values).await?;
        rows.iter()
            .map(|row| Ok((OrganizationId::from_uuid(row.uuid(0)?), DomainId::from_uuid(row.uuid(1)?))))
            .collect()
    }
}
