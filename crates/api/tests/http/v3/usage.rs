//! `/v3/usage`, and the same below `/v3/admin`.

use crate::support::{Harness, NOBODY, assert_shape};
use crate::v3::grants::usage::METER;
use postfleet_core::plan::{Plan, Plans};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/usage",
    "GET /v3/admin/applications/{application}/usage",
    "GET /v3/admin/organizations/{organization}/usage",
    "GET /v3/admin/organizations/{organization}/usage/statement",
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

const STATEMENT: &str = "organization_id:string name:string plan:string has_overage:boolean month:string \
    starts_at:integer ends_at:integer is_final:boolean lines:array bytes_in:integer bytes_out:integer \
    applications:array sends_of_removed_applications:integer";
const LINE: &str = "meter:string reading:string used:integer? peak:integer? read_at:integer? included:integer? \
    overage:integer? is_billed:boolean";
const STATEMENT_APPLICATION: &str = "application_id:string name:string environment:string accounts:integer? \
    storage_bytes:integer? bytes_in:integer bytes_out:integer monthly_sends:integer";

#[tokio::test]
async fn a_statement_says_what_a_month_used_and_stays_when_the_month_is_over() {
    let harness = with_metered_plan().await;
    let path = format!("/v3/admin/organizations/{}/usage/statement", harness.acme.organization_id);
    let clock = &harness.world.platform.clock;
    let month = clock.now().day().month();
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    for _ in 0..3 {
        // Within the rate of the plan.
        harness.world.advance(1);
        harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    }
    harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\nHello").await.expect("accepted");
    let third = harness.world.mailbox(&harness.acme, "third").await.id;
    harness.delete(&format!("/v3/grants/{third}")).await.is_ok();
    let open = harness.administer("GET", &path, None).await;
    let data = open.is_ok().data();
    assert_shape(data, STATEMENT);
    assert_eq!((&data["month"], &data["is_final"]), (&json!(month.to_string()), &json!(false)));
    let lines = data["lines"].as_array().expect("lines");
    lines.iter().for_each(|line| assert_shape(line, LINE));
    let usage = harness.get("/v3/usage").await.data()["organization"].clone();
    let meters = usage["meters"].as_array().expect("meters");
    for (line, meter) in lines.iter().zip(meters) {
        let of = |value: &Value| ["meter", "used", "included", "overage"].map(|field| value[field].clone());
        assert_eq!(of(line), of(meter), "the counters that decide");
    }
    let of = |lines: &[Value], meter: &str, field: &str| {
        lines.iter().find(|line| line["meter"] == meter).map(|line| line[field].clone()).expect("line")
    };
    assert_eq!((of(lines, "accounts", "used"), of(lines, "accounts", "peak")), (json!(1), json!(2)));
    assert_eq!(
        (of(lines, "monthly_sends", "overage"), of(lines, "monthly_sends", "is_billed")),
        (json!(1), json!(true))
    );
    assert_eq!(of(lines, "storage", "is_billed"), json!(false));
    let [application] = &data["applications"].as_array().expect("applications")[..] else { panic!("one application") };
    assert_shape(application, STATEMENT_APPLICATION);
    assert_eq!((&application["accounts"], &application["monthly_sends"]), (&json!(1), &json!(3)));
    assert_eq!(application["storage_bytes"], of(lines, "storage", "used"));

    // The month ends, its readings are taken, and another begins.
    harness.world.advance(month.end().since(clock.now()).as_secs() + 30);
    postfleet_mailflow::recount::read_once(&harness.world.platform).await.expect("readings");
    let read_at = clock.now().as_seconds();
    harness.world.mailbox(&harness.acme, "later").await;
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    let named = format!("{path}?month={month}");
    let closed = harness.administer("GET", &named, None).await;
    assert_eq!(closed.is_ok().data()["is_final"], true);
    let after = closed.data()["lines"].as_array().expect("lines");
    for meter in ["accounts", "storage", "monthly_bandwidth", "monthly_sends"] {
        for field in ["used", "peak", "overage", "is_billed"] {
            assert_eq!(of(after, meter, field), of(lines, meter, field), "{meter}.{field}");
        }
    }
    assert_eq!(of(after, "storage", "read_at"), read_at);
    assert_eq!(of(after, "monthly_sends", "read_at"), month.end().as_seconds());
    assert_eq!(closed.data()["applications"], data["applications"]);
    let next = harness.administer("GET", &path, None).await;
    let now = next.data()["lines"].as_array().expect("lines");
    assert_eq!((of(now, "accounts", "used"), of(now, "monthly_sends", "used")), (json!(2), json!(1)));
    // A month of which nobody took readings.
    let before = harness.administer("GET", &format!("{path}?month={}", month.previous()), None).await;
    let never = before.is_ok().data()["lines"].as_array().expect("lines");
    assert_eq!((of(never, "accounts", "used"), of(never, "monthly_sends", "used")), (Value::Null, json!(0)));
    assert_eq!(before.data()["applications"], json!([]));
}

