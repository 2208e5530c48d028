//! Every refusal that a send can meet, each provoked by a real request: what its answer says, and what is recorded of it.
//! All of them make one table, kept as a snapshot; a code without a row in it fails the test below.

use super::send_form::Form;
use super::send_rules::{self, Lookups, condition};
use super::send_with_key::limited;
use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_core::id::{GrantId, ScheduleId};
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::rate::SendRates;
use postfleet_core::request_rate::RequestRates;
use postfleet_net::StaticResolver;
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// One row: the code, when it is given, and how one gets there.
type Row = (&'static str, &'static str, fn() -> BoxFuture<'static, Provoked>);

/// A world in which the next request is refused.
struct Provoked {
    harness: Harness,
    request: Request<Body>,
}

/// In the order in which a send is judged, and after that what becomes of what waits.
const ROWS: &[Row] = &[
    ("invalid_request", "nobody to send to", || async { sending(Harness::new().await, |_| json!({"to": []})) }.boxed()),
    ("public_url_not_configured", "a link to unsubscribe", || without_public_url().boxed()),
    ("invalid_idempotent_request", "another request under the key", || same_key().boxed()),
    ("draft_already_sent", "a draft, again", || draft_twice(json!(null)).boxed()),
    ("draft_scheduled", "a draft that waits for its time", || draft_twice(json!(3_600)).boxed()),
    ("key_may_not_send", "sending none", || of_key(json!({"sending": "none"})).boxed()),
    ("key_may_not_send", "sending none, at a later time", || later_by_key().boxed()),
    ("key_may_only_reply", "sending replies", || of_key(json!({"sending": "replies"})).boxed()),
    ("attachments_not_allowed", "no attachments", || of_key(json!({"attachments": false})).boxed()),
    ("recipient_not_allowed", "another domain", || of_key(json!({"recipient_domains": ["good.test"]})).boxed()),
    ("new_recipients_exceeded", "none a day", || of_key(json!({"new_recipients_per_day": 0})).boxed()),
    ("abuse_restriction", "of the sender domain", || stopped("restriction").boxed()),
    ("sender_domain_unverified", "", || unverified().boxed()),
    ("account_paused", "of the mailbox", || stopped("pause").boxed()),
    ("sending_paused", "of the workspace, by somebody", || stopped("switch").boxed()),
    ("too_many_recipients", "51", || async { sending(Harness::new().await, |_| to_many(51)) }.boxed()),
    ("too_many_recipients", "51, at a later time", || many_later().boxed()),
    ("recipient_undeliverable", "the policy looks first", || undeliverable().boxed()),
    ("all_recipients_suppressed", "", || suppressed().boxed()),
    ("no_opt_in", "a recipient who has not agreed", || {
        async { sending(Harness::new().await, |_| with(letter(), "require_opt_in", json!("News"))) }.boxed()
    }),
    ("message_too_large", "of the plan", || too_large(false).boxed()),
    ("message_too_large", "of every plan", || too_large(true).boxed()),
    ("blocked_by_rule", "", || blocked().boxed()),
    ("rules_undecidable", "a list cannot be asked", || undecidable().boxed()),
    ("storage_full", "of the mailbox", || full_mailbox().boxed()),
    ("storage_full", "of the organization", || of_plan(|plan| plan.storage_octets_max = Some(100)).boxed()),
    ("storage_full", "at a later time", || full_later().boxed()),
    ("daily_quota_exceeded", "", || daily("reject").boxed()),
    ("monthly_quota_exceeded", "", || of_plan(|plan| plan.monthly_sends_max = Some(1)).boxed()),
    ("bandwidth_exceeded", "", || of_plan(|plan| plan.monthly_bandwidth_octets_max = Some(1_000)).boxed()),
    ("domain_warm_up_exceeded", "", || warming().boxed()),
    ("per_second_rate_limit_exceeded", "of production", || rate("production", |rates| &mut rates.organization).boxed()),
    ("per_second_rate_limit_exceeded", "of sandboxes", || rate("sandbox", |rates| &mut rates.sandbox).boxed()),
    ("rate_limit_exceeded", "of the domain", || rate("production", |rates| &mut rates.domain).boxed()),
    ("rate_limit_exceeded", "of the mailbox", || rate("production", |rates| &mut rates.mailbox).boxed()),
    ("rate_limit_exceeded", "of the key", || rate("production", |rates| &mut rates.key).boxed()),
    ("rate_limit_exceeded", "of the mailbox's requests", || request_rate().boxed()),
    ("held_by_rule", "held in place of refused", || async { sending(holding().await, |_| letter()) }.boxed()),
    ("held_by_breaker", "held in place of refused", || stopped("breaker").boxed()),
    ("held_by_loop", "held in place of refused", || stopped("loop").boxed()),
    ("daily_quota_exceeded", "held for its quota", || daily("hold").boxed()),
    ("daily_quota_exceeded", "held for somebody to decide", || daily("approve").boxed()),
    ("per_second_rate_limit_exceeded", "waits for its turn", || burst().boxed()),
    ("too_many_holds", "", || many_holds().boxed()),
    ("too_many_schedules", "", || many_schedules().boxed()),
    ("schedule_too_late", "5 seconds before it leaves", || cancelled_schedule(595).boxed()),
    ("schedule_over", "it was sent", || cancelled_schedule(600).boxed()),
    ("own_hold", "approved by who sent it", || decided_hold(By::Author, Digest::Right).boxed()),
    ("hold_changed", "another digest", || decided_hold(By::Boss, Digest::Wrong).boxed()),
    ("hold_over", "approved twice", || decided_hold(By::BossAgain, Digest::Right).boxed()),
    ("hold_needs_no_approval", "it waits for its quota", || decided_hold(By::Boss, Digest::OfQuota).boxed()),
    ("own_raise", "granted by who asked", || raise("grant", Raise::Own).boxed()),
    ("not_own_raise", "withdrawn by another key", || raise("withdraw", Raise::Others).boxed()),
    ("raise_pending", "a second one", || raise("", Raise::Second).boxed()),
    ("raise_closed", "granted twice", || raise("grant", Raise::Closed).boxed()),
];

/// Codes of the sending path that no world of these tests gives.
const ELSEWHERE: &[(&str, &str)] = &[
    ("draft_changed", "two who change a draft in the same moment"),
    ("concurrent_idempotent_request", "two in the same moment: v3/grants/send_once.rs"),
    ("invalid_idempotency_key", "of the header: v3/grants/send_once.rs"),
    ("json_too_large", "of the request's form: v3/grants/send_form.rs"),
    ("foreign_author", "of mail clients: tests/compat/test_submission.py"),
    ("daily_received_exceeded", "of mail that comes in: v3/grants/usage.rs"),
    ("throttled", "of a breaker: v3/workspaces/breakers.rs"),
    ("answers_itself", "crates/mailflow/tests/flows/loops.rs"),
    ("automatic_answer_refused", "crates/mailflow/tests/flows/loops.rs"),
    ("disk_full", "a full disk: tests/acceptance/test_disk_full.py"),
];

/// Codes that have nothing to do with sending.
const OTHERS: &str = "cursor_expired json_too_deep range_not_satisfiable signatures_max_reached stopping templates_max_reached too_many_waiting \
    unsupported_by_provider import_closed too_many_imports unknown_route query_too_long body_unreadable body_too_large domain_not_registered \
    default_workspace domain_not_verified too_many_lookups invalid_api_key trial_domains_max_reached invalid_token \
    sign_in_failed access_token invalid_signature signature_expired nonce_used application_key insufficient_scopes \
    key_is_limited operator_lifts permission_exceeds_maker installation_only redirect_uris_max_reached operator_key grants_max_reached \
    rules_max_reached lists_max_reached workspaces_max_reached not_found domain_taken domain_in_use \
    dkim_rotation_under_way email_taken workspace_too_large message_under_way redirect_uri_taken application_not_empty \
    key_revoked connector_exists webhook_url_taken webhook_invalid webhook_unverified webhooks_max_reached replays_max_reached too_many_items sign_in_throttled alerts_max_reached \
    opt_in_limit_exceeded opt_in_declined opt_in_suppressed sender_pools_max_reached sender_pool_empty \
    alert_rules_max_reached routes_max_reached parked_send_not_kept refused_before not_paused recovery_checks_failed recovery_closed recovery_needed recovery_pending \
    auto_group_rate_limited folder_name_taken too_many_folders system_folder too_many_jobs unavailable internal_error";

#[tokio::test]
async fn every_refusal_of_a_send_and_its_record() {
    let mut table = Vec::new();
    for (code, when, provoke) in ROWS {
        let Provoked { harness, request } = provoke().await;
        let before = Trace::of(&harness).await;
        let answer = harness.request(request).await;
        let after = Trace::of(&harness).await;
        if answer.status < 400 {
            assert_eq!(answer.status, 202, "{code} {when}: {}", answer.json);
        } else {
            assert_eq!(answer.json["error"]["code"], *code, "{when}: {}", answer.json);
        }
        assert_eq!(after.sent, before.sent, "{code} {when}: something left");
        if answer.status >= 400 {
            assert_eq!(after.usage, before.usage, "{code} {when}: something was counted or kept");
        }
        table.push(written(code, when, &harness, &answer, &before, &after));
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn every_code_has_a_row() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).expect("a file of the repository");
    let rows: BTreeSet<&str> = ROWS.iter().map(|(code, ..)| *code).collect();
    let known = |code: &str| rows.contains(code) || ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == code);

    // What is documented.
    let errors = read("docs/reference/errors.md");
    let documented: BTreeSet<&str> = errors
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(code, rest)| {
            !code.contains(char::is_uppercase) && rest.as_bytes()[..3].iter().all(u8::is_ascii_digit)
        })
        .map(|(code, _)| code)
        .collect();
    assert!(documented.len() > 80, "codes are not found any more: {documented:?}");
    let others: BTreeSet<&str> = OTHERS.split_whitespace().collect();
    let missing: Vec<_> = documented.iter().filter(|code| !known(code) && !others.contains(**code)).collect();
    assert!(missing.is_empty(), "neither provoked here nor said to be of something else: {missing:?}");
    let gone: Vec<_> = others.difference(&documented).chain(others.intersection(&rows)).collect();
    assert!(gone.is_empty(), "not documented any more, or provoked: {gone:?}");

    // What the functions that judge a send say, documented or not.
    const WORDS: [&str; 6] =
        ["api_key", "thread_recipients", "hard_bounce", "reply_to_message_id", "sender_address", "sender_domain"];
    let mut said = 0;
    for file in ["capability", "hold", "meter", "outbound", "rate", "request_rate", "stop"] {
        let source = read(&format!("crates/core/src/{file}.rs"));
        let judged = source.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in judged.split('"').skip(1).step_by(2).filter(|literal| literal.contains('_')) {
            let is_word = literal.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_');
            if is_word && !WORDS.contains(&literal) {
                said += 1;
                assert!(known(literal), "{file}.rs says {literal:?}, which no row provokes");
            }
        }
    }
    assert!(said >= 18, "codes are not found any more: {said}");
}

