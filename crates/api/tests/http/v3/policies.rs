//! `/v3/policies`, and what a policy does to the mailboxes under it.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_mailflow::receive::{Offer, recipient};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/policies",
    "POST /v3/policies",
    "GET /v3/policies/{policy}",
    "PUT /v3/policies/{policy}",
    "PATCH /v3/policies/{policy}",
    "DELETE /v3/policies/{policy}",
];

const POLICY: &str = "id:string name:string application_id:string organization_id:string limits:object \
    spam_detection:object options:object rules:array created_at:integer updated_at:integer";
const LIMITS: &str = "limit_attachment_size_limit:integer limit_attachment_count_limit:integer \
    limit_attachment_allowed_types:array limit_size_total_mime:integer limit_storage_total:integer \
    limit_count_daily_message_received:integer limit_count_daily_email_sent:integer \
    limit_inbox_retention_period:integer limit_spam_retention_period:integer";
const SPAM: &str = "use_list_dnsbl:boolean use_header_anomaly_detection:boolean spam_sensitivity:number";

/// Two organizations, the first with this plan.
async fn on_plan(plan: &'static str) -> Harness {
    Harness::with(NewTenant { plan, ..NewTenant::of("acme.test") }).await
}

/// As [`on_plan`], with a policy of 50 sends a day for the default workspace. Answers the policy's path.
async fn governed(plan: &'static str) -> (Harness, String) {
    let new = NewTenant { plan, daily_sends_max: Some(50), ..NewTenant::of("acme.test") };
    let harness = Harness::with(new).await;
    let path = format!("/v3/policies/{}", harness.ids("/v3/policies").await[0]);
    (harness, path)
}

async fn make(harness: &Harness, body: &Value) -> Value {
    harness.world.advance(1);
    harness.post("/v3/policies", body).await.is_ok().data().clone()
}

fn at(policy: &Value) -> String {
    format!("/v3/policies/{}", policy["id"].as_str().expect("id"))
}

/// A body that sets one limit.
fn limit(name: &str, value: impl Into<Value>) -> Value {
    json!({"name": "Tier", "limits": {name: value.into()}})
}

async fn patch(harness: &Harness, path: &str, body: &Value) -> Answer {
    harness.ask(&harness.acme.api_key, "PATCH", path, Some(body)).await
}

