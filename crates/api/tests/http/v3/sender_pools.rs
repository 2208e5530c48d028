//! `/v3/sender-pools`: managing pools, planning, and sending from whichever mailbox is best placed.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use axum::body::Body;
use axum::http::Request;
use postfleet_core::id::DomainId;
use postfleet_store::domains::{NewDomain, RegisterDomain, RegisterOutcome};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/sender-pools",
    "POST /v3/sender-pools",
    "GET /v3/sender-pools/{pool}",
    "PATCH /v3/sender-pools/{pool}",
    "DELETE /v3/sender-pools/{pool}",
    "GET /v3/sender-pools/{pool}/plan",
    "POST /v3/sender-pools/{pool}/messages/send",
];

const POOL: &str = "id:string name:string grant_ids:array created_at:integer updated_at:integer";
const DETAILS: &str = "id:string name:string grant_ids:array created_at:integer updated_at:integer members:array";
const MEMBER: &str = "grant_id:string email:string domain_id:string? is_ready:boolean obstacle:string? health:string \
    remaining:integer? sent_today:integer sent_lately:integer share:number";
const PLAN: &str = "volume:integer members:array domains:array unsent:integer";

/// A pool of `agent@acme.test` and `agent@two.test`.
struct Pooled {
    harness: Harness,
    path: String,
    two: String,
}

impl Pooled {
    async fn new() -> Self {
        Self::with(NewTenant::of("acme.test")).await
    }

    async fn with(acme: NewTenant) -> Self {
        let harness = Harness::with(acme).await;
        let name = postfleet_core::Domain::parse("two.test").expect("domain");
        let domain = NewDomain::trusted(DomainId::new(harness.world.platform.clock.now(), [2; 10]), name);
        let register = RegisterDomain { domain, act: harness.world.act(&harness.acme) };
        let registered = harness.world.platform.store.run(register).await.expect("register");
        assert_eq!(registered, RegisterOutcome::Registered);
        let mailbox = json!({"provider": "nylas", "settings": {"email": "agent@two.test"}});
        let two = harness.post("/v3/connect/custom", &mailbox).await;
        let two = two.is_ok().data()["id"].as_str().expect("id").to_owned();
        let body = json!({"name": "Outreach", "grant_ids": [harness.agent, two]});
        let pool = harness.post("/v3/sender-pools", &body).await;
        assert_shape(pool.is_ok().data(), DETAILS);
        let path = format!("/v3/sender-pools/{}", pool.data()["id"].as_str().expect("id"));
        Self { harness, path, two }
    }

    async fn send(&self, to: &str) -> Answer {
        self.send_this(json!({"to": [{"email": to}], "subject": format!("Hello {to}"), "body": "Hi"})).await
    }

    async fn send_this(&self, body: Value) -> Answer {
        self.harness.post(&format!("{}/messages/send", self.path), &body).await
    }

    async fn keyed(&self, key: &str, to: &str) -> Answer {
        let body = json!({"to": [{"email": to}], "subject": "Keyed", "body": "Hi"});
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/messages/send", self.path))
            .header("authorization", format!("Bearer {}", self.harness.acme.api_key))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        self.harness.request(request.expect("request")).await
    }

    async fn warm_up(&self, domain: &str) {
        let (path, body) = (format!("/v3/domains/{domain}/warm-up"), json!({"target_per_day": 100}));
        self.harness.ask(&self.harness.acme.operator_key, "PUT", &path, Some(&body)).await.is_ok();
    }
}

fn sender(answer: &Answer) -> &str {
    answer.is_ok().json["grant_id"].as_str().expect("grant_id")
}