// What is seen of a refusal -------------------------------------------------------------------------------------------

/// What there is to be seen of what was asked for before.
struct Trace {
    sent: usize,
    usage: Value,
    past: Vec<Value>,
    records: [Vec<String>; 3],
}

/// Reads the records of the whole store: of rules, of what happened, of what was changed.
struct Records;

impl Command for Records {
    type Outcome = [Vec<String>; 3];

    async fn run(&self, tx: &mut Tx) -> Result<[Vec<String>; 3], DbError> {
        let mut records = [const { Vec::new() }; 3];
        for (found, statement) in records.iter_mut().zip([
            "SELECT applied FROM rule_evaluations ORDER BY id",
            "SELECT name FROM events ORDER BY position",
            "SELECT action FROM audit ORDER BY id",
        ]) {
            let rows = tx.query(statement, &[]).await?;
            *found = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
        }
        Ok(records)
    }
}

impl Trace {
    async fn of(harness: &Harness) -> Self {
        let past = harness.get(&harness.at("/explain")).await.is_ok().data()["past"].clone();
        Self {
            sent: harness.ids(&harness.at("/messages?in=sent&limit=200")).await.len(),
            usage: harness.get(&harness.at("/usage")).await.is_ok().data().clone(),
            past: past.as_array().expect("list").clone(),
            records: harness.world.platform.store.run(Records).await.expect("records"),
        }
    }
}

