//! What the checks of a case are made of: read beside everything else, as much of it as one mailbox may have. What may
//! change at any moment, the stops, is read once more where something is decided.

use crate::db::DbError;
use crate::domains::{self, KeyState};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use crate::reputation;
use crate::send_events::ids_of;
use crate::stops;
use crate::suppressions;
use postfleet_core::domain_records::{RecordKind, RecordStatus};
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, SendEventId};
use postfleet_core::recovery::{Addresses, DomainFacts, Facts};
use postfleet_core::reputation::SubjectKind;
use postfleet_core::retry::DELIVERY_HORIZON;
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Rows that are read of each source at most. A case of a mailbox with more is looked at as far as that.
const ROWS_MAX: i64 = 20_000;
/// Addresses that are asked about at once.
const ASKED_AT_ONCE: usize = 1_000;
/// The last rows of the ledger in which it is looked for what may still wait.
const SENDS_MAX: i64 = 100_000;
/// Addresses that are named.
const NAMED_MAX: usize = 20;

/// Whose case it is.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The organization of the mailbox.
    pub organization: OrganizationId,
    /// Its application.
    pub application: ApplicationId,
    /// The mailbox.
    pub grant: GrantId,
    /// Its address.
    pub email: EmailAddress,
}

/// Who counts in the window: who is not there, or complained.
const COUNTED: &str = "SELECT DISTINCT recipient FROM send_events WHERE grant_id = $1 AND kind >= 3 \
    AND number >= $2 AND counted >= 4 AND recipient <> '' LIMIT $3";

/// To whom messages of the mailbox are on their way that it has sent since a time.
pub(crate) const QUEUED: &str = concat!(
    "SELECT DISTINCT q.recipient FROM ",
    ids_of!("grant_id", "$4"),
    " CROSS JOIN send_events s CROSS JOIN queue q \
     WHERE s.id = ids.found AND s.kind = 1 AND q.message_id = s.message_id LIMIT $5"
);

/// To whom messages wait behind the pause.
const STOPPED: &str =
    "SELECT q.recipient FROM queue q WHERE q.stop_id = $1 AND q.parked = 2 ORDER BY q.due_at, q.id LIMIT $2";

const SCHEDULED: &str = "SELECT m.summary FROM schedules s CROSS JOIN messages m \
    WHERE s.grant_id = $1 AND s.closed_at IS NULL AND m.id = s.message_id LIMIT $2";

const HELD: &str = "SELECT recipients FROM holds WHERE grant_id = $1 AND closed_at IS NULL ORDER BY id LIMIT $2";

/// Looks at everything.
pub async fn gather(reader: &mut Reader<'_>, of: &Subject, now: UnixMicros) -> Result<Facts, StoreError> {
    let stops = stops::all_of_grant(reader, of.application, of.grant).await?;
    let mut facts = Facts { domain: domain(reader, of).await?, stops, ..Facts::default() };
    let bad = counted(reader, of.grant).await?;
    if bad.is_empty() {
        return Ok(facts);
    }
    let suppressed = suppressed(reader, of.application, &bad, now).await?;
    facts.not_suppressed = named(bad.iter().filter(|(key, _)| !suppressed.contains(*key)).map(|(_, text)| text));
    let waiting = waiting(reader, of.grant, &facts, now).await?;
    facts.waiting = named(bad.iter().filter(|(key, _)| waiting.contains(*key)).map(|(_, text)| text));
    Ok(facts)
}

/// Those whose hard bounce or complaint counts in the window, by their keys.
async fn counted(reader: &mut Reader<'_>, grant: GrantId) -> Result<BTreeMap<String, EmailAddress>, StoreError> {
    let Some(kept) = reputation::find(reader, SubjectKind::Grant, &grant.to_string()).await? else {
        return Ok(BTreeMap::new());
    };
    let window = &kept.standing.window;
    let first = window.counted().saturating_sub(window.outcomes()) + 1;
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let rows = reader.query(COUNTED, params![grant.uuid(), first, ROWS_MAX]).await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let address = EmailAddress::parse(row.str(0)?).map_err(|_| DbError::Malformed("recipient"))?;
        found.insert(address.key(), address);
    }
    Ok(found)
}

