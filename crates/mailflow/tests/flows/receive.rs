//! Mail in.

use crate::support::Setting;
use postfleet_core::ProblemKind;
use postfleet_mailflow::receive::RECEIVED_MAX;
use postfleet_testkit::smtp::FakeSmtp;
use postfleet_testkit::world::WorldOptions;

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