/// One row as people read it.
fn written(code: &str, when: &str, harness: &Harness, answer: &Answer, before: &Trace, after: &Trace) -> String {
    let mut lines = vec![if when.is_empty() { code.to_owned() } else { format!("{code}: {when}") }];
    lines.extend(if answer.status < 400 { held(answer) } else { refused(harness, answer) });
    let header = |name: &str| Some(format!("{name}: {}", answer.header(name)?));
    let headers = ["retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(header);
    let headers: Vec<String> = headers.into_iter().flatten().collect();
    if !headers.is_empty() {
        lines.push(headers.join(", "));
    }
    lines.push(format!("recorded: {}", recorded(harness, before, after)));
    lines.join("\n    ")
}

fn held(answer: &Answer) -> Vec<String> {
    let hold = &answer.json["hold"];
    if hold.is_null() {
        return vec![format!("{}, queued", answer.status)];
    }
    let word = |field: &str| hold[field].as_str().unwrap_or("-").to_owned();
    vec![format!("{}, hold: {} {}", answer.status, word("reason"), word("state"))]
}

fn refused(harness: &Harness, answer: &Answer) -> Vec<String> {
    let error = &answer.json["error"];
    let retryable = if error["retryable"] == true { "retryable" } else { "final" };
    let text = |field: &str| error[field].as_str().expect("text").to_owned();
    let mut lines = vec![format!("{} {}, {retryable}", answer.status, text("type")), without_ids(&text("message"))];
    let now = harness.world.platform.clock.now().as_seconds();
    let mut fields = Vec::new();
    for name in ["field", "scope", "limit", "used", "resets_at"] {
        match error.get(name) {
            Some(Value::Number(at)) if name == "resets_at" => {
                fields.push(format!("resets_at: in {} s", at.as_i64().expect("seconds") - now));
            }
            Some(value) => fields.push(format!("{name}: {}", value.to_string().replace('"', ""))),
            None => {}
        }
    }
    if !fields.is_empty() {
        lines.push(fields.join(", "));
    }
    lines
}

/// A text in which no id stands: they are new in each world.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.bytes().filter(|octet| *octet == b'-').count() == 4;
    let words: Vec<&str> = text.split(' ').map(|word| if is_id(word) { "<id>" } else { word }).collect();
    words.join(" ")
}

