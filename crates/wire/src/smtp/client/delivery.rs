//! One transaction in progress: which commands are out, which are answered, what that means for each recipient.
//!
//! With PIPELINING (RFC 2920) and without, the commands are the same; only the number that may be out at a time
//! differs. Replies are matched to commands by counting.

use super::extensions::Extensions;
use super::session::Failure;
use super::transaction::{RecipientOutcome, RecipientResult, Transaction, TransactionOutcome};
use crate::smtp::data::MessageWriter;
use crate::smtp::reply::{EnhancedStatus, Reply, Severity};

/// Commands that may be out at a time. It keeps both directions well under what socket buffers hold, so that the two
/// sides can never wait for each other to read (RFC 2920 §3.1).
const PIPELINE_COMMANDS_MAX: usize = 100;
/// The message goes out in pieces of about this size.
pub(super) const PIECE_OCTETS: usize = 64 * 1_024;

/// What a reply leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    /// It is over; `reset` tells whether the server still has the transaction open.
    Finished {
        reset: bool,
    },
    /// The connection is of no further use.
    Failed(Failure),
}

#[derive(Debug)]
pub(super) struct Delivery {
    transaction: Transaction,
    mail_parameters: String,
    /// By recipient, as far as it is decided.
    results: Vec<Option<RecipientResult>>,
    /// Commands sent. The first is MAIL, the last is DATA.
    sent: usize,
    /// Commands answered.
    answered: usize,
    window: usize,
    mail_refused: bool,
    recipient_accepted: bool,
    /// Whether anything was answered with yes.
    touched: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Commands,
    Message {
        piece: usize,
        offset: usize,
        writer: MessageWriter,
    },
    FinalReply,
    /// 354 came though there is no recipient, so an empty message was sent (RFC 2920 §3.1).
    LoneDot,
}

/// Why this server cannot take this message, if its offer already tells.
pub(super) fn unacceptable(transaction: &Transaction, offer: &Extensions) -> Option<Reply> {
    let permanent = |code, status, text: String| Some(Reply::new(Severity::Permanent, code, Some(status), text));
    let octets = transaction.message_octets();
    if let Some(limit) = offer.size_limit.filter(|limit| octets > *limit) {
        return permanent(52, (3, 4), format!("message of {octets} octets exceeds the {limit} that the server takes"));
    }
    // Neither is downgraded silently: the message would arrive as another one (RFC 6531 §3.6, RFC 6152 §3).
    if transaction.needs_smtputf8() && !offer.smtputf8 {
        return permanent(53, (6, 7), "server does not take non-ASCII addresses".to_owned());
    }
    if transaction.eight_bit && !offer.eight_bit {
        return permanent(54, (6, 3), "server does not take 8-bit messages".to_owned());
    }
    None
}

/// The outcome when nothing was sent at all.
pub(super) fn unsent(transaction: Transaction, refusal: &Reply) -> TransactionOutcome {
    let result = RecipientResult::Permanent(refusal.clone());
    let outcome = |address| RecipientOutcome { address, result: result.clone() };
    TransactionOutcome { recipients: transaction.recipients.into_iter().map(outcome).collect(), untouched: false }
}

impl Delivery {
    pub(super) fn new(transaction: Transaction, offer: &Extensions) -> Self {
        Self {
            mail_parameters: mail_parameters(&transaction, offer),
            results: vec![None; transaction.recipients.len()],
            transaction,
            sent: 0,
            answered: 0,
            window: if offer.pipelining { PIPELINE_COMMANDS_MAX } else { 1 },
            mail_refused: false,
            recipient_accepted: false,
            touched: false,
            stage: Stage::Commands,
        }
    }

    /// Sends the commands that may go out now.
    pub(super) fn send_commands(&mut self, out: &mut Vec<u8>) {
        while self.sent - self.answered < self.window && self.has_command() {
            self.write_command(self.sent, out);
            self.sent += 1;
        }
    }

    /// Takes the reply to the oldest command out.
    pub(super) fn on_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Next {
        self.touched |= reply.is_positive() || reply.severity() == Severity::Intermediate;
        if reply.code() == 421 {
            return self.end_with(reply);
        }
        match self.stage {
            Stage::Commands => self.on_command_reply(reply, out),
            // It may refuse before it has seen everything, but then it no longer knows where commands begin.
            Stage::Message { .. } => self.end_with(reply),
            Stage::FinalReply => match RecipientResult::of_reply(&reply) {
                Some(result) => {
                    self.decide_rest(&result);
                    Next::Finished { reset: false }
                }
                None => self.unexpected(reply),
            },
            Stage::LoneDot => Next::Finished { reset: false },
        }
    }

    /// Whether there is more of the message to send.
    pub(super) fn is_sending(&self) -> bool {
        matches!(self.stage, Stage::Message { .. })
    }

    /// Whether all commands are answered.
    pub(super) fn is_in_message(&self) -> bool {
        !matches!(self.stage, Stage::Commands)
    }

    /// Appends more of the message, up to about [`PIECE_OCTETS`] pending octets.
    pub(super) fn send_message(&mut self, out: &mut Vec<u8>) {
        let Stage::Message { piece, offset, writer } = &mut self.stage else { return };
        while out.len() < PIECE_OCTETS {
            let Some(octets) = self.transaction.message.get(*piece) else {
                writer.finish(out);
                self.stage = Stage::FinalReply;
                return;
            };
            let end = octets.len().min(*offset + PIECE_OCTETS);
            writer.write(&octets[*offset..end], out);
            (*piece, *offset) = if end == octets.len() { (*piece + 1, 0) } else { (*piece, end) };
        }
    }

