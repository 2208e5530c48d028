//! `/v3/domains`, and the same below `/v3/admin/domains`.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use axum::body::Body;
use axum::http::Request;
use postfleet_net::{DnssecTrust, SystemResolver};
use postfleet_testkit::dns::FakeDns;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const ROUTES: &[&str] = &[
    "POST /v3/domains",
    "GET /v3/domains",
    "GET /v3/domains/{domain}",
    "PUT /v3/domains/{domain}",
    "DELETE /v3/domains/{domain}",
    "POST /v3/domains/{domain}/info",
    "POST /v3/domains/{domain}/verify",
    "GET /v3/domains/{domain}/zone",
    "GET /v3/domains/{domain}/dkim-keys",
    "POST /v3/domains/{domain}/dkim-keys",
    "POST /v3/admin/domains",
    "GET /v3/admin/domains",
    "GET /v3/admin/domains/{domain}",
    "PUT /v3/admin/domains/{domain}",
    "DELETE /v3/admin/domains/{domain}",
    "POST /v3/admin/domains/{domain}/info",
    "POST /v3/admin/domains/{domain}/verify",
    "GET /v3/admin/domains/{domain}/zone",
    "GET /v3/admin/domains/{domain}/dkim-keys",
    "POST /v3/admin/domains/{domain}/dkim-keys",
];

const PATHS: [&str; 2] = ["/v3/domains", "/v3/admin/domains"];

const DOMAIN: &str = "id:string name:string branded:boolean domain_address:string organization_id:string \
    region:string verified_ownership:boolean verified_dkim:boolean verified_spf:boolean verified_mx:boolean \
    verified_feedback:boolean verified_dmarc:boolean verified_arc:boolean created_at:integer updated_at:integer \
    records:array grant_count:integer can_send:boolean can_receive:boolean";

const RECORD: &str = "type:string host:string fqdn:string kind:string value:string priority:integer? status:string \
    message:string checked_at:integer? verified_at:integer?";

const VERIFICATION: &str = "domain_id:string attempt:object status:string created_at:integer expires_at:integer \
    details:string? message:string records:array";

const KEY: &str = "selector:string algorithm:string state:string host:string value:string created_at:integer \
    retired_at:integer?";

impl Harness {
    /// Asks with the operator's key of the first organization.
    async fn operate(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask(&self.acme.operator_key, method, path, body.as_ref()).await
    }
}

async fn with_dns(acme: NewTenant) -> (Harness, FakeDns) {
    let dns = FakeDns::start();
    let trial_domains = vec![postfleet_core::Domain::parse("try.test").expect("domain")];
    let mut world = World::with(WorldOptions { trial_domains, ..WorldOptions::default() }).await;
    let resolver = SystemResolver::from_nameservers(&[dns.address()], Duration::from_secs(20), DnssecTrust::Never)
        .expect("resolver");
    world.platform.resolver = Arc::new(resolver);
    (Harness::in_world(world, acme).await, dns)
}

