//! Coming back from a pause: what is looked at is what there is, one case at a time, granting does everything at once, and
//! after it no more leaves than the ramp allows, however many try.

use crate::reputation::{bounce, kept, send, settled, standing};
use crate::stops::{OPERATOR, act, lift, stop};
use crate::support::{Tenant, all_events, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, RecoveryId};
use postfleet_core::recovery::{Automatic, Decision, Facts, Rule, State};
use postfleet_core::reputation::{Counts, State as Standing, SubjectKind};
use postfleet_core::stop::{Effect, Kind, Scope};
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::recoveries::{
    self, By, DecideOutcome, DecideRecovery, Page, RequestOutcome, RequestRecovery, Subject, Whose,
};
use postfleet_store::stops::LiftOutcome;
use postfleet_store::suppressions::RemoveSuppression;
use postfleet_store::{Store, organizations, params};
use std::time::Duration;

const DAY: u64 = 86_400;
const GRANT: Decision = Decision::Grant { despite_checks: false };

fn subject(tenant: &Tenant, grant: GrantId) -> Subject {
    let (organization, application) = (tenant.organization, tenant.application);
    Subject { organization, application, grant, email: tenant.address("a") }
}

async fn gathered(store: &Store, tenant: &Tenant, grant: GrantId, now: UnixMicros) -> Facts {
    let mut reader = store.reader().await.expect("reader");
    recoveries::gather(&mut reader, &subject(tenant, grant), now).await.expect("facts")
}

async fn request(store: &Store, tenant: &Tenant, grant: GrantId, now: UnixMicros) -> RequestOutcome {
    let command = RequestRecovery {
        id: RecoveryId::new(now, *fresh().as_bytes().first_chunk().expect("ten")),
        act: act(tenant, now),
        subject: subject(tenant, grant),
        cause: "the list was bought".into(),
        fix: "it is gone".into(),
        evidence: vec!["only those who signed up are left".into()],
        facts: gathered(store, tenant, grant, now).await,
    };
    store.run(command).await.expect("request")
}

async fn requested(store: &Store, tenant: &Tenant, grant: GrantId, now: UnixMicros) -> RecoveryId {
    match request(store, tenant, grant, now).await {
        RequestOutcome::Requested(case) => case.id,
        other => panic!("not requested: {other:?}"),
    }
}

async fn decision(
    store: &Store,
    tenant: &Tenant,
    grant: GrantId,
    (id, by, decision): (RecoveryId, By, Decision),
    now: UnixMicros,
) -> DecideRecovery {
    DecideRecovery {
        id,
        act: act(tenant, now),
        by,
        decision,
        note: Some("looked at".into()),
        facts: gathered(store, tenant, grant, now).await,
        lift_record_id: AuditId::from_uuid(fresh()),
        event_id: EventId::new(now, *fresh().as_bytes().first_chunk().expect("ten")),
    }
}

fn operator() -> By {
    By::Operator(organizations::Scope::All)
}

async fn suppress(store: &Store, tenant: &Tenant, now: UnixMicros) {
    const BOUNCED: &str = "SELECT DISTINCT recipient FROM send_events WHERE application_id = $1 AND counted >= 4";
    let mut reader = store.reader().await.expect("reader");
    let rows = reader.query(BOUNCED, params![tenant.application.uuid()]).await.expect("bounced");
    let addresses = rows.iter().map(|row| EmailAddress::parse(&row.text(0).expect("text")).expect("address"));
    let command = postfleet_store::suppressions::AddSuppressions {
        act: act(tenant, now),
        application_id: tenant.application,
        addresses: addresses.collect(),
        reason: Reason::HardBounce,
        source: "api".into(),
        note: None,
        expires_at: None,
    };
    drop(reader);
    store.run(command).await.expect("suppress");
}

