//! What comes back by the return path of a message: what counts, and above all what does not.

use crate::support::Setting;
use postfleet_core::id::MessageId;
use postfleet_core::return_path::DAYS_MAX;
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, ProblemKind};
use postfleet_fleet::feedback;
use postfleet_mailflow::submit::Sent;
use postfleet_mailflow::{janitor, receive};
use postfleet_schema::feedback::FeedbackReport;
use postfleet_store::feedback::PruneFeedback;
use postfleet_store::suppressions::{self, Suppression};
use postfleet_testkit::smtp::{FakeSmtp, SmtpMessage};
use postfleet_testkit::world::WorldOptions;
use serde_json::json;

/// A setting that has sent a message to some recipients, and the server that took it.
async fn sent_to(recipients: &[&str]) -> (Setting, Sent, SmtpMessage) {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let sent = setting.send(recipients).await.expect("accepted");
    setting.world.deliver_due().await;
    let taken = peer.messages().remove(0);
    (setting, sent, taken)
}

impl Setting {
    /// What is recorded about the mailbox, newest first.
    async fn feedback(&self) -> Vec<FeedbackReport> {
        let store = &self.world.platform.store;
        // Notes that nobody waits for are written before this is.
        store.run(PruneFeedback { before: postfleet_testkit::world::BEGINNING, limit: 0 }).await.expect("run");
        feedback::list(store, Some(self.agent.id), 100, None).await.expect("list").items
    }

    async fn outcomes(&self) -> Vec<(String, String)> {
        self.feedback().await.into_iter().map(|report| (report.kind, report.outcome)).collect()
    }

    /// The entry of an address that is not written to.
    async fn suppression(&self, address: &str) -> Option<Suppression> {
        let platform = &self.world.platform;
        let mut reader = platform.store.reader().await.expect("reader");
        let address = EmailAddress::parse(address).expect("address");
        let application = self.tenant.application_id;
        suppressions::find(&mut reader, application, &address, platform.clock.now()).await.expect("find")
    }

    /// Mail with the null reverse path.
    async fn report(&self, to: &str, message: &str) -> Result<String, postfleet_core::Problem> {
        self.world.receive("", to, message).await
    }
}

fn said(kind: &str, outcome: &str) -> (String, String) {
    (kind.to_owned(), outcome.to_owned())
}

fn dsn(recipient: &str, action: &str, status: &str, diagnostic: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.sender.test\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.sender.test\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; {diagnostic}\r\n\r\n--b--\r\n"
    )
}

fn unknown(recipient: &str) -> String {
    dsn(recipient, "failed", "5.1.1", "550 5.1.1 no such user")
}

fn complaint(mail_from: &str, recipient: &str) -> String {
    format!(
        "From: feedback@isp.test\r\nSubject: complaint\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSpam.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Isp/1\r\nVersion: 1\r\n\
         Original-Mail-From: <{mail_from}>\r\nOriginal-Rcpt-To: <{recipient}>\r\n\r\n--b--\r\n"
    )
}

#[tokio::test]
async fn a_message_carries_its_return_path_twice_and_signed() {
    let (_, sent, taken) = sent_to(&["ada@sender.test"]).await;
    let path = &taken.reverse_path;
    assert!(
        path.starts_with("b-") && path.ends_with("@acme.test") && path.len() == 2 + 48 + "@acme.test".len(),
        "{path}"
    );
    assert_eq!(path, &path.to_lowercase());
    let text = taken.text();
    assert!(text.contains(&format!("\r\nX-Feedback-Token: {path}\r\n")), "{text}");
    // Once as a field, and twice in each of the two signatures: none can be added.
    assert_eq!(text.matches("X-Feedback-Token").count(), 1 + 2 * 2);
    assert!(!text.contains("Return-Path:"), "the last server writes it");
    assert_eq!(sent.message.from[0].email, "agent@acme.test");
}

