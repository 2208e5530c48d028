//! Messages whose sender is stopped: their rows wait behind the stop, where no claim passes over them.
//!
//! Whether there is a stop at all is one number, read once in a claim. A row is parked only while its stop is locked and in
//! force: who lifts it waits for that, so that no row is left behind a stop that nobody lifts any more.

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::stops::{self, Sender};
use postfleet_core::id::{ApplicationId, GrantId, MessageId, OrganizationId, StopId, ThreadId, WorkspaceId};
use postfleet_core::stop::{Stop, keeping_back};
use postfleet_core::{EmailAddress, UnixMicros};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// What a claim knows of stops.
#[derive(Default)]
pub(super) struct Gate {
    /// Whether any is in force.
    is_any: Option<bool>,
    /// Those that were looked at with the intention to park behind them, and whether they are in force.
    locked: BTreeMap<StopId, bool>,
}

/// A message with who sends it.
struct Sending {
    message: Uuid,
    sender: Sender,
    is_approved: bool,
}

macro_rules! senders {
    ($tail:literal) => {
        concat!(
            "SELECT o.message_id, o.organization_id, o.application_id, g.workspace_id, o.grant_id, o.sender, \
             o.thread_id, o.approved FROM outbound o JOIN organizations x ON x.id = o.organization_id \
             LEFT JOIN grants g ON g.id = o.grant_id WHERE x.active_stops > 0 AND ",
            $tail
        )
    };
}

const SENDERS: &str = senders!("o.message_id IN (SELECT {hex_id}(e.value ->> 0) FROM {json_each}($1) AS e)");

fn read(row: &Row) -> Result<Sending, DbError> {
    Ok(Sending {
        message: row.uuid(0)?,
        sender: Sender {
            organization: OrganizationId::from_uuid(row.uuid(1)?),
            application: ApplicationId::from_uuid(row.uuid(2)?),
            workspace: row.opt_uuid(3)?.map(WorkspaceId::from_uuid),
            grant: GrantId::from_uuid(row.uuid(4)?),
            address: EmailAddress::parse(row.str(5)?).map_err(|_| DbError::Malformed("sender"))?,
            thread: row.opt_uuid(6)?.map(ThreadId::from_uuid),
        },
        is_approved: row.flag(7)?,
    })
}

