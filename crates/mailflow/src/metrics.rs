//! What is counted, under stable names. Descriptors only; the binary decides where they are read.

use opentelemetry::metrics::{AsyncInstrument, Counter, Gauge, Histogram, Meter};
use opentelemetry::{KeyValue, StringValue};
use postfleet_core::send_figures::Sums;
use postfleet_core::{Problem, hold};
use postfleet_store::retention::Removed;

/// Upper bounds of the classes into which the durations of requests fall.
const REQUEST_SECONDS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds of the classes into which the times fall after which events are told.
const TOLD_SECONDS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 900.0, 3_600.0, 86_400.0];

/// The counters of the flows.
#[derive(Debug)]
pub struct Metrics {
    received: Counter<u64>,
    submitted: Counter<u64>,
    attempts: Counter<u64>,
    relay_refusals: Counter<u64>,
    feedback: Counter<u64>,
    webhooks: Counter<u64>,
    bus: Counter<u64>,
    bus_lag: Gauge<u64>,
    bus_sends: Counter<u64>,
    reader_attempts: Counter<u64>,
    reader_seconds: Histogram<f64>,
    reader_lost_events: Counter<u64>,
    reader_lag_events: Gauge<u64>,
    reader_lag_seconds: Gauge<u64>,
    reader_held_lanes: Gauge<u64>,
    sessions: Counter<u64>,
    limited: Counter<u64>,
    sign_ins: Counter<u64>,
    refusals: Counter<u64>,
    holds: Counter<u64>,
    stops: Gauge<u64>,
    senders: Gauge<u64>,
    requests: Counter<u64>,
    request_seconds: Histogram<f64>,
    queue_recipients: Gauge<u64>,
    queue_oldest_seconds: Gauge<u64>,
    destinations_closed: Gauge<u64>,
    block_list_answers: Counter<u64>,
    domain_reports: Counter<u64>,
    dmarc_reports: Counter<u64>,
    spam_verdicts: Counter<u64>,
    spam_learned: Counter<u64>,
    rspamd: Counter<u64>,
    usage_recounts: Counter<u64>,
    usage_drift: Gauge<u64>,
    pruned_messages: Counter<u64>,
    pruned_octets: Counter<u64>,
}

