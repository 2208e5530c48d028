//! `POST /v3/grants/{grant}/messages/send` of mailboxes whose workspace has rules.

use crate::support::{Answer, Harness};
use postfleet_core::id::GrantId;
use postfleet_store::db::DbError;
use postfleet_store::judging::refresh_once;
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::{NewTenant, Tenant};
use serde_json::{Value, json};

/// Makes lookups in lists fail, or work again.
pub(super) struct Lookups {
    pub(super) work: bool,
}

impl Command for Lookups {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        let statement = match self.work {
            true => "ALTER TABLE gone RENAME TO list_items",
            false => "ALTER TABLE list_items RENAME TO gone",
        };
        tx.execute(statement, &[]).await.map(drop)
    }
}

/// Makes an outbound rule that the default workspace uses after those that it uses already.
pub(crate) async fn put(harness: &Harness, tenant: &Tenant, conditions: Value, actions: Value) -> String {
    let ask = async |method, path: &str, body: Option<&Value>| {
        harness.ask(&tenant.api_key, method, path, body).await.is_ok().data().clone()
    };
    let rule = json!({"name": "rule", "trigger": "outbound", "match": {"conditions": conditions}, "actions": actions});
    let id = ask("POST", "/v3/rules", Some(&rule)).await["id"].as_str().expect("id").to_owned();
    let workspace = format!("/v3/workspaces/{}", tenant.workspace_id);
    let mut used = ask("GET", &workspace, None).await["rule_ids"].as_array().expect("ids").clone();
    used.push(json!(id));
    ask("PATCH", &workspace, Some(&json!({"rule_ids": used}))).await;
    id
}

pub(crate) fn condition(field: &str, operator: &str, value: impl Into<Value>) -> Value {
    json!({"field": field, "operator": operator, "value": value.into()})
}

pub(super) async fn block(harness: &Harness, field: &str, operator: &str, value: impl Into<Value>) -> String {
    let conditions = json!([condition(field, operator, value)]);
    put(harness, &harness.acme, conditions, json!([{"type": "block"}])).await
}

/// Makes a list of domains, which is empty.
pub(super) async fn list(harness: &Harness) -> String {
    let made = harness.post("/v3/lists", &json!({"name": "Bad", "type": "domain"})).await;
    made.is_ok().data()["id"].as_str().expect("id").to_owned()
}

/// What was recorded of the last message that was judged.
pub(crate) async fn last_record(harness: &Harness) -> Value {
    harness.get(&harness.at("/rule-evaluations?limit=1")).await.is_ok().data()[0].clone()
}

fn to(email: &str) -> Value {
    json!({"to": [{"email": email}], "subject": "Hello", "body": "<p>Hi</p>"})
}

/// Sends a second later than whatever was before, so that records have an order.
async fn send(harness: &Harness, body: &Value) -> Answer {
    harness.world.advance(1);
    harness.post(&harness.at("/messages/send"), body).await
}

/// Asserts that a rule refuses, and that nothing is left of the message.
async fn assert_blocked(harness: &Harness, body: &Value) {
    let answer = send(harness, body).await;
    answer.refuses(403, "blocked_by_rule", None);
    assert_eq!(answer.json["error"]["type"], "forbidden_access");
    assert_eq!(answer.json["error"]["retryable"], false);
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await, Vec::<String>::new());
    assert_eq!(harness.world.deliver_due().await, 0, "nothing is delivered");
}

#[tokio::test]
async fn a_domain_is_blocked_in_every_header() {
    let harness = Harness::new().await;
    block(&harness, "recipient.domain", "is", "bad.test").await;
    assert_blocked(&harness, &to("Ada@BAD.test")).await;
    for header in ["cc", "bcc"] {
        let mut body = to("ada@good.test");
        body[header] = json!([{"email": "bob@other.test"}, {"email": "carol@bad.test"}]);
        assert_blocked(&harness, &body).await;
    }
    send(&harness, &to("ada@good.test")).await.is_ok();
    send(&harness, &to("ada@sub.bad.test")).await.is_ok();
    // The same in memory.
    while refresh_once(&harness.world.platform.store).await.expect("refresh") {}
    assert_eq!(harness.world.platform.store.rule_book().pages(), 1);
    send(&harness, &to("ada@bad.test")).await.refuses(403, "blocked_by_rule", None);
}

