use super::said::{STRANGERS_MAX, disbelieved, of_complaint, of_delivery, of_reply};
use postfleet_core::EmailAddress;
use postfleet_core::bounce::BounceType;
use postfleet_core::feedback::{Kind, Outcome};
use postfleet_mail::dsn::Action;
use postfleet_mail::feedback::{Complaint, ComplaintKind, DeliveryReport, Feedback, ReportedFate};

fn addresses(texts: &[&str]) -> Vec<EmailAddress> {
    texts.iter().map(|text| EmailAddress::parse(text).unwrap()).collect()
}

fn fate(named: &[&str], action: Action) -> ReportedFate {
    ReportedFate {
        addresses: addresses(named),
        action,
        status: "5.1.1".into(),
        diagnostic: "550 no".into(),
        kind: BounceType::UnknownUser,
    }
}

fn report(is_standard: bool, recipients: Vec<ReportedFate>) -> DeliveryReport {
    DeliveryReport { is_standard, recipients, ..DeliveryReport::default() }
}

#[test]
fn what_counts_is_a_failure_of_a_recipient() {
    let sent = addresses(&["a@x.test", "b@x.test"]);
    for (named, action, kind, outcome) in [
        (&["a@x.test"][..], Action::Failed, Kind::Bounce, Outcome::Counted),
        (&["A@X.test"], Action::Failed, Kind::Bounce, Outcome::Counted),
        (&["a@x.test", "alias@y.test"], Action::Failed, Kind::Bounce, Outcome::Counted),
        (&["a@x.test"], Action::Delayed, Kind::Delay, Outcome::Noted),
        (&["a@x.test"], Action::Delivered, Kind::Delivery, Outcome::Noted),
        (&["a@x.test"], Action::Relayed, Kind::Delivery, Outcome::Noted),
        (&["stranger@x.test"], Action::Failed, Kind::Bounce, Outcome::Unmatched),
        (&[], Action::Failed, Kind::Bounce, Outcome::Unmatched),
    ] {
        let said = of_delivery(&report(true, vec![fate(named, action)]), &sent);
        assert_eq!((said[0].kind, said[0].outcome), (kind, outcome), "{named:?} {action:?}");
        assert_eq!(said[0].diagnostic, "smtp; 550 no");
    }
}

#[test]
fn strangers_are_written_down_up_to_a_limit() {
    let sent = addresses(&["a@x.test"]);
    let named: Vec<String> = (0..STRANGERS_MAX + 5).map(|number| format!("s{number}@x.test")).collect();
    let fates = |named: &[String]| named.iter().map(|name| fate(&[name], Action::Failed)).collect::<Vec<_>>();
    let mut standard = fates(&named);
    standard.push(fate(&["a@x.test"], Action::Failed));
    let said = of_delivery(&report(true, standard), &sent);
    assert_eq!(said.len(), STRANGERS_MAX + 1);
    assert_eq!(said[STRANGERS_MAX].outcome, Outcome::Counted);
    // In the words of a mail system: none, if somebody is meant; else one.
    let mut words = fates(&named);
    assert_eq!(of_delivery(&report(false, words.clone()), &sent).len(), 1);
    words.push(fate(&["a@x.test"], Action::Failed));
    let said = of_delivery(&report(false, words), &sent);
    assert_eq!((said.len(), said[0].outcome), (1, Outcome::Counted));
    let report = Feedback::Delivery(report(true, fates(&named)));
    assert_eq!(disbelieved(&report, Outcome::Unsigned).len(), STRANGERS_MAX);
}

#[test]
fn a_complaint_means_whom_it_names_as_far_as_it_names_anybody() {
    let complaint = |named: &[&str]| Complaint {
        kind: ComplaintKind::Abuse,
        user_agent: String::new(),
        recipients: addresses(named),
        quoted_paths: Vec::new(),
    };
    for (sent, named, recipient, outcome) in [
        (&["a@x.test"][..], &[][..], Some("a@x.test"), Outcome::Counted),
        (&["a@x.test", "b@y.test"], &[], None, Outcome::Counted),
        (&["a@x.test", "b@y.test"], &["b@y.test"], Some("b@y.test"), Outcome::Counted),
        (&["a@x.test", "b@y.test"], &["0fa3bc@y.test"], Some("b@y.test"), Outcome::Counted),
        (&["a@x.test", "b@x.test"], &["0fa3bc@x.test"], Some("0fa3bc@x.test"), Outcome::Unmatched),
        (&["a@x.test"], &["b@z.test"], Some("b@z.test"), Outcome::Unmatched),
    ] {
        let said = of_complaint(&complaint(named), &addresses(sent));
        let found = said[0].recipient.as_ref().map(ToString::to_string);
        assert_eq!((found.as_deref(), said[0].outcome), (recipient, outcome), "{sent:?} {named:?}");
    }
    let not_spam = Complaint { kind: ComplaintKind::NotSpam, ..complaint(&[]) };
    let said = of_complaint(&not_spam, &addresses(&["a@x.test"]));
    assert_eq!((said[0].kind, said[0].outcome), (Kind::Notice, Outcome::Noted));
}

#[test]
fn replies_have_no_consequences() {
    let sent = addresses(&["a@x.test"]);
    let author = addresses(&["a@x.test"]).pop();
    for (read, kind) in [
        (Some(Feedback::AutoReply), Kind::AutoReply),
        (Some(Feedback::Challenge), Kind::Challenge),
        (None, Kind::Other),
    ] {
        let said = of_reply(read.as_ref(), author.clone(), &sent);
        assert_eq!((said[0].kind, said[0].outcome, said[0].recipient.is_some()), (kind, Outcome::Noted, true));
    }
}
