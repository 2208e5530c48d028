//! Alerts: people are told once of what crosses a quota, in a chat and by mail, also over a crash, and in no circle.

use crate::support::Setting;
use postfleet_core::audit::Act;
use postfleet_mailflow::{alerts, webhooks};
use postfleet_schema::alert::CreateAlert;
use postfleet_store::webhooks::Webhook;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A mailbox that may send two messages a day.
async fn setting() -> Setting {
    let world = World::with(WorldOptions::default()).await;
    let tenant = world.tenant(NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") }).await;
    let agent = world.mailbox(&tenant, "agent").await;
    Setting::of(world, tenant, agent)
}

fn wanted(kind: &str) -> CreateAlert {
    CreateAlert {
        kind: Some(kind.to_owned()),
        email: None,
        from_grant_id: None,
        url: None,
        trigger_types: None,
        workspace_id: None,
        description: None,
    }
}

async fn make(setting: &Setting, request: CreateAlert) -> Webhook {
    let act: Act = setting.world.act(&setting.tenant);
    let made = alerts::create(&setting.world.platform, act, setting.tenant.application_id, request).await;
    made.expect("alert")
}

/// One round of everybody who is told.
async fn round(setting: &Setting) {
    let platform = &setting.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut hook).await.expect("round");
    }
}

fn said(chat: &FakeHttp) -> Vec<String> {
    let text = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        body["text"].as_str().expect("text").to_owned()
    };
    chat.requests().iter().map(|request| text(&request.body)).collect()
}

#[tokio::test]
async fn a_chat_is_told_once_of_each_line_and_again_if_it_did_not_take_it() {
    let setting = setting().await;
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let chat =
        FakeHttp::start(move |_| HttpResponse::status(if down.load(Ordering::Relaxed) { 503 } else { 200 })).await;
    make(&setting, CreateAlert { url: Some(chat.url("/hook")), ..wanted("chat") }).await;
    for _ in 0..4 {
        let _ = setting.send(&["ada@remote.test"]).await;
    }
    round(&setting).await;
    assert_eq!(said(&chat).len(), 1, "what comes behind waits");
    is_down.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        setting.world.advance(3_600);
        round(&setting).await;
    }
    let told = said(&chat);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], told[1], "the same again");
    assert!(told[1].starts_with("agent@acme.test has used all 2 messages that it may send until "), "{told:?}");
    assert!(told[2].starts_with("agent@acme.test wanted to send more than the 2 messages"), "{told:?}");
}

#[tokio::test]
async fn mail_is_sent_once_for_an_event_also_if_the_position_was_lost() {
    let setting = setting().await;
    let ops = setting.world.mailbox(&setting.tenant, "ops").await;
    let from = Some(ops.id.to_string());
    let alert =
        make(&setting, CreateAlert { email: Some("ops@acme.test".into()), from_grant_id: from, ..wanted("email") });
    let alert = alert.await;
    for _ in 0..2 {
        setting.send(&["ada@remote.test"]).await.expect("accepted");
    }
    round(&setting).await;
    // As after a crash between the mail and the note of it: the same is told again.
    let platform = &setting.world.platform;
    let mut before = Webhook { position: alert.position, ..alert };
    let hooks = webhooks::lease(platform).await.expect("lease");
    before.position = hooks[0].position - 2;
    webhooks::round(platform, &mut before).await.expect("round");
    setting.world.deliver_due().await;
    let inbox = setting.folder(&ops, "inbox").await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].subject.starts_with("agent@acme.test has used all 2 messages"), "{}", inbox[0].subject);
}

#[tokio::test]
async fn mail_from_the_mailbox_that_is_over_its_quota_makes_no_circle() {
    let setting = setting().await;
    let from = Some(setting.agent.id.to_string());
    make(&setting, CreateAlert { email: Some("ops@elsewhere.test".into()), from_grant_id: from, ..wanted("email") })
        .await;
    for _ in 0..3 {
        let _ = setting.send(&["ada@remote.test"]).await;
    }
    for _ in 0..20 {
        round(&setting).await;
        setting.world.advance(60);
    }
    let told = setting.events("quota.reached").await.len() + setting.events("quota.exceeded").await.len();
    assert_eq!(told, 2, "a refused alert is no further event");
}

#[tokio::test]
async fn an_alert_of_a_workspace_is_told_of_its_mailboxes_alone() {
    let setting = setting().await;
    let chat = FakeHttp::start(|_| HttpResponse::status(200)).await;
    let own = Some(setting.tenant.workspace_id.to_string());
    make(&setting, CreateAlert { url: Some(chat.url("/own")), workspace_id: own, ..wanted("chat") }).await;
    for _ in 0..2 {
        setting.send(&["ada@remote.test"]).await.expect("accepted");
    }
    round(&setting).await;
    assert_eq!(said(&chat).len(), 1);
    // Outside of every workspace it is not that one's any more.
    let mut elsewhere = webhooks::lease(&setting.world.platform).await.expect("lease").remove(0);
    elsewhere.workspace_id = Some(postfleet_core::id::WorkspaceId::first_at(setting.world.platform.clock.now()));
    elsewhere.position -= 2;
    webhooks::round(&setting.world.platform, &mut elsewhere).await.expect("round");
    assert_eq!(said(&chat).len(), 1);
}