/// What the request left: refusals as the explanation tells of them, and records of every kind.
fn recorded(harness: &Harness, before: &Trace, after: &Trace) -> String {
    let mut found = Vec::new();
    for past in after.past.iter().filter(|past| !before.past.contains(past)) {
        assert_eq!(past["last_at"], harness.world.platform.clock.now().as_seconds());
        let word = |field: &str| past[field].as_str().unwrap_or_default().to_owned();
        let owner = past["owner"]["type"].as_str().expect("type");
        found.push(format!("refusal {} ({owner}: {})", word("code"), word("change")));
    }
    for (kind, number) in [("evaluation", 0), ("event", 1), ("audit", 2)] {
        let mut new = after.records[number].clone();
        for old in &before.records[number] {
            new.remove(new.iter().position(|one| one == old).expect("records stay"));
        }
        found.extend(new.into_iter().map(|one| format!("{kind} {one}")));
    }
    if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
}

// How one gets there --------------------------------------------------------------------------------------------------

fn letter() -> Value {
    json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi",
        "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "aGk="}]})
}

fn to_many(count: usize) -> Value {
    let to: Vec<Value> = (0..count).map(|number| json!({"email": format!("r{number}@sender.test")})).collect();
    json!({"to": to, "subject": "Hello", "body": "Hi"})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn in_seconds(harness: &Harness, seconds: i64) -> Value {
    json!(harness.world.platform.clock.now().as_seconds() + seconds)
}

fn asking(key: &str, path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("authorization", format!("Bearer {key}"));
    request.header("content-type", "application/json").body(Body::from(body.to_string())).expect("request")
}

/// A send with the application's key.
fn sending(harness: Harness, body: impl FnOnce(&Harness) -> Value) -> Provoked {
    let body = body(&harness);
    let request = asking(&harness.acme.api_key, &harness.at("/messages/send"), &body);
    Provoked { harness, request }
}

async fn send(harness: &Harness, body: &Value) -> Answer {
    harness.post(&harness.at("/messages/send"), body).await
}

/// Plans of which one, `tight`, is changed.
fn tight(change: impl FnOnce(&mut Plan)) -> Plans {
    let mut plan = (**Plans::presets().find("self_hosted").expect("plan")).clone();
    plan.name = "tight".into();
    change(&mut plan);
    Plans::with([plan])
}

async fn in_plan(plans: Plans, tenant: NewTenant) -> Harness {
    let world = World::with(WorldOptions { plans, ..WorldOptions::default() }).await;
    Harness::in_world(world, NewTenant { plan: "tight", ..tenant }).await
}

/// Another key of the application.
async fn key(harness: &Harness, permissions: &[&str]) -> String {
    let path = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let made = harness.administer("POST", &path, Some(&json!({"name": "boss", "permissions": permissions}))).await;
    made.is_ok().data()["api_key"].as_str().expect("key").to_owned()
}

fn id(answer: &Answer) -> String {
    answer.is_ok().data()["id"].as_str().expect("id").to_owned()
}

async fn without_public_url() -> Provoked {
    let world = World::with(WorldOptions { public_url: None, ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant::of("acme.test")).await;
    sending(harness, |_| with(letter(), "list_unsubscribe", json!(true)))
}

async fn same_key() -> Provoked {
    let harness = Harness::new().await;
    let keyed = |body: &Value| {
        let mut request = asking(&harness.acme.api_key, &harness.at("/messages/send"), body);
        request.headers_mut().insert("idempotency-key", "k".parse().expect("value"));
        request
    };
    harness.request(keyed(&letter())).await.is_ok();
    let request = keyed(&with(letter(), "subject", json!("Other")));
    Provoked { harness, request }
}

/// A draft that is sent, now or in some seconds, and sent again.
async fn draft_twice(seconds: Value) -> Provoked {
    let harness = Harness::new().await;
    let send_at = seconds.as_i64().map_or(json!(null), |seconds| in_seconds(&harness, seconds));
    let made = harness.post(&harness.at("/drafts"), &with(letter(), "send_at", send_at)).await;
    let path = harness.at(&format!("/drafts/{}", id(&made)));
    harness.post(&path, &json!({})).await.is_ok();
    let request = asking(&harness.acme.api_key, &path, &json!({}));
    Provoked { harness, request }
}

async fn of_key(capabilities: Value) -> Provoked {
    let harness = Harness::new().await;
    let (key, _) = limited(&harness, capabilities).await;
    let request = asking(&key, &harness.at("/messages/send"), &letter());
    Provoked { harness, request }
}

async fn later_by_key() -> Provoked {
    let harness = Harness::new().await;
    let (key, _) = limited(&harness, json!({"sending": "none"})).await;
    let body = with(letter(), "send_at", in_seconds(&harness, 600));
    let request = asking(&key, &harness.at("/messages/send"), &body);
    Provoked { harness, request }
}

async fn unverified() -> Provoked {
    let tenant = NewTenant { is_verified: false, ..NewTenant::of("acme.test") };
    sending(Harness::with(tenant).await, |_| letter())
}

async fn many_later() -> Provoked {
    sending(Harness::new().await, |harness| with(to_many(51), "send_at", in_seconds(harness, 600)))
}

async fn undeliverable() -> Provoked {
    let resolver = StaticResolver::everything_at(IpAddr::V4(Ipv4Addr::LOCALHOST)).without("sender.test");
    let world = World::with(WorldOptions { resolver, ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant::of("acme.test")).await;
    let policy = harness.post("/v3/policies", &json!({"name": "P", "options": {"validate_recipients": true}})).await;
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"policy_id": id(&policy)})).await.is_ok();
    sending(harness, |_| letter())
}

