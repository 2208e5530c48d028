//! Webhooks: one per URL, worked on by one node at a time, in the order of each mailbox.

use crate::support::{NOON, Tenant, at, fresh, on_each_engine, tenant};
use postfleet_core::event_filter::EventFilter;
use postfleet_core::id::{GrantId, WebhookId, WorkspaceId};
use postfleet_core::readers::{Cause, Row, Save};
use postfleet_core::{Secret, UnixMicros};
use postfleet_store::Store;
use postfleet_store::lanes::{self, Course, SaveWebhook};
use postfleet_store::webhooks::{
    self, CreateWebhook, Created, LeaseWebhooks, LeaveWebhooks, ReleaseReader, RemoveWebhook, RotateSecret,
    UpdateWebhook, WEBHOOKS_MAX, Webhook,
};

pub fn webhook(tenant: &Tenant, url: &str) -> Webhook {
    Webhook {
        description: "description".into(),
        triggers: vec!["message.created".into(), "message.transactional.bounced".into()],
        secret: Secret::new("secret".into()),
        notification_addresses: vec!["ops@elsewhere.example".into()],
        compressed: true,
        position: -1,
        ..Webhook::new(WebhookId::from_uuid(fresh()), tenant.application, url.into(), NOON)
    }
}

async fn found(store: &Store, hook: &Webhook) -> Option<Webhook> {
    let mut reader = store.reader().await.expect("reader");
    webhooks::find(&mut reader, hook.application_id, hook.id).await.expect("find")
}

async fn lease(store: &Store, owner: &str, now: UnixMicros, until: UnixMicros) -> Vec<WebhookId> {
    let leased = store.run(LeaseWebhooks { owner: owner.into(), now, until }).await.expect("lease");
    leased.into_iter().map(|hook| hook.id).collect()
}

#[tokio::test]
async fn a_webhook_is_made_once_for_a_url_and_starts_at_the_end_of_the_log() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        tenant.mailbox(store, "a").await;
        let hook = webhook(&tenant, "https://one.example/");
        assert_eq!(store.run(CreateWebhook(hook.clone())).await.expect("create"), Created::Made);
        let same = webhook(&tenant, "https://one.example/");
        assert_eq!(store.run(CreateWebhook(same.clone())).await.expect("create"), Created::UrlTaken);
        let stored = found(store, &hook).await.expect("webhook");
        let given = Webhook { position: 1, ..hook.clone() };
        assert_eq!(format!("{stored:?}"), format!("{given:?}"));
        assert_eq!(stored.secret.expose(), "secret");
        assert!(found(store, &same).await.is_none());

        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        assert_eq!(
            store.run(CreateWebhook(webhook(&stranger, "https://one.example/"))).await.expect("create"),
            Created::Made
        );
        let foreign = Webhook { application_id: stranger.application, ..hook.clone() };
        assert!(found(store, &foreign).await.is_none());
        assert!(!store.run(UpdateWebhook(foreign.clone())).await.expect("update"));
        let remove = RemoveWebhook { application_id: stranger.application, id: hook.id };
        assert!(!store.run(remove).await.expect("remove"));
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_listed_oldest_first_and_changed_within_their_urls() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut hooks = Vec::new();
        for (url, seconds) in [("https://c.example/", 1), ("https://a.example/", 2), ("https://b.example/", 0)] {
            let hook = Webhook { created_at: at(seconds), ..webhook(&tenant, url) };
            store.run(CreateWebhook(hook.clone())).await.expect("create");
            hooks.push(hook);
        }
        let mut reader = store.reader().await.expect("reader");
        let urls = |hooks: Vec<Webhook>| hooks.into_iter().map(|hook| hook.url).collect::<Vec<_>>();
        let listed = urls(webhooks::list(&mut reader, tenant.application).await.expect("list"));
        assert_eq!(listed, ["https://b.example/", "https://c.example/", "https://a.example/"]);

        let taken = Webhook { url: "https://a.example/".into(), ..hooks[0].clone() };
        assert!(!store.run(UpdateWebhook(taken)).await.expect("update"));
        let status_updated_at = at(3);
        let changed = Webhook { status: "failing".into(), status_updated_at, compressed: false, ..hooks[0].clone() };
        assert!(store.run(UpdateWebhook(changed)).await.expect("update"));
        let stored = found(store, &hooks[0]).await.expect("webhook");
        assert_eq!((stored.status.as_str(), stored.compressed), ("failing", false));
    })
    .await;
}

