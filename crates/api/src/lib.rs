//! The HTTP JSON interface: routes, credentials, envelopes, the error table. Decides nothing about mail.

mod auth;
mod call;
pub mod error;
mod extract;
mod idempotency;
mod inbound;
mod letter;
mod openapi;
mod pages;
mod respond;
mod route;
mod router;
mod routes;
mod select;
mod server;
mod signature;
pub mod sink;

pub use openapi::document;
pub use route::Needs;
pub use router::{Health, Interface, router};
pub use routes::{Facts, facts, table};
pub use server::serve;
