//! The ledger of outcomes: what happened to each recipient of what was sent. Reputation is counted from it, and can be
//! counted anew; people read in it what became of their mail.
//!
//! Commands add rows to the tally of their batch, which writes all of them just before the commit, in one round trip.

use crate::db::{Db, DbError, Param, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::bounce::BounceType;
use postfleet_core::id::{
    ApplicationId, GrantId, MessageId, OrganizationId, SendEventId, ThreadId, WorkspaceId, uuid_v7,
};
use postfleet_core::send_event::{Counted, SendEventKind};
use postfleet_core::{EmailAddress, UnixMicros};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Characters of a reason at most; more are cut off.
const REASON_CHARS_MAX: usize = 300;
/// Characters of a status at most.
const STATUS_CHARS_MAX: usize = 32;

/// Whose message something happened to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The organization of the mailbox.
    pub organization_id: OrganizationId,
    /// The application of the mailbox.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The workspace in which it was when the message was accepted.
    pub workspace_id: Option<WorkspaceId>,
    /// The message.
    pub message_id: MessageId,
    /// Its thread, if it is known.
    pub thread_id: Option<ThreadId>,
    /// The mailbox's address.
    pub sender: EmailAddress,
}

/// What happened to one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendEvent {
    /// Its id, which says when.
    pub id: SendEventId,
    /// Whose message.
    pub sent: Sent,
    /// What happened.
    pub kind: SendEventKind,
    /// The type of a failure.
    pub bounce: Option<BounceType>,
    /// The failure is that time ran out.
    pub is_expired: bool,
    /// It was reported after the message had been taken.
    pub is_late: bool,
    /// As what it counts.
    pub counted: Counted,
    /// Its place among those of its mailbox that count; 0 for none.
    pub number: u64,
    /// The recipient; none if a report names nobody.
    pub recipient: Option<EmailAddress>,
    /// Enhanced status code, or the type of a complaint.
    pub status: String,
    /// What was said, for people.
    pub reason: String,
    /// The mailbox was gone when it happened: it counts for those whose it was.
    pub is_of_removed: bool,
}

impl SendEvent {
    /// Something that says nothing more yet. The id is made of the time and of another id that belongs to it alone.
    pub(crate) fn new(
        sent: &Sent,
        kind: SendEventKind,
        recipient: Option<&EmailAddress>,
        (of, at): (Uuid, UnixMicros),
    ) -> Self {
        Self {
            id: SendEventId::from_uuid(made_of(of, at)),
            sent: sent.clone(),
            kind,
            bounce: None,
            is_expired: false,
            is_late: false,
            counted: Counted::NOTHING,
            number: 0,
            recipient: recipient.cloned(),
            status: String::new(),
            reason: String::new(),
            is_of_removed: false,
        }
    }
}

/// The texts of a row, which its values borrow.
struct Texts {
    recipient: String,
    sender: String,
    status: String,
    reason: String,
}

impl Texts {
    fn of(event: &SendEvent) -> Self {
        Self {
            recipient: event.recipient.as_ref().map(ToString::to_string).unwrap_or_default(),
            sender: event.sent.sender.to_string(),
            status: bounded(&event.status, STATUS_CHARS_MAX),
            reason: bounded(&event.reason, REASON_CHARS_MAX),
        }
    }

    fn row<'a>(&'a self, event: &'a SendEvent) -> Vec<Param<'a>> {
        let sent = &event.sent;
        let recipient_domain = event.recipient.as_ref().map_or("", |address| address.domain().as_str());
        params![
            event.id.uuid(),
            sent.organization_id.uuid(),
            sent.application_id.uuid(),
            sent.grant_id.uuid(),
            sent.workspace_id.map(WorkspaceId::uuid),
            sent.message_id.uuid(),
            sent.thread_id.map(ThreadId::uuid),
            event.kind.number(),
            event.bounce.map(BounceType::name),
            event.is_expired,
            event.is_late,
            event.counted.number(),
            event.number as i64,
            &self.recipient,
            recipient_domain,
            &self.sender,
            sent.sender.domain().as_str(),
            &self.status,
            &self.reason
        ]
        .to_vec()
    }
}

/// An id of a time, made of another that was made for the same thing.
pub(crate) fn made_of(of: Uuid, at: UnixMicros) -> Uuid {
    let mut ten = [0; 10];
    ten.copy_from_slice(&of.as_bytes()[6..]);
    uuid_v7(at, ten)
}

/// Another id than those of its source: for what follows from it.
pub(crate) fn follows_from(source: SendEventId, what: &str) -> Uuid {
    let hash = blake3::hash(&[source.uuid().as_bytes().as_slice(), what.as_bytes()].concat());
    let mut ten = [0; 10];
    ten.copy_from_slice(&hash.as_bytes()[..10]);
    uuid_v7(source.made_at(), ten)
}

