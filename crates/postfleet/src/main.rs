//! The postfleet server: configuration, composition, roles. Everything else is in the crates below.

mod accounts;
mod compose;
mod config;
mod dev;
mod health;
mod init;
mod listen;
mod roles;
mod serve;
mod telemetry;

use clap::{CommandFactory, Parser, Subcommand};
use postfleet_cli::Surroundings;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Self-hosted mailboxes for fleets of AI agents.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tries everything out: a throw-away server with a simulated internet, and one visible round trip of mail.
    Dev(dev::Arguments),
    /// Makes an organization with its first application and keys.
    Init(init::Arguments),
    /// Runs the server.
    Serve(serve::Arguments),
    /// Shows configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    #[command(flatten)]
    Client(postfleet_cli::Command),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Prints every key with its default and what it means.
    Default,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("postfleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    // The allocator asks for pages of 2 MiB. One such page is all there as soon as an octet of it is used, and what waits for somebody, such
    // as the buffers of idle connections, is mostly never used. Where it is refused there is more memory in use and nothing else.
    rustix::thread::disable_transparent_huge_pages(true).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Dev(arguments) => runtime.block_on(dev::run(arguments))?,
        Command::Init(arguments) => runtime.block_on(init::run(arguments))?,
        Command::Serve(arguments) => runtime.block_on(serve::run(arguments))?,
        Command::Config(ConfigCommand::Default) => print!("{}", config::DEFAULT),
        Command::Client(command) => {
            let mut surroundings = Surroundings::of_process();
            let code = postfleet_cli::run(command, &mut surroundings, Arguments::command());
            return Ok(runtime.block_on(code).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}
