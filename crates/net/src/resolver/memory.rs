//! Answers that are remembered in the form in which they are judged: one look into a map for what mail asks again and again.
//! What is remembered is bounded in octets, and what was not asked for longest goes first.

use parking_lot::Mutex;
use postfleet_core::dns::{Answer, Question};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Octets of questions and answers that are remembered, about.
const OCTETS_MAX: usize = 32 << 20;

/// What an entry takes besides its name and its records.
const ENTRY_OCTETS: usize = 160;

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory(Mutex<Halves>);

/// What was asked lately, and what was asked before: when the first is full, it takes the place of the second.
#[derive(Default)]
struct Halves {
    late: HashMap<Question, Kept>,
    early: HashMap<Question, Kept>,
    /// Octets of the first.
    octets: usize,
}

struct Kept {
    answer: Arc<Answer>,
    until: Instant,
}

/// The end of a time that begins now.
pub(super) fn after(time: Duration) -> Instant {
    Instant::now() + time
}

impl Memory {
    /// The answer to a question, as long as it may be used.
    pub(super) fn recall(&self, question: &Question) -> Option<Arc<Answer>> {
        self.recall_at(question, Instant::now())
    }

    fn recall_at(&self, question: &Question, now: Instant) -> Option<Arc<Answer>> {
        let mut halves = self.0.lock();
        if let Some(kept) = halves.late.get(question) {
            return kept.at(now);
        }
        let (question, kept) = halves.early.remove_entry(question)?;
        let answer = kept.at(now)?;
        halves.keep(question, kept);
        Some(answer)
    }

    /// Remembers an answer until a time.
    pub(super) fn remember(&self, question: Question, answer: Arc<Answer>, until: Instant) {
        self.0.lock().keep(question, Kept { answer, until });
    }
}

impl Halves {
    fn keep(&mut self, question: Question, kept: Kept) {
        let octets = octets(&question, &kept);
        if self.octets + octets > OCTETS_MAX / 2 {
            self.early = std::mem::take(&mut self.late);
            self.octets = 0;
        }
        self.octets += octets;
        self.late.insert(question, kept);
    }
}

impl Kept {
    fn at(&self, now: Instant) -> Option<Arc<Answer>> {
        (now < self.until).then(|| self.answer.clone())
    }
}

fn octets(question: &Question, kept: &Kept) -> usize {
    let records = match &*kept.answer {
        Answer::Found(records) => records.octets(),
        Answer::Missing | Answer::Failed => 0,
    };
    question.name.len() + records + ENTRY_OCTETS
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::dns::{RecordKind, Records};

    fn question(number: usize) -> Question {
        Question::new(&format!("{number}.example"), RecordKind::Txt)
    }

    fn found(octets: usize) -> Arc<Answer> {
        Arc::new(Answer::Found(Records::Texts(vec!["x".repeat(octets)])))
    }

    #[test]
    fn an_answer_is_used_until_its_time() {
        let (memory, now) = (Memory::default(), Instant::now());
        let after = |seconds: u64| now + Duration::from_secs(seconds);
        memory.remember(question(1), found(10), after(60));
        memory.remember(question(2), Arc::new(Answer::Missing), after(5));
        for (number, seconds, expected) in [
            (1, 0, Some(found(10))),
            (1, 59, Some(found(10))),
            (1, 60, None),
            (2, 4, Some(Arc::new(Answer::Missing))),
            (2, 5, None),
            (3, 0, None),
        ] {
            assert_eq!(memory.recall_at(&question(number), after(seconds)), expected, "{number} after {seconds} s");
        }
        let other_kind = Question::new("1.example", RecordKind::A);
        assert_eq!(memory.recall_at(&other_kind, now), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_asked_again_stays() {
        let (memory, now) = (Memory::default(), Instant::now());
        let until = now + Duration::from_secs(60);
        let count = 4 * OCTETS_MAX / 64_000;
        for number in 0..count {
            memory.remember(question(number), found(64_000), until);
            assert!(memory.recall_at(&question(0), now).is_some(), "the first after {number}");
        }
        let halves = memory.0.lock();
        let held: usize = halves.late.iter().chain(&halves.early).map(|(question, kept)| octets(question, kept)).sum();
        assert!(held <= OCTETS_MAX, "{held}");
        assert!(!halves.late.contains_key(&question(1)) && !halves.early.contains_key(&question(1)));
    }
}