impl Metrics {
    /// Makes the instruments.
    pub fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, text: &'static str| meter.u64_counter(name).with_description(text).build();
        let gauge = |name: &'static str, text: &'static str| meter.u64_gauge(name).with_description(text).build();
        Self {
            queue_recipients: gauge("postfleet_queue_recipients", "Recipients in the queue, by state"),
            queue_oldest_seconds: gauge("postfleet_queue_oldest_seconds", "Age of the oldest of them, by state"),
            destinations_closed: gauge(
                "postfleet_destinations_closed",
                "Destinations that do not answer or that somebody has paused",
            ),
            block_list_answers: counter("postfleet_block_list_answers", "What block lists said, by list and answer"),
            domain_reports: counter(
                "postfleet_domain_reports",
                "Reports of other servers about domains, by what became of them",
            ),
            dmarc_reports: counter(
                "postfleet_dmarc_reports",
                "Reports to owners of domains about mail in their names, by what became of an attempt to send one",
            ),
            spam_verdicts: counter("postfleet_spam_verdicts", "Messages judged for a mailbox, by verdict"),
            spam_learned: counter(
                "postfleet_spam_learned",
                "Messages that were moved into junk or out of it and learned from",
            ),
            rspamd: counter("postfleet_rspamd_checks", "Messages shown to rspamd, by what came of it"),
            usage_recounts: counter("postfleet_usage_recounts", "Organizations counted anew, by what was found"),
            usage_drift: gauge("postfleet_usage_drift", "Counters of usage that are wrong, by meter"),
            pruned_messages: counter(
                "postfleet_messages_pruned",
                "Messages removed because their time was over, by window",
            ),
            pruned_octets: counter("postfleet_pruned_bytes", "Bytes of these messages, by window"),
            received: counter("postfleet_messages_received", "Messages offered by SMTP or locally, by result"),
            submitted: counter("postfleet_messages_submitted", "Messages submitted for sending, by result"),
            attempts: counter("postfleet_delivery_attempts", "Delivery attempts per recipient, by result"),
            relay_refusals: counter("postfleet_relay_refusals", "Connections to the relay on which signing in failed"),
            feedback: counter("postfleet_feedback_reports", "Reports about sent messages, by what became of them"),
            webhooks: counter("postfleet_webhook_attempts", "Webhook deliveries attempted, by result"),
            bus: counter("postfleet_bus_events", "Events for the message bus, by result"),
            bus_lag: gauge("postfleet_bus_lag_events", "Events that the message bus has not been told of"),
            bus_sends: counter("postfleet_bus_sends", "Sends that came by the message bus, by what became of them"),
            reader_attempts: counter(
                "postfleet_reader_attempts",
                "Attempts to tell a reader of the log of an event, by kind of reader and result",
            ),
            reader_seconds: meter
                .f64_histogram("postfleet_reader_delivery_seconds")
                .with_description("How long after it happened an event was taken, by kind of reader")
                .with_boundaries(TOLD_SECONDS.to_vec())
                .build(),
            reader_lost_events: counter(
                "postfleet_reader_lost_events",
                "Events that were removed before readers of a kind were told of them, counted for each",
            ),
            reader_lag_events: gauge(
                "postfleet_reader_lag_events",
                "Events of the log that the last of the readers has not come to, by kind of reader",
            ),
            reader_lag_seconds: gauge(
                "postfleet_reader_lag_seconds",
                "Age of the oldest event that somebody is still to be told of, by kind of reader",
            ),
            reader_held_lanes: gauge(
                "postfleet_reader_held_lanes",
                "Mailboxes of which an event was not taken and is tried again, by kind of reader",
            ),
            sessions: counter("postfleet_smtp_sessions", "SMTP sessions, by how they ended"),
            limited: counter(
                "postfleet_smtp_limited",
                "SMTP clients that were refused, put off, delayed or sent away for what they did, by reason",
            ),
            sign_ins: counter(
                "postfleet_sign_ins",
                "Sign-ins of mail applications and mail clients attempted, by result",
            ),
            refusals: counter(
                "postfleet_refusals",
                "Sends that were refused, and requests above a rate, by code, by whose allowance was used up and by stop",
            ),
            holds: counter("postfleet_sends_held", "Messages that wait instead of being sent, by why"),
            stops: gauge("postfleet_stops", "Stops in force, by sort"),
            senders: gauge("postfleet_senders_last_day", "Mailboxes that have sent something in the last 24 hours"),
            requests: counter("postfleet_http_requests", "HTTP requests, by route and status"),
            request_seconds: meter
                .f64_histogram("postfleet_http_request_seconds")
                .with_description("How long HTTP requests took, by route")
                .with_boundaries(REQUEST_SECONDS.to_vec())
                .build(),
        }
    }

    /// Mail was removed because its time was over.
    pub fn pruned(&self, window: &'static str, removed: Removed) {
        if removed.messages > 0 {
            self.pruned_messages.add(removed.messages, &[by("window", window)]);
            self.pruned_octets.add(removed.octets, &[by("window", window)]);
        }
    }
    /// A message was offered to us.
    pub fn received(&self, result: &'static str) {
        self.received.add(1, &[by("result", result)]);
    }
    /// A message was submitted for sending.
    pub fn submitted(&self, result: &'static str) {
        self.submitted.add(1, &[by("result", result)]);
    }
    /// A send was refused, or a request because of its rate.
    pub fn refused(&self, problem: &Problem) {
        let scope = problem.scope().unwrap_or("none");
        let stop = problem.stop.as_ref().map_or("none", |stop| stop.kind.name());
        self.refusals.add(1, &[by("code", problem.code), by("scope", scope), by("stop", stop)]);
    }
    /// A send is held.
    pub fn held(&self, reason: hold::Reason) {
        self.holds.add(1, &[by("reason", reason.name())]);
    }
    /// So many stops of a sort are in force.
    pub fn stopped(&self, kind: &'static str, stops: u64) {
        self.stops.record(stops, &[by("kind", kind)]);
    }
    /// So many mailboxes have sent something in the last day.
    pub fn sent_lately(&self, mailboxes: u64) {
        self.senders.record(mailboxes, &[]);
    }
    /// A recipient was attempted.
    pub fn attempted(&self, result: &'static str) {
        self.attempts.add(1, &[by("result", result)]);
    }
    /// The relay did not let us in.
    pub fn relay_refused(&self) {
        self.relay_refusals.add(1, &[]);
    }
    /// Something came back about a message that was sent.
    pub fn fed_back(&self, outcome: &'static str) {
        self.feedback.add(1, &[by("outcome", outcome)]);
    }
    /// A webhook was attempted.
    pub fn webhook(&self, result: &'static str) {
        self.webhooks.add(1, &[by("result", result)]);
    }
    /// So many events were published to the message bus, or could not be.
    pub fn bus(&self, result: &'static str, events: u64) {
        if events > 0 {
            self.bus.add(events, &[by("result", result)]);
        }
    }
    /// A send came by the message bus, and this became of it.
    pub fn bus_send(&self, result: &'static str) {
        self.bus_sends.add(1, &[by("result", result)]);
    }
    /// So many events wait for the message bus.
    pub fn bus_lag(&self, events: u64) {
        self.bus_lag.record(events, &[]);
    }

    /// It was tried to tell a reader of that kind of an event that happened so many seconds ago.
    pub fn told(&self, kind: &'static str, result: &'static str, seconds: f64) {
        self.reader_attempts.add(1, &[by("kind", kind), by("result", result)]);
        if result == TAKEN {
            self.reader_seconds.record(seconds, &[by("kind", kind)]);
        }
    }
    /// So far behind are the readers of a kind: events, and seconds since the oldest of them; mailboxes that wait for another
    /// attempt.
    pub fn lagging(&self, kind: &'static str, (events, seconds): (u64, u64), held_lanes: u64) {
        let kind = [by("kind", kind)];
        self.reader_lag_events.record(events, &kind);
        self.reader_lag_seconds.record(seconds, &kind);
        self.reader_held_lanes.record(held_lanes, &kind);
    }
    /// So many events were removed from the log before a reader of a kind was told of them.
    pub fn lost(&self, kind: &'static str, events: u64) {
        self.reader_lost_events.add(events, &[by("kind", kind)]);
    }
    /// An SMTP session ended.
    pub fn session(&self, result: &'static str) {
        self.sessions.add(1, &[by("result", result)]);
    }
    /// A client was refused, put off, delayed or sent away.
    pub fn limited(&self, reason: &'static str) {
        self.limited.add(1, &[by("reason", reason)]);
    }
    /// Somebody tried to sign in.
    pub fn signed_in(&self, result: &'static str) {
        self.sign_ins.add(1, &[by("result", result)]);
    }
    /// So many recipients are in the queue in that state, and the oldest is that old.
    pub fn queued(&self, state: &'static str, recipients: u64, oldest_seconds: u64) {
        self.queue_recipients.record(recipients, &[by("state", state)]);
        self.queue_oldest_seconds.record(oldest_seconds, &[by("state", state)]);
    }
    /// So many destinations are closed.
    pub fn destinations_closed(&self, destinations: u64) {
        self.destinations_closed.record(destinations, &[]);
    }
    /// A block list gave so many answers of that kind.
    pub fn block_list_answered(&self, zone: String, answer: &'static str, count: u64) {
        let zone = KeyValue::new("zone", StringValue::from(zone));
        self.block_list_answers.add(count, &[zone, by("answer", answer)]);
    }
    /// A report about a domain came in.
    pub fn domain_reported(&self, result: &'static str) {
        self.domain_reports.add(1, &[by("result", result)]);
    }
    /// It was tried to tell the owner of a domain of mail in its name.
    pub fn dmarc_report(&self, result: &'static str) {
        self.dmarc_reports.add(1, &[by("result", result)]);
    }
    /// A message was judged for a mailbox.
    pub fn judged_spam(&self, is_spam: bool) {
        self.spam_verdicts.add(1, &[by("verdict", if is_spam { "spam" } else { "ham" })]);
    }
    /// So many messages were learned from.
    pub fn learned_spam(&self, messages: u64) {
        self.spam_learned.add(messages, &[]);
    }
    /// A message was shown to rspamd, or should have been.
    pub fn rspamd(&self, result: &'static str) {
        self.rspamd.add(1, &[by("result", result)]);
    }
    /// What an organization uses was counted anew.
    pub fn recounted(&self, is_exact: bool) {
        self.usage_recounts.add(1, &[by("result", if is_exact { "exact" } else { "drift" })]);
    }
    /// So many counters of that meter are wrong.
    pub fn adrift(&self, meter: &'static str, counters: u64) {
        self.usage_drift.record(counters, &[by("meter", meter)]);
    }
    /// An HTTP request was answered.
    pub fn request(&self, route: String, status: u16, seconds: f64) {
        let route = KeyValue::new("route", StringValue::from(route));
        self.request_seconds.record(seconds, std::slice::from_ref(&route));
        self.requests.add(1, &[route, KeyValue::new("status", i64::from(status))]);
    }
}

/// The result of an attempt that ended well.
pub(crate) const TAKEN: &str = "delivered";

/// What happened to recipients: counted where it is committed, and read when somebody asks. Each is there from the
/// beginning, so that what is divided by another is never missing.
pub fn observe_outcomes(meter: &Meter, read: impl Fn() -> Sums + Send + Sync + 'static) {
    const OUTCOMES: [(&str, &str); 7] = [
        ("accepted", "none"),
        ("delivered", "none"),
        ("bounced", "hard"),
        ("bounced", "soft"),
        ("bounced", "undetermined"),
        ("complaint", "none"),
        ("rejected", "none"),
    ];
    let observe = move |observer: &dyn AsyncInstrument<u64>| {
        for ((outcome, class), count) in OUTCOMES.into_iter().zip(read().in_order()) {
            observer.observe(count, &[by("outcome", outcome), by("bounce_class", class)]);
        }
    };
    // It lives in the meter.
    let _counter = meter
        .u64_observable_counter("postfleet_outcomes")
        .with_description("What happened to recipients of what was sent, by outcome and class of bounce")
        .with_callback(observe)
        .build();
}

fn by(key: &'static str, value: &'static str) -> KeyValue {
    KeyValue::new(key, value)
}
