//! A message bus in memory, which does what NATS does with what is published, and can lose what it has.

use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_bus::{
    Bus, BusError, Expected, LastMessage, Message, Receipt, Settle, Settlement, Stored, Stream, StreamPlan, Taken,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// A bus with one server. Clones are the same one.
#[derive(Clone, Debug)]
pub struct SimulatedBus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    connection: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    connections: u64,
    /// How many streams were ever made: when each was made.
    made: i64,
    streams: BTreeMap<String, Kept>,
    /// Publishes that fail from now on, by how many went well before.
    lost: BTreeSet<u64>,
    published: u64,
}

/// A stream.
#[derive(Debug, Default)]
struct Kept {
    subject: String,
    created_at: i64,
    last_sequence: u64,
    last_id: String,
    messages: BTreeMap<u64, Message>,
    ids: BTreeMap<String, u64>,
    /// Of a queue: what was given out and not settled, or is to be given out later.
    given_out: BTreeSet<u64>,
}

impl SimulatedBus {
    /// An empty one that is connected.
    pub fn start() -> Self {
        let bus = Self(Arc::new(Shared { state: Mutex::default(), connection: watch::Sender::new(0) }));
        bus.connect();
        bus
    }

    /// The bus is reached.
    pub fn connect(&self) {
        let mut state = self.state();
        state.connections += 1;
        self.0.connection.send_replace(state.connections);
    }

    /// The bus is lost, with everything that is under way.
    pub fn disconnect(&self) {
        self.0.connection.send_replace(0);
    }

    /// The bus is restarted: what it knew of ids is what it still has.
    pub fn restart(&self) {
        self.disconnect();
        for stream in self.state().streams.values_mut() {
            let kept: BTreeSet<u64> = stream.messages.keys().copied().collect();
            stream.ids.retain(|_, sequence| kept.contains(sequence));
        }
        self.connect();
    }

    /// The bus is restarted without anything.
    pub fn wipe(&self) {
        self.disconnect();
        self.state().streams.clear();
        self.connect();
    }

    /// The bus is restarted and has lost the last messages of each stream.
    pub fn truncate(&self, count: usize) {
        self.disconnect();
        for stream in self.state().streams.values_mut() {
            for _ in 0..count {
                stream.messages.pop_last();
            }
            stream.last_sequence = stream.messages.last_key_value().map_or(0, |(sequence, _)| *sequence);
            stream.last_id = stream.messages.last_key_value().map_or_else(String::new, |(_, last)| last.id.clone());
            let last = stream.last_sequence;
            stream.ids.retain(|_, sequence| *sequence <= last);
        }
        self.connect();
    }

    /// Somebody empties every stream while the bus runs: it still knows the ids.
    pub fn purge(&self) {
        self.state().streams.values_mut().for_each(|stream| stream.messages.clear());
    }

    /// The publish after so many others from now on is lost.
    pub fn lose(&self, after: u64) {
        let mut state = self.state();
        let which = state.published + after;
        state.lost.insert(which);
    }

    /// What was taken from queues and not settled, or put off, may be taken again.
    pub fn give_out_again(&self) {
        self.state().streams.values_mut().for_each(|stream| stream.given_out.clear());
    }

