//! `GET /v3/grants/{grant}/retention`, and mail that goes when its time is over.

use crate::support::{Harness, assert_shape};
use postfleet_mailflow::retention::{Next, Pruning, round};
use postfleet_testkit::world::{BEGINNING, NewTenant, World, WorldOptions};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/retention"];

const SHAPE: &str =
    "grant_id:string inbox:object spam:object removed_messages:integer removed_bytes:integer days:array";
const WINDOW: &str = "days:integer oldest_at:integer? next_due_at:integer?";
const DAY: &str = "date:string inbox:object spam:object removed_at:integer";
const REMOVED: &str = "days:integer messages:integer bytes:integer";

const A_DAY: u64 = 86_400;

/// Does what the janitor does until nothing more is due.
async fn prune(harness: &Harness) {
    let mut pruning = Pruning::default();
    while let Next::After(_) = round(&harness.world.platform, &mut pruning).await.expect("round") {}
}

async fn report(harness: &Harness) -> Value {
    let answer = harness.get(&harness.at("/retention")).await;
    let data = answer.is_ok().data().clone();
    assert_shape(&data, SHAPE);
    for window in ["inbox", "spam"] {
        assert_shape(&data[window], WINDOW);
    }
    for day in data["days"].as_array().expect("days") {
        assert_shape(day, DAY);
        assert_shape(&day["inbox"], REMOVED);
        assert_shape(&day["spam"], REMOVED);
    }
    data
}

async fn on_plan(plan: &'static str) -> Harness {
    let world = World::with(WorldOptions::default()).await;
    Harness::in_world(world, NewTenant { plan, ..NewTenant::of("acme.test") }).await
}

async fn receive(harness: &Harness) {
    harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\nHello").await.expect("accepted");
}

async fn stored(harness: &Harness) -> u64 {
    let answer = harness.get(&harness.at("/usage")).await;
    answer.is_ok().data()["meters"][0]["used"].as_u64().expect("storage")
}

#[tokio::test]
async fn the_plans_windows_hold_without_a_policy() {
    for (plan, inbox, spam) in [("free", 30, 7), ("full_platform", 365, 30), ("self_hosted", -1, -1)] {
        let harness = on_plan(plan).await;
        receive(&harness).await;
        let data = report(&harness).await;
        assert_eq!((&data["inbox"]["days"], &data["spam"]["days"]), (&json!(inbox), &json!(spam)), "{plan}");
        let at = data["inbox"]["oldest_at"].as_i64().expect("oldest");
        let due = (inbox > 0).then(|| at + inbox * 86_400 + 1);
        let shown = data["inbox"]["next_due_at"].as_i64();
        assert!(shown == due || shown == due.map(|due| due - 1), "{plan}: {shown:?}");
        assert_eq!(data["spam"], json!({"days": spam, "oldest_at": null, "next_due_at": null}), "{plan}");
    }
}

#[tokio::test]
async fn mail_goes_when_its_time_is_over_and_frees_its_storage() {
    let harness = on_plan("free").await;
    receive(&harness).await;
    let first = stored(&harness).await;
    harness.world.advance(10 * A_DAY);
    receive(&harness).await;
    let both = stored(&harness).await;
    harness.world.advance(20 * A_DAY);
    prune(&harness).await;
    assert_eq!(stored(&harness).await, both, "30 days are not over yet");
    harness.world.advance(3_600);
    prune(&harness).await;
    assert_eq!(stored(&harness).await, both - first);
    let data = report(&harness).await;
    assert_eq!((&data["removed_messages"], &data["removed_bytes"]), (&json!(1), &json!(first)));
    let day = &data["days"][0];
    assert_eq!(day["inbox"], json!({"days": 30, "messages": 1, "bytes": first}));
    assert_eq!(day["spam"], json!({"days": 7, "messages": 0, "bytes": 0}));
    assert_eq!(data["inbox"]["oldest_at"], BEGINNING.as_seconds() + 10 * A_DAY as i64);
    let list = harness.get(&harness.at("/messages")).await;
    assert_eq!(list.is_ok().data().as_array().map(Vec::len), Some(1));

    // A policy shortens it, and what is older goes in the next round.
    let limits = json!({"limit_inbox_retention_period": 20, "limit_spam_retention_period": 5});
    let policy = harness.post("/v3/policies", &json!({"name": "Short", "limits": limits})).await;
    let id = policy.is_ok().data()["id"].as_str().expect("id").to_owned();
    let workspaces = harness.get("/v3/workspaces").await;
    let workspace = workspaces.is_ok().data()[0]["workspace_id"].as_str().expect("workspace").to_owned();
    let attached = harness.patch(&format!("/v3/workspaces/{workspace}"), &json!({"policy_id": id})).await;
    attached.is_ok();
    harness.world.advance(3_600);
    prune(&harness).await;
    assert_eq!(stored(&harness).await, 0);
    let events = harness.get("/v3/audit?limit=50").await;
    let pruned = events.is_ok().data().as_array().expect("records").clone();
    let pruned: Vec<_> = pruned.into_iter().filter(|record| record["action"] == "grant.pruned").collect();
    assert_eq!(pruned.len(), 2, "once under the plan, once under the policy");
    assert_eq!(pruned[0]["before"], json!({"inbox_retention_days": 30, "spam_retention_days": 7}));
    assert_eq!(pruned[0]["after"], json!({"inbox_retention_days": 20, "spam_retention_days": 5}));
}
