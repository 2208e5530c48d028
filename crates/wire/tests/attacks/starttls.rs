//! STARTTLS injection (2011, 2021): what comes in the clear behind STARTTLS must not be read as if it had come encrypted
//! (RFC 3207 §4). Whatever it is and however it arrives, the connection ends and nothing of it is carried out.

use crate::support::{Server, codes};
use postfleet_wire::smtp::client::{ClientConfig, Failure, Session, Step, TlsPolicy};
use postfleet_wire::smtp::server::{Breach, Service};

const PAYLOADS: [&[u8]; 16] = [
    b"NOOP\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
    b"EHLO evil.example\r\n",
    b"MAIL FROM:<s@evil.example>\r\n",
    b"EHLO evil.example\r\nMAIL FROM:<s@evil.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n",
    b"EHLO evil.example\r\nMAIL FROM:<s@evil.example>\r\nRCPT TO:<b@mx.example>\r\nBDAT 2 LAST\r\n\r\n",
    b"AUTH PLAIN AGEAcmlnaHQ=\r\n",
    b"STARTTLS\r\n",
    b"DATA\r\n",
    b"x",
    b" ",
    b"\r\n",
    b"\n",
    b"\0",
    // The beginning of a handshake that did not wait for its turn either.
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
];

/// How it arrives: the pieces of the command and of what is behind it.
fn arrivals(payload: &[u8]) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let whole = [b"STARTTLS\r\n", payload].concat();
    vec![
        ("in one piece", vec![whole.clone()]),
        ("octet by octet", whole.chunks(1).map(<[u8]>::to_vec).collect()),
        ("in a piece of its own", vec![b"STARTTLS\r\n".to_vec(), payload.to_vec()]),
        ("with the end of the line", vec![b"STARTTLS\r".to_vec(), [b"\n", payload].concat()]),
    ]
}

#[test]
fn nothing_behind_starttls_is_carried_out() {
    let mut cases = 0;
    for service in [Service::Mx, Service::Submission] {
        for payload in PAYLOADS {
            for (how, pieces) in arrivals(payload) {
                let mut server = Server::greeted(service, false);
                assert_eq!(server.codes(b"EHLO c.example\r\n"), "250");
                server.seen = crate::support::Seen::default();
                server.write(pieces.iter().map(Vec::as_slice));
                let what = format!("{service:?}: {} {how}", payload.escape_ascii());
                assert_eq!(server.seen.output, "554 5.5.1 you spoke before it was your turn\r\n", "{what}");
                assert!(server.seen.is_closed && server.breach() == Some(Breach::Injection), "{what}");
                assert_eq!(
                    (server.seen.recipients, server.seen.sign_ins, server.seen.messages.len()),
                    (0, 0, 0),
                    "{what}"
                );
                // Nor after a handshake that is done all the same.
                server.session.tls_started();
                assert_eq!(server.codes(b"EHLO c.example\r\n"), "", "{what}");
                cases += 1;
            }
        }
    }
    println!("{cases} injections behind STARTTLS refused");
}

#[test]
fn nothing_is_read_between_the_answer_and_the_handshake() {
    for payload in PAYLOADS {
        let mut server = Server::greeted(Service::Mx, false);
        server.codes(b"EHLO c.example\r\n");
        assert_eq!(server.codes(b"STARTTLS\r\n"), "220");
        assert_eq!(server.codes(payload), "554", "{}", payload.escape_ascii());
        assert!(server.seen.is_closed && server.breach() == Some(Breach::Injection));
    }
    println!("{} injections before the handshake refused", PAYLOADS.len());
}