#[tokio::test]
async fn a_bounce_by_the_return_path_is_filed_and_announced_once() {
    let (setting, sent, taken) = sent_to(&["ada@sender.test", "bob@sender.test"]).await;
    setting.world.advance(3_600);
    // Servers on the way change the case of addresses.
    setting.report(&taken.reverse_path.to_uppercase(), &unknown("ADA@sender.test")).await.expect("accepted");

    let bounced = setting.events("message.bounced").await;
    let at = setting.world.platform.clock.now().as_seconds();
    let expected = json!({"recipient": "ada@sender.test", "at": at, "status": "5.1.1",
        "diagnostic_code": "smtp; 550 5.1.1 no such user", "bounce_type": "UnknownUser", "bounce_class": "hard",
        "expired": false, "ambiguous": false});
    assert_eq!(bounced, [expected]);

    let inbox = setting.inbox().await;
    assert_eq!((inbox.len(), &inbox[0].thread_id), (1, &sent.message.thread_id), "it belongs to the conversation");
    let reports = setting.feedback().await;
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    assert_eq!((report.kind.as_str(), report.outcome.as_str()), ("bounce", "counted"));
    assert_eq!(report.message_id.as_deref(), Some(sent.message.id.as_str()));
    assert_eq!(report.report_message_id.as_deref(), Some(inbox[0].id.as_str()));
    assert_eq!(report.recipient.as_deref(), Some("ada@sender.test"));
    assert_eq!((report.bounce_class.as_deref(), report.bounce_type.as_deref()), (Some("hard"), Some("UnknownUser")));
    assert_eq!((report.reporter.as_str(), report.reported_at), ("mx.sender.test", at));

    // The other recipient is another matter.
    setting.report(&taken.reverse_path, &dsn("bob@sender.test", "failed", "5.2.2", "mailbox full")).await.expect("ok");
    let bounced = setting.events("message.bounced").await;
    assert_eq!((&bounced[1]["bounce_type"], &bounced[1]["bounce_class"]), (&"MailboxFull".into(), &"soft".into()));
}

#[tokio::test]
async fn who_a_late_hard_bounce_is_about_is_not_written_to_again_and_nobody_else() {
    let (setting, sent, taken) = sent_to(&["ada@sender.test", "bob@sender.test", "cy@sender.test"]).await;
    let full = dsn("bob@sender.test", "failed", "5.2.2", "mailbox full");
    for report in [unknown("ada@sender.test"), full, unknown("eve@sender.test")] {
        setting.report(&taken.reverse_path, &report).await.expect("accepted");
    }
    // What nobody signed suppresses nobody.
    setting.report("agent@acme.test", &unknown("cy@sender.test")).await.expect("accepted");
    let all = ["ada@sender.test", "bob@sender.test", "cy@sender.test", "eve@sender.test"];
    let suppressed = setting.send(&all).await.expect("accepted").suppressed;
    assert_eq!(suppressed.len(), 1);
    assert_eq!((suppressed[0].address.to_string(), suppressed[0].reason), (all[0].to_owned(), Reason::HardBounce));
    let entry = setting.suppression("ada@sender.test").await.expect("suppressed");
    assert_eq!((&*entry.source, entry.grant_id), ("dsn", Some(setting.agent.id)));
    assert_eq!(entry.message_id.map(|id| id.to_string()), Some(sent.message.id));
}

#[tokio::test]
async fn who_complained_is_not_written_to_again() {
    let (setting, _, taken) = sent_to(&["ada@sender.test", "bob@sender.test"]).await;
    let to = &taken.reverse_path;
    setting.world.receive("fbl@isp.test", to, complaint("x@y.test", "ada@sender.test")).await.expect("accepted");
    let not_spam = complaint("x@y.test", "bob@sender.test").replace("abuse", "not-spam");
    setting.world.receive("fbl@isp.test", to, not_spam).await.expect("accepted");
    let refused = setting.send(&["ada@sender.test"]).await.expect_err("nobody is left");
    assert_eq!(refused.code, "all_recipients_suppressed");
    assert!(setting.send(&["bob@sender.test"]).await.expect("accepted").suppressed.is_empty());
    let entry = setting.suppression("ada@sender.test").await.expect("suppressed");
    assert_eq!((entry.reason, &*entry.source), (Reason::Complaint, "feedback_loop"));
}