#[tokio::test]
async fn a_list_holds_for_the_next_message_and_one_record_says_why() {
    let harness = Harness::new().await;
    let list = list(&harness).await;
    let items = format!("/v3/lists/{list}/items");
    let rule = block(&harness, "recipient.domain", "in_list", json!([list])).await;
    for in_memory in [false, true] {
        send(&harness, &to("ada@Bad.test")).await.is_ok();
        let record = last_record(&harness).await;
        assert_eq!((&record["matched_rule_ids"], &record["applied_actions"]), (&json!([]), &json!({})));
        assert!(record["message_id"].is_string());

        harness.post(&items, &json!({"items": ["bad.test"]})).await.is_ok();
        send(&harness, &to("ada@Bad.test")).await.refuses(403, "blocked_by_rule", None);
        let record = last_record(&harness).await;
        assert_eq!((&record["matched_rule_ids"], &record["message_id"]), (&json!([rule]), &Value::Null));
        assert_eq!(record["applied_actions"], json!({"blocked": true}));
        assert_eq!(record["evaluation_stage"], "outbound_send");
        let input = json!({"from_address": "agent@acme.test", "from_domain": "acme.test", "from_tld": "test",
            "recipient_addresses": ["ada@bad.test"], "recipient_domains": ["bad.test"], "recipient_tlds": ["test"],
            "outbound_type": "compose"});
        assert_eq!(record["evaluation_input"], input);

        let body = json!({"items": ["bad.test"]});
        harness.ask(&harness.acme.api_key, "DELETE", &items, Some(&body)).await.is_ok();
        if !in_memory {
            while refresh_once(&harness.world.platform.store).await.expect("refresh") {}
        }
    }
    // A list that is gone holds nothing.
    harness.post(&items, &json!({"items": ["bad.test"]})).await.is_ok();
    harness.delete(&format!("/v3/lists/{list}")).await.is_ok();
    send(&harness, &to("ada@bad.test")).await.is_ok();
}

#[tokio::test]
async fn a_rule_that_is_tried_is_recorded_and_does_nothing() {
    let harness = Harness::new().await;
    let rule = block(&harness, "recipient.domain", "is", "bad.test").await;
    harness.patch(&format!("/v3/rules/{rule}"), &json!({"mode": "shadow"})).await.is_ok();
    send(&harness, &to("ada@bad.test")).await.is_ok();
    let record = last_record(&harness).await;
    assert_eq!((&record["matched_rule_ids"], &record["applied_actions"]), (&json!([]), &json!({})));
    assert_eq!(record["shadow"], json!({"matched_rule_ids": [rule], "actions": {"blocked": true}}));
    harness.patch(&format!("/v3/rules/{rule}"), &json!({"mode": "enforce"})).await.is_ok();
    send(&harness, &to("ada@bad.test")).await.refuses(403, "blocked_by_rule", None);
    harness.patch(&format!("/v3/rules/{rule}"), &json!({"enabled": false})).await.is_ok();
    send(&harness, &to("ada@bad.test")).await.is_ok();
}

#[tokio::test]
async fn rules_are_those_of_the_mailboxs_workspace() {
    let harness = Harness::new().await;
    let conditions = json!([condition("recipient.domain", "is", "bad.test")]);
    put(&harness, &harness.other, conditions, json!([{"type": "block"}])).await;
    send(&harness, &to("ada@bad.test")).await.is_ok();
    let path = format!("/v3/grants/{}/messages/send", harness.stranger);
    let answer = harness.ask(&harness.other.api_key, "POST", &path, Some(&to("ada@bad.test"))).await;
    answer.refuses(403, "blocked_by_rule", None);
}

#[tokio::test]
async fn answers_may_be_sent_where_new_conversations_may_not() {
    let harness = Harness::new().await;
    block(&harness, "outbound.type", "is", "compose").await;
    assert_blocked(&harness, &to("ada@sender.test")).await;
    let received = harness.receive_about("Question").await;
    let mut reply = to("ada@sender.test");
    // This one has no Message-ID; it is an answer all the same.
    reply["reply_to_message_id"] = json!(received);
    send(&harness, &reply).await.is_ok();
}

