//! Sends mail by SMTP, one transaction after the other on each session, without pipelining.

use crate::args::Args;
use crate::clock::now_ns;
use crate::connection::Connection;
use crate::run::{Client, Plan, run as carry_out};
use crate::summary::Summary;
use crate::text::Text;
use crate::{Failure, run::Outcome};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Octets of the header section, near enough.
const HEADER_OCTETS: usize = 330;

/// What every session knows.
struct Mail {
    address: SocketAddr,
    sender: String,
    recipient: String,
    mailboxes: u64,
    /// From one message's mailbox to the next one's.
    stride: u64,
    /// What is sent instead of text that is made up.
    corpus: Vec<Signed>,
    /// What a balancer would say of each session's client, with `{c}` for a number from 1 to `PROXIED`.
    proxied: Option<String>,
    sessions: AtomicU64,
    body_octets: usize,
    /// Tells the messages of this run from those of others.
    run: u64,
    text: Text,
    /// Where it is written down when each message began and when it was taken.
    log: Option<Mutex<BufWriter<File>>>,
}

/// A message that was made before, with the reverse path that it is sent with.
struct Signed {
    sender: String,
    message: Vec<u8>,
}

/// Clients that a balancer speaks of.
const PROXIED: u64 = 200;

/// Runs `smtp`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let size = usize::try_from(args.number("size", 10_240, 2 << 20)?)?;
    let mail = Mail {
        address: args.address()?,
        sender: args.text("sender").unwrap_or("load@sender.example").to_owned(),
        recipient: args.text("recipient").unwrap_or("u{m}@bench.example").to_owned(),
        mailboxes: args.number("mailboxes", 1, 1_000_000)?.max(1),
        stride: args.number("stride", 1, 1_000_000)?,
        corpus: args.text("corpus").map_or_else(|| Ok(Vec::new()), read_corpus)?,
        proxied: args.text("proxied").map(str::to_owned),
        sessions: AtomicU64::new(0),
        body_octets: size.saturating_sub(HEADER_OCTETS),
        run: now_ns(),
        text: Text::new(),
        log: args.text("log").map(File::create).transpose()?.map(|file| Mutex::new(BufWriter::new(file))),
    };
    let plan = Plan {
        clients: args.number("sessions", 20, 1_000)?,
        requests: args.number("messages", 2_000, 10_000_000)?,
        gap: Duration::from_micros(args.number("gap-us", 0, 10_000_000)?),
        limit: args.seconds("seconds", 120)?,
    };
    args.finish()?;
    let outcome = carry_out(&plan, || Session { mail: &mail, connection: None, message: Vec::new() });
    if let Some(log) = &mail.log {
        log.lock().unwrap().flush()?;
    }
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
            None => greet(self.mail)?,
        };
        let began = now_ns();
        // Put back only when the transaction went well.
        self.connection = Some(self.transaction(connection, number)?);
        if let Some(log) = &self.mail.log {
            let taken = now_ns();
            writeln!(log.lock().unwrap(), "{number} {began} {taken}")?;
        }
        Ok(())
    }
}

impl Session<'_> {
    fn transaction(&mut self, mut connection: Connection, number: u64) -> Result<Connection, Failure> {
        let mail = self.mail;
        let mailbox = number.wrapping_mul(mail.stride) % mail.mailboxes;
        let recipient = mail.recipient.replace("{m}", &mailbox.to_string());
        let signed = mail.corpus.get(usize::try_from(number)? % mail.corpus.len().max(1));
        match signed {
            Some(signed) => self.pass_on(signed, number),
            None => self.compose(&recipient, number),
        }
        let sender = signed.map_or(&mail.sender, |signed| &signed.sender);
        connection.write(format!("MAIL FROM:<{sender}>\r\n").as_bytes())?;
        connection.expect("250")?;
        connection.write(format!("RCPT TO:<{recipient}>\r\n").as_bytes())?;
        connection.expect("250")?;
        connection.write(b"DATA\r\n")?;
        connection.expect("354")?;
        connection.write(&self.message)?;
        connection.expect("250")?;
        Ok(connection)
    }

    /// Puts a field in front that no signature covers, so that no two messages are the same.
    fn pass_on(&mut self, signed: &Signed, number: u64) {
        let head = format!("Message-ID: <{number}.{}@load.example>\r\n", self.mail.run);
        self.message.clear();
        self.message.extend_from_slice(head.as_bytes());
        self.message.extend_from_slice(&signed.message);
        self.message.extend_from_slice(b".\r\n");
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

fn greet(mail: &Mail) -> Result<Connection, Failure> {
    let mut connection = Connection::open(mail.address)?;
    if let Some(proxied) = &mail.proxied {
        let client = 1 + mail.sessions.fetch_add(1, Ordering::Relaxed) % PROXIED;
        let client = proxied.replace("{c}", &client.to_string());
        connection.write(format!("PROXY TCP4 {client} 127.0.0.1 40000 25\r\n").as_bytes())?;
    }
    connection.expect("220")?;
    connection.write(b"EHLO load.example\r\n")?;
    connection.expect("250")?;
    Ok(connection)
}

/// The messages of a folder, in the order of their names. The first line of each file is its reverse path.
fn read_corpus(folder: &str) -> Result<Vec<Signed>, Failure> {
    let files = Path::new(folder).read_dir().map_err(|error| format!("failed to read {folder}: {error}"))?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>, Failure>>()?;
    files.sort();
    let corpus = files.iter().map(|file| parse_signed(&std::fs::read(file)?)).collect::<Result<Vec<_>, _>>()?;
    if corpus.is_empty() { Err(format!("{folder} is empty").into()) } else { Ok(corpus) }
}

fn parse_signed(file: &[u8]) -> Result<Signed, Failure> {
    let end = file.iter().position(|octet| *octet == b'\n').ok_or("a message without a reverse path")?;
    let (sender, message) = (std::str::from_utf8(&file[..end])?.trim(), &file[end + 1..]);
    if !message.ends_with(b"\r\n") || message.split(|octet| *octet == b'\n').any(|line| line.starts_with(b".")) {
        return Err(format!("a message from {sender} has a line with a dot first, or no last line end").into());
    }
    Ok(Signed { sender: sender.to_owned(), message: message.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::parse_signed;

    #[test]
    fn a_file_is_a_reverse_path_and_a_message() {
        let signed = parse_signed(b"a@b.example\nFrom: a@b.example\r\n\r\nhello\r\n").unwrap();
        assert_eq!(signed.sender, "a@b.example");
        assert!(signed.message.starts_with(b"From:"));
        assert!(parse_signed(b"a@b.example\n\r\n.\r\nhello\r\n").is_err());
        assert!(parse_signed(b"no message").is_err());
    }
}