#[tokio::test]
async fn a_case_is_opened_for_a_pause_alone_and_one_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let refused = |outcome: RequestOutcome| match outcome {
            RequestOutcome::Refused(problem) => problem.code,
            other => panic!("not refused: {other:?}"),
        };
        assert_eq!(refused(request(store, &tenant, grant, at(1)).await), "not_paused");
        bounce(store, &tenant, grant, 10, 2).await;
        let id = requested(store, &tenant, grant, at(5)).await;
        let RequestOutcome::Refused(problem) = request(store, &tenant, grant, at(6)).await else { panic!("two cases") };
        assert_eq!(problem.code, "recovery_pending");
        assert!(problem.public.contains(&id.to_string()), "{}", problem.public);
        // Nobody lifts the pause another way.
        let pause = gathered(store, &tenant, grant, at(6)).await.pause().expect("pause").id;
        let other_way = store.run(lift(&tenant, pause, OPERATOR)).await.expect("lift");
        assert_eq!(other_way, LiftOutcome::ByRecovery);
        assert_eq!(standing(store, SubjectKind::Grant, grant).await.state, Standing::Paused);
        // Taken back by those whose mailbox it is, it makes room for the next.
        let foreign = (id, By::Mailbox(GrantId::from_uuid(fresh())), Decision::Withdraw);
        let command = decision(store, &tenant, grant, foreign, at(7)).await;
        assert_eq!(store.run(command).await.expect("decide"), DecideOutcome::NotFound);
        let command = decision(store, &tenant, grant, (id, By::Mailbox(grant), Decision::Withdraw), at(7)).await;
        assert!(matches!(store.run(command).await.expect("decide"), DecideOutcome::Decided(_)));
        let second = requested(store, &tenant, grant, at(8)).await;
        let mut reader = store.reader().await.expect("reader");
        let page = Page { whose: Whose::Grant(grant), state: None, before: None, limit: 10 };
        let all = recoveries::list(&mut reader, page).await.expect("list");
        assert_eq!(
            all.iter().map(|case| (case.id, case.state)).collect::<Vec<_>>(),
            [(second, State::Requested), (id, State::Withdrawn)]
        );
        let of = |whose, state| Page { whose, state, before: None, limit: 10 };
        let open = Some(State::Requested);
        let (own, others) = (tenant.organization, postfleet_core::id::OrganizationId::from_uuid(fresh()));
        for (whose, count) in [
            (Whose::Operator(organizations::Scope::All), 1),
            (Whose::Operator(organizations::Scope::Of(own)), 1),
            (Whose::Operator(organizations::Scope::Of(others)), 0),
        ] {
            assert_eq!(recoveries::list(&mut reader, of(whose, open)).await.expect("list").len(), count);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_is_found_and_stands_against_granting() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        bounce(store, &tenant, grant, 9, 1).await;
        const BOUNCED: &str =
            "SELECT recipient FROM send_events WHERE grant_id = $1 AND counted >= 4 ORDER BY id LIMIT 1";
        let mut reader = store.reader().await.expect("reader");
        let row = reader.query_one(BOUNCED, params![grant.uuid()]).await.expect("bounced").expect("row");
        let gone = EmailAddress::parse(&row.text(0).expect("text")).expect("address");
        drop(reader);
        send(store, &tenant, grant, 1, 3).await;
        let last = settled(store, at(4), |_| true).await;
        let (act, application_id) = (act(&tenant, at(4)), tenant.application);
        assert!(store.run(RemoveSuppression { act, application_id, address: gone.clone() }).await.expect("remove"));
        let mut again = tenant.submission(store, grant, 1, at(4)).await;
        again.recipients[0].1 = gone.clone();
        assert!(matches!(store.run(again).await.expect("submit"), SubmitOutcome::Accepted { .. }));
        at_once(store, last).await;
        let facts = gathered(store, &tenant, grant, at(10)).await;
        let named = vec![gone.to_string()];
        assert_eq!((&facts.not_suppressed.named, &facts.waiting.named), (&named, &named));
        let id = requested(store, &tenant, grant, at(10)).await;
        let command = decision(store, &tenant, grant, (id, operator(), GRANT), at(11)).await;
        let DecideOutcome::Refused(problem) = store.run(command).await.expect("decide") else { panic!("granted") };
        assert_eq!(problem.code, "recovery_checks_failed");
        assert_eq!(standing(store, SubjectKind::Grant, grant).await.state, Standing::Paused);
        suppress(store, &tenant, at(12)).await;
        let facts = gathered(store, &tenant, grant, at(13)).await;
        assert_eq!((&facts.not_suppressed.named, &facts.waiting.named), (&Vec::new(), &named), "it is queued still");
        // A restriction that came after what was found just before is seen all the same.
        let late = decision(store, &tenant, grant, (id, operator(), GRANT), at(13)).await;
        let restriction = stop(&tenant, grant, Scope::Grant, (Kind::Restriction, Effect::Refuse));
        store.run(restriction).await.expect("restrict");
        let DecideOutcome::Refused(problem) = store.run(late).await.expect("decide") else { panic!("granted") };
        assert!(problem.public.contains("abuse restriction"), "{}", problem.public);
        // In spite of it only with a note, and the restriction stays.
        let despite = (id, operator(), Decision::Grant { despite_checks: true });
        let command = decision(store, &tenant, grant, despite, at(14)).await;
        assert!(matches!(store.run(command).await.expect("decide"), DecideOutcome::Decided(_)));
        let refused = store.run(tenant.submission(store, grant, 1, at(15)).await).await.expect("submit");
        assert!(
            matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "abuse_restriction"),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn before_it_is_granted_nothing_leaves_and_after_it_no_more_than_the_ramp_allows() {
    const SENDERS: usize = 64;
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for number in 0..5 {
            send(store, &tenant, grant, 1, number).await;
        }
        bounce(store, &tenant, grant, 10, 10).await;
        suppress(store, &tenant, at(20)).await;
        let id = requested(store, &tenant, grant, at(20)).await;
        let sent = async || {
            const SENT: &str = "SELECT coalesce(max(sent), 0) FROM daily_sends WHERE grant_id = $1";
            number(store, SENT, params![grant.uuid()]).await
        };
        let before = sent().await;
        let tries = async |seconds| {
            let mut all = Vec::new();
            for _ in 0..SENDERS {
                let mut command = tenant.submission(store, grant, 1, at(seconds)).await;
                command.recipients[0].1 =
                    EmailAddress::parse(&format!("{}@b.example", fresh().simple())).expect("address");
                all.push(command);
            }
            all
        };
        let code = |outcome: &SubmitOutcome| match outcome {
            SubmitOutcome::Accepted { .. } => "accepted",
            SubmitOutcome::Refused(problem) => problem.code,
            other => panic!("neither: {other:?}"),
        };
        let outcomes = at_once(store, tries(21).await).await;
        assert!(outcomes.iter().all(|outcome| code(outcome) == "account_paused"), "{outcomes:?}");
        // While it is granted.
        let command = decision(store, &tenant, grant, (id, operator(), GRANT), at(22)).await;
        let granting = tokio::spawn({
            let store = store.clone();
            async move { store.run(command).await.expect("decide") }
        });
        let mut outcomes = at_once(store, tries(22).await).await;
        let granted = granting.await.expect("task");
        assert!(matches!(&granted, DecideOutcome::Decided(case) if case.state == State::Granted), "{granted:?}");
        outcomes.extend(at_once(store, tries(23).await).await);
        let count = |wanted| outcomes.iter().filter(|outcome| code(outcome) == wanted).count();
        assert_eq!(count("accepted"), 20, "exactly the ramp of the first day");
        assert_eq!(count("accepted") + count("account_paused") + count("daily_quota_exceeded"), 2 * SENDERS);
        assert_eq!(sent().await, before + 20);
        let quota = outcomes.iter().find_map(|outcome| match outcome {
            SubmitOutcome::Refused(problem) if problem.code == "daily_quota_exceeded" => Some(problem.public.clone()),
            _ => None,
        });
        assert!(quota.expect("refused").starts_with("the ramp after a pause allows"));
        // All of it was one transaction: stop, window, events, records.
        let now = standing(store, SubjectKind::Grant, grant).await;
        assert_eq!((now.state, now.window.counts()), (Standing::Healthy, Counts::default()));
        let events = all_events(store).await;
        let told = |trigger| events.iter().filter(|event| event.event.trigger == trigger).count();
        assert_eq!(told(Trigger::SendingResumed), 1);
        for action in ["recovery.requested", "recovery.granted", "stop.lifted"] {
            const RECORDED: &str = "SELECT count(*) FROM audit WHERE action = $1";
            assert_eq!(number(store, RECORDED, params![action]).await, 1, "{action}");
        }
        // The next day the ramp is over, as it was above the highest day.
        let next = at_once(store, tries(DAY).await).await;
        assert!(next.iter().all(|outcome| code(outcome) == "accepted"), "{next:?}");
    })
    .await;
}

