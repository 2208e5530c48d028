//! What a message bus has: every event once and in order, whatever the bus loses and whoever ends in between.

use crate::support::Setting;
use postfleet_bus::{Bus, Message};
use postfleet_mailflow::bus::{self, BusSettings, Next, POSITION, Publisher, SEQUENCE, routes};
use postfleet_store::events;
use postfleet_testkit::bus::SimulatedBus;
use postfleet_testkit::world::{NewTenant, WorldOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const STREAM: &str = "POSTFLEET_EVENTS";

/// A setting whose bus is this one, and the publisher of its node.
struct Stage {
    setting: Setting,
    bus: SimulatedBus,
    publisher: Publisher,
}

impl Stage {
    async fn new() -> Self {
        let bus = SimulatedBus::start();
        let setting = Setting::with(WorldOptions { bus: Some(bus.clone()), ..WorldOptions::default() }).await;
        let publisher = publisher(&setting, &bus).await;
        let mut stage = Self { setting, bus, publisher };
        // It begins at the end of the log.
        stage.publish().await;
        assert_eq!(stage.told(), Vec::<String>::new());
        stage
    }

    /// Mail comes in, one message for each subject.
    async fn receive(&self, subjects: &[&str]) {
        for subject in subjects {
            let to = self.setting.agent.email.to_string();
            let message = format!("From: ada@people.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHi\r\n");
            self.setting.world.receive("ada@people.test", &to, message).await.expect("accepted");
        }
    }

    /// Publishes until nothing is left to do, however long that takes.
    async fn publish(&mut self) {
        for _ in 0..200 {
            match self.publisher.round().await.expect("round") {
                Next::More => {}
                Next::Lost => return,
                Next::At(_) if self.lag().await == 0 => {
                    self.setting.world.clock.advance(Duration::from_millis(100));
                    self.publisher.round().await.expect("round");
                    return;
                }
                Next::At(_) => self.setting.world.clock.advance(Duration::from_secs(10)),
            }
        }
        panic!("the bus was not told of everything");
    }

    async fn lag(&self) -> i64 {
        let mut reader = self.setting.world.platform.store.reader().await.expect("reader");
        let last = self.bus.messages(STREAM).last().map_or(0, position);
        // Before anything was published, nothing waits.
        let head = events::head(&mut reader).await.expect("head");
        if last == 0 && self.bus.messages(STREAM).is_empty() { 0 } else { head - last }
    }

    /// The process is killed, and another takes its place.
    async fn kill(&mut self) {
        self.publisher = publisher(&self.setting, &self.bus).await;
    }

    /// The subjects of new messages in the stream, in order.
    fn told(&self) -> Vec<String> {
        let bodies = self.bus.messages(STREAM);
        bodies.iter().map(body).filter(|body| body["type"] == "message.created").map(|body| subject(&body)).collect()
    }

    /// That the stream is the log from `first` on, without gaps, repeats or disorder.
    async fn is_whole(&self, first: i64) {
        let mut reader = self.setting.world.platform.store.reader().await.expect("reader");
        let log = events::after(&mut reader, first, 1_000).await.expect("events");
        let expected: Vec<_> = log.iter().map(|event| (event.position, event.event.id.to_string())).collect();
        let have = self.bus.messages(STREAM);
        let have: Vec<_> =
            have.iter().map(|one| (position(one), body(one)["id"].as_str().expect("id").to_owned())).collect();
        assert_eq!(have, expected);
    }
}

async fn publisher(setting: &Setting, bus: &SimulatedBus) -> Publisher {
    let platform = &setting.world.platform;
    let reader = bus::lease(platform).await.expect("lease").expect("nobody else publishes");
    let bus: Arc<dyn Bus> = Arc::new(bus.clone());
    Publisher::begin(platform, &platform.settings.bus, bus, reader)
}

fn position(message: &Message) -> i64 {
    header(message, POSITION).parse().expect("position")
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    &message.headers.iter().find(|(known, _)| *known == name).expect("header").1
}

fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.body).expect("JSON")
}

