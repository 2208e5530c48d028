//! What a mailbox holds, as its readers see it: messages, drafts, threads, folders. One way of reading for every front-end.

pub mod assessment;
pub mod attachments;
pub mod clean;
pub mod drafts;
pub mod export;
pub mod filing;
pub mod filter;
pub mod folders;
pub mod messages;
pub mod refile;
pub mod search;
pub mod summary;
pub mod threads;
pub mod view;
pub mod writer;

mod course;
mod cursor;
mod gathered;
mod kept;
mod plan;
mod sparse;
mod streams;
