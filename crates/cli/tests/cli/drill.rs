//! `postfleet drill quota` where somebody is not told: it says who and why, ends with 4, and takes away what it made.

use crate::server::{Installation, Ran, type_in_at};
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