#[tokio::test]
async fn mailboxes_above_those_that_a_plan_with_overage_includes_are_made_shown_and_billed() {
    for (plan, limit, included, ends) in [("free", json!(3), 3, true), ("full_platform", Value::Null, 20, false)] {
        let harness = Harness::with(NewTenant { plan, ..NewTenant::of("acme.test") }).await;
        let make = async |number: usize| {
            let body = json!({"provider": "nylas", "settings": {"email": format!("agent-{number}@acme.test")}});
            harness.post("/v3/connect/custom", &body).await
        };
        // One is there from the start.
        for number in 1..included {
            make(number).await.is_ok();
        }
        let above = make(included).await;
        if ends {
            above.refuses(403, "grants_max_reached", None);
        } else {
            above.is_ok();
            make(included + 1).await.is_ok();
        }
        let over = if ends { 0 } else { 2 };
        let usage = harness.get("/v3/usage").await;
        let shown = &usage.is_ok().data()["organization"]["meters"][0];
        let remaining = if ends { json!(0) } else { Value::Null };
        let expected = json!({"meter": "accounts", "scope": "organization", "used": included + over, "limit": limit,
            "remaining": remaining, "included": included, "overage": over, "resets_at": null});
        assert_eq!(shown, &expected);
        let path = format!("/v3/admin/organizations/{}/usage/statement", harness.acme.organization_id);
        let statement = harness.administer("GET", &path, None).await;
        let line = &statement.is_ok().data()["lines"][0];
        let said = ["meter", "used", "included", "overage", "is_billed"].map(|field| line[field].clone());
        assert_eq!(said, [json!("accounts"), json!(included + over), json!(included), json!(over), json!(!ends)]);
    }
}

/// A plan that goes on above two sends.
async fn with_metered_plan() -> Harness {
    let full = (**Plans::presets().find("full_platform").expect("plan")).clone();
    let plans = Plans::with([Plan { name: "metered".into(), monthly_sends_max: Some(2), ..full }]);
    let world = World::with(WorldOptions { plans, ..WorldOptions::default() }).await;
    Harness::in_world(world, NewTenant { plan: "metered", ..NewTenant::of("acme.test") }).await
}

#[tokio::test]
async fn a_statement_is_of_a_month_that_has_begun_and_of_ones_own_organization() {
    let harness = Harness::new().await;
    let path = format!("/v3/admin/organizations/{}/usage/statement", harness.acme.organization_id);
    let next = harness.world.platform.clock.now().day().month().end().day().month();
    for wrong in ["2026", "2026-13", "October", &next.to_string()] {
        let refused = harness.administer("GET", &format!("{path}?month={wrong}"), None).await;
        refused.refuses(400, "invalid_request", Some("month"));
    }
    let unknown = format!("/v3/admin/organizations/{NOBODY}/usage/statement");
    harness.administer("GET", &unknown, None).await.refuses(404, "not_found", None);
}
