//! What is said of the health of a sending domain: findings in words, worst first, each with what to do about it.

mod outside;

pub use outside::{Listing, Outside, Source};

use crate::bounce::BounceType;
use crate::domain_records::{RecordKind, RecordStatus};
use crate::reputation::{Rate, State};
use crate::words::words;

words! {
    /// How bad something is.
    Severity {
        /// Mail does not leave, or is not believed.
        Critical = "critical",
        /// It harms the domain, or soon will.
        Warning = "warning",
        /// It is good to know.
        Info = "info",
    }
}

/// Something that is worth knowing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// For programs.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// A sentence for people.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// The mailbox that it is about, if it is about one.
    pub grant: Option<String>,
}

/// A record that the domain should publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordHealth {
    /// What it is for.
    pub kind: RecordKind,
    /// Where it is published.
    pub name: String,
    /// Whether it was found.
    pub status: RecordStatus,
    /// How often in a row it was found wrong.
    pub failures: u32,
    /// Whether the domain may send without it.
    pub is_optional: bool,
}

/// What is known of a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Whether it may send.
    pub can_send: bool,
    /// What it should publish; nothing where the operator vouches for it.
    pub records: Vec<RecordHealth>,
    /// Failures of the last days by type, most first.
    pub bounces: Vec<(BounceType, u64)>,
    /// Failures by mailbox (id and address), most first.
    pub bounces_by_grant: Vec<(String, String, u64)>,
    /// Complaints by mailbox (id and address), most first.
    pub complaints_by_grant: Vec<(String, String, u64)>,
    /// Where it stands.
    pub state: State,
    /// Complaints, and how many more until it is looked into.
    pub complaints: (Rate, Option<u64>),
    /// Messages left of the day of its warm-up, if it is being warmed up.
    pub warm_up_left: Option<u64>,
    /// What others say of it.
    pub outside: Outside,
}

/// Failures below which nothing is said of what causes them.
const BOUNCES_MIN: u64 = 5;

/// Complaints until a review from which on it is said.
const COMPLAINTS_LEFT_MAX: u64 = 2;

/// What is to be said of a domain, worst first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let checks: [fn(&Facts) -> Vec<Finding>; 7] =
        [of_sending, of_records, of_authentication, of_state, of_culprits, of_warm_up, |f| {
            outside::findings(&f.outside)
        }];
    let mut findings: Vec<Finding> = checks.iter().flat_map(|check| check(facts)).collect();
    findings.sort_by_key(|finding| finding.severity as usize);
    findings
}

fn finding(code: &'static str, severity: Severity, text: String, remedy: &str) -> Finding {
    Finding { code, severity, text, remedy: remedy.to_owned(), grant: None }
}

fn of_sending(facts: &Facts) -> Vec<Finding> {
    if facts.can_send {
        return Vec::new();
    }
    let text = "The domain may not send: records that it needs are missing.".to_owned();
    vec![finding("cannot_send", Severity::Critical, text, "publish the records and have them verified")]
}

/// Whether a record is not, or no longer, as it should be.
fn is_missing(record: &RecordHealth) -> bool {
    record.status != RecordStatus::Done || record.failures > 0
}

fn is_of_authentication(record: &RecordHealth) -> bool {
    matches!(record.kind, RecordKind::Spf | RecordKind::Dkim | RecordKind::Dmarc)
}

fn of_records(facts: &Facts) -> Vec<Finding> {
    facts.records.iter().filter(|record| is_missing(record)).map(of_record).collect()
}

fn of_record(record: &RecordHealth) -> Finding {
    let name = &record.name;
    let (code, what) = match record.kind {
        RecordKind::Spf => ("spf_missing", format!("The SPF record at {name} does not name this server")),
        RecordKind::Dkim | RecordKind::Arc => ("dkim_missing", format!("The signing key at {name} is not published")),
        RecordKind::Dmarc => ("dmarc_missing", format!("There is no DMARC record at {name}")),
        RecordKind::Feedback => ("feedback_missing", format!("Bounces do not come back: {name} does not lead here")),
        RecordKind::Mx => ("mx_missing", format!("Mail for the domain is not brought here: see {name}")),
        RecordKind::Ownership => ("ownership_missing", format!("Nothing at {name} proves whose the domain is")),
    };
    let looks = match (record.status, record.failures) {
        // It was right before, and still counts as such.
        (RecordStatus::Done, failures) => {
            format!(" any more (wrong at the last {failures} looks; it counts until the third)")
        }
        (_, 0) => String::new(),
        (_, 1) => " (wrong at the last look)".to_owned(),
        (_, failures) => format!(" (wrong at the last {failures} looks)"),
    };
    let follows = if is_of_authentication(record) {
        ": receivers treat mail as unauthenticated, which is a common cause of bounces"
    } else {
        ""
    };
    let severity = if record.is_optional { Severity::Warning } else { Severity::Critical };
    finding(code, severity, format!("{what}{looks}{follows}."), "publish it as `postfleet domain records` shows it")
}

