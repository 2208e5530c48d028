//! Replays: parts of the event log that a webhook is told once more, beside what it is told as it happens. Each has a
//! position of its own, and under its id what waits for another attempt ([`crate::lanes`]).

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::webhooks::{self, Webhook, webhook_columns};
use crate::{lanes, params};
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, GrantId, ReplayId, WebhookId};
use postfleet_core::readers::Save;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Replays of one webhook that are not over.
pub const RUNNING_MAX: i64 = 4;

/// Replays of one webhook that are over, and are still known.
pub const KNOWN_MAX: i64 = 100;

macro_rules! replay_columns {
    () => {
        "id, webhook_id, state, first_position, last_position, asked_for, position, told, given_up, rests_until, \
         created_at, ended_at"
    };
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Something is still to be told.
    Running,
    /// Everything is told or given up.
    Done,
    /// It was ended before that.
    Cancelled,
}

impl State {
    const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The word for it in the store and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is told once more, out of what a webhook wants and what is between two positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFor {
    /// Only events of these kinds; of all if there is none.
    pub triggers: Vec<Trigger>,
    /// Only events of these mailboxes; of all if there is none.
    pub grants: Vec<GrantId>,
    /// None that happened before this.
    pub since: Option<UnixMicros>,
    /// None that happened at this time or later.
    pub until: Option<UnixMicros>,
    /// Only events that were given up.
    pub given_up: bool,
}

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Who is told.
    pub webhook_id: WebhookId,
    /// How far it is.
    pub state: State,
    /// The position of the first event.
    pub first: i64,
    /// The position of the last event.
    pub last: i64,
    /// What of that is told.
    pub asked_for: AskedFor,
    /// Everything up to here is told, given up, or behind what is written down of its mailbox.
    pub position: i64,
    /// Events that were taken.
    pub told: u64,
    /// Events that were given up.
    pub given_up: u64,
    /// When the webhook is tried next, if it rests.
    pub rests_until: Option<UnixMicros>,
    /// When it was asked for.
    pub created_at: UnixMicros,
    /// When it was over.
    pub ended_at: Option<UnixMicros>,
}

/// What came of asking for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is there.
    Made,
    /// There is no such webhook.
    Unknown,
    /// The webhook has [`RUNNING_MAX`] of them.
    TooMany,
}

/// Begins a replay. Of those that are over the oldest are forgotten if there are more than [`KNOWN_MAX`].
#[derive(Clone, Debug)]
pub struct BeginReplay {
    /// Whose webhook.
    pub application_id: ApplicationId,
    /// The replay, as it is to be.
    pub replay: Replay,
}

impl Command for BeginReplay {
    type Outcome = Begun;

    async fn run(&self, tx: &mut Tx) -> Result<Begun, DbError> {
        const LOCK: &str =
            "SELECT id FROM webhooks WHERE id = $1 AND application_id = $2 AND channel = 'webhook' {lock}";
        const COUNT: &str = "SELECT count(*) FROM webhook_replays WHERE webhook_id = $1 AND state = 'running'";
        const OLD: &str = "SELECT id FROM webhook_replays WHERE webhook_id = $1 AND state <> 'running' \
            ORDER BY id DESC LIMIT 1 OFFSET $2";
        const FORGET: &str = "DELETE FROM webhook_replays WHERE webhook_id = $1 AND state <> 'running' AND id <= $2";
        const INSERT: &str = "INSERT INTO webhook_replays (id, webhook_id, state, first_position, last_position, asked_for, \
            position, told, given_up, rests_until, owner, lease_until, created_at, ended_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, '', 0, $8, $9)";
        let replay = &self.replay;
        let webhook = replay.webhook_id.uuid();
        // Whoever begins another one at the same time waits here.
        if tx.query_one(LOCK, params![webhook, self.application_id.uuid()]).await?.is_none() {
            return Ok(Begun::Unknown);
        }
        if tx.query_one(COUNT, params![webhook]).await?.map_or(Ok(0), |row| row.int(0))? >= RUNNING_MAX {
            return Ok(Begun::TooMany);
        }
        if let Some(row) = tx.query_one(OLD, params![webhook, KNOWN_MAX]).await? {
            tx.execute(FORGET, params![webhook, row.uuid(0)?]).await?;
        }
        let asked_for = as_json(&replay.asked_for);
        let values = params![
            replay.id.uuid(),
            webhook,
            replay.state.name(),
            replay.first,
            replay.last,
            &asked_for,
            replay.position,
            replay.created_at.as_micros(),
            replay.ended_at.map_or(0, UnixMicros::as_micros)
        ];
        tx.execute(INSERT, values).await?;
        tx.wake_webhooks();
        Ok(Begun::Made)
    }
}