/// RFC 3207 §4.2: after the handshake the client begins anew.
#[test]
fn nothing_that_was_said_in_the_clear_is_remembered() {
    let preludes: [(&[u8], &str); 8] = [
        (b"EHLO c.example\r\n", "MAIL FROM:<a@c.example>\r\n"),
        (b"HELO c.example\r\n", "MAIL FROM:<a@c.example>\r\n"),
        (b"HELO c.example\r\nMAIL FROM:<a@c.example>\r\n", "RCPT TO:<b@mx.example>\r\n"),
        (b"HELO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n", "DATA\r\n"),
        (b"HELO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n", "BDAT 0 LAST\r\n"),
        (b"HELO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nBDAT 3\r\na\r\n", "BDAT 0 LAST\r\n"),
        (b"HELO c.example\r\nMAIL FROM:<>\r\n", "RCPT TO:<b@mx.example>\r\n"),
        (b"HELO c.example\r\nRSET\r\n", "MAIL FROM:<a@c.example>\r\n"),
    ];
    for (prelude, after) in preludes {
        let mut server = Server::greeted(Service::Mx, false);
        for line in split_after_hello(prelude) {
            server.codes(line);
        }
        let before = server.seen.output.len();
        server.write([&b"STARTTLS\r\n"[..]]);
        assert_eq!(codes(&server.seen.output[before..]), "220", "{}", prelude.escape_ascii());
        server.session.tls_started();
        assert_eq!(server.codes(after.as_bytes()), "503", "{} then {after}", prelude.escape_ascii());
        assert!(server.seen.messages.is_empty());
        // The offer of a connection that is encrypted is another one.
        assert_eq!(server.codes(b"EHLO c.example\r\n"), "250");
        assert!(server.seen.output.contains("REQUIRETLS") && server.codes(b"STARTTLS\r\n") == "503");
    }
    println!("{} states forgotten with the handshake", preludes.len());
}

fn split_after_hello(prelude: &[u8]) -> Vec<&[u8]> {
    let end = prelude.iter().position(|b| *b == b'\n').map_or(prelude.len(), |at| at + 1);
    let (hello, rest) = prelude.split_at(end);
    if rest.is_empty() { vec![hello] } else { vec![hello, rest] }
}

/// The same from the other side: a server, or somebody before it, that says more in the clear than the answer to STARTTLS.
/// What it says would be read as said by the server that the certificate is for.
#[test]
fn our_client_reads_nothing_behind_the_answer_to_starttls() {
    let payloads: [&[u8]; 12] = [
        b"250 evil.example\r\n",
        b"250-evil.example\r\n250 AUTH PLAIN\r\n",
        b"250 evil.example\r\n250 ok\r\n250 ok\r\n354 go\r\n250 accepted\r\n",
        b"220 evil.example ESMTP\r\n",
        b"421 go away\r\n",
        b"550 no\r\n",
        b"2",
        b"25",
        b"\r\n",
        b"\n",
        b"\0",
        b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00",
    ];
    let mut cases = 0;
    for tls in [TlsPolicy::Opportunistic, TlsPolicy::Required] {
        for payload in payloads {
            for answer in [&b"220 go\r\n"[..], b"220-go\r\n220 go\r\n"] {
                let whole = [answer, payload].concat();
                let (head, tail) = answer.split_at(answer.len() - 1);
                let arrivals: [Vec<&[u8]>; 4] = [
                    vec![&whole],
                    whole.chunks(1).collect(),
                    vec![answer, payload],
                    vec![head, &whole[whole.len() - tail.len() - payload.len()..]],
                ];
                for pieces in arrivals {
                    let config = ClientConfig { helo: "c.example".into(), tls, login: None };
                    let mut client = Session::new(config);
                    client.feed(b"220 mx.example ESMTP\r\n");
                    assert_eq!(client.step(), Step::NeedInput);
                    client.feed(b"250-mx.example\r\n250 STARTTLS\r\n");
                    assert_eq!(client.step(), Step::NeedInput);
                    assert_eq!(client.take_output(), b"EHLO c.example\r\nSTARTTLS\r\n");
                    for piece in &pieces {
                        client.feed(piece);
                        client.step();
                    }
                    let what = format!("{tls:?}: {} in {} pieces", whole.escape_ascii(), pieces.len());
                    assert_eq!(client.step(), Step::Closed(Failure::Injected), "{what}");
                    // Not even after a handshake that is done all the same.
                    client.tls_started();
                    assert_eq!(
                        (client.step(), client.take_output()),
                        (Step::Closed(Failure::Injected), vec![]),
                        "{what}"
                    );
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} injections behind the answer to STARTTLS refused");
}