fn bounded(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whose message it is, as the mailbox is now; none if the mailbox is gone.
pub(crate) async fn sent(tx: &mut Tx, grant: GrantId, message: MessageId) -> Result<Option<Sent>, DbError> {
    const FIND: &str = "SELECT b.organization_id, b.application_id, g.workspace_id, g.email, m.thread_id FROM mailboxes b \
        JOIN grants g ON g.application_id = b.application_id AND g.id = b.grant_id \
        LEFT JOIN messages m ON m.id = $2 WHERE b.grant_id = $1";
    let Some(row) = tx.query_one(FIND, params![grant.uuid(), message.uuid()]).await? else { return Ok(None) };
    Ok(Some(Sent {
        organization_id: OrganizationId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        grant_id: grant,
        workspace_id: row.opt_uuid(2)?.map(WorkspaceId::from_uuid),
        message_id: message,
        thread_id: row.opt_uuid(4)?.map(ThreadId::from_uuid),
        sender: EmailAddress::parse(row.str(3)?).map_err(|_| DbError::Malformed("address"))?,
    }))
}

/// Whether it was counted already that nobody is there, by an attempt or by a report.
pub(crate) async fn has_bounced(tx: &mut Tx, message: MessageId, recipient: &EmailAddress) -> Result<bool, DbError> {
    let key = recipient.key();
    if tx.tally().has_bounced(message, &key) {
        return Ok(true);
    }
    for row in tx.query(FAILED, params![message.uuid()]).await? {
        let is_hard = Counted::numbered(row.int(1)?).hard_bounce;
        if is_hard && EmailAddress::parse(row.str(0)?).is_ok_and(|address| address.key() == key) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first condition is that of the index.
pub(crate) const FAILED: &str =
    "SELECT recipient, counted FROM send_events WHERE message_id = $1 AND kind >= 3 AND kind = 3 ORDER BY id";

/// Writes the rows of a batch.
pub(crate) async fn write(db: &mut Db, events: &[SendEvent]) -> Result<(), DbError> {
    const WRITE: &str = "INSERT INTO send_events (id, organization_id, application_id, grant_id, workspace_id, \
        message_id, thread_id, kind, bounce, expired, late, counted, number, recipient, recipient_domain, sender, \
        sender_domain, status, reason) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
    if events.is_empty() {
        return Ok(());
    }
    let texts: Vec<Texts> = events.iter().map(Texts::of).collect();
    let rows: Vec<Vec<Param<'_>>> = texts.iter().zip(events).map(|(texts, event)| texts.row(event)).collect();
    db.execute_each(WRITE, &rows).await
}

/// Writes whose the rows after one and up to another are: those of the mailboxes in their order, and so on, which is
/// cheaper than each where it happens.
pub(crate) async fn attribute(db: &mut Db, after: Uuid, last: Uuid) -> Result<(), DbError> {
    db.execute(ATTRIBUTE, params![after, last]).await?;
    Ok(())
}

pub(crate) const ATTRIBUTE: &str = "INSERT INTO send_events_of (subject_id, id) \
    SELECT application_id, id FROM send_events WHERE id > $1 AND id <= $2 UNION ALL \
    SELECT grant_id, id FROM send_events WHERE id > $1 AND id <= $2 UNION ALL \
    SELECT message_id, id FROM send_events WHERE id > $1 AND id <= $2 ORDER BY 1, 2";

/// The same for rows that were written behind the head.
pub(crate) async fn attribute_late(db: &mut Db, events: &[&SendEvent]) -> Result<(), DbError> {
    const WRITE: &str = "INSERT INTO send_events_of (subject_id, id) VALUES ($1, $2)";
    if events.is_empty() {
        return Ok(());
    }
    let subjects = |sent: &Sent| [sent.application_id.uuid(), sent.grant_id.uuid(), sent.message_id.uuid()];
    let rows: BTreeSet<(Uuid, Uuid)> =
        events.iter().flat_map(|event| subjects(&event.sent).map(|subject| (subject, event.id.uuid()))).collect();
    let rows: Vec<Vec<Param<'_>>> = rows.iter().map(|&(subject, id)| params![subject, id].to_vec()).collect();
    db.execute_each(WRITE, &rows).await
}

/// The ids (`found`) of rows of `$1`, which is an application, a mailbox or a message as the column says: before `$2` and
/// not before `$3`, the newest so many. Up to the head it is written whose they are; what is beyond it is read in the ledger.
macro_rules! ids_of {
    ($column:literal, $most:literal) => {
        concat!(
            "(SELECT id AS found FROM (SELECT i.id FROM send_events_of i WHERE i.subject_id = $1 AND i.id < $2 \
             AND i.id >= $3 ORDER BY i.id DESC LIMIT ",
            $most,
            ") AS kept UNION ALL SELECT id AS found FROM (SELECT t.id FROM send_events t WHERE t.",
            $column,
            " = $1 AND t.id < $2 AND t.id > (SELECT last FROM send_sums_head WHERE one = 1) ORDER BY t.id DESC LIMIT ",
            $most,
            ") AS tail WHERE id >= $3) AS ids"
        )
    };
}

pub(crate) use ids_of;

/// Its columns, as [`read`] wants them.
macro_rules! send_event_columns {
    () => {
        "id, organization_id, application_id, grant_id, workspace_id, message_id, thread_id, kind, bounce, expired, \
         late, counted, number, recipient, sender, status, reason"
    };
}

pub(crate) use send_event_columns;

pub(crate) const OF_GRANT: &str = concat!(
    "SELECT ",
    send_event_columns!(),
    " FROM ",
    ids_of!("grant_id", "$4"),
    " CROSS JOIN send_events WHERE id = ids.found ORDER BY ids.found DESC LIMIT $4"
);

/// What went wrong, among it what counts for nothing.
pub(crate) const ADVERSE: &str = concat!(
    "SELECT ",
    send_event_columns!(),
    " FROM send_events WHERE grant_id = $1 AND id < $2 AND id >= $3 AND kind >= 3 ORDER BY id DESC LIMIT $4"
);

/// What went wrong with what was sent from a domain.
pub(crate) const ADVERSE_OF_DOMAIN: &str = "SELECT grant_id, sender, kind, bounce, recipient_domain \
    FROM send_events WHERE sender_domain = $1 AND id > $2 AND kind >= 3 AND organization_id = $3 ORDER BY id DESC LIMIT $4";

/// Something that went wrong, as far as its domain is concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adverse {
    /// The mailbox.
    pub grant: GrantId,
    /// Its address.
    pub sender: String,
    /// What happened.
    pub kind: SendEventKind,
    /// Of a failure, its type.
    pub bounce: Option<BounceType>,
    /// The domain of the recipient.
    pub recipient_domain: String,
}

/// What went wrong with what an organization sent from a domain since a time, newest first.
pub async fn adverse_of_domain(
    reader: &mut Reader<'_>,
    (organization, domain): (OrganizationId, &str),
    since: UnixMicros,
    limit: usize,
) -> Result<Vec<Adverse>, StoreError> {
    let since = SendEventId::first_at(since).uuid();
    let rows = reader.query(ADVERSE_OF_DOMAIN, params![domain, since, organization.uuid(), limit as i64]).await?;
    let read = |row: &Row| {
        Ok(Adverse {
            grant: GrantId::from_uuid(row.uuid(0)?),
            sender: row.text(1)?,
            kind: SendEventKind::numbered(row.int(2)?).ok_or(DbError::Malformed("kind of a send event"))?,
            bounce: row.opt_text(3)?.and_then(|name| BounceType::named(&name)),
            recipient_domain: row.text(4)?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// What happened to what a mailbox sent, newest first: `limit` of those before an id; `adverse_only`: what went wrong.
pub async fn of_grant(
    reader: &mut Reader<'_>,
    grant: GrantId,
    before: Option<SendEventId>,
    adverse_only: bool,
    limit: usize,
) -> Result<Vec<SendEvent>, StoreError> {
    let sql = if adverse_only { ADVERSE } else { OF_GRANT };
    let before = before.map_or(Uuid::max(), SendEventId::uuid);
    let rows = reader.query(sql, params![grant.uuid(), before, Uuid::nil(), limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Reads the columns of `send_event_columns!`.
pub(crate) fn read(row: &Row) -> Result<SendEvent, DbError> {
    let address = |column, what| EmailAddress::parse(row.str(column)?).map_err(|_| DbError::Malformed(what));
    let recipient = row.text(13)?;
    let sent = Sent {
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        application_id: ApplicationId::from_uuid(row.uuid(2)?),
        grant_id: GrantId::from_uuid(row.uuid(3)?),
        workspace_id: row.opt_uuid(4)?.map(WorkspaceId::from_uuid),
        message_id: MessageId::from_uuid(row.uuid(5)?),
        thread_id: row.opt_uuid(6)?.map(ThreadId::from_uuid),
        sender: address(14, "sender")?,
    };
    let (counted, number) = (Counted::numbered(row.int(11)?), row.count(12)?);
    Ok(SendEvent {
        id: SendEventId::from_uuid(row.uuid(0)?),
        sent,
        kind: SendEventKind::numbered(row.int(7)?).ok_or(DbError::Malformed("kind of a send event"))?,
        bounce: row.opt_text(8)?.and_then(|name| BounceType::named(&name)),
        is_expired: row.flag(9)?,
        is_late: row.flag(10)?,
        counted,
        number,
        recipient: if recipient.is_empty() { None } else { Some(address(13, "recipient")?) },
        status: row.text(15)?,
        reason: row.text(16)?,
        is_of_removed: counted.is_anything() && number == 0,
    })
}
