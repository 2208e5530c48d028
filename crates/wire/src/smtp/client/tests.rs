//! The client against our own server in memory, against scripted servers, and against noise.

use std::sync::Arc;

use postfleet_core::{EmailAddress, ReversePath};
use proptest::prelude::*;

use super::*;
use crate::smtp::reply::{Reply, Severity};
use crate::smtp::server;

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn transaction(recipients: &[&str], message: &[&str]) -> Transaction {
    Transaction {
        reverse_path: ReversePath::Mailbox(address("a@c.example")),
        recipients: recipients.iter().map(|recipient| address(recipient)).collect(),
        message: message.iter().map(|piece| Arc::new(piece.as_bytes().to_vec())).collect(),
        smtputf8: false,
        eight_bit: false,
    }
}

fn session(tls: TlsPolicy) -> Session {
    Session::new(ClientConfig { helo: "c.example".into(), tls, login: None })
}

/// A result in one line: `250`, `lost during DATA`, `lost during end of message, ambiguous`.
fn short(result: &RecipientResult) -> String {
    match result {
        RecipientResult::Accepted(reply) => format!("accepted {}", reply.code()),
        RecipientResult::Transient(reply) => format!("transient {}", reply.code()),
        RecipientResult::Permanent(reply) => format!("permanent {}", reply.code()),
        RecipientResult::Lost { during, ambiguous, .. } => {
            format!("lost during {during}{}", if *ambiguous { ", ambiguous" } else { "" })
        }
    }
}

fn shorts(outcome: &TransactionOutcome) -> Vec<String> {
    outcome.recipients.iter().map(|recipient| short(&recipient.result)).collect()
}

/// Our own server, which knows everybody but `unknown` and refuses messages with `spam` in them.
struct Peer {
    session: server::Session,
    /// Hides extensions from the client.
    hide: &'static [&'static str],
    messages: Vec<(server::Envelope, Vec<u8>)>,
}

impl Peer {
    fn new(hide: &'static [&'static str], limits: server::Limits) -> Self {
        let config =
            server::Config { service: server::Service::Mx, hostname: "mx.example".into(), limits, starttls: true };
        Self { session: server::Session::new(Arc::new(config), false), hide, messages: Vec::new() }
    }

    fn answer(&mut self, octets: &[u8]) -> Vec<u8> {
        self.session.feed(octets);
        loop {
            match self.session.step() {
                server::Step::NeedInput | server::Step::Close | server::Step::StartTls => break,
                server::Step::Authenticate(_) | server::Step::Sender => unreachable!("servers do not sign in"),
                server::Step::Recipient(address) => self.session.recipient_verdict(match address.local() {
                    "unknown" => Err(Reply::new(Severity::Permanent, 50, Some((1, 1)), "no such mailbox")),
                    _ => Ok(()),
                }),
                server::Step::Message(envelope, message) => {
                    let spam = memchr::memmem::find(&message, b"spam").is_some();
                    self.messages.push((envelope, message));
                    let refusal = Reply::new(Severity::Permanent, 54, Some((7, 1)), "no");
                    self.session.message_verdict(if spam { refusal } else { Reply::accepted("m1") });
                }
            }
        }
        self.output()
    }

    fn output(&mut self) -> Vec<u8> {
        let text = String::from_utf8(self.session.take_output()).unwrap();
        let kept =
            text.split_inclusive("\r\n").filter(|line| !self.hide.iter().any(|hidden| line[4..].starts_with(hidden)));
        kept.collect::<String>().into_bytes()
    }
}

/// Carries octets between the two until the client wants something else.
fn pump(client: &mut Session, peer: &mut Peer, writes: &mut Vec<String>) -> Step {
    loop {
        let step = client.step();
        let output = client.take_output();
        let answer = if output.is_empty() { Vec::new() } else { peer.answer(&output) };
        if !output.is_empty() {
            writes.push(String::from_utf8_lossy(&output).into_owned());
        }
        match step {
            Step::NeedInput | Step::Write => {
                assert!(step == Step::Write || !answer.is_empty(), "both wait for {}", client.waiting_for());
                client.feed(&answer);
            }
            Step::StartTls => {
                peer.session.tls_started();
                client.tls_started();
            }
            step => {
                client.feed(&answer);
                return step;
            }
        }
    }
}

/// A client that is ready to send to a peer.
fn connected(tls: TlsPolicy, peer: &mut Peer) -> Session {
    let mut client = session(tls);
    client.feed(&peer.output());
    assert_eq!(pump(&mut client, peer, &mut Vec::new()), Step::Ready);
    client
}

