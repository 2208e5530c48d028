//! Who publishes the log. Events go out in windows, each message bound to the one before: where one is not stored,
//! nothing behind it is. So what the bus has is always a beginning of the log, and its last message says how far it goes.

use super::message::{self, Shape};
use super::routes::Book;
use super::{BusSettings, LEASE, RENEW};
use crate::platform::{Platform, Settings};
use futures::StreamExt;
use futures::future::BoxFuture;
use postfleet_bus::{Bus, BusError, Expected, Message, Receipt, Stream};
use postfleet_core::readers::{Found, Last, Resume, resume};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::events::{self, Event};
use postfleet_store::readers::{Kind, Reader, ReleaseReader, SaveReader};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Messages under way at once.
const WINDOW: usize = 256;

/// Messages made at once.
const RENDERED_AT_ONCE: usize = 16;

/// After what time, or how many events, the position is written down.
const SAVE_AFTER: Duration = Duration::from_millis(100);
const SAVE_EVENTS: i64 = WINDOW as i64;

/// The pause after a failure: the first one, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What headers and subject of a message may take, beside its body.
const HEADER_OCTETS: usize = 8 << 10;

/// How far the clocks of nodes may be apart.
const CLOCKS_APART: Duration = Duration::from_secs(3_600);

/// How often it is tried to make the body of an event, before its ids alone are published.
const RENDER_TRIES: u32 = 3;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There may be more at once.
    More,
    /// Nothing before this time, unless the log grows or the bus connects.
    At(UnixMicros),
    /// Another node publishes now.
    Lost,
}

/// What is published of the event at a position, if anything is.
type Made = (i64, Result<Option<Message>, Problem>);

/// Publishes the log, from its position on.
pub struct Publisher {
    platform: Platform,
    /// The platform, with notifications that fit into a message of this bus.
    fitting: Platform,
    settings: BusSettings,
    bus: Arc<dyn Bus>,
    connection: watch::Receiver<u64>,
    /// How far the bus is.
    reader: Reader,
    /// What is written down of it, and since when.
    saved: Reader,
    saved_at: UnixMicros,
    /// What is known of the stream; `None` until it was asked on this connection.
    open: Option<Open>,
    failures: u32,
    retry_at: UnixMicros,
    /// The event of which no body could be made, and how often that was tried.
    stuck: (i64, u32),
    lease_lost: bool,
}

/// What is known of the stream.
#[derive(Clone, Debug)]
struct Open {
    connection: u64,
    /// What the next message comes behind.
    expected: Expected,
    first_sequence: u64,
    last_sequence: u64,
    /// Events up to here may be known by their ids although they are gone: they get other ids.
    known_upto: i64,
    /// The first message went well: many may follow at once.
    is_proven: bool,
}

/// What came of a window.
struct Sent {
    /// Everything up to here is stored, or is not to be told.
    upto: i64,
    /// How many were.
    stored: u64,
    /// What the next message comes behind.
    expected: Expected,
    stopped: Option<Stopped>,
}

/// Why not all of a window was stored.
enum Stopped {
    /// The bus did not take it.
    Bus(BusError),
    /// The bus calls it a repeat of something that it has no more.
    Forgotten,
    /// Its body could not be made.
    Body(i64, Problem),
}

impl Publisher {
    /// Goes on where the reader is. Whoever calls holds its lease.
    pub fn begin(platform: &Platform, settings: &BusSettings, bus: Arc<dyn Bus>, reader: Reader) -> Self {
        let now = platform.clock.now();
        Self {
            platform: platform.clone(),
            fitting: platform.clone(),
            settings: settings.clone(),
            connection: bus.connection(),
            bus,
            reader,
            saved: reader,
            saved_at: now,
            open: None,
            failures: 0,
            retry_at: now,
            stuck: (0, 0),
            lease_lost: false,
        }
    }

