//! The HTTP JSON interface: routes, credentials, envelopes, the error table. Decides nothing about mail.

mod auth;
mod call;
mod cors;
pub mod error;
mod extract;
mod gzip;
mod idempotency;
mod inbound;
mod letter;
mod openapi;
mod pages;
mod range;
mod respond;
mod route;
mod router;
mod routes;
mod select;
mod server;
mod signature;
pub mod sink;
mod spans;

pub use cors::{NotAnOrigin, Origins};
pub use openapi::document;
pub use route::Needs;
pub use router::{Health, Interface, router};
pub use routes::{Facts, facts, table};
pub use server::serve;
