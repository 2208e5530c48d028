//! What receivers are told: each kind of event as its sample has it, signed twice, packed, cut to its size, and of the
//! mailboxes that were asked for.

use crate::support::Setting;
use crate::webhooks::{Receiver, body, receive, settle, subscribe};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use hmac::{Hmac, KeyInit, Mac};
use postfleet_core::Patch;
use postfleet_core::event::Trigger;
use postfleet_mail::Participant;
use postfleet_mailflow::drafts::{self, DraftChange};
use postfleet_mailflow::{Platform, refile, webhooks};
use postfleet_net::StaticResolver;
use postfleet_net::WebhookHttp;
use postfleet_net::resolver::Resolver;
use postfleet_net::webhook_http::WebhookHttpOptions;
use postfleet_schema::webhook::{CreateWebhook, MockPayload, RotateSecret, SendTestEvent, UpdateWebhook};
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{HttpRequest, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;

fn mac(secret: &str, signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("key");
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

/// The two signatures of a request, as they must be by these secrets, the newest first.
fn signatures(request: &HttpRequest, secrets: &[&str]) -> (String, String) {
    let (id, at) = (request.header("webhook-id").expect("id"), request.header("webhook-timestamp").expect("time"));
    let signed = [format!("{id}.{at}.").as_bytes(), &request.body].concat();
    let each = secrets.iter().map(|secret| format!("v1,{}", STANDARD.encode(mac(secret, &signed))));
    (hex::encode(mac(secrets[0], &request.body)), each.collect::<Vec<_>>().join(" "))
}

fn carried(request: &HttpRequest) -> (String, String) {
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    (header("x-nylas-signature"), header("webhook-signature"))
}

async fn make(setting: &Setting, receiver: &Receiver, with: Value) -> Webhook {
    let mut request = json!({"trigger_types": ["message.created"], "webhook_url": receiver.http.url("/")});
    for (field, value) in with.as_object().expect("object") {
        request[field] = value.clone();
    }
    let request: CreateWebhook = serde_json::from_value(request).expect("request");
    let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
    made.expect("webhook")
}

#[tokio::test]
async fn a_notification_is_signed_with_its_time_and_by_two_secrets_while_they_overlap() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    let rotate = async |overlap_seconds| {
        let (platform, application) = (&setting.world.platform, setting.tenant.application_id);
        let request = RotateSecret { overlap_seconds };
        let rotated = webhooks::rotate_secret(platform, application, webhook.id, &request).await.expect("rotated");
        rotated.secret.expose().clone()
    };
    let first = webhook.secret.expose().clone();
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    let second = rotate(Some(60)).await;
    receive(&setting, &setting.agent, "two").await;
    settle(&setting).await;
    setting.world.advance(60);
    receive(&setting, &setting.agent, "three").await;
    settle(&setting).await;
    let third = rotate(None).await;
    receive(&setting, &setting.agent, "four").await;
    settle(&setting).await;
    let requests = receiver.notifications();
    let secrets: [&[&str]; 4] = [&[&first], &[&second, &first], &[&second], &[&third]];
    assert_eq!(requests.len(), secrets.len());
    for (request, secrets) in requests.iter().zip(secrets) {
        assert_eq!(carried(request), signatures(request, secrets));
        assert_eq!(request.header("webhook-id"), body(request)["id"].as_str());
    }
    let now = setting.world.platform.clock.now().as_seconds().to_string();
    assert_eq!(requests[3].header("webhook-timestamp"), Some(now.as_str()), "when it is sent");
}

#[tokio::test]
async fn a_compressed_notification_is_signed_as_it_is_sent() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start_with(unpacked).await;
    let webhook = make(&setting, &receiver, json!({"compressed_delivery": true})).await;
    receive(&setting, &setting.agent, "packed").await;
    settle(&setting).await;
    let requests = receiver.notifications();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(carried(request), signatures(request, &[webhook.secret.expose()]));
    let told = unpacked(request);
    assert_eq!((&told["type"], &told["data"]["object"]["subject"]), (&json!("message.created"), &json!("packed")));
}

