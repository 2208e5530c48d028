//! A command that fails is undone alone: those that share its batch commit as if it had not been there.

use crate::support::{Engine, Tenant, all_events, at, listed, number, on_each_engine, tenant};
use futures::poll;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_store::db::DbError;
use postfleet_store::events::NewEvent;
use postfleet_store::{Command, Store, StoreError, Tx};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

const GOOD: u64 = 100;

/// Keeps the writer busy until it is let go, so that what is sent meanwhile lands in one batch.
struct Hold {
    entered: watch::Sender<bool>,
    released: watch::Receiver<bool>,
}

impl Command for Hold {
    type Outcome = ();
    async fn run(&self, _: &mut Tx) -> Result<(), DbError> {
        self.entered.send_replace(true);
        // An error means that the test is over.
        let _ = self.released.clone().wait_for(|released| *released).await;
        Ok(())
    }
}

/// Runs `send`, whose futures are polled once and then wait, while the writer is held; then lets it go.
async fn in_one_batch<T>(store: &Store, sends: Vec<impl Future<Output = T>>) -> Vec<T> {
    let (entered, mut is_entered) = watch::channel(false);
    let (release, released) = watch::channel(false);
    let holding = tokio::spawn({
        let store = store.clone();
        async move { store.run(Hold { entered, released }).await }
    });
    is_entered.wait_for(|entered| *entered).await.expect("the writer is held");
    let batches = store.counters().batches();
    let mut sends: Vec<_> = sends.into_iter().map(Box::pin).collect();
    for send in &mut sends {
        assert!(poll!(send).is_pending(), "it waits for its batch");
    }
    release.send_replace(true);
    holding.await.expect("task").expect("hold");
    let mut outcomes = Vec::with_capacity(sends.len());
    for send in sends {
        outcomes.push(send.await);
    }
    assert!(store.counters().batches() - batches <= 2, "they were to share a batch");
    outcomes
}

/// Ways to fail.
#[derive(Clone, Copy, Debug)]
enum Fault {
    BadSql,
    Violation,
    Malformed,
    Shape,
}

/// Changes the database, announces an event, and fails.
#[derive(Clone)]
struct Failing {
    fault: Fault,
    event: NewEvent,
}

impl Command for Failing {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("UPDATE mailboxes SET storage_octets = -1", &[]).await?;
        tx.announce(self.event.clone());
        match self.fault {
            Fault::BadSql => tx.execute("UPDATE no_such_table SET a = 1", &[]).await.map(drop),
            Fault::Violation => {
                tx.execute("INSERT INTO event_head (one, position) VALUES (1, 99)", &[]).await.map(drop)
            }
            Fault::Malformed => Err(DbError::Malformed("thing")),
            Fault::Shape => {
                let row = tx.query_one("SELECT name FROM organizations", &[]).await?;
                row.map_or(Ok(()), |row| row.int(0).map(drop))
            }
        }
    }
}

fn failing(tenant: &Tenant, grant: GrantId, fault: Fault) -> Failing {
    let copy = tenant.copy(grant);
    let event = NewEvent {
        id: copy.event_id,
        application_id: tenant.application,
        grant_id: grant,
        grant_sequence: 999,
        trigger: postfleet_core::event::Trigger::MessageCreated,
        message_id: None,
        data: "{}".into(),
        at: at(0),
    };
    Failing { fault, event }
}

enum Sent {
    Good(Result<Vec<MessageId>, StoreError>),
    Bad(Result<(), StoreError>),
}

/// A hundred deliveries with one failing command among them.
async fn check(engine: &Engine, fault: Fault) {
    let store = &engine.store;
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    let before = all_events(store).await.len();
    let reruns = store.counters().reruns();
    let bad = failing(&tenant, grant, fault);
    let mut sends: Vec<std::pin::Pin<Box<dyn Future<Output = Sent> + '_>>> = Vec::new();
    for number in 0..GOOD {
        if number == GOOD / 2 {
            let bad = bad.clone();
            sends.push(Box::pin(async move { Sent::Bad(store.run(bad).await) }));
        }
        let good = tenant.received(store, &[grant], at(number)).await;
        sends.push(Box::pin(async move { Sent::Good(store.run(good).await.map(|filed| filed.expect("room"))) }));
    }
    for sent in in_one_batch(store, sends).await {
        match sent {
            Sent::Good(outcome) => assert_eq!(outcome.expect("good").len(), 1, "{fault:?}"),
            Sent::Bad(outcome) => assert!(matches!(outcome, Err(StoreError::Fault(_))), "{fault:?}: {outcome:?}"),
        }
    }
    assert_eq!(listed(store, grant, "").await.len() as u64, GOOD);
    let told = all_events(store).await.split_off(before);
    assert_eq!(told.len() as u64, GOOD);
    assert!(told.iter().all(|event| event.event.id != bad.event.id), "{fault:?}: the failed one's event");
    assert!(told.windows(2).all(|pair| pair[1].position == pair[0].position + 1), "no gap");
    assert!(number(store, "SELECT min(storage_octets) FROM mailboxes", &[]).await > 0, "its changes are undone");
    assert!(store.counters().reruns() > reruns);
}