async fn suppressed() -> Provoked {
    let harness = Harness::new().await;
    let body = json!({"address": "ada@sender.test", "reason": "hard_bounce"});
    harness.post("/v3/suppressions", &body).await.is_ok();
    sending(harness, |_| letter())
}

async fn too_large(of_every_plan: bool) -> Provoked {
    let mut plans = vec!["tight"];
    if of_every_plan {
        plans.extend(["free", "full_platform", "self_hosted"]);
    }
    let open = Plans::presets().find("self_hosted").expect("plan").clone();
    let plans = Plans::with(plans.into_iter().map(|name| {
        let mut plan = Plan { name: name.into(), ..Plan::clone(&open) };
        plan.limits.outbound_message_octets_max = 1_000;
        plan
    }));
    let body = with(letter(), "body", json!("x".repeat(1_000)));
    sending(in_plan(plans, NewTenant::of("acme.test")).await, |_| body)
}

async fn blocked() -> Provoked {
    let harness = Harness::new().await;
    send_rules::block(&harness, "recipient.domain", "is", "sender.test").await;
    sending(harness, |_| letter())
}

async fn undecidable() -> Provoked {
    let harness = Harness::new().await;
    let list = send_rules::list(&harness).await;
    send_rules::block(&harness, "recipient.domain", "in_list", json!([list])).await;
    harness.world.platform.store.run(Lookups { work: false }).await.expect("break");
    sending(harness, |_| letter())
}

