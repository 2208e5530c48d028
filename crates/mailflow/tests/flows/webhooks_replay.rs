//! Telling a webhook once more: what is asked for, under the same ids, beside what is told as it happens.

use crate::support::Setting;
use crate::webhooks::{body, receive, settle};
use postfleet_core::readers::Cause;
use postfleet_mailflow::webhooks::{self, Order, Wanted, replay};
use postfleet_schema::event::{Delivery, Event};
use postfleet_schema::replay::{ReplayWebhook, WebhookReplay};
use postfleet_schema::webhook::{CreateWebhook, UpdateWebhook};
use postfleet_store::replays::{RUNNING_MAX, State};
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What a receiver refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refuses {
    Nothing,
    Replays,
    ReplaysForGood,
    Everything,
}

struct Receiver {
    http: FakeHttp,
    refuses: Arc<Mutex<Refuses>>,
}

impl Receiver {
    async fn start() -> Self {
        let refuses = Arc::new(Mutex::new(Refuses::Nothing));
        let now = refuses.clone();
        let http = FakeHttp::start(move |request| {
            if let Some((_, challenge)) = request.path.split_once("challenge=") {
                return HttpResponse::new(200, &[], challenge.as_bytes());
            }
            let is_replay = request.header(HEADER).is_some();
            let status = match *now.lock().expect("refuses") {
                Refuses::Replays if is_replay => 500,
                Refuses::ReplaysForGood if is_replay => 410,
                Refuses::Everything => 500,
                _ => 200,
            };
            HttpResponse::status(status)
        })
        .await;
        Self { http, refuses }
    }

    fn refuse(&self, refuses: Refuses) {
        *self.refuses.lock().expect("refuses") = refuses;
    }

    fn posted(&self) -> Vec<HttpRequest> {
        self.http.requests().into_iter().filter(|request| request.method == "POST").collect()
    }

    /// What came since the first `known` requests.
    fn told(&self, known: usize) -> Vec<String> {
        self.posted()[known..].iter().map(subject).collect()
    }
}

const HEADER: &str = "x-postfleet-replay";

/// The subject, or the type of what has none, and `r` for a replay.
fn subject(request: &HttpRequest) -> String {
    let body = body(request);
    let object = &body["data"]["object"];
    let name = object["subject"].as_str().or(body["type"].as_str()).expect("type").to_owned();
    if request.header(HEADER).is_some() { name + " r" } else { name }
}

async fn subscribe(setting: &Setting, receiver: &Receiver, triggers: &[&str]) -> Webhook {
    let request = json!({"trigger_types": triggers, "webhook_url": receiver.http.url("/")});
    let request: CreateWebhook = serde_json::from_value(request).expect("request");
    let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
    made.expect("webhook")
}

/// All events, oldest first.
async fn log(setting: &Setting) -> Vec<Event> {
    let wanted =
        Wanted { order: Order::OldestFirst, trigger: None, grant: None, since: None, limit: 200, cursor: None };
    let page = webhooks::events(&setting.world.platform, setting.tenant.application_id, wanted).await;
    page.expect("events").0
}

async fn begin(setting: &Setting, webhook: &Webhook, request: Value) -> WebhookReplay {
    let request: ReplayWebhook = serde_json::from_value(request).expect("request");
    let begun = replay::begin(&setting.world.platform, setting.tenant.application_id, webhook.id, &request).await;
    replay::shown(&begun.expect("replay"))
}

async fn state(setting: &Setting, webhook: &Webhook, id: &str) -> WebhookReplay {
    let ids = (webhook.id, id.parse().expect("id"));
    let found = replay::look_up(&setting.world.platform, setting.tenant.application_id, ids).await;
    replay::shown(&found.expect("replay"))
}

