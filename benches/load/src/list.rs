//! Counts messages the way a customer sees them: by listing every mailbox to its end.

use crate::Failure;
use crate::args::Args;
use crate::drive::{Requester, run as carry_out};
use crate::run::Plan;
use crate::summary::Summary;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pages of one mailbox after which something must be wrong.
const PAGES_MAX: usize = 10_000;

/// What every connection knows.
struct Listing {
    header: String,
    mailboxes: Vec<String>,
    messages: AtomicU64,
}

/// Runs `list`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let address = args.address()?;
    let listing = Listing {
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
    let outcome = carry_out(&plan, address, 1, || Lister { listing: &listing, mailbox: 0, pages: 0 })?;
    // Half a count is worse than none.
    if outcome.latencies.len() as u64 != plan.requests {
        return Err(format!("not every mailbox was listed: {:?}", outcome.first_failure).into());
    }
    let messages = listing.messages.load(Ordering::Relaxed);
    Ok(Summary::new("list").count("mailboxes", plan.requests).rate(messages, outcome.elapsed).line())
}

struct Lister<'a> {
    listing: &'a Listing,
    mailbox: usize,
    pages: usize,
}

impl Requester for Lister<'_> {
    fn request(&mut self, number: u64, request: &mut Vec<u8>) -> Result<(), Failure> {
        (self.mailbox, self.pages) = (usize::try_from(number)?, 0);
        self.ask(None, request);
        Ok(())
    }

    fn answered(&mut self, status: u16, body: &[u8], request: &mut Vec<u8>) -> Result<(), Failure> {
        let answer = std::str::from_utf8(body)?;
        if status != 200 {
            return Err(format!("status {status}: {answer}").into());
        }
        let messages = answer.matches("\"object\":\"message\"").count();
        self.listing.messages.fetch_add(messages as u64, Ordering::Relaxed);
        self.pages += 1;
        match next_cursor(answer) {
            Some(_) if self.pages == PAGES_MAX => Err(format!("{} has no end", self.mailbox()).into()),
            Some(cursor) => {
                self.ask(Some(cursor), request);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Lister<'_> {
    fn mailbox(&self) -> &str {
        &self.listing.mailboxes[self.mailbox]
    }

    fn ask(&self, cursor: Option<&str>, request: &mut Vec<u8>) {
        let cursor = cursor.map(|cursor| format!("&page_token={cursor}")).unwrap_or_default();
        let text = format!(
            "GET /v3/grants/{}/messages?limit=200&select=id{cursor} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n",
            self.mailbox(),
            self.listing.header
        );
        request.extend_from_slice(text.as_bytes());
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
