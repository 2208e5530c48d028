//! Crossing a quota is told exactly once, and a raise holds from its beginning to its end, granted by somebody else.

use crate::support::{NOON, Tenant, all_events, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::id::{EventId, GrantId, RaiseId};
use postfleet_core::raise::{Decision, State};
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::raises::{
    self, Author, DecideOutcome, DecideRaise, Page, Raise, RequestOutcome, RequestRaise, Target,
};
use postfleet_store::{Store, params};
use serde_json::{Value, json};
use std::time::Duration;

const QUOTA: [Trigger; 3] = [Trigger::QuotaWarning, Trigger::QuotaReached, Trigger::QuotaExceeded];

/// What was told of quotas: the trigger, what was used, and the limit.
async fn told(store: &Store) -> Vec<(Trigger, u64, u64)> {
    let events = all_events(store).await.into_iter().filter(|event| QUOTA.contains(&event.event.trigger));
    let read = |event: postfleet_store::events::Event| {
        let data: Value = serde_json::from_str(&event.event.data).expect("data");
        (event.event.trigger, data["used"].as_u64().expect("used"), data["limit"].as_u64().expect("limit"))
    };
    events.map(read).collect()
}

fn by(tenant: &Tenant, key: &str, now: UnixMicros) -> Act {
    let actor = Actor { kind: ActorKind::ApiKey, id: key.to_owned(), name: key.to_owned() };
    Act { actor, ..tenant.act(now) }
}

fn request(tenant: &Tenant, target: Target, value: u64, (from, to): (UnixMicros, UnixMicros)) -> RequestRaise {
    let act = by(tenant, "asker", NOON);
    let raise = Raise {
        id: RaiseId::from_uuid(fresh()),
        application_id: tenant.application,
        target,
        limit_name: "limit_count_daily_email_sent".to_owned(),
        value,
        starts_at: from,
        ends_at: to,
        state: State::Requested,
        reason: "campaign".to_owned(),
        requested_by: Author::of(&act.actor),
        decided_by: None,
        decided_at: None,
        note: None,
        created_at: NOON,
    };
    RequestRaise { act, raise, event_id: EventId::from_uuid(fresh()) }
}

fn decide(tenant: &Tenant, id: RaiseId, key: &str, decision: Decision) -> DecideRaise {
    let (application_id, event_id) = (tenant.application, EventId::from_uuid(fresh()));
    DecideRaise { act: by(tenant, key, NOON), application_id, id, decision, note: None, may_decide: true, event_id }
}

async fn granted(store: &Store, tenant: &Tenant, command: RequestRaise) -> RaiseId {
    let id = command.raise.id;
    assert!(matches!(store.run(command).await.expect("request"), RequestOutcome::Requested(_)));
    let outcome = store.run(decide(tenant, id, "approver", Decision::Grant)).await.expect("grant");
    assert!(matches!(outcome, DecideOutcome::Decided(_)), "{outcome:?}");
    id
}

/// Whether the mailbox may send one more at `now`; it is sent if so.
async fn sends(store: &Store, tenant: &Tenant, grant: GrantId, now: UnixMicros) -> bool {
    let command = tenant.submission(store, grant, 1, now).await;
    matches!(store.run(command).await.expect("submit"), SubmitOutcome::Accepted { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_of_a_quota_is_told_once_however_many_cross_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(20)).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut commands = Vec::new();
        for _ in 0..64 {
            commands.push(tenant.submission(store, grant, 1, NOON).await);
        }
        at_once(store, commands).await;
        let expected =
            [(Trigger::QuotaWarning, 16, 20), (Trigger::QuotaReached, 20, 20), (Trigger::QuotaExceeded, 20, 20)];
        assert_eq!(told(store).await, expected);
        // The next day is another period.
        let tomorrow = NOON.plus(Duration::from_secs(86_400));
        for _ in 0..16 {
            assert!(sends(store, &tenant, grant, tomorrow).await);
        }
        assert_eq!(told(store).await[3..], [(Trigger::QuotaWarning, 16, 20)]);
        let event = all_events(store).await.into_iter().find(|event| event.event.trigger == Trigger::QuotaReached);
        let data: Value = serde_json::from_str(&event.expect("event").event.data).expect("data");
        assert_eq!(data["email"], tenant.address("a").to_string());
        assert_eq!(data["grant_id"], grant.to_string());
        assert_eq!((&data["workspace_id"], &data["scope"]), (&json!(tenant.workspace.to_string()), &json!("grant")));
        assert_eq!(data["resets_at"], NOON.day().end().as_seconds());
    })
    .await;
}

#[tokio::test]
async fn a_quota_of_nothing_is_exceeded_once_and_no_limit_never() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let nothing = tenant(store, "self_hosted", Some(0)).await;
        let grant = nothing.mailbox(store, "a").await;
        for _ in 0..3 {
            assert!(!sends(store, &nothing, grant, NOON).await);
        }
        let unlimited = tenant(store, "self_hosted", None).await;
        let other = unlimited.mailbox(store, "a").await;
        assert!(sends(store, &unlimited, other, NOON).await);
        assert_eq!(told(store).await, [(Trigger::QuotaExceeded, 0, 0)]);
    })
    .await;
}