/// A mailbox that may keep a hundred bytes.
async fn small_mailbox() -> Harness {
    let harness = Harness::new().await;
    let policy = harness.post("/v3/policies", &json!({"name": "P", "limits": {"limit_storage_total": 100}})).await;
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"policy_id": id(&policy)})).await.is_ok();
    harness
}

async fn full_mailbox() -> Provoked {
    sending(small_mailbox().await, |_| letter())
}

async fn full_later() -> Provoked {
    sending(small_mailbox().await, |harness| with(letter(), "send_at", in_seconds(harness, 600)))
}

/// In a plan under which one message is too many, or the second one.
async fn of_plan(change: fn(&mut Plan)) -> Provoked {
    let harness = in_plan(tight(change), NewTenant::of("acme.test")).await;
    send(&harness, &letter()).await;
    harness.world.advance(1);
    sending(harness, |_| letter())
}

async fn daily(on_quota: &str) -> Provoked {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"on_quota": on_quota})).await.is_ok();
    send(&harness, &letter()).await.is_ok();
    harness.world.advance(1);
    sending(harness, |_| letter())
}

/// A domain that may send two on the first day.
async fn warming() -> Provoked {
    let harness = Harness::new().await;
    let (path, body) = ("/v3/domains/acme.test/warm-up", json!({"target_per_day": 100}));
    harness.ask(&harness.acme.operator_key, "PUT", path, Some(&body)).await.is_ok();
    for _ in 0..2 {
        send(&harness, &letter()).await.is_ok();
        harness.world.advance(3_600);
    }
    sending(harness, |_| letter())
}

async fn rate(environment: &'static str, of: fn(&mut SendRates) -> &mut Option<u64>) -> Provoked {
    let plans = tight(|plan| *of(&mut plan.send_rates) = Some(1));
    let harness = in_plan(plans, NewTenant { environment, ..NewTenant::of("acme.test") }).await;
    send(&harness, &letter()).await.is_ok();
    sending(harness, |_| letter())
}

/// A second form in a second.
async fn request_rate() -> Provoked {
    let rates = RequestRates { mailbox_forms: Some(1), ..RequestRates::default() };
    let harness = in_plan(tight(|plan| plan.request_rates = rates), NewTenant::of("acme.test")).await;
    let form = || {
        let header = "Content-Disposition: form-data; name=\"message\"\r\nContent-Type: application/json";
        let request = Request::post(harness.at("/messages/send"))
            .header("authorization", format!("Bearer {}", harness.acme.api_key))
            .header("content-type", "multipart/form-data; boundary=edge");
        let form = Form::default().part(header, to_many(1).to_string().as_bytes());
        request.body(Body::from(form.end())).expect("request")
    };
    harness.request(form()).await.is_ok();
    let request = form();
    Provoked { harness, request }
}

async fn burst() -> Provoked {
    let plans = tight(|plan| {
        plan.send_rates = SendRates { sandbox: Some(1), burst_seconds: 90, ..SendRates::default() };
    });
    let harness = in_plan(plans, NewTenant::of("acme.test")).await;
    send(&harness, &letter()).await.is_ok();
    sending(harness, |_| letter())
}

/// Whose rule holds what goes to `sender.test`.
async fn holding() -> Harness {
    let harness = Harness::new().await;
    let conditions = json!([condition("recipient.domain", "is", "sender.test")]);
    send_rules::put(&harness, &harness.acme, conditions, json!([{"type": "hold"}])).await;
    harness
}

/// Fills a mailbox with as many of what it has one of as it may have.
struct Fill {
    statement: &'static str,
    grant: GrantId,
    ids: Vec<ScheduleId>,
}

impl Command for Fill {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        for id in &self.ids {
            tx.execute(self.statement, &[self.grant.uuid().into(), id.uuid().into()]).await?;
        }
        Ok(())
    }
}

async fn fill(harness: &Harness, statement: &'static str) {
    let platform = &harness.world.platform;
    let ids = (1..1_000).map(|_| ScheduleId::new(platform.clock.now(), platform.entropy.ten())).collect();
    let grant = harness.agent.parse().expect("id");
    harness.world.platform.store.run(Fill { statement, grant, ids }).await.expect("fill");
    harness.world.advance(1);
}

