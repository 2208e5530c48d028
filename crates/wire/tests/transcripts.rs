//! Runs the dialogues in `tests/transcripts/`: what a client says, what the server must answer. Those in `submission/` are
//! of mail clients, those above of other servers.
//!
//! `C:` lines that follow each other are one write; `C|` is one without a line end and with escapes. `S:` lines must
//! be the whole answer. `MESSAGE`, `TLS`, `AUTH`, `CLOSED` say what else must have happened. Each dialogue is run twice: with
//! every write in one piece, and octet by octet.

use std::sync::Arc;

use postfleet_core::EmailAddress;
use postfleet_wire::smtp::server::{Config, Limits, Service, Session, Step};
use postfleet_wire::smtp::{Reply, Severity};

#[test]
fn transcripts() {
    run_all("", Service::Mx);
}

#[test]
fn transcripts_of_submission() {
    run_all("/submission", Service::Submission);
}

fn run_all(folder: &str, service: Service) {
    let folder = format!("{}/tests/transcripts{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    assert!(paths.len() >= 8, "transcripts are missing");
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for piece_octets in [usize::MAX, 1] {
            run(service, &format!("{} in pieces of {piece_octets}", path.display()), &text, piece_octets);
        }
    }
}

fn run(service: Service, name: &str, text: &str, piece_octets: usize) {
    let mut server = Server::new(service);
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
    shown: Option<String>,
    tls: bool,
    closed: bool,
}

impl Server {
    fn new(service: Service) -> Self {
        let limits = Limits { message_octets: 1_000, recipients: 3, ..Limits::default() };
        let config = Config { service, hostname: "mx.example".into(), limits, starttls: true };
        let mut session = Session::new(Arc::new(config), false);
        let output = String::from_utf8(session.take_output()).unwrap();
        Self { session, output, message: None, shown: None, tls: false, closed: false }
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
                Step::Authenticate(credentials) => {
                    let (identity, password) = (credentials.identity, credentials.password.expose());
                    self.shown = Some(format!("{identity} {password}"));
                    self.session.authentication_verdict(match (identity.as_str(), password.as_str()) {
                        ("bot@mx.example", "Right") => Ok(EmailAddress::parse("bot@mx.example").unwrap()),
                        ("late@mx.example", _) => Err(Reply::authentication_throttled()),
                        _ => Err(Reply::authentication_failed()),
                    });
                }
                Step::Sender => self.session.sender_verdict(Ok(500)),
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

    /// `MESSAGE sender -> recipients content`, `AUTH name password`, `TLS`, or `CLOSED`.
    fn check(&mut self, line: &str, at: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("MESSAGE", expected) => assert_eq!(self.message.take().as_deref(), Some(expected), "{at}"),
            ("AUTH", expected) => assert_eq!(self.shown.take().as_deref(), Some(expected), "{at}"),
            ("TLS", "") => {
                assert!(self.tls && !self.closed, "{at}");
                self.session.tls_started();
            }
            ("CLOSED", "") => assert!(self.closed, "{at}"),
            _ => panic!("{at}: unknown line {line:?}"),
        }
    }

    fn nothing_left(&self, at: &str) {
        assert_eq!((self.output.as_str(), &self.message, &self.shown), ("", &None, &None), "{at}");
    }
}
