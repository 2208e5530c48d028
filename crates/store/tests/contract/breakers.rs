//! Breakers and quarantine, on both engines: counts that hold exactly however many send at once, rates where outcomes are
//! counted, and that a stop that was lifted is not raised by what was there before.

use crate::reputation::{bounce, send, settled};
use crate::stops::{OPERATOR, lift};
use crate::support::{Engine, Tenant, all_events, at, at_once, on_each_engine, tenant, trip};
use postfleet_core::audit::{Actor, ActorKind};
use postfleet_core::breaker::{Action, Breaker, Metric};
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, HoldId, StopId};
use postfleet_store::breakers::SetBreakers;
use postfleet_store::holds::{NewHold, Told};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::stops::{self, Page, Whose};
use postfleet_store::{Store, stops::Record};
use std::collections::BTreeMap;

fn breaker(metric: Metric, threshold: u64, action: Action) -> Breaker {
    let throttle_to = (action == Action::Throttle).then_some(10);
    Breaker { metric, threshold, min_volume: 10, action, throttle_to, enabled: true }
}

async fn case(engine: &Engine, breakers: Vec<Breaker>) -> (Tenant, GrantId) {
    let store = &engine.store;
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    let act = tenant.act(at(0));
    let set = SetBreakers { act, application_id: tenant.application, workspace_id: tenant.workspace, breakers };
    assert!(store.run(set).await.expect("set"));
    (tenant, grant)
}

/// A send that knows how it would be held.
async fn submission(store: &Store, tenant: &Tenant, grant: GrantId, seconds: u64) -> Submit {
    let command = tenant.submission(store, grant, 1, at(seconds)).await;
    let fresh = crate::support::fresh;
    let author = Actor { kind: ActorKind::ApiKey, id: fresh().to_string(), name: "key".into() };
    let told = Told {
        audit_id: AuditId::from_uuid(fresh()),
        event_id: EventId::from_uuid(fresh()),
        request_id: String::new(),
    };
    let waiting = command.facts.clone();
    let hold = Some(NewHold { id: HoldId::from_uuid(fresh()), author, waiting, told, trip: trip() });
    Submit { hold, ..command }
}

fn word(outcome: &SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::Accepted { .. } => "accepted",
        SubmitOutcome::Held(_) => "held",
        SubmitOutcome::Refused(problem) => problem.code,
        _ => "other",
    }
}

/// So many send at once; answers what became of how many.
async fn at_the_same_time(
    store: &Store,
    tenant: &Tenant,
    grant: GrantId,
    count: usize,
    seconds: u64,
) -> BTreeMap<&'static str, usize> {
    let mut commands = Vec::new();
    for _ in 0..count {
        commands.push(submission(store, tenant, grant, seconds).await);
    }
    let mut words = BTreeMap::new();
    for outcome in at_once(store, commands).await {
        *words.entry(word(&outcome)).or_default() += 1;
    }
    words
}

async fn in_force(store: &Store, tenant: &Tenant) -> Vec<Record> {
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
    stops::list(&mut store.reader().await.expect("reader"), &page).await.expect("list")
}

async fn lift_all(store: &Store, tenant: &Tenant, seconds: u64) {
    for record in in_force(store, tenant).await {
        let id: StopId = record.stop.id;
        let mut command = lift(tenant, id, OPERATOR);
        command.lift.act.at = at(seconds);
        store.run(command).await.expect("lift");
    }
}

async fn tripped(store: &Store) -> usize {
    all_events(store).await.iter().filter(|event| event.event.trigger == Trigger::BreakerTripped).count()
}

#[tokio::test]
async fn sends_in_an_hour_are_counted_exactly_by_sixty_four_senders() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = case(engine, vec![breaker(Metric::SendsPerHour, 20, Action::Pause)]).await;
        let words = at_the_same_time(store, &tenant, grant, 64, 1).await;
        assert_eq!(words, BTreeMap::from([("accepted", 20), ("sending_paused", 44)]));
        assert_eq!((in_force(store, &tenant).await.len(), tripped(store).await), (1, 1));
        // The old numbers count no more.
        lift_all(store, &tenant, 2).await;
        let words = at_the_same_time(store, &tenant, grant, 64, 3).await;
        assert_eq!(words, BTreeMap::from([("accepted", 20), ("sending_paused", 44)]));
    })
    .await;
}