#[tokio::test]
async fn pools_are_made_changed_listed_and_removed() {
    let pooled = Pooled::new().await;
    let harness = &pooled.harness;
    let list = harness.get("/v3/sender-pools").await;
    assert_shape(&list.is_ok().data()[0], POOL);
    let found = harness.get(&pooled.path).await;
    assert_shape(found.is_ok().data(), DETAILS);
    assert_eq!(found.data()["members"].as_array().map(Vec::len), Some(2));
    assert_shape(&found.data()["members"][0], MEMBER);
    let changed = harness.patch(&pooled.path, &json!({"name": "One", "grant_ids": [pooled.two]})).await;
    assert_eq!((&changed.data()["name"], &changed.data()["grant_ids"]), (&json!("One"), &json!([pooled.two])));
    let same = harness.patch(&pooled.path, &json!({})).await;
    assert_eq!(same.data()["updated_at"], changed.data()["updated_at"]);

    let create = async |body: Value| harness.post("/v3/sender-pools", &body).await;
    let ids = |count: usize| json!({"name": "x", "grant_ids": vec![harness.agent.clone(); count]});
    create(ids(0)).await.refuses(400, "invalid_request", Some("grant_ids"));
    create(ids(101)).await.refuses(400, "invalid_request", Some("grant_ids"));
    for foreign in [harness.stranger.as_str(), NOBODY, "x"] {
        let body = json!({"name": "x", "grant_ids": [harness.agent, foreign]});
        create(body).await.refuses(400, "invalid_request", Some("grant_ids"));
    }
    create(json!({"name": "", "grant_ids": [harness.agent]})).await.refuses(400, "invalid_request", Some("name"));
    let foreign = harness.patch(&pooled.path, &json!({"name": "Two", "grant_ids": [harness.stranger]})).await;
    foreign.refuses(400, "invalid_request", Some("grant_ids"));
    assert_eq!(harness.get(&pooled.path).await.data()["name"], "One", "all of it or nothing");

    harness.delete(&format!("/v3/grants/{}", pooled.two)).await.is_ok();
    assert_eq!(harness.get(&pooled.path).await.data()["grant_ids"], json!([]), "a mailbox that is gone is taken out");
    pooled.send("ada@sender.test").await.refuses(409, "sender_pool_empty", None);
    harness.delete(&pooled.path).await.is_ok();
    harness.get(&pooled.path).await.refuses(404, "not_found", None);
    let actions = harness.get("/v3/audit").await.data().to_string();
    for action in ["sender_pool.created", "sender_pool.updated", "sender_pool.deleted"] {
        assert!(actions.contains(action), "{action}");
    }
}

#[tokio::test]
async fn volume_is_split_and_conversations_stay_where_they_are() {
    let pooled = Pooled::new().await;
    let first = pooled.send("a@sender.test").await;
    let second = pooled.send("b@sender.test").await;
    assert_ne!(sender(&first), sender(&second), "who has sent least goes first");
    for (to, before) in [("a@sender.test", &first), ("B@sender.test", &second)] {
        for round in ["once more", "and again"] {
            let again = pooled.send_this(json!({"to": [{"email": to}], "subject": round, "body": "x"})).await;
            assert_eq!(sender(&again), sender(before), "the same recipient is written to from the same mailbox");
        }
    }
    // An answer leaves from the mailbox that has the message, also to somebody new.
    let mail =
        "From: c@sender.test\r\nTo: agent@two.test\r\nSubject: Hello?\r\nMessage-ID: <q@sender.test>\r\n\r\nHi\r\n";
    pooled.harness.world.receive("c@sender.test", "agent@two.test", mail).await.expect("taken");
    let received = pooled.harness.get(&format!("/v3/grants/{}/messages?limit=1", pooled.two)).await;
    let id = received.data()[0]["id"].clone();
    for answered in [id, json!("<q@sender.test>")] {
        let body = json!({"to": [{"email": "c@sender.test"}], "subject": "Re: Hello?", "body": answered.to_string(),
            "reply_to_message_id": answered});
        let sent = pooled.send_this(body).await;
        assert_eq!(sender(&sent), pooled.two);
    }
    let unknown = pooled.send_this(json!({"to": [{"email": "c@sender.test"}], "reply_to_message_id": NOBODY})).await;
    unknown.refuses(400, "invalid_request", Some("reply_to_message_id"));

    let shares = pooled.harness.get(&pooled.path).await;
    let members = shares.data()["members"].as_array().expect("members").clone();
    let sum: f64 = members.iter().map(|member| member["share"].as_f64().expect("share")).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{members:?}");
    assert_eq!(members.iter().map(|member| member["sent_lately"].as_u64().expect("sent")).sum::<u64>(), 8);
}

