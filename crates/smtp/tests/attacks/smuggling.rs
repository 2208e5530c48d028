//! A sample of the message ends that are none, over sockets: in the clear and over TLS, by DATA and by BDAT. All of them
//! are tried in `wire`.

use super::*;
use crate::support::Client;
use tokio::io::{AsyncRead, AsyncWrite};

/// Those by which servers were fooled in 2023, and relatives.
const ENDS: [&str; 20] = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\r.\n",
    "\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\0.\0",
    "\r\0\n.\r\n",
    "\n\n.\r\n",
    "\r\r.\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\n",
    "\n\r.\n\r",
    "\n. \n",
    "\r\n.\n\r\n",
    "\r",
];

async fn envelope<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) {
    for line in ["EHLO client.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<agent@acme.test>"] {
        assert!(client.ask(line).await.starts_with("250"), "{line}");
    }
}

async fn attack<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>, end: &str, by_data: bool) {
    const SMUGGLED: &str =
        "MAIL FROM:<s@evil.test>\r\nRCPT TO:<agent@acme.test>\r\nDATA\r\nSubject: smuggled\r\n\r\n.\r\n";
    envelope(&mut client).await;
    let content = format!("Subject: first\r\n\r\nx{end}{SMUGGLED}");
    if by_data {
        assert!(client.ask("DATA").await.starts_with("354"));
        client.say(&content).await;
    } else {
        client.say(&format!("BDAT {} LAST\r\n{content}RSET\r\n", content.len())).await;
    }
    let what = format!("{} by {}", end.escape_debug(), if by_data { "DATA" } else { "BDAT" });
    assert_eq!(client.reply().await, "550 5.6.0 message has a bare CR, a bare LF or a NUL", "{what}");
    assert!(client.is_closed().await, "{what}: nothing behind it is answered");
}

#[tokio::test]
async fn no_message_is_smuggled_over_sockets() {
    let server = prepared(limits()).await.serve();
    let mut cases = 0;
    for end in ENDS {
        for by_data in [true, false] {
            attack(server.greeted().await, end, by_data).await;
            attack(encrypted(&server).await, end, by_data).await;
            cases += 2;
        }
    }
    assert_eq!(server.received().await.len(), 0);
    println!("{cases} ends over sockets, in the clear and over TLS: none smuggles");
}

#[tokio::test]
async fn injections_behind_starttls_end_the_connection_over_sockets_too() {
    let server = prepared(limits()).await.serve();
    for payload in ["NOOP\r\n", "EHLO evil.test\r\nMAIL FROM:<s@evil.test>\r\n", "x", "\r\n", "\u{16}\u{3}\u{1}\0\u{5}"]
    {
        let mut client = server.greeted().await;
        client.ask("EHLO client.test").await;
        client.say(&format!("STARTTLS\r\n{payload}")).await;
        assert_eq!(client.reply().await, "554 5.5.1 you spoke before it was your turn", "{payload:?}");
        assert!(client.is_closed().await);
        // After the answer it is taken for a handshake, and is none.
        let mut client = server.greeted().await;
        client.ask("EHLO client.test").await;
        assert!(client.ask("STARTTLS").await.starts_with("220"));
        client.say(&format!("{payload}{}", "EHLO evil.test\r\n".repeat(40))).await;
        let mut rest = Vec::new();
        drop(tokio::io::AsyncReadExt::read_to_end(&mut client.0, &mut rest).await);
        assert!(!rest.windows(4).any(|window| window.starts_with(b"250") || window == b"220 "), "{payload:?}");
    }
}

/// TLS 1.0 and 1.1 (RFC 8996) are not spoken: their hello is answered with an alert.
#[tokio::test]
async fn older_versions_of_tls_are_refused() {
    for version in [1_u8, 2] {
        let server = prepared(limits()).await.serve();
        let mut client = server.greeted().await;
        client.ask("EHLO client.test").await;
        assert!(client.ask("STARTTLS").await.starts_with("220"));
        let mut stream = client.0.into_inner();
        let random = [7_u8; 32];
        let body = [&[3, version][..], &random, &[0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]].concat();
        let length = u8::try_from(body.len()).expect("short");
        let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &hello).await.expect("sent");
        let mut answer = Vec::new();
        drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await);
        // A fatal alert: protocol_version (70), handshake_failure (40) or missing what TLS 1.2 needs.
        assert!(answer.is_empty() || (answer[0] == 21 && answer[5] == 2), "TLS 1.{}: {answer:?}", version - 1);
    }
}
