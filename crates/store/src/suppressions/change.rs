//! Adding and removing suppressions: by the product itself, and by people, with a record.

use super::check::check_in;
use super::{Suppression, read, suppression_columns};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::opt_ins;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::opt_in::ends_agreement;
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Addresses that a record names; it always says how many there were.
pub const RECORDED_ADDRESSES_MAX: usize = 100;

/// What suppresses an address, for [`suppress`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause<'a> {
    /// Why.
    pub reason: Reason,
    /// Who or what said so: one word, such as `delivery`, `dsn`, `feedback_loop` or `one_click`.
    pub source: &'a str,
    /// The mailbox whose mail it was, if that is known.
    pub grant_id: Option<GrantId>,
    /// The message, if that is known.
    pub message_id: Option<MessageId>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
}

/// Suppresses an address that the product itself found out about, in the transaction of whatever told it. An entry that
/// is there and has not expired stays, unless the new reason weighs more ([`Reason::weight`]).
/// No record is written: the event of the bounce or complaint is one. What the address agreed to is over if its reader wants
/// nothing more. Answers whether anything changed.
pub async fn suppress(
    tx: &mut Tx,
    application: ApplicationId,
    address: &EmailAddress,
    cause: &Cause<'_>,
    at: UnixMicros,
) -> Result<bool, DbError> {
    const UPSERT: &str = "INSERT INTO suppressions (application_id, address_key, address, domain, reason, source, \
        grant_id, message_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CAST($11 AS {int})) \
        ON CONFLICT (application_id, address_key) DO UPDATE SET reason = $5, source = $6, note = NULL, grant_id = $7, \
        message_id = $8, expires_at = excluded.expires_at, created_at = $9 WHERE suppressions.expires_at <= $9 \
        OR CASE suppressions.reason WHEN 'invalid' THEN 0 WHEN 'hard_bounce' THEN 1 WHEN 'manual' THEN 2 \
        WHEN 'unsubscribe' THEN 3 ELSE 4 END < CAST($10 AS {int})";
    let (key, shown) = (address.key(), address.to_string());
    let values = params![
        application.uuid(),
        &key,
        &shown,
        address.domain().as_str(),
        cause.reason.name(),
        cause.source,
        cause.grant_id.map(GrantId::uuid),
        cause.message_id.map(MessageId::uuid),
        at.as_micros(),
        i64::from(cause.reason.weight()),
        cause.expires_at.map(UnixMicros::as_micros)
    ];
    let is_new = tx.execute(UPSERT, values).await? > 0;
    if is_new && ends_agreement(cause.reason) {
        opt_ins::end_all(tx, application, address, at).await?;
    }
    Ok(is_new)
}

/// Forgets that an address bounced: there is a mailbox now.
pub(crate) async fn forget_bounce(
    tx: &mut Tx,
    application: ApplicationId,
    address: &EmailAddress,
) -> Result<(), DbError> {
    const FORGET: &str = "DELETE FROM suppressions WHERE application_id = $1 AND address_key = $2 \
        AND reason IN ('hard_bounce', 'invalid')";
    tx.execute(FORGET, params![application.uuid(), &address.key()]).await?;
    Ok(())
}

/// Adds addresses because somebody says so. What they say replaces what is there.
#[derive(Clone, Debug)]
pub struct AddSuppressions {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which; duplicates are added once. At most [`postfleet_core::suppression::ADDRESSES_MAX`].
    pub addresses: Vec<EmailAddress>,
    /// Why.
    pub reason: Reason,
    /// By what way they came, such as `api`.
    pub source: String,
    /// What is noted with each.
    pub note: Option<String>,
    /// When they end, if they do.
    pub expires_at: Option<UnixMicros>,
}

/// What [`AddSuppressions`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Addresses that were not suppressed before.
    pub added: u64,
    /// Addresses that were, with another reason, note or end.
    pub changed: u64,
    /// Addresses that were already as wanted.
    pub unchanged: u64,
    /// All of them as they are now, in the order of the request, each once.
    pub suppressions: Vec<Suppression>,
}

impl Command for AddSuppressions {
    /// `None` if there is no such application any more.
    type Outcome = Option<Added>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Added>, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        if tx.query_one(LOCK, params![self.application_id.uuid()]).await?.is_none() {
            return Ok(None);
        }
        let before = by_key(check_in(tx, self.application_id, &self.addresses, self.act.at).await?);
        let written = self.write(tx).await?;
        let now = by_key(check_in(tx, self.application_id, &self.addresses, self.act.at).await?);
        let mut added = Added::default();
        let mut seen = HashSet::new();
        for key in self.addresses.iter().map(EmailAddress::key).filter(|key| seen.insert(key.clone())) {
            match (written.contains(&key), before.contains_key(&key)) {
                (true, false) => added.added += 1,
                (true, true) => added.changed += 1,
                (false, _) => added.unchanged += 1,
            }
            added.suppressions.extend(now.get(&key).cloned());
        }
        if !written.is_empty() {
            self.record(tx, &before, &added, &written).await?;
        }
        Ok(Some(added))
    }
}

impl AddSuppressions {
    /// Writes those that are not yet as wanted; answers their keys.
    async fn write(&self, tx: &mut Tx) -> Result<HashSet<String>, DbError> {
        let row = |address| Wanted { address, reason: self.reason, expires_at: self.expires_at };
        // Of an address that is named twice the first spelling is kept.
        let wanted: Vec<Wanted<'_>> = self.addresses.iter().rev().map(row).collect();
        write(tx, self.application_id, &wanted, (&self.source, self.note.as_deref()), self.act.at).await
    }

