//! What a client says on a connection, and in which pieces. The session must never panic, never hold more than its
//! limits allow, and never come to another result because the same octets came in other pieces. One listener is for
//! other servers, one for mail clients over TLS.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postfleet_core::{EmailAddress, ProblemKind};
use postfleet_wire::smtp::Reply;
use postfleet_wire::smtp::problem::reply_for;
use postfleet_wire::smtp::server::{Config, Limits, Service, Session, Step};
use std::sync::Arc;

const MESSAGE_OCTETS: u64 = 4_096;

fn session(service: Service) -> Session {
    let limits = Limits { message_octets: MESSAGE_OCTETS, recipients: 3, transactions: 5, ..Limits::default() };
    let config = Config { service, hostname: "mx.fuzz.test".into(), limits, starttls: false };
    let mut session = Session::new(Arc::new(config), service == Service::Submission);
    session.take_output();
    session
}

/// What was decided: sign-ins, recipients, messages, and whether the session ended.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    sign_ins: usize,
    recipients: Vec<String>,
    messages: Vec<Vec<u8>>,
    is_closed: bool,
}

fn drive(session: &mut Session, seen: &mut Seen) {
    loop {
        match session.step() {
            Step::NeedInput => return,
            Step::Authenticate(credentials) => {
                assert!(!credentials.identity.is_empty());
                let is_right = credentials.password.expose().starts_with('x');
                let account = EmailAddress::parse("a@fuzz.test").expect("address");
                seen.sign_ins += 1;
                session.authentication_verdict(if is_right { Ok(account) } else { Err(Reply::authentication_failed()) });
            }
            Step::Sender => {
                assert!(seen.sign_ins > 0, "nobody has signed in");
                session.sender_verdict(Ok(MESSAGE_OCTETS / 2));
            }
            Step::Recipient(address) => {
                let is_known = !address.local().starts_with('x');
                seen.recipients.push(address.to_string());
                session.recipient_verdict(if is_known { Ok(()) } else { Err(reply_for(ProblemKind::NotFound)) });
            }
            Step::Message(envelope, message) => {
                assert!(!envelope.recipients.is_empty() && envelope.recipients.len() <= 3);
                assert!(message.len() as u64 <= MESSAGE_OCTETS);
                // Nothing that could end a message early on its way further: no bare CR or LF (RFC 5321 §2.3.8).
                let bare = |at: usize| match message[at] {
                    b'\n' => at == 0 || message[at - 1] != b'\r',
                    b'\r' => message.get(at + 1) != Some(&b'\n'),
                    _ => false,
                };
                assert!(!(0..message.len()).any(bare), "bare line end in {message:?}");
                seen.messages.push(message);
                session.message_verdict(Reply::accepted("fuzz"));
            }
            Step::StartTls => unreachable!("it is not offered"),
            Step::Close => {
                seen.is_closed = true;
                return;
            }
        }
    }
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (is_submission, piece, octets) = input;
    let service = if is_submission { Service::Submission } else { Service::Mx };
    // Line by line, as a client that waits for its answers; and in pieces of one size, answers taken each time.
    let mut results = Vec::new();
    for size in [octets.len().max(1), usize::from(piece).max(1)] {
        let (mut session, mut seen) = (session(service), Seen::default());
        drive(&mut session, &mut seen);
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            for chunk in line.chunks(size) {
                if seen.is_closed {
                    break;
                }
                session.feed(chunk);
                drive(&mut session, &mut seen);
                session.take_output();
                assert!(session.buffered_octets() as u64 <= 8 * MESSAGE_OCTETS + octets.len() as u64);
            }
        }
        session.timed_out();
        drive(&mut session, &mut seen);
        results.push(seen);
    }
    assert_eq!(results[0], results[1], "the pieces made a difference");
});
