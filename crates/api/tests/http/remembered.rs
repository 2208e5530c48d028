//! What a node remembers of keys and mailboxes is never longer true than they are: whoever has the answer to a change meets what is
//! so since then, at the very next request and beside any number of others.

use crate::support::{Harness, engines};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tower::ServiceExt;

/// Rounds of one race: enough that somebody reads between a commit and its answer.
const ROUNDS: usize = 30;

/// Tasks that ask all the time.
const ASKERS: usize = 4;

async fn make_key(harness: &Harness, body: &Value) -> (String, String) {
    let all = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let made = harness.administer("POST", &all, Some(body)).await;
    let text = |field: &str| made.is_ok().data()[field].as_str().expect("text").to_owned();
    (text("api_key"), format!("{all}/{}", text("id")))
}

async fn make_mailbox(harness: &Harness, name: &str) -> String {
    let body = json!({"provider": "nylas", "settings": {"email": format!("{name}@acme.test")}});
    let made = harness.post("/v3/connect/custom", &body).await;
    made.is_ok().data()["id"].as_str().expect("id").to_owned()
}

#[tokio::test]
async fn a_change_of_a_key_counts_from_the_next_request_on() {
    for (engine, harness) in engines().await {
        let messages = harness.at("/messages");
        let (key, path) = make_key(&harness, &json!({"name": "second"})).await;
        let asks = async || harness.ask(&key, "GET", &messages, None).await.status;
        for _ in 0..3 {
            assert_eq!(asks().await, 200, "{engine}");
        }
        let narrow = json!({"permissions": ["webhooks.read"]});
        harness.administer("PATCH", &path, Some(&narrow)).await.is_ok();
        assert_eq!((asks().await, asks().await), (403, 403), "{engine}: it may not read messages any more");
        let wide = json!({"permissions": ["messages.read"]});
        harness.administer("PATCH", &path, Some(&wide)).await.is_ok();
        assert_eq!((asks().await, asks().await), (200, 200), "{engine}");

        let rotated = harness.administer("POST", &format!("{path}/rotate"), Some(&json!({"overlap_seconds": 0}))).await;
        let next = rotated.is_ok().data()["api_key"].as_str().expect("key").to_owned();
        assert_eq!(asks().await, 401, "{engine}: the secret before");
        let asks = async || harness.ask(&next, "GET", &messages, None).await.status;
        assert_eq!((asks().await, asks().await), (200, 200), "{engine}: the secret after");
        harness.administer("DELETE", &path, None).await.is_ok();
        assert_eq!((asks().await, asks().await), (401, 401), "{engine}: revoked");
    }
}

#[tokio::test]
async fn a_key_ends_in_time_though_nobody_changes_it() {
    let harness = Harness::new().await;
    let (key, _) = make_key(&harness, &json!({"name": "short", "expires_in": 1})).await;
    let asks = async || harness.ask(&key, "GET", &harness.at("/messages"), None).await.status;
    assert_eq!((asks().await, asks().await), (200, 200));
    harness.world.advance(86_400);
    assert_eq!(asks().await, 401);
}

#[tokio::test]
async fn a_mailbox_is_there_for_its_application_alone_and_gone_once_it_is_removed() {
    for (engine, harness) in engines().await {
        let grant = make_mailbox(&harness, "second").await;
        let path = format!("/v3/grants/{grant}/messages");
        let stranger = harness.other.api_key.as_str();
        assert_eq!(harness.ask(stranger, "GET", &path, None).await.status, 404, "{engine}");
        for _ in 0..3 {
            assert_eq!(harness.get(&path).await.status, 200, "{engine}");
            assert_eq!(harness.ask(stranger, "GET", &path, None).await.status, 404, "{engine}: known, but not theirs");
        }
        // Others that come and change take nothing away.
        make_mailbox(&harness, "third").await;
        harness.patch(&harness.at(""), &json!({"name": "Agent"})).await.is_ok();
        assert_eq!(harness.get(&path).await.status, 200, "{engine}");
        harness.delete(&format!("/v3/grants/{grant}")).await.is_ok();
        assert_eq!(harness.get(&path).await.status, 404, "{engine}: removed");
        assert_eq!(harness.get(&path).await.status, 404, "{engine}");
    }
}

/// Asks all the time. A request that begins after `answered` must get the status `after`; answers how many were made.
fn ask_until(
    router: Router,
    (key, path, after): (String, String, u16),
    answered: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut left = 3;
        while left > 0 {
            let is_over = answered.load(Ordering::SeqCst);
            let request = Request::builder().uri(&path).header("authorization", format!("Bearer {key}"));
            let response = router.clone().oneshot(request.body(Body::empty()).expect("request")).await;
            let status = response.expect("infallible").status().as_u16();
            assert!(status == 200 || status == after, "{status}");
            assert!(!is_over || status == after, "{path}: it was answered before, and still it is {status}");
            asked.fetch_add(1, Ordering::SeqCst);
            left -= usize::from(is_over);
            // What is remembered is answered without waiting for anything: others must have a turn.
            tokio::task::yield_now().await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_meets_what_was_before_a_change_that_was_answered() {
    for (engine, harness) in engines().await {
        for round in 0..ROUNDS {
            let (key, key_path) = make_key(&harness, &json!({"name": "short"})).await;
            // In turns: the key is revoked, the mailbox is removed.
            let (grant, watched, after) = match round % 2 {
                0 => (harness.agent.clone(), key, 401),
                _ => (make_mailbox(&harness, &format!("racer{round}")).await, harness.acme.api_key.clone(), 404),
            };
            let messages = format!("/v3/grants/{grant}/messages");
            let (answered, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let askers: Vec<_> = (0..ASKERS)
                .map(|_| {
                    let wanted = (watched.clone(), messages.clone(), after);
                    ask_until(harness.router(), wanted, answered.clone(), asked.clone())
                })
                .collect();
            while asked.load(Ordering::SeqCst) < 2 * ASKERS {
                tokio::task::yield_now().await;
            }
            match after {
                401 => harness.administer("DELETE", &key_path, None).await,
                _ => harness.delete(&format!("/v3/grants/{grant}")).await,
            }
            .is_ok();
            answered.store(true, Ordering::SeqCst);
            for asker in askers {
                asker.await.unwrap_or_else(|error| panic!("{engine}, round {round}: {error}"));
            }
        }
    }
}