/// What a request has packed, or has plain.
fn unpacked(request: &HttpRequest) -> Value {
    let mut json = Vec::new();
    match request.header("content-encoding") {
        Some("gzip") => {
            GzDecoder::new(&*request.body).read_to_end(&mut json).expect("gzip");
        }
        _ => json.clone_from(&request.body),
    }
    serde_json::from_slice(&json).expect("JSON")
}

#[tokio::test]
async fn what_is_too_large_without_its_body_is_told_by_its_ids() {
    let setting = Setting::with(WorldOptions { notification_octets_max: 3_000, ..WorldOptions::default() }).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    let to: Vec<String> = (0..200).map(|n| format!("person{n}@sender.test")).collect();
    let message = format!("From: a@sender.test\r\nTo: {}\r\nSubject: many\r\n\r\nHi\r\n", to.join(",\r\n "));
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
    settle(&setting).await;
    let told = body(&receiver.notifications()[0]);
    assert_eq!(told["type"], "message.created.truncated");
    let object = told["data"]["object"].as_object().expect("object");
    let mut fields: Vec<&String> = object.keys().collect();
    fields.sort_unstable();
    assert_eq!(fields, ["grant_id", "id", "object", "thread_id"]);
}

#[tokio::test]
async fn a_message_is_told_cleaned_to_who_asks_for_that() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (cleaned, both) = (Receiver::start().await, Receiver::start().await);
    subscribe(&setting, &cleaned, &["message.created.cleaned"]).await;
    subscribe(&setting, &both, &["message.created.cleaned", "message.created"]).await;
    let message = "From: Ada <a@sender.test>\r\nSubject: Re: The plan\r\nContent-Type: text/html\r\n\r\n\
        <p>I <b>agree</b>.</p><p>On Mon, Mar 2, 2026 at 10:00, Agent &lt;agent@acme.test&gt; wrote:</p><blockquote><p>Shall we?</p></blockquote>\r\n";
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
    settle(&setting).await;
    let told = body(&cleaned.notifications()[0]);
    let text = told["data"]["object"]["body"].as_str().expect("body").trim().to_owned();
    assert_eq!((&told["type"], text.as_str()), (&json!("message.created.cleaned"), "I **agree**."));
    assert_eq!(told["data"]["object"]["subject"], "Re: The plan");
    let told: Vec<Value> = both.notifications().iter().map(body).collect();
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("message.created")));
    assert!(told[0]["data"]["object"]["body"].as_str().expect("body").contains("Shall we?"));
}

#[tokio::test]
async fn a_webhook_is_told_of_the_mailboxes_that_it_asked_for() {
    let setting = Setting::with(WorldOptions::default()).await;
    let world = &setting.world;
    let other = world.mailbox(&setting.tenant, "other").await;
    let (agent_id, workspace) = (setting.agent.id.to_string(), setting.tenant.workspace_id.to_string());
    let nowhere = json!({"domains": ["elsewhere.test"]});
    let cases = [
        ("all", json!({}), 2),
        ("one mailbox", json!({"grant_ids": [agent_id]}), 1),
        ("their workspace", json!({"workspace_ids": [workspace]}), 2),
        ("their domain", json!({"domains": ["ACME.test"]}), 2),
        ("another domain", nowhere.clone(), 0),
        ("either", json!({"grant_ids": [agent_id], "domains": ["elsewhere.test"]}), 1),
    ];
    let mut told = Vec::new();
    for (name, filters, count) in cases {
        let receiver = Receiver::start().await;
        let webhook = make(&setting, &receiver, json!({"filters": filters})).await;
        told.push((name, receiver, webhook, count));
    }
    receive(&setting, &setting.agent, "hello").await;
    receive(&setting, &other, "hello").await;
    settle(&setting).await;
    for (name, receiver, webhook, count) in &told {
        assert_eq!(receiver.notifications().len(), *count, "{name}");
        let wanted = webhooks::Wanted {
            order: webhooks::Order::NewestFirst,
            trigger: None,
            grant: None,
            since: None,
            limit: 50,
            cursor: None,
        };
        let (deliveries, _) = webhooks::deliveries(&world.platform, webhook, wanted).await.expect("deliveries");
        assert_eq!(deliveries.len(), *count, "{name}: what it is not told is no delivery of its");
    }
    // What is changed holds for what happens from then on, and null takes the filter away.
    let (_, receiver, webhook, _) = &told[4];
    let all: UpdateWebhook = serde_json::from_value(json!({"filters": null})).expect("request");
    webhooks::update(&world.platform, setting.tenant.application_id, webhook.id, &all).await.expect("changed");
    receive(&setting, &other, "again").await;
    settle(&setting).await;
    assert_eq!(receiver.told(&other), ["again 1"]);
}

