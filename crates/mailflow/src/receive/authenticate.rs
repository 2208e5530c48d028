//! Who sent a message, as far as that can be proved: asks the DNS what the judgement needs, in rounds, until it is made. A
//! message costs a limited number of questions, octets and seconds; what is not known then could not be looked up, and
//! nothing is refused for that.

use super::Arrival;
use crate::platform::Platform;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use postfleet_core::UnixMicros;
use postfleet_core::authentication::Authentication;
use postfleet_core::dns::{Answer, Question};
use postfleet_mail::authentication::dmarc::Published;
use postfleet_mail::authentication::{Dns, Envelope, Examination, Pending, Terms};
use postfleet_net::Resolver;
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long answers are waited for, in all (RFC 7208 §4.6.4 asks for at least 20 seconds).
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Questions about one message.
const QUESTIONS_MAX: usize = 300;

/// Octets of all answers about one message.
const OCTETS_MAX: usize = 1 << 20;

/// Authenticates a message that came in, as it was transferred. What a mailbox here wrote needs no proof: its author
/// signed in, and it never left.
///
/// Also answers what is published about the author's domain.
pub(crate) async fn authenticate(platform: &Platform, arrival: &Arrival, raw: &[u8]) -> (Authentication, Published) {
    if arrival.is_local() {
        return (Authentication { is_local: true, ..Authentication::default() }, Published::Nothing);
    }
    let now = platform.clock.now();
    let envelope = Envelope { ip: arrival.ip, helo: &arrival.helo, reverse_path: &arrival.reverse_path };
    let examination = Examination::begin(raw, envelope, now).with(&platform.key_cache);
    let set = &platform.settings.authentication;
    let sample = u8::try_from(platform.entropy.below(100)).unwrap_or(0);
    let terms = Terms { trusted_sealers: &set.trusted_arc_sealers, enforcement: set.dmarc, sample };
    ask(platform, |dns| examination.conclude(dns, &terms)).await
}

/// Makes a judgement with the answers of the DNS that it needs. What is not known within the limits has failed.
pub(crate) async fn ask<T>(platform: &Platform, judge: impl Fn(&dyn Dns) -> Result<T, Pending>) -> T {
    let until = platform.clock.now().plus(WAIT_MAX);
    let mut known = Known::of(platform);
    loop {
        // Apart, so that nothing borrows what is known while more is waited for.
        let judged = judge(&known);
        match judged {
            Ok(judged) => return judged,
            Err(pending) => known.learn(platform, pending, until).await,
        }
    }
}

/// Answers to a judgement's questions about the DNS: what is remembered is had at once, the rest is asked in rounds.
struct Known<'a> {
    resolver: &'a dyn Resolver,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    answers: HashMap<Question, Arc<Answer>>,
    octets: usize,
    /// Nothing more is asked: what is not known has failed.
    is_over: bool,
}

impl Dns for Known<'_> {
    fn answer(&self, question: &Question) -> Option<Arc<Answer>> {
        let mut found = self.found.borrow_mut();
        if let Some(answer) = found.answers.get(question) {
            return Some(answer.clone());
        }
        if found.is_over {
            return Some(Arc::new(Answer::Failed));
        }
        // Who asks more than may be asked learns no more.
        let answer = self.resolver.remembered(question).filter(|_| found.answers.len() < QUESTIONS_MAX)?;
        found.take(question, answer.clone());
        Some(answer)
    }
}

impl<'a> Known<'a> {
    fn of(platform: &'a Platform) -> Self {
        Self { resolver: &*platform.resolver, found: RefCell::default() }
    }

    /// Asks all of it at once, until a time.
    async fn learn(&mut self, platform: &Platform, Pending(questions): Pending, until: UnixMicros) {
        let (resolver, found) = (self.resolver, self.found.get_mut());
        // A judgement that needs nothing and does not end would be asked for ever.
        if questions.is_empty() || found.answers.len() + questions.len() > QUESTIONS_MAX {
            found.is_over = true;
            return;
        }
        let mut asked: FuturesUnordered<_> =
            questions.iter().map(|question| async move { (question, resolver.ask(question).await) }).collect();
        while let Some(Some((question, answer))) = asked.next().now_or_never() {
            found.take(question, answer);
        }
        if asked.is_empty() {
            return;
        }
        let mut end = platform.clock.sleep_until(until);
        loop {
            match select(pin!(asked.next()), &mut end).await {
                Either::Left((Some((question, answer)), _)) => found.take(question, answer),
                Either::Left((None, _)) => return,
                Either::Right(_) => {
                    found.is_over = true;
                    return;
                }
            }
        }
    }
}

impl Found {
    fn take(&mut self, question: &Question, answer: Arc<Answer>) {
        if let Answer::Found(records) = &*answer {
            self.octets += records.octets();
            self.is_over |= self.octets > OCTETS_MAX;
        }
        self.answers.insert(question.clone(), answer);
    }
}
