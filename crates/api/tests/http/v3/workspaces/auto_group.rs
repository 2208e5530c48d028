//! `/v3/workspaces/auto-group`.

use super::{finish_jobs, make, workspace_of};
use crate::support::{Harness, assert_shape};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/workspaces/auto-group"];

#[tokio::test]
async fn grouping_moves_mailboxes_that_nobody_placed() {
    let harness = Harness::new().await;
    let placed = harness.world.mailbox(&harness.acme, "placed").await.id.to_string();
    let tier = make(&harness, &json!({"name": "tier"})).await;
    let path = format!("/v3/workspaces/{tier}/manual-assign");
    harness.post(&path, &json!({"assign_grants": [placed]})).await.is_ok();
    let target = make(&harness, &json!({"name": "of the domain", "domain": "acme.test"})).await;
    assert_eq!(workspace_of(&harness, &harness.agent).await, json!(harness.acme.workspace_id.to_string()));

    let started = harness.post("/v3/workspaces/auto-group", &json!({"invalid_also": true})).await;
    assert_eq!(started.status, 200);
    assert_shape(started.data(), "job_id:string message:string");
    let job = started.data()["job_id"].as_str().expect("id");
    let message = format!(
        "Auto-grouping started successfully under JobID '{job}', please wait for the process to complete. It may take \
         some time."
    );
    assert_eq!(started.data()["message"], json!(message));
    assert_eq!(harness.get(&format!("/v3/jobs/{job}")).await.is_ok().data()["status"], "queued");
    finish_jobs(&harness).await;
    let done = harness.get(&format!("/v3/jobs/{job}")).await;
    assert_eq!((&done.data()["status"], &done.data()["moved"]), (&json!("done"), &json!(1)));
    assert_eq!(workspace_of(&harness, &harness.agent).await, json!(target));
    assert_eq!(workspace_of(&harness, &placed).await, json!(tier));
}

#[tokio::test]
async fn only_what_is_asked_for_is_grouped() {
    let harness = Harness::new().await;
    harness.world.advance(100);
    let young = harness.world.mailbox(&harness.acme, "young").await;
    make(&harness, &json!({"name": "of the domain", "domain": "acme.test"})).await;
    let moved = async |body: Value| {
        harness.world.advance(60);
        let started = harness.post("/v3/workspaces/auto-group", &body).await;
        let job = started.is_ok().data()["job_id"].as_str().expect("id").to_owned();
        finish_jobs(&harness).await;
        harness.get(&format!("/v3/jobs/{job}")).await.is_ok().data()["moved"].clone()
    };
    let made = young.created_at.as_seconds();
    assert_eq!(moved(json!({"specific_domain": "other.test"})).await, 0);
    assert_eq!(moved(json!({"after_created_at": made + 1})).await, 0);
    assert_eq!(moved(json!({"after_created_at": made, "specific_domain": "ACME.test"})).await, 1);
    assert_eq!(moved(json!({})).await, 1);
    for (body, field) in
        [(json!({"after_created_at": -1}), "after_created_at"), (json!({"specific_domain": "a b"}), "specific_domain")]
    {
        harness.world.advance(60);
        harness.post("/v3/workspaces/auto-group", &body).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn grouping_begins_once_a_minute() {
    let harness = Harness::new().await;
    // Without a body, as some clients ask.
    let request = || {
        let builder = Request::post("/v3/workspaces/auto-group")
            .header("authorization", format!("Bearer {}", harness.acme.api_key))
            .header("content-type", "application/json");
        harness.request(builder.body(Body::empty()).expect("request"))
    };
    request().await.is_ok();
    harness.world.advance(25);
    let refused = request().await;
    refused.refuses(429, "auto_group_rate_limited", None);
    assert_eq!(refused.json["error"]["type"], "rate_limit_error");
    assert_eq!(refused.header("retry-after"), Some("35"));
    // Another application is not concerned.
    harness.ask(&harness.other.api_key, "POST", "/v3/workspaces/auto-group", Some(&json!({}))).await.is_ok();
    harness.world.advance(34);
    request().await.refuses(429, "auto_group_rate_limited", None);
    harness.world.advance(1);
    request().await.is_ok();
}
