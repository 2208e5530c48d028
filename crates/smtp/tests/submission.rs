//! The listeners for mail clients on real sockets: TLS, signing in, what a mailbox may send, and what is left of it. The
//! dialogue itself is tested in `wire`.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::id::GrantId;
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::throttle::{PAIR_FAILURES_MAX, PEER_FAILURES_MAX};
use postfleet_core::{Patch, Secret};
use postfleet_fleet::grants;
use postfleet_fleet::mail_client;
use postfleet_fleet::sign_in::{Guess, Outcome};
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::submit::client::ADDED_OCTETS_MAX;
use postfleet_net::{TlsIdentity, tls};
use postfleet_schema::grant::{UpdateGrant, UpdateGrantSettings};
use postfleet_schema::message::Message;
use postfleet_smtp::submission::ForMailClients;
use postfleet_smtp::{Encryption, Limits, Listener};
use postfleet_store::db::DbError;
use postfleet_store::grants::Grant;
use postfleet_store::{Command, Tx, params};
use postfleet_testkit::smtp::FakeSmtp;
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use postfleet_wire::smtp::server::{self, Service};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use support::Client;
use tokio::io::BufStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "Correct1Horse2Battery3";
const OTHER_PASSWORD: &str = "Another1Horse2Battery3";
const MESSAGE: &str = "From: Agent <agent@acme.test>\r\nTo: ann@people.test\r\nSubject: Hello\r\n\r\nHi\r\n";

/// A world with the mailbox `agent@acme.test`, which has a password, and the two listeners for its mail clients.
struct Server {
    world: World,
    tenant: Tenant,
    agent: Grant,
    peer: FakeSmtp,
    starttls: SocketAddr,
    implicit: SocketAddr,
    identity: TlsIdentity,
    stop: CancellationToken,
}

impl Server {
    async fn start() -> Self {
        Self::of(NewTenant::of("acme.test")).await
    }

    async fn of(new: NewTenant) -> Self {
        let peer = FakeSmtp::accepting().await;
        let world = World::with(WorldOptions { mx_port: peer.address().port(), ..WorldOptions::default() }).await;
        let tenant = world.tenant(new).await;
        let agent = world.mailbox(&tenant, "agent").await;
        let identity = TlsIdentity::load_or_create(world.folder(), &["mx.world.test".to_owned()]).expect("certificate");
        let acceptor = || tls::server_config(&identity).expect("TLS").into();
        let stop = CancellationToken::new();
        let starttls = listen(&world, Encryption::OnRequest(acceptor()), &stop).await;
        let implicit = listen(&world, Encryption::FromTheStart(acceptor()), &stop).await;
        let server = Self { world, tenant, agent, peer, starttls, implicit, identity, stop };
        server.set_password(&server.agent, Some(PASSWORD)).await;
        server
    }

    async fn set_password(&self, grant: &Grant, password: Option<&str>) {
        let app_password = password.map_or(Patch::Clear, |password| Patch::Set(Secret::new(password.to_owned())));
        let settings = Patch::Set(UpdateGrantSettings { email: None, app_password });
        let request = UpdateGrant { settings, ..UpdateGrant::default() };
        let (store, entropy) = (&self.world.platform.store, &*self.world.platform.entropy);
        grants::update(store, entropy, self.world.act(&self.tenant), grant, request).await.expect("changed");
    }

    /// A connection that is encrypted from the start, greeted.
    async fn connect(&self) -> Client<TlsStream<TcpStream>> {
        let mut client = self.encrypt(TcpStream::connect(self.implicit).await.expect("connected")).await;
        assert_eq!(client.reply().await, "220 mx.world.test ESMTP");
        assert!(client.ask("EHLO laptop.test").await.starts_with("250"));
        client
    }

