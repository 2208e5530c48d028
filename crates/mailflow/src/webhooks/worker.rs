//! Who tells one webhook, or one alert. What it does next is said by [`Window`]; here it is done, everything beside
//! everything else: reading the log, sending, loading what waits and committing the position. Nothing waits for the
//! slowest.

use super::attempts::{Attempted, Attempts};
use super::connections::{Connections, Ticket};
use super::filter::Places;
use super::send::{self, Outcome};
use super::standing::{self, Watch};
use super::{replay, wants};
use crate::platform::Platform;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use postfleet_core::readers::{Answer, Cause, Health, Kept, Load, Next, Standing, Window};
use postfleet_core::{Problem, UnixMicros, retry};
use postfleet_store::events::{self, Event};
use postfleet_store::lanes::{self, Course, SaveWebhook};
use postfleet_store::replays::SaveReplay;
use postfleet_store::webhook_attempts::{WithAttempts, WriteAttempts};
use postfleet_store::webhooks::Webhook;
use postfleet_trace::{Instrument, continued};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// How soon it is looked again at what is due and could not be begun. A task that never waits would get nothing done: what
/// it asks the store for is given no turn.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Tells one webhook what happens, from its position on.
pub struct Worker {
    platform: Arc<Platform>,
    webhook: Arc<Webhook>,
    connections: Connections,
    window: Window,
    health: Health,
    /// How the receiver stands. What a replay is answered says nothing of that.
    watch: Option<Watch>,
    /// What was read and is to be sent.
    events: BTreeMap<i64, Event>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The end of the log, as far as it is known.
    head: i64,
    /// What a replay has told since the last commit.
    told: Vec<i64>,
    /// What is to be kept of attempts.
    attempts: Attempts,
    is_reading: bool,
    /// It takes up nothing new.
    is_ending: bool,
    /// There was no connection for what could be sent.
    is_short: bool,
    lease_lost: bool,
}

/// What was under way and is done.
enum Done {
    Sent { next: Next, outcome: Outcome, attempted: Option<Box<Attempted>> },
    Read { events: Vec<Event>, upto: i64 },
    Loaded { load: Load, events: Vec<Event>, upto: Option<i64> },
    Saved { kept: bool },
    Stood { to: Standing, at: UnixMicros },
    Noted,
    Failed(Problem),
}

impl Worker {
    /// Goes on where the webhook is. Whoever calls holds its lease.
    pub async fn begin(platform: Arc<Platform>, webhook: Webhook, connections: Connections) -> Result<Self, Problem> {
        let mut reader = platform.store.reader().await?;
        let waiting = lanes::waiting(&mut reader, webhook.reader()).await?;
        let course = match &webhook.replay {
            None => lanes::course(&mut reader, webhook.id).await?,
            Some(replay) => Course { rests_until: replay.rests_until, failing_for: None },
        };
        drop(reader);
        let concurrency = replay::concurrency(&webhook, platform.settings.webhook_concurrency);
        let mut window = Window::new(concurrency, webhook.position, &waiting);
        window.rest(course.rests_until);
        window.agree(replay::rate(&webhook), webhook.ordered, platform.clock.now());
        Ok(Self {
            platform,
            watch: webhook.replay.is_none().then(|| Watch::new(&webhook, course.failing_for)),
            webhook: Arc::new(webhook),
            connections,
            window,
            health: Health::new(course.rests_until),
            events: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
            head: 0,
            told: Vec::new(),
            attempts: Attempts::default(),
            is_reading: false,
            is_ending: false,
            is_short: false,
            lease_lost: false,
        })
    }

    /// The webhook is told of what it wants from now on, and where it wants it.
    pub fn change(&mut self, webhook: Webhook) {
        if self.watch.as_mut().is_some_and(|watch| watch.change(&webhook)) {
            self.health = Health::default();
            self.window.rest(None);
        }
        self.window.agree(replay::rate(&webhook), webhook.ordered, self.platform.clock.now());
        self.webhook = Arc::new(webhook);
    }

    /// The log has grown up to here.
    pub fn hear(&mut self, head: i64) {
        self.head = self.head.max(head);
    }

    /// Whether another node works for the webhook now, or a replay is over: nothing more is to be done here.
    pub fn lease_lost(&self) -> bool {
        self.lease_lost
    }

