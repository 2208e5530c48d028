//! What is kept of attempts, and that no secret is among it.

use crate::support::Setting;
use crate::webhooks::{receive, settle};
use postfleet_mailflow::{janitor, webhooks};
use postfleet_schema::attempt::WebhookAttempt;
use postfleet_schema::webhook::CreateWebhook;
use postfleet_store::webhook_attempts::Wanted;
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::world::WorldOptions;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Answer = Arc<Mutex<fn(&HttpRequest) -> HttpResponse>>;

/// A receiver that echoes challenges, and answers notifications as it is told to.
async fn receiver() -> (FakeHttp, Answer) {
    let taken: fn(&HttpRequest) -> HttpResponse = |_| HttpResponse::status(200);
    let answer: Answer = Arc::new(Mutex::new(taken));
    let now = answer.clone();
    let http = FakeHttp::start(move |request| match request.path.split_once("challenge=") {
        Some((_, challenge)) => HttpResponse::new(200, &[], challenge.as_bytes()),
        None => (*now.lock().expect("answer"))(request),
    })
    .await;
    (http, answer)
}

async fn subscribe(setting: &Setting, url: String, compressed: bool) -> Webhook {
    let request = json!({"trigger_types": ["message.created"], "webhook_url": url, "compressed_delivery": compressed});
    let request: CreateWebhook = serde_json::from_value(request).expect("request");
    let made = webhooks::create(&setting.world.platform, setting.tenant.application_id, &request).await;
    made.expect("webhook")
}

async fn attempts(setting: &Setting, webhook: &Webhook) -> Vec<WebhookAttempt> {
    let page = (None, 200);
    let found = webhooks::attempted::attempts(&setting.world.platform, webhook, Wanted::default(), page).await;
    found.expect("attempts").0
}

#[tokio::test]
async fn what_was_not_taken_is_kept_for_a_while_and_of_the_others_the_last() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (http, answer) = receiver().await;
    let webhook = subscribe(&setting, http.url("/"), true).await;
    *answer.lock().expect("answer") = |_| HttpResponse::new(500, &[("X-Big", "x")], &[b'x'; 5_000]);
    receive(&setting, &setting.agent, "refused").await;
    settle(&setting).await;
    *answer.lock().expect("answer") = |_| HttpResponse::hang_up();
    setting.world.advance(30);
    settle(&setting).await;
    *answer.lock().expect("answer") = |_| HttpResponse::status(200);
    setting.world.advance(15 * 60);
    for number in 0..60 {
        settle(&setting).await;
        receive(&setting, &setting.agent, &number.to_string()).await;
    }
    settle(&setting).await;
    let found = attempts(&setting, &webhook).await;
    // The last fifty, and before them the third attempt of the first, which was taken after two that were not.
    let outcomes: Vec<_> = found.iter().map(|one| (one.outcome, one.attempt, one.reason.as_deref())).collect();
    assert_eq!(outcomes[..50], [("taken", 1, None); 50]);
    let expected = [("taken", 3, None), ("failed", 2, Some("connection_broken")), ("failed", 1, Some("status_500"))];
    assert_eq!(outcomes[50..], expected);
    let refused = &found[52];
    assert_eq!((refused.status, refused.answer_body.as_ref().map(String::len)), (Some(500), Some(4_096)));
    assert_eq!((found[51].status, &found[51].answer_body), (None, &None));

    // What was packed is made again as it was sent.
    let one = webhooks::attempted::attempt(&setting.world.platform, &webhook, &refused.id).await.expect("attempt");
    assert_eq!(one.request_body_is_as_sent, Some(true));
    assert!(one.request_body.expect("body").contains("refused"));

    let days = setting.world.platform.settings.webhook_attempt_retention.as_secs();
    setting.world.advance(days - 60);
    janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    assert!(!attempts(&setting, &webhook).await.is_empty());
    setting.world.advance(20 * 60);
    janitor::clean_once(&setting.world.platform).await.expect("cleaned");
    assert!(attempts(&setting, &webhook).await.is_empty());
}

#[tokio::test]
async fn neither_a_secret_nor_a_query_of_a_url_is_kept_or_shown() {
    const CANARY: &str = "canary-7f3a";
    let setting = Setting::with(WorldOptions::default()).await;
    let (http, answer) = receiver().await;
    let webhook = subscribe(&setting, http.url(&format!("/hook?token={CANARY}&x=%63anary-7f3a")), false).await;
    // It says back all that it was asked, in a header and in the body.
    *answer.lock().expect("answer") = |request| {
        let asked = format!("{} {:?}", request.path, request.headers);
        let location = format!("/elsewhere?{}", request.path.split_once('?').map_or("", |(_, query)| query));
        let fields = [("Location", location.as_str()), ("Set-Cookie", "session=canary-7f3a")];
        HttpResponse::new(307, &fields, asked.as_bytes())
    };
    receive(&setting, &setting.agent, "hello").await;
    settle(&setting).await;
    let posted: Vec<_> = http.requests().into_iter().filter(|request| request.method == "POST").collect();
    let mut secrets = vec![CANARY.to_owned(), "%63anary".to_owned(), webhook.secret.expose().clone()];
    for name in ["x-nylas-signature", "webhook-signature"] {
        secrets.push(posted[0].header(name).expect("signature").to_owned());
    }
    let found = attempts(&setting, &webhook).await;
    let shown = serde_json::to_string(&found).expect("JSON");
    assert!(
        shown.contains("/elsewhere?…") && shown.contains("/hook?…") && shown.contains("webhook-timestamp"),
        "{shown}"
    );
    let one = webhooks::attempted::attempt(&setting.world.platform, &webhook, &found[0].id).await.expect("attempt");
    let one = serde_json::to_string(&one).expect("JSON");
    for secret in &secrets {
        assert!(!shown.contains(secret.as_str()) && !one.contains(secret.as_str()), "{secret} is shown: {shown}");
    }
    // Not even where nothing is shown: bodies and the database have no signature.
    webhooks::remove(&setting.world.platform, setting.tenant.application_id, webhook.id).await.expect("removed");
    for signature in &secrets[3..] {
        let kept = files(setting.world.folder()).into_iter().filter(|path| holds(path, signature)).count();
        assert_eq!(kept, 0, "{signature}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(path: &Path, text: &str) -> bool {
    let octets = std::fs::read(path).expect("file");
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}
