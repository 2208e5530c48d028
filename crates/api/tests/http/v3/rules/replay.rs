//! `POST /v3/rules/replay`: mail that was really sent or refused, judged by changed rules and lists.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx, params};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const ROUTES: &[&str] = &["POST /v3/rules/replay"];

const REPLAY: &str = "since:integer until:integer judged:integer unreadable:integer totals:object accounts:array \
    rules:array next_cursor:string?";
const COUNTS: &str = "changed:integer newly_blocked:integer no_longer_blocked:integer undecidable:integer \
    actions_changed:integer newly_matched:integer no_longer_matched:integer";
const EXAMPLE: &str = "message_id:string? evaluation_id:string? grant_id:string at:integer recipient_domains:array \
    before:string after:string";

/// An outbound rule with one condition.
fn rule(field: &str, operator: &str, value: impl Into<Value>, action: &str) -> Value {
    json!({"name": "Rule", "trigger": "outbound", "actions": [{"type": action}],
        "match": {"conditions": [{"field": field, "operator": operator, "value": value.into()}]}})
}

fn block(domain: &str) -> Value {
    rule("recipient.domain", "is", domain, "block")
}

/// Makes a rule that the default workspace uses, after those that it uses already.
async fn put(harness: &Harness, body: &Value) -> String {
    harness.world.advance(1);
    let id = harness.post("/v3/rules", body).await.is_ok().data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    let mut used = harness.get(&workspace).await.data()["rule_ids"].as_array().expect("ids").clone();
    used.push(id.clone());
    harness.patch(&workspace, &json!({"rule_ids": used})).await.is_ok();
    id.as_str().expect("id").to_owned()
}

async fn list(harness: &Harness, items: Value) -> String {
    let made = harness.post("/v3/lists", &json!({"name": "Bad", "type": "domain"})).await;
    let id = made.is_ok().data()["id"].as_str().expect("id").to_owned();
    if items != json!([]) {
        harness.post(&format!("/v3/lists/{id}/items"), &json!({"items": items})).await.is_ok();
    }
    id
}

/// Sends a second later than whatever was before.
async fn send(harness: &Harness, to: &str, bcc: &[&str]) -> Answer {
    harness.world.advance(1);
    let bcc: Vec<Value> = bcc.iter().map(|email| json!({"email": email})).collect();
    let body = json!({"to": [{"email": to}], "bcc": bcc, "subject": "Hello", "body": "Hi"});
    harness.post(&harness.at("/messages/send"), &body).await
}

fn start(harness: &Harness) -> i64 {
    harness.world.platform.clock.now().as_seconds() - 86_400
}

/// Replays the last day, with more fields.
async fn ask(harness: &Harness, fields: Value) -> Answer {
    harness.world.advance(1);
    let mut body = json!({"since": start(harness)});
    for (name, value) in fields.as_object().expect("object") {
        body[name] = value.clone();
    }
    harness.post("/v3/rules/replay", &body).await
}

async fn replay(harness: &Harness, changes: Value) -> Value {
    let answer = ask(harness, json!({"changes": changes})).await;
    let data = answer.is_ok().data().clone();
    assert_shape(&data, REPLAY);
    assert_shape(&data["totals"], COUNTS);
    for row in data["accounts"].as_array().expect("accounts") {
        assert_shape(row, "grant_id:string email:string counts:object examples:array");
        assert_shape(&row["counts"], COUNTS);
    }
    for row in data["rules"].as_array().expect("rules") {
        assert_shape(row, "rule_id:string? change:integer? name:string counts:object examples:array");
        assert_shape(&row["counts"], COUNTS);
        row["examples"].as_array().expect("examples").iter().for_each(|example| assert_shape(example, EXAMPLE));
    }
    data
}

/// Asserts counts: those that are not named are nought.
fn assert_counts(counts: &Value, expected: &Value) {
    for (name, count) in counts.as_object().expect("counts") {
        assert_eq!(count, expected.get(name).unwrap_or(&json!(0)), "{name} of {counts}");
    }
}

