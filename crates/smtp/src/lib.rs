//! SMTP on sockets: listeners, TLS, timeouts and limits around the pure session of `postfleet-wire`.

pub mod listener;
pub mod mx;
pub mod submission;

mod door;
mod proxy;
mod session;

pub use listener::{Encryption, Handler, Limits, Listener, Peer, Tarpit};
