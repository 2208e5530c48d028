//! `/v3/workspaces/{workspace}/rules/test`.

use super::{make, patch};
use crate::support::{Answer, Harness, NOBODY, assert_shape};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/workspaces/{workspace}/rules/test"];

const TESTED: &str = "verdict:string trigger:string matched_rule_ids:array applied_actions:object shadow:object \
    evaluation_input:object trace:array";

const TRACE: &str = "rule_id:string name:string priority:integer mode:string enabled:boolean trigger:string \
    outcome:string match_operator:string conditions:array actions:array";

/// Makes lookups in lists fail.
struct BreakLookups;

impl Command for BreakLookups {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("ALTER TABLE list_items RENAME TO gone", &[]).await.map(drop)
    }
}

async fn test(harness: &Harness, body: &Value) -> Answer {
    harness.post(&format!("/v3/workspaces/{}/rules/test", harness.acme.workspace_id), body).await
}

fn condition(field: &str, operator: &str, value: impl Into<Value>) -> Value {
    json!({"field": field, "operator": operator, "value": value.into()})
}

/// An outbound rule with a priority, by which it is also called.
fn rule(priority: u16, conditions: Value, action: &str) -> Value {
    json!({"name": format!("r{priority}"), "priority": priority, "trigger": "outbound",
        "match": {"conditions": conditions}, "actions": [{"type": action}]})
}

fn with(mut rule: Value, field: &str, value: impl Into<Value>) -> Value {
    rule[field] = value.into();
    rule
}

fn to_bad(priority: u16, action: &str) -> Value {
    rule(priority, json!([condition("recipient.domain", "is", "bad.test")]), action)
}

/// Makes rules that the default workspace uses from then on; answers their ids.
async fn put(harness: &Harness, rules: &[Value]) -> Vec<String> {
    let mut ids = Vec::new();
    for rule in rules {
        harness.world.advance(1);
        ids.push(harness.post("/v3/rules", rule).await.is_ok().data()["id"].as_str().expect("id").to_owned());
    }
    patch(harness, &harness.acme.workspace_id.to_string(), &json!({"rule_ids": ids})).await.is_ok();
    ids
}

/// Makes a list with items.
async fn list(harness: &Harness, kind: &str, items: Value) -> String {
    let made = harness.post("/v3/lists", &json!({"name": kind, "type": kind})).await;
    let id = made.is_ok().data()["id"].as_str().expect("id").to_owned();
    harness.post(&format!("/v3/lists/{id}/items"), &json!({"items": items})).await.is_ok();
    id
}

fn message(to: &str) -> Value {
    json!({"message": {"from": "agent@acme.test", "to": [to]}})
}

/// What became of each rule: name and outcome.
fn outcomes(answer: &Answer) -> Vec<(&str, &str)> {
    let trace = answer.is_ok().data()["trace"].as_array().expect("trace");
    trace
        .iter()
        .map(|rule| (rule["name"].as_str().expect("name"), rule["outcome"].as_str().expect("outcome")))
        .collect()
}

