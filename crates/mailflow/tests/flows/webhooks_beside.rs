//! What stalls holds up nothing else: a mailbox that hangs, beside others of the same webhook; and what is kept of it.

use crate::support::Setting;
use futures::future::join_all;
use postfleet_mailflow::webhooks::{self, Connections, Worker};
use postfleet_mailflow::{Platform, Settings};
use postfleet_schema::webhook::CreateWebhook;
use postfleet_store::grants::Grant;
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long something that happens soon is waited for: less than a receiver has to answer in this world.
const PATIENCE: Duration = Duration::from_secs(15);

async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("{what}"))
}

/// A receiver that echoes challenges, does not answer for some mailboxes, and takes everything else.
struct Receiver {
    http: FakeHttp,
    hanging: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start() -> Self {
        let hanging: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = hanging.clone();
        let http = FakeHttp::start(move |request| {
            if let Some((_, challenge)) = request.path.split_once("challenge=") {
                return HttpResponse::new(200, &[], challenge.as_bytes());
            }
            let grant = body(request)["data"]["grant_id"].as_str().unwrap_or_default().to_owned();
            if list.lock().expect("list").contains(&grant) { HttpResponse::hold() } else { HttpResponse::status(200) }
        })
        .await;
        Self { http, hanging }
    }

    fn hang(&self, grants: &[&Grant]) {
        *self.hanging.lock().expect("list") = grants.iter().map(|grant| grant.id.to_string()).collect();
    }

    /// Subjects and attempts of what came for a mailbox, in the order of arrival.
    fn told(&self, grant: &Grant) -> Vec<String> {
        let bodies: Vec<Value> =
            self.http.requests().iter().filter(|request| request.method == "POST").map(body).collect();
        let own = bodies.iter().filter(|body| body["data"]["grant_id"] == grant.id.to_string());
        own.map(|body| {
            let subject = body["data"]["object"]["subject"].as_str().unwrap_or_default();
            format!("{subject} {}", body["webhook_delivery_attempt"])
        })
        .collect()
    }

    async fn subscribe(&self, setting: &Setting) -> Webhook {
        let request = CreateWebhook {
            trigger_types: vec!["message.created".to_owned()],
            webhook_url: self.http.url("/"),
            ..CreateWebhook::default()
        };
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

/// Tells a webhook beside the test, until it is ended.
async fn telling(platform: &Platform) -> JoinHandle<()> {
    let mut webhook = webhooks::lease(platform).await.expect("lease").remove(0);
    let platform = platform.clone();
    tokio::spawn(async move {
        webhooks::round(&platform, &mut webhook).await.expect("round");
    })
}

async fn position(setting: &Setting, webhook: &Webhook) -> i64 {
    let found = webhooks::find(&setting.world.platform, setting.tenant.application_id, webhook.id).await;
    found.expect("webhook").position
}

/// Waits until everything that happened is told or written down.
async fn until_passed(setting: &Setting, webhook: &Webhook) {
    let head = webhooks::head(&setting.world.platform).await.expect("head");
    soon("the position goes on", async {
        while position(setting, webhook).await < head {
            // Whoever waits for the clock is waited for, and the clock is moved.
            tokio::task::yield_now().await;
            setting.world.clock.advance(Duration::from_millis(20));
        }
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_that_hangs_delays_no_other_of_the_same_webhook() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (one, two) =
        (setting.world.mailbox(&setting.tenant, "one").await, setting.world.mailbox(&setting.tenant, "two").await);
    let receiver = Receiver::start().await;
    receiver.subscribe(&setting).await;
    receiver.hang(&[&setting.agent]);
    receive(&setting, &setting.agent, "a").await;
    let round = telling(&setting.world.platform).await;
    soon("it is asked", receiver.http.until_requests(2)).await;
    for number in 0..20 {
        receive(&setting, &setting.agent, "a").await;
        receive(&setting, &one, &format!("{number}")).await;
        receive(&setting, &two, &format!("{number}")).await;
        soon("the others wait for nobody", receiver.http.until_requests(2 + 2 * (number + 1))).await;
    }
    let in_order: Vec<String> = (0..20).map(|number| format!("{number} 1")).collect();
    assert_eq!((receiver.told(&one), receiver.told(&two)), (in_order.clone(), in_order));
    assert_eq!(receiver.told(&setting.agent), ["a 1"], "nothing overtakes it");
    round.abort();
}

#[tokio::test]
async fn what_is_open_for_a_second_is_noted_and_the_position_goes_on_without_it() {
    let setting = Setting::with(WorldOptions::default()).await;
    let other = setting.world.mailbox(&setting.tenant, "other").await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting).await;
    let begun_at = position(&setting, &webhook).await;
    receiver.hang(&[&setting.agent]);
    for subject in ["one", "two"] {
        receive(&setting, &setting.agent, subject).await;
        receive(&setting, &other, subject).await;
    }
    let round = telling(&setting.world.platform).await;
    soon("all are asked", receiver.http.until_requests(4)).await;
    assert_eq!(position(&setting, &webhook).await, begun_at);
    until_passed(&setting, &webhook).await;
    // What comes now is noted behind it.
    receive(&setting, &setting.agent, "three").await;
    receive(&setting, &other, "three").await;
    until_passed(&setting, &webhook).await;
    // As when the process is killed: whoever goes on tells what was noted, in order, and nothing else.
    round.abort();
    assert!(round.await.is_err_and(|error| error.is_cancelled()));
    receiver.hang(&[]);
    soon("the others are told", telling(&setting.world.platform).await).await.expect("no panic");
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 1", "two 1", "three 1"]);
    assert_eq!(receiver.told(&other), ["one 1", "two 1", "three 1"]);
}

#[tokio::test]
async fn whoever_is_killed_before_the_position_was_committed_tells_the_same_again_and_loses_nothing() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting).await;
    // It never answers, so that the worker is between the sending and the commit when it is killed.
    let hanging = setting.world.mailbox(&setting.tenant, "hanging").await;
    let begun_at = position(&setting, &webhook).await;
    receiver.hang(&[&hanging]);
    receive(&setting, &hanging, "x").await;
    for subject in ["one", "two", "three"] {
        receive(&setting, &setting.agent, subject).await;
    }
    let round = telling(&setting.world.platform).await;
    soon("all are asked", receiver.http.until_requests(5)).await;
    round.abort();
    let _ = round.await;
    assert_eq!(position(&setting, &webhook).await, begun_at);
    receiver.hang(&[]);
    soon("all are told", telling(&setting.world.platform).await).await.expect("no panic");
    assert_eq!(receiver.told(&hanging), ["x 1", "x 1"]);
    let told = receiver.told(&setting.agent);
    assert_eq!(told, ["one 1", "two 1", "three 1", "one 1", "two 1", "three 1"]);
    assert_eq!(position(&setting, &webhook).await, webhooks::head(&setting.world.platform).await.expect("head"));
}

#[tokio::test]
async fn a_node_with_one_connection_tells_everybody_in_turn() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    receiver.subscribe(&setting).await;
    let mut platform = setting.world.platform.clone();
    let settings = (*platform.settings).clone();
    // One connection for all: each waits for the one before, and none is forgotten.
    platform.settings = Arc::new(Settings { webhook_connections: 1, ..settings });
    let mut grants = Vec::new();
    for number in 0..10 {
        grants.push(setting.world.mailbox(&setting.tenant, &format!("g{number}")).await);
    }
    for grant in &grants {
        receive(&setting, grant, "one").await;
        receive(&setting, grant, "two").await;
    }
    soon("all are told", telling(&platform).await).await.expect("no panic");
    for grant in &grants {
        assert_eq!(receiver.told(grant), ["one 1", "two 1"]);
    }
}

