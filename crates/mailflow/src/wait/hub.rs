//! Who waits on this node, and what was announced lately. One reader of the event log tells all of them, so that many who
//! wait cost no more reading than one. Those who listen to events are in the [`Audience`].

use super::audience::{Audience, Listening, Look};
use parking_lot::Mutex;
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_net::Clock;
use postfleet_store::events::{Created, Event};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;

/// Announcements of messages that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// For how long the log is remembered when nobody waits any more: who comes back soon finds it as it was.
const REST: Duration = Duration::from_secs(60);

/// The one place of a node where it is waited for messages, and where events are listened to.
pub struct Hub {
    state: Mutex<State>,
    waiting_max: usize,
    of_application_max: usize,
    /// Somebody waits who may be the first.
    entered: Notify,
    /// All waiting is to end.
    closed: Notify,
    /// Nobody waits any more.
    emptied: Notify,
}

#[derive(Default)]
struct State {
    /// Announcements of messages, oldest first.
    remembered: VecDeque<Created>,
    /// What is remembered: all that was announced after the first place, up to the second. Nothing before the log is read.
    span: Option<(i64, i64)>,
    mailboxes: HashMap<GrantId, Mailbox>,
    audience: Audience,
    applications: HashMap<ApplicationId, usize>,
    waiting: usize,
    /// When the last who waited for messages left.
    left_at: UnixMicros,
    is_closed: bool,
}

#[derive(Default)]
struct Mailbox {
    waiting: usize,
    changed: Arc<Notify>,
}

/// What is remembered of a mailbox after a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) created: Vec<(i64, MessageId)>,
    /// Up to where it is all.
    pub(super) upto: i64,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(2_048, 256)
    }
}

impl Hub {
    /// A hub at which so many may wait at once, and so many of them for one application.
    pub fn new(waiting_max: usize, of_application_max: usize) -> Self {
        let (entered, closed, emptied) = (Notify::new(), Notify::new(), Notify::new());
        Self { state: Mutex::default(), waiting_max, of_application_max, entered, closed, emptied }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Completes when somebody has begun to wait since it did so last.
    pub async fn entered(&self) {
        self.entered.notified().await;
    }

    /// Counts one more, if there is room.
    fn admit(&self, state: &mut State, application: ApplicationId) -> Result<(), Problem> {
        if state.is_closed {
            return Err(Problem::new(ProblemKind::Unavailable, "stopping", "the server is stopping"));
        }
        let of_application = state.applications.get(&application).copied().unwrap_or_default();
        if of_application >= self.of_application_max {
            let max = self.of_application_max;
            let text = format!("an application may wait {max} times at once (http.waiting_per_application)");
            return Err(Problem::new(ProblemKind::RateLimited, "too_many_waiting", text));
        }
        if state.waiting >= self.waiting_max {
            let text = format!("{} wait already, as many as this server allows (http.waiting)", state.waiting);
            return Err(Problem::new(ProblemKind::RateLimited, "too_many_waiting", text));
        }
        state.waiting += 1;
        *state.applications.entry(application).or_default() += 1;
        Ok(())
    }

    /// Counts one less.
    fn release(&self, state: &mut State, application: ApplicationId) {
        state.waiting -= 1;
        if let Some(count) = state.applications.get_mut(&application) {
            *count -= 1;
            if *count == 0 {
                state.applications.remove(&application);
            }
        }
        if state.waiting == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// Begins to wait for messages of a mailbox, until the ticket is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        clock: &Arc<dyn Clock>,
        application: ApplicationId,
        grant: GrantId,
    ) -> Result<Ticket, Problem> {
        let mut state = self.state.lock();
        self.admit(&mut state, application)?;
        if state.mailboxes.is_empty() && clock.now().since(state.left_at) > REST {
            // The log is read from here on: to catch up would tell nobody anything.
            (state.span, state.remembered) = (None, VecDeque::new());
        }
        let mailbox = state.mailboxes.entry(grant).or_default();
        mailbox.waiting += 1;
        let changed = mailbox.changed.clone();
        drop(state);
        self.entered.notify_one();
        Ok(Ticket { hub: self.clone(), clock: clock.clone(), application, grant, changed })
    }

    /// Begins to listen to events of an application, until the seat is dropped. The first sign of life is due at `beat`.
    pub(super) fn listen(
        self: &Arc<Self>,
        application: ApplicationId,
        listening: Arc<Listening>,
        beat: UnixMicros,
    ) -> Result<Seat, Problem> {
        let mut state = self.state.lock();
        self.admit(&mut state, application)?;
        let id = state.audience.enter(application, listening, beat);
        drop(state);
        self.entered.notify_one();
        Ok(Seat { hub: self.clone(), application, id })
    }

    /// Whether somebody waits for messages.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.state.lock().mailboxes.is_empty()
    }

