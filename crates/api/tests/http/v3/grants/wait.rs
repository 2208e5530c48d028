//! `/v3/grants/{grant}/messages/wait` and `/messages/stream`.

use crate::support::{Answer, Harness, ids};
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures::StreamExt;
use futures::future::{Either, select};
use postfleet_mailflow::Platform;
use postfleet_mailflow::wait;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/messages/wait", "GET /v3/grants/{grant}/messages/stream"];

/// Reads the log for those who wait, as the role does, until it is dropped.
fn telling(platform: &Platform) -> DropGuard {
    let (platform, stop) = (platform.clone(), CancellationToken::new());
    let guard = stop.clone().drop_guard();
    tokio::spawn(async move {
        let mut grown = platform.store.wake().grown.subscribe();
        while !stop.is_cancelled() {
            grown.mark_unchanged();
            if wait::read_once(&platform).await.expect("round") {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = platform.waiting.entered() => {}
                _ = grown.changed() => {}
            }
        }
    });
    guard
}

fn mail(to: &str, subject: &str) -> String {
    format!("From: Ada <ada@sender.test>\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nYour code is 123456\r\n")
}

/// Lets a message come in without looking at the mailbox.
async fn comes(harness: &Harness, subject: &str) {
    let message = mail("agent@acme.test", subject);
    harness.world.receive("ada@sender.test", "agent@acme.test", message).await.expect("accepted");
}

fn subjects(answer: &Answer) -> Vec<String> {
    let list = answer.is_ok().data().as_array().expect("list");
    list.iter().map(|message| message["subject"].as_str().expect("subject").to_owned()).collect()
}

fn cursor(answer: &Answer) -> String {
    answer.json["next_cursor"].as_str().expect("next_cursor").to_owned()
}

