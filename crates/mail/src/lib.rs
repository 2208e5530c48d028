//! Message formats, pure: parse, compose, sign, bounce.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no chance (the one exception, the making of a
//! DKIM key, says so). Hostile input costs time linear in its size and never panics. No type of a third-party crate
//! appears in the interface.

// what arrives
pub mod authentication;
pub mod automation;
pub mod clean;
pub mod display_name;
pub mod fold;
pub mod ingress;
pub mod message;
pub mod participant;
pub mod spam;
pub mod suspicion;
pub mod terms;

// what leaves
pub mod compose;
pub mod content_id;
pub mod dkim;
pub mod dmarc_report;
pub mod exchange;
pub mod form;
pub mod sanitise;
pub mod submission;
pub mod template;
pub mod trace;

// what comes back
pub mod bounce_class;
pub mod domain_report;
pub mod dsn;
pub mod feedback;

mod escape;
mod skeleton;
mod syntax;
mod write;

pub use participant::Participant;
