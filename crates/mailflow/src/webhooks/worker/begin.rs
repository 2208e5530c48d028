//! What a worker begins.

use super::{Done, Sent, ToSend, Worker};
use crate::webhooks::bodies::{Key, Maker};
use crate::webhooks::connections::Answered;
use crate::webhooks::filter::Places;
use crate::webhooks::name_for;
use crate::webhooks::replay;
use crate::webhooks::send::{self, Source};
use crate::webhooks::standing::{self, Watch};
use futures::FutureExt;
use postfleet_core::readers::{Answer, Cause};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::events;
use postfleet_store::lanes::{self, Course, SaveWebhook};
use postfleet_store::replays::SaveReplay;
use postfleet_store::webhook_attempts::{WithAttempts, WriteAttempts};
use postfleet_trace::{Instrument, continued};

impl Worker {
    pub(super) fn begin_all(&mut self) {
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

    /// Takes what can be sent now, and looks up what it is about, unless another webhook is told the same.
    fn send(&mut self, now: UnixMicros) {
        // Each with the promise that others may wait for.
        let mut sends = Vec::new();
        for send in self.next_sends(now) {
            let promise = match self.maker(&send, now) {
                Maker::Another(awaited) => {
                    self.attempt(send, Source::Awaited(awaited));
                    continue;
                }
                Maker::Me(promise) => Some(promise),
                Maker::Alone => None,
            };
            sends.push((send, promise));
        }
        if sends.is_empty() {
            return;
        }
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        self.start(async move {
            let found = send::look_up(&platform, &webhook, sends.iter().map(|(send, _)| &send.event)).await;
            let found = found.inspect_err(|problem| {
                tracing::error!(webhook.id = %webhook.id, cause = ?problem.cause, "failed to look up what is to be told");
            });
            Ok(match found {
                Ok(found) => {
                    let pairs = sends.into_iter().zip(found);
                    let sourced = pairs.map(|((send, promise), found)| (send, Source::Found(Box::new(found), promise)));
                    Done::LookedUp(sourced.collect())
                }
                Err(_) => Done::NotFound(sends.into_iter().map(|(send, _)| send).collect()),
            })
        });
    }

    fn next_sends(&mut self, now: UnixMicros) -> Vec<ToSend> {
        let mut sends = Vec::new();
        self.is_short = false;
        while self.window.has_next(now) {
            let Some(ticket) = self.connections.take(self.window.under_way(), self.window.is_slow(now)) else {
                self.is_short = true;
                break;
            };
            let Some(next) = self.window.next(now) else { break };
            match self.events.remove(&next.position) {
                Some(event) => sends.push(ToSend { next, event, ticket }),
                // What is to be sent is in memory; if it were not, it would be read again.
                None => drop(self.window.answered(next.grant, Answer::Unheard(Cause::Internal), now)),
            }
        }
        sends
    }

    /// Who makes what is sent. What is attempted again says how often it was, and so is nobody else's.
    fn maker(&self, send: &ToSend, now: UnixMicros) -> Maker {
        let name = name_for(&self.webhook, send.event.event.trigger);
        match (&self.sharer, name) {
            (Some(sharer), Some(name)) if send.next.attempt == 1 => {
                sharer.maker(Key { event: send.event.event.id, name, is_packed: self.webhook.compressed }, now)
            }
            _ => Maker::Alone,
        }
    }

    /// Sends one event, wherever there is a processor for it.
    pub(super) fn attempt(&mut self, ToSend { next, event, ticket }: ToSend, source: Source) {
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        let span = continued!(event.trace, "event.deliver", kind = webhook.kind(), attempt = i64::from(next.attempt));
        let attempt = async move {
            let at = event.event.at;
            let sending = send::send(&platform, &webhook, (&event, source), next.attempt);
            let (outcome, attempted) = sending.instrument(span).await;
            drop(ticket);
            let seconds = platform.clock.now().since(at).as_secs_f64();
            platform.metrics.told(webhook.kind(), outcome.name(), seconds);
            Answered(Sent { next, outcome, attempted: attempted.map(Box::new) })
        };
        let answered = self.connections.carry_out(attempt.boxed(), self.window.under_way());
        self.under_way.push(answered.map(|Answered(sent)| Done::Sent(sent)).boxed());
    }

    /// Begins a commit if it is time; whether one is under way.
    pub(super) fn save(&mut self, at_once: bool) -> bool {
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

    /// Writes down how the receiver stands, if that is new.
    pub(super) fn stand(&mut self) {
        let due = self.watch.as_mut().and_then(|watch| watch.change_due(&self.webhook));
        let Some(to) = due else { return };
        let (platform, webhook) = (self.platform.clone(), self.webhook.clone());
        self.start(async move {
            let at = standing::write(&platform, &webhook, to).await?;
            Ok(Done::Stood { to, at })
        });
    }

    fn start(&self, work: impl Future<Output = Result<Done, Problem>> + Send + 'static) {
        self.under_way.push(work.map(|done| done.unwrap_or_else(Done::Failed)).boxed());
    }
}
