//! What the message bus needs: refused sends that are put aside, each once and within their limit, and rules for events.

use crate::support::{NOON, at, fresh, on_each_engine, tenant};
use postfleet_core::event_route::{EventRoute, Matcher};
use postfleet_core::id::{EventRouteId, ParkedId};
use postfleet_core::{Patch, UnixMicros};
use postfleet_store::bus_parked::{
    self, Leaves, PARKED_MAX, Park, ParkAgain, Parked, PruneParked, Reason, RemoveParked,
};
use postfleet_store::event_routes::{self, CreateRoute, RemoveRoute, StoredRoute, UpdateRoute};

fn reason(code: &str) -> Reason {
    Reason { status: 400, code: code.to_owned(), message: "no".to_owned(), field: None }
}

#[tokio::test]
async fn a_refused_send_is_parked_once_and_so_many_at_most() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let parked = |sequence: u64, time: UnixMicros| Parked {
            id: ParkedId::from_uuid(fresh()),
            application_id: tenant.application,
            sender: "x".to_owned(),
            place: (7, sequence),
            key: None,
            reason: reason("not_found"),
            retries: 0,
            octets: 2,
            parked_at: time,
        };
        let park = async |parked: Parked| store.run(Park { parked, body: Some(b"{}".to_vec()) }).await.expect("park");
        let first = parked(1, NOON);
        assert!(park(first.clone()).await);
        assert!(park(parked(1, NOON)).await, "given out again");
        assert!(park(parked(2, at(10))).await);
        let list = async |limit| {
            let mut reader = store.reader().await.expect("reader");
            bus_parked::list(&mut reader, tenant.application, None, limit).await.expect("list")
        };
        assert_eq!(list(10).await.len(), 2);
        let of_other = bus_parked::find(&mut store.reader().await.expect("reader"), other.application, first.id).await;
        assert_eq!(of_other.expect("find"), None);
        let again = ParkAgain { application_id: tenant.application, id: first.id, reason: reason("other") };
        store.run(again).await.expect("again");
        let found = bus_parked::find(&mut store.reader().await.expect("reader"), tenant.application, first.id).await;
        let (found, body) = found.expect("find").expect("is there");
        assert_eq!((found.reason.code.as_str(), found.retries, body), ("other", 1, Some(b"{}".to_vec())));
        for sequence in 3..=PARKED_MAX {
            assert!(park(parked(sequence, at(20))).await);
        }
        assert!(!park(parked(PARKED_MAX + 1, at(20))).await, "one more than there may be");
        assert!(park(parked(2, at(20))).await, "one that is there");
        let application_id = other.application;
        let foreign = RemoveParked { act: other.act(NOON), application_id, id: first.id, why: Leaves::Removed };
        assert!(!store.run(foreign).await.expect("remove"));
        let remove =
            RemoveParked { act: tenant.act(NOON), application_id: tenant.application, id: first.id, why: Leaves::Sent };
        assert!(store.run(remove.clone()).await.expect("remove"));
        assert!(!store.run(remove).await.expect("remove"));
        assert!(park(parked(PARKED_MAX + 1, at(20))).await, "there is room again");
        assert_eq!(store.run(PruneParked { before: at(10), limit: 100 }).await.expect("prune"), 1);
        assert_eq!(list(2_000).await.len() as u64, PARKED_MAX - 1);
    })
    .await;
}

#[tokio::test]
async fn rules_are_made_changed_and_removed_within_one_application() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let mut reader = store.reader().await.expect("reader");
        assert!(!event_routes::any(&mut reader).await.expect("any"));
        drop(reader);
        let matcher = Matcher { folder: vec!["inbox".to_owned()], ..Matcher::default() };
        let id = EventRouteId::from_uuid(fresh());
        let route = EventRoute { id, priority: 3, enabled: true, matcher, subject: "a.b".to_owned() };
        let (application_id, name) = (tenant.application, "Name".to_owned());
        let stored = StoredRoute { application_id, name, route, created_at: NOON, updated_at: NOON };
        let made = store.run(CreateRoute { act: tenant.act(NOON), stored: stored.clone() }).await;
        assert!(made.expect("made"));
        let find = async |application| {
            let mut reader = store.reader().await.expect("reader");
            event_routes::find(&mut reader, application, id).await.expect("find")
        };
        assert_eq!(find(tenant.application).await, Some(stored.clone()));
        assert_eq!(find(other.application).await, None);
        let change = |application_id, matcher| UpdateRoute {
            act: tenant.act(at(5)),
            application_id,
            id,
            name: None,
            priority: Some(4),
            enabled: Some(false),
            matcher,
            subject: None,
        };
        assert_eq!(store.run(change(other.application, Patch::Keep)).await.expect("update"), None);
        let changed = store.run(change(tenant.application, Patch::Keep)).await.expect("update").expect("is there");
        assert_eq!((changed.route.priority, changed.route.enabled, changed.updated_at), (4, false, at(5)));
        assert_eq!(changed.route.matcher, stored.route.matcher);
        let cleared = store.run(change(tenant.application, Patch::Clear)).await.expect("update").expect("is there");
        assert_eq!(cleared.route.matcher, Matcher::default());
        assert_eq!(find(tenant.application).await, Some(cleared));
        let remove = |application_id| RemoveRoute { act: tenant.act(NOON), application_id, id };
        assert!(!store.run(remove(other.application)).await.expect("remove"));
        assert!(store.run(remove(tenant.application)).await.expect("remove"));
        assert_eq!(find(tenant.application).await, None);
    })
    .await;
}