    /// Verified against the certificate itself, name included.
    async fn encrypt(&self, stream: TcpStream) -> Client<TlsStream<TcpStream>> {
        let config = tls::client_config_with_roots(&self.identity.chain()[..1]);
        let name = ServerName::try_from("mx.world.test").expect("name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("handshake");
        Client(BufStream::new(stream))
    }

    async fn signed_in(&self) -> Client<TlsStream<TcpStream>> {
        let mut client = self.connect().await;
        assert_eq!(client.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
        client
    }

    /// The messages in Sent, newest first.
    async fn sent(&self) -> Vec<Message> {
        let filter = Filter { folders: vec!["sent".to_owned()], ..Filter::default() };
        let request = PageRequest { limit: 100, cursor: None, fields: Fields::IncludeHeaders, with_body: true };
        match messages::list(&self.world.platform.store, self.agent.id, &filter, &request).await.expect("list").0 {
            Shown::Messages(messages) => messages,
            Shown::Raw(_) => unreachable!("headers were asked for"),
        }
    }
}

async fn listen(world: &World, encryption: Encryption, stop: &CancellationToken) -> SocketAddr {
    let limits = Limits {
        connections: 100,
        connections_per_address: 100,
        buffered_octets: 64 << 20,
        idle: Duration::from_secs(300),
        session: Duration::from_secs(3_600),
        ..Limits::default()
    };
    let config = server::Config {
        service: Service::Submission,
        hostname: "mx.world.test".into(),
        limits: server::Limits { recipients: RECIPIENTS_MAX, ..server::Limits::default() },
        starttls: true,
    };
    let listener = Listener {
        config: Arc::new(config),
        limits: Arc::new(limits),
        handler: Arc::new(ForMailClients(world.platform.clone())),
        encryption,
        clock: Arc::new(world.clock.clone()),
        metrics: world.platform.metrics.clone(),
    };
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(listener.serve(socket, stop.clone()));
    address
}

fn plain(name: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{name}\0{password}")))
}

/// Sends a message; the last reply, be it a refusal of the sender or the answer to the message.
async fn submit(client: &mut Client<TlsStream<TcpStream>>, recipients: &[&str], message: &str) -> String {
    let reply = client.ask("MAIL FROM:<agent@acme.test>").await;
    if !reply.starts_with("250") {
        return reply;
    }
    for recipient in recipients {
        assert_eq!(client.ask(&format!("RCPT TO:<{recipient}>")).await, "250 2.1.5 recipient ok");
    }
    assert!(client.ask("DATA").await.starts_with("354"));
    client.ask(&format!("{message}.")).await
}

#[tokio::test]
async fn a_message_is_submitted_with_starttls() {
    let server = Server::start().await;
    let mut client = Client(BufStream::new(TcpStream::connect(server.starttls).await.expect("connected")));
    assert_eq!(client.reply().await, "220 mx.world.test ESMTP");
    client.ask("EHLO laptop.test").await;
    assert!(client.ask(&plain("agent@acme.test", PASSWORD)).await.starts_with("538 5.7.11"));
    assert!(client.ask("MAIL FROM:<agent@acme.test>").await.starts_with("530 5.7.0"));
    assert!(client.ask("STARTTLS").await.starts_with("220"));
    let mut client = server.encrypt(client.0.into_inner()).await;
    assert!(
        client.ask("MAIL FROM:<agent@acme.test>").await.starts_with("503"),
        "what was said in the clear is forgotten"
    );
    client.ask("EHLO laptop.test").await;
    assert!(client.ask("AUTH LOGIN").await.starts_with("334"));
    assert!(client.ask(&STANDARD.encode("Agent@Acme.test")).await.starts_with("334"));
    assert_eq!(client.ask(&STANDARD.encode(PASSWORD)).await, "235 2.7.0 signed in");
    let reply = submit(&mut client, &["ann@people.test"], MESSAGE).await;
    let id = reply.strip_prefix("250 2.6.0 accepted as ").expect("accepted");
    assert_eq!(server.sent().await[0].id, id, "the reply names the sent copy");
    assert!(client.ask("QUIT").await.starts_with("221"));
}

#[tokio::test]
async fn who_gets_a_message_is_in_the_envelope_and_blind_copies_are_blind() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    let message = MESSAGE.replacen("Subject", "Cc: Bob <Bob@people.test>\r\nBcc: carol@people.test\r\nSubject", 1);
    let everybody = ["ann@people.test", "bob@people.test", "carol@people.test", "dave@people.test", "ANN@people.test"];
    assert!(submit(&mut client, &everybody, &message).await.starts_with("250"));

    let sent = server.sent().await;
    let people = |people: &[postfleet_schema::message::Participant]| {
        people.iter().map(|person| person.email.clone()).collect::<Vec<_>>()
    };
    assert_eq!(people(&sent[0].to), ["ann@people.test"]);
    assert_eq!(people(&sent[0].cc), ["Bob@people.test"]);
    assert_eq!(people(&sent[0].bcc), ["carol@people.test", "dave@people.test"]);

    assert_eq!(server.world.deliver_due().await, 1);
    let delivered = server.peer.messages();
    assert_eq!(delivered.len(), 1);
    let mut reached = delivered[0].recipients.clone();
    reached.sort();
    assert_eq!(reached, ["ann@people.test", "bob@people.test", "carol@people.test", "dave@people.test"]);
    let text = delivered[0].text();
    for hidden in ["Bcc", "carol", "dave", "laptop.test", "127.0.0.1"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    assert_eq!(delivered[0].count_fields("DKIM-Signature"), 2);
    let received = text.split("\r\n").find(|line| line.starts_with("Received:")).expect("Received");
    assert_eq!(received, format!("Received: by mx.world.test with ESMTPSA id {};", sent[0].id));
}

#[tokio::test]
async fn the_author_is_the_account() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    for foreign in ["MAIL FROM:<>", "MAIL FROM:<boss@acme.test>", "MAIL FROM:<agent@other.test>"] {
        assert!(client.ask(foreign).await.starts_with("553 5.7.1"), "{foreign}");
    }
    for from in ["boss@acme.test", "agent@acme.test, boss@acme.test"] {
        let message = MESSAGE.replacen("Agent <agent@acme.test>", from, 1);
        let reply = submit(&mut client, &["ann@people.test"], &message).await;
        assert!(reply.starts_with("550 5.7.1 "), "{from}: {reply}");
        assert!(reply.contains("agent@acme.test"), "{reply}");
    }
    let twice = format!("From: boss@acme.test\r\n{MESSAGE}");
    let disguised = MESSAGE.replacen("Agent <agent@acme.test>", "agent@acme.test <boss@acme.test>", 1);
    for message in [twice, disguised] {
        assert!(submit(&mut client, &["ann@people.test"], &message).await.starts_with("55"), "{message}");
    }
    let sender = format!("Sender: boss@acme.test\r\n{MESSAGE}");
    assert!(submit(&mut client, &["ann@people.test"], &sender).await.starts_with("554 5.6.0"));
    let in_capitals = MESSAGE.replacen("agent@acme.test", "AGENT@ACME.TEST", 1);
    assert!(submit(&mut client, &["ann@people.test"], &in_capitals).await.starts_with("250"));
    assert_eq!(server.sent().await.len(), 1);
}

#[tokio::test]
async fn a_message_that_goes_round_in_circles_ends_here() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    let times = |count: usize| format!("{}{MESSAGE}", "Received: from a by b; now\r\n".repeat(count));
    assert!(submit(&mut client, &["ann@people.test"], &times(100)).await.starts_with("250"));
    assert!(submit(&mut client, &["ann@people.test"], &times(101)).await.starts_with("554 5.6.0"));
}