#[tokio::test]
async fn a_throttle_lets_exactly_so_many_leave_in_each_hour() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = case(engine, vec![breaker(Metric::SendsPerHour, 4, Action::Throttle)]).await;
        for hour in 0..3 {
            let words = at_the_same_time(store, &tenant, grant, 64, hour * 3_600 + 1).await;
            assert_eq!(words, BTreeMap::from([("accepted", 10), ("throttled", 54)]), "hour {hour}");
        }
        assert_eq!(tripped(store).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_stronger_breaker_takes_the_place_of_a_weaker_one() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let both =
            vec![breaker(Metric::SendsPerHour, 2, Action::Throttle), breaker(Metric::SendsPerHour, 5, Action::Hold)];
        let (tenant, grant) = case(engine, both).await;
        for number in 0..6 {
            let outcome = store.run(submission(store, &tenant, grant, 1 + number).await).await.expect("submit");
            assert_eq!(word(&outcome), if number < 5 { "accepted" } else { "held" }, "{number}");
        }
        let stops = in_force(store, &tenant).await;
        assert_eq!(stops.len(), 1);
        assert_eq!(stops[0].stop.effect.name(), "hold");
    })
    .await;
}

#[tokio::test]
async fn a_rate_trips_with_the_outcome_that_reaches_it_and_not_again_by_what_was_before() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        // Four percent, of ten at least.
        let (tenant, grant) = case(engine, vec![breaker(Metric::BounceRate, 4_000, Action::Pause)]).await;
        for seconds in 0..8 {
            send(store, &tenant, grant, 10, 1 + seconds).await;
        }
        for command in settled(store, at(20), |_| false).await {
            store.run(command).await.expect("record");
        }
        bounce(store, &tenant, grant, 3, 30).await;
        assert_eq!(tripped(store).await, 0, "3 of 83");
        bounce(store, &tenant, grant, 1, 40).await;
        assert_eq!(tripped(store).await, 1, "4 of 84");
        let stop = in_force(store, &tenant).await.remove(0);
        assert_eq!(stop.stop.effect.name(), "refuse");
        let evidence: serde_json::Value = serde_json::from_str(&stop.evidence).expect("evidence");
        assert_eq!((&evidence["count"], &evidence["volume"]), (&4.into(), &84.into()), "{evidence}");
        lift_all(store, &tenant, 50).await;
        bounce(store, &tenant, grant, 1, 60).await;
        assert_eq!(tripped(store).await, 1, "one of one says nothing, and five of 85 were seen");
        bounce(store, &tenant, grant, 3, 70).await;
        assert_eq!(tripped(store).await, 1, "four of four");
        for (number, expected) in [(5, 1), (1, 2)] {
            send(store, &tenant, grant, number, 80 + expected).await;
            let gone = expected == 2;
            for command in settled(store, at(90 + expected), |_| gone).await {
                store.run(command).await.expect("record");
            }
            assert_eq!(tripped(store).await as u64, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_that_endangers_its_domain_is_held_and_no_other() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (bad, good) = (tenant.mailbox(store, "bad").await, tenant.mailbox(store, "good").await);
        for seconds in 0..30 {
            send(store, &tenant, good, 10, 1 + seconds).await;
        }
        for seconds in 0..12 {
            send(store, &tenant, bad, 10, 31 + seconds).await;
        }
        for command in settled(store, at(60), |_| false).await {
            store.run(command).await.expect("record");
        }
        // Half way to five percent of 431 is eleven, and eleven of 131 are more than five percent.
        bounce(store, &tenant, bad, 10, 70).await;
        assert!(in_force(store, &tenant).await.is_empty());
        bounce(store, &tenant, bad, 1, 80).await;
        let stops = in_force(store, &tenant).await;
        assert_eq!(stops.len(), 1);
        assert_eq!((stops[0].stop.kind.name(), stops[0].stop.effect.name()), ("quarantine", "hold"));
        let endangered = all_events(store).await;
        let endangered =
            endangered.iter().find(|event| event.event.trigger == Trigger::DomainEndangered).expect("told");
        assert_eq!(endangered.event.grant_id, bad);
        let outcome = store.run(submission(store, &tenant, bad, 90).await).await.expect("submit");
        assert_eq!(word(&outcome), "held");
        let outcome = store.run(submission(store, &tenant, good, 90).await).await.expect("submit");
        assert_eq!(word(&outcome), "accepted");
        lift_all(store, &tenant, 100).await;
        bounce(store, &tenant, bad, 1, 110).await;
        assert!(in_force(store, &tenant).await.is_empty(), "what was before was seen");
    })
    .await;
}
