//! Replays: a position beside that of their webhook, worked for by one node at a time, over when nothing is left.

use crate::support::{NOON, Tenant, at, fresh, number, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::event::Trigger;
use postfleet_core::id::{GrantId, ReplayId, WebhookId};
use postfleet_core::readers::{Cause, GivenUp, Row, Save};
use postfleet_store::Store;
use postfleet_store::lanes::{self, Course, SaveWebhook};
use postfleet_store::replays::{
    self, AskedFor, BeginReplay, Begun, CancelReplay, KNOWN_MAX, LeaseReplays, RUNNING_MAX, Replay, SaveReplay, State,
};
use postfleet_store::webhooks::{CreateWebhook, LeaseWebhooks, RemoveWebhook, UpdateWebhook, Webhook};

pub fn replay(webhook: &Webhook, first: i64, last: i64) -> Replay {
    Replay {
        id: ReplayId::from_uuid(fresh()),
        webhook_id: webhook.id,
        state: State::Running,
        first,
        last,
        asked_for: AskedFor {
            triggers: vec![Trigger::MessageCreated],
            grants: vec![GrantId::from_uuid(fresh())],
            since: Some(at(1)),
            until: None,
            given_up: true,
        },
        position: first - 1,
        told: 0,
        given_up: 0,
        rests_until: None,
        created_at: NOON,
        ended_at: None,
    }
}

async fn hook(store: &Store, tenant: &Tenant) -> Webhook {
    let hook = webhook(tenant, &format!("https://{}.example/", fresh()));
    store.run(CreateWebhook(hook.clone())).await.expect("create");
    hook
}

async fn begin(store: &Store, hook: &Webhook, replay: &Replay) -> Begun {
    let command = BeginReplay { application_id: hook.application_id, replay: replay.clone() };
    store.run(command).await.expect("begin")
}

async fn find(store: &Store, replay: &Replay) -> Option<Replay> {
    let mut reader = store.reader().await.expect("reader");
    replays::find(&mut reader, replay.webhook_id, replay.id).await.expect("find")
}

async fn lease(store: &Store, owner: &str, seconds: u64) -> Vec<Webhook> {
    let command = LeaseReplays { owner: owner.into(), now: at(seconds), until: at(seconds + 60) };
    store.run(command).await.expect("lease")
}

async fn save(store: &Store, replay: &Replay, owner: &str, save: Save, told: &[i64]) -> bool {
    let command =
        SaveReplay { id: replay.id, owner: owner.into(), save, rests_until: None, told: told.to_vec(), at: at(99) };
    store.run(command).await.expect("save")
}

#[tokio::test]
async fn a_replay_goes_on_where_it_was_saved_and_is_over_when_nothing_is_left() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = hook(store, &tenant).await;
        let asked = replay(&hook, 3, 9);
        assert_eq!(begin(store, &hook, &asked).await, Begun::Made);
        assert_eq!(find(store, &asked).await, Some(asked.clone()));
        // It is read as its webhook, at its own position.
        let leased = lease(store, "node", 0).await;
        assert_eq!((leased.len(), leased[0].id, leased[0].position), (1, hook.id, 2));
        assert_eq!((leased[0].replay.as_ref(), leased[0].reader().uuid()), (Some(&asked), asked.id.uuid()));
        assert_eq!(leased[0].url, hook.url);
        assert!(lease(store, "other", 59).await.is_empty(), "somebody works for it");

        let grant = GrantId::from_uuid(fresh());
        let row = Row { grant, position: 4, attempts: 1, due_at: at(30), cause: Some(Cause::Deadline) };
        let given_up = GivenUp { position: 5, attempts: 3, at: at(9), cause: Cause::Status(404) };
        let halfway = Save { position: 6, waiting: vec![row], given_up: vec![given_up], done: vec![] };
        assert!(save(store, &asked, "node", halfway.clone(), &[3, 6]).await);
        assert!(!save(store, &asked, "other", halfway, &[]).await, "without the lease nothing is changed");
        let leased = lease(store, "node", 10).await;
        assert_eq!(leased[0].position, 6);
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(lanes::waiting(&mut reader, leased[0].reader()).await.expect("waiting"), [row]);
        // At its end it is not over while something waits.
        assert!(save(store, &asked, "node", Save { position: 9, ..Save::default() }, &[7]).await);
        assert!(!save(store, &asked, "node", Save { position: 9, done: vec![grant], ..Save::default() }, &[4]).await);
        let over = find(store, &asked).await.expect("replay");
        assert_eq!((over.state, over.ended_at, over.told, over.given_up), (State::Done, Some(at(99)), 4, 1));
        assert!(lease(store, "node", 200).await.is_empty());
        assert!(!save(store, &asked, "node", Save { position: 9, ..Save::default() }, &[]).await);
        // One that is over is not cancelled.
        let cancel = CancelReplay { webhook_id: hook.id, id: asked.id, at: at(200) };
        assert_eq!(store.run(cancel).await.expect("cancel"), Some(over));
    })
    .await;
}