#[tokio::test]
async fn a_message_is_judged_with_the_reasons() {
    let harness = Harness::new().await;
    let reply = condition("outbound.type", "is", "reply");
    let both = json!([condition("recipient.domain", "is", "bad.test"), condition("recipient.tld", "is", "gone")]);
    let either = with(rule(10, json!([]), "mark_as_starred"), "match", json!({"operator": "any", "conditions": both}));
    let ids = put(&harness, &[to_bad(20, "block"), either, rule(30, json!([reply]), "trash")]).await;

    let body = json!({"message": {"from": "Agent@ACME.test", "to": ["ada@good.test"], "cc": ["bob@other.test"],
        "bcc": ["Carol@BAD.test"], "is_reply": true}});
    let answer = test(&harness, &body).await;
    let data = answer.is_ok().data();
    assert_shape(&answer.json, "request_id:string data:object");
    assert_shape(data, TESTED);
    assert_eq!((&data["verdict"], &data["trigger"]), (&json!("block"), &json!("outbound")));
    assert_eq!(data["matched_rule_ids"], json!([ids[1], ids[0]]));
    assert_eq!(data["applied_actions"], json!({"blocked": true}));
    assert_eq!(data["shadow"], json!({"matched_rule_ids": [], "actions": {}}));
    let input = json!({"from_address": "agent@acme.test", "from_domain": "acme.test", "from_tld": "test",
        "recipient_addresses": ["ada@good.test", "bob@other.test", "carol@bad.test"],
        "recipient_domains": ["good.test", "other.test", "bad.test"], "recipient_tlds": ["test"],
        "outbound_type": "reply"});
    assert_eq!(data["evaluation_input"], input);

    assert_eq!(outcomes(&answer), [("r10", "matched"), ("r20", "matched"), ("r30", "not_reached")]);
    let domains = json!(["good.test", "other.test", "bad.test"]);
    let starred = &data["trace"][0];
    assert_shape(starred, TRACE);
    let conditions = json!([
        {"field": "recipient.domain", "operator": "is", "value": "bad.test", "seen": domains, "holds": true},
        {"field": "recipient.tld", "operator": "is", "value": "gone", "seen": ["test"], "holds": false},
    ]);
    assert_eq!(starred["conditions"], conditions);
    assert_eq!((&starred["rule_id"], &starred["match_operator"]), (&json!(ids[1]), &json!("any")));
    assert_eq!((&starred["mode"], &starred["enabled"]), (&json!("enforce"), &json!(true)));
    assert_eq!(starred["actions"], json!([{"type": "mark_as_starred"}]));
    assert_eq!(data["trace"][2]["conditions"], json!([]));

    // To nobody else: only what a new conversation does.
    let answer = test(&harness, &message("ada@good.test")).await;
    assert_eq!(answer.data()["verdict"], "pass");
    assert_eq!(outcomes(&answer), [("r10", "no_match"), ("r20", "no_match"), ("r30", "no_match")]);
    assert_eq!(answer.data()["trace"][2]["conditions"][0]["seen"], json!(["compose"]));
}

#[tokio::test]
async fn a_whole_message_is_read_in_either_alphabet_and_in_lines() {
    let harness = Harness::new().await;
    put(&harness, &[to_bad(10, "block")]).await;
    // Octets whose base64 has the characters in which the alphabets differ, in text that is not UTF-8.
    let raw =
        b"From: \xff\xfe\xff\xbf\xbe <agent@acme.test>\r\nTo: friends: ada@good.test, \"B, C\" <b@sub.bad.test>;\r\n\
        Cc: c@other.test\r\nBcc: Dora <D@Bad.test>\r\nReferences: <1@x.test>\r\n\r\nHello \xff\xfe\xff\xbf\r\n";
    let (standard, url) = (STANDARD.encode(raw), URL_SAFE_NO_PAD.encode(raw));
    assert!(standard.contains(['+', '/']) && url.contains(['-', '_']), "the alphabets differ");
    let lines: Vec<_> = standard.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("text")).collect();
    for raw in [standard.clone(), url, lines.join("\r\n")] {
        let answer = test(&harness, &json!({"raw": raw})).await;
        let data = answer.is_ok().data();
        assert_eq!(data["verdict"], "block");
        let input = &data["evaluation_input"];
        assert_eq!((&input["from_address"], &input["outbound_type"]), (&json!("agent@acme.test"), &json!("reply")));
        let recipients = json!(["ada@good.test", "b@sub.bad.test", "c@other.test", "d@bad.test"]);
        assert_eq!(input["recipient_addresses"], recipients);
    }
    // Its header fields are enough; without In-Reply-To and References it begins a conversation.
    let answer = test(&harness, &json!({"raw": STANDARD.encode("From: agent@acme.test\nTo: a@good.test\n")})).await;
    let data = answer.is_ok().data();
    assert_eq!((&data["verdict"], &data["evaluation_input"]["outbound_type"]), (&json!("pass"), &json!("compose")));
    // Who gets mail that arrives is no matter: nothing is wrong with a header that does not say.
    let raw = STANDARD.encode("From: Spammer@bad.test\r\nTo: undisclosed\r\n\r\n");
    let answer = test(&harness, &json!({"raw": raw, "trigger": "inbound"})).await;
    let input = json!({"from_address": "spammer@bad.test", "from_domain": "bad.test", "from_tld": "test",
        "from_addresses": ["spammer@bad.test"], "authentication": {"spf": "none", "dkim": "none", "dmarc": "none"},
        "spam_score": 0.0, "suspicion_kinds": [], "marks": []});
    assert_eq!(answer.is_ok().data()["evaluation_input"], input);
}

