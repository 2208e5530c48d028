//! What keeps somebody from sending: whom a stop concerns, in which order stops are told, that one is raised once, and what
//! is written of it.

use crate::support::{NOON, Tenant, all_events, at_once, fresh, number, on_each_engine, queue_rows, tenant};
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, StopId};
use postfleet_core::stop::{Effect, Kind, Scope};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::organizations;
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::stops::{
    self, Lift, LiftOutcome, LiftStop, NewStop, Page, RaiseOutcome, RaiseStop, Raised, Target, Whose, Within,
};
use postfleet_store::{Store, params};
use serde_json::Value;

pub fn act(tenant: &Tenant, at: UnixMicros) -> Act {
    Act { record_id: AuditId::from_uuid(fresh()), ..tenant.act(at) }
}

/// A stop of a mailbox, in whatever scope.
pub fn stop(tenant: &Tenant, grant: GrantId, scope: Scope, (kind, effect): (Kind, Effect)) -> NewStop {
    let subject = match scope {
        Scope::Address => tenant.address("a").key(),
        Scope::Domain => tenant.domain.as_str().to_owned(),
        Scope::Organization => tenant.organization.to_string(),
        Scope::Application => tenant.application.to_string(),
        Scope::Workspace => tenant.workspace.to_string(),
        Scope::Grant | Scope::Thread => grant.to_string(),
    };
    let is_of_all = matches!(scope, Scope::Organization | Scope::Domain);
    let is_of_one = matches!(scope, Scope::Address | Scope::Grant);
    NewStop {
        id: StopId::from_uuid(fresh()),
        act: act(tenant, NOON),
        event_id: EventId::from_uuid(fresh()),
        kind,
        effect,
        target: Target {
            organization: tenant.organization,
            application: (!is_of_all).then_some(tenant.application),
            workspace: None,
            grant: is_of_one.then_some(grant),
            scope,
            subject,
        },
        reason: "too many complaints".to_owned(),
        evidence: r#"{"complaints":3}"#.to_owned(),
        reference: None,
        value: None,
    }
}

pub fn lift(tenant: &Tenant, id: StopId, within: Within) -> LiftStop {
    let end = Lift { act: act(tenant, NOON), event_id: EventId::from_uuid(fresh()), reason: "mended".to_owned() };
    LiftStop { id, kind: None, within, lift: end }
}

pub const OPERATOR: Within = Within::Operator(organizations::Scope::All);

const SWITCH: (Kind, Effect) = (Kind::Switch, Effect::Refuse);
const RESTRICTION: (Kind, Effect) = (Kind::Restriction, Effect::Refuse);

async fn submit(store: &Store, tenant: &Tenant, grant: GrantId) -> Result<(), Problem> {
    let command = tenant.submission(store, grant, 1, NOON).await;
    match store.run(Submit { sender: tenant.address("a"), ..command }).await.expect("submit") {
        SubmitOutcome::Accepted { .. } => Ok(()),
        SubmitOutcome::Refused(problem) => Err(problem),
        other => panic!("neither sent nor refused: {other:?}"),
    }
}

async fn active(store: &Store, tenant: &Tenant) -> (i64, i64) {
    const OWN: &str = "SELECT active_stops FROM organizations WHERE id = $1";
    const ALL: &str = "SELECT active FROM stops_head WHERE one = 1";
    (number(store, OWN, params![tenant.organization.uuid()]).await, number(store, ALL, params![]).await)
}

