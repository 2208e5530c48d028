//! `/v3/jobs`.

use super::workspaces::{finish_jobs, make};
use crate::support::{Harness, NOBODY, assert_shape, ids};
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/jobs", "GET /v3/jobs/{job}"];

#[tokio::test]
async fn jobs_are_listed_newest_first_in_pages_and_only_to_their_application() {
    let harness = Harness::new().await;
    let target = make(&harness, &json!({"name": "a"})).await;
    let layout =
        json!({"assignments": [{"workspace_id": target, "match": {"email_contains": "nobody"}}], "dry_run": false});
    let mut made = Vec::new();
    for _ in 0..5 {
        harness.world.advance(1);
        let started = harness.post("/v3/workspaces/layout", &layout).await;
        made.insert(0, started.is_ok().data()["job_id"].as_str().expect("id").to_owned());
    }
    harness.world.advance(7);
    finish_jobs(&harness).await;
    let (mut listed, mut path) = (Vec::new(), "/v3/jobs?limit=2".to_owned());
    loop {
        let page = harness.get(&path).await;
        listed.extend(ids(page.is_ok()));
        let Some(next) = page.json.get("next_cursor") else { break };
        path = format!("/v3/jobs?limit=2&page_token={}", next.as_str().expect("cursor"));
    }
    assert_eq!(listed, made);

    let job = harness.get(&format!("/v3/jobs/{}", made[0])).await;
    let data = job.is_ok().data();
    assert_shape(
        data,
        "id:string kind:string status:string created_at:integer updated_at:integer examined:integer moved:integer \
         result:object",
    );
    assert_eq!((&data["kind"], &data["status"]), (&json!("layout"), &json!("done")));
    assert_eq!(data["updated_at"], json!(data["created_at"].as_i64().expect("time") + 7));
    assert_eq!(data["result"], json!({"unmatched": 1, "skipped": 0, "error": null}));

    let theirs = harness.ask(&harness.other.api_key, "GET", "/v3/jobs", None).await;
    assert_eq!(theirs.data(), &json!([]));
    let (stranger, nobody) = (
        harness.ask(&harness.other.api_key, "GET", &format!("/v3/jobs/{}", made[0]), None).await,
        harness.ask(&harness.other.api_key, "GET", &format!("/v3/jobs/{NOBODY}"), None).await,
    );
    stranger.refuses(404, "not_found", None);
    assert_eq!(stranger.without_id(), nobody.without_id());
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("page_token=x", "page_token")] {
        harness.get(&format!("/v3/jobs?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn jobs_that_wait_are_not_more_than_a_few() {
    let harness = Harness::new().await;
    let target = make(&harness, &json!({"name": "a"})).await;
    let layout =
        json!({"assignments": [{"workspace_id": target, "match": {"email_contains": "nobody"}}], "dry_run": false});
    for _ in 0..10 {
        harness.post("/v3/workspaces/layout", &layout).await.is_ok();
    }
    harness.post("/v3/workspaces/layout", &layout).await.refuses(429, "too_many_jobs", None);
    harness.post("/v3/workspaces/auto-group", &json!({})).await.refuses(429, "too_many_jobs", None);
    finish_jobs(&harness).await;
    harness.post("/v3/workspaces/layout", &layout).await.is_ok();
}
