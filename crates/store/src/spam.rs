//! What applications learn from what their readers put into junk and take out of it: what is still to be learned, what was
//! learned, and of whom mail was moved. A move writes what is to be learned in its own transaction; learning is done
//! elsewhere, later, and once for each state in which a message was left.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::spam::{Model, Trained};

/// Octets of an address that are remembered.
const ADDRESS_OCTETS_MAX: usize = 320;

/// A message that was moved into junk or out of it.
pub(crate) struct Moved<'a> {
    pub(crate) application_id: ApplicationId,
    pub(crate) grant_id: GrantId,
    pub(crate) message_id: MessageId,
    /// Who wrote it, as the message says.
    pub(crate) author: Option<&'a str>,
    pub(crate) kind: Trained,
    pub(crate) at: UnixMicros,
}

/// Notes in the transaction of the move what is to be learned of it.
pub(crate) async fn note(tx: &mut Tx, moved: &Moved<'_>) -> Result<(), DbError> {
    const NOTE: &str = "INSERT INTO spam_training (message_id, application_id, grant_id, wanted, trained, moved_at) \
        VALUES ($1, $2, $3, $4, 0, $5) \
        ON CONFLICT (message_id) DO UPDATE SET wanted = excluded.wanted, moved_at = excluded.moved_at";
    const REMEMBER: &str = "INSERT INTO spam_senders (grant_id, address_key, kind, moved_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (grant_id, address_key) DO UPDATE SET kind = excluded.kind, moved_at = excluded.moved_at";
    let (grant, at, kind) = (moved.grant_id.uuid(), moved.at.as_micros(), number(moved.kind));
    let (message, application) = (moved.message_id.uuid(), moved.application_id.uuid());
    tx.execute(NOTE, params![message, application, grant, kind, at]).await?;
    if let Some(author) = moved.author.and_then(address_key) {
        tx.execute(REMEMBER, params![grant, &author, kind, at]).await?;
    }
    Ok(())
}

/// An address as it is remembered: in small letters. What has no `@` is nobody's.
pub(crate) fn address_key(address: &str) -> Option<String> {
    (address.contains('@') && address.len() <= ADDRESS_OCTETS_MAX).then(|| address.to_lowercase())
}

const fn number(kind: Trained) -> i64 {
    match kind {
        Trained::Spam => 1,
        Trained::Ham => -1,
    }
}

pub(crate) const fn kind(number: i64) -> Option<Trained> {
    match number {
        1 => Some(Trained::Spam),
        -1 => Some(Trained::Ham),
        _ => None,
    }
}

/// A message that is to be learned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Whose model learns it.
    pub application_id: ApplicationId,
    /// Its mailbox.
    pub grant_id: GrantId,
    /// The message.
    pub message_id: MessageId,
    /// As what.
    pub wanted: Trained,
}

pub(crate) const OLDEST_DUE: &str = "SELECT application_id FROM spam_training \
    WHERE wanted <> trained AND moved_at >= 0 ORDER BY moved_at, message_id LIMIT 1";
pub(crate) const DUE: &str = "SELECT application_id, grant_id, message_id, wanted FROM spam_training \
    WHERE wanted <> trained AND application_id = $1 ORDER BY moved_at, message_id LIMIT $2";

