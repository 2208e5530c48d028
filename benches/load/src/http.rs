//! Sends HTTP/1.1 requests made from templates, one after the other on each connection, which stays open.

use crate::args::Args;
use crate::clock::now_ns;
use crate::connection::Connection;
use crate::run::{Client, Plan, run as carry_out};
use crate::{Failure, smtp};
use std::net::SocketAddr;
use std::time::Duration;

/// What every connection knows.
struct Requests {
    address: SocketAddr,
    method: String,
    path: String,
    header: String,
    body: String,
    mailboxes: u64,
    lines: Vec<String>,
}

/// Runs `http`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let body = match args.text("body-file") {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?,
        None => args.text("body").unwrap_or_default().to_owned(),
    };
    let requests = Requests {
        address: args.address()?,
        method: args.text("method").unwrap_or("POST").to_owned(),
        path: args.text("path").unwrap_or("/").to_owned(),
        header: args.text("header").map(|header| format!("{header}\r\n")).unwrap_or_default(),
        body,
        mailboxes: args.number("mailboxes", 1, 1_000_000)?.max(1),
        lines: args.lines("lines")?,
    };
    let plan = Plan {
        clients: args.number("connections", 16, 1_000)?,
        requests: args.number("requests", 2_000, 10_000_000)?,
        gap: Duration::from_micros(args.number("gap-us", 0, 10_000_000)?),
        limit: args.seconds("seconds", 120)?,
    };
    args.finish()?;
    let outcome = carry_out(&plan, || Requester { requests: &requests, connection: None, answer: Vec::new() });
    Ok(smtp::summary("http", &plan, outcome))
}

struct Requester<'a> {
    requests: &'a Requests,
    connection: Option<Connection>,
    answer: Vec<u8>,
}

impl Client for Requester<'_> {
    fn request(&mut self, number: u64) -> Result<(), Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.requests.address)?,
        };
        connection.write(self.requests.compose(number).as_bytes())?;
        let status = connection.response(&mut self.answer)?;
        self.connection = Some(connection);
        match status {
            200..300 => Ok(()),
            _ => Err(format!("status {status}: {}", String::from_utf8_lossy(&self.answer)).into()),
        }
    }
}

impl Requests {
    fn compose(&self, number: u64) -> String {
        let body = self.fill(&self.body, number);
        format!(
            "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.method,
            self.fill(&self.path, number),
            self.header,
            body.len()
        )
    }

    fn fill(&self, template: &str, number: u64) -> String {
        let line = match self.lines.len() {
            0 => "",
            count => &self.lines[usize::try_from(number).unwrap_or(0) % count],
        };
        template
            .replace("{i}", &number.to_string())
            .replace("{m}", &(number % self.mailboxes).to_string())
            .replace("{line}", line)
            .replace("{t}", &now_ns().to_string())
    }
}
