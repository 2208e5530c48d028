//! `/v3/audit`.

use crate::support::{Harness, assert_shape, ids};
use postfleet_testkit::world::BEGINNING;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/audit"];

pub(crate) const RECORD: &str = "id:string created_at:integer actor:object action:string target:object before:object? \
    after:object? request_id:string application_id:string? organization_id:string";

const ALL: &str = "/v3/audit";
const URIS: &str = "/v3/applications/redirect-uris";

/// The changes since everything began, when the mailboxes of the harness were made.
fn later(more: &str) -> String {
    format!("{ALL}?since={}{more}", BEGINNING.as_seconds() + 1)
}

/// Makes a redirect URI a second after the one before; answers its id.
async fn change(harness: &Harness, number: usize) -> String {
    harness.world.advance(1);
    let made = harness.post(URIS, &json!({"url": format!("https://a.test/{number}")})).await;
    made.is_ok().data()["id"].as_str().expect("id").to_owned()
}

#[tokio::test]
async fn an_application_sees_its_own_changes() {
    let harness = Harness::new().await;
    let id = change(&harness, 1).await;
    let one = format!("{URIS}/{id}");
    harness.world.advance(1);
    let patch = json!({"url": "https://b.test/"});
    harness.ask(&harness.acme.api_key, "PATCH", &one, Some(&patch)).await.is_ok();
    harness.world.advance(1);
    harness.delete(&one).await.is_ok();
    harness.world.advance(1);
    let branding = json!({"branding": {"name": "Acme"}});
    harness.ask(&harness.acme.api_key, "PATCH", "/v3/applications", Some(&branding)).await.is_ok();
    let list = harness.get(&later("")).await;
    let records = list.is_ok().data().as_array().expect("list");
    let actions: Vec<_> = records.iter().map(|record| record["action"].as_str().expect("action")).collect();
    let expected = ["application.updated", "redirect_uri.deleted", "redirect_uri.updated", "redirect_uri.created"];
    assert_eq!(actions, expected);
    for record in records {
        assert_shape(record, RECORD);
        assert_eq!((&record["actor"]["kind"], &record["actor"]["name"]), (&json!("api_key"), &json!("first key")));
        assert_eq!(record["application_id"], harness.acme.application_id.to_string());
    }
    assert_eq!((&records[1]["before"]["url"], &records[1]["after"]), (&json!("https://b.test/"), &Value::Null));
    assert_eq!(records[0]["after"]["branding"], json!({"name": "Acme"}));
    let theirs = harness.ask(&harness.other.api_key, "GET", &later(""), None).await;
    assert_eq!(theirs.data(), &json!([]));
    let target = harness.ask(&harness.other.api_key, "GET", &format!("{ALL}?target_id={id}"), None).await;
    assert_eq!(target.data(), &json!([]));
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended() {
    let harness = Harness::new().await;
    for number in 0..5 {
        change(&harness, number).await;
    }
    let all = harness.ids(&later("")).await;
    assert_eq!(all.len(), 5);
    let (mut seen, mut path) = (Vec::new(), later("&limit=2"));
    loop {
        let page = harness.get(&path).await;
        seen.extend(ids(&page));
        let Some(cursor) = page.json["next_cursor"].as_str() else { break };
        path = later(&format!("&limit=2&page_token={cursor}"));
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_time_and_a_target_choose_records() {
    let harness = Harness::new().await;
    let mut targets = Vec::new();
    for number in 0..4 {
        targets.push(change(&harness, number).await);
    }
    let all = harness.ids(&later("")).await;
    let at = |seconds: i64| BEGINNING.as_seconds() + seconds;
    // They were made at 1, 2, 3 and 4 seconds; the newest is the first.
    for (query, expected) in [
        (format!("since={}", at(3)), &all[..2]),
        (format!("since={}", at(5)), &[]),
        (format!("since={}&before={}", at(1), at(3)), &all[2..]),
        (format!("since={}&before={}", at(1), at(1)), &[]),
        (format!("before={}", at(0)), &[]),
        (format!("since={}&before={}", at(2), at(4)), &all[1..3]),
        (format!("before={}&limit=1", at(4)), &all[1..2]),
        (format!("target_id={}", targets[1]), &all[2..3]),
        (format!("target_id={}&since={}", targets[1], at(3)), &[]),
        (format!("since={}&before=253402300799", at(1)), &all[..]),
        (format!("since={}&target_id=", at(1)), &all[..]),
    ] {
        assert_eq!(harness.ids(&format!("{ALL}?{query}")).await, expected, "{query}");
    }
    for (query, field) in [
        ("since=yesterday", "since"),
        ("since=-1", "since"),
        ("before=253402300800", "before"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("page_token=x", "page_token"),
    ] {
        harness.get(&format!("{ALL}?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    let long = format!("{ALL}?target_id={}", "x".repeat(321));
    harness.get(&long).await.refuses(400, "invalid_request", Some("target_id"));
}
