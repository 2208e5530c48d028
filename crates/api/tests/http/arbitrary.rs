//! Whatever is sent: never a panic, never a fault of ours, always the envelope of errors.

use crate::routes::{filled_with_nobody, protected, right_key};
use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::http::Request;
use postfleet_api::Facts;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// Routes with a body.
fn with_body() -> Vec<Facts> {
    postfleet_api::facts().into_iter().filter(|route| route.takes_body).collect()
}

/// Runs a property over a harness that is made once.
fn check<S: Strategy>(cases: u32, strategy: S, property: impl AsyncFn(&Harness, S::Value)) {
    let runtime = Runtime::new().expect("runtime");
    let harness = runtime.block_on(Harness::new());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let run = runner.run(&strategy, |value| {
        runtime.block_on(property(&harness, value));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

async fn send(harness: &Harness, route: &Facts, body: Vec<u8>) -> Answer {
    let builder = Request::builder().method(route.method).uri(filled_with_nobody(route.path, harness));
    let builder = builder.header("authorization", format!("Bearer {}", right_key(route, &harness.acme)));
    harness.request(builder.body(Body::from(body)).expect("request")).await
}

/// The answer's own form was checked when it was read.
fn assert_no_fault(answer: &Answer) {
    assert!(answer.status < 500, "{answer:?}");
    assert!(answer.octets.len() < 64 << 10 || answer.status < 300, "an error of {} octets", answer.octets.len());
}

/// Names that the interface knows, so that values reach where they are used, and others.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "to",
        "from",
        "cc",
        "bcc",
        "reply_to",
        "email",
        "name",
        "subject",
        "body",
        "is_plaintext",
        "attachments",
        "content",
        "content_type",
        "filename",
        "content_id",
        "is_inline",
        "custom_headers",
        "value",
        "send_at",
        "reply_to_message_id",
        "provider",
        "settings",
        "workspace_id",
        "trigger_types",
        "webhook_url",
        "description",
        "status",
        "notification_email_addresses",
        "compressed_delivery",
        "include_junk",
        "limits",
        "limit_count_daily_email_sent",
        "limit_attachment_allowed_types",
        "spam_detection",
        "spam_sensitivity",
        "options",
        "rules",
        "domain",
        "auto_group",
        "policy_id",
        "rule_ids",
        "preset",
        "assign_grants",
        "remove_grants",
        "assignments",
        "match",
        "email_contains",
        "conditions",
        "field",
        "operator",
        "actions",
        "type",
        "priority",
        "enabled",
        "trigger",
        "mode",
        "dry_run",
        "specific_domain",
        "after_created_at",
        "type",
        "items",
    ];
    prop_oneof![9 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
}

fn text() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "nylas",
        "agent@acme.test",
        "x@acme.test",
        "a@b.test",
        "message.created",
        "domain",
        "active",
        "pause",
        "text/plain",
        "SGVsbG8=",
        "from.domain",
        "outbound.type",
        "in_list",
        "is",
        "block",
        "outbound",
        "X-A",
        "List-Id",
        "https://127.0.0.1:1/",
        "01900000-0000-7000-8000-000000000000",
        "",
        "\u{0}",
        "a\r\nb",
        "\u{feff}",
        "\u{202e}x",
    ];
    prop_oneof![6 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 4 => any::<String>()]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A send with valid fields here and there replaced by anything.
fn almost_a_send() -> impl Strategy<Value = Value> {
    proptest::collection::vec((name(), json_value()), 0..3).prop_map(|changes| {
        let mut body = json!({"to": [{"email": "a@b.test", "name": "A"}], "subject": "s", "body": "b"});
        for (name, value) in changes {
            body[name] = value;
        }
        body
    })
}

/// A rule with valid parts here and there replaced by anything.
fn almost_a_rule() -> impl Strategy<Value = Value> {
    let text = prop_oneof![text(), "[.@]{0,2}[ -~äİß@.]{0,12}"].prop_map(Value::from);
    const PLACES: &[&str] = &[
        "/name",
        "/match/operator",
        "/match/conditions/0/field",
        "/match/conditions/0/operator",
        "/match/conditions/0/value",
        "/actions/0/type",
        "/actions/0/value",
        "/match",
        "/actions",
        "/trigger",
    ];
    let value = prop_oneof![3 => text, 1 => json_value()];
    proptest::collection::vec((proptest::sample::select(PLACES).prop_map(str::to_owned), value), 0..4).prop_map(
        |changes| {
            let condition = json!({"field": "from.domain", "operator": "is", "value": "x"});
            let mut body = json!({"name": "r", "description": "d", "priority": 1, "trigger": "outbound",
            "match": {"operator": "any", "conditions": [condition]},
            "actions": [{"type": "assign_to_folder", "value": "x"}]});
            for (place, value) in changes {
                if let Some(old) = body.pointer_mut(&place) {
                    *old = value;
                }
            }
            body
        },
    )
}

#[test]
fn anything_that_is_almost_a_rule_is_answered() {
    check(250, almost_a_rule(), async |harness, value| {
        let answer = harness.post("/v3/rules", &value).await;
        assert_no_fault(&answer);
        // What was accepted is kept as it is shown, and shown again it changes nothing.
        if let Some(id) = answer.data()["id"].as_str() {
            let path = format!("/v3/rules/{id}");
            assert_eq!(harness.get(&path).await.data(), answer.data(), "{value}");
            assert_eq!(harness.put(&path, answer.data()).await.is_ok().data(), answer.data(), "{value}");
        }
    });
}

#[test]
fn any_json_is_answered() {
    check(60, json_value(), async |harness, value| {
        for route in with_body() {
            assert_no_fault(&send(harness, &route, value.to_string().into_bytes()).await);
        }
    });
}

#[test]
fn anything_that_is_almost_a_send_is_answered() {
    check(250, almost_a_send(), async |harness, value| {
        let answer = harness.post(&harness.at("/messages/send"), &value).await;
        assert_no_fault(&answer);
        // What was accepted can be read back.
        if let Some(id) = answer.data()["id"].as_str() {
            let found = harness.get(&harness.at(&format!("/messages/{id}?fields=include_headers"))).await;
            assert_eq!(found.status, 200, "{value}");
        }
    });
}

#[test]
fn any_bytes_are_answered() {
    check(80, proptest::collection::vec(any::<u8>(), 0..400), async |harness, octets| {
        for route in with_body() {
            assert_no_fault(&send(harness, &route, octets.clone()).await);
        }
    });
}

#[tokio::test]
async fn hostile_json_is_answered() {
    let harness = Harness::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let inside = format!("{{\"to\":{deep}}}");
    let wide = format!("{{\"to\":[{}]}}", vec!["{\"email\":\"a@b.test\"}"; 30_000].join(","));
    let repeated = r#"{"to":[{"email":"a@b.test"}],"to":[{"email":"c@d.test"}]}"#.to_owned();
    let huge = format!("{{\"to\":\"{}\"}}", "x".repeat(1 << 20));
    let number = format!("{{\"send_at\":1{}}}", "0".repeat(10_000));
    let escape = r#"{"subject":"\ud800","to":[{"email":"a@b.test"}]}"#.to_owned();
    let from = format!("{{\"to\":[{{\"email\":\"a@b.test\"}}],\"from\":[{{\"email\":\"{}\"}}]}}", "y".repeat(1 << 20));
    for body in [deep, inside, wide, repeated, huge, number, escape, from] {
        for route in with_body() {
            let answer = send(&harness, &route, body.clone().into_bytes()).await;
            assert_no_fault(&answer);
        }
    }
}

#[test]
fn any_query_is_answered() {
    const NAMES: &[&str] = &[
        "limit",
        "offset",
        "page_token",
        "select",
        "fields",
        "in",
        "thread_id",
        "unread",
        "starred",
        "has_attachment",
        "received_after",
        "received_before",
        "subject",
        "from",
        "to",
        "cc",
        "bcc",
        "any_email",
        "message_id",
        "value",
    ];
    const VALUES: &[&str] = &[
        "",
        "0",
        "1",
        "-1",
        "200",
        "9223372036854775807",
        "-9223372036854775808",
        "true",
        "inbox",
        "raw_mime",
        "include_headers",
        "a@b.test",
        "%00",
        "%ff",
        "%",
        "%u0041",
        "+",
        "&",
        "==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ];
    let value = prop_oneof![proptest::sample::select(VALUES).prop_map(str::to_owned), "[!-~]{0,12}"];
    let pairs = proptest::collection::vec((proptest::sample::select(NAMES), value), 0..6);
    check(60, pairs, async |harness, pairs| {
        let query = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        for (route, _) in protected().filter(|(route, _)| route.method == "GET") {
            // In front, since a `#` ends a query.
            let at_once = if route.waits { "timeout=0&" } else { "" };
            let uri = format!("{}?{at_once}{query}", filled_with_nobody(route.path, harness));
            let key = format!("Bearer {}", right_key(&route, &harness.acme));
            let builder = Request::get(&uri).header("authorization", key);
            let Ok(request) = builder.body(Body::empty()) else { continue };
            assert_no_fault(&harness.request(request).await);
        }
    });
}
