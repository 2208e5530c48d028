//! What is kept of attempts: all that were not taken, the first that was taken after one, and of the others the last few.
//! It is gathered here while a webhook is told, and written with its position.

use super::redact::{self, Secrets};
use super::send::Outcome;
use bytes::Bytes;
use postfleet_core::UnixMicros;
use postfleet_core::id::{EventId, GrantId, ReplayId};
use postfleet_net::webhook_http::{HttpAnswer, MAX_URL_OCTETS};
use postfleet_store::webhook_attempts::{NewAttempt, PASSING_MAX};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::time::Duration;

/// What was taken is written no more often than that: so little that it does not matter how much is told.
const PASSING_EVERY: Duration = Duration::from_secs(15);

/// Attempts that wait to be written; what is beyond that is not kept.
const WAITING_MAX: usize = 1_024;

/// What is kept of the header fields of an answer, in octets, and of its body.
const HEADERS_MAX: usize = 2 * 1_024;
const BODY_MAX: usize = 4 * 1_024;

/// A body of a request that waits to be hashed is no longer than that.
const UNHASHED_MAX: usize = 16 * 1_024;

/// One attempt as it was made.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) event_id: EventId,
    pub(super) grant_id: GrantId,
    pub(super) name: &'static str,
    pub(super) attempt: u32,
    pub(super) at: UnixMicros,
    pub(super) took: Duration,
    pub(super) url: String,
    pub(super) replay: Option<ReplayId>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) answer: Option<HttpAnswer>,
    pub(super) outcome: Outcome,
}

/// The body of a request, or what is to be known of it.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Bytes),
    Hashed { octets: u64, hash: [u8; 32] },
}

/// The attempts that are to be written.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// Those that are kept for as long as any.
    kept: Vec<Attempted>,
    /// Those that are kept until others have come.
    passing: VecDeque<Attempted>,
    /// Since when those are written again.
    passing_from: Option<UnixMicros>,
    /// The last one was not taken.
    has_failed: bool,
}

impl Attempts {
    /// Takes up what was attempted.
    pub(super) fn note(&mut self, mut attempted: Attempted) {
        attempted.shrink();
        let is_taken = attempted.outcome == Outcome::Done;
        // Who was asked again has failed before, perhaps on another node.
        if is_taken && !self.has_failed && attempted.attempt == 1 {
            self.passing.push_back(attempted);
            if self.passing.len() > PASSING_MAX {
                self.passing.pop_front();
            }
            return;
        }
        self.has_failed = !is_taken;
        if self.kept.len() < WAITING_MAX {
            self.kept.push(attempted);
        }
    }

    /// What is to be written now; `at_once`: all.
    pub(super) fn take(&mut self, now: UnixMicros, at_once: bool) -> Taken {
        let kept = std::mem::take(&mut self.kept);
        let is_due = at_once || self.passing_from.is_none_or(|from| from <= now);
        if !is_due || self.passing.is_empty() {
            return Taken { kept, passing: VecDeque::new() };
        }
        self.passing_from = Some(now.plus(PASSING_EVERY));
        Taken { kept, passing: std::mem::take(&mut self.passing) }
    }

    /// When something is to be written that nothing else writes before.
    pub(super) fn due(&self) -> Option<UnixMicros> {
        self.passing_from.filter(|_| !self.passing.is_empty())
    }
}

/// Attempts on their way into the store.
#[derive(Debug)]
pub(super) struct Taken {
    kept: Vec<Attempted>,
    passing: VecDeque<Attempted>,
}

impl Taken {
    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.passing.is_empty()
    }

    /// As they are written, in the order in which they were made.
    pub(super) fn rows(self) -> Vec<NewAttempt> {
        let kept = self.kept.into_iter().map(|one| one.row(false));
        let mut rows: Vec<NewAttempt> = kept.chain(self.passing.into_iter().map(|one| one.row(true))).collect();
        rows.sort_by_key(|row| row.at);
        rows
    }
}

impl Attempted {
    /// Lets go what is large and is not to be written.
    fn shrink(&mut self) {
        if matches!(&self.body, Body::Whole(body) if body.len() > UNHASHED_MAX) {
            let (octets, hash) = self.body.known();
            self.body = Body::Hashed { octets, hash };
        }
        if let Some(answer) = &mut self.answer {
            // A secret that ends behind what is written must be found, too.
            answer.body_prefix.truncate(BODY_MAX + MAX_URL_OCTETS);
            answer.body_prefix.shrink_to_fit();
        }
    }

