//! Who is stopped sends nothing more, whatever a worker has in its hands already; and who is freed sends what has waited, once.

use crate::support::Setting;
use postfleet_core::id::{EventId, StopId};
use postfleet_core::stop::{Kind, Scope};
use postfleet_mailflow::{deliver, stops};
use postfleet_store::organizations;
use postfleet_store::stops::{Lift, LiftOutcome, LiftStop, RaiseOutcome, RaiseStop, Within};
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer};

const OPERATOR: Within = Within::Operator(organizations::Scope::All);

async fn stop(setting: &Setting, kind: Kind, scope: Scope, subject: String) -> StopId {
    let platform = &setting.world.platform;
    let now = platform.clock.now();
    let command = RaiseStop {
        id: StopId::new(now, platform.entropy.ten()),
        act: setting.world.act(&setting.tenant),
        event_id: EventId::new(now, platform.entropy.ten()),
        kind,
        scope,
        subject,
        within: OPERATOR,
        reason: "an incident".to_owned(),
        reference: None,
    };
    match platform.store.run(command).await.expect("raise") {
        RaiseOutcome::InForce(record, true) => record.stop.id,
        other => panic!("not raised: {other:?}"),
    }
}

async fn lift(setting: &Setting, id: StopId) {
    let platform = &setting.world.platform;
    let event_id = EventId::new(platform.clock.now(), platform.entropy.ten());
    let lift = Lift { act: setting.world.act(&setting.tenant), event_id, reason: "over".to_owned() };
    let outcome = platform.store.run(LiftStop { id, kind: None, within: OPERATOR, lift }).await.expect("lift");
    assert!(matches!(outcome, LiftOutcome::Lifted(_, true)), "{outcome:?}");
    while stops::sweep_once(platform).await.expect("sweep") {}
    stops::refresh_once(platform).await.expect("refresh");
}

#[tokio::test]
async fn what_was_claimed_before_the_stop_does_not_leave_and_leaves_once_afterwards() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::Good).await;
    let setting = Setting::new(&peer).await;
    let platform = &setting.world.platform;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.send(&["bob@sender.test"]).await.expect("accepted");
    let in_hand = deliver::claim(platform, 100).await.expect("claim");
    assert_eq!(in_hand.len(), 2);
    let id = stop(&setting, Kind::Restriction, Scope::Domain, setting.tenant.domain.to_string()).await;
    assert!(stops::refresh_once(platform).await.expect("refresh"));
    assert!(!stops::refresh_once(platform).await.expect("refresh"), "nothing new");
    for delivery in in_hand {
        deliver::attempt(platform, delivery).await.expect("attempt");
    }
    assert_eq!(peer.messages().len(), 0, "nothing has left");
    assert_eq!(setting.world.deliver_due().await, 0, "and nothing is claimed");
    assert_eq!(setting.send(&["eve@sender.test"]).await.expect_err("restricted").code, "abuse_restriction");
    // For longer than anything else may wait.
    setting.world.advance(10 * 86_400);
    assert_eq!(deliver::expire_once(platform, 100).await.expect("expire"), 0);
    assert_eq!(setting.events("message.bounced").await.len(), 0);

    lift(&setting, id).await;
    setting.world.deliver_due().await;
    let reached: Vec<String> = peer.messages().into_iter().flat_map(|message| message.recipients).collect();
    assert_eq!(reached, ["ada@sender.test", "bob@sender.test"], "each once, in the order in which they were accepted");
    assert_eq!(setting.events("message.delivered").await.len(), 2);
    setting.send(&["eve@sender.test"]).await.expect("the next attempt works");
    assert_eq!(setting.events("sending.resumed").await.len(), 1);
}

#[tokio::test]
async fn who_is_not_concerned_goes_on() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::Good).await;
    let setting = Setting::new(&peer).await;
    let platform = &setting.world.platform;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    let in_hand = deliver::claim(platform, 100).await.expect("claim");
    // Below the domain of the mailbox, which is another one.
    stop(&setting, Kind::Switch, Scope::Domain, format!("other.{}", setting.tenant.domain)).await;
    stops::refresh_once(platform).await.expect("refresh");
    for delivery in in_hand {
        deliver::attempt(platform, delivery).await.expect("attempt");
    }
    assert_eq!(peer.messages().len(), 1);
}
