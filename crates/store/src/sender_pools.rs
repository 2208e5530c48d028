//! Pools of mailboxes to send from: making and changing them, reading how their members stand, and who has written to whom.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::limits;
use crate::params;
use crate::raises;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, DomainId, GrantId, MessageId, SenderPoolId};
use postfleet_core::plan::{Limits, Plan};
use postfleet_core::quota::Allowance;
use postfleet_core::reputation::State;
use postfleet_core::sender_pool::POOLS_MAX;
use postfleet_core::warm_up::{Course, WarmUp};
use postfleet_core::{EmailAddress, UnixMicros, UtcDay};
use serde_json::json;
use std::time::Duration;

/// For how long it is remembered who wrote to whom, from the last message on.
pub const REMEMBERED: Duration = Duration::from_secs(90 * 86_400);

/// Days of which a member's share is told, today included.
pub const SHARE_DAYS: i64 = 7;

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderPool {
    /// Its id.
    pub id: SenderPoolId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// Its mailboxes, in the order of their ids. Those that were removed are none.
    pub grants: Vec<GrantId>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolOutcome {
    /// It is so now.
    Done(SenderPool),
    /// The application has as many pools as it may.
    TooMany,
    /// The application has no such mailbox.
    NoSuchGrant(GrantId),
    /// The application has no such pool.
    NotFound,
}

/// Makes a pool, or changes one.
#[derive(Clone, Debug)]
pub struct PutSenderPool {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: SenderPoolId,
    /// Whether it is new.
    pub is_new: bool,
    /// Its name; stays if absent.
    pub name: Option<String>,
    /// Its mailboxes; they stay if absent.
    pub grants: Option<Vec<GrantId>>,
}

impl Command for PutSenderPool {
    type Outcome = PoolOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<PoolOutcome, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const COUNT: &str = "SELECT count(*) FROM sender_pools WHERE application_id = $1";
        const WRITE: &str = "INSERT INTO sender_pools (id, application_id, name, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $4) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
            updated_at = excluded.updated_at";
        const FORGET: &str = "DELETE FROM sender_pool_members WHERE pool_id = $1";
        const INSERT: &str = "INSERT INTO sender_pool_members (pool_id, grant_id, domain) VALUES ($1, $2, $3)";
        let (application, at) = (self.application_id, self.act.at);
        tx.query_one(LOCK, params![application.uuid()]).await?;
        let before = match lock(tx, application, self.id).await? {
            None if !self.is_new => return Ok(PoolOutcome::NotFound),
            found => found,
        };
        if before.is_none() {
            let row = tx.query_one(COUNT, params![application.uuid()]).await?;
            if row.map_or(Ok(0), |row| row.count(0))? >= POOLS_MAX {
                return Ok(PoolOutcome::TooMany);
            }
        }
        let mut after = before.clone().unwrap_or_else(|| SenderPool {
            id: self.id,
            application_id: application,
            name: String::new(),
            grants: Vec::new(),
            created_at: at,
            updated_at: at,
        });
        if let Some(name) = &self.name {
            after.name.clone_from(name);
        }
        if let Some(grants) = &self.grants {
            after.grants.clone_from(grants);
            after.grants.sort_unstable();
            after.grants.dedup();
        }
        if before.as_ref() == Some(&after) {
            return Ok(PoolOutcome::Done(after));
        }
        let members = match domains_of(tx, &after).await? {
            Ok(members) => members,
            Err(missing) => return Ok(PoolOutcome::NoSuchGrant(missing)),
        };
        after.updated_at = at;
        tx.execute(WRITE, params![self.id.uuid(), application.uuid(), &after.name, at.as_micros()]).await?;
        tx.execute(FORGET, params![self.id.uuid()]).await?;
        for (grant, email) in members {
            tx.execute(INSERT, params![self.id.uuid(), grant.uuid(), email.domain().as_str()]).await?;
        }
        record(tx, &self.act, before.as_ref(), Some(&after)).await?;
        Ok(PoolOutcome::Done(after))
    }
}

