//! A server with which connections can be opened, and which never says anything.

use crate::Failure;
use crate::args::Args;
use crate::summary::Summary;
use std::net::TcpListener;

/// Runs `mute`.
pub fn run(args: &Args) -> Result<String, Failure> {
    // The system completes connections that nobody accepts.
    let listener = TcpListener::bind(args.address()?)?;
    let limit = args.seconds("seconds", 600)?;
    args.finish()?;
    // Nothing is waited for: whoever measures ends it, and if nobody does, it ends by itself.
    std::thread::sleep(limit);
    drop(listener);
    Ok(Summary::new("mute").line())
}
