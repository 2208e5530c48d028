//! `GET /v3/grants/{grant}/refused-mail`, and what comes in under rules and limits.

use super::send_rules::{Lookups, condition, last_record};
use crate::support::{Harness, NOBODY, assert_shape, ids};
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::receive::{self, Arrival, Offer};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/refused-mail"];

const REFUSED: &str = "id:string grant_id:string stage:string outcome:string code:string message:string change:string \
    sender:string author:string? recipient:string message_id_header:string? size:integer? ip:string? limit:string? \
    scope:string? maximum:integer? used:integer? resets_at:integer? rule_evaluation_id:string? times:integer \
    refused_at:integer last_refused_at:integer";

/// Makes an inbound rule that the default workspace uses after those that it uses already.
pub(super) async fn inbound(harness: &Harness, conditions: Value, actions: Value) -> String {
    let rule = json!({"name": "rule", "match": {"conditions": conditions}, "actions": actions});
    let id = harness.post("/v3/rules", &rule).await.is_ok().data()["id"].as_str().expect("id").to_owned();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    let mut used = harness.get(&workspace).await.data()["rule_ids"].as_array().expect("ids").clone();
    used.push(json!(id));
    harness.patch(&workspace, &json!({"rule_ids": used})).await.is_ok();
    id
}

/// Names a recipient; "" if it may receive, otherwise the code of the refusal.
async fn rcpt(harness: &Harness, sender: &str, declared_octets: Option<u64>) -> &'static str {
    harness.world.advance(1);
    let reverse_path = EmailAddress::parse(sender).map_or(ReversePath::Null, ReversePath::Mailbox);
    let offer = Offer { reverse_path: &reverse_path, declared_octets, ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) };
    let address = EmailAddress::parse("agent@acme.test").expect("address");
    receive::recipient(&harness.world.platform, &offer, &address).await.err().map_or("", |problem| problem.code)
}

fn by(author: &str) -> String {
    format!("From: {author}\r\nSubject: x\r\nMessage-ID: <1@sender.test>\r\n\r\nHi\r\n")
}

/// Hands a message over; "" if it was taken, otherwise the code of the refusal.
async fn data(harness: &Harness, sender: &str, to: &[&str], message: &str) -> &'static str {
    harness.world.advance(1);
    let arrival = Arrival {
        reverse_path: EmailAddress::parse(sender).map_or(ReversePath::Null, ReversePath::Mailbox),
        recipients: to.iter().map(|text| EmailAddress::parse(text).expect("address")).collect(),
        helo: "mx.sender.test".to_owned(),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: Protocol::default(),
        message: message.as_bytes().to_vec(),
    };
    receive::receive(&harness.world.platform, arrival).await.err().map_or("", |problem| problem.code)
}

async fn refused(harness: &Harness) -> Vec<Value> {
    harness.get(&harness.at("/refused-mail?limit=200")).await.is_ok().data().as_array().expect("list").clone()
}

async fn messages(harness: &Harness) -> usize {
    harness.get(&harness.at("/messages")).await.is_ok().data().as_array().expect("list").len()
}

