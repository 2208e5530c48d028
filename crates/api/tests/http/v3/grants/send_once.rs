//! `POST /v3/grants/{grant}/messages/send`, more than once: under an `Idempotency-Key`, and without one.

use super::send_form::Form;
use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use postfleet_core::id::GrantId;
use postfleet_mailflow::janitor;
use postfleet_mailflow::schedules::release_once;
use postfleet_mailflow::submit::once::Fingerprint;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// Seconds for which answers are kept.
const DAY: u64 = 86_400;

fn letter(subject: &str) -> Value {
    json!({"to": [{"email": "ada@sender.test"}], "subject": subject, "body": "<p>Hi</p>"})
}

/// Sends to a path of the mailbox, with header fields.
async fn post(harness: &Harness, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let request = Request::post(harness.at(path)).header("authorization", format!("Bearer {}", harness.acme.api_key));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    harness.request(request.body(body.into()).expect("request")).await
}

async fn send(harness: &Harness, key: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    post(harness, "/messages/send", &headers, body.to_string()).await
}

async fn plain(harness: &Harness, body: &Value) -> Answer {
    harness.post(&harness.at("/messages/send"), body).await
}

fn form(form: Form) -> (&'static [(&'static str, &'static str)], Vec<u8>) {
    (&[("content-type", "multipart/form-data; boundary=edge"), ("idempotency-key", "k")], form.end())
}

async fn sent(harness: &Harness) -> usize {
    harness.ids(&harness.at("/messages?in=sent&limit=200")).await.len()
}

#[track_caller]
fn replays(first: &Answer, again: &Answer) {
    assert_eq!((again.status, &again.octets), (first.status, &first.octets));
    assert_eq!((first.header("idempotent-response"), again.header("idempotent-response")), (None, Some("true")));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"), "each request has its id");
}

/// With a window of two minutes.
async fn guarded() -> Harness {
    let options = WorldOptions { repeat_window: Duration::from_secs(120), ..WorldOptions::default() };
    Harness::in_world(World::with(options).await, NewTenant { daily_sends_max: Some(3), ..NewTenant::of("acme.test") })
        .await
}

#[track_caller]
fn repeats(first: &Answer, again: &Answer) {
    let id = first.data()["id"].as_str().expect("id");
    assert_eq!((again.status, again.header("duplicate-of"), &again.json["duplicate"]), (200, Some(id), &json!(true)));
    assert_eq!(again.data(), first.data());
    assert_eq!((first.header("duplicate-of"), &first.json["duplicate"]), (None, &json!(false)));
}

