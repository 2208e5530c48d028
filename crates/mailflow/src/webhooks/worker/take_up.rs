//! What a worker takes up.

use super::{Done, Sent, Worker};
use crate::webhooks::send::Outcome;
use crate::webhooks::wants;
use postfleet_core::readers::{Answer, Cause, Kept, Load, Next};
use postfleet_core::{Problem, UnixMicros, retry};
use postfleet_store::events::Event;

impl Worker {
    pub(super) fn take_up(&mut self, done: Done) -> Result<(), Problem> {
        let now = self.platform.clock.now();
        match done {
            Done::LookedUp(sends) => {
                for (send, source) in sends {
                    self.attempt(send, source);
                }
            }
            Done::NotFound(sends) => {
                for send in sends {
                    let outcome = Outcome::Again { cause: Cause::Internal, retry_after: None };
                    self.sent(Sent { next: send.next, outcome, attempted: None }, now);
                }
            }
            Done::Sent(sent) => self.sent(sent, now),
            Done::Read { events, upto } => {
                self.is_reading = false;
                for event in events {
                    self.take_in(event, now);
                }
                self.window.read_upto(upto, now);
            }
            Done::Loaded { load, events, upto } => self.loaded(load, events, upto, now),
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

    /// What an answer means: for what is kept of attempts, for the receiver, and for the event.
    fn sent(&mut self, Sent { next, outcome, attempted }: Sent, now: UnixMicros) {
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

    fn loaded(&mut self, load: Load, events: Vec<Event>, upto: Option<i64>, now: UnixMicros) {
        let wanted = events.into_iter().filter(|event| wants(&self.webhook, event));
        let wanted: Vec<(i64, Event)> = wanted.map(|event| (event.position, event)).collect();
        let positions: Vec<i64> = wanted.iter().map(|(position, _)| *position).collect();
        self.events.extend(wanted);
        self.window.loaded(load, &positions, upto, now);
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
