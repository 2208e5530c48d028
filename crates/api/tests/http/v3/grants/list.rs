//! `GET /v3/grants`.

use crate::support::{Harness, assert_shape, ids};
use crate::v3::grants::grant::GRANT;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants"];

#[tokio::test]
async fn mailboxes_are_listed_newest_first_by_offset() {
    let harness = Harness::new().await;
    let mut expected = vec![harness.agent.clone()];
    for number in 0..4 {
        harness.world.advance(1);
        expected.insert(0, harness.world.mailbox(&harness.acme, &format!("m{number}")).await.id.to_string());
    }
    let all = harness.get("/v3/grants").await;
    assert_shape(&all.json, "request_id:string data:array limit:integer offset:integer");
    assert_eq!((&all.json["limit"], &all.json["offset"]), (&json!(10), &json!(0)));
    assert_eq!(ids(&all), expected);
    for grant in all.data().as_array().expect("list") {
        assert_shape(grant, GRANT);
    }
    assert_eq!(harness.ids("/v3/grants?limit=2").await, expected[..2]);
    assert_eq!(harness.ids("/v3/grants?limit=2&offset=4").await, expected[4..]);
    assert_eq!(harness.ids("/v3/grants?offset=5").await, [""; 0]);
}

#[tokio::test]
async fn limits_at_their_edges() {
    let harness = Harness::new().await;
    for limit in [1, 200] {
        assert_eq!(harness.get(&format!("/v3/grants?limit={limit}")).await.status, 200);
    }
    for (query, field, says) in [
        ("limit=0", "limit", "limit must be greater than or equal to 1"),
        ("limit=-1", "limit", "limit must be greater than or equal to 1"),
        ("limit=201", "limit", "limit must be lower than or equal to 200"),
        ("limit=ten", "limit", "limit must be a whole number"),
        ("limit=99999999999999999999", "limit", "limit must be a whole number"),
        ("offset=x", "offset", "offset must be a whole number"),
        ("offset=-1", "offset", "offset must be greater than or equal to 0"),
    ] {
        let answer = harness.get(&format!("/v3/grants?{query}")).await;
        answer.refuses(400, "invalid_request", Some(field)).says(says);
    }
}

#[tokio::test]
async fn only_the_applications_own_mailboxes_are_listed() {
    let harness = Harness::new().await;
    assert_eq!(harness.ids("/v3/grants").await, [harness.agent.as_str()]);
    let theirs = harness.ask(&harness.other.api_key, "GET", "/v3/grants", None).await;
    assert_eq!(ids(&theirs), [harness.stranger.as_str()]);
}

#[tokio::test]
async fn every_filter_lets_its_own_pass() {
    let harness = Harness::new().await;
    let start = harness.world.platform.clock.now().as_seconds();
    let mut made = vec![harness.agent.clone()];
    for name in ["one", "two"] {
        harness.world.advance(10);
        made.push(harness.world.mailbox(&harness.acme, name).await.id.to_string());
    }
    harness.world.advance(10);
    harness.patch(&harness.at(""), &json!({"name": "Changed"})).await.is_ok();
    let connector = harness.post("/v3/connectors", &json!({"provider": "nylas"})).await;
    let connector = connector.data()["id"].as_str().expect("id").to_owned();
    let (own, other) = (harness.acme.workspace_id, harness.other.workspace_id);
    let all = [2, 1, 0].as_slice();
    for (query, expected) in [
        ("sort_by=created_at&order_by=desc".to_owned(), all),
        ("order_by=asc".to_owned(), &[0, 1, 2]),
        ("orderBy=asc".to_owned(), &[0, 1, 2]),
        ("sort_by=updated_at".to_owned(), &[0, 2, 1]),
        ("sortBy=updated_at&order_by=asc&limit=2".to_owned(), &[1, 2]),
        ("sort_by=updated_at&offset=1".to_owned(), &[2, 1]),
        (format!("since={}", start + 10), &[2, 1]),
        (format!("before={}", start + 10), &[0]),
        (format!("since={}&before={}", start + 5, start + 15), &[1]),
        (format!("since={}&sort_by=updated_at", start + 10), &[2, 1]),
        (format!("since={}", i64::MAX), &[]),
        ("before=-1".to_owned(), &[]),
        ("since=20&before=10".to_owned(), &[]),
        ("email=ONE@acme.test".to_owned(), &[1]),
        ("email=one@acme.test&offset=1".to_owned(), &[]),
        (format!("email=one@acme.test&since={}", start + 11), &[]),
        (format!("email=one@acme.test&workspace_id={own}"), &[1]),
        (format!("email=one@acme.test&workspace_id={other}"), &[]),
        ("email=agent@other.test".to_owned(), &[]),
        ("email=nonsense".to_owned(), &[]),
        (format!("workspace_id={own}"), all),
        (format!("workspace_id={own}&sort_by=updated_at&order_by=asc"), &[1, 2, 0]),
        (format!("workspace_id={own}&offset=2"), &[0]),
        (format!("workspace_id={other}"), &[]),
        ("grant_status=valid".to_owned(), all),
        ("grantStatus=invalid".to_owned(), &[]),
        ("status=invalid".to_owned(), &[]),
        ("provider=nylas".to_owned(), all),
        ("provider=google".to_owned(), &[]),
        ("ip=192.0.2.1".to_owned(), &[]),
        ("ip=*".to_owned(), &[]),
        ("ip=".to_owned(), all),
        ("account_id=x".to_owned(), &[]),
        ("account_ids=x,y".to_owned(), &[]),
        (format!("connector_id={connector}"), all),
        (format!("connector_id={}", harness.agent), &[]),
        ("unknown=1".to_owned(), all),
    ] {
        let expected: Vec<_> = expected.iter().map(|index: &usize| made[*index].clone()).collect();
        assert_eq!(harness.ids(&format!("/v3/grants?{query}")).await, expected, "{query}");
    }
    let first = harness.get("/v3/grants?limit=1").await;
    assert_eq!(first.data()[0]["credential_id"], connector);
}

#[tokio::test]
async fn an_order_that_is_none_is_refused() {
    let harness = Harness::new().await;
    for (query, field) in [
        ("sort_by=name", "sort_by"),
        ("sortBy=name", "sort_by"),
        ("order_by=up", "order_by"),
        ("since=yesterday", "since"),
        ("before=x", "before"),
        ("workspace_id=default", "workspace_id"),
    ] {
        harness.get(&format!("/v3/grants?{query}")).await.refuses(400, "invalid_request", Some(field)).says(field);
    }
}
