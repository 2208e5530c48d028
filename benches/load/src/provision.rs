//! Makes mailboxes with addresses that nobody has yet, one in a call or many.

use crate::args::Args;
use crate::drive::{Requester, THREADS_MAX, run as carry_out};
use crate::run::Plan;
use crate::summary::Summary;
use crate::{Failure, run::Outcome};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most mailboxes that one call may bring.
const PER_CALL_MAX: u64 = 1_000;

/// What every connection knows.
struct Provisioning {
    header: String,
    domain: String,
    /// The number of the first address.
    first: u64,
    mailboxes: u64,
    per_call: u64,
    made: AtomicU64,
}

/// Runs `provision`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let address = args.address()?;
    let work = Provisioning {
        header: args.text("header").map(|header| format!("{header}\r\n")).unwrap_or_default(),
        domain: args.text("domain").unwrap_or("bench.example").to_owned(),
        first: args.number("first", 0, u64::MAX)?,
        mailboxes: args.number("mailboxes", 1_000, 10_000_000)?,
        per_call: args.number("per-call", 1, PER_CALL_MAX)?.max(1),
        made: AtomicU64::new(0),
    };
    let plan = Plan {
        clients: args.number("connections", 16, 1_000)?,
        requests: work.mailboxes.div_ceil(work.per_call),
        gap: Duration::ZERO,
        limit: args.seconds("seconds", 300)?,
    };
    let threads = args.number("threads", 1, THREADS_MAX)?;
    args.finish()?;
    let outcome = carry_out(&plan, address, threads, || Provisioner { work: &work, mailboxes: 0 })?;
    Ok(summary(&plan, work.made.into_inner(), outcome))
}

/// `done` and `rate` are of mailboxes, the percentiles of calls.
fn summary(plan: &Plan, made: u64, outcome: Outcome) -> String {
    if let Some(failure) = &outcome.first_failure {
        eprintln!("provision: {} failures, the first: {failure}", outcome.failures);
    }
    Summary::new("provision")
        .count("clients", plan.clients)
        .rate(made, outcome.elapsed)
        .count("failures", outcome.failures)
        .percentiles(outcome.latencies)
        .line()
}

struct Provisioner<'a> {
    work: &'a Provisioning,
    /// How many mailboxes the call that is under way brings.
    mailboxes: u64,
}

impl Requester for Provisioner<'_> {
    fn request(&mut self, number: u64, request: &mut Vec<u8>) -> Result<(), Failure> {
        let (text, mailboxes) = self.work.compose(number);
        self.mailboxes = mailboxes;
        request.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn answered(&mut self, status: u16, body: &[u8], _: &mut Vec<u8>) -> Result<(), Failure> {
        let answer = std::str::from_utf8(body)?;
        let made = made(status, answer).ok_or_else(|| format!("status {status}: {answer:.500}"))?;
        self.work.made.fetch_add(made, Ordering::Relaxed);
        match self.mailboxes {
            mailboxes if mailboxes == made => Ok(()),
            mailboxes => Err(format!("{made} of {mailboxes} were made: {answer:.500}").into()),
        }
    }
}

impl Provisioning {
    /// The call of that number, and how many mailboxes it brings.
    fn compose(&self, number: u64) -> (String, u64) {
        let begin = number * self.per_call;
        let count = self.per_call.min(self.mailboxes - begin);
        let first = self.first + begin;
        let (path, body) = match self.per_call {
            1 => ("/v3/connect/custom", format!("{{\"provider\":\"nylas\",{}", &self.mailbox(first)[1..])),
            _ => ("/v3/grants/bulk", self.many(first, count)),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.header,
            body.len()
        );
        (head + &body, count)
    }

    fn many(&self, first: u64, count: u64) -> String {
        let mut body = String::from("{\"grants\":[");
        for number in first..first + count {
            let separator = if number == first { "" } else { "," };
            let _ = write!(body, "{separator}{}", self.mailbox(number));
        }
        body + "]}"
    }

    fn mailbox(&self, number: u64) -> String {
        format!("{{\"name\":\"Agent {number}\",\"settings\":{{\"email\":\"u{number}@{}\"}}}}", self.domain)
    }
}

/// How many mailboxes an answer says were made; `None` if it is no success.
fn made(status: u16, answer: &str) -> Option<u64> {
    if status == 201 && !answer.contains("\"results\":") {
        return Some(1);
    }
    let (_, rest) = answer.split_once("\"created\":").filter(|_| matches!(status, 200 | 201))?;
    let digits = rest.trim_start().split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Provisioning, made};

    fn work(per_call: u64) -> Provisioning {
        Provisioning {
            header: String::new(),
            domain: "d.example".into(),
            first: 100,
            mailboxes: 25,
            per_call,
            made: Default::default(),
        }
    }

    #[test]
    fn one_in_a_call() {
        let (request, count) = work(1).compose(3);
        assert!(request.starts_with("POST /v3/connect/custom HTTP/1.1\r\n") && count == 1);
        let body = r#"{"provider":"nylas","name":"Agent 103","settings":{"email":"u103@d.example"}}"#;
        assert!(request.ends_with(&format!("Content-Length: {}\r\n\r\n{body}", body.len())));
    }

    #[test]
    fn the_last_call_brings_what_is_left() {
        let (request, count) = work(10).compose(2);
        assert_eq!((count, request.matches("\"email\"").count()), (5, 5));
        assert!(request.contains("u120@d.example") && request.contains("u124@d.example") && !request.contains("u125@"));
    }

    #[test]
    fn what_answers_say() {
        assert_eq!(made(201, r#"{"request_id":"x","data":{"id":"y"}}"#), Some(1));
        assert_eq!(made(200, r#"{"data":{"created": 998,"existing":2,"failed":0,"results":[]}}"#), Some(998));
        assert_eq!(made(403, r#"{"error":{}}"#), None);
        assert_eq!(made(200, r#"{"data":{"id":"there already"}}"#), None);
    }
}