    /// The record names those that were changed, and what was there before.
    async fn record(
        &self,
        tx: &mut Tx,
        before: &HashMap<String, Suppression>,
        added: &Added,
        written: &HashSet<String>,
    ) -> Result<(), DbError> {
        let named: Vec<&EmailAddress> = added
            .suppressions
            .iter()
            .map(|one| &one.address)
            .filter(|address| written.contains(&address.key()))
            .take(RECORDED_ADDRESSES_MAX)
            .collect();
        let old: Vec<Value> = named.iter().filter_map(|address| before.get(&address.key())).map(facts).collect();
        let old = (!old.is_empty()).then(|| json!({"suppressions": old}).to_string());
        let new = json!({
            "count": written.len(),
            "addresses": named.iter().map(|address| address.to_string()).collect::<Vec<_>>(),
            "reason": self.reason.name(),
            "source": self.source,
            "note": self.note,
            "expires_at": self.expires_at.map(UnixMicros::as_seconds),
        })
        .to_string();
        let target = match named.as_slice() {
            [only] => only.to_string(),
            _ => self.application_id.to_string(),
        };
        let action = "suppression.added";
        let change = Change {
            action,
            target_kind: "suppression",
            target_id: &target,
            before: old.as_deref(),
            after: Some(&new),
        };
        audit::record(tx, &self.act, change).await
    }
}

/// An entry as somebody wants it.
pub(super) struct Wanted<'a> {
    pub(super) address: &'a EmailAddress,
    pub(super) reason: Reason,
    pub(super) expires_at: Option<UnixMicros>,
}

/// Writes entries that are not yet as wanted; answers their keys. Of several for one address the last holds.
pub(super) async fn write(
    tx: &mut Tx,
    application: ApplicationId,
    wanted: &[Wanted<'_>],
    (source, note): (&str, Option<&str>),
    at: UnixMicros,
) -> Result<HashSet<String>, DbError> {
    const UPSERT: &str = "INSERT INTO suppressions (application_id, address_key, address, domain, reason, source, \
        note, expires_at, created_at) \
        SELECT CAST($1 AS {id}), e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, CAST($3 AS TEXT), \
        CAST($4 AS TEXT), CAST(e.value ->> 4 AS {int}), CAST($5 AS {int}) FROM {json_each}($2) AS e WHERE true \
        ON CONFLICT (application_id, address_key) DO UPDATE SET reason = excluded.reason, \
        source = excluded.source, note = excluded.note, grant_id = NULL, message_id = NULL, \
        expires_at = excluded.expires_at, created_at = excluded.created_at \
        WHERE suppressions.reason <> excluded.reason OR suppressions.note IS DISTINCT FROM excluded.note \
        OR suppressions.expires_at IS DISTINCT FROM excluded.expires_at RETURNING address_key";
    // In one order, so that two of these do not wait for each other, and each once.
    let rows: BTreeMap<String, &Wanted<'_>> = wanted.iter().map(|one| (one.address.key(), one)).collect();
    let row = |(key, one): (String, &Wanted<'_>)| {
        let (address, domain) = (one.address.to_string(), one.address.domain().as_str());
        json!([key, address, domain, one.reason.name(), one.expires_at.map(UnixMicros::as_micros)])
    };
    let rows = rows.into_iter().map(row).collect::<Value>().to_string();
    let values = params![application.uuid(), &rows, source, note, at.as_micros()];
    tx.query(UPSERT, values).await?.iter().map(|row| row.text(0)).collect()
}

fn by_key(suppressions: Vec<Suppression>) -> HashMap<String, Suppression> {
    suppressions.into_iter().map(|one| (one.address.key(), one)).collect()
}

/// What a record shows of an entry.
fn facts(one: &Suppression) -> Value {
    json!({
        "address": one.address.to_string(),
        "reason": one.reason.name(),
        "source": one.source,
        "note": one.note,
        "grant_id": one.grant_id.map(|id| id.to_string()),
        "message_id": one.message_id.map(|id| id.to_string()),
        "expires_at": one.expires_at.map(UnixMicros::as_seconds),
        "created_at": one.created_at.as_seconds(),
    })
}

/// Removes an address: the next message goes there again.
#[derive(Clone, Debug)]
pub struct RemoveSuppression {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub address: EmailAddress,
}

impl Command for RemoveSuppression {
    /// Whether it was suppressed.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = concat!(
            "DELETE FROM suppressions WHERE application_id = $1 AND address_key = $2 RETURNING ",
            suppression_columns!()
        );
        let row = tx.query_one(REMOVE, params![self.application_id.uuid(), &self.address.key()]).await?;
        let Some(old) = row.as_ref().map(read).transpose()? else { return Ok(false) };
        if old.expires_at.is_some_and(|end| end <= self.act.at) {
            return Ok(false);
        }
        let (target, before) = (old.address.to_string(), facts(&old).to_string());
        let action = "suppression.removed";
        let change =
            Change { action, target_kind: "suppression", target_id: &target, before: Some(&before), after: None };
        audit::record(tx, &self.act, change).await?;
        Ok(true)
    }
}