#[tokio::test]
async fn a_block_holds_for_the_envelope_sender_and_for_the_author() {
    let harness = Harness::new().await;
    let block = json!([{"type": "block"}]);
    let rule = inbound(&harness, json!([condition("from.domain", "is", "bad.test")]), block).await;
    assert_eq!(rcpt(&harness, "eve@bad.test", Some(1_000)).await, "blocked_by_rule");
    let record = last_record(&harness).await;
    assert_eq!((&record["evaluation_stage"], &record["message_id"]), (&json!("smtp_rcpt"), &Value::Null));
    assert_eq!(record["applied_actions"], json!({"blocked": true}));
    assert_eq!(record["matched_rule_ids"], json!([rule]));
    let input = json!({"from_address": "eve@bad.test", "from_domain": "bad.test", "from_tld": "test"});
    assert_eq!(record["evaluation_input"], input);

    assert_eq!(rcpt(&harness, "list@good.test", None).await, "");
    assert_eq!(
        data(&harness, "list@good.test", &["agent@acme.test"], &by("Eve <eve@BAD.test>")).await,
        "blocked_by_rule"
    );
    let record = last_record(&harness).await;
    assert_eq!((&record["evaluation_stage"], &record["message_id"]), (&json!("inbox_processing"), &Value::Null));
    assert_eq!(record["evaluation_input"]["from_addresses"], json!(["eve@bad.test"]));
    assert_eq!(record["evaluation_input"]["authentication"]["dmarc"].as_str().map(str::is_empty), Some(false));
    assert_eq!(messages(&harness).await, 0);

    // A bounce has no sender, and is judged by its author.
    assert_eq!(rcpt(&harness, "", None).await, "");
    assert_eq!(data(&harness, "", &["agent@acme.test"], &by("mailer-daemon@bad.test")).await, "blocked_by_rule");
    assert_eq!(data(&harness, "", &["agent@acme.test"], &by("mailer-daemon@good.test")).await, "");
    assert_eq!(messages(&harness).await, 1);

    let records = refused(&harness).await;
    let said: Vec<[&Value; 4]> =
        records.iter().map(|one| [&one["stage"], &one["outcome"], &one["sender"], &one["author"]]).collect();
    let expected = [
        [json!("data"), json!("refused"), json!(""), json!("mailer-daemon@bad.test")],
        [json!("data"), json!("refused"), json!("list@good.test"), json!("eve@bad.test")],
        [json!("rcpt"), json!("refused"), json!("eve@bad.test"), Value::Null],
    ];
    assert_eq!(said, expected.each_ref().map(|row| row.each_ref()));
    for one in &records {
        assert_shape(one, REFUSED);
        assert_eq!(
            (&one["code"], &one["recipient"], &one["times"]),
            (&json!("blocked_by_rule"), &json!("agent@acme.test"), &json!(1))
        );
        let evaluation = one["rule_evaluation_id"].as_str().expect("id");
        assert!(ids(&harness.get(&harness.at("/rule-evaluations")).await).contains(&evaluation.to_owned()));
    }
    assert_eq!(records[0]["message_id_header"], "<1@sender.test>");
}

#[tokio::test]
async fn what_cannot_be_decided_is_deferred_and_marked() {
    let harness = Harness::new().await;
    let list = harness.post("/v3/lists", &json!({"name": "Bad", "type": "domain"})).await;
    let list = list.is_ok().data()["id"].clone();
    inbound(&harness, json!([condition("from.domain", "in_list", json!([list]))]), json!([{"type": "block"}])).await;
    harness.world.platform.store.run(Lookups { work: false }).await.expect("break");
    assert_eq!(rcpt(&harness, "ada@good.test", None).await, "rules_undecidable");
    assert_eq!(
        last_record(&harness).await["applied_actions"],
        json!({"blocked": true, "blocked_by_evaluation_error": true})
    );
    let other = harness.world.mailbox(&harness.other, "other").await;
    let to = ["agent@acme.test", &other.email.to_string()];
    assert_eq!(data(&harness, "ada@good.test", &to, &by("ada@good.test")).await, "rules_undecidable");
    assert_eq!(last_record(&harness).await["evaluation_stage"], "inbox_processing");
    assert_eq!(
        refused(&harness).await.iter().map(|one| one["outcome"].clone()).collect::<Vec<_>>(),
        ["deferred", "deferred"]
    );
    harness.world.platform.store.run(Lookups { work: true }).await.expect("mend");
    assert_eq!(messages(&harness).await, 0, "nothing was stored");
    assert_eq!(rcpt(&harness, "ada@good.test", None).await, "");
    assert_eq!(data(&harness, "ada@good.test", &to, &by("ada@good.test")).await, "");
    assert_eq!(messages(&harness).await, 1);
}

