//! Runs the dialogues in `tests/transcripts/`: what a client says, what the server must answer.
//!
//! `C:` lines that follow each other are one write; `C|` is one without a line end and with escapes. `S:` lines must
//! be the whole answer. `MESSAGE`, `TLS`, `CLOSED` say what else must have happened. Each dialogue is run twice: with
//! every write in one piece, and octet by octet.

use std::sync::Arc;

use postfleet_wire::smtp::server::{Config, Limits, Session, Step};
use postfleet_wire::smtp::{Reply, Severity};

#[test]
fn transcripts() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "transcripts are missing");
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for piece_octets in [usize::MAX, 1] {
            run(&format!("{} in pieces of {piece_octets}", path.display()), &text, piece_octets);
        }
    }
}

fn run(name: &str, text: &str, piece_octets: usize) {
    let mut server = Server::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let at = format!("{name}, line {}", number + 1);
        let (kind, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match kind {
            "" | "# " => {}
            "C:" | "C|" => {
                let mut write = client_octets(kind, rest);
                while let Some((_, next)) = lines.next_if(|(_, next)| next.starts_with("C:") || next.starts_with("C|"))
                {
                    write.extend(client_octets(&next[..2], next[2..].strip_prefix(' ').unwrap_or(&next[2..])));
                }
                server.nothing_left(&at);
                server.write(&write, piece_octets);
            }
            "S:" => assert_eq!(server.next_line().as_deref(), Some(rest), "{at}"),
            _ => server.check(line, &at),
        }
    }
    server.nothing_left(name);
}

fn client_octets(kind: &str, text: &str) -> Vec<u8> {
    if kind == "C:" {
        return format!("{text}\r\n").into_bytes();
    }
    let unescaped = text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
    unescaped.replace("\\xff", "\u{ff}").chars().map(|c| if c == '\u{ff}' { 255 } else { c as u8 }).collect()
}

struct Server {
    session: Session,
    output: String,
    message: Option<String>,
    tls: bool,
    closed: bool,
}

impl Server {
    fn new() -> Self {
        let limits = Limits { message_octets: 1_000, recipients: 3, ..Limits::default() };
        let config = Config { hostname: "mx.example".into(), limits, starttls: true };
        let mut session = Session::new(Arc::new(config), false);
        let output = String::from_utf8(session.take_output()).unwrap();
        Self { session, output, message: None, tls: false, closed: false }
    }

    fn write(&mut self, octets: &[u8], piece_octets: usize) {
        for piece in octets.chunks(piece_octets.min(octets.len()).max(1)) {
            self.session.feed(piece);
            self.go_on();
        }
        self.output.push_str(&String::from_utf8(self.session.take_output()).unwrap());
    }

    fn go_on(&mut self) {
        loop {
            match self.session.step() {
                Step::NeedInput => return,
                Step::Close => return self.closed = true,
                Step::StartTls => return self.tls = true,
                Step::Recipient(address) => self.session.recipient_verdict(match address.local() {
                    "unknown" => Err(Reply::new(Severity::Permanent, 50, Some((1, 1)), "no such mailbox")),
                    "full" => Err(Reply::new(Severity::Transient, 52, Some((2, 2)), "mailbox full")),
                    _ => Ok(()),
                }),
                Step::Message(envelope, message) => {
                    let recipients: Vec<_> = envelope.recipients.iter().map(ToString::to_string).collect();
                    let message = String::from_utf8(message).unwrap().escape_debug().to_string();
                    self.message = Some(format!("{} -> {} {message}", envelope.reverse_path, recipients.join(",")));
                    self.session.message_verdict(Reply::accepted("m1"));
                }
            }
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let (line, rest) = self.output.split_once("\r\n")?;
        let line = line.to_owned();
        self.output = rest.to_owned();
        Some(line)
    }

    /// `MESSAGE sender -> recipients content`, `TLS`, or `CLOSED`.
    fn check(&mut self, line: &str, at: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("MESSAGE", expected) => assert_eq!(self.message.take().as_deref(), Some(expected), "{at}"),
            ("TLS", "") => {
                assert!(self.tls && !self.closed, "{at}");
                self.session.tls_started();
            }
            ("CLOSED", "") => assert!(self.closed, "{at}"),
            _ => panic!("{at}: unknown line {line:?}"),
        }
    }

    fn nothing_left(&self, at: &str) {
        assert_eq!((self.output.as_str(), &self.message), ("", &None), "{at}");
    }
}
