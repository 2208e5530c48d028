//! The session as its owner sees it: feed, step, take the output, answer when asked.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr3;
use postfleet_core::{EmailAddress, ReversePath};

use super::config::{Config, Envelope, Service};
use crate::smtp::command::{Command, Rejected};
use crate::smtp::data::MessageReader;
use crate::smtp::path::Mail;
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::sasl::{AUTH_LINE_OCTETS_MAX, Awaited, Credentials};

/// What the owner of the connection must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write what is pending, then read more and feed it.
    NeedInput,
    /// Look at what the client shows, and call [`Session::authentication_verdict`].
    Authenticate(Credentials),
    /// The account is about to send: see whether it still may, and call [`Session::sender_verdict`].
    Sender,
    /// Decide about this recipient and call [`Session::recipient_verdict`].
    Recipient(EmailAddress),
    /// The message is complete: CRLF line ends, added dots removed. Take responsibility for it or do not, and call
    /// [`Session::message_verdict`]. Until then no further command is carried out.
    Message(Envelope, Vec<u8>),
    /// Write what is pending, read nothing more in the clear, do the TLS handshake, and call
    /// [`Session::tls_started`].
    StartTls,
    /// Write what is pending and close.
    Close,
}

/// What a client did that ended the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breach {
    /// It spoke before the greeting.
    EarlyTalker,
    /// It did not wait for an answer that it needs before it can go on (RFC 2920 §3.1), or sent too much at once.
    Pipelining,
    /// It sent something in the clear after STARTTLS (RFC 3207 §4).
    Injection,
    /// A bare CR, a bare LF or a NUL in a message.
    Content,
    /// Such an octet among the commands, a line that is too long, or a chunk whose octets cannot be counted.
    Line,
    /// Too many errors.
    Errors,
    /// Too many commands.
    Commands,
    /// Too many messages.
    Messages,
    /// Too many failed attempts to sign in.
    SignIns,
}

impl Breach {
    /// A word for it, as metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EarlyTalker => "early_talker",
            Self::Pipelining => "pipelining",
            Self::Injection => "starttls_injection",
            Self::Content => "bare_line_end",
            Self::Line => "bad_line",
            Self::Errors => "errors",
            Self::Commands => "commands",
            Self::Messages => "session_messages",
            Self::SignIns => "sign_ins",
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    pub(super) config: Arc<Config>,
    pub(super) postmaster: Option<EmailAddress>,
    pub(super) phase: Phase,
    input: Vec<u8>,
    /// `input[..head]` is done with.
    head: usize,
    output: Vec<u8>,
    /// Whether the greeting is on its way.
    greeted: bool,
    /// Where in `output` a reply begins that the client must see before it may go on, and what it does if it does not wait.
    prompt: Option<(usize, Breach)>,
    /// Said instead of anything further once the verdict is in.
    closing: Option<Reply>,
    pub(super) tls: bool,
    pub(super) client: Option<Client>,
    /// The address of the account that has signed in.
    pub(super) account: Option<EmailAddress>,
    pub(super) transaction: Option<Transaction>,
    commands: u32,
    /// Commands since an answer was last written.
    pipelined: u32,
    errors: u32,
    breach: Option<Breach>,
    pub(super) transactions: u32,
    /// Failed attempts to sign in.
    pub(super) failures: u32,
    /// What was shown at the last of them, if it was looked at and wrong.
    pub(super) refused: Option<Credentials>,
}

/// What the session is doing.
#[derive(Debug)]
pub(super) enum Phase {
    Command,
    /// Waits for the client's part of signing in.
    Authentication(Awaited),
    /// Waits for the verdict on what the client has shown.
    Verdict(Credentials),
    /// Waits for the verdict on the sender.
    Sender(Mail),
    /// Waits for the verdict on a recipient.
    Recipient(EmailAddress),
    Data(MessageReader),
    /// `left` octets of a chunk are to come. With a refusal they are swallowed, and it is said afterwards.
    Chunk {
        left: u64,
        last: bool,
        refusal: Option<Reply>,
    },
    /// Waits for the verdict on the message.
    Message,
    /// Waits for TLS.
    Handshake,
    Closed,
}

/// Who is there.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) esmtp: bool,
}

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) mail: Mail,
    /// Octets that it may have.
    pub(super) octets_max: u64,
    pub(super) recipients: Vec<EmailAddress>,
    /// What has come by BDAT.
    pub(super) chunks: Option<MessageReader>,
}

impl Session {
    /// A session with its greeting pending. `tls` tells whether the connection is encrypted from the start.
    ///
    /// To catch clients that speak before the greeting, feed what can be read before taking the greeting.
    pub fn new(config: Arc<Config>, tls: bool) -> Self {
        let mut output = Vec::with_capacity(256);
        Reply::greeting(&config.hostname).write_to(&mut output);
        Self {
            postmaster: EmailAddress::parse(&format!("postmaster@{}", config.hostname)).ok(),
            config,
            phase: Phase::Command,
            input: Vec::new(),
            head: 0,
            output,
            greeted: false,
            prompt: None,
            closing: None,
            tls,
            client: None,
            account: None,
            transaction: None,
            commands: 0,
            pipelined: 0,
            errors: 0,
            breach: None,
            transactions: 0,
            failures: 0,
            refused: None,
        }
    }

