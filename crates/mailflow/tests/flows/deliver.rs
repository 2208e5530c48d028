//! Mail out: what follows from what other servers say, or do not.

use crate::support::Setting;
use postfleet_core::retry::DELIVERY_HORIZON;
use postfleet_mail::dsn;
use postfleet_mailflow::queue;
use postfleet_mailflow::{Platform, Relay, Settings, deliver};
use postfleet_net::StaticResolver;
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
use postfleet_testkit::world::{BEGINNING, WorldOptions};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn say(line: &str) -> SmtpAnswer {
    SmtpAnswer::Say(line.to_owned())
}

/// A server that answers the first message so, and accepts the later ones.
async fn at_first(answer: SmtpAnswer) -> FakeSmtp {
    let count = AtomicUsize::new(0);
    FakeSmtp::start(move |moment| match moment {
        SmtpMoment::Message(_) if count.fetch_add(1, Ordering::Relaxed) == 0 => answer.clone(),
        _ => SmtpAnswer::Good,
    })
    .await
}

#[tokio::test]
async fn a_message_is_delivered_signed_and_announced() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let sent = setting.send(&["ada@sender.test", "bob@sender.test"]).await.expect("accepted");
    assert_eq!(setting.world.deliver_due().await, 1);
    // One transaction for both recipients of the domain.
    let messages = peer.messages();
    assert_eq!(messages.len(), 1);
    let mut reached = messages[0].recipients.clone();
    reached.sort();
    assert_eq!(reached, ["ada@sender.test", "bob@sender.test"]);
    let text = messages[0].text();
    assert!(text.contains(&format!("\r\nMessage-ID: <{}@acme.test>\r\n", sent.message.id)), "{text}");
    // One signature for each of the domain's keys.
    assert_eq!(messages[0].count_fields("DKIM-Signature"), 2);
    for algorithm in ["a=rsa-sha256", "a=ed25519-sha256"] {
        assert_eq!(text.matches(algorithm).count(), 1, "{text}");
    }
    let delivered = setting.events("message.delivered").await;
    let mut recipients: Vec<_> = delivered.iter().filter_map(|facts| facts["recipient"].as_str()).collect();
    recipients.sort_unstable();
    assert_eq!(recipients, ["ada@sender.test", "bob@sender.test"]);
    assert_eq!(delivered[0]["at"], BEGINNING.as_seconds());
    assert_eq!(setting.due_in().await, None);
}

#[tokio::test]
async fn a_message_refused_for_now_comes_again_a_minute_later_the_same() {
    let peer = at_first(say("451 4.3.0 later")).await;
    let setting = Setting::new(&peer).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let wait = setting.due_in().await.expect("queued");
    assert!((45..=60).contains(&wait), "{wait} s");
    assert_eq!(setting.events("message.delivered").await.len(), 0);
    // Not a moment earlier.
    setting.world.advance(wait - 1);
    assert_eq!(setting.world.deliver_due().await, 0);
    setting.world.advance(1);
    assert_eq!(setting.world.deliver_due().await, 1);
    let messages = peer.messages();
    assert_eq!(messages.len(), 2);
    // To the octet, signatures included: receivers recognise the repetition.
    assert_eq!(messages[0], messages[1]);
    assert_eq!(setting.events("message.delivered").await[0]["ambiguous"], false);
    assert_eq!(setting.due_in().await, None);
}