    /// What a stream has, first to last.
    pub fn messages(&self, stream: &str) -> Vec<Message> {
        self.state().streams.get(stream).map(|kept| kept.messages.values().cloned().collect()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("the state of the bus")
    }

    fn is_away(&self) -> Result<(), BusError> {
        let is_away = *self.0.connection.borrow() == 0;
        if is_away { Err(BusError::Away("simulated".to_owned())) } else { Ok(()) }
    }

    fn opened(&self, plan: &StreamPlan) -> Result<Stream, BusError> {
        self.is_away()?;
        let mut state = self.state();
        if !state.streams.contains_key(&plan.name) {
            state.made += 1;
            let made = Kept { subject: plan.subject.clone(), created_at: state.made, ..Kept::default() };
            state.streams.insert(plan.name.clone(), made);
        }
        let kept = &state.streams[&plan.name];
        let header = |(name, value): &(&'static str, String)| ((*name).to_owned(), value.clone());
        let last = kept.messages.values().last().map(|message| LastMessage {
            headers: message
                .headers
                .iter()
                .map(header)
                .chain([("Nats-Msg-Id".to_owned(), message.id.clone())])
                .collect(),
        });
        Ok(Stream {
            created_at: kept.created_at,
            first_sequence: kept.messages.keys().next().copied().unwrap_or(kept.last_sequence + 1),
            last_sequence: kept.last_sequence,
            last,
            octets_max: 1 << 20,
        })
    }

    fn given_out(&self, plan: &StreamPlan, most: usize) -> Result<Vec<Taken>, BusError> {
        self.is_away()?;
        let mut state = self.state();
        let stream = state.streams.get_mut(&plan.name).ok_or_else(|| BusError::Away("no stream".to_owned()))?;
        let free: Vec<u64> = stream
            .messages
            .keys()
            .filter(|sequence| !stream.given_out.contains(sequence))
            .take(most)
            .copied()
            .collect();
        let mut taken = Vec::with_capacity(free.len());
        for sequence in free {
            stream.given_out.insert(sequence);
            let message = stream.messages[&sequence].clone();
            let settle = Box::new(Ack { bus: self.clone(), stream: plan.name.clone(), sequence });
            taken.push(Taken {
                subject: message.subject,
                id: Some(message.id).filter(|id| !id.is_empty()),
                source: stream.created_at,
                sequence,
                body: message.body,
                settle,
            });
        }
        Ok(taken)
    }

    fn stored(&self, message: Message) -> Result<Stored, BusError> {
        self.is_away()?;
        let mut state = self.state();
        state.published += 1;
        let number = state.published - 1;
        if state.lost.remove(&number) {
            return Err(BusError::Away("lost".to_owned()));
        }
        let matches = |kept: &&mut Kept| {
            let begin = kept.subject.trim_end_matches('>');
            message.subject.starts_with(begin)
        };
        let Some(stream) = state.streams.values_mut().find(matches) else {
            return Err(BusError::Away("no stream".to_owned()));
        };
        if let Some(sequence) = stream.ids.get(&message.id).filter(|_| !message.id.is_empty()) {
            return Ok(Stored { sequence: *sequence, duplicate: true });
        }
        let is_expected = match &message.expected {
            Expected::Anything | Expected::Sequence(0) => true,
            Expected::Sequence(sequence) => *sequence == stream.last_sequence,
            Expected::Id(id) => *id == stream.last_id,
        };
        if !is_expected {
            return Err(BusError::Unexpected("wrong last message".to_owned()));
        }
        stream.last_sequence += 1;
        stream.last_id = message.id.clone();
        let sequence = stream.last_sequence;
        stream.ids.insert(message.id.clone(), sequence);
        stream.messages.insert(sequence, message);
        Ok(Stored { sequence, duplicate: false })
    }
}

impl Bus for SimulatedBus {
    fn connection(&self) -> watch::Receiver<u64> {
        self.0.connection.subscribe()
    }

    fn open<'a>(&'a self, plan: &'a StreamPlan) -> BoxFuture<'a, Result<Stream, BusError>> {
        std::future::ready(self.opened(plan)).boxed()
    }

    fn take<'a>(
        &'a self,
        plan: &'a StreamPlan,
        most: usize,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Taken>, BusError>> {
        std::future::ready(self.given_out(plan, most)).boxed()
    }

    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Receipt, BusError>> {
        // In the order of the calls; what came of it is told later.
        let stored = self.stored(message);
        std::future::ready(Ok(std::future::ready(stored).boxed())).boxed()
    }
}

/// The way to settle one message of a queue.
#[derive(Debug)]
struct Ack {
    bus: SimulatedBus,
    stream: String,
    sequence: u64,
}

impl Settle for Ack {
    fn settle(&self, how: Settlement) -> BoxFuture<'_, Result<(), BusError>> {
        let settled = self.bus.is_away().map(|()| {
            let mut state = self.bus.state();
            // What is put off stays given out, until the test says otherwise.
            if let (Settlement::Done | Settlement::Never, Some(stream)) = (how, state.streams.get_mut(&self.stream)) {
                stream.messages.remove(&self.sequence);
            }
        });
        std::future::ready(settled).boxed()
    }
}
