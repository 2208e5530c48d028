//! `/v3/workspaces/findings`.

use super::{make, patch};
use crate::support::{Harness, assert_shape};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/workspaces/findings"];

/// Makes every application one of production.
struct InProduction;

impl Command for InProduction {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute("UPDATE applications SET environment = 'production'", &[]).await
    }
}

/// What is said under a code: how much, and of what.
async fn found(harness: &Harness, code: &str) -> Option<(Value, Value, Value)> {
    let answer = harness.get("/v3/workspaces/findings").await;
    assert_shape(&answer.is_ok().json, "request_id:string data:array");
    let list = answer.data().as_array().expect("list");
    for finding in list {
        assert_shape(finding, "code:string severity:string message:string count:integer ids:array truncated:boolean");
    }
    let finding = list.iter().find(|finding| finding["code"] == code)?;
    Some((finding["severity"].clone(), finding["count"].clone(), finding["ids"].clone()))
}

#[tokio::test]
async fn mailboxes_that_fell_through_and_those_in_none_are_found() {
    let harness = Harness::new().await;
    let warning = json!("warning");
    assert_eq!(found(&harness, "grants_fell_through").await, None, "there is no other place");
    let id = make(&harness, &json!({"name": "a"})).await;
    let expected = (warning.clone(), json!(1), json!([harness.agent]));
    assert_eq!(found(&harness, "grants_fell_through").await, Some(expected));
    let mut newest = String::new();
    for number in 0..21 {
        newest = harness.world.mailbox(&harness.acme, &format!("box{number}")).await.id.to_string();
    }
    let (_, count, ids) = found(&harness, "grants_fell_through").await.expect("finding");
    assert_eq!((count, ids.as_array().expect("list").len()), (json!(22), 20));

    assert_eq!(found(&harness, "grants_in_no_workspace").await, None);
    let default = format!("/v3/workspaces/{}/manual-assign", harness.acme.workspace_id);
    harness.post(&default, &json!({"remove_grants": [newest]})).await.is_ok();
    let expected = (warning, json!(1), json!([newest]));
    assert_eq!(found(&harness, "grants_in_no_workspace").await, Some(expected));
    // Who was put there on purpose did not fall.
    harness
        .post(&format!("/v3/workspaces/{id}/manual-assign"), &json!({"assign_grants": [harness.agent]}))
        .await
        .is_ok();
    harness.post(&default, &json!({"assign_grants": [harness.agent]})).await.is_ok();
    assert_eq!(found(&harness, "grants_fell_through").await.expect("finding").1, json!(20));
}

#[tokio::test]
async fn policies_without_effect_and_workspaces_without_policy_are_found() {
    let harness = Harness::new().await;
    let default = harness.acme.workspace_id.to_string();
    harness.world.advance(1);
    let made = harness.post("/v3/workspaces", &json!({"name": "a", "preset": "triage"})).await;
    let (id, policy) = (made.data()["workspace_id"].clone(), made.data()["policy_id"].clone());
    let info = json!("info");
    assert_eq!(found(&harness, "policies_unattached").await, None);
    assert_eq!(found(&harness, "workspaces_without_policy").await, Some((info.clone(), json!(1), json!([default]))));
    patch(&harness, id.as_str().expect("id"), &json!({"policy_id": null})).await.is_ok();
    assert_eq!(found(&harness, "policies_unattached").await, Some((info.clone(), json!(1), json!([policy]))));
    assert_eq!(
        found(&harness, "workspaces_without_policy").await,
        Some((info.clone(), json!(2), json!([default, id])))
    );

    assert_eq!(found(&harness, "policies_identical").await, None);
    make(&harness, &json!({"name": "b", "preset": "outreach"})).await;
    harness.world.advance(1);
    let again = harness.post("/v3/workspaces", &json!({"name": "c", "preset": "triage"})).await;
    let twin = again.data()["policy_id"].clone();
    assert_eq!(found(&harness, "policies_identical").await, Some((info, json!(1), json!([twin]))));
    // Another application's are not looked at.
    let theirs = harness.ask(&harness.other.api_key, "GET", "/v3/workspaces/findings", None).await;
    assert_eq!(theirs.data().as_array().expect("list").len(), 1);
}

#[tokio::test]
async fn workspaces_of_production_without_a_daily_cap_are_found() {
    let harness = Harness::new().await;
    let capped = make(&harness, &json!({"name": "a", "preset": "outreach"})).await;
    let open = make(&harness, &json!({"name": "b"})).await;
    assert_eq!(found(&harness, "workspaces_without_daily_cap").await, None, "an experiment");
    harness.world.platform.store.run(InProduction).await.expect("run");
    let default = harness.acme.workspace_id.to_string();
    let expected = (json!("warning"), json!(2), json!([default, open]));
    assert_eq!(found(&harness, "workspaces_without_daily_cap").await, Some(expected));
    patch(&harness, &capped, &json!({"policy_id": null})).await.is_ok();
    assert_eq!(found(&harness, "workspaces_without_daily_cap").await.expect("finding").1, json!(3));
}
