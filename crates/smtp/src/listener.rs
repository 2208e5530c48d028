//! Accepting connections: bounded in number and in memory, and drained when the service stops.

use crate::door::{Door, TurnedAway};
use crate::{proxy, session};
use futures::future::BoxFuture;
use postfleet_core::EmailAddress;
use postfleet_core::client_rate::ClientRates;
use postfleet_fleet::mail_client::MailClient;
use postfleet_mailflow::Metrics;
use postfleet_mailflow::receive::{Arriving, Offer};
use postfleet_net::Clock;
use postfleet_net::webhook_http::IpNetwork;
use postfleet_trace::Instrument;
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::sasl::Credentials;
use postfleet_wire::smtp::server::{Config, Envelope};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Decides for a listener: about clients that sign in, about recipients, and about messages.
pub trait Handler: Send + Sync + 'static {
    /// Whose client is this? Asked only where clients sign in.
    fn authenticate<'a>(
        &'a self,
        _peer: &'a Peer,
        _credentials: Credentials,
    ) -> BoxFuture<'a, Result<MailClient, Reply>> {
        Box::pin(async { Err(Reply::not_implemented()) })
    }
    /// May the client that has signed in still send, and how many octets? Asked only where clients sign in.
    fn sender<'a>(&'a self, _peer: &'a Peer) -> BoxFuture<'a, Result<u64, Reply>> {
        Box::pin(async { Err(Reply::needs_authentication()) })
    }
    /// May this recipient receive such a message?
    fn recipient<'a>(
        &'a self,
        peer: &'a Peer,
        offer: Offer<'a>,
        address: &'a EmailAddress,
    ) -> BoxFuture<'a, Result<(), Reply>>;
    /// Says that a message will follow, since a recipient was admitted.
    fn announce(&self) -> Option<Arriving> {
        None
    }
    /// Takes responsibility for a message, or does not. A positive reply promises that it is on stable storage. With it
    /// comes what announced it.
    fn message<'a>(
        &'a self,
        peer: &'a Peer,
        envelope: Envelope,
        message: Vec<u8>,
        announced: Option<Arriving>,
    ) -> BoxFuture<'a, Reply>;
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address it connected from, or that a balancer says it did.
    pub ip: IpAddr,
    /// Whose client it is, once it has signed in.
    pub client: Option<MailClient>,
}

/// When connections are encrypted.
#[derive(Clone)]
pub enum Encryption {
    /// Never.
    None,
    /// When the client says STARTTLS.
    OnRequest(TlsAcceptor),
    /// From the start (RFC 8314 §3.3).
    FromTheStart(TlsAcceptor),
}

/// What the connections of a listener may use, together and each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one network: an IPv4 address, or 64 bits of IPv6.
    pub connections_per_address: usize,
    /// Octets held in memory over all connections.
    pub buffered_octets: usize,
    /// How long a client may be silent (RFC 5321 §4.5.3.2 asks for five minutes).
    pub idle: Duration,
    /// How long a session may last.
    pub session: Duration,
    /// What one network may do in a time.
    pub rates: ClientRates,
    /// How long a client waits for its greeting: one that speaks meanwhile is no mail server.
    pub greeting_delay: Duration,
    /// How clients are slowed down that are refused again and again.
    pub tarpit: Tarpit,
    /// Networks that are not counted by address, and never made to wait.
    pub trusted: Vec<IpNetwork>,
    /// Balancers: their connections begin with a PROXY header that says whose they are, and without one they end.
    pub proxies: Vec<IpNetwork>,
}

/// How clients are slowed down that are refused again and again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tarpit {
    /// Refusals of a session that are answered at once.
    pub after: u32,
    /// How much later further ones are answered. Zero: no later.
    pub delay: Duration,
    /// Sessions that wait at once; what would be one more is ended instead.
    pub sessions: usize,
}

/// Enough for one small server, and nobody is slowed down or counted.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            connections_per_address: 1_000,
            buffered_octets: 64 << 20,
            idle: Duration::from_secs(300),
            session: Duration::from_secs(3_600),
            rates: ClientRates::default(),
            greeting_delay: Duration::ZERO,
            tarpit: Tarpit::default(),
            trusted: Vec::new(),
            proxies: Vec::new(),
        }
    }
}

/// One listener.
#[derive(Clone)]
pub struct Listener {
    /// What sessions are told.
    pub config: Arc<Config>,
    /// What connections may use.
    pub limits: Arc<Limits>,
    /// Who decides.
    pub handler: Arc<dyn Handler>,
    /// When connections are encrypted, and how.
    pub encryption: Encryption,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What the connections of one listener share while it runs.
pub(crate) struct Shared {
    pub(crate) listener: Listener,
    pub(crate) stop: CancellationToken,
    pub(crate) buffered: AtomicUsize,
    pub(crate) door: Door,
}

impl Listener {
    /// Serves until `stop`, then lets open sessions finish what they are doing.
    pub async fn serve(self, socket: TcpListener, stop: CancellationToken) {
        let shared = Arc::new(Shared {
            door: Door::new(&self.limits),
            listener: self,
            stop: stop.clone(),
            buffered: AtomicUsize::new(0),
        });
        let sessions = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    sessions.spawn(connection(shared.clone(), stream, address));
                }
                // Out of file descriptors, most likely: others must close before it gets better.
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    let clock = &shared.listener.clock;
                    clock.sleep_until(clock.now().plus(Duration::from_millis(100))).await;
                }
            }
        }
        // Nobody new is let in, and nobody waits at a door that does not open.
        drop(socket);
        sessions.close();
        sessions.wait().await;
    }
}

async fn connection(shared: Arc<Shared>, mut stream: TcpStream, address: SocketAddr) {
    let Listener { limits, clock, metrics, .. } = &shared.listener;
    let _place = match shared.door.enter(limits) {
        Ok(place) => place,
        Err(why) => return turn_away(&shared, stream, why).await,
    };
    let ip = match proxy::client_of(&shared, &mut stream, address.ip().to_canonical()).await {
        Ok(ip) => ip,
        Err(error) => {
            tracing::debug!(%error, peer.ip = %address.ip(), "no PROXY header");
            metrics.limited("proxy_header");
            return metrics.session("refused");
        }
    };
    let place = match shared.door.enter_from(limits, ip, clock.now()) {
        Ok(place) => place,
        Err(why) => return turn_away(&shared, stream, why).await,
    };
    // Replies are written whole, so there is nothing to wait for.
    drop(stream.set_nodelay(true));
    let span = postfleet_trace::span!("smtp.session", otel.kind = "server");
    let result = session::run(&shared, stream, Peer { ip, client: None }, place.guest).instrument(span).await;
    metrics.session(match result {
        Ok(()) => "closed",
        Err(_) => "broken",
    });
    if let Err(error) = result {
        tracing::debug!(%error, peer.ip = %ip, "session broke off");
    }
}

async fn turn_away(shared: &Shared, mut stream: TcpStream, why: TurnedAway) {
    // A client that waits for TLS could not read it.
    if !matches!(shared.listener.encryption, Encryption::FromTheStart(_)) {
        let mut refusal = Vec::new();
        why.reply().write_to(&mut refusal);
        drop(stream.write_all(&refusal).await);
    }
    shared.listener.metrics.limited(why.name());
    shared.listener.metrics.session("refused");
}
