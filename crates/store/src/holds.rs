//! Sends that are held: for a person who approves them, or for their quota. Each keeps its message as a draft, which
//! nobody sees unless it was one before. Whoever releases it goes through the one command that accepts messages, and the
//! hold ends in the transaction that accepts it: so it is sent once, and an approval is spent once.
//!
//! Every command here holds the lock on the mailbox, as sending does.

mod decide;
mod end;
mod read;

pub use decide::{DecideHold, DecideOutcome, Decision};
pub use end::{CancelHold, CancelOutcome, EndHold, PostponeHolds, PruneHolds};
#[cfg(test)]
pub(crate) use read::{CLOSED, DUE, EXPIRED, LIST, LIST_OF_GRANT, LIST_OPEN, OF_GRANT};
pub use read::{
    count_open, due, expired, find, find_of_grant, list, list_of_grant, next_due, of_grant, of_target, version_of,
};

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::drafts::{self, Announcement, Held};
use crate::engine::Tx;
use crate::messages::{MailboxCopy, MessageFacts};
use crate::opt_ins;
use crate::outbound::TripIds;
use crate::params;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::hold::{HELD_MAX, Reason, State};
use postfleet_core::id::{
    ApplicationId, AuditId, BlobId, EventId, GrantId, HoldId, KeyId, MessageId, OrganizationId, PolicyId,
};
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::{Value, json};

/// A send that is held, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose.
    pub application_id: ApplicationId,
    /// Whose the application is.
    pub organization_id: OrganizationId,
    /// The message that waits, and later the sent copy.
    pub message_id: MessageId,
    /// Whether the message is a draft of the mailbox until then.
    pub is_draft: bool,
    /// The body that waits.
    pub blob_id: BlobId,
    /// Why it is held.
    pub reason: Reason,
    /// What became of it.
    pub state: State,
    /// Everyone who gets it. Of a draft, the draft says.
    pub recipients: Vec<String>,
    /// The hash of whom it goes to and what it says, by which a repeat is known.
    pub content: Option<[u8; 32]>,
    /// The version of the policy and the rules by which it was held, or approved.
    pub version: String,
    /// What was approved.
    pub digest: Option<[u8; 32]>,
    /// Who sent it: the kind of their credential, and its id.
    pub author: (String, String),
    /// Who changed it last since, if anybody did: the draft is theirs as well now.
    pub editor: Option<(String, String)>,
    /// Who decided.
    pub decided_by: Option<(String, String)>,
    /// When.
    pub decided_at: Option<UnixMicros>,
    /// What they said of it, or why it failed.
    pub note: Option<String>,
    /// When it ends by itself.
    pub expires_at: UnixMicros,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was over.
    pub closed_at: Option<UnixMicros>,
}

macro_rules! hold_columns {
    () => {
        "id, grant_id, application_id, organization_id, message_id, is_draft, blob_id, reason, state, recipients, \
         content, version, digest, author_kind, author_id, decided_kind, decided_id, decided_at, note, expires_at, \
         created_at, closed_at, editor_kind, editor_id"
    };
}
pub(crate) use hold_columns;

fn read_row(row: &Row) -> Result<Hold, DbError> {
    let malformed = DbError::Malformed;
    let hash = |column| -> Result<Option<[u8; 32]>, DbError> {
        let read = |octets: Vec<u8>| <[u8; 32]>::try_from(octets).map_err(|_| malformed("hash"));
        row.opt_bytes(column)?.map(read).transpose()
    };
    let party = |kind, id| Ok::<_, DbError>(row.opt_text(kind)?.zip(row.opt_text(id)?));
    let decided_by = party(15, 16)?;
    Ok(Hold {
        id: HoldId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        application_id: ApplicationId::from_uuid(row.uuid(2)?),
        organization_id: OrganizationId::from_uuid(row.uuid(3)?),
        message_id: MessageId::from_uuid(row.uuid(4)?),
        is_draft: row.flag(5)?,
        blob_id: BlobId::from_uuid(row.uuid(6)?),
        reason: Reason::named(row.str(7)?).ok_or(malformed("reason"))?,
        state: State::named(row.str(8)?).ok_or(malformed("state"))?,
        recipients: serde_json::from_str(row.str(9)?).map_err(|_| malformed("recipients"))?,
        content: hash(10)?,
        version: row.text(11)?,
        digest: hash(12)?,
        author: (row.text(13)?, row.text(14)?),
        decided_by,
        decided_at: row.opt_int(17)?.map(UnixMicros::from_micros),
        note: row.opt_text(18)?,
        expires_at: UnixMicros::from_micros(row.int(19)?),
        created_at: UnixMicros::from_micros(row.int(20)?),
        closed_at: row.opt_int(21)?.map(UnixMicros::from_micros),
        editor: party(22, 23)?,
    })
}

