//! A stream of events, as far as it has come. It holds a place in the log: what comes after it is told one by one, shown as
//! webhooks show it. While nothing happens it holds nothing else, since there may be thousands of them.

use super::Place;
use super::audience::{Listening, Look, Told};
use super::hub::Seat;
use crate::{Platform, webhooks};
use postfleet_core::id::{ApplicationId, WorkspaceId};
use postfleet_core::{Problem, ProblemKind, UnixMicros, permission};
use postfleet_fleet::keys;
use postfleet_store::events::{self, Event};
use postfleet_store::grants;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a stream lasts. Its client comes back and goes on where it was; what a node holds for it is not held for ever.
const LASTS: Duration = Duration::from_secs(3_600);

/// Events of the application that are read from the store at once.
const CHUNK: usize = 128;

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// Behind a place.
    After(Place),
    /// With what happened at this moment or later.
    Since(UnixMicros),
}

/// Who listens.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// Of which application.
    pub application: ApplicationId,
    /// The hash of the key with which it came; without it may not listen any more.
    pub key: [u8; 32],
    /// What the key has to allow.
    pub permission: &'static str,
}

/// What a stream says.
#[derive(Debug)]
pub enum Piece {
    /// An event, as JSON, and the place behind it.
    Event(Place, Arc<Vec<u8>>),
    /// Nothing happened up to here that it tells.
    Alive(Place),
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has lasted as long as a stream may, or was only to tell what is there.
    Over,
    /// The server stops.
    Stopping,
    /// The key is worth nothing any more.
    KeyEnded,
    /// Something could not be read.
    Failed,
}

/// A stream of events.
pub struct Feed {
    platform: Arc<Platform>,
    listener: Listener,
    listening: Arc<Listening>,
    /// `None` if it tells only what is there.
    seat: Option<Seat>,
    heartbeat: Duration,
    /// When the next sign of life is due.
    beat: UnixMicros,
    ends_at: UnixMicros,
    at: Place,
    /// What comes next, a chunk at most, and up to where that is all.
    ahead: VecDeque<Arc<Told>>,
    upto: Place,
    end: Option<End>,
}

impl Feed {
    /// A stream from a start on. `only_looks`: it tells what is there and ends, and takes nobody's place.
    pub async fn open(
        platform: &Arc<Platform>,
        listener: Listener,
        listening: Listening,
        start: Start,
        heartbeat: Duration,
        only_looks: bool,
    ) -> Result<Self, Problem> {
        let (now, listening) = (platform.clock.now(), Arc::new(listening));
        let beat = now.plus(heartbeat);
        let seat = match only_looks {
            true => None,
            false => Some(platform.waiting.listen(listener.application, listening.clone(), beat)?),
        };
        let at = begins_at(platform, start).await?;
        let (platform, ends_at) = (platform.clone(), now.plus(LASTS));
        let (ahead, upto, end) = (VecDeque::new(), at, None);
        Ok(Self { platform, listener, listening, seat, heartbeat, beat, ends_at, at, ahead, upto, end })
    }

    /// Up to where everything was told.
    pub fn place(&self) -> Place {
        self.at
    }

    /// Completes when the server stops.
    pub async fn stopping(platform: &Platform) {
        platform.waiting.closed().await;
    }

    /// The next piece, or why there is none any more. What takes room while it is worked on is given back before anything is
    /// waited for. Whoever stops in the middle of it and asks again misses nothing.
    pub async fn next(&mut self) -> Result<Piece, End> {
        loop {
            if let Some(end) = self.end {
                // Its place is somebody else's now.
                self.seat = None;
                return Err(end);
            }
            match self.step().await {
                Ok(Some(piece)) => return Ok(piece),
                Ok(None) => {}
                Err(problem) => {
                    tracing::warn!(cause = ?problem.cause, "a stream of events ends: {problem}");
                    self.end = Some(End::Failed);
                }
            }
        }
    }

    /// One step: looks whether it goes on, tells what is ahead, or looks for more.
    async fn step(&mut self) -> Result<Option<Piece>, Problem> {
        let now = self.platform.clock.now();
        if self.seat.is_some() && self.platform.waiting.is_closed() {
            self.end = Some(End::Stopping);
            return Ok(None);
        }
        if now >= self.ends_at {
            self.end = Some(End::Over);
            return Ok(None);
        }
        if now >= self.beat {
            return Box::pin(self.sign_of_life(now)).await;
        }
        if let Some(told) = self.ahead.front() {
            let shown = Box::pin(show(&self.platform, &self.listening, told)).await?;
            self.at = Place(told.event.position);
            self.ahead.pop_front();
            return Ok(shown.map(|json| Piece::Event(self.at, json)));
        }
        self.ahead = VecDeque::new();
        self.at = self.at.max(self.upto);
        self.look().await?;
        Ok(None)
    }

