//! One thread that drives all connections of HTTP. With a thread for each, every answer would wake another one, and take a
//! core from a server that shares the machine.

use crate::Failure;
use crate::answer::Answer;
use crate::channel::Channel;
use crate::run::{FAILURES_MAX, Outcome, Plan};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event};
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a peer may do nothing while something is expected of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether a peer took longer.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Octets that are read at once.
const READ_OCTETS: usize = 256 << 10;
/// Connections that are spoken of at once.
const EVENTS: usize = 256;
/// The most threads.
pub const THREADS_MAX: u64 = 64;

/// What is asked over one connection.
pub trait Requester {
    /// Whether it is of no interest what the body of a success says, so that it need not be kept.
    const BRIEF: bool = false;

    /// Writes the request of that number into an empty buffer.
    fn request(&mut self, number: u64, request: &mut Vec<u8>) -> Result<(), Failure>;
    /// Judges an answer, and appends to the empty buffer what is to be asked next under the same number, if anything.
    fn answered(&mut self, status: u16, body: &[u8], request: &mut Vec<u8>) -> Result<(), Failure>;
}

/// Carries the plan out. A latency is from the first octet that is written to the last that is read.
pub fn run<R: Requester>(
    plan: &Plan,
    address: SocketAddr,
    threads: u64,
    requester: impl Fn() -> R + Sync,
) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let threads = threads.clamp(1, plan.clients.max(1));
    let drive = |thread: u64| {
        let clients = plan.clients / threads + u64::from(thread < plan.clients % threads);
        Driver::new(plan, address, &next, start)?.drive((0..clients).map(|_| requester()).collect())
    };
    let mut all = std::thread::scope(|scope| {
        let drive = &drive;
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || drive(thread))).collect();
        let mut all = drive(0)?;
        for other in others {
            all.add(other.join().unwrap()?);
        }
        Ok::<_, Failure>(all)
    })?;
    all.elapsed = start.elapsed();
    Ok(all)
}

/// A thread, and what it knows.
struct Driver<'a> {
    plan: &'a Plan,
    address: SocketAddr,
    /// The number of the next request, for all threads.
    next: &'a AtomicU64,
    start: Instant,
    epoll: OwnedFd,
    outcome: Outcome,
    /// What waits for its time, by place.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// What was just read, of whichever connection.
    space: Vec<u8>,
}