#[tokio::test]
async fn a_name_that_leads_inside_by_the_time_of_delivery_is_not_followed() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let port = receiver.http.address().port();
    let through = |address: [u8; 4]| {
        let resolver: Arc<dyn Resolver> =
            Arc::new(StaticResolver::empty().with_address("rebinding.test", IpAddr::from(address)));
        let options = WebhookHttpOptions {
            allow: vec!["127.0.0.1".parse().expect("network")],
            resolver: Some(resolver),
            ..WebhookHttpOptions::default()
        };
        Platform { http: Arc::new(WebhookHttp::with_options(options)), ..setting.world.platform.clone() }
    };
    let url = format!("http://rebinding.test:{port}/");
    let request: CreateWebhook =
        serde_json::from_value(json!({"trigger_types": ["message.created"], "webhook_url": url})).expect("request");
    let before = through([127, 0, 0, 1]);
    webhooks::create(&before, setting.tenant.application_id, &request).await.expect("webhook");
    receive(&setting, &setting.agent, "one").await;
    for mut webhook in webhooks::lease(&before).await.expect("lease") {
        webhooks::round(&before, &mut webhook).await.expect("round");
    }
    assert_eq!(receiver.told(&setting.agent), ["one 1"]);
    let connections = receiver.http.connections();
    for inside in [[127, 0, 0, 2], [10, 0, 0, 1], [169, 254, 169, 254], [0, 0, 0, 0]] {
        receive(&setting, &setting.agent, "two").await;
        let after = through(inside);
        for mut webhook in webhooks::lease(&after).await.expect("lease") {
            let round = webhooks::round(&after, &mut webhook).await.expect("round");
            assert_eq!(round.next_due, None, "{inside:?}: it is given up at once");
        }
    }
    assert_eq!((receiver.told(&setting.agent).len(), receiver.http.connections()), (1, connections));
}

/// The names of the fields of an object, and of objects in it, by their path.
fn fields(value: &Value) -> Vec<String> {
    fn walk(at: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let at = format!("{at}.{name}");
                    // The application's own names.
                    if name != "metadata" {
                        walk(&at, value, into);
                    }
                    into.push(at);
                }
            }
            Value::Array(items) => items.iter().take(1).for_each(|item| walk(&format!("{at}[]"), item, into)),
            _ => {}
        }
    }
    let mut list = Vec::new();
    walk("", value, &mut list);
    list.sort();
    list
}

