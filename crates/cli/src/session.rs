//! One command under way: the server that it asks and the streams on which it speaks.

use crate::client::{Answer, Api, Things, is_in_the_clear};
use crate::connection::{Connection, Globals, Profile};
use crate::failure::{Failure, Outcome};
use crate::output::{Column, printable, record, table};
use crate::surroundings::Surroundings;
use serde_json::{Value, json};
use std::io::{BufRead, Read, Write};
use std::time::Duration;

/// How much is read from a file or the standard input: as much as the interface takes at once.
const INPUT_OCTETS_MAX: u64 = 64 << 20;

/// What a command works with.
pub struct Session<'s, 'w> {
    connection: Connection,
    surroundings: &'s mut Surroundings<'w>,
    /// What was said on the command line for all commands.
    pub globals: Globals,
}

impl<'s, 'w> Session<'s, 'w> {
    /// Finds the server, and warns of what is not as it should be.
    pub fn begin(globals: Globals, surroundings: &'s mut Surroundings<'w>) -> Result<Self, Failure> {
        let (connection, warnings) = Connection::find(&globals, surroundings)?;
        Ok(Self::with(connection, warnings, globals, surroundings))
    }

    /// As [`Session::begin`], without what the file says: for the command that writes it.
    pub fn begin_anew(globals: Globals, surroundings: &'s mut Surroundings<'w>) -> Self {
        let connection = Connection::said(&globals, surroundings, &Profile::default());
        Self::with(connection, Vec::new(), globals, surroundings)
    }

    fn with(
        connection: Connection,
        warnings: Vec<String>,
        globals: Globals,
        surroundings: &'s mut Surroundings<'w>,
    ) -> Self {
        let is_bare = is_in_the_clear(&connection.url);
        let mut session = Self { connection, surroundings, globals };
        for warning in warnings {
            session.warn(&warning);
        }
        if is_bare {
            session.warn(&format!("the key goes to {} unencrypted: use https", session.connection.url.clone()));
        }
        session
    }

