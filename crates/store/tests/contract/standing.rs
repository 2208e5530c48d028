//! How a webhook stands: written by who works for it, announced with it, asked about and mailed by one node at a time.

use crate::support::{at, fresh, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::UnixMicros;
use postfleet_core::id::{EventId, WebhookId};
use postfleet_core::readers::{Save, Standing};
use postfleet_store::Store;
use postfleet_store::events;
use postfleet_store::lanes::{self, Course, SaveWebhook};
use postfleet_store::standing::{
    AskFailed, ChangeStanding, NoteEcho, ResumeWebhook, SettleNotice, Stands, TakeNotices,
};
use postfleet_store::webhooks::{self, CreateWebhook, LeaseWebhooks, UpdateWebhook, Webhook};
use std::time::Duration;

fn stands(id: WebhookId, to: Standing, at: UnixMicros) -> Stands {
    let event_id = EventId::from_uuid(fresh());
    Stands { id, to, host: "one.example".into(), event_id, at, is_mailed: true }
}

async fn change(store: &Store, owner: &str, id: WebhookId, to: Standing, at: UnixMicros) -> bool {
    let ask_at = at.plus(Duration::from_secs(900));
    store.run(ChangeStanding { owner: owner.into(), stands: stands(id, to, at), ask_at }).await.expect("change")
}

async fn found(store: &Store, hook: &Webhook) -> Webhook {
    let mut reader = store.reader().await.expect("reader");
    webhooks::find(&mut reader, hook.application_id, hook.id).await.expect("find").expect("webhook")
}

async fn asked(store: &Store, now: UnixMicros) -> Vec<(WebhookId, Option<UnixMicros>)> {
    let again = now.plus(Duration::from_secs(900));
    let asked = store.run(AskFailed { now, again, limit: 10 }).await.expect("ask");
    asked.into_iter().map(|one| (one.webhook.id, one.echoed_at)).collect()
}

async fn noticed(store: &Store, now: UnixMicros) -> Vec<Standing> {
    let again = now.plus(Duration::from_secs(900));
    let taken = store.run(TakeNotices { now, again, limit: 10 }).await.expect("notices");
    taken.into_iter().map(|one| one.standing).collect()
}

#[tokio::test]
async fn who_works_for_a_webhook_writes_how_it_stands_and_it_is_announced() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        let lease = LeaseWebhooks { owner: "node".into(), now: at(0), until: at(10_000) };
        assert_eq!(store.run(lease.clone()).await.expect("lease").len(), 1);

        assert!(!change(store, "other", hook.id, Standing::Failing, at(1)).await, "another node");
        assert!(!change(store, "node", hook.id, Standing::Active, at(1)).await, "it is");
        assert!(change(store, "node", hook.id, Standing::Failing, at(2)).await);
        assert_eq!((found(store, &hook).await.status.as_str(), noticed(store, at(1)).await.len()), ("failing", 0));
        assert_eq!(noticed(store, at(2)).await, [Standing::Failing]);
        assert!(noticed(store, at(3)).await.is_empty(), "one node sends it");
        assert_eq!(noticed(store, at(903)).await, [Standing::Failing], "it was not sent");

        // A newer notice takes the place of the older one, which is settled too late.
        assert!(change(store, "node", hook.id, Standing::Failed, at(904)).await);
        store.run(SettleNotice { id: hook.id, since: at(2) }).await.expect("settle");
        assert_eq!(noticed(store, at(904)).await, [Standing::Failed]);
        store.run(SettleNotice { id: hook.id, since: at(904) }).await.expect("settle");
        assert!(noticed(store, at(90_000)).await.is_empty());
        assert!(!change(store, "node", hook.id, Standing::Active, at(905)).await, "only who asks ends that");
        assert!(store.run(lease).await.expect("lease").is_empty());

        let mut reader = store.reader().await.expect("reader");
        let events = events::after_of(&mut reader, tenant.application, 0, 100).await.expect("events");
        let names: Vec<&str> = events.iter().map(|event| event.event.trigger.name()).collect();
        assert_eq!(names, ["webhook.failing", "webhook.failed"]);
        let facts: serde_json::Value = serde_json::from_str(&events[1].event.data).expect("JSON");
        let expected = serde_json::json!({"object": "webhook", "id": hook.id.to_string(), "grant_id": "",
            "description": "description", "host": "one.example", "status": "failed", "previous_status": "failing",
            "status_updated_at": at(904).as_seconds()});
        assert_eq!(facts, expected);
    })
    .await;
}