    /// Whether the webhook has failed: nothing more is sent to it.
    pub fn has_failed(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::has_failed)
    }

    /// Begins what can be begun, and takes up what is done next or due. May be dropped while it waits, and called again.
    pub async fn step(&mut self) -> Result<(), Problem> {
        // Made before the look for one, so that none is missed.
        let connections = self.connections.clone();
        let freed = connections.freed();
        self.begin_all();
        let (clock, is_short) = (self.platform.clock.clone(), self.is_short);
        // What was due was begun, as far as it could be: what is left of it waits for something else, and is looked at seldom.
        let next_look = clock.now().plus(LOOK_AGAIN);
        let due = self.window.wake_at().into_iter().chain(self.attempts.due()).min();
        let due = due.filter(|_| !self.is_ending).map(|time| time.max(next_look));
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
        while !self.lease_lost && !self.has_failed() {
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
        if self.has_failed() { self.end().await } else { Ok(()) }
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
        if !self.is_ending && !self.has_failed() {
            self.load(now);
            self.read();
            self.send(now);
        }
        self.save(false);
    }

    fn load(&mut self, now: UnixMicros) {
        while let Some(load) = self.window.load(now) {
            let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
            self.start(async move {
                let mut reader = platform.store.reader().await?;
                let mut events = lanes::load(&mut reader, webhook.application_id, load).await?;
                let upto = events.last().map(|last| last.position).filter(|_| events.len() == load.limit);
                replay::retain(&mut reader, &webhook, &mut events).await?;
                Ok(Done::Loaded { load, events, upto })
            });
        }
    }

    fn read(&mut self) {
        let room = self.window.room();
        let end = replay::last_position(&self.webhook);
        let (after, head) = (self.window.read(), self.head.min(end));
        if self.is_reading || room == 0 || head <= after {
            return;
        }
        self.is_reading = true;
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        self.start(async move {
            let mut reader = platform.store.reader().await?;
            let mut events = events::after_of(&mut reader, webhook.application_id, after, room).await?;
            // Everything up to the head was visible before, so nothing up to it is missing here. Events may have come
            // after it, and are told, too.
            let last = events.last().map_or(0, |event| event.position);
            let upto = if events.len() == room { last } else { last.max(head) }.min(end);
            replay::retain(&mut reader, &webhook, &mut events).await?;
            let places = Places::of(&mut reader, &webhook, events.iter()).await?;
            events.retain(|event| places.pass(&webhook, event));
            Ok(Done::Read { events, upto })
        });
    }

    fn send(&mut self, now: UnixMicros) {
        self.is_short = false;
        while self.window.has_next(now) {
            let Some(ticket) = self.connections.take(self.window.under_way(), self.window.is_slow(now)) else {
                self.is_short = true;
                return;
            };
            let Some(next) = self.window.next(now) else { return };
            self.attempt(next, ticket, now);
        }
    }

    fn attempt(&mut self, next: Next, ticket: Ticket, now: UnixMicros) {
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        // What is to be sent is in memory; if it were not, it would be read again.
        let Some(event) = self.events.remove(&next.position) else {
            self.window.answered(next.grant, Answer::Unheard(Cause::Internal), now);
            return;
        };
        let span = continued!(event.trace, "event.deliver", kind = webhook.kind(), attempt = i64::from(next.attempt));
        self.start(async move {
            let (outcome, attempted) = send::send(&platform, &webhook, &event, next.attempt).instrument(span).await;
            drop(ticket);
            let seconds = platform.clock.now().since(event.event.at).as_secs_f64();
            platform.metrics.told(webhook.kind(), outcome.name(), seconds);
            Ok(Done::Sent { next, outcome, attempted: attempted.map(Box::new) })
        });
    }

    /// Begins a commit if it is time; whether one is under way.
    fn save(&mut self, at_once: bool) -> bool {
        let now = self.platform.clock.now();
        let Some(save) = self.window.save(now, at_once) else {
            return !self.window.is_saved() || self.note(now, at_once);
        };
        let (owner, rests_until) = (self.platform.settings.node.clone(), self.health.rests_until());
        let failing_for = self.watch.as_ref().and_then(Watch::failing_for);
        let platform = self.platform.clone();
        let (id, replay) = (self.webhook.id, self.webhook.replay.as_ref().map(|replay| replay.id));
        let (told, attempts) = (std::mem::take(&mut self.told), self.attempts.take(now, at_once));
        self.start(async move {
            let (webhook, attempts) = (id, attempts.rows());
            let kept = match replay {
                None => {
                    let command = SaveWebhook { id, owner, save, course: Course { rests_until, failing_for } };
                    platform.store.run(WithAttempts { command, webhook, attempts }).await?
                }
                Some(id) => {
                    let command = SaveReplay { id, owner, save, rests_until, told, at: now };
                    platform.store.run(WithAttempts { command, webhook, attempts }).await?
                }
            };
            Ok(Done::Saved { kept })
        });
        true
    }

    /// Writes down what was attempted and came with no position, if it is time; whether there is any.
    fn note(&mut self, now: UnixMicros, at_once: bool) -> bool {
        if !at_once && self.attempts.due().is_none_or(|due| due > now) {
            return false;
        }
        let attempts = self.attempts.take(now, at_once);
        if attempts.is_empty() {
            return false;
        }
        let (platform, webhook) = (self.platform.clone(), self.webhook.id);
        self.start(async move {
            platform.store.run(WriteAttempts { webhook, attempts: attempts.rows() }).await?;
            Ok(Done::Noted)
        });
        true
    }

    fn start(&self, work: impl Future<Output = Result<Done, Problem>> + Send + 'static) {
        self.under_way.push(Box::pin(async { work.await.unwrap_or_else(Done::Failed) }));
    }

    fn take_up(&mut self, done: Done) -> Result<(), Problem> {
        let now = self.platform.clock.now();
        match done {
            Done::Sent { next, outcome, attempted } => {
                if let Some(attempted) = attempted {
                    self.attempts.note(*attempted);
                }
                let answer = self.judge(next, outcome, now);
                self.stand();
                self.window.rest(self.health.rests_until());
                for position in self.window.answered(next.grant, answer, now) {
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
            Done::Loaded { load, events, upto } => {
                let wanted = events.into_iter().filter(|event| wants(&self.webhook, event));
                let wanted: Vec<(i64, Event)> = wanted.map(|event| (event.position, event)).collect();
                let positions: Vec<i64> = wanted.iter().map(|(position, _)| *position).collect();
                self.events.extend(wanted);
                self.window.loaded(load, &positions, upto, now);
            }
            Done::Stood { to, at } => {
                if let Some(watch) = &mut self.watch {
                    watch.written(to, at);
                }
            }
            Done::Saved { kept } => {
                self.lease_lost |= !kept;
                self.window.saved();
            }
            Done::Noted => {}
            Done::Failed(problem) => return Err(problem),
        }
        Ok(())
    }

    /// What an outcome means for the event, after what it means for the receiver.
    fn judge(&mut self, next: Next, outcome: Outcome, now: UnixMicros) -> Answer {
        if let Some(watch) = &mut self.watch {
            watch.hear(outcome, now);
        }
        let (cause, retry_after) = match outcome {
            Outcome::Done => {
                self.health.taken(now);
                if self.webhook.replay.is_some() {
                    self.told.push(next.position);
                }
                return Answer::Taken;
            }
            Outcome::Again { cause, retry_after } => (cause, retry_after),
            Outcome::GivenUp(cause) => (cause, None),
        };
        self.health.failed(next.position, cause, retry_after, now);
        // A mail that must not be sent would not be tomorrow, either.
        if self.health.rests_until().is_some() && cause != Cause::Mail {
            return Answer::Unheard(cause);
        }
        answer(outcome, next.attempt, now)
    }

    /// Writes down how the receiver stands, if that is new.
    fn stand(&mut self) {
        let due = self.watch.as_mut().and_then(|watch| watch.change_due(&self.webhook));
        let Some(to) = due else { return };
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        self.start(async move {
            let at = standing::write(&platform, &webhook, to).await?;
            Ok(Done::Stood { to, at })
        });
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
        Outcome::Again { cause, retry_after } => match retry::webhook_due(now, attempt, retry_after) {
            Some(due_at) => Answer::Later(due_at, cause),
            None => Answer::GivenUp(cause),
        },
        Outcome::GivenUp(cause) => Answer::GivenUp(cause),
    }
}