#[tokio::test]
async fn new_conversations_may_be_begun_where_answers_may_not() {
    let harness = Harness::new().await;
    block(&harness, "outbound.type", "is_not", "compose").await;
    send(&harness, &to("ada@sender.test")).await.is_ok();
    let mut reply = to("ada@sender.test");
    reply["reply_to_message_id"] = json!(harness.receive_about("Question").await);
    send(&harness, &reply).await.refuses(403, "blocked_by_rule", None);
}

#[tokio::test]
async fn actions_shape_the_sent_copy_and_not_the_message() {
    let harness = Harness::new().await;
    let actions = json!([{"type": "mark_as_starred"}, {"type": "archive"},
        {"type": "assign_to_folder", "value": "No/Such"}, {"type": "mark_as_read"}]);
    put(&harness, &harness.acme, json!([condition("recipient.domain", "contains", "archive")]), actions).await;
    put(&harness, &harness.acme, json!([condition("recipient.tld", "is", "gone")]), json!([{"type": "trash"}])).await;
    let table = [
        ("ada@plain.test", "sent", false),
        ("ada@archive.test", "archive", true),
        ("ada@archive.gone", "trash", true),
        ("ada@plain.gone", "trash", false),
    ];
    for (email, folder, starred) in table {
        let answer = send(&harness, &to(email)).await;
        let data = answer.is_ok().data();
        let shown = (&data["folders"], &data["starred"], &data["unread"]);
        assert_eq!(shown, (&json!([folder]), &json!(starred), &json!(false)), "{email}");
        let id = data["id"].as_str().expect("id");
        let mut stored = harness.get(&harness.at(&format!("/messages/{id}"))).await.data().clone();
        stored["suppressed_recipients"] = json!([]);
        assert_eq!(&stored, data, "{email}");
        assert!(harness.ids(&harness.at(&format!("/messages?in={folder}"))).await.contains(&id.to_owned()));
    }
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 1);
    let counts = harness.get(&harness.at("/folders/trash")).await;
    assert_eq!(counts.data()["total_count"], 2);
    assert_eq!(harness.world.deliver_due().await, 4, "all are on their way");
}

#[tokio::test]
async fn what_cannot_be_decided_asks_to_come_back() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let rule = block(&harness, "recipient.domain", "in_list", json!([list(&harness).await])).await;
    harness.world.platform.store.run(Lookups { work: false }).await.expect("break");
    let answer = send(&harness, &to("ada@sender.test")).await;
    answer.refuses(503, "rules_undecidable", None);
    assert_eq!((answer.header("retry-after"), &answer.json["error"]["retryable"]), (Some("5"), &json!(true)));
    assert_eq!(harness.world.deliver_due().await, 0, "nothing is delivered");
    let record = last_record(&harness).await;
    assert_eq!(record["applied_actions"], json!({"blocked": true, "blocked_by_evaluation_error": true}));
    assert_eq!((&record["matched_rule_ids"], &record["message_id"]), (&json!([]), &Value::Null), "{rule}");
    harness.world.platform.store.run(Lookups { work: true }).await.expect("mend");
    // It took nothing of the quota; and what is over it is judged by the rules first.
    let answer = send(&harness, &to("ada@sender.test")).await;
    assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, Some("0")));
    block(&harness, "recipient.domain", "is", "bad.test").await;
    send(&harness, &to("ada@bad.test")).await.refuses(403, "blocked_by_rule", None);
    send(&harness, &to("ada@sender.test")).await.refuses(429, "daily_quota_exceeded", None);
}

#[tokio::test]
async fn a_mailbox_that_moves_to_a_workspace_without_rules_is_free() {
    let harness = Harness::new().await;
    block(&harness, "recipient.domain", "is", "bad.test").await;
    send(&harness, &to("ada@bad.test")).await.refuses(403, "blocked_by_rule", None);
    let made = harness.post("/v3/workspaces", &json!({"name": "Free"})).await;
    let workspace = made.is_ok().data()["workspace_id"].as_str().expect("id").to_owned();
    let body = json!({"assign_grants": [harness.agent]});
    harness.post(&format!("/v3/workspaces/{workspace}/manual-assign"), &body).await.is_ok();
    let agent: GrantId = harness.agent.parse().expect("id");
    assert_eq!(send(&harness, &to("ada@bad.test")).await.is_ok().json["grant_id"], agent.to_string());
}
