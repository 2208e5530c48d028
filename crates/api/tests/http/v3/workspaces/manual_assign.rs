//! `/v3/workspaces/{workspace}/manual-assign`.

use super::{make, workspace_of};
use crate::support::{Answer, Harness, NOBODY, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/workspaces/{workspace}/manual-assign"];

async fn assign(harness: &Harness, workspace: &str, body: &Value) -> Answer {
    harness.post(&format!("/v3/workspaces/{workspace}/manual-assign"), body).await
}

#[tokio::test]
async fn mailboxes_go_in_from_anywhere_and_out_into_none() {
    let harness = Harness::new().await;
    let second = harness.world.mailbox(&harness.acme, "second").await.id.to_string();
    // Also into one that groups by itself.
    let one = make(&harness, &json!({"name": "one", "domain": "one.test"})).await;
    let two = make(&harness, &json!({"name": "two"})).await;
    let assigned = assign(&harness, &one, &json!({"assign_grants": [harness.agent, "Second@acme.test"]})).await;
    assert_eq!(assigned.status, 200);
    assert_shape(
        assigned.data(),
        "application_id:string workspace_id:string domain:string grants_assigned:array grants_removed:array",
    );
    let data = assigned.data();
    assert_eq!((&data["workspace_id"], &data["domain"]), (&json!(one), &json!("one.test")));
    assert_eq!((&data["grants_assigned"], &data["grants_removed"]), (&json!([harness.agent, second]), &json!([])));
    assert_eq!(workspace_of(&harness, &second).await, json!(one));

    assign(&harness, &two, &json!({"assign_grants": [second], "remove_grants": null})).await.is_ok();
    assert_eq!(workspace_of(&harness, &second).await, json!(two));
    // What is elsewhere by now stays there.
    let removed = assign(&harness, &one, &json!({"remove_grants": [second, harness.agent]})).await;
    let data = removed.is_ok().data();
    assert_eq!((&data["grants_assigned"], &data["grants_removed"]), (&json!([]), &json!([harness.agent])));
    assert_eq!(
        (workspace_of(&harness, &harness.agent).await, workspace_of(&harness, &second).await),
        (Value::Null, json!(two))
    );
}

#[tokio::test]
async fn a_wrong_entry_is_named_and_nothing_is_moved() {
    let harness = Harness::new().await;
    let id = make(&harness, &json!({"name": "a"})).await;
    let many = vec![harness.agent.clone(); 501];
    let agent = &harness.agent;
    for (body, field, text) in [
        (json!({}), None, "At least one grant must be assigned or removed"),
        (json!({"assign_grants": [], "remove_grants": []}), None, "At least one grant must be assigned or removed"),
        (json!({"assign_grants": many}), Some("assign_grants"), "at most 500"),
        (json!({"remove_grants": many}), Some("remove_grants"), "at most 500"),
        (json!({"assign_grants": [agent, harness.stranger]}), Some("assign_grants[1]"), &harness.stranger),
        (json!({"assign_grants": [agent, "agent@other.test"]}), Some("assign_grants[1]"), "agent@other.test"),
        (json!({"assign_grants": [agent], "remove_grants": [NOBODY]}), Some("remove_grants[0]"), NOBODY),
        (json!({"assign_grants": [agent, "x"]}), Some("assign_grants[1]"), "\"x\""),
        (json!({"assign_grants": [agent], "remove_grants": ["agent@acme.test"]}), Some("remove_grants"), "also in"),
        (json!({"assign_grants": agent}), Some("assign_grants"), "error parsing"),
    ] {
        assign(&harness, &id, &body).await.refuses(400, "invalid_request", field).says(text);
    }
    assert_eq!(workspace_of(&harness, agent).await, json!(harness.acme.workspace_id.to_string()));
    // As many as may be, all the same.
    let assigned = assign(&harness, &id, &json!({"assign_grants": many[..500]})).await;
    assert_eq!(assigned.is_ok().data()["grants_assigned"], json!([agent]));
    assign(&harness, "acme.test", &json!({"assign_grants": [agent]})).await.refuses(404, "not_found", None);
    assign(&harness, "no%20domain", &json!({"assign_grants": [agent]})).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_domain_names_its_oldest_workspace() {
    let harness = Harness::new().await;
    let oldest = make(&harness, &json!({"name": "a", "domain": "acme.test", "auto_group": false})).await;
    make(&harness, &json!({"name": "b", "domain": "acme.test"})).await;
    let assigned = assign(&harness, "ACME.test", &json!({"assign_grants": [harness.agent]})).await;
    assert_eq!(assigned.is_ok().data()["workspace_id"], json!(oldest));
    assert_eq!(workspace_of(&harness, &harness.agent).await, json!(oldest));
    let removed = assign(&harness, "acme.test", &json!({"remove_grants": [harness.agent]})).await;
    assert_eq!(removed.is_ok().data()["grants_removed"], json!([harness.agent]));
    // Another application has no such workspace.
    let path = "/v3/workspaces/acme.test/manual-assign";
    let theirs = harness.ask(&harness.other.api_key, "POST", path, Some(&json!({"assign_grants": ["x"]}))).await;
    theirs.refuses(404, "not_found", None);
}
