//! Waiting for messages: from a place of the event log on, whoever waits gets each message that matches, once; and listening
//! to events of all kinds, as a [`Feed`].
//!
//! A place is a position of the log, which has no gaps and grows in the order of commits; a date would not do, since a
//! message that was taken earlier may be committed later. What is near the end of the log is looked up in the memory of the
//! [`Hub`], what is older in the store.

mod audience;
mod feed;
mod hub;

pub use audience::Listening;
pub use feed::{End, Feed, Listener, Piece, Start};
pub use hub::Hub;

use crate::Platform;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hub::Ticket;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_mailbox::folders;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::view::Fields;
use postfleet_schema::message::Message;
use postfleet_store::messages::StoredMessage;
use postfleet_store::{Reader, events};
use std::collections::HashSet;
use std::time::Duration;

/// How often the log is looked at while somebody waits, since another node may have written.
pub const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Announcements that one round reads into memory.
const ROUND_MAX: usize = 1_000;

/// Announcements of a mailbox that one look takes up.
const LOOKED_AT_MAX: usize = 200;

/// Events of the application that one look reads from the store.
const READ_MAX: usize = 2_000;

/// What is waited for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As a list would be narrowed.
    pub filter: Filter,
    /// Whether it came in, or was sent; `None` for either.
    pub outgoing: Option<bool>,
    /// Junk counts where no folder is named.
    pub include_junk: bool,
    /// What is shown of a message.
    pub fields: Fields,
    /// Whether the body is shown.
    pub with_body: bool,
    /// Messages at once.
    pub limit: usize,
}

/// Messages that were waited for, oldest first, and the place behind them.
#[derive(Debug)]
pub struct Arrived {
    /// The messages, each with the place behind it.
    pub messages: Vec<(Message, Place)>,
    /// Where to go on.
    pub next: Place,
    /// There may be more already.
    more: bool,
}

/// A place in the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(i64);

impl Place {
    /// Behind the event at this position of the log.
    pub const fn behind(position: i64) -> Self {
        Self(position)
    }

    /// The position of the event that it is behind.
    pub const fn position(self) -> i64 {
        self.0
    }

    /// As clients get it.
    pub fn write(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_be_bytes())
    }

    /// Reads it back from the parameter of that name.
    pub fn read(text: &str, parameter: &str) -> Result<Self, Problem> {
        let invalid = || Problem::invalid(parameter, format!("{parameter} is not a cursor"));
        let octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let octets: [u8; 8] = octets.try_into().map_err(|_| invalid())?;
        let place = Self(i64::from_be_bytes(octets));
        if place.0 < 0 { Err(invalid()) } else { Ok(place) }
    }
}

/// Whoever waits for messages of one mailbox. The place among those who wait is given back when it is dropped.
pub struct Waiter {
    platform: Platform,
    application: ApplicationId,
    grant: GrantId,
    wanted: Wanted,
    ticket: Option<Ticket>,
    at: Place,
    /// Messages that were there already, oldest first.
    present: Vec<Message>,
}

impl Waiter {
    /// Somebody who waits from a place on, or from now. With a lower bound of dates, what is there already counts as well.
    /// `only_looks`: he is gone before anything can happen.
    pub async fn new(
        platform: &Platform,
        application: ApplicationId,
        grant: GrantId,
        wanted: Wanted,
        after: Option<Place>,
        only_looks: bool,
    ) -> Result<Self, Problem> {
        let ticket = match only_looks {
            true => None,
            false => Some(platform.waiting.enter(&platform.clock, application, grant)?),
        };
        let mut reader = platform.store.reader().await?;
        let head = Place(events::head(&mut reader).await?);
        // A name of a folder that is not there stays: no message is in it.
        let folders = folders::ids(&mut reader, grant, &wanted.filter.folders).await?;
        drop(reader);
        let mut wanted = wanted;
        if !folders.is_empty() {
            wanted.filter.folders = folders;
        }
        // A place behind the end is one of a log that was lost since.
        let at = after.map_or(head, |after| after.min(head));
        let platform = platform.clone();
        let mut waiter = Self { platform, application, grant, wanted, ticket, at, present: Vec::new() };
        if after.is_none() && waiter.wanted.filter.received_after.is_some() {
            waiter.present = waiter.present_ones().await?;
        }
        Ok(waiter)
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.at
    }