#[tokio::test]
async fn a_domain_is_registered_verified_used_and_removed_by_the_interface_alone() {
    let (harness, dns) = with_dns(NewTenant::of("acme.test")).await;
    let body = json!({"name": "Agents", "domain_address": "Agents.NEW.test", "unknown": 1});
    let made = harness.operate("POST", "/v3/domains", Some(body)).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), DOMAIN);
    let data = made.data();
    assert_eq!((&data["name"], &data["domain_address"]), (&json!("Agents"), &json!("agents.new.test")));
    assert_eq!(data["organization_id"], harness.acme.organization_id.to_string());
    let kinds: Vec<_> = data["records"].as_array().expect("records").iter().map(|record| &record["type"]).collect();
    assert_eq!(json!(kinds), json!(["ownership", "mx", "spf", "dkim", "dkim", "feedback", "dmarc"]));
    let token = data["records"][0]["value"].as_str().expect("value").to_owned();
    assert!(token.starts_with("nylas-ownership-verify=") && token.len() >= 23 + 32, "{token}");

    // Nobody has shown that it is theirs: no mailbox lives there.
    let mailbox = json!({"provider": "nylas", "settings": {"email": "support@agents.new.test"}});
    let early = harness.post("/v3/connect/custom", &mailbox).await;
    early.refuses(400, "domain_not_verified", Some("settings.email")).says("domain is not verified: agents.new.test");

    let by_name = "/v3/domains/AGENTS.new.test";
    let info = harness.operate("POST", &format!("{by_name}/info"), Some(json!({"type": "ownership"}))).await;
    assert_shape(info.is_ok().data(), VERIFICATION);
    assert_shape(&info.data()["attempt"], "type:string options:object");
    let options = json!({"host": "@", "type": "TXT", "value": token, "priority": null});
    assert_eq!(info.data()["attempt"], json!({"type": "ownership", "options": options}));
    assert_eq!((&info.data()["status"], &info.data()["details"]), (&json!("pending"), &Value::Null));
    assert!(info.data()["message"].as_str().expect("text").contains(&token));
    let lifetime = |answer: &Answer| {
        let data = answer.data();
        data["expires_at"].as_i64().expect("time") - data["created_at"].as_i64().expect("time")
    };
    assert_eq!(lifetime(&info), 48 * 3_600);

    for record in data["records"].as_array().expect("records") {
        assert_shape(record, RECORD);
        let text = |field: &str| record[field].as_str().expect("text");
        match record["priority"].as_u64() {
            Some(priority) => dns.mx(text("fqdn"), priority as u16, text("value")),
            None => dns.txt(text("fqdn"), text("value")),
        }
    }
    for kind in ["ownership", "mx", "spf", "dkim", "feedback", "dmarc", "arc"] {
        let body = json!({"type": kind, "options": {"key_length": 2048}});
        let verified = harness.operate("POST", "/v3/admin/domains/agents.new.test/verify", Some(body)).await;
        assert_shape(verified.is_ok().data(), VERIFICATION);
        assert_eq!((&verified.data()["status"], &verified.data()["attempt"]["type"]), (&json!("done"), &json!(kind)));
        assert_eq!(lifetime(&verified), 7 * 86_400);
    }
    let found = harness.operate("GET", by_name, None).await;
    for (field, value) in found.data().as_object().expect("object") {
        if field.starts_with("verified_") || field.starts_with("can_") {
            assert_eq!(value, &json!(true), "{field}");
        }
    }

    harness.post("/v3/connect/custom", &mailbox).await.is_ok();
    harness.world.receive("a@sender.test", "support@agents.new.test", "Subject: x\r\n\r\nHi\r\n").await.expect("taken");
    let message = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello"});
    harness.post("/v3/grants/support@agents.new.test/messages/send", &message).await.is_ok();

    let id = made.data()["id"].as_str().expect("id");
    let path = format!("/v3/domains/{id}");
    assert_eq!(harness.operate("GET", &path, None).await.data()["grant_count"], 1);
    let in_use = harness.operate("DELETE", &path, None).await;
    in_use.refuses(409, "domain_in_use", None).says("1 mailboxes live on the domain");
    harness.delete("/v3/grants/support@agents.new.test").await.is_ok();
    let removed = harness.operate("DELETE", &path, None).await;
    assert_shape(&removed.json, "request_id:string");
    harness.operate("GET", &path, None).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn what_is_wrong_in_the_dns_is_told() {
    let (harness, dns) = with_dns(NewTenant { is_verified: false, ..NewTenant::of("acme.test") }).await;
    dns.txt("acme.test", "v=spf1 -all");
    let wrong = harness.operate("POST", "/v3/domains/acme.test/verify", Some(json!({"type": "spf"}))).await;
    let data = wrong.is_ok().data();
    assert_eq!(data["status"], "failed");
    let details = data["details"].as_str().expect("details");
    assert!(details.contains("found \"v=spf1 -all\""), "{details}");
    let domain = harness.operate("GET", "/v3/domains/acme.test", None).await;
    let spf = domain.data()["records"].as_array().expect("records").iter().find(|record| record["type"] == "spf");
    let spf = spf.expect("record");
    assert_eq!((&spf["status"], spf["message"].as_str()), (&json!("failed"), Some(details)));
    assert!(spf["checked_at"].is_i64() && spf["verified_at"].is_null());
    let flags = ["verified_ownership", "verified_spf", "can_receive", "can_send"].map(|flag| &domain.data()[flag]);
    assert_eq!(json!(flags), json!([true, false, true, false]));
    dns.fails("_dmarc.acme.test");
    let open = harness.operate("POST", "/v3/domains/acme.test/verify", Some(json!({"type": "dmarc"}))).await;
    assert_eq!(open.is_ok().data()["status"], "pending");
    assert!(open.data()["details"].as_str().expect("details").contains("could not be looked up"));
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let (harness, _dns) = with_dns(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let long = format!("{}.test", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join("."));
    for (body, code, field, says) in [
        (json!({"name": "x"}), 400, "domain_address", "missing field `domain_address`"),
        (json!({"domain_address": ""}), 400, "domain_address", "domain is empty"),
        (json!({"domain_address": "localhost"}), 400, "domain_address", "with a dot"),
        (json!({"domain_address": "192.0.2.1"}), 400, "domain_address", "with a dot"),
        (json!({"domain_address": "a b.test"}), 400, "domain_address", "letters, digits"),
        (json!({"domain_address": long}), 400, "domain_address", "longer than 253"),
        (json!({"domain_address": 1}), 400, "domain_address", "invalid type"),
        (json!({"domain_address": "try.test"}), 400, "domain_address", "is reserved"),
        (json!({"domain_address": "a.b.try.test"}), 400, "domain_address", "is reserved"),
        (json!({"domain_address": "x.test", "name": ""}), 400, "name", "1 to 256 characters"),
        (json!({"domain_address": "x.test", "name": "n".repeat(257)}), 400, "name", "1 to 256 characters"),
        (json!({"domain_address": "x.test", "name": "a\nb"}), 400, "name", "control characters"),
    ] {
        let refused = harness.operate("POST", "/v3/domains", Some(body)).await;
        refused.refuses(code, "invalid_request", Some(field).filter(|field| *field != ".")).says(says);
    }
    for taken in ["acme.test", "ACME.test", "other.test"] {
        let refused = harness.operate("POST", "/v3/domains", Some(json!({"domain_address": taken}))).await;
        refused.refuses(409, "domain_taken", Some("domain_address")).says("already exists");
    }
    for (body, field, says) in [
        (json!({"type": "tls"}), Some("type"), "type must be one of ownership, mx, spf"),
        (json!({"type": "dkim", "options": {"key_length": 1024}}), Some("options.key_length"), "must be 2048"),
        (json!({}), Some("type"), "missing field `type`"),
    ] {
        for verb in ["info", "verify"] {
            let path = format!("/v3/domains/acme.test/{verb}");
            harness.operate("POST", &path, Some(body.clone())).await.refuses(400, "invalid_request", field).says(says);
        }
    }
    let short = json!({"options": {"key_length": 1024}});
    let refused = harness.operate("POST", "/v3/domains/acme.test/dkim-keys", Some(short)).await;
    refused.refuses(400, "invalid_request", Some("options.key_length"));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("page_token=%25", "page_token"),
        ("page_token=abcd", "page_token"),
        ("domain=a..b", "domain"),
    ] {
        let refused = harness.operate("GET", &format!("/v3/domains?{query}"), None).await;
        refused.refuses(400, "invalid_request", Some(field));
    }
    let name = json!({"name": "n".repeat(256)});
    harness.operate("PUT", "/v3/domains/acme.test", Some(name)).await.is_ok();
}