#[tokio::test]
async fn what_comes_again_is_recorded_once_and_counts_for_nothing() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    for _ in 0..4 {
        setting.world.advance(1);
        setting.report(&taken.reverse_path, &unknown("ada@sender.test")).await.expect("accepted");
    }
    assert_eq!(setting.events("message.bounced").await.len(), 1);
    assert_eq!(setting.outcomes().await, [said("bounce", "replayed"), said("bounce", "counted")]);
    assert_eq!(setting.inbox().await.len(), 1, "it is not filed again");
    // Another report about the same recipient is no other bounce.
    let other = dsn("ada@sender.test", "failed", "5.7.1", "blocked");
    setting.report(&taken.reverse_path, &other).await.expect("accepted");
    assert_eq!(setting.events("message.bounced").await.len(), 1);
}

#[tokio::test]
async fn reports_that_come_at_once_count_once() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let report = unknown("ada@sender.test");
    let all = (0..10).map(|_| setting.report(&taken.reverse_path, &report));
    for done in futures::future::join_all(all).await {
        done.expect("accepted");
    }
    assert_eq!(setting.events("message.bounced").await.len(), 1);
    assert_eq!(setting.outcomes().await.len(), 2);
}

#[tokio::test]
async fn a_return_path_that_was_made_up_or_belongs_to_another_domain_is_an_unknown_mailbox() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    setting.world.tenant(postfleet_testkit::world::NewTenant::of("other.test")).await;
    let (local, _) = taken.reverse_path.split_once('@').expect("address");
    let last = if local.ends_with('a') { "b" } else { "a" };
    let changed = format!("{}{last}", &local[..local.len() - 1]);
    for to in [
        format!("{changed}@acme.test"),
        format!("{local}@other.test"),
        format!("b-{}@acme.test", "a".repeat(48)),
        "b-@acme.test".to_owned(),
    ] {
        let address = postfleet_core::EmailAddress::parse(&to).expect("address");
        let refused = receive::recipient(
            &setting.world.platform,
            &receive::Offer::from(&postfleet_core::ReversePath::Null),
            &address,
        )
        .await
        .expect_err("refused");
        assert_eq!((refused.kind, refused.code), (ProblemKind::NotFound, "no_such_mailbox"), "{to}");
        let refused = setting.report(&to, &unknown("ada@sender.test")).await.expect_err("refused");
        assert_eq!(refused.code, "no_such_mailbox", "{to}");
    }
    assert_eq!(setting.events("message.bounced").await.len(), 0);
    assert_eq!(setting.inbox().await.len(), 0);
    // Once for the message that it names, however often somebody tries.
    assert_eq!(setting.outcomes().await, [said("other", "forged")]);
    assert_eq!(setting.feedback().await[0].reason, "its return path was not made here");
}

#[tokio::test]
async fn a_return_path_is_good_for_its_days_and_not_a_day_longer() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    setting.world.advance(DAYS_MAX.unsigned_abs() * 86_400);
    setting
        .report(&taken.reverse_path, &dsn("ada@sender.test", "delayed", "4.4.1", "later"))
        .await
        .expect("at the limit");
    setting.world.advance(86_400);
    let refused = setting.report(&taken.reverse_path, &unknown("ada@sender.test")).await.expect_err("refused");
    assert_eq!(refused.code, "no_such_mailbox");
    assert_eq!(setting.events("message.bounced").await.len(), 0);
    assert_eq!(setting.outcomes().await, [said("other", "expired"), said("delay", "noted")]);
}

#[tokio::test]
async fn a_failure_of_somebody_else_is_recorded_and_counts_for_nothing() {
    let (setting, _, taken) = sent_to(&["ada@sender.test", "bob@sender.test"]).await;
    setting.report(&taken.reverse_path, &unknown("eve@sender.test")).await.expect("accepted");
    assert_eq!(setting.events("message.bounced").await.len(), 0);
    assert_eq!(setting.outcomes().await, [said("bounce", "unmatched")]);
    assert_eq!(setting.inbox().await.len(), 1, "it is there to be read");
}

