//! The command line against a real server: whole sessions as they look in a terminal, and what its page must name.


mod fleet;
mod server;

mod transcript;