    /// Calls those whose sign of life is due.
    pub(super) fn tick(&self, now: UnixMicros) {
        let called = self.state.lock().audience.due(now);
        called.into_iter().for_each(std::task::Waker::wake);
    }

    /// Up to where the log was read for those who listen to events: `None` if nobody does, `Some(None)` before it was.
    pub(super) fn heard_upto(&self) -> Option<Option<i64>> {
        self.state.lock().audience.upto()
    }

    /// Says that the log is read for them from this place on.
    pub(super) fn begin_telling(&self, at: i64) {
        let called = self.state.lock().audience.begin(at);
        called.into_iter().for_each(std::task::Waker::wake);
    }

    /// Remembers events up to a place, and calls those who may want one of them.
    pub(super) fn tell(&self, events: Vec<Event>, upto: i64) {
        let called = self.state.lock().audience.add(events, upto);
        called.into_iter().for_each(std::task::Waker::wake);
    }

    /// Up to where the log was read; `None` before it was.
    pub(super) fn read_upto(&self) -> Option<i64> {
        self.state.lock().span.map(|(_, upto)| upto)
    }

    /// Says that the log is read from this place on: what was before is in the store.
    pub(super) fn begin(&self, at: i64) {
        let mut state = self.state.lock();
        state.remembered.clear();
        state.span = Some((at, at));
        // Those who came before look at the store again.
        state.mailboxes.values().for_each(|mailbox| mailbox.changed.notify_waiters());
    }

    /// Remembers what was announced up to a place, and tells those who wait for it.
    pub(super) fn add(&self, created: &[Created], upto: i64) {
        let mut state = self.state.lock();
        let Some((mut first, _)) = state.span else { return };
        state.remembered.extend(created);
        while state.remembered.len() > REMEMBERED_MAX {
            first = state.remembered.pop_front().map_or(first, |oldest| oldest.position);
        }
        state.span = Some((first, upto));
        for one in created {
            if let Some(mailbox) = state.mailboxes.get(&one.grant_id) {
                mailbox.changed.notify_waiters();
            }
        }
    }

    /// What was announced of a mailbox after a place; `None` where that is not remembered.
    pub(super) fn after(&self, grant: GrantId, after: i64) -> Option<Remembered> {
        let state = self.state.lock();
        let (_, upto) = state.span.filter(|(first, _)| after >= *first)?;
        let start = state.remembered.partition_point(|one| one.position <= after);
        let of_grant = state.remembered.range(start..).filter(|one| one.grant_id == grant);
        let created = of_grant.map(|one| (one.position, one.message_id)).collect();
        Some(Remembered { created, upto: upto.max(after) })
    }

    /// Ends all waiting, and lets nobody wait any more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.mailboxes.values().for_each(|mailbox| mailbox.changed.notify_waiters());
        let called = state.audience.call_all();
        drop(state);
        called.into_iter().for_each(std::task::Waker::wake);
        self.closed.notify_waiters();
    }

    /// Completes when all waiting is to end.
    pub async fn closed(&self) {
        loop {
            // Made before the look, so that nothing is missed in between.
            let closed = self.closed.notified();
            if self.is_closed() {
                return;
            }
            closed.await;
        }
    }

    /// Completes when nobody waits.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.waiting() == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }
}

/// A place among those who wait.
pub(super) struct Ticket {
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    application: ApplicationId,
    grant: GrantId,
    changed: Arc<Notify>,
}

impl Ticket {
    /// Completes when there may be something new, from the moment at which it is asked for.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = self.clock.now();
        let mut state = self.hub.state.lock();
        self.hub.release(&mut state, self.application);
        state.left_at = now;
        if let Some(mailbox) = state.mailboxes.get_mut(&self.grant) {
            mailbox.waiting -= 1;
            if mailbox.waiting == 0 {
                state.mailboxes.remove(&self.grant);
            }
        }
    }
}

/// A place in the audience.
pub(super) struct Seat {
    hub: Arc<Hub>,
    application: ApplicationId,
    id: u64,
}

impl Seat {
    /// What was told after a place.
    pub(super) fn look(&self, at: i64) -> Look {
        self.hub.state.lock().audience.look(self.id, at)
    }

    /// Says when the next sign of life is due.
    pub(super) fn set_beat(&self, beat: UnixMicros) {
        self.hub.state.lock().audience.set_beat(self.id, beat);
    }

    /// Completes when there may be something to do, since it did so last.
    pub(super) async fn called(&self) {
        std::future::poll_fn(|context| self.poll_called(context)).await;
    }

