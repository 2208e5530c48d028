//! Complaints (RFC 5965).

use super::read;
use postfleet_mail::feedback::{Complaint, ComplaintKind, Feedback};

fn arf(fields: &str, quoted_as: &str) -> String {
    format!(
        "From: feedback@isp.test\r\nSubject: FW: Hello\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\n{fields}\r\n\
         --b\r\nContent-Type: {quoted_as}\r\n\r\n\
         Return-Path: <b-abc@acme.test>\r\nX-Feedback-Token: b-def@acme.test\r\nSubject: Hello\r\n\r\nHi\r\n--b--\r\n"
    )
}

fn complaint(raw: &str) -> Complaint {
    match read(raw) {
        Some(Feedback::Complaint(complaint)) => complaint,
        other => panic!("not a complaint but {other:?}"),
    }
}

#[test]
fn every_type() {
    use ComplaintKind::*;
    for (name, expected, complains) in [
        ("abuse", Abuse, true),
        ("Abuse", Abuse, true),
        ("fraud", Fraud, true),
        ("virus", Virus, true),
        ("other", Other, true),
        ("something-new", Other, true),
        ("opt-out", OptOut, true),
        ("not-spam", NotSpam, false),
        ("auth-failure", AuthFailure, false),
    ] {
        let complaint = complaint(&arf(&format!("Feedback-Type: {name}\r\nVersion: 1\r\n"), "message/rfc822"));
        assert_eq!((complaint.kind, complaint.kind.is_complaint()), (expected, complains), "{name}");
    }
}

#[test]
fn who_complains_and_of_what_is_read_wherever_it_stands() {
    let fields = "Feedback-Type: abuse\r\nUser-Agent: Isp/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <b-123@acme.test>\r\n\
        Original-Rcpt-To: <ada@isp.test>\r\nArrival-Date: Mon, 2 Mar 2026 10:00:00 +0000\r\n";
    for quoted_as in ["message/rfc822", "text/rfc822-headers"] {
        let complaint = complaint(&arf(fields, quoted_as));
        assert_eq!(complaint.user_agent, "Isp/1.0");
        assert_eq!(complaint.recipients[0].to_string(), "ada@isp.test");
        let paths: Vec<_> = complaint.quoted_paths.iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["b-123@acme.test", "b-abc@acme.test", "b-def@acme.test"]);
    }
}

#[test]
fn a_reporter_that_tells_nothing_is_read_all_the_same() {
    let complaint = complaint(&arf("\r\nFeedback-Type: abuse\r\nOriginal-Rcpt-To: redacted\r\n", "message/rfc822"));
    assert_eq!((complaint.kind, complaint.recipients.len()), (ComplaintKind::Abuse, 0));
}

#[test]
fn a_report_of_one_kind_that_quotes_one_of_the_other_is_what_it_says_it_is() {
    let both = arf("Feedback-Type: abuse\r\nVersion: 1\r\n", "message/rfc822").replace(
        "--b\r\nContent-Type: message/feedback-report",
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.isp.test\r\n\r\n\
         Final-Recipient: rfc822; eve@isp.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n\
         --b\r\nContent-Type: message/feedback-report",
    );
    complaint(&both);
    let bounce = both.replace("report-type=feedback-report", "report-type=Delivery-Status");
    assert!(matches!(read(&bounce), Some(Feedback::Delivery(_))));
}
