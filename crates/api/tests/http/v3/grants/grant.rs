//! `/v3/grants/{grant}`.

use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_core::Secret;
use postfleet_fleet::mail_client;
use postfleet_fleet::sign_in::{Guess, Outcome};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] =
    &["GET /v3/grants/{grant}", "PATCH /v3/grants/{grant}", "PUT /v3/grants/{grant}", "DELETE /v3/grants/{grant}"];

/// The fields of a mailbox.
pub(crate) const GRANT: &str = "id:string provider:string email:string name:string grant_status:string scope:array \
    settings:object state:string? ip:string user_agent:string blocked:boolean workspace_id:string? placement:string \
    credential_id:string? provider_user_id:string? account_id:string? created_at:integer updated_at:integer \
    email_aliases:array sending:object?";

#[tokio::test]
async fn a_mailbox_is_found_by_every_name_that_it_has() {
    let harness = Harness::new().await;
    let first = harness.get(&harness.at("")).await;
    assert_shape(&first.json, "request_id:string data:object");
    assert_shape(first.data(), GRANT);
    assert_eq!(first.data()["provider"], "nylas");
    let id = &harness.agent;
    for name in [
        format!("grant:{id}"),
        format!("grant%3A{id}"),
        id.to_uppercase(),
        "agent@acme.test".to_owned(),
        "agent%40acme.test".to_owned(),
        "AGENT@Acme.Test".to_owned(),
        "email:agent@acme.test".to_owned(),
        "%65mail%3aagent%40acme%2etest".to_owned(),
    ] {
        let answer = harness.get(&format!("/v3/grants/{name}")).await;
        assert_eq!((answer.status, answer.data()), (200, first.data()), "{name}");
    }
}

#[tokio::test]
async fn names_are_decoded_once() {
    let harness = Harness::new().await;
    for name in ["agent%2540acme.test", "me", "external:1", "email:", "grant:", "@"] {
        harness.get(&format!("/v3/grants/{name}")).await.refuses(404, "not_found", None);
    }
}

#[tokio::test]
async fn a_removed_mailbox_is_gone_with_everything_in_it() {
    let harness = Harness::new().await;
    let message = harness.receive_about("x").await;
    let answer = harness.delete(&harness.at("")).await;
    assert_eq!(answer.status, 200);
    assert_shape(&answer.json, "request_id:string");
    for path in ["", "/messages", &format!("/messages/{message}"), "/threads", "/folders"] {
        harness.get(&harness.at(path)).await.refuses(404, "not_found", None);
    }
    harness.delete(&harness.at("")).await.refuses(404, "not_found", None);
    assert_eq!(harness.get("/v3/grants").await.data(), &json!([]));
    let late = harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\n").await;
    assert_eq!(late.expect_err("refused").code, "no_such_mailbox");
}

/// The mailbox after a change that must be taken.
async fn changed(harness: &Harness, body: &Value) -> Value {
    harness.world.advance(1);
    let answer = harness.patch(&harness.at(""), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_shape(answer.data(), GRANT);
    assert_eq!(harness.get(&harness.at("")).await.data(), answer.data());
    answer.data().clone()
}

#[tokio::test]
async fn absent_null_and_text_are_three_things() {
    let harness = Harness::new().await;
    let before = harness.get(&harness.at("")).await.data().clone();
    let after = changed(&harness, &json!({"name": "Ada", "state": "s"})).await;
    assert_eq!((&after["name"], &after["state"]), (&json!("Ada"), &json!("s")));
    assert_eq!((&after["workspace_id"], &after["placement"]), (&before["workspace_id"], &before["placement"]));
    assert!(after["updated_at"].as_i64() > before["updated_at"].as_i64());
    let after = changed(&harness, &json!({"state": null})).await;
    assert_eq!((&after["name"], &after["state"]), (&json!("Ada"), &json!(null)));
    let after = changed(&harness, &json!({"name": null})).await;
    assert_eq!(after["name"], "");
    // What changes nothing leaves even the time alone.
    let same = json!({"name": null, "scope": ["x"], "settings": {"email": "AGENT@acme.test"}, "unknown": 1});
    assert_eq!(changed(&harness, &same).await, after);
    assert_eq!(changed(&harness, &json!({"settings": {}})).await, after);
    let put = harness.put(&harness.at(""), &json!({"name": "Put"})).await;
    assert_eq!((put.status, &put.data()["name"]), (200, &json!("Put")));
}

#[tokio::test]
async fn a_password_is_set_kept_and_removed_and_never_shown() {
    let harness = Harness::new().await;
    let with = |password: Value| json!({"settings": {"email": "agent@acme.test", "app_password": password}});
    let after = changed(&harness, &with(json!("Correct1Horse2Battery"))).await;
    assert_eq!(after["settings"], json!({"email": "agent@acme.test", "has_app_password": true}));
    let after = changed(&harness, &json!({"settings": {"email": "agent@acme.test"}, "name": "Kept"})).await;
    assert_eq!(after["settings"]["has_app_password"], true);
    let mut reader = harness.world.platform.store.reader().await.expect("reader");
    let opens = async |password: &str| {
        let guess = Guess { email: "agent@acme.test", password: Secret::new(password.to_owned()), peer: None };
        let outcome = mail_client::sign_in(harness.world.platform.gate(), guess).await.expect("looked at");
        matches!(outcome, Outcome::Accepted(_))
    };
    assert!(opens("Correct1Horse2Battery").await && !opens("Correct1Horse2batterY").await);
    let after = changed(&harness, &with(json!(null))).await;
    assert_eq!(after["settings"]["has_app_password"], false);

    let records = reader.query("SELECT before, after FROM audit WHERE action LIKE 'grant%'", &[]).await.expect("query");
    let texts: Vec<String> = records
        .iter()
        .flat_map(|row| [row.opt_text(0).expect("text"), row.opt_text(1).expect("text")])
        .flatten()
        .collect();
    assert_eq!(texts.len(), 2 + 3 * 2, "two made, three changes: {texts:?}");
    assert!(texts.iter().all(|text| !text.contains("Horse") && !text.contains("argon2")), "{texts:?}");
}

#[tokio::test]
async fn a_mailbox_is_taken_out_of_its_workspace_and_put_back() {
    let harness = Harness::new().await;
    let after = changed(&harness, &json!({"workspace_id": null})).await;
    assert_eq!((&after["workspace_id"], &after["placement"]), (&json!(null), &json!("moved")));
    let own = harness.acme.workspace_id.to_string();
    let after = changed(&harness, &json!({"workspace_id": own})).await;
    assert_eq!((&after["workspace_id"], &after["placement"]), (&json!(own), &json!("moved")));
    harness.receive_about("still there").await;
}

/// The policy of its workspace allows one message a day; the plan alone allows any number.
#[tokio::test]
async fn a_move_holds_for_the_next_message() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let own = harness.acme.workspace_id.to_string();
    let send = async || {
        let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "x", "body": "x"});
        harness.post(&harness.at("/messages/send"), &body).await
    };
    send().await.is_ok();
    send().await.refuses(429, "daily_quota_exceeded", None);
    changed(&harness, &json!({"workspace_id": null})).await;
    send().await.is_ok();
    changed(&harness, &json!({"workspace_id": own})).await;
    send().await.refuses(429, "daily_quota_exceeded", None);
}

