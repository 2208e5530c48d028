//! One message to hand over, and what became of it for each recipient.

use std::sync::Arc;

use postfleet_core::{EmailAddress, ReversePath};

use crate::smtp::reply::{Reply, Severity};

/// One message for the recipients of one server. Cloning it does not copy the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Where failures are reported to.
    pub reverse_path: ReversePath,
    /// Whom the message is for.
    pub recipients: Vec<EmailAddress>,
    /// The message, in pieces that follow each other without anything between: a signature header, then what was
    /// stored.
    pub message: Vec<Arc<Vec<u8>>>,
    /// Whether the message needs SMTPUTF8 (RFC 6531) beyond what its addresses show.
    pub smtputf8: bool,
    /// Whether the message has octets above 127 (RFC 6152).
    pub eight_bit: bool,
}

impl Transaction {
    pub(super) fn message_octets(&self) -> u64 {
        self.message.iter().map(|piece| piece.len() as u64).sum()
    }

    pub(super) fn needs_smtputf8(&self) -> bool {
        let sender = self.reverse_path.mailbox().is_some_and(EmailAddress::is_internationalized);
        self.smtputf8 || sender || self.recipients.iter().any(EmailAddress::is_internationalized)
    }
}

/// What became of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionOutcome {
    /// One for each recipient, in the order of the transaction.
    pub recipients: Vec<RecipientOutcome>,
    /// The connection ended before the server accepted anything of this transaction: on a connection that was used
    /// before, this says something about the connection and nothing about the message.
    pub untouched: bool,
}

/// What became of the message for one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecipientOutcome {
    /// Whom it was for.
    pub address: EmailAddress,
    /// What became of it.
    pub result: RecipientResult,
}

/// The ways in which it can end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecipientResult {
    /// The server took responsibility.
    Accepted(Reply),
    /// Not now.
    Transient(Reply),
    /// Never. The reply is our own where the server's offer already tells that it cannot take the message.
    Permanent(Reply),
    /// There was no answer.
    Lost {
        /// What was waited for.
        during: &'static str,
        /// The whole message had been sent, so the server may have taken it all the same (RFC 1047).
        ambiguous: bool,
        /// What happened; for people, and it may quote the server.
        cause: String,
        /// What the server said instead of an answer for this recipient, if it said anything.
        reply: Option<Box<Reply>>,
    },
}

impl RecipientResult {
    /// By what the reply says; `None` for one that says neither yes nor no.
    pub(super) fn of_reply(reply: &Reply) -> Option<Self> {
        match reply.severity() {
            Severity::Positive => Some(Self::Accepted(reply.clone())),
            Severity::Transient => Some(Self::Transient(reply.clone())),
            Severity::Permanent => Some(Self::Permanent(reply.clone())),
            Severity::Intermediate => None,
        }
    }
}
