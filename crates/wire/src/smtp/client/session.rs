//! The session as its owner sees it: feed, step, take the output; begin a transaction when it is ready.

use super::delivery::{Delivery, Next, PIECE_OCTETS, unacceptable, unsent};
use super::extensions::Extensions;
use super::login::{Login, Mechanism};
use super::transaction::{Transaction, TransactionOutcome};
use crate::smtp::reply::{InvalidReply, Reply, ReplyReader, Severity};
use std::sync::Arc;

/// What a client session is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// What we call ourselves in EHLO.
    pub helo: String,
    /// Whether to encrypt.
    pub tls: TlsPolicy,
    /// How to sign in before anything is sent, where the server wants that.
    pub login: Option<Arc<Login>>,
}

/// Whether to encrypt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TlsPolicy {
    /// If the server offers it.
    Opportunistic,
    /// Or not at all.
    Required,
    /// No.
    Never,
}

/// What the owner of the connection must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write what is pending, then read more and feed it.
    NeedInput,
    /// Write what is pending, then step again: there is more to write.
    Write,
    /// Read nothing more in the clear, do the TLS handshake, and call [`Session::tls_started`].
    StartTls,
    /// A transaction may begin, or the connection wait for one.
    Ready,
    /// The transaction is over. Step again to learn whether the connection can be used for another.
    Done(TransactionOutcome),
    /// Close. Write what is pending if it still can be written.
    Closed(Failure),
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// The server does not want to talk to us.
    #[error("{during}: server said {reply}")]
    Refused {
        /// What was waited for.
        during: &'static str,
        /// What it said.
        reply: Reply,
    },
    /// Encryption is required and not to be had.
    #[error("STARTTLS: required and not offered")]
    TlsUnavailable,
    /// We are to sign in, and the server offers no way that can be used: none that we know, or only in the clear.
    #[error("AUTH: no usable way to sign in is offered")]
    LoginUnavailable,
    /// The server does not let us in.
    #[error("AUTH: server said {0}")]
    LoginRefused(Reply),
    /// Something came in the clear that would have been taken for encrypted (RFC 3207 §6).
    #[error("STARTTLS: server sent more before the handshake")]
    Injected,
    /// What came is not a reply.
    #[error("{during}: {error}")]
    Invalid {
        /// What was waited for.
        during: &'static str,
        /// What is wrong with it.
        error: InvalidReply,
    },
    /// A reply that cannot be given here, or that ends the connection.
    #[error("{during}: server said {reply}")]
    Unexpected {
        /// What was waited for.
        during: &'static str,
        /// What it said.
        reply: Reply,
    },
    /// The connection broke, or its owner gave up.
    #[error("{during}: {cause}")]
    Disconnected {
        /// What was waited for.
        during: &'static str,
        /// In the owner's words.
        cause: String,
    },
    /// We said QUIT.
    #[error("quit")]
    Quit,
}

impl Failure {
    /// What was waited for.
    pub fn during(&self) -> &'static str {
        match self {
            Self::Refused { during, .. }
            | Self::Invalid { during, .. }
            | Self::Unexpected { during, .. }
            | Self::Disconnected { during, .. } => during,
            Self::TlsUnavailable | Self::Injected => "STARTTLS",
            Self::LoginUnavailable | Self::LoginRefused(_) => "AUTH",
            Self::Quit => "QUIT",
        }
    }

    /// What the server said, if that is why.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply, .. } | Self::Unexpected { reply, .. } => Some(reply),
            _ => None,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    config: ClientConfig,
    tls: bool,
    state: State,
    reader: ReplyReader,
    input: Vec<u8>,
    /// `input[..head]` is done with.
    head: usize,
    output: Vec<u8>,
    extensions: Extensions,
    replies: u64,
    finished: Option<TransactionOutcome>,
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Login(Mechanism),
    Ready,
    Running(Box<Delivery>),
    Resetting,
    Quitting,
    Closed(Failure),
}

impl Session {
    /// A session that waits for the greeting.
    pub fn new(config: ClientConfig) -> Self {
        // Whatever the name was made from, it stays one word on one line.
        let helo = config.helo.chars().filter(char::is_ascii_graphic).collect();
        Self {
            config: ClientConfig { helo, ..config },
            tls: false,
            state: State::Greeting,
            reader: ReplyReader::default(),
            input: Vec::new(),
            head: 0,
            output: Vec::new(),
            extensions: Extensions::default(),
            replies: 0,
            finished: None,
        }
    }

