//! The listener on real sockets: TLS, limits, silence, and stopping. The dialogue itself is tested in `wire`.

mod attacks;
mod support;

use futures::future::BoxFuture;
use postfleet_core::EmailAddress;
use postfleet_fleet::grants;
use postfleet_mailbox::messages::{self, Filter, PageRequest, Shown};
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::Platform;
use postfleet_mailflow::receive::{self, Arriving, Offer};
use postfleet_net::{TlsIdentity, tls};
use postfleet_schema::message::Message;
use postfleet_smtp::mx::Mx;
use postfleet_smtp::{Encryption, Handler, Limits, Listener, Peer};
use postfleet_testkit::world::{NewTenant, Tenant, World};
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::server::{self, Envelope};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::Client;
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const IDLE: u64 = 300;

fn limits() -> Limits {
    Limits {
        connections: 100,
        connections_per_address: 100,
        buffered_octets: 64 << 20,
        idle: Duration::from_secs(IDLE),
        session: Duration::from_secs(3_600),
        ..Limits::default()
    }
}

/// A running listener for the mailbox `agent@acme.test`.
struct Server {
    world: World,
    tenant: Tenant,
    address: SocketAddr,
    identity: TlsIdentity,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::start_with(limits, |world| Arc::new(Mx(world.platform.clone()))).await
    }

    async fn start_with(limits: Limits, handler: impl FnOnce(&World) -> Arc<dyn Handler>) -> Self {
        let of_session = server::Limits::default();
        Prepared::of(limits, of_session, handler).await.serve()
    }

    async fn connect(&self) -> Client<TcpStream> {
        Client(BufStream::new(TcpStream::connect(self.address).await.expect("connected")))
    }

    /// Connects and takes the greeting.
    async fn greeted(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        assert_eq!(client.reply().await, "220 mx.world.test ESMTP");
        client
    }

    /// The messages that have arrived.
    async fn received(&self) -> Vec<Message> {
        let platform = &self.world.platform;
        let grant =
            grants::find(&platform.store, self.tenant.application_id, "agent@acme.test").await.expect("mailbox");
        let request = PageRequest { limit: 100, cursor: None, fields: Fields::IncludeHeaders, with_body: true };
        let list = messages::list(&platform.store, grant.id, &Filter::default(), &request).await.expect("list");
        match list.0 {
            Shown::Messages(messages) => messages,
            Shown::Raw(_) => unreachable!("headers were asked for"),
        }
    }
}

/// A listener that clients can connect to already, and that does not look at them yet.
struct Prepared {
    world: World,
    tenant: Tenant,
    identity: TlsIdentity,
    listener: Listener,
    socket: TcpListener,
}

impl Prepared {
    async fn of(limits: Limits, of_session: server::Limits, handler: impl FnOnce(&World) -> Arc<dyn Handler>) -> Self {
        let world = World::new().await;
        let tenant = world.tenant(NewTenant::of("acme.test")).await;
        world.mailbox(&tenant, "agent").await;
        let identity = TlsIdentity::load_or_create(world.folder(), &["mx.world.test".to_owned()]).expect("certificate");
        let config = server::Config {
            service: server::Service::Mx,
            hostname: "mx.world.test".into(),
            limits: of_session,
            starttls: true,
        };
        let listener = Listener {
            config: Arc::new(config),
            limits: Arc::new(limits),
            handler: handler(&world),
            encryption: Encryption::OnRequest(tls::server_config(&identity).expect("TLS").into()),
            clock: Arc::new(world.clock.clone()),
            metrics: world.platform.metrics.clone(),
        };
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("port");
        Self { world, tenant, identity, listener, socket }
    }

    fn serve(self) -> Server {
        let Self { world, tenant, identity, listener, socket } = self;
        let address = socket.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(socket, stop.clone()));
        Server { world, tenant, address, identity, stop, serving }
    }
}

/// Goes on until a message may be sent.
async fn begin_message<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    for (line, code) in [
        ("EHLO client.test", "250"),
        ("MAIL FROM:<a@sender.test>", "250"),
        ("RCPT TO:<agent@acme.test>", "250"),
        ("DATA", "354"),
    ] {
        let reply = client.ask(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
}

const MESSAGE: &str = "From: a@sender.test\r\nSubject: x\r\n\r\nHi\r\n";

#[tokio::test]
async fn a_message_is_received_in_the_clear() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    begin_message(&mut client).await;
    let accepted = client.ask(&format!("{MESSAGE}.")).await;
    assert!(accepted.starts_with("250 2.6.0"), "{accepted}");
    assert!(client.ask("QUIT").await.starts_with("221"));
    assert!(client.is_closed().await);
    let received = server.received().await;
    assert_eq!((received.len(), received[0].subject.as_str()), (1, "x"));
    assert!(trace(&received[0]).contains(" with ESMTP id "), "{}", trace(&received[0]));
}

