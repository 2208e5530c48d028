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

async fn made(harness: &Harness, path: &str, body: &Value) -> String {
    harness.post(path, body).await.data()["id"].as_str().expect("id").to_owned()
}

#[tokio::test]
async fn rules_and_lists_without_effect_are_found() {
    let harness = Harness::new().await;
    let mut lists = [
        made(&harness, "/v3/lists", &json!({"name": "Bad", "type": "domain"})).await,
        made(&harness, "/v3/lists", &json!({"name": "Worse", "type": "domain"})).await,
    ];
    lists.sort();
    let (info, warning) = (json!("info"), json!("warning"));
    assert_eq!(found(&harness, "lists_unused").await, Some((info.clone(), json!(2), json!(lists))));
    let condition = json!({"field": "from.domain", "operator": "in_list", "value": [lists[0]]});
    let rule = json!({"name": "R", "match": {"conditions": [condition]}, "actions": [{"type": "mark_as_spam"}]});
    let rule = made(&harness, "/v3/rules", &rule).await;
    assert_eq!(found(&harness, "lists_unused").await, Some((info.clone(), json!(1), json!([lists[1]]))));
    assert_eq!(found(&harness, "rules_unattached").await, Some((info, json!(1), json!([rule]))));
    let workspace = make(&harness, &json!({"name": "a", "rule_ids": [rule]})).await;
    assert_eq!(found(&harness, "rules_unattached").await, None);

    assert_eq!(found(&harness, "workspaces_with_disabled_rules_only").await, None);
    harness
        .ask(&harness.acme.api_key, "PUT", &format!("/v3/rules/{rule}"), Some(&json!({"enabled": false})))
        .await
        .is_ok();
    let expected = Some((warning.clone(), json!(1), json!([workspace])));
    assert_eq!(found(&harness, "workspaces_with_disabled_rules_only").await, expected, "the default has no rules");

    assert_eq!(found(&harness, "rules_naming_lost_lists").await, None);
    harness.ask(&harness.acme.api_key, "DELETE", &format!("/v3/lists/{}", lists[0]), None).await.is_ok();
    assert_eq!(found(&harness, "rules_naming_lost_lists").await, Some((warning, json!(1), json!([rule]))));
    // Another application's are not looked at.
    let theirs = harness.ask(&harness.other.api_key, "GET", "/v3/workspaces/findings", None).await;
    assert_eq!(theirs.data().as_array().expect("list").len(), 1);
}

#[tokio::test]
async fn a_policy_for_each_tenant_is_found_from_the_fifth_on() {
    let harness = Harness::new().await;
    let mut policies = Vec::new();
    for number in 0..5 {
        assert_eq!(found(&harness, "policies_like_tenants").await, None);
        let policy = made(&harness, "/v3/policies", &json!({"name": format!("p{number}")})).await;
        make(&harness, &json!({"name": format!("w{number}"), "policy_id": policy})).await;
        policies.push(policy);
    }
    policies.sort();
    let (severity, count, ids) = found(&harness, "policies_like_tenants").await.expect("finding");
    assert_eq!((severity, count, ids), (json!("warning"), json!(5), json!(policies)));
    make(&harness, &json!({"name": "again", "policy_id": policies[0]})).await;
    assert_eq!(found(&harness, "policies_like_tenants").await, None, "one of them is shared");
}