    /// Publishes a window, and writes down beside that what was published before. Fails when the store does.
    pub async fn round(&mut self) -> Result<Next, Problem> {
        let now = self.platform.clock.now();
        let is_open = now >= self.retry_at && self.reach(now).await?;
        if self.lease_lost {
            return Ok(Next::Lost);
        }
        let (events, command) = (self.read(is_open).await?, self.save_due(now));
        let book = Book::of(&self.platform, &events).await?;
        let store = self.platform.store.clone();
        let saving = async {
            match &command {
                Some(command) => store.run(command.clone()).await,
                None => Ok(true),
            }
        };
        let (sent, kept) = futures::join!(self.publish(&events, &book), saving);
        if !kept? {
            return Ok(Next::Lost);
        }
        if let Some(command) = command {
            (self.saved, self.saved_at) = (command.reader, now);
        }
        self.take_up(sent, now).await?;
        self.platform.metrics.bus_lag(self.lag().await?);
        Ok(if is_open && self.open.is_some() && !events.is_empty() { Next::More } else { Next::At(self.due(now)) })
    }

    /// Completes when the bus has connected, or is lost.
    pub async fn changed(&mut self) {
        if self.connection.changed().await.is_err() {
            // It will not connect any more.
            std::future::pending::<()>().await;
        }
        self.retry_at = self.platform.clock.now();
        self.failures = 0;
    }

    /// Writes down how far it is, and lets another node go on.
    pub async fn end(self) -> Result<(), Problem> {
        let now = self.platform.clock.now();
        let command = SaveReader { kind: Kind::Bus, reader: self.reader, until: now.plus(LEASE) };
        if self.platform.store.run(command).await? {
            let fence = self.reader.fence;
            self.platform.store.run(ReleaseReader { kind: Kind::Bus, fence, now }).await?;
        }
        Ok(())
    }

    /// How many events wait.
    async fn lag(&self) -> Result<u64, Problem> {
        let head = events::head(&mut self.platform.store.reader().await?).await?;
        Ok(u64::try_from(head - self.reader.position).unwrap_or_default())
    }

    /// Whether the stream is known on the connection that there is now; asks it if need be.
    async fn reach(&mut self, now: UnixMicros) -> Result<bool, Problem> {
        let connection = *self.connection.borrow_and_update();
        if self.open.as_ref().is_some_and(|open| open.connection == connection) {
            return Ok(true);
        }
        self.open = None;
        if connection == 0 {
            return Ok(false);
        }
        let plan = self.settings.events();
        let opened = match self.bus.open(&self.settings.work()).await {
            Ok(_) => self.bus.open(&plan).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(stream) => self.go_on(connection, &stream, now).await,
            Err(error) => {
                self.failed(&error, now);
                Ok(false)
            }
        }
    }

    /// Goes on behind what the stream has. That is written down before anything is published.
    async fn go_on(&mut self, connection: u64, stream: &Stream, now: UnixMicros) -> Result<bool, Problem> {
        let mut reader = self.platform.store.reader().await?;
        let last = match &stream.last {
            Some(last) => Some(known(&mut reader, message::read_back(last), self.reader.position).await?),
            None => None,
        };
        let found = Found { source: stream.created_at, is_new: stream.last_sequence == 0, last };
        let position = match resume(self.reader.position, self.reader.source, found) {
            Resume::After(position) => position,
            Resume::Again => {
                let since = now.minus(self.settings.keep).minus(CLOCKS_APART);
                events::position_at(&mut reader, since).await?.min(self.reader.position)
            }
        };
        let head = events::head(&mut reader).await?;
        let first = events::bounds(&mut reader).await?.map_or(head + 1, |(first, _)| first);
        drop(reader);
        if position + 1 < first {
            tracing::warn!(from = position + 1, to = first - 1, "events were pruned before the bus was told of them");
        }
        if position != self.reader.position {
            tracing::info!(was = self.reader.position, position, "the bus goes on elsewhere, by what its stream has");
        }
        self.reader = Reader { position, source: Some(stream.created_at), ..self.reader };
        self.fitting = fitting(&self.platform, stream.octets_max);
        self.open = Some(Open {
            connection,
            expected: Expected::Sequence(stream.last_sequence),
            first_sequence: stream.first_sequence,
            last_sequence: stream.last_sequence,
            // It was emptied while it ran: it has no message, and knows ids all the same.
            known_upto: if stream.last.is_none() && stream.last_sequence > 0 { head } else { 0 },
            is_proven: false,
        });
        let command = SaveReader { kind: Kind::Bus, reader: self.reader, until: now.plus(LEASE) };
        self.lease_lost = !self.platform.store.run(command).await?;
        (self.saved, self.saved_at) = (self.reader, now);
        Ok(!self.lease_lost)
    }

