//! What became of what was sent: reading what a request asks for, and showing what there is.

use crate::pages::{self, Page};
use postfleet_core::bounce::{BounceClass, BounceType};
use postfleet_core::id::{ApplicationId, GrantId, SendEventId};
use postfleet_core::send_event::{SendEventKind, why_not_counted};
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros};
use postfleet_schema::activity as schema;
use postfleet_store::Store;
use postfleet_store::activity::{self, Filter, LOOKED_AT_MAX};
use postfleet_store::send_events::SendEvent;
use sha2::{Digest, Sha256};
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// What is shown if no beginning is named.
const USUAL_SPAN: Duration = Duration::from_secs(7 * 86_400);
/// The last second of the year 9999; a number above it is rather of milliseconds.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What a request asks for; texts that are absent ask for nothing.
#[derive(Clone, Debug, Default)]
pub struct Query<'a> {
    /// How many at most.
    pub limit: usize,
    /// Where the page goes on.
    pub page_token: Option<&'a str>,
    /// Kinds, one of which it is.
    pub event_types: Vec<String>,
    /// The class of a failure.
    pub bounce_class: Option<&'a str>,
    /// The recipient's address.
    pub recipient: Option<&'a str>,
    /// The recipient's domain.
    pub recipient_domain: Option<&'a str>,
    /// The domain of the sender.
    pub sending_domain: Option<&'a str>,
    /// The sender's address.
    pub from: Option<&'a str>,
    /// The mailbox.
    pub grant_id: Option<&'a str>,
    /// The message.
    pub message_id: Option<&'a str>,
    /// The thread.
    pub thread_id: Option<&'a str>,
    /// Not before this, in unix seconds.
    pub start: Option<i64>,
    /// Before this, in unix seconds.
    pub end: Option<i64>,
}

/// A page of what became of what an application sent, or one mailbox of it (`only`), newest first.
pub async fn list(
    store: &Store,
    (application, only): (ApplicationId, Option<GrantId>),
    query: &Query<'_>,
    now: UnixMicros,
) -> Result<Page<schema::SendActivity>, Problem> {
    let mut filter = filter(application, query, now)?;
    if let Some(own) = only {
        if filter.grant_id.is_some_and(|wanted| wanted != own) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        filter.grant_id = Some(own);
    }
    let found = activity::list(&mut store.reader().await?, &filter, query.limit, LOOKED_AT_MAX).await?;
    let next_cursor = found.next.as_ref().map(pages::cursor);
    Ok(Page { items: found.events.iter().map(show).collect(), next_cursor })
}

/// What became of one recipient, by the id that lists show.
pub async fn find(
    store: &Store,
    (application, only): (ApplicationId, Option<GrantId>),
    id: &str,
) -> Result<schema::SendActivity, Problem> {
    let id = read_id(id).ok_or_else(Problem::not_found)?;
    let found = activity::find(&mut store.reader().await?, application, id).await?;
    let found = found.filter(|event| only.is_none_or(|own| event.sent.grant_id == own));
    found.as_ref().map(show).ok_or_else(Problem::not_found)
}

fn filter(application_id: ApplicationId, query: &Query<'_>, now: UnixMicros) -> Result<Filter, Problem> {
    let end = query.end.map(|seconds| time("end", seconds)).transpose()?;
    let since = match query.start {
        Some(seconds) => time("start", seconds)?,
        None => end.unwrap_or(now).minus(USUAL_SPAN),
    };
    if end.is_some_and(|end| end <= since) {
        return Err(Problem::invalid("end", "end must be after start"));
    }
    let end = end.map_or(SendEventId::from_uuid(Uuid::max()), SendEventId::first_at);
    let before = pages::after::<SendEventId>(query.page_token)?.map_or(end, |id| id.min(end));
    let domain = |field: &str, text: Option<&str>| match text {
        Some(text) => Domain::parse(text)
            .map(|domain| domain.to_string())
            .map_err(|error| Problem::invalid(field, format!("{field} must be a domain: {error}"))),
        None => Ok(String::new()),
    };
    let address = |field: &str, text: Option<&str>| match text {
        Some(text) => EmailAddress::parse(text)
            .map(|address| address.key())
            .map_err(|error| Problem::invalid(field, format!("{field} must be an address: {error}"))),
        None => Ok(String::new()),
    };
    Ok(Filter {
        application_id,
        grant_id: id("grant_id", query.grant_id)?,
        message_id: id("message_id", query.message_id)?,
        thread_id: id("thread_id", query.thread_id)?,
        kinds: query.event_types.iter().map(|name| kind(name)).collect::<Result<_, _>>()?,
        class: query.bounce_class.map(class).transpose()?,
        recipient: address("recipient", query.recipient)?,
        recipient_domain: domain("recipient_domain", query.recipient_domain)?,
        sending_domain: domain("sending_domain", query.sending_domain)?,
        from: address("from", query.from)?,
        since,
        before,
    })
}

