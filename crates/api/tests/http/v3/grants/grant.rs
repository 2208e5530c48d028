//! `/v3/grants/{grant}`.

use crate::support::{Harness, assert_shape};
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}", "DELETE /v3/grants/{grant}"];

/// The fields of a mailbox.
pub(crate) const GRANT: &str = "id:string provider:string email:string name:string grant_status:string scope:array \
    settings:object blocked:boolean workspace_id:string created_at:integer updated_at:integer";

#[tokio::test]
async fn a_mailbox_is_found_by_every_name_that_it_has() {
    let harness = Harness::new().await;
    let first = harness.get(&harness.at("")).await;
    assert_shape(&first.json, "request_id:string data:object");
    assert_shape(first.data(), GRANT);
    assert_eq!(first.data()["provider"], "nylas");
    let id = &harness.agent;
    for name in [
        format!("grant:{id}"),
        format!("grant%3A{id}"),
        id.to_uppercase(),
        "agent@acme.test".to_owned(),
        "agent%40acme.test".to_owned(),
        "AGENT@Acme.Test".to_owned(),
        "email:agent@acme.test".to_owned(),
        "%65mail%3aagent%40acme%2etest".to_owned(),
    ] {
        let answer = harness.get(&format!("/v3/grants/{name}")).await;
        assert_eq!((answer.status, answer.data()), (200, first.data()), "{name}");
    }
}

#[tokio::test]
async fn names_are_decoded_once() {
    let harness = Harness::new().await;
    for name in ["agent%2540acme.test", "me", "external:1", "email:", "grant:", "@"] {
        harness.get(&format!("/v3/grants/{name}")).await.refuses(404, "not_found", None);
    }
}

#[tokio::test]
async fn a_removed_mailbox_is_gone_with_everything_in_it() {
    let harness = Harness::new().await;
    let message = harness.receive_about("x").await;
    let answer = harness.delete(&harness.at("")).await;
    assert_eq!(answer.status, 200);
    assert_shape(&answer.json, "request_id:string");
    for path in ["", "/messages", &format!("/messages/{message}"), "/threads", "/folders"] {
        harness.get(&harness.at(path)).await.refuses(404, "not_found", None);
    }
    harness.delete(&harness.at("")).await.refuses(404, "not_found", None);
    assert_eq!(harness.get("/v3/grants").await.data(), &json!([]));
    let late = harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\n").await;
    assert_eq!(late.expect_err("refused").code, "no_such_mailbox");
}
