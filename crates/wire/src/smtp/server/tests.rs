//! Hostile input: smuggled message ends, pieces of every size, limits. Plain dialogues are transcripts, in `tests/`.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::smtp::data::MessageWriter;
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::sasl::AUTH_LINE_OCTETS_MAX;
use postfleet_core::EmailAddress;

/// What a session did, as its owner saw it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    output: String,
    sign_ins: Vec<String>,
    recipients: Vec<String>,
    messages: Vec<Vec<u8>>,
    closed: bool,
}

struct Run {
    session: Session,
    handshake: bool,
    seen: Seen,
}

impl Run {
    fn new(limits: Limits) -> Self {
        Self::of(Service::Mx, limits)
    }

    /// A session for servers in the clear, or for mail clients over TLS.
    fn of(service: Service, limits: Limits) -> Self {
        let config = Config { service, hostname: "mx.example".into(), limits, starttls: true };
        let session = Session::new(Arc::new(config), service == Service::Submission);
        let mut run = Self { session, handshake: false, seen: Seen::default() };
        run.take_output();
        run
    }

    /// One write of the client, which reaches the session in the given pieces.
    fn write<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        if std::mem::take(&mut self.handshake) {
            self.session.tls_started();
        }
        for piece in pieces {
            self.session.feed(piece);
            self.go_on();
        }
        self.take_output();
    }

    fn go_on(&mut self) {
        loop {
            match self.session.step() {
                Step::NeedInput => return,
                Step::Close => {
                    self.seen.closed = true;
                    self.handshake = false;
                    return;
                }
                Step::StartTls => {
                    self.handshake = true;
                    return;
                }
                Step::Authenticate(credentials) => {
                    let is_right = credentials.password.expose() == "right";
                    let verdict = EmailAddress::parse("a@c.example").map_err(|_| Reply::ok());
                    self.session.authentication_verdict(if is_right {
                        verdict
                    } else {
                        Err(Reply::authentication_failed())
                    });
                    self.seen.sign_ins.push(credentials.identity);
                }
                Step::Sender => self.session.sender_verdict(Ok(1_000)),
                Step::Recipient(address) => {
                    let unknown = address.local().starts_with("unknown");
                    let refusal = Reply::new(Severity::Permanent, 50, Some((1, 1)), "no such mailbox");
                    self.session.recipient_verdict(if unknown { Err(refusal) } else { Ok(()) });
                    self.seen.recipients.push(address.to_string());
                }
                Step::Message(_, message) => {
                    self.seen.messages.push(message);
                    self.session.message_verdict(Reply::accepted("m1"));
                }
            }
        }
    }

    fn take_output(&mut self) {
        self.seen.output.push_str(&String::from_utf8(self.session.take_output()).unwrap());
    }

    fn say(&mut self, text: &str) -> String {
        let before = self.seen.output.len();
        self.write([text.as_bytes()]);
        self.seen.output[before..].to_owned()
    }

    fn code(&mut self, text: &str) -> String {
        self.say(text).rsplit("\r\n").nth(1).map_or(String::new(), |line| line[..3].to_owned())
    }
}

/// A session that has an envelope and, for DATA, its 354.
fn before_content(limits: Limits, data: bool) -> Run {
    let mut run = Run::new(limits);
    run.say("EHLO c.example\r\n");
    run.say("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n");
    if data {
        assert!(run.say("DATA\r\n").starts_with("354 "));
    }
    run
}

/// What must come of a stream after 354, found the slow and obvious way.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    More,
    Broken,
    /// The message as it was on the wire, without its last line.
    End(usize),
}

fn expected(stream: &[u8]) -> Expected {
    for at in 0..stream.len() {
        let next = stream.get(at + 1);
        match stream[at] {
            0 => return Expected::Broken,
            b'\n' if at == 0 || stream[at - 1] != b'\r' => return Expected::Broken,
            b'\r' if next.is_some_and(|next| *next != b'\n') => return Expected::Broken,
            _ => {}
        }
        if stream[..=at].ends_with(b"\r\n.\r\n") || &stream[..=at] == b".\r\n" {
            return Expected::End(at + 1);
        }
    }
    Expected::More
}

fn strings_up_to(length: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..length {
        let until = all.len();
        for at in from..until {
            for octet in [b'\r', b'\n', b'.', 0, b' ', b'x'] {
                let mut longer = all[at].clone();
                longer.push(octet);
                all.push(longer);
            }
        }
        from = until;
    }
    all.remove(0);
    all
}

