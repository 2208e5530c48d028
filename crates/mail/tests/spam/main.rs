//! How well spam is told from other mail, measured on a corpus that is built from sentences. The corpus is no sample of
//! anybody's mail: its figures say that the signs work together as they are meant to, and that a change made them better or
//! worse; not how many messages of a real mailbox are judged well. Nothing of it was written to before, no list in the DNS
//! is asked, and what it is judged by has no sentence, name, company or host in common with what was learned.

mod bombs;
mod corpus;
mod texts;

use corpus::{Part, Sample, corpus};
use postfleet_core::UnixMicros;
use postfleet_core::spam::{Model, SpamReason, TokenHasher, Trained, decide, of_authentication};
use postfleet_mail::message::Parsed;
use postfleet_mail::spam::{Looked, Surroundings, look};
use std::collections::BTreeMap;

const LEARNED: usize = 600;
const JUDGED: usize = 2_000;

fn looked(sample: &Sample) -> Looked {
    let around = Surroundings {
        now: UnixMicros::from_seconds(1_772_445_600),
        hostname: "mx.fleet.test",
        hasher: TokenHasher::new([1, 2]),
    };
    look(&Parsed::read(&sample.raw), &around)
}

/// What a policy would make of it.
fn reasons(sample: &Sample, looked: &Looked, with_headers: bool, model: Option<&Model>) -> Vec<SpamReason> {
    let mut reasons = of_authentication(&sample.authentication);
    reasons.extend(looked.content.clone());
    if with_headers {
        reasons.extend(looked.headers.clone());
    }
    reasons.extend(model.and_then(|model| model.reason(&looked.tokens)));
    reasons
}

#[derive(Default)]
struct Figures {
    wrong: usize,
    ham: usize,
    caught: usize,
    spam: usize,
    missed: BTreeMap<&'static str, usize>,
    taken: BTreeMap<&'static str, usize>,
}

impl Figures {
    fn wrong_percent(&self) -> f64 {
        self.wrong as f64 * 100.0 / self.ham as f64
    }
    fn caught_percent(&self) -> f64 {
        self.caught as f64 * 100.0 / self.spam as f64
    }
}

fn measure(judged: &[(Sample, Looked)], sensitivity: u32, with_headers: bool, model: Option<&Model>) -> Figures {
    let mut figures = Figures::default();
    for (sample, looked) in judged {
        let verdict = decide(reasons(sample, looked, with_headers, model), sensitivity);
        if sample.is_spam {
            figures.spam += 1;
            figures.caught += usize::from(verdict.is_spam);
            if !verdict.is_spam {
                *figures.missed.entry(sample.kind).or_default() += 1;
            }
        } else {
            figures.ham += 1;
            figures.wrong += usize::from(verdict.is_spam);
            if verdict.is_spam {
                *figures.taken.entry(sample.kind).or_default() += 1;
            }
        }
    }
    figures
}

#[test]
fn spam_is_told_from_other_mail() {
    let mut model = Model::default();
    for sample in corpus(Part::Trained, LEARNED, 1) {
        model.learn(&looked(&sample).tokens, if sample.is_spam { Trained::Spam } else { Trained::Ham });
    }
    let judged: Vec<(Sample, Looked)> = corpus(Part::HeldOut, JUDGED, 2)
        .into_iter()
        .map(|sample| (looked(&sample), sample))
        .map(|(l, s)| (s, l))
        .collect();
    println!("learned from {LEARNED} built messages, judged {JUDGED} others, half of each spam");
    let mut all = BTreeMap::new();
    for with_headers in [false, true] {
        for trained in [false, true] {
            for sensitivity in [500, 1_000, 2_000, 3_000] {
                let figures = measure(&judged, sensitivity, with_headers, trained.then_some(&model));
                println!(
                    "sensitivity {:.1}, header checks {with_headers:5}, trained {trained:5}: {:5.2} % of other mail in junk, \
                     {:5.2} % of spam caught; missed {:?}, taken {:?}",
                    f64::from(sensitivity) / 1_000.0,
                    figures.wrong_percent(),
                    figures.caught_percent(),
                    figures.missed,
                    figures.taken
                );
                all.insert((with_headers, trained, sensitivity), figures);
            }
        }
    }
    for ((with_headers, trained, sensitivity), wrong_most, caught_least) in [
        ((true, true, 1_000), 1.0, 90.0),
        ((false, true, 1_000), 1.0, 85.0),
        ((true, false, 1_000), 0.5, 50.0),
        ((true, true, 500), 0.1, 20.0),
        ((true, true, 2_000), 1.0, 95.0),
        ((true, false, 2_000), 1.0, 80.0),
        ((true, true, 3_000), 2.0, 97.0),
    ] {
        let figures = &all[&(with_headers, trained, sensitivity)];
        assert!(
            figures.wrong_percent() <= wrong_most,
            "{sensitivity} {with_headers} {trained}: {}",
            figures.wrong_percent()
        );
        assert!(
            figures.caught_percent() >= caught_least,
            "{sensitivity} {with_headers} {trained}: {}",
            figures.caught_percent()
        );
    }
}

#[test]
fn the_corpus_is_the_same_each_time_and_its_parts_share_nothing() {
    let of = |part| corpus(part, 100, 7).into_iter().map(|sample| sample.raw).collect::<Vec<_>>();
    assert_eq!(of(Part::Trained), of(Part::Trained));
    for kind in texts::KINDS {
        for text in kind.trained.sentences.iter().chain(kind.trained.subjects) {
            let is_held_out =
                |kind: &texts::Kind| kind.held_out.sentences.contains(text) || kind.held_out.subjects.contains(text);
            assert!(!texts::KINDS.iter().any(is_held_out), "{text}");
        }
    }
    let (one, other) = (&texts::TRAINED, &texts::HELD_OUT);
    for (learned, held) in [
        (one.names, other.names),
        (one.companies, other.companies),
        (one.hosts, other.hosts),
        (one.bad_hosts, other.bad_hosts),
    ] {
        assert!(learned.iter().all(|text| !held.contains(text)));
    }
}

#[test]
fn words_of_one_tenant_say_nothing_to_another() {
    let (mut one, other) = (Model::default(), Model::default());
    let samples = corpus(Part::Trained, 200, 3);
    for sample in &samples {
        one.learn(&looked(sample).tokens, if sample.is_spam { Trained::Spam } else { Trained::Ham });
    }
    let tokens = looked(&samples[1]).tokens;
    assert!(one.reason(&tokens).is_some() && other.reason(&tokens).is_none());
}