/// Ends a replay that is not over.
#[derive(Clone, Copy, Debug)]
pub struct CancelReplay {
    /// Of which webhook.
    pub webhook_id: WebhookId,
    /// Which.
    pub id: ReplayId,
    /// Now.
    pub at: UnixMicros,
}

impl Command for CancelReplay {
    /// The replay as it is now; nothing if there is none of that id.
    type Outcome = Option<Replay>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Replay>, DbError> {
        const CANCEL: &str = "UPDATE webhook_replays SET state = 'cancelled', ended_at = $3 \
            WHERE id = $1 AND webhook_id = $2 AND state = 'running'";
        let values = params![self.id.uuid(), self.webhook_id.uuid(), self.at.as_micros()];
        if tx.execute(CANCEL, values).await? > 0 {
            lanes::forget(tx, WebhookId::from_uuid(self.id.uuid())).await?;
            tx.wake_webhooks();
        }
        tx.query_one(FIND, params![self.id.uuid(), self.webhook_id.uuid()]).await?.as_ref().map(read).transpose()
    }
}

/// Takes the replays that nobody works for, or that this node already works for, until `until`: those of webhooks that are
/// told of anything.
#[derive(Clone, Debug)]
pub struct LeaseReplays {
    /// The node.
    pub owner: String,
    /// Now.
    pub now: UnixMicros,
    /// When the lease ends.
    pub until: UnixMicros,
}

impl Command for LeaseReplays {
    /// The webhooks, each with what it is told once more.
    type Outcome = Vec<Webhook>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Webhook>, DbError> {
        const LEASE: &str = concat!(
            "UPDATE webhook_replays SET owner = $1, lease_until = $2 \
             WHERE state = 'running' AND (owner = $1 OR lease_until <= $3) \
             AND EXISTS (SELECT 1 FROM webhooks w WHERE w.id = webhook_replays.webhook_id \
             AND w.status IN ('active', 'failing')) RETURNING ",
            replay_columns!()
        );
        const OF: &str = concat!("SELECT ", webhook_columns!(), " FROM webhooks WHERE id = $1");
        let values = params![&self.owner, self.until.as_micros(), self.now.as_micros()];
        let mut leased = Vec::new();
        for row in tx.query(LEASE, values).await? {
            let replay = read(&row)?;
            if let Some(row) = tx.query_one(OF, params![replay.webhook_id.uuid()]).await? {
                leased.push(Webhook { position: replay.position, replay: Some(replay), ..webhooks::read(&row)? });
            }
        }
        Ok(leased)
    }
}

/// Moves a replay's position as [`crate::lanes::SaveWebhook`] does, and ends it when it has come to its end.
#[derive(Clone, Debug)]
pub struct SaveReplay {
    /// The replay.
    pub id: ReplayId,
    /// The node that holds its lease.
    pub owner: String,
    /// What is to be written.
    pub save: Save,
    /// When the webhook is tried next, if it rests.
    pub rests_until: Option<UnixMicros>,
    /// The positions of what was taken since the last time: nothing of that is given up any more.
    pub told: Vec<i64>,
    /// Now.
    pub at: UnixMicros,
}

impl Command for SaveReplay {
    /// False when nothing more is to be done here: it is over, or the lease has gone to another node. In the latter case
    /// nothing was changed.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const MOVE: &str = "UPDATE webhook_replays SET position = $3, rests_until = $4, told = told + $5, \
            given_up = given_up + $6 WHERE id = $1 AND owner = $2 AND position <= $3 AND state = 'running' \
            RETURNING webhook_id, last_position";
        const TAKEN: &str = "DELETE FROM webhook_given_up WHERE webhook_id = $1 AND position = $2";
        const WAITS: &str = "SELECT 1 FROM webhook_lanes WHERE webhook_id = $1 LIMIT 1";
        const END: &str = "UPDATE webhook_replays SET state = 'done', ended_at = $2 WHERE id = $1";
        let (id, save) = (self.id.uuid(), &self.save);
        let rests_until = self.rests_until.map_or(0, UnixMicros::as_micros);
        let (told, given_up) = (self.told.len() as i64, save.given_up.len() as i64);
        let values = params![id, &self.owner, save.position, rests_until, told, given_up];
        let Some(row) = tx.query_one(MOVE, values).await? else { return Ok(false) };
        let (webhook, last) = (row.uuid(0)?, row.int(1)?);
        lanes::write(tx, WebhookId::from_uuid(id), save).await?;
        let taken: Vec<_> = self.told.iter().map(|position| params![webhook, *position].to_vec()).collect();
        tx.db().execute_each(TAKEN, &taken).await?;
        if save.position < last || tx.query_one(WAITS, params![id]).await?.is_some() {
            return Ok(true);
        }
        tx.execute(END, params![id, self.at.as_micros()]).await?;
        Ok(false)
    }
}

