//! Warm-ups of domains: the cap of a day is exact, whoever sends at once, and days count that were used.

use crate::support::{NOON, Tenant, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{DomainId, GrantId, OrganizationId};
use postfleet_core::warm_up::Course;
use postfleet_store::domains::{NewDomain, RegisterDomain, RegisterOutcome, RemoveDomain, RemoveDomainOutcome};
use postfleet_store::outbound::{Explain, Explained, Submit, SubmitOutcome};
use postfleet_store::warm_ups::{self, Begun, EndWarmUp, SetWarmUp};
use postfleet_store::{Store, domains};
use std::time::Duration;

fn day(days: u64) -> UnixMicros {
    NOON.plus(Duration::from_secs(days * 86_400))
}

async fn domain_id(store: &Store, tenant: &Tenant) -> DomainId {
    let mut reader = store.reader().await.expect("reader");
    let found = domains::find_name(&mut reader, tenant.organization, &tenant.domain).await.expect("read");
    found.expect("domain").domain.id
}

async fn warm_up(store: &Store, tenant: &Tenant, course: Course, at: UnixMicros) -> Begun {
    let (domain, act) = (domain_id(store, tenant).await, tenant.act(at));
    store.run(SetWarmUp { domain, course, act }).await.expect("set").expect("domain")
}

async fn found(store: &Store, tenant: &Tenant) -> Option<Begun> {
    let domain = domain_id(store, tenant).await;
    warm_ups::find(&mut store.reader().await.expect("reader"), domain).await.expect("read")
}

/// The code of the refusal; empty for what was accepted.
fn code(outcome: &SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::Accepted { .. } => "",
        SubmitOutcome::Refused(problem) => problem.code,
        other => panic!("neither accepted nor refused: {other:?}"),
    }
}

async fn send(store: &Store, tenant: &Tenant, grant: GrantId, at: UnixMicros) -> &'static str {
    code(&store.run(tenant.submission(store, grant, 3, at).await).await.expect("submit"))
}

const EXCEEDED: &str = "domain_warm_up_exceeded";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_of_a_day_holds_for_many_mailboxes_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenants = [tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await];
        let mut grants = Vec::new();
        for (index, tenant) in tenants.iter().enumerate() {
            warm_up(store, tenant, Course { start: 10, target: 200 }, NOON).await;
            for name in ["a", "b", "c"] {
                grants.push((index, tenant.mailbox(store, name).await));
            }
        }
        // Two domains whose sends come interleaved, so that batches hold both.
        let mut commands = Vec::new();
        for turn in 0..96 {
            let (index, grant) = grants[(turn * 5 + turn / 6) % grants.len()];
            commands.push(tenants[index].submission(store, grant, 1, NOON).await);
        }
        let outcomes = at_once(store, commands).await;
        assert_eq!(outcomes.iter().filter(|outcome| code(outcome).is_empty()).count(), 20, "ten for each domain");
        assert!(outcomes.iter().all(|outcome| ["", EXCEEDED].contains(&code(outcome))));
        for tenant in &tenants {
            assert_eq!(found(store, tenant).await.expect("warm-up").warm_up.used, 10);
        }
        assert_eq!(number(store, "SELECT count(*) FROM outbound", &[]).await, 20);
    })
    .await;
}

#[tokio::test]
async fn days_count_that_were_used_by_half_and_messages_once_whoever_gets_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        warm_up(store, &tenant, Course { start: 4, target: 60 }, NOON).await;
        let (first, second) = (day(0), day(1));
        assert_eq!(send(store, &tenant, grant, first).await, "");
        // A day of which less than half was used does not count: the next one has the same cap.
        for _ in 0..4 {
            assert_eq!(send(store, &tenant, grant, second).await, "", "three recipients are one message");
        }
        let refused = tenant.submission(store, grant, 3, second).await;
        let explained = store.run(Explain { submit: Submit { ..refused.clone() } }).await.expect("explain");
        let Explained::Refusals(refusals, _) = explained else { panic!("{explained:?}") };
        assert_eq!(refusals.iter().map(|one| one.code).collect::<Vec<_>>(), [EXCEEDED], "explained as it is refused");
        let SubmitOutcome::Refused(problem) = store.run(refused).await.expect("submit") else { panic!("accepted") };
        let exhausted = problem.exhausted.expect("an allowance");
        let told = (exhausted.scope, exhausted.limit, exhausted.used, exhausted.resets_at);
        assert_eq!(told, ("domain", 4, 4, Some(second.day().end())));
        // The third day is the second of the warm-up.
        for _ in 0..(Course { start: 4, target: 60 }).cap(2).expect("cap") {
            assert_eq!(send(store, &tenant, grant, day(2)).await, "");
        }
        assert_eq!(send(store, &tenant, grant, day(2)).await, EXCEEDED);
        assert_eq!(found(store, &tenant).await.expect("warm-up").warm_up.stage, 2);
    })
    .await;
}

