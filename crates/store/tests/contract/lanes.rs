//! What waits of each mailbox: written with the position, loaded a few at a time, and kept from a node without the lease.

use crate::support::{at, fresh, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::id::GrantId;
use postfleet_core::readers::{Behind, Load};
use postfleet_store::lanes::{self, SaveWebhook};
use postfleet_store::webhooks::{AdvanceWebhook, CreateWebhook, LeaseWebhooks, Parked, Webhook};

fn save(hook: &Webhook, owner: &str, position: i64, parked: Vec<Parked>, done: Vec<(GrantId, i64)>) -> SaveWebhook {
    let advance = AdvanceWebhook { id: hook.id, owner: owner.into(), position, parked, given_up: vec![position] };
    SaveWebhook { advance, done }
}

#[tokio::test]
async fn what_waits_is_written_with_the_position_and_loaded_in_order() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        // The first event of the log.
        tenant.mailbox(store, "a").await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        store.run(LeaseWebhooks { owner: "node".into(), now: at(0), until: at(60) }).await.expect("lease");
        let mut grants = [GrantId::from_uuid(fresh()), GrantId::from_uuid(fresh())];
        grants.sort_unstable();
        let [one, two] = grants;
        let parked = |grant_id, position, attempts, due_at| Parked { grant_id, position, attempts, due_at };
        let waiting = vec![
            parked(one, 1, 2, at(30)),
            parked(two, 2, 0, Parked::BEHIND),
            parked(one, 3, 0, Parked::BEHIND),
            parked(one, 4, 0, Parked::BEHIND),
        ];
        assert!(store.run(save(&hook, "node", 4, waiting, Vec::new())).await.expect("save"));

        let mut reader = store.reader().await.expect("reader");
        let behind = |grant, first, last, due_at| Behind { grant, first, last, due_at };
        let found = lanes::behind(&mut reader, hook.id, at(7)).await.expect("behind");
        // Nobody has let the second one go: it is due at once.
        assert_eq!(found, [behind(one, 1, 4, at(30)), behind(two, 2, 2, at(7))]);

        for (after, upto, limit, expected) in [
            (0, 4, 16, vec![(1, 2), (3, 0), (4, 0)]),
            (0, 4, 2, vec![(1, 2), (3, 0)]),
            (1, 3, 16, vec![(3, 0)]),
            (4, 9, 16, vec![]),
        ] {
            let load = Load { grant: one, after, upto, limit };
            let loaded = lanes::load(&mut reader, hook.id, load).await.expect("load");
            let rows: Vec<_> = loaded.iter().map(|waiting| (waiting.position, waiting.attempts)).collect();
            assert_eq!(rows, expected, "{load:?}");
            for waiting in loaded {
                let position = waiting.event.map(|event| event.position);
                assert_eq!(position, Some(waiting.position).filter(|position| *position == 1), "the others are pruned");
            }
        }

        // What is done goes with the position; a row may be changed, and what is not there be removed.
        let again = vec![parked(one, 3, 1, at(90))];
        let done = vec![(one, 1), (two, 2), (two, 99)];
        assert!(store.run(save(&hook, "node", 5, again, done)).await.expect("save"));
        let found = lanes::behind(&mut reader, hook.id, at(7)).await.expect("behind");
        assert_eq!(found, [behind(one, 3, 4, at(90))]);

        // Without the lease nothing is changed, and neither is by whoever would go back.
        store.run(LeaseWebhooks { owner: "other".into(), now: at(60), until: at(120) }).await.expect("lease");
        for (owner, position) in [("node", 6), ("other", 4)] {
            let late = save(&hook, owner, position, vec![parked(two, 6, 0, at(0))], vec![(one, 3)]);
            assert!(!store.run(late).await.expect("save"), "{owner}");
        }
        assert_eq!(lanes::behind(&mut reader, hook.id, at(7)).await.expect("behind"), found);
    })
    .await;
}