fn subject(body: &Value) -> String {
    body["data"]["object"]["subject"].as_str().unwrap_or_default().to_owned()
}

async fn head(stage: &Stage) -> i64 {
    let mut reader = stage.setting.world.platform.store.reader().await.expect("reader");
    events::head(&mut reader).await.expect("head")
}

#[tokio::test]
async fn an_event_is_published_once_with_what_webhooks_are_told() {
    let mut stage = Stage::new().await;
    stage.receive(&["one"]).await;
    stage.publish().await;
    let messages = stage.bus.messages(STREAM);
    let message = messages.iter().find(|message| body(message)["type"] == "message.created").expect("told");
    let (told, grant) = (body(message), stage.setting.agent.id.to_string());
    let application = stage.setting.tenant.application_id;
    assert_eq!(message.subject, format!("postfleet.events.{application}.{grant}.message.created"));
    assert_eq!(message.id, told["id"].as_str().unwrap());
    assert_eq!(header(message, SEQUENCE), told["data"]["grant_sequence"].to_string());
    assert_eq!((subject(&told).as_str(), &told["data"]["grant_id"]), ("one", &Value::from(grant)));
    // Nothing comes again.
    let before = messages.len();
    stage.publish().await;
    stage.kill().await;
    stage.publish().await;
    assert_eq!(stage.bus.messages(STREAM).len(), before);
}

#[tokio::test]
async fn what_happens_while_the_bus_is_away_is_published_when_it_is_back() {
    let mut stage = Stage::new().await;
    let first = head(&stage).await;
    stage.receive(&["one"]).await;
    stage.publish().await;
    stage.bus.disconnect();
    stage.receive(&["two", "three"]).await;
    assert!(matches!(stage.publisher.round().await.expect("round"), Next::At(_)));
    stage.bus.connect();
    stage.receive(&["four"]).await;
    stage.publish().await;
    assert_eq!(stage.told(), ["one", "two", "three", "four"]);
    stage.is_whole(first).await;
}

#[tokio::test]
async fn when_one_is_lost_all_behind_it_wait_for_it() {
    for lost in 0..6 {
        let mut stage = Stage::new().await;
        let first = head(&stage).await;
        stage.receive(&["zero"]).await;
        stage.publish().await;
        stage.receive(&["one", "two", "three", "four", "five", "six"]).await;
        stage.bus.lose(lost);
        stage.publish().await;
        assert_eq!(stage.told(), ["zero", "one", "two", "three", "four", "five", "six"], "lost {lost}");
        stage.is_whole(first).await;
    }
}

#[tokio::test]
async fn who_ends_before_it_is_written_down_repeats_nothing() {
    let mut stage = Stage::new().await;
    let first = head(&stage).await;
    stage.receive(&["one", "two", "three"]).await;
    // Published, and not committed.
    while stage.publisher.round().await.expect("round") == Next::More {}
    // The bus knows no ids any more; that is no matter, since its last message says how far it goes.
    stage.bus.restart();
    stage.kill().await;
    stage.receive(&["four"]).await;
    stage.publish().await;
    stage.is_whole(first).await;
}

#[tokio::test]
async fn what_the_bus_has_lost_is_published_again_in_order() {
    for lost in [1, 2, 4] {
        let mut stage = Stage::new().await;
        let first = head(&stage).await;
        stage.receive(&["one", "two", "three", "four", "five"]).await;
        stage.publish().await;
        stage.bus.truncate(lost);
        stage.publish_after_loss(&["six"]).await;
        assert_eq!(stage.told(), ["one", "two", "three", "four", "five", "six"], "lost {lost}");
        stage.is_whole(first).await;
    }
}

