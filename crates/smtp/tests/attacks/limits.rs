//! What one network may do in a time, and how those are slowed down that are refused again and again.

use super::*;
use crate::{MESSAGE, begin_message};
use futures::FutureExt;
use postfleet_net::webhook_http::IpNetwork;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

async fn with_rates(rates: ClientRates) -> Server {
    prepared(Limits { rates, ..limits() }).await.serve()
}

/// The answer to a message: the first refusal on the way, or the last word.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> String {
    assert!(client.ask("MAIL FROM:<a@sender.test>").await.starts_with("250"));
    let reply = client.ask("RCPT TO:<agent@acme.test>").await;
    if !reply.starts_with("250") {
        return reply;
    }
    assert!(client.ask("DATA").await.starts_with("354"));
    client.ask(&format!("{MESSAGE}.")).await
}

#[tokio::test]
async fn connections_of_a_minute_are_limited() {
    let server = with_rates(ClientRates { connections_per_minute: 2, ..ClientRates::default() }).await;
    for _ in 0..2 {
        assert!(server.greeted().await.ask("QUIT").await.starts_with("221"));
    }
    let mut third = server.connect().await;
    assert_eq!(third.reply().await, "421 4.7.0 too many connections in a minute from your network, try again later");
    assert!(third.is_closed().await);
    server.world.advance(59);
    assert!(server.connect().await.reply().await.starts_with("421"));
    server.world.advance(1);
    server.greeted().await;
}

#[tokio::test]
async fn messages_of_an_hour_are_limited_and_those_that_were_taken_are_there() {
    let server = with_rates(ClientRates { messages_per_hour: 2, ..ClientRates::default() }).await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    for _ in 0..2 {
        assert!(send(&mut client).await.starts_with("250"));
    }
    let refused = send(&mut client).await;
    assert_eq!(refused, "450 4.7.1 too many messages in an hour from your network, try again later");
    assert!(client.ask("RSET").await.starts_with("250"), "the session goes on");
    server.world.advance(3_600);
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    assert!(send(&mut client).await.starts_with("250"));
    assert_eq!(server.received().await.len(), 3);
}