#[tokio::test]
async fn what_is_asked_for_is_told_once_more_under_the_same_ids() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created", "grant.created"]).await;
    let gone = setting.world.mailbox(&setting.tenant, "third").await;
    for subject in ["one", "two"] {
        receive(&setting, &setting.agent, subject).await;
        receive(&setting, &other, &format!("other {subject}")).await;
    }
    setting.world.advance(1_000);
    receive(&setting, &setting.agent, "three").await;
    settle(&setting).await;
    let first: Vec<Value> = receiver.posted().iter().map(body).collect();
    let log = log(&setting).await;
    let created: Vec<&Event> = log.iter().filter(|event| event.kind == "message.created").collect();
    let [one, other_one, two, other_two, three] = created[..] else { panic!("five messages: {log:?}") };
    let third = log.iter().find(|event| event.grant_id == Some(gone.id.to_string())).expect("third mailbox");
    for (name, request, expected) in [
        ("one event", json!({"event_id": two.id}), vec!["two r"]),
        (
            "a part",
            json!({"from": other_one.cursor, "to": other_two.cursor}),
            vec!["other one r", "two r", "other two r"],
        ),
        ("a part to the end", json!({"from": other_two.cursor}), vec!["other two r", "three r"]),
        ("since", json!({"since": three.created_at}), vec!["three r"]),
        ("since and until", json!({"since": two.created_at, "until": three.created_at}), vec!["two r", "other two r"]),
        (
            "one mailbox",
            json!({"since": one.created_at, "grant_ids": [other.id.to_string()]}),
            vec!["other one r", "other two r"],
        ),
        ("one kind", json!({"from": third.cursor, "types": ["grant.created"]}), vec!["grant.created r"]),
        (
            "the other name of a kind",
            json!({"from": third.cursor, "to": one.cursor, "types": ["message.created.cleaned"]}),
            vec!["one r"],
        ),
        ("what the webhook does not want", json!({"since": 0, "types": ["message.deleted"]}), vec![]),
        ("nothing was given up", json!({"given_up": true}), vec![]),
        ("nothing has happened since", json!({"since": three.created_at + 3_600}), vec![]),
    ] {
        let known = receiver.posted().len();
        let begun = begin(&setting, &webhook, request).await;
        settle(&setting).await;
        let mut told = receiver.told(known);
        // Mailboxes have no order among each other.
        told.sort_unstable();
        let mut expected: Vec<&str> = expected;
        expected.sort_unstable();
        assert_eq!(told, expected, "{name}");
        let over = state(&setting, &webhook, &begun.id).await;
        let counts = (over.status, over.told, over.not_taken, over.ended_at.is_some());
        assert_eq!(counts, ("done", expected.len() as u64, 0, true), "{name}");
        for request in &receiver.posted()[known..] {
            assert_eq!(request.header(HEADER), Some(begun.id.as_str()), "{name}");
            assert!(first.contains(&body(request)), "{name}: as it was told before");
        }
    }
    // The webhook itself stands where it stood, and is not shown more than once.
    let known = receiver.posted().len();
    receive(&setting, &setting.agent, "four").await;
    settle(&setting).await;
    assert_eq!(receiver.told(known), ["four"]);
    let listed = webhooks::list(&setting.world.platform, setting.tenant.application_id).await.expect("list");
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn events_of_a_mailbox_are_told_once_more_in_their_order_and_wait_for_one_that_is_not_taken() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    for subject in ["one", "two", "three"] {
        receive(&setting, &setting.agent, subject).await;
    }
    settle(&setting).await;
    receiver.refuse(Refuses::Replays);
    let begun = begin(&setting, &webhook, json!({"since": 0})).await;
    settle(&setting).await;
    assert_eq!(receiver.told(3), ["one r"]);
    assert_eq!(state(&setting, &webhook, &begun.id).await.status, "running");
    // What happens now does not wait for it.
    receive(&setting, &setting.agent, "four").await;
    settle(&setting).await;
    assert_eq!(receiver.told(4), ["four"]);
    receiver.refuse(Refuses::Nothing);
    setting.world.advance(30);
    settle(&setting).await;
    assert_eq!(receiver.told(5), ["one r", "two r", "three r"]);
    let over = state(&setting, &webhook, &begun.id).await;
    assert_eq!((over.status, over.told), ("done", 3), "what happened after it was asked for is no part of it");
}

#[tokio::test]
async fn what_was_given_up_can_be_told_once_more() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    receiver.refuse(Refuses::Everything);
    receive(&setting, &setting.agent, "one").await;
    for wait in [30, 15 * 60] {
        settle(&setting).await;
        setting.world.advance(wait);
    }
    settle(&setting).await;
    receiver.refuse(Refuses::Nothing);
    receive(&setting, &setting.agent, "two").await;
    settle(&setting).await;
    assert_eq!(receiver.told(0), ["one", "one", "one", "two"]);
    let states = async || {
        let wanted =
            Wanted { order: Order::NewestFirst, trigger: None, grant: None, since: None, limit: 200, cursor: None };
        let platform = &setting.world.platform;
        let webhook = webhooks::find(platform, setting.tenant.application_id, webhook.id).await.expect("found");
        let page = webhooks::deliveries(platform, &webhook, wanted).await.expect("deliveries").0;
        page.iter().map(|one: &Delivery| (one.state, one.reason.clone())).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [("delivered", None), ("given_up", Some(Cause::Status(500).name()))]);

    // It is given up once more, and can be told again.
    receiver.refuse(Refuses::Replays);
    let begun = begin(&setting, &webhook, json!({"given_up": true})).await;
    for wait in [30, 15 * 60] {
        settle(&setting).await;
        setting.world.advance(wait);
    }
    settle(&setting).await;
    let over = state(&setting, &webhook, &begun.id).await;
    assert_eq!((over.status, over.told, over.not_taken), ("done", 0, 1));
    assert_eq!(states().await[1].0, "given_up");
    receiver.refuse(Refuses::Nothing);
    let known = receiver.posted().len();
    let begun = begin(&setting, &webhook, json!({"given_up": true})).await;
    settle(&setting).await;
    assert_eq!(receiver.told(known), ["one r"]);
    let over = state(&setting, &webhook, &begun.id).await;
    assert_eq!((over.status, over.told, over.not_taken), ("done", 1, 0));
    assert_eq!(states().await, [("delivered", None), ("delivered", None)]);
}

