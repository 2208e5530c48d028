//! What is on its way out: messages in the queue, what was tried with them, and destinations.

use crate::audit::AuditRecord;
use crate::evaluation::RuleEvaluation;
use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message that is on its way out.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueuedMessage {
    /// The message's id: that of the sent copy.
    pub id: String,
    /// The mailbox that sent it.
    pub grant_id: String,
    /// Where it stands: `paused` by somebody, `stopped` with its mailbox, `sending`, `waiting` behind its destination, `deferred` (tried, and to be
    /// tried again) or `queued` (not tried yet). The first of these in which one of its recipients is.
    pub state: String,
    /// The mailbox's address.
    pub from: String,
    /// When it was accepted, in unix seconds.
    pub queued_at: i64,
    /// When it is given up, in unix seconds.
    pub expires_at: i64,
    /// When the first of its recipients is tried next, in unix seconds; null if that waits for somebody.
    pub next_attempt_at: Option<i64>,
    /// Attempts so far, for the recipient that has had most.
    pub attempts: u64,
    /// Recipients that have neither been delivered to nor given up.
    pub recipients_open: u64,
    /// Where an operator sends it instead, `HOST:PORT`; null if nobody did.
    pub route: Option<String>,
}

/// The whole life of a message that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageLife {
    /// The message's id.
    pub id: String,
    /// The mailbox that sent it.
    pub grant_id: String,
    /// As for a message of the queue; `done` once it has left the queue.
    pub state: String,
    /// The mailbox's address; null once the message has left the queue.
    pub from: Option<String>,
    /// When it was accepted, in unix seconds; null once the message has left the queue.
    pub queued_at: Option<i64>,
    /// When it is given up, in unix seconds; null once the message has left the queue.
    pub expires_at: Option<i64>,
    /// When the first of its recipients is tried next, in unix seconds; null if that waits for somebody, or never.
    pub next_attempt_at: Option<i64>,
    /// Where an operator sends it instead, `HOST:PORT`; null if nobody did.
    pub route: Option<String>,
    /// Its recipients: those in the queue, then those that are settled.
    pub recipients: Vec<QueueRecipient>,
    /// What was tried, the oldest first; the first 500. Kept for as long as the server is told to.
    pub attempts: Vec<DeliveryAttempt>,
    /// What the rules said, the newest first.
    pub evaluations: Vec<RuleEvaluation>,
    /// What people did to it in the queue, the newest first.
    pub changes: Vec<AuditRecord>,
}

/// A recipient of a message that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueRecipient {
    /// The address.
    pub email: String,
    /// Its destination: the domain.
    pub destination: String,
    /// As for a message of the queue; or what became of it: `delivered`, `bounced`, `expired` or `suppressed`.
    pub state: String,
    /// In words: why it is in the queue, or why it is not any more.
    pub why: String,
    /// How early it goes: `reply`, `normal` or `bulk`; null once it has left the queue.
    pub priority: Option<String>,
    /// Attempts so far.
    pub attempts: u64,
    /// When it is tried next, in unix seconds; null if that waits for somebody, or never.
    pub next_attempt_at: Option<i64>,
    /// A server may have taken the message without saying so.
    pub ambiguous: bool,
    /// What was said last; null if nothing was.
    pub last_reply: Option<String>,
    /// The stop behind which it waits; null if it is not `stopped`.
    pub stop_id: Option<String>,
}

/// An attempt with a message at one server.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryAttempt {
    /// Its id.
    pub id: String,
    /// When it began, in unix seconds.
    pub at: i64,
    /// The destination.
    pub destination: String,
    /// The node that made it.
    pub node: String,
    /// The server's name; empty if it did not come to one.
    pub server: String,
    /// The server's address and port; empty without a connection: for mailboxes here, names without servers, and what
    /// somebody decided.
    pub address: String,
    /// Version and cipher suite; null without encryption.
    pub tls: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// What was said. Recipients with the same answer are together.
    pub answers: Vec<DeliveryAnswer>,
}

/// What a server said to some recipients, or what stood in the way.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryAnswer {
    /// To whom.
    pub recipients: Vec<String>,
    /// What it means: `delivered`, `deferred`, `refused`, `ambiguous` (the connection broke after the message was sent),
    /// or `passed_over` (the next server was asked).
    pub result: String,
    /// The class of what is not final, which decides when it is tried again: `unreachable`, `greylisted`, `mailbox_full`,
    /// `busy` or `other`; null for what is final.
    pub class: Option<String>,
    /// The reply's code; null if no server spoke.
    pub code: Option<u16>,
    /// The enhanced status, such as `4.7.1`; null if there was none.
    pub status: Option<String>,
    /// The lines of the reply, or what stood in the way.
    pub reply_lines: Vec<String>,
    /// What followed: `delivered`, `retry`, `bounced`, `expired` or `suppressed`; null if the next server was asked.
    pub next: Option<String>,
    /// When it is tried again, in unix seconds; null if it is not.
    pub next_attempt_at: Option<i64>,
}

/// `POST /v3/queue/{message}/bounce`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct BounceQueued {
    /// What the report to the sender says; "given up by an operator" if absent. No control characters.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub reason: Option<String>,
}

/// `POST /v3/admin/queue/{message}/reroute`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RerouteQueued {
    /// The server that gets it, `HOST:PORT`; null for where its recipients are.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 260)]
    pub route: Patch<String>,
}

/// A destination: the domain of recipients.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueDestination {
    /// The domain.
    pub name: String,
    /// `open`; `failing` if nobody answers there; `paused` by somebody.
    pub state: String,
    /// Recipients in the queue; an organization's operator sees those of its own applications.
    pub depth: u64,
    /// Those of them that wait behind the destination.
    pub waiting: u64,
    /// When the oldest of them was accepted, in unix seconds; null if there is none.
    pub oldest_queued_at: Option<i64>,
    /// Attempts in a row that nobody answered.
    pub failures: u32,
    /// Since when, in unix seconds; null if it answers.
    pub failing_since: Option<i64>,
    /// When what waits is tried next, in unix seconds; null if nothing waits or it is paused.
    pub next_attempt_at: Option<i64>,
    /// Where an operator sends its mail instead, `HOST:PORT`; null if nobody did.
    pub route: Option<String>,
    /// What stood in the way last; null if nothing did.
    pub last_reply: Option<String>,
}

/// `PATCH /v3/admin/destinations/{destination}`. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateDestination {
    /// Whether nothing is attempted there. What is accepted meanwhile waits; it is given up after five days all the same.
    #[serde(default)]
    pub paused: Option<bool>,
    /// The server that gets its mail instead, `HOST:PORT`; null for its own.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 260)]
    pub route: Patch<String>,
}
