//! Sums of the ledger of outcomes, which a duty brings up to date, so that sends pay nothing for them; and with them the
//! table of whose its rows are.
//!
//! Each row is in the sums exactly once. The head says up to which id they go. It moves in the transaction that adds the
//! rows, under its lock, which is taken when everything else of the batch is done. Whoever writes rows holds the head
//! where it is until the commit (a shared lock), and adds rows whose ids are behind it to the sums itself: so nothing
//! depends on clocks, or on the order in which nodes commit.

use crate::db::{Db, DbError, Param, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::send_events::{self, SendEvent};
use crate::senders;
use postfleet_core::bounce::BounceType;
use postfleet_core::exchange::hour;
use postfleet_core::id::{ApplicationId, SendEventId};
use postfleet_core::send_event::SendEventKind;
use postfleet_core::send_figures::Sums;
use postfleet_core::{UnixMicros, UtcDay};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Rows behind the head that one answer adds to the sums. The duty is seconds behind, so that there are more only if it
/// does not keep up.
const TAIL_MAX: i64 = 20_000;

/// By what is summed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dimension {
    /// The whole application.
    Application,
    /// The domain of the sender.
    SendingDomain,
    /// The address of the sender.
    Account,
    /// The domain of the recipient.
    RecipientDomain,
    /// The whole application, by hours instead of days.
    Hours,
}

impl Dimension {
    const ALL: [Self; 5] = [Self::Application, Self::SendingDomain, Self::Account, Self::RecipientDomain, Self::Hours];

    fn period(self, at: UnixMicros) -> i64 {
        if self == Self::Hours { hour(at) } else { at.day().number() }
    }
}

/// What of a row is summed.
struct Outcome {
    id: SendEventId,
    application: Uuid,
    kind: SendEventKind,
    bounce: Option<BounceType>,
    sender: String,
    sender_domain: String,
    recipient_domain: String,
}

impl Outcome {
    fn of(event: &SendEvent) -> Self {
        Self {
            id: event.id,
            application: event.sent.application_id.uuid(),
            kind: event.kind,
            bounce: event.bounce,
            sender: event.sent.sender.to_string(),
            sender_domain: event.sent.sender.domain().to_string(),
            recipient_domain: event.recipient.as_ref().map(|to| to.domain().to_string()).unwrap_or_default(),
        }
    }

    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: SendEventId::from_uuid(row.uuid(0)?),
            application: row.uuid(1)?,
            kind: SendEventKind::numbered(row.int(2)?).ok_or(DbError::Malformed("kind of a send event"))?,
            bounce: row.opt_text(3)?.and_then(|name| BounceType::named(&name)),
            sender: row.text(4)?,
            sender_domain: row.text(5)?,
            recipient_domain: row.text(6)?,
        })
    }

    fn key(&self, dimension: Dimension) -> &str {
        match dimension {
            Dimension::Application | Dimension::Hours => "",
            Dimension::SendingDomain => &self.sender_domain,
            Dimension::Account => &self.sender,
            Dimension::RecipientDomain => &self.recipient_domain,
        }
    }
}

/// Application, dimension, period and key: in this order they are locked.
type Key<'a> = (Uuid, Dimension, i64, &'a str);

/// By period and key.
type ByPeriod = BTreeMap<(i64, String), Sums>;

fn sums_of(outcomes: &[Outcome]) -> BTreeMap<Key<'_>, Sums> {
    let mut sums: BTreeMap<Key<'_>, Sums> = BTreeMap::new();
    for outcome in outcomes {
        let at = outcome.id.made_at();
        for dimension in Dimension::ALL {
            let key = (outcome.application, dimension, dimension.period(at), outcome.key(dimension));
            sums.entry(key).or_default().count(outcome.kind, outcome.bounce);
        }
    }
    sums
}

/// Adds to the sums, in the order of their keys.
async fn add(db: &mut Db, outcomes: &[Outcome]) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO send_sums (application_id, dimension, period, key, accepted, delivered, hard, soft, \
        undetermined, complaints, rejected) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        ON CONFLICT (application_id, dimension, period, key) DO UPDATE SET \
        accepted = send_sums.accepted + excluded.accepted, delivered = send_sums.delivered + excluded.delivered, \
        hard = send_sums.hard + excluded.hard, soft = send_sums.soft + excluded.soft, \
        undetermined = send_sums.undetermined + excluded.undetermined, \
        complaints = send_sums.complaints + excluded.complaints, rejected = send_sums.rejected + excluded.rejected";
    if outcomes.is_empty() {
        return Ok(());
    }
    let added = sums_of(outcomes);
    let rows: Vec<Vec<Param<'_>>> = added.iter().map(|(key, sums)| row(key, sums)).collect();
    db.execute_each(ADD, &rows).await?;
    let sent = outcomes.iter().filter(|outcome| outcome.kind == SendEventKind::Accepted);
    senders::note(db, sent.map(|outcome| (outcome.application, outcome.sender.as_str(), hour(outcome.id.made_at()))))
        .await
}

