//! `/v3/usage`, and the same below `/v3/admin`.

use crate::support::{Harness, NOBODY, assert_shape};
use crate::v3::grants::usage::METER;
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

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

const RECOUNT: &str = "organization_id:string recounted_at:integer? months:array mailboxes:integer transfers:integer \
    counters:integer drift_count:integer drift:array is_repaired:boolean";
const DRIFT: &str = "meter:string scope:string id:string period:string? counted:integer recounted:integer \
    difference:integer";

/// Makes a counter wrong.
struct Falsify(&'static str);

impl Command for Falsify {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute(self.0, &[]).await
    }
}

#[tokio::test]
async fn a_counter_that_is_wrong_is_shown_and_set_right_and_that_is_recorded() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    let path = format!("/v3/admin/organizations/{}/usage/recount", harness.acme.organization_id);
    let never = harness.administer("GET", &path, None).await;
    assert_shape(never.is_ok().data(), RECOUNT);
    assert_eq!(never.data()["recounted_at"], Value::Null);
    let exact = harness.administer("POST", &path, None).await;
    assert_shape(exact.is_ok().data(), RECOUNT);
    let shown = exact.data();
    assert_eq!((&shown["drift"], &shown["mailboxes"], &shown["transfers"]), (&json!([]), &json!(1), &json!(1)));
    assert_eq!(shown["months"].as_array().map(Vec::len), Some(2));
    assert_eq!(harness.administer("GET", &path, None).await.data(), shown);

    let store = &harness.world.platform.store;
    assert_eq!(store.run(Falsify("UPDATE daily_sends SET sent = sent + 4")).await.expect("falsify"), 1);
    assert_eq!(harness.get(&harness.at("/limits")).await.data()["daily_sends"]["used"], 5);
    let found = harness.administer("POST", &path, Some(&json!({"repair": false}))).await;
    let drift = &found.is_ok().data()["drift"][0];
    assert_shape(drift, DRIFT);
    let today = harness.world.platform.clock.now().day().to_string();
    let expected = json!({"meter": "daily_sends", "scope": "grant", "id": harness.agent, "period": today, "counted": 5,
        "recounted": 1, "difference": 4});
    assert_eq!((drift, &found.data()["drift_count"]), (&expected, &json!(1)));
    assert_eq!(harness.administer("GET", &path, None).await.data(), found.data());

    let operator = harness.operator(&["organizations.*"]).await;
    assert_eq!(harness.ask(&operator, "POST", &path, None).await.is_ok().data()["drift_count"], 1);
    let refused = harness.ask(&operator, "POST", &path, Some(&json!({"repair": true}))).await;
    refused.refuses(403, "installation_only", None);
    let reader = harness.operator(&["organizations.read"]).await;
    assert_eq!(harness.ask(&reader, "POST", &path, None).await.status, 403);
    assert_eq!(harness.get(&harness.at("/limits")).await.data()["daily_sends"]["used"], 5);

    let repaired = harness.administer("POST", &path, Some(&json!({"repair": true}))).await;
    assert_eq!((&repaired.is_ok().data()["drift"][0], &repaired.data()["is_repaired"]), (&expected, &json!(true)));
    assert_eq!(harness.get(&harness.at("/limits")).await.data()["daily_sends"]["used"], 1);
    let again = harness.administer("POST", &path, Some(&json!({"repair": true}))).await;
    assert_eq!((&again.is_ok().data()["drift_count"], &again.data()["is_repaired"]), (&json!(0), &json!(false)));
    let audit = harness.administer("GET", "/v3/admin/audit", None).await;
    let records = audit.is_ok().data().as_array().expect("records");
    let repairs: Vec<_> = records.iter().filter(|record| record["action"] == "usage.repaired").collect();
    let [record] = repairs[..] else { panic!("{repairs:?}") };
    assert_eq!(record["actor"]["kind"], "operator_key");
    let counter = |side: &str| record[side]["counters"][0]["value"].clone();
    assert_eq!((counter("before"), counter("after")), (json!(5), json!(1)));
    let unknown = format!("/v3/admin/organizations/{NOBODY}/usage/recount");
    for method in ["GET", "POST"] {
        harness.administer(method, &unknown, None).await.refuses(404, "not_found", None);
    }
    let text = harness.administer("POST", &path, Some(&json!({"repair": "yes"}))).await;
    assert_eq!(text.status, 400);
}

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
