//! SMTP (RFC 5321) from both ends: the server's side of a connection and the client's side of one.
//!
//! The parser is our own because its edges are security boundaries: what ends a line, what ends a message, and what
//! may follow a change of state decide whether mail can be smuggled past a neighbour that reads them differently.

// vocabulary
pub mod command;
pub mod path;
pub mod reply;
pub mod sasl;

// what is said for a problem
pub mod problem;

// message content
pub mod data;

// sessions
pub mod client;
pub mod server;

pub use reply::{EnhancedStatus, Reply, ReplyReader, Severity};
