//! What becomes of a question: its reader answers it, the application takes it back, or the reader says by other ways that
//! they want nothing. And asking, before a send, who has agreed.

use super::{OptIn, Said, opt_in_columns, read_row};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::params;
use crate::suppressions;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId, OptInId};
use postfleet_core::opt_in::{Say, State, after, ends_agreement};
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::{Value, json};
use uuid::Uuid;

// By the addresses, of which each has few: never by the state, which a million others of the purpose have.
pub(crate) const CONFIRMED: &str = "SELECT address_key FROM opt_ins WHERE application_id = $1 AND purpose_hash = $2 \
    AND CASE state WHEN 'confirmed' THEN 1 ELSE 0 END = 1 AND address_key IN (SELECT e.value ->> 0 FROM {json_each}($3) AS e)";

const FIND: &str = concat!("SELECT ", opt_in_columns!(), " FROM opt_ins WHERE id = $1");
const LOCK: &str = concat!("SELECT ", opt_in_columns!(), " FROM opt_ins WHERE id = $1 {lock}");

/// Those of a message's recipients who have not agreed to a purpose, in the order of the recipients.
pub(crate) async fn without<'a>(
    tx: &mut Tx,
    application: ApplicationId,
    purpose_hash: &[u8; 32],
    recipients: impl Iterator<Item = &'a EmailAddress> + Clone,
) -> Result<Vec<EmailAddress>, DbError> {
    let keys = recipients.clone().map(|address| json!([address.key()])).collect::<Value>().to_string();
    let rows = tx.query(CONFIRMED, params![application.uuid(), purpose_hash.as_slice(), &keys]).await?;
    let confirmed = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<String>, DbError>>()?;
    Ok(recipients.filter(|address| !confirmed.contains(&address.key())).cloned().collect())
}

/// Ends whatever an address agreed to or was asked: whoever reads it has said that they want nothing.
pub(crate) async fn end_all(
    tx: &mut Tx,
    application: ApplicationId,
    address: &EmailAddress,
    at: UnixMicros,
) -> Result<(), DbError> {
    const END: &str = "UPDATE opt_ins SET state = 'withdrawn', withdrawn_at = $3 \
        WHERE application_id = $1 AND address_key = $2 AND state IN ('pending', 'confirmed')";
    tx.execute(END, params![application.uuid(), &address.key(), at.as_micros()]).await?;
    Ok(())
}

/// Ends a question whose mail was held and does not leave, if that message is one: nobody was asked. The mailbox is locked.
pub(crate) async fn not_sent(
    tx: &mut Tx,
    message: MessageId,
    event_id: EventId,
    at: UnixMicros,
) -> Result<(), DbError> {
    const END: &str = "UPDATE opt_ins SET state = 'not_sent' WHERE message_id = $1 AND state = 'pending'";
    const FIND: &str =
        concat!("SELECT ", opt_in_columns!(), " FROM opt_ins WHERE message_id = $1 AND state = 'pending'");
    let Some(row) = tx.query_one(FIND, params![message.uuid()]).await? else { return Ok(()) };
    let opt_in = OptIn { state: State::NotSent, ..read_row(&row)? };
    tx.execute(END, params![message.uuid()]).await?;
    announce(tx, (event_id, Trigger::OptInNotSent), &opt_in, (true, at)).await
}

/// What the reader says on the page.
#[derive(Clone, Debug)]
pub struct AnswerOptIn {
    /// Which question.
    pub id: OptInId,
    /// What they say.
    pub say: Say,
    /// When and from where.
    pub said: Said,
    /// The id of the event.
    pub event_id: EventId,
}

/// What became of [`AnswerOptIn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The question as it is now.
    pub opt_in: OptIn,
    /// Whether that is new.
    pub is_new: bool,
}

impl Command for AnswerOptIn {
    /// `None` if it is gone.
    type Outcome = Option<Answered>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Answered>, DbError> {
        let Some(row) = tx.query_one(FIND, params![self.id.uuid()]).await? else { return Ok(None) };
        // As all who announce something of a mailbox: the mailbox first.
        let has_mailbox = drafts::lock(tx, read_row(&row)?.grant_id).await?;
        let Some(row) = tx.query_one(LOCK, params![self.id.uuid()]).await? else { return Ok(None) };
        let before = read_row(&row)?;
        let (application, now) = (before.application_id, self.said.at);
        let stays = |opt_in| Ok(Some(Answered { opt_in, is_new: false }));
        let Some(state) = after(before.state.at(now, before.asked_at), self.say) else { return stays(before) };
        if self.say == Say::Yes {
            let reader = [&before.address].into_iter();
            let suppressed = suppressions::of_recipients(tx, application, reader, now).await?;
            if suppressed.iter().any(|one| ends_agreement(one.reason)) {
                end_all(tx, application, &before.address, now).await?;
                return stays(OptIn { state: State::Withdrawn, withdrawn_at: Some(now), ..before });
            }
        }
        let opt_in = self.write(tx, state, before).await?;
        let trigger = if opt_in.state == State::Confirmed { Trigger::OptInConfirmed } else { Trigger::OptInDeclined };
        announce(tx, (self.event_id, trigger), &opt_in, (has_mailbox, self.said.at)).await?;
        Ok(Some(Answered { opt_in, is_new: true }))
    }
}