/// RFC 5321 §4.1.1.4: CRLF.CRLF ends a message, and nothing that looks like it to somebody else.
#[test]
fn nothing_else_ends_a_message() {
    const NEXT: &[u8] = b"MAIL FROM:<s@x>\r\n";
    let strings = strings_up_to(4);
    assert_eq!(strings.len(), 1_554);
    for prefix in [&b""[..], b"a", b"a\r\n", b"a\r\n."] {
        for string in &strings {
            let stream = [prefix, string, NEXT].concat();
            let expected = expected(&stream);
            for cut in 0..stream.len() {
                let mut run = before_content(Limits::default(), true);
                let before = run.seen.output.len();
                run.write([&stream[..cut], &stream[cut..]]);
                let what = format!("{} cut at {cut}", stream.escape_ascii());
                let output = &run.seen.output[before..];
                match expected {
                    Expected::More => assert_eq!((output, run.seen.messages.len()), ("", 0), "{what}"),
                    Expected::Broken => {
                        assert!(run.seen.messages.is_empty() && run.seen.closed, "{what}");
                        assert_eq!(output, "550 5.6.0 message has a bare CR, a bare LF or a NUL\r\n", "{what}");
                    }
                    Expected::End(_) => {
                        assert_eq!(run.seen.messages.len(), 1, "{what}");
                        assert!(output.starts_with("250 2.6.0 "), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn chunks_hold_no_bare_line_ends_either() {
    for string in strings_up_to(4) {
        let bare = string.contains(&0) || {
            let rest = String::from_utf8(string.clone()).unwrap().replace("\r\n", "");
            rest.contains(['\r', '\n'])
        };
        let stream = [format!("BDAT {} LAST\r\n", string.len()).as_bytes(), &string[..]].concat();
        for cut in 0..stream.len() {
            let mut run = before_content(Limits::default(), false);
            run.write([&stream[..cut], &stream[cut..]]);
            let what = format!("{} cut at {cut}", stream.escape_ascii());
            assert_eq!(run.seen.closed, bare, "{what}");
            assert_eq!(run.seen.messages, if bare { vec![] } else { vec![string.clone()] }, "{what}");
        }
    }
}

#[test]
fn bare_line_ends_and_nul_among_commands_end_the_session() {
    for line in ["NOOP\n", "NOOP\r", "NO\0OP\r\n", "NOOP\n\r\n", "\n", "NOOP\rNOOP\r\n"] {
        let mut run = Run::new(Limits::default());
        run.say(line);
        if line == "NOOP\r" {
            assert!(!run.seen.closed);
            run.say("x");
        }
        assert!(run.seen.closed, "{line:?}");
        assert!(run.seen.output.ends_with("500 5.5.2 lines end with CRLF and hold no NUL\r\n"), "{line:?}");
    }
}

#[test]
fn command_line_limit() {
    let limits = Limits { line_octets: 20, ..Limits::default() };
    let line = |octets: usize| format!("NOOP {}\r\n", "x".repeat(octets - 7));
    assert_eq!(Run::new(limits.clone()).code(&line(20)), "250");
    for octets in [21, 22, 2_000] {
        let (mut whole, mut pieces) = (Run::new(limits.clone()), Run::new(limits.clone()));
        whole.say(&line(octets));
        pieces.write(line(octets).as_bytes().chunks(1));
        assert!(whole.seen.closed && whole.seen.output.contains("500 5.5.2 line too long"), "{octets}");
        assert_eq!(whole.seen, pieces.seen);
    }
}

#[test]
fn command_limit() {
    let mut run = Run::new(Limits { commands: 3, ..Limits::default() });
    assert_eq!(run.code("RSET\r\nRSET\r\nRSET\r\n"), "250");
    assert_eq!(run.code("NOOP\r\n"), "421");
    assert!(run.seen.closed);
}

#[test]
fn what_comes_at_once_is_limited() {
    let limits = Limits { pipelined_commands: 3, ..Limits::default() };
    let mut run = Run::new(limits.clone());
    assert_eq!(run.code("RSET\r\nRSET\r\nRSET\r\n"), "250");
    assert_eq!(run.code("RSET\r\nRSET\r\nRSET\r\n"), "250", "each group has the whole of it");
    assert_eq!(run.code("RSET\r\nRSET\r\nRSET\r\nRSET\r\n"), "421");
    assert_eq!(run.session.breach(), Some(Breach::Pipelining));
    // More than there is a message with so many recipients.
    let mut run = before_content(Limits { recipients: 900, ..Limits::default() }, false);
    assert_eq!(run.code(&"RCPT TO:<c@mx.example>\r\n".repeat(899)), "250");
}

#[test]
fn error_limit() {
    let mut run = Run::new(Limits { errors: 3, ..Limits::default() });
    assert_eq!(run.code("X\r\nX\r\n"), "500");
    assert!(!run.seen.closed);
    assert_eq!(run.say("X\r\nNOOP\r\n"), "500 5.5.1 unknown command\r\n421 4.7.0 too many errors\r\n");
    assert!(run.seen.closed);
}

#[test]
fn refused_recipients_are_errors_too() {
    let mut run = before_content(Limits { errors: 2, ..Limits::default() }, false);
    run.say("RCPT TO:<unknown1@mx.example>\r\n");
    assert!(!run.seen.closed);
    run.say("RCPT TO:<unknown2@mx.example>\r\n");
    assert!(run.seen.closed);
}

#[test]
fn recipient_limit() {
    let mut run = before_content(Limits { recipients: 2, ..Limits::default() }, false);
    assert_eq!(run.code("RCPT TO:<c@mx.example>\r\n"), "250");
    assert_eq!(run.code("RCPT TO:<d@mx.example>\r\n"), "452");
    assert_eq!(run.code("DATA\r\n"), "354");
}

#[test]
fn transaction_limit() {
    let mut run = Run::new(Limits { transactions: 2, ..Limits::default() });
    run.say("EHLO c.example\r\n");
    assert_eq!(run.code("MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\n"), "250");
    assert_eq!(run.code("MAIL FROM:<>\r\n"), "421");
}

#[test]
fn message_limit() {
    let limits = || Limits { message_octets: 10, ..Limits::default() };
    for (octets, expected) in [(10, "250"), (11, "552"), (1_000, "552")] {
        let message = format!("{}\r\n", "x".repeat(octets - 2));
        assert_eq!(before_content(limits(), true).code(&format!("{message}.\r\n")), expected, "DATA {octets}");
        assert_eq!(
            before_content(limits(), false).code(&format!("BDAT {octets} LAST\r\n{message}")),
            expected,
            "BDAT {octets}"
        );
        let mut run = Run::new(limits());
        run.say("EHLO c.example\r\n");
        assert_eq!(run.code(&format!("MAIL FROM:<> SIZE={octets}\r\n")), expected, "SIZE {octets}");
    }
}

#[test]
fn what_is_too_large_is_not_kept() {
    let mut run = before_content(Limits { message_octets: 1_000, ..Limits::default() }, true);
    for _ in 0..100 {
        run.say(&format!("{}\r\n", "x".repeat(998)));
        assert!(run.session.buffered_octets() <= 1_000);
    }
    assert_eq!(run.code(".\r\n"), "552");
    assert_eq!(run.code("MAIL FROM:<>\r\n"), "250");
}

#[test]
fn a_client_that_speaks_before_the_greeting_gets_none() {
    let config =
        Config { service: Service::Mx, hostname: "mx.example".into(), limits: Limits::default(), starttls: false };
    let mut session = Session::new(Arc::new(config), false);
    session.feed(b"EHLO c.example\r\n");
    assert_eq!(session.step(), Step::Close);
    assert_eq!(session.take_output(), b"554 5.5.1 you spoke before it was your turn\r\n");
}

#[test]
fn a_verdict_comes_before_the_end() {
    for end in [Session::shutting_down, Session::timed_out] {
        let mut run = Run::of(Service::Submission, Limits::default());
        run.say("EHLO c.example\r\n");
        run.session.feed(b"AUTH PLAIN AGEAeA==\r\n");
        assert!(matches!(run.session.step(), Step::Authenticate(_)));
        end(&mut run.session);
        assert_eq!(run.session.step(), Step::NeedInput);
        run.session.authentication_verdict(Err(Reply::authentication_failed()));
        assert_eq!(run.session.step(), Step::Close);
        let output = String::from_utf8(run.session.take_output()).unwrap();
        assert!(output.starts_with("535 5.7.8") && output.contains("\r\n421 4."), "{output}");

        let mut run = before_content(Limits::default(), true);
        run.session.feed(b"x\r\n.\r\nNOOP\r\n");
        assert!(matches!(run.session.step(), Step::Message(..)));
        end(&mut run.session);
        assert_eq!(run.session.step(), Step::NeedInput);
        run.session.message_verdict(Reply::accepted("m1"));
        assert_eq!(run.session.step(), Step::Close);
        let output = String::from_utf8(run.session.take_output()).unwrap();
        assert!(output.starts_with("250 2.6.0 accepted as m1\r\n421 4."), "{output}");
    }
}

#[test]
fn a_421_from_the_owner_ends_the_session() {
    let mut run = before_content(Limits::default(), true);
    run.session.feed(b"x\r\n.\r\nNOOP\r\n");
    assert!(matches!(run.session.step(), Step::Message(..)));
    run.session.message_verdict(Reply::shutting_down());
    assert_eq!(run.session.step(), Step::Close);
}

#[test]
fn nothing_is_kept_over_the_tls_handshake() {
    let mut run = before_content(Limits::default(), false);
    assert_eq!(run.code("STARTTLS\r\n"), "220");
    assert!(run.handshake);
    assert_eq!(run.code("RCPT TO:<b@mx.example>\r\n"), "503");
    assert_eq!(run.code("MAIL FROM:<>\r\n"), "503");
    let offer = run.say("EHLO c.example\r\n");
    assert!(!offer.contains("STARTTLS"), "{offer}");
}

/// The base64 of a name and a password of PLAIN: `\0a\0right` and `\0a\0wrong`.
const RIGHT: &str = "AGEAcmlnaHQ=";
const WRONG: &str = "AGEAd3Jvbmc=";

fn client(limits: Limits) -> Run {
    let mut run = Run::of(Service::Submission, limits);
    run.say("EHLO c.example\r\n");
    run
}

#[test]
fn an_auth_line_has_its_own_limit() {
    // "AUTH PLAIN " and CRLF are 13 octets.
    let line = |octets: usize| format!("AUTH PLAIN {}\r\n", "A".repeat(octets - 13));
    let response = |octets: usize| format!("{}\r\n", "A".repeat(octets - 2));
    for (octets, expected) in [(AUTH_LINE_OCTETS_MAX, "501"), (AUTH_LINE_OCTETS_MAX + 1, "500")] {
        let mut run = client(Limits::default());
        assert_eq!(run.code(&line(octets)), expected, "{octets}");
        assert_eq!(run.seen.closed, expected == "500");
        let mut run = client(Limits::default());
        assert_eq!(run.code("AUTH PLAIN\r\n"), "334");
        assert_eq!(run.code(&response(octets)), expected, "{octets}");
    }
    // No other command becomes longer for it, and neither does AUTH where it is not served.
    assert_eq!(client(Limits::default()).code(&format!("NOOP {}\r\n", "x".repeat(2_048))), "500");
    assert_eq!(Run::new(Limits::default()).code(&line(2_049)), "500");
}

#[test]
fn guesses_of_a_session_are_limited() {
    let mut run = client(Limits { authentication_failures: 2, ..Limits::default() });
    assert_eq!(run.code(&format!("AUTH PLAIN {WRONG}\r\n")), "535");
    assert!(!run.seen.closed);
    let said = run.say(&format!("AUTH PLAIN {WRONG}\r\n"));
    assert_eq!(
        said,
        "535 5.7.8 sign-in failed, check the address and the password\r\n421 4.7.0 too many failed sign-ins\r\n"
    );
    assert!(run.seen.closed);
    // What was not looked at counts too: nobody waits on one connection for the brakes to be released.
    let mut run = client(Limits { authentication_failures: 2, ..Limits::default() });
    for _ in 0..2 {
        run.session.feed(b"AUTH PLAIN AGEAeA==\r\n");
        assert!(matches!(run.session.step(), Step::Authenticate(_)));
        run.session.authentication_verdict(Err(Reply::authentication_throttled()));
        assert!(run.session.take_output().starts_with(b"454 4.7.0"));
    }
    assert_eq!(run.session.step(), Step::Close);
}

#[test]
fn a_verdict_of_421_ends_the_session_at_once() {
    let mut run = client(Limits::default());
    assert_eq!(run.code(&format!("AUTH PLAIN {RIGHT}\r\n")), "235");
    run.session.feed(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
    assert_eq!(run.session.step(), Step::Sender);
    run.session.sender_verdict(Err(Reply::no_longer_signed_in()));
    assert_eq!(run.session.step(), Step::Close);
    let output = String::from_utf8(run.session.take_output()).unwrap();
    assert_eq!(output.lines().count(), 1, "{output}");
    assert!(output.starts_with("421 4.7.0 "), "{output}");
}

#[test]
fn the_size_of_a_message_is_that_of_the_account() {
    let signed_in = |limits| {
        let mut run = client(limits);
        run.say(&format!("AUTH PLAIN {RIGHT}\r\n"));
        run
    };
    // The owner allows 1,000 octets, the listener more or less than that.
    for (of_listener, limit) in [(5_000, 1_000_usize), (700, 700)] {
        for (octets, mail, content) in [(limit, "250", "250"), (limit + 1, "552", "552")] {
            let mut run = signed_in(Limits { message_octets: of_listener, ..Limits::default() });
            assert_eq!(run.code(&format!("MAIL FROM:<a@c.example> SIZE={octets}\r\n")), mail);
            let mut run = signed_in(Limits { message_octets: of_listener, ..Limits::default() });
            run.say("MAIL FROM:<A@C.example>\r\nRCPT TO:<b@d.example>\r\n");
            assert_eq!(run.code(&format!("BDAT {octets} LAST\r\n{}\r\n", "x".repeat(octets - 2))), content);
        }
    }
}

/// Pieces of dialogue that lead into every state, and octets that lead nowhere.
fn segment() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => proptest::sample::select(vec![
            &b"EHLO c.example\r\n"[..], b"HELO c\r\n", b"MAIL FROM:<a@c.example>\r\n", b"MAIL FROM:<> SIZE=5\r\n",
            b"RCPT TO:<b@mx.example>\r\n", b"RCPT TO:<unknown@mx.example>\r\n", b"DATA\r\n", b"x\r\n..y\r\n", b".\r\n",
            b"BDAT 3\r\nabc", b"BDAT 2 LAST\r\n\r\n", b"BDAT 0 LAST\r\n", b"BDAT 99999999999\r\n", b"STARTTLS\r\n",
            b"AUTH PLAIN AGEAcmlnaHQ=\r\n", b"AUTH PLAIN AGEAd3Jvbmc=\r\n", b"AUTH LOGIN\r\n", b"AUTH LOGIN YQ==\r\n",
            b"cmlnaHQ=\r\n", b"*\r\n", b"MAIL FROM:<a@c.example> AUTH=<>\r\n",
            b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n", b"QUIT\r\n", b"\r\n", b"\r", b"\n", b"\0",
        ]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn pieces_make_no_difference(is_submission in any::<bool>(), segments in proptest::collection::vec(segment(), 1..14), cuts in proptest::collection::vec(1_usize..12, 1..20)) {
        let limits = Limits { line_octets: 60, errors: 6, message_octets: 12, ..Limits::default() };
        let service = if is_submission { Service::Submission } else { Service::Mx };
        let (mut whole, mut pieces) = (Run::of(service, limits.clone()), Run::of(service, limits));
        let mut cuts = cuts.iter().cycle();
        for segment in &segments {
            whole.write([&segment[..]]);
            let mut rest = &segment[..];
            pieces.write(std::iter::from_fn(|| {
                let (piece, after) = rest.split_at((*cuts.next()?).min(rest.len()));
                rest = after;
                (!piece.is_empty()).then_some(piece)
            }));
            // What did not wait for an answer may have been looked at in pieces, before it was seen that it did not wait.
            prop_assert!(pieces.seen.sign_ins.starts_with(&whole.seen.sign_ins));
            pieces.seen.sign_ins.clone_from(&whole.seen.sign_ins);
            prop_assert_eq!(&whole.seen, &pieces.seen);
        }
    }

    #[test]
    fn a_message_arrives_as_it_was_sent(lines in proptest::collection::vec("[.a ]{0,8}", 0..12), chunk in 1_usize..20) {
        let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let message = message.into_bytes();

        let (mut writer, mut wire) = (MessageWriter::default(), Vec::new());
        writer.write(&message, &mut wire);
        writer.finish(&mut wire);
        let mut run = before_content(Limits::default(), true);
        run.write(wire.chunks(chunk));
        prop_assert_eq!(&run.seen.messages, &vec![message.clone()]);

        let mut run = before_content(Limits::default(), false);
        for octets in message.chunks(chunk) {
            run.write([format!("BDAT {}\r\n", octets.len()).as_bytes(), octets]);
        }
        run.say("BDAT 0 LAST\r\n");
        prop_assert_eq!(&run.seen.messages, &vec![message]);
    }
}
