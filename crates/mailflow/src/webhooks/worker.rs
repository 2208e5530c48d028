//! Who tells one webhook, or one alert. What it does next is said by [`Window`]; here it is done, everything beside
//! everything else: reading the log, sending, loading what waits and committing the position. Nothing waits for the
//! slowest.

use super::connections::{Connections, Ticket};
use super::send::{self, Outcome};
use super::wants;
use crate::platform::Platform;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use postfleet_core::id::GrantId;
use postfleet_core::readers::{Answer, Kept, Load, Next, Save, Window};
use postfleet_core::{Problem, UnixMicros, retry};
use postfleet_store::events::{self, Event};
use postfleet_store::lanes::{self, SaveWebhook, Waiting};
use postfleet_store::webhooks::{AdvanceWebhook, Parked, Webhook};
use postfleet_trace::{Instrument, continued};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

/// Tells one webhook what happens, from its position on.
pub struct Worker {
    platform: Arc<Platform>,
    webhook: Arc<Webhook>,
    connections: Connections,
    window: Window,
    /// What was read and is to be sent.
    events: BTreeMap<i64, Event>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The end of the log, as far as it is known.
    head: i64,
    is_reading: bool,
    /// It takes up nothing new.
    is_ending: bool,
    /// There was no connection for what could be sent.
    is_short: bool,
    lease_lost: bool,
}

/// What was under way and is done.
enum Done {
    Sent { grant: GrantId, attempt: u32, outcome: Outcome },
    Read { events: Vec<Event>, upto: i64 },
    Loaded { load: Load, waiting: Vec<Waiting> },
    Saved { kept: bool },
    Failed(Problem),
}

impl Worker {
    /// Goes on where the webhook is. Whoever calls holds its lease.
    pub async fn begin(platform: Arc<Platform>, webhook: Webhook, connections: Connections) -> Result<Self, Problem> {
        let now = platform.clock.now();
        let behind = lanes::behind(&mut platform.store.reader().await?, webhook.id, now).await?;
        let window = Window::new(platform.settings.webhook_concurrency, webhook.position, &behind);
        Ok(Self {
            platform,
            webhook: Arc::new(webhook),
            connections,
            window,
            events: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
            head: 0,
            is_reading: false,
            is_ending: false,
            is_short: false,
            lease_lost: false,
        })
    }

    /// The webhook is told of what it wants from now on, and where it wants it.
    pub fn change(&mut self, webhook: Webhook) {
        self.webhook = Arc::new(webhook);
    }

    /// The log has grown up to here.
    pub fn hear(&mut self, head: i64) {
        self.head = self.head.max(head);
    }

    /// Whether another node works for the webhook now: nothing more is to be done here.
    pub fn lease_lost(&self) -> bool {
        self.lease_lost
    }

