//! Who waits for messages on this node, and which messages were announced lately. One reader of the event log tells all
//! of them, so that many who wait cost no more reading than one.

use parking_lot::Mutex;
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_net::Clock;
use postfleet_store::events::Created;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Announcements that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// Who may wait at once for mailboxes of one application.
const OF_APPLICATION_MAX: usize = 256;

/// For how long the log is remembered when nobody waits any more: who comes back soon finds it as it was.
const REST: Duration = Duration::from_secs(60);

/// The one place of a node where it is waited for messages.
pub struct Hub {
    state: Mutex<State>,
    waiting_max: usize,
    /// Somebody waits who may be the first.
    entered: Notify,
}

#[derive(Default)]
struct State {
    /// Announcements, oldest first.
    remembered: VecDeque<Created>,
    /// What is remembered: all that was announced after the first place, up to the second. Nothing before the log is read.
    span: Option<(i64, i64)>,
    mailboxes: HashMap<GrantId, Mailbox>,
    applications: HashMap<ApplicationId, usize>,
    waiting: usize,
    /// When the last one left.
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
        Self::new(2_048)
    }
}

impl Hub {
    /// A hub at which so many may wait at once.
    pub fn new(waiting_max: usize) -> Self {
        Self { state: Mutex::default(), waiting_max, entered: Notify::new() }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Completes when somebody has begun to wait since it did so last.
    pub async fn entered(&self) {
        self.entered.notified().await;
    }

    /// Begins to wait for messages of a mailbox, until the ticket is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        clock: &Arc<dyn Clock>,
        application: ApplicationId,
        grant: GrantId,
    ) -> Result<Ticket, Problem> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Problem::new(ProblemKind::Unavailable, "stopping", "the server is stopping"));
        }
        let of_application = state.applications.get(&application).copied().unwrap_or_default();
        if of_application >= OF_APPLICATION_MAX {
            let text = format!("an application may wait for messages {OF_APPLICATION_MAX} times at once");
            return Err(Problem::new(ProblemKind::RateLimited, "too_many_waiting", text));
        }
        if state.waiting >= self.waiting_max {
            let text = "as many wait for messages as this server allows (http.waiting)";
            return Err(Problem::new(ProblemKind::RateLimited, "too_many_waiting", text));
        }
        if state.waiting == 0 && clock.now().since(state.left_at) > REST {
            // The log is read from here on: to catch up would tell nobody anything.
            (state.span, state.remembered) = (None, VecDeque::new());
        }
        state.waiting += 1;
        *state.applications.entry(application).or_default() += 1;
        let mailbox = state.mailboxes.entry(grant).or_default();
        mailbox.waiting += 1;
        let changed = mailbox.changed.clone();
        drop(state);
        self.entered.notify_one();
        Ok(Ticket { hub: self.clone(), clock: clock.clone(), application, grant, changed })
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
        state.waiting -= 1;
        state.left_at = now;
        if let Some(count) = state.applications.get_mut(&self.application) {
            *count -= 1;
            if *count == 0 {
                state.applications.remove(&self.application);
            }
        }
        if let Some(mailbox) = state.mailboxes.get_mut(&self.grant) {
            mailbox.waiting -= 1;
            if mailbox.waiting == 0 {
                state.mailboxes.remove(&self.grant);
            }
        }
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
        let hub = Arc::new(Hub::new(OF_APPLICATION_MAX + 1));
        let (one, other) = (ApplicationId::from_uuid(Uuid::from_u128(1)), ApplicationId::from_uuid(Uuid::from_u128(2)));
        let mut tickets: Vec<_> = (0..OF_APPLICATION_MAX)
            .map(|index| hub.enter(&clock, one, grant(index as u128 % 7)).expect("room"))
            .collect();
        let refused = |application| hub.enter(&clock, application, grant(1)).err().expect("refused");
        assert_eq!((refused(one).kind, refused(one).code), (ProblemKind::RateLimited, "too_many_waiting"));
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
