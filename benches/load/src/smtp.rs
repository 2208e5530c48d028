//! Sends mail by SMTP, one transaction after the other on each session, without pipelining.

use crate::args::Args;
use crate::clock::now_ns;
use crate::connection::Connection;
use crate::run::{Client, Plan, run as carry_out};
use crate::summary::Summary;
use crate::text::Text;
use crate::{Failure, run::Outcome};
use std::net::SocketAddr;
use std::time::Duration;

/// Octets of the header section, near enough.
const HEADER_OCTETS: usize = 330;

/// What every session knows.
struct Mail {
    address: SocketAddr,
    sender: String,
    recipient: String,
    mailboxes: u64,
    body_octets: usize,
    /// Tells the messages of this run from those of others.
    run: u64,
    text: Text,
}

/// Runs `smtp`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let size = usize::try_from(args.number("size", 10_240, 2 << 20)?)?;
    let mail = Mail {
        address: args.address()?,
        sender: args.text("sender").unwrap_or("load@sender.example").to_owned(),
        recipient: args.text("recipient").unwrap_or("u{m}@bench.example").to_owned(),
        mailboxes: args.number("mailboxes", 1, 1_000_000)?.max(1),
        body_octets: size.saturating_sub(HEADER_OCTETS),
        run: now_ns(),
        text: Text::new(),
    };
    let plan = Plan {
        clients: args.number("sessions", 20, 1_000)?,
        requests: args.number("messages", 2_000, 10_000_000)?,
        gap: Duration::from_micros(args.number("gap-us", 0, 10_000_000)?),
        limit: args.seconds("seconds", 120)?,
    };
    args.finish()?;
    let outcome = carry_out(&plan, || Session { mail: &mail, connection: None, message: Vec::new() });
    Ok(summary("smtp", &plan, outcome))
}

/// What both `smtp` and `http` print.
pub fn summary(command: &str, plan: &Plan, outcome: Outcome) -> String {
    if let Some(failure) = &outcome.first_failure {
        eprintln!("{command}: {} failures, the first: {failure}", outcome.failures);
    }
    Summary::new(command)
        .count("clients", plan.clients)
        .rate(outcome.latencies.len() as u64, outcome.elapsed)
        .count("failures", outcome.failures)
        .percentiles(outcome.latencies)
        .line()
}

struct Session<'a> {
    mail: &'a Mail,
    connection: Option<Connection>,
    message: Vec<u8>,
}

impl Client for Session<'_> {
    fn request(&mut self, number: u64) -> Result<(), Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => greet(self.mail.address)?,
        };
        // Put back only when the transaction went well.
        self.connection = Some(self.transaction(connection, number)?);
        Ok(())
    }
}

impl Session<'_> {
    fn transaction(&mut self, mut connection: Connection, number: u64) -> Result<Connection, Failure> {
        let mail = self.mail;
        let recipient = mail.recipient.replace("{m}", &(number % mail.mailboxes).to_string());
        self.compose(&recipient, number);
        connection.write(format!("MAIL FROM:<{}>\r\n", mail.sender).as_bytes())?;
        connection.expect("250")?;
        connection.write(format!("RCPT TO:<{recipient}>\r\n").as_bytes())?;
        connection.expect("250")?;
        connection.write(b"DATA\r\n")?;
        connection.expect("354")?;
        connection.write(&self.message)?;
        connection.expect("250")?;
        Ok(connection)
    }

    fn compose(&mut self, recipient: &str, number: u64) {
        let (sender, run, time) = (&self.mail.sender, self.mail.run, now_ns());
        let headers = format!(
            "From: Load <{sender}>\r\nTo: <{recipient}>\r\nSubject: benchmark message {number}\r\n\
             Message-ID: <{number}.{run}@load.example>\r\nDate: Mon, 06 Jul 2026 10:00:00 +0000\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nX-Bench-T: {time}\r\n\r\n"
        );
        self.message.clear();
        self.message.extend_from_slice(headers.as_bytes());
        self.message.extend_from_slice(self.mail.text.stretch(number.wrapping_add(run), self.mail.body_octets));
        self.message.extend_from_slice(b".\r\n");
    }
}

fn greet(address: SocketAddr) -> Result<Connection, Failure> {
    let mut connection = Connection::open(address)?;
    connection.expect("220")?;
    connection.write(b"EHLO load.example\r\n")?;
    connection.expect("250")?;
    Ok(connection)
}