/// One connection's worth of requests.
struct Place<R> {
    requester: R,
    channel: Option<Channel>,
    state: State,
    /// When the next request may begin.
    due: Instant,
    /// When the peer last did something, or something was first expected of it.
    heard: Instant,
    /// When the first request of this number began.
    began: Option<Instant>,
    request: Vec<u8>,
    answer: Answer,
    failures_in_a_row: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The request of that number waits for its time.
    Due(u64),
    /// An answer is expected.
    Asked,
    /// Nothing more is to be done.
    Over,
}

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan, address: SocketAddr, next: &'a AtomicU64, start: Instant) -> Result<Self, Failure> {
        Ok(Self {
            plan,
            address,
            next,
            start,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            outcome: Outcome::default(),
            due: BinaryHeap::new(),
            space: vec![0; READ_OCTETS],
        })
    }

    fn drive<R: Requester>(mut self, requesters: Vec<R>) -> Result<Outcome, Failure> {
        let mut places: Vec<_> = requesters.into_iter().map(|requester| Place::new(requester, self.start)).collect();
        for (at, place) in places.iter_mut().enumerate() {
            self.next_request(at, place);
        }
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut look = self.start + LOOK_EVERY;
        while places.iter().any(|place| place.state != State::Over) {
            self.wait(&mut events, look)?;
            for event in events.drain(..) {
                let (at, flags) = (usize::try_from(event.data.u64())?, event.flags);
                self.proceed(at, &mut places[at], flags);
            }
            let now = Instant::now();
            while let Some(Reverse((due, at))) = self.due.peek().copied()
                && due <= now
            {
                self.due.pop();
                self.next_request(at, &mut places[at]);
            }
            if now >= look {
                self.end_silent(&mut places, now);
                look = now + LOOK_EVERY;
            }
        }
        Ok(self.outcome)
    }

    /// Waits until something happens, something is due, or it is time to look for peers that do nothing.
    fn wait(&self, events: &mut Vec<Event>, look: Instant) -> Result<(), Failure> {
        let until = self.due.peek().map_or(look, |Reverse((due, _))| look.min(*due));
        let timeout = until.saturating_duration_since(Instant::now()).try_into()?;
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins with the next request of a place, now or when it is due. One that fails at once is followed by another.
    fn next_request<R: Requester>(&mut self, at: usize, place: &mut Place<R>) {
        loop {
            let now = Instant::now();
            let number = match place.state {
                State::Due(number) => number,
                _ => match self.next_number(place, now) {
                    Some(number) => number,
                    None => return place.end(),
                },
            };
            if place.due > now {
                place.state = State::Due(number);
                return self.due.push(Reverse((place.due, at)));
            }
            place.due += self.plan.gap;
            place.state = State::Asked;
            place.began = None;
            place.request.clear();
            let begun = place.requester.request(number, &mut place.request).and_then(|()| self.send(at, place, now));
            match begun {
                Ok(()) => return,
                Err(failure) => self.fail(place, failure),
            }
        }
    }

    fn next_number<R>(&self, place: &Place<R>, now: Instant) -> Option<u64> {
        if now.duration_since(self.start) >= self.plan.limit || place.failures_in_a_row >= FAILURES_MAX {
            return None;
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < self.plan.requests)
    }

    /// Sends the place's request, over the connection that it has or another one.
    fn send<R>(&self, at: usize, place: &mut Place<R>, now: Instant) -> Result<(), Failure> {
        place.heard = now;
        place.answer.clear();
        let mut channel = match place.channel.take() {
            Some(channel) => channel,
            None => Channel::open(self.address, self.epoll.as_fd(), at as u64)?,
        };
        channel.send(&place.request, self.epoll.as_fd())?;
        place.channel = Some(channel);
        Ok(())
    }

    /// Goes on with a place of whose connection something was said.
    fn proceed<R: Requester>(&mut self, at: usize, place: &mut Place<R>, flags: epoll::EventFlags) {
        // Whatever a peer says unasked, most of all that it closes, the next request needs another connection.
        let Some(mut channel) = place.channel.take_if(|_| place.state == State::Asked) else {
            place.channel = None;
            return;
        };
        let (request, answer) = (&place.request, &mut place.answer);
        let whole = match channel.proceed(flags, request, answer, &mut self.space, self.epoll.as_fd()) {
            Ok(whole) => whole,
            Err(failure) => {
                self.fail(place, failure);
                return self.next_request(at, place);
            }
        };
        place.began = place.began.or(channel.began);
        if whole.is_none() || channel.is_reusable(&place.request, &place.answer) {
            place.channel = Some(channel);
        }
        match whole {
            Some(ended) => self.end_answer(at, place, ended),
            None => place.heard = Instant::now(),
        }
    }

    fn end_answer<R: Requester>(&mut self, at: usize, place: &mut Place<R>, ended: Instant) {
        place.request.clear();
        let judged = place.requester.answered(place.answer.status(), place.answer.body(), &mut place.request);
        let judged = judged.and_then(|()| match place.request.is_empty() {
            true => Ok(true),
            false => self.send(at, place, ended).map(|()| false),
        });
        match judged {
            Ok(false) => return,
            Ok(true) => {
                let took = ended.duration_since(place.began.unwrap_or(ended));
                self.outcome.latencies.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
                place.failures_in_a_row = 0;
            }
            Err(failure) => self.fail(place, failure),
        }
        self.next_request(at, place);
    }

    fn fail<R>(&mut self, place: &mut Place<R>, failure: Failure) {
        place.failures_in_a_row += 1;
        self.outcome.fail(&failure);
    }

    /// Ends what waits for a peer that did nothing for too long.
    fn end_silent<R: Requester>(&mut self, places: &mut [Place<R>], now: Instant) {
        for (at, place) in places.iter_mut().enumerate() {
            if place.state == State::Asked && now.saturating_duration_since(place.heard) > PATIENCE {
                place.channel = None;
                self.fail(place, format!("the peer did nothing for {} seconds", PATIENCE.as_secs()).into());
                self.next_request(at, place);
            }
        }
    }
}

impl<R: Requester> Place<R> {
    fn new(requester: R, due: Instant) -> Self {
        Self {
            requester,
            channel: None,
            state: State::Asked,
            due,
            heard: due,
            began: None,
            request: Vec::new(),
            answer: if R::BRIEF { Answer::brief() } else { Answer::default() },
            failures_in_a_row: 0,
        }
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.channel = None;
    }
}

#[cfg(test)]
mod tests;