    /// What is waited for.
    pub(super) fn waiting_for(&self) -> &'static str {
        match self.stage {
            Stage::Commands if self.answered == 0 => "MAIL",
            Stage::Commands if self.answered <= self.results.len() => "RCPT",
            Stage::Commands => "DATA",
            Stage::Message { .. } => "message",
            Stage::FinalReply | Stage::LoneDot => "end of message",
        }
    }

    /// The outcome, after which nothing more can be learnt. What is undecided is lost for the reason given.
    pub(super) fn into_outcome(self, failure: Option<&Failure>) -> TransactionOutcome {
        let lost = RecipientResult::Lost {
            during: self.waiting_for(),
            ambiguous: matches!(self.stage, Stage::FinalReply),
            cause: failure.map(ToString::to_string).unwrap_or_default(),
            reply: failure.and_then(Failure::reply).cloned().map(Box::new),
        };
        let untouched = failure.is_some() && !self.touched;
        let results = self.results.into_iter().map(|result| result.unwrap_or_else(|| lost.clone()));
        let outcome = |(address, result)| RecipientOutcome { address, result };
        TransactionOutcome {
            recipients: self.transaction.recipients.into_iter().zip(results).map(outcome).collect(),
            untouched,
        }
    }

    fn on_command_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Next {
        let command = self.answered;
        if command >= self.sent {
            return self.unexpected(reply);
        }
        if command == self.data_command() {
            self.answered += 1;
            return self.on_data_reply(reply, out);
        }
        let Some(result) = RecipientResult::of_reply(&reply) else { return self.unexpected(reply) };
        self.answered += 1;
        match command {
            0 if !reply.is_positive() => {
                self.mail_refused = true;
                self.decide_rest(&result);
            }
            0 => {}
            // After a refused MAIL the answers to the RCPTs that were already out say nothing.
            _ if self.mail_refused => {}
            _ => self.on_rcpt_reply(command - 1, result),
        }
        self.send_commands(out);
        let over = self.sent == self.answered;
        if over { Next::Finished { reset: !self.mail_refused } } else { Next::Continue }
    }

    fn on_rcpt_reply(&mut self, recipient: usize, result: RecipientResult) {
        let result = match result {
            RecipientResult::Accepted(_) => {
                self.recipient_accepted = true;
                return;
            }
            RecipientResult::Permanent(reply) if self.recipient_accepted && is_recipient_limit(&reply) => {
                RecipientResult::Transient(reply)
            }
            result => result,
        };
        self.results[recipient] = Some(result);
    }

    fn on_data_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Next {
        match RecipientResult::of_reply(&reply) {
            None if self.is_wanted() => {
                self.stage = Stage::Message { piece: 0, offset: 0, writer: MessageWriter::default() };
                Next::Continue
            }
            None => {
                out.extend_from_slice(b".\r\n");
                self.stage = Stage::LoneDot;
                Next::Continue
            }
            Some(RecipientResult::Accepted(_)) => self.unexpected(reply),
            Some(result) => {
                self.decide_rest(&result);
                Next::Finished { reset: !self.mail_refused }
            }
        }
    }

    /// The server gives up on the connection; a refusal still counts for the recipients.
    fn end_with(&mut self, reply: Reply) -> Next {
        if !reply.is_positive()
            && let Some(result) = RecipientResult::of_reply(&reply)
        {
            self.decide_rest(&result);
        }
        self.unexpected(reply)
    }

    fn unexpected(&self, reply: Reply) -> Next {
        Next::Failed(Failure::Unexpected { during: self.waiting_for(), reply })
    }

    fn decide_rest(&mut self, result: &RecipientResult) {
        for undecided in self.results.iter_mut().filter(|decided| decided.is_none()) {
            *undecided = Some(result.clone());
        }
    }

    /// Whether there may still be a recipient who gets the message.
    fn is_wanted(&self) -> bool {
        self.results.iter().any(Option::is_none)
    }

    fn has_command(&self) -> bool {
        !self.mail_refused && self.sent <= self.data_command() && (self.sent < self.data_command() || self.is_wanted())
    }

    fn data_command(&self) -> usize {
        self.results.len() + 1
    }

    fn write_command(&self, command: usize, out: &mut Vec<u8>) {
        let line = match command.checked_sub(1).map(|index| self.transaction.recipients.get(index)) {
            None => format!("MAIL FROM:<{}>{}\r\n", self.transaction.reverse_path, self.mail_parameters),
            Some(Some(recipient)) => format!("RCPT TO:<{recipient}>\r\n"),
            Some(None) => "DATA\r\n".to_owned(),
        };
        out.extend_from_slice(line.as_bytes());
    }
}

fn mail_parameters(transaction: &Transaction, offer: &Extensions) -> String {
    let mut parameters = String::new();
    if offer.size {
        parameters.push_str(&format!(" SIZE={}", transaction.message_octets()));
    }
    if transaction.eight_bit {
        parameters.push_str(" BODY=8BITMIME");
    }
    if transaction.needs_smtputf8() {
        parameters.push_str(" SMTPUTF8");
    }
    parameters
}

/// RFC 5321 §4.5.3.1.10: a 552 because of too many recipients means 452. It also stands for a full mailbox, so it is
/// only taken so when its status says it, or when it has none.
fn is_recipient_limit(reply: &Reply) -> bool {
    let about_recipients = |status: EnhancedStatus| (status.subject, status.detail) == (5, 3);
    reply.code() == 552 && reply.enhanced().is_none_or(about_recipients)
}
