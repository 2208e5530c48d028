//! The JSON of the public interface, one file per object: pure shapes, no decisions.
//!
//! Every documented field is always there, arrays are never null: the official clients break on what is missing.

pub mod alert;
pub mod application;
pub mod audit;
pub mod bulk;
pub mod connector;
pub mod domain;
pub mod draft;
pub mod error;
pub mod evaluation;
pub mod event;
pub mod explanation;
pub mod feedback;
pub mod finding;
pub mod folder;
pub mod grant;
pub mod job;
pub mod key;
pub mod layout;
pub mod limits;
pub mod list;
pub mod message;
pub mod notification;
pub mod organization;
pub mod page;
pub mod policy;
pub mod queue;
pub mod quota_advice;
pub mod raise;
pub mod recipient;
pub mod redirect_uri;
pub mod rule;
pub mod rule_replay;
pub mod rule_test;
pub mod schedule;
pub mod send;
pub mod service_account;
pub mod sign_in;
pub mod suppression;
pub mod thread;
pub mod tls_report;
pub mod usage;
pub mod webhook;
pub mod workspace;
