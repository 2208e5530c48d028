//! Webhooks of which nearly nothing is taken: they are failing, then they have failed, people are told of it, and they are
//! told again when they are back.

use crate::support::Setting;
use postfleet_core::EmailAddress;
use postfleet_mailflow::webhooks::{self, Connections, Worker};
use postfleet_schema::webhook::{CreateWebhook, UpdateWebhook};
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::smtp::FakeSmtp;
use postfleet_testkit::world::WorldOptions;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A receiver that answers all notifications, and all challenges, with one status.
struct Receiver {
    http: FakeHttp,
    status: Arc<AtomicU16>,
    echo: Arc<AtomicU16>,
}

impl Receiver {
    async fn start() -> Self {
        let (status, echo) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(200)));
        let (of_events, of_challenges) = (status.clone(), echo.clone());
        let http = FakeHttp::start(move |request| match request.path.split_once("challenge=") {
            Some((_, challenge)) => HttpResponse::new(of_challenges.load(Ordering::Relaxed), &[], challenge.as_bytes()),
            None => HttpResponse::status(of_events.load(Ordering::Relaxed)),
        })
        .await;
        Self { http, status, echo }
    }

    fn answers(&self, status: u16, echo: u16) {
        self.status.store(status, Ordering::Relaxed);
        self.echo.store(echo, Ordering::Relaxed);
    }

    async fn subscribe(&self, setting: &Setting, more: Value) -> Webhook {
        let mut request = json!({"trigger_types": ["message.created"], "webhook_url": self.http.url("/"),
            "description": "Orders"});
        request.as_object_mut().expect("object").extend(more.as_object().cloned().unwrap_or_default());
        let request: CreateWebhook = serde_json::from_value(request).expect("request");
        let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
        made.expect("webhook")
    }

    /// The subjects of what it was told of, and how often.
    fn told(&self) -> Vec<String> {
        let posted = self.http.requests().into_iter().filter(|request| request.method == "POST");
        let subject = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            body["data"]["object"]["subject"].as_str().unwrap_or_default().to_owned()
        };
        posted.map(|request| subject(&request.body)).collect()
    }
}

async fn receive(setting: &Setting, subject: &str) {
    let message = format!("From: a@sender.test\r\nSubject: {subject}\r\n\r\nHi\r\n");
    setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
}

/// Who tells the one webhook, as long as it is to be told.
struct Teller<'a> {
    setting: &'a Setting,
    worker: Option<Worker>,
}

impl<'a> Teller<'a> {
    fn of(setting: &'a Setting) -> Self {
        Self { setting, worker: None }
    }

    /// Tells what can be told now.
    async fn tell(&mut self) {
        let platform = &self.setting.world.platform;
        let leased = webhooks::lease(platform).await.expect("lease").pop();
        let worker = match (self.worker.take(), leased) {
            (Some(mut worker), Some(webhook)) => {
                worker.change(webhook);
                Some(worker)
            }
            (None, Some(webhook)) => {
                let begun = Worker::begin(Arc::new(platform.clone()), webhook, Connections::new(64)).await;
                Some(begun.expect("begun"))
            }
            (_, None) => None,
        };
        let Some(mut worker) = worker else { return };
        worker.hear(webhooks::head(platform).await.expect("head"));
        while !worker.has_failed() && !worker.is_idle() {
            worker.step().await.expect("step");
        }
        if worker.has_failed() {
            worker.end().await.expect("ended");
        } else {
            self.worker = Some(worker);
        }
    }

    /// Lets so much time pass, and tells what is due every twenty minutes.
    async fn pass(&mut self, mut seconds: u64) {
        while seconds > 0 {
            let step = seconds.min(1_200);
            self.setting.world.advance(step);
            self.tell().await;
            seconds -= step;
        }
    }
}

async fn found(setting: &Setting, webhook: &Webhook) -> Webhook {
    let found = webhooks::find(&setting.world.platform, setting.tenant.application_id, webhook.id).await;
    found.expect("webhook")
}

async fn status(setting: &Setting, webhook: &Webhook) -> String {
    found(setting, webhook).await.status
}

/// Asks those that have failed after so many seconds; answers how the webhook stands then.
async fn asked_after(setting: &Setting, webhook: &Webhook, seconds: u64) -> String {
    setting.world.advance(seconds);
    webhooks::resume_once(&setting.world.platform).await.expect("asked");
    status(setting, webhook).await
}

