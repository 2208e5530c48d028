//! Sends from the bus: taken from their queue by every node, carried out as the interface would, and settled once what became
//! of them is written down. A send that is given out again is known by its key.

use super::send::{self, Outcome, Refusal, Wanted};
use super::{BusSettings, parked};
use crate::platform::Platform;
use futures::future::join_all;
use postfleet_bus::{Bus, BusError, Expected, Message, Settlement, Taken};
use postfleet_core::bus_send::{AGAIN_MAX, AGAIN_MIN, Refused, refused, sender};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::bus_parked::Reason;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Sends that are taken at once: few enough that all are settled in time.
const BATCH: usize = 32;

/// How long it is waited for one.
const WAIT: Duration = Duration::from_secs(5);

/// The pause after the bus has failed: the first one, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Sends that are tried again of which it is remembered how often; beyond, all begin anew.
const REMEMBERED_MAX: usize = 10_000;

/// Takes sends from the bus.
pub struct Intake {
    platform: Platform,
    settings: BusSettings,
    bus: Arc<dyn Bus>,
    connection: watch::Receiver<u64>,
    /// On which connection the streams were opened; 0 if they are to be opened.
    opened: u64,
    failures: u32,
    /// How often sends were tried that are to be tried again, by their place.
    tried: BTreeMap<(i64, u64), u32>,
}

/// What is to be told to the bus, and what became of the send; an error if the bus could not be told of the outcome.
type Settled = ((i64, u64), u32, Result<Settlement, BusError>);

impl Intake {
    /// Takes nothing yet.
    pub fn begin(platform: &Platform, bus: Arc<dyn Bus>) -> Self {
        Self {
            settings: platform.settings.bus.clone(),
            platform: platform.clone(),
            connection: bus.connection(),
            bus,
            opened: 0,
            failures: 0,
            tried: BTreeMap::new(),
        }
    }

    /// Takes what there is, or waits for a while. What is taken must be given to [`Intake::work`]; whoever ends before loses
    /// nothing: it is given out again.
    pub async fn take(&mut self) -> Vec<Taken> {
        let connection = *self.connection.borrow_and_update();
        if connection == 0 {
            self.wait(PAUSE_MAX).await;
            return Vec::new();
        }
        match self.taken(connection).await {
            Ok(taken) => {
                self.failures = 0;
                taken
            }
            Err(error) => {
                self.opened = 0;
                self.failures = self.failures.saturating_add(1);
                // Not each time: it may last for days.
                if self.failures.is_power_of_two() {
                    tracing::warn!(
                        failures = self.failures,
                        "failed to take sends from the bus, they wait there: {error}"
                    );
                }
                self.wait(PAUSE.saturating_mul(1 << (self.failures - 1).min(10)).min(PAUSE_MAX)).await;
                Vec::new()
            }
        }
    }

    async fn taken(&mut self, connection: u64) -> Result<Vec<Taken>, BusError> {
        let queue = self.settings.sends();
        if self.opened != connection {
            self.bus.open(&queue).await?;
            self.bus.open(&self.settings.sent()).await?;
            self.opened = connection;
        }
        let mut changed = self.connection.clone();
        let taking = self.bus.take(&queue, BATCH, WAIT);
        // What was asked on a connection that is gone is never answered.
        tokio::select! {
            taken = taking => taken,
            _ = changed.changed() => Ok(Vec::new()),
        }
    }

    /// Waits, but not longer than until the connection is another one.
    async fn wait(&mut self, pause: Duration) {
        let until = self.platform.clock.now().plus(pause);
        tokio::select! {
            () = self.platform.clock.sleep_until(until) => {}
            _ = self.connection.changed() => {}
        }
    }

    /// Carries out what was taken, that of each mailbox in its order, and tells the bus what became of it.
    pub async fn work(&mut self, taken: Vec<Taken>) {
        let mut queues: BTreeMap<String, Vec<Taken>> = BTreeMap::new();
        for one in taken {
            queues.entry(one.subject.clone()).or_default().push(one);
        }
        let working = queues.into_values().map(|queue| self.one_after_the_other(queue));
        for (place, attempt, settled) in join_all(working).await.into_iter().flatten() {
            if settled.is_err() {
                self.opened = 0;
            }
            match settled {
                Ok(Settlement::Done | Settlement::Never) => {
                    self.tried.remove(&place);
                }
                Ok(Settlement::Again(_)) | Err(_) => {
                    if self.tried.len() >= REMEMBERED_MAX {
                        self.tried.clear();
                    }
                    self.tried.insert(place, attempt);
                }
            }
        }
    }