    /// Takes in what was read. Feed only when [`Step::NeedInput`] asked for it: what is fed is kept.
    pub fn feed(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        if let Some((prompt, breach)) = self.prompt.take() {
            // It did not wait for the answer to DATA or STARTTLS, so it never gets that answer (RFC 2920 §3.1,
            // RFC 3207 §4): what it sent may have been meant for somebody else's session.
            self.output.truncate(prompt);
            self.close_for(breach, Reply::spoke_too_early());
            return;
        }
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if !self.greeted || matches!(self.phase, Phase::Handshake) {
            let breach = if self.greeted { Breach::Injection } else { Breach::EarlyTalker };
            self.close_for(breach, Reply::spoke_too_early());
            return;
        }
        self.input.drain(..self.head);
        self.head = 0;
        self.input.extend_from_slice(octets);
    }

    /// Goes on until the owner must do something. While a verdict is due it only says [`Step::NeedInput`].
    pub fn step(&mut self) -> Step {
        loop {
            let step = match self.phase {
                Phase::Command => self.command(),
                Phase::Authentication(_) => self.auth_response(),
                Phase::Data(_) => self.data_content(),
                Phase::Chunk { .. } => self.chunk_content(),
                Phase::Verdict(_) | Phase::Sender(_) | Phase::Recipient(_) | Phase::Message | Phase::Handshake => {
                    Some(Step::NeedInput)
                }
                Phase::Closed => Some(Step::Close),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// What is to be written now.
    pub fn take_output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        self.swap_output(&mut output);
        output
    }

    /// As [`Session::take_output`], into a buffer whose memory is used again.
    pub fn swap_output(&mut self, buffer: &mut Vec<u8>) {
        self.greeted = true;
        self.prompt = None;
        self.pipelined = 0;
        buffer.clear();
        std::mem::swap(&mut self.output, buffer);
    }

    /// Answers [`Step::Recipient`].
    pub fn recipient_verdict(&mut self, verdict: Result<(), Reply>) {
        let Phase::Recipient(address) = std::mem::replace(&mut self.phase, Phase::Command) else { return };
        match verdict {
            Ok(()) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(address);
                }
                self.reply(Reply::recipient_ok());
            }
            Err(reply) => self.pass_on(reply),
        }
        self.close_if_due();
    }

    /// Answers [`Step::Message`].
    pub fn message_verdict(&mut self, reply: Reply) {
        if !matches!(self.phase, Phase::Message) {
            return;
        }
        self.phase = Phase::Command;
        if reply.is_positive() {
            self.reply(reply);
        } else {
            self.pass_on(reply);
        }
        self.close_if_due();
    }

    /// Answers [`Step::StartTls`]: the connection is encrypted now, and all that was said before is forgotten
    /// (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if !matches!(self.phase, Phase::Handshake) {
            return;
        }
        self.phase = Phase::Command;
        self.tls = true;
        self.client = None;
        self.account = None;
        self.transaction = None;
        self.close_if_due();
    }

    /// Ends the session because the service stops; after the verdict if one is due.
    pub fn shutting_down(&mut self) {
        self.close_when_answered(Reply::shutting_down());
    }

    /// Ends the session because there is no room for what it brings; after the verdict if one is due.
    pub fn overloaded(&mut self) {
        self.close_when_answered(Reply::overloaded());
    }

    /// Ends the session because of its errors, before there are as many as it may make.
    pub fn too_many_errors(&mut self) {
        self.close_when_answered(Reply::too_many_errors());
    }

    /// Ends the session because the client was silent; after the verdict if one is due.
    pub fn timed_out(&mut self) {
        self.close_when_answered(Reply::timed_out());
    }

    /// Whether the greeting, or what was said instead of it, has been written.
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Errors that the client has made.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// What the client did that ended the session, if that is why it ended.
    pub fn breach(&self) -> Option<Breach> {
        self.breach
    }

    /// Where failures of the message are to be reported that the client is about to send.
    pub fn reverse_path(&self) -> Option<&ReversePath> {
        self.transaction.as_ref().map(|transaction| &transaction.mail.reverse_path)
    }

    /// The size that the client announced for the message that it is about to send (RFC 1870).
    pub fn declared_octets(&self) -> Option<u64> {
        self.transaction.as_ref().and_then(|transaction| transaction.mail.size)
    }

    /// Octets held: input, message and output.
    pub fn buffered_octets(&self) -> usize {
        let chunks = self.transaction.as_ref().and_then(|transaction| transaction.chunks.as_ref());
        let message = match &self.phase {
            Phase::Data(reader) => Some(reader),
            _ => chunks,
        };
        self.input.len() - self.head + self.output.len() + message.map_or(0, MessageReader::buffered_octets)
    }

    /// Says no in the owner's words. A 421 ends the session, whoever says it (RFC 5321 §3.8).
    pub(super) fn pass_on(&mut self, reply: Reply) {
        if reply.code() == 421 { self.close(reply) } else { self.refuse(reply) }
    }

    fn close_when_answered(&mut self, reply: Reply) {
        match self.phase {
            // A 421 now would be taken for the verdict, though the message may be accepted.
            Phase::Verdict(_) | Phase::Sender(_) | Phase::Recipient(_) | Phase::Message | Phase::Handshake => {
                self.closing = Some(reply);
            }
            Phase::Closed => {}
            _ => self.close(reply),
        }
    }

    pub(super) fn close_if_due(&mut self) {
        if let Some(reply) = self.closing.take().filter(|_| !matches!(self.phase, Phase::Closed)) {
            self.close(reply);
        }
    }
}