async fn change(setting: &Setting, webhook: &Webhook, request: Value) -> Webhook {
    let request: UpdateWebhook = serde_json::from_value(request).expect("request");
    let application = setting.tenant.application_id;
    webhooks::update(&setting.world.platform, application, webhook.id, &request).await.expect("updated")
}

/// The statuses that were announced.
async fn announced(setting: &Setting) -> Vec<Value> {
    let mut all = Vec::new();
    for name in ["webhook.failing", "webhook.failed", "webhook.resumed"] {
        all.extend(setting.events(name).await.into_iter().map(|facts| json!([name, facts["previous_status"]])));
    }
    all
}

#[tokio::test]
async fn who_takes_nothing_is_failing_then_has_failed_and_is_told_again_when_it_is_back() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting, json!({})).await;
    let mut teller = Teller::of(&setting);
    receiver.answers(500, 500);
    receive(&setting, "first").await;
    teller.tell().await;
    let mut statuses = Vec::new();
    // Attempts are made at 0, 30 and 930 seconds; then another event is told of.
    for seconds in [30, 869, 31] {
        teller.pass(seconds).await;
        statuses.push(status(&setting, &webhook).await);
    }
    for subject in ["second", "third", "fourth"] {
        receive(&setting, subject).await;
    }
    for seconds in [71 * 3_600, 2 * 3_600] {
        teller.pass(seconds).await;
        statuses.push(status(&setting, &webhook).await);
    }
    assert_eq!(statuses, ["active", "active", "failing", "failing", "failed"]);

    // Nothing is sent, whatever happens, and it is asked in vain.
    let tried = receiver.told().len();
    for number in 0..3 {
        receive(&setting, &format!("later {number}")).await;
        assert_eq!(asked_after(&setting, &webhook, 900).await, "failed");
        teller.tell().await;
    }
    assert_eq!(receiver.told().len(), tried);

    // It says yes once, then no, and then twice, a minute apart.
    receiver.answers(200, 200);
    assert_eq!(asked_after(&setting, &webhook, 900).await, "failed");
    receiver.answers(200, 404);
    assert_eq!(asked_after(&setting, &webhook, 60).await, "failed");
    receiver.answers(200, 200);
    assert_eq!(asked_after(&setting, &webhook, 900).await, "failed");
    assert_eq!(asked_after(&setting, &webhook, 59).await, "failed");
    assert_eq!(asked_after(&setting, &webhook, 1).await, "active");
    teller.tell().await;
    let told = receiver.told().split_off(tried);
    // The first two were given up before it was known that it takes nothing; everything else was kept.
    assert_eq!(told, ["third", "fourth", "later 0", "later 1", "later 2"]);
    let expected = json!([["webhook.failing", "active"], ["webhook.failed", "failing"], ["webhook.resumed", "failed"]]);
    assert_eq!(Value::from(announced(&setting).await), expected);
}

#[tokio::test]
async fn one_that_is_failing_is_well_when_it_takes_something() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting, json!({})).await;
    let mut teller = Teller::of(&setting);
    receiver.answers(503, 503);
    receive(&setting, "first").await;
    for seconds in [0, 30, 900] {
        teller.pass(seconds).await;
        teller.tell().await;
    }
    assert_eq!(status(&setting, &webhook).await, "failing");
    receiver.answers(200, 200);
    receive(&setting, "second").await;
    teller.pass(300).await;
    assert_eq!(
        (receiver.told().last().map(String::as_str), status(&setting, &webhook).await.as_str()),
        (Some("second"), "active")
    );
    let expected = json!([["webhook.failing", "active"], ["webhook.resumed", "failing"]]);
    assert_eq!(Value::from(announced(&setting).await), expected);
}

#[tokio::test]
async fn who_says_that_it_is_gone_has_failed_at_once_and_may_be_switched_on_again() {
    let setting = Setting::with(WorldOptions::default()).await;
    let receiver = Receiver::start().await;
    let webhook = receiver.subscribe(&setting, json!({"auto_resume": false})).await;
    let mut teller = Teller::of(&setting);
    receiver.answers(410, 200);
    receive(&setting, "one").await;
    teller.tell().await;
    assert_eq!((receiver.told().len(), status(&setting, &webhook).await.as_str()), (1, "failed"));
    // It would echo, and is not asked.
    receiver.answers(200, 200);
    let requests = receiver.http.requests().len();
    for seconds in [900, 60, 900] {
        assert_eq!(asked_after(&setting, &webhook, seconds).await, "failed");
    }
    assert_eq!(receiver.http.requests().len(), requests);
    // A change of something else leaves the status; whoever switches it on again is believed, when it echoes.
    let changed = change(&setting, &webhook, json!({"description": "Bills"})).await;
    assert_eq!((changed.status.as_str(), changed.auto_resume), ("failed", false));
    let changed = change(&setting, &webhook, json!({"status": "active"})).await;
    assert_eq!(changed.status, "active");
    teller.tell().await;
    assert_eq!((receiver.told(), status(&setting, &webhook).await.as_str()), (vec!["one".to_owned(); 2], "active"));
}