async fn many_holds() -> Provoked {
    let harness = holding().await;
    assert_eq!(send(&harness, &letter()).await.status, 202);
    let statement = "INSERT INTO holds (id, grant_id, application_id, organization_id, message_id, is_draft, blob_id, \
        reason, state, recipients, version, author_kind, author_id, expires_at, created_at) SELECT $2, grant_id, \
        application_id, organization_id, message_id, is_draft, blob_id, reason, state, recipients, version, \
        author_kind, author_id, expires_at, created_at FROM holds WHERE grant_id = $1 ORDER BY id LIMIT 1";
    fill(&harness, statement).await;
    sending(harness, |_| with(letter(), "subject", json!("Another")))
}

async fn many_schedules() -> Provoked {
    let harness = Harness::new().await;
    let later = with(letter(), "send_at", in_seconds(&harness, 600));
    send(&harness, &later).await.is_ok();
    let statement = "INSERT INTO schedules (id, grant_id, application_id, message_id, use_draft, send_at, due_at, \
        status, created_at, key_id, burst) SELECT $2, grant_id, application_id, message_id, use_draft, send_at, due_at, \
        status, created_at, key_id, burst FROM schedules WHERE grant_id = $1 ORDER BY id LIMIT 1";
    fill(&harness, statement).await;
    sending(harness, |_| later)
}

/// A mailbox that is stopped.
async fn stopped(kind: &str) -> Provoked {
    let harness = Harness::new().await;
    super::super::stops::stop(&harness, kind).await;
    sending(harness, |_| letter())
}

/// A scheduled send that is taken back some seconds after it was made, 600 before it leaves.
async fn cancelled_schedule(seconds: u64) -> Provoked {
    let harness = Harness::new().await;
    let made = send(&harness, &with(letter(), "send_at", in_seconds(&harness, 600))).await;
    let path = format!("/messages/schedules/{}", made.is_ok().json["schedule_id"].as_str().expect("id"));
    harness.world.advance(seconds);
    postfleet_mailflow::schedules::release_once(&harness.world.platform).await.expect("round");
    let request = Request::delete(harness.at(&path));
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    Provoked { request: request.body(Body::empty()).expect("request"), harness }
}

enum By {
    Author,
    Boss,
    BossAgain,
}

enum Digest {
    Right,
    Wrong,
    OfQuota,
}

/// An approval of a send that is held.
async fn decided_hold(by: By, digest: Digest) -> Provoked {
    let harness = match digest {
        Digest::OfQuota => {
            let Provoked { harness, request } = daily("hold").await;
            harness.request(request).await;
            harness
        }
        _ => {
            let harness = holding().await;
            send(&harness, &letter()).await;
            harness
        }
    };
    let boss = key(&harness, &["*"]).await;
    let found = harness.ids("/v3/holds").await;
    let path = format!("/v3/holds/{}", found[0]);
    let seen = harness.ask(&boss, "GET", &path, None).await;
    let digest = match digest {
        Digest::Wrong => json!("0".repeat(64)),
        _ => seen.is_ok().data()["review"]["digest"].clone(),
    };
    let approval = json!({ "digest": digest });
    let approve = format!("{path}/approve");
    if let By::BossAgain = by {
        harness.ask(&boss, "POST", &approve, Some(&approval)).await.is_ok();
    }
    let key = if let By::Author = by { &harness.acme.api_key } else { &boss };
    let request = asking(key, &approve, &approval);
    Provoked { harness, request }
}

enum Raise {
    Own,
    Others,
    Second,
    Closed,
}

/// What is asked about a raise of the daily quota.
async fn raise(what: &str, whose: Raise) -> Provoked {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let wish = json!({"value": 2, "ends_at": in_seconds(&harness, 3_600), "reason": "campaign"});
    let asked = harness.post(&harness.at("/raises"), &wish).await;
    let path = format!("/v3/raises/{}/{what}", id(&asked));
    let boss = key(&harness, &["raises.decide"]).await;
    let request = match whose {
        Raise::Own => asking(&harness.acme.api_key, &path, &json!({})),
        Raise::Others => {
            let other = key(&harness, &["raises.request"]).await;
            asking(&other, &path, &json!({}))
        }
        Raise::Second => asking(&harness.acme.api_key, &harness.at("/raises"), &wish),
        Raise::Closed => {
            harness.ask(&boss, "POST", &path, None).await.is_ok();
            asking(&boss, &path, &json!({}))
        }
    };
    Provoked { harness, request }
}
