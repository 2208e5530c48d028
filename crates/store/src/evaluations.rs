//! What the rules said about messages: a record for each message of a mailbox that they judged.

mod prune;
mod read;
mod record;

pub use prune::PruneEvaluations;
#[cfg(test)]
pub(crate) use read::{LIST, LIST_OF_MESSAGE};
pub use read::{Page, Record, list};
pub use record::{Described, Stage, describe};
pub(crate) use record::{Evaluation, record};