#[tokio::test]
async fn the_rule_grants_once_in_thirty_days_and_of_two_who_decide_one_does() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let rule = By::Rule(Rule { automatic: Automatic::WhenChecked, after: Duration::from_secs(3_600) });
        bounce(store, &tenant, grant, 10, 1).await;
        suppress(store, &tenant, at(5)).await;
        let id = requested(store, &tenant, grant, at(10)).await;
        let command = decision(store, &tenant, grant, (id, rule, GRANT), at(100)).await;
        assert!(matches!(store.run(command).await.expect("decide"), DecideOutcome::Waits(_)), "too early");
        let (first, second) = (
            decision(store, &tenant, grant, (id, rule, GRANT), at(4_000)).await,
            decision(store, &tenant, grant, (id, operator(), GRANT), at(4_000)).await,
        );
        let outcomes = at_once(store, vec![first, second]).await;
        let decided = outcomes.iter().filter(|outcome| matches!(outcome, DecideOutcome::Decided(_))).count();
        assert_eq!(decided, 1, "{outcomes:?}");
        bounce(store, &tenant, grant, 10, 5_000).await;
        suppress(store, &tenant, at(5_010)).await;
        let again = requested(store, &tenant, grant, at(5_010)).await;
        for (seconds, is_granted) in [(29 * DAY, false), (31 * DAY, true)] {
            let command = decision(store, &tenant, grant, (again, rule, GRANT), at(seconds)).await;
            let outcome = store.run(command).await.expect("decide");
            assert_eq!(matches!(outcome, DecideOutcome::Decided(_)), is_granted, "{seconds} {outcome:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_only_tried_out_counts_for_no_domain_and_no_organization() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut command = tenant.submission(store, grant, 2, at(1)).await;
        for (number, (_, recipient)) in command.recipients.iter_mut().enumerate() {
            let simulated = format!("bounce+{number}@{}", postfleet_core::simulator::DOMAIN);
            *recipient = EmailAddress::parse(&simulated).expect("address");
        }
        store.run(command).await.expect("submit");
        at_once(store, settled(store, at(2), |_| true).await).await;
        for (kind, name) in
            [(SubjectKind::Grant, grant.to_string()), (SubjectKind::Application, tenant.application.to_string())]
        {
            assert_eq!(standing(store, kind, name).await.window.counts().hard_bounces, 2, "{kind:?}");
        }
        assert_eq!(kept(store, SubjectKind::Domain, &tenant.domain).await, None);
        assert_eq!(kept(store, SubjectKind::Organization, tenant.organization).await, None);
    })
    .await;
}
