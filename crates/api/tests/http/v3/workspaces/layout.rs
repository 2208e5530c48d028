//! `/v3/workspaces/layout`.

use super::{finish_jobs, make, workspace_of};
use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_mailflow::jobs;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/workspaces/layout"];

#[tokio::test]
async fn a_preview_says_what_the_job_then_does() {
    let harness = Harness::new().await;
    let support = harness.world.mailbox(&harness.acme, "support-1").await.id.to_string();
    let sales = harness.world.mailbox(&harness.acme, "sales-1").await.id.to_string();
    let (tier, rest) = (
        make(&harness, &json!({"name": "support", "preset": "triage"})).await,
        make(&harness, &json!({"name": "b"})).await,
    );
    let path = format!("/v3/workspaces/{tier}/manual-assign");
    harness.post(&path, &json!({"assign_grants": [sales]})).await.is_ok();
    let path = format!("/v3/workspaces/{}/manual-assign", harness.acme.workspace_id);
    harness.post(&path, &json!({"remove_grants": [support]})).await.is_ok();
    let mut wanted = json!({"assignments": [
        {"workspace_id": tier, "match": {"email_contains": "SUPPORT-"}},
        {"workspace_id": rest, "match": {"email_contains": "support", "domain": "acme.test"}},
        {"workspace_id": rest, "match": {"workspace_id": tier, "created_after": 0}},
    ]});
    let preview = harness.post("/v3/workspaces/layout", &wanted).await;
    let data = preview.is_ok().data();
    assert_shape(data, "examined:integer moved:integer unmatched:integer moves:array truncated:boolean");
    assert_eq!((&data["examined"], &data["moved"], &data["unmatched"]), (&json!(3), &json!(2), &json!(1)));
    let from_none = json!({"from_workspace_id": null, "to_workspace_id": tier, "count": 1, "daily_sends_before": null,
        "daily_sends_after": 100, "sample": [{"grant_id": support, "email": "support-1@acme.test"}]});
    let from_tier = json!({"from_workspace_id": tier, "to_workspace_id": rest, "count": 1, "daily_sends_before": 100,
        "daily_sends_after": null, "sample": [{"grant_id": sales, "email": "sales-1@acme.test"}]});
    assert_eq!((&data["moves"], &data["truncated"]), (&json!([from_none, from_tier]), &json!(false)));
    assert_eq!(workspace_of(&harness, &sales).await, json!(tier), "a preview moves nothing");

    wanted["dry_run"] = json!(false);
    let started = harness.post("/v3/workspaces/layout", &wanted).await;
    assert_shape(started.is_ok().data(), "job_id:string");
    finish_jobs(&harness).await;
    let job = started.data()["job_id"].as_str().expect("id");
    let done = harness.get(&format!("/v3/jobs/{job}")).await;
    assert_eq!((&done.data()["examined"], &done.data()["moved"]), (&data["examined"], &data["moved"]));
    assert_eq!(
        (workspace_of(&harness, &sales).await, workspace_of(&harness, &support).await),
        (json!(rest), json!(tier))
    );
}

#[tokio::test]
async fn a_large_fleet_is_counted_whole_and_shown_in_samples() {
    let harness = Harness::new().await;
    let target = make(&harness, &json!({"name": "a"})).await;
    // With the one that is there: a page of what a preview reads, and one more.
    harness.world.advance(1);
    for number in 0..500 {
        harness.world.mailbox(&harness.acme, &format!("box{number}")).await;
    }
    let wanted = json!({"assignments": [{"workspace_id": target, "match": {"domain": "acme.test"}}], "dry_run": true});
    let preview = harness.post("/v3/workspaces/layout", &wanted).await;
    let data = preview.is_ok().data();
    assert_eq!(
        (&data["examined"], &data["moved"], &data["moves"][0]["count"]),
        (&json!(501), &json!(501), &json!(501))
    );
    let sample = data["moves"][0]["sample"].as_array().expect("list");
    assert_eq!((sample.len(), &sample[0]["grant_id"]), (10, &json!(harness.agent)));
    // The job needs two chunks.
    let wanted = json!({"assignments": wanted["assignments"], "dry_run": false});
    harness.post("/v3/workspaces/layout", &wanted).await.is_ok();
    let platform = &harness.world.platform;
    for (status, examined, more) in [("running", 500, true), ("done", 501, true), ("done", 501, false)] {
        assert_eq!(jobs::run_once(platform).await.expect("chunk"), more);
        let jobs = harness.get("/v3/jobs").await;
        let job = &jobs.data()[0];
        assert_eq!((&job["status"], &job["examined"]), (&json!(status), &json!(examined)));
    }
}

#[tokio::test]
async fn a_wrong_assignment_is_named() {
    let harness = Harness::new().await;
    let id = make(&harness, &json!({"name": "a"})).await;
    let theirs = harness.other.workspace_id.to_string();
    let assignment = |workspace: &str, wanted: Value| json!({"workspace_id": workspace, "match": wanted});
    let right = assignment(&id, json!({"workspace_id": "none"}));
    let wrong_match = |wanted: Value| json!([right, assignment(&id, wanted)]);
    for (assignments, field) in [
        (json!([]), "assignments"),
        (Value::from(vec![right.clone(); 101]), "assignments"),
        (json!([right, assignment(&theirs, json!({"domain": "a.test"}))]), "assignments[1].workspace_id"),
        (json!([right, assignment("x", json!({"domain": "a.test"}))]), "assignments[1].workspace_id"),
        (wrong_match(json!({})), "assignments[1].match"),
        (wrong_match(json!({"domain": "a b"})), "assignments[1].match.domain"),
        (wrong_match(json!({"workspace_id": NOBODY})), "assignments[1].match.workspace_id"),
        (wrong_match(json!({"workspace_id": theirs})), "assignments[1].match.workspace_id"),
        (wrong_match(json!({"email_contains": ""})), "assignments[1].match.email_contains"),
        (wrong_match(json!({"email_contains": "x".repeat(257)})), "assignments[1].match.email_contains"),
        (wrong_match(json!({"created_after": -1})), "assignments[1].match.created_after"),
        (wrong_match(json!({"created_before": -1})), "assignments[1].match.created_before"),
    ] {
        for dry_run in [true, false] {
            let body = json!({"assignments": assignments, "dry_run": dry_run});
            harness.post("/v3/workspaces/layout", &body).await.refuses(400, "invalid_request", Some(field));
        }
    }
    let all = json!({"assignments": vec![right; 100]});
    assert_eq!(harness.post("/v3/workspaces/layout", &all).await.is_ok().data()["examined"], 1);
    assert_eq!(harness.get("/v3/jobs").await.data(), &json!([]));
}
