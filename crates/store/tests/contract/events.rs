//! The event log: positions without gaps, a sequence without gaps for each mailbox, kept until everybody is told.

use crate::support::{all_events, at, at_once, fresh, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::UnixMicros;
use postfleet_core::id::{EventId, GrantId};
use postfleet_core::readers::{Row, Save};
use postfleet_store::db::DbError;
use postfleet_store::events::{self, NewEvent, PruneEvents, Pruned};
use postfleet_store::lanes::{Course, SaveWebhook};
use postfleet_store::webhooks::{CreateWebhook, LeaseWebhooks, UpdateWebhook, Webhook};
use postfleet_store::{Command, Store, Tx};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_and_sequences_have_no_gaps() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = Vec::new();
        for local in ["a", "b", "c"] {
            grants.push(tenant.mailbox(store, local).await);
        }
        let mut commands = Vec::new();
        for index in 0..200 {
            commands.push(tenant.received(store, &[grants[index % 3]], at(index as u64)).await);
        }
        at_once(store, commands).await;

        let events = all_events(store).await;
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=203).collect::<Vec<_>>());
        let mut sequences: BTreeMap<GrantId, Vec<u64>> = BTreeMap::new();
        for event in &events {
            sequences.entry(event.event.grant_id).or_default().push(event.event.grant_sequence);
        }
        assert_eq!(sequences.len(), 3);
        for sequence in sequences.values() {
            assert_eq!(*sequence, (1..=sequence.len() as u64).collect::<Vec<_>>(), "in the order of positions");
        }
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(events::head(&mut reader).await.expect("head"), 203);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_a_position_before_all_smaller_ones() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut commands = Vec::new();
        for number in 0..200 {
            commands.push(tenant.received(store, &[grant], at(number)).await);
        }
        let following = {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seen = 0;
                while seen < 201 {
                    let mut reader = store.reader().await.expect("reader");
                    for event in events::after(&mut reader, seen, 1_000).await.expect("events") {
                        assert_eq!(event.position, seen + 1);
                        seen = event.position;
                    }
                    drop(reader);
                    tokio::task::yield_now().await;
                }
            })
        };
        at_once(store, commands).await;
        following.await.expect("no gap was seen");
    })
    .await;
}

#[tokio::test]
async fn an_event_reads_back_as_it_was_announced() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let create = tenant.create("a");
        let (event_id, grant) = (create.grant.event_id, create.grant.id);
        store.run(create).await.expect("grant");
        let mut reader = store.reader().await.expect("reader");
        let event = events::at(&mut reader, 1).await.expect("find").expect("event").event;
        assert_eq!((event.id, event.grant_id, event.application_id), (event_id, grant, tenant.application));
        assert_eq!((event.data.as_str(), event.message_id), ("{}", None));
        assert!(events::at(&mut reader, 2).await.expect("find").is_none());
        assert!(events::after(&mut reader, 1, 10).await.expect("events").is_empty());
    })
    .await;
}

/// Announces so many events of a mailbox, a second apart.
pub struct Announce {
    pub template: NewEvent,
    pub count: u64,
}

impl Command for Announce {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        for number in 0..self.count {
            let event = self.template.clone();
            let (id, grant_sequence) = (EventId::from_uuid(fresh()), number + 2);
            tx.announce(NewEvent { id, grant_sequence, at: at(number), ..event });
        }
        Ok(())
    }
}

/// A log of 11 events and a webhook that was there before them.
async fn followed_log(store: &Store) -> Webhook {
    let tenant = tenant(store, "self_hosted", None).await;
    let hook = webhook(&tenant, "https://one.example/");
    store.run(CreateWebhook(hook.clone())).await.expect("webhook");
    tenant.mailbox(store, "a").await;
    let template = all_events(store).await.remove(0).event;
    store.run(Announce { template, count: 10 }).await.expect("announce");
    hook
}

pub async fn prune(store: &Store, before: UnixMicros, unread_before: UnixMicros, limit: usize) -> Pruned {
    store.run(PruneEvents { before, unread_before, limit }).await.expect("prune")
}

async fn first_position(store: &Store) -> i64 {
    all_events(store).await.first().map_or(0, |event| event.position)
}

async fn advance(store: &Store, hook: &Webhook, position: i64, waiting: Vec<Row>) {
    let lease = LeaseWebhooks { owner: "node".into(), now: at(0), until: at(60) };
    store.run(lease).await.expect("lease");
    let save = Save { position, waiting, ..Save::default() };
    assert!(
        store
            .run(SaveWebhook { id: hook.id, owner: "node".into(), save, course: Course::default() })
            .await
            .expect("advance")
    );
}

#[tokio::test]
async fn events_are_kept_until_every_webhook_has_passed_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let hook = followed_log(store).await;
        let prune = async |limit| prune(store, at(1_000), UnixMicros::from_micros(0), limit).await.events;
        assert_eq!(prune(100).await, 0, "the webhook stands at the start");
        advance(store, &hook, 5, Vec::new()).await;
        assert_eq!((prune(2).await, first_position(store).await), (2, 3), "no more than asked for");
        assert_eq!((prune(100).await, first_position(store).await), (3, 6));

        let grant = all_events(store).await[0].event.grant_id;
        advance(store, &hook, 11, vec![Row { grant, position: 8, attempts: 1, due_at: at(30), cause: None }]).await;
        assert_eq!((prune(100).await, first_position(store).await), (2, 8), "what waits is still to be told");
        let failed = Webhook { status: "failed".into(), ..hook };
        assert!(store.run(UpdateWebhook(failed)).await.expect("update"));
        assert_eq!(prune(100).await, 4, "who is not told any more holds nothing back");
    })
    .await;
}

#[tokio::test]
async fn a_paused_webhook_holds_nothing_back() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let hook = followed_log(store).await;
        let paused = Webhook { status: "pause".into(), ..hook };
        assert!(store.run(UpdateWebhook(paused)).await.expect("update"));
        // Events are a second apart; those at or after the limit stay.
        assert_eq!(prune(store, at(4), UnixMicros::from_micros(0), 100).await.events, 5);
        assert_eq!(first_position(store).await, 6);
        assert_eq!(prune(store, at(4), UnixMicros::from_micros(0), 100).await.events, 0);
    })
    .await;
}

#[tokio::test]
async fn an_application_reads_its_own_events_only() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (one, two) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        for number in 0..10 {
            one.mailbox(store, &format!("a{number}")).await;
            two.mailbox(store, &format!("b{number}")).await;
        }
        let mut reader = store.reader().await.expect("reader");
        let (mut position, mut read) = (0, Vec::new());
        loop {
            let page = events::after_of(&mut reader, two.application, position, 3).await.expect("events");
            let Some(last) = page.last() else { break };
            position = last.position;
            read.extend(page.iter().map(|event| event.position));
        }
        assert_eq!(read, (1..=10).map(|number| number * 2).collect::<Vec<_>>());
    })
    .await;
}
