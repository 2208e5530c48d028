//! Destinations as a whole: which do not answer, which somebody has paused or rerouted, and when it is their turn.

use super::claim::set_turn_when_due;
use crate::audit;
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::organizations::Scope;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::destination::Episode;
use postfleet_core::id::MessageId;
use postfleet_core::{Domain, Patch, UnixMicros};
use serde_json::json;

/// What an attempt says about its destination as a whole.
#[derive(Clone, Debug)]
pub enum News {
    /// Nobody answered.
    Down {
        /// Which.
        destination: String,
        /// When the attempt began.
        began: UnixMicros,
        /// What stood in the way, for people.
        reply: String,
        /// Chance, 0 to 255.
        jitter: u8,
    },
    /// It answers again.
    Up {
        /// Which.
        destination: String,
    },
}

impl News {
    /// What follows for the destination if it does not answer. It is locked, and before any row: as a claim does.
    pub(super) async fn judge(&self, tx: &mut Tx, now: UnixMicros) -> Result<Option<Episode>, DbError> {
        let Self::Down { destination, began, jitter, .. } = self else { return Ok(None) };
        let previous = episode(tx, destination).await?;
        Ok(Some(Episode::after(previous, *began, now, *jitter)))
    }

    /// `has_parked` tells that rows have just been parked behind it.
    pub(super) async fn write(
        &self,
        tx: &mut Tx,
        episode: Option<Episode>,
        has_parked: bool,
        now: UnixMicros,
    ) -> Result<(), DbError> {
        match self {
            Self::Down { destination, reply, .. } => {
                let Some(episode) = episode else { return Ok(()) };
                fail(tx, destination, episode, reply, now).await?;
                // Perhaps the last one has just been given up.
                if has_parked { Ok(()) } else { set_turn_when_due(tx, destination, episode.until).await }
            }
            Self::Up { destination } => {
                const UP: &str = "UPDATE destinations SET failures = 0, failing_since = NULL, failed_at = NULL, \
                    until = NULL, turn_at = CASE WHEN paused = 1 THEN NULL ELSE CAST($2 AS {int}) END, updated_at = $2 \
                    WHERE name = $1";
                tx.execute(UP, params![destination, now.as_micros()]).await?;
                tx.wake_queue();
                Ok(())
            }
        }
    }
}

async fn episode(tx: &mut Tx, destination: &str) -> Result<Option<Episode>, DbError> {
    const LOCK: &str = "SELECT failures, failing_since, failed_at, until FROM destinations WHERE name = $1 {lock}";
    let Some(row) = tx.query_one(LOCK, params![destination]).await? else { return Ok(None) };
    let failures = u32::try_from(row.int(0)?).unwrap_or(u32::MAX);
    let at = |column| row.opt_int(column).map(|at| at.map(UnixMicros::from_micros));
    let (Some(since), Some(failed_at), Some(until)) = (at(1)?, at(2)?, at(3)?) else { return Ok(None) };
    Ok((failures > 0).then_some(Episode { failures, since, failed_at, until }))
}

async fn fail(tx: &mut Tx, name: &str, episode: Episode, reply: &str, now: UnixMicros) -> Result<(), DbError> {
    const FAIL: &str = "INSERT INTO destinations (name, failures, failing_since, failed_at, until, turn_at, last_reply, \
        updated_at) VALUES ($1, $2, $3, $4, $5, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET \
        failures = excluded.failures, failing_since = excluded.failing_since, failed_at = excluded.failed_at, \
        until = excluded.until, last_reply = excluded.last_reply, updated_at = excluded.updated_at, \
        turn_at = CASE WHEN destinations.paused = 1 THEN NULL ELSE excluded.turn_at END";
    let values = params![
        name,
        i64::from(episode.failures),
        episode.since.as_micros(),
        episode.failed_at.as_micros(),
        episode.until.as_micros(),
        reply,
        now.as_micros()
    ];
    tx.execute(FAIL, values).await?;
    Ok(())
}