fn deliver(client: &mut Session, peer: &mut Peer, transaction: Transaction) -> (Vec<String>, Vec<String>) {
    let mut writes = Vec::new();
    client.begin(transaction).unwrap();
    match pump(client, peer, &mut writes) {
        Step::Done(outcome) => (shorts(&outcome), writes),
        step => panic!("{step:?}"),
    }
}

const NO_PIPELINING: &[&str] = &["PIPELINING"];

#[test]
fn one_write_for_the_envelope_and_one_for_the_message() {
    let mut peer = Peer::new(&[], server::Limits::default());
    let mut client = connected(TlsPolicy::Opportunistic, &mut peer);
    assert!(client.is_encrypted());
    let recipients = ["b@mx.example", "unknown@mx.example", "c@mx.example"];
    let (results, writes) = deliver(
        &mut client,
        &mut peer,
        transaction(&recipients, &["DKIM-Signature: x\r\n", "Subject: y\r\n\r\n.z\r\n"]),
    );
    assert_eq!(results, ["accepted 250", "permanent 550", "accepted 250"]);
    assert_eq!(
        writes,
        [
            "MAIL FROM:<a@c.example> SIZE=37\r\nRCPT TO:<b@mx.example>\r\nRCPT TO:<unknown@mx.example>\r\n\
             RCPT TO:<c@mx.example>\r\nDATA\r\n",
            "DKIM-Signature: x\r\nSubject: y\r\n\r\n..z\r\n.\r\n"
        ]
    );
    let (envelope, message) = &peer.messages[0];
    assert!(envelope.tls);
    assert_eq!(message, b"DKIM-Signature: x\r\nSubject: y\r\n\r\n.z\r\n");
}

#[test]
fn without_pipelining_each_command_waits() {
    let mut peer = Peer::new(NO_PIPELINING, server::Limits::default());
    let mut client = connected(TlsPolicy::Never, &mut peer);
    let (results, writes) =
        deliver(&mut client, &mut peer, transaction(&["unknown@mx.example", "b@mx.example"], &["x"]));
    assert_eq!(results, ["permanent 550", "accepted 250"]);
    let writes: Vec<_> = writes.iter().map(|write| &write[..4]).collect();
    assert_eq!(writes, ["MAIL", "RCPT", "RCPT", "DATA", "x\r\n."]);
}

#[test]
fn a_connection_takes_one_transaction_after_the_other() {
    for hide in [&[], NO_PIPELINING] {
        let mut peer = Peer::new(hide, server::Limits::default());
        let mut client = connected(TlsPolicy::Opportunistic, &mut peer);
        for (recipient, message, expected) in [
            ("b@mx.example", "x", "accepted 250"),
            ("unknown@mx.example", "x", "permanent 550"),
            ("b@mx.example", "spam", "permanent 554"),
            ("c@mx.example", "y", "accepted 250"),
        ] {
            let (results, _) = deliver(&mut client, &mut peer, transaction(&[recipient], &[message]));
            assert_eq!(results, [expected], "{recipient} {message}");
            assert_eq!(pump(&mut client, &mut peer, &mut Vec::new()), Step::Ready);
        }
        assert_eq!(peer.messages.len(), 3);
        client.quit();
        assert_eq!(pump(&mut client, &mut peer, &mut Vec::new()), Step::Closed(Failure::Quit));
    }
}

#[test]
fn large_messages_go_out_in_pieces() {
    let mut peer = Peer::new(&[], server::Limits::default());
    let mut client = connected(TlsPolicy::Never, &mut peer);
    let piece = ".line\r\n".repeat(30_000);
    let (results, writes) = deliver(&mut client, &mut peer, transaction(&["b@mx.example"], &[&piece, &piece]));
    assert_eq!(results, ["accepted 250"]);
    assert!(writes.iter().all(|write| write.len() < 200_000));
    assert_eq!(peer.messages[0].1, [piece.as_bytes(), piece.as_bytes()].concat());
}