#[tokio::test]
async fn a_message_is_received_over_tls_with_a_certificate_of_our_name() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    assert!(client.ask("STARTTLS").await.starts_with("220"));
    // Verified against the certificate itself, name included.
    let config = tls::client_config_with_roots(&server.identity.chain()[..1]);
    let name = ServerName::try_from("mx.world.test").expect("name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, client.0.into_inner()).await.expect("handshake");
    let mut client = Client(BufStream::new(stream));
    // What was said in the clear is forgotten.
    assert!(client.ask("MAIL FROM:<a@sender.test>").await.starts_with("503"));
    begin_message(&mut client).await;
    assert!(client.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
    assert!(client.ask("QUIT").await.starts_with("221"));
    let received = server.received().await;
    assert!(trace(&received[0]).contains(" with ESMTPS id "), "{}", trace(&received[0]));
}

fn trace(message: &Message) -> String {
    let headers = message.headers.as_ref().expect("headers");
    let received = headers.iter().find(|header| header.name == "Received").expect("Received");
    received.value.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    client.ask("STARTTLS").await;
    server.world.clock.until_sleeping(1).await;
    server.world.advance(IDLE);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_silent_client_is_sent_away() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    server.world.clock.until_sleeping(1).await;
    // A word just in time begins the wait anew.
    server.world.advance(IDLE - 1);
    assert!(client.ask("NOOP").await.starts_with("250"));
    server.world.clock.until_sleeping(1).await;
    server.world.advance(IDLE - 1);
    assert!(client.ask("NOOP").await.starts_with("250"));
    server.world.clock.until_sleeping(1).await;
    server.world.advance(IDLE);
    assert!(client.reply().await.starts_with("421 4.4.2"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_is_silent_in_the_middle_of_a_message_is_sent_away_and_nothing_is_kept() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    begin_message(&mut client).await;
    client.say("Subject: half").await;
    server.world.clock.until_sleeping(1).await;
    server.world.advance(IDLE);
    assert!(client.reply().await.starts_with("421 4.4.2"));
    assert!(client.is_closed().await);
    assert_eq!(server.received().await.len(), 0);
}

#[tokio::test]
async fn a_session_ends_however_lively_it_is() {
    let server = Server::start(Limits { session: Duration::from_secs(600), ..limits() }).await;
    let mut client = server.greeted().await;
    for _ in 0..5 {
        server.world.advance(100);
        assert!(client.ask("NOOP").await.starts_with("250"));
    }
    server.world.clock.until_sleeping(1).await;
    server.world.advance(100);
    assert!(client.reply().await.starts_with("421"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_and_places_are_given_back() {
    let server = Server::start(Limits { connections_per_address: 2, ..limits() }).await;
    let (mut first, _second) = (server.greeted().await, server.greeted().await);
    let mut third = server.connect().await;
    assert!(third.reply().await.starts_with("421 4.7.0"), "too many");
    assert!(third.is_closed().await);
    assert!(first.ask("QUIT").await.starts_with("221"));
    assert!(first.is_closed().await);
    server.greeted().await;
}

#[tokio::test]
async fn connections_of_all_are_bounded() {
    let server = Server::start(Limits { connections: 1, ..limits() }).await;
    let mut first = server.greeted().await;
    assert!(server.connect().await.reply().await.starts_with("421"));
    assert!(first.ask("QUIT").await.starts_with("221"));
    assert!(first.is_closed().await);
    server.greeted().await;
}

#[tokio::test]
async fn over_the_memory_limit_senders_are_asked_to_come_back() {
    let server = Server::start(Limits { buffered_octets: 20_000, ..limits() }).await;
    let mut patient = server.greeted().await;
    begin_message(&mut patient).await;
    let mut greedy = server.greeted().await;
    begin_message(&mut greedy).await;
    greedy.say(&"0123456789\r\n".repeat(2_000)).await;
    assert!(greedy.reply().await.starts_with("421 4.3.2"));
    // What it held is free again: others go on, and it may come back.
    assert!(patient.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
    let mut again = server.greeted().await;
    begin_message(&mut again).await;
    assert!(again.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
    assert_eq!(server.received().await.len(), 2);
}

#[tokio::test]
async fn stopping_sends_idle_clients_away_and_ends() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    server.stop.cancel();
    assert!(client.reply().await.starts_with("421 4.3.2"));
    assert!(client.is_closed().await);
    server.serving.await.expect("ended");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_message_that_has_begun_is_finished_while_the_service_stops() {
    let server = Server::start(limits()).await;
    let mut client = server.greeted().await;
    begin_message(&mut client).await;
    client.say("Subject: begun\r\n\r\nfirst half\r\n").await;
    // An answer on another connection shows that the half has been read.
    let mut other = server.greeted().await;
    assert!(other.ask("NOOP").await.starts_with("250"));
    server.stop.cancel();
    assert!(other.reply().await.starts_with("421"));
    // Nobody new is let in meanwhile.
    assert!(TcpStream::connect(server.address).await.is_err(), "the door is closed while what is inside finishes");
    assert!(client.ask("second half\r\n.").await.starts_with("250"));
    assert!(client.reply().await.starts_with("421"));
    assert!(client.is_closed().await);
    assert_eq!(server.received().await[0].subject, "begun");
    server.serving.await.expect("ended");
}

/// Takes its time over each message until it is told to go on.
struct Slow {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
    taken: Arc<AtomicUsize>,
}

impl Handler for Slow {
    fn recipient<'a>(&'a self, _: &'a Peer, _: Offer<'a>, _: &'a EmailAddress) -> BoxFuture<'a, Result<(), Reply>> {
        Box::pin(async { Ok(()) })
    }

    fn message<'a>(&'a self, _: &'a Peer, _: Envelope, _: Vec<u8>, _: Option<Arriving>) -> BoxFuture<'a, Reply> {
        Box::pin(async {
            self.begun.notify_one();
            self.go_on.notified().await;
            self.taken.fetch_add(1, Ordering::Relaxed);
            Reply::accepted("slow")
        })
    }
}

/// Announces messages, and takes those that come with what announced them.
struct Announcing {
    platform: Platform,
    announced: Arc<AtomicUsize>,
}

impl Handler for Announcing {
    fn recipient<'a>(&'a self, _: &'a Peer, _: Offer<'a>, _: &'a EmailAddress) -> BoxFuture<'a, Result<(), Reply>> {
        Box::pin(async { Ok(()) })
    }

    fn announce(&self) -> Option<Arriving> {
        self.announced.fetch_add(1, Ordering::Relaxed);
        Some(receive::announce(&self.platform))
    }

    fn message<'a>(
        &'a self,
        _: &'a Peer,
        _: Envelope,
        _: Vec<u8>,
        announced: Option<Arriving>,
    ) -> BoxFuture<'a, Reply> {
        Box::pin(async move { announced.map_or_else(Reply::no_recipients, |_| Reply::accepted("announced")) })
    }
}

#[tokio::test]
async fn a_message_is_announced_once_and_handed_over_with_that() {
    let announced = Arc::new(AtomicUsize::new(0));
    let count = announced.clone();
    let server = Server::start_with(limits(), |world| {
        Arc::new(Announcing { platform: world.platform.clone(), announced: count })
    })
    .await;
    let mut client = server.greeted().await;
    assert!(client.ask("EHLO client.test").await.starts_with("250"));
    for message in 1..=3 {
        for line in ["MAIL FROM:<a@sender.test>", "RCPT TO:<agent@acme.test>", "RCPT TO:<other@acme.test>", "DATA"] {
            assert!(client.ask(line).await.starts_with(['2', '3']), "{line}");
        }
        assert_eq!(client.ask("Subject: x\r\n\r\nx\r\n.").await, "250 2.6.0 accepted as announced");
        assert_eq!(announced.load(Ordering::Relaxed), message);
    }
}

#[tokio::test]
async fn a_message_that_is_being_stored_gets_its_answer_before_the_service_stops() {
    let (begun, go_on, taken) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let slow = Slow { begun: begun.clone(), go_on: go_on.clone(), taken: taken.clone() };
    let server = Server::start_with(limits(), |_| Arc::new(slow)).await;
    let mut client = server.greeted().await;
    begin_message(&mut client).await;
    client.say(&format!("{MESSAGE}.\r\n")).await;
    begun.notified().await;
    server.stop.cancel();
    // Silence does not count while it is our turn.
    server.world.advance(2 * IDLE);
    go_on.notify_one();
    assert!(client.reply().await.starts_with("250"), "the answer to the message comes first");
    assert!(client.reply().await.starts_with("421"));
    server.serving.await.expect("ended");
    assert_eq!(taken.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let server = Server::start(Limits { connections: 1, ..limits() }).await;
    let mut client = server.greeted().await;
    begin_message(&mut client).await;
    client.say("Subject: never").await;
    drop(client);
    // Its place is free as soon as the server has noticed.
    while server.connect().await.reply().await.starts_with("421") {}
    assert_eq!(server.received().await.len(), 0);
}
