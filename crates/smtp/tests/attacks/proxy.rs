//! Behind a balancer: its PROXY header says whose connection it is, and nobody else's does.

use super::*;
use crate::{MESSAGE, begin_message, trace};
use postfleet_smtp::Encryption;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn behind_a_balancer() -> Limits {
    Limits { proxies: vec!["127.0.0.0/8".parse().expect("network")], ..limits() }
}

/// A header of version 2 for an IPv4 client, with something more that is skipped.
fn binary(command: u8, source: [u8; 4]) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    [&signature[..], &[command, 0x11, 0, 15], &source, &[10, 0, 0, 1, 0xc0, 1, 0, 25, 4, 0, 0]].concat()
}

async fn connect(server: &Server, header: &[u8]) -> Client<TcpStream> {
    let mut client = server.connect().await;
    client.0.write_all(header).await.expect("sent");
    client.say("").await;
    client
}

#[tokio::test]
async fn the_client_is_who_the_balancer_says() {
    let server = prepared(behind_a_balancer()).await.serve();
    let binary_header = binary(0x21, [192, 0, 2, 8]);
    let local = binary(0x20, [192, 0, 2, 9]);
    let cases: [(&[u8], &str); 6] = [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 25\r\n", "[192.0.2.7]"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 49153 25\r\n", "[IPv6:2001:db8::7]"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 49153 25\r\n", "[192.0.2.7]"),
        (b"PROXY UNKNOWN\r\n", "[127.0.0.1]"),
        (&binary_header, "[192.0.2.8]"),
        (&local, "[127.0.0.1]"),
    ];
    for (header, expected) in cases {
        let mut client = connect(&server, header).await;
        assert_eq!(client.reply().await, "220 mx.world.test ESMTP", "{}", header.escape_ascii());
        begin_message(&mut client).await;
        assert!(client.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
        let received = trace(&server.received().await[0]);
        assert!(received.contains(&format!("({expected})")), "{received}");
        server.world.advance(1);
    }
}

#[tokio::test]
async fn a_header_may_come_in_pieces() {
    let server = prepared(behind_a_balancer()).await.serve();
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 1 25\r\n".to_vec(), binary(0x21, [192, 0, 2, 7])] {
        let mut client = server.connect().await;
        for octet in header {
            client.0.write_all(&[octet]).await.expect("sent");
            client.0.flush().await.expect("sent");
            tokio::task::yield_now().await;
        }
        assert!(client.reply().await.starts_with("220"));
    }
}

#[tokio::test]
async fn limits_are_those_of_the_client_and_not_of_the_balancer() {
    let rates = ClientRates { connections_per_minute: 1, ..ClientRates::default() };
    let limits = Limits { rates, connections_per_address: 1, ..behind_a_balancer() };
    let server = prepared(limits).await.serve();
    let mut open = Vec::new();
    for number in 1..20 {
        let mut client = connect(&server, &binary(0x21, [192, 0, 2, number])).await;
        assert!(client.reply().await.starts_with("220"), "{number}");
        open.push(client);
    }
    assert!(connect(&server, &binary(0x21, [192, 0, 2, 7])).await.reply().await.starts_with("421 4.7.0"));
}

#[tokio::test]
async fn without_a_header_nobody_is_greeted() {
    let server = prepared(behind_a_balancer()).await.serve();
    let other_version = [&binary(0x21, [192, 0, 2, 7])[..12], &[0x31, 0x11, 0, 0]].concat();
    let too_long = [&binary(0x21, [192, 0, 2, 7])[..12], &[0x21, 0x11, 0xff, 0xff]].concat();
    let headers: [&[u8]; 8] = [
        b"EHLO client.test\r\n",
        b"PROXY TCP4 192.0.2.256 10.0.0.1 1 25\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 1 25\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 25\n",
        &[b'P'; 200],
        &other_version,
        &too_long,
    ];
    for header in headers {
        let client = connect(&server, header).await;
        assert!(is_without_a_word(client).await, "{}", header.escape_ascii());
    }
    // Nor one that never says whose connection it is.
    let silent = connect(&server, b"PROXY TCP4").await;
    server.world.clock.until_sleeping(1).await;
    server.world.advance(5);
    assert!(is_without_a_word(silent).await);
}

/// Whether the connection ends and nothing was said on it.
async fn is_without_a_word(mut client: Client<TcpStream>) -> bool {
    let mut said = Vec::new();
    // What the server has not read makes the end a break.
    drop(client.0.read_to_end(&mut said).await);
    said.is_empty()
}

#[tokio::test]
async fn what_the_client_says_with_the_header_is_too_early() {
    let server = prepared(behind_a_balancer()).await.serve();
    let header = [&binary(0x21, [192, 0, 2, 7])[..], b"EHLO early.test\r\n"].concat();
    assert!(connect(&server, &header).await.reply().await.starts_with("554 5.5.1"));
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let mut prepared = prepared(behind_a_balancer()).await;
    let acceptor = tls::server_config(&prepared.identity).expect("TLS").into();
    prepared.listener.encryption = Encryption::FromTheStart(acceptor);
    let server = prepared.serve();
    let client = connect(&server, &binary(0x21, [192, 0, 2, 7])).await;
    let mut client = encrypt(&server, client.0.into_inner()).await;
    assert_eq!(client.reply().await, "220 mx.world.test ESMTP");
    begin_message(&mut client).await;
    assert!(client.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
    assert!(trace(&server.received().await[0]).contains("([192.0.2.7])"));
}
