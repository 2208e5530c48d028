//! The command line for operators: a client of the public HTTP interface, and nothing else. Whatever a command does,
//! anybody can do with the same requests; nothing here decides about mail or reads a store.
//!
//! A command is run with its [`Surroundings`]: environment, streams and whether somebody sits at a terminal.

mod client;
mod commands;
mod connection;
mod declared;
mod failure;
mod mail_files;
mod output;
mod session;
mod surroundings;

pub use commands::Command;
pub use surroundings::{Pause, Surroundings};

use clap::Subcommand;
use failure::Failure;
use session::Session;

/// Runs a command to its end, with what it says on the streams of the surroundings. `program` is the whole command line,
/// for completions and manual pages. Answers the exit code.
pub async fn run(command: Command, surroundings: &mut Surroundings<'_>, program: clap::Command) -> u8 {
    let is_json = command.globals().is_some_and(|globals| globals.json);
    match attempt(command, surroundings, program).await {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell(surroundings, is_json);
            failure.exit_code()
        }
    }
}

async fn attempt(command: Command, surroundings: &mut Surroundings<'_>, program: clap::Command) -> Result<(), Failure> {
    let Some(globals) = command.globals().cloned() else { return command.without_server(surroundings, program) };
    let mut session = match command {
        Command::Login(_) => Session::begin_anew(globals, surroundings),
        _ => Session::begin(globals, surroundings)?,
    };
    command.run(&mut session).await
}

/// The commands of this crate alone, as a program of its own.
pub fn program() -> clap::Command {
    Command::augment_subcommands(clap::Command::new("postfleet").subcommand_required(true))
}
