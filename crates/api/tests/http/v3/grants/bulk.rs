//! `POST /v3/grants/bulk`.

use crate::support::{Harness, NOBODY, assert_shape, ids};
use crate::v3::grants::grant::GRANT;
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/grants/bulk"];

const PATH: &str = "/v3/grants/bulk";

fn of(email: &str) -> Value {
    json!({"settings": {"email": email}})
}

#[tokio::test]
async fn many_are_made_in_the_order_of_the_request() {
    let harness = Harness::new().await;
    let emails: Vec<String> = (0..1_000).map(|number| format!("box{number}@acme.test")).collect();
    let body = json!({"grants": emails.iter().map(|email| of(email)).collect::<Vec<_>>()});
    let answer = harness.post(PATH, &body).await;
    assert_eq!(answer.status, 200);
    assert_shape(&answer.json, "request_id:string data:object");
    assert_shape(answer.data(), "created:integer existing:integer failed:integer results:array");
    assert_eq!((&answer.data()["created"], &answer.data()["failed"]), (&json!(1_000), &json!(0)));
    let results = answer.data()["results"].as_array().expect("list");
    for (index, (result, email)) in results.iter().zip(&emails).enumerate() {
        assert_shape(result, "index:integer status:string grant:object error:object?");
        assert_shape(&result["grant"], GRANT);
        assert_eq!((&result["index"], &result["status"]), (&json!(index), &json!("created")));
        assert_eq!(result["grant"]["email"], json!(email));
    }
    // Newest first is the request from its end.
    let newest = harness.get("/v3/grants?limit=3").await;
    let expected: Vec<_> = results.iter().rev().take(3).map(|result| result["grant"].clone()).collect();
    assert_eq!(newest.data(), &json!(expected));
    let again = harness.post(PATH, &body).await;
    assert_eq!((&again.data()["created"], &again.data()["existing"]), (&json!(0), &json!(1_000)));
    assert_eq!(again.data()["results"][7]["grant"], results[7]["grant"]);
    // Usable at once.
    harness.world.receive("a@sender.test", "box999@acme.test", "Subject: x\r\n\r\n").await.expect("accepted");
}

