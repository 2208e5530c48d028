//! Rates of sending: exact in every second that there is, whoever sends at once, and counted for those whom they are of.

use crate::support::{NOON, Tenant, at, at_once, daily_sends, fresh, number, on_each_engine, queue_rows, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, KeyId, ScheduleId, WorkspaceId};
use postfleet_store::applications::{Application, CreateApplication};
use postfleet_store::drafts::{CreateDraft, FromDraft};
use postfleet_store::messages::{MailboxCopy, MessageFacts};
use postfleet_store::outbound::{Submit, SubmitOutcome, Turn, Waiting};
use postfleet_store::schedules::{self, Release, Schedule};
use postfleet_store::{Store, params};
use std::time::Duration;

/// The scope of the refusal; empty for what was accepted.
fn refused_by(outcome: &SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::Accepted { .. } => "",
        SubmitOutcome::Refused(problem) => problem.exhausted.as_ref().expect("an allowance").scope,
        other => panic!("neither accepted nor refused: {other:?}"),
    }
}

async fn send(store: &Store, command: Submit) -> &'static str {
    refused_by(&store.run(command).await.expect("submit"))
}

async fn send_at(store: &Store, tenant: &Tenant, grant: GrantId, date: UnixMicros) -> &'static str {
    send(store, tenant.submission(store, grant, 1, date).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_the_rate_are_accepted_of_many_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "rated", None).await;
        let mut grants = Vec::new();
        for name in ["a", "b", "c", "d"] {
            grants.push(tenant.mailbox(store, name).await);
        }
        for round in 0..3 {
            // A second in which there is room for five, of which some ask later than others.
            let mut commands = Vec::new();
            for turn in 0..64_u64 {
                let date = at(round).plus(Duration::from_micros(turn % 7));
                commands.push(tenant.submission(store, grants[turn as usize % 4], 1, date).await);
            }
            let outcomes = at_once(store, commands).await;
            let accepted = outcomes.iter().filter(|outcome| refused_by(outcome).is_empty()).count();
            let expected = 5 * (round as i64 + 1);
            assert!(accepted <= 5, "round {round}: {accepted}");
            // Those who asked a few microseconds too early for the second before may leave room.
            assert!(round > 0 || accepted == 5, "round {round}: {accepted}");
            assert!(queue_rows(store).await <= expected);
            assert_eq!(number(store, "SELECT count(*) FROM outbound", &[]).await, queue_rows(store).await);
        }
        let mut times: Vec<i64> = Vec::new();
        let mut reader = store.reader().await.expect("reader");
        for row in reader.query("SELECT queued_at FROM outbound ORDER BY queued_at", &[]).await.expect("rows") {
            times.push(row.int(0).expect("time"));
        }
        assert!(times.windows(6).all(|six| six[5] - six[0] >= 1_000_000), "{times:?}");
    })
    .await;
}

#[tokio::test]
async fn the_window_rolls_and_a_refusal_takes_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "rated", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let ms = |milliseconds| NOON.plus(Duration::from_millis(milliseconds));
        for time in [0, 100, 200, 300, 900] {
            assert_eq!(send_at(store, &tenant, grant, ms(time)).await, "", "{time}");
        }
        for time in [901, 999] {
            assert_eq!(send_at(store, &tenant, grant, ms(time)).await, "organization", "{time}");
        }
        assert_eq!(daily_sends(store, grant, NOON).await, 5, "a refusal takes nothing");
        assert_eq!(send_at(store, &tenant, grant, ms(1_000)).await, "", "the first one is a second ago");
        assert_eq!(send_at(store, &tenant, grant, ms(1_050)).await, "organization");
        let command = tenant.submission(store, grant, 1, ms(1_060)).await;
        let SubmitOutcome::Refused(problem) = store.run(command).await.expect("submit") else { panic!("accepted") };
        assert_eq!(
            (problem.code, problem.public.as_str()),
            ("per_second_rate_limit_exceeded", "per-second rate limit exceeded")
        );
        let exhausted = problem.exhausted.expect("an allowance");
        assert_eq!((exhausted.limit, exhausted.used, exhausted.resets_at), (5, 5, Some(ms(1_100))));
        assert_eq!(send_at(store, &tenant, grant, ms(1_100)).await, "");
        assert_eq!(
            number(store, "SELECT CAST(length(times) AS {int}) FROM send_rates", &[]).await,
            40,
            "five times are remembered"
        );
    })
    .await;
}