#[tokio::test]
async fn a_recipient_refused_for_good_is_reported_in_the_inbox_and_announced() {
    let peer = FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient("gone@sender.test") => say("550 5.1.1 no such user here"),
        _ => SmtpAnswer::Good,
    })
    .await;
    let setting = Setting::new(&peer).await;
    let sent = setting.send(&["gone@sender.test", "ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(peer.messages()[0].recipients, ["ada@sender.test"]);
    assert_eq!(setting.events("message.delivered").await.len(), 1);
    let bounced = setting.events("message.bounced").await;
    assert_eq!(bounced.len(), 1);
    assert_eq!((&bounced[0]["recipient"], &bounced[0]["status"]), (&"gone@sender.test".into(), &"5.1.1".into()));
    assert_eq!(bounced[0]["diagnostic_code"], "smtp; 550 5.1.1 no such user here");
    assert_eq!((&bounced[0]["bounce_class"], &bounced[0]["bounce_type"]), (&"hard".into(), &"UnknownUser".into()));
    assert_eq!(bounced[0]["expired"], false);

    let inbox = setting.inbox().await;
    assert_eq!(inbox.len(), 1);
    let notice = &inbox[0];
    assert_eq!(notice.from[0].email, "mailer-daemon@mx.world.test");
    assert_eq!(notice.thread_id, sent.message.thread_id, "the notice belongs to the conversation");
    let raw = raw(&setting, &notice.id).await;
    let report = dsn::parse(&raw).expect("a report");
    assert_eq!(report.recipients.len(), 1);
    assert_eq!(report.recipients[0].address.to_string(), "gone@sender.test");
    assert_eq!(report.recipients[0].status, "5.1.1");
    assert_eq!(
        report.original_message_id,
        sent.message.message_id_header.map(|id| id.trim_matches(['<', '>']).to_owned())
    );
    // A notice is announced like any mail, and is never sent anywhere.
    assert_eq!(setting.events("message.created").await.len(), 2);
    assert_eq!(setting.due_in().await, None);
}

async fn raw(setting: &Setting, id: &str) -> Vec<u8> {
    let store = &setting.world.platform.store;
    let mut reader = store.reader().await.expect("reader");
    let found = postfleet_mailbox::messages::load(store, &mut reader, setting.agent.id, id.parse().expect("id")).await;
    found.expect("read").expect("message").1
}

#[tokio::test]
async fn a_message_that_is_never_taken_expires_after_five_days() {
    let peer = FakeSmtp::start(|moment| match moment {
        SmtpMoment::Message(_) => say("451 4.2.1 greylisted forever"),
        _ => SmtpAnswer::Good,
    })
    .await;
    let setting = Setting::new(&peer).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    let (mut attempts, mut last_wait) = (0, 0);
    while let Some(wait) = setting.due_in().await {
        // Waits grow to four hours at most.
        assert!(wait <= 4 * 3_600 && wait * 2 >= last_wait, "{wait} s after {last_wait} s");
        last_wait = wait;
        setting.attempt_next().await;
        attempts += 1;
        assert!(attempts < 100, "no end");
    }
    let elapsed = setting.world.platform.clock.now().since(BEGINNING);
    assert!(elapsed <= DELIVERY_HORIZON && elapsed > DELIVERY_HORIZON - Duration::from_secs(4 * 3_600), "{elapsed:?}");
    assert!((30..60).contains(&attempts), "{attempts} attempts");
    assert_eq!(peer.messages().len(), attempts);
    let bounced = setting.events("message.bounced").await;
    assert_eq!((bounced.len(), &bounced[0]["expired"]), (1, &true.into()));
    assert_eq!(setting.inbox().await.len(), 1);
}

#[tokio::test]
async fn a_connection_lost_after_the_last_dot_is_tried_again_and_flagged() {
    let peer = at_first(SmtpAnswer::HangUp).await;
    let setting = Setting::new(&peer).await;
    let sent = setting.send(&["ada@sender.test"]).await.expect("accepted");
    let life = async || {
        let id = sent.message.id.parse().expect("id");
        let life = queue::life(&setting.world.platform, setting.agent.application_id, id).await.expect("known");
        (life.recipients[0].state.clone(), life.recipients[0].ambiguous, life.recipients[0].last_reply.clone())
    };
    setting.world.deliver_due().await;
    assert_eq!((peer.messages().len(), setting.events("message.delivered").await.len()), (1, 0));
    let (state, ambiguous, last_reply) = life().await;
    assert_eq!((state.as_str(), ambiguous), ("deferred", true));
    let last_reply = last_reply.expect("why");
    assert!(last_reply.starts_with("4.4.2 end of message: ") && last_reply.matches("end of message").count() == 1);
    setting.attempt_next().await;
    let messages = peer.messages();
    assert_eq!((messages.len(), &messages[0]), (2, &messages[1]));
    // Also afterwards: there may be two copies.
    let (state, ambiguous, _) = life().await;
    assert_eq!((state.as_str(), ambiguous), ("delivered", true));
    let delivered = setting.events("message.delivered").await;
    assert_eq!((delivered.len(), &delivered[0]["ambiguous"]), (1, &true.into()));
    // The server may have it, so the quota stays spent.
    assert_eq!(setting.sends_counted().await, 1);
}

#[tokio::test]
async fn mail_between_two_mailboxes_here_needs_no_network() {
    let setting = Setting::with(WorldOptions { resolver: StaticResolver::empty(), ..WorldOptions::default() }).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let sent = setting.send(&["OTHER@acme.test", "nobody@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let received = setting.folder(&other, "inbox").await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].message_id_header, sent.message.message_id_header);
    assert_eq!((received[0].direction, received[0].unread), ("inbound", true));
    let headers = received[0].headers.as_ref().expect("headers");
    let count = |name: &str| headers.iter().filter(|header| header.name == name).count();
    assert_eq!((count("DKIM-Signature"), count("Received"), count("Return-Path")), (2, 1, 1));
    assert_eq!(setting.events("message.delivered").await.len(), 1);
    // The one that does not exist bounces as it would elsewhere.
    let bounced = setting.events("message.bounced").await;
    assert_eq!((&bounced[0]["recipient"], &bounced[0]["status"]), (&"nobody@acme.test".into(), &"5.1.1".into()));
    assert_eq!(setting.inbox().await.len(), 1);
}

#[tokio::test]
async fn domains_without_mail_fail_at_once_and_give_the_quota_back() {
    let resolver = StaticResolver::everything_at(LOOPBACK).with_mx("null.test", 0, ".").without("nowhere.test");
    let setting = Setting::with(WorldOptions { resolver, ..WorldOptions::default() }).await;
    for (recipient, status) in [("a@null.test", "5.1.10"), ("a@nowhere.test", "5.1.2")] {
        assert_eq!(setting.send(&[recipient]).await.expect("accepted").daily.used, 1, "{recipient}");
        setting.world.deliver_due().await;
        let bounced = setting.events("message.bounced").await;
        let last = bounced.last().expect("bounced");
        assert_eq!((&last["recipient"], &last["status"]), (&recipient.into(), &status.into()));
    }
    assert_eq!(setting.sends_counted().await, 0);
    assert_eq!(setting.inbox().await.len(), 2);
}

#[tokio::test]
async fn quota_is_given_back_only_when_no_server_answered_for_anybody() {
    let resolver = || StaticResolver::everything_at(LOOPBACK).with_mx("null.test", 0, ".").failing("broken.test");
    let refusing = FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient(_) => say("550 5.7.1 no"),
        _ => SmtpAnswer::Good,
    })
    .await;
    let options = WorldOptions { resolver: resolver(), mx_port: refusing.address().port(), ..WorldOptions::default() };
    let setting = Setting::with(options).await;
    // A server refused one of two: spent.
    setting.send(&["a@sender.test", "a@null.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(setting.sends_counted().await, 1);
    setting.world.deliver_due().await;
    // Names cannot be resolved until the message expires: given back, to the day that it was taken from.
    setting.send(&["a@broken.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(setting.sends_counted().await, 2, "not before it has failed for good");
    while setting.due_in().await.is_some() {
        setting.attempt_next().await;
    }
    let bounced = setting.events("message.bounced").await;
    assert_eq!((&bounced.last().expect("bounced")["expired"], setting.sends_counted().await), (&true.into(), 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_passed_over_for_the_next() {
    let peer = FakeSmtp::accepting().await;
    // Nobody listens on that address: the peer has bound 127.0.0.1 only.
    let resolver = StaticResolver::empty()
        .with_mx("sender.test", 10, "first.sender.test")
        .with_mx("sender.test", 20, "second.sender.test")
        .with_address("first.sender.test", IpAddr::from([127, 0, 0, 2]))
        .with_address("second.sender.test", LOOPBACK);
    let options = WorldOptions { resolver, mx_port: peer.address().port(), ..WorldOptions::default() };
    let setting = Setting::with(options).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!((peer.messages().len(), setting.due_in().await), (1, None));
}

#[tokio::test]
async fn a_server_that_has_refused_is_not_gone_around() {
    let peer = FakeSmtp::start(|moment| match moment {
        SmtpMoment::Message(_) => say("554 5.6.0 not this one"),
        _ => SmtpAnswer::Good,
    })
    .await;
    let resolver = StaticResolver::empty()
        .with_mx("sender.test", 10, "a.sender.test")
        .with_mx("sender.test", 20, "b.sender.test")
        .with_address("a.sender.test", LOOPBACK)
        .with_address("b.sender.test", LOOPBACK);
    let options = WorldOptions { resolver, mx_port: peer.address().port(), ..WorldOptions::default() };
    let setting = Setting::with(options).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!((peer.messages().len(), setting.events("message.bounced").await.len()), (1, 1));
}

#[tokio::test]
async fn a_relay_takes_all_mail_for_others() {
    let peer = FakeSmtp::accepting().await;
    let relay: Relay = peer.address().to_string().parse().expect("relay");
    let options = WorldOptions { resolver: StaticResolver::empty(), relay: Some(relay), ..WorldOptions::default() };
    let setting = Setting::with(options).await;
    setting.send(&["ada@one.test", "bob@two.test", "agent@acme.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let mut recipients: Vec<_> = peer.messages().into_iter().flat_map(|message| message.recipients).collect();
    recipients.sort();
    assert_eq!(recipients, ["ada@one.test", "bob@two.test"]);
    assert_eq!(setting.inbox().await.len(), 1, "our own domain does not go to the relay");
}

#[tokio::test]
async fn a_worker_whose_lease_has_ended_changes_nothing() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let platform = &setting.world.platform;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    let mut first = deliver::claim(platform, 10).await.expect("claim");
    assert_eq!(deliver::claim(platform, 10).await.expect("claim").len(), 0, "leased");
    setting.world.advance(1_800);
    let settings = Settings { node: "node-2".to_owned(), ..(*platform.settings).clone() };
    let second = Platform { settings: Arc::new(settings), ..platform.clone() };
    for delivery in deliver::claim(&second, 10).await.expect("claim") {
        deliver::attempt(&second, delivery).await.expect("attempt");
    }
    deliver::attempt(platform, first.remove(0)).await.expect("attempt");
    let delivered = setting.events("message.delivered").await;
    assert_eq!((delivered.len(), &delivered[0]["ambiguous"]), (1, &true.into()), "told once, and that it may be twice");
}

#[tokio::test]
async fn a_restarted_node_takes_up_what_it_had_leased() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::new(&peer).await;
    let platform = &setting.world.platform;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    drop(deliver::claim(platform, 10).await.expect("claim"));
    assert_eq!(setting.world.deliver_due().await, 0);
    let claimed_at = platform.clock.now();
    assert_eq!(deliver::resume(platform, claimed_at).await.expect("resume"), 0, "a lease of this run is kept");
    let restarted = claimed_at.plus(Duration::from_millis(1));
    assert_eq!(deliver::resume(platform, restarted).await.expect("resume"), 1);
    assert_eq!((setting.world.deliver_due().await, peer.messages().len()), (1, 1));
}

#[tokio::test]
async fn mail_of_a_removed_mailbox_is_delivered_and_its_failure_told_to_nobody() {
    let peer = FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient("gone@sender.test") => say("550 5.1.1 no"),
        _ => SmtpAnswer::Good,
    })
    .await;
    let setting = Setting::new(&peer).await;
    setting.send(&["ada@sender.test", "gone@sender.test"]).await.expect("accepted");
    let (platform, tenant) = (&setting.world.platform, &setting.tenant);
    let (store, entropy, act) = (&platform.store, &*platform.entropy, setting.world.act(tenant));
    postfleet_fleet::grants::remove(store, entropy, act, tenant.application_id, setting.agent.id)
        .await
        .expect("removed");
    setting.world.deliver_due().await;
    assert_eq!(peer.messages().len(), 1);
    assert_eq!(setting.due_in().await, None);
    assert_eq!(setting.events("message.bounced").await.len(), 0);
}
