//! Taking over mail that a mailbox had elsewhere: what an import is, and what of it is passed over.

/// Octets of one message that is imported, before base64.
pub const MESSAGE_OCTETS_MAX: usize = 45 << 20;

/// Imports of one mailbox that are open at once.
pub const OPEN_MAX: u64 = 10;

/// Messages that were passed over and that an import names; it always says how many there were.
pub const SKIPS_MAX: usize = 100;

/// Characters of what an import says of where it comes from.
pub const SOURCE_CHARS_MAX: usize = 512;

/// How far an import is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It takes what comes next.
    Open,
    /// There is no room for what comes next; when there is, it goes on where it stopped.
    Paused,
    /// All of it is there.
    Done,
    /// Somebody gave it up. What was imported stays.
    Cancelled,
}

impl State {
    /// The word in the store and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Paused, Self::Done, Self::Cancelled].into_iter().find(|state| state.name() == name)
    }

    /// Whether more may come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Paused)
    }
}

/// Why a message was passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// The line is no message as it should be.
    Unreadable,
    /// There is nothing in it.
    Empty,
    /// It has more octets than one message may.
    TooLarge,
    /// It is older than the mailbox keeps mail: it would be removed at once.
    TooOld,
}

impl Skip {
    /// The word in the store and on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::TooOld => "older_than_retention",
        }
    }
}