    async fn read(&self, is_open: bool) -> Result<Vec<Event>, Problem> {
        let Some(open) = self.open.as_ref().filter(|_| is_open) else { return Ok(Vec::new()) };
        let limit = if open.is_proven { WINDOW } else { 1 };
        Ok(events::after(&mut self.platform.store.reader().await?, self.reader.position, limit).await?)
    }

    async fn publish(&self, events: &[Event], book: &Book) -> Option<Sent> {
        let open = self.open.as_ref().filter(|_| !events.is_empty())?;
        let mut sent = Sent { upto: self.reader.position, stored: 0, expected: open.expected.clone(), stopped: None };
        let mut under_way: Vec<(i64, Option<Receipt>)> = Vec::with_capacity(events.len());
        let mut making: Vec<BoxFuture<'_, Made>> = Vec::with_capacity(events.len());
        for event in events {
            making.push(Box::pin(self.made(event, open)));
        }
        let mut messages = futures::stream::iter(making).buffered(RENDERED_AT_ONCE).boxed();
        if !book.is_empty() {
            // What the stream of all events has was given to its subject before: so none is left out, whoever ends when.
            let made: Vec<Made> = messages.collect().await;
            if let Err(error) = self.give_out(events, &made, book).await {
                sent.stopped = Some(Stopped::Bus(error));
                return Some(sent);
            }
            messages = futures::stream::iter(made).boxed();
        }
        while let Some((position, made)) = messages.next().await {
            let mut message = match made {
                Ok(Some(message)) => message,
                Ok(None) => {
                    under_way.push((position, None));
                    continue;
                }
                Err(problem) => {
                    sent.stopped = Some(Stopped::Body(position, problem));
                    break;
                }
            };
            let behind = Expected::Id(message.id.clone());
            message.expected = std::mem::replace(&mut sent.expected, behind);
            match self.bus.publish(message).await {
                Ok(receipt) => under_way.push((position, Some(receipt))),
                Err(error) => {
                    sent.stopped = Some(Stopped::Bus(error));
                    break;
                }
            }
        }
        for (position, receipt) in under_way {
            match receipt {
                Some(receipt) => match receipt.await {
                    Ok(stored) if stored.duplicate && stored.sequence < open.first_sequence => {
                        sent.stopped = Some(Stopped::Forgotten);
                        break;
                    }
                    Ok(_) => sent.stored += 1,
                    Err(error) => {
                        sent.stopped = Some(Stopped::Bus(error));
                        break;
                    }
                },
                None => ready(()).await,
            }
            sent.upto = position;
        }
        Some(sent)
    }

    /// Publishes events that meet a rule of their application once more, where that says.
    async fn give_out(&self, events: &[Event], made: &[Made], book: &Book) -> Result<(), BusError> {
        let mut receipts = Vec::new();
        for (event, (_, made)) in events.iter().zip(made) {
            let Ok(Some(message)) = made else { continue };
            let Some(subject) = book.subject(event, &message.body) else { continue };
            let subject = format!("{}.work.{}.{subject}", self.settings.prefix, event.event.application_id);
            receipts.push(self.bus.publish(Message { subject, ..message.clone() }).await?);
        }
        let count = receipts.len() as u64;
        for receipt in receipts {
            receipt.await?;
        }
        self.platform.metrics.bus("routed", count);
        Ok(())
    }

