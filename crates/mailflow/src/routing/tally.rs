//! Counting how encryption went, in memory: a delivery must not cost a write of its own for that. What is counted since
//! the last flush is lost with the process.

use postfleet_core::UtcDay;
use postfleet_net::mx_transport::TlsSession;
use postfleet_store::tls_sessions::{Count, Sessions};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kinds of connections that are told apart between two flushes. What comes on top is counted by nobody.
const KINDS_MAX: usize = 50_000;

/// Characters kept of what was wrong.
const REASON_CHARS_MAX: usize = 300;

/// Under which kind of policy a connection was made (RFC 8460 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    Tlsa,
    Sts,
    None,
}

impl PolicyKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tlsa => "tlsa",
            Self::Sts => "sts",
            Self::None => "no-policy-found",
        }
    }
}

/// The policy of one connection, as reports quote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyRef {
    pub(crate) kind: PolicyKind,
    /// The domain of the recipients.
    pub(crate) domain: String,
    /// Line by line.
    pub(crate) lines: Arc<[String]>,
    /// The servers that it names.
    pub(crate) mx_hosts: Arc<[String]>,
}

impl PolicyRef {
    pub(crate) fn none(domain: impl Into<String>) -> Self {
        Self { kind: PolicyKind::None, domain: domain.into(), lines: [].into(), mx_hosts: [].into() }
    }
}

/// Whom a connection was made to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receiver<'a> {
    pub(crate) host: &'a str,
    pub(crate) address: Option<IpAddr>,
}

/// The counts of this node since the last flush.
#[derive(Default)]
pub(crate) struct Tally(Mutex<HashMap<(UtcDay, Sessions), (u64, String)>>);

impl Tally {
    /// Counts a connection.
    pub(crate) fn session(&self, day: UtcDay, policy: &PolicyRef, to: Receiver<'_>, session: &TlsSession) {
        let sending = session.sending;
        match &session.result {
            Ok(()) => self.add(day, policy, to, sending, "", ""),
            Err(failure) => self.add(day, policy, to, sending, failure.fault.name(), &failure.text),
        }
    }

    /// Counts a connection that was not made, or that did not do what the policy wants for another reason than TLS.
    pub(crate) fn failure(&self, day: UtcDay, policy: &PolicyRef, to: Receiver<'_>, result: &str, reason: &str) {
        self.add(day, policy, to, None, result, reason);
    }

    fn add(
        &self,
        day: UtcDay,
        policy: &PolicyRef,
        to: Receiver<'_>,
        sending: Option<IpAddr>,
        result: &str,
        reason: &str,
    ) {
        let text = |address: Option<IpAddr>| address.map(|address| address.to_string()).unwrap_or_default();
        let json = |list: &[String]| serde_json::Value::from(list.to_vec()).to_string();
        let sessions = Sessions {
            policy_domain: policy.domain.clone(),
            policy_type: policy.kind.name().to_owned(),
            policy: json(&policy.lines),
            mx_hosts: json(&policy.mx_hosts),
            result: result.to_owned(),
            sending_address: text(sending),
            receiving_host: to.host.to_owned(),
            receiving_address: text(to.address),
        };
        let plain = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
        let count = Count { day, sessions, reason: plain.take(REASON_CHARS_MAX).collect(), count: 1 };
        self.put(count);
    }

    fn put(&self, count: Count) {
        let mut counts = self.counts();
        let is_full = counts.len() >= KINDS_MAX;
        let key = (count.day, count.sessions);
        match counts.get_mut(&key) {
            Some((known, _)) => *known += count.count,
            None if is_full => tracing::warn!("too many kinds of TLS sessions to count since the last flush"),
            None => drop(counts.insert(key, (count.count, count.reason))),
        }
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> Vec<Count> {
        let counts = std::mem::take(&mut *self.counts());
        let count = |((day, sessions), (count, reason))| Count { day, sessions, reason, count };
        counts.into_iter().map(count).collect()
    }

    /// Puts back what could not be written.
    pub(super) fn give_back(&self, counts: Vec<Count>) {
        counts.into_iter().for_each(|count| self.put(count));
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<(UtcDay, Sessions), (u64, String)>> {
        // The map is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
