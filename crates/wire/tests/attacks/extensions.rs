//! What is offered is kept to, and what is not offered is not taken: SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC
//! 6531), REQUIRETLS (RFC 8689), CHUNKING (RFC 3030), and the parameters of extensions that we do not have.

use crate::support::Server;
use postfleet_wire::smtp::server::Service;

/// How the client greets, and over what.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Greeting {
    Helo,
    Ehlo,
    EhloOverTls,
}
use Greeting::{Ehlo, EhloOverTls, Helo};

/// The lines of one group, and their codes.
type Case = (Greeting, &'static str, &'static str);

const CASES: &[Case] = &[
    // Parameters are for those who have said EHLO (RFC 5321 §4.1.1.2).
    (Helo, "MAIL FROM:<a@c.example>", "250"),
    (Helo, "MAIL FROM:<>", "250"),
    (Helo, "MAIL FROM:<a@c.example> SIZE=1", "555"),
    (Helo, "MAIL FROM:<a@c.example> BODY=8BITMIME", "555"),
    (Helo, "MAIL FROM:<a@c.example> SMTPUTF8", "555"),
    (Helo, "MAIL FROM:<ä@c.example>", "553"),
    // SIZE: 10,000 octets are the limit here.
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=0", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=10000", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=10001", "552"),
    (Ehlo, "MAIL FROM:<a@c.example> size=1", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=18446744073709551615", "552"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=18446744073709551616", "552"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=00000000000000000001", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=000000000000000000001", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=-1", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=1k", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=1 SIZE=1", "501"),
    // Refused at MAIL, the next one may be smaller.
    (Ehlo, "MAIL FROM:<a@c.example> SIZE=10001\r\nMAIL FROM:<a@c.example> SIZE=1", "552 250"),
    // BODY.
    (Ehlo, "MAIL FROM:<a@c.example> BODY=7BIT", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> BODY=8BITMIME", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> body=8bitmime", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> BODY=BINARYMIME", "555"),
    (Ehlo, "MAIL FROM:<a@c.example> BODY=9BIT", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> BODY", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> BODY=7BIT BODY=8BITMIME", "501"),
    // SMTPUTF8: asked for with each message, for the sender, the recipients and the header.
    (Ehlo, "MAIL FROM:<ä@c.example>", "553"),
    (Ehlo, "MAIL FROM:<a@ä.example>", "553"),
    (Ehlo, "MAIL FROM:<a@xn--4ca.example>", "250"),
    (Ehlo, "MAIL FROM:<ä@c.example> SMTPUTF8", "250"),
    (Ehlo, "MAIL FROM:<ä@ä.example> SMTPUTF8", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> SMTPUTF8", "250"),
    (Ehlo, "MAIL FROM:<> SMTPUTF8", "250"),
    (Ehlo, "MAIL FROM:<\"ä ö\"@c.example> SMTPUTF8", "250"),
    (Ehlo, "MAIL FROM:<a@c.example> SMTPUTF8=1", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> SMTPUTF8 SMTPUTF8", "501"),
    (Ehlo, "MAIL FROM:<a\u{202e}b@c.example> SMTPUTF8", "501"),
    (Ehlo, "MAIL FROM:<a@c.example>\r\nRCPT TO:<ä@mx.example>", "250 553"),
    (Ehlo, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@ä.example>", "250 553"),
    (Ehlo, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@xn--4ca.example>", "250 250"),
    (Ehlo, "MAIL FROM:<a@c.example> SMTPUTF8\r\nRCPT TO:<ä@mx.example>", "250 250"),
    (Ehlo, "MAIL FROM:<a@c.example> SMTPUTF8\r\nRCPT TO:<b@ä.example>\r\nRCPT TO:<c@mx.example>", "250 250 250"),
    (Ehlo, "MAIL FROM:<a@c.example> SMTPUTF8\r\nRSET\r\nMAIL FROM:<ä@c.example>", "250 250 553"),
    (Ehlo, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example> SMTPUTF8", "250 555"),
    // REQUIRETLS: over TLS alone, and never with RCPT.
    (Ehlo, "MAIL FROM:<a@c.example> REQUIRETLS", "530"),
    (Helo, "MAIL FROM:<a@c.example> REQUIRETLS", "555"),
    (EhloOverTls, "MAIL FROM:<a@c.example> REQUIRETLS", "250"),
    (EhloOverTls, "MAIL FROM:<> REQUIRETLS SIZE=1 BODY=8BITMIME SMTPUTF8", "250"),
    (EhloOverTls, "MAIL FROM:<a@c.example> REQUIRETLS=YES", "501"),
    (EhloOverTls, "MAIL FROM:<a@c.example> REQUIRETLS REQUIRETLS", "501"),
    (EhloOverTls, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example> REQUIRETLS", "250 555"),
    // What is not offered: DSN (RFC 3461), FUTURERELEASE, DELIVERBY, PRIORITY, AUTH by servers.
    (Ehlo, "MAIL FROM:<a@c.example> RET=FULL", "555"),
    (Ehlo, "MAIL FROM:<a@c.example> ENVID=x", "555"),
    (Ehlo, "MAIL FROM:<a@c.example> HOLDFOR=60", "555"),
    (Ehlo, "MAIL FROM:<a@c.example> BY=60;R", "555"),
    (Ehlo, "MAIL FROM:<a@c.example> MT-PRIORITY=9", "555"),
    (Ehlo, "MAIL FROM:<a@c.example> AUTH=<>", "555"),
    (Ehlo, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example> NOTIFY=SUCCESS,FAILURE", "250 555"),
    (Ehlo, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example> ORCPT=rfc822;x@other.example", "250 555"),
    (Ehlo, "MAIL FROM:<a@c.example>SIZE=1", "501"),
    (Ehlo, "MAIL FROM:<a@c.example> =", "555"),
    (Ehlo, "ETRN c.example", "500"),
    (Ehlo, "TURN", "500"),
    (Ehlo, "SEND FROM:<a@c.example>", "500"),
    (Ehlo, "XCLIENT ADDR=192.0.2.1", "500"),
    (Ehlo, "XFORWARD NAME=x", "500"),
];

#[test]
fn what_is_offered_is_kept_to() {
    for (greeting, lines, expected) in CASES {
        let mut server = Server::greeted(Service::Mx, *greeting == EhloOverTls);
        let hello = if *greeting == Helo { "HELO c.example\r\n" } else { "EHLO c.example\r\n" };
        assert_eq!(server.codes(hello.as_bytes()), "250");
        let offers = |extension: &str| server.seen.output.contains(extension);
        assert_eq!(offers("REQUIRETLS"), *greeting == EhloOverTls);
        assert_eq!(offers("STARTTLS"), *greeting == Ehlo);
        assert_eq!(offers("SMTPUTF8") && offers("8BITMIME") && offers("SIZE 10000"), *greeting != Helo);
        assert_eq!(server.codes(format!("{lines}\r\n").as_bytes()), *expected, "{greeting:?}: {lines:?}");
    }
    assert!(CASES.len() >= 60);
    println!("{} uses of extensions", CASES.len());
}

/// What was asked for is in the envelope of the message, and not in that of the next.
#[test]
fn what_was_asked_for_is_in_the_envelope() {
    let mut server = Server::greeted(Service::Mx, true);
    server.codes(b"EHLO c.example\r\n");
    for parameters in ["", " SMTPUTF8", " REQUIRETLS", " BODY=8BITMIME", " SIZE=3", ""] {
        let group = format!("MAIL FROM:<a@c.example>{parameters}\r\nRCPT TO:<b@mx.example>\r\nBDAT 3 LAST\r\nx\r\n");
        assert_eq!(server.codes(group.as_bytes()), "250 250 250");
        let (envelope, _) = server.seen.messages.pop().expect("a message");
        let asked = [
            (" SMTPUTF8", envelope.smtputf8),
            (" REQUIRETLS", envelope.require_tls),
            (" BODY=8BITMIME", envelope.eight_bit),
            (" SIZE=3", envelope.declared_size == Some(3)),
        ];
        for (parameter, is_there) in asked {
            assert_eq!(is_there, parameter == parameters, "{parameters}");
        }
    }
}

/// Mail clients are offered neither SMTPUTF8 nor REQUIRETLS: what they send goes on to others, and nobody would keep to it.
#[test]
fn mail_clients_are_not_offered_what_would_not_be_kept() {
    let mut server = Server::greeted(Service::Submission, true);
    assert_eq!(server.codes(b"EHLO c.example\r\n"), "250");
    assert!(!server.seen.output.contains("SMTPUTF8") && !server.seen.output.contains("REQUIRETLS"));
    for parameter in ["SMTPUTF8", "REQUIRETLS"] {
        assert_eq!(server.codes(format!("MAIL FROM:<a@c.example> {parameter}\r\n").as_bytes()), "555", "{parameter}");
    }
}
