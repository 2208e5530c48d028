//! Who exists and who may do what: organizations, keys, mailboxes, and who signs in to them. Decides nothing about single messages.

pub mod app_password;
pub mod grants;
mod id_token;
pub mod keys;
pub mod organizations;
pub mod sign_in;
pub mod tokens;