    /// As [`Session::new`], on a connection that was encrypted from its first octet (RFC 8314 §3.3).
    pub fn encrypted(config: ClientConfig) -> Self {
        Self { tls: true, ..Self::new(config) }
    }

    /// Takes in what was read.
    pub fn feed(&mut self, octets: &[u8]) {
        match self.state {
            State::Closed(_) => {}
            State::Handshake if !octets.is_empty() => self.fail(Failure::Injected),
            _ => {
                self.input.drain(..self.head);
                self.head = 0;
                self.input.extend_from_slice(octets);
            }
        }
    }

    /// Goes on until the owner must do something.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(outcome) = self.finished.take() {
                return Step::Done(outcome);
            }
            match &self.state {
                State::Closed(failure) => return Step::Closed(failure.clone()),
                State::Handshake => return Step::StartTls,
                _ => {}
            }
            match self.next_reply() {
                Err(error) => self.fail(Failure::Invalid { during: self.waiting_for(), error }),
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) => {
                    if let Some(step) = self.without_reply() {
                        return step;
                    }
                }
            }
        }
    }

    /// Begins a transaction, which is given back unless [`Step::Ready`] was the last word.
    pub fn begin(&mut self, transaction: Transaction) -> Result<(), Transaction> {
        if !matches!(self.state, State::Ready) || self.finished.is_some() || self.has_unread() {
            return Err(transaction);
        }
        if transaction.recipients.is_empty() {
            self.finished = Some(TransactionOutcome { recipients: Vec::new(), untouched: false });
        } else if let Some(refusal) = unacceptable(&transaction, &self.extensions) {
            self.finished = Some(unsent(transaction, &refusal));
        } else {
            let mut delivery = Delivery::new(transaction, &self.extensions);
            delivery.send_commands(&mut self.output);
            self.state = State::Running(Box::new(delivery));
        }
        Ok(())
    }

    /// What is to be written now.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// As [`Session::take_output`], into a buffer whose memory is used again.
    pub fn swap_output(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        std::mem::swap(&mut self.output, buffer);
    }

    /// Answers [`Step::StartTls`]. All that was said before is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.tls = true;
            self.extensions = Extensions::default();
            self.say_hello("EHLO", State::Ehlo);
        }
    }

    /// Says QUIT, if there is nothing else to say.
    pub fn quit(&mut self) {
        if matches!(self.state, State::Ready) {
            self.say("QUIT\r\n", State::Quitting);
        }
    }

    /// The connection is gone, or its owner no longer waits; `cause` says why.
    pub fn disconnected(&mut self, cause: impl Into<String>) {
        match self.state {
            State::Closed(_) => {}
            State::Quitting => self.fail(Failure::Quit),
            _ => self.fail(Failure::Disconnected { during: self.waiting_for(), cause: cause.into() }),
        }
    }

    /// What is waited for, in a word that goes into an error.
    pub fn waiting_for(&self) -> &'static str {
        match &self.state {
            State::Greeting => "greeting",
            State::Ehlo => "EHLO",
            State::Helo => "HELO",
            State::StartTls => "STARTTLS",
            State::Handshake => "TLS handshake",
            State::Login(_) => "AUTH",
            State::Ready => "idle",
            State::Running(delivery) => delivery.waiting_for(),
            State::Resetting => "RSET",
            State::Quitting => "QUIT",
            State::Closed(_) => "closed",
        }
    }

    /// Whether the message is on its way or its end not yet answered, for which the longest deadlines are meant.
    pub fn is_in_message(&self) -> bool {
        matches!(&self.state, State::Running(delivery) if delivery.is_in_message())
    }

    /// Replies read so far. A deadline holds for one reply, however slowly its octets come.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls
    }
}

impl Session {
    fn next_reply(&mut self) -> Result<Option<Reply>, InvalidReply> {
        let mut rest = &self.input[self.head..];
        let reply = self.reader.read(&mut rest)?;
        self.head = self.input.len() - rest.len();
        self.replies += u64::from(reply.is_some());
        Ok(reply)
    }

    fn has_unread(&self) -> bool {
        self.head < self.input.len() || self.reader.is_midway()
    }

    /// What to do when there is no reply to look at. `None` means that there is more to be done here.
    fn without_reply(&mut self) -> Option<Step> {
        match &mut self.state {
            State::Ready if !self.reader.is_midway() => Some(Step::Ready),
            State::Running(delivery) if delivery.is_sending() => {
                let full = self.output.len() >= PIECE_OCTETS;
                delivery.send_message(&mut self.output);
                full.then_some(Step::Write)
            }
            _ => Some(Step::NeedInput),
        }
    }

