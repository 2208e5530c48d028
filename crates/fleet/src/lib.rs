//! Who exists and who may do what: organizations, keys, mailboxes. Decides nothing about single messages.

pub mod app_password;
pub mod applications;
pub mod audit;
pub mod connectors;
pub mod domains;
pub mod grants;
mod input;
pub mod keys;
pub mod layout;
pub mod lint;
pub mod operator;
pub mod organizations;
pub mod pages;
pub mod policies;
pub mod redirect_uris;
pub mod service_accounts;
pub mod workspaces;