#[tokio::test]
async fn a_policy_is_made_found_listed_and_removed() {
    let harness = on_plan("full_platform").await;
    assert_eq!(harness.get("/v3/policies").await.data(), &json!([]));
    let body = json!({"name": "Support – Größe", "limits": {
        "limit_attachment_size_limit": 1_048_576, "limit_attachment_count_limit": 5,
        "limit_attachment_allowed_types": ["image/*", "Application/PDF"], "limit_size_total_mime": 10_485_760,
        "limit_storage_total": 1_073_741_824, "limit_count_daily_message_received": 500,
        "limit_count_daily_email_sent": 100, "limit_inbox_retention_period": 90, "limit_spam_retention_period": 14},
        "spam_detection": {"use_list_dnsbl": true, "use_header_anomaly_detection": true, "spam_sensitivity": 1.5},
        "options": {"additional_folders": ["Leads"], "use_cidr_aliasing": true, "more": {"deep": [1, null]}},
        "rules": ["one", NOBODY],
        "id": NOBODY, "application_id": NOBODY, "organization_id": NOBODY, "created_at": 1, "unknown": {"x": 1}});
    let made = harness.post("/v3/policies", &body).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), &format!("{POLICY} warnings:array"));
    assert_shape(&made.data()["limits"], LIMITS);
    let mut expected = body["limits"].clone();
    expected["limit_attachment_allowed_types"] = json!(["image/*", "application/pdf"]);
    assert_eq!(made.data()["limits"], expected);
    for field in ["name", "spam_detection", "options", "rules"] {
        assert_eq!(made.data()[field], body[field], "{field}");
    }
    assert_eq!(made.data()["application_id"], harness.acme.application_id.to_string());
    assert_eq!(made.data()["organization_id"], harness.acme.organization_id.to_string());
    assert_ne!(made.data()["id"], NOBODY);
    assert_eq!(made.data()["warnings"], json!([]));

    let path = at(made.data());
    assert_eq!(harness.get(&path).await.data(), made.data());
    let list = harness.get("/v3/policies").await;
    assert_shape(&list.json, "request_id:string data:array");
    assert_shape(&list.data()[0], POLICY);
    let removed = harness.delete(&path).await;
    assert_eq!(removed.status, 200);
    assert_shape(&removed.json, "request_id:string");
    harness.get(&path).await.refuses(404, "not_found", None);
    harness.delete(&path).await.refuses(404, "not_found", None);
    harness.put(&path, &json!({"name": "x"})).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_policy_of_a_name_alone_leaves_everything_at_the_plans_maximum() {
    for (plan, expected) in [
        ("free", [52_428_800, 10, 52_428_800, 3_221_225_472_i64, -1, 200, 30, 7]),
        ("full_platform", [52_428_800, 20, 104_857_600, 10_737_418_240, -1, -1, 365, 30]),
        ("self_hosted", [52_428_800, 1_000, 104_857_600, -1, -1, -1, -1, -1]),
    ] {
        let harness = on_plan(plan).await;
        for body in [json!({"name": "Default"}), json!({"name": "Default", "limits": {}, "spam_detection": null})] {
            let made = make(&harness, &body).await;
            let limits = &made["limits"];
            let names = [
                "limit_attachment_size_limit",
                "limit_attachment_count_limit",
                "limit_size_total_mime",
                "limit_storage_total",
                "limit_count_daily_message_received",
                "limit_count_daily_email_sent",
                "limit_inbox_retention_period",
                "limit_spam_retention_period",
            ];
            assert_eq!(names.map(|name| limits[name].as_i64().expect(name)), expected, "{plan}");
            assert_eq!(limits["limit_attachment_allowed_types"], json!([]));
            assert_shape(limits, LIMITS);
            assert_shape(&made["spam_detection"], SPAM);
            let default =
                json!({"use_list_dnsbl": false, "use_header_anomaly_detection": false, "spam_sensitivity": 1.0});
            assert_eq!(made["spam_detection"], default);
            assert_eq!(made["options"], json!({"additional_folders": [], "use_cidr_aliasing": false}));
            assert_eq!(made["rules"], json!([]));
            assert_eq!(made["warnings"], json!(["this policy sets no limits of its own"]));
        }
    }
}

