//! The HTTP JSON interface: routes, credentials, envelopes, the error table. Decides nothing about mail.

mod auth;
pub mod error;
mod extract;
mod respond;
mod router;
mod routes;
mod server;
pub mod sink;

pub use router::{Health, Interface, router};
pub use server::serve;
