//! What comes back, in the shapes in which it does. The samples were written for this test, after the forms that mail
//! systems are known for.

mod any_input;
mod complaints;
mod corpus;
mod corpus_forms;
mod replies;
mod standard;
mod texts;

use postfleet_core::bounce::BounceType;
use postfleet_mail::dsn::Action;
use postfleet_mail::feedback::{self, DeliveryReport, Feedback};

/// A message of a few fields and a text.
fn mail(fields: &str, text: &str) -> String {
    let lines = |text: &str| text.lines().map(|line| format!("{line}\r\n")).collect::<String>();
    format!("{}\r\n{}", lines(fields), lines(text))
}

fn read(raw: &str) -> Option<Feedback> {
    feedback::read(raw.as_bytes(), true)
}

/// The report that a message must be.
fn report(name: &str, raw: &str) -> DeliveryReport {
    match read(raw) {
        Some(Feedback::Delivery(report)) => report,
        other => panic!("{name}: not a report but {other:?}\n{raw}"),
    }
}

/// What a report says, in short: action, address and type of each recipient.
fn fates(report: &DeliveryReport) -> Vec<(Action, String, BounceType)> {
    let first =
        |addresses: &[postfleet_core::EmailAddress]| addresses.first().map(ToString::to_string).unwrap_or_default();
    report.recipients.iter().map(|fate| (fate.action, first(&fate.addresses), fate.kind)).collect()
}