    /// What is published of an event; nothing of mail that went into junk as it came in, unless that is wanted.
    async fn made(&self, event: &Event, open: &Open) -> Made {
        if event.event.is_of_junk() && !self.settings.include_junk {
            return (event.position, Ok(None));
        }
        let is_hopeless = self.stuck.0 == event.position && self.stuck.1 >= RENDER_TRIES;
        let shape = if is_hopeless { Shape::Ids } else { Shape::Whole };
        let generation = (event.position <= open.known_upto).then_some(open.last_sequence);
        let made = message::message(&self.fitting, &self.settings, event, shape, generation).await;
        (event.position, made.map(Some))
    }

    async fn take_up(&mut self, sent: Option<Sent>, now: UnixMicros) -> Result<(), Problem> {
        let Some(sent) = sent else { return Ok(()) };
        self.reader.position = sent.upto;
        self.platform.metrics.bus("published", sent.stored);
        match sent.stopped {
            None => {
                self.failures = 0;
                if let Some(open) = &mut self.open {
                    (open.expected, open.is_proven) = (sent.expected, true);
                }
            }
            Some(Stopped::Bus(error)) => self.failed(&error, now),
            Some(Stopped::Forgotten) => {
                let head = events::head(&mut self.platform.store.reader().await?).await?;
                if let Some(open) = &mut self.open {
                    // What was stored before it is the last message, whatever its id is.
                    (open.known_upto, open.expected, open.is_proven) = (head, Expected::Anything, false);
                }
            }
            Some(Stopped::Body(position, problem)) => {
                tracing::error!(position, cause = ?problem.cause, "failed to make a message for the bus: {problem}");
                self.stuck = (position, if self.stuck.0 == position { self.stuck.1 + 1 } else { 1 });
                self.pause(now);
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &BusError, now: UnixMicros) {
        self.platform.metrics.bus("failed", 1);
        self.pause(now);
        // Not each time: it may last for days.
        if self.failures.is_power_of_two() {
            tracing::warn!(failures = self.failures, "failed to publish, events wait: {error}");
        }
    }

    /// Asks the stream anew after a while.
    fn pause(&mut self, now: UnixMicros) {
        self.open = None;
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSE.saturating_mul(1 << (self.failures - 1).min(10)).min(PAUSE_MAX);
        self.retry_at = now.plus(pause);
    }

    fn save_due(&self, now: UnixMicros) -> Option<SaveReader> {
        let has_moved = self.reader != self.saved;
        let is_much = self.reader.position - self.saved.position >= SAVE_EVENTS;
        let is_due =
            (has_moved && (is_much || now >= self.saved_at.plus(SAVE_AFTER))) || now >= self.saved_at.plus(RENEW);
        is_due.then(|| SaveReader { kind: Kind::Bus, reader: self.reader, until: now.plus(LEASE) })
    }

    /// When there is something to do, if nothing happens before.
    fn due(&self, now: UnixMicros) -> UnixMicros {
        let save = self.saved_at.plus(if self.reader == self.saved { RENEW } else { SAVE_AFTER });
        if self.retry_at > now { save.min(self.retry_at) } else { save }
    }
}

/// What the last message of the stream is in our log. `position` is how far the reader has told.
async fn known(
    reader: &mut postfleet_store::Reader<'_>,
    last: Option<(i64, postfleet_core::id::EventId)>,
    position: i64,
) -> Result<Last, Problem> {
    let Some((at, id)) = last else { return Ok(Last::Unknown) };
    Ok(match events::at(reader, at).await? {
        Some(event) if event.event.id == id => Last::Event(at),
        // Older than the log is now: what there is comes behind it.
        None if at < position => Last::Event(at),
        _ => Last::Unknown,
    })
}

/// The platform, with notifications that fit into a message.
fn fitting(platform: &Platform, octets_max: usize) -> Platform {
    let limit = octets_max.saturating_sub(HEADER_OCTETS);
    if limit >= platform.settings.notification_octets_max {
        return platform.clone();
    }
    let settings = Settings { notification_octets_max: limit, ..(*platform.settings).clone() };
    Platform { settings: Arc::new(settings), ..platform.clone() }
}