#[tokio::test]
async fn of_who_was_left_out_nothing_can_be_reported() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    setting.send(&["ada@sender.test", "bob@isp.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let first = peer.messages().remove(0).reverse_path;
    setting.report(&first, &unknown("ada@sender.test")).await.expect("accepted");
    let again = ["Ada@sender.test", "bob@isp.test"];
    let sent = setting.send(&again).await.expect("accepted");
    assert_eq!(sent.suppressed.len(), 1);
    setting.world.deliver_due().await;
    let path = peer.messages().pop().expect("taken").reverse_path;
    assert_ne!(path, first);
    setting.world.advance(1);
    setting.report(&path, &unknown("ada@sender.test")).await.expect("accepted");
    setting.world.advance(1);
    setting.world.receive("fbl@isp.test", &path, complaint("x@y.test", "ada@sender.test")).await.expect("accepted");
    let expected = [said("complaint", "unmatched"), said("bounce", "unmatched"), said("bounce", "counted")];
    assert_eq!(setting.outcomes().await, expected);
    // Who got it may complain.
    setting.world.advance(1);
    setting.world.receive("fbl@isp.test", &path, complaint("x@y.test", "bob@isp.test")).await.expect("accepted");
    assert_eq!(setting.outcomes().await[0], said("complaint", "counted"));
    assert_eq!(setting.events("message.bounced").await.len(), 1);
}

#[tokio::test]
async fn a_report_to_the_mailbox_itself_is_mail_and_counts_for_nothing() {
    let (setting, _, _) = sent_to(&["ada@sender.test"]).await;
    setting.report("agent@acme.test", &unknown("ada@sender.test")).await.expect("accepted");
    assert_eq!(setting.events("message.bounced").await.len(), 0);
    assert_eq!(setting.outcomes().await, [said("bounce", "unsigned")]);
    assert_eq!(setting.inbox().await.len(), 1);
    // Ordinary mail leaves no record.
    setting
        .world
        .receive("a@sender.test", "agent@acme.test", "From: a@sender.test\r\n\r\nHi\r\n")
        .await
        .expect("accepted");
    assert_eq!(setting.feedback().await.len(), 1);
}

#[tokio::test]
async fn a_report_in_words_counts_like_another() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let words = "From: MAILER-DAEMON@mx.sender.test\r\nSubject: failure notice\r\n\r\n\
        Hi. This is the qmail-send program at mx.sender.test.\r\n\
        I'm afraid I wasn't able to deliver your message to the following addresses.\r\n\r\n\
        <ada@sender.test>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n";
    setting.report(&taken.reverse_path, words).await.expect("accepted");
    let bounced = setting.events("message.bounced").await;
    assert_eq!((bounced.len(), &bounced[0]["bounce_type"]), (1, &"UnknownUser".into()));
}

#[tokio::test]
async fn a_complaint_by_the_return_path_is_announced_once() {
    let (setting, sent, taken) = sent_to(&["ada@sender.test"]).await;
    for _ in 0..2 {
        setting.world.advance(1);
        setting
            .world
            .receive("fbl@isp.test", &taken.reverse_path, complaint("x@y.test", "ada@sender.test"))
            .await
            .expect("ok");
    }
    let at = setting.world.platform.clock.now().as_seconds() - 1;
    let expected = json!({"recipient": "ada@sender.test", "at": at, "type": "abuse"});
    assert_eq!(setting.events("message.complaint").await, [expected]);
    let reports = setting.feedback().await;
    assert_eq!(
        (reports[1].kind.as_str(), reports[1].status.as_str(), reports[1].reporter.as_str()),
        ("complaint", "abuse", "Isp/1")
    );
    assert_eq!(reports[1].message_id.as_deref(), Some(sent.message.id.as_str()));
    assert_eq!((reports[0].outcome.as_str(), reports.len()), ("replayed", 2));
}

