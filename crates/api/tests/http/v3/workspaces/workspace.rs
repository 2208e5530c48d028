//! `/v3/workspaces` and `/v3/workspaces/{workspace}`.

use super::{WORKSPACE, make, patch, workspace_of};
use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/workspaces",
    "POST /v3/workspaces",
    "GET /v3/workspaces/presets",
    "GET /v3/workspaces/{workspace}",
    "PATCH /v3/workspaces/{workspace}",
    "DELETE /v3/workspaces/{workspace}",
];

#[tokio::test]
async fn a_workspace_is_made_found_listed_and_removed() {
    let harness = Harness::new().await;
    let default = harness.acme.workspace_id.to_string();
    harness.world.advance(5);
    let body = json!({"name": "Tier 1", "domain": "T1.Acme.test.", "rule_ids": [], "unknown": 1});
    let made = harness.post("/v3/workspaces", &body).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), WORKSPACE);
    let data = made.data();
    assert_eq!(
        (&data["name"], &data["domain"], &data["auto_group"]),
        (&json!("Tier 1"), &json!("t1.acme.test"), &json!(true))
    );
    assert_eq!((&data["default"], &data["policy_id"], &data["rule_ids"]), (&json!(false), &Value::Null, &json!([])));
    assert_eq!(data["application_id"], json!(harness.acme.application_id.to_string()));
    assert_eq!(data["created_at"], data["updated_at"]);

    let id = data["workspace_id"].as_str().expect("id");
    assert_eq!(harness.get(&format!("/v3/workspaces/{id}")).await.data(), data);
    let list = harness.get("/v3/workspaces").await;
    assert_shape(&list.json, "request_id:string data:array");
    assert_eq!((&list.data()[0]["workspace_id"], &list.data()[0]["default"]), (&json!(default), &json!(true)));
    assert_eq!((list.data().as_array().expect("list").len(), &list.data()[1]), (2, data));

    let removed = harness.delete(&format!("/v3/workspaces/{id}")).await;
    assert_shape(&removed.is_ok().json, "request_id:string");
    harness.get(&format!("/v3/workspaces/{id}")).await.refuses(404, "not_found", None);
    harness.delete(&format!("/v3/workspaces/{id}")).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_domain_names_the_oldest_workspace_that_has_it() {
    let harness = Harness::new().await;
    let mut ids = Vec::new();
    for name in ["first", "second"] {
        ids.push(make(&harness, &json!({"name": name, "domain": "acme.test"})).await);
    }
    let by_domain = |method: &'static str| {
        let harness = &harness;
        async move { harness.ask(&harness.acme.api_key, method, "/v3/workspaces/ACME%2Etest", None).await }
    };
    assert_eq!(by_domain("GET").await.is_ok().data()["workspace_id"], json!(ids[0]));
    by_domain("PATCH").await.refuses(404, "not_found", None);
    by_domain("DELETE").await.is_ok();
    assert_eq!(by_domain("GET").await.is_ok().data()["workspace_id"], json!(ids[1]));
    by_domain("DELETE").await.is_ok();
    by_domain("GET").await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn what_cannot_be_is_not_made() {
    let harness = Harness::new().await;
    let policy = make_policy(&harness, "triage").await;
    let long = "é".repeat(256);
    make(&harness, &json!({"name": long})).await;
    for (body, field) in [
        (json!({"domain": "a.test"}), Some("name")),
        (json!({"name": ""}), Some("name")),
        (json!({"name": "  "}), Some("name")),
        (json!({"name": format!("{long}x")}), Some("name")),
        (json!({"name": "a\nb"}), Some("name")),
        (json!({"name": "a", "domain": "a b"}), Some("domain")),
        (json!({"name": "a", "domain": "x@a.test"}), Some("domain")),
        (json!({"name": "a", "auto_group": true}), Some("auto_group")),
        (json!({"name": "a", "domain": "", "auto_group": true}), Some("auto_group")),
        (json!({"name": "a", "auto_group": "yes"}), Some("auto_group")),
        (json!({"name": "a", "policy_id": ""}), Some("policy_id")),
        (json!({"name": "a", "policy_id": NOBODY}), Some("policy_id")),
        (json!({"name": "a", "rule_ids": [NOBODY]}), Some("rule_ids")),
        (json!({"name": "a", "preset": "nothing"}), Some("preset")),
        (json!({"name": "a", "preset": "triage", "policy_id": policy}), Some("preset")),
    ] {
        let refused = harness.post("/v3/workspaces", &body).await;
        refused.refuses(400, "invalid_request", field);
    }
    // The default one, the one of the policy, the one of the long name: a refusal leaves nothing behind.
    assert_eq!(harness.get("/v3/workspaces").await.data().as_array().expect("list").len(), 3);
    let findings = harness.get("/v3/workspaces/findings").await;
    assert!(findings.data().as_array().expect("list").iter().all(|one| one["code"] != "policies_unattached"));
}