#[tokio::test]
async fn a_raise_holds_from_its_beginning_to_its_end_to_the_microsecond() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(1)).await;
        let grant = tenant.mailbox(store, "a").await;
        let other = tenant.mailbox(store, "b").await;
        granted(store, &tenant, request(&tenant, Target::Grant(grant), 3, (at(10), at(20)))).await;
        let before = |time: UnixMicros| time.minus(Duration::from_micros(1));
        for mailbox in [grant, other] {
            assert!(sends(store, &tenant, mailbox, at(0)).await);
        }
        assert!(!sends(store, &tenant, grant, before(at(10))).await);
        assert!(sends(store, &tenant, grant, at(10)).await);
        assert!(!sends(store, &tenant, other, at(10)).await, "it is another's raise");
        assert!(sends(store, &tenant, grant, before(at(20))).await);
        assert!(!sends(store, &tenant, grant, before(at(20))).await, "it is a limit, too");
        assert!(!sends(store, &tenant, grant, at(20)).await);
        let mut reader = store.reader().await.expect("reader");
        let workspace = Some(tenant.workspace);
        let holds = raises::holding(&mut reader, grant, workspace, before(at(20))).await.expect("read");
        assert_eq!(holds.map(|raise| raise.value), Some(3));
        assert_eq!(raises::holding(&mut reader, grant, workspace, at(20)).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn a_raise_of_a_workspace_raises_each_of_its_mailboxes_and_the_higher_holds() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", Some(1)).await;
        let (first, second) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let time = (at(0), at(60));
        granted(store, &tenant, request(&tenant, Target::Workspace(tenant.workspace), 2, time)).await;
        granted(store, &tenant, request(&tenant, Target::Grant(second), 3, time)).await;
        for (grant, expected) in [(first, 2), (second, 3)] {
            for _ in 0..expected {
                assert!(sends(store, &tenant, grant, at(1)).await);
            }
            assert!(!sends(store, &tenant, grant, at(1)).await);
        }
        // Of a workspace the event is about no mailbox.
        let events = all_events(store).await;
        let of_none = events.iter().filter(|event| event.event.grant_id.uuid().is_nil());
        assert_eq!(of_none.map(|event| event.event.grant_sequence).collect::<Vec<_>>(), [0, 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_decide_at_once_one_does() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(1)).await;
        let grant = tenant.mailbox(store, "a").await;
        let command = request(&tenant, Target::Grant(grant), 2, (at(0), at(60)));
        let id = command.raise.id;
        store.run(command).await.expect("request");
        let own = store.run(decide(&tenant, id, "asker", Decision::Grant)).await.expect("grant");
        assert!(matches!(own, DecideOutcome::Refused(problem) if problem.code == "own_raise"));
        assert!(store.run(decide(&tenant, RaiseId::from_uuid(fresh()), "x", Decision::Grant)).await.expect("grant")
            == DecideOutcome::NotFound);
        let both = ["one", "two"].map(|key| decide(&tenant, id, key, Decision::Grant)).into();
        let outcomes = at_once(store, both).await;
        let closed = |outcome: &&DecideOutcome| {
            matches!(outcome, DecideOutcome::Refused(problem) if problem.code == "raise_closed")
        };
        assert_eq!(outcomes.iter().filter(closed).count(), 1);
        assert_eq!(outcomes.iter().filter(|one| matches!(one, DecideOutcome::Decided(_))).count(), 1);
        // What was granted ends at once when it is withdrawn.
        assert!(sends(store, &tenant, grant, at(1)).await && sends(store, &tenant, grant, at(1)).await);
        store.run(decide(&tenant, id, "asker", Decision::Withdraw)).await.expect("withdraw");
        assert!(!sends(store, &tenant, grant, at(1)).await);
        const RECORDS: &str = "SELECT count(*) FROM audit WHERE target_id = $1 AND target_kind = 'raise'";
        let target = id.to_string();
        assert_eq!(number(store, RECORDS, params![&target]).await, 3);
        let decided = all_events(store).await.iter().filter(|one| one.event.trigger == Trigger::RaiseDecided).count();
        assert_eq!(decided, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_waits_at_a_time_and_the_plan_is_the_ceiling() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", Some(10)).await;
        let grant = tenant.mailbox(store, "a").await;
        let ask = |value| request(&tenant, Target::Grant(grant), value, (at(0), at(60)));
        for value in [10, 201] {
            let outcome = store.run(ask(value)).await.expect("request");
            assert!(matches!(outcome, RequestOutcome::Refused(problem) if problem.field.as_deref() == Some("value")));
        }
        let outcomes = at_once(store, (0..8).map(|_| ask(200)).collect()).await;
        assert_eq!(outcomes.iter().filter(|one| matches!(one, RequestOutcome::Requested(_))).count(), 1);
        let is_pending =
            |one: &&RequestOutcome| matches!(one, RequestOutcome::Refused(problem) if problem.code == "raise_pending");
        assert_eq!(outcomes.iter().filter(is_pending).count(), 7);
        let nobody = request(&tenant, Target::Grant(GrantId::from_uuid(fresh())), 20, (at(0), at(60)));
        assert_eq!(store.run(nobody).await.expect("request"), RequestOutcome::NoTarget);
        // What nobody decided in its time is over, and makes room for another.
        let mut reader = store.reader().await.expect("reader");
        for (state, now, expected) in [
            (None, at(0), 1),
            (Some(State::Requested), at(0), 1),
            (Some(State::Ended), at(0), 0),
            (Some(State::Requested), at(60), 0),
            (Some(State::Ended), at(60), 1),
        ] {
            for target in [None, Some(Target::Grant(grant))] {
                let page = Page { target, state, before: None, limit: 10, now };
                let found = raises::list(&mut reader, tenant.application, page).await.expect("list");
                assert_eq!(found.len(), expected, "{state:?}");
            }
        }
    })
    .await;
}