    /// Waits until something arrives, until `deadline`, or until the server stops; then there is nothing in it.
    pub async fn wait(&mut self, deadline: UnixMicros) -> Result<Arrived, Problem> {
        let platform = self.platform.clone();
        let mut asleep = platform.clock.sleep_until(deadline);
        loop {
            let is_over = platform.clock.now() >= deadline;
            // From here on nothing is missed; made before the look, or what comes in between would be.
            let changed = self.ticket.as_ref().map(Ticket::changed);
            let arrived = look(&platform, self.application, self.grant, &self.wanted, self.at).await?;
            let present = std::mem::take(&mut self.present);
            if !present.is_empty() {
                let next = self.at;
                return Ok(Arrived {
                    messages: present.into_iter().map(|shown| (shown, next)).collect(),
                    next,
                    more: true,
                });
            }
            self.at = arrived.next;
            let Some(changed) = changed else { return Ok(arrived) };
            if !arrived.messages.is_empty() || arrived.more || is_over || platform.waiting.is_closed() {
                return Ok(arrived);
            }
            tokio::select! {
                () = changed => {}
                () = &mut asleep => {}
            }
        }
    }

    /// Whether the server stops, or it was only looked.
    pub fn has_ended(&self) -> bool {
        self.ticket.is_none() || self.platform.waiting.is_closed()
    }

    /// What matches and is there already, without what is announced behind the place from which on it is waited.
    async fn present_ones(&self) -> Result<Vec<Message>, Problem> {
        let Wanted { filter, fields, with_body, limit, .. } = &self.wanted;
        let request = PageRequest { limit: *limit, cursor: None, fields: *fields, with_body: *with_body };
        let store = &self.platform.store;
        let (Shown::Messages(mut shown), _) = messages::list(store, self.grant, filter, &request).await? else {
            return Ok(Vec::new());
        };
        let later: HashSet<String> = later(&self.platform, self.application, self.grant, self.at).await?;
        let direction = self.wanted.outgoing.map(|outgoing| if outgoing { "outbound" } else { "inbound" });
        shown.retain(|message| {
            direction.is_none_or(|direction| direction == message.direction)
                && !(self.wanted.leaves_junk() && message.folders.iter().any(|folder| is_junk(folder)))
                && !later.contains(&message.id)
        });
        shown.sort_by(|one, two| (one.date, &one.id).cmp(&(two.date, &two.id)));
        Ok(shown)
    }
}

impl Wanted {
    /// Whether junk does not count.
    fn leaves_junk(&self) -> bool {
        !self.include_junk && self.filter.folders.is_empty()
    }

    fn is_met_by(&self, stored: &StoredMessage) -> bool {
        self.outgoing.is_none_or(|outgoing| outgoing == stored.outgoing)
            && !(self.leaves_junk() && stored.folders.iter().any(|folder| is_junk(folder)))
            && messages::matches(&self.filter, stored)
    }
}

fn is_junk(folder: &str) -> bool {
    folder == SystemFolder::Junk.id()
}

/// What was announced after a place, and up to where that is all.
struct Announced {
    messages: Vec<(Place, MessageId)>,
    upto: Place,
    more: bool,
}

/// Looks once, from a place on.
async fn look(
    platform: &Platform,
    application: ApplicationId,
    grant: GrantId,
    wanted: &Wanted,
    after: Place,
) -> Result<Arrived, Problem> {
    let announced = announced(platform, application, grant, after).await?;
    let mut arrived = Arrived { messages: Vec::new(), next: announced.upto, more: announced.more };
    for (count, (place, id)) in announced.messages.into_iter().enumerate() {
        if arrived.messages.len() == wanted.limit || count == LOOKED_AT_MAX {
            arrived.more = true;
            break;
        }
        arrived.messages.extend(show(platform, grant, wanted, id).await?.map(|shown| (shown, place)));
        arrived.next = place;
    }
    if !arrived.more {
        arrived.next = announced.upto;
    }
    Ok(arrived)
}

/// Shows a message if it is wanted, and still there.
async fn show(platform: &Platform, grant: GrantId, wanted: &Wanted, id: MessageId) -> Result<Option<Message>, Problem> {
    let mut reader = platform.store.reader().await?;
    let found = postfleet_store::messages::find_with_body(&mut reader, grant, id).await?;
    drop(reader);
    let Some((stored, blob)) = found.filter(|(stored, _)| wanted.is_met_by(stored)) else { return Ok(None) };
    if let Some(search) = &wanted.filter.search {
        let raw = platform.store.blobs().load(&blob).await?;
        if !search.finds(&raw, &stored.summary) {
            return Ok(None);
        }
    }
    let blob = (wanted.with_body || wanted.fields != Fields::Standard).then_some(&blob);
    Ok(Some(messages::show(&platform.store, &stored, blob, wanted.fields).await?))
}

