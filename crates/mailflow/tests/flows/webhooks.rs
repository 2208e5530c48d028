//! Being told: in order for each mailbox, signed, at least once, and never where it must not go.

use crate::support::Setting;
use hmac::{Hmac, KeyInit, Mac};
use postfleet_core::Patch;
use postfleet_mail::Participant;
use postfleet_mailbox::view::Fields;
use postfleet_mailflow::drafts::{self, DraftChange};
use postfleet_mailflow::retention::{self, Next, Pruning};
use postfleet_mailflow::submit::Outgoing;
use postfleet_mailflow::webhooks::{self, Round};
use postfleet_mailflow::{Platform, Settings, schedules};
use postfleet_net::WebhookHttp;
use postfleet_schema::webhook::{CreateWebhook, UpdateWebhook};
use postfleet_store::grants::Grant;
use postfleet_store::lag::Pending;
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::{Arc, Mutex};

/// A receiver that echoes challenges and answers notifications with what is set for their mailbox.
pub(crate) struct Receiver {
    pub(crate) http: FakeHttp,
    refusing: Arc<Mutex<Vec<(String, HttpResponse)>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_with(body).await
    }

    /// The same, where `read` makes JSON of a notification.
    pub(crate) async fn start_with(read: fn(&HttpRequest) -> Value) -> Self {
        let refusing: Arc<Mutex<Vec<(String, HttpResponse)>>> = Arc::default();
        let list = refusing.clone();
        let http = FakeHttp::start(move |request| {
            if let Some((_, challenge)) = request.path.split_once("challenge=") {
                return HttpResponse::new(200, &[], challenge.as_bytes());
            }
            let grant = read(request)["data"]["grant_id"].clone();
            let list = list.lock().expect("list");
            let found = list.iter().find(|(refused, _)| grant == refused.as_str());
            found.map_or_else(|| HttpResponse::status(200), |(_, answer)| answer.clone())
        })
        .await;
        Self { http, refusing }
    }

    pub(crate) fn refuse(&self, grant: &Grant, answer: HttpResponse) {
        self.refusing.lock().expect("list").push((grant.id.to_string(), answer));
    }

    pub(crate) fn accept_all(&self) {
        self.refusing.lock().expect("list").clear();
    }

    pub(crate) fn notifications(&self) -> Vec<HttpRequest> {
        self.http.requests().into_iter().filter(|request| request.method == "POST").collect()
    }

    /// What came for a mailbox: subject and attempt, in order of arrival.
    pub(crate) fn told(&self, grant: &Grant) -> Vec<String> {
        let bodies = self.notifications().iter().map(body).collect::<Vec<_>>();
        let own = bodies.iter().filter(|body| body["data"]["grant_id"] == grant.id.to_string());
        own.map(|body| {
            let subject = body["data"]["object"]["subject"].as_str().unwrap_or_default();
            format!("{subject} {}", body["webhook_delivery_attempt"])
        })
        .collect()
    }
}

pub(crate) fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

pub(crate) async fn subscribe(setting: &Setting, receiver: &Receiver, triggers: &[&str]) -> Webhook {
    let request = CreateWebhook {
        trigger_types: triggers.iter().map(|name| (*name).to_owned()).collect(),
        webhook_url: receiver.http.url("/"),
        ..CreateWebhook::default()
    };
    let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
    made.expect("webhook")
}

/// One round of every webhook that this node works for.
async fn round(platform: &Platform) -> Round {
    let mut total = Round::default();
    for mut webhook in webhooks::lease(platform).await.expect("lease") {
        total = total.and(webhooks::round(platform, &mut webhook).await.expect("round"));
    }
    total
}

/// Rounds until nothing is due any more.
pub(crate) async fn settle(setting: &Setting) {
    for _ in 0..20 {
        let round = round(&setting.world.platform).await;
        let is_due = round.next_due.is_some_and(|due| due <= setting.world.platform.clock.now());
        if !round.more && !is_due {
            return;
        }
    }
    panic!("no end");
}

pub(crate) async fn receive(setting: &Setting, to: &Grant, subject: &str) {
    setting.world.advance(1);
    let message = format!("From: a@sender.test\r\nSubject: {subject}\r\n\r\nHi\r\n");
    setting.world.receive("a@sender.test", &to.email.to_string(), message).await.expect("accepted");
}