/// Where a message for a domain is to go, as far as the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearing {
    /// The domain is ours.
    pub is_ours: bool,
    /// Where an operator sends it, `HOST:PORT`: the message's own route before the destination's.
    pub route: Option<String>,
}

/// Whether a message that is on its way was sent by a sandbox application.
pub async fn is_of_sandbox(reader: &mut Reader<'_>, id: MessageId) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT a.environment FROM outbound o JOIN applications a ON a.id = o.application_id \
        WHERE o.message_id = $1";
    let row = reader.query_one(FIND, params![id.uuid()]).await?;
    Ok(row.map(|row| row.text(0)).transpose()?.is_some_and(|environment| environment == "sandbox"))
}

/// Finds out where a message for a domain is to go. A name that somebody has merely registered attracts nobody's mail.
pub async fn bearing(reader: &mut Reader<'_>, id: MessageId, domain: &Domain) -> Result<Bearing, StoreError> {
    const FIND: &str = "SELECT (SELECT d.owned_at FROM domains d WHERE d.name = $2 AND d.owned_at IS NOT NULL), \
        (SELECT o.route FROM outbound o WHERE o.message_id = $1), \
        (SELECT t.route FROM destinations t WHERE t.name = $2)";
    let row = reader.query_one(FIND, params![id.uuid(), domain.as_str()]).await?;
    let Some(row) = row else { return Ok(Bearing { is_ours: false, route: None }) };
    Ok(Bearing { is_ours: row.opt_int(0)?.is_some(), route: row.opt_text(1)?.or(row.opt_text(2)?) })
}

/// A destination of which there is something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The domain.
    pub name: String,
    /// Attempts in a row that nobody answered.
    pub failures: u32,
    /// Since when.
    pub failing_since: Option<UnixMicros>,
    /// Until when it is left alone.
    pub until: Option<UnixMicros>,
    /// When rows that wait for it are looked at.
    pub turn_at: Option<UnixMicros>,
    /// Somebody has paused it.
    pub is_paused: bool,
    /// Where it goes instead, `HOST:PORT`.
    pub route: Option<String>,
    /// What stood in the way last.
    pub last_reply: Option<String>,
    /// Recipients in the queue.
    pub depth: u64,
    /// Those of them that wait behind the destination.
    pub parked: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<UnixMicros>,
}

/// Rows of a destination: of everybody, or of an organization's applications alone.
macro_rules! rows {
    ($what:literal, everybody) => {
        concat!(
            "(SELECT ",
            $what,
            " FROM queue q JOIN outbound o ON o.message_id = q.message_id \
             WHERE q.destination = destinations.name"
        )
    };
    ($what:literal, organization) => {
        concat!(
            "(SELECT ",
            $what,
            " FROM queue q JOIN outbound o ON o.message_id = q.message_id \
             JOIN applications a ON a.id = o.application_id \
             WHERE q.destination = destinations.name AND a.organization_id = $2"
        )
    };
}

macro_rules! columns {
    ($whose:ident) => {
        concat!(
            "name, failures, failing_since, until, turn_at, paused, route, last_reply, ",
            rows!("count(*)", $whose),
            "), ",
            rows!("count(*)", $whose),
            " AND q.parked = 1), ",
            rows!("min(o.queued_at)", $whose),
            ")"
        )
    };
}

// Whether only what is closed is wanted is a condition that every statement has.
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    columns!(everybody),
    " FROM destinations WHERE name > $1 AND ($3 = CAST(0 AS {int}) OR failures > 0 OR paused = 1) \
     ORDER BY name LIMIT $2"
);
pub(crate) const LIST_OF_ORGANIZATION: &str = concat!(
    "SELECT ",
    columns!(organization),
    " FROM destinations WHERE name > $1 AND ($4 = CAST(0 AS {int}) OR failures > 0 OR paused = 1) AND EXISTS ",
    rows!("q.id", organization),
    ") ORDER BY name LIMIT $3"
);