#[tokio::test]
async fn a_bad_one_does_not_spoil_the_others() {
    let harness = Harness::new().await;
    let with = |field: &str, value: Value| {
        let mut grant = of("bad@acme.test");
        grant[field] = value;
        grant
    };
    let other = harness.other.workspace_id.to_string();
    let bad = [
        (json!(7), "invalid_request", None, "must be an object"),
        (json!(null), "invalid_request", None, "must be an object"),
        (json!({}), "invalid_request", Some("settings.email"), "missing"),
        (with("settings", json!("x")), "invalid_request", Some("settings"), "must be an object"),
        (with("settings", json!({"email": 1})), "invalid_request", Some("settings.email"), "must be text"),
        (of("no address"), "invalid_request", Some("settings.email"), "not an address"),
        (of("x@elsewhere.test"), "domain_not_registered", Some("settings.email"), "domain is not registered"),
        (of("agent@other.test"), "email_taken", Some("settings.email"), "already exists"),
        (with("name", json!("")), "invalid_request", Some("name"), "1 to 256"),
        (with("name", json!(["x"])), "invalid_request", Some("name"), "must be text"),
        (with("state", json!("s".repeat(2_049))), "invalid_request", Some("state"), "2048"),
        (with("workspace_id", json!("")), "invalid_request", Some("workspace_id"), "valid UUID"),
        (with("workspace_id", json!(NOBODY)), "invalid_request", Some("workspace_id"), "does not belong"),
        (with("workspace_id", json!(other)), "invalid_request", Some("workspace_id"), "does not belong"),
        (
            with("settings", json!({"email": "bad@acme.test", "app_password": "Correct1Horse2Battery"})),
            "invalid_request",
            Some("settings.app_password"),
            "PATCH",
        ),
    ];
    let mut grants = vec![json!({"name": "First", "state": "s", "settings": {"email": "first@acme.test"}})];
    grants.extend(bad.iter().map(|(grant, ..)| grant.clone()));
    grants.extend([of("FIRST@acme.test"), of("last@acme.test")]);
    let answer = harness.post(PATH, &json!({"grants": grants})).await;
    let data = answer.is_ok().data();
    let counts = [&data["created"], &data["existing"], &data["failed"]];
    assert_eq!(counts, [&json!(2), &json!(1), &json!(bad.len())]);
    let results = data["results"].as_array().expect("list");
    for ((_, code, field, says), result) in bad.iter().zip(&results[1..]) {
        assert_shape(result, "index:integer status:string grant:object? error:object");
        let error = &result["error"];
        assert_shape(error, "type:string message:string code:string field:string?");
        let is = (result["status"].as_str(), error["code"].as_str(), error["field"].as_str());
        assert_eq!(is, (Some("failed"), Some(*code), *field), "{result}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(says)), "{says}: {result}");
    }
    assert_eq!(results[results.len() - 2]["grant"], results[0]["grant"]);
    assert_eq!((&results[0]["grant"]["name"], &results[0]["grant"]["state"]), (&json!("First"), &json!("s")));
    assert!(!String::from_utf8_lossy(&answer.octets).contains("Horse"));
    assert_eq!(harness.ids("/v3/grants").await.len(), 3);
}

#[tokio::test]
async fn the_cap_is_kept_in_the_order_of_the_request() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    // `agent` is the first of three.
    let emails = ["one", "agent", "two", "three", "one", "four"].map(|name| of(&format!("{name}@acme.test")));
    let answer = harness.post(PATH, &json!({"grants": emails})).await;
    let results = answer.data()["results"].as_array().expect("list");
    let status: Vec<_> = results.iter().map(|result| result["status"].as_str().expect("text")).collect();
    assert_eq!(status, ["created", "existing", "created", "failed", "existing", "failed"]);
    let error = &results[3]["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("forbidden_access"), &json!("grants_max_reached")));
    assert!(error["message"].as_str().is_some_and(|text| text.contains("for this plan")));
}

#[tokio::test]
async fn a_call_has_one_to_a_thousand() {
    let harness = Harness::new().await;
    let many = |count: usize| json!({"grants": vec![of("x@acme.test"); count]});
    for count in [0, 1_001] {
        let answer = harness.post(PATH, &many(count)).await;
        answer.refuses(400, "invalid_request", Some("grants")).says("1 to 1000");
    }
    harness.post(PATH, &json!({})).await.refuses(400, "invalid_request", Some("grants")).says("grants");
    harness.post(PATH, &json!({"grants": {}})).await.refuses(400, "invalid_request", Some("grants"));
    assert_eq!(ids(&harness.get("/v3/grants").await), [harness.agent.as_str()]);
    let repeated = harness.post(PATH, &many(1_000)).await;
    assert_eq!((&repeated.data()["created"], &repeated.data()["existing"]), (&json!(1), &json!(999)));
}

#[tokio::test]
async fn a_call_has_one_record() {
    let harness = Harness::new().await;
    let answer = harness.post(PATH, &json!({"grants": [of("a@acme.test"), of("b@acme.test")]})).await;
    harness.post(PATH, &json!({"grants": [of("a@acme.test"), of("b@elsewhere.test")]})).await.is_ok();
    let mut reader = harness.world.platform.store.reader().await.expect("reader");
    let record = "SELECT after, actor_kind FROM audit WHERE action = 'grants.provisioned'";
    let records = reader.query(record, &[]).await.expect("query");
    // The second call changed nothing.
    assert_eq!(records.len(), 1);
    let results = &answer.data()["results"];
    let expected = json!({"grants": [results[0]["grant"]["id"], results[1]["grant"]["id"]], "updated": []});
    assert_eq!(serde_json::from_str::<Value>(&records[0].text(0).expect("text")).expect("JSON"), expected);
    assert_eq!(records[0].text(1).expect("text"), "api_key");
}