    /// Says that it stands, if its key does.
    async fn sign_of_life(&mut self, now: UnixMicros) -> Result<Option<Piece>, Problem> {
        if !self.may_listen(now).await? {
            self.end = Some(End::KeyEnded);
            return Ok(None);
        }
        self.beat = now.plus(self.heartbeat).min(self.ends_at);
        let Some(seat) = &self.seat else { return Ok(None) };
        seat.set_beat(self.beat);
        if self.ahead.is_empty()
            && let Look::Current(upto) = seat.look(self.at.0)
        {
            self.at = self.at.max(self.upto).max(Place(upto));
        }
        Ok(Some(Piece::Alive(self.at)))
    }

    async fn may_listen(&self, now: UnixMicros) -> Result<bool, Problem> {
        let Listener { application, key, permission } = &self.listener;
        match keys::authenticate_hash(&self.platform.store, now, key).await {
            Ok(credential) => Ok(credential.application_id == Some(*application)
                && permission::allows(credential.permissions.iter().map(String::as_str), permission)),
            Err(problem) if problem.kind == ProblemKind::Unauthenticated => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Looks for what comes next: in memory, in the store, or by waiting for it.
    async fn look(&mut self) -> Result<(), Problem> {
        let Some(seat) = &self.seat else {
            if !Box::pin(self.read()).await? && self.ahead.is_empty() {
                self.end = Some(End::Over);
            }
            return Ok(());
        };
        match seat.look(self.at.0) {
            Look::Current(upto) => {
                self.at = self.at.max(Place(upto));
                seat.called().await;
            }
            Look::Told(told, upto) => (self.ahead, self.upto) = (told.into(), Place(upto)),
            Look::Stored { is_read } => {
                let more = Box::pin(self.read()).await?;
                if !more && !is_read && self.ahead.is_empty() {
                    self.at = self.at.max(self.upto);
                    if let Some(seat) = &self.seat {
                        seat.called().await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a chunk from the store; answers whether there may be more.
    async fn read(&mut self) -> Result<bool, Problem> {
        let mut reader = self.platform.store.reader().await?;
        // Before the events: all up to there are seen then.
        let head = events::head(&mut reader).await?;
        let read = events::after_of(&mut reader, self.listener.application, self.at.0, CHUNK).await?;
        drop(reader);
        let more = read.len() == CHUNK;
        let last = read.last().map_or(self.at.0, |event| event.position);
        self.upto = Place(if more { last } else { last.max(head) });
        let wanted = read.into_iter().filter(|event| self.listening.name_of(event).is_some());
        self.ahead = wanted.map(|event| Arc::new(Told::new(event))).collect();
        Ok(more)
    }
}

/// The place from which a stream goes on. One of which events are not kept any more is refused: it would have a gap.
async fn begins_at(platform: &Platform, start: Start) -> Result<Place, Problem> {
    let mut reader = platform.store.reader().await?;
    let head = Place(events::head(&mut reader).await?);
    match start {
        Start::Now => Ok(head),
        Start::Since(at) => Ok(Place(events::before(&mut reader, at.minus(SKEW)).await?)),
        // A place behind the end is one of a log that was lost since.
        Start::After(after) if after >= head => Ok(head),
        Start::After(after) => {
            let oldest = events::after(&mut reader, 0, 1).await?;
            let oldest = oldest.first().map_or(head.0 + 1, |event| event.position);
            if after.0 < oldest - 1 {
                let text = "after: events are not kept any more from there on (storage.event_retention_days); begin \
                    with since, or without a cursor";
                return Err(Problem { code: "cursor_expired", ..Problem::invalid("after", text) });
            }
            Ok(after)
        }
    }
}

/// By how much the moments of events that stand beside each other in the log may differ: they are those of their commands,
/// on the clocks of several nodes.
const SKEW: Duration = Duration::from_secs(300);

/// An event as it is told; `None` if it is of another workspace.
async fn show(platform: &Platform, listening: &Listening, told: &Told) -> Result<Option<Arc<Vec<u8>>>, Problem> {
    let Some(name) = listening.name_of(&told.event) else { return Ok(None) };
    if let Some(wanted) = listening.workspace {
        let found = told.workspace.get_or_try_init(|| workspace_of(platform, &told.event)).await?;
        if *found != Some(wanted) {
            return Ok(None);
        }
    }
    if name != told.event.event.trigger.name() {
        return Ok(Some(Arc::new(webhooks::envelope(platform, &told.event, name).await?)));
    }
    let mut shared = told.shown.lock().await;
    if let Some(shown) = shared.upgrade() {
        return Ok(Some(shown));
    }
    let shown = Arc::new(webhooks::envelope(platform, &told.event, name).await?);
    *shared = Arc::downgrade(&shown);
    Ok(Some(shown))
}

/// The workspace of the mailbox as it is now; of what concerns no mailbox that is there, the one that the event names.
async fn workspace_of(platform: &Platform, event: &Event) -> Result<Option<WorkspaceId>, Problem> {
    let event = &event.event;
    let found = grants::find(&mut platform.store.reader().await?, event.application_id, event.grant_id).await?;
    if let Some(grant) = found {
        return Ok(grant.workspace_id);
    }
    let facts: Value = serde_json::from_str(&event.data).unwrap_or_default();
    Ok(facts["workspace_id"].as_str().and_then(|id| id.parse().ok()))
}