#[tokio::test]
async fn a_bus_that_was_wiped_gets_everything_that_it_would_still_keep() {
    let mut stage = Stage::new().await;
    stage.receive(&["one", "two"]).await;
    stage.publish().await;
    stage.bus.wipe();
    stage.publish_after_loss(&["three"]).await;
    // Also what was before the bus: it keeps what happened in the last days.
    stage.is_whole(0).await;
    assert_eq!(stage.told(), ["one", "two", "three"]);
    // What is older than that stays away.
    stage.setting.world.clock.advance(BusSettings::default().keep + Duration::from_secs(7_200));
    stage.receive(&["four"]).await;
    stage.publish().await;
    stage.bus.wipe();
    stage.kill().await;
    stage.publish_after_loss(&["five"]).await;
    assert_eq!(stage.told(), ["four", "five"]);
}

#[tokio::test]
async fn a_stream_that_was_emptied_is_filled_although_it_knows_the_ids() {
    let mut stage = Stage::new().await;
    stage.receive(&["one", "two"]).await;
    stage.publish().await;
    stage.bus.purge();
    // Found out when it connects the next time.
    stage.bus.disconnect();
    stage.bus.connect();
    stage.publish_after_loss(&["three"]).await;
    assert_eq!(stage.told(), ["one", "two", "three"]);
    stage.is_whole(0).await;
    let messages = stage.bus.messages(STREAM);
    assert!(messages[0].id.contains('/'), "{}", messages[0].id);
}

#[tokio::test]
async fn a_node_that_lost_its_lease_publishes_nothing_out_of_order() {
    let mut stage = Stage::new().await;
    let first = head(&stage).await;
    stage.receive(&["one"]).await;
    stage.publish().await;
    let mut old = std::mem::replace(&mut stage.publisher, publisher(&stage.setting, &stage.bus).await);
    stage.receive(&["two"]).await;
    stage.publish().await;
    stage.receive(&["three"]).await;
    // The old one wakes up and goes on where it was: the stream does not take it.
    stage.setting.world.clock.advance(Duration::from_secs(15));
    assert!(lost(&mut old).await);
    stage.publish().await;
    assert_eq!(stage.told(), ["one", "two", "three"]);
    stage.is_whole(first).await;
}