/// Another application of a tenant.
async fn application(store: &Store, tenant: &Tenant, environment: &str) -> Tenant {
    let (id, workspace) = (ApplicationId::from_uuid(fresh()), WorkspaceId::from_uuid(fresh()));
    let application = Application {
        id,
        organization_id: tenant.organization,
        name: environment.into(),
        environment: environment.into(),
        default_workspace_id: workspace,
        details: serde_json::Map::new(),
        created_at: NOON,
        updated_at: NOON,
    };
    let act = Act { application_id: Some(id), ..tenant.act(NOON) };
    assert!(store.run(CreateApplication { application, act }).await.expect("application"));
    Tenant { application: id, workspace, ..tenant.clone() }
}

#[tokio::test]
async fn applications_share_a_pool_and_sandboxes_another() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let first = tenant(store, "rated", None).await;
        let (second, third) =
            (application(store, &first, "production").await, application(store, &first, "staging").await);
        let sandboxes = [application(store, &first, "sandbox").await, application(store, &first, "sandbox").await];
        let stranger = tenant(store, "rated", None).await;
        let mut grants = Vec::new();
        for (number, one) in [&first, &second, &third, &sandboxes[0], &sandboxes[1], &stranger].into_iter().enumerate()
        {
            grants.push((one.clone(), one.mailbox(store, &format!("a{number}")).await));
        }
        let send = async |number: usize| send_at(store, &grants[number].0, grants[number].1, NOON).await;
        for number in [0, 1, 2, 0, 1] {
            assert_eq!(send(number).await, "", "{number}");
        }
        for number in [0, 1, 2] {
            assert_eq!(send(number).await, "organization", "{number}");
        }
        assert_eq!((send(3).await, send(4).await, send(3).await), ("", "organization", "organization"));
        for _ in 0..5 {
            assert_eq!(send(5).await, "", "another organization has its own");
        }
        assert_eq!(number(store, "SELECT count(*) FROM send_rates", &[]).await, 3);
    })
    .await;
}

#[tokio::test]
async fn keys_mailboxes_and_domains_have_rates_of_their_own() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "narrow", None).await;
        let (a, b, c) =
            (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await, tenant.mailbox(store, "c").await);
        let keys = [KeyId::from_uuid(fresh()), KeyId::from_uuid(fresh())];
        let by = async |grant, key| {
            let command = tenant.submission(store, grant, 1, NOON).await;
            send(store, Submit { by: key, ..command }).await
        };
        assert_eq!((by(a, Some(keys[0])).await, by(a, Some(keys[0])).await), ("", "api_key"));
        assert_eq!((by(a, Some(keys[1])).await, by(a, None).await), ("", "grant"), "two by a mailbox");
        assert_eq!((by(b, None).await, by(c, None).await), ("", "domain"), "three from a domain");
        assert_eq!(send_at(store, &tenant, a, at(1)).await, "", "all roll");

        // What is removed leaves nothing.
        assert!(store.run(tenant.removal(b, at(2))).await.expect("removal"));
        let of = async |id: uuid::Uuid| {
            number(store, "SELECT count(*) FROM send_rates WHERE subject_id = $1", params![id]).await
        };
        assert_eq!((of(a.uuid()).await, of(b.uuid()).await), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn without_a_rate_nothing_is_counted() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for _ in 0..20 {
            assert_eq!(send_at(store, &tenant, grant, NOON).await, "");
        }
        assert_eq!(number(store, "SELECT count(*) FROM send_rates", &[]).await, 0);
    })
    .await;
}

/// A send that may wait, as what it would wait.
async fn waiting(store: &Store, tenant: &Tenant, grant: GrantId, date: UnixMicros) -> Submit {
    let command = tenant.submission(store, grant, 1, date).await;
    let facts = MessageFacts { folder: SCHEDULED, ..command.facts.clone() };
    let message = CreateDraft {
        blob: command.blob.clone(),
        facts,
        copy: command.copy,
        thread_id: None,
        starred: false,
        schedule: None,
        answer: None,
    };
    let waiting = Waiting { schedule_id: ScheduleId::from_uuid(fresh()), message: Some(message) };
    Submit { turn: Turn::Waits(Box::new(waiting)), ..command }
}