#[tokio::test]
async fn who_has_failed_is_asked_by_one_node_at_a_time_until_it_is_back() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let [hook, left] = ["https://one.example/", "https://two.example/"].map(|url| webhook(&tenant, url));
        let left = Webhook { auto_resume: false, ..left };
        for hook in [&hook, &left] {
            store.run(CreateWebhook(hook.clone())).await.expect("create");
        }
        store.run(LeaseWebhooks { owner: "node".into(), now: at(0), until: at(60) }).await.expect("lease");
        let course = Course { rests_until: Some(at(300)), failing_for: Some(Duration::from_secs(259_200)) };
        let save = Save { position: 0, ..Save::default() };
        let id = hook.id;
        assert!(store.run(SaveWebhook { id, owner: "node".into(), save, course }).await.expect("save"));
        for hook in [&hook, &left] {
            assert!(change(store, "node", hook.id, Standing::Failed, at(10)).await);
        }
        assert!(asked(store, at(909)).await.is_empty());
        assert_eq!(asked(store, at(910)).await, [(id, None)]);
        assert!(asked(store, at(911)).await.is_empty(), "it is being asked");
        let echo = NoteEcho { id, echoed_at: Some(at(911)), ask_at: at(971) };
        store.run(echo).await.expect("note");
        assert_eq!(asked(store, at(971)).await, [(id, Some(at(911)))]);
        assert!(store.run(ResumeWebhook(stands(id, Standing::Active, at(972)))).await.expect("resume"));
        assert!(!store.run(ResumeWebhook(stands(id, Standing::Active, at(973)))).await.expect("resume"), "it is");
        store.run(echo).await.expect("note");
        assert!(asked(store, at(10_000)).await.is_empty());
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(lanes::course(&mut reader, id).await.expect("course"), Course::default(), "it is judged anew");
        let leased = LeaseWebhooks { owner: "other".into(), now: at(980), until: at(990) };
        assert_eq!(store.run(leased).await.expect("lease").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_subscriber_changes_leaves_a_status_that_came_after_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        store.run(LeaseWebhooks { owner: "node".into(), now: at(0), until: at(60) }).await.expect("lease");
        let read = found(store, &hook).await;
        assert!(change(store, "node", hook.id, Standing::Failing, at(10)).await);
        assert!(store.run(UpdateWebhook(Webhook { description: "new".into(), ..read })).await.expect("update"));
        let stored = found(store, &hook).await;
        assert_eq!((stored.status.as_str(), stored.description.as_str()), ("failing", "new"));
        assert_eq!(noticed(store, at(10)).await, [Standing::Failing]);

        // Who says something of the status means it, and nobody is told of what is over.
        let course = Course { rests_until: Some(at(300)), failing_for: Some(Duration::from_secs(900)) };
        let save = Save { position: 0, ..Save::default() };
        let id = hook.id;
        assert!(store.run(SaveWebhook { id, owner: "node".into(), save, course }).await.expect("save"));
        let off = Webhook { status: "pause".into(), status_updated_at: at(20), ..stored };
        assert!(store.run(UpdateWebhook(off)).await.expect("update"));
        assert_eq!(found(store, &hook).await.status, "pause");
        assert!(noticed(store, at(10_000)).await.is_empty());
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(lanes::course(&mut reader, id).await.expect("course"), Course::default());
        assert!(!change(store, "node", hook.id, Standing::Failed, at(30)).await, "it is paused");
    })
    .await;
}
