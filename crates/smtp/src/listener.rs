//! Accepting connections: bounded in number and in memory, and drained when the service stops.

use crate::session;
use futures::future::BoxFuture;
use postfleet_core::EmailAddress;
use postfleet_fleet::mail_client::MailClient;
use postfleet_mailflow::Metrics;
use postfleet_net::Clock;
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::sasl::Credentials;
use postfleet_wire::smtp::server::{Config, Envelope};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// May this recipient receive a message of the size that was declared?
    fn recipient<'a>(
        &'a self,
        peer: &'a Peer,
        address: &'a EmailAddress,
        declared_octets: Option<u64>,
    ) -> BoxFuture<'a, Result<(), Reply>>;
    /// Takes responsibility for a message, or does not. A positive reply promises that it is on stable storage.
    fn message<'a>(&'a self, peer: &'a Peer, envelope: Envelope, message: Vec<u8>) -> BoxFuture<'a, Reply>;
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address it connected from.
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

/// What all connections of a listener together may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Octets held in memory over all connections.
    pub buffered_octets: usize,
    /// How long a client may be silent (RFC 5321 §4.5.3.2 asks for five minutes).
    pub idle: Duration,
    /// How long a session may last.
    pub session: Duration,
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
    open: Mutex<HashMap<IpAddr, usize>>,
    total: AtomicUsize,
}

impl Listener {
    /// Serves until `stop`, then lets open sessions finish what they are doing.
    pub async fn serve(self, socket: TcpListener, stop: CancellationToken) {
        let shared = Arc::new(Shared {
            listener: self,
            stop: stop.clone(),
            buffered: AtomicUsize::new(0),
            open: Mutex::new(HashMap::new()),
            total: AtomicUsize::new(0),
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
    let ip = address.ip().to_canonical();
    let Some(_place) = Place::take(&shared, ip) else {
        // A client that waits for TLS could not read it.
        if !matches!(shared.listener.encryption, Encryption::FromTheStart(_)) {
            let mut refusal = Vec::new();
            Reply::too_many_connections().write_to(&mut refusal);
            drop(stream.write_all(&refusal).await);
        }
        shared.listener.metrics.session("refused");
        return;
    };
    // Replies are written whole, so there is nothing to wait for.
    drop(stream.set_nodelay(true));
    let result = session::run(&shared, stream, Peer { ip, client: None }).await;
    shared.listener.metrics.session(match result {
        Ok(()) => "closed",
        Err(_) => "broken",
    });
    if let Err(error) = result {
        tracing::debug!(%error, peer.ip = %ip, "session broke off");
    }
}

/// A connection's place among those that are allowed; given back when dropped.
struct Place<'a> {
    shared: &'a Shared,
    ip: IpAddr,
}

impl<'a> Place<'a> {
    fn take(shared: &'a Shared, ip: IpAddr) -> Option<Self> {
        let limits = &shared.listener.limits;
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = open.get(&ip).copied().unwrap_or(0);
        if of_address >= limits.connections_per_address || shared.total.load(Ordering::Relaxed) >= limits.connections {
            return None;
        }
        open.insert(ip, of_address + 1);
        shared.total.fetch_add(1, Ordering::Relaxed);
        Some(Self { shared, ip })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}
