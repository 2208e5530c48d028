//! The mail that an application's mailboxes sent, or tried to send, as rules see it, in the order of time. What was sent
//! is read from its copy, which every accepted message has; what was refused by rules, from the record of that. So each
//! message is there once, also where no rule was in force when it was sent.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, EvaluationId, GrantId, MessageId, WorkspaceId};
use postfleet_core::rule::{Input, OutboundType};
use postfleet_core::{EmailAddress, UnixMicros};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use uuid::Uuid;

/// A message of the past.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Past {
    /// The id of its copy or of its record: they grow with time, and no two are equal.
    pub id: Uuid,
    /// What the id is of.
    pub kept: Kept,
    /// The mailbox that sent it.
    pub grant_id: GrantId,
    /// The workspace in which the mailbox is now.
    pub workspace_id: Option<WorkspaceId>,
    /// When.
    pub at: UnixMicros,
    /// What rules see of it; none if what is kept of it cannot be read.
    pub input: Option<Input>,
}

/// What is kept of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It was sent: its copy.
    Sent(MessageId),
    /// It was refused: what the rules said.
    Refused(EvaluationId),
}

/// Which part of the past.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Whose.
    pub application_id: ApplicationId,
    /// It begins behind this id.
    pub after: Uuid,
    /// It ends before this time.
    pub until: UnixMicros,
    /// How many messages at most.
    pub limit: usize,
}

/// Behind which id a span begins that has all from a time on.
pub fn from(time: UnixMicros) -> Uuid {
    // The last id before the first one of that time.
    let first = MessageId::first_at(time).uuid().as_u128();
    Uuid::from_u128(first.saturating_sub(1))
}

// Mailboxes that were removed are not there any more. The order of the tables is that in which they are to be read.
pub(crate) const SENT: &str = "SELECT m.id, m.grant_id, g.workspace_id, m.date, m.summary \
    FROM messages m CROSS JOIN grants g WHERE m.sent_by = $1 AND m.id > $2 AND m.id < $3 \
    AND g.application_id = $1 AND g.id = m.grant_id ORDER BY m.id LIMIT $4";

pub(crate) const REFUSED: &str = "SELECT e.id, e.grant_id, g.workspace_id, e.evaluated_at, e.input \
    FROM rule_evaluations e CROSS JOIN grants g WHERE e.application_id = $1 AND e.message_id IS NULL \
    AND e.stage = 'outbound_send' AND e.id > $2 AND e.id < $3 \
    AND g.application_id = $1 AND g.id = e.grant_id ORDER BY e.id LIMIT $4";

/// The first messages of a span, in the order of time. Fewer than its limit are all that it has.
pub async fn read(reader: &mut Reader<'_>, span: Span) -> Result<Vec<Past>, StoreError> {
    let before = MessageId::first_at(span.until).uuid();
    let values = params![span.application_id.uuid(), span.after, before, span.limit as i64];
    let mut sent = reader.query(SENT, values).await?.into_iter().peekable();
    let mut refused = reader.query(REFUSED, values).await?.into_iter().peekable();
    let mut found = Vec::new();
    while found.len() < span.limit {
        let is_sent_next = match (sent.peek(), refused.peek()) {
            (Some(sent), Some(refused)) => sent.uuid(0)? < refused.uuid(0)?,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        let row = if is_sent_next { sent.next() } else { refused.next() };
        if let Some(row) = row {
            found.push(past(&row, is_sent_next)?);
        }
    }
    Ok(found)
}

fn past(row: &Row, is_sent: bool) -> Result<Past, DbError> {
    let (id, kept_text) = (row.uuid(0)?, row.text(4)?);
    let (kept, input) = match is_sent {
        true => (Kept::Sent(MessageId::from_uuid(id)), of_summary(&kept_text)),
        false => (Kept::Refused(EvaluationId::from_uuid(id)), of_record(&kept_text)),
    };
    Ok(Past {
        id,
        kept,
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        workspace_id: row.opt_uuid(2)?.map(WorkspaceId::from_uuid),
        at: UnixMicros::from_micros(row.int(3)?),
        input,
    })
}

/// What counts of what is kept beside a copy; see `postfleet-mailbox`.
#[derive(Deserialize)]
struct Summary<'a> {
    #[serde(borrow, default)]
    from: Vec<Person<'a>>,
    #[serde(borrow, default)]
    to: Vec<Person<'a>>,
    #[serde(borrow, default)]
    cc: Vec<Person<'a>>,
    #[serde(borrow, default)]
    bcc: Vec<Person<'a>>,
    #[serde(default)]
    in_reply_to: Option<IgnoredAny>,
    #[serde(default)]
    references: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Person<'a> {
    #[serde(borrow)]
    email: Cow<'a, str>,
}

fn of_summary(summary: &str) -> Option<Input> {
    let summary: Summary<'_> = serde_json::from_str(summary).ok()?;
    let is_reply = summary.in_reply_to.is_some() || !summary.references.is_empty();
    let outbound_type = if is_reply { OutboundType::Reply } else { OutboundType::Compose };
    let recipients = summary.to.iter().chain(&summary.cc).chain(&summary.bcc);
    input(&summary.from.first()?.email, recipients.map(|person| &*person.email), outbound_type)
}

/// What a record says that the rules saw.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    from_address: Cow<'a, str>,
    #[serde(borrow)]
    recipient_addresses: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    outbound_type: Cow<'a, str>,
}

fn of_record(seen: &str) -> Option<Input> {
    let seen: Seen<'_> = serde_json::from_str(seen).ok()?;
    let outbound_type = OutboundType::named(&seen.outbound_type)?;
    input(&seen.from_address, seen.recipient_addresses.iter().map(|address| &**address), outbound_type)
}

fn input<'a>(from: &str, to: impl Iterator<Item = &'a str>, outbound_type: OutboundType) -> Option<Input> {
    let from = EmailAddress::parse(from).ok()?;
    let recipients = to.map(EmailAddress::parse).collect::<Result<Vec<_>, _>>().ok()?;
    Some(Input::outbound(&from, &recipients, outbound_type))
}