#[tokio::test]
async fn whoever_has_lost_the_lease_stops_and_writes_nothing() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting).await;
    let begun_at = position(&setting, &webhook).await;
    let one = &setting.world.platform;
    let mut other = one.clone();
    other.settings = Arc::new(Settings { node: "other".to_owned(), ..(*one.settings).clone() });
    let mut held = webhooks::lease(one).await.expect("lease");
    setting.world.advance(59);
    assert!(webhooks::lease(&other).await.expect("lease").is_empty(), "the first node holds it");
    setting.world.advance(1);
    let mut taken = webhooks::lease(&other).await.expect("lease");
    assert_eq!(taken.len(), 1);
    receive(&setting, &setting.agent, "one").await;
    let round = webhooks::round(one, &mut held[0]).await.expect("round");
    assert_eq!((round.lease_lost, position(&setting, &webhook).await), (true, begun_at));
    // The other one tells it again: at least once.
    let round = webhooks::round(&other, &mut taken[0]).await.expect("round");
    assert_eq!((round.lease_lost, position(&setting, &webhook).await > begun_at), (false, true));
    assert_eq!(receiver.told(&setting.agent), ["one 1", "one 1"]);
}

/// Tells webhooks beside each other, over connections that they share, all that there is. Answers how many rows were read for that.
async fn tell_beside(platform: &Arc<Platform>, hooks: Vec<Webhook>) -> u64 {
    let head = webhooks::head(platform).await.expect("head");
    let (before, connections) = (platform.store.rows_read(), Connections::new(64));
    let workers = hooks.into_iter().map(|hook| Worker::begin(platform.clone(), hook, connections.clone()));
    let telling = join_all(workers).await.into_iter().map(async |worker| {
        let mut worker = worker.expect("begun");
        worker.hear(head);
        while !worker.is_idle() {
            worker.step().await.expect("told");
        }
        worker.end().await.expect("committed");
    });
    soon("they are told", join_all(telling)).await;
    platform.store.rows_read() - before
}

#[tokio::test]
async fn what_several_webhooks_are_told_is_made_once_and_signed_by_each() {
    const MESSAGES: usize = 10;
    let setting = Setting::with(WorldOptions::default()).await;
    let platform = Arc::new(setting.world.platform.clone());
    let receivers = join_all((0..3).map(|_| Receiver::start())).await;
    for receiver in &receivers {
        receiver.subscribe(&setting).await;
    }
    let arrive = async || {
        for number in 0..MESSAGES {
            receive(&setting, &setting.agent, &number.to_string()).await;
        }
    };
    arrive().await;
    let together = tell_beside(&platform, webhooks::lease(&platform).await.expect("lease")).await;
    arrive().await;
    let mut alone = 0;
    for hook in webhooks::lease(&platform).await.expect("lease") {
        alone += tell_beside(&platform, vec![hook]).await;
    }
    assert_eq!(alone - together, (receivers.len() - 1) as u64 * MESSAGES as u64, "each message was looked up once");
    let posts = |receiver: &Receiver| -> Vec<HttpRequest> {
        receiver.http.requests().into_iter().filter(|request| request.method == "POST").collect()
    };
    let [first, others @ ..] = &receivers.iter().map(posts).collect::<Vec<_>>()[..] else { panic!("nobody") };
    assert_eq!(first.len(), 2 * MESSAGES);
    for other in others {
        for (one, two) in first.iter().zip(other).take(MESSAGES) {
            assert_eq!(String::from_utf8_lossy(&one.body), String::from_utf8_lossy(&two.body));
            assert_ne!(one.header("x-nylas-signature"), two.header("x-nylas-signature"));
        }
    }
}
