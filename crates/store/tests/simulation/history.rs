//! What was asked of the product, what the world did, and what the product said: one fact after the other, as plain
//! values. The oracle judges a history and knows nothing else.

use postfleet_core::reputation::State;
use postfleet_core::stop::{Effect, Kind};

/// A mailbox, by its place in the world.
pub type Account = usize;
/// A message, by its place in the world.
pub type Message = usize;

/// To whom a mailbox belongs, each by its place in the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    pub domain: usize,
    pub workspace: usize,
    pub application: usize,
    pub organization: usize,
}

/// Whose reputation it is, or whom a stop concerns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    Grant(Account),
    Domain(usize),
    Workspace(usize),
    Application(usize),
    Organization(usize),
    /// The conversation that a message began.
    Thread(Message),
}

/// Recipients for whom a server answered, those of them whose domains send feedback, hard bounces, complaints.
pub type Counts = [u64; 4];

/// What became of a request to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is queued, but for these recipients, who are suppressed.
    Accepted(Vec<String>),
    /// The code of the refusal.
    Refused(&'static str),
    /// It waits until somebody approves it.
    Held,
}

/// What happened to one recipient of a message that was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Delivered,
    /// 5.1.1, said by a server.
    Gone,
    /// There is no such domain: no server said it.
    NoDomain,
    /// The mailbox was closed.
    Disabled,
    Full,
    Unwanted,
    /// Again at this time; whether a server answered.
    Later(i64, bool),
    /// Time ran out; whether a server answered the last time.
    Expired(bool),
    /// It was not attempted.
    Suppressed,
}

/// What a report says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    Gone,
    Full,
    Complaint,
    AutoReply,
}

/// By which way a report came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The return path of the message.
    ReturnPath,
    /// One that somebody made up.
    MadeUp,
    /// That of the message, at another domain.
    OtherDomain,
}

/// One thing.
#[derive(Clone, PartialEq, Debug)]
pub enum Fact {
    /// A mailbox was made.
    Opened(Account, Places),
    /// A mailbox was removed.
    Removed(Account),
    /// It wanted to send; `thread` is the message that it answers, and `hops` how many of the fleet did before.
    Asked {
        at: i64,
        account: Account,
        message: Message,
        thread: Option<Message>,
        hops: u64,
        to: Vec<String>,
        answer: Answer,
    },
    /// The queue gave a recipient out; whether as one that is suppressed.
    Taken { at: i64, message: Message, to: String, suppressed: bool },
    /// It was not handed over, since its sender was stopped meanwhile.
    TurnedBack { at: i64, message: Message, to: String },
    /// It was handed over to the recipient's server.
    Left { message: Message, to: String },
    /// What became of it.
    Outcome { at: i64, message: Message, to: String, what: What },
    /// The queue had nothing more to give.
    Drained { at: i64 },
    /// A report came; as what it was taken.
    Report { at: i64, message: Message, to: String, said: Said, way: Way, taken: &'static str },
    /// Somebody stopped somebody.
    Raised { kind: Kind, whom: Subject },
    /// Somebody lifted a stop.
    Lifted { kind: Kind, whom: Subject },
    /// A recovery was granted.
    Recovered { at: i64, account: Account },
    /// An event told that somebody stands otherwise; an organization's counts are not told.
    Changed { at: i64, whom: Subject, from: State, to: State, counts: Option<Counts> },
    /// An event told of a stop.
    Stopped { kind: Kind, effect: Effect, whom: Subject },
    /// An event told that one was lifted.
    Resumed { kind: Kind, whom: Subject },
    /// Everything that was told until here is here.
    Told,
    /// Where somebody stands, as it is kept.
    Stands { whom: Subject, state: State, counts: Counts },
    /// The product's own recount of a mailbox.
    Recounted { account: Account, agrees: bool, counts: Counts },
    /// The ledger of a mailbox, in the order of its numbers: as what each outcome counted.
    Ledger { account: Account, rows: Vec<(u64, [bool; 4])> },
    /// The ledger summed up over everything that there ever was.
    Sum { whom: Subject, counts: Counts },
}