#[tokio::test]
async fn each_scope_stops_whom_it_concerns_and_nobody_else() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let grant = tenant.mailbox(store, "a").await;
        let foreign = other.mailbox(store, "a").await;
        for scope in Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Thread) {
            let raised = store.run(stop(&tenant, grant, scope, RESTRICTION)).await.expect("raise");
            let problem = submit(store, &tenant, grant).await.expect_err("stopped");
            assert_eq!((problem.code, problem.scope()), ("abuse_restriction", Some(scope.shown())));
            assert_eq!(problem.stop.expect("stop").id, raised.id);
            submit(store, &other, foreign).await.expect("another organization");
            assert!(matches!(
                store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift"),
                LiftOutcome::Lifted(_, true)
            ));
            submit(store, &tenant, grant).await.expect("the next attempt");
        }
        assert_eq!(active(store, &tenant).await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn of_several_the_first_in_the_order_is_told() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let scopes = [Scope::Grant, Scope::Application, Scope::Organization, Scope::Domain, Scope::Address];
        let mut ids = Vec::new();
        for scope in scopes {
            ids.push(store.run(stop(&tenant, grant, scope, RESTRICTION)).await.expect("raise").id);
        }
        let mut told = Vec::new();
        for id in ids.iter().rev() {
            let problem = submit(store, &tenant, grant).await.expect_err("stopped");
            told.push(problem.scope().expect("scope"));
            store.run(lift(&tenant, *id, OPERATOR)).await.expect("lift");
        }
        assert_eq!(told, ["sender_address", "sender_domain", "organization", "application", "grant"]);
        submit(store, &tenant, grant).await.expect("all are lifted");
    })
    .await;
}

#[tokio::test]
async fn what_is_above_a_domain_stops_it_and_what_is_below_does_not() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let of = |name: &str| {
            let mut new = stop(&tenant, grant, Scope::Domain, RESTRICTION);
            new.target.subject = name.to_owned();
            new
        };
        let below = format!("mail.{}", tenant.domain.as_str());
        store.run(of(&below)).await.expect("raise");
        submit(store, &tenant, grant).await.expect("another domain");
        // A mailbox below the domain that is restricted.
        let restricted = store.run(of(tenant.domain.as_str())).await.expect("raise");
        let command = tenant.submission(store, grant, 1, NOON).await;
        let sender = postfleet_core::EmailAddress::parse(&format!("a@{below}")).expect("address");
        store.run(lift(&tenant, restricted.id, OPERATOR)).await.expect("lift");
        let again = store.run(of(tenant.domain.as_str())).await.expect("raise");
        let command = Submit { sender, ..command };
        let SubmitOutcome::Refused(problem) = store.run(command).await.expect("submit") else { panic!("sent") };
        assert_eq!(problem.scope(), Some("sender_domain"));
        assert!(again.is_new);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_stop_is_raised_once_however_many_raise_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let commands = (0..32).map(|_| stop(&tenant, grant, Scope::Grant, SWITCH)).collect();
        let raised: Vec<Raised> = at_once(store, commands).await;
        assert_eq!(raised.iter().filter(|one| one.is_new).count(), 1);
        assert!(raised.iter().all(|one| one.id == raised[0].id));
        assert_eq!(active(store, &tenant).await, (1, 1));
        let commands = (0..8).map(|_| lift(&tenant, raised[0].id, OPERATOR)).collect();
        let lifted = at_once(store, commands).await;
        assert_eq!(lifted.iter().filter(|one| matches!(one, LiftOutcome::Lifted(_, true))).count(), 1, "{lifted:?}");
        assert_eq!(active(store, &tenant).await, (0, 0));
        // One record and one event each, of the mailbox.
        let count = |action: &'static str| async move {
            number(store, "SELECT count(*) FROM audit WHERE action = $1", params![action]).await
        };
        assert_eq!((count("stop.raised").await, count("stop.lifted").await), (1, 1));
        let events = all_events(store).await;
        let told: Vec<_> = events.iter().filter(|event| event.event.trigger == Trigger::SendingStopped).collect();
        let data: Value = serde_json::from_str(&told[0].event.data).expect("data");
        assert_eq!((told.len(), told[0].event.grant_id), (1, grant));
        assert_eq!((&data["scope"], &data["evidence"]["complaints"]), (&"grant".into(), &3.into()));
        assert_eq!(events.iter().filter(|event| event.event.trigger == Trigger::SendingResumed).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_concerns_an_organization_is_told_to_each_application_and_to_no_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        store.run(stop(&tenant, grant, Scope::Organization, SWITCH)).await.expect("raise");
        let events = all_events(store).await;
        let told: Vec<_> = events.iter().filter(|event| event.event.trigger == Trigger::SendingStopped).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].event.grant_id.uuid().is_nil());
        assert_eq!((told[0].event.application_id, told[0].event.grant_sequence), (tenant.application, 0));
    })
    .await;
}

