//! `/v3/holds`, `/v3/grants/{grant}/holds`, and sends that are held.

mod mutations;

use crate::support::{Answer, Harness, assert_shape};
use crate::v3::grants::send_rules::{condition, last_record, put};
use crate::v3::grants::send_with_key::limited;
use crate::v3::grants::submission::submit;
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use postfleet_mailflow::holds::release_once;
use postfleet_mailflow::schedules;
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/holds",
    "GET /v3/grants/{grant}/holds/{hold}",
    "DELETE /v3/grants/{grant}/holds/{hold}",
    "GET /v3/holds",
    "GET /v3/holds/{hold}",
    "POST /v3/holds/{hold}/approve",
    "POST /v3/holds/{hold}/reject",
];

const HOLD: &str = "id:string grant_id:string message_id:string reason:string state:string is_draft:boolean \
    author:object editor:object? decided_by:object? decided_at:integer? note:string? approved_digest:string? expires_at:integer \
    created_at:integer closed_at:integer? review:object? refusal:object?";

fn letter(subject: &str) -> Value {
    json!({"to": [{"email": "ada@hold.test"}], "bcc": [{"email": "bob@sender.test"}], "subject": subject,
        "body": "<p>Hi</p>", "attachments": [{"filename": "a.txt", "content": "YQ=="}]})
}

/// A harness whose default workspace holds what goes to `hold.test`, and the key of somebody who decides.
pub(crate) async fn holding() -> (Harness, String) {
    let harness = Harness::new().await;
    let conditions = json!([condition("recipient.domain", "is", "hold.test")]);
    put(&harness, &harness.acme, conditions, json!([{"type": "hold"}, {"type": "mark_as_starred"}])).await;
    let boss = key(&harness, &["holds.*"]).await;
    (harness, boss)
}

async fn key(harness: &Harness, permissions: &[&str]) -> String {
    let path = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let body = json!({"name": "boss", "permissions": permissions});
    let made = harness.ask(&harness.acme.operator_key, "POST", &path, Some(&body)).await;
    made.is_ok().data()["api_key"].as_str().expect("key").to_owned()
}

async fn send(harness: &Harness, body: &Value) -> Answer {
    harness.world.advance(1);
    harness.post(&harness.at("/messages/send"), body).await
}

