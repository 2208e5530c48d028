//! The message bus outside: NATS JetStream, behind a trait that tests implement, too. Nothing here knows what is
//! published; nothing elsewhere knows how NATS is spoken.
//!
//! A [`Bus`] may be away at any time. It connects again by itself, for as long as it takes; whoever publishes looks at
//! [`Bus::connection`] and asks with [`Bus::open`] what a stream has, each time it has connected anew.

mod message;
mod nats;

pub use message::{BusError, Expected, LastMessage, Message, Stored, Stream, StreamPlan};
pub use nats::{Nats, NatsOptions};

use futures::future::BoxFuture;
use std::fmt::Debug;
use tokio::sync::watch;

/// The answer to what was published, when it comes.
pub type Receipt = BoxFuture<'static, Result<Stored, BusError>>;

/// A message bus that stores what is published.
pub trait Bus: Debug + Send + Sync {
    /// The number of the connection, from 1; 0 while there is none. It changes whenever one is made or lost.
    fn connection(&self) -> watch::Receiver<u64>;

    /// Makes the stream if it is not there, changes it if it is set otherwise, and says what it has.
    fn open<'a>(&'a self, plan: &'a StreamPlan) -> BoxFuture<'a, Result<Stream, BusError>>;

    /// Publishes a message. It is on its way when this completes, behind all that were published before; it is stored
    /// when the receipt says so.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Receipt, BusError>>;
}
