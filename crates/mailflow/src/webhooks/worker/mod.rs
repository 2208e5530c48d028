//! Who tells one webhook, or one alert. What it does next is said by [`Window`]; here it is done, everything beside
//! everything else: reading the log, sending, loading what waits and committing the position. Nothing waits for the
//! slowest.
//!
//! [`begin`] begins what is to be done, [`take_up`] takes up what came of it. What is to be sent at one moment is looked up at once,
//! and then sent one by one, wherever there is a processor for it: the more there is to be told, the less it costs.

mod begin;
mod take_up;

use super::attempts::{Attempted, Attempts};
use super::bodies::Sharer;
use super::connections::{Connections, Ticket};
use super::replay;
use super::send::{Outcome, Source};
use super::standing::Watch;
use crate::platform::Platform;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use postfleet_core::readers::{Health, Load, Next, Standing, Window};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::events::{self, Event};
use postfleet_store::lanes::{self, Course};
use postfleet_store::webhooks::Webhook;
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
    /// Who is told the same as others are takes part in what they make.
    sharer: Option<Sharer>,
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

/// What is to be sent now.
struct ToSend {
    next: Next,
    event: Event,
    ticket: Ticket,
}

/// What came of sending one event.
pub(super) struct Sent {
    next: Next,
    outcome: Outcome,
    attempted: Option<Box<Attempted>>,
}

/// What was under way and is done.
enum Done {
    LookedUp(Vec<(ToSend, Source)>),
    /// The store did not answer what they are about.
    NotFound(Vec<ToSend>),
    Sent(Sent),
    Read {
        events: Vec<Event>,
        upto: i64,
    },
    Loaded {
        load: Load,
        events: Vec<Event>,
        upto: Option<i64>,
    },
    Saved {
        kept: bool,
    },
    Stood {
        to: Standing,
        at: UnixMicros,
    },
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
            sharer: Sharer::of(&webhook, &connections),
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
            Some(done) = self.under_way.next() => self.take_up_all(done),
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
                self.take_up_all(done)?;
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

    /// Takes up what is done, with all else that is: what can be sent then is looked up at once.
    fn take_up_all(&mut self, done: Done) -> Result<(), Problem> {
        self.take_up(done)?;
        while let Some(Some(done)) = self.under_way.next().now_or_never() {
            self.take_up(done)?;
        }
        Ok(())
    }
}
