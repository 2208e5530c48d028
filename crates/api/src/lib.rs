//! The HTTP JSON interface: routes, credentials, envelopes, the error table. Decides nothing about mail.

mod auth;
mod call;
pub mod error;
mod extract;
mod pages;
mod respond;
mod route;
mod router;
mod routes;
mod server;
mod signature;
pub mod sink;

pub use router::{Health, Interface, router};
pub use routes::table;
pub use server::serve;