#[tokio::test]
async fn a_new_rule_is_tried_on_what_was_sent_without_rules() {
    let harness = Harness::new().await;
    let sent = send(&harness, "ada@Bad.test", &[]).await.is_ok().data()["id"].clone();
    send(&harness, "ada@good.test", &["hidden@bad.test"]).await.is_ok();
    send(&harness, "ada@good.test", &[]).await.is_ok();
    let here = harness.acme.workspace_id.to_string();
    let said = replay(&harness, json!({"rules": [{"rule": block("bad.test"), "workspace_ids": [here]}]})).await;
    assert_eq!((&said["judged"], &said["unreadable"], &said["next_cursor"]), (&json!(3), &json!(0), &Value::Null));
    let expected = json!({"changed": 2, "newly_blocked": 2, "newly_matched": 2});
    assert_counts(&said["totals"], &expected);
    let account = &said["accounts"][0];
    assert_eq!((&account["grant_id"], &account["email"]), (&json!(harness.agent), &json!("agent@acme.test")));
    assert_counts(&account["counts"], &expected);
    let row = &said["rules"][0];
    assert_eq!((&row["rule_id"], &row["change"], &row["name"]), (&Value::Null, &json!(0), &json!("Rule")));
    assert_counts(&row["counts"], &expected);
    let example = &row["examples"][0];
    assert_eq!((&example["message_id"], &example["evaluation_id"]), (&sent, &Value::Null));
    assert_eq!((&example["before"], &example["after"]), (&json!("pass"), &json!("block")));
    assert_eq!(example["recipient_domains"], json!(["bad.test"]));
    assert_eq!(row["examples"][1]["recipient_domains"], json!(["good.test", "bad.test"]));
    // It is nowhere afterwards.
    assert_eq!(harness.get("/v3/rules").await.data()["items"], json!([]));
    assert_eq!(harness.get(&harness.at("/rule-evaluations")).await.data(), &json!([]));
    send(&harness, "ada@bad.test", &[]).await.is_ok();
}

#[tokio::test]
async fn a_list_is_tried_with_items_more_and_fewer() {
    let harness = Harness::new().await;
    let list = list(&harness, json!(["old.test"])).await;
    let rule = put(&harness, &rule("recipient.domain", "in_list", json!([list]), "block")).await;
    send(&harness, "ada@new.test", &[]).await.is_ok();
    send(&harness, "ada@good.test", &[]).await.is_ok();
    send(&harness, "ada@old.test", &[]).await.refuses(403, "blocked_by_rule", None);
    let said = replay(&harness, json!({"lists": [{"list_id": list, "add": ["NEW.test"]}]})).await;
    assert_eq!(said["judged"], 3, "what was refused as well");
    assert_counts(&said["totals"], &json!({"changed": 1, "newly_blocked": 1, "newly_matched": 1}));
    assert_eq!((&said["rules"][0]["rule_id"], &said["rules"][0]["change"]), (&json!(rule), &Value::Null));

    let change = json!({"list_id": list, "add": ["new.test"], "remove": ["old.test", "never.test"]});
    let said = replay(&harness, json!({"lists": [change]})).await;
    let expected =
        json!({"changed": 2, "newly_blocked": 1, "no_longer_blocked": 1, "newly_matched": 1, "no_longer_matched": 1});
    assert_counts(&said["totals"], &expected);
    assert_counts(&said["rules"][0]["counts"], &expected);
    let refused = &said["accounts"][0]["examples"][1];
    let record = harness.get(&harness.at("/rule-evaluations?limit=1")).await.data()[0].clone();
    assert_eq!((&refused["message_id"], &refused["evaluation_id"]), (&Value::Null, &record["id"]));
    assert_eq!((&refused["before"], &refused["after"]), (&json!("block"), &json!("pass")));
    assert_eq!(harness.get(&format!("/v3/lists/{list}")).await.data()["items_count"], 1, "nothing is kept");
}