    fn on_reply(&mut self, reply: Reply) {
        if let State::Running(delivery) = &mut self.state {
            let next = delivery.on_reply(reply, &mut self.output);
            return self.after(next);
        }
        match (&self.state, reply.severity()) {
            _ if reply.code() == 421 => self.refused(reply),
            (State::Greeting, Severity::Positive) => self.say_hello("EHLO", State::Ehlo),
            (State::Ehlo, Severity::Positive) => self.on_offer(Extensions::parse(reply.text())),
            // RFC 5321 §3.2: a server that does not know EHLO may know HELO.
            (State::Ehlo, Severity::Permanent) => self.say_hello("HELO", State::Helo),
            (State::Helo, Severity::Positive) => self.on_offer(Extensions::default()),
            (State::StartTls, Severity::Positive) if self.has_unread() => self.fail(Failure::Injected),
            (State::StartTls, Severity::Positive) => self.state = State::Handshake,
            (State::StartTls, Severity::Transient | Severity::Permanent) => self.without_tls(),
            (State::Login(mechanism), severity) => {
                let mechanism = *mechanism;
                self.on_login_reply(mechanism, severity, reply);
            }
            (State::Resetting, Severity::Positive) => self.state = State::Ready,
            (State::Quitting, _) => self.fail(Failure::Quit),
            (State::Greeting | State::Ehlo | State::Helo | State::Resetting, _) => self.refused(reply),
            _ => self.fail(Failure::Unexpected { during: self.waiting_for(), reply }),
        }
    }

    fn on_offer(&mut self, offer: Extensions) {
        self.extensions = offer;
        match self.config.tls {
            TlsPolicy::Never => self.sign_in(),
            _ if self.tls => self.sign_in(),
            _ if offer.starttls => self.say("STARTTLS\r\n", State::StartTls),
            _ => self.without_tls(),
        }
    }

    fn without_tls(&mut self) {
        match self.config.tls {
            TlsPolicy::Required => self.fail(Failure::TlsUnavailable),
            TlsPolicy::Opportunistic | TlsPolicy::Never => self.sign_in(),
        }
    }

    /// Signs in if we are to; then the first transaction may begin.
    fn sign_in(&mut self) {
        let Some(login) = self.config.login.clone() else { return self.state = State::Ready };
        match login.begin(self.extensions.mechanisms, self.tls) {
            Some((mechanism, line)) => self.say(&line, State::Login(mechanism)),
            None => self.fail(Failure::LoginUnavailable),
        }
    }

    fn on_login_reply(&mut self, mechanism: Mechanism, severity: Severity, reply: Reply) {
        match (severity, &self.config.login) {
            (Severity::Positive, _) => self.state = State::Ready,
            (Severity::Intermediate, Some(login)) => match login.go_on(mechanism) {
                Some((mechanism, line)) => self.say(&line, State::Login(mechanism)),
                None => self.fail(Failure::LoginRefused(reply)),
            },
            _ => self.fail(Failure::LoginRefused(reply)),
        }
    }

    fn after(&mut self, next: Next) {
        match next {
            Next::Continue => {}
            Next::Failed(failure) => self.fail(failure),
            Next::Finished { reset } => {
                let state = std::mem::replace(&mut self.state, State::Ready);
                if let State::Running(delivery) = state {
                    self.finished = Some(delivery.into_outcome(None));
                }
                if reset {
                    self.say("RSET\r\n", State::Resetting);
                }
            }
        }
    }

    fn refused(&mut self, reply: Reply) {
        self.fail(Failure::Refused { during: self.waiting_for(), reply });
    }

    /// Ends the session. A transaction in progress ends with it, and says so first.
    fn fail(&mut self, failure: Failure) {
        let state = std::mem::replace(&mut self.state, State::Closed(failure.clone()));
        if let State::Running(delivery) = state {
            self.finished = Some(delivery.into_outcome(Some(&failure)));
        }
        self.input = Vec::new();
        self.head = 0;
    }

    fn say_hello(&mut self, verb: &str, state: State) {
        let line = format!("{verb} {}\r\n", self.config.helo);
        self.say(&line, state);
    }

    fn say(&mut self, line: &str, state: State) {
        self.output.extend_from_slice(line.as_bytes());
        self.state = state;
    }
}
