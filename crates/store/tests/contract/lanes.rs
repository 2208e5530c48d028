//! What waits of each mailbox: one row, written with the position, read from the log, and kept from a node without the lease.

use crate::support::{at, fresh, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use postfleet_core::readers::{Cause, GivenUp, Load, Row, Save, alone};
use postfleet_store::Store;
use postfleet_store::deliveries::{self, Delivery};
use postfleet_store::lanes::{self, Course, SaveWebhook};
use postfleet_store::webhooks::{self, CreateWebhook, LeaseWebhooks, Webhook};
use std::time::Duration;

async fn save(store: &Store, hook: &Webhook, owner: &str, save: Save) -> bool {
    // It rests while something waits.
    let rests_until = save.waiting.first().map(|row| row.due_at);
    let course = Course { rests_until, failing_for: rests_until.map(|_| Duration::from_secs(900)) };
    store.run(SaveWebhook { id: hook.id, owner: owner.into(), save, course }).await.expect("save")
}

async fn lease(store: &Store, owner: &str, now: UnixMicros, until: UnixMicros) {
    store.run(LeaseWebhooks { owner: owner.into(), now, until }).await.expect("lease");
}

fn row(grant: GrantId, position: i64, cause: Option<Cause>) -> Row {
    Row { grant, position, attempts: 2, due_at: at(30), cause }
}

#[tokio::test]
async fn what_waits_is_one_row_written_with_the_position() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        lease(store, "node", at(0), at(60)).await;
        let mut grants = [GrantId::from_uuid(fresh()), GrantId::from_uuid(fresh())];
        grants.sort_unstable();
        let [one, two] = grants;
        let mut reader = store.reader().await.expect("reader");
        let rows = vec![row(one, 1, Some(Cause::Status(503))), row(two, 2, None)];
        assert!(save(store, &hook, "node", Save { position: 4, waiting: rows.clone(), ..Save::default() }).await);
        assert_eq!(lanes::waiting(&mut reader, hook.id).await.expect("waiting"), rows);
        let course = Course { rests_until: Some(at(30)), failing_for: Some(Duration::from_secs(900)) };
        assert_eq!(lanes::course(&mut reader, hook.id).await.expect("course"), course);
        assert!(save(store, &hook, "node", Save { position: 4, ..Save::default() }).await);
        assert_eq!(lanes::course(&mut reader, hook.id).await.expect("course"), Course::default());

        // A row is changed, and what is not there may be removed.
        let again = row(one, 3, Some(Cause::Deadline));
        let done = vec![two, GrantId::from_uuid(fresh())];
        assert!(save(store, &hook, "node", Save { position: 5, waiting: vec![again], done, ..Save::default() }).await);
        assert_eq!(lanes::waiting(&mut reader, hook.id).await.expect("waiting"), [again]);

        // Without the lease nothing is changed, and neither is by whoever would go back.
        lease(store, "other", at(60), at(120)).await;
        for (owner, position) in [("node", 6), ("other", 4)] {
            let late = Save { position, waiting: vec![row(two, 6, None)], done: vec![one], ..Save::default() };
            assert!(!save(store, &hook, owner, late).await, "{owner}");
        }
        assert_eq!(lanes::waiting(&mut reader, hook.id).await.expect("waiting"), [again]);
    })
    .await;
}