#[tokio::test]
async fn a_rule_is_tried_disabled_removed_watching_changed_and_elsewhere() {
    let harness = Harness::new().await;
    let blocking = put(&harness, &block("bad.test")).await;
    let marking = put(&harness, &rule("recipient.domain", "is", "good.test", "mark_as_read")).await;
    send(&harness, "ada@bad.test", &[]).await.refuses(403, "blocked_by_rule", None);
    send(&harness, "ada@good.test", &[]).await.is_ok();
    let of = |change: Value| json!({"rules": [change]});
    let gone = json!({"changed": 1, "no_longer_blocked": 1, "no_longer_matched": 1});
    for change in [
        json!({"rule_id": blocking, "rule": {"enabled": false}}),
        json!({"rule_id": blocking, "remove": true}),
        json!({"rule_id": blocking, "workspace_ids": []}),
        json!({"rule_id": blocking, "rule": {"trigger": "inbound",
            "match": {"conditions": [{"field": "from.domain", "operator": "is", "value": "bad.test"}]}}}),
    ] {
        let said = replay(&harness, of(change)).await;
        assert_counts(&said["totals"], &gone);
        assert_eq!((&said["rules"][0]["rule_id"], &said["rules"][0]["change"]), (&json!(blocking), &json!(0)));
    }
    let said = replay(&harness, of(json!({"rule_id": blocking, "rule": {"mode": "shadow"}}))).await;
    assert_counts(&said["totals"], &json!({"changed": 1, "no_longer_blocked": 1}));
    let said = replay(&harness, of(json!({"rule_id": marking, "rule": {"actions": [{"type": "archive"}]}}))).await;
    assert_counts(&said["totals"], &json!({"changed": 1, "actions_changed": 1}));
    assert_eq!(said["rules"][0]["rule_id"], json!(marking));
    // What changes nothing shows nothing.
    let said = replay(&harness, of(json!({"rule_id": marking, "rule": {"name": "Other", "priority": 11}}))).await;
    assert_eq!((&said["judged"], &said["accounts"], &said["rules"]), (&json!(2), &json!([]), &json!([])));
    assert_counts(&said["totals"], &json!({}));
}

#[tokio::test]
async fn pages_have_each_message_once_while_others_are_sent() {
    let harness = Harness::new().await;
    let blocking = put(&harness, &block("bad.test")).await;
    for number in 0..7 {
        let domain = if number % 2 == 0 { "bad.test" } else { "good.test" };
        send(&harness, &format!("to{number}@{domain}"), &[]).await;
    }
    let changes = json!({"rules": [{"rule_id": blocking, "remove": true}]});
    harness.world.advance(1);
    let mut body = json!({"since": start(&harness), "changes": changes, "limit": 2});
    let (mut judged, mut passing, mut pages) = (0, 0, 0);
    loop {
        let said = harness.post("/v3/rules/replay", &body).await;
        let said = said.is_ok().data();
        judged += said["judged"].as_u64().expect("count");
        passing += said["totals"]["no_longer_blocked"].as_u64().expect("count");
        pages += 1;
        body["cursor"] = said["next_cursor"].clone();
        if body["cursor"].is_null() {
            break;
        }
        // Later ones are of no account, sent or refused.
        send(&harness, "later@bad.test", &[]).await.refuses(403, "blocked_by_rule", None);
        send(&harness, "later@good.test", &[]).await.is_ok();
    }
    assert_eq!((judged, passing, pages), (7, 4, 4));
    body["limit"] = json!(100);
    harness.world.advance(1);
    let all = harness.post("/v3/rules/replay", &body).await;
    assert_eq!(all.is_ok().data()["judged"], 13);
}