#[tokio::test]
async fn a_domain_is_warm_after_its_last_day_and_then_costs_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let course = Course { start: 1, target: 2 };
        warm_up(store, &tenant, course, NOON).await;
        for stage in 1..=28 {
            assert_eq!(send(store, &tenant, grant, day(u64::from(stage) - 1)).await, "", "{stage}");
            if course.cap(stage) == Some(1) {
                assert_eq!(send(store, &tenant, grant, day(u64::from(stage) - 1)).await, EXCEEDED, "{stage}");
            }
        }
        for _ in 0..5 {
            assert_eq!(send(store, &tenant, grant, day(28)).await, "");
        }
        let warm = found(store, &tenant).await.expect("warm-up").warm_up;
        assert_eq!((warm.stage, warm.used), (29, 1), "only the first send is written of a domain that is warm");
    })
    .await;
}

#[tokio::test]
async fn a_warm_up_is_changed_ended_and_removed_with_its_domain() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let (low, high) = (Course { start: 4, target: 60 }, Course { start: 10, target: 200 });
        let begun = warm_up(store, &tenant, low, NOON).await;
        assert_eq!(warm_up(store, &tenant, low, day(1)).await, begun, "the same again changes nothing");
        for _ in 0..2 {
            assert_eq!(send(store, &tenant, grant, day(0)).await, "");
        }
        let changed = warm_up(store, &tenant, high, day(1)).await;
        let (now, course) = (changed.warm_up, changed.warm_up.course);
        assert_eq!((now.stage, now.used, course, changed.started_at), (2, 0, high, NOON), "the day stays");
        let domain = domain_id(store, &tenant).await;
        let foreign = Act { organization_id: OrganizationId::from_uuid(fresh()), ..tenant.act(NOON) };
        assert_eq!(store.run(SetWarmUp { domain, course: low, act: foreign.clone() }).await.expect("set"), None);
        assert!(!store.run(EndWarmUp { domain, act: foreign }).await.expect("end"));
        for _ in 0..2 {
            assert!(store.run(EndWarmUp { domain, act: tenant.act(day(1)) }).await.expect("end"));
        }
        for _ in 0..30 {
            assert_eq!(send(store, &tenant, grant, day(1)).await, "");
        }
        assert_eq!(found(store, &tenant).await, None);
        let records = "SELECT count(*) FROM audit WHERE action LIKE 'domain.warm_up%'";
        assert_eq!(number(store, records, &[]).await, 3, "begun, changed, ended: once each");

        let name = postfleet_core::Domain::parse("spare.example").expect("domain");
        let spare = NewDomain::trusted(DomainId::from_uuid(fresh()), name);
        let id = spare.id;
        let register = RegisterDomain { domain: spare, act: tenant.act(NOON) };
        assert_eq!(store.run(register).await.expect("register"), RegisterOutcome::Registered);
        store.run(SetWarmUp { domain: id, course: low, act: tenant.act(NOON) }).await.expect("set").expect("domain");
        let removed = store.run(RemoveDomain { id, act: tenant.act(NOON) }).await.expect("remove");
        assert_eq!(removed, RemoveDomainOutcome::Removed);
        assert_eq!(number(store, "SELECT count(*) FROM warm_ups", &[]).await, 0);
    })
    .await;
}
