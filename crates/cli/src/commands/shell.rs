//! What helps people to type and to look things up: completions and manual pages, made from the command line itself.

use crate::failure::{Failure, Outcome};
use crate::surroundings::Surroundings;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Prints a script that completes commands in a shell
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Writes manual pages, one for each command
#[derive(clap::Args)]
pub struct Man {
    /// The folder, such as /usr/local/share/man/man1; made if it is not there
    folder: PathBuf,
}

/// Prints the script.
pub fn completions(
    arguments: &Completions,
    mut program: clap::Command,
    surroundings: &mut Surroundings<'_>,
) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "postfleet", &mut script);
    match surroundings.stdout.write_all(&script).and_then(|()| surroundings.stdout.flush()) {
        // A reader that has gone away, such as `head`, has seen what it wanted.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Local(error.to_string())),
        _ => Ok(()),
    }
}

/// Writes the pages.
pub fn man(arguments: &Man, program: clap::Command, surroundings: &mut Surroundings<'_>) -> Outcome {
    let folder = &arguments.folder;
    let local = |error: std::io::Error| Failure::Local(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(local)?;
    clap_mangen::generate_to(program, folder).map_err(local)?;
    let said = writeln!(surroundings.stdout, "manual pages are in {0}: man -l {0}/postfleet.1", folder.display());
    said.map_err(|error| Failure::Local(error.to_string()))
}