impl Hold {
    /// Whether it may leave at a time: it waits for nothing but its quota, or was approved.
    pub fn may_leave(&self, at: UnixMicros) -> bool {
        let is_clear = self.state == State::Approved || (self.state == State::Waiting && !self.reason.needs_approval());
        is_clear && self.expires_at > at
    }

    /// The key by which it is judged when it leaves: that of whoever changed it last, or sent it.
    pub fn key(&self) -> Option<KeyId> {
        let (kind, id) = self.editor.as_ref().unwrap_or(&self.author);
        if *kind == ActorKind::ApiKey.name() { id.parse().ok() } else { None }
    }

    /// Whether it says what somebody wanted it to say.
    pub(crate) fn is_of(&self, actor: &Actor) -> bool {
        let is_so = |(kind, id): &(String, String)| *kind == actor.kind.name() && *id == actor.id;
        is_so(&self.author) || self.editor.as_ref().is_some_and(is_so)
    }

    /// What events and records say of it.
    pub fn facts(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "grant_id": self.grant_id.to_string(),
            "message_id": self.message_id.to_string(),
            "reason": self.reason.name(),
            "state": self.state.name(),
            "digest": self.digest.map(|digest| hex(&digest)),
            "note": self.note,
            "expires_at": self.expires_at.as_seconds(),
        })
    }
}

/// A hash as people see it.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The version of a policy and the rules beside it, as approvals are bound to it.
pub(crate) fn version(policy: Option<(PolicyId, i64)>, rules_version: i64) -> String {
    match policy {
        Some((id, changed_at)) => format!("{id}.{changed_at}.{rules_version}"),
        None => format!("none.0.{rules_version}"),
    }
}

/// How a send is held, should it have to be.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// The id of the hold.
    pub id: HoldId,
    /// Who sends.
    pub author: Actor,
    /// What is filed of the message that waits.
    pub waiting: MessageFacts,
    /// The ids of what is told of it.
    pub told: Told,
    /// The ids of what follows if it is held, or refused, because it goes round in circles or trips a breaker.
    pub trip: TripIds,
}

/// The ids of what is told of a step.
#[derive(Clone, Debug)]
pub struct Told {
    /// Of the record.
    pub audit_id: AuditId,
    /// Of the event.
    pub event_id: EventId,
    /// The id of the request; empty if there was none.
    pub request_id: String,
}

/// The release of a send that is held.
#[derive(Clone, Debug)]
pub struct Release {
    /// Which.
    pub id: HoldId,
    /// The ids of what is told of it.
    pub told: Told,
}