#[tokio::test]
async fn an_application_has_so_many_webhooks_and_not_one_more_however_many_are_made_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let wanted = (0..WEBHOOKS_MAX + 10).map(|n| webhook(&tenant, &format!("https://{n}.example/")));
        let made = futures::future::join_all(wanted.map(|hook| store.run(CreateWebhook(hook)))).await;
        let count = |what| made.iter().filter(|one| matches!(one, Ok(one) if *one == what)).count() as i64;
        assert_eq!((count(Created::Made), count(Created::TooMany)), (WEBHOOKS_MAX, 10));
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let theirs = webhook(&stranger, "https://one.example/");
        assert_eq!(store.run(CreateWebhook(theirs)).await.expect("create"), Created::Made);
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_is_replaced_signs_for_as_long_as_was_said_and_the_one_before_it_never() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        let rotate = |secret: &str, until| RotateSecret {
            application_id: tenant.application,
            id: hook.id,
            secret: Secret::new(secret.to_owned()),
            previous_until: at(until),
            at: at(10),
        };
        for (name, until, previous) in
            [("second", 10, None), ("third", 70, Some("second")), ("fourth", 11, Some("third"))]
        {
            let rotated = store.run(rotate(name, until)).await.expect("rotate").expect("webhook");
            assert_eq!((rotated.secret.expose().as_str(), rotated.updated_at), (name, at(10)));
            let kept = rotated.previous.as_ref().map(|previous| (previous.secret.expose().as_str(), previous.until));
            assert_eq!(kept, previous.map(|secret| (secret, at(until))), "{name}");
            assert_eq!(format!("{:?}", found(store, &hook).await.expect("webhook")), format!("{rotated:?}"));
        }
        // Who changes something else at the same time brings no old secret back.
        assert!(store.run(UpdateWebhook(hook.clone())).await.expect("update"));
        assert_eq!(found(store, &hook).await.expect("webhook").secret.expose(), "fourth");
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let foreign = RotateSecret { application_id: stranger.application, ..rotate("x", 0) };
        assert!(store.run(foreign).await.expect("rotate").is_none());
    })
    .await;
}

#[tokio::test]
async fn filters_are_kept_and_changed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let filter = EventFilter {
            grants: vec![GrantId::from_uuid(fresh())],
            workspaces: vec![WorkspaceId::from_uuid(fresh()), WorkspaceId::from_uuid(fresh())],
            domains: vec!["acme.test".to_owned()],
        };
        let hook = Webhook { filter: filter.clone(), ..webhook(&tenant, "https://one.example/") };
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        assert_eq!(found(store, &hook).await.expect("webhook").filter, filter);
        let all = Webhook { filter: EventFilter::default(), ..hook.clone() };
        assert!(store.run(UpdateWebhook(all)).await.expect("update"));
        assert!(found(store, &hook).await.expect("webhook").filter.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_webhook_is_worked_on_by_one_node_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        let paused = Webhook { status: "pause".into(), ..webhook(&tenant, "https://two.example/") };
        store.run(CreateWebhook(paused)).await.expect("create");

        assert_eq!(lease(store, "one", at(0), at(60)).await, [hook.id]);
        assert!(lease(store, "two", at(59), at(120)).await.is_empty());
        assert_eq!(lease(store, "one", at(59), at(90)).await, [hook.id], "its own is prolonged");
        let advance = |owner: &str, position| {
            let row = Row {
                grant: GrantId::from_uuid(fresh()),
                position,
                attempts: 1,
                due_at: at(0),
                cause: Some(Cause::Status(503)),
            };
            let save = Save { position, waiting: vec![row], ..Save::default() };
            SaveWebhook { id: hook.id, owner: owner.into(), save, course: Course::default() }
        };
        assert!(!store.run(advance("two", 5)).await.expect("advance"));
        assert!(store.run(advance("one", 5)).await.expect("advance"));
        assert!(!store.run(advance("one", 4)).await.expect("advance"), "never back");
        assert_eq!(lease(store, "two", at(90), at(150)).await, [hook.id]);
        assert!(!store.run(advance("one", 6)).await.expect("advance"), "the lease has gone");
        assert_eq!(found(store, &hook).await.expect("webhook").position, 5);

        let mut reader = store.reader().await.expect("reader");
        let waiting = lanes::waiting(&mut reader, hook.id).await.expect("waiting");
        assert_eq!(waiting.len(), 1, "only what the holder of the lease wrote");
    })
    .await;
}

