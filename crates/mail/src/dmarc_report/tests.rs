use super::*;
use crate::authentication::dmarc::{Destination, Published};
use crate::domain_report::{self, Seen};
use postfleet_core::authentication::{AuthResult, Authentication, DkimResult, DmarcPolicy, DmarcResult, SpfResult};
use postfleet_core::dmarc_report::{Exception, Reason, SIGNATURES_MAX, Signature, Spf};
use postfleet_core::{EmailAddress, ReversePath, UnixMicros};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("domain")
}

fn record() -> Record {
    Record {
        policy: DmarcPolicy::Reject,
        of_subdomains: Some(DmarcPolicy::Quarantine),
        of_missing: None,
        is_dkim_strict: true,
        is_spf_strict: false,
        percent: 50,
        is_testing: false,
        reports_to: vec![Destination {
            address: EmailAddress::parse("d@example.com").expect("address"),
            octets_max: None,
        }],
        failure_options: "1:d".to_owned(),
    }
}

fn published(policy: DmarcPolicy) -> Published {
    Published::Record { record: Box::new(record()), at: "example.com".to_owned(), policy }
}

fn sender() -> ReversePath {
    ReversePath::Mailbox(EmailAddress::parse("b@bounce.example.net").expect("address"))
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn seen() -> Sighting {
    Sighting {
        source: CLIENT,
        disposition: DmarcPolicy::None,
        dkim_aligned: false,
        spf_aligned: false,
        exception: None,
        header_from: "shop.example.com".to_owned(),
        envelope_from: "example.net".to_owned(),
        signatures: Vec::new(),
        spf: Spf { domain: "example.net".to_owned(), is_helo: false, result: AuthResult::Pass },
    }
}

fn signature(domain: &str, result: AuthResult) -> Signature {
    Signature { domain: domain.to_owned(), selector: "s1".to_owned(), result }
}

fn rows() -> Vec<(Sighting, u64)> {
    vec![
        (Sighting { dkim_aligned: true, signatures: vec![signature("example.com", AuthResult::Pass)], ..seen() }, 90),
        (
            Sighting {
                source: "2001:db8::7".parse().expect("address"),
                disposition: DmarcPolicy::Reject,
                envelope_from: String::new(),
                spf: Spf { domain: "mx.example".to_owned(), is_helo: true, result: AuthResult::Softfail },
                ..seen()
            },
            7,
        ),
        (
            Sighting {
                exception: Some(Exception { reason: Reason::TrustedForwarder, comment: "a <list> & more".to_owned() }),
                header_from: "example.com".to_owned(),
                signatures: vec![signature("a\u{1}\"b", AuthResult::Permerror)],
                ..seen()
            },
            3,
        ),
    ]
}

fn with<T>(rows: &[(Sighting, u64)], left_out: u64, look: impl FnOnce(&Report<'_>) -> T) -> T {
    look(&Report {
        organization: "Fleet & Co",
        contact: "dmarc@mx.test",
        receiver: &domain("mx.test"),
        domain: &domain("example.com"),
        day: UnixMicros::from_seconds(1_772_445_600).day(),
        record: &record(),
        seen: rows,
        left_out,
    })
}

/// A report as a message.
fn message(xml: &str) -> Vec<u8> {
    format!("From: d@mx.test\r\nSubject: x\r\nContent-Type: text/xml\r\n\r\n{xml}").into_bytes()
}

#[test]
fn the_document_is_that_of_the_schema() {
    insta::assert_snapshot!(with(&rows(), 12, |report| report.xml()));
}

#[test]
fn what_is_written_is_read_as_that_of_others() {
    let (xml, id) = with(&rows(), 0, |report| (report.xml(), report.id()));
    let read = domain_report::read(&message(&xml)).expect("readable");
    assert_eq!((read.reporter.as_str(), read.contact.as_str()), ("Fleet & Co", "dmarc@mx.test"));
    assert_eq!(read.report_id, id);
    assert_eq!((read.begins_at.as_seconds(), read.ends_at.as_seconds()), (1_772_409_600, 1_772_495_999));
    let mut about: Vec<_> = read
        .about
        .iter()
        .map(|one| match &one.seen {
            Seen::Mail(mail) => (one.domain.as_str(), mail.messages, mail.unaligned, mail.rejected),
            Seen::Connections(_) => panic!("{one:?}"),
        })
        .collect();
    about.sort_unstable();
    assert_eq!(about, [("example.com", 3, 3, 0), ("shop.example.com", 97, 7, 7)]);
    assert_eq!(read.about[0].policy, "adkim=s aspf=r p=reject sp=quarantine pct=50");
}

#[test]
fn it_travels_under_the_names_of_the_standard() {
    with(&rows(), 0, |report| {
        assert_eq!(report.file_name(), "mx.test!example.com!1772409600!1772495999.xml.gz");
        assert_eq!(
            report.subject(),
            "Report Domain: example.com Submitter: mx.test Report-ID: <2026-03-02.example.com@mx.test>"
        );
        let said = report.too_large(1_000, &["a@example.com".to_owned(), "b@example.com".to_owned()]);
        let names: Vec<_> = said.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
        let expected = ["Report-Date", "Report-Domain", "Report-ID", "Report-Size", "Submitter"];
        assert_eq!(names[..5], expected);
        assert_eq!(names[5..], ["Submitting-URI", "Submitting-URI"]);
    });
}

#[test]
fn what_is_packed_is_measured_as_it_travels() {
    let xml = with(&rows(), 0, |report| report.xml());
    let packed = pack(&xml);
    assert_eq!(packed[..2], [0x1f, 0x8b]);
    for (octets, travelling) in [(0, 0), (1, 6), (57, 78), (58, 84), (3_000_000, 4_105_264)] {
        assert_eq!(travelling_octets(&vec![0; octets]), travelling, "{octets}");
    }
    let many: Vec<_> = (0..5_000_u32)
        .map(|number| (Sighting { source: IpAddr::V4(number.into()), ..seen() }, u64::from(number)))
        .collect();
    let xml = with(&many, 0, |report| report.xml());
    assert!(xml.len() < domain_report::UNPACKED_MAX, "{}", xml.len());
    assert!(travelling_octets(&pack(&xml)) < 1 << 20);
}

#[test]
fn a_message_is_told_as_it_was_judged() {
    use AuthResult as R;
    use DmarcPolicy as P;
    use Reason as Y;
    // What was published, what was asked for after sampling, the result, what was done, who vouches.
    for (name, policy, asked, result, disposition, sealer, expected) in [
        ("it passes", P::Reject, P::Reject, R::Pass, P::None, None, None),
        ("it fails and is refused", P::Reject, P::Reject, R::Fail, P::Reject, None, None),
        ("nothing is asked for", P::None, P::None, R::Fail, P::None, None, None),
        ("left out by pct", P::Reject, P::Quarantine, R::Fail, P::Quarantine, None, Some(Y::SampledOut)),
        ("not followed so far", P::Reject, P::Reject, R::Fail, P::Quarantine, None, Some(Y::LocalPolicy)),
        ("left out, and not followed", P::Reject, P::Quarantine, R::Fail, P::None, None, Some(Y::LocalPolicy)),
        ("vouched for", P::Reject, P::Reject, R::Fail, P::None, Some("l.test"), Some(Y::TrustedForwarder)),
        ("not looked up", P::Reject, P::Reject, R::Temperror, P::None, None, Some(Y::Other)),
    ] {
        let dmarc = DmarcResult {
            result,
            disposition,
            domain: Some("shop.example.com".to_owned()),
            policy: Some(asked.word().to_owned()),
            rescued_by: sealer.map(str::to_owned),
            ..DmarcResult::default()
        };
        let found = Authentication { dmarc, ..Authentication::default() };
        let (at, told) = sighting(&published(policy), &found, CLIENT, &sender()).expect(name);
        assert_eq!(at, "example.com");
        assert_eq!(told.exception.map(|exception| exception.reason), expected, "{name}");
        assert_eq!((told.disposition, told.header_from.as_str()), (disposition, "shop.example.com"), "{name}");
    }
}

#[test]
fn signatures_of_the_author_are_told_first_and_an_envelope_without_sender_is_that_of_helo() {
    let dkim = |domain: &str, result| DkimResult { result, domain: Some(domain.to_owned()), ..DkimResult::default() };
    let mut all: Vec<_> = (0..9).map(|number| dkim(&format!("x{number}.test"), AuthResult::Pass)).collect();
    all.push(dkim("shop.example.com", AuthResult::Fail));
    let found = Authentication {
        dkim: all,
        spf: SpfResult { domain: Some("mx.example".to_owned()), ..SpfResult::default() },
        dmarc: DmarcResult { domain: Some("shop.example.com".to_owned()), ..DmarcResult::default() },
        ..Authentication::default()
    };
    let mapped = "::ffff:192.0.2.1".parse().expect("address");
    let told = sighting(&published(DmarcPolicy::None), &found, mapped, &ReversePath::Null).expect("told").1;
    assert_eq!(told.signatures.len(), SIGNATURES_MAX);
    assert_eq!(told.signatures[0].domain, "shop.example.com");
    assert_eq!((told.spf.is_helo, told.envelope_from.as_str(), told.source), (true, "", CLIENT));
}

#[test]
fn nobody_is_told_who_does_not_ask() {
    let found = Authentication {
        dmarc: DmarcResult { domain: Some("example.com".to_owned()), ..DmarcResult::default() },
        ..Authentication::default()
    };
    let silent = Record { reports_to: Vec::new(), ..record() };
    let silent =
        Published::Record { record: Box::new(silent), at: "example.com".to_owned(), policy: DmarcPolicy::None };
    for published in [silent, Published::Nothing, Published::Unknown] {
        assert_eq!(sighting(&published, &found, CLIENT, &sender()), None, "{published:?}");
    }
    let nobody = Authentication::default();
    assert_eq!(sighting(&published(DmarcPolicy::None), &nobody, CLIENT, &sender()), None);
}

proptest! {
    /// Whatever a sender puts into names that end up in the document, it is read, and has no more rows.
    #[test]
    fn names_stay_names(name in "\\PC{0,300}", wild in any::<String>()) {
        let row = Sighting {
            envelope_from: name.clone(),
            signatures: vec![signature(&wild, AuthResult::Fail), signature(&name, AuthResult::Pass)],
            exception: Some(Exception { reason: Reason::Other, comment: wild }),
            ..seen()
        };
        let xml = with(&[(row, 5)], 0, |report| report.xml());
        let read = domain_report::read(&message(&xml)).expect("readable");
        prop_assert_eq!(read.about.len(), 1);
        let is_whole = matches!(&read.about[0].seen, Seen::Mail(mail) if mail.messages == 5);
        prop_assert!(is_whole);
    }
}
