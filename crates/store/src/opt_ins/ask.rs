//! Asking somebody: the question is kept before its mail is sent, and taken back if that cannot be sent.

use super::{OptIn, opt_in_columns, read_row};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use crate::suppressions;
use postfleet_core::id::OptInId;
use postfleet_core::opt_in::{self, LIFETIME, MAILS_TO_ADDRESS_MAX, State};
use postfleet_core::{Problem, UnixMicros};

pub(crate) const LATELY: &str = "SELECT asked_at, purpose_hash FROM opt_ins \
    WHERE application_id = $1 AND address_key = $2 AND id >= $3 AND state <> 'not_sent' ORDER BY id DESC LIMIT $4";

/// Keeps a question, unless it must not be asked.
#[derive(Clone, Debug)]
pub struct AskOptIn {
    /// The question, which waits.
    pub opt_in: OptIn,
}

/// What became of [`AskOptIn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskOutcome {
    /// It is kept; its mail may be sent.
    Kept,
    /// They have agreed to it already. Nothing is sent.
    Confirmed(Box<OptIn>),
    /// They must not be asked, or not now.
    Refused(Problem),
    /// The application is gone.
    ApplicationGone,
}

impl Command for AskOptIn {
    type Outcome = AskOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<AskOutcome, DbError> {
        // One after the other, so that nobody is asked twice in one moment.
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const ANSWERED: &str = concat!(
            "SELECT ",
            opt_in_columns!(),
            " FROM opt_ins WHERE application_id = $1 AND address_key = $2 AND purpose_hash = $3 \
             AND state IN ('confirmed', 'declined') ORDER BY id DESC LIMIT 1"
        );
        let new = &self.opt_in;
        let (application, key, now) = (new.application_id, new.address.key(), new.asked_at);
        if tx.query_one(LOCK, params![application.uuid()]).await?.is_none() {
            return Ok(AskOutcome::ApplicationGone);
        }
        let answered = tx.query_one(ANSWERED, params![application.uuid(), &key, new.purpose_hash.as_slice()]).await?;
        let answered = answered.as_ref().map(read_row).transpose()?;
        if answered.as_ref().is_some_and(|answered| answered.state == State::Declined) {
            return Ok(AskOutcome::Refused(opt_in::declined()));
        }
        let suppressed = suppressions::of_recipients(tx, application, [&new.address].into_iter(), now).await?;
        if let Some(suppressed) = suppressed.first() {
            return Ok(AskOutcome::Refused(opt_in::suppressed(&new.address, suppressed.reason)));
        }
        if let Some(confirmed) = answered {
            return Ok(AskOutcome::Confirmed(Box::new(confirmed)));
        }
        if let Err(problem) = opt_in::may_ask(&self.lately(tx, &key).await?, now) {
            return Ok(AskOutcome::Refused(problem));
        }
        self.insert(tx, &key).await?;
        Ok(AskOutcome::Kept)
    }
}

impl AskOptIn {
    /// When the address was asked lately, newest first, and whether it was about the same.
    async fn lately(&self, tx: &mut Tx, key: &str) -> Result<Vec<(UnixMicros, bool)>, DbError> {
        let new = &self.opt_in;
        let since = new.asked_at.as_micros().saturating_sub(LIFETIME.as_micros() as i64);
        let since = OptInId::first_at(UnixMicros::from_micros(since)).uuid();
        let values = params![new.application_id.uuid(), key, since, MAILS_TO_ADDRESS_MAX as i64];
        let rows = tx.query(LATELY, values).await?;
        let asked = rows.iter().map(|row| {
            Ok((UnixMicros::from_micros(row.int(0)?), row.bytes(1)?.as_slice() == new.purpose_hash.as_slice()))
        });
        asked.collect()
    }

    async fn insert(&self, tx: &mut Tx, key: &str) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO opt_ins (id, application_id, grant_id, address_key, address, name, purpose, \
            purpose_hash, language, words, message_id, source_ip, source_user_agent, source_url, redirect_url, state, \
            asked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
        let new = &self.opt_in;
        let address = new.address.to_string();
        let values = params![
            new.id.uuid(),
            new.application_id.uuid(),
            new.grant_id.uuid(),
            key,
            &address,
            new.name.as_deref(),
            &new.purpose,
            new.purpose_hash.as_slice(),
            &new.language,
            &new.words,
            new.message_id.uuid(),
            new.source.ip.as_deref(),
            new.source.user_agent.as_deref(),
            new.source.url.as_deref(),
            new.redirect_url.as_deref(),
            State::Pending.name(),
            new.asked_at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }
}

/// Takes a question back whose mail was not sent: as if it had never been asked.
#[derive(Clone, Debug)]
pub struct TakeBackOptIn {
    /// Which.
    pub id: OptInId,
}

impl Command for TakeBackOptIn {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const REMOVE: &str = "DELETE FROM opt_ins WHERE id = $1 AND state = 'pending'";
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        Ok(())
    }
}