#[tokio::test]
async fn an_event_is_told_once_signed_and_with_its_message() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    receive(&setting, &setting.agent, "before").await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    receive(&setting, &setting.agent, "after").await;
    settle(&setting).await;
    settle(&setting).await;
    // What happened before the subscription is not told.
    let notifications = receiver.notifications();
    assert_eq!((notifications.len(), receiver.told(&setting.agent)), (1, vec!["after 1".to_owned()]));
    let request = &notifications[0];
    let mut mac = Hmac::<Sha256>::new_from_slice(webhook.secret.expose().as_bytes()).expect("key");
    mac.update(&request.body);
    let signature = hex::encode(mac.finalize().into_bytes());
    assert_eq!(request.header("x-nylas-signature"), Some(signature.as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body = body(request);
    assert_eq!((&body["specversion"], &body["type"]), (&"1.0".into(), &"message.created".into()));
    assert_eq!(body["source"], "/nylas/emails/realtime");
    let data = &body["data"];
    assert_eq!(data["application_id"], setting.tenant.application_id.to_string());
    assert_eq!(data["grant_sequence"], 3);
    assert_eq!((&data["object"]["object"], &data["object"]["direction"]), (&"message".into(), &"inbound".into()));
    assert!(data["object"]["body"].as_str().is_some_and(|body| body.contains("Hi")), "{data}");
}

#[tokio::test]
async fn junk_is_told_to_webhooks_that_ask_for_it_and_kept_from_the_others() {
    let setting = Setting::with(WorldOptions::default()).await;
    setting
        .inbound_rule(json!({"field": "from.domain", "operator": "is", "value": "sender.test"}), "mark_as_spam")
        .await;
    let (without, with) = (Receiver::start().await, Receiver::start().await);
    subscribe(&setting, &without, &["message.created"]).await;
    let request = CreateWebhook {
        trigger_types: vec!["message.created".to_owned()],
        webhook_url: with.http.url("/"),
        include_junk: Some(true),
        ..CreateWebhook::default()
    };
    let made =
        webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await.expect("webhook");
    assert!(made.include_junk && webhooks::show(&made, false, Pending::default(), made.created_at).include_junk);
    receive(&setting, &setting.agent, "junk").await;
    let message = "From: ada@friend.test\r\nSubject: mail\r\n\r\nHi\r\n";
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
    settle(&setting).await;
    assert_eq!(without.told(&setting.agent), ["mail 1"]);
    assert_eq!(with.told(&setting.agent), ["junk 1", "mail 1"]);
    let off = UpdateWebhook { include_junk: Some(false), ..UpdateWebhook::default() };
    webhooks::update(&setting.world.platform, setting.tenant.application_id, made.id, &off).await.expect("changed");
    receive(&setting, &setting.agent, "more junk").await;
    settle(&setting).await;
    assert_eq!(with.told(&setting.agent).len(), 2, "it asks no more");
}

#[tokio::test]
async fn what_is_removed_because_its_time_is_over_is_told_once_and_what_stays_is_not() {
    let world = World::with(WorldOptions::default()).await;
    // Whose plan keeps mail for 30 days.
    let tenant = world.tenant(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let (agent, other) = (world.mailbox(&tenant, "agent").await, world.mailbox(&tenant, "other").await);
    let setting = Setting::of(world, tenant, agent);
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.deleted"]).await;
    receive(&setting, &setting.agent, "old").await;
    let old = setting.inbox().await.remove(0).id;
    setting.world.advance(20 * 86_400);
    receive(&setting, &setting.agent, "young").await;
    receive(&setting, &other, "young").await;
    setting.world.advance(11 * 86_400);
    for _ in 0..2 {
        let mut pruning = Pruning::default();
        while let Next::After(_) = retention::round(&setting.world.platform, &mut pruning).await.expect("round") {}
        settle(&setting).await;
        setting.world.advance(3_600);
    }
    let told: Vec<Value> = receiver.notifications().iter().map(body).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["type"], &told[0]["data"]["grant_id"]),
        (&json!("message.deleted"), &json!(setting.agent.id.to_string()))
    );
    assert_eq!(
        told[0]["data"]["object"],
        json!({"id": old, "grant_id": setting.agent.id.to_string(), "object": "message", "folders": ["inbox"]})
    );
    assert_eq!(setting.inbox().await.len(), 1);
}

#[tokio::test]
async fn a_failing_event_holds_its_own_mailbox_and_no_other() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    receiver.refuse(&setting.agent, HttpResponse::status(500));
    for subject in ["one", "two"] {
        receive(&setting, &setting.agent, subject).await;
        receive(&setting, &other, subject).await;
    }
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1"]);
    assert_eq!(receiver.told(&other), ["one 1", "two 1"]);
    // What comes meanwhile waits behind; the other mailbox goes on.
    receive(&setting, &setting.agent, "three").await;
    receive(&setting, &other, "three").await;
    settle(&setting).await;
    assert_eq!((receiver.told(&setting.agent).len(), receiver.told(&other).len()), (1, 3));
    receiver.accept_all();
    setting.world.advance(27);
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent).len(), 1, "not before thirty seconds have passed");
    setting.world.advance(1);
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 2", "two 1", "three 1"]);
    assert_eq!(receiver.told(&other), ["one 1", "two 1", "three 1"]);
    // The repetition has the same id, which is what receivers de-duplicate by.
    let of_agent = |request: &HttpRequest| body(request)["data"]["grant_id"] == setting.agent.id.to_string();
    let ids: Vec<_> =
        receiver.notifications().iter().filter(|one| of_agent(one)).map(|one| body(one)["id"].clone()).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test]
