//! What keeps somebody from sending: whom a stop concerns, in which order stops are told, that one is raised once, and what
//! is written of it.

use crate::support::{NOON, Tenant, all_events, at, at_once, claim, fresh, number, on_each_engine, queue_rows, tenant};
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, StopId};
use postfleet_core::plan::Plans;
use postfleet_core::stop::{Effect, Kind, Scope};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::organizations;
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::queue::{self, Claim, ClaimExpired, Operate, Operation, Rooms, State, SweepStop, TurnBack};
use postfleet_store::stops::{
    self, Lift, LiftOutcome, LiftStop, NewStop, Page, RaiseOutcome, RaiseStop, Raised, Target, Whose, Within,
};
use postfleet_store::{Location, Store, params};
use serde_json::Value;
use uuid::Uuid;

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

pub const SWITCH: (Kind, Effect) = (Kind::Switch, Effect::Refuse);
pub const RESTRICTION: (Kind, Effect) = (Kind::Restriction, Effect::Refuse);

pub async fn submit(store: &Store, tenant: &Tenant, grant: GrantId) -> Result<(), Problem> {
    let command = tenant.submission(store, grant, 1, NOON).await;
    match store.run(Submit { sender: tenant.address("a"), ..command }).await.expect("submit") {
        SubmitOutcome::Accepted { .. } => Ok(()),
        SubmitOutcome::Refused(problem) => Err(problem),
        other => panic!("neither sent nor refused: {other:?}"),
    }
}

pub async fn active(store: &Store, tenant: &Tenant) -> (i64, i64) {
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

// What waits in the queue --------------------------------------------------------------------------------------------

pub const NOTHING: [Uuid; 0] = [];

pub async fn claimed(store: &Store, now: UnixMicros) -> Vec<Uuid> {
    let claims = store.run(claim("w", now, 1_000)).await.expect("claim");
    claims.rows.iter().map(|row| row.message_id.uuid()).collect()
}

pub async fn behind(store: &Store, id: StopId) -> i64 {
    const BEHIND: &str = "SELECT count(*) FROM queue WHERE parked = 2 AND stop_id = $1 AND lease IS NULL";
    number(store, BEHIND, params![id.uuid()]).await
}

pub async fn sweep(store: &Store, limit: usize) {
    while store.run(SweepStop { now: at(500), limit }).await.expect("sweep").is_some() {}
}

/// What a worker gets that can begin one message at each destination.
async fn claimed_one(store: &Store, now: UnixMicros) -> Vec<Uuid> {
    let rooms = Rooms { each: 1, ..Rooms::unlimited() };
    let claims = store.run(Claim { rooms, ..claim("w", now, 1) }).await.expect("claim");
    claims.rows.iter().map(|row| row.message_id.uuid()).collect()
}

#[tokio::test]
async fn who_has_waited_longest_leaves_first_also_behind_a_destination_without_room() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let stopped = tenant.submit(store, grant, 1, at(0)).await.uuid();
        let raised = store.run(stop(&tenant, grant, Scope::Grant, SWITCH)).await.expect("raise");
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        let mut later = Vec::new();
        for second in 2..6 {
            later.push(tenant.submit(store, other, 1, at(second)).await.uuid());
        }
        // All but the first wait behind the destination.
        let rooms = Rooms { each: 1, ..Rooms::unlimited() };
        let claims = store.run(Claim { rooms, ..claim("w", at(10), 4) }).await.expect("claim");
        assert_eq!(claims.rows.iter().map(|row| row.message_id.uuid()).collect::<Vec<_>>(), later[..1]);
        store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
        sweep(store, 4).await;
        assert_eq!(claimed_one(store, at(600)).await, [stopped], "before those that came later");
        let mut rest = Vec::new();
        for second in 601..604 {
            rest.extend(claimed_one(store, at(second)).await);
        }
        assert_eq!(rest, later[1..]);
    })
    .await;
}

