//! Mail out to destinations that are dead, slow or have too much: others do not notice, and nothing is lost.

use crate::support::Setting;
use postfleet_core::id::MessageId;
use postfleet_mailflow::{deliver, queue};
use postfleet_net::StaticResolver;
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
use postfleet_testkit::world::WorldOptions;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Everything at `peer`, but `dead.test`, where nobody listens.
async fn with_a_dead_one(peer: &FakeSmtp) -> Setting {
    let resolver = StaticResolver::everything_at(LOOPBACK)
        .with_mx("dead.test", 10, "mx.dead.test")
        .with_address("mx.dead.test", IpAddr::from([127, 0, 0, 2]));
    let options = WorldOptions { resolver, mx_port: peer.address().port(), ..WorldOptions::default() };
    Setting::with(options).await
}

fn id(sent: &postfleet_mailflow::submit::Sent) -> MessageId {
    sent.message.id.parse().expect("id")
}

#[tokio::test]
async fn a_dead_destination_is_probed_with_one_message_and_all_its_others_wait() {
    let peer = FakeSmtp::accepting().await;
    let setting = with_a_dead_one(&peer).await;
    for number in 0..5 {
        setting.send(&[&format!("a{number}@dead.test")]).await.expect("accepted");
    }
    // All of those that were under way say the same; that counts once.
    setting.world.deliver_due().await;
    let known = async || {
        queue::destination(&setting.world.platform, postfleet_store::organizations::Scope::All, "dead.test").await
    };
    let found = known().await.expect("known");
    assert_eq!((found.state.as_str(), found.failures, found.waiting), ("failing", 1, 5));
    // Others are not held up, the dead one's are not even looked at.
    setting.send(&["b@sender.test"]).await.expect("accepted");
    setting.send(&["b@dead.test"]).await.expect("accepted");
    assert_eq!((setting.world.deliver_due().await, peer.messages().len()), (1, 1));
    let wait = setting.due_in().await.expect("a turn");
    assert!((40..=60).contains(&wait), "{wait} s");
    setting.world.advance(wait);
    assert_eq!(setting.world.deliver_due().await, 1, "one finds out");
    let found = known().await.expect("known");
    assert_eq!((found.failures, found.depth, found.waiting), (2, 6, 6));
    let wait = setting.due_in().await.expect("a turn");
    assert!((85..=120).contains(&wait), "{wait} s");
}

#[tokio::test]
async fn a_destination_that_answers_again_gets_all_that_waited() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let peer = FakeSmtp::start(move |moment| match moment {
        SmtpMoment::Greeting if down.load(Ordering::Relaxed) => SmtpAnswer::HangUp,
        _ => SmtpAnswer::Good,
    })
    .await;
    let setting = Setting::new(&peer).await;
    for number in 0..12 {
        setting.send(&[&format!("a{number}@sender.test")]).await.expect("accepted");
    }
    assert_eq!(setting.world.deliver_due().await, 5, "as many as a destination gets at first");
    assert_eq!(setting.world.deliver_due().await, 0);
    is_down.store(false, Ordering::Relaxed);
    setting.world.advance(60);
    let mut rounds = Vec::new();
    while peer.messages().len() < 12 {
        rounds.push(setting.world.deliver_due().await);
        assert!(rounds.len() < 20, "{rounds:?}");
    }
    // One to find out, and then more and more.
    assert_eq!(rounds[0], 1);
    assert!(rounds[..rounds.len() - 1].is_sorted() && rounds.len() < 8, "{rounds:?}");
    assert_eq!(setting.events("message.delivered").await.len(), 12);
    assert_eq!(setting.due_in().await, None);
}

#[tokio::test]
async fn what_waited_behind_a_dead_destination_for_five_days_is_reported() {
    let peer = FakeSmtp::accepting().await;
    let setting = with_a_dead_one(&peer).await;
    setting.send(&["a@dead.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let second = setting.send(&["b@dead.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let platform = &setting.world.platform;
    setting.world.advance(5 * 86_400);
    assert_eq!(deliver::expire_once(platform, 10).await.expect("expire"), 0, "not a moment early");
    setting.world.advance(1);
    assert_eq!(deliver::expire_once(platform, 10).await.expect("expire"), 2);
    assert_eq!(deliver::expire_once(platform, 10).await.expect("expire"), 0);
    let bounced = setting.events("message.bounced").await;
    assert_eq!(bounced.len(), 2);
    assert!(bounced.iter().all(|facts| facts["expired"] == true && facts["status"] == "4.4.7"), "{bounced:?}");
    assert_eq!(setting.inbox().await.len(), 2);
    let life = queue::life(platform, setting.agent.application_id, id(&second)).await.expect("life");
    assert_eq!((life.state.as_str(), life.recipients[0].state.as_str()), ("done", "expired"));
    assert_eq!(life.attempts.len(), 1, "it was never attempted, only given up");
}

#[tokio::test]
async fn a_destination_that_has_too_much_gets_less_at_once() {
    let busy = Arc::new(AtomicUsize::new(0));
    let counted = busy.clone();
    let peer = FakeSmtp::start(move |moment| match moment {
        SmtpMoment::Recipient(_) if counted.fetch_add(1, Ordering::Relaxed) < 5 => {
            SmtpAnswer::Say("421 4.7.0 too many connections".into())
        }
        _ => SmtpAnswer::Good,
    })
    .await;
    let setting = Setting::new(&peer).await;
    for number in 0..9 {
        setting.send(&[&format!("a{number}@sender.test")]).await.expect("accepted");
    }
    assert_eq!(setting.world.deliver_due().await, 5);
    // Halved, and halved again, to one with a pause in between: not at once, and then one.
    assert_eq!(setting.world.deliver_due().await, 0);
    setting.world.advance(8);
    assert_eq!(setting.world.deliver_due().await, 1);
    // It does not fail: the others come one after the other, and then what was put off.
    for _ in 0..60 {
        setting.world.advance(10);
        setting.world.deliver_due().await;
    }
    assert_eq!((peer.messages().len(), setting.due_in().await), (9, None));
}

#[tokio::test]
async fn a_slow_destination_takes_its_own_places_and_no_others() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let platform = &setting.world.platform;
    for number in 0..30 {
        setting.send(&[&format!("a{number}@slow.test")]).await.expect("accepted");
    }
    let held = deliver::claim(platform, 64).await.expect("claim");
    assert_eq!(held.len(), 5, "they are under way and do not end");
    let sent = setting.send(&["b@sender.test"]).await.expect("accepted");
    let next = deliver::claim(platform, 64).await.expect("claim");
    assert_eq!(next.len(), 1, "the first claim brings the mail of another");
    for delivery in next {
        deliver::attempt(platform, delivery).await.expect("attempt");
    }
    let life = queue::life(platform, setting.agent.application_id, id(&sent)).await.expect("life");
    assert_eq!((life.state.as_str(), life.recipients[0].state.as_str()), ("done", "delivered"));
    // Nobody is woken for what has no room.
    let lease_ends = platform.settings.lease;
    assert_eq!(setting.due_in().await, Some(lease_ends.as_secs()));
    drop(held);
    assert!(setting.due_in().await.is_some_and(|wait| Duration::from_secs(wait) < lease_ends));
}
