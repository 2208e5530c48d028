//! Warm-ups of sending domains. What is sent is counted in the transaction that accepts it, under a lock, so that the cap of
//! a day holds exactly, however many mailboxes of the domain send at once. A domain without a warm-up costs a send one
//! probe of the primary key.

use crate::audit;
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::DomainId;
use postfleet_core::warm_up::{Course, WarmUp};
use postfleet_core::{UnixMicros, UtcDay};
use serde_json::json;
use uuid::Uuid;

/// A warm-up, with when it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// How far it was when something was last sent.
    pub warm_up: WarmUp,
    /// When it began.
    pub started_at: UnixMicros,
}

macro_rules! columns {
    () => {
        "start_cap, target, stage, day, used, started_at"
    };
}

fn read(row: &Row) -> Result<Begun, DbError> {
    let course = Course { start: row.count(0)?, target: row.count(1)? };
    let stage = u32::try_from(row.int(2)?).map_err(|_| DbError::Malformed("stage"))?;
    let warm_up = WarmUp { course, stage, day: UtcDay::from_number(row.int(3)?), used: row.count(4)? };
    Ok(Begun { warm_up, started_at: UnixMicros::from_micros(row.int(5)?) })
}

const LOCK: &str = concat!("SELECT ", columns!(), " FROM warm_ups WHERE domain_id = $1 {lock}");

/// How far the warm-up of a domain is today, which no other send changes until the end of the transaction.
pub(crate) async fn lock(tx: &mut Tx, domain: Option<Uuid>, today: UtcDay) -> Result<Option<WarmUp>, DbError> {
    let Some(domain) = domain else { return Ok(None) };
    let row = tx.query_one(LOCK, params![domain]).await?;
    Ok(row.as_ref().map(read).transpose()?.map(|begun| begun.warm_up.on(today)))
}

/// Counts a send that was judged by [`lock`].
pub(crate) async fn count(tx: &mut Tx, domain: Option<Uuid>, judged: Option<WarmUp>) -> Result<(), DbError> {
    const COUNT: &str = "UPDATE warm_ups SET stage = $2, day = $3, used = $4 WHERE domain_id = $1";
    let (Some(domain), Some(Ok(taken))) = (domain, judged.map(WarmUp::take)) else { return Ok(()) };
    let values = params![domain, i64::from(taken.stage), taken.day.number(), taken.used as i64];
    tx.execute(COUNT, values).await?;
    Ok(())
}

/// Begins the warm-up of a domain, or changes where it goes: the day on which it is stays, unless it is over.
#[derive(Clone, Debug)]
pub struct SetWarmUp {
    /// Which domain of the act's organization.
    pub domain: DomainId,
    /// Where it goes.
    pub course: Course,
    /// By whom.
    pub act: Act,
}

impl Command for SetWarmUp {
    /// The warm-up; `None` if the organization has no such domain.
    type Outcome = Option<Begun>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Begun>, DbError> {
        const SET: &str = concat!(
            "INSERT INTO warm_ups (domain_id, ",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (domain_id) DO UPDATE SET start_cap = excluded.start_cap, \
             target = excluded.target, stage = excluded.stage, day = excluded.day, used = excluded.used, \
             started_at = excluded.started_at"
        );
        if !is_of(tx, self.domain, &self.act).await? {
            return Ok(None);
        }
        let today = self.act.at.day();
        let row = tx.query_one(LOCK, params![self.domain.uuid()]).await?;
        let before = row.as_ref().map(read).transpose()?;
        if let Some(begun) = before.filter(|begun| begun.warm_up.course == self.course) {
            return Ok(Some(begun));
        }
        let after = match before.map(|begun| Begun { warm_up: begun.warm_up.on(today), ..begun }) {
            Some(begun) if !begun.warm_up.is_over() => {
                Begun { warm_up: WarmUp { course: self.course, ..begun.warm_up }, ..begun }
            }
            _ => Begun { warm_up: WarmUp::new(self.course, today), started_at: self.act.at },
        };
        let Begun { warm_up, started_at } = after;
        let values = params![
            self.domain.uuid(),
            warm_up.course.start as i64,
            warm_up.course.target as i64,
            i64::from(warm_up.stage),
            warm_up.day.number(),
            warm_up.used as i64,
            started_at.as_micros()
        ];
        tx.execute(SET, values).await?;
        record(tx, &self.act, self.domain, before.as_ref(), Some(&after)).await?;
        Ok(Some(after))
    }
}

/// Ends the warm-up of a domain: nothing is capped any more.
#[derive(Clone, Debug)]
pub struct EndWarmUp {
    /// Which domain of the act's organization.
    pub domain: DomainId,
    /// By whom.
    pub act: Act,
}

impl Command for EndWarmUp {
    /// Whether the organization has such a domain.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const END: &str = "DELETE FROM warm_ups WHERE domain_id = $1";
        if !is_of(tx, self.domain, &self.act).await? {
            return Ok(false);
        }
        let row = tx.query_one(LOCK, params![self.domain.uuid()]).await?;
        if let Some(before) = row.as_ref().map(read).transpose()? {
            tx.execute(END, params![self.domain.uuid()]).await?;
            record(tx, &self.act, self.domain, Some(&before), None).await?;
        }
        Ok(true)
    }
}

/// Whether a domain is of the act's organization; it stays until the end of the transaction.
async fn is_of(tx: &mut Tx, domain: DomainId, act: &Act) -> Result<bool, DbError> {
    const FIND: &str = "SELECT 1 FROM domains WHERE id = $1 AND organization_id = $2 {lock}";
    Ok(tx.query_one(FIND, params![domain.uuid(), act.organization_id.uuid()]).await?.is_some())
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    domain: DomainId,
    before: Option<&Begun>,
    after: Option<&Begun>,
) -> Result<(), DbError> {
    let text = |begun: &Begun| {
        let WarmUp { course, stage, .. } = begun.warm_up;
        json!({"target_per_day": course.target, "start_cap": course.start, "day": stage}).to_string()
    };
    let (before, after) = (before.map(text), after.map(text));
    let action = if after.is_some() { "domain.warm_up_set" } else { "domain.warm_up_ended" };
    let target_id = domain.to_string();
    let (before, after) = (before.as_deref(), after.as_deref());
    audit::record(tx, act, audit::Change { action, target_kind: "domain", target_id: &target_id, before, after }).await
}

/// The warm-up of a domain, if there is one.
pub async fn find(reader: &mut Reader<'_>, domain: DomainId) -> Result<Option<Begun>, StoreError> {
    const FIND: &str = concat!("SELECT ", columns!(), " FROM warm_ups WHERE domain_id = $1");
    let row = reader.query_one(FIND, params![domain.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}