#[tokio::test]
async fn a_removed_webhook_leaves_nothing_that_waits() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        lease(store, "node", at(0), at(60)).await;
        let row = Row { grant: GrantId::from_uuid(fresh()), position: 1, attempts: 1, due_at: at(0), cause: None };
        let save = Save { position: 1, waiting: vec![row], ..Save::default() };
        assert!(
            store
                .run(SaveWebhook { id: hook.id, owner: "node".into(), save, course: Course::default() })
                .await
                .expect("save")
        );
        let remove = RemoveWebhook { application_id: tenant.application, id: hook.id };
        assert!(store.run(remove).await.expect("remove"));
        assert!(!store.run(remove).await.expect("remove"));
        let mut reader = store.reader().await.expect("reader");
        assert!(lanes::waiting(&mut reader, hook.id).await.expect("waiting").is_empty());
    })
    .await;
}

#[tokio::test]
async fn nodes_share_the_webhooks_and_those_of_one_that_stops_go_to_others() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for number in 0..7 {
            let hook = webhook(&tenant, &format!("https://{number}.example/"));
            store.run(CreateWebhook(hook)).await.expect("create");
        }
        let ask = async |owner, seconds| {
            let mut ids = lease(store, owner, at(seconds), at(seconds + 60)).await;
            ids.sort_unstable();
            ids
        };
        assert_eq!(ask("one", 0).await.len(), 7, "it is the only one");
        assert_eq!(ask("two", 1).await.len(), 0, "they are not free yet");
        let kept = ask("one", 15).await;
        assert_eq!(kept.len(), 4, "half of them");
        assert_eq!(ask("one", 30).await, kept, "the same ones");
        assert_eq!(ask("two", 59).await.len(), 0);
        let taken = ask("two", 60).await;
        assert_eq!((taken.len(), taken.iter().any(|id| kept.contains(id))), (3, false));

        // A third comes; everybody gives back what is too much, and nobody works for what another does.
        assert_eq!(ask("three", 61).await.len(), 0);
        let one = ask("one", 75).await;
        assert_eq!(one.len(), 3);
        assert_eq!(ask("two", 75).await, taken);
        let three = ask("three", 91).await;
        assert_eq!(three.len(), 1, "what was leased until 90");
        let mut all = [one.clone(), taken.clone(), three].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);

        // Two of them stop: what they had is told by the other within the time of their leases.
        assert_eq!(ask("three", 134).await.len(), 1, "they may still be there");
        assert_eq!(ask("three", 135).await.len(), 7);
        let command = SaveWebhook {
            id: one[0],
            owner: "one".into(),
            save: Save { position: 1, ..Save::default() },
            course: Course::default(),
        };
        assert!(!store.run(command).await.expect("save"), "it is another's now");
    })
    .await;
}

#[tokio::test]
async fn what_a_node_gives_back_is_taken_at_once_and_one_that_leaves_has_no_share() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for number in 0..4 {
            let hook = webhook(&tenant, &format!("https://{number}.example/"));
            store.run(CreateWebhook(hook)).await.expect("create");
        }
        let ask = async |owner, seconds| lease(store, owner, at(seconds), at(seconds + 60)).await;
        let give_back = async |owner: &str, webhook| {
            let command = ReleaseReader { owner: owner.into(), webhook, replay: None };
            store.run(command).await.expect("give back");
        };
        let all = ask("one", 0).await;
        assert_eq!((all.len(), ask("two", 1).await.len()), (4, 0));
        let kept = ask("one", 5).await;
        for id in all.iter().filter(|id| !kept.contains(id)) {
            give_back("one", *id).await;
        }
        assert_eq!((kept.len(), ask("two", 6).await.len()), (2, 2), "a node that came has its share");

        // Who has it no more gives nothing back.
        give_back("two", kept[0]).await;
        assert_eq!(ask("two", 7).await.len(), 2);

        for id in kept {
            give_back("one", id).await;
        }
        store.run(LeaveWebhooks { owner: "one".into() }).await.expect("leave");
        assert_eq!(ask("two", 8).await.len(), 4, "all, now that the other has left");
    })
    .await;
}