/// From memory if it goes so far back, else from the store.
async fn announced(
    platform: &Platform,
    application: ApplicationId,
    grant: GrantId,
    after: Place,
) -> Result<Announced, Problem> {
    if let Some(found) = platform.waiting.after(grant, after.0) {
        let messages = found.created.into_iter().map(|(position, id)| (Place(position), id)).collect();
        return Ok(Announced { messages, upto: Place(found.upto), more: false });
    }
    let mut reader = platform.store.reader().await?;
    stored(&mut reader, application, grant, after).await
}

async fn stored(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
    after: Place,
) -> Result<Announced, Problem> {
    // Before the events: all up to there are seen then.
    let head = events::head(reader).await?;
    let read = events::after_of(reader, application, after.0, READ_MAX).await?;
    let last = read.last().map_or(after.0, |event| event.position);
    let more = read.len() == READ_MAX;
    let is_wanted =
        |event: &events::Event| event.event.grant_id == grant && event.event.trigger == Trigger::MessageCreated;
    let messages = read.iter().filter(|event| is_wanted(event));
    let messages = messages.filter_map(|event| Some((Place(event.position), event.event.message_id?))).collect();
    Ok(Announced { messages, upto: Place(if more { last } else { last.max(head) }), more })
}

/// Ids of what was announced after a place until now.
async fn later(
    platform: &Platform,
    application: ApplicationId,
    grant: GrantId,
    after: Place,
) -> Result<HashSet<String>, Problem> {
    let mut reader = platform.store.reader().await?;
    let announced = stored(&mut reader, application, grant, after).await?;
    Ok(announced.messages.iter().map(|(_, id)| id.to_string()).collect())
}

/// One round of reading the log into memory, and of calling those whose sign of life is due. Answers whether there is more.
pub async fn read_once(platform: &Platform) -> Result<bool, Problem> {
    platform.waiting.tick(platform.clock.now());
    let more_messages = read_messages(platform).await?;
    Ok(read_events(platform).await? || more_messages)
}

/// For those who wait for messages.
async fn read_messages(platform: &Platform) -> Result<bool, Problem> {
    let hub = &platform.waiting;
    if !hub.is_waited_for() {
        return Ok(false);
    }
    let mut reader = platform.store.reader().await?;
    let head = events::head(&mut reader).await?;
    let Some(read_upto) = hub.read_upto().filter(|upto| *upto <= head) else {
        hub.begin(head);
        return Ok(false);
    };
    if read_upto == head {
        return Ok(false);
    }
    let created = events::created_between(&mut reader, read_upto, head, ROUND_MAX).await?;
    let more = created.len() == ROUND_MAX;
    let upto = created.last().filter(|_| more).map_or(head, |last| last.position);
    hub.add(&created, upto);
    Ok(more)
}

/// For those who listen to events.
async fn read_events(platform: &Platform) -> Result<bool, Problem> {
    let hub = &platform.waiting;
    let Some(read_upto) = hub.heard_upto() else { return Ok(false) };
    let mut reader = platform.store.reader().await?;
    let head = events::head(&mut reader).await?;
    let Some(read_upto) = read_upto.filter(|upto| *upto <= head) else {
        hub.begin_telling(head);
        return Ok(false);
    };
    if read_upto == head {
        return Ok(false);
    }
    let read = events::after(&mut reader, read_upto, ROUND_MAX).await?;
    let more = read.len() == ROUND_MAX;
    let upto = read.last().map_or(head, |last| last.position);
    hub.tell(read, upto);
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_survives_and_anything_else_is_refused() {
        for position in [0, 1, 77_000_000_000, i64::MAX] {
            assert_eq!(Place::read(&Place(position).write(), "after").unwrap(), Place(position));
        }
        for bad in ["", "abc", "%%%", "AAAAAAAAAAAA", &Place(-1).write()] {
            assert_eq!(Place::read(bad, "after").unwrap_err().field.as_deref(), Some("after"), "{bad}");
        }
    }
}
