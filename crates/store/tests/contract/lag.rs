//! How far readers of the log are behind it.

use crate::support::{at, fresh, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::id::EventId;
use postfleet_core::readers::{Row, Save};
use postfleet_store::db::DbError;
use postfleet_store::events::NewEvent;
use postfleet_store::lag::{self, Lag, Pending};
use postfleet_store::lanes::{Course, SaveWebhook};
use postfleet_store::webhooks::{self, CreateWebhook, LeaseWebhooks, UpdateWebhook, Webhook};
use postfleet_store::{Command, Store, Tx};

/// Announces so many events of a mailbox, a second apart.
struct Announce(NewEvent, u64);

impl Command for Announce {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        for number in 0..self.1 {
            let id = EventId::from_uuid(fresh());
            tx.announce(NewEvent { id, grant_sequence: number + 2, at: at(number), ..self.0.clone() });
        }
        Ok(())
    }
}

async fn pending(store: &Store, hook: &Webhook, limit: u64) -> Pending {
    let mut reader = store.reader().await.expect("reader");
    let hook = webhooks::find(&mut reader, hook.application_id, hook.id).await.expect("find").expect("webhook");
    lag::pending(&mut reader, &hook, limit).await.expect("pending")
}

async fn of_webhooks(store: &Store) -> Lag {
    let lags = lag::by_kind(&mut store.reader().await.expect("reader")).await.expect("lags");
    assert_eq!(lags[1], ("alert", Lag::default()));
    assert_eq!(lags[0].0, "webhook");
    lags[0].1
}

#[tokio::test]
async fn a_reader_is_as_far_behind_as_its_oldest_event() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        assert_eq!(of_webhooks(store).await, Lag::default(), "nothing has happened since");
        assert_eq!(pending(store, &hook, 1_000).await, Pending::default());

        let mut reader = store.reader().await.expect("reader");
        let template = postfleet_store::events::at(&mut reader, 1).await.expect("find").expect("event").event;
        drop(reader);
        store.run(Announce(template, 10)).await.expect("announce");
        let lag = Lag { events: 10, oldest: Some(at(0)), ..Lag::default() };
        assert_eq!(of_webhooks(store).await, lag);
        assert_eq!(pending(store, &hook, 1_000).await, Pending { events: 10, oldest: Some(at(0)) });
        assert_eq!(pending(store, &hook, 4).await, Pending { events: 4, oldest: Some(at(0)) }, "counted to the limit");

        // Of position 4 on: one is tried again, and the rest was taken.
        store.run(LeaseWebhooks { owner: "one".into(), now: at(0), until: at(60) }).await.expect("lease");
        let waiting = vec![Row { grant, position: 4, attempts: 1, due_at: at(30), cause: None }];
        let save = Save { position: 9, waiting, done: Vec::new(), given_up: Vec::new() };
        let (id, owner) = (hook.id, "one".to_owned());
        assert!(store.run(SaveWebhook { id, owner, save, course: Course::default() }).await.expect("save"));
        let lag = Lag { events: 2, oldest: Some(at(2)), held_lanes: 1 };
        assert_eq!(of_webhooks(store).await, lag);
        assert_eq!(pending(store, &hook, 1_000).await, Pending { events: 3, oldest: Some(at(2)) });

        // Who is paused is told of nothing, and behind with nothing that anybody waits for.
        let mut reader = store.reader().await.expect("reader");
        let stored = webhooks::find(&mut reader, tenant.application, hook.id).await.expect("find").expect("webhook");
        drop(reader);
        store.run(UpdateWebhook(Webhook { status: "pause".into(), ..stored })).await.expect("update");
        assert_eq!(of_webhooks(store).await, Lag::default());
    })
    .await;
}
