//! The client's side of one connection: greeting, EHLO, STARTTLS, AUTH, then one transaction after the other.
//!
//! It says for every recipient what became of the message, and whether that is certain. It never sends a bare CR or
//! LF, and it does not believe anything that a server says out of turn.

mod delivery;
mod extensions;
mod login;
mod session;
mod transaction;

#[cfg(test)]
mod tests;

pub use login::Login;
pub use session::{ClientConfig, Failure, Session, Step, TlsPolicy};
pub use transaction::{RecipientOutcome, RecipientResult, Transaction, TransactionOutcome};