#[tokio::test]
async fn every_refused_change_names_its_field_and_changes_nothing() {
    let harness = Harness::new().await;
    let before = harness.get(&harness.at("")).await.data().clone();
    let settings = |settings: Value| json!({"settings": settings, "name": "not applied"});
    for (body, field, says) in [
        (json!({}), ".", "at least one of settings, scope, name, workspace_id and state"),
        (json!({"unknown": 1}), ".", "at least one of"),
        (json!({"name": ""}), "name", "1 to 256 characters"),
        (json!({"name": "n".repeat(257)}), "name", "at most 256 characters"),
        (json!({"name": "a\nb"}), "name", "control characters"),
        (json!({"name": 1}), "name", "invalid type"),
        (json!({"state": "s".repeat(2_049)}), "state", "at most 2048 characters"),
        (json!({"workspace_id": ""}), "workspace_id", "workspace_id must be a valid UUID or null"),
        (json!({"workspace_id": "x"}), "workspace_id", "workspace_id must be a valid UUID or null"),
        (json!({"workspace_id": NOBODY}), "workspace_id", "does not belong"),
        (json!({"workspace_id": harness.other.workspace_id.to_string()}), "workspace_id", "does not belong"),
        (json!({"settings": null}), "settings", "must be an object"),
        (settings(json!({"email": "other@acme.test"})), "settings.email", "must be the address of the mailbox"),
        (settings(json!({"email": "no address"})), "settings.email", "not an address"),
        (settings(json!({"app_password": ""})), "settings.app_password", "18 to 40 characters"),
        (settings(json!({"app_password": "x".repeat(41)})), "settings.app_password", "18 to 40 characters"),
        (settings(json!({"app_password": 1})), "settings.app_password", "invalid type"),
    ] {
        let field = (field != ".").then_some(field);
        harness.patch(&harness.at(""), &body).await.refuses(400, "invalid_request", field).says(says);
    }
    assert_eq!(harness.get(&harness.at("")).await.data(), &before);
}

#[tokio::test]
async fn a_change_is_told_once_and_recorded() {
    let harness = Harness::new().await;
    changed(&harness, &json!({"name": "Ada"})).await;
    changed(&harness, &json!({"name": "Ada"})).await;
    let mut reader = harness.world.platform.store.reader().await.expect("reader");
    let events = postfleet_store::events::after(&mut reader, 0, 100).await.expect("events");
    let own = events.iter().filter(|event| event.event.grant_id.to_string() == harness.agent);
    let told: Vec<_> = own.map(|event| (event.event.trigger.name(), event.event.grant_sequence)).collect();
    assert_eq!(told, [("grant.created", 1), ("grant.updated", 2)]);
    let record = "SELECT actor_kind, target_id, before, after, request_id FROM audit WHERE action = 'grant.updated'";
    let records = reader.query(record, &[]).await.expect("query");
    assert_eq!(records.len(), 1);
    let text = |column| records[0].text(column).expect("text");
    assert_eq!((text(0).as_str(), &text(1)), ("api_key", &harness.agent));
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    assert_eq!((&json(text(2))["name"], &json(text(3))["name"]), (&json!("agent agent"), &json!("Ada")));
    assert_eq!(text(4).len(), 36);
}