impl AnswerOptIn {
    async fn write(&self, tx: &mut Tx, state: State, before: OptIn) -> Result<OptIn, DbError> {
        const CONFIRM: &str = "UPDATE opt_ins SET state = 'confirmed', confirmed_at = $2, confirmed_ip = $3, \
            confirmed_user_agent = $4 WHERE id = $1";
        const DECLINE: &str = "UPDATE opt_ins SET state = 'declined', declined_at = $2, declined_ip = $3, \
            declined_user_agent = $4 WHERE id = $1";
        const DECLINE_OTHERS: &str = "UPDATE opt_ins SET state = 'declined', declined_at = $4 \
            WHERE application_id = $1 AND address_key = $2 AND purpose_hash = $3 AND state IN ('pending', 'confirmed')";
        let said = &self.said;
        let values = params![self.id.uuid(), said.at.as_micros(), said.ip.as_deref(), said.user_agent.as_deref()];
        if state == State::Confirmed {
            tx.execute(CONFIRM, values).await?;
            return Ok(OptIn { state, confirmed: Some(said.clone()), ..before });
        }
        tx.execute(DECLINE, values).await?;
        let (key, purpose) = (before.address.key(), before.purpose_hash.as_slice());
        tx.execute(DECLINE_OTHERS, params![before.application_id.uuid(), &key, purpose, said.at.as_micros()]).await?;
        Ok(OptIn { state, declined: Some(said.clone()), ..before })
    }
}

/// Tells the application; as of no mailbox if that which asked is gone.
async fn announce(
    tx: &mut Tx,
    (id, trigger): (EventId, Trigger),
    opt_in: &OptIn,
    (has_mailbox, at): (bool, UnixMicros),
) -> Result<(), DbError> {
    let sequence = if has_mailbox { events::next_sequence(tx, opt_in.grant_id).await? } else { None };
    let nobody = GrantId::from_uuid(Uuid::nil());
    let (grant_id, grant_sequence) = sequence.map_or((nobody, 0), |sequence| (opt_in.grant_id, sequence));
    tx.announce(NewEvent {
        id,
        application_id: opt_in.application_id,
        grant_id,
        grant_sequence,
        trigger,
        message_id: None,
        data: facts(opt_in).to_string(),
        at,
    });
    Ok(())
}

/// What events and records say of an opt-in. Where an answer came from stands in the proof alone.
fn facts(opt_in: &OptIn) -> Value {
    let said = |said: &Option<Said>| said.as_ref().map(|said| said.at.as_seconds());
    json!({
        "object": "opt_in",
        "id": opt_in.id.to_string(),
        "grant_id": opt_in.grant_id.to_string(),
        "email": opt_in.address.to_string(),
        "purpose": opt_in.purpose,
        "state": opt_in.state.name(),
        "message_id": opt_in.message_id.to_string(),
        "asked_at": opt_in.asked_at.as_seconds(),
        "confirmed_at": said(&opt_in.confirmed),
        "declined_at": said(&opt_in.declined),
        "withdrawn_at": opt_in.withdrawn_at.map(UnixMicros::as_seconds),
    })
}

/// Takes back what somebody agreed to, or was asked: this question, and all others of its address about its purpose.
#[derive(Clone, Debug)]
pub struct WithdrawOptIn {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: OptInId,
}

/// What became of [`WithdrawOptIn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WithdrawOutcome {
    /// It holds no more; nothing was changed if it did not before. What was declined stays so.
    Over(Box<OptIn>),
    /// The application has no such thing.
    NotFound,
}

impl Command for WithdrawOptIn {
    type Outcome = WithdrawOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<WithdrawOutcome, DbError> {
        const WITHDRAW: &str = "UPDATE opt_ins SET state = 'withdrawn', withdrawn_at = $4 \
            WHERE application_id = $1 AND address_key = $2 AND purpose_hash = $3 AND state IN ('pending', 'confirmed')";
        let row = tx.query_one(LOCK, params![self.id.uuid()]).await?;
        let found = row.as_ref().map(read_row).transpose()?;
        let Some(before) = found.filter(|found| found.application_id == self.application_id) else {
            return Ok(WithdrawOutcome::NotFound);
        };
        let (key, now) = (before.address.key(), self.act.at);
        let purpose = before.purpose_hash.as_slice();
        let changed = tx.execute(WITHDRAW, params![self.application_id.uuid(), &key, purpose, now.as_micros()]).await?;
        if changed == 0 {
            return Ok(WithdrawOutcome::Over(Box::new(before)));
        }
        let opt_in = match before.state {
            State::Pending | State::Confirmed => {
                OptIn { state: State::Withdrawn, withdrawn_at: Some(now), ..before.clone() }
            }
            _ => before.clone(),
        };
        let (id, action) = (opt_in.id.to_string(), "opt_in.withdrawn");
        let (before, after) = (facts(&before).to_string(), facts(&opt_in).to_string());
        let (before, after) = (Some(before.as_str()), Some(after.as_str()));
        audit::record(tx, &self.act, Change { action, target_kind: "opt_in", target_id: &id, before, after }).await?;
        Ok(WithdrawOutcome::Over(Box::new(opt_in)))
    }
}
