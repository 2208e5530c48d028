//! Sends HTTP/1.1 requests made from templates, one after the other on each connection, which stays open.

use crate::args::Args;
use crate::drive::{Requester, THREADS_MAX, run as carry_out};
use crate::run::Plan;
use crate::template::{Template, Values, append};
use crate::{Failure, smtp};
use std::time::Duration;

/// What every connection knows.
struct Requests {
    method: String,
    path: Template,
    header: String,
    body: Template,
    mailboxes: u64,
    lines: Vec<String>,
}

/// Runs `http`.
pub fn run(args: &Args) -> Result<String, Failure> {
    let body = match args.text("body-file") {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?,
        None => args.text("body").unwrap_or_default().to_owned(),
    };
    let address = args.address()?;
    let requests = Requests {
        method: args.text("method").unwrap_or("POST").to_owned(),
        path: Template::parse(args.text("path").unwrap_or("/")),
        header: args.text("header").map(|header| format!("{header}\r\n")).unwrap_or_default(),
        body: Template::parse(&body),
        mailboxes: args.number("mailboxes", 1, 1_000_000)?.max(1),
        lines: args.lines("lines")?,
    };
    let plan = Plan {
        clients: args.number("connections", 16, 1_000)?,
        requests: args.number("requests", 2_000, 10_000_000)?,
        gap: Duration::from_micros(args.number("gap-us", 0, 10_000_000)?),
        limit: args.seconds("seconds", 120)?,
    };
    let threads = args.number("threads", 1, THREADS_MAX)?;
    args.finish()?;
    let outcome = carry_out(&plan, address, threads, || Sender { requests: &requests, body: Vec::new() })?;
    Ok(smtp::summary("http", &plan, outcome))
}

struct Sender<'a> {
    requests: &'a Requests,
    /// The body of the last request; its length is written before it.
    body: Vec<u8>,
}

impl Requester for Sender<'_> {
    const BRIEF: bool = true;

    fn request(&mut self, number: u64, request: &mut Vec<u8>) -> Result<(), Failure> {
        self.body.clear();
        self.requests.compose(number, &mut self.body, request);
        Ok(())
    }

    fn answered(&mut self, status: u16, body: &[u8], _: &mut Vec<u8>) -> Result<(), Failure> {
        match status {
            200..300 => Ok(()),
            _ => Err(format!("status {status}: {}", String::from_utf8_lossy(body)).into()),
        }
    }
}

impl Requests {
    fn compose(&self, number: u64, body: &mut Vec<u8>, request: &mut Vec<u8>) {
        let line = match self.lines.len() {
            0 => "",
            count => &self.lines[usize::try_from(number).unwrap_or(0) % count],
        };
        let values = Values { number, mailbox: number % self.mailboxes, line };
        self.body.fill(&values, body);
        request.extend_from_slice(self.method.as_bytes());
        request.push(b' ');
        self.path.fill(&values, request);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        request.extend_from_slice(self.header.as_bytes());
        request.extend_from_slice(b"Content-Type: application/json\r\nContent-Length: ");
        append(request, body.len() as u64);
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;
    use crate::template::Template;

    #[test]
    fn requests_are_made_from_their_templates() {
        let requests = Requests {
            method: "PUT".into(),
            path: Template::parse("/{line}/{i}"),
            header: "A: b\r\n".into(),
            body: Template::parse("{\"é\":{m}}"),
            mailboxes: 4,
            lines: vec!["x".into(), "y".into()],
        };
        let (mut body, mut request) = (Vec::new(), Vec::new());
        requests.compose(7, &mut body, &mut request);
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "PUT /y/7 HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"é\":3}"
        );
    }
}
