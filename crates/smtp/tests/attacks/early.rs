//! Clients that speak before they are greeted: no mail server does.

use super::*;
use crate::support::Client;
use std::time::Duration;

#[tokio::test]
async fn what_is_there_before_the_greeting_ends_the_connection() {
    for early in ["EHLO early.test\r\n", "x", "PROXY TCP4 192.0.2.7 10.0.0.1 1 25\r\n", "\r\n\r\n\0\r\nQUIT\n!"] {
        let prepared = prepared(limits()).await;
        let address = prepared.socket.local_addr().expect("bound");
        let mut client = Client(BufStream::new(TcpStream::connect(address).await.expect("connected")));
        // The system takes the octets before the listener takes the connection.
        client.say(early).await;
        let _server = prepared.serve();
        assert_eq!(client.reply().await, "554 5.5.1 you spoke before it was your turn", "{early:?}");
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_greeting_that_is_delayed_catches_who_does_not_wait() {
    let server = prepared(Limits { greeting_delay: Duration::from_secs(2), ..limits() }).await.serve();
    let mut patient = server.connect().await;
    server.world.clock.until_sleeping(1).await;
    server.world.advance(2);
    assert_eq!(patient.reply().await, "220 mx.world.test ESMTP");
    assert!(patient.ask("EHLO client.test").await.starts_with("250"));

    let mut early = server.connect().await;
    early.say("EHLO early.test\r\n").await;
    assert!(early.reply().await.starts_with("554 5.5.1"));
    assert!(early.is_closed().await);
}

#[tokio::test]
async fn a_client_that_connects_and_goes_is_no_trouble() {
    let server = prepared(Limits { connections: 1, ..limits() }).await.serve();
    drop(server.connect().await);
    while !server.connect().await.reply().await.starts_with("220") {}
}