#[tokio::test]
async fn what_was_given_up_and_is_taken_is_given_up_no_more() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = hook(store, &tenant).await;
        let until = at(60);
        store.run(LeaseWebhooks { owner: "node".into(), now: at(0), until }).await.expect("lease");
        let given_up: Vec<GivenUp> =
            [2, 4, 6].map(|position| GivenUp { position, attempts: 3, at: at(9), cause: Cause::Deadline }).into();
        let save_live = Save { position: 6, given_up, ..Save::default() };
        let command = SaveWebhook { id: hook.id, owner: "node".into(), save: save_live, course: Course::default() };
        assert!(store.run(command).await.expect("save"));
        let asked = replay(&hook, 1, 6);
        begin(store, &hook, &asked).await;
        lease(store, "node", 0).await;
        let mut reader = store.reader().await.expect("reader");
        for (span, expected) in [((1, 6), vec![2, 4, 6]), ((3, 5), vec![4]), ((5, 5), vec![])] {
            let found = replays::given_up(&mut reader, hook.id, span).await.expect("given up");
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{span:?}");
        }
        assert!(save(store, &asked, "node", Save { position: 5, ..Save::default() }, &[2, 3]).await);
        let found = replays::given_up(&mut reader, hook.id, (1, 6)).await.expect("given up");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [4, 6]);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_has_few_replays_at_once_and_remembers_the_last_ones() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = hook(store, &tenant).await;
        let mut all = Vec::new();
        for _ in 0..RUNNING_MAX {
            let one = replay(&hook, 1, 9);
            assert_eq!(begin(store, &hook, &one).await, Begun::Made);
            all.push(one);
        }
        assert_eq!(begin(store, &hook, &replay(&hook, 1, 9)).await, Begun::TooMany);
        let stranger = Webhook { id: WebhookId::from_uuid(fresh()), ..hook.clone() };
        assert_eq!(begin(store, &hook, &replay(&stranger, 1, 9)).await, Begun::Unknown);
        // Each is ended and another begun, until the first ones are forgotten.
        for _ in 0..KNOWN_MAX + 2 {
            let oldest = &all[all.len() - RUNNING_MAX as usize];
            let cancel = CancelReplay { webhook_id: hook.id, id: oldest.id, at: at(5) };
            let ended = store.run(cancel).await.expect("cancel").expect("replay");
            assert_eq!((ended.state, ended.ended_at), (State::Cancelled, Some(at(5))));
            let one = replay(&hook, 1, 9);
            assert_eq!(begin(store, &hook, &one).await, Begun::Made);
            all.push(one);
        }
        let mut reader = store.reader().await.expect("reader");
        let known = replays::list(&mut reader, hook.id).await.expect("list");
        assert!(known.is_sorted_by_key(|one| std::cmp::Reverse(one.id)));
        assert_eq!(known.len() as i64, KNOWN_MAX + RUNNING_MAX);
        drop(reader);

        // It stops with the webhook, and goes when that goes.
        let paused = Webhook { status: "pause".into(), ..hook.clone() };
        assert!(store.run(UpdateWebhook(paused)).await.expect("update"));
        assert!(lease(store, "node", 0).await.is_empty());
        let removal = RemoveWebhook { application_id: hook.application_id, id: hook.id };
        assert!(store.run(removal).await.expect("remove"));
        assert_eq!(number(store, "SELECT count(*) FROM webhook_replays", &[]).await, 0);
    })
    .await;
}
