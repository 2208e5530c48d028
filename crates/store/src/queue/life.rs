//! What was tried with a message, and what was said: kept for people who ask, also after it has left the queue.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, AttemptId, GrantId, MessageId};
use serde::{Deserialize, Serialize};

/// An attempt with a message at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// Its id, of the time at which it began.
    pub id: AttemptId,
    /// The destination.
    pub destination: String,
    /// The node that made it.
    pub node: String,
    /// The server's name; empty if it did not come to one.
    pub server: String,
    /// Where it was, `address:port`; empty if there was no connection to be tried.
    pub address: String,
    /// How it was encrypted; empty if it was not.
    pub tls: String,
    /// Microseconds that it took.
    pub duration: i64,
    /// What was said, to whom.
    pub answers: Vec<Answer>,
}

/// What was said to recipients, or stood in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// To whom.
    #[serde(rename = "r")]
    pub recipients: Vec<String>,
    /// What it means: `delivered`, `deferred`, `refused`, `ambiguous`, or `passed_over` if the next server was asked.
    #[serde(rename = "m")]
    pub result: String,
    /// The class of the answer, if it is to be tried again; empty otherwise.
    #[serde(rename = "k", default, skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// The code; 0 if no server spoke.
    #[serde(rename = "c")]
    pub code: u16,
    /// The enhanced status.
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The lines of the reply, or what stood in the way.
    #[serde(rename = "l")]
    pub lines: Vec<String>,
    /// What followed: `delivered`, `retry`, `bounced`, `expired`; empty if the next server was asked.
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// When it is tried again, in microseconds.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<i64>,
}

impl Attempted {
    pub(super) async fn write(
        &self,
        tx: &mut Tx,
        message: MessageId,
        grant: GrantId,
        application: ApplicationId,
    ) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO attempts (id, message_id, grant_id, application_id, destination, node, server, \
            address, tls, duration, answers) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let answers = serde_json::to_string(&self.answers).map_err(|_| DbError::Malformed("answers"))?;
        let values = params![
            self.id.uuid(),
            message.uuid(),
            grant.uuid(),
            application.uuid(),
            &self.destination,
            &self.node,
            &self.server,
            &self.address,
            &self.tls,
            self.duration,
            &answers
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }
}

/// An attempt as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The mailbox that sent the message.
    pub grant_id: GrantId,
    /// What was tried.
    pub attempt: Attempted,
}

pub(crate) const ATTEMPTS: &str = "SELECT id, grant_id, destination, node, server, address, tls, duration, answers \
    FROM attempts WHERE message_id = $1 AND id > $3 AND application_id = $2 ORDER BY id LIMIT $4";

/// What was tried with a message of an application, the oldest first.
pub async fn attempts(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    message: MessageId,
    after: Option<AttemptId>,
    limit: usize,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let after = after.map_or(uuid::Uuid::nil(), AttemptId::uuid);
    let values = params![message.uuid(), application.uuid(), after, limit as i64];
    let rows = reader.query(ATTEMPTS, values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<AttemptRecord, DbError> {
    let attempt = Attempted {
        id: AttemptId::from_uuid(row.uuid(0)?),
        destination: row.text(2)?,
        node: row.text(3)?,
        server: row.text(4)?,
        address: row.text(5)?,
        tls: row.text(6)?,
        duration: row.int(7)?,
        answers: serde_json::from_str(row.str(8)?).map_err(|_| DbError::Malformed("answers"))?,
    };
    Ok(AttemptRecord { grant_id: GrantId::from_uuid(row.uuid(1)?), attempt })
}

/// Removes attempts of before a time, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct PruneAttempts {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneAttempts {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM attempts WHERE id IN \
            (SELECT a.id FROM attempts a WHERE a.id < $1 ORDER BY a.id LIMIT $2)";
        tx.execute(REMOVE, params![AttemptId::first_at(self.before).uuid(), self.limit as i64]).await
    }
}