#[tokio::test]
async fn who_may_stop_and_resume_whom() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let grant = tenant.mailbox(store, "a").await;
        let ask = |scope, subject: String, within| RaiseStop {
            id: StopId::from_uuid(fresh()),
            act: act(&tenant, NOON),
            event_id: EventId::from_uuid(fresh()),
            kind: Kind::Switch,
            scope,
            subject,
            within,
            reason: "drill".into(),
            reference: None,
        };
        let own = Within::Application(tenant.application);
        let foreign = Within::Application(other.application);
        let cases = [
            (Scope::Grant, grant.to_string(), own, true),
            (Scope::Grant, grant.to_string(), foreign, false),
            (Scope::Address, tenant.address("a").to_string(), own, true),
            (Scope::Address, tenant.address("nobody").to_string(), own, false),
            (Scope::Workspace, tenant.workspace.to_string(), own, true),
            (Scope::Workspace, tenant.workspace.to_string(), foreign, false),
            (Scope::Application, tenant.application.to_string(), own, true),
            (Scope::Application, tenant.application.to_string(), foreign, false),
            (Scope::Domain, tenant.domain.as_str().to_owned(), own, true),
            (Scope::Domain, tenant.domain.as_str().to_owned(), foreign, false),
            (Scope::Domain, format!("mail.{}", tenant.domain.as_str()), own, true),
            (Scope::Domain, "nowhere.example".to_owned(), OPERATOR, false),
            (Scope::Organization, tenant.organization.to_string(), own, false),
            (Scope::Organization, tenant.organization.to_string(), OPERATOR, true),
            (Scope::Grant, "x".to_owned(), OPERATOR, false),
        ];
        for (scope, subject, within, is_found) in cases {
            let outcome = store.run(ask(scope, subject.clone(), within)).await.expect("raise");
            assert_eq!(matches!(outcome, RaiseOutcome::InForce(..)), is_found, "{scope:?} {subject} {within:?}");
        }
        let page = Page {
            whose: Whose::Application(tenant.organization, tenant.application),
            kind: None,
            scope: None,
            grant: None,
            workspace: None,
            is_active: Some(true),
            before: None,
            limit: 50,
        };
        let all = stops::list(&mut store.reader().await.expect("reader"), &page).await.expect("list");
        assert_eq!(all.len(), 7, "{all:?}");
        assert!(all.windows(2).all(|pair| pair[0].stop.id > pair[1].stop.id), "newest first");
        let of_grant = Page { grant: Some(grant), ..page };
        let found = stops::list(&mut store.reader().await.expect("reader"), &of_grant).await.expect("list");
        assert_eq!(found.len(), 2, "its own, and that of its address");
        // With an application's key not what stops everybody, and nothing of others.
        for record in &all {
            let outcome = store.run(lift(&tenant, record.stop.id, foreign)).await.expect("lift");
            assert_eq!(outcome, LiftOutcome::NotFound);
            let outcome = store.run(lift(&tenant, record.stop.id, own)).await.expect("lift");
            match record.stop.scope {
                Scope::Organization => assert_eq!(outcome, LiftOutcome::NotYours),
                _ => assert!(matches!(outcome, LiftOutcome::Lifted(_, true)), "{outcome:?}"),
            }
        }
        let restricted = store.run(stop(&tenant, grant, Scope::Grant, RESTRICTION)).await.expect("raise");
        let outcome = store.run(lift(&tenant, restricted.id, own)).await.expect("lift");
        assert_eq!(outcome, LiftOutcome::NotYours);
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_takes_nothing_and_is_no_message() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(5)).await;
        let grant = tenant.mailbox(store, "a").await;
        store.run(stop(&tenant, grant, Scope::Application, (Kind::Pause, Effect::Refuse))).await.expect("raise");
        let problem = submit(store, &tenant, grant).await.expect_err("paused");
        assert_eq!(problem.code, "account_paused");
        assert_eq!(crate::support::daily_sends(store, grant, NOON).await, 0);
        assert_eq!(queue_rows(store).await, 0);
    })
    .await;
}
