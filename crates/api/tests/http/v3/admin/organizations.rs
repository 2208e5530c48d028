//! `/v3/admin/organizations` and `/v3/admin/plans`.

use crate::support::{Harness, NOBODY, assert_shape, ids};
use postfleet_testkit::world::NewTenant;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/admin/organizations",
    "POST /v3/admin/organizations",
    "GET /v3/admin/organizations/{organization}",
    "PATCH /v3/admin/organizations/{organization}",
    "GET /v3/admin/plans",
];

const ORGANIZATION: &str = "id:string name:string plan:string allowances:object grant_count:integer \
    created_at:integer updated_at:integer";
const PLAN: &str = "name:string grants_max:integer rules_max:integer lists_max:integer trial_domains_max:integer \
    storage_bytes_max:integer monthly_bandwidth_bytes_max:integer monthly_sends_max:integer send_rates:object \
    request_rates:object has_overage:boolean limits:object";
const LIMITS: &str = "limit_attachment_size_limit:integer limit_attachment_count_limit:integer \
    limit_attachment_allowed_types:array limit_size_total_mime:integer limit_storage_total:integer \
    limit_count_daily_message_received:integer limit_count_daily_email_sent:integer \
    limit_inbox_retention_period:integer limit_spam_retention_period:integer outbound_message_bytes_max:integer";

const ALL: &str = "/v3/admin/organizations";

#[tokio::test]
async fn the_installations_operator_makes_sees_and_changes_all() {
    let harness = Harness::new().await;
    harness.world.advance(1);
    let body = json!({"name": "Grüße AG", "plan": "free", "unknown": [1]});
    let made = harness.administer("POST", ALL, Some(&body)).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), ORGANIZATION);
    assert_eq!((&made.data()["name"], &made.data()["plan"]), (&json!("Grüße AG"), &json!("free")));
    assert_eq!((&made.data()["grant_count"], &made.data()["allowances"]["grants_max"]), (&json!(0), &json!(3)));

    let id = made.data()["id"].as_str().expect("id").to_owned();
    let one = format!("{ALL}/{id}");
    assert_eq!(harness.administer("GET", &one, None).await.data(), made.data());
    let list = harness.administer("GET", ALL, None).await;
    assert_eq!(ids(&list)[0], id, "newest first");
    assert_eq!(list.data().as_array().expect("list").len(), 3);

    harness.world.advance(60);
    let changed = harness.administer("PATCH", &one, Some(&json!({"plan": "full_platform"}))).await;
    assert_eq!(changed.is_ok().data()["plan"], "full_platform");
    assert_eq!(
        (&changed.data()["name"], &changed.data()["created_at"]),
        (&json!("Grüße AG"), &made.data()["created_at"])
    );
    assert_eq!(changed.data()["updated_at"], json!(made.data()["updated_at"].as_i64().expect("time") + 60));
    // Nothing changed: not even the time.
    harness.world.advance(60);
    let same = harness.administer("PATCH", &one, Some(&json!({"plan": "full_platform"}))).await;
    assert_eq!(same.is_ok().data(), changed.data());

    let unnamed = harness.administer("POST", ALL, Some(&json!({"name": "x"}))).await;
    assert_eq!(unnamed.is_ok().data()["plan"], "self_hosted");
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended() {
    let harness = Harness::new().await;
    let mut seen = Vec::new();
    let mut path = format!("{ALL}?limit=1");
    for _ in 0..2 {
        let page = harness.administer("GET", &path, None).await;
        seen.extend(ids(&page));
        match page.json["next_cursor"].as_str() {
            Some(cursor) => path = format!("{ALL}?limit=1&page_token={cursor}"),
            None => path.clear(),
        }
    }
    let (acme, other) = (&harness.acme.organization_id, &harness.other.organization_id);
    let mut expected = [acme.to_string(), other.to_string()];
    expected.sort_by(|a, b| b.cmp(a));
    assert_eq!((seen, path.as_str()), (expected.to_vec(), ""));
    harness.administer("GET", &format!("{ALL}?page_token=x"), None).await.refuses(
        400,
        "invalid_request",
        Some("page_token"),
    );
    harness.administer("GET", &format!("{ALL}?limit=201"), None).await.refuses(400, "invalid_request", Some("limit"));
}

