//! Addresses that an application's mail does not go to: reading what a request wants, carrying it out, and showing what
//! there is.

use crate::input;
use crate::pages::Page;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::ApplicationId;
use postfleet_core::suppression::{ADDRESSES_MAX, NOTE_CHARS_MAX, Reason};
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros};
use postfleet_schema::suppression as schema;
use postfleet_store::Store;
use postfleet_store::suppressions::{self, AddSuppressions, Filter, Position, RemoveSuppression, Suppression};
use std::collections::HashMap;

/// Adds addresses: all of them, or none if one is wrong.
pub async fn add(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    request: schema::AddSuppressions,
) -> Result<schema::AddedSuppressions, Problem> {
    let addresses = match (request.address, request.addresses) {
        (Some(one), None) => vec![address("address", &one)?],
        (None, Some(many)) => addresses(&many)?,
        (Some(_), Some(_)) => return Err(Problem::invalid("addresses", "give address or addresses, not both")),
        (None, None) => return Err(Problem::invalid("address", "address must be given, or addresses for several")),
    };
    let reason = request.reason.as_deref().map_or(Ok(Reason::Manual), |name| reason("reason", name))?;
    if let Some(note) = &request.note {
        input::text("note", note, NOTE_CHARS_MAX)?;
    }
    let expires_at = request.expires_at.map(|end| expiry(end, act.at)).transpose()?;
    let (source, note) = ("api".to_owned(), request.note.filter(|note| !note.is_empty()));
    let command = AddSuppressions { act, application_id, addresses, reason, source, note, expires_at };
    let added = store.run(command).await?.ok_or_else(Problem::not_found)?;
    Ok(schema::AddedSuppressions {
        added: added.added,
        changed: added.changed,
        unchanged: added.unchanged,
        suppressions: added.suppressions.iter().map(show).collect(),
    })
}

/// The last moment that can be written down with four digits of a year; a number above it is rather of milliseconds.
const EXPIRY_MAX: i64 = 253_402_300_799;

pub(crate) fn expiry(seconds: i64, now: UnixMicros) -> Result<UnixMicros, Problem> {
    if seconds <= now.as_seconds() || seconds > EXPIRY_MAX {
        return Err(Problem::invalid("expires_at", "expires_at must be a time in the future, in unix seconds"));
    }
    Ok(UnixMicros::from_seconds(seconds))
}