fn row<'a>((application, dimension, period, key): &Key<'a>, sums: &Sums) -> Vec<Param<'a>> {
    let key = [Param::Uuid(*application), Param::Int(*dimension as i64), Param::Int(*period), Param::Text(key)];
    key.into_iter().chain(sums.in_order().map(|count| Param::Int(count as i64))).collect()
}

/// Adds what the ledger has behind the head to the sums, the oldest first. It is done when the rest of its batch is.
#[derive(Clone, Copy, Debug)]
pub struct SumUp {
    /// Only what happened before this: what comes in meanwhile is written without waiting.
    pub until: UnixMicros,
    /// How many rows at most.
    pub limit: usize,
}

impl Command for SumUp {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.tally().sum_up = Some(*self);
        Ok(())
    }
}

const HOLD: &str = "SELECT last FROM send_sums_head WHERE one = 1 {share}";
const TAKE: &str = "SELECT last FROM send_sums_head WHERE one = 1 {lock}";

pub(crate) const NEXT: &str = "SELECT id, application_id, kind, bounce, sender, sender_domain, recipient_domain \
    FROM send_events WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";

/// What is to be done after a batch has written `rows`: last of all but its events.
pub(crate) async fn settle(db: &mut Db, rows: &[SendEvent], sum_up: Option<SumUp>) -> Result<(), DbError> {
    const MOVE: &str = "UPDATE send_sums_head SET last = $1 WHERE one = 1";
    if rows.is_empty() && sum_up.is_none() {
        return Ok(());
    }
    let head = db.query_one(if sum_up.is_some() { TAKE } else { HOLD }, &[]).await?;
    let head = head.ok_or(DbError::Malformed("head of the sums"))?.uuid(0)?;
    let late: Vec<&SendEvent> = rows.iter().filter(|row| row.id.uuid() <= head).collect();
    send_events::attribute_late(db, &late).await?;
    add(db, &late.into_iter().map(Outcome::of).collect::<Vec<_>>()).await?;
    let Some(SumUp { until, limit }) = sum_up else { return Ok(()) };
    let until = SendEventId::first_at(until).uuid();
    let next = db.query(NEXT, params![head, until, limit as i64]).await?;
    let next = next.iter().map(Outcome::read).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = next.last().map(|last| last.id.uuid()) else { return Ok(()) };
    send_events::attribute(db, head, last).await?;
    add(db, &next).await?;
    db.execute(MOVE, params![last]).await?;
    Ok(())
}

/// Whether there is more behind the head of before a time.
pub async fn is_behind(reader: &mut Reader<'_>, until: UnixMicros) -> Result<bool, StoreError> {
    const ANY: &str = "SELECT id FROM send_events WHERE id > (SELECT last FROM send_sums_head WHERE one = 1) \
        AND id < $1 ORDER BY id LIMIT 1";
    Ok(reader.query_one(ANY, params![SendEventId::first_at(until).uuid()]).await?.is_some())
}

macro_rules! sums {
    ($period:literal, $key:literal, $by:literal) => {
        concat!(
            "SELECT h.last, s.period, s.key, s.accepted, s.delivered, s.hard, s.soft, s.undetermined, s.complaints, \
             s.rejected FROM send_sums_head h LEFT JOIN (SELECT ",
            $period,
            " AS period, ",
            $key,
            " AS key, CAST(sum(accepted) AS {int}) AS accepted, CAST(sum(delivered) AS {int}) AS delivered, \
             CAST(sum(hard) AS {int}) AS hard, CAST(sum(soft) AS {int}) AS soft, \
             CAST(sum(undetermined) AS {int}) AS undetermined, CAST(sum(complaints) AS {int}) AS complaints, \
             CAST(sum(rejected) AS {int}) AS rejected FROM send_sums WHERE application_id = $1 AND dimension = $2 \
             AND period >= $3 AND period <= $4 GROUP BY ",
            $by,
            ") s ON 1 = 1 WHERE h.one = 1"
        )
    };
}

const BY_KEY: &str = sums!("CAST(0 AS {int})", "key", "key");
const BY_PERIOD: &str = sums!("period", "''", "period");

