//! The JSON of the public interface, one file per object: pure shapes, no decisions.
//!
//! Every documented field is always there, arrays are never null: the official clients break on what is missing.

pub mod error;
pub mod folder;
pub mod grant;
pub mod message;
pub mod notification;
pub mod page;
pub mod policy;
pub mod send;
pub mod thread;
pub mod webhook;
