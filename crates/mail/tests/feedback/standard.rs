//! Reports in the standard form (RFC 3464).

use super::{fates, report};
use postfleet_core::bounce::BounceType::{self, *};
use postfleet_mail::dsn::Action;

const HEAD: &str = "From: MAILER-DAEMON@mx.remote.test (Mail Delivery System)\r\nSubject: Undelivered Mail\r\n\
    Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\r\n\r\n\
    --b1\r\nContent-Type: text/plain\r\n\r\nThis is the mail system.\r\n\
    --b1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.remote.test\r\n\r\n";

fn dsn(groups: &str) -> String {
    format!(
        "{HEAD}{groups}\r\n--b1\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         Return-Path: <b-abc@acme.test>\r\nX-Feedback-Token: b-def@acme.test\r\nMessage-ID: <1@acme.test>\r\n\r\n--b1--\r\n"
    )
}

fn group(action: &str, status: &str, diagnostic: &str) -> String {
    let diagnostic =
        if diagnostic.is_empty() { String::new() } else { format!("Diagnostic-Code: smtp; {diagnostic}\r\n") };
    format!("Final-Recipient: rfc822; bob@remote.test\r\nAction: {action}\r\nStatus: {status}\r\n{diagnostic}\r\n")
}

/// Status, diagnostic, and what it means.
const FAILED: [(&str, &str, BounceType); 34] = [
    ("5.1.1", "550 5.1.1 <bob@remote.test>: Recipient address rejected: User unknown", UnknownUser),
    ("5.1.1", "", UnknownUser),
    ("5.0.0", "550 no such user here", UnknownUser),
    ("5.0.0", "550-5.1.1 The email account that you tried to reach does not exist.", UnknownUser),
    ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", UnknownUser),
    ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied", UnknownUser),
    ("5.5.0", "554 delivery error: dd This user doesn't have a account (bob@remote.test) [0]", UnknownUser),
    ("5.1.2", "550 Host unknown", UnknownDomain),
    ("5.4.4", "", UnknownDomain),
    ("5.1.10", "556 5.1.10 remote.test does not accept mail (nullMX)", UnknownDomain),
    ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled.", MailboxDisabled),
    ("5.2.1", "550 5.2.1 The email account that you tried to reach is inactive.", MailboxDisabled),
    ("5.2.1", "", MailboxDisabled),
    ("5.2.2", "552 5.2.2 mailbox is over quota", MailboxFull),
    ("5.2.2", "", MailboxFull),
    ("4.2.2", "452 4.2.2 The recipient's inbox is out of storage space", MailboxFull),
    ("5.0.0", "552 Mailbox full", MailboxFull),
    ("4.7.1", "450 4.7.1 Greylisted, please try again later", Greylisted),
    ("4.7.28", "421 4.7.28 unusual rate of mail: rate limited", RateLimited),
    ("5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a block list", Blocked),
    ("5.7.606", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", Blocked),
    ("5.7.1", "550 5.7.1 Message rejected as spam", ContentRejected),
    ("5.6.0", "554 5.6.0 virus found in message", ContentRejected),
    ("5.7.26", "550 5.7.26 This mail is unauthenticated", AuthenticationFailed),
    ("5.7.1", "550 5.7.1 rejected by the domain's DMARC policy", AuthenticationFailed),
    ("5.7.1", "550 5.7.1 delivery not authorized, message refused", Policy),
    ("5.7.0", "", Policy),
    ("5.3.4", "552 5.3.4 message size exceeds fixed limit", MessageTooLarge),
    ("5.6.7", "553 5.6.7 address needs SMTPUTF8", Unsupported),
    ("4.4.7", "Delivery time expired", Temporary),
    ("4.4.1", "connect to mx.remote.test[192.0.2.1]:25: connection timed out", Temporary),
    ("4.4.3", "", Temporary),
    ("5.0.0", "554 Transaction failed", General),
    ("", "", Undetermined),
];

#[test]
fn failures_are_classified_by_text_and_code() {
    for (status, diagnostic, expected) in FAILED {
        let raw = dsn(&group("failed", status, diagnostic));
        let report = report(diagnostic, &raw);
        assert!(report.is_standard && report.reporter == "mx.remote.test");
        let bob = "bob@remote.test".to_owned();
        assert_eq!(fates(&report), [(Action::Failed, bob, expected)], "{status} {diagnostic}");
        assert_eq!(report.recipients[0].status, status);
    }
}

#[test]
fn every_group_and_every_action_is_read() {
    let group = |address: &str, action: &str, status: &str| {
        format!("Final-Recipient: rfc822;{address}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n")
    };
    let raw = dsn(&[
        group("a@x.test", "failed", "5.1.1"),
        group("b@x.test", "delayed", "4.4.1"),
        group("c@x.test", "delivered", "2.0.0"),
        group("d@x.test", "relayed", "2.0.0"),
        group("e@x.test", "expanded", "2.0.0"),
    ]
    .concat());
    let report = report("groups", &raw);
    let actions: Vec<_> = report.recipients.iter().map(|fate| fate.action).collect();
    use Action::{Delayed, Delivered, Expanded, Failed, Relayed};
    assert_eq!(actions, [Failed, Delayed, Delivered, Relayed, Expanded]);
    assert_eq!(report.recipients[0].kind, UnknownUser);
    assert_eq!(report.recipients[1].kind, Undetermined, "nothing has failed yet");
}

#[test]
fn the_address_that_was_written_to_stands_before_the_one_it_led_to() {
    let raw =
        dsn("Original-Recipient: rfc822;list@x.test\r\nFinal-Recipient: rfc822;member@y.test\r\nAction: failed\r\n\
         Status: 5.1.1\r\n\r\n");
    let report = report("forwarded", &raw);
    let addresses: Vec<_> = report.recipients[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["list@x.test", "member@y.test"]);
}

#[test]
fn return_paths_are_taken_from_the_message_that_is_quoted() {
    let report = report("quoted", &dsn(&group("failed", "5.1.1", "")));
    let paths: Vec<_> = report.quoted_paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["b-abc@acme.test", "b-def@acme.test"]);
}
