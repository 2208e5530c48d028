//! Whoever stands still is waited for, but not for ever, and what it has lost is known to the event.

use crate::events::{Announce, prune};
use crate::support::{all_events, at, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use postfleet_core::readers::{Row, Save, alone};
use postfleet_store::Store;
use postfleet_store::events::Pruned;
use postfleet_store::gaps::{ForgetGap, Gap};
use postfleet_store::lanes::{Course, SaveWebhook};
use postfleet_store::readers::{Kind, LeaseReader};
use postfleet_store::webhooks::{self, CreateWebhook, LeaseWebhooks, UpdateWebhook, Webhook};

/// Everybody is waited for until the times are the same.
const NEVER: UnixMicros = UnixMicros::from_micros(0);

async fn gap(store: &Store, hook: &Webhook) -> Option<Gap> {
    let mut reader = store.reader().await.expect("reader");
    webhooks::find(&mut reader, hook.application_id, hook.id).await.expect("find").expect("webhook").gap
}

async fn save(store: &Store, hook: &Webhook, position: i64, waiting: Vec<Row>) {
    let save = Save { position, waiting, ..Save::default() };
    let command = SaveWebhook { id: hook.id, owner: "node".into(), save, course: Course::default() };
    assert!(store.run(command).await.expect("save"));
}

fn row(grant: GrantId, position: i64) -> Row {
    Row { grant, position, attempts: 1, due_at: at(30), cause: None }
}

fn lost(pruned: &Pruned, hook: &Webhook) -> Option<(u64, bool)> {
    let own = pruned.losers.iter().find(|loser| loser.webhook == Some(hook.id))?;
    Some((own.gap.events, own.is_first))
}

#[tokio::test]
async fn what_is_removed_before_somebody_is_told_of_it_is_counted_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let grant = tenant.mailbox(store, "a").await;
        other.mailbox(store, "b").await;
        let names = ["told", "behind", "waiting", "alone", "paused"];
        let hooks = names.map(|name| webhook(&tenant, &format!("https://{name}.example/")));
        for hook in &hooks {
            store.run(CreateWebhook(hook.clone())).await.expect("create");
        }
        let foreign = webhook(&other, "https://one.example/");
        store.run(CreateWebhook(foreign.clone())).await.expect("create");
        let [told, behind, waiting, alone_one, paused] = &hooks;
        // Two events are there already; then ten of the one mailbox, a second apart, from position 3 on.
        let template = all_events(store).await.remove(0).event;
        store.run(Announce { template, count: 10 }).await.expect("announce");
        store.run(LeaseWebhooks { owner: "node".into(), now: at(0), until: at(60) }).await.expect("lease");
        save(store, told, 12, Vec::new()).await;
        save(store, behind, 7, Vec::new()).await;
        save(store, waiting, 12, vec![row(grant, 5)]).await;
        save(store, alone_one, 12, vec![row(alone(6), 6), row(alone(4), 5)]).await;
        let off = Webhook { status: "pause".into(), status_updated_at: at(1), ..paused.clone() };
        assert!(store.run(UpdateWebhook(off)).await.expect("update"));

        // The foreign webhook and those that are told are waited for; the paused one is not.
        let pruned = prune(store, at(100), NEVER, 100).await;
        assert_eq!((pruned.events, pruned.losers.len()), (2, 0), "{pruned:?}");
        let leave = Webhook { status: "pause".into(), status_updated_at: at(1), ..foreign.clone() };
        assert!(store.run(UpdateWebhook(leave)).await.expect("update"));
        let pruned = prune(store, at(100), NEVER, 100).await;
        assert_eq!((pruned.events, lost(&pruned, paused)), (2, Some((2, true))), "up to the first that waits");
        assert_eq!(pruned.losers.len(), 1, "{pruned:?}");
        assert_eq!(gap(store, paused).await, Some(Gap { from: at(0), to: at(1), events: 2 }));

        // Nobody is waited for any more: six, a few at a time.
        let first = prune(store, at(100), at(6), 3).await;
        let second = prune(store, at(100), at(8), 100).await;
        assert_eq!((first.events, second.events), (3, 3));
        for (name, hook, expected) in [
            ("it was told of all", told, None),
            ("it stands at 7", behind, Some(Gap { from: at(5), to: at(7), events: 3 })),
            ("5 and all behind it waits", waiting, Some(Gap { from: at(2), to: at(7), events: 6 })),
            ("6 waits alone, and 4 is told", alone_one, Some(Gap { from: at(3), to: at(3), events: 1 })),
            ("it was paused", paused, Some(Gap { from: at(0), to: at(7), events: 8 })),
            ("these were not its own", &foreign, None),
        ] {
            assert_eq!(gap(store, hook).await, expected, "{name}");
        }
        assert_eq!((lost(&first, waiting), lost(&second, waiting)), (Some((3, true)), Some((3, false))));

        // Who has seen it forgets it, if that was all.
        let forget = async |events| {
            let seen = Gap { from: at(0), to: at(0), events };
            store.run(ForgetGap { application_id: tenant.application, id: paused.id, seen }).await.expect("forget");
            gap(store, paused).await.is_none()
        };
        assert!(!forget(7).await && forget(8).await);
        prune(store, at(100), at(9), 100).await;
        assert_eq!(gap(store, paused).await, Some(Gap { from: at(8), to: at(8), events: 1 }));
    })
    .await;
}

#[tokio::test]
async fn another_reader_is_waited_for_and_loses_events_as_well() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let lease = LeaseReader { kind: Kind::Bus, owner: "node".into(), now: at(0), until: at(1_000) };
        store.run(lease).await.expect("lease");
        let tenant = tenant(store, "self_hosted", None).await;
        tenant.mailbox(store, "a").await;
        let template = all_events(store).await.remove(0).event;
        store.run(Announce { template, count: 5 }).await.expect("announce");
        assert_eq!(prune(store, at(100), NEVER, 100).await, Pruned::default(), "it is worked for");
        let pruned = prune(store, at(100), at(2), 100).await;
        let losers: Vec<_> = pruned.losers.iter().map(|one| (one.kind, one.gap.events, one.is_first)).collect();
        assert_eq!((pruned.events, losers), (3, vec![("bus", 3, true)]));
        let pruned = prune(store, at(100), at(3), 100).await;
        assert!(!pruned.losers[0].is_first, "{pruned:?}");
    })
    .await;
}