impl Hold {
    /// Writes a hold that was just made.
    pub(crate) async fn insert(&self, tx: &mut Tx, due_at: Option<UnixMicros>) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO holds (id, grant_id, application_id, organization_id, message_id, is_draft, \
            blob_id, reason, state, recipients, content, version, author_kind, author_id, expires_at, created_at, due_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
        let recipients = json!(self.recipients).to_string();
        let values = params![
            self.id.uuid(),
            self.grant_id.uuid(),
            self.application_id.uuid(),
            self.organization_id.uuid(),
            self.message_id.uuid(),
            self.is_draft,
            self.blob_id.uuid(),
            self.reason.name(),
            self.state.name(),
            &recipients,
            self.content.as_ref().map(|hash| hash.as_slice()),
            &self.version,
            &self.author.0,
            &self.author.1,
            self.expires_at.as_micros(),
            self.created_at.as_micros(),
            due_at.map(UnixMicros::as_micros)
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }

    /// Says who does what with it, in the record.
    pub(crate) async fn record(
        &self,
        tx: &mut Tx,
        action: &'static str,
        actor: Actor,
        told: &Told,
        at: UnixMicros,
    ) -> Result<(), DbError> {
        let act = Act {
            record_id: told.audit_id,
            actor,
            organization_id: self.organization_id,
            application_id: Some(self.application_id),
            request_id: told.request_id.clone(),
            at,
        };
        let (target_id, after) = (self.id.to_string(), self.facts().to_string());
        let change = Change { action, target_kind: "hold", target_id: &target_id, before: None, after: Some(&after) };
        audit::record(tx, &act, change).await
    }

    /// Tells what became of it.
    pub(crate) async fn announce(
        &self,
        tx: &mut Tx,
        trigger: Trigger,
        data: &str,
        id: EventId,
        at: UnixMicros,
    ) -> Result<(), DbError> {
        let (application_id, grant_id, message_id) = (self.application_id, self.grant_id, self.message_id);
        Announcement { id, application_id, grant_id, message_id, trigger, data, at }.make(tx).await
    }

    /// Removes the message that only waited; a draft of the mailbox stays.
    pub(crate) async fn let_go(&self, tx: &mut Tx) -> Result<(), DbError> {
        if self.is_draft {
            return Ok(());
        }
        match drafts::held(tx, self.grant_id, self.message_id).await? {
            Some(waiting) => drafts::remove(tx, self.grant_id, self.message_id, &waiting).await,
            None => Ok(()),
        }
    }

    /// Ends it; false if it is over already.
    pub(crate) async fn close(&self, tx: &mut Tx, state: State, at: UnixMicros) -> Result<bool, DbError> {
        const CLOSE: &str = "UPDATE holds SET state = $2, note = $3, closed_at = $4, due_at = NULL \
            WHERE id = $1 AND closed_at IS NULL";
        let values = params![self.id.uuid(), state.name(), self.note.as_deref(), at.as_micros()];
        Ok(tx.execute(CLOSE, values).await? > 0)
    }

    /// Ends it as sent: the message that waited is the sent copy now, or has made way for the same one sent anew.
    pub(crate) async fn released(
        &self,
        tx: &mut Tx,
        sent: MessageId,
        told: &Told,
        at: UnixMicros,
    ) -> Result<(), DbError> {
        const SENT_AS: &str = "UPDATE holds SET message_id = $2 WHERE id = $1";
        if sent != self.message_id {
            self.let_go(tx).await?;
            tx.execute(SENT_AS, params![self.id.uuid(), sent.uuid()]).await?;
        }
        self.close(tx, State::Released, at).await?;
        let released = Self { state: State::Released, message_id: sent, ..self.clone() };
        released.record(tx, "hold.released", system("send"), told, at).await?;
        let data = json!({"hold": released.facts()}).to_string();
        released.announce(tx, Trigger::MessageReleased, &data, told.event_id, at).await
    }

    /// Lets it wait for somebody to approve it, whatever was approved before.
    pub(crate) async fn reopen(
        &self,
        tx: &mut Tx,
        reason: Reason,
        version: &str,
        at: UnixMicros,
    ) -> Result<(), DbError> {
        const REOPEN: &str = "UPDATE holds SET state = 'waiting', reason = $2, version = $3, digest = NULL, \
            decided_kind = NULL, decided_id = NULL, decided_at = NULL, note = NULL, due_at = NULL, expires_at = $4 \
            WHERE id = $1 AND closed_at IS NULL";
        let expires_at = at.plus(reason.patience()).as_micros();
        tx.execute(REOPEN, params![self.id.uuid(), reason.name(), version, expires_at]).await?;
        Ok(())
    }
}

/// The product itself, as the one who acts.
pub(crate) fn system(name: &str) -> Actor {
    Actor { kind: ActorKind::System, id: String::new(), name: name.to_owned() }
}

/// Addresses as holds name them.
pub(crate) fn named<'a>(recipients: impl Iterator<Item = &'a EmailAddress>) -> Vec<String> {
    recipients.map(EmailAddress::to_string).collect()
}