#[test]
fn what_the_server_cannot_take_is_not_sent() {
    let limits = || server::Limits { message_octets: 10, ..server::Limits::default() };
    let check = |hide, change: fn(&mut Transaction), expected: &str| {
        let mut peer = Peer::new(hide, limits());
        let mut client = connected(TlsPolicy::Never, &mut peer);
        let mut transaction = transaction(&["b@mx.example"], &["12345678\r\n"]);
        change(&mut transaction);
        let (results, writes) = deliver(&mut client, &mut peer, transaction);
        assert_eq!((results, writes.is_empty()), (vec![expected.to_owned()], !expected.starts_with("accepted")));
        assert_eq!(client.step(), Step::Ready);
    };
    check(&[], |_| {}, "accepted 250");
    check(&[], |transaction| transaction.message.push(Arc::new(b"x".to_vec())), "permanent 552");
    check(&[], |transaction| transaction.smtputf8 = true, "accepted 250");
    check(&["SMTPUTF8"], |transaction| transaction.smtputf8 = true, "permanent 553");
    check(&["SMTPUTF8"], |transaction| transaction.recipients[0] = address("é@mx.example"), "permanent 553");
    check(&[], |transaction| transaction.eight_bit = true, "accepted 250");
    check(&["8BITMIME"], |transaction| transaction.eight_bit = true, "permanent 554");
}

/// A dialogue with a scripted server: what it says, and each time what the client then writes.
fn scripted(
    tls: TlsPolicy,
    transaction: &Transaction,
    script: &[(&str, &str)],
) -> (Session, Option<TransactionOutcome>) {
    let mut client = session(tls);
    let mut outcome = None;
    for (server, expected) in script {
        client.feed(server.as_bytes());
        let mut written = String::new();
        loop {
            let step = client.step();
            written.push_str(&String::from_utf8(client.take_output()).unwrap());
            match step {
                Step::Ready if outcome.is_none() => client.begin(transaction.clone()).unwrap(),
                Step::Done(done) => outcome = Some(done),
                Step::Write => {}
                _ => break,
            }
        }
        assert_eq!(&written, expected, "after {server:?}");
    }
    (client, outcome)
}

const ENVELOPE: &str = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n";

/// From the reply to the pipelined envelope on: further writes, results, and what then becomes of the connection.
fn pipelined(replies: &[(&str, &str)]) -> (Vec<String>, Step) {
    let script = [&[("220 x\r\n", "EHLO c.example\r\n"), ("250-x\r\n250 PIPELINING\r\n", ENVELOPE)], replies].concat();
    let transaction = transaction(&["b@x.example", "c@x.example"], &["m\r\n"]);
    let (mut client, outcome) = scripted(TlsPolicy::Opportunistic, &transaction, &script);
    (shorts(&outcome.unwrap()), client.step())
}

#[test]
fn replies_are_matched_to_commands() {
    let ready = |results: [&str; 2]| (results.map(str::to_owned).to_vec(), Step::Ready);
    for (replies, expected) in [
        (
            vec![("250 a\r\n250 b\r\n450 c\r\n354 d\r\n", "m\r\n.\r\n"), ("250 e\r\n", "")],
            ready(["accepted 250", "transient 450"]),
        ),
        (vec![("250 a\r\n251 b\r\n250 c\r\n354 d\r\n", "m\r\n.\r\n"), ("451 e\r\n", "")], ready(["transient 451"; 2])),
        // Nobody is left, and still 354: an empty message, whose fate means nothing.
        (
            vec![("250 a\r\n550 b\r\n450 c\r\n354 d\r\n", ".\r\n"), ("250 e\r\n", "")],
            ready(["permanent 550", "transient 450"]),
        ),
        (
            vec![("250 a\r\n550 b\r\n450 c\r\n554 d\r\n", "RSET\r\n"), ("250 e\r\n", "")],
            ready(["permanent 550", "transient 450"]),
        ),
        (vec![("250 a\r\n250 b\r\n250 c\r\n451 d\r\n", "RSET\r\n"), ("250 e\r\n", "")], ready(["transient 451"; 2])),
        (vec![("550 a\r\n503 b\r\n503 c\r\n503 d\r\n", "")], ready(["permanent 550"; 2])),
        (vec![("450 a\r\n503 b\r\n503 c\r\n354 d\r\n", ".\r\n"), ("554 e\r\n", "")], ready(["transient 450"; 2])),
        // Too many recipients is for now only, in its old spelling too.
        (
            vec![("250 a\r\n250 b\r\n552 c\r\n354 d\r\n", "m\r\n.\r\n"), ("250 e\r\n", "")],
            ready(["accepted 250", "transient 552"]),
        ),
        (
            vec![("250 a\r\n250 b\r\n552 5.2.2 c\r\n354 d\r\n", "m\r\n.\r\n"), ("250 e\r\n", "")],
            ready(["accepted 250", "permanent 552"]),
        ),
    ] {
        assert_eq!(pipelined(&replies), expected, "{replies:?}");
    }
}

