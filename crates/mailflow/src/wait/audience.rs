//! Those who listen to events on this node, and the events that were told lately. A listener holds a place in the log and
//! never a queue: it takes what comes after its place from here, or from the store if it is too slow for that.

use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, GrantId, WorkspaceId};
use postfleet_store::events::Event;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use tokio::sync::{Mutex, OnceCell};

/// Octets of events that are remembered.
const REMEMBERED_OCTETS_MAX: usize = 16 << 20;

/// Events that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// About what an event takes beside its facts.
const EVENT_OCTETS: usize = 400;

/// Events that a listener takes up at once.
const TAKEN_MAX: usize = 64;

/// Events that one look goes through, so that nobody else waits long for the hub.
const LOOKED_AT_MAX: usize = 1_024;

/// What somebody listens to.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// Names of triggers, in the spelling in which they are to be told; all of them if `None`.
    pub names: Option<Box<[&'static str]>>,
    /// Of this mailbox alone.
    pub grant: Option<GrantId>,
    /// Of this workspace and its mailboxes alone.
    pub workspace: Option<WorkspaceId>,
    /// Also mail that went into junk as it came in.
    pub include_junk: bool,
    /// None before this.
    pub since: Option<UnixMicros>,
}

impl Listening {
    /// The name under which an event is told; `None` if it is not. Its workspace is not looked at.
    pub(super) fn name_of(&self, event: &Event) -> Option<&'static str> {
        let event = &event.event;
        let is_left = (event.is_of_junk() && !self.include_junk)
            || self.grant.is_some_and(|grant| grant != event.grant_id)
            || self.since.is_some_and(|since| event.at < since);
        if is_left { None } else { self.name_for(event.trigger) }
    }

    fn name_for(&self, trigger: Trigger) -> Option<&'static str> {
        match &self.names {
            None => Some(trigger.name()),
            Some(names) => trigger.name_for(names.iter().copied()),
        }
    }
}

/// An event that is told, and what all who are told of it share.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) event: Event,
    /// The workspace that it is of.
    pub(super) workspace: OnceCell<Option<WorkspaceId>>,
    /// As it is told under the usual name, as long as somebody is about to send it.
    pub(super) shown: Mutex<Weak<Vec<u8>>>,
}

impl Told {
    pub(super) fn new(event: Event) -> Self {
        Self { event, workspace: OnceCell::new(), shown: Mutex::default() }
    }

    fn octets(&self) -> usize {
        self.event.event.data.len() + EVENT_OCTETS
    }
}

/// What a listener finds after its place.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing up to here; it is called when there is something.
    Current(i64),
    /// Events, and up to where that is all.
    Told(Vec<Arc<Told>>, i64),
    /// It is to be read from the store. When the log is not read here yet, the listener is called once it is.
    Stored { is_read: bool },
}

/// Those who listen.
#[derive(Default)]
pub(super) struct Audience {
    listeners: HashMap<u64, Listener>,
    entered_ever: u64,
    /// Listeners by what they listen to: all of an application, or one mailbox.
    groups: HashMap<(ApplicationId, Option<GrantId>), HashSet<u64>>,
    memories: HashMap<ApplicationId, Memory>,
    /// Whose event was remembered, oldest first.
    order: VecDeque<ApplicationId>,
    octets: usize,
    /// Up to where the log was read.
    upto: Option<i64>,
    /// When signs of life are due.
    beats: BTreeSet<(UnixMicros, u64)>,
}

struct Listener {
    application: ApplicationId,
    listening: Arc<Listening>,
    beat: UnixMicros,
    /// Nothing was told that it may want since it looked last.
    is_current: bool,
    is_called: bool,
    waker: Option<Waker>,
}

impl Listener {
    fn call(&mut self) -> Option<Waker> {
        self.is_called = true;
        self.waker.take()
    }

    fn group(&self) -> (ApplicationId, Option<GrantId>) {
        (self.application, self.listening.grant)
    }
}

/// What is remembered of an application: all after the first place.
struct Memory {
    listeners: usize,
    first: i64,
    told: VecDeque<Arc<Told>>,
}

impl Audience {
    /// One more listens; answers its number.
    pub(super) fn enter(&mut self, application: ApplicationId, listening: Arc<Listening>, beat: UnixMicros) -> u64 {
        self.entered_ever += 1;
        let id = self.entered_ever;
        let first = self.upto.unwrap_or_default();
        let new = || Memory { listeners: 0, first, told: VecDeque::new() };
        self.memories.entry(application).or_insert_with(new).listeners += 1;
        let listener = Listener { application, listening, beat, is_current: false, is_called: false, waker: None };
        self.groups.entry(listener.group()).or_default().insert(id);
        self.beats.insert((beat, id));
        self.listeners.insert(id, listener);
        id
    }