async fn an_event_is_given_up_after_three_attempts_and_the_lane_goes_on() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    receiver.refuse(&setting.agent, HttpResponse::status(503));
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    receive(&setting, &setting.agent, "two").await;
    settle(&setting).await;
    setting.world.advance(30);
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 2"]);
    setting.world.advance(15 * 60);
    settle(&setting).await;
    // The third attempt was the last: the next event has its turn, with attempts of its own.
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 2", "one 3", "two 1"]);
    receiver.accept_all();
    setting.world.advance(30);
    settle(&setting).await;
    receive(&setting, &setting.agent, "three").await;
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent)[3..], ["two 1", "two 2", "three 1"]);
}

#[tokio::test]
async fn a_receivers_wish_to_be_asked_later_is_honoured() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    receiver.refuse(&setting.agent, HttpResponse::new(429, &[("Retry-After", "120")], b""));
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    receiver.accept_all();
    setting.world.advance(119);
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1"]);
    setting.world.advance(1);
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 2"]);
}

#[tokio::test]
async fn a_large_message_is_told_without_its_body() {
    let setting = Setting::with(WorldOptions { notification_octets_max: 4_000, ..WorldOptions::default() }).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    for (subject, octets) in [("small", 100), ("large", 4_000)] {
        setting.world.advance(1);
        let message = format!("From: a@sender.test\r\nSubject: {subject}\r\n\r\n{}\r\n", "x".repeat(octets));
        setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
    }
    settle(&setting).await;
    let bodies: Vec<_> = receiver.notifications().iter().map(body).collect();
    assert_eq!(
        (&bodies[0]["type"], &bodies[1]["type"]),
        (&"message.created".into(), &"message.created.truncated".into())
    );
    assert!(bodies[0]["data"]["object"]["body"].is_string());
    assert_eq!(bodies[1]["data"]["object"].get("body"), None);
    assert_eq!(bodies[1]["data"]["object"]["subject"], "large");
    assert!(receiver.notifications().iter().all(|request| request.body.len() <= 4_000));
}

#[tokio::test]
async fn a_subscription_gets_what_it_named_in_the_spelling_that_it_used() {
    let setting =
        Setting::with(WorldOptions { resolver: postfleet_net::StaticResolver::empty(), ..WorldOptions::default() })
            .await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.transactional.bounced"]).await;
    setting.send(&["a@nowhere.test"]).await.expect("accepted");
    setting.world.deliver_due().await;
    settle(&setting).await;
    let bodies: Vec<_> = receiver.notifications().iter().map(body).collect();
    assert_eq!((bodies.len(), &bodies[0]["type"]), (1, &"message.transactional.bounced".into()));
    let object = &bodies[0]["data"]["object"];
    assert_eq!((&object["from"], &object["to"]), (&"agent@acme.test".into(), &serde_json::json!(["a@nowhere.test"])));
    assert_eq!(object["bounce"]["recipients"][0]["email"], "a@nowhere.test");
    assert_eq!(
        (&object["bounce"]["type"], &object["bounce"]["bounce_class"]),
        (&"UnknownDomain".into(), &"hard".into())
    );
    assert_eq!(bodies[0]["source"], "/nylas/send");
}

#[tokio::test]
async fn a_paused_webhook_is_told_later_what_it_missed() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    let platform = &setting.world.platform;
    let set = async |status: &str| {
        let request: UpdateWebhook = serde_json::from_value(serde_json::json!({"status": status})).expect("request");
        webhooks::update(platform, setting.tenant.application_id, webhook.id, &request).await.expect("updated");
    };
    set("pause").await;
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    assert_eq!(receiver.notifications().len(), 0);
    set("active").await;
    settle(&setting).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1"]);
}

#[tokio::test]
async fn a_target_that_is_not_public_any_more_is_not_contacted() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    receive(&setting, &setting.agent, "one").await;
    // The operator has taken the network off the list meanwhile.
    let strict = Platform { http: Arc::new(WebhookHttp::new(Vec::new())), ..setting.world.platform.clone() };
    let round = round(&strict).await;
    assert_eq!((round.next_due, receiver.notifications().len()), (None, 0));
}