/// The addresses of the mailboxes of a pool, or the first that is no mailbox of the application.
async fn domains_of(tx: &mut Tx, pool: &SenderPool) -> Result<Result<Vec<(GrantId, EmailAddress)>, GrantId>, DbError> {
    const FIND: &str = "SELECT email FROM grants WHERE application_id = $1 AND id = $2";
    let mut found = Vec::new();
    for grant in &pool.grants {
        let row = tx.query_one(FIND, params![pool.application_id.uuid(), grant.uuid()]).await?;
        let Some(row) = row else { return Ok(Err(*grant)) };
        found.push((*grant, address(row.str(0)?)?));
    }
    Ok(Ok(found))
}

fn address(text: &str) -> Result<EmailAddress, DbError> {
    EmailAddress::parse(text).map_err(|_| DbError::Malformed("address"))
}

/// Removes a pool. Its mailboxes stay.
#[derive(Clone, Debug)]
pub struct RemoveSenderPool {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: SenderPoolId,
}

impl Command for RemoveSenderPool {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let Some(before) = lock(tx, self.application_id, self.id).await? else { return Ok(false) };
        remove(tx, self.id).await?;
        record(tx, &self.act, Some(&before), None).await?;
        Ok(true)
    }
}

async fn remove(tx: &mut Tx, id: SenderPoolId) -> Result<(), DbError> {
    const REMOVE: [&str; 3] = [
        "DELETE FROM sender_pool_members WHERE pool_id = $1",
        "DELETE FROM sender_pool_recipients WHERE pool_id = $1",
        "DELETE FROM sender_pools WHERE id = $1",
    ];
    for statement in REMOVE {
        tx.execute(statement, params![id.uuid()]).await?;
    }
    Ok(())
}

/// Takes a mailbox that is removed out of all pools.
pub(crate) async fn forget(tx: &mut Tx, grant: GrantId) -> Result<(), DbError> {
    const FORGET: &str = "DELETE FROM sender_pool_members WHERE grant_id = $1";
    tx.execute(FORGET, params![grant.uuid()]).await?;
    Ok(())
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    before: Option<&SenderPool>,
    after: Option<&SenderPool>,
) -> Result<(), DbError> {
    let facts = |pool: &SenderPool| {
        let grants: Vec<String> = pool.grants.iter().map(ToString::to_string).collect();
        json!({"name": pool.name, "grant_ids": grants}).to_string()
    };
    let action = match (before, after) {
        (None, _) => "sender_pool.created",
        (_, Some(_)) => "sender_pool.updated",
        (_, None) => "sender_pool.deleted",
    };
    let target_id = before.or(after).map(|pool| pool.id.to_string()).unwrap_or_default();
    let (before, after) = (before.map(facts), after.map(facts));
    let (before, after) = (before.as_deref(), after.as_deref());
    audit::record(tx, act, Change { action, target_kind: "sender_pool", target_id: &target_id, before, after }).await
}

const MEMBER_IDS: &str = "SELECT grant_id FROM sender_pool_members WHERE pool_id = $1 ORDER BY grant_id";

fn read(row: &Row) -> Result<SenderPool, DbError> {
    Ok(SenderPool {
        id: SenderPoolId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        grants: Vec::new(),
        created_at: UnixMicros::from_micros(row.int(3)?),
        updated_at: UnixMicros::from_micros(row.int(4)?),
    })
}

fn ids(rows: &[Row]) -> Result<Vec<GrantId>, DbError> {
    rows.iter().map(|row| Ok(GrantId::from_uuid(row.uuid(0)?))).collect()
}

async fn lock(tx: &mut Tx, application: ApplicationId, id: SenderPoolId) -> Result<Option<SenderPool>, DbError> {
    const LOCK: &str = "SELECT id, application_id, name, created_at, updated_at FROM sender_pools \
        WHERE id = $1 AND application_id = $2 {lock}";
    let Some(row) = tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await? else { return Ok(None) };
    let grants = ids(&tx.query(MEMBER_IDS, params![id.uuid()]).await?)?;
    Ok(Some(SenderPool { grants, ..read(&row)? }))
}

/// Locks a pool for a send, so that a key that was used for the pool is seen by all of its mailboxes; whether it is there.
pub(crate) async fn hold(tx: &mut Tx, id: SenderPoolId) -> Result<bool, DbError> {
    const HOLD: &str = "SELECT id FROM sender_pools WHERE id = $1 {lock}";
    Ok(tx.query_one(HOLD, params![id.uuid()]).await?.is_some())
}