pub(crate) const FIND: &str =
    concat!("SELECT ", replay_columns!(), " FROM webhook_replays WHERE id = $1 AND webhook_id = $2");
pub(crate) const LIST: &str =
    concat!("SELECT ", replay_columns!(), " FROM webhook_replays WHERE webhook_id = $1 ORDER BY id DESC");
pub(crate) const GIVEN_UP: &str = "SELECT position FROM webhook_given_up \
    WHERE webhook_id = $1 AND position >= $2 AND position <= $3 ORDER BY position";

/// Finds a replay of a webhook.
pub async fn find(reader: &mut Reader<'_>, webhook: WebhookId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), webhook.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The replays of a webhook, newest first: those that are not over, and the last that are.
pub async fn list(reader: &mut Reader<'_>, webhook: WebhookId) -> Result<Vec<Replay>, StoreError> {
    let rows = reader.query(LIST, params![webhook.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Which events were given up, from one position to another.
pub async fn given_up(
    reader: &mut Reader<'_>,
    webhook: WebhookId,
    (first, last): (i64, i64),
) -> Result<BTreeSet<i64>, StoreError> {
    let rows = reader.query(GIVEN_UP, params![webhook.uuid(), first, last]).await?;
    Ok(rows.iter().map(|row| row.int(0)).collect::<Result<_, DbError>>()?)
}

/// Forgets the replays of a webhook that is gone.
pub(crate) async fn forget(tx: &mut Tx, webhook: WebhookId) -> Result<(), DbError> {
    const WAITING: &str =
        "DELETE FROM webhook_lanes WHERE webhook_id IN (SELECT id FROM webhook_replays WHERE webhook_id = $1)";
    const GIVEN_UP: &str =
        "DELETE FROM webhook_given_up WHERE webhook_id IN (SELECT id FROM webhook_replays WHERE webhook_id = $1)";
    const REMOVE: &str = "DELETE FROM webhook_replays WHERE webhook_id = $1";
    for statement in [WAITING, GIVEN_UP, REMOVE] {
        tx.execute(statement, params![webhook.uuid()]).await?;
    }
    Ok(())
}

fn read(row: &Row) -> Result<Replay, DbError> {
    let state = row.str(2)?;
    let state = State::ALL.into_iter().find(|one| one.name() == state);
    let time = |micros: i64| Some(UnixMicros::from_micros(micros)).filter(|_| micros > 0);
    Ok(Replay {
        id: ReplayId::from_uuid(row.uuid(0)?),
        webhook_id: WebhookId::from_uuid(row.uuid(1)?),
        state: state.ok_or(DbError::Malformed("state of a replay"))?,
        first: row.int(3)?,
        last: row.int(4)?,
        asked_for: from_json(row.str(5)?),
        position: row.int(6)?,
        told: row.count(7)?,
        given_up: row.count(8)?,
        rests_until: time(row.int(9)?),
        created_at: UnixMicros::from_micros(row.int(10)?),
        ended_at: time(row.int(11)?),
    })
}

fn as_json(asked: &AskedFor) -> String {
    let triggers: Vec<&str> = asked.triggers.iter().map(|trigger| trigger.name()).collect();
    let grants: Vec<String> = asked.grants.iter().map(ToString::to_string).collect();
    let [since, until] = [asked.since, asked.until].map(|time| time.map(UnixMicros::as_micros));
    json!({"triggers": triggers, "grants": grants, "since": since, "until": until, "given_up": asked.given_up})
        .to_string()
}

fn from_json(text: &str) -> AskedFor {
    let kept: Value = serde_json::from_str(text).unwrap_or_default();
    let texts = |field: &str| kept[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let time = |field: &str| kept[field].as_i64().map(UnixMicros::from_micros);
    AskedFor {
        triggers: texts("triggers").filter_map(Trigger::subscribed_as).collect(),
        grants: texts("grants").filter_map(|id| id.parse().ok()).collect(),
        since: time("since"),
        until: time("until"),
        given_up: kept["given_up"].as_bool().unwrap_or(false),
    }
}