#[tokio::test]
async fn what_is_queued_waits_behind_the_stop_and_leaves_in_its_order_once_it_is_lifted() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let mut sent = Vec::new();
        for second in 0..6 {
            sent.push(tenant.submit(store, grant, 2, at(second)).await);
        }
        let free = tenant.submit(store, other, 1, at(6)).await;
        let raised = store.run(stop(&tenant, grant, Scope::Grant, SWITCH)).await.expect("raise");
        assert_eq!(claimed(store, at(10)).await, [free.uuid()], "nobody else waits");
        assert_eq!(behind(store, raised.id).await, 12);
        assert_eq!(claimed(store, at(20)).await, NOTHING);
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(
            queue::next_due(&mut reader, &Rooms::unlimited()).await.expect("next").filter(|due| *due <= at(20)),
            None
        );
        let page = queue::recipients(&mut reader, sent[0]).await.expect("recipients");
        assert!(page.iter().all(|row| row.state == State::Stopped && row.stop_id == Some(raised.id)), "{page:?}");
        assert_eq!(page[0].due_at, Some(at(0)), "when it was due");
        drop(reader);
        store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
        // A few at a time, in the order in which they were due.
        store.run(SweepStop { now: at(500), limit: 4 }).await.expect("sweep");
        let mut first: Vec<Uuid> = claimed(store, at(21)).await;
        first.dedup();
        assert_eq!(first, [sent[0].uuid(), sent[1].uuid()]);
        sweep(store, 4).await;
        let mut rest: Vec<Uuid> = claimed(store, at(22)).await;
        rest.dedup();
        assert_eq!(rest, sent[2..].iter().map(|id| id.uuid()).collect::<Vec<_>>());
        assert_eq!(number(store, "SELECT count(*) FROM queue WHERE attempts > 0", params![]).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_claimed_after_the_answer_of_the_stop_and_nothing_is_lost() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut before = Vec::new();
        for _ in 0..40 {
            before.push(tenant.submission(store, grant, 1, NOON).await);
        }
        at_once(store, before).await;
        let mut sends = Vec::new();
        for _ in 0..32 {
            let command = tenant.submission(store, grant, 1, NOON).await;
            sends.push(Submit { sender: tenant.address("a"), ..command });
        }
        let claims = (0..32).map(|_| claim("w", at(1), 2)).collect::<Vec<_>>();
        let raise = stop(&tenant, grant, Scope::Workspace, SWITCH);
        // All at once: sends, claims, and the stop in their midst.
        let (outcomes, taken, raised) = futures::join!(at_once(store, sends), at_once(store, claims), async {
            store.run(raise).await.expect("raise")
        });
        let accepted = outcomes.iter().filter(|one| matches!(one, SubmitOutcome::Accepted { .. })).count();
        let refused = outcomes.iter().filter(|one| matches!(one, SubmitOutcome::Refused(_))).count();
        assert_eq!(accepted + refused, 32);
        let taken: usize = taken.iter().map(|claims| claims.rows.len()).sum();
        assert_eq!(claimed(store, at(2)).await, NOTHING, "after the answer nothing is claimed");
        let waiting = behind(store, raised.id).await;
        assert_eq!(taken as i64 + waiting, 40 + accepted as i64, "each is claimed or waits");
        // What was claimed before is turned back, or its lease ends; then it waits, too.
        assert_eq!(claimed(store, at(100_000)).await, NOTHING);
        assert_eq!(behind(store, raised.id).await, 40 + accepted as i64);
        store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
        sweep(store, 7).await;
        assert_eq!(claimed(store, at(100_001)).await.len(), 40 + accepted);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_that_died_goes_on_where_the_store_is_opened_again() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for _ in 0..5 {
            tenant.submit(store, grant, 1, NOON).await;
        }
        let raised = store.run(stop(&tenant, grant, Scope::Application, SWITCH)).await.expect("raise");
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
        store.run(SweepStop { now: at(500), limit: 2 }).await.expect("sweep");
        if let Location::Sqlite(_) = engine.location {
            return;
        }
        let again = Store::open(engine.location.clone(), engine.bodies(), Plans::presets()).await.expect("open");
        sweep(&again, 2).await;
        assert_eq!(claimed(&again, at(2)).await.len(), 5);
    })
    .await;
    // One process at a time has a SQLite file.
    let engine = crate::support::Engine::sqlite().await;
    let tenant = tenant(&engine.store, "self_hosted", None).await;
    let grant = tenant.mailbox(&engine.store, "a").await;
    for _ in 0..5 {
        tenant.submit(&engine.store, grant, 1, NOON).await;
    }
    let raised = engine.store.run(stop(&tenant, grant, Scope::Application, SWITCH)).await.expect("raise");
    assert_eq!(claimed(&engine.store, at(1)).await, NOTHING);
    engine.store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
    engine.store.run(SweepStop { now: at(500), limit: 2 }).await.expect("sweep");
    let engine = engine.reopened().await;
    sweep(&engine.store, 2).await;
    assert_eq!(claimed(&engine.store, at(2)).await.len(), 5);
}

