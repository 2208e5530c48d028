//! Counting anew what an organization uses, and setting right what is wrong.

use crate::operator::Operator;
use postfleet_core::audit::Act;
use postfleet_core::id::{AuditId, OrganizationId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::recount as schema;
use postfleet_store::recount::{self, Drift, Recount, Repair, SaveRecount, Subject};
use postfleet_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often each organization is counted anew.
pub const EVERY: Duration = Duration::from_secs(6 * 3_600);

/// Counters that an answer shows, and that one command sets right.
const SHOWN_MAX: usize = 1_000;
const REPAIRED_MAX: usize = 50;

/// Organizations in which something is wrong that are added up.
const ADRIFT_MAX: usize = 1_000;

/// How often a repair is begun again because somebody else was quicker.
const ATTEMPTS: usize = 3;

/// Counts anew what an organization uses of those that an operator may see. Only the operator of the installation sets
/// right what is wrong.
pub async fn by_operator(
    store: &Store,
    entropy: &dyn Entropy,
    operator: &Operator,
    id: OrganizationId,
    (act, request): (Act, &schema::RecountUsage),
) -> Result<schema::UsageRecount, Problem> {
    if !operator.scope().covers(id) {
        return Err(Problem::not_found());
    }
    let repairs = request.repair == Some(true);
    if repairs {
        operator.for_installation()?;
    }
    let found = run(store, entropy, id, act.at, repairs.then_some(&act)).await?;
    found.ok_or_else(Problem::not_found)
}

/// What was found the last time.
pub async fn last(store: &Store, operator: &Operator, id: OrganizationId) -> Result<schema::UsageRecount, Problem> {
    if !operator.scope().covers(id) {
        return Err(Problem::not_found());
    }
    let last = recount::last(&mut store.reader().await?, id).await?.ok_or_else(Problem::not_found)?;
    let never = || schema::UsageRecount { organization_id: id.to_string(), ..schema::UsageRecount::default() };
    Ok(last.and_then(|found| serde_json::from_str(&found).ok()).unwrap_or_else(never))
}

/// Counts anew what an organization uses, sets it right in the name of `repairer`, and keeps what was found. `None` if
/// there is no such organization.
pub async fn run(
    store: &Store,
    entropy: &dyn Entropy,
    id: OrganizationId,
    now: UnixMicros,
    repairer: Option<&Act>,
) -> Result<Option<schema::UsageRecount>, Problem> {
    let Some(mut found) = recount::of_organization(store, id, now).await? else { return Ok(None) };
    let mut is_repaired = false;
    for _ in 0..ATTEMPTS {
        let Some(act) = repairer.filter(|_| !found.drift.is_empty() && !is_repaired) else { break };
        is_repaired = repair(store, entropy, &found, act).await?;
        if !is_repaired {
            // Somebody else has set something right meanwhile: what is left?
            found = recount::of_organization(store, id, now).await?.ok_or_else(Problem::not_found)?;
        }
    }
    let shown = show(&found, now, is_repaired);
    let drift = if is_repaired { 0 } else { shown.drift_count };
    let text = serde_json::to_string(&shown).map_err(|error| Problem::internal(error.to_string()))?;
    store.run(SaveRecount { organization_id: id, found: text, drift, next: now.plus(EVERY) }).await?;
    Ok(Some(shown))
}

/// Sets counters right, some in each transaction; false if somebody else does so at the same time.
async fn repair(store: &Store, entropy: &dyn Entropy, found: &Recount, act: &Act) -> Result<bool, StoreError> {
    for (repairs, drift) in (found.repairs..).zip(found.drift.chunks(REPAIRED_MAX)) {
        let act = Act { record_id: AuditId::new(act.at, entropy.ten()), ..act.clone() };
        let organization_id = found.organization_id;
        if !store.run(Repair { act, organization_id, repairs, drift: drift.to_vec() }).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn show(found: &Recount, now: UnixMicros, is_repaired: bool) -> schema::UsageRecount {
    let month = now.day().month();
    schema::UsageRecount {
        organization_id: found.organization_id.to_string(),
        recounted_at: Some(now.as_seconds()),
        months: vec![month.to_string(), month.previous().to_string()],
        mailboxes: found.mailboxes,
        transfers: found.transfers,
        counters: found.counters,
        drift_count: found.drift.len() as u64,
        drift: found.drift.iter().take(SHOWN_MAX).map(show_drift).collect(),
        is_repaired,
    }
}

fn show_drift(drift: &Drift) -> schema::UsageDrift {
    let (scope, id) = match drift.subject {
        Subject::Organization(id) => ("organization", id.to_string()),
        Subject::Application(id) => ("application", id.to_string()),
        Subject::Grant(id) => ("grant", id.to_string()),
    };
    schema::UsageDrift {
        meter: drift.counter.name().to_owned(),
        scope: scope.to_owned(),
        id,
        period: drift.counter.period(),
        counted: drift.counted,
        recounted: drift.recounted,
        difference: drift.counted - drift.recounted,
    }
}

/// How many counters of each meter are wrong in all organizations, by what was found the last time.
pub async fn adrift(store: &Store) -> Result<BTreeMap<&'static str, u64>, Problem> {
    let mut sums: BTreeMap<_, _> = recount::Counter::NAMES.iter().map(|name| (*name, 0)).collect();
    for found in recount::adrift(&mut store.reader().await?, ADRIFT_MAX).await? {
        let found: schema::UsageRecount = serde_json::from_str(&found).unwrap_or_default();
        for drift in found.drift {
            if let Some(sum) = sums.get_mut(drift.meter.as_str()) {
                *sum += 1;
            }
        }
    }
    Ok(sums)
}
