//! Six hundred bounces, in the forms and languages of the large providers and of the servers that people run: replies
//! at the attempt, and reports that come later. What each means was written down after what its provider documents,
//! before anything was asked of the classifier; a hundred of them were held out while its rules were made.

use super::corpus_forms::{RECIPIENT, report};
use postfleet_core::bounce::{BounceClass, BounceType};
use postfleet_mail::bounce_class::classify;
use postfleet_mail::dsn::Action;
use postfleet_mail::feedback::{self, Feedback};
use std::collections::BTreeMap;

/// A bounce, and what it means.
pub struct Sample {
    is_held_out: bool,
    pub provider: &'static str,
    /// How it comes, and in which language.
    pub form: &'static str,
    /// Zero if there is none.
    pub code: u16,
    /// Empty if there is none.
    pub status: &'static str,
    pub text: String,
    expected: BounceType,
}

fn samples() -> Vec<Sample> {
    let lines = include_str!("bounces.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.map(sample).collect()
}

fn sample(line: &'static str) -> Sample {
    let columns: Vec<&str> = line.split('\t').collect();
    let [part, provider, form, code, status, text, expected] = columns[..] else { panic!("seven columns: {line}") };
    assert!(matches!(part, "open" | "held-out"), "{line}");
    let known = BounceType::ALL.into_iter().find(|kind| kind.name() == expected);
    Sample {
        is_held_out: part == "held-out",
        provider,
        form,
        code: if code == "-" { 0 } else { code.parse().expect("a reply code") },
        status: if status == "-" { "" } else { status },
        text: text.replace("{to}", RECIPIENT).replace("\\n", "\n"),
        expected: known.unwrap_or_else(|| panic!("no such type: {line}")),
    }
}

/// What is understood of a sample; `None` if it is not even seen that it is about the recipient.
fn understood(sample: &Sample) -> Option<BounceType> {
    if sample.form == "smtp" {
        // The status may be told apart already, or stand in the text.
        let apart = classify(sample.code, sample.status, &sample.text);
        let within = classify(sample.code, "", &format!("{} {}", sample.status, sample.text));
        return (apart == within).then_some(apart);
    }
    let raw = report(sample);
    let Some(Feedback::Delivery(report)) = feedback::read(raw.as_bytes(), true) else { return None };
    let fates = report.recipients.iter().filter(|fate| {
        fate.action == Action::Failed && fate.addresses.iter().any(|address| address.to_string() == RECIPIENT)
    });
    let kinds: Vec<BounceType> = fates.map(|fate| fate.kind).collect();
    (report.recipients.len() == 1).then(|| kinds.first().copied()).flatten()
}

/// How many of how many.
#[derive(Default)]
struct Score {
    all: usize,
    in_class: usize,
    of_type: usize,
}

impl Score {
    fn add(&mut self, expected: BounceType, found: Option<BounceType>) {
        self.all += 1;
        self.in_class += usize::from(found.is_some_and(|found| found.class() == expected.class()));
        self.of_type += usize::from(found == Some(expected));
    }

    fn percent(&self) -> f64 {
        self.in_class as f64 * 100.0 / self.all as f64
    }
}

#[test]
fn of_six_hundred_bounces_nearly_all_are_understood_and_no_soft_one_counts_as_hard() {
    let samples = samples();
    assert_eq!((samples.len(), samples.iter().filter(|sample| sample.is_held_out).count()), (600, 100));
    let (mut all, mut held_out, mut confusion) = (Score::default(), Score::default(), BTreeMap::new());
    let mut counted_wrongly = Vec::new();
    for sample in &samples {
        let found = understood(sample);
        all.add(sample.expected, found);
        if sample.is_held_out {
            held_out.add(sample.expected, found);
        }
        let class = found.map_or("not understood", |found| found.class().name());
        *confusion.entry((sample.expected.class().name(), class)).or_insert(0_usize) += 1;
        if found != Some(sample.expected) {
            let is_class = found.is_some_and(|found| found.class() == sample.expected.class());
            let (part, wrong) =
                (if sample.is_held_out { "held-out" } else { "open" }, if is_class { "type" } else { "CLASS" });
            println!(
                "{wrong} ({part}): {} {} {} {} {:?}: {:?}, found {found:?}",
                sample.provider, sample.form, sample.code, sample.status, sample.text, sample.expected
            );
        }
        let is_hard = |kind: BounceType| kind.class() == BounceClass::Hard;
        if found.is_some_and(is_hard) && !is_hard(sample.expected) {
            counted_wrongly.push(format!("{} {} {}", sample.provider, sample.code, sample.text));
        }
    }
    for ((expected, found), number) in &confusion {
        println!("{expected:>14} taken for {found:<14} {number:>4}");
    }
    for (name, score) in [("all", &all), ("held out", &held_out)] {
        let Score { all, in_class, of_type } = score;
        println!(
            "{name}: {in_class} of {all} in the right class ({:.1} %), {of_type} of the right type",
            score.percent()
        );
    }
    assert!(counted_wrongly.is_empty(), "counted against an address that may be good: {counted_wrongly:#?}");
    assert!(all.percent() >= 98.0 && held_out.percent() >= 95.0, "{:.1} %, {:.1} %", all.percent(), held_out.percent());
}
