//! A restriction of a domain concerns all that is below it, whoever has registered it and whenever.

use crate::stops::{NOTHING, OPERATOR, RESTRICTION, SWITCH, act, active, behind, claimed, lift, stop, submit, sweep};
use crate::support::{Engine, Tenant, all_events, at, at_once, fresh, number, on_each_engine, organization, tenant};
use postfleet_core::Domain;
use postfleet_core::event::Trigger;
use postfleet_core::id::{DomainId, EventId, GrantId, OrganizationId, StopId};
use postfleet_core::stop::{Kind, Scope};
use postfleet_store::domains::{NewDomain, RegisterDomain, RegisterOutcome, RemoveDomain, RemoveDomainOutcome};
use postfleet_store::events::Event;
use postfleet_store::stops::{self, LiftOutcome, NewStop, Page, RaiseOutcome, RaiseStop, Whose};
use postfleet_store::{Store, params};
use serde_json::Value;

/// Another organization, whose only domain is below that of the first.
async fn below(store: &Store, parent: &Tenant, label: &str) -> Tenant {
    let mut command = organization("self_hosted", None);
    command.domains[0].name = Domain::parse(&format!("{label}.{}", parent.domain)).expect("domain");
    let tenant = Tenant {
        organization: command.id,
        application: command.application_id,
        workspace: command.workspace_id,
        domain: command.domains[0].name.clone(),
    };
    store.run(command).await.expect("organization");
    tenant
}

fn restriction(tenant: &Tenant) -> NewStop {
    let nobody = GrantId::from_uuid(uuid::Uuid::nil());
    NewStop { reference: Some("case 7".into()), ..stop(tenant, nobody, Scope::Domain, RESTRICTION) }
}

async fn counted(store: &Store, organization: OrganizationId) -> i64 {
    const OWN: &str = "SELECT active_stops FROM organizations WHERE id = $1";
    number(store, OWN, params![organization.uuid()]).await
}

fn page(tenant: &Tenant, is_active: Option<bool>) -> Page {
    Page {
        whose: Whose::Application(tenant.organization, tenant.application),
        kind: None,
        scope: None,
        grant: None,
        workspace: None,
        is_active,
        before: None,
        limit: 50,
    }
}

#[tokio::test]
async fn what_another_organization_has_below_it_is_restricted_and_freed_with_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let other = below(store, &tenant, "mail").await;
        let grant = other.mailbox(store, "a").await;
        let queued = submit_queued(store, &other, grant).await;
        let raised = store.run(restriction(&tenant)).await.expect("raise");
        let problem = submit(store, &other, grant).await.expect_err("restricted");
        assert_eq!((problem.code, problem.scope()), ("abuse_restriction", Some("sender_domain")));
        assert_eq!(problem.stop.expect("stop").id, raised.id);
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        assert_eq!(behind(store, raised.id).await, 1);
        // They see it, and are told of it; not to which case it belongs, nor under whom it is kept.
        let mut reader = store.reader().await.expect("reader");
        let listed = stops::list(&mut reader, &page(&other, Some(true))).await.expect("list");
        assert_eq!(listed.iter().map(|record| record.stop.id).collect::<Vec<_>>(), [raised.id]);
        assert_eq!((listed[0].organization_id, listed[0].reference.as_deref()), (other.organization, None));
        assert_eq!(stops::behind(&mut reader, &listed[0], 10).await.expect("behind").recipients, 1);
        let whose = Whose::Organization(other.organization);
        assert!(stops::find(&mut reader, whose, raised.id).await.expect("find").is_some());
        drop(reader);
        let told = |events: Vec<Event>, trigger| -> Vec<Value> {
            let mine = events.into_iter().filter(|one| one.event.application_id == other.application);
            mine.filter(|one| one.event.trigger == trigger)
                .map(|one| serde_json::from_str(&one.event.data).expect("data"))
                .collect()
        };
        let stopped = told(all_events(store).await, Trigger::SendingStopped);
        assert_eq!((stopped.len(), &stopped[0]["reference"]), (1, &Value::Null));
        assert!(matches!(
            store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift"),
            LiftOutcome::Lifted(_, true)
        ));
        sweep(store, 10).await;
        assert_eq!(claimed(store, at(2)).await, [queued]);
        submit(store, &other, grant).await.expect("the next attempt");
        assert_eq!(told(all_events(store).await, Trigger::SendingResumed).len(), 1);
        assert_eq!((counted(store, other.organization).await, active(store, &tenant).await), (0, (0, 0)));
    })
    .await;
}

async fn submit_queued(store: &Store, tenant: &Tenant, grant: GrantId) -> uuid::Uuid {
    let command = tenant.submission(store, grant, 1, at(0)).await;
    let id = command.copy.message_id.uuid();
    let command = postfleet_store::outbound::Submit { sender: tenant.address("a"), ..command };
    store.run(command).await.expect("submit");
    id
}