#[tokio::test]
async fn who_cannot_send_is_passed_over_for_the_next() {
    let pooled = Pooled::new().await;
    let harness = &pooled.harness;
    pooled.warm_up("acme.test").await;
    // A domain that is warming up goes first until its day counts; then the one that has room without end.
    let senders = [pooled.send("1@x.test").await, pooled.send("2@x.test").await, pooled.send("3@x.test").await];
    let senders: Vec<&str> = senders.iter().map(sender).collect();
    assert_eq!(senders, [harness.agent.as_str(), pooled.two.as_str(), pooled.two.as_str()]);
    // Who has the conversation keeps it, but for what its domain may not send any more.
    pooled.harness.world.advance(200);
    assert_eq!(sender(&pooled.send("1@x.test").await), harness.agent);
    pooled.harness.world.advance(200);
    let members = harness.get(&pooled.path).await.data()["members"].clone();
    let passed = members.as_array().expect("members").iter().find(|one| one["grant_id"] == harness.agent.as_str());
    let passed = passed.expect("member");
    let told = (&passed["is_ready"], &passed["obstacle"], &passed["remaining"]);
    assert_eq!(told, (&json!(false), &json!("warm_up"), &json!(0)));
    assert_eq!(sender(&pooled.send("1@x.test").await), pooled.two, "rather another mailbox than none");
    // If nobody can, the refusal is that of a mailbox.
    pooled.warm_up("two.test").await;
    for number in 0..2 {
        pooled.send(&format!("last{number}@x.test")).await.is_ok();
    }
    pooled.send("beyond@x.test").await.refuses(429, "domain_warm_up_exceeded", None);
}

#[tokio::test]
async fn a_key_holds_over_the_whole_pool() {
    let pooled = Pooled::new().await;
    let first = pooled.keyed("k1", "ada@sender.test").await;
    let again = pooled.keyed("k1", "ada@sender.test").await;
    assert_eq!(again.header("idempotent-response"), Some("true"));
    assert_eq!((sender(&first), &first.data()["id"]), (sender(&again), &again.data()["id"]));
    pooled.keyed("k1", "bob@sender.test").await.refuses(409, "invalid_idempotent_request", None);
    assert_ne!(pooled.keyed("k2", "bob@sender.test").await.data()["id"], first.data()["id"]);
    let sent = pooled.harness.get(&pooled.path).await;
    let counts = sent.data()["members"].as_array().expect("members").iter();
    assert_eq!(counts.map(|member| member["sent_today"].as_u64().expect("sent")).sum::<u64>(), 2);
    // What a pool does not do is refused by field.
    for (field, value) in [("from", json!([{"email": "agent@acme.test"}])), ("send_at", json!(4_000_000_000_i64))] {
        let body = json!({"to": [{"email": "x@sender.test"}], field: value});
        pooled.send_this(body).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn a_rule_is_not_got_round() {
    let pooled = Pooled::new().await;
    let harness = &pooled.harness;
    let rule = json!({"name": "No", "trigger": "outbound", "actions": [{"type": "block"}],
        "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "rival.test"}]}});
    let rule = harness.post("/v3/rules", &rule).await.is_ok().data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"rule_ids": [rule]})).await.is_ok();
    pooled.send("ada@rival.test").await.refuses(403, "blocked_by_rule", None);
    let evaluations = async |grant: &str| {
        harness.get(&format!("/v3/grants/{grant}/rule-evaluations")).await.data().as_array().map_or(0, Vec::len)
    };
    assert_eq!(evaluations(&harness.agent).await + evaluations(&pooled.two).await, 1, "one mailbox was asked");
}

#[tokio::test]
async fn a_plan_says_how_a_volume_spreads() {
    let pooled = Pooled::with(NewTenant { daily_sends_max: Some(200), ..NewTenant::of("acme.test") }).await;
    let plan = async |volume: u64| pooled.harness.get(&format!("{}/plan?volume={volume}", pooled.path)).await;
    let even = plan(100).await;
    assert_shape(even.is_ok().data(), PLAN);
    let messages = |answer: &Answer, list: &str| -> Vec<u64> {
        let list = answer.data()[list].as_array().expect("list").iter();
        list.map(|one| one["messages"].as_u64().expect("messages")).collect()
    };
    assert_eq!((messages(&even, "members"), messages(&even, "domains")), (vec![50, 50], vec![50, 50]));
    assert_eq!(even.data()["unsent"], 0);
    pooled.warm_up("two.test").await;
    let most = plan(300).await;
    assert_eq!((messages(&most, "domains"), &most.data()["unsent"]), (vec![200, 2], &json!(98)));
    plan(1_000_001).await.refuses(400, "invalid_request", Some("volume"));
    plan(0).await.refuses(400, "invalid_request", Some("volume"));
}
