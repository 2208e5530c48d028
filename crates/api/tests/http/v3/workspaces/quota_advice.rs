//! `/v3/workspaces/{workspace}/quota-advice`.

use super::{make, patch};
use crate::support::{Harness, assert_shape};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/workspaces/{workspace}/quota-advice"];

const DAY: u64 = 86_400;

async fn send(harness: &Harness, grant: &str, times: usize) {
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    for _ in 0..times {
        // So many a second leave as the plan allows.
        harness.world.advance(1);
        harness.post(&format!("/v3/grants/{grant}/messages/send"), &body).await.is_ok();
    }
}

async fn advice(harness: &Harness, workspace: &str) -> Value {
    let answer = harness.get(&format!("/v3/workspaces/{workspace}/quota-advice")).await;
    let shape = "workspace_id:string days:integer mailboxes:integer truncated:boolean peak:object? \
        limit_count_daily_email_sent:integer at_limit:boolean suggested_limit_count_daily_email_sent:integer?";
    assert_shape(answer.is_ok().data(), shape);
    answer.data().clone()
}

fn today(harness: &Harness) -> i64 {
    let now = harness.world.platform.clock.now().as_seconds();
    now - now.rem_euclid(DAY as i64)
}

#[tokio::test]
async fn twice_the_busiest_day_of_a_mailbox_is_suggested() {
    let harness = Harness::new().await;
    let workspace = harness.acme.workspace_id.to_string();
    let second = harness.world.mailbox(&harness.acme, "second").await.id.to_string();
    let nothing = json!({"workspace_id": workspace, "days": 30, "mailboxes": 2, "truncated": false, "peak": null,
        "limit_count_daily_email_sent": -1, "at_limit": false, "suggested_limit_count_daily_email_sent": null});
    assert_eq!(advice(&harness, &workspace).await, nothing);

    // Together they send more on the first day; one alone sends most on the second.
    send(&harness, &harness.agent, 2).await;
    send(&harness, &second, 2).await;
    harness.world.advance(DAY);
    send(&harness, &second, 3).await;
    let (busiest, peak_day) = (second.clone(), today(&harness));
    harness.world.advance(DAY);
    send(&harness, &harness.agent, 1).await;
    let found = advice(&harness, &workspace).await;
    assert_eq!(found["peak"], json!({"grant_id": busiest, "day": peak_day, "sent": 3}));
    assert_eq!((&found["suggested_limit_count_daily_email_sent"], &found["at_limit"]), (&json!(6), &json!(false)));

    // Each workspace has its own, and may be named by its domain.
    let other = make(&harness, &json!({"name": "Else", "domain": "acme.test"})).await;
    harness.post(&format!("/v3/workspaces/{other}/manual-assign"), &json!({"assign_grants": [second]})).await.is_ok();
    assert_eq!(advice(&harness, "acme.test").await["peak"]["sent"], 3);
    let found = advice(&harness, &workspace).await;
    assert_eq!((&found["peak"]["sent"], &found["suggested_limit_count_daily_email_sent"]), (&json!(2), &json!(4)));

    // The thirtieth day counts, the one before it does not.
    harness.world.advance(28 * DAY);
    assert_eq!(advice(&harness, &other).await["peak"]["sent"], 3);
    harness.world.advance(DAY);
    assert_eq!(advice(&harness, &other).await["peak"], Value::Null);
}

#[tokio::test]
async fn what_the_limit_cut_off_is_said_and_the_plan_is_the_end() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let workspace = harness.acme.workspace_id.to_string();
    let policy = json!({"name": "Tier", "limits": {"limit_count_daily_email_sent": 2}});
    let policy = harness.post("/v3/policies", &policy).await.data()["id"].clone();
    patch(&harness, &workspace, &json!({"policy_id": policy})).await.is_ok();
    send(&harness, &harness.agent, 1).await;
    assert_eq!(advice(&harness, &workspace).await["at_limit"], false);
    send(&harness, &harness.agent, 1).await;
    let found = advice(&harness, &workspace).await;
    assert_eq!((&found["limit_count_daily_email_sent"], &found["at_limit"]), (&json!(2), &json!(true)));
    assert_eq!(found["suggested_limit_count_daily_email_sent"], 4);

    // The plan allows 200 a day.
    patch(&harness, &workspace, &json!({"policy_id": null})).await.is_ok();
    send(&harness, &harness.agent, 101).await;
    let found = advice(&harness, &workspace).await;
    assert_eq!((&found["peak"]["sent"], &found["limit_count_daily_email_sent"]), (&json!(103), &json!(200)));
    assert_eq!(found["suggested_limit_count_daily_email_sent"], 200);
}