#[tokio::test]
async fn what_is_registered_later_below_it_is_restricted_too_and_counts_no_more_when_it_goes() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let raised = store.run(restriction(&tenant)).await.expect("raise");
        let other = below(store, &tenant, "later").await;
        assert_eq!(counted(store, other.organization).await, 1);
        let grant = other.mailbox(store, "a").await;
        assert!(submit(store, &other, grant).await.is_err());
        // A second one, registered by itself, counts as often as it is there.
        let name = Domain::parse(&format!("second.{}", tenant.domain)).expect("domain");
        let id = DomainId::from_uuid(fresh());
        let register = RegisterDomain { domain: NewDomain::trusted(id, name), act: act(&other, at(1)) };
        assert_eq!(store.run(register).await.expect("register"), RegisterOutcome::Registered);
        assert_eq!(counted(store, other.organization).await, 2);
        let removed = store.run(RemoveDomain { id, act: act(&other, at(2)) }).await.expect("remove");
        assert_eq!((removed, counted(store, other.organization).await), (RemoveDomainOutcome::Removed, 1));
        store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
        assert_eq!(counted(store, other.organization).await, 0);
        submit(store, &other, grant).await.expect("lifted");
    })
    .await;
}

#[tokio::test]
async fn a_switch_of_a_domain_concerns_nobody_but_its_organization() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let other = below(store, &tenant, "mail").await;
        let grant = other.mailbox(store, "a").await;
        store.run(stop(&tenant, grant, Scope::Domain, SWITCH)).await.expect("raise");
        submit(store, &other, grant).await.expect("another organization");
        let mut reader = store.reader().await.expect("reader");
        assert!(stops::list(&mut reader, &page(&other, None)).await.expect("list").is_empty());
        drop(reader);
        assert_eq!(counted(store, other.organization).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_name_that_nobody_has_registered_is_restricted_for_all_below_it_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let parent = Tenant {
            domain: Domain::parse(&format!("p{}.example", fresh().simple())).expect("domain"),
            ..tenant(store, "self_hosted", None).await
        };
        let (one, two) = (below(store, &parent, "one").await, below(store, &parent, "two").await);
        let ask = || RaiseStop {
            id: StopId::from_uuid(fresh()),
            act: act(&one, at(0)),
            event_id: EventId::from_uuid(fresh()),
            kind: Kind::Restriction,
            scope: Scope::Domain,
            subject: parent.domain.to_string(),
            within: OPERATOR,
            reason: "phishing".into(),
            reference: None,
        };
        let RaiseOutcome::InForce(record, true) = store.run(ask()).await.expect("raise") else { panic!("not raised") };
        for tenant in [&one, &two] {
            let grant = tenant.mailbox(store, "a").await;
            assert!(submit(store, tenant, grant).await.is_err());
            assert_eq!(counted(store, tenant.organization).await, 1);
        }
        // Somebody registers the name itself: it is the same restriction, not a second one.
        let domain = NewDomain::trusted(DomainId::from_uuid(fresh()), parent.domain.clone());
        store.run(RegisterDomain { domain, act: act(&two, at(1)) }).await.expect("register");
        let RaiseOutcome::InForce(again, is_new) = store.run(ask()).await.expect("raise") else { panic!("not found") };
        assert_eq!((again.stop.id, is_new), (record.stop.id, false));
        store.run(lift(&one, record.stop.id, OPERATOR)).await.expect("lift");
        assert_eq!((counted(store, one.organization).await, counted(store, two.organization).await), (0, 0));
    })
    .await;
}

/// Names come while one above them is restricted and freed: who counts wrong pays for ever, or is never stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_restrictions_that_come_at_once_miss_each_other_never() {
    on_each_engine(async |engine: &Engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let others = [below(store, &tenant, "x").await, below(store, &tenant, "y").await];
        let register = |number: usize| {
            let name = Domain::parse(&format!("n{number}.{}", tenant.domain)).expect("domain");
            let other = &others[number % 2];
            RegisterDomain { domain: NewDomain::trusted(DomainId::from_uuid(fresh()), name), act: act(other, at(1)) }
        };
        let (raised, outcomes) = futures::join!(
            async { store.run(restriction(&tenant)).await.expect("raise") },
            at_once(store, (0..24).map(register).collect())
        );
        assert!(outcomes.iter().all(|outcome| *outcome == RegisterOutcome::Registered), "{outcomes:?}");
        for other in &others {
            assert_eq!(counted(store, other.organization).await, 13);
        }
        let (_, _) = futures::join!(
            async { store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift") },
            at_once(store, (24..48).map(register).collect())
        );
        for other in &others {
            assert_eq!(counted(store, other.organization).await, 0);
        }
    })
    .await;
}
