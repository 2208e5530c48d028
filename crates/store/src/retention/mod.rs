//! Mail whose time is over: who looks for it (`walk`), how it is removed (`prune`), and what was removed (`report`).
//!
//! Nothing is kept that says when a mailbox is due: its oldest message is the first of its listing, and its windows are
//! those of its plan and its policy at that moment. So a policy that is changed for any number of mailboxes changes no
//! row of theirs, and nothing can be out of date (docs/adr/0042).

mod prune;
mod report;
mod walk;

pub use prune::{AfterJunk, PruneMailbox, Pruned, Removed};
pub(crate) use prune::{event_id, windows};
pub use report::{Day, PruneReport, Standing, days, standing};
pub use walk::{Claim, ClaimMailboxes, Span, due};

#[cfg(test)]
pub(crate) use prune::EXPIRED;
#[cfg(test)]
pub(crate) use report::{DAYS, OLD, OLDEST_JUNK, OLDEST_MAIL};
#[cfg(test)]
pub(crate) use walk::{IN_SPAN, PAGE};