fn time(field: &str, seconds: i64) -> Result<UnixMicros, Problem> {
    if !(0..=SECONDS_MAX).contains(&seconds) {
        return Err(Problem::invalid(field, format!("{field} must be a time in unix seconds")));
    }
    Ok(UnixMicros::from_seconds(seconds))
}

fn id<T: FromStr>(field: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    let wrong = |_| Problem::invalid(field, format!("{field} must be an id"));
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

fn kind(name: &str) -> Result<SendEventKind, Problem> {
    let found = SendEventKind::ALL.iter().copied().find(|kind| kind.name() == name);
    let names = || SendEventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| Problem::invalid("event_type", format!("event_type must be one of {}", names())))
}

fn class(name: &str) -> Result<BounceClass, Problem> {
    let wrong = || Problem::invalid("bounce_class", "bounce_class must be hard, soft or undetermined");
    BounceClass::named(name).ok_or_else(wrong)
}

fn show(event: &SendEvent) -> schema::SendActivity {
    let SendEvent { sent, kind, bounce, counted, .. } = event;
    let is_failure = *kind == SendEventKind::Bounced;
    let bounce = bounce.filter(|_| is_failure);
    schema::SendActivity {
        id: show_id(event.id),
        event_type: kind.name(),
        bounce_class: is_failure.then(|| bounce.map_or(BounceClass::Undetermined, BounceType::class).name()),
        timestamp: event.id.made_at().as_seconds(),
        application_id: sent.application_id.to_string(),
        grant_id: sent.grant_id.to_string(),
        message_id: sent.message_id.to_string(),
        thread_id: sent.thread_id.map(|id| id.to_string()),
        from: sent.sender.to_string(),
        recipient: event.recipient.as_ref().map(ToString::to_string),
        reason: Some(event.reason.clone()).filter(|text| !text.is_empty()),
        detail: schema::SendActivityDetail {
            bounce_subtype: bounce.map(BounceType::name),
            status: Some(event.status.clone()).filter(|text| !text.is_empty()),
            expired: event.is_expired,
            late: event.is_late,
            counted: counted.hard_bounce || counted.complaint,
            not_counted_because: why_not_counted(*kind, bounce, event.is_expired, event.is_late, *counted),
        },
    }
}

/// The id on the wire: the digits of the store's id, and as many more that check it. So it is found again by the primary
/// key, and what was made up or mistyped names nothing.
fn show_id(id: SendEventId) -> String {
    format!("{}{}", id.uuid().as_simple(), check(id))
}

fn check(id: SendEventId) -> String {
    let hash = Sha256::new().chain_update("send event ").chain_update(id.uuid().as_bytes()).finalize();
    hex::encode(&hash[..16])
}

fn read_id(text: &str) -> Option<SendEventId> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let (id, given) = text.split_at(32);
    let id = SendEventId::from_uuid(Uuid::try_parse(id).ok()?);
    given.eq_ignore_ascii_case(&check(id)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_and_a_wrong_one_nowhere() {
        let id = SendEventId::new(UnixMicros::from_seconds(1_772_445_600), [7; 10]);
        let shown = show_id(id);
        assert!(shown.len() == 64 && shown.bytes().all(|c| c.is_ascii_hexdigit()), "{shown}");
        assert_eq!(read_id(&shown), Some(id));
        assert_eq!(read_id(&shown.to_uppercase()), Some(id));
        for index in [0, 31, 32, 63] {
            let other = if shown.as_bytes()[index] == b'0' { "1" } else { "0" };
            let mut wrong = shown.clone();
            wrong.replace_range(index..=index, other);
            assert_eq!(read_id(&wrong), None, "{index}");
        }
        for wrong in ["", &shown[..63], &"g".repeat(64), &"é".repeat(32), &id.to_string()] {
            assert_eq!(read_id(wrong), None, "{wrong}");
        }
    }
}
