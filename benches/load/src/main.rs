//! Load for the benchmarks: clients of SMTP and HTTP, servers that swallow mail and webhooks, and a counter of messages.
//!
//! Every subcommand refuses addresses that are not loopback, ends by itself, and prints one line of JSON.

mod answer;
mod args;
mod channel;
mod clock;
mod connection;
mod drive;
mod hooks;
mod http;
mod list;
mod mute;
mod provision;
mod run;
mod sink;
mod smtp;
mod summary;
mod template;
mod text;

use args::Args;
use std::process::ExitCode;

/// What went wrong, for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
usage: postfleet-load COMMAND --address 127.0.0.1:PORT [--OPTION VALUE]...

  smtp      sends messages: --sessions 20 --messages 2000 --size 10240 --mailboxes 1 --recipient u{m}@bench.example
            --sender load@sender.example --gap-us 0 --seconds 120 --stride 1
            --corpus FOLDER (files of messages, the first line of each its reverse path, instead of --size and --sender)
            --proxied 198.51.100.{c} (what a PROXY header says of each session's client)
            --log FILE (of each message its number, when it began and when it was taken, in nanoseconds)
  http      sends requests: --connections 16 --requests 2000 --method POST --path / --body TEXT | --body-file FILE
            --header 'Name: value' --lines FILE --gap-us 0 --seconds 120 --threads 1 (for all connections)
  smtpsink  takes messages: --expect 1000 --idle-seconds 10 --seconds 120
  list      counts the messages that the interface lists: --lines FILE (ids of mailboxes) --header 'Name: value'
            --connections 4 --seconds 120
  mute      takes connections and says nothing: --seconds 600
  hooks     takes webhooks: --log FILE --find 'benchmark message ' (of each a line with the number at the end of its path, the
            number behind that text in its body, when it came in nanoseconds, the octets of its body) --seconds 600
  provision makes mailboxes: --connections 16 --mailboxes 1000 --per-call 1 --first 0 --domain bench.example
            --header 'Name: value' --seconds 300 --threads 1

In templates {i} is the number of the request, {m} that number times --stride modulo --mailboxes, {line} a line of --lines, {t} the
time in nanoseconds.";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let outcome = Args::parse(words).and_then(|args| match command.as_str() {
        "smtp" => smtp::run(&args),
        "http" => http::run(&args),
        "smtpsink" => sink::run(&args),
        "list" => list::run(&args),
        "mute" => mute::run(&args),
        "hooks" => hooks::run(&args),
        "provision" => provision::run(&args),
        _ => Err(USAGE.into()),
    });
    match outcome {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
