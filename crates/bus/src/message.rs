//! What is published, and what a stream says.

use bytes::Bytes;
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::time::Duration;

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub subject: String,
    /// `Nats-Msg-Id`: within the window of the stream, a second message of that id is not stored.
    pub id: String,
    /// What must be true of the stream, or it does not take the message.
    pub expected: Expected,
    /// More headers: names and values of printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

/// What a message is to come behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Anything,
    /// The last message of the stream has this number. Nothing is expected of a stream that never had one.
    Sequence(u64),
    /// The last message of the stream has this id.
    Id(String),
}

/// Where the stream has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number in the stream.
    pub sequence: u64,
    /// It was there before: nothing was stored now.
    pub duplicate: bool,
}

/// What a stream is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPlan {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What is published into it, with wildcards.
    pub subject: String,
    /// What becomes of its messages.
    pub retention: Retention,
    /// For how long it knows the ids of messages.
    pub duplicate_window: Duration,
    /// On how many servers.
    pub replicas: usize,
}

/// How long a stream keeps its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// So long, whoever reads them.
    For(Duration),
    /// A queue: each until somebody has taken it with [`crate::Bus::take`] and settled it, however long that is.
    UntilSettled,
}

/// A message that was taken from a queue. Until it is settled it belongs to whoever took it; if that takes longer than
/// [`crate::SETTLE_WITHIN`], it is given to somebody again.
#[derive(Debug)]
pub struct Taken {
    /// Where it was published.
    pub subject: String,
    /// `Nats-Msg-Id`, if its publisher gave one.
    pub id: Option<String>,
    /// When its stream was made, in microseconds since 1970: with the number a name that no other message ever has.
    pub source: i64,
    /// Its number in the stream.
    pub sequence: u64,
    /// The body.
    pub body: Bytes,
    /// How it is settled.
    pub settle: Box<dyn Settle>,
}

/// What becomes of a message that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is done, and leaves the queue. It is known that the bus knows.
    Done,
    /// It is given out again after so long.
    Again(Duration),
    /// It leaves the queue undone.
    Never,
}

/// Tells the bus what became of one message.
pub trait Settle: Debug + Send + Sync {
    /// Tells it. After a failure the message may be given out again.
    fn settle(&self, how: Settlement) -> BoxFuture<'_, Result<(), BusError>>;
}

/// What a stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// When it was made, in microseconds since 1970: one that was wiped and made again is another.
    pub created_at: i64,
    /// The number of the first message that it still has.
    pub first_sequence: u64,
    /// The number of the last message that it ever had.
    pub last_sequence: u64,
    /// The last message that it still has.
    pub last: Option<LastMessage>,
    /// Octets that a message may have, headers included.
    pub octets_max: usize,
}

/// The last message of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastMessage {
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

impl LastMessage {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Why a bus did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// It cannot be reached, or does not answer.
    #[error("the bus is away: {0}")]
    Away(String),
    /// The stream is not as the message expects it.
    #[error("the stream is not as expected: {0}")]
    Unexpected(String),
    /// The bus does not want to.
    #[error("the bus refuses: {0}")]
    Refused(String),
}