#[tokio::test]
async fn another_applications_events_are_not_told() {
    let setting = Setting::with(WorldOptions::default()).await;
    let stranger = setting.world.tenant(postfleet_testkit::world::NewTenant::of("other.test")).await;
    let theirs = setting.world.mailbox(&stranger, "agent").await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created", "grant.created"]).await;
    receive(&setting, &theirs, "secret").await;
    settle(&setting).await;
    assert_eq!(receiver.notifications().len(), 0);
}

#[tokio::test]
async fn a_node_that_lost_its_lease_moves_nothing() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    subscribe(&setting, &receiver, &["message.created"]).await;
    let platform = &setting.world.platform;
    let settings = Settings { node: "node-2".to_owned(), ..(*platform.settings).clone() };
    let second = Platform { settings: Arc::new(settings), ..platform.clone() };
    let mut held = webhooks::lease(platform).await.expect("lease").remove(0);
    assert_eq!(webhooks::lease(&second).await.expect("lease").len(), 0);
    setting.world.advance(60);
    assert_eq!(webhooks::lease(&second).await.expect("lease").len(), 1);
    receive(&setting, &setting.agent, "one").await;
    let position = held.position;
    let lost = webhooks::round(platform, &mut held).await.expect("round");
    assert_eq!((lost.lease_lost, held.position), (true, position));
    // The node that has it now tells it again: at least once.
    round(&second).await;
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 1"]);
}

/// Everything that came, by its type.
fn told_by_type(receiver: &Receiver) -> Vec<(String, Value)> {
    let bodies = receiver.notifications().iter().map(body).collect::<Vec<_>>();
    bodies.into_iter().map(|body| (body["type"].as_str().expect("type").to_owned(), body["data"].clone())).collect()
}

#[tokio::test]
async fn drafts_and_what_became_of_scheduled_sends_are_told() {
    let receiver = Receiver::start().await;
    let setting = Setting::with(WorldOptions::default()).await;
    let triggers = ["draft.created", "draft.updated", "message.send_success", "message.send_failed"];
    subscribe(&setting, &receiver, &triggers).await;
    let platform = &setting.world.platform;
    let to = |email: &str| Patch::Set(vec![Participant { name: String::new(), email: email.to_owned() }]);
    let new = DraftChange { to: to("ada@null.test"), subject: Patch::Set("Offer".into()), ..DraftChange::default() };
    let draft = drafts::create(platform, &setting.agent, new, None).await.expect("draft");
    settle(&setting).await;
    let id = draft.id.parse().expect("id");
    let change = DraftChange { body: Patch::Set("<p>More</p>".into()), ..DraftChange::default() };
    drafts::update(platform, &setting.agent, id, change).await.expect("update");
    drafts::send(platform, &setting.agent, id, (Fields::Standard, None), None, None).await.expect("sent");
    settle(&setting).await;
    let told = told_by_type(&receiver);
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["draft.created", "draft.updated"]);
    let created = &told[0].1["object"];
    assert_eq!((&created["object"], &created["subject"]), (&"draft".into(), &"Offer".into()));
    assert_eq!(created["id"], draft.id);
    assert_eq!(
        told[1].1["object"],
        json!({"id": draft.id, "object": "draft", "grant_id": setting.agent.id.to_string()})
    );

    // Tomorrow two leave, of which the second is too much.
    let send_at = platform.clock.now().as_seconds() + 86_400;
    for subject in ["First", "Second"] {
        let to = vec![Participant { name: String::new(), email: "ada@null.test".into() }];
        let outgoing = Outgoing { to, subject: subject.into(), body: "x".into(), ..Outgoing::default() };
        schedules::send_later(platform, &setting.agent, outgoing, send_at, false, None).await.expect("scheduled");
    }
    setting.world.advance(86_400);
    for _ in 0..99 {
        setting.send(&["probe@null.test"]).await.expect("accepted");
    }
    schedules::release_once(platform).await.expect("round");
    settle(&setting).await;
    let told = told_by_type(&receiver);
    let [(success, of_first), (failed, of_second)] = &told[2..] else { panic!("{told:?}") };
    assert_eq!((success.as_str(), failed.as_str()), ("message.send_success", "message.send_failed"));
    let sent = &of_first["object"];
    assert_eq!((&sent["send_at"], &sent["use_draft"], sent.get("body")), (&send_at.into(), &false.into(), None));
    assert!(sent["schedule_id"].as_str().is_some_and(|id| id.len() == 36) && sent["object"] == "message");
    assert!(of_second["reason"].as_str().is_some_and(|reason| reason.contains("daily send quota of 100")));
    let error = &of_second["error"];
    assert_eq!((&error["type"], &error["status_code"]), (&"too_many_requests".into(), &429.into()));
    assert_eq!((&error["message"], error.get("provider_error")), (&of_second["reason"], Some(&Value::Null)));
    let kept = &of_second["object"];
    assert!(kept["schedule_id"].is_string() && kept["subject"] != sent["subject"], "{kept}");
}