#[tokio::test]
async fn only_what_is_asked_for_is_judged() {
    let harness = Harness::new().await;
    send(&harness, "ada@bad.test", &[]).await.is_ok();
    let body = json!({"to": [{"email": "ada@bad.test"}], "subject": "Hello", "body": "Hi"});
    let stranger = format!("/v3/grants/{}/messages/send", harness.stranger);
    harness.ask(&harness.other.api_key, "POST", &stranger, Some(&body)).await.is_ok();
    harness.receive_about("What arrives").await;
    let here = harness.acme.workspace_id.to_string();
    let made = harness.post("/v3/workspaces", &json!({"name": "Elsewhere"})).await;
    let elsewhere = made.is_ok().data()["workspace_id"].as_str().expect("id").to_owned();
    let of = |workspace: &str| json!({"workspace_id": workspace, "changes": {"rules": [{"rule": block("bad.test")}]}});
    let answer = ask(&harness, of(&here)).await;
    assert_eq!((&answer.is_ok().data()["judged"], &answer.data()["totals"]["newly_blocked"]), (&json!(1), &json!(1)));
    let answer = ask(&harness, of(&elsewhere)).await;
    assert_eq!(answer.is_ok().data()["judged"], 0);
    let changes = json!({"rules": [{"rule": block("bad.test"), "workspace_ids": [elsewhere]}]});
    let said = replay(&harness, changes.clone()).await;
    assert_eq!((&said["judged"], &said["totals"]["changed"]), (&json!(1), &json!(0)), "nobody is there");
    // A mailbox in no workspace has no rules, and its mail is counted.
    let path = format!("/v3/workspaces/{here}/manual-assign");
    harness.post(&path, &json!({"remove_grants": [harness.agent]})).await.is_ok();
    let said = replay(&harness, changes).await;
    assert_eq!((&said["judged"], &said["totals"]["changed"]), (&json!(1), &json!(0)));
    harness.world.advance(2);
    let now = harness.world.platform.clock.now().as_seconds();
    let rules = json!({"rules": [{"rule": block("bad.test"), "workspace_ids": [here]}]});
    let late = harness.post("/v3/rules/replay", &json!({"since": now - 1, "changes": rules})).await;
    assert_eq!(late.is_ok().data()["judged"], 0);
    let late = json!({"last_seconds": 1, "changes": rules});
    assert_eq!(harness.post("/v3/rules/replay", &late).await.is_ok().data()["judged"], 0);
    let late = harness.post("/v3/rules/replay", &json!({"last_seconds": 1_000, "changes": rules})).await;
    assert_eq!((&late.is_ok().data()["judged"], &late.data()["since"]), (&json!(1), &json!(now - 1_000)));
    let early = json!({"since": 0, "until": now - 1_000, "changes": rules});
    assert_eq!(harness.post("/v3/rules/replay", &early).await.is_ok().data()["judged"], 0);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_by_field() {
    let harness = Harness::new().await;
    let list = list(&harness, json!([])).await;
    let id = put(&harness, &block("bad.test")).await;
    let foreign = harness.ask(&harness.other.api_key, "POST", "/v3/rules", Some(&block("a.test"))).await;
    let foreign = foreign.is_ok().data()["id"].clone();
    let now = harness.world.platform.clock.now().as_seconds();
    let good = json!({"rules": [{"rule_id": id, "remove": true}]});
    let with = |field: &str, value: Value| {
        let mut body = json!({"since": now - 60, "changes": good});
        body[field] = value;
        body
    };
    let of_rule = |change: Value| with("changes", json!({"rules": [change]}));
    let of_list = |change: Value| with("changes", json!({"lists": [change]}));
    let bad_rule = json!({"name": "", "actions": [{"type": "block"}], "match": {"conditions": []}});
    let many: Vec<Value> = (0..101).map(|_| json!({"rule_id": id, "remove": true})).collect();
    for (body, field) in [
        (json!({"changes": good}), "since"),
        (with("last_seconds", json!(60)), "since"),
        (json!({"last_seconds": 0, "changes": good}), "last_seconds"),
        (with("since", json!(-1)), "since"),
        (with("since", json!(now + 60)), "since"),
        (with("until", json!(now - 60)), "until"),
        (with("until", json!(-1)), "until"),
        (with("limit", json!(0)), "limit"),
        (with("limit", json!(100_001)), "limit"),
        (with("cursor", json!("nonsense")), "cursor"),
        (with("workspace_id", json!(NOBODY)), "workspace_id"),
        (with("workspace_id", json!(harness.other.workspace_id.to_string())), "workspace_id"),
        (json!({"since": now - 60}), "changes"),
        (with("changes", json!([])), "changes"),
        (with("changes", json!({})), "changes"),
        (with("changes", json!({"rules": many})), "changes.rules"),
        (with("changes", json!({"rules": [[]]})), "changes.rules[0]"),
        (of_rule(json!({"rule_id": id})), "changes.rules[0]"),
        (of_rule(json!({"rule_id": id, "rule": []})), "changes.rules[0].rule"),
        (of_rule(json!({"rule_id": "x", "remove": true})), "changes.rules[0].rule_id"),
        (of_rule(json!({"rule_id": foreign, "remove": true})), "changes.rules[0].rule_id"),
        (of_rule(json!({"rule_id": id, "rule": {"mode": "x"}})), "changes.rules[0].rule.mode"),
        (of_rule(json!({"rule_id": id, "remove": true, "rule": {}})), "changes.rules[0].remove"),
        (of_rule(json!({"remove": true})), "changes.rules[0].remove"),
        (of_rule(json!({})), "changes.rules[0].rule"),
        (of_rule(json!({"rule": bad_rule})), "changes.rules[0].rule.name"),
        (of_rule(json!({"rule": block("a.test")})), "changes.rules[0].workspace_ids"),
        (of_rule(json!({"rule_id": id, "workspace_ids": [NOBODY]})), "changes.rules[0].workspace_ids[0]"),
        (
            with("changes", json!({"rules": [{"rule_id": id, "remove": true}, {"rule_id": id, "remove": true}]})),
            "changes.rules[1].rule_id",
        ),
        (of_list(json!({"add": ["a.test"]})), "changes.lists[0].list_id"),
        (of_list(json!({"list_id": NOBODY, "add": ["a.test"]})), "changes.lists[0].list_id"),
        (of_list(json!({"list_id": list})), "changes.lists[0]"),
        (of_list(json!({"list_id": list, "add": ["a@b.test"]})), "changes.lists[0].add[0]"),
        (of_list(json!({"list_id": list, "add": ["a.test"], "remove": ["A.test"]})), "changes.lists[0].remove[0]"),
        (of_list(json!({"list_id": list, "add": vec!["a.test"; 10_001]})), "changes.lists[0].add"),
    ] {
        let answer = harness.post("/v3/rules/replay", &body).await;
        answer.refuses(400, "invalid_request", Some(field)).says(field);
    }
    // At the limits all is well.
    for (field, value) in [("limit", json!(1)), ("limit", json!(100_000)), ("until", json!(now + 60))] {
        harness.post("/v3/rules/replay", &with(field, value)).await.is_ok();
    }
    harness.post("/v3/rules/replay", &of_list(json!({"list_id": list, "add": vec!["a.test"; 10_000]}))).await.is_ok();
}

/// Copies of sent messages, as they are kept.
struct Sent {
    application: ApplicationId,
    rows: Vec<(MessageId, GrantId)>,
}

impl Command for Sent {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO messages (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, \
            octets, folders, summary, sent_by) VALUES ($1, $2, $1, $1, 1, 0, 0, 0, 2000, '[]', $3, $4)";
        let summary = r#"{"from": [{"email": "a@acme.test"}], "to": [{"email": "b@bad.test"}]}"#;
        for (id, grant) in &self.rows {
            tx.execute(INSERT, params![id.uuid(), grant.uuid(), summary, self.application.uuid()]).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_page_ends_before_it_shows_too_many_mailboxes() {
    const MOST: usize = 1_000;
    let harness = Harness::new().await;
    let here = harness.acme.workspace_id.to_string();
    let mut grants = vec![harness.agent.parse().expect("id")];
    let emails = (0..MOST).map(|number| json!({"settings": {"email": format!("box{number}@acme.test")}}));
    let made = harness.post("/v3/grants/bulk", &json!({"grants": emails.collect::<Vec<_>>()})).await;
    let results = made.is_ok().data()["results"].as_array().expect("list");
    grants.extend(results.iter().map(|made| made["grant"]["id"].as_str().expect("id").parse::<GrantId>().expect("id")));
    harness.world.advance(10);
    let now = harness.world.platform.clock.now();
    let id = |number: usize| {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&(number as u64).to_be_bytes());
        MessageId::new(now.minus(Duration::from_secs(9)), random)
    };
    // The last mailbox sends again behind that, and so does one more.
    let order = (1..=MOST).chain([MOST, 0]).enumerate();
    let rows = order.map(|(number, grant)| (id(number), grants[grant])).collect();
    let application = harness.acme.application_id;
    harness.world.platform.store.run(Sent { application, rows }).await.expect("inserted");
    let mut body = json!({"last_seconds": 60, "limit": 100_000, "changes":
        {"rules": [{"rule": block("bad.test"), "workspace_ids": [here]}]}});
    let (mut shown, mut judged) = (Vec::new(), Vec::new());
    loop {
        let said = harness.post("/v3/rules/replay", &body).await;
        let said = said.is_ok().data();
        shown.push(said["accounts"].as_array().expect("accounts").len());
        judged.push(said["judged"].as_u64().expect("count"));
        body["cursor"] = said["next_cursor"].clone();
        if body["cursor"].is_null() {
            break;
        }
    }
    assert_eq!((shown, judged), (vec![MOST, 2], vec![MOST as u64, 2]), "what makes them full ends a page");
}