/// The messages that wait longest, all of the application whose turn it is.
pub async fn due(reader: &mut Reader<'_>, limit: usize) -> Result<Vec<Due>, StoreError> {
    let Some(row) = reader.query_one(OLDEST_DUE, params![]).await? else { return Ok(Vec::new()) };
    let rows = reader.query(DUE, params![row.uuid(0)?, limit as i64]).await?;
    let read = |row: &Row| {
        Ok(Due {
            application_id: ApplicationId::from_uuid(row.uuid(0)?),
            grant_id: GrantId::from_uuid(row.uuid(1)?),
            message_id: MessageId::from_uuid(row.uuid(2)?),
            wanted: kind(row.int(3)?).ok_or(DbError::Malformed("wanted"))?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Learns messages of one application, each once for each state in which it is left.
#[derive(Clone, Debug)]
pub struct LearnSpam {
    /// Whose model learns.
    pub application_id: ApplicationId,
    /// The messages, each with its words; without words if it is gone.
    pub messages: Vec<(Due, Option<Vec<u64>>)>,
    /// When.
    pub at: UnixMicros,
}

impl Command for LearnSpam {
    /// How many were learned; others were moved again meanwhile, learned by another node, or are gone.
    type Outcome = usize;

    async fn run(&self, tx: &mut Tx) -> Result<usize, DbError> {
        const MAKE: &str = "INSERT INTO spam_models (application_id, version, model, updated_at) \
            SELECT id, CAST(0 AS {int}), CAST($2 AS {bytes}), CAST($3 AS {int}) FROM applications WHERE id = $1 \
            ON CONFLICT (application_id) DO NOTHING";
        const LOCK: &str = "SELECT model FROM spam_models WHERE application_id = $1 {lock}";
        const KEEP: &str = "UPDATE spam_models SET version = version + 1, model = $2, updated_at = $3 \
            WHERE application_id = $1";
        let (application, at) = (self.application_id.uuid(), self.at.as_micros());
        tx.execute(MAKE, params![application, Model::default().to_bytes().as_slice(), at]).await?;
        // An application that is gone learns nothing; its messages wait no longer.
        let kept = tx.query_one(LOCK, params![application]).await?.map(|row| row.bytes(0)).transpose()?;
        // One that cannot be read is begun anew: it is no truth that could not be learned again.
        let mut model = kept.and_then(|bytes| Model::from_bytes(&bytes)).unwrap_or_default();
        let mut learned = 0;
        for (due, tokens) in &self.messages {
            let Some(before) = self.take(tx, due).await? else { continue };
            let Some(tokens) = tokens else { continue };
            if let Some(before) = before {
                model.unlearn(tokens, before);
            }
            model.learn(tokens, due.wanted);
            learned += 1;
        }
        if learned > 0 {
            tx.execute(KEEP, params![application, model.to_bytes().as_slice(), at]).await?;
        }
        Ok(learned)
    }
}

impl LearnSpam {
    /// Marks a message as learned. Answers as what it was before; nothing if it is not to be learned so any more.
    async fn take(&self, tx: &mut Tx, due: &Due) -> Result<Option<Option<Trained>>, DbError> {
        const FIND: &str = "SELECT trained FROM spam_training \
            WHERE message_id = $1 AND application_id = $2 AND wanted = $3 AND trained <> $3 {lock}";
        const MARK: &str = "UPDATE spam_training SET trained = $2 WHERE message_id = $1";
        let (message, wanted) = (due.message_id.uuid(), number(due.wanted));
        let row = tx.query_one(FIND, params![message, self.application_id.uuid(), wanted]).await?;
        let Some(row) = row else { return Ok(None) };
        tx.execute(MARK, params![message, wanted]).await?;
        Ok(Some(kind(row.int(0)?)))
    }
}

/// What an application has learned, if it is another version than the one that is known: the version, and the model.
pub async fn model(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    known: i64,
) -> Result<Option<(i64, Model)>, StoreError> {
    const VERSION: &str = "SELECT version FROM spam_models WHERE application_id = $1";
    const READ: &str = "SELECT version, model FROM spam_models WHERE application_id = $1";
    let Some(row) = reader.query_one(VERSION, params![application.uuid()]).await? else { return Ok(None) };
    if row.int(0)? == known {
        return Ok(None);
    }
    let Some(row) = reader.query_one(READ, params![application.uuid()]).await? else { return Ok(None) };
    Ok(Some((row.int(0)?, Model::from_bytes(&row.bytes(1)?).unwrap_or_default())))
}

pub(crate) const OLD: &str =
    "SELECT message_id FROM spam_training WHERE wanted = trained AND moved_at < $1 ORDER BY moved_at LIMIT $2";
pub(crate) const OLD_SENDERS: &str =
    "SELECT grant_id, address_key FROM spam_senders WHERE moved_at < $1 ORDER BY moved_at LIMIT $2";

/// Forgets moves of long ago. What was learned from them stays, and grows old in the model.
#[derive(Clone, Copy, Debug)]
pub struct PruneSpamMoves {
    /// Moves before this.
    pub before: UnixMicros,
    /// How many of each kind at once.
    pub limit: usize,
}

impl Command for PruneSpamMoves {
    /// How many are gone.
    type Outcome = usize;

    async fn run(&self, tx: &mut Tx) -> Result<usize, DbError> {
        const FORGET: &str = "DELETE FROM spam_training WHERE message_id = $1 AND wanted = trained";
        const FORGET_SENDER: &str =
            "DELETE FROM spam_senders WHERE grant_id = $1 AND address_key = $2 AND moved_at < $3";
        let (before, limit) = (self.before.as_micros(), self.limit as i64);
        let moves = tx.query(OLD, params![before, limit]).await?;
        for row in &moves {
            tx.execute(FORGET, params![row.uuid(0)?]).await?;
        }
        let senders = tx.query(OLD_SENDERS, params![before, limit]).await?;
        for row in &senders {
            tx.execute(FORGET_SENDER, params![row.uuid(0)?, row.str(1)?, before]).await?;
        }
        Ok(moves.len() + senders.len())
    }
}

/// Forgets all of a mailbox that is removed, so many at once. What was learned from it stays in its application's model,
/// which has no words in it.
pub(crate) const REMOVE: [&str; 2] = [
    "DELETE FROM spam_training WHERE message_id IN (SELECT message_id FROM spam_training WHERE grant_id = $1 LIMIT $2)",
    "DELETE FROM spam_senders WHERE grant_id = $1 AND address_key IN \
     (SELECT address_key FROM spam_senders WHERE grant_id = $1 LIMIT $2)",
];
