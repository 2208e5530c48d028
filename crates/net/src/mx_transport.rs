//! SMTP to other mail servers: opens connections, encrypts them, keeps them for the next message, enforces deadlines.
//!
//! What is said on a connection is decided in `postfleet_wire`; where to connect is decided by the caller. One call is
//! one attempt at one server. It never tries again once the server has accepted anything of the message.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use postfleet_wire::smtp::client::{
    ClientConfig, Failure, RecipientOutcome, RecipientResult, Session, Step, TlsPolicy, Transaction, TransactionOutcome,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Octets read at a time. Replies are short.
const READ_OCTETS: usize = 4 * 1_024;

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
    /// For a transaction as a whole, however lively the server drips its replies.
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
    /// Whether to encrypt.
    pub tls: TlsPolicy,
}

/// What came of an attempt at one server.
#[derive(Clone, Debug)]
pub struct Handover {
    /// What became of the message for each recipient, in the order of the transaction.
    pub recipients: Vec<RecipientOutcome>,
    /// Version and cipher suite, if the connection was encrypted.
    pub tls: Option<String>,
}

/// Hands messages to other servers. Share one.
pub struct MxTransport {
    config: MxTransportConfig,
    opportunistic: TlsConnector,
    required: TlsConnector,
    idle: Mutex<HashMap<Target, Vec<Connection>>>,
}

impl MxTransport {
    /// A transport that encrypts with `opportunistic` where no policy asks for more, and with `required` where one
    /// does: see [`crate::tls::client_config_opportunistic`] and [`crate::tls::client_config_verified`].
    pub fn new(
        config: MxTransportConfig,
        opportunistic: Arc<rustls::ClientConfig>,
        required: Arc<rustls::ClientConfig>,
    ) -> Self {
        Self { config, opportunistic: opportunistic.into(), required: required.into(), idle: Mutex::default() }
    }