#[tokio::test]
async fn messages_at_once_are_not_more_than_one_by_one() {
    let server = with_rates(ClientRates { messages_per_hour: 1, ..ClientRates::default() }).await;
    let (mut one, mut other) = (server.greeted().await, server.greeted().await);
    begin_message(&mut one).await;
    begin_message(&mut other).await;
    assert!(one.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
    assert!(other.ask(&format!("{MESSAGE}.")).await.starts_with("450 4.7.1"));
    assert_eq!(server.received().await.len(), 1);
}

#[tokio::test]
async fn recipients_of_an_hour_are_limited() {
    let server = with_rates(ClientRates { recipients_per_hour: 3, ..ClientRates::default() }).await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    client.ask("MAIL FROM:<a@sender.test>").await;
    for _ in 0..3 {
        assert!(client.ask("RCPT TO:<agent@acme.test>").await.starts_with("250"));
    }
    let refused = client.ask("RCPT TO:<agent@acme.test>").await;
    assert_eq!(refused, "450 4.7.1 too many recipients in an hour from your network, try again later");
    // The message goes to those before.
    assert!(client.ask("DATA").await.starts_with("354"));
    assert!(client.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
}

#[tokio::test]
async fn who_searches_for_mailboxes_is_told_nothing_more() {
    let server = with_rates(ClientRates { unknown_recipients_per_hour: 2, ..ClientRates::default() }).await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    client.ask("MAIL FROM:<a@sender.test>").await;
    // Those that exist do not count.
    for _ in 0..10 {
        assert!(client.ask("RCPT TO:<agent@acme.test>").await.starts_with("250"));
    }
    for guess in ["ann", "bob"] {
        assert!(client.ask(&format!("RCPT TO:<{guess}@acme.test>")).await.starts_with("550 5.1.1"));
    }
    // Whether there is one or not.
    for guess in ["carol", "agent"] {
        let refused = client.ask(&format!("RCPT TO:<{guess}@acme.test>")).await;
        assert_eq!(refused, "450 4.7.1 too many unknown recipients in an hour from your network, try again later");
    }
    // Nor on another connection, before the hour is over.
    let mut again = server.greeted().await;
    again.ask("EHLO client.test").await;
    again.ask("MAIL FROM:<a@sender.test>").await;
    assert!(again.ask("RCPT TO:<agent@acme.test>").await.starts_with("450"));
    server.world.advance(3_600);
    let mut later = server.greeted().await;
    later.ask("EHLO client.test").await;
    assert!(send(&mut later).await.starts_with("250"));
}

#[tokio::test]
async fn networks_that_are_trusted_are_not_counted() {
    let rates = ClientRates {
        connections_per_minute: 1,
        messages_per_hour: 1,
        recipients_per_hour: 1,
        unknown_recipients_per_hour: 1,
    };
    let trusted: Vec<IpNetwork> = vec!["127.0.0.0/8".parse().expect("network")];
    let tarpit = Tarpit { after: 0, delay: Duration::from_secs(5), sessions: 1 };
    let server = prepared(Limits { rates, trusted, tarpit, connections_per_address: 1, ..limits() }).await.serve();
    let _other = server.greeted().await;
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    for _ in 0..3 {
        assert!(client.ask("NONSENSE").await.starts_with("500"));
        client.ask("RSET").await;
        assert!(send(&mut client).await.starts_with("250"));
    }
}

fn tarpit(sessions: usize) -> Limits {
    Limits { tarpit: Tarpit { after: 2, delay: Duration::from_secs(5), sessions }, ..limits() }
}

#[tokio::test]
async fn who_is_refused_again_and_again_waits_and_others_do_not() {
    let server = prepared(tarpit(1)).await.serve();
    let mut client = server.greeted().await;
    for _ in 0..2 {
        assert!(client.ask("NONSENSE").await.starts_with("500"));
    }
    client.say("NONSENSE\r\n").await;
    // One sleeper is the silence of the client, the other the delay.
    server.world.clock.until_sleeping(2).await;
    assert!(client.reply().now_or_never().is_none());
    // Somebody else is served meanwhile; and whoever would be one more in the tarpit is sent away.
    let mut other = server.greeted().await;
    begin_message(&mut other).await;
    assert!(other.ask(&format!("{MESSAGE}.")).await.starts_with("250"));
    for _ in 0..2 {
        assert!(other.ask("NONSENSE").await.starts_with("500"));
    }
    assert!(other.ask("NONSENSE").await.starts_with("500"));
    assert_eq!(other.reply().await, "421 4.7.0 too many errors");
    assert!(other.is_closed().await);
    server.world.advance(5);
    assert!(client.reply().await.starts_with("500"));
    // What is right is answered at once.
    assert!(client.ask("NOOP").await.starts_with("250"));
    // The place is free again.
    client.say("NONSENSE\r\n").await;
    server.world.clock.until_sleeping(2).await;
    server.world.advance(5);
    assert!(client.reply().await.starts_with("500"));
}

#[tokio::test]
async fn recipients_that_are_refused_and_limits_that_are_reached_lead_into_the_tarpit_too() {
    let rates = ClientRates { unknown_recipients_per_hour: 1, ..ClientRates::default() };
    let server = prepared(Limits { rates, ..tarpit(10) }).await.serve();
    let mut client = server.greeted().await;
    client.ask("EHLO client.test").await;
    client.ask("MAIL FROM:<a@sender.test>").await;
    for code in ["550", "450"] {
        assert!(client.ask("RCPT TO:<ann@acme.test>").await.starts_with(code));
    }
    client.say("RCPT TO:<ann@acme.test>\r\n").await;
    server.world.clock.until_sleeping(2).await;
    assert!(client.reply().now_or_never().is_none());
    server.world.advance(5);
    assert!(client.reply().await.starts_with("450"));
}

#[tokio::test]
async fn nobody_waits_longer_than_the_service_runs() {
    let server = prepared(tarpit(1)).await.serve();
    let mut client = server.greeted().await;
    for _ in 0..2 {
        client.ask("NONSENSE").await;
    }
    client.say("NONSENSE\r\n").await;
    server.world.clock.until_sleeping(2).await;
    server.stop.cancel();
    assert!(client.reply().await.starts_with("500"));
    assert!(client.reply().await.starts_with("421 4.3.2"));
    assert!(client.is_closed().await);
    server.serving.await.expect("ended");
}

/// Overload: what was accepted is there, what was not is asked for again, and memory stays within its bounds.
#[tokio::test]
async fn under_overload_nothing_that_was_accepted_is_lost() {
    const CLIENTS: usize = 24;
    let server = prepared(Limits { buffered_octets: 150_000, ..limits() }).await.serve();
    let text = "0123456789\r\n".repeat(2_500);
    let (mut accepted, mut put_off) = (0, 0);
    let mut waiting = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = server.greeted().await;
        begin_message(&mut client).await;
        client.say(&format!("Subject: load\r\n\r\n{text}")).await;
        waiting.push(client);
    }
    for mut client in waiting {
        client.say(".\r\n").await;
        let reply = client.reply().await;
        match reply.as_str() {
            _ if reply.starts_with("250 2.6.0") => accepted += 1,
            "421 4.3.2 overloaded, try again shortly" => put_off += 1,
            _ => panic!("{reply}"),
        }
    }
    println!("{accepted} accepted, {put_off} put off");
    assert!(accepted > 0 && put_off > 0, "{accepted} accepted, {put_off} put off");
    // Those who come back are taken.
    for _ in 0..put_off {
        let mut client = server.greeted().await;
        begin_message(&mut client).await;
        assert!(client.ask(&format!("Subject: load\r\n\r\n{text}.")).await.starts_with("250"));
    }
    assert_eq!(server.received().await.len(), CLIENTS);
}