#[tokio::test]
async fn a_trial_domain_works_at_once_and_the_plan_caps_them() {
    let (harness, dns) = with_dns(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let made = harness.operate("POST", "/v3/domains", Some(json!({"domain_address": "acme.try.test"}))).await;
    let flags = ["branded", "verified_ownership", "verified_arc", "can_send", "can_receive"];
    assert_eq!(json!(flags.map(|flag| &made.is_ok().data()[flag])), json!([true, true, true, true, true]));
    let mailbox = json!({"provider": "nylas", "settings": {"email": "first@acme.try.test"}});
    harness.post("/v3/connect/custom", &mailbox).await.is_ok();
    let message = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello"});
    harness.post("/v3/grants/first@acme.try.test/messages/send", &message).await.is_ok();
    harness.world.receive("a@sender.test", "first@acme.try.test", "Subject: x\r\n\r\nHi\r\n").await.expect("taken");
    let verified = harness.operate("POST", "/v3/domains/acme.try.test/verify", Some(json!({"type": "mx"}))).await;
    assert_eq!((&verified.data()["status"], &verified.data()["details"]), (&json!("done"), &Value::Null));
    assert!(!dns.queries().iter().any(|query| query.contains("try.test")), "{:?}", dns.queries());
    let second = harness.operate("POST", "/v3/domains", Some(json!({"domain_address": "more.try.test"}))).await;
    second.refuses(403, "trial_domains_max_reached", None).says("Maximum number of trial domains (1) reached");
    assert_eq!(second.json["error"]["type"], "forbidden_access");
    second.says("for this plan");
}

#[tokio::test]
async fn domains_are_listed_page_by_page_and_found_by_name_and_region() {
    let (harness, _dns) = with_dns(NewTenant::of("acme.test")).await;
    for name in ["one.test", "two.test"] {
        harness.world.advance(1);
        harness.operate("POST", "/v3/domains", Some(json!({"domain_address": name}))).await.is_ok();
    }
    let names = |answer: &Answer| -> Vec<String> {
        let list = answer.data().as_array().expect("list").iter();
        list.map(|domain| domain["domain_address"].as_str().expect("name").to_owned()).collect()
    };
    for path in PATHS {
        let all = harness.operate("GET", path, None).await;
        assert_shape(&all.json, "request_id:string data:array");
        assert_eq!(names(&all), ["two.test", "one.test", "acme.test"]);
        let first = harness.operate("GET", &format!("{path}?limit=2"), None).await;
        assert_eq!(names(&first), ["two.test", "one.test"]);
        let cursor = first.json["next_cursor"].as_str().expect("cursor");
        let last = harness.operate("GET", &format!("{path}?limit=2&page_token={cursor}"), None).await;
        assert_shape(&last.json, "request_id:string data:array");
        assert_eq!(names(&last), ["acme.test"]);
        for domain in all.data().as_array().expect("list") {
            let path = format!("{path}/{}", domain["id"].as_str().expect("id"));
            assert_eq!(harness.operate("GET", &path, None).await.data(), domain);
        }
        for (query, expected) in [
            ("domain=One.test", vec!["one.test"]),
            ("domain=other.test", vec![]),
            ("region=us", vec!["two.test", "one.test", "acme.test"]),
            ("region=eu", vec![]),
        ] {
            assert_eq!(names(&harness.operate("GET", &format!("{path}?{query}"), None).await), expected, "{query}");
        }
    }
}

#[tokio::test]
async fn a_rename_changes_the_name_and_nothing_else() {
    let (harness, _dns) = with_dns(NewTenant::of("acme.test")).await;
    let path = "/v3/domains/%61cme.test";
    let before = harness.operate("GET", path, None).await.data().clone();
    harness.world.advance(60);
    assert_eq!(harness.operate("PUT", path, Some(json!({}))).await.is_ok().data(), &before);
    let renamed = harness.operate("PUT", path, Some(json!({"name": "Main", "domain_address": "x.test"}))).await;
    let mut expected = before.clone();
    expected["name"] = json!("Main");
    expected["updated_at"] = json!(before["updated_at"].as_i64().expect("time") + 60);
    assert_eq!(renamed.is_ok().data(), &expected);
}

#[tokio::test]
async fn keys_are_rotated_and_never_show_their_secret() {
    let (harness, dns) = with_dns(NewTenant { is_verified: false, ..NewTenant::of("acme.test") }).await;
    let path = "/v3/domains/acme.test/dkim-keys";
    let before = harness.operate("GET", path, None).await;
    assert_eq!(before.data().as_array().expect("list").len(), 2);
    let started = harness.operate("POST", path, None).await;
    let keys = started.is_ok().data().as_array().expect("list").clone();
    assert_eq!(keys.len(), 4);
    for key in &keys {
        assert_shape(key, KEY);
        assert!(key["value"].as_str().expect("value").starts_with("v=DKIM1; k="));
        assert_eq!(key["host"], format!("{}._domainkey", key["selector"].as_str().expect("selector")));
    }
    let again = harness.operate("POST", path, Some(json!({}))).await;
    again.refuses(409, "dkim_rotation_under_way", None);
    let domain = harness.operate("GET", "/v3/domains/acme.test", None).await;
    let records = domain.data()["records"].as_array().expect("records").clone();
    for record in records.iter().filter(|record| record["type"] == "dkim") {
        dns.txt(record["fqdn"].as_str().expect("name"), record["value"].as_str().expect("value"));
    }
    let verified = harness.operate("POST", "/v3/domains/acme.test/verify", Some(json!({"type": "dkim"}))).await;
    assert_eq!(verified.is_ok().data()["status"], "done");
    let after = harness.operate("GET", path, None).await;
    for key in after.data().as_array().expect("list") {
        let was_there = before.data().as_array().expect("list").iter().any(|old| old["selector"] == key["selector"]);
        assert_eq!(key["state"], if was_there { "retired" } else { "active" });
        assert_eq!(key["retired_at"].is_i64(), was_there);
    }
}

#[tokio::test]
async fn the_zone_can_be_pasted() {
    let (harness, _dns) = with_dns(NewTenant::of("acme.test")).await;
    let zone = harness.operate("GET", "/v3/domains/acme.test/zone", None).await;
    assert_eq!((zone.status, zone.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert!(zone.header("x-request-id").is_some());
    let text = String::from_utf8(zone.octets).expect("text");
    let records: Vec<&str> = text.lines().filter(|line| !line.starts_with(';')).collect();
    assert_eq!(records.len(), 7);
    assert!(records.contains(&"acme.test. 3600 IN MX 10 mx.world.test."));
    assert!(records.contains(&"acme.test. 3600 IN TXT \"v=spf1 a:mx.world.test ~all\""));
    let rsa = records.iter().find(|line| line.starts_with("rsa._domainkey.acme.test. ")).expect("key");
    assert_eq!(rsa.matches('"').count(), 4, "two strings: {rsa}");
}

#[tokio::test]
async fn an_application_and_another_organization_see_nothing() {
    let (harness, _dns) = with_dns(NewTenant::of("acme.test")).await;
    for route in ROUTES {
        let (method, path) = route.split_once(' ').expect("method and path");
        let body = (method == "POST" || method == "PUT").then(|| json!({"type": "spf", "domain_address": "x.test"}));
        let to = |domain: &str| path.replace("{domain}", domain);
        let refused = harness.ask(&harness.acme.api_key, method, &to("acme.test"), body.as_ref()).await;
        refused.refuses(403, "application_key", None);
        if path.contains("{domain}") {
            let nobody = harness.operate(method, &to(NOBODY), body.clone()).await;
            nobody.refuses(404, "not_found", None);
            for theirs in ["other.test", "nowhere.test", "no%20name", "%2e%2e"] {
                let answer = harness.operate(method, &to(theirs), body.clone()).await;
                assert_eq!((answer.status, answer.without_id()), (404, nobody.without_id()), "{route} {theirs}");
            }
        }
    }
    let theirs = harness.ask(&harness.other.operator_key, "GET", "/v3/domains/other.test", None).await;
    assert_eq!(theirs.is_ok().data()["name"], "other.test", "nothing happened to it");
}

#[tokio::test]
async fn a_body_may_be_absent_only_where_nothing_has_to_be_said() {
    let (harness, _dns) = with_dns(NewTenant::of("acme.test")).await;
    let empty = harness.operate("POST", "/v3/domains", None).await;
    empty.refuses(400, "invalid_request", None).says("error parsing request body");
    let key = format!("Bearer {}", harness.acme.operator_key);
    let builder = Request::post("/v3/domains/acme.test/dkim-keys").header("authorization", key);
    let garbage = harness.request(builder.body(Body::from("[]")).expect("request")).await;
    garbage.refuses(400, "invalid_request", None);
}