    fn poll_called(&self, context: &mut Context<'_>) -> Poll<()> {
        self.hub.state.lock().audience.poll_called(self.id, context)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.hub.state.lock();
        self.hub.release(&mut state, self.application);
        let waker = state.audience.leave(self.id);
        drop(state);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_net::SimulatedClock;
    use uuid::Uuid;

    fn grant(number: u128) -> GrantId {
        GrantId::from_uuid(Uuid::from_u128(number))
    }

    fn created(position: i64, of: u128) -> Created {
        let message_id = MessageId::from_uuid(Uuid::from_u128(position as u128));
        Created { position, grant_id: grant(of), message_id }
    }

    fn positions(remembered: Option<Remembered>) -> Option<(Vec<i64>, i64)> {
        remembered.map(|found| (found.created.iter().map(|(position, _)| *position).collect(), found.upto))
    }

    #[test]
    fn what_is_remembered_is_told_from_what_is_not() {
        let hub = Hub::default();
        assert_eq!(positions(hub.after(grant(1), 0)), None, "nothing was read yet");
        hub.begin(10);
        assert_eq!(positions(hub.after(grant(1), 9)), None);
        assert_eq!(positions(hub.after(grant(1), 10)), Some((vec![], 10)));
        hub.add(&[created(11, 1), created(13, 2), created(14, 1)], 20);
        assert_eq!(positions(hub.after(grant(1), 10)), Some((vec![11, 14], 20)));
        assert_eq!(positions(hub.after(grant(1), 11)), Some((vec![14], 20)));
        assert_eq!(positions(hub.after(grant(2), 13)), Some((vec![], 20)));
        // A place that others have not reached yet stays what it is.
        assert_eq!(positions(hub.after(grant(2), 25)), Some((vec![], 25)));
        // What is too much is forgotten from the beginning.
        let many: Vec<_> = (21..21 + REMEMBERED_MAX as i64 - 2).map(|position| created(position, 3)).collect();
        let upto = many.last().expect("many").position;
        hub.add(&many, upto);
        assert_eq!(positions(hub.after(grant(1), 10)), None);
        assert_eq!(positions(hub.after(grant(1), 11)), Some((vec![14], upto)));
    }

    #[test]
    fn so_many_may_wait_and_no_more_and_places_are_given_back() {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::stopped_at(UnixMicros::from_seconds(1_000)));
        const OF_APPLICATION_MAX: usize = 16;
        let hub = Arc::new(Hub::new(OF_APPLICATION_MAX + 1, OF_APPLICATION_MAX));
        let (one, other) = (ApplicationId::from_uuid(Uuid::from_u128(1)), ApplicationId::from_uuid(Uuid::from_u128(2)));
        let mut tickets: Vec<_> = (0..OF_APPLICATION_MAX)
            .map(|index| hub.enter(&clock, one, grant(index as u128 % 7)).expect("room"))
            .collect();
        let refused = |application| hub.enter(&clock, application, grant(1)).err().expect("refused");
        assert_eq!((refused(one).kind, refused(one).code), (ProblemKind::RateLimited, "too_many_waiting"));
        assert!(refused(one).public.contains("16 times at once (http.waiting_per_application)"));
        // Who listens to events takes the same places.
        let listen = |application| hub.listen(application, Arc::default(), UnixMicros::default());
        assert_eq!(listen(one).err().expect("refused").code, "too_many_waiting");
        let seat = listen(other).expect("room");
        assert!(refused(other).public.contains("17 wait already"));
        drop(seat);
        tickets.push(hub.enter(&clock, other, grant(1)).expect("room"));
        assert!(refused(other).public.contains("http.waiting"));
        tickets.pop();
        assert!(hub.enter(&clock, other, grant(1)).is_ok());
        tickets.clear();
        assert_eq!(hub.waiting(), 0);
        let state = hub.state.lock();
        assert!(state.mailboxes.is_empty() && state.applications.is_empty());
    }

    #[test]
    fn the_log_is_read_anew_when_nobody_has_waited_for_a_while() {
        let clock = SimulatedClock::stopped_at(UnixMicros::from_seconds(1_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let hub = Arc::new(Hub::default());
        let enter = || hub.enter(&shared, ApplicationId::from_uuid(Uuid::from_u128(1)), grant(1)).expect("room");
        drop(enter());
        hub.begin(5);
        clock.advance(REST);
        drop(enter());
        assert_eq!(hub.read_upto(), Some(5));
        clock.advance(REST + Duration::from_secs(1));
        drop(enter());
        assert_eq!(hub.read_upto(), None);
    }

    #[test]
    fn nobody_waits_for_what_is_stopping() {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::stopped_at(UnixMicros::default()));
        let hub = Arc::new(Hub::default());
        hub.close();
        let refused = hub.enter(&clock, ApplicationId::from_uuid(Uuid::from_u128(1)), grant(1)).err().expect("refused");
        assert_eq!(refused.kind, ProblemKind::Unavailable);
    }
}