#[tokio::test]
async fn a_burst_waits_for_its_turn_until_the_queue_is_full() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "burst", None).await;
        let grant = tenant.mailbox(store, "a").await;
        // Two seconds may be waited: five leave now, five in a second, five in two.
        for turn in 0..15 {
            let command = waiting(store, &tenant, grant, NOON).await;
            let asked = Submit { turn: Turn::MayWait, ..command.clone() };
            let outcome = store.run(command).await.expect("submit");
            assert_eq!(matches!(outcome, SubmitOutcome::Waits { .. }), turn >= 5, "{turn}: {outcome:?}");
            if turn == 5 {
                assert_eq!(store.run(asked).await.expect("submit"), SubmitOutcome::MustWait);
            }
        }
        let full = store.run(waiting(store, &tenant, grant, NOON).await).await.expect("submit");
        assert_eq!(refused_by(&full), "organization");
        assert_eq!(send_at(store, &tenant, grant, at(1)).await, "organization", "nobody overtakes");
        assert_eq!((daily_sends(store, grant, NOON).await, queue_rows(store).await), (5, 5), "quota is taken then");
        assert_eq!(number(store, "SELECT count(*) FROM messages WHERE draft = 1", &[]).await, 10);
        let mut reader = store.reader().await.expect("reader");
        let due = |rows: Vec<Schedule>| rows.into_iter().map(|one| (one.send_at, one.is_burst)).collect::<Vec<_>>();
        assert_eq!(due(schedules::due(&mut reader, at(1), 100).await.expect("due")), [(at(1), true); 5]);
        assert_eq!(schedules::due(&mut reader, at(2), 100).await.expect("due").len(), 5, "turns are a little apart");
        assert_eq!(schedules::due(&mut reader, at(3), 100).await.expect("due").len(), 10);
        assert!(schedules::list(&mut reader, grant, None, 100).await.expect("list").is_empty(), "nobody sees them");
    })
    .await;
}

#[tokio::test]
async fn turns_that_come_late_do_not_add_up_to_more_than_the_rate() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "burst", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for _ in 0..15 {
            store.run(waiting(store, &tenant, grant, NOON).await).await.expect("submit");
        }
        // The server was away while their turns came: ten are due in the same moment, and only five leave.
        let late = at(10);
        let mut left = Vec::new();
        for (moment, expected) in [(late, 5), (late.plus(Duration::from_millis(999)), 0), (at(11), 5)] {
            let due = schedules::due(&mut store.reader().await.expect("reader"), moment, 100).await.expect("due");
            let mut count = 0;
            for schedule in &due {
                let outcome = store.run(release(store, &tenant, schedule, moment).await).await.expect("submit");
                match refused_by(&outcome) {
                    "" => count += 1,
                    scope => assert_eq!(scope, "organization"),
                }
            }
            assert_eq!(count, expected, "{moment:?}");
            left.push(count);
            // Who comes now has no room either, and waits.
            let newcomer = store.run(waiting(store, &tenant, grant, moment).await).await.expect("submit");
            assert!(matches!(newcomer, SubmitOutcome::Waits { .. }), "{newcomer:?}");
        }
        assert_eq!((left.iter().sum::<i64>() + 5, queue_rows(store).await), (15, 15));
    })
    .await;
}

/// The send of a message that waits for its turn, at a time.
async fn release(store: &Store, tenant: &Tenant, schedule: &Schedule, date: UnixMicros) -> Submit {
    let command = tenant.submission(store, schedule.grant_id, 1, date).await;
    let sql = "SELECT blob_id FROM messages WHERE id = $1";
    let mut reader = store.reader().await.expect("reader");
    let row = reader.query_one(sql, params![schedule.message_id.uuid()]).await.expect("message").expect("a draft");
    let turn = Release {
        id: schedule.id,
        data: "{}".into(),
        event_id: EventId::from_uuid(fresh()),
        is_burst: schedule.is_burst,
    };
    let seen = BlobId::from_uuid(row.uuid(0).expect("id"));
    let copy = MailboxCopy { message_id: schedule.message_id, ..command.copy };
    Submit { copy, from_draft: Some(FromDraft { seen, release: Some(turn), hold: None }), ..command }
}