/// A hold of a mailbox that is locked, unless it is over.
pub(crate) async fn open(tx: &mut Tx, id: HoldId) -> Result<Option<Hold>, DbError> {
    const FIND: &str = concat!("SELECT ", hold_columns!(), " FROM holds WHERE id = $1 AND closed_at IS NULL");
    tx.query_one(FIND, params![id.uuid()]).await?.as_ref().map(read_row).transpose()
}

/// The hold of a draft of a mailbox that is locked, unless it is over.
pub(crate) async fn of_message(tx: &mut Tx, message: MessageId) -> Result<Option<Hold>, DbError> {
    const FIND: &str = concat!("SELECT ", hold_columns!(), " FROM holds WHERE message_id = $1 AND closed_at IS NULL");
    tx.query_one(FIND, params![message.uuid()]).await?.as_ref().map(read_row).transpose()
}

const COUNT_OPEN: &str = "SELECT count(*) FROM holds WHERE grant_id = $1 AND closed_at IS NULL";

/// Whether one more send of a mailbox may be held.
pub(crate) async fn has_room(tx: &mut Tx, grant: GrantId) -> Result<bool, DbError> {
    let row = tx.query_one(COUNT_OPEN, params![grant.uuid()]).await?.ok_or(DbError::Malformed("count"))?;
    Ok(row.count(0)? < HELD_MAX as u64)
}

/// Lets the hold of a draft, if it has one, follow an edit: it waits anew, what was approved is no longer, and whoever
/// edited it, with a key or as the mailbox itself, is who sends it then.
pub(crate) async fn follow(
    tx: &mut Tx,
    copy: &MailboxCopy,
    blob: BlobId,
    by: Option<KeyId>,
    at: UnixMicros,
) -> Result<(), DbError> {
    const MOVE: &str = "UPDATE holds SET blob_id = $2, editor_kind = $3, editor_id = $4 WHERE id = $1";
    let Some(hold) = of_message(tx, copy.message_id).await? else { return Ok(()) };
    let (kind, editor) = match by {
        Some(key) => (ActorKind::ApiKey, key.to_string()),
        None => (ActorKind::AccessToken, copy.grant_id.to_string()),
    };
    tx.execute(MOVE, params![hold.id.uuid(), blob.uuid(), kind.name(), &editor]).await?;
    if hold.state == State::Approved {
        hold.reopen(tx, hold.reason, &hold.version, at).await?;
        let reopened = Hold { state: State::Waiting, digest: None, note: None, ..hold };
        let told = Told {
            // Both are of this one change.
            audit_id: AuditId::from_uuid(copy.event_id.uuid()),
            event_id: copy.event_id,
            request_id: String::new(),
        };
        reopened.record(tx, "hold.reopened", system("edit of the draft"), &told, at).await?;
    }
    Ok(())
}

/// Ends the hold of a draft that is removed.
pub(crate) async fn cancel_of(
    tx: &mut Tx,
    message: MessageId,
    audit_id: AuditId,
    at: UnixMicros,
) -> Result<(), DbError> {
    let Some(hold) = of_message(tx, message).await? else { return Ok(()) };
    hold.close(tx, State::Cancelled, at).await?;
    let cancelled = Hold { state: State::Cancelled, ..hold };
    let told = Told { audit_id, event_id: EventId::from_uuid(audit_id.uuid()), request_id: String::new() };
    opt_ins::not_sent(tx, message, told.event_id, at).await?;
    cancelled.record(tx, "hold.cancelled", system("removal of the draft"), &told, at).await
}

/// Whether a draft is seen by its mailbox.
pub(crate) fn is_seen(draft: Option<&Held>) -> bool {
    draft.is_some_and(Held::is_seen)
}
