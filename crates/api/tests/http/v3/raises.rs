//! `/v3/raises`, `/v3/grants/{grant}/raises` and `/v3/workspaces/{workspace}/raises`.

use crate::support::{Answer, Harness, NOBODY, assert_shape, echo};
use crate::v3::connect::SignIn;
use postfleet_mailflow::webhooks;
use postfleet_testkit::http::FakeHttp;
use postfleet_testkit::world::{BEGINNING, NewTenant};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/raises",
    "GET /v3/raises/{raise}",
    "POST /v3/raises/{raise}/grant",
    "POST /v3/raises/{raise}/refuse",
    "POST /v3/raises/{raise}/withdraw",
    "GET /v3/grants/{grant}/raises",
    "POST /v3/grants/{grant}/raises",
    "POST /v3/workspaces/{workspace}/raises",
];

const RAISE: &str = "id:string grant_id:string? workspace_id:string? limit_name:string value:integer starts_at:integer \
    ends_at:integer state:string is_in_force:boolean reason:string requested_by:object decided_by:object? \
    decided_at:integer? note:string? created_at:integer";

async fn limited(daily: u64) -> Harness {
    Harness::with(NewTenant { plan: "free", daily_sends_max: Some(daily), ..NewTenant::of("acme.test") }).await
}

/// Another key of the application.
async fn key(harness: &Harness, permissions: &[&str]) -> String {
    let path = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let body = json!({"name": "approver", "permissions": permissions});
    let made = harness.ask(&harness.acme.operator_key, "POST", &path, Some(&body)).await;
    made.is_ok().data()["api_key"].as_str().expect("key").to_owned()
}

fn wanted(value: u64, seconds: i64) -> Value {
    json!({"value": value, "ends_at": BEGINNING.as_seconds() + seconds, "reason": "a planned campaign"})
}

async fn request(harness: &Harness, value: u64, seconds: i64) -> String {
    let answer = harness.post(&harness.at("/raises"), &wanted(value, seconds)).await;
    answer.is_ok().data()["id"].as_str().expect("id").to_owned()
}

async fn send(harness: &Harness) -> Answer {
    // One a second leaves as the plan allows.
    harness.world.advance(1);
    harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": "ada@sender.test"}], "subject": "s"})).await
}

