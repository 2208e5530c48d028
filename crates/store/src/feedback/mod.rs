//! What comes back about messages that were sent: taking a report with all that follows from it, and the records of all
//! reports, believed or not.

mod read;
mod take;

#[cfg(test)]
pub(crate) use read::{BEGAN, LIST, LIST_OF_NOBODY, PRUNE};
pub use read::{PruneFeedback, Record, Sent, list, sent};
pub use take::{Filing, NewReport, RecordRefused, TakeFeedback, Taken};
