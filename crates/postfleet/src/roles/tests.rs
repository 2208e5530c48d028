//! The loops, over a world whose clock is moved by hand.

use super::*;
use postfleet_mail::Participant;
use postfleet_mailflow::submit::{self, Outgoing};
use postfleet_mailflow::{Settings, alerts};
use postfleet_schema::alert::CreateAlert;
use postfleet_schema::webhook::{CreateWebhook, UpdateWebhook};
use postfleet_store::grants::Grant;
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use tokio::task::JoinHandle;

/// How long something that happens soon is waited for: less than a receiver has to answer in this world.
const PATIENCE: Duration = Duration::from_secs(15);

async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("{what}"))
}

struct Setting {
    world: World,
    tenant: Tenant,
    agent: Grant,
}

impl Setting {
    async fn new() -> Self {
        let world = World::with(WorldOptions::default()).await;
        let tenant = world.tenant(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
        let agent = world.mailbox(&tenant, "agent").await;
        Self { world, tenant, agent }
    }

    async fn subscribe(&self, receiver: &FakeHttp) -> Webhook {
        let request = CreateWebhook {
            trigger_types: vec!["message.created".to_owned()],
            webhook_url: receiver.url("/"),
            ..CreateWebhook::default()
        };
        webhooks::create(&self.world.platform, self.tenant.application_id, &request).await.expect("webhook")
    }

    async fn set_status(&self, webhook: &Webhook, status: &str) {
        let change = UpdateWebhook { status: Some(status.to_owned()), ..UpdateWebhook::default() };
        webhooks::update(&self.world.platform, self.tenant.application_id, webhook.id, &change).await.expect("changed");
    }

    async fn receive(&self, subject: &str) {
        let message = format!("From: a@sender.test\r\nSubject: {subject}\r\n\r\nHi\r\n");
        self.world.receive("a@sender.test", &self.agent.email.to_string(), message).await.expect("accepted");
    }

    /// The webhook as it is kept.
    async fn kept(&self, webhook: &Webhook) -> Webhook {
        webhooks::find(&self.world.platform, self.tenant.application_id, webhook.id).await.expect("webhook")
    }

    fn tell(&self, platform: &Platform) -> (JoinHandle<()>, CancellationToken) {
        let stop = CancellationToken::new();
        (tokio::spawn(webhooks_until(platform.clone(), stop.clone())), stop)
    }
}

/// A receiver that echoes challenges and answers everything else with that.
async fn receiver(answer: HttpResponse) -> FakeHttp {
    FakeHttp::start(move |request: &HttpRequest| match request.path.split_once("challenge=") {
        Some((_, challenge)) => HttpResponse::new(200, &[], challenge.as_bytes()),
        None => answer.clone(),
    })
    .await
}

/// While `hanging` was asked once and does not answer, everything else is told.
async fn others_are_told(setting: &Setting, hanging: &FakeHttp, asked: usize) {
    let good = receiver(HttpResponse::status(200)).await;
    setting.subscribe(&good).await;
    let (telling, _stop) = setting.tell(&setting.world.platform);
    setting.receive("one").await;
    soon("it is asked", hanging.until_requests(asked)).await;
    for number in 2..=20 {
        setting.receive("next").await;
        soon("the one that answers waits for nobody", good.until_requests(1 + number)).await;
    }
    assert_eq!(hanging.requests().len(), asked, "it has not answered, and is not asked more");
    telling.abort();
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_no_other() {
    let setting = Setting::new().await;
    let hanging = receiver(HttpResponse::hold()).await;
    setting.subscribe(&hanging).await;
    others_are_told(&setting, &hanging, 2).await;
}

#[tokio::test]
async fn a_chat_that_hangs_delays_no_webhook() {
    let setting = Setting::new().await;
    let chat = receiver(HttpResponse::hold()).await;
    let alert = CreateAlert {
        kind: Some("chat".to_owned()),
        email: None,
        from_grant_id: None,
        url: Some(chat.url("/")),
        trigger_types: None,
        workspace_id: None,
        description: None,
    };
    let platform = &setting.world.platform;
    let act = setting.world.act(&setting.tenant);
    alerts::create(platform, act, setting.tenant.application_id, alert).await.expect("alert");
    // The one message of the day: the quota is reached.
    let outgoing = Outgoing {
        to: vec![Participant { name: String::new(), email: "ada@null.test".to_owned() }],
        subject: "Hello".to_owned(),
        body: "Hi".to_owned(),
        ..Outgoing::default()
    };
    submit::send(platform, &setting.agent, outgoing).await.expect("accepted");
    others_are_told(&setting, &chat, 1).await;
}

#[tokio::test]
async fn the_end_waits_for_what_is_under_way_and_keeps_what_came_of_it() {
    let setting = Setting::new().await;
    let hanging = receiver(HttpResponse::hold()).await;
    let webhook = setting.subscribe(&hanging).await;
    let begun_at = setting.kept(&webhook).await.position;
    let mut platform = setting.world.platform.clone();
    let settings = (*platform.settings).clone();
    platform.settings = Arc::new(Settings { webhook_deadline: Duration::from_millis(300), ..settings });
    let (telling, stop) = setting.tell(&platform);
    setting.receive("one").await;
    soon("it is asked", hanging.until_requests(2)).await;
    assert_eq!(setting.kept(&webhook).await.position, begun_at);
    stop.cancel();
    soon("it ends", telling).await.expect("no panic");
    let head = webhooks::head(&platform).await.expect("head");
    assert_eq!(setting.kept(&webhook).await.position, head, "the event is noted, and the position has passed it");
    // It is attempted again when it is due, and not before.
    let round = webhooks::round(&platform, &mut setting.kept(&webhook).await).await.expect("round");
    let due = round.next_due.expect("something waits").since(platform.clock.now());
    assert_eq!((due, hanging.requests().len()), (Duration::from_secs(30), 2));
}

#[tokio::test]
async fn a_webhook_that_is_paused_changed_and_resumed_is_told_in_between_of_nothing_and_then_of_all() {
    let setting = Setting::new().await;
    let good = receiver(HttpResponse::status(200)).await;
    let webhook = setting.subscribe(&good).await;
    let (telling, stop) = setting.tell(&setting.world.platform);
    setting.receive("one").await;
    soon("it is told", good.until_requests(2)).await;
    setting.set_status(&webhook, "pause").await;
    // The position is committed as the task ends; from then on nothing is told.
    soon("it has ended", async {
        while setting.kept(&webhook).await.position < webhooks::head(&setting.world.platform).await.expect("head") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    setting.receive("two").await;
    assert_eq!(good.requests().len(), 2);
    setting.set_status(&webhook, "active").await;
    soon("the challenge, and what came meanwhile", good.until_requests(4)).await;
    stop.cancel();
    soon("it ends", telling).await.expect("no panic");
}