#[tokio::test]
async fn wrong_guesses_are_all_alike() {
    let server = Server::start().await;
    let without = server.world.mailbox(&server.tenant, "without").await;
    let mut said = Vec::new();
    for (name, password) in [
        ("agent@acme.test", OTHER_PASSWORD),
        ("agent@acme.test", ""),
        (without.email.to_string().as_str(), PASSWORD),
        ("nobody@acme.test", PASSWORD),
        ("nobody", PASSWORD),
    ] {
        said.push(server.connect().await.ask(&plain(name, password)).await);
    }
    said.dedup();
    assert_eq!(said, ["535 5.7.8 sign-in failed, check the address and the password"]);
}

/// A guess from elsewhere, by browser or by mail client: whether it was right, if it was looked at.
async fn guess_from(server: &Server, peer: &str, password: &str) -> Option<bool> {
    let peer = Some(peer.parse().expect("address"));
    let guess = Guess { email: "agent@acme.test", password: Secret::new(password.to_owned()), peer };
    match mail_client::sign_in(server.world.platform.gate(), guess).await.expect("looked at") {
        Outcome::Accepted(_) => Some(true),
        Outcome::Refused => Some(false),
        Outcome::Throttled(_) => None,
    }
}

const THROTTLED: &str = "454 4.7.0 too many failed sign-ins, try again later";

#[tokio::test]
async fn guessing_has_the_brakes_of_the_sign_in_and_they_are_released() {
    let server = Server::start().await;
    // Some by browser, the others by mail client.
    for _ in 0..2 {
        assert_eq!(guess_from(&server, "127.0.0.1", OTHER_PASSWORD).await, Some(false));
    }
    for _ in 2..PAIR_FAILURES_MAX {
        assert!(server.connect().await.ask(&plain("agent@acme.test", OTHER_PASSWORD)).await.starts_with("535"));
    }
    let mut client = server.connect().await;
    assert_eq!(client.ask(&plain("agent@acme.test", OTHER_PASSWORD)).await, THROTTLED);
    assert_eq!(client.ask(&plain("agent@acme.test", PASSWORD)).await, THROTTLED, "not even the right one is looked at");
    server.world.advance(15 * 60);
    assert_eq!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
    // A right one forgets the wrong ones.
    for _ in 0..PAIR_FAILURES_MAX {
        assert!(server.connect().await.ask(&plain("agent@acme.test", OTHER_PASSWORD)).await.starts_with("535"));
    }
}

