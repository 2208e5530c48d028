//! SMTP to other mail servers: opens connections, encrypts them, keeps them for the next message, enforces deadlines.
//!
//! What is said on a connection is decided in `postfleet_wire`; where to connect is decided by the caller. One call is
//! one attempt at one server. It never tries again once the server has accepted anything of the message.

mod connection;
mod encryption;
#[cfg(test)]
mod tests;

pub use encryption::{TlsFailure, TlsFault, TlsRule, TlsSession};

use crate::tls::CertificateDer;
use connection::{Connection, Ends, Stream};
use encryption::Encryption;
use postfleet_wire::smtp::client::{
    ClientConfig, Failure, Login, RecipientOutcome, RecipientResult, Session, Step, TlsPolicy, Transaction,
    TransactionOutcome,
};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

/// What the transport is told at its start.
#[derive(Clone, Debug)]
pub struct MxTransportConfig {
    /// What we call ourselves in EHLO.
    pub helo: String,
    /// For the TCP connection, and again for the TLS handshake.
    pub connect_timeout: Duration,
    /// For the greeting and for the reply to each command (RFC 5321 §4.5.3.2).
    pub command_timeout: Duration,
    /// For sending the message, and again for the reply to its end (RFC 5321 §4.5.3.2.6).
    pub data_timeout: Duration,
    /// For a delivery as a whole, from the first connection to the last reply, however lively the server drips.
    pub transaction_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_max: Duration,
    /// Messages on one connection.
    pub transactions_max: u32,
    /// Unused connections, to all servers together.
    pub idle_connections_max: usize,
}

impl MxTransportConfig {
    /// The usual limits.
    pub fn new(helo: impl Into<String>) -> Self {
        Self {
            helo: helo.into(),
            connect_timeout: Duration::from_secs(30),
            command_timeout: Duration::from_secs(5 * 60),
            data_timeout: Duration::from_secs(10 * 60),
            transaction_timeout: Duration::from_secs(30 * 60),
            idle_max: Duration::from_secs(10),
            transactions_max: 100,
            idle_connections_max: 256,
        }
    }
}

/// One server, and how to talk to it. Connections are shared between deliveries to equal targets only.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The name that the certificate must be for, where one is required.
    pub host_name: String,
    /// How to encrypt.
    pub tls: TlsRule,
    /// Where from. Without it the system chooses, and we call ourselves as usual.
    pub source: Option<Source>,
    /// Who we are there, if we are to sign in.
    pub login: Option<Arc<Login>>,
}

impl Target {
    /// A server to reach from wherever the system chooses, without signing in.
    pub fn new(address: SocketAddr, host_name: impl Into<String>, tls: TlsRule) -> Self {
        Self { address, host_name: host_name.into(), tls, source: None, login: None }
    }
}

/// From where to connect.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    /// The local address, of the family of the server's.
    pub address: IpAddr,
    /// What we call ourselves in EHLO.
    pub helo: String,
}

/// What became of handing a message over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandedOver {
    /// One for each recipient, in the order of the transaction.
    pub recipients: Vec<RecipientOutcome>,
    /// Version and cipher suite, if the connection was encrypted.
    pub encryption: Option<String>,
    /// How encryption went, if a connection was opened for this and came so far.
    pub tls: Option<TlsSession>,
    /// Why there is no connection to hand anything over on.
    pub failure: Option<Failure>,
    /// The message was not sent, because it may not leave any more. The results say that it is lost on the way.
    pub withheld: bool,
}

/// Asked once more before a message itself is sent: whether it may still leave.
pub type MaySend = Arc<dyn Fn() -> bool + Send + Sync>;

/// Hands messages to other servers. Share one.
pub struct MxTransport {
    config: MxTransportConfig,
    encryption: Encryption,
    idle: Mutex<HashMap<Target, Vec<Connection>>>,
}