#[tokio::test]
async fn what_is_behind_it_is_read_from_the_log_and_what_became_of_it_is_told() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let hook = Webhook { created_at: at(0), ..webhook(&tenant, "https://one.example/") };
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        lease(store, "node", at(0), at(60)).await;
        let mut grants = Vec::new();
        for number in 0..4 {
            grants.push(tenant.mailbox(store, &format!("a{number}")).await);
            other.mailbox(store, &format!("b{number}")).await;
        }
        let mut reader = store.reader().await.expect("reader");
        // Each mailbox has one event, at an odd position; those of another application are between them.
        for (number, grant) in grants.iter().enumerate() {
            let position = 2 * number as i64 + 1;
            for (after, upto, limit, application, expected) in [
                (0, 8, 16, tenant.application, Some(position)),
                (position, 8, 16, tenant.application, None),
                (0, position - 1, 16, tenant.application, None),
                (0, 8, 0, tenant.application, None),
                (0, 8, 16, other.application, None),
            ] {
                let load = Load { grant: *grant, after, upto, limit };
                let loaded = lanes::load(&mut reader, application, load).await.expect("load");
                let found: Vec<i64> = loaded.iter().map(|event| event.position).collect();
                assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{load:?}");
            }
        }

        // The first is told before the others, the second waits, the third was given up, the fourth is not looked at yet.
        let given_up = GivenUp { position: 5, attempts: 3, at: at(9), cause: Cause::Status(404) };
        let waiting = vec![row(grants[1], 3, Some(Cause::Connection)), row(grants[3], 8, None)];
        assert!(
            save(store, &hook, "node", Save { position: 5, waiting, given_up: vec![given_up], ..Save::default() })
                .await
        );
        let hook = webhooks::find(&mut reader, tenant.application, hook.id).await.expect("find").expect("webhook");
        let list = deliveries::list(&mut reader, &hook, i64::MAX, 10).await.expect("list");
        let found: Vec<_> = list.iter().map(|(event, delivery)| (event.position, *delivery)).collect();
        let waiting = Delivery::Waiting { attempts: 2, due_at: Some(at(30)), cause: Some(Cause::Connection) };
        let given_up = Delivery::GivenUp { attempts: 3, at: at(9), cause: Some(Cause::Status(404)) };
        assert_eq!(found, [(7, Delivery::Delivered), (5, given_up), (3, waiting), (1, Delivery::Delivered)]);

        // What is behind the one that waits waits, too, and nothing after the position is known of others.
        let earlier =
            Save { position: 6, waiting: vec![row(grants[1], 2, None)], done: vec![grants[3]], ..Save::default() };
        assert!(save(store, &hook, "node", earlier).await);
        let hook = webhooks::find(&mut reader, tenant.application, hook.id).await.expect("find").expect("webhook");
        let list = deliveries::list(&mut reader, &hook, i64::MAX, 10).await.expect("list");
        let found: Vec<_> = list.iter().map(|(_, delivery)| *delivery).collect();
        let behind = Delivery::Waiting { attempts: 0, due_at: None, cause: None };
        assert_eq!(found, [Delivery::Pending, given_up, behind, Delivery::Delivered]);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_waits_alone_is_loaded_alone_and_told_apart() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let hook = Webhook { created_at: at(0), ordered: false, ..webhook(&tenant, "https://one.example/") };
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        lease(store, "node", at(0), at(60)).await;
        for number in 0..4 {
            tenant.mailbox(store, &format!("a{number}")).await;
        }
        let mut reader = store.reader().await.expect("reader");
        for (name, after, application, expected) in [
            ("it is there", 1, tenant.application, vec![2]),
            ("it is told", 2, tenant.application, vec![]),
            ("it is another's", 1, other.application, vec![]),
        ] {
            let load = Load { grant: alone(2), after, upto: 4, limit: 32 };
            let loaded = lanes::load(&mut reader, application, load).await.expect("load");
            assert_eq!(loaded.iter().map(|event| event.position).collect::<Vec<_>>(), expected, "{name}");
        }
        // The second waits, the third is told before the position has passed it, the fourth nobody has come to.
        let waiting = vec![row(alone(2), 2, Some(Cause::Status(500))), row(alone(3), 4, None)];
        assert!(save(store, &hook, "node", Save { position: 2, waiting, ..Save::default() }).await);
        let hook = webhooks::find(&mut reader, tenant.application, hook.id).await.expect("find").expect("webhook");
        assert!(!hook.ordered);
        let list = deliveries::list(&mut reader, &hook, i64::MAX, 10).await.expect("list");
        let found: Vec<_> = list.iter().map(|(event, delivery)| (event.position, *delivery)).collect();
        let waiting = Delivery::Waiting { attempts: 2, due_at: Some(at(30)), cause: Some(Cause::Status(500)) };
        let expected = [(4, Delivery::Pending), (3, Delivery::Pending), (2, waiting), (1, Delivery::Delivered)];
        assert_eq!(found, expected, "what was told out of order is known when the position comes to it");
    })
    .await;
}