pub(crate) const TAIL: &str = "SELECT id, application_id, kind, bounce, sender, sender_domain, recipient_domain \
    FROM send_events WHERE id > $2 AND application_id = $1 ORDER BY id LIMIT $3";

/// The sums of an application from one period to another, by key.
pub async fn by_key(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    dimension: Dimension,
    (from, to): (UtcDay, UtcDay),
) -> Result<BTreeMap<String, Sums>, StoreError> {
    let span = (from.number(), to.number());
    let found = sums(reader, BY_KEY, application, (dimension, span)).await?;
    let mut by_key: BTreeMap<String, Sums> = BTreeMap::new();
    found.into_iter().for_each(|((_, key), sums)| by_key.entry(key).or_default().add(&sums));
    Ok(by_key)
}

/// The sums of an application, day by day; days of which there is nothing are not there.
pub async fn by_day(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    (from, to): (UtcDay, UtcDay),
) -> Result<BTreeMap<UtcDay, Sums>, StoreError> {
    let span = (from.number(), to.number());
    let found = sums(reader, BY_PERIOD, application, (Dimension::Application, span)).await?;
    let mut by_day: BTreeMap<UtcDay, Sums> = BTreeMap::new();
    for ((day, _), sums) in found {
        by_day.entry(UtcDay::from_number(day)).or_default().add(&sums);
    }
    Ok(by_day)
}

/// What is summed already and then what is behind the head that was seen with it: whatever is added to the sums between
/// the two is in the second.
async fn sums(
    reader: &mut Reader<'_>,
    sql: &'static str,
    application: ApplicationId,
    (dimension, (from, to)): (Dimension, (i64, i64)),
) -> Result<ByPeriod, StoreError> {
    let rows = reader.query(sql, params![application.uuid(), dimension as i64, from, to]).await?;
    let (head, mut found) = read_sums(&rows)?;
    let tail = reader.query(TAIL, params![application.uuid(), head, TAIL_MAX]).await?;
    for row in &tail {
        let outcome = Outcome::read(row)?;
        let period = dimension.period(outcome.id.made_at());
        if (from..=to).contains(&period) {
            let key = (period, outcome.key(dimension).to_owned());
            found.entry(key).or_default().count(outcome.kind, outcome.bounce);
        }
    }
    Ok(found)
}

fn read_sums(rows: &[Row]) -> Result<(Uuid, ByPeriod), DbError> {
    let mut found = ByPeriod::new();
    let mut head = Uuid::nil();
    for row in rows {
        head = row.uuid(0)?;
        let (Some(period), Some(key)) = (row.opt_int(1)?, row.opt_text(2)?) else { continue };
        let mut sums = [0; 7];
        for (column, sum) in (3..).zip(&mut sums) {
            *sum = row.count(column)?;
        }
        found.insert((period, key), Sums::of(sums));
    }
    Ok((head, found))
}

/// The sums of an application since the beginning of the hour that was `hours` before now, as far as they go.
pub(crate) async fn of_last_hours(
    tx: &mut Tx,
    application: ApplicationId,
    hours: u64,
    now: UnixMicros,
) -> Result<Sums, DbError> {
    let (to, span) = (hour(now), i64::try_from(hours).unwrap_or(24));
    let values = params![application.uuid(), Dimension::Hours as i64, to - span, to];
    let rows = tx.query(BY_KEY, values).await?;
    Ok(read_sums(&rows)?.1.into_values().next().unwrap_or_default())
}

/// Removes sums of days, or of hours, that are over, and who sent in them.
#[derive(Clone, Copy, Debug)]
pub struct PruneSums {
    /// Days before this go.
    pub before: UtcDay,
    /// Hours before this go.
    pub hours_before: UnixMicros,
    /// How many of each at once.
    pub limit: usize,
}

pub(crate) const PRUNE: &str = "DELETE FROM send_sums WHERE (application_id, dimension, period, key) IN \
    (SELECT s.application_id, s.dimension, s.period, s.key FROM send_sums s WHERE s.dimension = $1 AND s.period < $2 \
    ORDER BY s.period LIMIT $3)";

impl Command for PruneSums {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        let mut gone = 0;
        for dimension in Dimension::ALL {
            let before = if dimension == Dimension::Hours { hour(self.hours_before) } else { self.before.number() };
            gone += tx.execute(PRUNE, params![dimension as i64, before, self.limit as i64]).await?;
        }
        Ok(gone + senders::prune(tx, self.hours_before, self.limit).await?)
    }
}