#[tokio::test]
async fn no_number_of_strangers_locks_a_mailbox() {
    let server = Server::start().await;
    assert_eq!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
    for number in 1..=40 {
        let stranger = format!("192.0.2.{number}");
        assert_eq!(guess_from(&server, &stranger, OTHER_PASSWORD).await, Some(false));
    }
    // Who is new has one guess now, who is known has as many as before, and the right password opens from everywhere.
    assert_eq!(guess_from(&server, "192.0.2.40", OTHER_PASSWORD).await, None);
    for _ in 1..PAIR_FAILURES_MAX {
        assert!(server.connect().await.ask(&plain("agent@acme.test", OTHER_PASSWORD)).await.starts_with("535"));
    }
    assert_eq!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
    assert_eq!(guess_from(&server, "198.51.100.1", PASSWORD).await, Some(true));
}

#[tokio::test]
async fn one_address_cannot_guess_at_many_mailboxes() {
    let server = Server::start().await;
    assert_eq!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
    for number in 0..PEER_FAILURES_MAX {
        let guess = plain(&format!("nobody{number}@acme.test"), PASSWORD);
        assert!(server.connect().await.ask(&guess).await.starts_with("535"), "{number}");
    }
    assert_eq!(server.connect().await.ask(&plain("another@acme.test", PASSWORD)).await, THROTTLED);
    // Whose password was right from there is not kept out by the neighbours.
    assert_eq!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
}

#[tokio::test]
async fn a_password_that_was_changed_opens_nothing_although_it_was_right_a_moment_ago() {
    let server = Server::start().await;
    for _ in 0..2 {
        assert_eq!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await, "235 2.7.0 signed in");
    }
    server.set_password(&server.agent, Some(OTHER_PASSWORD)).await;
    assert!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await.starts_with("535"));
    assert_eq!(server.connect().await.ask(&plain("agent@acme.test", OTHER_PASSWORD)).await, "235 2.7.0 signed in");
}

#[tokio::test]
async fn many_clients_of_one_mailbox_may_sign_in_at_once() {
    let server = Arc::new(Server::start().await);
    let clients = (0..3 * PAIR_FAILURES_MAX).map(|_| {
        let server = server.clone();
        tokio::spawn(async move { server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.expect("ended"), "235 2.7.0 signed in");
    }
}

#[tokio::test]
async fn an_open_session_ends_with_the_password_that_opened_it() {
    let server = Server::start().await;
    let (mut rotated, mut midway) = (server.signed_in().await, server.signed_in().await);
    assert!(submit(&mut rotated, &["ann@people.test"], MESSAGE).await.starts_with("250"));
    midway.ask("MAIL FROM:<agent@acme.test>").await;
    midway.ask("RCPT TO:<ann@people.test>").await;
    assert!(midway.ask("DATA").await.starts_with("354"));
    server.set_password(&server.agent, Some(OTHER_PASSWORD)).await;
    for reply in [rotated.ask("MAIL FROM:<agent@acme.test>").await, midway.ask(&format!("{MESSAGE}.")).await] {
        assert_eq!(reply, "421 4.7.0 the sign-in no longer holds, sign in again");
    }
    assert!(rotated.is_closed().await && midway.is_closed().await);
    assert!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await.starts_with("535"));

    let mut client = server.connect().await;
    assert!(client.ask(&plain("agent@acme.test", OTHER_PASSWORD)).await.starts_with("235"));
    server.set_password(&server.agent, None).await;
    assert!(client.ask("MAIL FROM:<agent@acme.test>").await.starts_with("421 4.7.0"));
    assert_eq!(server.sent().await.len(), 1);
}

#[tokio::test]
async fn an_open_session_ends_with_its_mailbox() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    let (store, entropy) = (&server.world.platform.store, &*server.world.platform.entropy);
    let (act, application) = (server.world.act(&server.tenant), server.tenant.application_id);
    grants::remove(store, entropy, act, application, server.agent.id).await.expect("removed");
    assert!(client.ask("MAIL FROM:<agent@acme.test>").await.starts_with("421 4.7.0"));
    assert!(client.is_closed().await);
}