/// Failures that say that mail was not believed, and what is missing that would make it so.
fn of_authentication(facts: &Facts) -> Vec<Finding> {
    let is_it = |(kind, _): &&(BounceType, u64)| *kind == BounceType::AuthenticationFailed;
    let Some((_, count)) = facts.bounces.iter().find(is_it) else { return Vec::new() };
    let missing: Vec<&str> = facts
        .records
        .iter()
        .filter(|record| is_missing(record) && is_of_authentication(record))
        .map(|record| record.kind.name())
        .collect();
    let recipients = if *count == 1 { "1 recipient".to_owned() } else { format!("{count} recipients") };
    let refused = format!("Mail to {recipients} was refused as unauthenticated");
    if missing.is_empty() {
        let text = format!("{refused}, though all records are published.");
        let remedy =
            "look at the reasons of the bounces: somebody may forward the mail, or a receiver may ask for more";
        return vec![finding("authentication_refused", Severity::Warning, text, remedy)];
    }
    let text = format!("{refused}; the cause is what is missing: {}.", missing.join(", "));
    vec![finding("bounces_by_missing_records", Severity::Critical, text, "publish the missing records")]
}

fn of_state(facts: &Facts) -> Vec<Finding> {
    let (rate, left) = facts.complaints;
    let mut findings = Vec::new();
    match facts.state {
        State::Healthy => {}
        State::Elevated => findings.push(finding(
            "bounces_elevated",
            Severity::Warning,
            "More mail bounces than should: 2 % or more of the recipients are not there.".to_owned(),
            "take addresses from better sources, and have them looked at before they are written to",
        )),
        State::UnderReview | State::Paused => findings.push(finding(
            "under_review",
            Severity::Critical,
            "So much mail bounces, or so many recipients complain, that the domain is under review.".to_owned(),
            "stop what causes it before mailboxes are paused",
        )),
    }
    if let Some(left) = left.filter(|left| rate.count > 0 && (1..=COMPLAINTS_LEFT_MAX).contains(left)) {
        let percent = rate.per_million() as f64 / 10_000.0;
        let text = format!("Complaints are at {percent:.2} %: {left} more until review.");
        let remedy = "write only to who has asked for it, and make it easy to unsubscribe";
        findings.push(finding("complaints_near_review", Severity::Warning, text, remedy));
    }
    findings
}

/// One mailbox that causes more than half of what goes wrong.
fn of_culprits(facts: &Facts) -> Vec<Finding> {
    let bounces: u64 = facts.bounces.iter().map(|(_, count)| count).sum();
    let complaints: u64 = facts.complaints_by_grant.iter().map(|(.., count)| count).sum();
    let of = |code, what: &str, by: &[(String, String, u64)], total: u64, least: u64| {
        let (id, email, count) = by.first()?;
        // Of one mailbox alone nothing is to be told apart.
        if total < least || count * 2 <= total || by.len() < 2 {
            return None;
        }
        let text = format!("One mailbox causes {count} of {total} {what}: {email}.");
        let found = finding(code, Severity::Warning, text, "look at what it sends to whom, and stop it if need be");
        Some(Finding { grant: Some(id.clone()), ..found })
    };
    let bounced = of("one_mailbox_bounces", "bounces", &facts.bounces_by_grant, bounces, BOUNCES_MIN);
    let complained = of("one_mailbox_complaints", "complaints", &facts.complaints_by_grant, complaints, 2);
    bounced.into_iter().chain(complained).collect()
}