    /// Where to, and with what.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What is around.
    pub fn surroundings(&mut self) -> &mut Surroundings<'w> {
        self.surroundings
    }

    /// The server, asked as an application.
    pub fn application(&self) -> Result<Api, Failure> {
        let missing = "no application key: give --key, set POSTFLEET_KEY, or run `postfleet login`";
        self.api(self.connection.key.as_deref(), missing)
    }

    /// The server, asked as an operator.
    pub fn operator(&self) -> Result<Api, Failure> {
        let missing = "no operator key: give --operator-key, set POSTFLEET_OPERATOR_KEY, or run `postfleet login`";
        self.api(self.connection.operator_key.as_deref(), missing)
    }

    fn api(&self, key: Option<&str>, missing: &str) -> Result<Api, Failure> {
        let key = key.ok_or_else(|| Failure::Usage(missing.to_owned()))?;
        Api::new(&self.connection, key)
    }

    /// Lets time pass, for what the server does meanwhile.
    pub async fn pause(&self, time: Duration) {
        (self.surroundings.pause)(time).await;
    }

    /// Whether programs read what is shown.
    pub fn is_json(&self) -> bool {
        self.globals.json
    }

    /// Shows a list: a table, or the data.
    pub fn show_list(&mut self, columns: &[Column], things: Things) -> Outcome {
        if self.is_json() {
            return self.print_json(&Value::Array(things.items));
        }
        self.print_table(&table(columns, &things.items))?;
        if things.has_more {
            self.note(&format!("the first {} of more: --limit <N> or --all shows more", things.items.len()));
        } else if things.items.is_empty() {
            self.note("there are none");
        }
        Ok(())
    }

    /// Shows one thing: a line for each value, or the data.
    pub fn show(&mut self, columns: &[Column], answer: Answer) -> Outcome {
        let data = answer.data();
        if self.is_json() { self.print_json(&data) } else { self.print(&record(columns, &data)) }
    }

    /// Says that something was done: a sentence, or the data.
    pub fn done(&mut self, sentence: &str, answer: Answer) -> Outcome {
        if self.is_json() { self.print_json(&answer.data()) } else { self.print(&format!("{sentence}\n")) }
    }

    /// Prints one JSON document.
    pub fn print_json(&mut self, data: &Value) -> Outcome {
        let text = serde_json::to_string_pretty(data).map_err(|error| Failure::Local(error.to_string()))?;
        self.print(&format!("{text}\n"))
    }

    /// Prints a table; at a terminal its head stands out.
    pub fn print_table(&mut self, table: &str) -> Outcome {
        match table.split_once('\n').filter(|_| self.surroundings.may_colour()) {
            Some((head, rest)) => self.print(&format!("\u{1b}[1m{head}\u{1b}[0m\n{rest}")),
            None => self.print(table),
        }
    }

    /// Prints text. A reader that has gone away, such as `head`, has seen what it wanted.
    pub fn print(&mut self, text: &str) -> Outcome {
        match self.surroundings.stdout.write_all(text.as_bytes()).and_then(|()| self.surroundings.stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Local(error.to_string())),
            _ => Ok(()),
        }
    }

    /// Something that people may want to know beside the result.
    pub fn note(&mut self, text: &str) {
        if !self.is_json() {
            self.say(&format!("{text}\n"));
        }
    }

    /// Something that is not as it should be.
    pub fn warn(&mut self, text: &str) {
        let text =
            if self.is_json() { format!("{}\n", json!({"warning": text})) } else { format!("warning: {text}\n") };
        self.say(&text);
    }

    /// How far something has come, in the place of what was said before; to people at a terminal only.
    pub fn progress(&mut self, text: &str) {
        if self.surroundings.stdout_is_terminal && !self.is_json() {
            self.say(&format!("\r\u{1b}[K{text}"));
        }
    }

    /// Takes away what [`progress`](Self::progress) has said.
    pub fn end_progress(&mut self) {
        self.progress("");
    }

    fn say(&mut self, text: &str) {
        // Nobody can be told that the stream for notes is gone.
        let _ = self.surroundings.stderr.write_all(text.as_bytes()).and_then(|()| self.surroundings.stderr.flush());
    }

    /// Asks whether it is meant, unless that was said already. Where nobody can be asked, it is refused.
    pub fn confirm(&mut self, yes: bool, what: &str) -> Outcome {
        if yes {
            return Ok(());
        }
        if !self.surroundings.stdin_is_terminal {
            return Err(Failure::Usage(format!("{what}: say --yes (-y) where nobody can be asked")));
        }
        self.say(&format!("{}? [y/N] ", printable(what)));
        let answer = self.line()?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(Failure::Declined) }
    }

    /// Asks for something to be typed.
    pub fn ask(&mut self, what: &str) -> Result<Option<String>, Failure> {
        if !self.surroundings.stdin_is_terminal {
            return Ok(None);
        }
        self.say(&format!("{what}: "));
        let answer = self.line()?;
        Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let read = self.surroundings.stdin.read_line(&mut line);
        read.map_err(|error| Failure::Local(format!("standard input: {error}")))?;
        Ok(line)
    }

    /// Reads a file; `-` is the standard input.
    pub fn read(&mut self, path: &str) -> Result<String, Failure> {
        let octets = self.read_octets(path)?;
        String::from_utf8(octets).map_err(|_| Failure::Local(format!("{path}: it is not text in UTF-8")))
    }

    /// As [`Session::read`], of what need not be text.
    pub fn read_octets(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        let local = |error: std::io::Error| Failure::Local(format!("{path}: {error}"));
        let mut octets = Vec::new();
        if path == "-" {
            self.surroundings.stdin.as_mut().take(INPUT_OCTETS_MAX).read_to_end(&mut octets).map_err(local)?;
        } else {
            let file = std::fs::File::open(path).map_err(local)?;
            file.take(INPUT_OCTETS_MAX).read_to_end(&mut octets).map_err(local)?;
        }
        Ok(octets)
    }
}
