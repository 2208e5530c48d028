//! SMTP on sockets: listeners, TLS, timeouts and limits around the pure session of `postfleet-wire`.

pub mod listener;
pub mod mx;
mod session;
pub mod submission;

pub use listener::{Encryption, Handler, Limits, Listener, Peer};