/// Destinations that fail, have rows parked behind them, or that somebody has paused or rerouted, by name: all, or those
/// to which an organization has mail in the queue.
pub async fn destinations(
    reader: &mut Reader<'_>,
    scope: Scope,
    after: &str,
    only_closed: bool,
    limit: usize,
) -> Result<Vec<Destination>, StoreError> {
    let limit = limit as i64;
    let rows = match scope {
        Scope::All => reader.query(LIST, params![after, limit, only_closed]).await?,
        Scope::Of(organization) => {
            reader.query(LIST_OF_ORGANIZATION, params![after, organization.uuid(), limit, only_closed]).await?
        }
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// One destination, if there is anything to say of it. Of one that is simply open only the depth is known.
pub async fn destination(reader: &mut Reader<'_>, scope: Scope, name: &str) -> Result<Option<Destination>, StoreError> {
    const FIND: &str = concat!("SELECT ", columns!(everybody), " FROM destinations WHERE name = $1");
    const FIND_OF_ORGANIZATION: &str = concat!("SELECT ", columns!(organization), " FROM destinations WHERE name = $1");
    const DEPTH: &str = "SELECT count(*), min(o.queued_at) FROM queue q JOIN outbound o \
        ON o.message_id = q.message_id JOIN applications a ON a.id = o.application_id WHERE q.destination = $1 \
        AND ($2 = CAST(1 AS {int}) OR a.organization_id = $3)";
    let (is_all, organization) = match scope {
        Scope::All => (true, uuid::Uuid::nil()),
        Scope::Of(organization) => (false, organization.uuid()),
    };
    let row = match is_all {
        true => reader.query_one(FIND, params![name]).await?,
        false => reader.query_one(FIND_OF_ORGANIZATION, params![name, organization]).await?,
    };
    let known = row.map(|row| read(&row)).transpose()?.filter(|known| is_all || known.depth > 0);
    if known.is_some() {
        return Ok(known);
    }
    let Some(row) = reader.query_one(DEPTH, params![name, is_all, organization]).await? else { return Ok(None) };
    let (depth, oldest) = (row.count(0)?, row.opt_int(1)?.map(UnixMicros::from_micros));
    Ok((depth > 0).then(|| Destination { depth, oldest, ..Destination::open(name) }))
}

impl Destination {
    /// One of which there is nothing to say.
    pub fn open(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            failures: 0,
            failing_since: None,
            until: None,
            turn_at: None,
            is_paused: false,
            route: None,
            last_reply: None,
            depth: 0,
            parked: 0,
            oldest: None,
        }
    }
}

fn read(row: &Row) -> Result<Destination, DbError> {
    let at = |column| row.opt_int(column).map(|at| at.map(UnixMicros::from_micros));
    Ok(Destination {
        name: row.text(0)?,
        failures: u32::try_from(row.int(1)?).unwrap_or(u32::MAX),
        failing_since: at(2)?,
        until: at(3)?,
        turn_at: at(4)?,
        is_paused: row.flag(5)?,
        route: row.opt_text(6)?,
        last_reply: row.opt_text(7)?,
        depth: row.count(8)?,
        parked: row.count(9)?,
        oldest: at(10)?,
    })
}

/// What an operator changes of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationChange {
    /// Whether nothing is attempted there.
    pub paused: Option<bool>,
    /// Where it goes instead, `HOST:PORT`.
    pub route: Patch<String>,
}

/// Pauses, resumes or reroutes a destination.
#[derive(Clone, Debug)]
pub struct UpdateDestination {
    /// Who does it.
    pub act: Act,
    /// The domain.
    pub name: Domain,
    /// What.
    pub change: DestinationChange,
}