async fn lost(publisher: &mut Publisher) -> bool {
    for _ in 0..5 {
        if publisher.round().await.expect("round") == Next::Lost {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn events_are_kept_for_the_bus_until_it_has_them() {
    let mut stage = Stage::new().await;
    stage.receive(&["one"]).await;
    stage.publish().await;
    stage.bus.disconnect();
    stage.receive(&["two"]).await;
    let store = stage.setting.world.platform.store.clone();
    // Longer than events are kept; its node is alive all the time.
    for _ in 0..32 {
        stage.setting.world.clock.advance(Duration::from_secs(86_400));
        stage.publisher.round().await.expect("round");
    }
    let before = stage.setting.world.platform.clock.now().minus(Duration::from_secs(30 * 86_400));
    let prune =
        events::PruneEvents { before, unread_before: before.minus(Duration::from_secs(30 * 86_400)), limit: 10 };
    while store.run(prune).await.expect("prune").events > 0 {}
    stage.bus.connect();
    stage.publish().await;
    assert_eq!(stage.told(), ["one", "two"]);
}

impl Stage {
    /// More mail comes, and everything is published that is missing.
    async fn publish_after_loss(&mut self, subjects: &[&str]) {
        self.receive(subjects).await;
        // The stream is asked before anything is known to be missing.
        self.publisher.round().await.expect("round");
        self.publish().await;
    }
}

const WORK: &str = "POSTFLEET_WORK";

/// Makes a rule of the application.
async fn route(stage: &Stage, rule: Value) {
    let (world, tenant) = (&stage.setting.world, &stage.setting.tenant);
    let request = serde_json::from_value(rule).expect("request");
    let made = routes::create(&world.platform, world.act(tenant), tenant.application_id, request).await;
    made.expect("made");
}

/// What was given to subjects: the last token of each and what the message is about.
fn given(stage: &Stage) -> Vec<(String, String)> {
    let work = stage.bus.messages(WORK);
    let one = |message: &Message| {
        let begin = format!("postfleet.work.{}.", stage.setting.tenant.application_id);
        let token = message.subject.strip_prefix(&begin).expect("of the application").to_owned();
        (token, subject(&body(message)))
    };
    work.iter().map(one).collect()
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(token, subject)| ((*token).to_owned(), (*subject).to_owned())).collect()
}

#[tokio::test]
async fn an_event_that_meets_a_rule_is_given_to_its_subject_besides() {
    let mut stage = Stage::new().await;
    let created = json!({"trigger": ["message.created"]});
    route(&stage, json!({"subject": "later", "match": created, "priority": 200})).await;
    route(&stage, json!({"subject": "ada", "match": {"trigger": ["message.created"], "from_domain": ["people.test"]}}))
        .await;
    route(&stage, json!({"subject": "off", "enabled": false, "priority": 0})).await;
    stage.receive(&["one", "two"]).await;
    let to = stage.setting.agent.email.to_string();
    let message = format!("From: eve@other.test\r\nTo: {to}\r\nSubject: three\r\n\r\nHi\r\n");
    stage.setting.world.receive("eve@other.test", &to, message).await.expect("accepted");
    stage.publish().await;
    assert_eq!(given(&stage), pairs(&[("ada", "one"), ("ada", "two"), ("later", "three")]));
    stage.is_whole(header_position(&stage) - 1).await;
    // The same message, and the same id.
    let (all, work) = (stage.bus.messages(STREAM), stage.bus.messages(WORK));
    let of = |wanted: &str| all.iter().find(|one| subject(&body(one)) == wanted).expect("told");
    assert_eq!((&of("one").id, &of("one").body), (&work[0].id, &work[0].body));
}

/// The position of the first message of the stream.
fn header_position(stage: &Stage) -> i64 {
    stage.bus.messages(STREAM).first().map(position).expect("told")
}

#[tokio::test]
async fn what_is_given_to_subjects_is_not_lost_when_the_bus_or_the_process_ends() {
    let mut stage = Stage::new().await;
    route(&stage, json!({"subject": "s", "match": {"trigger": ["message.created"]}})).await;
    let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    for (number, name) in names.iter().enumerate() {
        stage.receive(&[name]).await;
        match number % 4 {
            // Any of the messages that are published for it is lost.
            0 => stage.bus.lose((number / 4) as u64),
            1 => {
                stage.bus.disconnect();
                let _ = stage.publisher.round().await.expect("round");
                stage.bus.connect();
            }
            2 => {
                let _ = stage.publisher.round().await.expect("round");
                stage.kill().await;
            }
            _ => stage.bus.restart(),
        }
        stage.publish().await;
    }
    let wanted: Vec<_> = names.iter().map(|name| ("s".to_owned(), name.clone())).collect();
    assert_eq!(given(&stage), wanted, "each once: the bus knows repeats");
    // What was wiped is given again with everything else.
    stage.bus.wipe();
    stage.receive(&["after"]).await;
    stage.publish().await;
    let given = given(&stage);
    assert_eq!((given.len(), given.last().map(|(_, subject)| subject.as_str())), (13, Some("after")));
}

#[tokio::test]
async fn rules_are_of_one_application() {
    let mut stage = Stage::new().await;
    let world = &stage.setting.world;
    let other = world.tenant(NewTenant::of("other.test")).await;
    let request = serde_json::from_value(json!({"subject": "theirs"})).expect("request");
    routes::create(&world.platform, world.act(&other), other.application_id, request).await.expect("made");
    stage.receive(&["one"]).await;
    stage.publish().await;
    let work = stage.bus.messages(WORK);
    let begin = format!("postfleet.work.{}.", other.application_id);
    assert!(work.iter().all(|message| message.subject.starts_with(&begin)), "{work:?}");
}