fn of_warm_up(facts: &Facts) -> Vec<Finding> {
    if facts.warm_up_left != Some(0) {
        return Vec::new();
    }
    let text = "The domain has sent what its warm-up allows today.".to_owned();
    vec![finding("warm_up_used_up", Severity::Info, text, "wait until midnight UTC, or send from another domain")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: RecordKind, status: RecordStatus, failures: u32) -> RecordHealth {
        RecordHealth { kind, name: "x.test".into(), status, failures, is_optional: kind == RecordKind::Dmarc }
    }

    fn facts() -> Facts {
        Facts {
            can_send: true,
            records: vec![
                record(RecordKind::Spf, RecordStatus::Done, 0),
                record(RecordKind::Dkim, RecordStatus::Done, 0),
            ],
            bounces: Vec::new(),
            bounces_by_grant: Vec::new(),
            complaints_by_grant: Vec::new(),
            state: State::Healthy,
            complaints: (Rate { count: 0, of: 1_000 }, Some(1)),
            warm_up_left: None,
            outside: Outside::default(),
        }
    }

    fn codes(facts: &Facts) -> Vec<&'static str> {
        findings(facts).iter().map(|finding| finding.code).collect()
    }

    fn by(counts: &[u64]) -> Vec<(String, String, u64)> {
        let one = |(index, count): (usize, &u64)| (format!("id{index}"), format!("a{index}@x.test"), *count);
        counts.iter().enumerate().map(one).collect()
    }

    #[test]
    fn of_a_domain_that_is_well_nothing_is_said() {
        assert!(findings(&facts()).is_empty());
    }

    #[test]
    fn records_that_are_gone_are_named_worst_first() {
        let records = vec![
            record(RecordKind::Dmarc, RecordStatus::Pending, 0),
            record(RecordKind::Spf, RecordStatus::Done, 2),
            record(RecordKind::Dkim, RecordStatus::Failed, 3),
        ];
        let found = findings(&Facts { can_send: false, records, ..facts() });
        let codes: Vec<_> = found.iter().map(|one| one.code).collect();
        assert_eq!(codes, ["cannot_send", "spf_missing", "dkim_missing", "dmarc_missing"]);
        assert_eq!(
            found[1].text,
            "The SPF record at x.test does not name this server any more (wrong at the last 2 looks; it counts until the \
             third): receivers treat mail as unauthenticated, which is a common cause of bounces."
        );
        assert!(found[2].text.starts_with("The signing key at x.test is not published (wrong at the last 3 looks)"));
    }

    #[test]
    fn missing_records_are_named_as_the_cause_of_bounces() {
        let bounces = vec![(BounceType::UnknownUser, 9), (BounceType::AuthenticationFailed, 3)];
        let well = Facts { bounces: bounces.clone(), ..facts() };
        assert_eq!(codes(&well), ["authentication_refused"]);
        let records =
            vec![record(RecordKind::Dkim, RecordStatus::Failed, 3), record(RecordKind::Mx, RecordStatus::Failed, 3)];
        let found = findings(&Facts { bounces, records: records.clone(), ..facts() });
        let cause = found.iter().find(|one| one.code == "bounces_by_missing_records").unwrap();
        assert_eq!(
            (cause.text.as_str(), cause.severity),
            (
                "Mail to 3 recipients was refused as unauthenticated; the cause is what is missing: dkim.",
                Severity::Critical
            )
        );
        let others = Facts { bounces: vec![(BounceType::UnknownUser, 9)], records, ..facts() };
        assert_eq!(codes(&others), ["dkim_missing", "mx_missing"], "other bounces have other causes");
    }

    #[test]
    fn one_mailbox_that_causes_most_of_it_is_named() {
        let of = |counts: &[u64]| {
            let bounces = vec![(BounceType::UnknownUser, counts.iter().sum())];
            findings(&Facts { bounces, bounces_by_grant: by(counts), ..facts() })
        };
        let found = of(&[8, 1, 1]);
        assert_eq!(found[0].text, "One mailbox causes 8 of 10 bounces: a0@x.test.");
        assert_eq!(found[0].grant.as_deref(), Some("id0"));
        assert!(of(&[5, 5]).is_empty() && of(&[3, 1]).is_empty() && of(&[9]).is_empty());
        assert_eq!(codes(&Facts { complaints_by_grant: by(&[2, 1]), ..facts() }), ["one_mailbox_complaints"]);
    }

    #[test]
    fn complaints_and_states_are_told_before_they_matter() {
        let near = Facts { complaints: (Rate { count: 8, of: 10_000 }, Some(2)), ..facts() };
        assert_eq!(findings(&near)[0].text, "Complaints are at 0.08 %: 2 more until review.");
        assert!(findings(&Facts { complaints: (Rate { count: 7, of: 10_000 }, Some(3)), ..facts() }).is_empty());
        assert_eq!(codes(&Facts { state: State::Elevated, ..facts() }), ["bounces_elevated"]);
        assert_eq!(codes(&Facts { state: State::UnderReview, ..facts() }), ["under_review"]);
        assert_eq!(codes(&Facts { warm_up_left: Some(0), ..facts() }), ["warm_up_used_up"]);
    }
}
