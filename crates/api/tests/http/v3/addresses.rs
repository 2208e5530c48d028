//! `/v3/addresses/validate`.

use crate::support::{Harness, assert_shape};
use postfleet_net::StaticResolver;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const ROUTES: &[&str] = &["POST /v3/addresses/validate"];

const VALIDATED: &str = "address:string normalized:string? verdict:string findings:array syntax_error:string? \
    suggestion:string? domain:string? domain_exists:boolean? accepts_mail:boolean? mx:array is_own_domain:boolean \
    mailbox_exists:boolean? is_suppressed:boolean suppression_reason:string? is_role:boolean is_disposable:boolean";

async fn harness() -> Harness {
    let resolver = StaticResolver::everything_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_mx("mail.test", 20, "b.mail.test")
        .with_mx("mail.test", 10, "a.mail.test")
        .with_mx("null.test", 0, ".")
        .without("nowhere.test")
        .failing("silent.test");
    Harness::in_world(
        World::with(WorldOptions { resolver, ..WorldOptions::default() }).await,
        NewTenant::of("acme.test"),
    )
    .await
}

async fn validate(harness: &Harness, addresses: &[&str]) -> Vec<Value> {
    let answer = harness.post("/v3/addresses/validate", &json!({ "addresses": addresses })).await;
    let validated = answer.is_ok().data().as_array().expect("list").clone();
    for (one, address) in validated.iter().zip(addresses) {
        assert_shape(one, VALIDATED);
        assert_eq!(one["address"], *address);
    }
    assert_eq!(validated.len(), addresses.len());
    validated
}

#[tokio::test]
async fn each_finding_has_its_verdict() {
    let harness = harness().await;
    let body = json!({"address": "gone@sender.test", "reason": "hard_bounce"});
    harness.post("/v3/suppressions", &body).await.is_ok();
    let expected = [
        ("ada@sender.test", "deliverable", json!([])),
        ("Ada@MAIL.test", "deliverable", json!([])),
        ("no address", "undeliverable", json!(["syntax"])),
        ("", "undeliverable", json!(["syntax"])),
        ("müller@sender.test", "undeliverable", json!(["not_ascii"])),
        ("ada@nowhere.test", "undeliverable", json!(["no_mail_server"])),
        ("ada@null.test", "undeliverable", json!(["null_mx"])),
        ("ada@silent.test", "unknown", json!(["lookup_failed"])),
        ("gone@sender.test", "undeliverable", json!(["suppressed"])),
        ("agent@acme.test", "deliverable", json!([])),
        ("nobody@acme.test", "undeliverable", json!(["no_such_mailbox"])),
        ("info@sender.test", "risky", json!(["role"])),
        ("ada@mailinator.com", "risky", json!(["disposable"])),
        ("ada@throwaway.test", "risky", json!(["disposable"])),
        ("ada@gmial.com", "risky", json!(["misspelt_domain"])),
        ("info@nowhere.test", "undeliverable", json!(["no_mail_server", "role"])),
    ];
    let validated = validate(&harness, &expected.each_ref().map(|(address, ..)| *address)).await;
    for (one, (address, verdict, findings)) in validated.iter().zip(&expected) {
        assert_eq!((&one["verdict"], &one["findings"]), (&json!(verdict), findings), "{address}");
    }
}

#[tokio::test]
async fn what_was_found_out_is_shown() {
    let harness = harness().await;
    let wanted = ["Ada@MAIL.test", "ada@gmial.com", " <ada@sender.test> ", "agent@acme.test", "agent@other.test"];
    let validated = validate(&harness, &wanted).await;
    let [mail, slip, pasted, own, other] = validated.as_slice() else { panic!("five") };
    assert_eq!((&mail["normalized"], &mail["domain"]), (&json!("Ada@mail.test"), &json!("mail.test")));
    assert_eq!(mail["mx"], json!(["a.mail.test", "b.mail.test"]));
    assert_eq!((&mail["domain_exists"], &mail["accepts_mail"]), (&json!(true), &json!(true)));
    assert_eq!((&mail["is_own_domain"], &mail["mailbox_exists"]), (&json!(false), &Value::Null));
    assert_eq!(slip["suggestion"], "ada@gmail.com");
    assert_eq!((&pasted["suggestion"], &pasted["domain"]), (&json!("ada@sender.test"), &Value::Null));
    assert!(pasted["syntax_error"].as_str().is_some_and(|text| text.contains("domain") || text.contains("local")));
    assert_eq!((&own["is_own_domain"], &own["mailbox_exists"]), (&json!(true), &json!(true)));
    assert_eq!((&own["accepts_mail"], &own["mx"]), (&json!(true), &json!([])));
    // Whether another organization has a mailbox is not told.
    assert_eq!((&other["is_own_domain"], &other["mailbox_exists"]), (&json!(false), &Value::Null));
    let validated = validate(&harness, &["a@null.test", "a@nowhere.test", "a@silent.test"]).await;
    let shown: Vec<_> = validated.iter().map(|one| (&one["domain_exists"], &one["accepts_mail"])).collect();
    let (yes, no, unknown) = (json!(true), json!(false), Value::Null);
    assert_eq!(shown, [(&yes, &no), (&no, &no), (&unknown, &unknown)]);
}

#[tokio::test]
async fn a_thousand_are_taken_and_no_more() {
    let harness = harness().await;
    let many = |count: usize| (0..count).map(|number| format!("r{number}@d{}.test", number % 400)).collect::<Vec<_>>();
    let thousand = many(1_000);
    let validated = validate(&harness, &thousand.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(validated.iter().all(|one| one["verdict"] == "deliverable"));
    for (addresses, field) in [
        (json!(many(1_001)), "addresses"),
        (json!([]), "addresses"),
        (json!(["a@x.test", format!("{}@x.test", "a".repeat(1_018))]), "addresses[1]"),
    ] {
        let answer = harness.post("/v3/addresses/validate", &json!({ "addresses": addresses })).await;
        answer.refuses(400, "invalid_request", Some(field));
    }
    harness.post("/v3/addresses/validate", &json!({})).await.refuses(400, "invalid_request", Some("addresses"));
    let longest = format!("{}@x.test", "a".repeat(1_017));
    assert_eq!(validate(&harness, &[&longest]).await[0]["findings"], json!(["syntax"]));
}

#[tokio::test]
async fn a_policy_makes_sends_look_first() {
    let harness = harness().await;
    let send = async |to: &str| {
        harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": to}], "subject": "x"})).await
    };
    send("ada@nowhere.test").await.is_ok();
    let wrong = json!({"name": "P", "options": {"validate_recipients": "yes"}});
    harness.post("/v3/policies", &wrong).await.refuses(400, "invalid_request", Some("options.validate_recipients"));
    let policy = harness.post("/v3/policies", &json!({"name": "P", "options": {"validate_recipients": true}})).await;
    assert_eq!(policy.is_ok().data()["options"]["validate_recipients"], true);
    let id = policy.data()["id"].as_str().expect("id").to_owned();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"policy_id": id})).await.is_ok();
    let refused = send("ada@nowhere.test").await;
    refused
        .refuses(400, "recipient_undeliverable", Some("to"))
        .says("ada@nowhere.test is at a domain that does not exist");
    send("ada@null.test").await.refuses(400, "recipient_undeliverable", Some("to"));
    send("ada@silent.test").await.is_ok();
    send("info@mailinator.com").await.is_ok();
    let path = format!("/v3/policies/{id}");
    harness.patch(&path, &json!({"options": {"validate_recipients": false}})).await.is_ok();
    send("ada@nowhere.test").await.is_ok();
}