#[tokio::test]
async fn rules_of_the_request_are_judged_instead_and_nothing_is_left() {
    let harness = Harness::new().await;
    put(&harness, &[to_bad(10, "block")]).await;
    harness.world.advance(1);
    harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": "a@good.test"}], "body": "x"})).await.is_ok();
    let everything = async || {
        let mut all = Vec::new();
        for path in [
            "/v3/rules",
            "/v3/workspaces",
            "/v3/lists",
            "/v3/audit",
            &harness.at("/rule-evaluations"),
            &harness.at("/messages"),
            &harness.at("/limits"),
        ] {
            all.push(harness.get(path).await.is_ok().without_id());
        }
        all
    };
    let before = everything().await;
    let mut body = message("ada@bad.test");
    assert_eq!(test(&harness, &body).await.data()["verdict"], "block");
    body["rules"] = json!([to_bad(7, "archive"), with(to_bad(5, "block"), "mode", "shadow"), to_bad(3, "trash")]);
    let answer = test(&harness, &body).await;
    assert_eq!(outcomes(&answer), [("r3", "matched"), ("r5", "matched"), ("r7", "matched")]);
    let data = answer.data();
    let id = |index: usize| data["trace"][index]["rule_id"].clone();
    assert_eq!((&data["verdict"], &data["matched_rule_ids"]), (&json!("pass"), &json!([id(0), id(2)])));
    assert_eq!(data["applied_actions"], json!({"trashed": true, "archived": true}));
    assert_eq!(data["shadow"], json!({"matched_rule_ids": [id(1)], "actions": {"blocked": true}}));
    // The ids are placeholders in the order of the request, the same each time.
    assert!(id(2).as_str() < id(1).as_str() && id(1).as_str() < id(0).as_str(), "{data}");
    assert_eq!(test(&harness, &body).await.without_id(), answer.without_id());
    body["rules"] = json!([]);
    let answer = test(&harness, &body).await;
    assert_eq!((&answer.is_ok().data()["verdict"], outcomes(&answer)), (&json!("pass"), vec![]));
    assert_eq!(everything().await, before, "something was written");
}

#[tokio::test]
async fn disabled_rules_are_judged_where_that_is_asked_for() {
    let harness = Harness::new().await;
    let off = with(to_bad(10, "block"), "enabled", false);
    put(&harness, std::slice::from_ref(&off)).await;
    let mut body = message("ada@bad.test");
    for rules in [json!(null), json!([off])] {
        body["rules"] = rules;
        for absent in [json!(null), json!(false)] {
            body["include_disabled"] = absent;
            let answer = test(&harness, &body).await;
            assert_eq!((&answer.data()["verdict"], outcomes(&answer)), (&json!("pass"), vec![("r10", "disabled")]));
        }
        body["include_disabled"] = json!(true);
        let answer = test(&harness, &body).await;
        assert_eq!((&answer.data()["verdict"], outcomes(&answer)), (&json!("block"), vec![("r10", "matched")]));
        assert_eq!(answer.data()["trace"][0]["enabled"], false, "it still is");
    }
}

#[tokio::test]
async fn mail_that_arrives_is_judged_by_the_rules_about_it() {
    let harness = Harness::new().await;
    let from = json!([condition("from.domain", "is", "bad.test")]);
    let inbound = with(rule(20, from, "mark_as_spam"), "trigger", "inbound");
    put(&harness, &[rule(10, json!([condition("from.tld", "is", "test")]), "block"), inbound]).await;
    let mut body = json!({"trigger": "inbound", "message": {"from": "x@bad.test", "to": ["agent@acme.test"]}});
    let answer = test(&harness, &body).await;
    assert_eq!(outcomes(&answer), [("r10", "other_trigger"), ("r20", "matched")]);
    let data = answer.data();
    assert_eq!((&data["verdict"], &data["trigger"]), (&json!("pass"), &json!("inbound")));
    assert_eq!(data["applied_actions"], json!({"marked_as_spam": true}));
    // An empty reverse path has nothing to look at.
    for from in [json!(null), json!("")] {
        body["message"] = json!({"from": from});
        let answer = test(&harness, &body).await;
        assert_eq!(outcomes(&answer), [("r10", "other_trigger"), ("r20", "no_match")]);
        assert_eq!(answer.data()["trace"][1]["conditions"][0]["seen"], json!([]));
    }
}

