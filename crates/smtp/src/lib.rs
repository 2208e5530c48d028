//! SMTP on sockets: listeners, TLS, timeouts and limits around the pure session of `postfleet-wire`.

pub mod listener;
pub mod mx;
mod session;

pub use listener::{Handler, Limits, Listener, Peer};