impl MxTransport {
    /// A transport that trusts the public authorities where certificates are verified, and `extra_roots` besides.
    pub fn new(config: MxTransportConfig, extra_roots: &[CertificateDer<'static>]) -> Self {
        Self { config, encryption: Encryption::new(extra_roots), idle: Mutex::default() }
    }

    /// Makes one attempt, and says for each recipient, in the order of the transaction, what became of it.
    ///
    /// A server that does not want to talk to us at all gives [`RecipientResult::Lost`] with its words as the cause:
    /// it said nothing about the recipients, and another server of the same domain may take them.
    pub async fn deliver(&self, target: &Target, transaction: Transaction) -> HandedOver {
        self.deliver_if(target, transaction, &(Arc::new(|| true) as MaySend)).await
    }

    /// The same; `may_send` is asked when the server is ready for the message. If it says no, nothing of it is sent.
    pub async fn deliver_if(&self, target: &Target, transaction: Transaction, may_send: &MaySend) -> HandedOver {
        self.close_idle();
        let ends = Ends::of(&self.config);
        if let Some(connection) = self.take_idle(target) {
            let encryption = connection.encryption();
            let (outcome, withheld) = self.transact(target, connection, transaction.clone(), ends, may_send).await;
            if withheld || !outcome.untouched {
                return HandedOver { recipients: outcome.recipients, encryption, tls: None, failure: None, withheld };
            }
            tracing::debug!(address = %target.address, "kept connection was dead, connecting again");
        }
        let mut tls = None;
        match self.connect(target, ends, &mut tls).await {
            Ok(connection) => {
                let encryption = connection.encryption();
                let (outcome, withheld) = self.transact(target, connection, transaction, ends, may_send).await;
                HandedOver { recipients: outcome.recipients, encryption, tls, failure: None, withheld }
            }
            Err(failure) => {
                let recipients = lost(transaction, &failure).recipients;
                HandedOver { recipients, encryption: None, tls, failure: Some(failure), withheld: false }
            }
        }
    }

    /// Says QUIT on connections that have been unused for too long. Deliveries do it by themselves; call it from time
    /// to time in case there are none.
    pub fn close_idle(&self) {
        let idle_max = self.config.idle_max;
        let stale: Vec<Connection> = {
            let mut idle = self.idle();
            let stale = idle.values_mut().flat_map(|kept| kept.extract_if(.., |kept| kept.since.elapsed() >= idle_max));
            let stale = stale.collect();
            idle.retain(|_, kept| !kept.is_empty());
            stale
        };
        stale.into_iter().for_each(Connection::quit);
    }

    /// Runs one transaction and keeps the connection if it can be used again; whether the message was withheld.
    async fn transact(
        &self,
        target: &Target,
        mut connection: Connection,
        transaction: Transaction,
        ends: Ends,
        may_send: &MaySend,
    ) -> (TransactionOutcome, bool) {
        let step = connection.begin(transaction.clone(), ends, may_send).run(&self.config).await;
        let withheld = connection.is_withheld();
        let outcome = match step {
            Step::Done(outcome) => {
                self.keep(target, connection);
                outcome
            }
            Step::Closed(failure) => lost(transaction, &failure),
            step => lost(transaction, &unexpected(&step)),
        };
        (outcome, withheld)
    }

    fn keep(&self, target: &Target, mut connection: Connection) {
        match connection.session.step() {
            // `NeedInput`: RSET is out; its reply is looked at when the connection is taken up again.
            Step::Ready | Step::NeedInput => {}
            _ => return,
        }
        if connection.transactions >= self.config.transactions_max {
            return connection.quit();
        }
        connection.since = Instant::now();
        let mut idle = self.idle();
        if idle.values().map(Vec::len).sum::<usize>() < self.config.idle_connections_max {
            idle.entry(target.clone()).or_default().push(connection);
        } else {
            drop(idle);
            connection.quit();
        }
    }

    /// The connection used last, as the others are the likelier to be dead.
    fn take_idle(&self, target: &Target) -> Option<Connection> {
        loop {
            let mut connection = self.idle().get_mut(target)?.pop()?;
            if connection.is_alive() {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<Target, Vec<Connection>>> {
        // The map is whole between any two statements, so that a panic elsewhere leaves it usable.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Getting connected. How encryption went is left in `seen`.
impl MxTransport {
    async fn connect(&self, target: &Target, ends: Ends, seen: &mut Option<TlsSession>) -> Result<Connection, Failure> {
        match self.connect_with(target, target.tls.policy(), ends, seen).await {
            // Where encryption is a courtesy, a server whose TLS does not work still gets its mail (RFC 7435 §3).
            Err(NotConnected::Handshake(failure)) if target.tls.policy() == TlsPolicy::Opportunistic => {
                tracing::debug!(address = %target.address, cause = %failure, "TLS does not work, connecting in the clear");
                self.connect_with(target, TlsPolicy::Never, ends, seen).await.map_err(NotConnected::into_failure)
            }
            result => result.map_err(NotConnected::into_failure),
        }
    }

    async fn connect_with(
        &self,
        target: &Target,
        tls: TlsPolicy,
        ends: Ends,
        seen: &mut Option<TlsSession>,
    ) -> Result<Connection, NotConnected> {
        let stream = self.open(target, ends).await.map_err(|cause| disconnected("connect", &cause))?;
        let sending = stream.local_addr().ok().map(|address| address.ip());
        let session = |result| TlsSession { sending, result };
        let config = self.session_config(target, tls);
        let mut connection = match target.tls {
            TlsRule::Implicit => {
                let encrypted = self.encrypt(target, stream, ends).await;
                *seen = Some(session(encrypted.as_ref().map(drop).map_err(Clone::clone)));
                let stream = encrypted.map_err(NotConnected::handshake)?;
                Connection::new(stream, Session::encrypted(config), ends)
            }
            _ => Connection::new(Stream::Plain(stream), Session::new(config), ends),
        };
        loop {
            match connection.run(&self.config).await {
                Step::Ready => {
                    if tls != TlsPolicy::Never && !connection.session.is_encrypted() {
                        *seen = Some(session(Err(TlsFailure::not_offered())));
                    }
                    return Ok(connection);
                }
                Step::StartTls => {
                    let Connection { stream: Stream::Plain(stream), session: mut inner, .. } = connection else {
                        return Err(disconnected("TLS handshake", "connection is encrypted already").into());
                    };
                    let encrypted = self.encrypt(target, stream, ends).await;
                    let judged = encrypted.as_ref().map_err(Clone::clone);
                    *seen = Some(session(judged.and_then(|stream| self.encryption.watch(target, stream))));
                    inner.tls_started();
                    connection = Connection::new(encrypted.map_err(NotConnected::handshake)?, inner, ends);
                }
                Step::Closed(failure) => {
                    let is_broken = is_tls_broken(&failure, tls, &connection.session);
                    match &failure {
                        Failure::TlsUnavailable => *seen = Some(session(Err(TlsFailure::not_offered()))),
                        _ if is_broken => *seen = Some(session(Err(TlsFailure::other(failure.to_string())))),
                        Failure::Injected => *seen = Some(session(Err(TlsFailure::other(failure.to_string())))),
                        _ => {}
                    }
                    return Err(if is_broken { NotConnected::Handshake(failure) } else { failure.into() });
                }
                step => return Err(unexpected(&step).into()),
            }
        }
    }

    fn session_config(&self, target: &Target, tls: TlsPolicy) -> ClientConfig {
        let helo = target.source.as_ref().map_or(&self.config.helo, |source| &source.helo).clone();
        // What may be said in the clear may be said within this machine only.
        let login = target.login.clone().map(|login| match login.in_clear && !target.address.ip().is_loopback() {
            true => Arc::new(Login { in_clear: false, ..Login::clone(&login) }),
            false => login,
        });
        ClientConfig { helo, tls, login }
    }

    async fn open(&self, target: &Target, ends: Ends) -> Result<TcpStream, String> {
        let deadline = ends.deadline(Instant::now(), self.config.connect_timeout, "connect");
        let stream = timeout_at(deadline.at, connect_from(target.source.as_ref(), target.address))
            .await
            .map_err(|_| deadline.to_string())?
            .map_err(|error| error.to_string())?;
        // Each write is a whole group of commands; holding it back for more only costs time.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }

    async fn encrypt(&self, target: &Target, stream: TcpStream, ends: Ends) -> Result<Stream, TlsFailure> {
        let (connector, name) = self.encryption.connector(target)?;
        let deadline = ends.deadline(Instant::now(), self.config.connect_timeout, "connect");
        let stream = timeout_at(deadline.at, connector.connect(name, stream))
            .await
            .map_err(|_| TlsFailure::other(deadline.to_string()))?
            .map_err(|error| TlsFailure::of(&error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

async fn connect_from(source: Option<&Source>, address: SocketAddr) -> std::io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source.address, 0))?;
    socket.connect(address).await
}

/// Why there is no connection.
enum NotConnected {
    /// Everything was well up to STARTTLS, and TLS does not work.
    Handshake(Failure),
    Other(Failure),
}

impl NotConnected {
    fn handshake(failure: TlsFailure) -> Self {
        Self::Handshake(disconnected("TLS handshake", &failure.text))
    }

    fn into_failure(self) -> Failure {
        match self {
            Self::Handshake(failure) | Self::Other(failure) => failure,
        }
    }
}

impl From<Failure> for NotConnected {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// Whether a connection ended because of TLS, as far as can be told. With TLS 1.3 a server that does not like the
/// handshake hangs up after it is done for us (RFC 8446 §4.6.2, §6.2), so that it looks like an unanswered EHLO.
fn is_tls_broken(failure: &Failure, tls: TlsPolicy, session: &Session) -> bool {
    let Failure::Disconnected { during, .. } = failure else { return false };
    match tls {
        TlsPolicy::Never => false,
        TlsPolicy::Required => *during == "STARTTLS",
        TlsPolicy::Opportunistic => *during == "STARTTLS" || (*during == "EHLO" && session.is_encrypted()),
    }
}

fn disconnected(during: &'static str, cause: &str) -> Failure {
    Failure::Disconnected { during, cause: cause.to_owned() }
}

fn unexpected(step: &Step) -> Failure {
    disconnected("connect", &format!("session is out of step: {step:?}"))
}

/// The outcome when the transaction did not even begin.
fn lost(transaction: Transaction, failure: &Failure) -> TransactionOutcome {
    let result = RecipientResult::Lost {
        during: failure.during(),
        ambiguous: false,
        cause: failure.to_string(),
        reply: failure.reply().cloned().map(Box::new),
    };
    let outcome = |address| RecipientOutcome { address, result: result.clone() };
    TransactionOutcome { recipients: transaction.recipients.into_iter().map(outcome).collect(), untouched: true }
}