#[tokio::test]
async fn a_sample_has_the_fields_of_the_real_one() {
    let resolver = StaticResolver::empty();
    let setting = Setting::with(WorldOptions { resolver, ..WorldOptions::default() }).await;
    let receiver = Receiver::start().await;
    let all: Vec<&str> = Trigger::ALL.iter().map(|trigger| trigger.name()).collect();
    subscribe(&setting, &receiver, &all).await;
    let platform = &setting.world.platform;
    let message = "From: Ada <ada@sender.test>\r\nTo: agent@acme.test\r\nSubject: one\r\nMessage-ID: <a@b.test>\r\n\
        Content-Type: text/html\r\n\r\n<p>Hi</p>\r\n";
    setting.world.receive("ada@sender.test", "agent@acme.test", message).await.expect("accepted");
    settle(&setting).await;
    setting.world.advance(1);
    let to = Patch::Set(vec![Participant { name: String::new(), email: "ada@null.test".to_owned() }]);
    let metadata = Patch::Set(BTreeMap::from([("key1".to_owned(), "value".to_owned())]));
    let new = DraftChange { to, subject: Patch::Set("Offer".into()), metadata, ..DraftChange::default() };
    let draft = drafts::create(platform, &setting.agent, new, None).await.expect("draft");
    settle(&setting).await;
    let id = draft.id.parse().expect("id");
    let change = DraftChange { body: Patch::Set("<p>More</p>".into()), ..DraftChange::default() };
    drafts::update(platform, &setting.agent, id, change).await.expect("update");
    settle(&setting).await;
    drafts::delete(platform, &setting.agent, id).await.expect("removed");
    setting.send(&["a@nowhere.test"]).await.expect("accepted");
    setting.send(&["probe@null.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    // Of what is gone before it is told only ids are left.
    settle(&setting).await;
    let inbox = setting.inbox().await;
    let of = (setting.tenant.application_id, setting.agent.id);
    refile::delete(platform, of, inbox[0].id.parse().expect("id"), true).await.expect("removed");
    setting.world.mailbox(&setting.tenant, "second").await;
    settle(&setting).await;

    let mut compared = Vec::new();
    for told in receiver.notifications().iter().map(body) {
        let name = told["type"].as_str().expect("type").to_owned();
        let request = MockPayload { trigger_type: name.clone() };
        let sample = webhooks::sample(platform, setting.tenant.application_id, &request).expect("sample");
        let sample = serde_json::to_value(&sample).expect("JSON");
        // What not every message has, and what is told of nobody above a workspace.
        let is_optional = |field: &String| {
            let of_messages = ["attachments", "authentication", "automated", "marks", "metadata", "spam", "suspicion"];
            let of_senders = ["counts", "head_room", "rates"];
            let of = [&of_messages[..], &of_senders[..]].concat();
            of.iter().any(|name| field.starts_with(&format!(".data.object.{name}")))
        };
        let real: Vec<String> = fields(&told).into_iter().filter(|field| !is_optional(field)).collect();
        let made_up: Vec<String> = fields(&sample).into_iter().filter(|field| !is_optional(field)).collect();
        assert_eq!(made_up, real, "{name}: {told:#}");
        compared.push(name);
    }
    for name in [
        "draft.created",
        "draft.deleted",
        "draft.updated",
        "grant.created",
        "message.bounced",
        "message.created",
        "message.deleted",
    ] {
        assert!(compared.iter().any(|compared| compared == name), "{name} did not happen: {compared:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_gives_its_status_has_the_event_whatever_its_body_does() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    let endless = "HTTP/1.1 202 Accepted\r\nContent-Length: 1000000000\r\n\r\nthanks";
    receiver.refuse(&setting.agent, HttpResponse::raw(endless));
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    receiver.accept_all();
    setting.world.advance(3_600);
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1"]);
}

#[tokio::test]
async fn a_test_event_is_signed_with_the_secret_that_everybody_knows() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let request = SendTestEvent { trigger_type: None, webhook_url: receiver.http.url("/") };
    let (platform, application) = (&setting.world.platform, setting.tenant.application_id);
    webhooks::send_test_event(platform, application, &request).await.expect("sent");
    let requests = receiver.notifications();
    assert_eq!(requests.len(), 1);
    assert_eq!(carried(&requests[0]), signatures(&requests[0], &["mock-webhook-secret"]));
    assert_eq!(requests[0].header("webhook-id"), body(&requests[0])["id"].as_str());
}
