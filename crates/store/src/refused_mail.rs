//! Mail that mailboxes did not take: a record for each refusal, with the limit or the rule that it was refused by. Of one
//! reason in one mailbox a day has a bounded number of them; the last one stands for all that came after it, so that a flood
//! fills nothing and nothing goes uncounted.

mod prune;
mod read;
mod record;

#[cfg(test)]
pub(crate) use prune::OLD_DAYS;
pub use prune::PruneRefusedMail;
#[cfg(test)]
pub(crate) use read::LIST;
pub use read::{Page, Refused, list};
pub(crate) use record::record;
pub use record::{ByRules, Concerning, NewRefusal, RecordRefusedMail};