/// Makes a policy, with a workspace; answers its id.
async fn make_policy(harness: &Harness, preset: &str) -> String {
    let made = harness.post("/v3/workspaces", &json!({"name": preset, "preset": preset})).await;
    made.is_ok().data()["policy_id"].as_str().expect("policy").to_owned()
}

#[tokio::test]
async fn grouping_is_the_default_with_a_domain_and_may_be_switched_off() {
    let harness = Harness::new().await;
    for (body, domain, grouping) in [
        (json!({"name": "a"}), "", false),
        (json!({"name": "a", "domain": null, "auto_group": null, "rule_ids": null, "policy_id": null}), "", false),
        (json!({"name": "a", "domain": "", "auto_group": false}), "", false),
        (json!({"name": "a", "domain": "a.test"}), "a.test", true),
        (json!({"name": "a", "domain": "a.test", "auto_group": false}), "a.test", false),
    ] {
        let made = harness.post("/v3/workspaces", &body).await;
        let data = made.is_ok().data();
        assert_eq!((&data["domain"], &data["auto_group"]), (&json!(domain), &json!(grouping)), "{body}");
    }
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name_and_tells_null_from_absent() {
    let harness = Harness::new().await;
    let policy = make_policy(&harness, "triage").await;
    let id = make(&harness, &json!({"name": "a", "domain": "a.test"})).await;
    harness.world.advance(60);
    let changed = patch(&harness, &id, &json!({"policy_id": policy})).await;
    assert_shape(changed.is_ok().data(), WORKSPACE);
    assert_eq!((&changed.data()["policy_id"], &changed.data()["name"]), (&json!(policy), &json!("a")));
    let created = changed.data()["created_at"].as_i64().expect("time");
    assert_eq!(changed.data()["updated_at"], json!(created + 60));
    harness.world.advance(60);
    // The domain that it has is tolerated; what changes nothing leaves the time of the last change.
    let same = patch(&harness, &id, &json!({"domain": "A.test", "name": "a"})).await;
    assert_eq!(same.is_ok().data(), changed.data());
    let renamed = patch(&harness, &id, &json!({"name": "b", "auto_group": false, "rule_ids": []})).await;
    let data = renamed.is_ok().data();
    assert_eq!((&data["name"], &data["auto_group"], &data["policy_id"]), (&json!("b"), &json!(false), &json!(policy)));
    let detached = patch(&harness, &id, &json!({"policy_id": null, "rule_ids": null})).await;
    assert_eq!((&detached.is_ok().data()["policy_id"], &detached.data()["rule_ids"]), (&Value::Null, &json!([])));
    assert_eq!(harness.get(&format!("/v3/workspaces/{id}")).await.data(), detached.data());
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused() {
    let harness = Harness::new().await;
    let id = make(&harness, &json!({"name": "a", "domain": "a.test"})).await;
    let bare = make(&harness, &json!({"name": "bare"})).await;
    for (body, field, text) in [
        (json!({}), None, "at least one"),
        (json!({"unknown": 1}), None, "at least one"),
        (json!({"policy_id": ""}), Some("policy_id"), "policy_id must be a valid UUID or null"),
        (json!({"policy_id": "x"}), Some("policy_id"), "policy_id must be a valid UUID or null"),
        (json!({"policy_id": NOBODY}), Some("policy_id"), "does not belong to this application"),
        (
            json!({"rule_ids": [NOBODY]}),
            Some("rule_ids"),
            "rule_ids entry not found or does not belong to this application",
        ),
        (json!({"domain": "b.test"}), Some("domain"), "domain cannot be changed"),
        (json!({"domain": null}), Some("domain"), "domain cannot be changed"),
        (json!({"domain": "a b"}), Some("domain"), "not a domain name"),
        (json!({"name": null}), Some("name"), "name must not be null"),
        (json!({"name": ""}), Some("name"), "1 to 256"),
        (json!({"auto_group": null}), Some("auto_group"), "must not be null"),
    ] {
        patch(&harness, &id, &body).await.refuses(400, "invalid_request", field).says(text);
    }
    patch(&harness, &bare, &json!({"auto_group": true})).await.refuses(400, "invalid_request", Some("auto_group"));
    patch(&harness, &bare, &json!({"domain": ""})).await.is_ok();
    for segment in ["a.test", NOBODY, "default"] {
        patch(&harness, segment, &json!({"name": "b"})).await.refuses(404, "not_found", None);
    }
}

#[tokio::test]
async fn the_default_workspace_takes_a_policy_and_nothing_else() {
    let harness = Harness::new().await;
    let policy = make_policy(&harness, "prototype").await;
    let default = harness.acme.workspace_id.to_string();
    for (body, field) in [
        (json!({"name": "Default"}), "name"),
        (json!({"auto_group": false}), "auto_group"),
        (json!({"policy_id": policy, "auto_group": true}), "auto_group"),
    ] {
        patch(&harness, &default, &body).await.refuses(400, "invalid_request", Some(field)).says("default workspace");
    }
    let attached = patch(&harness, &default, &json!({"policy_id": policy, "rule_ids": []})).await;
    assert_eq!((&attached.is_ok().data()["policy_id"], &attached.data()["default"]), (&json!(policy), &json!(true)));
    // Which governs whoever is in no other.
    let body = json!({"to": [{"email": "a@b.test"}], "subject": "s", "body": "b"});
    let sent = harness.post(&harness.at("/messages/send"), &body).await;
    assert_eq!(sent.is_ok().header("ratelimit-limit"), Some("25"));
    let path = format!("/v3/workspaces/{default}");
    harness.delete(&path).await.refuses(400, "default_workspace", None);
}

#[tokio::test]
async fn a_policy_holds_for_the_next_send_once_it_is_attached_or_the_mailbox_moves() {
    let harness = Harness::new().await;
    let small = make(&harness, &json!({"name": "p", "preset": "prototype"})).await;
    let allowed = async || {
        let body = json!({"to": [{"email": "a@b.test"}], "subject": "s", "body": "b"});
        let sent = harness.post(&harness.at("/messages/send"), &body).await;
        sent.is_ok().header("ratelimit-limit").map(str::to_owned)
    };
    assert_eq!(allowed().await, None);
    let path = format!("/v3/workspaces/{small}/manual-assign");
    harness.post(&path, &json!({"assign_grants": [harness.agent]})).await.is_ok();
    assert_eq!(allowed().await.as_deref(), Some("25"));
    patch(&harness, &small, &json!({"policy_id": null})).await.is_ok();
    assert_eq!(allowed().await, None);
}

#[tokio::test]
async fn a_removed_workspaces_mailboxes_are_in_the_default_one() {
    let harness = Harness::new().await;
    let id = make(&harness, &json!({"name": "a"})).await;
    let path = format!("/v3/workspaces/{id}/manual-assign");
    harness.post(&path, &json!({"assign_grants": [harness.agent]})).await.is_ok();
    assert_eq!(workspace_of(&harness, &harness.agent).await, json!(id));
    harness.delete(&format!("/v3/workspaces/{id}")).await.is_ok();
    assert_eq!(workspace_of(&harness, &harness.agent).await, json!(harness.acme.workspace_id.to_string()));
}

#[tokio::test]
async fn presets_are_listed_and_make_their_policy_within_the_plan() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let presets = harness.get("/v3/workspaces/presets").await;
    let presets = presets.is_ok().data().as_array().expect("list").clone();
    let names: Vec<_> = presets.iter().map(|preset| preset["name"].as_str().expect("name")).collect();
    assert_eq!(names, ["outreach", "triage", "prototype"]);
    for preset in &presets {
        assert_shape(
            preset,
            "name:string description:string daily_sends_max:integer spam_retention_days:integer? \
             use_list_dnsbl:boolean use_header_anomaly_detection:boolean spam_sensitivity:number",
        );
    }
    assert_eq!((&presets[1]["daily_sends_max"], &presets[1]["spam_sensitivity"]), (&json!(100), &json!(3.0)));
    for (preset, sends) in [("outreach", 200), ("triage", 100), ("prototype", 25)] {
        let id = make(&harness, &json!({"name": "a", "preset": preset})).await;
        let wanted = json!({"assignments": [{"workspace_id": id, "match": {"domain": "acme.test"}}]});
        let preview = harness.post("/v3/workspaces/layout", &wanted).await;
        let found = &preview.is_ok().data()["moves"][0];
        assert_eq!(
            (&found["daily_sends_before"], &found["daily_sends_after"]),
            (&json!(200), &json!(sends)),
            "{preset}"
        );
    }
}
