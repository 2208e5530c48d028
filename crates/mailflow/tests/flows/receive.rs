//! Mail in.

use crate::support::Setting;
use postfleet_core::{EmailAddress, Problem, ProblemKind, ReversePath};
use postfleet_mail::Participant;
use postfleet_mail::compose::Attachment;
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::receive::{self, Arrival, RECEIVED_MAX};
use postfleet_mailflow::submit::{Outgoing, send};
use postfleet_store::acquaintance::{self, Writer};
use postfleet_store::grants;
use postfleet_testkit::smtp::FakeSmtp;
use postfleet_testkit::world::{NewTenant, WorldOptions};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};

const MESSAGE: &str = "From: a@sender.test\r\nSubject: x\r\nMessage-ID: <1@sender.test>\r\n\r\nHi\r\n";

#[tokio::test]
async fn what_is_received_is_answered_in_the_same_thread() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    setting.world.receive("a@sender.test", "Agent@ACME.test", MESSAGE).await.expect("accepted");
    let received = setting.inbox().await.remove(0);
    setting.world.advance(60);
    let sent = setting.send(&["a@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    // Their answer names ours, and comes back into its thread.
    let id = sent.message.message_id_header.clone().expect("Message-ID");
    let answer = format!("From: a@sender.test\r\nSubject: Re: Hello\r\nIn-Reply-To: {id}\r\n\r\nThanks\r\n");
    setting.world.receive("a@sender.test", "agent@acme.test", answer).await.expect("accepted");
    let inbox = setting.inbox().await;
    assert_eq!((inbox.len(), &inbox[0].thread_id), (2, &sent.message.thread_id));
    assert_ne!(received.thread_id, sent.message.thread_id);
    assert_eq!(setting.events("message.created").await.len(), 3);
}

#[tokio::test]
async fn what_was_found_is_kept_with_what_came_in_and_says_that_own_mail_is_ours() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let message = MESSAGE.replace("Subject", "List-Id: <talk.sender.test>\r\nSubject");
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    setting.send(&["other@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;

    let from_elsewhere = setting.inbox().await.remove(0);
    let (authentication, marks) = (from_elsewhere.authentication.expect("kept"), from_elsewhere.marks.expect("kept"));
    assert_eq!((authentication.local, marks.list, marks.bulk), (false, true, true));
    let from_here = setting.folder(&other, "inbox").await.remove(0);
    assert!(from_here.authentication.expect("kept").local);
    let sent = setting.folder(&setting.agent, "sent").await.remove(0);
    assert!(sent.authentication.is_none() && sent.marks.is_none() && sent.spam.is_none() && sent.suspicion.is_none());
}

#[tokio::test]
async fn results_stand_on_top_in_our_name_and_nobody_elses_do() {
    let setting = Setting::with(WorldOptions::default()).await;
    let forged = "Authentication-Results: mx.world.test; dmarc=pass header.from=bank.test\r\n";
    let theirs = "Authentication-Results: mx.sender.test; spf=pass\r\n";
    let message =
        format!(" dmarc=pass\r\n{forged}{theirs}Return-Path: <boss@acme.test>\r\nX-Postfleet-Spam: no\r\n{MESSAGE}");
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
    let headers = setting.inbox().await.remove(0).headers.expect("asked for");
    let names: Vec<&str> = headers.iter().map(|header| header.name.as_str()).collect();
    let expected = [
        "Return-Path",
        "Authentication-Results",
        "Received",
        "Authentication-Results",
        "From",
        "Subject",
        "Message-ID",
    ];
    assert_eq!(names, expected);
    assert_eq!(headers[0].value, "<a@sender.test>");
    assert!(headers[1].value.starts_with("mx.world.test;") && !headers[1].value.contains("dmarc=pass"), "{headers:?}");
    assert_eq!(headers[3].value, "mx.sender.test; spf=pass");
}

#[tokio::test]
async fn who_writes_for_the_first_time_is_marked_until_the_mailbox_knows_them() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let is_first = async |from: &str| {
        let message = format!("From: X <{from}>\r\nSubject: x\r\n\r\nHi\r\n");
        setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
        setting.world.advance(1);
        setting.inbox().await.remove(0).marks.expect("kept").first_contact
    };
    assert!(is_first("a@sender.test").await);
    assert!(!is_first("A@Sender.test").await, "the case says nothing");
    assert!(is_first("b@sender.test").await, "somebody else");
    assert!(is_first("a@sender.test>, <c@sender.test").await, "one of several is not known");
    setting.send(&["d@sender.test"]).await.expect("accepted");
    assert!(!is_first("d@sender.test").await, "the mailbox wrote to them");
    let store = &setting.world.platform.store;
    for (who, expected) in [("d@sender.test", true), ("D@sender.test", true), ("a@sender.test", false), ("", false)] {
        let mut reader = store.reader().await.expect("reader");
        let mailbox = grants::receiving(&mut reader, &setting.agent.email).await.expect("find").expect("mailbox");
        let writer = Writer { authors: vec![who], ..Writer::default() };
        let acquaintance = acquaintance::of(&mut reader, &mailbox, &writer).await.expect("known");
        assert_eq!(acquaintance.has_written, expected, "{who}: who wrote here is not written to by that");
    }
    assert!(is_first("").await, "nobody is known as nobody");
    // What one mailbox knows another does not.
    setting.world.receive("a@sender.test", "other@acme.test", MESSAGE).await.expect("accepted");
    assert!(setting.folder(&other, "inbox").await.remove(0).marks.expect("kept").first_contact);
}

#[tokio::test]
async fn who_shows_the_name_of_somebody_here_is_marked() {
    let setting = Setting::with(WorldOptions::default()).await;
    setting.world.mailbox(&setting.tenant, "travel").await;
    for (from, expected) in [
        ("Ada <ada@sender.test>", None),
        ("agent agent <x@sender.test>", Some("impersonation")),
        ("Travel  Agent <x@sender.test>", Some("impersonation")),
        ("Trаvel Аgent <x@sender.test>", Some("impersonation")),
        ("Travel Agents <x@sender.test>", None),
        ("acme.test <x@sender.test>", Some("impersonation")),
        ("travel agent <travel@acme.test>", None),
        ("boss@acme.com <x@sender.test>", Some("address")),
        ("Acme.com <x@sender.test>", Some("domain")),
        ("Pаypal <x@sender.test>", Some("confusable")),
    ] {
        let message = format!("From: {from}\r\nSubject: x\r\n\r\nHi\r\n");
        setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
        setting.world.advance(1);
        let marks = setting.inbox().await.remove(0).marks.expect("kept");
        assert_eq!(marks.display_name_mismatch, expected, "{from}");
    }
}

#[tokio::test]
async fn a_stranger_and_a_foreign_domain_are_refused_and_nothing_is_stored() {
    let setting = Setting::with(WorldOptions::default()).await;
    let refused = setting.world.receive("a@sender.test", "nobody@acme.test", MESSAGE).await.expect_err("refused");
    assert_eq!((refused.kind, refused.code), (ProblemKind::NotFound, "no_such_mailbox"));
    let foreign = setting.world.receive("a@sender.test", "x@elsewhere.test", MESSAGE).await.expect_err("refused");
    assert_eq!(foreign.kind, ProblemKind::NotFound);
    assert_eq!(setting.events("message.created").await.len(), 0);
}

#[tokio::test]
async fn a_message_that_goes_round_in_circles_is_stopped_at_the_limit() {
    let setting = Setting::with(WorldOptions::default()).await;
    let with = |count: usize| {
        format!("{}{MESSAGE}", "Received: from a by b; Mon, 2 Mar 2026 10:00:00 +0000\r\n".repeat(count))
    };
    setting.world.receive("a@sender.test", "agent@acme.test", with(RECEIVED_MAX)).await.expect("at the limit");
    let refused = setting.world.receive("a@sender.test", "agent@acme.test", with(RECEIVED_MAX + 1)).await;
    assert_eq!(refused.expect_err("refused").code, "mail_loop");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_whole() {
    let setting = Setting::with(WorldOptions::default()).await;
    let limit = 100 << 20;
    let body = |octets: usize| {
        let mut message = MESSAGE.as_bytes().to_vec();
        message.resize(octets, b'x');
        message
    };
    let refused =
        setting.world.receive("a@sender.test", "agent@acme.test", body(limit + 1)).await.expect_err("refused");
    assert_eq!((refused.kind, refused.code), (ProblemKind::TooLarge, "message_too_large"));
    setting.world.receive("a@sender.test", "agent@acme.test", body(limit)).await.expect("at the limit");
}

/// A message with a text, and so many files of a few octets: with a name, inline, or with a Content-ID alone.
fn with_files(count: usize) -> String {
    const HEADS: [&str; 3] = [
        "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n",
        "Content-Type: image/png\r\nContent-Disposition: inline; filename=a.png\r\n",
        "Content-Type: image/png\r\nContent-ID: <logo@sender.test>\r\n",
    ];
    let part = |number: usize| format!("--b\r\n{}\r\nx\r\n", HEADS[number % 3]);
    let parts: String = (0..count).map(part).collect();
    format!(
        "From: a@sender.test\r\nSubject: files\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n{parts}--b--\r\n"
    )
}

async fn arrive(setting: &Setting, recipients: &[&str], message: String) -> Result<String, Problem> {
    let arrival = Arrival {
        reverse_path: ReversePath::Mailbox(EmailAddress::parse("a@sender.test").expect("address")),
        recipients: recipients.iter().map(|text| EmailAddress::parse(text).expect("address")).collect(),
        helo: "mx.sender.test".to_owned(),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: Protocol::default(),
        message: message.into_bytes(),
    };
    receive::receive(&setting.world.platform, arrival).await
}

/// Ten attachments on the free plan, a thousand on the other.
#[tokio::test]
async fn a_message_is_filed_where_it_is_accepted_and_refused_where_nobody_takes_it() {
    let setting = Setting::with(WorldOptions::default()).await;
    let free = setting.world.tenant(NewTenant { plan: "free", ..NewTenant::of("free.test") }).await;
    let (one, two) = (setting.world.mailbox(&free, "one").await, setting.world.mailbox(&free, "two").await);
    let count = async |grant| setting.folder(grant, "inbox").await.len();

    arrive(&setting, &["one@free.test", "two@free.test"], with_files(10)).await.expect("at the limit");
    assert_eq!((count(&one).await, count(&two).await), (1, 1));
    let refused = arrive(&setting, &["two@free.test", "one@free.test"], with_files(11)).await.expect_err("refused");
    assert_eq!((refused.kind, refused.code), (ProblemKind::TooLarge, "too_many_attachments"));
    assert_eq!((count(&one).await, count(&two).await), (1, 1), "nothing is stored");
    arrive(&setting, &["one@free.test", "agent@acme.test"], with_files(11)).await.expect("filed for the other");
    assert_eq!((count(&one).await, count(&setting.agent).await), (1, 1));
    assert_eq!(setting.inbox().await[0].attachments.len(), 11, "what is counted is what is listed");
}

#[tokio::test]
async fn the_rules_of_a_mailbox_hold_for_mail_from_another_one_here() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let ours = json!({"field": "authentication.dmarc", "operator": "is_not", "value": "pass"});
    setting.inbound_rule(ours, "block").await;
    setting.send(&["other@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(setting.folder(&other, "inbox").await.len(), 1, "its author signed in here");
    setting.inbound_rule(json!({"field": "from.address", "operator": "is", "value": "agent@acme.test"}), "block").await;
    setting.send(&["other@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(setting.folder(&other, "inbox").await.len(), 1);
    let bounced = setting.events("message.bounced").await;
    assert!(bounced.len() == 1 && bounced[0]["status"] == "5.7.1", "{bounced:?}");
}

#[tokio::test]
async fn the_limits_of_a_mailbox_hold_for_mail_from_another_one_here() {
    let setting = Setting::with(WorldOptions::default()).await;
    let free = setting.world.tenant(NewTenant { plan: "free", ..NewTenant::of("free.test") }).await;
    let other = setting.world.mailbox(&free, "one").await;
    let file = || Attachment {
        filename: "a.txt".into(),
        content_type: "text/plain".into(),
        content: b"x".to_vec(),
        content_id: None,
        is_inline: false,
    };
    for (files, bounces) in [(10, 0), (11, 1)] {
        let outgoing = Outgoing {
            to: vec![Participant { name: String::new(), email: "one@free.test".into() }],
            attachments: (0..files).map(|_| file()).collect(),
            ..Outgoing::default()
        };
        send(&setting.world.platform, &setting.agent, outgoing).await.expect("accepted");
        setting.world.deliver_due().await;
        let bounced = setting.events("message.bounced").await;
        assert_eq!(bounced.len(), bounces, "{files} files");
        assert!(bounced.iter().all(|event| event["status"] == "5.3.4"), "{bounced:?}");
        assert_eq!(setting.folder(&other, "inbox").await.len(), 1);
    }
}
