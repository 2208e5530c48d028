//! A receiver that is down for hours: it is left alone but for a try now and then, nothing is lost, and little is written.

use crate::support::Setting;
use postfleet_mailflow::webhooks::{self, Order, Wanted};
use postfleet_schema::webhook::CreateWebhook;
use postfleet_store::grants::Grant;
use postfleet_store::lanes;
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A receiver that echoes challenges, and answers all notifications alike.
struct Receiver {
    http: FakeHttp,
    answer: Arc<Mutex<HttpResponse>>,
}

impl Receiver {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new(HttpResponse::status(200)));
        let now = answer.clone();
        let http = FakeHttp::start(move |request| match request.path.split_once("challenge=") {
            Some((_, challenge)) => HttpResponse::new(200, &[], challenge.as_bytes()),
            None => now.lock().expect("answer").clone(),
        })
        .await;
        Self { http, answer }
    }

    fn answer(&self, answer: HttpResponse) {
        *self.answer.lock().expect("answer") = answer;
    }

    fn notifications(&self) -> Vec<Value> {
        let posted = self.http.requests().into_iter().filter(|request| request.method == "POST");
        posted.map(|request| body(&request)).collect()
    }

    async fn subscribe(&self, setting: &Setting) -> Webhook {
        let request = json!({"trigger_types": ["message.created"], "webhook_url": self.http.url("/")});
        let request: CreateWebhook = serde_json::from_value(request).expect("request");
        let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
        made.expect("webhook")
    }
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

async fn receive(setting: &Setting, to: &Grant, subject: &str) {
    let message = format!("From: a@sender.test\r\nSubject: {subject}\r\n\r\nHi\r\n");
    setting.world.receive("a@sender.test", &to.email.to_string(), message).await.expect("accepted");
}

/// Rounds until nothing is due any more.
async fn settle(setting: &Setting) {
    let platform = &setting.world.platform;
    for _ in 0..20 {
        let mut webhook = webhooks::lease(platform).await.expect("lease").remove(0);
        let round = webhooks::round(platform, &mut webhook).await.expect("round");
        if round.next_due.is_none_or(|due| due > platform.clock.now()) {
            return;
        }
    }
    panic!("no end");
}

/// How often each state comes among what became of telling it.
async fn states(setting: &Setting, webhook: &Webhook) -> Vec<(&'static str, Option<u32>)> {
    let platform = &setting.world.platform;
    let webhook = webhooks::find(platform, setting.tenant.application_id, webhook.id).await.expect("webhook");
    let wanted =
        Wanted { order: Order::NewestFirst, trigger: None, grant: None, since: None, limit: 200, cursor: None };
    let (page, _) = webhooks::deliveries(platform, &webhook, wanted).await.expect("deliveries");
    page.iter().map(|delivery| (delivery.state, delivery.attempts)).collect()
}

/// Four mailboxes, of each of which there are a few events over five hours while nothing is taken.
async fn outage(setting: &Setting, receiver: &Receiver, answer: HttpResponse) -> Vec<Grant> {
    let mut grants = Vec::new();
    for name in ["one", "two", "three", "four"] {
        grants.push(setting.world.mailbox(&setting.tenant, name).await);
    }
    receiver.answer(answer);
    for number in 0..5 {
        for grant in &grants {
            receive(setting, grant, &number.to_string()).await;
        }
        for _ in 0..60 {
            settle(setting).await;
            setting.world.advance(60);
        }
    }
    grants
}

#[tokio::test]
async fn an_outage_of_hours_loses_nothing_and_writes_a_row_for_each_mailbox() {
    for (name, answer) in [("it answers 500", HttpResponse::status(500)), ("it closes", HttpResponse::hang_up())] {
        let setting = Setting::with(WorldOptions::default()).await;
        let receiver = Receiver::start().await;
        let webhook = receiver.subscribe(&setting).await;
        let grants = outage(&setting, &receiver, answer).await;
        let tried = receiver.notifications().len();
        // As many as came before it was known, and then one in a round.
        assert!(tried <= 4 + 5 * 60, "{name}: {tried}");
        let mut reader = setting.world.platform.store.reader().await.expect("reader");
        let rows = lanes::waiting(&mut reader, webhook.id).await.expect("rows");
        assert!(rows.len() <= grants.len(), "{name}: {rows:?}");
        drop(reader);
        let open = states(&setting, &webhook).await;
        assert_eq!(open.len(), 20);
        assert!(open.iter().all(|(state, _)| matches!(*state, "waiting" | "pending")), "{name}: {open:?}");
        assert!(open.iter().all(|(_, attempts)| attempts.unwrap_or(0) <= 1), "{name}: {open:?}");

        receiver.answer(HttpResponse::status(200));
        setting.world.advance(300);
        settle(&setting).await;
        let closed = states(&setting, &webhook).await;
        assert!(closed.iter().all(|(state, _)| *state == "delivered"), "{name}: {closed:?}");
        let told = receiver.notifications().split_off(tried);
        for grant in &grants {
            let own = told.iter().filter(|body| body["data"]["grant_id"] == grant.id.to_string());
            let subjects: Vec<_> = own.map(|body| body["data"]["object"]["subject"].clone()).collect();
            assert_eq!(subjects, ["0", "1", "2", "3", "4"], "{name}");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_has_just_been_down_is_told_of_what_is_new_at_once() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    receiver.subscribe(&setting).await;
    let grants = outage(&setting, &receiver, HttpResponse::status(503)).await;
    receiver.answer(HttpResponse::status(200));
    setting.world.advance(300);
    settle(&setting).await;
    let before = receiver.notifications().len();
    receive(&setting, &grants[0], "new").await;
    settle(&setting).await;
    assert_eq!(receiver.notifications().len(), before + 1);
}