    /// Makes one attempt, and says for each recipient, in the order of the transaction, what became of it.
    ///
    /// A server that does not want to talk to us at all gives [`RecipientResult::Lost`] with its words as the cause:
    /// it said nothing about the recipients, and another server of the same domain may take them.
    pub async fn deliver(&self, target: &Target, transaction: Transaction) -> Handover {
        self.close_idle();
        if let Some(connection) = self.take_idle(target) {
            let tls = connection.stream.encryption();
            let outcome = self.transact(target, connection, transaction.clone()).await;
            if !outcome.untouched {
                return Handover { recipients: outcome.recipients, tls };
            }
            tracing::debug!(address = %target.address, "kept connection was dead, connecting again");
        }
        match self.connect(target).await {
            Ok(connection) => {
                let tls = connection.stream.encryption();
                Handover { recipients: self.transact(target, connection, transaction).await.recipients, tls }
            }
            Err(failure) => Handover { recipients: lost(transaction, &failure).recipients, tls: None },
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

    /// Runs one transaction and keeps the connection if it can be used again.
    async fn transact(
        &self,
        target: &Target,
        mut connection: Connection,
        transaction: Transaction,
    ) -> TransactionOutcome {
        match connection.begin(transaction.clone(), &self.config).run(&self.config).await {
            Step::Done(outcome) => {
                self.keep(target, connection);
                outcome
            }
            Step::Closed(failure) => lost(transaction, &failure),
            step => lost(transaction, &unexpected(&step)),
        }
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

/// Getting connected.
impl MxTransport {
    async fn connect(&self, target: &Target) -> Result<Connection, Failure> {
        match self.connect_with(target, target.tls).await {
            // Where encryption is a courtesy, a server whose TLS does not work still gets its mail (RFC 7435 §3).
            Err(NotConnected::Handshake(failure)) if target.tls == TlsPolicy::Opportunistic => {
                tracing::debug!(address = %target.address, cause = %failure, "TLS handshake failed, connecting in the clear");
                self.connect_with(target, TlsPolicy::Never).await.map_err(NotConnected::into_failure)
            }
            result => result.map_err(NotConnected::into_failure),
        }
    }

    async fn connect_with(&self, target: &Target, tls: TlsPolicy) -> Result<Connection, NotConnected> {
        let stream = self.open(target.address).await.map_err(|cause| disconnected("connect", &cause))?;
        let session = Session::new(ClientConfig { helo: self.config.helo.clone(), tls });
        let mut connection = Connection::new(Stream::Plain(stream), session, &self.config);
        loop {
            match connection.run(&self.config).await {
                Step::Ready => return Ok(connection),
                Step::StartTls => connection = self.encrypt(target, connection).await?,
                Step::Closed(failure) => return Err(failure.into()),
                step => return Err(unexpected(&step).into()),
            }
        }
    }

    async fn open(&self, address: SocketAddr) -> Result<TcpStream, String> {
        let limit = self.config.connect_timeout;
        let stream = timeout(limit, TcpStream::connect(address))
            .await
            .map_err(|_| format!("no connection within {limit:?} (connect deadline)"))?
            .map_err(|error| error.to_string())?;
        // Each write is a whole group of commands; holding it back for more only costs time.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }

    async fn encrypt(&self, target: &Target, connection: Connection) -> Result<Connection, NotConnected> {
        let failed = |cause: String| NotConnected::Handshake(disconnected("TLS handshake", &cause));
        let (connector, name) = match target.tls {
            TlsPolicy::Required => (&self.required, server_name(&target.host_name).map_err(failed)?),
            // Nobody checks the name here, so a name that cannot be one does not stand in the way.
            _ => (&self.opportunistic, server_name(&target.host_name).unwrap_or_else(|_| target.address.ip().into())),
        };
        let limit = self.config.connect_timeout;
        let Connection { stream: Stream::Plain(stream), mut session, .. } = connection else {
            return Err(failed("connection is encrypted already".to_owned()));
        };
        let stream = timeout(limit, connector.connect(name, stream))
            .await
            .map_err(|_| failed(format!("not done within {limit:?} (connect deadline)")))?
            .map_err(|error| failed(error.to_string()))?;
        session.tls_started();
        Ok(Connection::new(Stream::Tls(Box::new(stream)), session, &self.config))
    }
}

fn server_name(host_name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host_name.trim_end_matches('.').to_owned()).map_err(|error| error.to_string())
}

/// Why there is no connection.
enum NotConnected {
    /// Everything was well up to the TLS handshake.
    Handshake(Failure),
    Other(Failure),
}

impl NotConnected {
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

/// One connection and what is said on it.
struct Connection {
    stream: Stream,
    session: Session,
    buffer: Vec<u8>,
    /// Why nothing can be written any more. There may still be a reply that says why.
    write_error: Option<String>,
    transactions: u32,
    /// When it was put aside.
    since: Instant,
    /// What is waited for and how many replies have come; while these stay, the deadline stays.
    waiting: (&'static str, u64),
    waiting_since: Instant,
    transaction_ends: Instant,
}

/// Until when to wait, and in whose name.
struct Deadline {
    at: Instant,
    limit: Duration,
    whose: &'static str,
}

impl std::fmt::Display for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer within {:?} ({} deadline)", self.limit, self.whose)
    }
}

impl Connection {
    fn new(stream: Stream, session: Session, config: &MxTransportConfig) -> Self {
        let now = Instant::now();
        Self {
            waiting: (session.waiting_for(), session.replies()),
            stream,
            session,
            buffer: Vec::new(),
            write_error: None,
            transactions: 0,
            since: now,
            waiting_since: now,
            transaction_ends: now + config.transaction_timeout,
        }
    }

    /// Hands a transaction to the session. One that is not ready closes, which then comes out of [`Connection::run`].
    fn begin(&mut self, transaction: Transaction, config: &MxTransportConfig) -> &mut Self {
        self.transactions += 1;
        self.transaction_ends = Instant::now() + config.transaction_timeout;
        if self.session.begin(transaction).is_err() {
            self.session.disconnected("connection was not ready");
        }
        self
    }

    /// Reads and writes until the session wants something else.
    async fn run(&mut self, config: &MxTransportConfig) -> Step {
        loop {
            let step = self.session.step();
            if matches!(step, Step::Closed(_)) {
                return step;
            }
            let written = self.write(config).await;
            match step {
                Step::NeedInput | Step::Write if !written => {}
                Step::NeedInput => self.read(config).await,
                // What remains of the message would go nowhere, but why may be known.
                Step::Write if self.write_error.is_some() => self.read(config).await,
                Step::Write => {}
                step => return step,
            }
        }
    }

    /// Writes what is pending. `false` means that it took too long and the session has ended.
    async fn write(&mut self, config: &MxTransportConfig) -> bool {
        self.session.swap_output(&mut self.buffer);
        if self.buffer.is_empty() || self.write_error.is_some() {
            return true;
        }
        let deadline = self.deadline(config);
        match timeout_at(deadline.at, self.stream.write(&self.buffer)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                self.write_error = Some(error.to_string());
                true
            }
            Err(_) => {
                self.session.disconnected(deadline.to_string());
                false
            }
        }
    }

    async fn read(&mut self, config: &MxTransportConfig) {
        let deadline = self.deadline(config);
        let mut octets = [0; READ_OCTETS];
        match timeout_at(deadline.at, self.stream.read(&mut octets)).await {
            Ok(Ok(0)) => self.ended("connection closed by the server".to_owned()),
            Ok(Ok(count)) => self.session.feed(&octets[..count]),
            Ok(Err(error)) => self.ended(error.to_string()),
            Err(_) => self.session.disconnected(deadline.to_string()),
        }
    }

    fn ended(&mut self, cause: String) {
        self.session.disconnected(self.write_error.take().unwrap_or(cause));
    }

    fn deadline(&mut self, config: &MxTransportConfig) -> Deadline {
        let waiting = (self.session.waiting_for(), self.session.replies());
        if self.waiting != waiting {
            self.waiting = waiting;
            self.waiting_since = Instant::now();
        }
        let (limit, whose) = match self.session.is_in_message() {
            true => (config.data_timeout, "data"),
            false => (config.command_timeout, "command"),
        };
        let at = self.waiting_since + limit;
        if at <= self.transaction_ends {
            return Deadline { at, limit, whose };
        }
        Deadline { at: self.transaction_ends, limit: config.transaction_timeout, whose: "transaction" }
    }

    /// Whether it can take a transaction, as far as this can be told without waiting.
    fn is_alive(&mut self) -> bool {
        let mut octets = [0; READ_OCTETS];
        loop {
            let step = self.session.step();
            match self.stream.read(&mut octets).now_or_never() {
                None => return step == Step::Ready,
                Some(Ok(count)) if count > 0 => self.session.feed(&octets[..count]),
                Some(_) => return false,
            }
        }
    }

    /// Says QUIT if that is possible without waiting, and closes.
    fn quit(mut self) {
        self.session.quit();
        self.session.swap_output(&mut self.buffer);
        // A server that does not hear it sees the connection close.
        let _ = self.stream.write(&self.buffer).now_or_never();
    }
}

/// A connection in the clear or encrypted.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Version and cipher suite, for people.
    fn encryption(&self) -> Option<String> {
        let Self::Tls(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        let version =
            session.protocol_version().and_then(|version| version.as_str().map(|name| name.replace('_', ".")));
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        Some([version.as_deref(), suite].into_iter().flatten().collect::<Vec<_>>().join(" "))
    }

    async fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(octets).await,
            Self::Tls(stream) => stream.read(octets).await,
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets).await,
            Self::Tls(stream) => {
                stream.write_all(octets).await?;
                stream.flush().await
            }
        }
    }
}
