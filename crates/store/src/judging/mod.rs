//! Judging messages by the rules of their workspace, inside the transaction that sends or takes them.
//!
//! What decides is what the transaction sees: its facts name the version of the application's rules, which goes up
//! with every change of a rule, a list or an item. The [`RuleBook`] holds in memory what was compiled and the items of
//! lists, each under its version, and serves only a transaction that sees exactly that version; otherwise rules and
//! items are read in the transaction. So a change is in force in the next transaction after its commit, on every node,
//! and the book only makes judging fast.
//!
//! The book is filled from committed state alone ([`refresh_once`]), never from inside a transaction: that may be taken
//! back, and its version be given once more, to something else.

mod book;
mod judge;
mod refresh;
mod replay;
mod trial;

pub use book::RuleBook;
pub(crate) use judge::{SCOPE_COLUMNS, judge, scope, scope_columns};
pub use judge::{Scope, judge_sender, judge_unfiled};
#[cfg(test)]
pub(crate) use refresh::RULES;
pub use refresh::refresh_once;
pub use replay::{Anew, ListChange, Overlay, Sides};
pub use trial::{Trial, try_out};