#[test]
fn some_replies_end_the_connection() {
    for (replies, expected) in [
        (vec![("421 a\r\n", "")], ["transient 421"; 2]),
        (vec![("250 a\r\n550 b\r\n421 c\r\n", "")], ["permanent 550", "transient 421"]),
        (vec![("250 a\r\n250 b\r\n250 c\r\n421 d\r\n", "")], ["transient 421"; 2]),
        (vec![("250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "m\r\n.\r\n"), ("421 e\r\n", "")], ["transient 421"; 2]),
        (vec![("354 a\r\n", "")], ["lost during MAIL"; 2]),
        (vec![("250 a\r\n250 b\r\n250 c\r\n250 d\r\n", "")], ["lost during DATA"; 2]),
        (vec![("250 a\r\n25", ""), ("x\r\n", "")], ["lost during RCPT"; 2]),
        (
            vec![("250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "m\r\n.\r\n"), ("354 e\r\n", "")],
            ["lost during end of message, ambiguous"; 2],
        ),
    ] {
        let (results, step) = pipelined(&replies);
        assert_eq!(results, expected, "{replies:?}");
        assert!(matches!(step, Step::Closed(_)), "{replies:?} {step:?}");
    }
}

#[test]
fn a_broken_connection_is_ambiguous_only_after_the_whole_message() {
    for (replies, expected, untouched) in [
        ("", "lost during MAIL", true),
        ("250 a\r\n", "lost during RCPT", false),
        ("250 a\r\n250 b\r\n250 c\r\n", "lost during DATA", false),
        ("250 a\r\n250 b\r\n250 c\r\n354 d\r\n", "lost during end of message, ambiguous", false),
    ] {
        let mut client = session(TlsPolicy::Never);
        client.feed(b"220 x\r\n");
        client.step();
        client.feed(b"250-x\r\n250 PIPELINING\r\n");
        assert_eq!(client.step(), Step::Ready);
        client.begin(transaction(&["b@x.example", "c@x.example"], &["m\r\n"])).unwrap();
        client.feed(replies.as_bytes());
        assert_eq!(client.step(), Step::NeedInput);
        client.disconnected("reset by peer");
        let Step::Done(outcome) = client.step() else { panic!("{replies:?}") };
        assert_eq!((shorts(&outcome), outcome.untouched), (vec![expected.to_owned(); 2], untouched));
        assert!(matches!(client.step(), Step::Closed(Failure::Disconnected { .. })));
    }
}

#[test]
fn a_server_may_know_only_helo() {
    let transaction = transaction(&["b@x.example"], &["m\r\n"]);
    let (mut client, _) = scripted(
        TlsPolicy::Opportunistic,
        &transaction,
        &[
            ("220 x\r\n", "EHLO c.example\r\n"),
            ("502 what\r\n", "HELO c.example\r\n"),
            ("250 x\r\n", "MAIL FROM:<a@c.example>\r\n"),
        ],
    );
    client.disconnected("");
    let (mut client, _) = scripted(
        TlsPolicy::Required,
        &transaction,
        &[("220 x\r\n", "EHLO c.example\r\n"), ("502 what\r\n", "HELO c.example\r\n"), ("250 x\r\n", "")],
    );
    assert_eq!(client.step(), Step::Closed(Failure::TlsUnavailable));
}

#[test]
fn tls_by_policy() {
    let offer = "250-x\r\n250 STARTTLS\r\n";
    let transaction = transaction(&["b@x.example"], &["m\r\n"]);
    let after = |tls, script: &[(&str, &str)]| {
        let script = [&[("220 x\r\n", "EHLO c.example\r\n")], script].concat();
        scripted(tls, &transaction, &script).0.step()
    };
    let (mail, starttls) = ("MAIL FROM:<a@c.example>\r\n", "STARTTLS\r\n");
    assert_eq!(after(TlsPolicy::Never, &[(offer, mail)]), Step::NeedInput);
    assert_eq!(after(TlsPolicy::Opportunistic, &[("250 x\r\n", mail)]), Step::NeedInput);
    assert_eq!(after(TlsPolicy::Opportunistic, &[(offer, starttls), ("454 no\r\n", mail)]), Step::NeedInput);
    assert_eq!(after(TlsPolicy::Required, &[("250 x\r\n", "")]), Step::Closed(Failure::TlsUnavailable));
    assert_eq!(
        after(TlsPolicy::Required, &[(offer, starttls), ("454 no\r\n", "")]),
        Step::Closed(Failure::TlsUnavailable)
    );
    assert_eq!(after(TlsPolicy::Required, &[(offer, starttls), ("220 go\r\n", "")]), Step::StartTls);
    // Whatever comes with the 220 would be taken for encrypted.
    let injected = Step::Closed(Failure::Injected);
    assert_eq!(after(TlsPolicy::Opportunistic, &[(offer, starttls), ("220 go\r\n250 x\r\n", "")]), injected);
    assert_eq!(after(TlsPolicy::Opportunistic, &[(offer, starttls), ("220 go\r\n2", "")]), injected);
    assert_eq!(after(TlsPolicy::Opportunistic, &[(offer, starttls), ("220 go\r\n", ""), ("250", "")]), injected);
}

#[test]
fn a_server_that_does_not_want_us() {
    for script in [
        &["554 no\r\n"][..],
        &["421 busy\r\n"],
        &["220 x\r\n", "450 later\r\n"],
        &["220 x\r\n", "502 x\r\n", "550 no\r\n"],
    ] {
        let mut client = session(TlsPolicy::Opportunistic);
        let mut step = client.step();
        for line in script {
            client.feed(line.as_bytes());
            step = client.step();
        }
        assert!(matches!(step, Step::Closed(Failure::Refused { .. })), "{script:?} {step:?}");
        assert!(client.begin(transaction(&["b@x.example"], &["m"])).is_err());
    }
}

#[test]
fn words_out_of_turn_end_an_idle_connection() {
    let mut peer = Peer::new(&[], server::Limits::default());
    let mut client = connected(TlsPolicy::Never, &mut peer);
    client.feed(b"421 idle too long\r\n");
    assert!(client.begin(transaction(&["b@x.example"], &["m"])).is_err());
    assert!(matches!(client.step(), Step::Closed(Failure::Refused { during: "idle", .. })));
}

#[test]
fn many_recipients_go_out_in_groups() {
    let mut peer = Peer::new(&[], server::Limits { recipients: 250, ..server::Limits::default() });
    let mut client = connected(TlsPolicy::Never, &mut peer);
    let recipients: Vec<String> = (0..251).map(|number| format!("b{number}@mx.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let (results, writes) = deliver(&mut client, &mut peer, transaction(&recipients, &["m"]));
    assert_eq!((results[249].as_str(), results[250].as_str()), ("accepted 250", "transient 452"));
    assert!(writes.iter().all(|write| write.lines().count() <= 100));
    assert_eq!(peer.messages[0].0.recipients.len(), 250);
}

#[test]
fn our_name_stays_one_word() {
    let mut client =
        Session::new(ClientConfig { helo: "c.example\r\nMAIL FROM:<>".into(), tls: TlsPolicy::Never, login: None });
    client.feed(b"220 x\r\n");
    client.step();
    assert_eq!(client.take_output(), b"EHLO c.exampleMAILFROM:<>\r\n");
}

fn server_words() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::sample::select(vec![
            &b"220 x\r\n"[..], b"250-x\r\n250-PIPELINING\r\n250 SIZE 9\r\n", b"250 x\r\n", b"250 x\r\n250 y\r\n250 z\r\n354 g\r\n", b"354 go\r\n",
            b"450 x\r\n", b"550 5.1.1 x\r\n", b"421 x\r\n", b"250-x\r\n250 STARTTLS\r\n", b"25", b"\n", b"250-\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..10),
    ]
}

proptest! {
    #[test]
    fn no_server_makes_it_panic_or_forget_a_recipient(words in proptest::collection::vec(server_words(), 0..20)) {
        let mut client = session(TlsPolicy::Opportunistic);
        let (mut begun, mut done) = (0, 0);
        let mut words = words.iter();
        for _ in 0..200 {
            match client.step() {
                Step::NeedInput => match words.next() {
                    Some(words) => client.feed(words),
                    None => client.disconnected("end"),
                },
                Step::Write => {}
                Step::StartTls => client.tls_started(),
                Step::Ready => {
                    prop_assert!(client.begin(transaction(&["b@x.example", "c@x.example"], &["m"])).is_ok());
                    begun += 1;
                }
                Step::Done(outcome) => {
                    prop_assert_eq!(outcome.recipients.len(), 2);
                    done += 1;
                }
                Step::Closed(_) => break,
            }
            client.take_output();
        }
        prop_assert_eq!(begun, done);
    }
}

/// A session that is to sign in, on an encrypted connection or not.
fn signing_in(is_encrypted: bool, in_clear: bool) -> Session {
    let password = postfleet_core::Secret::new("open sesame".to_owned());
    let login = Arc::new(Login { username: "ali".into(), password, in_clear });
    let config = ClientConfig { helo: "c.example".into(), tls: TlsPolicy::Opportunistic, login: Some(login) };
    if is_encrypted { Session::encrypted(config) } else { Session::new(config) }
}

/// What the session says to each line of a server, up to the end.
fn dialogue(session: &mut Session, lines: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    for line in lines {
        session.feed(line.as_bytes());
        session.step();
        said.push(String::from_utf8(session.take_output()).unwrap().trim_end().to_owned());
    }
    said
}

#[test]
fn a_relay_is_signed_in_to_before_anything_is_sent() {
    let plain = "AUTH PLAIN AGFsaQBvcGVuIHNlc2FtZQ==";
    for offer in ["250-mx\r\n250 AUTH LOGIN PLAIN\r\n", "250-mx\r\n250-AUTH=PLAIN\r\n250 SIZE\r\n"] {
        let mut session = signing_in(true, false);
        let said = dialogue(&mut session, &["220 mx\r\n", offer, "235 2.7.0 welcome\r\n"]);
        assert_eq!(said, ["EHLO c.example", plain, ""], "{offer}");
        assert_eq!(session.step(), Step::Ready);
    }
    let mut session = signing_in(true, false);
    let lines = ["220 mx\r\n", "250-mx\r\n250 auth login\r\n", "334 VXNlcm5hbWU6\r\n", "334 x\r\n", "235 ok\r\n"];
    let said = dialogue(&mut session, &lines);
    assert_eq!(said, ["EHLO c.example", "AUTH LOGIN", "YWxp", "b3BlbiBzZXNhbWU=", ""]);
    assert_eq!(session.step(), Step::Ready);
    // Asked for more than there is.
    let mut session = signing_in(true, false);
    dialogue(&mut session, &[lines[0], lines[1], lines[2], lines[3], "334 more\r\n"]);
    assert!(matches!(session.step(), Step::Closed(Failure::LoginRefused(_))));
}

#[test]
fn a_password_is_not_said_in_the_clear() {
    let offer = ["220 mx\r\n", "250-mx\r\n250 AUTH PLAIN LOGIN\r\n"];
    let mut session = signing_in(false, false);
    assert_eq!(dialogue(&mut session, &offer), ["EHLO c.example", ""]);
    assert_eq!(session.step(), Step::Closed(Failure::LoginUnavailable));
    let mut session = signing_in(false, true);
    assert_eq!(dialogue(&mut session, &offer)[1], "AUTH PLAIN AGFsaQBvcGVuIHNlc2FtZQ==");
    // After STARTTLS what was offered before counts for nothing.
    let mut session = signing_in(false, false);
    dialogue(&mut session, &["220 mx\r\n", "250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n", "220 go on\r\n"]);
    session.tls_started();
    session.step();
    session.take_output();
    assert_eq!(dialogue(&mut session, &["250 mx\r\n"]), [""]);
    assert_eq!(session.step(), Step::Closed(Failure::LoginUnavailable));
}

#[test]
fn a_relay_that_does_not_let_us_in_has_said_nothing_about_recipients() {
    for refusal in ["535 5.7.8 no\r\n", "454 4.7.0 later\r\n", "421 bye\r\n"] {
        let mut session = signing_in(true, false);
        dialogue(&mut session, &["220 mx\r\n", "250-mx\r\n250 AUTH PLAIN\r\n", refusal]);
        let Step::Closed(failure) = session.step() else { panic!("{refusal}") };
        assert_eq!(failure.during(), "AUTH", "{refusal}");
        assert!(!failure.to_string().contains("sesame") && !format!("{session:?}").contains("sesame"));
        assert!(session.begin(transaction(&["b@mx.example"], &["x"])).is_err());
    }
    let mut session = signing_in(true, false);
    dialogue(&mut session, &["220 mx\r\n", "250-mx\r\n250 AUTH CRAM-MD5 XOAUTH2\r\n"]);
    assert_eq!(session.step(), Step::Closed(Failure::LoginUnavailable));
}