    async fn one_after_the_other(&self, queue: Vec<Taken>) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(queue.len());
        for one in queue {
            let place = (one.source, one.sequence);
            let attempt = self.tried.get(&place).map_or(1, |tried| tried.saturating_add(1));
            let how = match self.one(&one, attempt).await {
                // It is done, and if the bus does not hear that, it is known when it comes again.
                Ok(how) => one.settle.settle(how).await.map(|()| how),
                Err(error) => Err(error),
            };
            settled.push((place, attempt, how));
        }
        settled
    }

    async fn one(&self, taken: &Taken, attempt: u32) -> Result<Settlement, BusError> {
        let Some((application, sender)) = sender(&self.settings.prefix, &taken.subject) else {
            tracing::warn!(
                sequence = taken.sequence,
                "a send from the bus is dropped: its subject names no application"
            );
            self.platform.metrics.bus_send("dropped");
            return Ok(Settlement::Never);
        };
        let wanted = Wanted {
            application,
            sender: sender.to_owned(),
            place: (taken.source, taken.sequence),
            id: taken.id.clone(),
            body: taken.body.clone(),
            by: None,
        };
        let now = self.platform.clock.now();
        let (settlement, told) = match send::carry_out(&self.platform, wanted.clone()).await {
            Ok(outcome) => {
                self.platform.metrics.bus_send(if outcome.duplicate { "repeated" } else { "accepted" });
                (Settlement::Done, Ok(outcome))
            }
            Err(refusal) => match self.decided(&refusal, wanted, attempt, now).await {
                Settlement::Again(delay) => return Ok(Settlement::Again(delay)),
                settlement => (settlement, Err(refusal.reason())),
            },
        };
        self.tell(taken, (application.to_string(), sender), &told).await?;
        Ok(settlement)
    }

    /// What becomes of a send that was refused; it is put aside if it will not succeed as it stands.
    async fn decided(&self, refusal: &Refusal, wanted: Wanted, attempt: u32, now: UnixMicros) -> Settlement {
        let verdict = match refusal {
            Refusal::Now(problem) => {
                log(problem, wanted.place.1);
                refused(problem, attempt, now)
            }
            Refusal::Before(_) => Refused::Park,
        };
        let settlement = match verdict {
            Refused::Again(delay) => Settlement::Again(delay),
            Refused::Park => match parked::park(&self.platform, wanted, refusal.reason()).await {
                Ok(true) => Settlement::Never,
                // There is no room for one more: it waits in the bus.
                Ok(false) => Settlement::Again(AGAIN_MAX),
                Err(problem) => {
                    tracing::error!(cause = ?problem.cause, "failed to put a refused send aside: {problem}");
                    Settlement::Again(AGAIN_MIN)
                }
            },
        };
        self.platform.metrics.bus_send(if settlement == Settlement::Never { "parked" } else { "put_off" });
        settlement
    }

    /// Tells whoever listens what became of a send. It is stored when this completes.
    async fn tell(
        &self,
        taken: &Taken,
        (application, sender): (String, &str),
        told: &Result<Outcome, Reason>,
    ) -> Result<(), BusError> {
        let body = json!({
            "id": taken.id,
            "sequence": taken.sequence,
            "application_id": application,
            "grant_id": sender,
            "status": told.as_ref().map_or_else(|reason| reason.status, |outcome| outcome.status),
            "data": told.as_ref().ok().map(shown),
            "error": told.as_ref().err().map(|reason| {
                json!({"code": reason.code, "message": reason.message, "field": reason.field})
            }),
        });
        let message = Message {
            subject: format!("{}.sent.{application}.{sender}", self.settings.prefix),
            id: format!("{}/{}", taken.source, taken.sequence),
            expected: Expected::Anything,
            headers: Vec::new(),
            body: body.to_string().into_bytes().into(),
        };
        self.bus.publish(message).await?.await.map(drop)
    }
}

/// What became of a send, as it is told.
fn shown(outcome: &Outcome) -> Value {
    json!({
        "message_id": outcome.message_id,
        "thread_id": outcome.thread_id,
        "schedule_id": outcome.schedule_id,
        "hold_id": outcome.hold_id,
        "duplicate": outcome.duplicate,
    })
}

/// Says what lies behind a fault, which nobody else is told.
fn log(problem: &Problem, sequence: u64) {
    if problem.cause.is_some() {
        tracing::warn!(sequence, cause = ?problem.cause, "failed to carry out a send from the bus: {problem}");
    }
}
