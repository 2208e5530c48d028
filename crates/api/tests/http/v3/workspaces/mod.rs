//! `/v3/workspaces`, and what its tests share.

pub(crate) mod auto_group;
pub(crate) mod breakers;
pub(crate) mod findings;
pub(crate) mod layout;
pub(crate) mod manual_assign;
pub(crate) mod quota_advice;
pub(crate) mod rules_test;
pub(crate) mod workspace;

use crate::support::{Answer, Harness, NOBODY};
use postfleet_mailflow::jobs;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&[&str]] = &[
    auto_group::ROUTES,
    breakers::ROUTES,
    findings::ROUTES,
    layout::ROUTES,
    manual_assign::ROUTES,
    quota_advice::ROUTES,
    rules_test::ROUTES,
    workspace::ROUTES,
];

pub(crate) const WORKSPACE: &str = "workspace_id:string application_id:string name:string domain:string \
    auto_group:boolean default:boolean policy_id:string? on_quota:string rule_ids:array \
    created_at:integer updated_at:integer";

/// Makes a workspace, a second later than anything else; answers its id.
pub(crate) async fn make(harness: &Harness, body: &Value) -> String {
    harness.world.advance(1);
    let made = harness.post("/v3/workspaces", body).await;
    made.is_ok().data()["workspace_id"].as_str().expect("id").to_owned()
}

pub(crate) async fn patch(harness: &Harness, workspace: &str, body: &Value) -> Answer {
    let path = format!("/v3/workspaces/{workspace}");
    harness.ask(&harness.acme.api_key, "PATCH", &path, Some(body)).await
}

/// The workspace of a mailbox; null for none.
pub(crate) async fn workspace_of(harness: &Harness, grant: &str) -> Value {
    harness.get(&format!("/v3/grants/{grant}")).await.is_ok().data()["workspace_id"].clone()
}

/// Lets the janitor do everything that waits.
pub(crate) async fn finish_jobs(harness: &Harness) {
    while jobs::run_once(&harness.world.platform).await.expect("chunk") {}
}

#[tokio::test]
async fn another_applications_workspace_looks_like_none() {
    let harness = Harness::new().await;
    let theirs = harness.other.workspace_id.to_string();
    let body = json!({"name": "mine now", "assign_grants": [harness.agent]});
    let routes = ROUTES.iter().flat_map(|routes| routes.iter().copied());
    for route in routes.filter(|route| route.contains("{workspace}")) {
        let (method, path) = route.split_once(' ').expect("method and path");
        let ask = async |id: &str| {
            let body = matches!(method, "POST" | "PATCH").then_some(&body);
            harness.ask(&harness.acme.api_key, method, &path.replace("{workspace}", id), body).await
        };
        let nobody = ask(NOBODY).await;
        nobody.refuses(404, "not_found", None);
        let stranger = ask(&theirs).await;
        assert_eq!((stranger.status, stranger.without_id()), (404, nobody.without_id()), "{route}");
    }
    let after = harness.ask(&harness.other.api_key, "GET", &format!("/v3/workspaces/{theirs}"), None).await;
    assert_eq!(after.is_ok().data()["name"], "Default");
}
