//! Sends that come by the message bus: each accepted once, whatever is given out again, and those that are refused put aside
//! with the reason.

use crate::support::Setting;
use bytes::Bytes;
use postfleet_bus::{Bus, Expected, Message};
use postfleet_mailflow::bus::{BusSettings, Intake, parked};
use postfleet_mailflow::janitor;
use postfleet_testkit::bus::SimulatedBus;
use postfleet_testkit::world::WorldOptions;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const QUEUE: &str = "POSTFLEET_SEND";
const OUTCOMES: &str = "POSTFLEET_SENT";

/// A setting whose bus is this one, and who takes sends from it.
struct Stage {
    setting: Setting,
    bus: SimulatedBus,
    intake: Intake,
}

impl Stage {
    async fn new() -> Self {
        let bus = SimulatedBus::start();
        let setting = Setting::with(WorldOptions { bus: Some(bus.clone()), ..WorldOptions::default() }).await;
        let intake = Intake::begin(&setting.world.platform, Arc::new(bus.clone()));
        let mut stage = Self { setting, bus, intake };
        // The queue is made.
        stage.round().await;
        stage
    }

    /// Publishes a send of the mailbox, or of whatever the subject says.
    async fn publish(&self, sender: Option<&str>, id: &str, body: impl Into<Bytes>) {
        let Setting { tenant, agent, .. } = &self.setting;
        let own = format!("{}.{}", tenant.application_id, agent.id);
        let subject = format!("postfleet.send.{}", sender.unwrap_or(&own));
        let message = Message {
            subject,
            id: id.to_owned(),
            expected: Expected::Anything,
            headers: Vec::new(),
            body: body.into(),
        };
        self.bus.publish(message).await.expect("published").await.expect("stored");
    }

    /// Takes what there is and works on it.
    async fn round(&mut self) {
        let taken = self.intake.take().await;
        self.intake.work(taken).await;
    }

    /// Subjects of what the mailbox has sent, oldest first.
    async fn sent(&self) -> Vec<String> {
        let mut sent = self.setting.folder(&self.setting.agent, "sent").await;
        sent.reverse();
        sent.into_iter().map(|message| message.subject).collect()
    }

    /// What is parked: the word and the field of each, oldest first.
    async fn parked(&self) -> Vec<(String, String)> {
        let (platform, application) = (&self.setting.world.platform, self.setting.tenant.application_id);
        let (mut parked, _) = parked::list(platform, application, (200, None)).await.expect("list");
        parked.reverse();
        parked.into_iter().map(|one| (one.error.code, one.error.field.unwrap_or_default())).collect()
    }

    /// What was told, first to last.
    fn told(&self) -> Vec<Value> {
        self.bus.messages(OUTCOMES).iter().map(|one| serde_json::from_slice(&one.body).expect("JSON")).collect()
    }
}

fn letter(subject: &str) -> String {
    json!({"to": [{"email": "ada@people.test"}], "subject": subject, "body": "Hi"}).to_string()
}

#[tokio::test]
async fn what_is_published_is_sent_and_told() {
    let mut stage = Stage::new().await;
    for subject in ["one", "two", "three"] {
        stage.publish(None, subject, letter(subject)).await;
    }
    stage.round().await;
    let mut sent = stage.sent().await;
    // All of one moment, which lists show in no order of theirs.
    sent.sort();
    assert_eq!(sent, ["one", "three", "two"]);
    assert_eq!(stage.bus.messages(QUEUE), []);
    let told = stage.told();
    let ids: Vec<_> = told.iter().map(|one| one["id"].as_str().expect("id")).collect();
    assert_eq!(ids, ["one", "two", "three"], "those of one mailbox in their order");
    let (first, agent) = (&told[0], stage.setting.agent.id.to_string());
    assert_eq!((&first["id"], &first["status"], &first["error"]), (&json!("one"), &json!(200), &Value::Null));
    assert_eq!((&first["grant_id"], &first["data"]["duplicate"]), (&json!(agent), &json!(false)));
    let subject = format!("postfleet.sent.{}.{agent}", stage.setting.tenant.application_id);
    assert_eq!(stage.bus.messages(OUTCOMES)[0].subject, subject);
}

#[tokio::test]
async fn what_is_given_out_again_is_not_sent_again() {
    for id in ["key", ""] {
        let mut stage = Stage::new().await;
        stage.publish(None, id, letter("once")).await;
        // It is committed, and then the bus is lost before it hears that.
        let taken = stage.intake.take().await;
        stage.bus.disconnect();
        stage.intake.work(taken).await;
        assert_eq!(stage.sent().await, ["once"]);
        assert_eq!(stage.bus.messages(QUEUE).len(), 1, "it is still there");
        stage.bus.connect();
        stage.bus.give_out_again();
        stage.round().await;
        assert_eq!(stage.sent().await, ["once"], "with id {id:?}");
        assert_eq!(stage.bus.messages(QUEUE), []);
        assert_eq!(stage.told().last().expect("told")["data"]["duplicate"], true);
        // Another process has no memory of its own, and a month is nothing.
        stage.setting.world.clock.advance(Duration::from_secs(29 * 86_400));
        janitor::clean_once(&stage.setting.world.platform).await.expect("cleaned");
        if !id.is_empty() {
            stage.bus.wipe();
            stage.intake = Intake::begin(&stage.setting.world.platform, Arc::new(stage.bus.clone()));
            stage.round().await;
            stage.publish(None, id, letter("once")).await;
            stage.round().await;
            assert_eq!(stage.sent().await, ["once"]);
        }
    }
}

