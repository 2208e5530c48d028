//! Which way mail takes: the order of servers, addresses to send from, relays.

use crate::support::Setting;
use postfleet_core::{Domain, Secret};
use postfleet_mailflow::{Egress, EgressSource, Relay, RelayTls};
use postfleet_net::StaticResolver;
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment, SmtpOffer};
use postfleet_testkit::tls::Authority;
use postfleet_testkit::world::WorldOptions;
use postfleet_wire::smtp::client::Login;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn options(resolver: StaticResolver, peer: &FakeSmtp) -> WorldOptions {
    WorldOptions { resolver, mx_port: peer.address().port(), ..WorldOptions::default() }
}

#[tokio::test]
async fn mail_that_would_come_back_to_us_is_returned() {
    let peer = FakeSmtp::accepting().await;
    let resolver = StaticResolver::everything_at(LOOPBACK)
        .with_mx("circle.test", 10, "mx.world.test")
        .with_mx("circle.test", 20, "other.circle.test")
        .with_mx("backup.test", 5, "mx.backup.test")
        .with_mx("backup.test", 10, "MX.World.test");
    let setting = Setting::with(options(resolver, &peer)).await;
    setting.send(&["ada@circle.test", "ada@backup.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    // To a server that is preferred to us, and to no other.
    assert_eq!(peer.messages().len(), 1);
    assert_eq!(peer.messages()[0].recipients, ["ada@backup.test"]);
    let bounced = setting.events("message.bounced").await;
    assert_eq!(bounced.len(), 1);
    assert_eq!((&bounced[0]["recipient"], &bounced[0]["status"]), (&"ada@circle.test".into(), &"5.4.6".into()));
}

#[tokio::test]
async fn servers_without_an_address_are_passed_over_and_waited_for_if_all_are() {
    let peer = FakeSmtp::accepting().await;
    let resolver = StaticResolver::empty()
        .with_mx("half.test", 10, "gone.half.test")
        .with_mx("half.test", 20, "there.half.test")
        .with_address("there.half.test", LOOPBACK)
        .with_mx("lost.test", 10, "gone.lost.test")
        .with_mx("lost.test", 20, "failing.lost.test")
        .failing("failing.lost.test")
        .with_address("implicit.test", LOOPBACK);
    let setting = Setting::with(options(resolver, &peer)).await;
    setting.send(&["a@half.test", "b@lost.test", "c@implicit.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let mut taken: Vec<String> = peer.messages().into_iter().flat_map(|message| message.recipients).collect();
    taken.sort();
    assert_eq!(taken, ["a@half.test", "c@implicit.test"]);
    assert!(setting.due_in().await.is_some());
    assert!(setting.last_reply("b@lost.test").await.contains("4.4.3 no mail server of lost.test has an address"));
}

#[tokio::test]
async fn servers_are_reached_by_the_family_that_works() {
    let port = FakeSmtp::accepting().await.address().port();
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let peer = FakeSmtp::start_at(six, SmtpOffer::default(), |_| SmtpAnswer::Good).await;
    // Nobody listens at the IPv4 addresses.
    let resolver = StaticResolver::empty()
        .with_address("both.test", IpAddr::from([127, 0, 0, 2]))
        .with_address("both.test", six.ip())
        .with_address("six.test", six.ip());
    let setting = Setting::with(options(resolver, &peer)).await;
    setting.send(&["a@both.test", "b@six.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!((peer.messages().len(), setting.due_in().await), (2, None));
    assert!(peer.messages().iter().all(|message| message.client == Some(six.ip())));
}

fn source(name: &str, addresses: &[IpAddr]) -> EgressSource {
    let helo = Domain::parse(&format!("{name}.world.test")).expect("domain");
    EgressSource { name: name.to_owned(), addresses: addresses.to_vec(), helo }
}

#[tokio::test]
async fn mail_leaves_from_the_address_of_its_workspace_or_domain() {
    let peer = FakeSmtp::accepting().await;
    let world_options = || options(StaticResolver::everything_at(LOOPBACK), &peer);
    let local = |last| IpAddr::from([127, 0, 0, last]);
    let acme = Domain::parse("acme.test").expect("domain");
    let mut by_domain = Egress::default();
    by_domain.add(source("main", &[local(2)]), &[], &[], true);
    by_domain.add(source("news", &[local(3)]), std::slice::from_ref(&acme), &[], false);
    let mut all = Egress::default();
    all.add(source("main", &[local(2)]), &[], &[], true);
    for (egress, expected) in [(by_domain.clone(), (local(3), "news.world.test")), (all, (local(2), "main.world.test"))]
    {
        let setting = Setting::with(WorldOptions { egress, ..world_options() }).await;
        setting.send(&["ada@sender.test"]).await.expect("accepted");
        setting.world.deliver_due().await;
        let message = peer.messages().pop().expect("message");
        assert_eq!((message.client, message.helo.as_str()), (Some(expected.0), expected.1));
    }
    // The workspace is known only once it is made; its choice wins.
    let mut setting = Setting::with(world_options()).await;
    by_domain.add(source("vip", &[local(4)]), &[], &[setting.tenant.workspace_id], false);
    let mut settings = postfleet_mailflow::Settings::clone(&setting.world.platform.settings);
    settings.routes.egress = by_domain;
    setting.world.platform.settings = Arc::new(settings);
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    let message = peer.messages().pop().expect("message");
    assert_eq!((message.client, message.helo.as_str()), (Some(local(4)), "vip.world.test"));
}

#[tokio::test]
async fn a_source_reaches_servers_of_its_family_only() {
    let peer = FakeSmtp::accepting().await;
    let mut egress = Egress::default();
    egress.add(source("six", &[IpAddr::V6(Ipv6Addr::LOCALHOST)]), &[], &[], true);
    let setting =
        Setting::with(WorldOptions { egress, ..options(StaticResolver::everything_at(LOOPBACK), &peer) }).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(peer.messages().len(), 0);
    let reply = setting.last_reply("ada@sender.test").await;
    assert!(
        reply.contains("no mail server of sender.test has an address of the family that six sends from"),
        "{reply}"
    );
}

/// A relay for which one must sign in; it refuses everybody while `closed`.
async fn relay(authority: &Authority, is_implicit: bool, closed: Arc<AtomicBool>) -> FakeSmtp {
    let tls = Some(authority.certify("relay.test").acceptor);
    let offer = SmtpOffer { tls, is_implicit, login: true };
    FakeSmtp::start_at(SocketAddr::new(LOOPBACK, 0), offer, move |moment| match moment {
        SmtpMoment::Login(words) if words != "AUTH PLAIN AGFsaQBzZXNhbWU=" || closed.load(Ordering::Relaxed) => {
            SmtpAnswer::Say("535 5.7.8 who are you?".to_owned())
        }
        _ => SmtpAnswer::Good,
    })
    .await
}

fn to(peer: &FakeSmtp, tls: RelayTls, password: &str) -> Option<Relay> {
    let password = Secret::new(password.to_owned());
    let login = Login { username: "ali".to_owned(), password, in_clear: false };
    Some(Relay { host: "relay.test".to_owned(), port: peer.address().port(), tls, login: Some(Arc::new(login)) })
}

#[tokio::test]
async fn a_relay_is_signed_in_to_over_tls() {
    let authority = Authority::default();
    for (is_implicit, tls) in [(false, RelayTls::Required), (true, RelayTls::Implicit)] {
        let closed = Arc::new(AtomicBool::new(true));
        let peer = relay(&authority, is_implicit, closed.clone()).await;
        let options = WorldOptions {
            relay: to(&peer, tls, "sesame"),
            extra_roots: vec![authority.root()],
            ..WorldOptions::default()
        };
        let setting = Setting::with(options).await;
        setting.send(&["ada@sender.test"]).await.expect("accepted");
        setting.world.deliver_due().await;
        // What only the operator can mend is no fault of the message.
        assert_eq!((peer.messages().len(), setting.events("message.bounced").await.len()), (0, 0));
        let reply = setting.last_reply("ada@sender.test").await;
        assert_eq!(reply, "4.7.0 relay relay.test: AUTH: server said 535 5.7.8 who are you?");
        closed.store(false, Ordering::Relaxed);
        setting.attempt_next().await;
        assert_eq!(setting.world.deliver_due().await, 0, "its turn, at which nothing waits");
        assert_eq!((peer.messages().len(), setting.due_in().await), (1, None));
        assert!(peer.messages()[0].is_encrypted);
    }
}

#[tokio::test]
async fn a_password_is_kept_from_a_relay_that_cannot_be_verified() {
    let authority = Authority::default();
    let closed = Arc::new(AtomicBool::new(false));
    let peer = relay(&authority, false, closed).await;
    // The authority is not trusted here.
    let options = WorldOptions { relay: to(&peer, RelayTls::Required, "sesame"), ..WorldOptions::default() };
    let setting = Setting::with(options).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(peer.messages().len(), 0);
    let reply = setting.last_reply("ada@sender.test").await;
    assert!(reply.starts_with("4.7.5 relay relay.test: relay.test: ") && reply.contains("UnknownIssuer"), "{reply}");
    // A login without TLS is not tried either.
    let options = WorldOptions { relay: to(&peer, RelayTls::Opportunistic, "sesame"), ..WorldOptions::default() };
    let clear =
        FakeSmtp::start_at(SocketAddr::new(LOOPBACK, 0), SmtpOffer { login: true, ..SmtpOffer::default() }, |_| {
            SmtpAnswer::Good
        })
        .await;
    let relay = options.relay.map(|relay| Relay { port: clear.address().port(), ..relay });
    let setting = Setting::with(WorldOptions { relay, ..WorldOptions::default() }).await;
    setting.send(&["ada@sender.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    assert_eq!(clear.messages().len(), 0);
    let reply = setting.last_reply("ada@sender.test").await;
    assert!(reply.contains("AUTH: no usable way to sign in is offered"), "{reply}");
}
