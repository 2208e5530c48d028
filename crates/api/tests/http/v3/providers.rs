//! `/v3/providers/detect`.

use crate::support::{Harness, assert_shape};
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["POST /v3/providers/detect"];

const PATH: &str = "/v3/providers/detect";

#[tokio::test]
async fn an_address_of_a_registered_domain_is_ours() {
    let harness = Harness::new().await;
    for (email, expected) in [
        ("agent@acme.test", true),
        ("nobody@ACME.test", true),
        ("agent@other.test", false),
        ("agent@sub.acme.test", false),
        ("a@gmail.test", false),
    ] {
        // The official clients put it into the query, the document into the body.
        let in_query = harness.ask(&harness.acme.api_key, "POST", &format!("{PATH}?email={email}"), None).await;
        let in_body = harness.post(PATH, &json!({"email": email, "client_id": "x", "all_provider_types": true})).await;
        assert_shape(in_query.is_ok().data(), "email_address:string detected:boolean provider:string type:string");
        assert_eq!(in_query.data(), in_body.data());
        assert_eq!(in_query.data()["detected"], expected, "{email}");
        assert_eq!((&in_query.data()["provider"], &in_query.data()["type"]), (&json!("nylas"), &json!("nylas")));
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let harness = Harness::new().await;
    for body in [json!({}), json!({"email": ""}), json!({"email": "acme.test"}), json!({"email": 1})] {
        harness.post(PATH, &body).await.refuses(400, "invalid_request", Some("email"));
    }
}