    /// One listens no more; what is left to drop is answered.
    pub(super) fn leave(&mut self, id: u64) -> Option<Waker> {
        let listener = self.listeners.remove(&id)?;
        self.beats.remove(&(listener.beat, id));
        if let Some(group) = self.groups.get_mut(&listener.group()) {
            group.remove(&id);
            if group.is_empty() {
                self.groups.remove(&listener.group());
            }
        }
        if let Some(memory) = self.memories.get_mut(&listener.application) {
            memory.listeners -= 1;
            if memory.listeners == 0 {
                self.octets -= memory.told.iter().map(|told| told.octets()).sum::<usize>();
                self.memories.remove(&listener.application);
            }
        }
        if self.listeners.is_empty() {
            // The log is read no more.
            *self = Self { entered_ever: self.entered_ever, ..Self::default() };
        }
        listener.waker
    }

    /// Up to where the log was read: `None` if nobody listens, `Some(None)` before it was.
    pub(super) fn upto(&self) -> Option<Option<i64>> {
        (!self.listeners.is_empty()).then_some(self.upto)
    }

    /// The log is read from this place on: what was before is in the store.
    #[must_use]
    pub(super) fn begin(&mut self, at: i64) -> Vec<Waker> {
        (self.upto, self.octets, self.order) = (Some(at), 0, VecDeque::new());
        for memory in self.memories.values_mut() {
            (memory.first, memory.told) = (at, VecDeque::new());
        }
        self.call_all()
    }

    /// Remembers events of those who are listened to, and calls whoever may want one.
    #[must_use]
    pub(super) fn add(&mut self, events: Vec<Event>, upto: i64) -> Vec<Waker> {
        let mut called = Vec::new();
        if self.upto.is_none() {
            return called;
        }
        for event in events {
            let (application, grant) = (event.event.application_id, event.event.grant_id);
            let Some(memory) = self.memories.get_mut(&application) else { continue };
            for group in [(application, None), (application, Some(grant))] {
                for id in self.groups.get(&group).into_iter().flatten() {
                    let Some(listener) = self.listeners.get_mut(id).filter(|one| one.is_current) else { continue };
                    if listener.listening.name_of(&event).is_some() {
                        listener.is_current = false;
                        called.extend(listener.call());
                    }
                }
            }
            let told = Arc::new(Told::new(event));
            self.octets += told.octets();
            memory.told.push_back(told);
            self.order.push_back(application);
        }
        self.upto = Some(upto);
        self.forget();
        called
    }

    /// Forgets the oldest of what is too much.
    fn forget(&mut self) {
        while self.octets > REMEMBERED_OCTETS_MAX || self.order.len() > REMEMBERED_MAX {
            let Some(application) = self.order.pop_front() else { return };
            // Nobody may have listened to it meanwhile.
            let Some(memory) = self.memories.get_mut(&application) else { continue };
            if let Some(oldest) = memory.told.pop_front() {
                memory.first = oldest.event.position;
                self.octets -= oldest.octets();
            }
        }
    }

    /// What comes after a place for a listener.
    pub(super) fn look(&mut self, id: u64, at: i64) -> Look {
        let Some(upto) = self.upto else { return Look::Stored { is_read: false } };
        let Some(listener) = self.listeners.get_mut(&id) else { return Look::Stored { is_read: true } };
        if listener.is_current || at >= upto {
            listener.is_current = true;
            return Look::Current(upto.max(at));
        }
        let Some(memory) = self.memories.get(&listener.application).filter(|memory| at >= memory.first) else {
            return Look::Stored { is_read: true };
        };
        let start = memory.told.partition_point(|told| told.event.position <= at);
        let mut taken = Vec::new();
        for (count, told) in memory.told.range(start..).enumerate() {
            if taken.len() == TAKEN_MAX || count == LOOKED_AT_MAX {
                return Look::Told(taken, told.event.position - 1);
            }
            if listener.listening.name_of(&told.event).is_some() {
                taken.push(told.clone());
            }
        }
        Look::Told(taken, upto)
    }

    pub(super) fn set_beat(&mut self, id: u64, beat: UnixMicros) {
        if let Some(listener) = self.listeners.get_mut(&id) {
            self.beats.remove(&(listener.beat, id));
            self.beats.insert((beat, id));
            listener.beat = beat;
        }
    }

    /// Calls those whose sign of life is due, each once.
    #[must_use]
    pub(super) fn due(&mut self, now: UnixMicros) -> Vec<Waker> {
        let mut called = Vec::new();
        while let Some((_, id)) = self.beats.first().copied().filter(|(beat, _)| *beat <= now) {
            self.beats.pop_first();
            called.extend(self.listeners.get_mut(&id).and_then(Listener::call));
        }
        called
    }

    #[must_use]
    pub(super) fn call_all(&mut self) -> Vec<Waker> {
        let call = |listener: &mut Listener| {
            listener.is_current = false;
            listener.call()
        };
        self.listeners.values_mut().filter_map(call).collect()
    }

    pub(super) fn poll_called(&mut self, id: u64, context: &mut Context<'_>) -> Poll<()> {
        let Some(listener) = self.listeners.get_mut(&id) else { return Poll::Ready(()) };
        if std::mem::take(&mut listener.is_called) {
            return Poll::Ready(());
        }
        if !listener.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            listener.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