#[tokio::test]
async fn people_are_told_by_mail_once_and_a_notice_leads_to_no_other() {
    let peer = FakeSmtp::accepting().await;
    let setting = Setting::with(WorldOptions {
        mx_port: peer.address().port(),
        webhook_notices_from: Some(EmailAddress::parse("agent@acme.test").expect("address")),
        ..WorldOptions::default()
    })
    .await;
    let platform = &setting.world.platform;
    let receiver = Receiver::start().await;
    // It is told of the mail that tells of it, and of that it is failing.
    let more = json!({"notification_email_addresses": ["ops@elsewhere.test", "two@elsewhere.test"],
        "trigger_types": ["message.created", "message.delivered", "webhook.failing", "webhook.failed"]});
    let webhook = receiver.subscribe(&setting, more).await;
    let mut teller = Teller::of(&setting);
    receiver.answers(410, 500);
    receive(&setting, "one").await;
    for _ in 0..5 {
        teller.tell().await;
        webhooks::notify_once(platform).await.expect("notified");
        setting.world.deliver_due().await;
        setting.world.advance(900);
        webhooks::resume_once(platform).await.expect("asked");
    }
    let subjects = |peer: &FakeSmtp| -> Vec<(String, String)> {
        let subject = |text: &str| {
            let unfolded = text.replace("\r\n ", " ");
            let line = unfolded.lines().find_map(|line| line.strip_prefix("Subject: "));
            line.unwrap_or_default().to_owned()
        };
        peer.messages().iter().map(|message| (message.recipients.join(","), subject(&message.text()))).collect()
    };
    let failed = "the webhook Orders at 127.0.0.1".to_owned();
    let mut told = subjects(&peer);
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
    for (told, to) in told.iter().zip(["ops@elsewhere.test", "two@elsewhere.test"]) {
        assert_eq!(told.0, to);
        assert!(told.1.starts_with(&failed) && told.1.contains("has failed"), "{told:?}");
    }
    assert!(peer.messages()[0].text().contains("Auto-Submitted: auto-generated\r\n"));
    assert_eq!(announced(&setting).await, [json!(["webhook.failed", "active"])]);

    // That it is back, they are told as well.
    receiver.answers(200, 200);
    for _ in 0..3 {
        setting.world.advance(900);
        webhooks::resume_once(platform).await.expect("asked");
        teller.tell().await;
        webhooks::notify_once(platform).await.expect("notified");
        setting.world.deliver_due().await;
    }
    assert_eq!(status(&setting, &webhook).await, "active");
    let told = subjects(&peer);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[3].1.contains("is told again"), "{told:?}");
}

#[tokio::test]
async fn nobody_is_told_by_mail_where_no_mailbox_or_nobody_is_named() {
    for (name, from, addresses) in [
        ("no mailbox is named", None, json!(["ops@elsewhere.test"])),
        ("nobody is named", Some("agent@acme.test"), json!([])),
        ("the mailbox is none of ours", Some("nobody@other.test"), json!(["ops@elsewhere.test"])),
    ] {
        let peer = FakeSmtp::accepting().await;
        let setting = Setting::with(WorldOptions {
            mx_port: peer.address().port(),
            webhook_notices_from: from.map(|from| EmailAddress::parse(from).expect("address")),
            ..WorldOptions::default()
        })
        .await;
        let receiver = Receiver::start().await;
        let webhook = receiver.subscribe(&setting, json!({"notification_email_addresses": addresses})).await;
        let mut teller = Teller::of(&setting);
        receiver.answers(410, 500);
        receive(&setting, "one").await;
        for _ in 0..3 {
            teller.tell().await;
            webhooks::notify_once(&setting.world.platform).await.expect("notified");
            setting.world.deliver_due().await;
            setting.world.advance(43_200);
        }
        assert_eq!((status(&setting, &webhook).await.as_str(), peer.messages().len()), ("failed", 0), "{name}");
    }
}