async fn suppressed(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    bad: &BTreeMap<String, EmailAddress>,
    now: UnixMicros,
) -> Result<BTreeSet<String>, StoreError> {
    let addresses: Vec<&EmailAddress> = bad.values().collect();
    let mut found = BTreeSet::new();
    for some in addresses.chunks(ASKED_AT_ONCE) {
        let entries = suppressions::check(reader, application, some.iter().copied(), now).await?;
        found.extend(entries.iter().map(|entry| entry.address.key()));
    }
    Ok(found)
}

/// The keys of those to whom something of the mailbox waits.
async fn waiting(
    reader: &mut Reader<'_>,
    grant: GrantId,
    facts: &Facts,
    now: UnixMicros,
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    let since = SendEventId::first_at(now.minus(DELIVERY_HORIZON)).uuid();
    for row in reader.query(QUEUED, params![grant.uuid(), Uuid::max(), since, SENDS_MAX, ROWS_MAX]).await? {
        found.insert(row.text(0)?.to_lowercase());
    }
    let pause = facts.pause().map_or(Uuid::nil(), |pause| pause.id.uuid());
    for row in reader.query(STOPPED, params![pause, ROWS_MAX]).await? {
        found.insert(row.text(0)?.to_lowercase());
    }
    for row in reader.query(SCHEDULED, params![grant.uuid(), ROWS_MAX]).await? {
        let summary: Value = serde_json::from_str(row.str(0)?).unwrap_or_default();
        let people = ["to", "cc", "bcc"].into_iter().filter_map(|field| summary[field].as_array()).flatten();
        found.extend(people.filter_map(|person| person["email"].as_str()).map(str::to_lowercase));
    }
    for row in reader.query(HELD, params![grant.uuid(), ROWS_MAX]).await? {
        let recipients: Vec<String> = serde_json::from_str(row.str(0)?).unwrap_or_default();
        found.extend(recipients.iter().map(|recipient| recipient.to_lowercase()));
    }
    Ok(found)
}

/// What is known of the mailbox's domain.
async fn domain(reader: &mut Reader<'_>, of: &Subject) -> Result<Option<DomainFacts>, StoreError> {
    let Some(found) = domains::find_name(reader, of.organization, of.email.domain()).await? else {
        return Ok(None);
    };
    let (name, is_exempt) = (found.domain.name.to_string(), found.domain.is_exempt());
    let is_signing =
        |selector: &str| found.keys.iter().any(|key| key.state == KeyState::Active && key.selector == selector);
    let wrong = found.states.iter().filter(|((kind, selector), state)| {
        let counts = *kind == RecordKind::Spf || (*kind == RecordKind::Dkim && is_signing(selector));
        // One that fails is believed after several looks; here the last look counts.
        counts && !is_exempt && (state.status != RecordStatus::Done || state.failures > 0)
    });
    let wrong = wrong.map(|((kind, _), state)| match state.message.is_empty() {
        true => format!("{} was not looked at yet", kind.name()),
        false => state.message.clone(),
    });
    let mut wrong: Vec<String> = wrong.collect();
    for kind in [RecordKind::Spf, RecordKind::Dkim] {
        if wrong.is_empty() && !found.is_done(kind) {
            wrong.push(format!("{} was not looked at yet", kind.name()));
        }
    }
    Ok(Some(DomainFacts { name, is_verified: found.domain.verified_at.is_some(), is_exempt, wrong }))
}

fn named<'a>(addresses: impl Iterator<Item = &'a EmailAddress>) -> Addresses {
    let mut named: Vec<String> = addresses.take(NAMED_MAX + 1).map(ToString::to_string).collect();
    let has_more = named.len() > NAMED_MAX;
    named.truncate(NAMED_MAX);
    Addresses { named, has_more }
}