#[tokio::test]
async fn every_limit_leaves_a_record_of_what_it_is_and_what_was_used() {
    let harness =
        Harness::with(NewTenant { plan: "free", daily_sends_max: Some(100), ..NewTenant::of("acme.test") }).await;
    let policy = harness.ids("/v3/policies").await[0].clone();
    let limit = async |limits: Value| {
        harness.put(&format!("/v3/policies/{policy}"), &json!({"limits": limits})).await.is_ok();
    };
    let message = "From: Ada <ada@sender.test>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/pdf\r\n\
        Content-Disposition: attachment; filename=a.pdf\r\n\r\n0123456789\r\n";
    let octets = message.len() as u64;
    let take = async || data(&harness, "bounce@sender.test", &["agent@acme.test"], message).await;
    let newest = async || refused(&harness).await[0].clone();
    let expect = async |code: &str, name: &str, scope: Value, numbers: [Value; 2], outcome: &str| {
        let one = newest().await;
        assert_shape(&one, REFUSED);
        assert_eq!((&one["code"], &one["limit"], &one["scope"]), (&json!(code), &json!(name), &scope), "{one}");
        assert_eq!([&one["maximum"], &one["used"]], numbers.each_ref(), "{one}");
        assert_eq!((&one["outcome"], &one["sender"]), (&json!(outcome), &json!("bounce@sender.test")), "{one}");
    };
    let message_scope = json!("message");
    for (limits, code, name, [maximum, used]) in [
        (
            json!({"limit_size_total_mime": 20}),
            "message_too_large",
            "limit_size_total_mime",
            [json!(20), json!(octets)],
        ),
        (
            json!({"limit_size_total_mime": null, "limit_attachment_count_limit": 0}),
            "too_many_attachments",
            "limit_attachment_count_limit",
            [json!(0), json!(1)],
        ),
        (
            json!({"limit_attachment_count_limit": 1, "limit_attachment_size_limit": 5}),
            "attachment_too_large",
            "limit_attachment_size_limit",
            [json!(5), json!(12)],
        ),
    ] {
        limit(limits).await;
        assert_eq!(take().await, code);
        // What is counted as its octets is what the interface lists.
        let used = if code == "attachment_too_large" { newest().await["used"].clone() } else { used };
        expect(code, name, message_scope.clone(), [maximum, used], "refused").await;
    }
    limit(json!({"limit_attachment_size_limit": null, "limit_attachment_allowed_types": ["image/*"]})).await;
    assert_eq!(take().await, "attachment_type_refused");
    let name = "limit_attachment_allowed_types";
    expect("attachment_type_refused", name, Value::Null, [Value::Null, Value::Null], "refused").await;
    assert!(newest().await["message"].as_str().expect("text").contains("application/pdf"));
    limit(json!({"limit_attachment_allowed_types": [], "limit_count_daily_message_received": 1})).await;
    assert_eq!(take().await, "");
    assert_eq!(take().await, "daily_received_exceeded");
    let name = "limit_count_daily_message_received";
    expect("daily_received_exceeded", name, json!("grant"), [json!(1), json!(1)], "deferred").await;
    assert_eq!(newest().await["stage"], "data");
    assert_eq!(rcpt(&harness, "bounce@sender.test", Some(99)).await, "daily_received_exceeded");
    let one = newest().await;
    assert_eq!(
        (&one["stage"], &one["size"], &one["ip"], &one["author"]),
        (&json!("rcpt"), &json!(99), &json!("127.0.0.1"), &Value::Null)
    );
    limit(json!({"limit_count_daily_message_received": null, "limit_storage_total": 100})).await;
    assert_eq!(take().await, "storage_full");
    let used = newest().await["used"].clone();
    expect("storage_full", "limit_storage_total", json!("grant"), [json!(100), used.clone()], "deferred").await;
    assert!(used.as_u64() > Some(100), "{used}");

    // One reason, one sender, in pages.
    let path = harness.at("/refused-mail");
    assert_eq!(harness.ids(&format!("{path}?code=daily_received_exceeded")).await.len(), 2);
    assert_eq!(harness.ids(&format!("{path}?sender=ADA@sender.test&limit=200")).await.len(), 6);
    assert_eq!(harness.ids(&format!("{path}?sender=nobody@sender.test")).await.len(), 0);
    let first = harness.get(&format!("{path}?limit=4")).await;
    let cursor = first.json["next_cursor"].as_str().expect("more").to_owned();
    let second = harness.get(&format!("{path}?limit=4&page_token={cursor}")).await;
    assert_eq!((ids(&first).len(), ids(&second).len(), second.json.get("next_cursor")), (4, 3, None));
    for (query, field) in [("limit=0", "limit"), ("page_token=x", "page_token"), ("sender=x", "sender")] {
        harness.get(&format!("{path}?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    harness.get(&format!("/v3/grants/{NOBODY}/refused-mail")).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_copy_that_is_left_out_has_a_record_while_others_get_theirs() {
    let harness = Harness::new().await;
    let other = harness.world.mailbox(&harness.other, "other").await;
    let to = ["agent@acme.test", &other.email.to_string()];
    let policy = harness.ids("/v3/policies").await;
    let policy = match policy.first() {
        Some(policy) => policy.clone(),
        None => {
            let made = harness.post("/v3/policies", &json!({"name": "Small"})).await.is_ok().data()["id"].clone();
            let path = format!("/v3/workspaces/{}", harness.acme.workspace_id);
            harness.patch(&path, &json!({"policy_id": made})).await.is_ok();
            made.as_str().expect("id").to_owned()
        }
    };
    let path = format!("/v3/policies/{policy}");
    harness.put(&path, &json!({"limits": {"limit_size_total_mime": 20}})).await.is_ok();
    assert_eq!(data(&harness, "ada@sender.test", &to, &by("ada@sender.test")).await, "");
    harness.put(&path, &json!({"limits": {"limit_size_total_mime": null}})).await.is_ok();
    inbound(&harness, json!([condition("from.domain", "is", "sender.test")]), json!([{"type": "block"}])).await;
    assert_eq!(data(&harness, "ada@list.test", &to, &by("ada@sender.test")).await, "");
    assert_eq!(messages(&harness).await, 0);
    let said: Vec<(Value, Value)> =
        refused(&harness).await.iter().map(|one| (one["code"].clone(), one["outcome"].clone())).collect();
    let dropped = json!("dropped");
    assert_eq!(said, [(json!("blocked_by_rule"), dropped.clone()), (json!("message_too_large"), dropped)]);
}

#[tokio::test]
async fn rules_put_mail_where_they_say_and_junk_is_marked_in_the_log() {
    let harness = Harness::new().await;
    inbound(&harness, json!([condition("from.domain", "is", "junk.test")]), json!([{"type": "mark_as_spam"}])).await;
    let starring = json!([{"type": "mark_as_starred"}, {"type": "assign_to_folder", "value": "Archive"}]);
    inbound(&harness, json!([condition("message.mark", "is", "list")]), starring).await;
    let list = by("ada@good.test").replace("Subject", "List-Id: <talk.good.test>\r\nSubject");
    for message in [by("eve@junk.test"), list] {
        assert_eq!(data(&harness, "ada@good.test", &["agent@acme.test"], &message).await, "");
    }
    let listed = harness.get(&harness.at("/messages")).await;
    let seen: Vec<(&Value, &Value)> =
        listed.data().as_array().expect("list").iter().map(|one| (&one["folders"], &one["starred"])).collect();
    assert_eq!(seen, [(&json!(["archive"]), &json!(true)), (&json!(["junk"]), &json!(false))]);
    let record = last_record(&harness).await;
    assert_eq!(record["message_id"], listed.data()[0]["id"]);
    assert_eq!(record["applied_actions"], json!({"marked_starred": true, "folder_ids": ["archive"]}));
    assert!(record["evaluation_input"]["marks"].as_array().is_some_and(|marks| marks.contains(&json!("list"))));
    let events = harness.get("/v3/events?type=message.created").await;
    let junk: Vec<&Value> =
        events.is_ok().data().as_array().expect("list").iter().map(|event| &event["junk"]).collect();
    assert_eq!(junk, [&json!(false), &json!(true)]);
}