#[tokio::test]
async fn a_limit_goes_up_to_the_plans_maximum_and_the_refusal_names_it() {
    let (free, full) = (on_plan("free").await, on_plan("full_platform").await);
    for (harness, field, maximum, unit) in [
        (&free, "limit_attachment_size_limit", 52_428_800_i64, "bytes"),
        (&free, "limit_attachment_count_limit", 10, "attachments"),
        (&free, "limit_size_total_mime", 52_428_800, "bytes"),
        (&free, "limit_storage_total", 3_221_225_472, "bytes"),
        (&free, "limit_count_daily_email_sent", 200, "messages"),
        (&free, "limit_inbox_retention_period", 30, "days"),
        (&free, "limit_spam_retention_period", 7, "days"),
        (&full, "limit_attachment_size_limit", 52_428_800, "bytes"),
        (&full, "limit_attachment_count_limit", 20, "attachments"),
        (&full, "limit_size_total_mime", 104_857_600, "bytes"),
        (&full, "limit_storage_total", 10_737_418_240, "bytes"),
        (&full, "limit_inbox_retention_period", 365, "days"),
        (&full, "limit_spam_retention_period", 30, "days"),
    ] {
        let made = make(harness, &limit(field, maximum)).await;
        assert_eq!(made["limits"][field], maximum, "at the maximum");
        let refused = harness.post("/v3/policies", &limit(field, maximum + 1)).await;
        refused.refuses(400, "invalid_request", Some(&format!("limits.{field}")));
        refused.says(&format!("limits.{field} must be at most {maximum} {unit}, the maximum of the plan"));
        let refused = harness.put(&at(&made), &limit(field, maximum + 1)).await;
        refused.refuses(400, "invalid_request", Some(&format!("limits.{field}")));
        assert_eq!(harness.get(&at(&made)).await.data()["limits"][field], maximum);
    }
    let made = make(&full, &limit("limit_count_daily_email_sent", 1_000_000)).await;
    assert_eq!(made["limits"]["limit_count_daily_email_sent"], 1_000_000, "no maximum there");
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = on_plan("free").await;
    let sends = "limit_count_daily_email_sent";
    let many = |count: usize| json!({"name": "x", "rules": vec!["r"; count]});
    let types = |list: Value| limit("limit_attachment_allowed_types", list);
    for (body, field, says) in [
        (json!({}), "name", "1 to 256 characters"),
        (json!({"name": ""}), "name", "1 to 256 characters"),
        (json!({"name": "  "}), "name", "1 to 256 characters"),
        (json!({"name": "n".repeat(257)}), "name", "1 to 256 characters"),
        (json!({"name": "a\nb"}), "name", "control characters"),
        (json!({"name": null}), "name", "invalid type: null"),
        (json!({"name": 5}), "name", "invalid type"),
        (json!({"name": "x", sends: 5}), sends, "belongs inside limits"),
        (json!({"name": "x", "limit_whatever": 5}), "limit_whatever", "belongs inside limits"),
        (json!({"name": "x", "limits": [5]}), "limits", "must be an object"),
        (json!({"name": "x", "spam_detection": []}), "spam_detection", "must be an object"),
        (json!({"name": "x", "limits": 5}), "limits", "invalid type"),
        (limit(sends, -1), "limits.limit_count_daily_email_sent", "must not be -1 (unlimited): the plan free allows"),
        (limit(sends, -2), "limits.limit_count_daily_email_sent", "at least 0, or -1 for unlimited"),
        (limit(sends, 1.5), "limits.limit_count_daily_email_sent", "floating point"),
        (limit(sends, "5"), "limits.limit_count_daily_email_sent", "invalid type: string"),
        (limit(sends, u64::MAX), "limits.limit_count_daily_email_sent", "invalid value"),
        (limit(sends, true), "limits.limit_count_daily_email_sent", "invalid type: boolean"),
        (
            limit("limit_count_daily_message_per_grant", -2),
            "limits.limit_count_daily_message_per_grant",
            "at least 0, or -1",
        ),
        (limit("limit_size_total_mime", -1), "limits.limit_size_total_mime", "cannot be unlimited"),
        (limit("limit_spam_retention_period", 8), "limits.limit_spam_retention_period", "at most 7 days"),
        (limit("limit_inbox_retention_period", 7), "limits.limit_spam_retention_period", "must be lower than"),
        (types(json!("image/*")), "limits.limit_attachment_allowed_types", "invalid type"),
        (types(json!(["image/png", "image"])), "limits.limit_attachment_allowed_types[1]", "must be a media type"),
        (types(json!([""])), "limits.limit_attachment_allowed_types[0]", "must be a media type"),
        (types(json!([5])), "limits.limit_attachment_allowed_types[0]", "invalid type"),
        (
            types((0..101).map(|n| format!("a/b{n}")).collect()),
            "limits.limit_attachment_allowed_types",
            "at most 100 media types",
        ),
        (
            json!({"name": "x", "spam_detection": {"spam_sensitivity": 0.09}}),
            "spam_detection.spam_sensitivity",
            "from 0.1 to 5.0",
        ),
        (
            json!({"name": "x", "spam_detection": {"spam_sensitivity": 5.01}}),
            "spam_detection.spam_sensitivity",
            "from 0.1 to 5.0",
        ),
        (
            json!({"name": "x", "spam_detection": {"use_list_dnsbl": "yes"}}),
            "spam_detection.use_list_dnsbl",
            "invalid type",
        ),
        (json!({"name": "x", "options": "x"}), "options", "invalid type"),
        (json!({"name": "x", "options": {"additional_folders": {}}}), "options.additional_folders", "must be a list"),
        (json!({"name": "x", "options": {"use_cidr_aliasing": 1}}), "options.use_cidr_aliasing", "true or false"),
        (json!({"name": "x", "options": {"o": "x".repeat(16_384)}}), "options", "at most 16384 bytes"),
        (many(101), "rules", "at most 100"),
        (json!({"name": "x", "rules": ["r".repeat(257)]}), "rules", "at most 256 characters"),
        (json!({"name": "x", "rules": [1]}), "rules[0]", "invalid type"),
    ] {
        harness.post("/v3/policies", &body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    assert_eq!(harness.get("/v3/policies").await.data(), &json!([]), "none was made");
    make(&harness, &json!({"name": "n".repeat(256)})).await;
    make(&harness, &many(100)).await;
}

#[tokio::test]
async fn an_update_merges_field_by_field_and_null_gives_back() {
    let harness = on_plan("free").await;
    let made = make(
        &harness,
        &json!({"name": "One", "limits": {"limit_count_daily_email_sent": 50, "limit_storage_total": 1_000},
            "spam_detection": {"use_list_dnsbl": true, "spam_sensitivity": 2.5}, "options": {"mine": 1}, "rules": ["a"]}),
    )
    .await;
    let path = at(&made);
    harness.world.advance(60);
    let body = json!({"limits": {"limit_count_daily_email_sent": 60}, "spam_detection": {"spam_sensitivity": 0.5},
        "options": {"additional_folders": ["F"]}});
    for answer in [harness.put(&path, &body).await, patch(&harness, &path, &body).await] {
        let changed = answer.is_ok().data();
        assert_shape(changed, &format!("{POLICY} warnings:array"));
        assert_eq!((&changed["id"], &changed["name"], &changed["rules"]), (&made["id"], &json!("One"), &json!(["a"])));
        assert_eq!(changed["limits"]["limit_count_daily_email_sent"], 60);
        assert_eq!(changed["limits"]["limit_storage_total"], 1_000);
        let spam = json!({"use_list_dnsbl": true, "use_header_anomaly_detection": false, "spam_sensitivity": 0.5});
        assert_eq!(changed["spam_detection"], spam);
        let options = json!({"additional_folders": ["F"], "use_cidr_aliasing": false, "mine": 1});
        assert_eq!(changed["options"], options);
        assert_eq!(changed["created_at"], made["created_at"]);
        assert_eq!(changed["updated_at"], json!(made["updated_at"].as_i64().expect("time") + 60));
    }
    let body = json!({"name": "Two", "limits": {"limit_storage_total": null}, "spam_detection": {"use_list_dnsbl": null},
        "options": {"additional_folders": null, "mine": null}, "rules": null});
    let changed = harness.put(&path, &body).await.is_ok().data().clone();
    assert_eq!((&changed["name"], &changed["rules"]), (&json!("Two"), &json!([])));
    assert_eq!(changed["limits"]["limit_storage_total"], 3_221_225_472_i64, "the plan's");
    assert_eq!(changed["limits"]["limit_count_daily_email_sent"], 60);
    assert_eq!(changed["spam_detection"]["use_list_dnsbl"], false);
    assert_eq!(changed["options"], json!({"additional_folders": [], "use_cidr_aliasing": false}));
    let reset = harness.put(&path, &json!({"limits": null, "spam_detection": null, "options": null})).await;
    assert_eq!(reset.data()["limits"]["limit_count_daily_email_sent"], 200);
    assert_eq!(reset.data()["spam_detection"]["spam_sensitivity"], 1.0);
    assert_eq!(reset.data()["warnings"], json!(["this policy sets no limits of its own"]));
    harness.put(&path, &json!({"name": null})).await.refuses(400, "invalid_request", Some("name"));
    harness.put(&path, &json!({"limit_storage_total": 1})).await.refuses(
        400,
        "invalid_request",
        Some("limit_storage_total"),
    );
}

#[tokio::test]
async fn an_update_that_changes_nothing_leaves_no_trace() {
    let harness = on_plan("free").await;
    let made = make(&harness, &limit("limit_count_daily_email_sent", 5)).await;
    harness.world.advance(60);
    for body in [json!({}), json!({"name": "Tier"}), limit("limit_count_daily_email_sent", 5)] {
        assert_eq!(harness.put(&at(&made), &body).await.is_ok().data(), &made);
    }
}

#[tokio::test]
async fn minus_one_is_unlimited_where_the_plan_is() {
    let harness = on_plan("self_hosted").await;
    let fields = [
        "limit_storage_total",
        "limit_count_daily_message_received",
        "limit_count_daily_email_sent",
        "limit_inbox_retention_period",
        "limit_spam_retention_period",
    ];
    let limits: Value =
        fields.iter().map(|field| ((*field).to_owned(), json!(-1))).collect::<serde_json::Map<_, _>>().into();
    let made = make(&harness, &json!({"name": "Open", "limits": limits})).await;
    for field in fields {
        assert_eq!(made["limits"][field], -1, "{field}");
    }
    // It is what the plan says anyway.
    assert_eq!(made["warnings"], json!(["this policy sets no limits of its own"]));
}

#[tokio::test]
async fn the_older_name_of_a_limit_is_taken_and_never_shown() {
    let harness = on_plan("free").await;
    let made = make(&harness, &limit("limit_count_daily_message_per_grant", 77)).await;
    assert_shape(&made["limits"], LIMITS);
    assert_eq!((&made["limits"]["limit_count_daily_message_received"], &made["warnings"]), (&json!(77), &json!([])));
    let both = json!({"limits": {"limit_count_daily_message_per_grant": 5, "limit_count_daily_message_received": 6}});
    let changed = harness.put(&at(&made), &both).await;
    assert_eq!(changed.data()["limits"]["limit_count_daily_message_received"], 6);
}

#[tokio::test]
async fn a_limit_that_is_none_is_passed_over_with_a_warning() {
    let harness = on_plan("free").await;
    let body = json!({"name": "x", "limits": {"limit_count_daily_emails_sent": 5, "limit_storage_total": 9}});
    let made = make(&harness, &body).await;
    let warning = "limits.limit_count_daily_emails_sent is no limit and was passed over";
    assert_eq!(made["warnings"], json!([warning]));
    assert_eq!(harness.get(&at(&made)).await.data()["warnings"], json!([]));
}

#[tokio::test]
async fn a_list_goes_on_to_its_end() {
    let harness = on_plan("free").await;
    let mut made = Vec::new();
    for number in 0..12 {
        let policy = make(&harness, &json!({"name": format!("Policy {number}")})).await;
        made.insert(0, policy["id"].as_str().expect("id").to_owned());
    }
    harness.ask(&harness.other.api_key, "POST", "/v3/policies", Some(&json!({"name": "theirs"}))).await.is_ok();
    let first = harness.get("/v3/policies").await;
    let cursor = first.json["next_cursor"].as_str().expect("more").to_owned();
    assert_eq!(crate::support::ids(&first), made[..10], "ten, newest first");
    let last = harness.get(&format!("/v3/policies?page_token={cursor}")).await;
    assert_eq!(crate::support::ids(&last), made[10..]);
    assert_shape(&last.json, "request_id:string data:array");
    for limit in ["limit=12", "limit=200", "limit=400", "limit=100000"] {
        let all = harness.get(&format!("/v3/policies?{limit}")).await;
        assert_eq!((all.data().as_array().expect("list").len(), all.json.get("next_cursor")), (12, None), "{limit}");
    }
    let one = harness.get("/v3/policies?limit=1").await;
    assert!(one.json["next_cursor"].is_string());
    // The other application's cursor shows nothing of it.
    let theirs = harness.ask(&harness.other.api_key, "GET", &format!("/v3/policies?page_token={cursor}"), None).await;
    assert_eq!(theirs.data(), &json!([]));
    harness.get("/v3/policies?limit=0").await.refuses(400, "invalid_request", Some("limit"));
    harness.get("/v3/policies?page_token=x").await.refuses(400, "invalid_request", Some("page_token"));
}

#[tokio::test]
async fn another_applications_policy_looks_like_none() {
    let harness = on_plan("free").await;
    let theirs = harness.ask(&harness.other.api_key, "POST", "/v3/policies", Some(&json!({"name": "theirs"}))).await;
    let path = at(theirs.data());
    let change = json!({"name": "mine now"});
    for (method, body) in [("GET", None), ("PUT", Some(&change)), ("PATCH", Some(&change)), ("DELETE", None)] {
        let stranger = harness.ask(&harness.acme.api_key, method, &path, body).await;
        let nobody = harness.ask(&harness.acme.api_key, method, &format!("/v3/policies/{NOBODY}"), body).await;
        stranger.refuses(404, "not_found", None);
        assert_eq!(stranger.without_id(), nobody.without_id(), "{method}");
    }
    let after = harness.ask(&harness.other.api_key, "GET", &path, None).await;
    assert_eq!(after.data(), theirs.data());
}

async fn send(harness: &Harness, from: &str) -> Answer {
    // So many a second leave as these plans allow.
    harness.world.advance(1);
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    harness.post(&format!("/v3/grants/{from}/messages/send"), &body).await
}

#[tokio::test]
async fn an_edit_holds_from_the_next_send_for_every_mailbox_under_the_policy() {
    let (harness, path) = governed("free").await;
    let agents = ["agent@acme.test", "second@acme.test", "third@acme.test"];
    for name in ["second", "third"] {
        harness.world.mailbox(&harness.acme, name).await;
    }
    harness.put(&path, &limit("limit_count_daily_email_sent", 2)).await.is_ok();
    for agent in agents {
        // Each has its own two.
        assert_eq!(send(&harness, agent).await.is_ok().header("ratelimit-remaining"), Some("1"));
        assert_eq!(send(&harness, agent).await.is_ok().header("ratelimit-remaining"), Some("0"));
        send(&harness, agent).await.refuses(429, "daily_quota_exceeded", None).says("2 messages");
    }
    // One edit raises it for all, another lowers it below what was sent.
    harness.put(&path, &limit("limit_count_daily_email_sent", 3)).await.is_ok();
    for agent in agents {
        send(&harness, agent).await.is_ok();
        send(&harness, agent).await.refuses(429, "daily_quota_exceeded", None);
    }
    harness.put(&path, &limit("limit_count_daily_email_sent", 0)).await.is_ok();
    send(&harness, agents[0]).await.refuses(429, "daily_quota_exceeded", None);
    harness.put(&path, &limit("limit_count_daily_email_sent", Value::Null)).await.is_ok();
    assert_eq!(send(&harness, agents[0]).await.is_ok().header("ratelimit-limit"), Some("200"), "the plan's");
}

#[tokio::test]
async fn a_policy_that_no_workspace_has_does_nothing() {
    let harness = on_plan("free").await;
    make(&harness, &limit("limit_count_daily_email_sent", 0)).await;
    assert_eq!(send(&harness, &harness.agent).await.is_ok().header("ratelimit-limit"), Some("200"));
}

#[tokio::test]
async fn a_removed_policy_leaves_its_workspaces_to_the_plan() {
    let (harness, path) = governed("free").await;
    harness.put(&path, &limit("limit_count_daily_email_sent", 0)).await.is_ok();
    send(&harness, &harness.agent).await.refuses(429, "daily_quota_exceeded", None);
    harness.delete(&path).await.is_ok();
    assert_eq!(send(&harness, &harness.agent).await.is_ok().header("ratelimit-limit"), Some("200"));
}

#[tokio::test]
async fn without_a_policy_the_free_plan_allows_200_a_day_and_the_full_one_any_number() {
    for (plan, expected) in [("free", Some("200")), ("full_platform", None)] {
        let harness = on_plan(plan).await;
        assert_eq!(send(&harness, &harness.agent).await.is_ok().header("ratelimit-limit"), expected, "{plan}");
    }
}

#[tokio::test]
async fn an_edit_holds_from_the_next_message_received() {
    let (harness, path) = governed("free").await;
    let message = "From: a@sender.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/pdf\r\n\
        Content-Disposition: attachment; filename=a.pdf\r\n\r\n0123456789\r\n";
    let receive = async || harness.world.receive("a@sender.test", "agent@acme.test", message).await;
    receive().await.expect("accepted");
    for (change, code) in [
        (json!({"limit_size_total_mime": 20}), "message_too_large"),
        (json!({"limit_size_total_mime": null, "limit_attachment_count_limit": 0}), "too_many_attachments"),
        (json!({"limit_attachment_count_limit": 1, "limit_attachment_size_limit": 5}), "attachment_too_large"),
        (
            json!({"limit_attachment_size_limit": null, "limit_attachment_allowed_types": ["image/*"]}),
            "attachment_type_refused",
        ),
    ] {
        harness.put(&path, &json!({"limits": change})).await.is_ok();
        assert_eq!(receive().await.expect_err("refused").code, code);
    }
    harness.put(&path, &json!({"limits": {"limit_attachment_allowed_types": ["application/*"]}})).await.is_ok();
    receive().await.expect("accepted again");
    // And at RCPT, by the size that is announced.
    let address = EmailAddress::parse("agent@acme.test").expect("address");
    let rcpt = async |octets| {
        let offer = Offer { declared_octets: Some(octets), ..Offer::from(&ReversePath::Null) };
        recipient(&harness.world.platform, &offer, &address).await
    };
    rcpt(1_001).await.expect("within the plan");
    harness.put(&path, &limit("limit_size_total_mime", 1_000)).await.is_ok();
    rcpt(1_000).await.expect("at the limit");
    assert_eq!(rcpt(1_001).await.expect_err("refused").code, "message_too_large");
}