/// What became of [`UpdateDestination`]: whether anything was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationOutcome {
    /// It is not as it was.
    pub is_changed: bool,
}

impl Command for UpdateDestination {
    type Outcome = DestinationOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<DestinationOutcome, DbError> {
        const MAKE: &str = "INSERT INTO destinations (name, updated_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        const LOCK: &str = "SELECT paused, route FROM destinations WHERE name = $1 {lock}";
        // What was parked is looked at again at once; a claim forgets what there is nothing to say of.
        const SET: &str = "UPDATE destinations SET paused = $2, route = $3, \
            turn_at = CASE WHEN $2 = CAST(1 AS {int}) THEN NULL ELSE CAST($4 AS {int}) END, updated_at = $4 WHERE name = $1";
        let (name, now) = (self.name.as_str(), self.act.at.as_micros());
        tx.execute(MAKE, params![name, now]).await?;
        let row = tx.query_one(LOCK, params![name]).await?.ok_or(DbError::Malformed("destination"))?;
        let before = (row.flag(0)?, row.opt_text(1)?);
        let route = match &self.change.route {
            Patch::Keep => before.1.clone(),
            Patch::Clear => None,
            Patch::Set(route) => Some(route.clone()),
        };
        let after = (self.change.paused.unwrap_or(before.0), route);
        let is_changed = before != after;
        if is_changed {
            tx.execute(SET, params![name, after.0, after.1.as_deref(), now]).await?;
            let show = |(paused, route): &(bool, Option<String>)| json!({"paused": paused, "route": route}).to_string();
            let (before, after) = (show(&before), show(&after));
            let change = audit::Change {
                action: "destination.updated",
                target_kind: "destination",
                target_id: name,
                before: Some(&before),
                after: Some(&after),
            };
            audit::record(tx, &self.act, change).await?;
        }
        tx.wake_queue();
        Ok(DestinationOutcome { is_changed })
    }
}

/// Forgets destinations that failed, behind which nothing has waited for a long time.
#[derive(Clone, Copy, Debug)]
pub struct PruneDestinations {
    /// Those of which nothing was heard since.
    pub before: UnixMicros,
}

impl Command for PruneDestinations {
    /// How many are forgotten.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const FORGET: &str = "DELETE FROM destinations WHERE turn_at IS NULL AND paused = 0 AND route IS NULL \
            AND updated_at < $1";
        tx.execute(FORGET, params![self.before.as_micros()]).await
    }
}

/// Tries a destination now, although it is left alone.
#[derive(Clone, Debug)]
pub struct RetryDestination {
    /// Who does it.
    pub act: Act,
    /// The domain.
    pub name: Domain,
}

impl Command for RetryDestination {
    /// Whether it was waiting for its turn.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        // What waits for its own time goes as well: the oldest of each priority is the probe.
        const TURN: &str = "UPDATE destinations SET turn_at = $2, until = CASE WHEN failures > 0 THEN $2 ELSE until END, \
            updated_at = $2 WHERE name = $1 AND paused = 0";
        const DUE: &str = "UPDATE queue SET due_at = $2 WHERE id IN (SELECT q.id FROM queue q WHERE q.destination = $1 \
            AND q.parked = 1 AND q.priority = $3 AND q.due_at > $2 ORDER BY q.due_at, q.id LIMIT 100 {skip_locked})";
        let (name, now) = (self.name.as_str(), self.act.at.as_micros());
        if tx.execute(TURN, params![name, now]).await? == 0 {
            return Ok(false);
        }
        for priority in postfleet_core::outbound::Priority::ALL {
            tx.execute(DUE, params![name, now, priority.number()]).await?;
        }
        let change = audit::Change {
            action: "destination.retried",
            target_kind: "destination",
            target_id: name,
            before: None,
            after: None,
        };
        audit::record(tx, &self.act, change).await?;
        tx.wake_queue();
        Ok(true)
    }
}
