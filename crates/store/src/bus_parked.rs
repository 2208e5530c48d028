//! Sends that came by the message bus and were refused: each with what was published and why, until somebody sends it again,
//! removes it, or its time is over.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ParkedId};
use serde_json::json;
use uuid::Uuid;

/// Parked sends of one application.
pub const PARKED_MAX: u64 = 1_000;

/// Why a send was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The status that the interface would have answered.
    pub status: u16,
    /// The stable word for programs.
    pub code: String,
    /// The text for people.
    pub message: String,
    /// The field that is wrong, where one is.
    pub field: Option<String>,
}

/// A send that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its id.
    pub id: ParkedId,
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox, as its subject named it.
    pub sender: String,
    /// Where it was in the bus: when the stream was made, in microseconds, and its number there.
    pub place: (i64, u64),
    /// The id that its publisher gave it, if that can be a key.
    pub key: Option<String>,
    /// Why it was refused the last time.
    pub reason: Reason,
    /// How often it was tried since it was parked.
    pub retries: u64,
    /// Octets of what was published.
    pub octets: u64,
    /// When it was parked.
    pub parked_at: UnixMicros,
}

macro_rules! parked_columns {
    () => {
        "id, application_id, sender, source, sequence, request_key, status, code, reason, field, retries, octets, parked_at"
    };
}

/// The column behind those.
const BODY: usize = 13;

fn read(row: &Row) -> Result<Parked, DbError> {
    Ok(Parked {
        id: ParkedId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        sender: row.text(2)?,
        place: (row.int(3)?, row.count(4)?),
        key: row.opt_text(5)?,
        reason: Reason {
            status: u16::try_from(row.int(6)?).map_err(|_| DbError::Malformed("parked status"))?,
            code: row.text(7)?,
            message: row.text(8)?,
            field: row.opt_text(9)?,
        },
        retries: row.count(10)?,
        octets: row.count(11)?,
        parked_at: UnixMicros::from_micros(row.int(12)?),
    })
}

/// Parks a send, once however often it is tried.
#[derive(Clone, Debug)]
pub struct Park {
    /// What.
    pub parked: Parked,
    /// What was published; none if it is too large to be kept.
    pub body: Option<Vec<u8>>,
}

impl Command for Park {
    /// False when there are as many as there may be.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const COUNT: &str = "SELECT count(*) FROM bus_parked WHERE application_id = $1";
        const KNOWN: &str = "SELECT id FROM bus_parked WHERE application_id = $1 AND source = $2 AND sequence = $3";
        const INSERT: &str = concat!(
            "INSERT INTO bus_parked (",
            parked_columns!(),
            ", body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        );
        let Parked { id, application_id, sender, place: (source, sequence), key, reason, .. } = &self.parked;
        let (application, sequence) = (application_id.uuid(), *sequence as i64);
        if tx.query_one(LOCK, params![application]).await?.is_none() {
            // It was removed, and whoever might look at this with it.
            return Ok(true);
        }
        if tx.query_one(KNOWN, params![application, *source, sequence]).await?.is_some() {
            return Ok(true);
        }
        if tx.query_one(COUNT, params![application]).await?.map_or(Ok(0), |row| row.count(0))? >= PARKED_MAX {
            return Ok(false);
        }
        let values = params![
            id.uuid(),
            application,
            sender,
            *source,
            sequence,
            key.as_deref(),
            i64::from(reason.status),
            &reason.code,
            &reason.message,
            reason.field.as_deref(),
            self.parked.retries as i64,
            self.parked.octets as i64,
            self.parked.parked_at.as_micros(),
            self.body.as_deref()
        ];
        tx.execute(INSERT, values).await?;
        Ok(true)
    }
}

/// Writes down that a parked send was refused again.
#[derive(Clone, Debug)]
pub struct ParkAgain {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: ParkedId,
    /// Why.
    pub reason: Reason,
}

impl Command for ParkAgain {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const UPDATE: &str = "UPDATE bus_parked SET status = $3, code = $4, reason = $5, field = $6, retries = retries + 1 \
            WHERE application_id = $1 AND id = $2";
        let Reason { status, code, message, field } = &self.reason;
        let values =
            params![self.application_id.uuid(), self.id.uuid(), i64::from(*status), code, message, field.as_deref()];
        tx.execute(UPDATE, values).await?;
        Ok(())
    }
}

/// Why a parked send leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// It was sent.
    Sent,
    /// Somebody does not want it.
    Removed,
}

/// Takes a parked send out.
#[derive(Clone, Debug)]
pub struct RemoveParked {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: ParkedId,
    /// Why.
    pub why: Leaves,
}

impl Command for RemoveParked {
    /// False when there is none.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FIND: &str =
            concat!("SELECT ", parked_columns!(), " FROM bus_parked WHERE application_id = $1 AND id = $2 {lock}");
        const REMOVE: &str = "DELETE FROM bus_parked WHERE application_id = $1 AND id = $2";
        let values = params![self.application_id.uuid(), self.id.uuid()];
        let Some(before) = tx.query_one(FIND, values).await?.as_ref().map(read).transpose()? else { return Ok(false) };
        tx.execute(REMOVE, values).await?;
        let facts =
            json!({"sender": before.sender, "code": before.reason.code, "parked_at": before.parked_at.as_seconds()});
        let change = Change {
            action: match self.why {
                Leaves::Sent => "parked_send.sent",
                Leaves::Removed => "parked_send.removed",
            },
            target_kind: "parked_send",
            target_id: &self.id.to_string(),
            before: Some(&facts.to_string()),
            after: None,
        };
        audit::record(tx, &self.act, change).await?;
        Ok(true)
    }
}

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    parked_columns!(),
    " FROM bus_parked WHERE application_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);

/// An application's parked sends, newest first, behind `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    before: Option<ParkedId>,
    limit: usize,
) -> Result<Vec<Parked>, StoreError> {
    let before = before.map_or(Uuid::max(), ParkedId::uuid);
    let rows = reader.query(LIST, params![application.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A parked send, with what was published unless that was too large to be kept.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: ParkedId,
) -> Result<Option<(Parked, Option<Vec<u8>>)>, StoreError> {
    const FIND: &str =
        concat!("SELECT ", parked_columns!(), ", body FROM bus_parked WHERE application_id = $1 AND id = $2");
    let row = reader.query_one(FIND, params![application.uuid(), id.uuid()]).await?;
    let found = row.map(|row| Ok::<_, DbError>((read(&row)?, row.opt_bytes(BODY)?)));
    Ok(found.transpose()?)
}

pub(crate) const OLD: &str =
    "SELECT application_id, id FROM bus_parked WHERE parked_at <= $1 ORDER BY parked_at LIMIT $2";

/// Removes parked sends whose time is over, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct PruneParked {
    /// Those that are older.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneParked {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM bus_parked WHERE application_id = $1 AND id = $2";
        let mut removed = 0;
        for row in tx.query(OLD, params![self.before.as_micros(), self.limit as i64]).await? {
            removed += tx.execute(REMOVE, params![row.uuid(0)?, row.uuid(1)?]).await?;
        }
        Ok(removed)
    }
}
