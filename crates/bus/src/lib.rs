//! The message bus outside: NATS JetStream, behind a trait that tests implement, too. Nothing here knows what is
//! published; nothing elsewhere knows how NATS is spoken.
//!
//! A [`Bus`] may be away at any time. It connects again by itself, for as long as it takes; whoever publishes looks at
//! [`Bus::connection`] and asks with [`Bus::open`] what a stream has, each time it has connected anew.

mod message;
mod nats;

pub use message::{
    BusError, Expected, LastMessage, Message, Retention, Settle, Settlement, Stored, Stream, StreamPlan, Taken,
};
pub use nats::{Nats, NatsOptions};

use futures::future::BoxFuture;
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::watch;

/// Within what time a message that was taken must be settled.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// The answer to what was published, when it comes.
pub type Receipt = BoxFuture<'static, Result<Stored, BusError>>;

/// A message bus that stores what is published, and gives out what others have.
pub trait Bus: Debug + Send + Sync {
    /// The number of the connection, from 1; 0 while there is none. It changes whenever one is made or lost.
    fn connection(&self) -> watch::Receiver<u64>;

    /// Makes the stream if it is not there, changes it if it is set otherwise, and says what it has.
    fn open<'a>(&'a self, plan: &'a StreamPlan) -> BoxFuture<'a, Result<Stream, BusError>>;

    /// Publishes a message. It is on its way when this completes, behind all that were published before; it is stored
    /// when the receipt says so.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Receipt, BusError>>;

    /// Takes up to `most` messages from a queue that was opened; waits for the first one for at most `wait`. Whoever else
    /// takes from it gets others.
    fn take<'a>(
        &'a self,
        plan: &'a StreamPlan,
        most: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<Taken>, BusError>>;
}