/// Blocks a mailbox.
struct Block(GrantId);

impl Command for Block {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("UPDATE grants SET blocked = 1 WHERE id = $1", params![self.0.uuid()]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_blocked_mailbox_neither_sends_nor_signs_in() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    server.world.platform.store.run(Block(server.agent.id)).await.expect("block");
    assert!(client.ask("MAIL FROM:<agent@acme.test>").await.starts_with("421 4.7.0"));
    assert!(server.connect().await.ask(&plain("agent@acme.test", PASSWORD)).await.starts_with("535 5.7.8"));
}

#[tokio::test]
async fn fifty_recipients_and_no_more() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    client.ask("MAIL FROM:<agent@acme.test>").await;
    for number in 0..RECIPIENTS_MAX {
        assert!(client.ask(&format!("RCPT TO:<a{number}@people.test>")).await.starts_with("250"));
    }
    assert!(client.ask("RCPT TO:<more@people.test>").await.starts_with("452 4.5.3"));
    assert!(client.ask("DATA").await.starts_with("354"));
    assert!(client.ask(&format!("{MESSAGE}.")).await.starts_with("250"), "those that were accepted get it");
    assert_eq!(server.sent().await[0].bcc.len(), RECIPIENTS_MAX);
}

#[tokio::test]
async fn the_size_is_that_of_the_plan() {
    let server = Server::start().await;
    let mut client = server.signed_in().await;
    let limit = (25 << 20) - ADDED_OCTETS_MAX;
    assert!(client.ask(&format!("MAIL FROM:<agent@acme.test> SIZE={}", limit + 1)).await.starts_with("552 5.3.4"));
    let lines = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\r\n";
    for (octets, expected) in [(limit, "250"), (limit + 1, "552 5.3.4")] {
        let octets = usize::try_from(octets).expect("fits");
        let mut message = format!("{MESSAGE}{}", lines.repeat((octets - MESSAGE.len()) / lines.len() - 1));
        message.push_str(&format!("{}\r\n", "x".repeat(octets - message.len() - 2)));
        assert_eq!(message.len(), octets);
        let reply = submit(&mut client, &["ann@people.test"], &message).await;
        assert!(reply.starts_with(expected), "{octets}: {reply}");
    }
}

#[tokio::test]
async fn sends_are_counted_with_those_of_the_interface() {
    let server = Server::of(NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") }).await;
    let mut client = server.signed_in().await;
    for _ in 0..2 {
        assert!(submit(&mut client, &["ann@people.test"], MESSAGE).await.starts_with("250"));
    }
    let reply = submit(&mut client, &["ann@people.test"], MESSAGE).await;
    assert_eq!(reply, "451 4.7.1 daily send quota of 2 messages is used up until 00:00 UTC");
    // The day ends; the session may last.
    server.world.advance(14 * 3_600);
    let mut client = server.signed_in().await;
    assert!(submit(&mut client, &["ann@people.test"], MESSAGE).await.starts_with("250"));
}

#[tokio::test]
async fn a_send_above_the_rate_may_come_again() {
    let server = Server::of(NewTenant { plan: "full_platform", ..NewTenant::of("acme.test") }).await;
    let mut client = server.signed_in().await;
    assert!(submit(&mut client, &["ann@people.test"], MESSAGE).await.starts_with("250"));
    let reply = submit(&mut client, &["ann@people.test"], MESSAGE).await;
    assert_eq!(reply, "451 4.7.1 per-second rate limit exceeded");
    server.world.advance(1);
    assert!(submit(&mut client, &["ann@people.test"], MESSAGE).await.starts_with("250"));
}

#[tokio::test]
async fn an_unverified_domain_does_not_send() {
    let server = Server::of(NewTenant { is_verified: false, ..NewTenant::of("acme.test") }).await;
    let mut client = server.signed_in().await;
    let reply = submit(&mut client, &["ann@people.test"], MESSAGE).await;
    assert_eq!(reply, "550 5.7.1 sender domain is not verified for sending");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for_and_stopping_ends_it() {
    let server = Server::start().await;
    let mut silent = Client(BufStream::new(TcpStream::connect(server.implicit).await.expect("connected")));
    server.world.clock.until_sleeping(1).await;
    server.world.advance(300);
    assert!(silent.is_closed().await);
    let mut silent = Client(BufStream::new(TcpStream::connect(server.implicit).await.expect("connected")));
    server.world.clock.until_sleeping(1).await;
    server.stop.cancel();
    assert!(silent.is_closed().await);
}
