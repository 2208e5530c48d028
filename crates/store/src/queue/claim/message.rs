//! Claiming one message by hand, whatever it waits for.

use super::Claimed;
use super::take::{read_claimed, take};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::outbound::Lease;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, MessageId};

/// Takes all rows of one message that nobody works on, whatever they wait for.
#[derive(Clone, Debug)]
pub struct ClaimMessage {
    /// The lease they are taken under.
    pub lease: Lease,
    /// Now.
    pub now: UnixMicros,
    /// Whose message.
    pub application_id: ApplicationId,
    /// The message.
    pub message_id: MessageId,
}

/// What there was of the message.
#[derive(Clone, Debug, Default)]
pub struct MessageClaims {
    /// The rows.
    pub rows: Vec<Claimed>,
    /// Rows that somebody works on.
    pub under_way: usize,
}

impl Command for ClaimMessage {
    /// `None` if the application has no such message in the queue.
    type Outcome = Option<MessageClaims>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<MessageClaims>, DbError> {
        const LOCK: &str = "SELECT message_id FROM outbound WHERE message_id = $1 AND application_id = $2 {lock}";
        const ROWS: &str = "SELECT id, lease, due_at FROM queue WHERE message_id = $1 ORDER BY id {lock}";
        let message = self.message_id.uuid();
        if tx.query_one(LOCK, params![message, self.application_id.uuid()]).await?.is_none() {
            return Ok(None);
        }
        let mut claims = MessageClaims::default();
        for row in tx.query(ROWS, params![message]).await? {
            let is_leased = row.opt_uuid(1)?.is_some() && row.opt_int(2)?.is_some_and(|due| due > self.now.as_micros());
            if is_leased {
                claims.under_way += 1;
            } else if let Some(row) = take(tx, row.uuid(0)?, &self.lease).await? {
                claims.rows.push(read_claimed(&row, false)?);
            }
        }
        Ok(Some(claims))
    }
}