/// Of these messages those that are stopped, each with the stop.
pub(in crate::queue) async fn find(tx: &mut Tx, messages: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, StopId>, DbError> {
    let named: Vec<[String; 1]> = messages.iter().map(|message| [message.as_simple().to_string()]).collect();
    let named = serde_json::to_string(&named).map_err(|_| DbError::Malformed("messages"))?;
    let mut by_organization: BTreeMap<Uuid, Vec<Sending>> = BTreeMap::new();
    for row in tx.query(SENDERS, params![&named]).await? {
        let sending = read(&row)?;
        by_organization.entry(sending.sender.organization.uuid()).or_default().push(sending);
    }
    let mut stopped = BTreeMap::new();
    for (organization, sendings) in by_organization {
        let subjects: BTreeSet<String> = sendings.iter().flat_map(|one| one.sender.subjects()).collect();
        let stops = stops::in_force(tx, OrganizationId::from_uuid(organization), &subjects).await?;
        let by_subject = by_subject(stops);
        stopped.extend(sendings.iter().filter_map(|one| Some((one.message, one.stopped_by(&by_subject)?))));
    }
    Ok(stopped)
}

fn by_subject(stops: Vec<Stop>) -> HashMap<String, Vec<Stop>> {
    let mut by_subject: HashMap<String, Vec<Stop>> = HashMap::new();
    for stop in stops {
        by_subject.entry(stop.subject.clone()).or_default().push(stop);
    }
    by_subject
}

impl Sending {
    fn stopped_by(&self, by_subject: &HashMap<String, Vec<Stop>>) -> Option<StopId> {
        let own = self.sender.subjects().into_iter().filter_map(|subject| by_subject.get(&subject));
        let own: Vec<Stop> = own.flatten().cloned().collect();
        keeping_back(&own, self.is_approved).map(|stop| stop.id)
    }
}

/// The stop that keeps a message back just now, if one does: for who is about to hand it over.
pub async fn stop_of(reader: &mut Reader<'_>, message: MessageId) -> Result<Option<StopId>, StoreError> {
    const SENDER: &str = senders!("o.message_id = $1");
    let row = reader.query_one(SENDER, params![message.uuid()]).await?;
    let Some(sending) = row.as_ref().map(read).transpose()? else { return Ok(None) };
    let stops = stops::read_in_force(reader, &sending.sender).await?;
    Ok(sending.stopped_by(&by_subject(stops)))
}

impl Gate {
    /// Parks what is stopped of these messages, and says which they were.
    pub(super) async fn park(
        &mut self,
        tx: &mut Tx,
        messages: &BTreeSet<Uuid>,
        now: UnixMicros,
    ) -> Result<BTreeSet<Uuid>, DbError> {
        const ANY: &str = "SELECT active FROM stops_head WHERE one = 1";
        let mut parked = BTreeSet::new();
        if messages.is_empty() {
            return Ok(parked);
        }
        if self.is_any.is_none() {
            let active = tx.query_one(ANY, params![]).await?.map(|row| row.int(0)).transpose()?;
            self.is_any = Some(active.unwrap_or(0) > 0);
        }
        if self.is_any == Some(false) {
            return Ok(parked);
        }
        for (message, stop) in self.find_locked(tx, messages).await? {
            park(tx, message, stop, now).await?;
            parked.insert(message);
        }
        Ok(parked)
    }

    /// What is stopped by something that is locked and in force.
    async fn find_locked(&mut self, tx: &mut Tx, messages: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, StopId>, DbError> {
        let mut stopped = find(tx, messages).await?;
        let unknown: BTreeSet<StopId> =
            stopped.values().copied().filter(|stop| !self.locked.contains_key(stop)).collect();
        for stop in &unknown {
            self.is_in_force(tx, *stop).await?;
        }
        if !unknown.is_empty() {
            // Who was waited for may have moved the mailbox out of the workspace that is stopped.
            stopped = find(tx, messages).await?;
        }
        stopped.retain(|_, stop| self.locked.get(stop) == Some(&true));
        Ok(stopped)
    }

    async fn is_in_force(&mut self, tx: &mut Tx, stop: StopId) -> Result<bool, DbError> {
        if let Some(known) = self.locked.get(&stop) {
            return Ok(*known);
        }
        let is_in_force = lock(tx, stop).await?;
        self.locked.insert(stop, is_in_force);
        Ok(is_in_force)
    }
}

/// Locks a stop, so that it is not lifted before the commit; whether it is in force.
pub(in crate::queue) async fn lock(tx: &mut Tx, stop: StopId) -> Result<bool, DbError> {
    const LOCK: &str = "SELECT id FROM stops WHERE id = $1 AND lifted_at IS NULL {lock}";
    Ok(tx.query_one(LOCK, params![stop.uuid()]).await?.is_some())
}

/// Parks the rows of a message on which nobody works.
async fn park(tx: &mut Tx, message: Uuid, stop: StopId, now: UnixMicros) -> Result<(), DbError> {
    const PARK: &str = "UPDATE queue SET parked = 2, stop_id = $2, \
        ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END, lease = NULL, owner = NULL \
        WHERE id IN (SELECT q.id FROM queue q WHERE q.message_id = $1 AND q.parked <> 2 AND q.paused = 0 \
        AND (q.lease IS NULL OR q.due_at <= $3) {skip_locked})";
    tx.execute(PARK, params![message, stop.uuid(), now.as_micros()]).await?;
    Ok(())
}