#[tokio::test]
async fn an_operator_of_one_organization_sees_that_alone() {
    let harness = Harness::new().await;
    let key = harness.operator(&["*"]).await;
    let (own, other) = (harness.acme.organization_id.to_string(), harness.other.organization_id.to_string());
    assert_eq!(ids(&harness.ask(&key, "GET", ALL, None).await), [own.as_str()]);
    harness.ask(&key, "GET", &format!("{ALL}/{own}"), None).await.is_ok();
    let nobody = harness.ask(&key, "GET", &format!("{ALL}/{NOBODY}"), None).await;
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "mine"})))] {
        let answer = harness.ask(&key, method, &format!("{ALL}/{other}"), body.as_ref()).await;
        answer.refuses(404, "not_found", None);
        assert_eq!(answer.without_id(), nobody.without_id());
    }
    let made = harness.ask(&key, "POST", ALL, Some(&json!({"name": "x"}))).await;
    made.refuses(403, "installation_only", None);
    // It may rename itself, and does not choose what it may use.
    let renamed = harness.ask(&key, "PATCH", &format!("{ALL}/{own}"), Some(&json!({"name": "new"}))).await;
    assert_eq!(renamed.is_ok().data()["name"], "new");
    let richer = harness.ask(&key, "PATCH", &format!("{ALL}/{own}"), Some(&json!({"plan": "full_platform"}))).await;
    richer.refuses(403, "installation_only", None);
}

#[tokio::test]
async fn another_plan_holds_at_once() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let mailbox = |name: &str| json!({"provider": "nylas", "settings": {"email": format!("{name}@acme.test")}});
    for name in ["b", "c"] {
        harness.post("/v3/connect/custom", &mailbox(name)).await.is_ok();
    }
    let refused = harness.post("/v3/connect/custom", &mailbox("d")).await;
    refused.refuses(403, "grants_max_reached", None).says("for this plan");
    let error = &refused.json["error"];
    assert_eq!((&error["scope"], &error["limit"]), (&json!("organization"), &json!(3)));
    let one = format!("{ALL}/{}", harness.acme.organization_id);
    harness.administer("PATCH", &one, Some(&json!({"plan": "full_platform"}))).await.is_ok();
    harness.post("/v3/connect/custom", &mailbox("d")).await.is_ok();
    // The allowance is that of the organization, over its applications; what is there stays.
    let back = harness.administer("PATCH", &one, Some(&json!({"plan": "free"}))).await;
    assert_eq!(back.is_ok().data()["grant_count"], 4);
    harness.post("/v3/connect/custom", &mailbox("e")).await.refuses(403, "grants_max_reached", None);
}

#[tokio::test]
async fn an_allowance_is_the_organizations_over_all_its_applications() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let made = harness.administer("POST", "/v3/admin/applications", Some(&json!({"name": "second"}))).await;
    let keys = format!("/v3/admin/applications/{}/api-keys", made.is_ok().data()["id"].as_str().expect("id"));
    let key = harness.administer("POST", &keys, Some(&json!({"name": "key"}))).await;
    let key = key.is_ok().data()["api_key"].as_str().expect("key").to_owned();
    let ask = async |key: &str, name: &str| {
        let body = json!({"provider": "nylas", "settings": {"email": format!("{name}@acme.test")}});
        harness.ask(key, "POST", "/v3/connect/custom", Some(&body)).await
    };
    ask(&key, "b").await.is_ok();
    ask(&key, "c").await.is_ok();
    ask(&key, "d").await.refuses(403, "grants_max_reached", None);
    ask(&harness.acme.api_key, "d").await.refuses(403, "grants_max_reached", None);
}

#[tokio::test]
async fn plans_are_listed_with_minus_one_for_unlimited() {
    let harness = Harness::new().await;
    let list = harness.administer("GET", "/v3/admin/plans", None).await;
    let plans = list.is_ok().data().as_array().expect("list");
    for plan in plans {
        assert_shape(plan, PLAN);
        assert_shape(&plan["limits"], LIMITS);
    }
    let plan = |name: &str| plans.iter().find(|plan| plan["name"] == name).expect("plan");
    assert_eq!(plan("free")["limits"]["limit_count_daily_email_sent"], 200);
    assert_eq!(plan("free")["monthly_sends_max"], 3_000);
    assert_eq!(plan("full_platform")["limits"]["limit_count_daily_email_sent"], -1);
    assert_eq!(plan("self_hosted")["grants_max"], -1);
    assert_eq!(plan("self_hosted")["limits"]["limit_storage_total"], -1);
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let one = format!("{ALL}/{}", harness.acme.organization_id);
    for (method, path, body, field, says) in [
        ("POST", ALL, json!({"name": ""}), "name", "1 to 256 characters"),
        ("POST", ALL, json!({"name": "n".repeat(257)}), "name", "1 to 256 characters"),
        ("POST", ALL, json!({"name": "a\u{7}"}), "name", "control characters"),
        ("POST", ALL, json!({"name": "x", "plan": "gold"}), "plan", "free, full_platform, self_hosted"),
        ("PATCH", &one, json!({"name": " "}), "name", "1 to 256 characters"),
        ("PATCH", &one, json!({"plan": ""}), "plan", "plan must be one of"),
        ("PATCH", &one, json!({"plan": 1}), "plan", "invalid type"),
    ] {
        let answer = harness.administer(method, path, Some(&body)).await;
        answer.refuses(400, "invalid_request", Some(field)).says(says);
    }
    harness.administer("POST", ALL, Some(&json!({"name": "n".repeat(256)}))).await.is_ok();
}