#[tokio::test]
async fn a_complaint_at_the_registered_address_counts_only_if_it_quotes_a_message_of_ours() {
    const REGISTERED: &str = "complaints@mx.world.test";
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let store = &setting.world.platform.store;
    let unassigned = async || feedback::list(store, None, 100, None).await.expect("list").items;
    let forged = format!("b-{}@acme.test", "a".repeat(48));
    for (mail_from, outcome) in [("agent@acme.test", "unsigned"), (forged.as_str(), "forged")] {
        setting.world.advance(1);
        setting
            .world
            .receive("fbl@isp.test", REGISTERED, complaint(mail_from, "ada@sender.test"))
            .await
            .expect("accepted");
        assert_eq!(unassigned().await[0].outcome, outcome);
    }
    assert_eq!(setting.events("message.complaint").await.len(), 0);
    setting
        .world
        .receive("fbl@isp.test", REGISTERED, complaint(&taken.reverse_path, "ada@sender.test"))
        .await
        .expect("ok");
    assert_eq!(setting.events("message.complaint").await.len(), 1);
    assert_eq!((setting.outcomes().await, unassigned().await.len()), (vec![said("complaint", "counted")], 2));
    // It is no mailbox.
    let refused = setting.world.receive("a@isp.test", REGISTERED, "From: a@isp.test\r\n\r\nHello?\r\n").await;
    assert_eq!(refused.expect_err("refused").code, "not_a_complaint");
    let refused = setting.report(REGISTERED, &unknown("ada@sender.test")).await.expect_err("refused");
    assert_eq!(refused.code, "not_a_complaint");
}

#[tokio::test]
async fn a_complaint_without_the_envelope_is_found_by_the_field_in_the_message() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let text = taken.text();
    let report = complaint("redacted@acme.test", "0a1b2c@sender.test").replace(
        "\r\n\r\n--b--\r\n",
        &format!("\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{text}\r\n--b--\r\n"),
    );
    setting.world.receive("fbl@isp.test", "complaints@mx.world.test", report).await.expect("accepted");
    assert_eq!(setting.events("message.complaint").await[0]["recipient"], "ada@sender.test");
}

#[tokio::test]
async fn what_is_no_complaint_and_what_is_not_lost_has_no_consequences() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let path = &taken.reverse_path;
    setting
        .report(path, &complaint("x@y.test", "ada@sender.test").replace("abuse", "not-spam"))
        .await
        .expect("accepted");
    setting.world.advance(1);
    setting.report(path, &dsn("ada@sender.test", "delayed", "4.4.1", "later")).await.expect("accepted");
    setting.world.advance(1);
    setting.report(path, &dsn("ada@sender.test", "delivered", "2.0.0", "ok")).await.expect("accepted");
    let noted = ["delivery", "delay", "notice"].map(|kind| said(kind, "noted"));
    assert_eq!(setting.outcomes().await, noted);
    // A failure after a delay counts.
    setting.report(path, &unknown("ada@sender.test")).await.expect("accepted");
    assert_eq!(setting.events("message.bounced").await.len(), 1);
    assert_eq!(setting.events("message.complaint").await.len(), 0);
}

#[tokio::test]
async fn replies_by_the_return_path_are_mail_for_the_mailbox() {
    let (setting, sent, taken) = sent_to(&["ada@sender.test"]).await;
    let id = sent.message.message_id_header.expect("Message-ID");
    for (fields, kind) in [
        ("Subject: Automatic reply: Hello\r\nAuto-Submitted: auto-replied\r\n", "auto_reply"),
        ("Subject: Please confirm your message\r\n", "challenge"),
        ("Subject: Re: Hello\r\n", "other"),
    ] {
        let reply = format!("From: ada@sender.test\r\n{fields}In-Reply-To: {id}\r\n\r\nAway.\r\n");
        setting.world.advance(1);
        setting.report(&taken.reverse_path, &reply).await.expect("accepted");
        let report = setting.feedback().await.remove(0);
        assert_eq!((report.kind.as_str(), report.outcome.as_str()), (kind, "noted"));
        assert_eq!(report.recipient.as_deref(), Some("ada@sender.test"));
    }
    let inbox = setting.inbox().await;
    assert_eq!(inbox.len(), 3);
    assert!(inbox.iter().all(|message| message.thread_id == sent.message.thread_id));
    assert_eq!(setting.events("message.bounced").await.len(), 0);
}