    /// Begins what can be begun, and takes up what is done next or due. May be dropped while it waits, and called again.
    pub async fn step(&mut self) -> Result<(), Problem> {
        // Made before the look for one, so that none is missed.
        let connections = self.connections.clone();
        let freed = connections.freed();
        self.begin_all();
        let (clock, is_short) = (self.platform.clock.clone(), self.is_short);
        let due = self.window.wake_at().filter(|_| !self.is_ending);
        let wait = async {
            match due {
                Some(time) => clock.sleep_until(time).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(done) = self.under_way.next() => self.take_up(done),
            () = wait => Ok(()),
            () = freed, if is_short => Ok(()),
        }
    }

    /// Whether nothing is under way and nothing can be begun.
    pub fn is_idle(&mut self) -> bool {
        self.begin_all();
        self.under_way.is_empty() && !self.is_short
    }

    /// Waits for what is under way, begins nothing more, and commits what came of it.
    pub async fn end(&mut self) -> Result<(), Problem> {
        self.is_ending = true;
        while !self.lease_lost {
            self.begin_all();
            if !self.save(true) && self.under_way.is_empty() {
                break;
            }
            if let Some(done) = self.under_way.next().await {
                self.take_up(done)?;
            }
        }
        Ok(())
    }

    /// Tells all that can be told now, and commits it. What comes meanwhile is told, too.
    pub(super) async fn run(&mut self) -> Result<(), Problem> {
        let platform = self.platform.clone();
        let mut grown = platform.store.wake().grown.subscribe();
        grown.mark_changed();
        while !self.lease_lost {
            if grown.has_changed().unwrap_or_default() {
                grown.mark_unchanged();
                self.hear(events::head(&mut platform.store.reader().await?).await?);
            }
            if self.is_idle() && !self.save(true) {
                break;
            }
            tokio::select! {
                done = self.step() => done?,
                _ = grown.changed() => grown.mark_changed(),
            }
        }
        Ok(())
    }

    /// The position, and when the next of what waits is due.
    pub(super) fn state(&self) -> (i64, Option<UnixMicros>) {
        (self.window.position(), self.window.next_due())
    }

    fn begin_all(&mut self) {
        let now = self.platform.clock.now();
        for position in self.window.tend(now) {
            self.events.remove(&position);
        }
        if !self.is_ending {
            self.load(now);
            self.read();
            self.send(now);
        }
        self.save(false);
    }

    fn load(&mut self, now: UnixMicros) {
        while let Some(load) = self.window.load(now) {
            let (platform, id) = (self.platform.clone(), self.webhook.id);
            self.start(async move {
                let waiting = lanes::load(&mut platform.store.reader().await?, id, load).await?;
                Ok(Done::Loaded { load, waiting })
            });
        }
    }

    fn read(&mut self) {
        let room = self.window.room();
        let (after, head) = (self.window.read(), self.head);
        if self.is_reading || room == 0 || head <= after {
            return;
        }
        self.is_reading = true;
        let (platform, application) = (self.platform.clone(), self.webhook.application_id);
        self.start(async move {
            let events = events::after_of(&mut platform.store.reader().await?, application, after, room).await?;
            // Everything up to the head was visible before, so nothing up to it is missing here. Events may have come
            // after it, and are told, too.
            let last = events.last().map_or(0, |event| event.position);
            let upto = if events.len() == room { last } else { last.max(head) };
            Ok(Done::Read { events, upto })
        });
    }

    fn send(&mut self, now: UnixMicros) {
        self.is_short = false;
        while self.window.has_next() {
            let Some(ticket) = self.connections.take(self.window.under_way(), self.window.is_slow(now)) else {
                self.is_short = true;
                return;
            };
            let Some(next) = self.window.next(now) else { return };
            self.attempt(next, ticket);
        }
    }

    fn attempt(&mut self, next: Next, ticket: Ticket) {
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        let event = self.events.remove(&next.position);
        let begun = event.as_ref().and_then(|event| event.trace);
        let span = continued!(begun, "event.deliver", kind = webhook.channel.kind(), attempt = i64::from(next.attempt));
        self.start(async move {
            let outcome = match &event {
                Some(event) => send::send(&platform, &webhook, event, next.attempt).instrument(span).await,
                // Pruned: it is too old to tell.
                None => Outcome::Done,
            };
            drop(ticket);
            if let Some(event) = &event {
                let seconds = platform.clock.now().since(event.event.at).as_secs_f64();
                platform.metrics.told(webhook.channel.kind(), outcome.name(), seconds);
            }
            Ok(Done::Sent { grant: next.grant, attempt: next.attempt, outcome })
        });
    }

    /// Begins a commit if it is time; whether one is under way.
    fn save(&mut self, at_once: bool) -> bool {
        let now = self.platform.clock.now();
        let Some(save) = self.window.save(now, at_once) else { return !self.window.is_saved() };
        let command = self.command(save);
        let platform = self.platform.clone();
        self.start(async move { Ok(Done::Saved { kept: platform.store.run(command).await? }) });
        true
    }

    fn command(&self, save: Save) -> SaveWebhook {
        let parked = save.waiting.iter().map(|note| Parked {
            grant_id: note.grant,
            position: note.position,
            attempts: note.attempts,
            due_at: note.due_at.unwrap_or(Parked::BEHIND),
        });
        let advance = AdvanceWebhook {
            id: self.webhook.id,
            owner: self.platform.settings.node.clone(),
            position: save.position,
            parked: parked.collect(),
            given_up: save.given_up,
        };
        SaveWebhook { advance, done: save.done }
    }

    fn start(&self, work: impl Future<Output = Result<Done, Problem>> + Send + 'static) {
        self.under_way.push(Box::pin(async { work.await.unwrap_or_else(Done::Failed) }));
    }

    fn take_up(&mut self, done: Done) -> Result<(), Problem> {
        let now = self.platform.clock.now();
        match done {
            Done::Sent { grant, attempt, outcome } => {
                for position in self.window.answered(grant, answer(outcome, attempt, now), now) {
                    self.events.remove(&position);
                }
            }
            Done::Read { events, upto } => {
                self.is_reading = false;
                for event in events {
                    self.take_in(event, now);
                }
                self.window.read_upto(upto, now);
            }
            Done::Loaded { load, waiting } => {
                let rows: Vec<(i64, u32)> = waiting.iter().map(|one| (one.position, one.attempts)).collect();
                let events = waiting.into_iter().filter_map(|one| one.event);
                self.events.extend(events.map(|event| (event.position, event)));
                self.window.loaded(load, &rows, now);
            }
            Done::Saved { kept } => {
                self.lease_lost |= !kept;
                self.window.saved(now);
            }
            Done::Failed(problem) => return Err(problem),
        }
        Ok(())
    }

    fn take_in(&mut self, event: Event, now: UnixMicros) {
        if !wants(&self.webhook, &event) {
            return;
        }
        if self.window.take_in(event.position, event.event.grant_id, now) == Kept::Memory {
            self.events.insert(event.position, event);
        }
    }
}

fn answer(outcome: Outcome, attempt: u32, now: UnixMicros) -> Answer {
    match outcome {
        Outcome::Done => Answer::Taken,
        Outcome::Again(retry_after) => {
            retry::webhook_due(now, attempt, retry_after).map_or(Answer::GivenUp, Answer::Later)
        }
        Outcome::GivenUp => Answer::GivenUp,
    }
}
