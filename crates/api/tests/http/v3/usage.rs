//! `/v3/usage`, and the same below `/v3/admin`.

use crate::support::{Harness, NOBODY, assert_shape};
use crate::v3::grants::usage::METER;
use postfleet_testkit::world::NewTenant;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/usage",
    "GET /v3/admin/applications/{application}/usage",
    "GET /v3/admin/organizations/{organization}/usage",
    "GET /v3/admin/organizations/{organization}/usage/recount",
    "POST /v3/admin/organizations/{organization}/usage/recount",
];

const APPLICATION: &str = "application_id:string month:string storage_bytes:integer monthly_sends:integer \
    bytes_in:integer bytes_out:integer organization:object";
const ORGANIZATION: &str = "organization_id:string plan:string month:string has_overage:boolean bytes_in:integer \
    bytes_out:integer meters:array";

#[tokio::test]
async fn keys_and_operators_see_the_same_counters() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\nHello").await.expect("accepted");
    let own = harness.get("/v3/usage").await;
    let data = own.is_ok().data();
    assert_shape(data, APPLICATION);
    let organization = &data["organization"];
    assert_shape(organization, ORGANIZATION);
    assert_eq!((&data["monthly_sends"], &organization["plan"]), (&json!(1), &json!("free")));
    assert_eq!((&data["bytes_in"], &data["bytes_out"]), (&organization["bytes_in"], &organization["bytes_out"]));
    let count = |value: &serde_json::Value| value.as_u64().expect("count");
    assert_eq!(count(&data["storage_bytes"]), count(&data["bytes_in"]) + count(&data["bytes_out"]));
    let meters = organization["meters"].as_array().expect("meters");
    let shown: Vec<_> = meters.iter().map(|meter| (meter["meter"].as_str(), &meter["used"], &meter["limit"])).collect();
    let kept = json!(count(&data["storage_bytes"]));
    let gibibytes = json!(3_u64 << 30);
    assert_eq!(
        shown,
        [
            (Some("accounts"), &json!(1), &json!(3)),
            (Some("storage"), &kept, &gibibytes),
            (Some("monthly_sends"), &json!(1), &json!(3_000)),
            (Some("monthly_bandwidth"), &kept, &gibibytes),
        ]
    );
    for meter in meters {
        assert_shape(meter, METER);
    }
    let of_application = format!("/v3/admin/applications/{}/usage", harness.acme.application_id);
    assert_eq!(harness.administer("GET", &of_application, None).await.is_ok().data(), data);
    let of_organization = format!("/v3/admin/organizations/{}/usage", harness.acme.organization_id);
    assert_eq!(harness.administer("GET", &of_organization, None).await.is_ok().data(), organization);
    for path in ["applications", "organizations"] {
        let unknown = harness.administer("GET", &format!("/v3/admin/{path}/{NOBODY}/usage"), None).await;
        unknown.refuses(404, "not_found", None);
    }
}

#[tokio::test]
async fn a_mailbox_that_is_removed_frees_what_it_kept_and_stays_counted() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    harness.delete(&harness.at("")).await.is_ok();
    let usage = harness.get("/v3/usage").await;
    assert_eq!((&usage.data()["storage_bytes"], &usage.data()["monthly_sends"]), (&json!(0), &json!(1)));
}
