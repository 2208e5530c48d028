//! Who exists and who may do what: organizations, keys, mailboxes. Decides nothing about single messages.

pub mod app_password;
pub mod grants;
pub mod keys;
pub mod organizations;
pub mod policies;
