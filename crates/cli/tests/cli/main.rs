//! The command line against a real server: whole sessions as they look in a terminal, and what its page must name.

mod docs;
mod drill;
mod fleet;
mod mailbox;
mod server;
mod settings;
mod transcript;
