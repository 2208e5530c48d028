//! Commands that are not waited for (RFC 2920 §3.1): which of them may come together, and that those which may not end the
//! session before anything behind them is carried out, in whatever pieces they come.

use crate::support::{Server, codes, packets};
use postfleet_wire::smtp::server::{Breach, Service};

/// What is said at once after EHLO; the codes of the answers; whether the session ends; messages that were taken.
type Order = (&'static str, &'static str, bool, usize);

const MESSAGE: &str = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n";

const ORDERS: [Order; 34] = [
    // What may come together.
    (
        "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nRCPT TO:<c@mx.example>\r\nDATA\r\n",
        "250 250 250 354",
        false,
        0,
    ),
    (
        "RSET\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nRSET\r\nMAIL FROM:<>\r\n",
        "250 250 250 250 250",
        false,
        0,
    ),
    ("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nBDAT 3 LAST\r\nx\r\nRSET\r\n", "250 250 250 250", false, 1),
    (
        "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nBDAT 3 LAST\r\nx\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nBDAT 0 LAST\r\nNOOP\r\n",
        "250 250 250 250 250 250 250",
        false,
        2,
    ),
    ("MAIL FROM:<a@c.example>\r\nQUIT\r\n", "250 221", true, 0),
    ("HELP\r\nNOOP\r\n", "214 250", false, 0),
    // What must be the last.
    ("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\n", "554", true, 0),
    ("EHLO c.example\r\nEHLO c.example\r\n", "554", true, 0),
    ("HELO c.example\r\nMAIL FROM:<a@c.example>\r\n", "554", true, 0),
    ("NOOP\r\nNOOP\r\n", "554", true, 0),
    ("MAIL FROM:<a@c.example>\r\nNOOP\r\nRCPT TO:<b@mx.example>\r\n", "250 554", true, 0),
    ("VRFY b\r\nMAIL FROM:<a@c.example>\r\n", "554", true, 0),
    ("EXPN all\r\nMAIL FROM:<a@c.example>\r\n", "554", true, 0),
    ("AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@c.example>\r\n", "554", true, 0),
    ("STARTTLS\r\nEHLO c.example\r\n", "554", true, 0),
    ("DATA\r\nx\r\n.\r\n", "554", true, 0),
    ("MAIL FROM:<a@c.example>\r\nDATA\r\nx\r\n.\r\n", "250 554", true, 0),
    ("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nx\r\n.\r\n", "250 250 554", true, 0),
    ("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nQUIT\r\n", "250 250 554", true, 0),
    ("MAIL FROM:<a@c.example>\r\nRCPT TO:<unknown@mx.example>\r\nDATA\r\nRSET\r\n", "250 550 554", true, 0),
    ("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nBDAT 0 LAST\r\n", "250 250 554", true, 0),
    (
        "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nBDAT 3\r\nx\r\nDATA\r\nx\r\n.\r\n",
        "250 250 250 554",
        true,
        0,
    ),
    ("RSET\r\nEHLO c.example\r\nRSET\r\n", "250 554", true, 0),
    ("DATA now\r\nRSET\r\n", "501 250", false, 0),
    // Behind the end nothing is looked at.
    ("QUIT\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n", "221", true, 0),
    ("QUIT\r\n\0\n\r", "221", true, 0),
    ("BDAT 99999999999\r\nRSET\r\n", "501", true, 0),
    ("RSET\r\nRSET\nRSET\r\n", "250 500", true, 0),
    ("RSET\r\nRSET\rRSET\r\n", "250 500", true, 0),
    // Out of order, but nobody is in doubt about what is meant.
    ("RCPT TO:<b@mx.example>\r\nMAIL FROM:<a@c.example>\r\n", "503 250", false, 0),
    ("MAIL FROM:<a@c.example>\r\nMAIL FROM:<a@c.example>\r\n", "250 503", false, 0),
    ("RCPT TO:<b@mx.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n", "503 503 503", false, 0),
    ("MAIL FROM:<a@c.example>\r\nRCPT TO:<unknown@mx.example>\r\nDATA\r\n", "250 550 554", false, 0),
    ("BDAT 6 LAST\r\nRSET\r\nRSET\r\n", "503 250", false, 0),
];

#[test]
fn what_may_not_come_together_is_not_carried_out() {
    let mut cases = 0;
    for (order, expected, ends, messages) in ORDERS {
        for pieces in packets(order.as_bytes()) {
            let mut server = Server::greeted(Service::Mx, false);
            assert_eq!(server.codes(b"EHLO c.example\r\n"), "250");
            let before = server.seen.output.len();
            let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
            server.write(pieces);
            let what = format!("{order:?} in {sizes:?}: {}", server.seen.output);
            assert_eq!(codes(&server.seen.output[before..]), expected, "{what}");
            assert_eq!((server.seen.is_closed, server.seen.messages.len()), (ends, messages), "{what}");
            cases += 1;
        }
    }
    println!("{} orders of commands in {cases} packetisations", ORDERS.len());
}

#[test]
fn who_speaks_before_the_greeting_gets_none() {
    let words: [&[u8]; 6] =
        [b"EHLO c.example\r\n", b"E", b"\r\n", b"\0", b"PROXY TCP4 192.0.2.7 10.0.0.1 1 25\r\n", b"QUIT\r\n"];
    for early in words {
        for service in [Service::Mx, Service::Submission] {
            let mut server = Server::silent(service, service == Service::Submission);
            server.write([early]);
            assert_eq!(
                server.seen.output,
                "554 5.5.1 you spoke before it was your turn\r\n",
                "{}",
                early.escape_ascii()
            );
            assert!(server.seen.is_closed && server.breach() == Some(Breach::EarlyTalker));
        }
    }
    println!("{} early words refused", words.len());
}

/// The message after the end of one may come with it; what is in it may not.
#[test]
fn the_next_envelope_may_come_with_the_end_of_a_message() {
    for (next, expected) in [
        (format!("{MESSAGE}DATA\r\n"), "250 250 250 354"),
        (format!("{MESSAGE}DATA\r\nsmuggled\r\n.\r\n"), "250 250 250 554"),
        ("NOOP\r\nRSET\r\n".to_owned(), "250 554"),
    ] {
        let stream = format!("x\r\n.\r\n{next}");
        for pieces in packets(stream.as_bytes()) {
            let mut server = Server::greeted(Service::Mx, false).with_envelope(true);
            server.write(pieces);
            assert_eq!(codes(&server.seen.output), expected, "{stream:?}");
            assert_eq!(server.seen.messages.len(), 1);
        }
    }
}
