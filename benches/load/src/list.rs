//! Counts messages the way a customer sees them: by listing every mailbox to its end.

use crate::Failure;
use crate::args::Args;
use crate::connection::Connection;
use crate::run::{Client, Plan, run as carry_out};
use crate::summary::Summary;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pages of one mailbox after which something must be wrong.
const PAGES_MAX: usize = 10_000;

/// What every connection knows.
struct Listing {
    address: SocketAddr,
    header: String,
    mailboxes: Vec<String>,
    messages: AtomicU64,
}

/// Runs `list`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let listing = Listing {
        address: args.address()?,
        header: args.text("header").map(|header| format!("{header}\r\n")).unwrap_or_default(),
        mailboxes: args.lines("lines")?,
        messages: AtomicU64::new(0),
    };
    let plan = Plan {
        clients: args.number("connections", 4, 100)?,
        requests: listing.mailboxes.len() as u64,
        gap: Duration::ZERO,
        limit: args.seconds("seconds", 120)?,
    };
    args.finish()?;
    let outcome = carry_out(&plan, || Lister { listing: &listing, connection: None, answer: Vec::new() });
    // Half a count is worse than none.
    if outcome.latencies.len() as u64 != plan.requests {
        return Err(format!("not every mailbox was listed: {:?}", outcome.first_failure).into());
    }
    let messages = listing.messages.load(Ordering::Relaxed);
    Ok(Summary::new("list").count("mailboxes", plan.requests).rate(messages, outcome.elapsed).line())
}

struct Lister<'a> {
    listing: &'a Listing,
    connection: Option<Connection>,
    answer: Vec<u8>,
}

impl Client for Lister<'_> {
    fn request(&mut self, number: u64) -> Result<(), Failure> {
        let mailbox = &self.listing.mailboxes[usize::try_from(number)?];
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            cursor = self.page(mailbox, cursor.as_deref())?;
            if cursor.is_none() {
                return Ok(());
            }
        }
        Err(format!("{mailbox} has no end").into())
    }
}

impl Lister<'_> {
    fn page(&mut self, mailbox: &str, cursor: Option<&str>) -> Result<Option<String>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.listing.address)?,
        };
        let cursor = cursor.map(|cursor| format!("&page_token={cursor}")).unwrap_or_default();
        let request = format!(
            "GET /v3/grants/{mailbox}/messages?limit=200&select=id{cursor} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n",
            self.listing.header
        );
        connection.write(request.as_bytes())?;
        let status = connection.response(&mut self.answer)?;
        self.connection = Some(connection);
        let answer = std::str::from_utf8(&self.answer)?;
        if status != 200 {
            return Err(format!("status {status}: {answer}").into());
        }
        let messages = answer.matches("\"object\":\"message\"").count();
        self.listing.messages.fetch_add(messages as u64, Ordering::Relaxed);
        Ok(next_cursor(answer).map(str::to_owned))
    }
}

fn next_cursor(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("\"next_cursor\":\"")?;
    rest.split_once('"').map(|(cursor, _)| cursor).filter(|cursor| !cursor.is_empty())
}

#[cfg(test)]
mod tests {
    use super::next_cursor;

    #[test]
    fn the_last_page_has_no_cursor() {
        assert_eq!(next_cursor(r#"{"data":[],"next_cursor":"abc"}"#), Some("abc"));
        assert_eq!(next_cursor(r#"{"data":[],"next_cursor":null}"#), None);
        assert_eq!(next_cursor(r#"{"data":[]}"#), None);
    }
}