#[tokio::test]
async fn a_replay_ends_with_its_webhook_waits_while_that_is_paused_and_can_be_cancelled() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (platform, application) = (setting.world.platform.clone(), setting.tenant.application_id);
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    let change = async |status: &str| {
        let request: UpdateWebhook = serde_json::from_value(json!({"status": status})).expect("request");
        webhooks::update(&platform, application, webhook.id, &request).await.expect("changed");
    };
    change("pause").await;
    let begun = begin(&setting, &webhook, json!({"since": 0})).await;
    settle(&setting).await;
    assert_eq!((receiver.told(1).len(), state(&setting, &webhook, &begun.id).await.status), (0, "running"));
    change("active").await;
    settle(&setting).await;
    assert_eq!(receiver.told(1), ["one r"]);

    // So many at once, and room for another when one is ended.
    let mut running = Vec::new();
    for _ in 0..RUNNING_MAX {
        running.push(begin(&setting, &webhook, json!({"since": 0})).await);
    }
    let request = ReplayWebhook { since: Some(0), ..ReplayWebhook::default() };
    let refused = replay::begin(&platform, application, webhook.id, &request).await.expect_err("too many");
    assert_eq!(refused.code, "replays_max_reached");
    let ids = (webhook.id, running[0].id.parse().expect("id"));
    for _ in 0..2 {
        let ended = replay::cancel(&platform, application, ids).await.expect("ended");
        assert_eq!(ended.state, State::Cancelled);
    }
    setting.world.advance(1);
    let last = replay::begin(&platform, application, webhook.id, &request).await.expect("room");
    assert_eq!(replay::list(&platform, application, webhook.id).await.expect("list")[0].id, last.id);

    let known = receiver.posted().len();
    webhooks::remove(&platform, application, webhook.id).await.expect("removed");
    settle(&setting).await;
    assert_eq!(receiver.told(known), Vec::<String>::new());
}

#[tokio::test]
async fn a_node_that_goes_on_after_another_was_killed_loses_nothing() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    let subjects: Vec<String> = (0..5).map(|number| number.to_string()).collect();
    for subject in &subjects {
        receive(&setting, &setting.agent, subject).await;
    }
    settle(&setting).await;
    let begun = begin(&setting, &webhook, json!({"since": 0})).await;
    // It sends one event and is gone before it has written anything down.
    let platform = Arc::new(setting.world.platform.clone());
    let leased = webhooks::lease(&platform).await.expect("lease");
    let hook = leased.into_iter().find(|hook| hook.replay.is_some()).expect("replay");
    let mut worker =
        webhooks::Worker::begin(platform.clone(), hook, webhooks::Connections::new(8)).await.expect("worker");
    worker.hear(webhooks::head(&platform).await.expect("head"));
    while receiver.posted().len() < 7 {
        worker.step().await.expect("step");
    }
    drop(worker);
    let known = receiver.posted().len();
    settle(&setting).await;
    let again = receiver.told(known);
    let expected: Vec<String> = subjects.iter().map(|subject| format!("{subject} r")).collect();
    assert_eq!(again[again.len() - expected.len()..], expected, "all of it, in order: {again:?}");
    assert_eq!(state(&setting, &webhook, &begun.id).await.status, "done");
}

#[tokio::test]
async fn a_replay_that_is_refused_for_good_does_not_make_its_webhook_fail() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = subscribe(&setting, &receiver, &["message.created"]).await;
    receive(&setting, &setting.agent, "one").await;
    settle(&setting).await;
    receiver.refuse(Refuses::ReplaysForGood);
    begin(&setting, &webhook, json!({"since": 0})).await;
    settle(&setting).await;
    assert_eq!(receiver.told(1), ["one r"], "it was refused");
    let application = setting.tenant.application_id;
    let found = webhooks::find(&setting.world.platform, application, webhook.id).await.expect("webhook");
    assert_eq!(found.status, "active");
    receive(&setting, &setting.agent, "two").await;
    settle(&setting).await;
    assert!(receiver.told(1).contains(&"two".to_owned()), "it is told as ever");
}