#[tokio::test]
async fn a_repeat_under_a_key_is_answered_as_the_first_was() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let first = send(&harness, "k", &letter("One")).await;
    assert_eq!(first.status, 200, "{first:?}");
    harness.world.advance(DAY - 1);
    replays(&first, &send(&harness, "k", &letter("One")).await);
    // What stands in another order, or is not there in another way, is the same.
    let same = r#"{"cc": null, "bcc": [], "body": "<p>Hi</p>", "unknown": 1, "subject": "One",
        "to": [{"email": "ada@sender.test"}]}"#;
    let same: Value = serde_json::from_str(same).expect("JSON");
    replays(&first, &send(&harness, "k", &same).await);
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn a_repeat_is_answered_by_a_node_that_was_started_anew() {
    let harness = Harness::new().await;
    let first = send(&harness, "k", &letter("One")).await;
    let refused = send(&harness, "r", &letter("\u{1}")).await;
    let harness = harness.restarted().await;
    replays(&first, &send(&harness, "k", &letter("One")).await);
    replays(&refused, &send(&harness, "r", &letter("\u{1}")).await);
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn a_replay_shows_the_message_as_it_was_sent() {
    let harness = Harness::new().await;
    let fields = "/messages/send?fields=include_headers";
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let first = post(&harness, fields, &headers, letter("One").to_string()).await;
    assert!(first.data()["headers"].is_array());
    replays(&first, &post(&harness, fields, &headers, letter("One").to_string()).await);
    // Another answer is asked for, so it is another request.
    send(&harness, "k", &letter("One")).await.refuses(409, "invalid_idempotent_request", None);
}

#[tokio::test]
async fn a_send_that_waits_waits_once_under_its_key() {
    let harness = Harness::new().await;
    let mut letter = letter("Later");
    letter["send_at"] = json!(harness.world.platform.clock.now().as_seconds() + 3_600);
    let first = send(&harness, "k", &letter).await;
    assert_eq!((first.status, &first.json["duplicate"]), (202, &json!(false)), "{first:?}");
    replays(&first, &send(&harness, "k", &letter).await);
    let harness = harness.restarted().await;
    replays(&first, &send(&harness, "k", &letter).await);
    let schedules = harness.get(&harness.at("/messages/schedules")).await;
    assert_eq!(schedules.is_ok().data().as_array().map(Vec::len), Some(1));
    harness.world.advance(3_600);
    release_once(&harness.world.platform).await.expect("round");
    replays(&first, &send(&harness, "k", &letter).await);
    assert_eq!(sent(&harness).await, 1);
    letter["use_draft"] = json!(true);
    send(&harness, "k", &letter).await.refuses(409, "invalid_idempotent_request", None);
}

#[tokio::test]
async fn a_draft_is_sent_once_under_its_key_and_says_who_does_not_get_it() {
    let harness = Harness::new().await;
    let letter = to_one_of_two(&harness).await;
    let draft = harness.post(&harness.at("/drafts"), &letter).await;
    let path = format!("/drafts/{}", draft.is_ok().data()["id"].as_str().expect("id"));
    let first = post(&harness, &path, &[("idempotency-key", "k")], "").await;
    let left_out = json!([{"email": "gone@sender.test", "reason": "hard_bounce"}]);
    assert_eq!(first.is_ok().data()["suppressed_recipients"], left_out);
    assert_eq!(first.data()["id"], draft.data()["id"]);
    replays(&first, &post(&harness, &path, &[("idempotency-key", "k")], "").await);
    post(&harness, &path, &[], "").await.refuses(409, "draft_already_sent", None);
    // One that is to leave later waits once.
    let mut letter = letter;
    letter["send_at"] = json!(harness.world.platform.clock.now().as_seconds() + 3_600);
    let draft = harness.post(&harness.at("/drafts"), &letter).await;
    let path = format!("/drafts/{}", draft.is_ok().data()["id"].as_str().expect("id"));
    let first = post(&harness, &path, &[("idempotency-key", "later")], "").await;
    assert_eq!(first.status, 202, "{first:?}");
    replays(&first, &post(&harness, &path, &[("idempotency-key", "later")], "").await);
    post(&harness, &path, &[], "").await.refuses(409, "draft_scheduled", None);
}

#[tokio::test]
async fn a_draft_that_nobody_would_get_stays_a_draft() {
    let harness = Harness::new().await;
    harness.post("/v3/suppressions", &json!({"address": "ada@sender.test"})).await.is_ok();
    let draft = harness.post(&harness.at("/drafts"), &letter("One")).await;
    let path = format!("/drafts/{}", draft.is_ok().data()["id"].as_str().expect("id"));
    post(&harness, &path, &[], "").await.refuses(400, "all_recipients_suppressed", Some("to"));
    assert_eq!(harness.get(&harness.at(&path)).await.data(), draft.data());
    harness.delete("/v3/suppressions/ada@sender.test").await.is_ok();
    post(&harness, &path, &[], "").await.is_ok();
    assert_eq!(sent(&harness).await, 1);
}

/// A letter to somebody who gets it and somebody who is suppressed.
async fn to_one_of_two(harness: &Harness) -> Value {
    harness.post("/v3/suppressions", &json!({"address": "gone@sender.test", "reason": "hard_bounce"})).await.is_ok();
    let mut letter = letter("One");
    letter["to"] = json!([{"email": "ada@sender.test"}, {"email": "gone@sender.test"}]);
    letter
}

#[tokio::test]
async fn a_repeat_says_who_did_not_get_the_first() {
    let harness = guarded().await;
    let letter = to_one_of_two(&harness).await;
    let (keyed, first) = (send(&harness, "k", &letter).await, plain(&harness, &letter).await);
    let left_out = json!([{"email": "gone@sender.test", "reason": "hard_bounce"}]);
    assert_eq!(keyed.is_ok().data()["suppressed_recipients"], left_out);
    harness.delete("/v3/suppressions/gone@sender.test").await.is_ok();
    replays(&keyed, &send(&harness, "k", &letter).await);
    repeats(&keyed, &plain(&harness, &letter).await);
    assert_eq!(
        (first.data(), sent(&harness).await),
        (keyed.data(), 1),
        "the window holds after a send under a key, too"
    );
}

#[tokio::test]
async fn a_refusal_because_nobody_is_left_is_kept_under_its_key() {
    let harness = Harness::new().await;
    harness.post("/v3/suppressions", &json!({"address": "ada@sender.test"})).await.is_ok();
    let first = send(&harness, "k", &letter("One")).await;
    first.refuses(400, "all_recipients_suppressed", Some("to"));
    harness.delete("/v3/suppressions/ada@sender.test").await.is_ok();
    replays(&first, &send(&harness, "k", &letter("One")).await);
    send(&harness, "other", &letter("One")).await.is_ok();
}

#[tokio::test]
async fn a_link_to_unsubscribe_makes_no_other_message_of_the_same() {
    let harness = guarded().await;
    let mut letter = letter("News");
    let without = plain(&harness, &letter).await;
    letter["list_unsubscribe"] = json!(true);
    let first = plain(&harness, &letter).await;
    assert_eq!(
        (first.is_ok().json["duplicate"].clone(), without.data()["id"] == first.data()["id"]),
        (json!(false), false)
    );
    repeats(&first, &plain(&harness, &letter).await);
    assert_eq!(sent(&harness).await, 2);
}

#[tokio::test]
async fn a_form_is_the_same_whatever_its_boundary() {
    let harness = Harness::new().await;
    let head = "Content-Disposition: form-data; name=\"message\"";
    let file = "Content-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\nContent-Type: text/plain";
    let parts = |file_octets: &[u8]| {
        form(Form::default().part(head, letter("One").to_string().as_bytes()).part(file, file_octets))
    };
    let (headers, body) = parts(b"abc");
    let first = post(&harness, "/messages/send", headers, body.clone()).await;
    assert_eq!(first.status, 200, "{first:?}");
    let other = String::from_utf8(body).expect("text").replace("--edge", "--line");
    let headers = [("content-type", "multipart/form-data; boundary=line"), ("idempotency-key", "k")];
    replays(&first, &post(&harness, "/messages/send", &headers, other).await);
    // The same as JSON, with the file in base64.
    let mut json = letter("One");
    json["attachments"] = json!([{"filename": "a.txt", "content_type": "text/plain", "content": "YWJj"}]);
    replays(&first, &send(&harness, "k", &json).await);
    let (headers, body) = parts(b"abd");
    let other = post(&harness, "/messages/send", headers, body).await;
    other.refuses(409, "invalid_idempotent_request", None);
}

#[tokio::test]
async fn raw_mime_is_sent_once_under_a_key() {
    let harness = Harness::new().await;
    let mime = |text: &str| {
        let head = "Content-Disposition: form-data; name=\"mime\"";
        let mime = format!("From: agent@acme.test\r\nTo: ada@sender.test\r\nSubject: A\r\n\r\n{text}\r\n");
        form(Form::default().part(head, mime.as_bytes()))
    };
    let (headers, body) = mime("Hi");
    let first = post(&harness, "/messages/send?type=mime", headers, body.clone()).await;
    assert_eq!(first.status, 200, "{first:?}");
    replays(&first, &post(&harness, "/messages/send?type=mime", headers, body).await);
    let (headers, body) = mime("Ho");
    let other = post(&harness, "/messages/send?type=mime", headers, body).await;
    other.refuses(409, "invalid_idempotent_request", None);
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_a_conflict_of_a_fixed_kind() {
    let harness = Harness::new().await;
    assert_eq!(send(&harness, "k", &letter("One")).await.status, 200);
    let other = send(&harness, "k", &letter("Two")).await;
    other.refuses(409, "invalid_idempotent_request", None);
    assert_eq!(other.json["error"]["type"], "api.invalid_idempotent_request");
    let text = "The Idempotency-Key was reused with a different request payload. Use a different key, or match the \
                original payload.";
    assert_eq!((&other.json["error"]["message"], &other.json["error"]["retryable"]), (&json!(text), &json!(false)));
    // Another mailbox has its own keys.
    let path = format!("/v3/grants/{}/messages/send", harness.stranger);
    let request = Request::post(path).header("authorization", format!("Bearer {}", harness.other.api_key));
    let request = request.header("content-type", "application/json").header("idempotency-key", "k");
    let answer = harness.request(request.body(Body::from(letter("Two").to_string())).expect("request")).await;
    assert_eq!((answer.status, answer.header("idempotent-response")), (200, None));
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn a_request_under_way_is_a_conflict_of_a_fixed_kind() {
    let harness = Harness::new().await;
    let grant: GrantId = harness.agent.parse().expect("id");
    let mut key = Fingerprint::default();
    key.add("k");
    // As while another request under the key is carried out.
    let turn = harness.world.platform.underway.begin(grant.uuid(), key.finish()).expect("free");
    let refused = send(&harness, "k", &letter("One")).await;
    refused.refuses(409, "concurrent_idempotent_request", None);
    assert_eq!(refused.json["error"]["type"], "api.concurrent_idempotent_request");
    let text = "A request with the same Idempotency-Key is currently in progress. Wait a moment and retry with the same \
                key.";
    assert_eq!((&refused.json["error"]["message"], &refused.json["error"]["retryable"]), (&json!(text), &json!(true)));
    assert_eq!(send(&harness, "other", &letter("Two")).await.status, 200);
    drop(turn);
    let first = send(&harness, "k", &letter("One")).await;
    assert_eq!((first.status, first.header("idempotent-response")), (200, None), "the refusal is not kept");
    assert_eq!(sent(&harness).await, 2);
}

#[tokio::test]
async fn of_many_requests_at_once_under_one_key_one_sends() {
    let harness = Harness::new().await;
    let letter = letter("One");
    let answers = join_all((0..16).map(|_| send(&harness, "k", &letter))).await;
    let accepted: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(accepted.iter().filter(|answer| answer.header("idempotent-response").is_none()).count(), 1);
    assert!(accepted.iter().all(|answer| answer.octets == accepted[0].octets));
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused.refuses(409, "concurrent_idempotent_request", None);
    }
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_anything_is_sent() {
    let harness = Harness::new().await;
    for key in ["", &"k".repeat(257)] {
        let answer = send(&harness, key, &letter("One")).await;
        answer.refuses(400, "invalid_idempotency_key", Some("Idempotency-Key"));
        assert_eq!(answer.json["error"]["type"], "api.invalid_idempotency_key");
        assert_eq!(answer.json["error"]["message"], "Idempotency-Key must be 256 characters or fewer.");
    }
    let twice = [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = post(&harness, "/messages/send", &twice, letter("One").to_string()).await;
    answer.refuses(400, "invalid_idempotency_key", Some("Idempotency-Key"));
    assert_eq!(sent(&harness).await, 0);
    assert_eq!(send(&harness, &"k".repeat(256), &letter("One")).await.status, 200);
}

#[tokio::test]
async fn a_refusal_that_stays_is_kept_and_one_that_passes_is_not() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let refused = send(&harness, "bad", &letter("\u{1}")).await;
    refused.refuses(400, "invalid_request", Some("subject"));
    replays(&refused, &send(&harness, "bad", &letter("\u{1}")).await);
    send(&harness, "bad", &letter("One")).await.refuses(409, "invalid_idempotent_request", None);
    let mut unknown = letter("One");
    unknown["reply_to_message_id"] = json!("nothing");
    let refused = send(&harness, "unknown", &unknown).await;
    refused.refuses(400, "invalid_request", Some("reply_to_message_id"));
    replays(&refused, &send(&harness, "unknown", &unknown).await);

    assert_eq!(send(&harness, "first", &letter("One")).await.status, 200);
    let full = send(&harness, "second", &letter("Two")).await;
    full.refuses(429, "daily_quota_exceeded", None);
    let again = send(&harness, "second", &letter("Two")).await;
    assert_eq!((again.status, again.header("idempotent-response")), (429, None));
    harness.world.advance(DAY - 3_600);
    let later = send(&harness, "second", &letter("Two")).await;
    assert_eq!((later.status, later.header("idempotent-response")), (200, None), "the quota is whole again");
    assert_eq!(sent(&harness).await, 2);
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() {
    let harness = Harness::new().await;
    let first = send(&harness, "k", &letter("One")).await;
    let refused = send(&harness, "bad", &letter("\u{1}")).await;
    harness.world.advance(DAY);
    let later = send(&harness, "k", &letter("Two")).await;
    assert_eq!((later.status, later.header("idempotent-response")), (200, None), "what is over may still be stored");
    assert_ne!(later.data()["id"], first.data()["id"]);
    replays(&later, &send(&harness, "k", &letter("Two")).await);
    let later = send(&harness, "bad", &letter("\u{1}")).await;
    assert_eq!((later.status, later.header("idempotent-response")), (refused.status, None));

    harness.world.advance(DAY);
    janitor::clean_once(&harness.world.platform).await.expect("cleaned");
    assert_eq!(send(&harness, "k", &letter("Three")).await.header("idempotent-response"), None);
    assert_eq!(sent(&harness).await, 3);
}

#[tokio::test]
async fn the_same_message_is_not_sent_again_within_the_window() {
    let harness = guarded().await;
    let first = plain(&harness, &letter("One")).await;
    assert_eq!(first.header("ratelimit-remaining"), Some("2"));
    harness.world.advance(119);
    let again = plain(&harness, &letter("One")).await;
    repeats(&first, &again);
    assert_eq!(again.header("ratelimit-remaining"), Some("2"), "nothing is taken");
    let mut copied = letter("One");
    copied["cc"] = json!([{"email": "bob@sender.test"}]);
    assert_eq!(plain(&harness, &copied).await.json["duplicate"], false, "to others");
    harness.world.advance(1);
    assert_eq!(plain(&harness, &letter("One")).await.json["duplicate"], false, "later");
    // With nothing left of the quota a repeat is still answered, and nothing else is sent.
    assert_eq!(plain(&harness, &letter("One")).await.json["duplicate"], true);
    plain(&harness, &letter("Two")).await.refuses(429, "daily_quota_exceeded", None);
    assert_eq!(sent(&harness).await, 3);
}

#[tokio::test]
async fn whoever_means_it_sends_the_same_again() {
    let harness = guarded().await;
    let first = plain(&harness, &letter("One")).await;
    let mut meant = letter("One");
    meant["allow_duplicate"] = json!(true);
    let second = plain(&harness, &meant).await;
    assert_eq!((second.status, &second.json["duplicate"]), (200, &json!(false)));
    assert_ne!(second.data()["id"], first.data()["id"]);
    // Later repeats are those of the last one.
    repeats(&second, &plain(&harness, &letter("One")).await);
    let keyed = send(&harness, "k", &letter("One")).await;
    assert_eq!((keyed.status, &keyed.json["duplicate"]), (200, &json!(false)));
    repeats(&keyed, &plain(&harness, &letter("One")).await);
    assert_eq!(sent(&harness).await, 3);
}

#[tokio::test]
async fn raw_mime_is_not_sent_again_within_the_window() {
    let harness = guarded().await;
    let mime = async |query: &str, id: &str| {
        let head = "Content-Disposition: form-data; name=\"mime\"";
        let mime =
            format!("From: agent@acme.test\r\nTo: ada@sender.test\r\nMessage-ID: <{id}@acme.test>\r\n\r\nHi\r\n");
        let headers = [("content-type", "multipart/form-data; boundary=edge")];
        post(
            &harness,
            &format!("/messages/send?type=mime{query}"),
            &headers,
            Form::default().part(head, mime.as_bytes()).end(),
        )
        .await
    };
    let first = mime("", "1").await;
    repeats(&first, &mime("", "2").await);
    assert_eq!(mime("&allow_duplicate=true", "3").await.json["duplicate"], false);
    mime("&allow_duplicate=maybe", "4").await.refuses(400, "invalid_request", Some("allow_duplicate"));
    assert_eq!(sent(&harness).await, 2);
}

#[tokio::test]
async fn a_repeat_of_a_message_whose_copy_is_gone_names_it() {
    let harness = guarded().await;
    let keyed = send(&harness, "k", &letter("One")).await;
    harness.world.platform.store.run(Unlist).await.expect("removed");
    let again = plain(&harness, &letter("One")).await;
    assert_eq!((again.status, &again.data()["id"]), (200, &keyed.data()["id"]));
    assert_eq!((&again.data()["thread_id"], &again.data()["subject"]), (&keyed.data()["thread_id"], &json!("")));
    let again = send(&harness, "k", &letter("One")).await;
    assert_eq!((again.status, again.header("idempotent-response")), (200, Some("true")));
    assert_eq!(again.data()["id"], keyed.data()["id"]);
}

/// Takes every message away, as what will remove single messages does.
#[derive(Clone, Debug)]
struct Unlist;

impl postfleet_store::Command for Unlist {
    type Outcome = u64;

    async fn run(&self, tx: &mut postfleet_store::Tx) -> Result<u64, postfleet_store::db::DbError> {
        tx.execute("DELETE FROM messages", &[]).await
    }
}