#[tokio::test]
async fn a_raise_is_asked_for_granted_by_another_key_and_returns_by_itself() {
    let harness = limited(1).await;
    let approver = key(&harness, &["raises.decide"]).await;
    send(&harness).await.is_ok();
    send(&harness).await.refuses(429, "daily_quota_exceeded", None);
    let asked = harness.post(&harness.at("/raises"), &wanted(2, 60)).await;
    let raise = asked.is_ok().data();
    assert_shape(raise, RAISE);
    assert_eq!((&raise["state"], &raise["is_in_force"]), (&json!("requested"), &json!(false)));
    assert_eq!((&raise["grant_id"], &raise["workspace_id"]), (&json!(harness.agent), &Value::Null));
    let id = raise["id"].as_str().expect("id");
    send(&harness).await.refuses(429, "daily_quota_exceeded", None);
    let grant = format!("/v3/raises/{id}/grant");
    harness.post(&grant, &json!({})).await.refuses(403, "own_raise", None);
    let granted = harness.ask(&approver, "POST", &grant, Some(&json!({"note": "fine"}))).await;
    assert_shape(granted.is_ok().data(), RAISE);
    assert_eq!((&granted.data()["state"], &granted.data()["is_in_force"]), (&json!("granted"), &json!(true)));
    assert_eq!((&granted.data()["note"], &granted.data()["decided_by"]["name"]), (&json!("fine"), &json!("approver")));
    harness.ask(&approver, "POST", &grant, None).await.refuses(409, "raise_closed", None);

    let limits = harness.get(&harness.at("/limits")).await;
    let sends = &limits.is_ok().data()["limits"]["limit_count_daily_email_sent"];
    assert_eq!(sends, &json!({"value": 2, "source": "raise"}));
    let ends_at = BEGINNING.as_seconds() + 60;
    assert_eq!(limits.data()["raise"], json!({"id": id, "value": 2, "ends_at": ends_at}));
    send(&harness).await.is_ok();
    send(&harness).await.refuses(429, "daily_quota_exceeded", None);

    harness.world.advance(60);
    let limits = harness.get(&harness.at("/limits")).await;
    assert_eq!(limits.data()["limits"]["limit_count_daily_email_sent"], json!({"value": 1, "source": "policy"}));
    assert_eq!(limits.data()["raise"], Value::Null);
    let over = harness.get(&format!("/v3/raises/{id}")).await;
    assert_eq!((&over.data()["state"], &over.data()["is_in_force"]), (&json!("ended"), &json!(false)));
    let records = harness.get("/v3/audit").await;
    let actions: Vec<_> = records.data().as_array().expect("records").iter().map(|one| one["action"].clone()).collect();
    assert!(actions.contains(&json!("raise.requested")) && actions.contains(&json!("raise.granted")));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let harness = limited(10).await;
    let (path, now) = (harness.at("/raises"), BEGINNING.as_seconds());
    for (change, field) in [
        (json!({"value": null}), "value"),
        (json!({"value": 0}), "value"),
        (json!({"value": -1}), "value"),
        (json!({"value": 10}), "value"),
        (json!({"value": 201}), "value"),
        (json!({"ends_at": null}), "ends_at"),
        (json!({"ends_at": now}), "ends_at"),
        (json!({"ends_at": now + 31 * 86_400 + 1}), "ends_at"),
        (json!({"ends_at": now * 1_000}), "ends_at"),
        (json!({"starts_at": now + 90 * 86_400 + 1}), "starts_at"),
        (json!({"starts_at": -1}), "starts_at"),
        (json!({"reason": null}), "reason"),
        (json!({"reason": " "}), "reason"),
        (json!({"reason": "r".repeat(1_025)}), "reason"),
        (json!({"reason": "a\nb"}), "reason"),
        (json!({"limit_name": "limit_storage_total"}), "limit_name"),
    ] {
        let mut body = wanted(20, 60);
        body.as_object_mut().expect("object").extend(change.as_object().expect("object").clone());
        harness.post(&path, &body).await.refuses(400, "invalid_request", Some(field));
    }
    assert_eq!(harness.get("/v3/raises").await.data(), &json!([]));
    // At the limits.
    let mut body = wanted(200, 31 * 86_400);
    body["reason"] = "r".repeat(1_024).into();
    harness.post(&path, &body).await.is_ok();
    harness.post(&path, &wanted(20, 60)).await.refuses(409, "raise_pending", None);
    for (query, field) in [
        ("state=x", "state"),
        ("grant_id=x", "grant_id"),
        ("workspace_id=x", "workspace_id"),
        (&*format!("grant_id={NOBODY}&workspace_id={NOBODY}"), "workspace_id"),
        ("limit=201", "limit"),
        ("page_token=x", "page_token"),
    ] {
        harness.get(&format!("/v3/raises?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn what_has_no_limit_is_not_raised() {
    let harness = Harness::new().await;
    let answer = harness.post(&harness.at("/raises"), &wanted(5, 60)).await;
    answer.refuses(400, "invalid_request", Some("value")).says("no limit");
}

#[tokio::test]
async fn raises_are_listed_filtered_refused_and_withdrawn() {
    let harness = limited(1).await;
    let approver = key(&harness, &["raises.*"]).await;
    let asker = key(&harness, &["raises.request"]).await;
    let refused = request(&harness, 2, 60).await;
    let note = json!({"note": "n".repeat(1_025)});
    let path = format!("/v3/raises/{refused}/refuse");
    harness.ask(&approver, "POST", &path, Some(&note)).await.refuses(400, "invalid_request", Some("note"));
    harness.ask(&approver, "POST", &path, None).await.is_ok();
    harness.world.advance(1);
    let withdrawn = request(&harness, 3, 60).await;
    let path = format!("/v3/raises/{withdrawn}/withdraw");
    harness.ask(&asker, "POST", &path, None).await.refuses(403, "not_own_raise", None);
    harness.post(&path, &json!({})).await.is_ok();
    harness.world.advance(1);
    let path = format!("/v3/workspaces/{}/raises", harness.acme.workspace_id);
    let of_workspace = harness.post(&path, &wanted(4, 60)).await.is_ok().data().clone();
    assert_eq!(
        (&of_workspace["grant_id"], &of_workspace["workspace_id"]),
        (&Value::Null, &json!(harness.acme.workspace_id.to_string()))
    );
    let of_workspace = of_workspace["id"].as_str().expect("id").to_owned();
    assert_eq!(harness.ids("/v3/raises").await, [&*of_workspace, &withdrawn, &refused]);
    for (query, expected) in [
        ("state=refused".to_owned(), vec![&refused]),
        ("state=withdrawn".to_owned(), vec![&withdrawn]),
        ("state=requested".to_owned(), vec![&of_workspace]),
        (format!("grant_id={}", harness.agent), vec![&withdrawn, &refused]),
        (format!("workspace_id={}", harness.acme.workspace_id), vec![&of_workspace]),
    ] {
        assert_eq!(harness.ids(&format!("/v3/raises?{query}")).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(harness.ids(&harness.at("/raises")).await, [&*withdrawn, &refused]);
    let page = harness.get("/v3/raises?limit=2").await;
    let next = page.json["next_cursor"].as_str().expect("more");
    assert_eq!(harness.ids(&format!("/v3/raises?page_token={next}")).await, [&*refused]);
    // It raises every mailbox of the workspace once it is granted.
    harness.ask(&approver, "POST", &format!("/v3/raises/{of_workspace}/grant"), None).await.is_ok();
    for _ in 0..4 {
        send(&harness).await.is_ok();
    }
    send(&harness).await.refuses(429, "daily_quota_exceeded", None);
}

#[tokio::test]
async fn an_agent_asks_with_its_own_token_and_decides_nothing() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let token = tokens["access_token"].as_str().expect("token");
    let harness = &sign_in.harness;
    let policy = json!({"name": "low", "limits": {"limit_count_daily_email_sent": 1}});
    let policy = harness.post("/v3/policies", &policy).await.is_ok().data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"policy_id": policy})).await.is_ok();
    let asked = harness.ask(token, "POST", "/v3/grants/me/raises", Some(&wanted(5, 3_600))).await;
    let asked = asked.is_ok().data();
    assert_eq!(asked["requested_by"]["kind"], "access_token");
    let path = format!("/v3/raises/{}/grant", asked["id"].as_str().expect("id"));
    harness.ask(token, "POST", &path, None).await.refuses(403, "access_token", None);
    harness.post(&path, &json!({})).await.is_ok();
    let own = harness.ask(token, "GET", "/v3/grants/me/raises", None).await;
    assert_eq!(own.is_ok().data()[0]["state"], "granted");
}

#[tokio::test]
async fn webhooks_are_told_who_crossed_which_limit_by_how_much() {
    let harness = limited(1).await;
    let receiver = FakeHttp::start(echo).await;
    let triggers = ["quota.warning", "quota.reached", "quota.exceeded", "raise.requested", "raise.decided"];
    let hook = json!({"trigger_types": triggers, "webhook_url": receiver.url("/")});
    harness.post("/v3/webhooks", &hook).await.is_ok();
    for _ in 0..3 {
        send(&harness).await;
    }
    request(&harness, 2, 60).await;
    let path = format!("/v3/workspaces/{}/raises", harness.acme.workspace_id);
    harness.post(&path, &wanted(3, 60)).await.is_ok();
    let platform = &harness.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut hook).await.expect("round");
    }
    let told = receiver.requests().into_iter().filter(|request| request.method == "POST");
    let told: Vec<Value> = told.map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect();
    let find = |kind: &str| {
        let found: Vec<_> = told.iter().filter(|one| one["type"] == kind).collect();
        found.into_iter().map(|one| one["data"].clone()).collect::<Vec<_>>()
    };
    let exceeded = find("quota.exceeded");
    assert_eq!((find("quota.reached").len(), exceeded.len()), (1, 1));
    let policy = harness.ids("/v3/policies").await[0].clone();
    let expected = json!({"object": "quota", "grant_id": harness.agent, "email": "agent@acme.test",
        "workspace_id": harness.acme.workspace_id.to_string(), "policy_id": policy, "scope": "grant",
        "limit_name": "limit_count_daily_email_sent", "limit": 1, "used": 1, "is_raised": false,
        "resets_at": BEGINNING.day().end().as_seconds()});
    assert_eq!(exceeded[0]["object"], expected);
    let requested = find("raise.requested");
    let of_grant = requested.iter().find(|one| one["grant_id"] == harness.agent).expect("told");
    assert_eq!(
        (&of_grant["object"]["value"], &of_grant["object"]["reason"]),
        (&json!(2), &json!("a planned campaign"))
    );
    let of_none = requested.iter().find(|one| one["grant_id"] == "").expect("told");
    assert_eq!((&of_none["grant_sequence"], &of_none["object"]["email"]), (&json!(0), &Value::Null));
}
