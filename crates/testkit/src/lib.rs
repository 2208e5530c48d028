//! Servers for tests: everything a test talks to runs in this process or is a child of it, on loopback, and is gone
//! when the test is over. A dev-dependency only; nothing here is part of the product.

#[cfg(feature = "world")]
pub mod bus;
pub mod dns;
pub mod http;
pub mod postgres;
pub mod smtp;
pub mod tls;
#[cfg(feature = "world")]
pub mod world;