#[tokio::test]
async fn a_report_about_a_mailbox_that_is_gone_is_taken_and_leads_to_nothing() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let platform = &setting.world.platform;
    let act = setting.world.act(&setting.tenant);
    let (application, id) = (setting.tenant.application_id, setting.agent.id);
    postfleet_fleet::grants::remove(&platform.store, &*platform.entropy, act, application, id).await.expect("removed");
    setting.report(&taken.reverse_path, &unknown("ada@sender.test")).await.expect("accepted");
    assert_eq!(setting.events("message.bounced").await.len(), 0);
    let unassigned = feedback::list(&platform.store, None, 100, None).await.expect("list").items;
    assert_eq!((unassigned.len(), unassigned[0].outcome.as_str()), (1, "unmatched"));
    let refused =
        setting.world.receive("a@sender.test", &taken.reverse_path, "From: a@sender.test\r\n\r\nHi\r\n").await;
    assert_eq!(refused.expect_err("refused").code, "no_such_mailbox");
}

#[tokio::test]
async fn a_message_to_a_mailbox_and_a_return_path_reaches_both() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    setting.world.mailbox(&setting.tenant, "other").await;
    let arrival = receive::Arrival {
        reverse_path: postfleet_core::ReversePath::Null,
        recipients: ["other@acme.test", &taken.reverse_path].map(|to| to.parse().expect("address")).into(),
        helo: "mx.sender.test".to_owned(),
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
        protocol: Default::default(),
        message: unknown("ada@sender.test").into_bytes(),
    };
    receive::receive(&setting.world.platform, arrival).await.expect("accepted");
    assert_eq!(setting.events("message.bounced").await.len(), 1);
    assert_eq!(setting.inbox().await.len(), 1);
}

#[tokio::test]
async fn a_message_between_mailboxes_here_has_its_return_path_too() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let sent = setting.send(&["other@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let received = setting.folder(&other, "inbox").await.remove(0);
    let headers = received.headers.expect("headers");
    let path = headers[0].value.trim_matches(['<', '>']);
    assert_eq!(headers[0].name, "Return-Path");
    let path = path.parse().expect("address");
    let reading = setting.world.platform.keys.return_paths().read(&path, setting.world.platform.clock.now());
    let message: MessageId = sent.message.id.parse().expect("id");
    assert_eq!(reading, postfleet_core::return_path::Reading::Genuine { message });
}

#[tokio::test]
async fn records_are_kept_for_their_days_and_go_with_their_mailbox() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    setting.report(&taken.reverse_path, &unknown("ada@sender.test")).await.expect("accepted");
    let platform = &setting.world.platform;
    setting.world.advance(90 * 86_400);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(setting.feedback().await.len(), 1, "at the limit");
    setting.world.advance(1);
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(setting.feedback().await.len(), 0);

    setting.report("agent@acme.test", &unknown("ada@sender.test")).await.expect("accepted");
    let act = setting.world.act(&setting.tenant);
    let (application, id) = (setting.tenant.application_id, setting.agent.id);
    postfleet_fleet::grants::remove(&platform.store, &*platform.entropy, act, application, id).await.expect("removed");
    janitor::clean_once(platform).await.expect("cleaned");
    assert_eq!(setting.feedback().await.len(), 0);
}

/// The forgeries of a day: none counts, whatever they are made of.
#[tokio::test]
async fn of_a_thousand_forged_reports_none_counts() {
    let (setting, _, taken) = sent_to(&["ada@sender.test"]).await;
    let (local, domain) = taken.reverse_path.split_once('@').expect("address");
    let alphabet: Vec<char> = "abcdefghijklmnopqrstuvwxyz234567".chars().collect();
    let mut accepted = 0;
    for number in 0..1_000_usize {
        let mut forged: Vec<char> = local.chars().collect();
        let at = 2 + number % 48;
        forged[at] = alphabet[(alphabet.iter().position(|c| *c == forged[at]).expect("letter") + 1 + number / 48) % 32];
        let to = format!("{}@{domain}", forged.into_iter().collect::<String>());
        let is_same = to == taken.reverse_path;
        if !is_same && setting.report(&to, &unknown("ada@sender.test")).await.is_ok() {
            accepted += 1;
        }
    }
    assert_eq!((accepted, setting.events("message.bounced").await.len()), (0, 0));
    assert!(setting.feedback().await.len() <= 1);
}
