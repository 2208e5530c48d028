//! Searching the messages of a mailbox: what is asked ([`query`]), what is kept of a message to answer it ([`vector`]), what is kept of
//! many of them ([`segment`]), which messages are found, in which order ([`evaluate`]), and at which a list has to look ([`narrow`]).
//!
//! Text becomes terms elsewhere (`postfleet-mail`): here a term is a number.

pub mod evaluate;
pub mod narrow;
pub mod query;
pub mod segment;
pub mod vector;

pub use evaluate::{Key, Score, Sought, of_vector};
pub use query::{Query, Wrong};

/// A word, or who wrote to whom, as a number of [`TERM_BITS`] bits.
pub type Term = u64;

/// Bits of a term: of a million words that a mailbox has, a word that it does not have is taken for one of them once in a million.
pub const TERM_BITS: u32 = 40;

/// Which part of a message a term is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Its text.
    Body,
    /// Its subject.
    Subject,
    /// Names and addresses of those who wrote it and got it.
    People,
    /// Names of the files that are attached.
    Files,
    /// Nothing that is read: what filters look for.
    Facts,
}

impl Field {
    /// The fields in which words are searched.
    pub const READ: [Self; 4] = [Self::Body, Self::Subject, Self::People, Self::Files];

    /// The first position of a field; its last is the one before that of the next.
    pub const fn base(self) -> u32 {
        match self {
            Self::Body => 0,
            Self::Subject => 0x8000,
            Self::People => 0x8800,
            Self::Files => 0xc800,
            Self::Facts => 0xe800,
        }
    }

    /// The first position behind a field.
    pub const fn end(self) -> u32 {
        match self {
            Self::Body => Self::Subject.base(),
            Self::Subject => Self::People.base(),
            Self::People => Self::Files.base(),
            Self::Files => Self::Facts.base(),
            Self::Facts => 0x1_0000,
        }
    }

    /// The field of a position.
    pub const fn at(position: u32) -> Self {
        match position {
            0..0x8000 => Self::Body,
            0x8000..0x8800 => Self::Subject,
            0x8800..0xc800 => Self::People,
            0xc800..0xe800 => Self::Files,
            _ => Self::Facts,
        }
    }

    /// What it counts to be found there: also its bit among the fields in which something was found.
    pub const fn weight(self) -> u8 {
        match self {
            Self::Subject => 8,
            Self::People => 4,
            Self::Files => 2,
            Self::Body => 1,
            Self::Facts => 0,
        }
    }
}
