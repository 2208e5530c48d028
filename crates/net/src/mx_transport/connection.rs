//! One connection: octets between the socket and the session, and the deadlines of both.

use super::{MaySend, MxTransportConfig};
use futures::FutureExt;
use postfleet_wire::smtp::client::{Session, Step, Transaction};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

/// Octets read at a time. Replies are short.
const READ_OCTETS: usize = 4 * 1_024;

/// One connection and what is said on it.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) session: Session,
    buffer: Vec<u8>,
    /// Why nothing can be written any more. There may still be a reply that says why.
    write_error: Option<String>,
    pub(super) transactions: u32,
    /// When it was put aside.
    pub(super) since: Instant,
    /// What is waited for and how many replies have come; while these stay, the deadline stays.
    waiting: (&'static str, u64),
    waiting_since: Instant,
    ends: Ends,
    /// Whom to ask before the message is sent, until they were asked.
    may_send: Option<MaySend>,
    is_withheld: bool,
}

/// When a delivery is over as a whole, on however many connections, and whatever it is busy with.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    at: Instant,
    limit: Duration,
}

impl Ends {
    /// For a delivery that begins now.
    pub(super) fn of(config: &MxTransportConfig) -> Self {
        let limit = config.transaction_timeout;
        Self { at: Instant::now() + limit, limit }
    }

    /// The deadline of something that is waited for since then, unless the end comes first.
    pub(super) fn deadline(self, since: Instant, limit: Duration, whose: &'static str) -> Deadline {
        let at = since + limit;
        match at <= self.at {
            true => Deadline { at, limit, whose },
            false => Deadline { at: self.at, limit: self.limit, whose: "transaction" },
        }
    }
}

/// Until when to wait, and in whose name.
pub(super) struct Deadline {
    pub(super) at: Instant,
    limit: Duration,
    whose: &'static str,
}

impl std::fmt::Display for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer within {:?} ({} deadline)", self.limit, self.whose)
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, session: Session, ends: Ends) -> Self {
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
            ends,
            may_send: None,
            is_withheld: false,
        }
    }

    /// Hands a transaction to the session. One that is not ready closes, which then comes out of [`Connection::run`].
    pub(super) fn begin(&mut self, transaction: Transaction, ends: Ends, may_send: &MaySend) -> &mut Self {
        self.transactions += 1;
        self.ends = ends;
        self.may_send = Some(may_send.clone());
        if self.session.begin(transaction).is_err() {
            self.session.disconnected("connection was not ready");
        }
        self
    }

    /// Reads and writes until the session wants something else.
    pub(super) async fn run(&mut self, config: &MxTransportConfig) -> Step {
        loop {
            let step = self.session.step();
            if matches!(step, Step::Closed(_)) {
                return step;
            }
            if self.has_to_be_withheld() {
                continue;
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

    /// Asks once, when the message is next. A server that does not get the end of a message forgets it (RFC 5321 §4.1.1.4),
    /// so what is pending is thrown away and the connection given up.
    fn has_to_be_withheld(&mut self) -> bool {
        if !self.session.is_in_message() {
            return false;
        }
        let is_withheld = self.may_send.take().is_some_and(|may_send| !may_send());
        if is_withheld {
            self.is_withheld = true;
            self.session.disconnected("the sender was stopped");
            // The session has ended; what it had to say before would still be written.
            drop(self.session.take_output());
        }
        is_withheld
    }

    /// Whether the message of the last transaction was not sent, because it may not leave any more.
    pub(super) fn is_withheld(&self) -> bool {
        self.is_withheld
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
        self.ends.deadline(self.waiting_since, limit, whose)
    }

    /// Version and cipher suite, if it is encrypted.
    pub(super) fn encryption(&self) -> Option<String> {
        self.stream.encryption()
    }

    /// Whether it can take a transaction, as far as this can be told without waiting.
    pub(super) fn is_alive(&mut self) -> bool {
        let mut octets = [0; READ_OCTETS];
        loop {
            let step = self.session.step();
            // Whatever else the server has to say.
            if matches!(step, Step::Closed(_)) {
                return false;
            }
            match self.stream.read(&mut octets).now_or_never() {
                None => return step == Step::Ready,
                Some(Ok(count)) if count > 0 => self.session.feed(&octets[..count]),
                Some(_) => return false,
            }
        }
    }

    /// Says QUIT if that is possible without waiting, and closes.
    pub(super) fn quit(mut self) {
        self.session.quit();
        self.session.swap_output(&mut self.buffer);
        // A server that does not hear it sees the connection close.
        let _ = self.stream.write(&self.buffer).now_or_never();
    }
}

/// A connection in the clear or encrypted.
pub(super) enum Stream {
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