#[tokio::test]
async fn what_is_stopped_twice_waits_for_both() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        tenant.submit(store, grant, 1, NOON).await;
        let first = store.run(stop(&tenant, grant, Scope::Grant, RESTRICTION)).await.expect("raise");
        let second = store.run(stop(&tenant, grant, Scope::Application, SWITCH)).await.expect("raise");
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        assert_eq!((behind(store, first.id).await, behind(store, second.id).await), (1, 0));
        store.run(lift(&tenant, first.id, OPERATOR)).await.expect("lift");
        sweep(store, 10).await;
        assert_eq!((behind(store, first.id).await, behind(store, second.id).await), (0, 1));
        assert_eq!(claimed(store, at(2)).await, NOTHING);
        store.run(lift(&tenant, second.id, OPERATOR)).await.expect("lift");
        sweep(store, 10).await;
        assert_eq!(claimed(store, at(3)).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_turned_back_keeps_its_attempts_and_waits_then() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let message = tenant.submit(store, grant, 1, NOON).await;
        let command = claim("w", at(1), 10);
        let lease = command.lease.id;
        let claims = store.run(command).await.expect("claim");
        let raised = store.run(stop(&tenant, grant, Scope::Domain, SWITCH)).await.expect("raise");
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(queue::stop_of(&mut reader, message).await.expect("stop"), Some(raised.id));
        drop(reader);
        let back = |lease| TurnBack { message_id: message, lease, rows: vec![claims.rows[0].id], due_at: NOON };
        let foreign = postfleet_core::id::LeaseId::from_uuid(fresh());
        assert_eq!(store.run(back(foreign)).await.expect("back"), 0, "somebody else's");
        assert_eq!(store.run(back(lease)).await.expect("back"), 1);
        assert_eq!(claimed(store, at(2)).await, NOTHING);
        assert_eq!(behind(store, raised.id).await, 1);
        assert_eq!(number(store, "SELECT max(attempts + ambiguous) FROM queue", params![]).await, 0);
    })
    .await;
}

/// It is neither given up because it has waited for too long, nor sent because somebody asks for it to be tried.
#[tokio::test]
async fn what_is_stopped_is_neither_given_up_nor_tried() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let message = tenant.submit(store, grant, 1, NOON).await;
        let raised = store.run(stop(&tenant, grant, Scope::Grant, SWITCH)).await.expect("raise");
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        let late = at(100 * 86_400);
        let lease = claim("w", late, 1).lease;
        let expired = ClaimExpired { lease, now: late, queued_before: late, limit: 10 };
        assert_eq!(store.run(expired).await.expect("expire").len(), 0);
        let retry = Operate {
            act: act(&tenant, late),
            application_id: Some(tenant.application),
            message_id: message,
            operation: Operation::Retry,
        };
        store.run(retry).await.expect("retry");
        assert_eq!(claimed(store, late).await, NOTHING);
        assert_eq!(behind(store, raised.id).await, 1);
    })
    .await;
}
