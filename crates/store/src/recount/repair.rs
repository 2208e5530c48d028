//! Who counts anew when, what was found, and setting right what was wrong.

use super::{Counter, Drift, Subject};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::meters::Column;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::OrganizationId;
use serde_json::{Value, json};

/// Takes the organization that waits longest to be counted anew.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRecount {
    /// Now.
    pub now: UnixMicros,
    /// When another node may take it, should this one not come to an end.
    pub until: UnixMicros,
}

pub(crate) const DUE: &str =
    "SELECT id FROM organizations WHERE recount_at <= $1 ORDER BY recount_at, id LIMIT 1 {skip_locked}";

impl Command for ClaimRecount {
    /// `None` if none is due.
    type Outcome = Option<OrganizationId>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Outcome, DbError> {
        const TAKE: &str = "UPDATE organizations SET recount_at = $2 WHERE id = $1";
        let Some(row) = tx.query_one(DUE, params![self.now.as_micros()]).await? else { return Ok(None) };
        tx.execute(TAKE, params![row.uuid(0)?, self.until.as_micros()]).await?;
        Ok(Some(OrganizationId::from_uuid(row.uuid(0)?)))
    }
}

/// Keeps what was found, and says when to count anew the next time.
#[derive(Clone, Debug)]
pub struct SaveRecount {
    /// Whose.
    pub organization_id: OrganizationId,
    /// What was found, as JSON.
    pub found: String,
    /// How many counters are wrong.
    pub drift: u64,
    /// When it is due again.
    pub next: UnixMicros,
}

impl Command for SaveRecount {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const SAVE: &str = "UPDATE organizations SET recounted = $2, recount_drift = $3, recount_at = $4 WHERE id = $1";
        let id = self.organization_id.uuid();
        tx.execute(SAVE, params![id, &self.found, self.drift as i64, self.next.as_micros()]).await?;
        Ok(())
    }
}

/// Sets counters right, each by the difference that was found: what was counted since stays counted.
#[derive(Clone, Debug)]
pub struct Repair {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub organization_id: OrganizationId,
    /// How often it had been repaired when this drift was found.
    pub repairs: i64,
    /// What is wrong.
    pub drift: Vec<Drift>,
}

impl Command for Repair {
    /// False if somebody else has repaired something since: nothing was changed then.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT repairs FROM organizations WHERE id = $1 {lock}";
        const COUNT: &str = "UPDATE organizations SET repairs = repairs + 1 WHERE id = $1";
        let id = self.organization_id.uuid();
        let Some(row) = tx.query_one(LOCK, params![id]).await? else { return Ok(false) };
        if row.int(0)? != self.repairs {
            return Ok(false);
        }
        tx.execute(COUNT, params![id]).await?;
        for drift in &self.drift {
            correct(tx, drift).await?;
        }
        self.record(tx).await?;
        Ok(true)
    }
}

async fn correct(tx: &mut Tx, drift: &Drift) -> Result<(), DbError> {
    const ACCOUNTS: &str = "UPDATE organizations SET grant_count = grant_count + $2 WHERE id = $1";
    const APPLICATION: &str = "SELECT id FROM applications WHERE id = $1";
    const KEPT: &str = "UPDATE mailboxes SET storage_octets = storage_octets + $2 WHERE grant_id = $1";
    const SENT: &str = "INSERT INTO daily_sends (grant_id, day, sent) VALUES ($1, $2, $3) \
        ON CONFLICT (grant_id, day) DO UPDATE SET sent = daily_sends.sent + $3";
    const RECEIVED: &str = "INSERT INTO daily_sends (grant_id, day, sent, received) VALUES ($1, $2, 0, $3) \
        ON CONFLICT (grant_id, day) DO UPDATE SET received = daily_sends.received + $3";
    let by = drift.recounted - drift.counted;
    let owner = match drift.subject {
        Subject::Grant(grant) => {
            let is_there = drafts::lock(tx, grant).await?;
            match drift.counter {
                Counter::Storage => tx.execute(KEPT, params![grant.uuid(), by]).await?,
                Counter::DailyReceived(day) if is_there => {
                    tx.execute(RECEIVED, params![grant.uuid(), day.number(), by]).await?
                }
                Counter::DailySends(day) if is_there => {
                    tx.execute(SENT, params![grant.uuid(), day.number(), by]).await?
                }
                _ => 0,
            };
            return Ok(());
        }
        Subject::Application(id) => {
            // It may have been removed, and its counters with it.
            if tx.query_one(APPLICATION, params![id.uuid()]).await?.is_none() {
                return Ok(());
            }
            id.uuid()
        }
        Subject::Organization(id) => id.uuid(),
    };
    let (column, month) = match drift.counter {
        Counter::Accounts => {
            tx.execute(ACCOUNTS, params![owner, by]).await?;
            return Ok(());
        }
        Counter::DailySends(_) | Counter::DailyReceived(_) => return Ok(()),
        Counter::Storage => (Column::Stored, None),
        Counter::MonthlySends(month) => (Column::Sent, Some(month)),
        Counter::SendsOfRemoved(month) => (Column::SentByRemoved, Some(month)),
        Counter::OctetsIn(month) => (Column::OctetsIn, Some(month)),
        Counter::OctetsOut(month) => (Column::OctetsOut, Some(month)),
    };
    tx.tally().correct(owner, month, column, by);
    Ok(())
}

impl Repair {
    async fn record(&self, tx: &mut Tx) -> Result<(), DbError> {
        let all = |value: fn(&Drift) -> i64| {
            let one = |drift: &Drift| {
                let (scope, id) = match drift.subject {
                    Subject::Organization(id) => ("organization", id.to_string()),
                    Subject::Application(id) => ("application", id.to_string()),
                    Subject::Grant(id) => ("grant", id.to_string()),
                };
                json!({"meter": drift.counter.name(), "scope": scope, "id": id, "period": drift.counter.period(),
                    "value": value(drift)})
            };
            json!({"counters": self.drift.iter().map(one).collect::<Value>()}).to_string()
        };
        let (before, after) = (all(|drift| drift.counted), all(|drift| drift.recounted));
        let target = self.organization_id.to_string();
        let change = Change {
            action: "usage.repaired",
            target_kind: "organization",
            target_id: &target,
            before: Some(&before),
            after: Some(&after),
        };
        audit::record(tx, &self.act.to(self.organization_id), change).await
    }
}