/// Sends what is held; answers the path of the hold.
async fn held(harness: &Harness, subject: &str) -> String {
    let answer = send(harness, &letter(subject)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    format!("/v3/holds/{}", answer.json["hold"]["id"].as_str().expect("id"))
}

async fn see(harness: &Harness, key: &str, hold: &str) -> Value {
    harness.ask(key, "GET", hold, None).await.is_ok().data().clone()
}

async fn approve(harness: &Harness, key: &str, hold: &str, digest: &Value) -> Answer {
    let body = json!({"digest": digest, "reason": "fine"});
    harness.ask(key, "POST", &format!("{hold}/approve"), Some(&body)).await
}

async fn sent(harness: &Harness) -> usize {
    harness.ids(&harness.at("/messages?in=sent")).await.len()
}

async fn on_quota(harness: &Harness, word: &str) {
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    let changed = harness.patch(&workspace, &json!({"on_quota": word})).await;
    assert_eq!(changed.is_ok().data()["on_quota"], word);
}

#[tokio::test]
async fn what_a_rule_holds_is_seen_whole_and_leaves_once_it_is_approved() {
    let (harness, boss) = holding().await;
    let answer = send(&harness, &letter("Plan")).await;
    assert_eq!(answer.status, 202);
    assert_shape(&answer.json["hold"], "id:string reason:string state:string expires_at:integer");
    assert_eq!((&answer.json["hold"]["reason"], &answer.data()["subject"]), (&json!("rule"), &json!("Plan")));
    assert_eq!((sent(&harness).await, harness.world.deliver_due().await), (0, 0));
    assert_eq!(last_record(&harness).await["applied_actions"], json!({"held": true, "marked_starred": true}));
    for path in ["/messages", "/drafts", "/threads"] {
        assert_eq!(harness.ids(&harness.at(path)).await, [""; 0], "{path}");
    }

    let path = format!("/v3/holds/{}", answer.json["hold"]["id"].as_str().expect("id"));
    let seen = see(&harness, &boss, &path).await;
    assert_shape(&seen, HOLD);
    let review = &seen["review"];
    assert_shape(review, "digest:string recipients:array message:object raw_mime:string");
    assert_eq!(review["recipients"], json!(["ada@hold.test", "bob@sender.test"]), "unseen ones, too");
    assert_eq!(review["message"]["attachments"][0]["filename"], "a.txt");
    let raw = URL_SAFE.decode(review["raw_mime"].as_str().expect("text")).expect("base64");
    let raw = String::from_utf8(raw).expect("text");
    assert!(raw.contains("Subject: Plan") && !raw.contains("bob@sender.test"), "{raw}");

    let own = approve(&harness, &harness.acme.api_key, &path, &review["digest"]).await;
    own.refuses(403, "own_hold", None);
    approve(&harness, &boss, &path, &json!("0".repeat(64))).await.refuses(409, "hold_changed", None);
    let weak = key(&harness, &["messages.*", "holds.read"]).await;
    approve(&harness, &weak, &path, &review["digest"]).await.refuses(403, "insufficient_scopes", None);
    assert_eq!(sent(&harness).await, 0);

    let approved = approve(&harness, &boss, &path, &review["digest"]).await;
    assert_shape(approved.is_ok().data(), HOLD);
    let data = approved.data();
    assert_eq!((&data["state"], &data["refusal"], &data["note"]), (&json!("released"), &Value::Null, &json!("fine")));
    assert_eq!(data["approved_digest"], review["digest"]);
    let message = harness.get(&harness.at(&format!("/messages/{}", answer.data()["id"].as_str().expect("id")))).await;
    assert_eq!((&message.is_ok().data()["subject"], &message.data()["starred"]), (&json!("Plan"), &json!(true)));
    assert_eq!(message.data()["folders"], json!(["sent"]));
    approve(&harness, &boss, &path, &review["digest"]).await.refuses(409, "hold_over", None);
    let records = harness.get(&format!("/v3/audit?target_id={}", data["id"].as_str().expect("id"))).await;
    let mut actions: Vec<_> =
        records.data().as_array().expect("list").iter().map(|one| one["action"].to_string()).collect();
    // They are of one moment, and in no order of their own.
    actions.sort();
    assert_eq!(actions, ["\"hold.approved\"", "\"hold.created\"", "\"hold.released\""]);
}

#[tokio::test]
async fn the_same_send_finds_its_hold_and_the_same_key_its_answer() {
    let (harness, boss) = holding().await;
    let first = send(&harness, &letter("Plan")).await;
    let again = send(&harness, &letter("Plan")).await;
    assert_eq!((again.status, &again.json["hold"]), (202, &first.json["hold"]));
    assert_eq!(again.data()["id"], first.data()["id"]);
    assert_ne!(send(&harness, &letter("Other")).await.json["hold"]["id"], first.json["hold"]["id"]);

    let keyed = async || {
        let request = Request::builder().method("POST").uri(harness.at("/messages/send"));
        let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
        let request = request.header("content-type", "application/json").header("idempotency-key", "k");
        harness.request(request.body(Body::from(letter("Keyed").to_string())).expect("request")).await
    };
    let one = keyed().await;
    assert_eq!(one.status, 202);
    let repeated = keyed().await;
    assert_eq!((repeated.status, &repeated.json["hold"]), (202, &one.json["hold"]));
    assert_eq!(repeated.header("idempotent-response"), Some("true"));
    let path = format!("/v3/holds/{}", one.json["hold"]["id"].as_str().expect("id"));
    let digest = see(&harness, &boss, &path).await["review"]["digest"].clone();
    approve(&harness, &boss, &path, &digest).await.is_ok();
    assert_eq!(keyed().await.json["hold"]["state"], "released", "it tells what became of it");
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn a_retry_spends_an_approval_that_is_not_spent_yet_and_nothing_else_does() {
    let new = NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") };
    let harness = Harness::with(new).await;
    on_quota(&harness, "approve").await;
    let boss = key(&harness, &["holds.*"]).await;
    send(&harness, &letter("First")).await.is_ok();
    let path = held(&harness, "Second").await;
    let seen = see(&harness, &boss, &path).await;
    assert_eq!(seen["reason"], "approval");
    let approved = approve(&harness, &boss, &path, &seen["review"]["digest"]).await;
    assert_eq!(approved.is_ok().data()["state"], "approved");
    assert_eq!(approved.data()["refusal"]["code"], "daily_quota_exceeded");
    assert_eq!(send(&harness, &letter("Second")).await.json["hold"]["state"], "approved", "there is no quota yet");

    harness.world.advance(86_400);
    // Another message does not leave by this approval: it takes the quota of the day itself.
    let retry = send(&harness, &letter("Second")).await;
    assert_eq!((retry.status, sent(&harness).await), (200, 2));
    assert_eq!(see(&harness, &boss, &path).await["state"], "released");
    release_once(&harness.world.platform).await.expect("round");
    assert_eq!(sent(&harness).await, 2, "spent once");
    assert_eq!(send(&harness, &letter("Third")).await.status, 202);
}

#[tokio::test]
async fn an_edit_of_a_draft_reopens_it() {
    let (harness, boss) = holding().await;
    let draft = harness.post(&harness.at("/drafts"), &letter("Plan")).await;
    let draft = harness.at(&format!("/drafts/{}", draft.is_ok().data()["id"].as_str().expect("id")));
    let send = async || harness.ask(&harness.acme.api_key, "POST", &draft, None).await;
    let answer = send().await;
    assert_eq!((answer.status, &answer.data()["object"]), (202, &json!("draft")));
    assert_eq!(send().await.json["hold"]["id"], answer.json["hold"]["id"]);
    let path = format!("/v3/holds/{}", answer.json["hold"]["id"].as_str().expect("id"));
    let before = see(&harness, &boss, &path).await;
    assert_eq!(before["is_draft"], true);
    for change in [json!({"subject": "Other"}), json!({"to": [{"email": "eve@hold.test"}]}), json!({"attachments": []})]
    {
        harness.world.advance(1);
        harness.put(&draft, &change).await.is_ok();
        approve(&harness, &boss, &path, &before["review"]["digest"]).await.refuses(409, "hold_changed", None);
    }
    let after = see(&harness, &boss, &path).await;
    assert_eq!(after["review"]["recipients"], json!(["eve@hold.test", "bob@sender.test"]));
    approve(&harness, &boss, &path, &after["review"]["digest"]).await.is_ok();
    assert_eq!(sent(&harness).await, 1);
    harness.get(&draft).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn other_rules_make_an_approval_of_something_else() {
    let (harness, boss) = holding().await;
    let path = held(&harness, "Plan").await;
    let before = see(&harness, &boss, &path).await["review"]["digest"].clone();
    let conditions = json!([condition("recipient.domain", "is", "nobody.test")]);
    put(&harness, &harness.acme, conditions, json!([{"type": "block"}])).await;
    approve(&harness, &boss, &path, &before).await.refuses(409, "hold_changed", None);
    let blocks = json!([condition("recipient.domain", "is", "hold.test")]);
    put(&harness, &harness.acme, blocks, json!([{"type": "block"}])).await;
    let digest = see(&harness, &boss, &path).await["review"]["digest"].clone();
    let approved = approve(&harness, &boss, &path, &digest).await;
    assert_eq!(approved.is_ok().data()["state"], "failed", "nobody approves what is forbidden");
    assert_eq!(approved.data()["refusal"]["code"], "blocked_by_rule");
    assert_eq!(sent(&harness).await, 0);
}

#[tokio::test]
async fn what_is_rejected_cancelled_or_too_late_does_not_leave() {
    let (harness, boss) = holding().await;
    let path = held(&harness, "Rejected").await;
    let reject = async |key: &str, path: &str, body: &Value| {
        harness.ask(key, "POST", &format!("{path}/reject"), Some(body)).await
    };
    reject(&harness.acme.api_key, &path, &json!({})).await.refuses(403, "own_hold", None);
    let long = json!({"reason": "x".repeat(1_001)});
    reject(&boss, &path, &long).await.refuses(400, "invalid_request", Some("reason"));
    let rejected = reject(&boss, &path, &json!({"reason": "no"})).await;
    assert_eq!((&rejected.is_ok().data()["state"], &rejected.data()["note"]), (&json!("rejected"), &json!("no")));
    reject(&boss, &path, &json!({})).await.refuses(409, "hold_over", None);

    let cancelled = held(&harness, "Cancelled").await;
    let own = harness.at(&format!("/holds/{}", &cancelled["/v3/holds/".len()..]));
    harness.delete(&own).await.is_ok();
    harness.delete(&own).await.is_ok();
    assert_eq!(harness.get(&own).await.data()["state"], "cancelled");
    harness.delete(&harness.at(&format!("/holds/{}", &path["/v3/holds/".len()..]))).await.refuses(
        409,
        "hold_over",
        None,
    );

    let late = held(&harness, "Late").await;
    let digest = see(&harness, &boss, &late).await["review"]["digest"].clone();
    harness.world.advance(72 * 3_600);
    approve(&harness, &boss, &late, &digest).await.refuses(409, "hold_over", None);
    release_once(&harness.world.platform).await.expect("round");
    assert_eq!(see(&harness, &boss, &late).await["state"], "expired");
    assert_eq!(sent(&harness).await, 0);
    let all = harness.ask(&boss, "GET", "/v3/holds", None).await;
    let states: Vec<_> = all.data().as_array().expect("list").iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["expired", "cancelled", "rejected"]);
    assert_eq!(harness.ask(&boss, "GET", "/v3/holds?open=true", None).await.data(), &json!([]));
    let page = harness.get(&harness.at("/holds?limit=1")).await;
    let next = page.json["next_cursor"].as_str().expect("cursor");
    assert_eq!(harness.ids(&harness.at(&format!("/holds?page_token={next}"))).await.len(), 2);
}

#[tokio::test]
async fn the_overflow_leaves_in_its_order_when_there_is_quota() {
    let new = NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") };
    let harness = Harness::with(new).await;
    for subject in ["a", "b"] {
        send(&harness, &letter(subject)).await.is_ok();
    }
    send(&harness, &letter("c")).await.refuses(429, "daily_quota_exceeded", None);
    harness.patch(&format!("/v3/workspaces/{}", harness.acme.workspace_id), &json!({"on_quota": "x"})).await.refuses(
        400,
        "invalid_request",
        Some("on_quota"),
    );
    on_quota(&harness, "hold").await;
    let mut paths = Vec::new();
    for subject in ["c", "d", "e"] {
        paths.push(held(&harness, subject).await);
    }
    let boss = key(&harness, &["holds.*"]).await;
    let digest = see(&harness, &boss, &paths[0]).await["review"]["digest"].clone();
    approve(&harness, &boss, &paths[0], &digest).await.refuses(409, "hold_needs_no_approval", None);
    release_once(&harness.world.platform).await.expect("round");
    harness.world.advance(61);
    let next = release_once(&harness.world.platform).await.expect("round").expect("one waits");
    assert!(next.since(harness.world.platform.clock.now()).as_secs() >= 60, "it is looked for from time to time");
    assert_eq!(sent(&harness).await, 2);

    harness.world.advance(86_400);
    release_once(&harness.world.platform).await.expect("round");
    let mut states = Vec::new();
    for path in &paths {
        states.push(see(&harness, &boss, path).await["state"].clone());
    }
    assert_eq!(states, ["released", "released", "waiting"]);
    assert_eq!(sent(&harness).await, 4);
    harness.world.advance(86_400);
    release_once(&harness.world.platform).await.expect("round");
    assert_eq!(sent(&harness).await, 5);
    assert_eq!(release_once(&harness.world.platform).await.expect("round"), None);
}

#[tokio::test]
async fn only_rules_about_what_is_sent_may_hold() {
    let harness = Harness::new().await;
    let rule = json!({"name": "r", "match": {"conditions": [condition("from.tld", "is", "test")]},
        "actions": [{"type": "hold"}]});
    harness.post("/v3/rules", &rule).await.refuses(400, "invalid_request", Some("actions"));
}

/// The content of a letter to somebody.
fn to(email: &str, subject: &str) -> Value {
    json!({"to": [{"email": email}], "subject": subject, "body": "Hi"})
}

#[tokio::test]
async fn what_may_not_be_sent_with_a_key_is_refused_and_not_held() {
    let (harness, boss) = holding().await;
    on_quota(&harness, "hold").await;
    let only = |domain: &str| json!({"recipient_domains": [domain], "new_recipients_per_day": 1});
    let (agent, path) = limited(&harness, only("hold.test")).await;
    let ask = async |key: &str, body: &Value| {
        harness.world.advance(1);
        harness.ask(key, "POST", &harness.at("/messages/send"), Some(body)).await
    };
    let both = json!({"to": [{"email": "ada@hold.test"}, {"email": "eve@other.test"}], "subject": "s"});
    ask(&agent, &both).await.refuses(403, "recipient_not_allowed", Some("to"));
    // Neither is it told of what waits for others.
    assert_eq!(ask(&harness.acme.api_key, &both).await.status, 202);
    ask(&agent, &both).await.refuses(403, "recipient_not_allowed", Some("to"));
    let two = json!({"to": [{"email": "ada@hold.test"}, {"email": "bea@hold.test"}], "subject": "s"});
    ask(&agent, &two).await.refuses(429, "new_recipients_exceeded", Some("to"));
    let held = ask(&agent, &to("ada@hold.test", "Plan")).await;
    assert_eq!(held.status, 202, "{held:?}");

    // What the key may do is asked again when it leaves.
    let hold = format!("/v3/holds/{}", held.json["hold"]["id"].as_str().expect("id"));
    let seen = see(&harness, &boss, &hold).await;
    let capabilities = json!({"capabilities": only("elsewhere.test")});
    harness.administer("PATCH", &path, Some(&capabilities)).await.is_ok();
    let approved = approve(&harness, &boss, &hold, &seen["review"]["digest"]).await;
    assert_eq!(approved.is_ok().data()["state"], "failed");
    assert_eq!(approved.data()["refusal"]["code"], "recipient_not_allowed");
    assert_eq!(sent(&harness).await, 0);
}

#[tokio::test]
async fn whoever_changes_a_draft_that_is_held_sends_it_and_does_not_decide() {
    let (harness, boss) = holding().await;
    let (agent, _) = limited(&harness, json!({"recipient_domains": ["hold.test"]})).await;
    let other = key(&harness, &["*"]).await;
    for (editor, change, code) in [
        (&other, json!({"subject": "Mine"}), None),
        (&agent, json!({"to": [{"email": "eve@hold.test"}], "bcc": []}), None),
        (
            &agent,
            json!({"to": [{"email": "ada@hold.test"}, {"email": "eve@other.test"}]}),
            Some("recipient_not_allowed"),
        ),
    ] {
        harness.world.advance(1);
        let draft = harness.post(&harness.at("/drafts"), &letter("Plan")).await;
        let draft = harness.at(&format!("/drafts/{}", draft.is_ok().data()["id"].as_str().expect("id")));
        let held = harness.ask(&harness.acme.api_key, "POST", &draft, None).await;
        let hold = format!("/v3/holds/{}", held.json["hold"]["id"].as_str().expect("id"));
        harness.ask(editor, "PUT", &draft, Some(&change)).await.is_ok();
        let seen = see(&harness, &boss, &hold).await;
        assert_ne!(seen["editor"]["id"], seen["author"]["id"]);
        let digest = &seen["review"]["digest"];
        for own in [editor, &harness.acme.api_key] {
            approve(&harness, own, &hold, digest).await.refuses(403, "own_hold", None);
        }
        let approved = approve(&harness, &boss, &hold, digest).await;
        assert_eq!(approved.is_ok().data()["refusal"]["code"].as_str(), code);
        assert_eq!(approved.data()["state"], if code.is_some() { "failed" } else { "released" });
    }
    assert_eq!(sent(&harness).await, 2);
}

#[tokio::test]
async fn a_raise_lets_what_waits_leave_at_once_and_explain_tells_of_it() {
    let harness =
        Harness::with(NewTenant { plan: "free", daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    on_quota(&harness, "hold").await;
    send(&harness, &letter("First")).await.is_ok();
    held(&harness, "Second").await;
    let explained = harness.get(&harness.at("/explain")).await;
    let explained = explained.is_ok().data();
    assert_eq!((&explained["held_for"], &explained["held_sends"]), (&json!("quota"), &json!(1)));
    assert_eq!((&explained["accepted"], &explained["past"]), (&json!(false), &json!([])));
    release_once(&harness.world.platform).await.expect("round");
    assert_eq!(sent(&harness).await, 1);

    let ends_at = harness.world.platform.clock.now().as_seconds() + 3_600;
    for path in [harness.at("/raises"), format!("/v3/workspaces/{}/raises", harness.acme.workspace_id)] {
        let value = 2 + i64::from(path.starts_with("/v3/workspaces"));
        let wanted = json!({"value": value, "ends_at": ends_at, "reason": "campaign"});
        let raise = harness.post(&path, &wanted).await;
        let approver = key(&harness, &["raises.decide"]).await;
        let grant = format!("/v3/raises/{}/grant", raise.is_ok().data()["id"].as_str().expect("id"));
        harness.ask(&approver, "POST", &grant, None).await.is_ok();
        // No time has passed.
        release_once(&harness.world.platform).await.expect("round");
        assert_eq!(sent(&harness).await as i64, value);
        held(&harness, &format!("after {value}")).await;
    }
}

#[tokio::test]
async fn who_scheduled_or_submitted_what_is_held_is_known() {
    let (harness, boss) = holding().await;
    let in_an_hour = harness.world.platform.clock.now().as_seconds() + 3_600;
    let body = json!({"to": [{"email": "ada@hold.test"}], "subject": "Later", "send_at": in_an_hour});
    assert_eq!(harness.post(&harness.at("/messages/send"), &body).await.status, 202);
    harness.world.advance(3_600);
    schedules::release_once(&harness.world.platform).await.expect("round");
    let raw = "From: agent@acme.test\r\nTo: ada@hold.test\r\nSubject: Client\r\n\r\nHi\r\n";
    submit(&harness, &["ada@hold.test"], raw).await.expect("held");
    let all = harness.ask(&boss, "GET", "/v3/holds", None).await;
    let authors: Vec<Value> = all.data().as_array().expect("list").iter().map(|one| one["author"].clone()).collect();
    assert_eq!(authors[0], json!({"kind": "access_token", "id": harness.agent}));
    assert_eq!(authors[1]["kind"], "api_key");
    let late = format!("/v3/holds/{}", all.data()[1]["id"].as_str().expect("id"));
    let digest = see(&harness, &boss, &late).await["review"]["digest"].clone();
    approve(&harness, &harness.acme.api_key, &late, &digest).await.refuses(403, "own_hold", None);
    approve(&harness, &boss, &late, &digest).await.is_ok();
    assert_eq!(sent(&harness).await, 1);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_not_held() {
    let (harness, _) = holding().await;
    let policy = harness.post("/v3/policies", &json!({"name": "full", "limits": {"limit_storage_total": 100}})).await;
    let policy = policy.is_ok().data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"policy_id": policy})).await.is_ok();
    send(&harness, &letter("Plan")).await.refuses(403, "storage_full", None);
    assert_eq!(harness.ids(&harness.at("/holds")).await, [""; 0]);
}
