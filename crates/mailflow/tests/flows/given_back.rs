//! What is leased and nobody attempts: it comes again long before its lease ends.

use crate::support::Setting;
use futures::FutureExt;
use postfleet_mail::Participant;
use postfleet_mailflow::submit::{Outgoing, send};
use postfleet_mailflow::{Platform, deliver};
use postfleet_testkit::smtp::FakeSmtp;
use std::fmt::Write;
use tokio::task::yield_now;

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_given_back_by_the_next() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let platform = &setting.world.platform;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    // It is handed to the store, and nobody waits for what it brings.
    assert!(deliver::claim(platform, 10).now_or_never().is_none());
    assert_eq!((setting.world.deliver_due().await, peer.messages().len()), (1, 1));
    let delivered = setting.events("message.delivered").await;
    assert_eq!(delivered[0]["ambiguous"], false, "nobody can have it twice");
}

#[tokio::test]
async fn a_message_whose_sender_did_not_wait_for_the_answer_is_delivered() {
    let peer = FakeSmtp::accepting().await;
    let mut setting = Setting::new(&peer).await;
    let (handoff, mut handed_over) = tokio::sync::mpsc::channel(1);
    setting.world.platform = Platform { handoff: Some(handoff.clone()), ..setting.world.platform.clone() };
    let platform = &setting.world.platform;
    {
        let mut sending = Box::pin(setting.send(&["ada@sender.test"]));
        // Room is taken in the moment in which the command is handed to the store.
        while handoff.capacity() > 0 {
            assert!((&mut sending).now_or_never().is_none());
            yield_now().await;
        }
    }
    let in_doubt = handed_over.recv().await.expect("handed over");
    deliver::attempt(platform, in_doubt).await.expect("given back");
    assert_eq!(peer.messages().len(), 0, "it was claimed by nobody");
    assert_eq!((setting.world.deliver_due().await, peer.messages().len()), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_begun_is_due_again_soon() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let to = Participant { name: String::new(), email: "ada@sender.test".to_owned() };
    let outgoing = Outgoing { to: vec![to], body: incompressible(), is_plaintext: true, ..Outgoing::default() };
    send(&setting.world.platform, &setting.agent, outgoing).await.expect("accepted");
    let (bodies, aside) = (setting.world.folder().join("blobs"), setting.world.folder().join("aside"));
    std::fs::rename(&bodies, &aside).expect("taken away");
    for delivery in deliver::claim(&setting.world.platform, 10).await.expect("claim") {
        let problem = deliver::attempt(&setting.world.platform, delivery).await.expect_err("its body is away");
        assert!(problem.is_retryable(), "{problem:?}");
    }
    assert_eq!(setting.due_in().await, Some(30));
    std::fs::rename(&aside, &bodies).expect("brought back");
    setting.attempt_next().await;
    assert_eq!(peer.messages().len(), 1);
}

/// A text that is too large for its row, also when it is compressed.
fn incompressible() -> String {
    let mut text = String::new();
    let mut state = 1_u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        write!(text, "{state:016x}\r\n").expect("a string");
    }
    text
}
