//! A session and its owner, who takes everything but what is for `unknown`.

use postfleet_core::EmailAddress;
use postfleet_wire::smtp::server::{Breach, Config, Envelope, Limits, Service, Session, Step};
use postfleet_wire::smtp::{Reply, Severity};
use std::sync::Arc;

/// What came of a dialogue.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub output: String,
    pub recipients: usize,
    pub sign_ins: usize,
    pub messages: Vec<(Envelope, Vec<u8>)>,
    pub is_closed: bool,
    pub wants_tls: bool,
}

pub struct Server {
    pub session: Session,
    pub seen: Seen,
}

impl Server {
    /// One that has greeted. Sessions for mail clients are encrypted from the start if `tls` says so.
    pub fn greeted(service: Service, tls: bool) -> Self {
        let mut server = Self::silent(service, tls);
        server.take_output();
        server
    }

    /// One whose greeting has not left.
    pub fn silent(service: Service, tls: bool) -> Self {
        let limits = Limits { message_octets: 10_000, errors: 1_000, ..Limits::default() };
        let config = Config { service, hostname: "mx.example".into(), limits, starttls: true };
        Self { session: Session::new(Arc::new(config), tls), seen: Seen::default() }
    }

    /// One write of the client, in pieces; what is answered leaves after the last.
    pub fn write<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            self.session.feed(piece);
            self.go_on();
        }
        self.take_output();
    }

    /// The codes of the answers to one write.
    pub fn codes(&mut self, text: &[u8]) -> String {
        let before = self.seen.output.len();
        self.write([text]);
        codes(&self.seen.output[before..])
    }

    /// On until a message may come.
    pub fn with_envelope(mut self, data: bool) -> Self {
        assert_eq!(self.codes(b"HELO c.example\r\n"), "250");
        assert_eq!(self.codes(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n"), "250 250");
        if data {
            assert_eq!(self.codes(b"DATA\r\n"), "354");
        }
        self.seen = Seen::default();
        self
    }

    pub fn breach(&self) -> Option<Breach> {
        self.session.breach()
    }

    pub fn take_output(&mut self) {
        self.seen.output.push_str(&String::from_utf8(self.session.take_output()).expect("replies are ASCII"));
    }

    fn go_on(&mut self) {
        loop {
            match self.session.step() {
                Step::NeedInput => return,
                Step::Close => return self.seen.is_closed = true,
                Step::StartTls => return self.seen.wants_tls = true,
                Step::Authenticate(_) => {
                    self.seen.sign_ins += 1;
                    self.session.authentication_verdict(Err(Reply::authentication_failed()));
                }
                Step::Sender => self.session.sender_verdict(Ok(10_000)),
                Step::Recipient(address) => {
                    self.seen.recipients += 1;
                    self.session.recipient_verdict(is_known(&address));
                }
                Step::Message(envelope, message) => {
                    self.seen.messages.push((envelope, message));
                    self.session.message_verdict(Reply::accepted("m1"));
                }
            }
        }
    }
}

fn is_known(address: &EmailAddress) -> Result<(), Reply> {
    match address.local() {
        "unknown" => Err(Reply::new(Severity::Permanent, 50, Some((1, 1)), "no such mailbox")),
        _ => Ok(()),
    }
}

/// The codes of replies, one for each.
pub fn codes(output: &str) -> String {
    let last_lines = output.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
    last_lines.map(|line| &line[..3]).collect::<Vec<_>>().join(" ")
}

/// The ways in which one write reaches a server: whole, octet by octet, line by line, and in two pieces at every place.
pub fn packets(octets: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![octets], octets.chunks(1).collect(), octets.split_inclusive(|b| *b == b'\n').collect()];
    ways.extend((1..octets.len()).map(|cut| vec![&octets[..cut], &octets[cut..]]));
    ways
}
