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