    fn row(self, is_passing: bool) -> NewAttempt {
        let signatures = self.headers.iter().filter(|(name, _)| name.ends_with("signature"));
        let secrets = Secrets::of(&self.url, signatures.map(|(_, value)| value.clone()));
        let shown = self.headers.iter().map(|(name, value)| json!([name, redact::of_request(name, value)]));
        let (answer_headers, answer_body) = match &self.answer {
            Some(answer) => (headers(answer, &secrets), cut(secrets.hide(&answer.body_prefix))),
            None => (String::new(), Vec::new()),
        };
        let (body_octets, body_hash) = self.body.known();
        NewAttempt {
            event_id: self.event_id,
            grant_id: self.grant_id,
            name: self.name,
            replay_id: self.replay,
            at: self.at,
            took: self.took,
            attempt: self.attempt,
            status: self.answer.as_ref().map(|answer| answer.status),
            cause: match self.outcome {
                Outcome::Done => None,
                Outcome::Again { cause, .. } | Outcome::GivenUp(cause) => Some(cause),
            },
            is_passing,
            url: redact::url(&self.url),
            request_headers: shown.collect::<serde_json::Value>().to_string(),
            body_octets,
            body_hash,
            answer_headers,
            answer_body,
        }
    }
}

impl Body {
    /// Its length in octets, and its hash.
    fn known(&self) -> (u64, [u8; 32]) {
        match self {
            Self::Whole(body) => (body.len() as u64, hash(body)),
            Self::Hashed { octets, hash } => (*octets, *hash),
        }
    }
}

/// SHA-256 of a body, as it is sent.
pub(super) fn hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// The first header fields of an answer, as JSON.
fn headers(answer: &HttpAnswer, secrets: &Secrets) -> String {
    let (mut shown, mut octets) = (Vec::new(), 0);
    for (name, value) in answer.head.fields() {
        octets += name.len() + value.len();
        if octets > HEADERS_MAX {
            break;
        }
        shown.push(json!([name, secrets.hide_header(name, value)]));
    }
    serde_json::Value::from(shown).to_string()
}

fn cut(mut octets: Vec<u8>) -> Vec<u8> {
    octets.truncate(BODY_MAX);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::readers::Cause;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);

    fn attempted(seconds: u64, outcome: Outcome) -> Attempted {
        Attempted {
            event_id: EventId::first_at(NOW),
            grant_id: GrantId::first_at(NOW),
            name: "message.created",
            attempt: 1,
            at: NOW.plus(Duration::from_secs(seconds)),
            took: Duration::ZERO,
            url: "https://a.test/".to_owned(),
            replay: None,
            headers: vec![("webhook-signature", "v1,abcd".to_owned())],
            body: Body::Whole(Bytes::from_static(b"{}")),
            answer: None,
            outcome,
        }
    }

    const NO: Outcome = Outcome::Again { cause: Cause::Status(500), retry_after: None };

    #[test]
    fn what_was_not_taken_is_kept_and_the_first_after_it_and_of_the_others_the_last() {
        let mut attempts = Attempts::default();
        let mut second = 0;
        let mut note = |attempts: &mut Attempts, outcome| {
            attempts.note(attempted(second, outcome));
            second += 1;
        };
        for outcome in [Outcome::Done, NO, NO, Outcome::Done, Outcome::Done, Outcome::GivenUp(Cause::Target)] {
            note(&mut attempts, outcome);
        }
        let rows = attempts.take(NOW, false).rows();
        let found: Vec<_> = rows.iter().map(|row| (row.cause.is_none(), row.is_passing)).collect();
        let [kept, taken_after, passing] = [(false, false), (true, false), (true, true)];
        assert_eq!(found, [passing, kept, kept, taken_after, passing, kept]);
        assert!(rows[0].request_headers.contains('…') && !rows[0].request_headers.contains("abcd"));
        note(&mut attempts, Outcome::Done);
        assert_eq!(
            attempts.take(NOW, false).rows().len(),
            1,
            "the first after one that was not taken is no passing one"
        );
        for _ in 0..PASSING_MAX + 10 {
            note(&mut attempts, Outcome::Done);
        }
        // They are written seldom, and then only the last.
        assert!(attempts.take(NOW, false).is_empty());
        let due = attempts.due().expect("due");
        assert_eq!(due, NOW.plus(PASSING_EVERY));
        let rows = attempts.take(due, false).rows();
        assert_eq!((rows.len(), rows[0].at), (PASSING_MAX, NOW.plus(Duration::from_secs(7 + 10))));
        assert_eq!(attempts.due(), None);
        note(&mut attempts, Outcome::Done);
        assert!(attempts.take(due, false).is_empty());
        assert_eq!(attempts.take(due, true).rows().len(), 1, "all of them at the end");
    }
}