#[tokio::test]
async fn a_command_that_fails_does_not_disturb_those_batched_with_it() {
    on_each_engine(async |engine| {
        for fault in [Fault::BadSql, Fault::Violation, Fault::Malformed, Fault::Shape] {
            check(engine, fault).await;
        }
    })
    .await;
}

#[tokio::test]
async fn many_that_fail_in_one_batch_fail_alone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let sends = [Fault::Violation, Fault::BadSql, Fault::Violation]
            .map(|fault| store.run(failing(&tenant, grant, fault)))
            .into_iter()
            .collect();
        assert!(in_one_batch(store, sends).await.iter().all(Result::is_err));
        tenant.deliver(store, grant, at(1)).await;
        assert_eq!(all_events(store).await.len(), 2);
    })
    .await;
}

/// A column that a statement does not answer is a fault of the statement, not the end of the writer.
struct MissingColumn;

impl Command for MissingColumn {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        let row = tx.query_one("SELECT position FROM event_head", &[]).await?;
        row.map_or(Ok(()), |row| row.int(1).map(drop))
    }
}

#[tokio::test]
async fn a_missing_column_is_a_fault() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let refused = store.run(MissingColumn).await.expect_err("no such column");
        assert!(matches!(refused, StoreError::Fault(_)), "{refused}");
        tenant(store, "free", None).await;
    })
    .await;
}

/// Gets in the way of another node's transaction the first few times.
struct Colliding {
    collisions: usize,
    runs: Arc<AtomicUsize>,
}

impl Command for Colliding {
    type Outcome = ();
    async fn run(&self, _: &mut Tx) -> Result<(), DbError> {
        match self.runs.fetch_add(1, Ordering::Relaxed) < self.collisions {
            true => Err(DbError::Serialization("made up".into())),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_batch_that_collided_is_run_again() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let runs = Arc::new(AtomicUsize::new(0));
        store.run(Colliding { collisions: 3, runs: runs.clone() }).await.expect("it succeeds in the end");
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        let endless = Colliding { collisions: usize::MAX, runs: Arc::default() };
        let refused = store.run(endless).await.expect_err("it has to end");
        assert!(matches!(refused, StoreError::Unreachable(_)), "{refused}");
        tenant(store, "free", None).await;
    })
    .await;
}

/// The second way of running a batch collides like the first one.
#[tokio::test]
async fn a_batch_that_collided_beside_a_failing_command_is_run_again() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let bad = failing(&tenant, grant, Fault::Violation);
        // The first run ends at the failing command, before the colliding one had its turn.
        let colliding = Colliding { collisions: 2, runs: Arc::default() };
        type Outcome = Result<(), StoreError>;
        let sends: Vec<std::pin::Pin<Box<dyn Future<Output = Outcome> + '_>>> =
            vec![Box::pin(store.run(bad)), Box::pin(store.run(colliding))];
        let outcomes = in_one_batch(store, sends).await;
        assert!(matches!(outcomes[0], Err(StoreError::Fault(_))), "{:?}", outcomes[0]);
        assert!(outcomes[1].is_ok(), "{:?}", outcomes[1]);
    })
    .await;
}

/// Ends the connection on which it runs.
struct Terminate;

impl Command for Terminate {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.query("SELECT pg_terminate_backend(pg_backend_pid())", &[]).await.map(drop)
    }
}

#[tokio::test]
async fn a_lost_connection_is_told_and_replaced() {
    let Some(engine) = Engine::postgres().await else { return };
    let store = &engine.store;
    let refused = store.run(Terminate).await.expect_err("the connection is gone");
    assert!(matches!(refused, StoreError::Unreachable(_)), "{refused}");
    tenant(store, "free", None).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_command_with_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let command = tenant.received(store, &[grant], at(1)).await;
        {
            let mut abandoned = pin!(store.run(command));
            assert!(poll!(&mut abandoned).is_pending());
        }
        // Commands of one writer are run in order, so this one comes after it.
        tenant.deliver(store, grant, at(2)).await;
        assert_eq!(listed(store, grant, "").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn hints_are_given_for_what_was_committed_only() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        store.wake().events.notified().await;
        store.run(failing(&tenant, grant, Fault::BadSql)).await.expect_err("fails");
        let mut waiting = pin!(store.wake().events.notified());
        assert!(poll!(&mut waiting).is_pending(), "nothing happened");
        tenant.deliver(store, grant, at(1)).await;
        waiting.await;
    })
    .await;
}
