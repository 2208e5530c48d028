//! Who exists and who may do what: organizations, keys, mailboxes, and who signs in to them. Decides nothing about single messages.

pub mod addresses;
pub mod app_password;
pub mod applications;
pub mod audit;
pub mod connectors;
pub mod domains;
pub mod evaluations;
pub mod grants;
mod id_token;
mod input;
pub mod keys;
pub mod layout;
pub mod limits;
pub mod lint;
pub mod lists;
pub mod operator;
pub mod organizations;
pub mod pages;
pub mod policies;
pub mod redirect_uris;
pub mod rules;
pub mod service_accounts;
pub mod sign_in;
pub mod suppressions;
pub mod tokens;
pub mod unsubscribe;
pub mod workspaces;