/// Remembers from which mailbox of a pool somebody was written to.
pub(crate) async fn remember(
    tx: &mut Tx,
    pool: SenderPoolId,
    recipient: &EmailAddress,
    grant: GrantId,
    at: UnixMicros,
) -> Result<(), DbError> {
    const REMEMBER: &str = "INSERT INTO sender_pool_recipients (pool_id, address_key, grant_id, sent_at) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (pool_id, address_key) DO UPDATE SET grant_id = excluded.grant_id, \
        sent_at = excluded.sent_at";
    let key = recipient.key();
    tx.execute(REMEMBER, params![pool.uuid(), &key, grant.uuid(), at.as_micros()]).await?;
    Ok(())
}

pub(crate) const OLD_RECIPIENTS: &str =
    "SELECT pool_id, address_key FROM sender_pool_recipients WHERE sent_at <= $1 ORDER BY sent_at LIMIT $2";

/// Forgets, the oldest first, who was written to long ago.
#[derive(Clone, Copy, Debug)]
pub struct PrunePoolRecipients {
    /// When.
    pub at: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PrunePoolRecipients {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const FORGET: &str =
            "DELETE FROM sender_pool_recipients WHERE pool_id = $1 AND address_key = $2 AND sent_at <= $3";
        let until = self.at.minus(REMEMBERED).as_micros();
        let mut removed = 0;
        for row in tx.query(OLD_RECIPIENTS, params![until, self.limit as i64]).await? {
            removed += tx.execute(FORGET, params![row.uuid(0)?, row.str(1)?, until]).await?;
        }
        Ok(removed)
    }
}

pub(crate) const LIST: &str = "SELECT id, application_id, name, created_at, updated_at FROM sender_pools \
    WHERE application_id = $1 ORDER BY id";

/// An application's pools, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<SenderPool>, StoreError> {
    let mut pools = Vec::new();
    for row in reader.query(LIST, params![application.uuid()]).await? {
        let pool = read(&row)?;
        let grants = ids(&reader.query(MEMBER_IDS, params![pool.id.uuid()]).await?)?;
        pools.push(SenderPool { grants, ..pool });
    }
    Ok(pools)
}

/// Finds a pool of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: SenderPoolId,
) -> Result<Option<SenderPool>, StoreError> {
    const FIND: &str = "SELECT id, application_id, name, created_at, updated_at FROM sender_pools \
        WHERE id = $1 AND application_id = $2";
    let Some(row) = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await? else { return Ok(None) };
    let grants = ids(&reader.query(MEMBER_IDS, params![id.uuid()]).await?)?;
    Ok(Some(SenderPool { grants, ..read(&row)? }))
}

/// The mailbox of a pool from which somebody was written to last, if that is remembered.
pub async fn wrote_to(
    reader: &mut Reader<'_>,
    pool: SenderPoolId,
    recipient: &EmailAddress,
) -> Result<Option<GrantId>, StoreError> {
    const FIND: &str = "SELECT grant_id FROM sender_pool_recipients WHERE pool_id = $1 AND address_key = $2";
    let key = recipient.key();
    let row = reader.query_one(FIND, params![pool.uuid(), &key]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(GrantId::from_uuid))
}

