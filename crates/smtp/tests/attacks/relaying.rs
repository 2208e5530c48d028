//! Open relays: addresses that once made servers pass mail on, in every state in which a recipient may be named. None is
//! accepted, and none of them gets anything.

use super::*;
use crate::MESSAGE;
use tokio::io::{AsyncRead, AsyncWrite};

/// What follows `RCPT TO:`. The domain here is acme.test, its only mailbox agent@acme.test.
const FORMS: [&str; 40] = [
    "<x@other.test>",
    "<X@OTHER.TEST>",
    "<x@other.test.>",
    "<agent@other.test>",
    "<agent+acme.test@other.test>",
    "<\"agent@acme.test\"@other.test>",
    "<postmaster@other.test>",
    "<agent@sub.acme.test>",
    "<agent@acme.test.other.test>",
    "<agent@notacme.test>",
    "<agent@mx.world.test>",
    "<agent@localhost>",
    "<agent@127.0.0.1>",
    "<agent@[127.0.0.1]>",
    "<x@[192.0.2.1]>",
    "<x@[IPv6:2001:db8::1]>",
    "<x@[other.test]>",
    // Percent signs, exclamation marks, slashes.
    "<x%other.test@acme.test>",
    "<x%other.test>",
    "<x%other.test@[127.0.0.1]>",
    "<\"x%other.test\"@acme.test>",
    "<other.test!x@acme.test>",
    "<other.test!x>",
    "<acme.test!other.test!x>",
    "<x/other.test@acme.test>",
    // Two at signs, and quotes.
    "<x@other.test@acme.test>",
    "<agent@acme.test@other.test>",
    "<\"x@other.test\"@acme.test>",
    "<\"x@other.test\">",
    "<x\\@other.test@acme.test>",
    // Source routes.
    "<@acme.test:x@other.test>",
    "<@acme.test,@mx.world.test:x@other.test>",
    // Two recipients in one.
    "<x@other.test,agent@acme.test>",
    "<agent@acme.test>,<x@other.test>",
    "<agent@acme.test> <x@other.test>",
    // Other scripts, and what a decoder would make of it.
    "<x@\u{ff4f}\u{ff54}\u{ff48}\u{ff45}\u{ff52}.test>",
    "<x@m\u{fc}ller.test>",
    "<=?utf-8?q?x=40other.test=3e?=@acme.test>",
    // Programs and files.
    "<|/bin/sh@acme.test>",
    "<\"|/usr/lib/sendmail x@other.test\"@acme.test>",
];

/// What is said before, and the lines that lead there; `TLS` is the handshake.
const STATES: [(&str, &[&str]); 12] = [
    ("after HELO", &["HELO client.test", "MAIL FROM:<a@sender.test>"]),
    ("after EHLO", &["EHLO client.test", "MAIL FROM:<a@sender.test>"]),
    ("with our own name", &["EHLO mx.world.test", "MAIL FROM:<a@sender.test>"]),
    ("from nobody", &["EHLO client.test", "MAIL FROM:<>"]),
    ("as a mailbox of ours", &["EHLO client.test", "MAIL FROM:<agent@acme.test>"]),
    ("as the postmaster", &["EHLO client.test", "MAIL FROM:<postmaster@acme.test>"]),
    ("with SMTPUTF8", &["EHLO client.test", "MAIL FROM:<a@sender.test> SMTPUTF8"]),
    ("over TLS", &["EHLO client.test", "STARTTLS", "TLS", "EHLO client.test", "MAIL FROM:<a@sender.test>"]),
    (
        "over TLS that is required",
        &["EHLO client.test", "STARTTLS", "TLS", "EHLO client.test", "MAIL FROM:<a@sender.test> REQUIRETLS"],
    ),
    (
        "beside a recipient that is known",
        &["EHLO client.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<agent@acme.test>"],
    ),
    (
        "after a message",
        &[
            "EHLO client.test",
            "MAIL FROM:<a@sender.test>",
            "RCPT TO:<agent@acme.test>",
            "MESSAGE",
            "MAIL FROM:<a@sender.test>",
        ],
    ),
    (
        "after giving up",
        &[
            "EHLO client.test",
            "MAIL FROM:<agent@acme.test>",
            "RCPT TO:<agent@acme.test>",
            "RSET",
            "MAIL FROM:<agent@acme.test>",
        ],
    ),
];

#[tokio::test]
async fn nothing_is_relayed_however_it_is_spelled() {
    let server = prepared(limits()).await.serve();
    let mut cases = 0;
    for (state, lines) in STATES {
        let mut client = server.greeted().await;
        let mut lines = lines.iter();
        let is_clear = walk(&mut client, &mut lines).await;
        cases += if is_clear {
            refused(&mut client, state).await
        } else {
            let mut client = encrypt(&server, client.0.into_inner()).await;
            walk(&mut client, &mut lines).await;
            refused(&mut client, state).await
        };
    }
    assert_eq!(cases, 480);
    println!("{} forms in {} states: {cases} refused", FORMS.len(), STATES.len());
    // The one message that was for us.
    assert_eq!(server.received().await.len(), 1);
}

/// Says the lines up to the handshake; whether there is none.
async fn walk<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    lines: &mut std::slice::Iter<'_, &str>,
) -> bool {
    for line in lines.by_ref() {
        let reply = match *line {
            "TLS" => return false,
            "MESSAGE" => {
                assert!(client.ask("DATA").await.starts_with("354"));
                client.ask(&format!("{MESSAGE}.")).await
            }
            line => client.ask(line).await,
        };
        assert!(reply.starts_with('2'), "{line}: {reply}");
    }
    true
}

async fn refused<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, state: &str) -> usize {
    for form in FORMS {
        let reply = client.ask(&format!("RCPT TO:{form}")).await;
        assert!(reply.starts_with('5'), "{state}: {form}: {reply}");
    }
    assert!(client.ask("QUIT").await.starts_with("221"));
    FORMS.len()
}