#[tokio::test]
async fn what_will_not_succeed_is_put_aside_with_the_reason() {
    /// A name, the sender, the id of the message, its body; the code and the field of the refusal.
    type Row<'r> = (&'r str, Option<&'r str>, &'r str, String, (&'r str, &'r str));
    let mut stage = Stage::new().await;
    let application = stage.setting.tenant.application_id.to_string();
    let nobody = format!("{application}.01900000-0000-7000-8000-000000000000");
    let by = |field: &str, value: Value| {
        let mut letter: Value = serde_json::from_str(&letter("x")).expect("JSON");
        letter[field] = value;
        letter.to_string()
    };
    let many: Vec<Value> = (0..51).map(|number| json!({"email": format!("a{number}@people.test")})).collect();
    let large = by("body", json!("x".repeat(4 << 20)));
    let rows: Vec<Row<'_>> = vec![
        ("no JSON", None, "a", "{".to_owned(), ("invalid_request", "")),
        ("nothing", None, "b", String::new(), ("invalid_request", "")),
        ("a list", None, "c", "[]".to_owned(), ("invalid_request", "")),
        ("no recipient", None, "d", "{}".to_owned(), ("invalid_request", "to")),
        ("a wrong type", None, "e", by("subject", json!(1)), ("invalid_request", "subject")),
        ("no mailbox", Some(&nobody), "f", letter("x"), ("not_found", "")),
        (
            "another sender",
            None,
            "g",
            by("from", json!([{"email": "ceo@acme.test"}])),
            ("invalid_request", "from[0].email"),
        ),
        ("too many recipients", None, "h", by("to", json!(many)), ("too_many_recipients", "")),
        (
            "a wrong header",
            None,
            "i",
            by("custom_headers", json!([{"name": "Bcc", "value": "x"}])),
            ("invalid_request", "custom_headers[0].name"),
        ),
        ("too large", None, "j", large, ("json_too_large", "")),
        ("too late", None, "k", by("send_at", json!(1)), ("invalid_request", "send_at")),
    ];
    for (name, sender, id, body, (code, field)) in rows {
        let before = stage.parked().await.len();
        stage.publish(sender, id, body).await;
        stage.round().await;
        let parked = stage.parked().await;
        assert_eq!(parked.len(), before + 1, "{name}");
        let (found, at) = &parked[before];
        assert_eq!(found, code, "{name}");
        if !field.is_empty() {
            assert_eq!(at, field, "{name}");
        }
        assert_eq!(stage.bus.messages(QUEUE), [], "{name}");
        assert_eq!(stage.told().last().expect("told")["error"]["code"], code, "{name}");
        stage.setting.world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(stage.sent().await, Vec::<String>::new());
    // Nobody's.
    stage.publish(Some("nobody.x"), "l", letter("x")).await;
    stage.publish(Some("01900000-0000-7000-8000-000000000000.x"), "m", letter("x")).await;
    let before = stage.parked().await.len();
    stage.round().await;
    assert_eq!(stage.bus.messages(QUEUE), []);
    assert_eq!(stage.parked().await.len(), before);
    // After a month they are gone.
    stage.setting.world.clock.advance(Duration::from_secs(30 * 86_400));
    janitor::clean_once(&stage.setting.world.platform).await.expect("cleaned");
    assert_eq!(stage.parked().await, []);
}

#[tokio::test]
async fn what_is_refused_by_a_rule_is_put_aside_and_a_used_up_quota_is_waited_for() {
    let mut stage = Stage::new().await;
    for number in 0..100 {
        stage.setting.send(&[&format!("a{number}@people.test")]).await.expect("accepted");
    }
    stage.publish(None, "late", letter("late")).await;
    stage.round().await;
    assert_eq!(stage.bus.messages(QUEUE).len(), 1, "it waits in the bus");
    assert_eq!((stage.parked().await, stage.told()), (Vec::new(), Vec::new()));
    for _ in 0..10 {
        stage.setting.world.clock.advance(Duration::from_secs(900));
        stage.bus.give_out_again();
        stage.round().await;
    }
    assert_eq!(stage.parked().await, [], "however often it is tried");
    stage.setting.world.clock.advance(Duration::from_secs(86_400));
    stage.bus.give_out_again();
    stage.round().await;
    assert_eq!(stage.sent().await.last().map(String::as_str), Some("late"));
    assert_eq!(stage.bus.messages(QUEUE), []);
}

#[tokio::test]
async fn while_the_bus_is_away_nothing_is_lost_and_nothing_is_taken() {
    let mut stage = Stage::new().await;
    stage.publish(None, "one", letter("one")).await;
    stage.bus.restart();
    stage.bus.give_out_again();
    stage.round().await;
    assert_eq!(stage.sent().await, ["one"]);
    // A bus that lost its streams has them again.
    stage.bus.wipe();
    stage.round().await;
    stage.publish(None, "two", letter("two")).await;
    stage.round().await;
    assert_eq!(stage.sent().await, ["one", "two"]);
    assert!(!BusSettings::default().send, "whoever may publish may send: that is to be wanted");
}