/// The line of commands.
impl Session {
    fn command(&mut self) -> Option<Step> {
        let line = match self.next_line(self.config.limits.line_octets) {
            Line::Incomplete => return Some(Step::NeedInput),
            Line::Refused(reply) => return self.close_for(Breach::Line, reply),
            Line::Complete(line) => line,
        };
        self.commands += 1;
        if self.commands > self.config.limits.commands {
            return self.close_for(Breach::Commands, Reply::too_many_commands());
        }
        self.pipelined += 1;
        if self.pipelined > self.config.limits.pipelined_commands {
            return self.close_for(Breach::Pipelining, Reply::too_many_pipelined());
        }
        match Command::parse(&self.input[line]) {
            Ok(command) => self.carry_out(command),
            Err(Rejected::Reply(reply)) => {
                self.refuse(reply);
                None
            }
            Err(Rejected::Close(reply)) => self.close_for(Breach::Line, reply),
        }
    }

    /// Finds the next line. Whether it is found, waited for or refused does not depend on how the input was split.
    pub(super) fn next_line(&mut self, limit: usize) -> Line {
        let rest = &self.input[self.head..];
        let limit = if self.config.service == Service::Submission && is_auth(rest) {
            limit.max(AUTH_LINE_OCTETS_MAX)
        } else {
            limit
        };
        let window = &rest[..rest.len().min(limit)];
        let Some(at) = memchr3(b'\r', b'\n', 0, window) else {
            return if window.len() == limit { Line::Refused(Reply::line_too_long()) } else { Line::Incomplete };
        };
        if window[at] != b'\r' {
            return Line::Refused(Reply::bad_line());
        }
        if at + 2 > limit {
            return Line::Refused(Reply::line_too_long());
        }
        match rest.get(at + 1) {
            None => Line::Incomplete,
            Some(b'\n') => {
                let line = self.head..self.head + at;
                self.head += at + 2;
                Line::Complete(line)
            }
            Some(_) => Line::Refused(Reply::bad_line()),
        }
    }
}

/// Whether a line is AUTH, which may be longer than other commands (RFC 4954 §4).
fn is_auth(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "))
}

pub(super) enum Line {
    Incomplete,
    Complete(Range<usize>),
    /// The connection ends: with such a line it is unclear where commands begin.
    Refused(Reply),
}

/// What the verbs and the content need.
impl Session {
    /// Input that is not done with.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.head..]
    }

    /// The octets of a line.
    pub(super) fn line(&self, line: Range<usize>) -> &[u8] {
        &self.input[line]
    }

    pub(super) fn consume(&mut self, octets: usize) {
        self.head = (self.head + octets).min(self.input.len());
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        reply.write_to(&mut self.output);
    }

    /// Says no, counts it, and ends the session when it was one too many.
    pub(super) fn refuse(&mut self, reply: Reply) {
        let counts = reply.severity() == Severity::Permanent;
        self.reply(reply);
        self.errors += u32::from(counts);
        if counts && self.errors >= self.config.limits.errors {
            self.close_for(Breach::Errors, Reply::too_many_errors());
        }
    }

    /// The next reply must be seen before the client may go on; not to wait for it is that breach.
    pub(super) fn begin_prompt(&mut self, breach: Breach) {
        self.prompt = Some((self.output.len(), breach));
    }

    /// Ends the session because of what the client did.
    pub(super) fn close_for(&mut self, breach: Breach, reply: Reply) -> Option<Step> {
        self.breach.get_or_insert(breach);
        self.close(reply);
        None
    }

    pub(super) fn close(&mut self, reply: Reply) {
        if !self.greeted {
            // The refusal takes the place of the greeting (RFC 5321 §3.1).
            self.output.clear();
        }
        self.reply(reply);
        self.end();
    }

    /// Nothing that is still there will be looked at.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Closed;
        self.input = Vec::new();
        self.head = 0;
        self.transaction = None;
    }
}
