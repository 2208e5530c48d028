//! What a command finds around it: the environment, three streams, and whether somebody sits at a terminal.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::pin::Pin;
use std::time::Duration;

/// Something that lets time pass.
pub type Pause<'a> = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + 'static>> + 'a>;

/// The environment and the streams of a command.
pub struct Surroundings<'a> {
    /// The environment variables.
    pub variables: BTreeMap<String, String>,
    /// Where answers and files named `-` come from.
    pub stdin: Box<dyn BufRead + 'a>,
    /// Whether somebody can answer a question.
    pub stdin_is_terminal: bool,
    /// Where results go.
    pub stdout: Box<dyn Write + 'a>,
    /// Whether results are read by a person.
    pub stdout_is_terminal: bool,
    /// Where questions, notes and failures go.
    pub stderr: Box<dyn Write + 'a>,
    /// How to wait for what the server does meanwhile.
    pub pause: Pause<'a>,
}

impl Surroundings<'static> {
    /// Those of this process.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os();
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: variables.filter_map(text).collect(),
            stdin: Box::new(io::stdin().lock()),
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout: Box::new(io::stdout()),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr: Box::new(io::stderr()),
            pause: Box::new(|time| Box::pin(tokio::time::sleep(time))),
        }
    }
}

impl Surroundings<'_> {
    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether results may be coloured.
    pub(crate) fn may_colour(&self) -> bool {
        self.stdout_is_terminal
            && self.variable("NO_COLOR").is_none()
            && self.variable("TERM").is_none_or(|term| term != "dumb")
    }
}