/// The mailbox that has a message.
pub async fn holder_of(reader: &mut Reader<'_>, message: MessageId) -> Result<Option<GrantId>, StoreError> {
    const FIND: &str = "SELECT grant_id FROM messages WHERE id = $1";
    let row = reader.query_one(FIND, params![message.uuid()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(GrantId::from_uuid))
}

/// A mailbox of a pool, with what decides whether it may send.
#[derive(Clone, Debug)]
pub struct PoolMember {
    /// Which.
    pub grant: GrantId,
    /// Its address.
    pub email: EmailAddress,
    /// Its domain, if that is registered.
    pub domain: Option<DomainId>,
    /// Whether the domain may send.
    pub is_verified: bool,
    /// Whether a record that the domain needs is missing just now.
    pub is_drifting: bool,
    /// Where its domain stands.
    pub reputation: State,
    /// Whether something stops it.
    pub is_stopped: bool,
    /// Its messages of the day.
    pub daily: Allowance,
    /// Its domain's warm-up, if that is under way.
    pub warm_up: Option<WarmUp>,
    /// Messages of the last seven days, today included.
    pub sent_lately: u64,
}

pub(crate) const MEMBERS: &str = concat!(
    "SELECT g.id, g.email, d.id, d.verified_at, \
     (SELECT max(CAST(1 AS {int})) FROM domain_records r WHERE r.domain_id = d.id AND r.failures > 0 \
     AND r.kind <> 'mx'), s.sent, o.plan, ",
    raises::in_force!("$3"),
    ", (SELECT CAST(sum(w7.sent) AS {int}) FROM daily_sends w7 WHERE w7.grant_id = g.id AND w7.day > $4 \
     AND w7.day <= $2), wu.start_cap, wu.target, wu.stage, wu.day, wu.used, ",
    limits::policy_limit_columns!(),
    ", rep.state, (SELECT max(CAST(1 AS {int})) FROM stops st WHERE st.grant_id = g.id AND st.lifted_at IS NULL \
     AND st.scope = 'grant' AND st.effect <> 'throttle')",
    " FROM sender_pool_members m JOIN sender_pools sp ON sp.id = m.pool_id \
     JOIN grants g ON g.application_id = sp.application_id AND g.id = m.grant_id \
     JOIN applications a ON a.id = sp.application_id JOIN organizations o ON o.id = a.organization_id \
     LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
     LEFT JOIN domains d ON d.name = m.domain AND d.organization_id = o.id \
     LEFT JOIN daily_sends s ON s.grant_id = g.id AND s.day = $2 \
     LEFT JOIN warm_ups wu ON wu.domain_id = d.id \
     LEFT JOIN reputation rep ON rep.kind = 1 AND rep.subject = m.domain AND rep.organization_id = o.id \
     WHERE m.pool_id = $1 ORDER BY m.grant_id"
);

/// The members of a pool as they stand now.
pub async fn members(
    reader: &mut Reader<'_>,
    pool: SenderPoolId,
    now: UnixMicros,
) -> Result<Vec<PoolMember>, StoreError> {
    let today = now.day();
    let since = today.number() - SHARE_DAYS;
    let rows = reader.query(MEMBERS, params![pool.uuid(), today.number(), now.as_micros(), since]).await?;
    let mut members = Vec::new();
    for row in rows {
        let plan = reader.plan(row.str(6)?)?;
        members.push(member(&row, &plan, today)?);
    }
    Ok(members)
}

fn member(row: &Row, plan: &Plan, today: UtcDay) -> Result<PoolMember, DbError> {
    const WARM_UP: usize = 9;
    const LIMITS: usize = WARM_UP + 5;
    const STANDING: usize = LIMITS + limits::POLICY_LIMIT_COLUMNS;
    let mut limits = Limits::effective(&plan.limits, &limits::policy_limits(row, LIMITS)?);
    limits.raise_daily_sends(&plan.limits, limits::opt_count(row, 7)?);
    let sent = limits::opt_count(row, 5)?.unwrap_or(0);
    let warm_up = match row.opt_int(WARM_UP)? {
        Some(start) => {
            let course = Course { start: start.max(0) as u64, target: row.count(WARM_UP + 1)? };
            let stage = u32::try_from(row.int(WARM_UP + 2)?).map_err(|_| DbError::Malformed("stage"))?;
            let day = UtcDay::from_number(row.int(WARM_UP + 3)?);
            Some(WarmUp { course, stage, day, used: row.count(WARM_UP + 4)? }.on(today))
        }
        None => None,
    };
    Ok(PoolMember {
        grant: GrantId::from_uuid(row.uuid(0)?),
        email: address(row.str(1)?)?,
        domain: row.opt_uuid(2)?.map(DomainId::from_uuid),
        is_verified: row.opt_int(3)?.is_some(),
        is_drifting: row.opt_int(4)?.is_some(),
        daily: Allowance::daily(limits.daily_sends_max, sent, today),
        reputation: row.opt_int(STANDING)?.and_then(State::numbered).unwrap_or(State::Healthy),
        is_stopped: row.opt_int(STANDING + 1)?.is_some(),
        warm_up: warm_up.filter(|warm_up| !warm_up.is_over()),
        sent_lately: limits::opt_count(row, 8)?.unwrap_or(0),
    })
}
