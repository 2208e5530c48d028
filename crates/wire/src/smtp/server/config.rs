//! What a server session is told at its start, and what it says about a message at its end.

use postfleet_core::{EmailAddress, ReversePath};

/// Who a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Other servers, which bring mail for our mailboxes (RFC 5321).
    Mx,
    /// Mail clients of our mailboxes, which sign in and send to anybody (RFC 6409).
    Submission,
}

/// The same for all sessions of one listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Who it is for.
    pub service: Service,
    /// The name in the greeting, and the domain of `<postmaster>`.
    pub hostname: String,
    /// What one session may use.
    pub limits: Limits,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
}

/// What one session may use. Each limit is the largest value that is still allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512, extensions for more.
    pub line_octets: usize,
    /// Commands of a session.
    pub commands: u32,
    /// Commands that may come without waiting for an answer (RFC 2920): more than RCPTs for any message.
    pub pipelined_commands: u32,
    /// Errors of a session: the one that reaches this number ends it.
    pub errors: u32,
    /// Recipients of a message; RFC 5321 §4.5.3.1.8 asks for 100.
    pub recipients: usize,
    /// Octets of a message, as received and with the added dots removed.
    pub message_octets: u64,
    /// Messages begun in a session.
    pub transactions: u32,
    /// Failed attempts to sign in: the one that reaches this number ends the session.
    pub authentication_failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_octets: 2_048,
            commands: 5_000,
            pipelined_commands: 1_000,
            errors: 20,
            recipients: 100,
            message_octets: 25 * 1_024 * 1_024,
            transactions: 100,
            authentication_failures: 3,
        }
    }
}

/// What the client said about a message before it sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// What the client calls itself.
    pub helo: String,
    /// Whether it said EHLO.
    pub esmtp: bool,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Where failures are reported to.
    pub reverse_path: ReversePath,
    /// Whom the message is for, as accepted and in that order; a client may name one twice.
    pub recipients: Vec<EmailAddress>,
    /// Whether the client asked for SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// Whether it asked that the message travel over verified TLS only (RFC 8689).
    pub require_tls: bool,
    /// Whether it announced 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// The size that it announced (RFC 1870).
    pub declared_size: Option<u64>,
}
