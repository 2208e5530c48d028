//! What a webhook may ask for: so many events a second at most, and events that do not wait for each other.

use crate::support::Setting;
use postfleet_mailflow::webhooks::{self, Connections, Order, Wanted, Worker};
use postfleet_schema::webhook::{CreateWebhook, UpdateWebhook};
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A receiver that refuses some subjects.
struct Receiver {
    http: FakeHttp,
    refused: Arc<Mutex<Vec<&'static str>>>,
}

impl Receiver {
    async fn start() -> Self {
        let refused: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let list = refused.clone();
        let http = FakeHttp::start(move |request| {
            if let Some((_, challenge)) = request.path.split_once("challenge=") {
                return HttpResponse::new(200, &[], challenge.as_bytes());
            }
            let subject = subject(&request.body);
            let is_refused = list.lock().expect("list").iter().any(|one| *one == subject);
            HttpResponse::status(if is_refused { 500 } else { 200 })
        })
        .await;
        Self { http, refused }
    }

    fn refuses(&self, subjects: &[&'static str]) {
        *self.refused.lock().expect("list") = subjects.to_vec();
    }

    async fn subscribe(&self, setting: &Setting, more: Value) -> Webhook {
        let mut request = json!({"trigger_types": ["message.created"], "webhook_url": self.http.url("/")});
        request.as_object_mut().expect("object").extend(more.as_object().cloned().unwrap_or_default());
        let request: CreateWebhook = serde_json::from_value(request).expect("request");
        let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
        made.expect("webhook")
    }

    fn told(&self) -> Vec<String> {
        let posted = self.http.requests().into_iter().filter(|request| request.method == "POST");
        posted.map(|request| subject(&request.body)).collect()
    }
}

fn subject(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    body["data"]["object"]["subject"].as_str().unwrap_or_default().to_owned()
}

async fn receive(setting: &Setting, subject: &str) {
    let message = format!("From: a@sender.test\r\nSubject: {subject}\r\n\r\nHi\r\n");
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
}

/// One round; answers after how many microseconds it goes on.
async fn round(setting: &Setting) -> Option<u128> {
    let platform = &setting.world.platform;
    let mut webhook = webhooks::lease(platform).await.expect("lease").remove(0);
    let round = webhooks::round(platform, &mut webhook).await.expect("round");
    round.next_due.map(|due| due.since(platform.clock.now()).as_micros())
}

async fn change(setting: &Setting, webhook: &Webhook, request: Value) {
    let request: UpdateWebhook = serde_json::from_value(request).expect("request");
    let application = setting.tenant.application_id;
    webhooks::update(&setting.world.platform, application, webhook.id, &request).await.expect("updated");
}

#[tokio::test]
async fn a_webhook_with_a_rate_is_told_so_many_a_second_also_after_a_restart() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting, json!({"rate": 1})).await;
    let subjects: Vec<String> = (0..5).map(|number| number.to_string()).collect();
    for subject in &subjects {
        receive(&setting, subject).await;
    }
    // Each round is a worker of its own, as after a restart: it begins with a pause.
    for _ in 0..3 {
        assert_eq!(round(&setting).await, Some(1_000_000));
        setting.world.advance(1);
    }
    assert_eq!(receiver.told(), Vec::<String>::new());
    change(&setting, &webhook, json!({"rate": null})).await;
    assert_eq!(round(&setting).await, None);
    assert_eq!(receiver.told(), subjects);
}

#[tokio::test]
async fn one_that_is_told_all_the_time_keeps_its_rate() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    receiver.subscribe(&setting, json!({"rate": 2})).await;
    for number in 0..6 {
        receive(&setting, &number.to_string()).await;
    }
    let platform = &setting.world.platform;
    let webhook = webhooks::lease(platform).await.expect("lease").remove(0);
    let begun = platform.clock.now();
    let mut worker = Worker::begin(Arc::new(platform.clone()), webhook, Connections::new(64)).await.expect("begun");
    worker.hear(webhooks::head(platform).await.expect("head"));
    while receiver.told().len() < 6 {
        tokio::select! {
            done = worker.step() => done.expect("step"),
            () = tokio::task::yield_now() => setting.world.clock.advance(Duration::from_millis(1)),
        }
        let most = platform.clock.now().since(begun).as_millis() / 500;
        assert!(receiver.told().len() as u128 <= most, "{:?} after {most} halves of a second", receiver.told());
    }
    worker.end().await.expect("ended");
}

#[tokio::test]
async fn where_order_does_not_matter_a_failing_event_waits_alone_and_is_given_up_alone() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting, json!({"ordered": false})).await;
    receiver.refuses(&["bad"]);
    for subject in ["one", "bad", "two", "three"] {
        receive(&setting, subject).await;
    }
    assert_eq!(round(&setting).await, Some(30_000_000));
    let mut told = receiver.told();
    told.sort();
    assert_eq!(told, ["bad", "one", "three", "two"]);
    let states = async || {
        let platform = &setting.world.platform;
        let webhook = webhooks::find(platform, setting.tenant.application_id, webhook.id).await.expect("webhook");
        let wanted =
            Wanted { order: Order::NewestFirst, trigger: None, grant: None, since: None, limit: 10, cursor: None };
        let (page, _) = webhooks::deliveries(platform, &webhook, wanted).await.expect("deliveries");
        page.iter().map(|delivery| (delivery.state, delivery.attempts)).collect::<Vec<_>>()
    };
    let waiting = [("delivered", None), ("delivered", None), ("waiting", Some(1)), ("delivered", None)];
    assert_eq!(states().await, waiting);
    for seconds in [30, 900] {
        setting.world.advance(seconds);
        receive(&setting, "more").await;
        round(&setting).await;
    }
    assert_eq!(receiver.told().iter().filter(|subject| *subject == "bad").count(), 3);
    assert_eq!(receiver.told().iter().filter(|subject| *subject == "more").count(), 2);
    assert_eq!(states().await[4], ("given_up", Some(3)));

    // In order again, the next one waits for the one before it.
    change(&setting, &webhook, json!({"ordered": true})).await;
    for subject in ["bad", "behind"] {
        receive(&setting, subject).await;
    }
    round(&setting).await;
    assert!(!receiver.told().contains(&"behind".to_owned()));
}