#[tokio::test]
async fn what_is_taken_to_be_found_is_judged() {
    let harness = Harness::new().await;
    let conditions = json!([
        condition("authentication.dmarc", "is_not", "pass"),
        condition("spam.score", "at_least", "5.5"),
        condition("suspicion.kind", "is", "hidden_text"),
    ]);
    put(&harness, &[with(rule(10, conditions, "block"), "trigger", "inbound")]).await;
    let body = |found: Value| json!({"trigger": "inbound", "message": {"from": "x@bad.test"}, "found": found});
    let found = json!({"dmarc": "fail", "spam_score": 5.5, "suspicion_kinds": ["hidden_text"], "marks": ["list"]});
    let answer = test(&harness, &body(found)).await;
    assert_eq!((outcomes(&answer), &answer.data()["verdict"]), (vec![("r10", "matched")], &json!("block")));
    let seen: Vec<&Value> =
        answer.data()["trace"][0]["conditions"].as_array().expect("list").iter().map(|one| &one["seen"]).collect();
    assert_eq!(seen, [&json!(["fail"]), &json!(["5.5"]), &json!(["hidden_text"])]);
    let input = &answer.data()["evaluation_input"];
    assert_eq!((&input["spam_score"], &input["marks"]), (&json!(5.5), &json!(["list"])));
    for found in [json!({}), json!({"spam_score": 5.49, "suspicion_kinds": ["hidden_text"]}), json!(null)] {
        assert_eq!(outcomes(&test(&harness, &body(found)).await), [("r10", "no_match")]);
    }
    for (found, field) in [
        (json!({"spf": "passed"}), "found.spf"),
        (json!({"marks": ["spam"]}), "found.marks"),
        (json!({"suspicion_kinds": vec!["a"; 101]}), "found.suspicion_kinds"),
    ] {
        test(&harness, &body(found)).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn lists_count_as_they_are_and_what_cannot_be_looked_up_is_said() {
    let harness = Harness::new().await;
    let bad = list(&harness, "domain", json!(["bad.test"])).await;
    let in_bad = json!([condition("recipient.domain", "in_list", json!([bad]))]);
    put(&harness, &[rule(10, in_bad.clone(), "block")]).await;
    let answer = test(&harness, &message("ada@Bad.test")).await;
    assert_eq!((&answer.data()["verdict"], outcomes(&answer)), (&json!("block"), vec![("r10", "matched")]));
    let condition = json!([{"field": "recipient.domain", "operator": "in_list", "value": [bad],
        "seen": ["bad.test"], "holds": true}]);
    assert_eq!(answer.data()["trace"][0]["conditions"], condition);
    let mut body = message("ada@good.test");
    body["rules"] = json!([rule(5, in_bad, "block"), to_bad(9, "block")]);
    assert_eq!(test(&harness, &body).await.data()["verdict"], "pass");

    harness.world.platform.store.run(BreakLookups).await.expect("break");
    let answer = test(&harness, &body).await;
    assert_eq!(outcomes(&answer), [("r5", "undecidable"), ("r9", "no_match")]);
    let data = answer.data();
    assert_eq!((&data["verdict"], &data["matched_rule_ids"]), (&json!("undecidable"), &json!([])));
    assert_eq!(data["applied_actions"], json!({"blocked": true, "blocked_by_evaluation_error": true}));
    assert_eq!(data["trace"][0]["conditions"][0]["holds"], Value::Null);
}

/// Whatever the test says, the send of the same message is given, and its record says the same.
#[tokio::test]
async fn what_is_sent_gets_the_verdict_that_was_told() {
    let harness = Harness::new().await;
    let bad = list(&harness, "tld", json!(["gone"])).await;
    let gone = json!([condition("recipient.tld", "in_list", json!([bad]))]);
    let other = json!([condition("recipient.address", "contains", "vip"), condition("outbound.type", "is", "compose")]);
    put(&harness, &[rule(20, gone, "block"), with(to_bad(10, "block"), "mode", "shadow"), rule(30, other, "archive")])
        .await;
    let table: [(&[&str], &[&str], &str); 4] = [
        (&["ada@good.test"], &[], "pass"),
        (&["VIP@Bad.test", "ada@good.test"], &["bob@other.test"], "pass"),
        (&["ada@good.test"], &["bob@Much.GONE"], "block"),
        (&["vip@bad.gone"], &[], "block"),
    ];
    for (to, bcc, verdict) in table {
        let tested = test(&harness, &json!({"message": {"from": "agent@acme.test", "to": to, "bcc": bcc}})).await;
        let tested = tested.is_ok().data();
        assert_eq!(tested["verdict"], verdict, "{to:?}");
        let people = |emails: &[&str]| emails.iter().map(|email| json!({"email": email})).collect::<Vec<_>>();
        harness.world.advance(1);
        let body = json!({"to": people(to), "bcc": people(bcc), "subject": "Hello", "body": "x"});
        let sent = harness.post(&harness.at("/messages/send"), &body).await;
        match verdict {
            "pass" => drop(sent.is_ok()),
            _ => drop(sent.refuses(403, "blocked_by_rule", None)),
        }
        let records = harness.get(&harness.at("/rule-evaluations?limit=1")).await;
        let record = &records.is_ok().data()[0];
        for field in ["evaluation_input", "matched_rule_ids", "shadow"] {
            assert_eq!(record[field], tested[field], "{field} of {to:?}");
        }
        let mut applied = record["applied_actions"].clone();
        applied.as_object_mut().expect("object").remove("folder_ids");
        assert_eq!(applied, tested["applied_actions"], "{to:?}");
    }
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let stranger = json!({"name": "theirs", "type": "domain"});
    let stranger = harness.ask(&harness.other.api_key, "POST", "/v3/lists", Some(&stranger)).await;
    let theirs = stranger.is_ok().data()["id"].clone();
    let addresses = list(&harness, "address", json!(["a@b.test"])).await;
    let raw = |text: &str| STANDARD.encode(text);
    let many = |count: usize| (0..count).map(|number| format!("a{number}@b.test")).collect::<Vec<_>>();
    let message = |field: &str, value: Value| {
        let mut message = json!({"from": "agent@acme.test", "to": ["a@b.test"]});
        message[field] = value;
        json!({"message": message})
    };
    let rules = |rules: Value| {
        let mut body = message("cc", json!([]));
        body["rules"] = rules;
        body
    };
    let in_list = |list: &Value| rule(10, json!([condition("recipient.domain", "in_list", json!([list]))]), "block");
    let crowd = format!("From: agent@acme.test\nTo: {}\nCc: {}\n", many(600).join(","), many(401).join(","));
    let longer = format!("From: agent@acme.test\nTo: {}\n", many(1_001).join(","));
    for (body, field, text) in [
        (json!({}), "message", "message or raw must be given"),
        (json!({"message": null, "raw": null}), "message", "message or raw must be given"),
        (json!({"message": {}, "raw": "eA=="}), "message", "not both"),
        (json!({"message": []}), "message", "message must be an object"),
        (json!({"message": "x"}), "message", "error parsing"),
        (message("to", json!("a@b.test")), "message.to", "error parsing"),
        (message("to", json!([{"email": "a@b.test"}])), "message.to[0]", "error parsing"),
        (
            message("to", json!(["a b"])),
            "message.to[0]",
            "message.to[0] must be an email address, which \"a b\" is not",
        ),
        (message("cc", json!(["a@b.test", "b@"])), "message.cc[1]", "must be an email address"),
        (message("bcc", json!([""])), "message.bcc[0]", "must be an email address"),
        (message("from", json!("Ada <ada@b.test>")), "message.from", "must be an email address"),
        (message("from", json!(null)), "message.from", "has the address of its author"),
        (message("to", json!([])), "message.to", "at least one recipient"),
        (message("cc", json!(many(1_000))), "message.to", "at most 1000 recipients"),
        (json!({"raw": "no base64!"}), "raw", "raw must be a message in base64"),
        (json!({"raw": "+-"}), "raw", "raw must be a message in base64"),
        (json!({"raw": raw("To: a@b.test\n")}), "raw", "has the address of its author"),
        (json!({"raw": raw("From: agent@acme.test\n")}), "raw", "at least one recipient"),
        (json!({"raw": raw("From: agent@acme.test\nTo: nobody\n")}), "raw", "\"nobody\" in its header is not an email"),
        (json!({"raw": raw(&crowd)}), "raw", "at most 1000 recipients"),
        (json!({"raw": raw(&longer)}), "raw", "at most 1000 recipients"),
        (with(message("cc", json!([])), "trigger", "Outbound"), "trigger", "one of inbound, outbound"),
        (with(message("cc", json!([])), "include_disabled", 1), "include_disabled", "error parsing"),
        (rules(json!({})), "rules", "error parsing"),
        (rules(json!([to_bad(1, "block"), []])), "rules[1]", "must be an object"),
        (rules(json!([{"name": "r"}])), "rules[0].match.conditions", "rules[0].match.conditions must"),
        (rules(json!([to_bad(1, "block"), to_bad(1, "jump")])), "rules[1].actions[0].type", "rules[1].actions[0].type"),
        (rules(json!([in_list(&theirs)])), "rules[0].match.conditions[0].value", "rules[0].match.conditions[0].value"),
        (rules(json!([in_list(&json!(NOBODY))])), "rules[0].match.conditions[0].value", NOBODY),
        (rules(json!([in_list(&json!(addresses))])), "rules[0].match.conditions[0].value", "address"),
        (rules(json!(vec![to_bad(1, "block"); 101])), "rules", "rules must have at most 100 rules"),
    ] {
        test(&harness, &body).await.refuses(400, "invalid_request", Some(field)).says(text);
    }
    // At the limits.
    test(&harness, &message("cc", json!(many(999)))).await.is_ok();
    test(&harness, &rules(json!(vec![to_bad(1, "block"); 100]))).await.is_ok();
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_the_way_out() {
    let harness = Harness::new().await;
    let raw = STANDARD.encode(format!("From: agent@acme.test\nTo: a@b.test\n\n{}", "x".repeat(800 << 10)));
    let answer = test(&harness, &json!({"raw": raw})).await;
    answer.refuses(413, "body_too_large", None).says("of a raw message, the header fields are enough");

    // 101 lists, each of which would be asked for 1,000 addresses.
    let mut lists = Vec::new();
    for number in 0..101 {
        let made = harness.post("/v3/lists", &json!({"name": format!("l{number}"), "type": "address"})).await;
        lists.push(made.is_ok().data()["id"].clone());
    }
    let rules: Vec<_> = lists
        .chunks(100)
        .map(|lists| rule(1, json!([condition("recipient.address", "in_list", json!(lists))]), "block"))
        .collect();
    let to = |count: usize| (0..count).map(|number| format!("a{number}@b.test")).collect::<Vec<_>>();
    let ask = async |rules: &[Value], count: usize| {
        test(&harness, &json!({"message": {"from": "agent@acme.test", "to": to(count)}, "rules": rules})).await
    };
    ask(&rules, 990).await.refuses(400, "too_many_lookups", None).says("991 addresses in 101 lists; at most 100000");
    // Rules that are not judged look nothing up.
    let off: Vec<_> = rules.iter().map(|rule| with(rule.clone(), "enabled", false)).collect();
    assert_eq!(ask(&off, 990).await.data()["verdict"], "pass");
    assert_eq!(ask(&rules, 50).await.data()["verdict"], "pass");
}

#[tokio::test]
async fn the_workspace_is_named_by_id_or_domain_and_is_ones_own() {
    let harness = Harness::new().await;
    let id = make(&harness, &json!({"name": "a", "domain": "desk.test"})).await;
    let rules = put(&harness, &[to_bad(10, "block")]).await;
    for (workspace, verdict) in [(id.as_str(), "pass"), ("desk.test", "pass")] {
        let path = format!("/v3/workspaces/{workspace}/rules/test");
        let answer = harness.post(&path, &message("ada@bad.test")).await;
        assert_eq!((&answer.is_ok().data()["verdict"], outcomes(&answer)), (&json!(verdict), vec![]));
    }
    patch(&harness, &id, &json!({"rule_ids": rules})).await.is_ok();
    let answer = harness.post("/v3/workspaces/desk.test/rules/test", &message("ada@bad.test")).await;
    assert_eq!(answer.is_ok().data()["verdict"], "block");
    // Nothing of another's is told, and it does not matter what else is wrong.
    for body in [message("ada@bad.test"), json!({})] {
        for workspace in [&harness.other.workspace_id.to_string(), NOBODY, "other.test"] {
            let answer = harness.post(&format!("/v3/workspaces/{workspace}/rules/test"), &body).await;
            answer.refuses(404, "not_found", None);
        }
    }
}