/// Until so many wait.
async fn until_waiting(harness: &Harness, count: usize) {
    while harness.world.platform.waiting.waiting() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn it_is_answered_as_soon_as_a_message_comes_that_matches() {
    let harness = Harness::new().await;
    let _telling = telling(&harness.world.platform);
    comes(&harness, "before").await;
    let path = harness.at("/messages/wait?subject=code&timeout=60");
    let (answer, ()) = futures::join!(harness.get(&path), async {
        until_waiting(&harness, 1).await;
        comes(&harness, "newsletter").await;
        comes(&harness, "Your Code").await;
    });
    assert_eq!(subjects(&answer), ["Your Code"]);
    assert!(answer.data()[0]["body"].as_str().expect("body").contains("123456"));
    assert_eq!(harness.world.platform.waiting.waiting(), 0);
    // Nothing more is behind the cursor.
    let again = harness.get(&harness.at(&format!("/messages/wait?timeout=0&after={}", cursor(&answer)))).await;
    assert!(subjects(&again).is_empty());
}

#[tokio::test]
async fn when_the_time_is_over_there_is_nothing_but_a_cursor() {
    let harness = Harness::new().await;
    let _telling = telling(&harness.world.platform);
    let path = harness.at("/messages/wait?timeout=7");
    let (answer, ()) = futures::join!(harness.get(&path), async {
        until_waiting(&harness, 1).await;
        harness.world.clock.until_sleeping(1).await;
        harness.world.advance(7);
    });
    assert!(subjects(&answer).is_empty());
    comes(&harness, "next").await;
    let next = harness.get(&harness.at(&format!("/messages/wait?after={}", cursor(&answer)))).await;
    assert_eq!(subjects(&next), ["next"]);
}

#[tokio::test]
async fn what_came_after_the_cursor_is_there_at_once_oldest_first_and_once() {
    let harness = Harness::new().await;
    let start = cursor(&harness.get(&harness.at("/messages/wait?timeout=0")).await);
    for number in 0..7 {
        harness.world.advance(1);
        comes(&harness, &format!("number {number}")).await;
    }
    // In memory or not.
    for is_told in [false, true] {
        let _telling = is_told.then(|| telling(&harness.world.platform));
        let (mut after, mut seen) = (start.clone(), Vec::new());
        for _ in 0..3 {
            let timeout = if is_told { 60 } else { 0 };
            let path = format!("/messages/wait?timeout={timeout}&limit=3&after={after}");
            let answer = harness.get(&harness.at(&path)).await;
            seen.extend(subjects(&answer));
            after = cursor(&answer);
        }
        assert_eq!(seen, (0..7).map(|number| format!("number {number}")).collect::<Vec<_>>(), "{is_told}");
    }
}

#[tokio::test]
async fn every_filter_narrows_what_is_waited_for() {
    let harness = Harness::new().await;
    let start = cursor(&harness.get(&harness.at("/messages/wait?timeout=0")).await);
    comes(&harness, "one").await;
    let id = harness.ids(&harness.at("/messages")).await.remove(0);
    let message = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    let (thread, date) =
        (message.data()["thread_id"].as_str().expect("id"), message.data()["date"].as_i64().expect("date"));
    let (earlier, later) = (date - 1, date + 1);
    for (query, is_met) in [
        ("from=ada@sender.test".to_owned(), true),
        ("from=eve@sender.test".to_owned(), false),
        ("any_email=AGENT@acme.test".to_owned(), true),
        ("to=x@y.test,agent@acme.test".to_owned(), true),
        ("cc=agent@acme.test".to_owned(), false),
        ("subject=ONE".to_owned(), true),
        ("unread=True".to_owned(), true),
        ("unread=0".to_owned(), false),
        ("starred=true".to_owned(), false),
        ("has_attachment=false".to_owned(), true),
        ("in=inbox".to_owned(), true),
        ("in=sent&in=junk".to_owned(), false),
        (format!("thread_id={thread}"), true),
        (format!("thread_id={id}"), false),
        (format!("received_after={earlier}"), true),
        (format!("received_after={date}"), false),
        (format!("received_before={later}"), true),
        (format!("received_before={date}"), false),
        ("metadata_pair=a:b".to_owned(), false),
        ("direction=outbound".to_owned(), false),
        ("direction=any".to_owned(), true),
    ] {
        let path = harness.at(&format!("/messages/wait?timeout=0&after={start}&{query}"));
        let answer = harness.get(&path).await;
        assert_eq!(subjects(&answer).len(), usize::from(is_met), "{query}");
        // And as a list would.
        if !query.starts_with("direction") {
            assert_eq!(
                harness.ids(&harness.at(&format!("/messages?{query}"))).await.len(),
                usize::from(is_met),
                "{query}"
            );
        }
    }
    // What is shown is chosen as in a list.
    let path = harness.at(&format!("/messages/wait?timeout=0&after={start}&select=subject"));
    assert_eq!(
        harness.get(&path).await.data(),
        &json!([{"id": id, "object": "message", "grant_id": harness.agent, "subject": "one"}])
    );
}

#[tokio::test]
async fn with_a_lower_bound_what_is_there_counts_and_comes_once() {
    let harness = Harness::new().await;
    comes(&harness, "old").await;
    harness.world.advance(10);
    let bound = harness.world.platform.clock.now().as_seconds();
    harness.world.advance(10);
    comes(&harness, "there").await;
    let path = harness.at(&format!("/messages/wait?received_after={bound}"));
    let answer = harness.get(&path).await;
    assert_eq!(subjects(&answer), ["there"]);
    comes(&harness, "next").await;
    let answer = harness.get(&format!("{path}&after={}", cursor(&answer))).await;
    assert_eq!(subjects(&answer), ["next"]);
}

#[tokio::test]
async fn junk_and_sent_mail_count_when_they_are_asked_for() {
    let harness = Harness::new().await;
    let start = cursor(&harness.get(&harness.at("/messages/wait?timeout=0")).await);
    comes(&harness, "spam").await;
    let id = harness.ids(&harness.at("/messages")).await.remove(0);
    harness.put(&harness.at(&format!("/messages/{id}")), &json!({"folders": ["junk"]})).await.is_ok();
    let send = json!({"to": [{"email": "bo@else.test"}], "subject": "out", "body": "x"});
    harness.post(&harness.at("/messages/send"), &send).await.is_ok();
    for (query, expected) in [
        ("", vec![]),
        ("include_junk=true", vec!["spam"]),
        ("in=junk", vec!["spam"]),
        ("direction=outbound", vec!["out"]),
        ("direction=any&include_junk=1", vec!["spam", "out"]),
    ] {
        let answer = harness.get(&harness.at(&format!("/messages/wait?timeout=0&after={start}&{query}"))).await;
        assert_eq!(subjects(&answer), expected, "{query}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let harness = Harness::new().await;
    for (query, field) in [
        ("timeout=61", "timeout"),
        ("timeout=-1", "timeout"),
        ("timeout=x", "timeout"),
        ("after=x", "after"),
        ("direction=up", "direction"),
        ("include_junk=maybe", "include_junk"),
        ("fields=raw_mime", "fields"),
        ("unread=maybe", "unread"),
        ("limit=0", "limit"),
        ("thread_id=x", "thread_id"),
    ] {
        for route in ["wait", "stream"] {
            harness.get(&harness.at(&format!("/messages/{route}?{query}"))).await.refuses(
                400,
                "invalid_request",
                Some(field),
            );
        }
    }
}

#[tokio::test]
async fn who_goes_away_waits_no_more() {
    let harness = Harness::new().await;
    let path = harness.at("/messages/wait");
    let waiting = Box::pin(futures::future::join_all((0..100).map(|_| harness.get(&path))));
    let Either::Right(((), waiting)) = select(waiting, Box::pin(until_waiting(&harness, 100))).await else {
        panic!("nothing has come")
    };
    // Everything else is answered meanwhile. They go on: one that stands still could have a reader that others need.
    let messages = harness.at("/messages");
    let Either::Right((answer, waiting)) = select(waiting, Box::pin(harness.get(&messages))).await else {
        panic!("nothing has come")
    };
    assert_eq!(answer.status, 200);
    drop(waiting);
    assert_eq!(harness.world.platform.waiting.waiting(), 0);
}

#[tokio::test]
async fn all_waiting_ends_when_the_server_stops() {
    let harness = Harness::new().await;
    let path = harness.at("/messages/wait");
    let (answer, ()) = futures::join!(harness.get(&path), async {
        until_waiting(&harness, 1).await;
        harness.world.platform.waiting.close();
    });
    assert!(subjects(&answer).is_empty());
    harness.get(&harness.at(&format!("/messages/wait?after={}", cursor(&answer)))).await.refuses(503, "stopping", None);
}

/// Many wait, each for its own subject; each gets its message and no other, while as many others come.
#[tokio::test]
async fn each_of_many_is_told_of_his_own() {
    let harness = Harness::new().await;
    let _telling = telling(&harness.world.platform);
    let paths: Vec<_> = (0..200).map(|number| harness.at(&format!("/messages/wait?subject=code-{number}-"))).collect();
    let waiting = futures::future::join_all(paths.iter().map(|path| harness.get(path)));
    let (answers, ()) = futures::join!(waiting, async {
        until_waiting(&harness, 200).await;
        for number in (0..200).rev() {
            comes(&harness, &format!("code-{number}-")).await;
        }
    });
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(subjects(answer), [format!("code-{number}-")]);
    }
}

/// With the cursor of each answer for the next request, whatever the pauses between them, while mail comes in.
#[tokio::test]
async fn nothing_is_missed_and_nothing_comes_twice_over_many_requests() {
    const MESSAGES: usize = 600;
    let harness = Harness::new().await;
    let _telling = telling(&harness.world.platform);
    let start = cursor(&harness.get(&harness.at("/messages/wait?timeout=0")).await);
    let writer = async {
        for number in 0..MESSAGES {
            comes(&harness, &format!("number {number}")).await;
            if number % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let reader = async {
        let (mut after, mut seen, mut requests) = (start, Vec::new(), 0);
        while seen.len() < MESSAGES {
            let limit = 1 + requests % 7;
            let path = harness.at(&format!("/messages/wait?limit={limit}&select=subject&after={after}"));
            let answer = harness.get(&path).await;
            seen.extend(subjects(&answer));
            after = cursor(&answer);
            requests += 1;
            for _ in 0..requests % 5 {
                tokio::task::yield_now().await;
            }
        }
        println!("{MESSAGES} messages in {requests} requests");
        seen
    };
    let ((), seen) = futures::join!(writer, reader);
    assert_eq!(seen.len(), MESSAGES);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), MESSAGES);
}

/// An event of a stream, as far as it says something.
#[derive(Debug, Default)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// A reader of server-sent events.
struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(harness: &Harness, rest: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(harness.at(&format!("/messages/stream{rest}")));
        request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response =
            harness.router().oneshot(request.body(Body::empty()).expect("request")).await.expect("infallible");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().expect("value"))
        );
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next block of lines, `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut event = Event::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => event.id = id.to_owned(),
                        Some(("event", name)) => event.name = name.to_owned(),
                        Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                        Some(("", _) | ("retry", _)) => {}
                        _ => panic!("no field of an event: {line:?}"),
                    }
                }
                self.text = rest.to_owned();
                return Some(event);
            }
            let piece = self.body.next().await?.expect("piece");
            self.text.push_str(str::from_utf8(&piece).expect("UTF-8"));
        }
    }
}

#[tokio::test]
async fn a_stream_tells_each_message_with_the_place_behind_it() {
    let harness = Harness::new().await;
    let _telling = telling(&harness.world.platform);
    let mut stream = Stream::open(&harness, "?subject=code&select=subject", None).await;
    let begin = stream.next().await.expect("a sign of life");
    assert!(begin.name.is_empty() && !begin.id.is_empty());
    comes(&harness, "code 1").await;
    comes(&harness, "other").await;
    comes(&harness, "code 2").await;
    let (one, two) = (stream.next().await.expect("event"), stream.next().await.expect("event"));
    for (event, subject) in [(&one, "code 1"), (&two, "code 2")] {
        assert_eq!((event.name.as_str(), &event.data["subject"]), ("message.created", &json!(subject)));
        assert_eq!(event.data.as_object().expect("object").len(), 4);
    }
    // Whoever comes back with the place of the first gets the second.
    drop(stream);
    assert_eq!(harness.world.platform.waiting.waiting(), 0);
    let mut again = Stream::open(&harness, "?subject=code&after=AAAAAAAAAAA", Some(&one.id)).await;
    again.next().await.expect("a sign of life");
    let repeated = again.next().await.expect("event");
    assert_eq!((&repeated.id, &repeated.data["subject"]), (&two.id, &json!("code 2")));
    assert!(repeated.data["body"].as_str().is_some_and(|body| body.contains("123456")));
}

#[tokio::test]
async fn a_stream_shows_signs_of_life_and_ends_after_an_hour() {
    let harness = Harness::new().await;
    let _telling = telling(&harness.world.platform);
    let mut stream = Stream::open(&harness, "", None).await;
    stream.next().await.expect("the first");
    let mut signs = 0;
    loop {
        let (event, ()) = futures::join!(stream.next(), async {
            harness.world.clock.until_sleeping(1).await;
            harness.world.advance(15);
        });
        let Some(event) = event else { break };
        assert!(event.name.is_empty() && !event.id.is_empty());
        signs += 1;
        if signs == 240 {
            assert!(stream.next().await.is_none());
            break;
        }
    }
    assert_eq!(signs, 240);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops_and_at_once_without_time() {
    let harness = Harness::new().await;
    comes(&harness, "there").await;
    let mut stream = Stream::open(&harness, "", None).await;
    stream.next().await.expect("the first");
    let (event, ()) = futures::join!(stream.next(), async {
        harness.world.clock.until_sleeping(1).await;
        harness.world.platform.waiting.close();
    });
    assert!(event.is_some_and(|event| event.name.is_empty()));
    assert!(stream.next().await.is_none());
    // One that only looks takes no place.
    let mut stream = Stream::open(&harness, "?timeout=0&after=AAAAAAAAAAA", None).await;
    stream.next().await.expect("the first");
    assert_eq!(stream.next().await.expect("event").data["subject"], "there");
    assert!(stream.next().await.is_none());
}

/// Cursors of other mailboxes, and of before the beginning, lead to what is one's own.
#[tokio::test]
async fn a_cursor_says_a_place_and_nothing_of_others() {
    let harness = Harness::new().await;
    let message = mail("agent@other.test", "theirs");
    harness.world.receive("ada@sender.test", "agent@other.test", message).await.expect("accepted");
    comes(&harness, "mine").await;
    let answer = harness.get(&harness.at("/messages/wait?timeout=0&after=AAAAAAAAAAA")).await;
    assert_eq!((subjects(&answer), ids(&answer).len()), (vec!["mine".to_owned()], 1));
    // A place behind the end is that of a log that was lost.
    let answer = harness.get(&harness.at("/messages/wait?timeout=0&after=f_________8")).await;
    assert!(subjects(&answer).is_empty());
    comes(&harness, "next").await;
    let answer = harness.get(&harness.at(&format!("/messages/wait?timeout=0&after={}", cursor(&answer)))).await;
    assert_eq!(subjects(&answer), ["next"]);
}