/// Removes an address: the next message goes there again.
pub async fn remove(
    store: &Store,
    act: Act,
    application_id: ApplicationId,
    address: EmailAddress,
) -> Result<(), Problem> {
    let removed = store.run(RemoveSuppression { act, application_id, address }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// The entry of one address.
pub async fn find(
    store: &Store,
    application: ApplicationId,
    address: &EmailAddress,
    now: UnixMicros,
) -> Result<Suppression, Problem> {
    let found = suppressions::find(&mut store.reader().await?, application, address, now).await?;
    found.ok_or_else(Problem::not_found)
}

/// Whether each of some addresses is suppressed, in the order of the request.
pub async fn check(
    store: &Store,
    application: ApplicationId,
    request: schema::CheckSuppressions,
    now: UnixMicros,
) -> Result<Vec<schema::CheckedAddress>, Problem> {
    let wanted = addresses(&request.addresses)?;
    let found = suppressions::check(&mut store.reader().await?, application, &wanted, now).await?;
    let by_key: HashMap<String, Suppression> = found.into_iter().map(|one| (one.address.key(), one)).collect();
    let shown = request.addresses.into_iter().zip(&wanted).map(|(text, address)| {
        let found = by_key.get(&address.key());
        schema::CheckedAddress {
            address: text,
            suppressed: found.is_some(),
            reason: found.map(|one| one.reason.name()),
            source: found.map(|one| one.source.clone()),
            expires_at: found.and_then(|one| one.expires_at).map(UnixMicros::as_seconds),
            created_at: found.map(|one| one.created_at.as_seconds()),
        }
    });
    Ok(shown.collect())
}

/// Which suppressions a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// How many at most.
    pub limit: usize,
    /// Where the page goes on.
    pub page_token: Option<&'a str>,
    /// Only those with this reason.
    pub reason: Option<&'a str>,
    /// Only those at this domain.
    pub domain: Option<&'a str>,
    /// Only that of this address.
    pub address: Option<&'a str>,
}

/// A page of an application's suppressions, newest first.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    query: Query<'_>,
    now: UnixMicros,
) -> Result<Page<Suppression>, Problem> {
    let reason = query.reason.map(|name| reason("reason", name)).transpose()?;
    let wrong = |error| Problem::invalid("domain", format!("domain is not a domain: {error}"));
    let domain = query.domain.map(|name| Domain::parse(name).map_err(wrong)).transpose()?;
    let after = query.page_token.map_or_else(|| Ok(Position::beginning()), read_cursor)?;
    let mut reader = store.reader().await?;
    if let Some(text) = query.address {
        let address = address("address", text)?;
        let is_wanted = |one: &Suppression| {
            reason.is_none_or(|reason| one.reason == reason)
                && domain.as_ref().is_none_or(|domain| one.address.domain() == domain)
        };
        let found = suppressions::find(&mut reader, application, &address, now).await?;
        return Ok(Page { items: found.into_iter().filter(is_wanted).collect(), next_cursor: None });
    }
    let filter = Filter { reason, domain };
    let found = suppressions::list(&mut reader, application, &filter, &after, (now, query.limit + 1)).await?;
    Ok(cut(found, query.limit))
}

fn cut(mut items: Vec<Suppression>, limit: usize) -> Page<Suppression> {
    let has_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| has_more);
    let position = |one: &Suppression| format!("{}:{}", one.created_at.as_micros(), one.address.key());
    Page { next_cursor: last.map(|one| URL_SAFE_NO_PAD.encode(position(one))), items }
}

fn read_cursor(cursor: &str) -> Result<Position, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    // PostgreSQL takes no text with this character.
    let (time, key) = text.split_once(':').filter(|(_, key)| !key.contains('\0')).ok_or_else(invalid)?;
    let created_at = UnixMicros::from_micros(time.parse().map_err(|_| invalid())?);
    Ok(Position { created_at, key: key.to_owned() })
}

fn addresses(texts: &[String]) -> Result<Vec<EmailAddress>, Problem> {
    if texts.is_empty() || texts.len() > ADDRESSES_MAX {
        return Err(Problem::invalid("addresses", format!("addresses must name 1 to {ADDRESSES_MAX} addresses")));
    }
    texts.iter().enumerate().map(|(index, text)| address(&format!("addresses[{index}]"), text)).collect()
}

/// Space around an address does not matter.
fn address(field: &str, text: &str) -> Result<EmailAddress, Problem> {
    let parsed = EmailAddress::parse(text.trim());
    parsed.map_err(|error| Problem::invalid(field, format!("{field} is not an address: {error}")))
}

fn reason(field: &str, name: &str) -> Result<Reason, Problem> {
    let text = || format!("{field} must be one of {}", Reason::NAMES.join(", "));
    Reason::named(name).ok_or_else(|| Problem::invalid(field, text()))
}

/// Shows an entry.
pub fn show(one: &Suppression) -> schema::Suppression {
    schema::Suppression {
        address: one.address.to_string(),
        application_id: one.application_id.to_string(),
        reason: one.reason.name(),
        source: one.source.clone(),
        note: one.note.clone(),
        grant_id: one.grant_id.map(|id| id.to_string()),
        message_id: one.message_id.map(|id| id.to_string()),
        expires_at: one.expires_at.map(UnixMicros::as_seconds),
        created_at: one.created_at.as_seconds(),
    }
}
