//! The server's side of one connection: octets in, replies out, and in between the few questions that only others
//! can answer: is there such a recipient, what becomes of this message; for mail clients also: who is this, and may it still
//! send.
//!
//! It faces the open internet. It never panics on input, holds no more than its limits allow, and rather closes the
//! connection than guess where the next command begins.

mod auth;
mod config;
mod content;
mod session;
mod verbs;

#[cfg(test)]
mod tests;

pub use config::{Config, Envelope, Limits, Service};
pub use session::{Breach, Session, Step};
