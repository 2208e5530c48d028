//! A stream of events without the transports that carry it.

use futures::FutureExt;
use postfleet_core::UnixMicros;
use postfleet_mailflow::wait::{self, End, Feed, Listener, Listening, Piece, Place, Start};
use postfleet_mailflow::{Platform, webhooks};
use postfleet_testkit::world::{NewTenant, Tenant, World};
use serde_json::Value;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

const HEARTBEAT: Duration = Duration::from_secs(15);

async fn world() -> (World, Tenant, Arc<Platform>) {
    let world = World::new().await;
    let tenant = world.tenant(NewTenant::of("acme.test")).await;
    world.mailbox(&tenant, "agent").await;
    let platform = Arc::new(world.platform.clone());
    (world, tenant, platform)
}

async fn comes(world: &World, number: usize) {
    let message = format!("From: ada@sender.test\r\nTo: agent@acme.test\r\nSubject: number {number}\r\n\r\nHello\r\n");
    world.receive("ada@sender.test", "agent@acme.test", message).await.expect("accepted");
}

fn listener(platform: &Platform, tenant: &Tenant, key: &str) -> Listener {
    Listener { application: tenant.application_id, key: platform.keys.hash(key), permission: "events.read" }
}

fn mail_alone() -> Listening {
    Listening { names: Some(["message.created"].into()), ..Listening::default() }
}

async fn open(platform: &Arc<Platform>, tenant: &Tenant, start: Start) -> Feed {
    let listener = listener(platform, tenant, &tenant.api_key);
    Feed::open(platform, listener, mail_alone(), start, HEARTBEAT, false).await.expect("a stream")
}

async fn event(feed: &mut Feed) -> (Place, Value) {
    match feed.next().await {
        Ok(Piece::Event(place, json)) => (place, serde_json::from_slice(&json).expect("JSON")),
        other => panic!("no event: {other:?}"),
    }
}

fn subject(event: &Value) -> &str {
    event["data"]["object"]["subject"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_comes_after_a_place_is_told_once_from_the_store_and_from_memory() {
    let (world, tenant, platform) = world().await;
    let mut feed = open(&platform, &tenant, Start::Now).await;
    let start = feed.place();
    for number in 0..200 {
        comes(&world, number).await;
    }
    // Nothing is read into memory yet: it comes from the store.
    let mut places = vec![start];
    for number in 0..100 {
        let (place, told) = event(&mut feed).await;
        assert_eq!(subject(&told), format!("number {number}"));
        assert!(told.get("webhook_delivery_attempt").is_none());
        places.push(place);
    }
    while wait::read_once(&platform).await.expect("round") {}
    for number in 200..400 {
        comes(&world, number).await;
    }
    while wait::read_once(&platform).await.expect("round") {}
    for number in 100..400 {
        let (place, told) = event(&mut feed).await;
        assert_eq!(subject(&told), format!("number {number}"));
        places.push(place);
    }
    assert!(places.is_sorted() && feed.next().now_or_never().is_none(), "nothing more is told");
    // It is called when there is more.
    let more = async {
        comes(&world, 400).await;
        wait::read_once(&platform).await.expect("round");
    };
    let ((_, told), ()) = futures::join!(event(&mut feed), more);
    assert_eq!(subject(&told), "number 400");
    // From any place on it is the same.
    for number in [0, 1, 150, 399] {
        let mut again = open(&platform, &tenant, Start::After(places[number])).await;
        assert_eq!(subject(&event(&mut again).await.1), format!("number {number}"));
    }
}

/// Whoever stops asking in the middle of it has missed nothing.
#[tokio::test]
async fn a_piece_that_nobody_waited_for_comes_again() {
    let (world, tenant, platform) = world().await;
    let mut feed = open(&platform, &tenant, Start::Now).await;
    for number in 0..50 {
        comes(&world, number).await;
    }
    for number in 0..50 {
        let mut patience = 0_i32;
        let told = loop {
            let mut polls = patience;
            patience += 1;
            let enough = std::future::poll_fn(|_| {
                polls -= 1;
                if polls < 0 { Poll::Ready(()) } else { Poll::Pending }
            });
            // Either it is there, or it is dropped as far as it has come, each time a little later.
            tokio::select! {
                biased;
                told = event(&mut feed) => break told,
                () = enough => {}
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(subject(&told.1), format!("number {number}"));
    }
}

#[tokio::test]
async fn a_stream_begins_at_a_moment() {
    let (world, tenant, platform) = world().await;
    let mut moments = Vec::new();
    for number in 0..20 {
        world.advance(100);
        moments.push(platform.clock.now());
        comes(&world, number).await;
    }
    for (number, at) in moments.iter().enumerate() {
        let listening = Listening { since: Some(*at), ..mail_alone() };
        let listener = listener(&platform, &tenant, &tenant.api_key);
        let mut feed =
            Feed::open(&platform, listener, listening, Start::Since(*at), HEARTBEAT, true).await.expect("a stream");
        for expected in number..20 {
            assert_eq!(subject(&event(&mut feed).await.1), format!("number {expected}"), "since {number}");
        }
        assert_eq!(feed.next().await.err(), Some(End::Over));
    }
    let mut feed = open(&platform, &tenant, Start::Since(UnixMicros::default())).await;
    assert_eq!(subject(&event(&mut feed).await.1), "number 0");
}

#[tokio::test]
async fn signs_of_life_come_until_the_hour_is_over() {
    let (world, tenant, platform) = world().await;
    let mut feed = open(&platform, &tenant, Start::Now).await;
    wait::read_once(&platform).await.expect("round");
    for sign in 1..240 {
        assert!(feed.next().now_or_never().is_none(), "{sign}: it is too early");
        world.advance(14);
        wait::read_once(&platform).await.expect("round");
        assert!(feed.next().now_or_never().is_none(), "{sign}: it is too early");
        world.advance(1);
        wait::read_once(&platform).await.expect("round");
        assert!(matches!(feed.next().await, Ok(Piece::Alive(place)) if place == feed.place()), "{sign}");
    }
    world.advance(15);
    assert_eq!(feed.next().await.err(), Some(End::Over));
    assert_eq!(platform.waiting.waiting(), 0, "its place is free");
}

#[tokio::test]
async fn a_stream_ends_with_its_key_and_with_the_server() {
    let (world, tenant, platform) = world().await;
    let other = world.tenant(NewTenant::of("other.test")).await;
    let own = listener(&platform, &tenant, &tenant.api_key);
    for (case, listener, expected) in [
        ("its key", own, None),
        ("no key", listener(&platform, &tenant, "pf_live_nothing"), Some(End::KeyEnded)),
        ("a key of another", listener(&platform, &tenant, &other.api_key), Some(End::KeyEnded)),
    ] {
        let mut feed = Feed::open(&platform, listener, Listening::default(), Start::Now, HEARTBEAT, false)
            .await
            .expect("a stream");
        world.advance(15);
        assert_eq!(feed.next().await.err(), expected, "{case}");
    }
    let mut feed = open(&platform, &tenant, Start::Now).await;
    let (end, ()) = futures::join!(feed.next(), async { platform.waiting.close() });
    assert_eq!(end.err(), Some(End::Stopping));
    platform.waiting.emptied().await;
    assert!(webhooks::head(&platform).await.is_ok(), "the store goes on");
}
