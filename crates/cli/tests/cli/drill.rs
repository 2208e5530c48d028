//! `postfleet drill` where everybody is told and where somebody is not: it says who and why, ends with 4, and takes away what
//! it made.

use crate::server::{Installation, Ran, type_in_at};
use postfleet_mailflow::deliver;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use serde_json::{Value, json};

async fn drill(installation: &Installation, flags: &[&str]) -> Ran {
    let words: Vec<String> =
        ["postfleet", "drill", "quota"].iter().chain(flags).map(|word| (*word).to_owned()).collect();
    type_in_at(&words, installation.variables(), "", false, installation.pause()).await
}

async fn with_chat(status: u16) -> (Installation, FakeHttp) {
    let installation = Installation::new().await;
    installation.world.mailbox(&installation.acme, "support").await;
    let chat = FakeHttp::start(move |_| HttpResponse::status(status)).await;
    let made = installation.ask("alerts", &json!({"type": "chat", "url": chat.url("/hook")})).await;
    assert!(made["id"].is_string(), "{made}");
    (installation, chat)
}

#[tokio::test]
async fn a_chat_that_takes_it_passes() {
    let (installation, chat) = with_chat(200).await;
    let ran = drill(&installation, &["--json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    let steps: Vec<_> = report["steps"].as_array().expect("steps").iter().map(|step| &step["passed"]).collect();
    assert_eq!(steps, [true, true, true, true, true]);
    let told: Vec<String> =
        chat.requests().iter().map(|asked| String::from_utf8_lossy(&asked.body).into_owned()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("has used all 2 messages") && told[1].contains("and was refused"), "{told:?}");
}

#[tokio::test]
async fn a_chat_that_does_not_take_it_fails_and_nothing_is_left() {
    let (installation, _chat) = with_chat(404).await;
    let ran = drill(&installation, &["--within", "3"]).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("FAIL  tell the chat at 127.0.0.1:"), "{}", ran.stdout);
    assert!(ran.stdout.contains("not taken, and tried again later within 3 seconds"), "{}", ran.stdout);
    assert!(ran.stdout.contains("help  a test says: the chat answered with status 404"), "{}", ran.stdout);
    assert!(ran.stderr.contains("1 of 5 steps failed"), "{}", ran.stderr);
    for (list, expected) in [("grants", 1), ("policies", 0), ("workspaces", 1)] {
        let left = installation.list(list).await;
        assert_eq!(left.as_array().expect("list").len(), expected, "{list}: {left}");
    }
}

/// Runs a drill of outcomes, where mail is delivered while it waits, or not.
async fn drill_of(installation: &Installation, what: &str, delivers: bool) -> Ran {
    let words = ["postfleet", "drill", what, "--domain", "acme.test", "--within", "5", "--json"].map(str::to_owned);
    let told = installation.pause();
    let platform = &installation.world.platform;
    let pause: postfleet_cli::Pause<'_> = Box::new(move |time| {
        let (told, platform) = (told(time), platform.clone());
        Box::pin(async move {
            if delivers {
                for delivery in deliver::claim(&platform, 100).await.expect("claim") {
                    deliver::attempt(&platform, delivery).await.expect("attempt");
                }
            }
            told.await;
        })
    });
    type_in_at(&words, installation.variables(), "", false, pause).await
}

/// The names of the steps, each with whether it passed.
fn steps(ran: &Ran) -> Vec<(String, bool)> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let step = |step: &Value| (step["step"].as_str().expect("step").to_owned(), step["passed"] == true);
    report["steps"].as_array().expect("steps").iter().map(step).collect()
}

async fn with_hook(triggers: &[&str]) -> (Installation, FakeHttp) {
    let installation = Installation::new().await;
    let hook = FakeHttp::start(|asked| match asked.path.split_once("challenge=") {
        Some((_, challenge)) => HttpResponse::new(200, &[], challenge.as_bytes()),
        None => HttpResponse::status(200),
    })
    .await;
    let made =
        installation.ask("webhooks", &json!({"webhook_url": hook.url("/hook"), "trigger_types": triggers})).await;
    assert!(made["id"].is_string(), "{made}");
    (installation, hook)
}

#[tokio::test]
async fn a_pause_is_tried_out_and_leaves_nothing() {
    let (installation, hook) = with_hook(&["reputation.changed", "sending.stopped"]).await;
    let ran = drill_of(&installation, "pause", true).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let found = steps(&ran);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..7],
        [
            "make a mailbox",
            "send",
            "be paused",
            "refuse the next send",
            "suppress the recipients",
            "reputation.changed",
            "sending.stopped"
        ]
    );
    assert!(names[7].starts_with("tell the webhook"), "{names:?}");
    let told = hook.requests().iter().filter(|asked| asked.method == "POST").count();
    assert!(told >= 2, "{told}");
    for (list, expected) in [("grants", 0), ("suppressions", 0), ("workspaces", 1)] {
        let left = installation.list(list).await;
        assert_eq!(left.as_array().expect("list").len(), expected, "{list}: {left}");
    }
}

#[tokio::test]
async fn a_complaint_is_tried_out() {
    let (installation, _hook) = with_hook(&["message.complaint"]).await;
    let ran = drill_of(&installation, "complaint", true).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(steps(&ran).iter().any(|(name, passed)| name == "be under review" && *passed), "{ran:?}");
}

#[tokio::test]
async fn webhooks_are_tried_out() {
    let (installation, hook) = with_hook(&["message.delivered"]).await;
    let ran = drill_of(&installation, "webhook", true).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(hook.requests().iter().any(|asked| asked.method == "POST"), "the event came");
}

#[tokio::test]
async fn a_drill_where_nothing_is_delivered_fails_and_says_what_to_do() {
    let (installation, _hook) = with_hook(&["sending.stopped"]).await;
    let ran = drill_of(&installation, "pause", false).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("is the server's role that delivers running?"), "{}", ran.stdout);
    assert!(steps(&ran).iter().any(|(name, passed)| name == "be paused" && !passed), "{ran:?}");
    assert_eq!(installation.list("grants").await.as_array().map(Vec::len), Some(0));
}
