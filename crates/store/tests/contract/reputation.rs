//! Where senders stand: counted with the outcomes, by writers that count at once, and what follows.

use crate::support::{
    Statement, Tenant, all_events, at, at_once, bounced, claim, fresh, number, on_each_engine, record, report, tenant,
};
use postfleet_core::bounce::BounceType;
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::event::Trigger;
use postfleet_core::feedback::{Kind, Outcome};
use postfleet_core::id::{EventId, FeedbackId, GrantId, MessageId};
use postfleet_core::reputation::{Counts, Standing, State, SubjectKind};
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::feedback::{NewReport, TakeFeedback};
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::queue::{RecordAttempt, Report};
use postfleet_store::reputation::{self, Kept};
use postfleet_store::send_events;
use postfleet_store::stops::{self, Lift};
use postfleet_store::{Command, Store, Tx, db::DbError};
use std::collections::BTreeMap;

async fn kept(store: &Store, kind: SubjectKind, name: impl ToString) -> Option<Kept> {
    let mut reader = store.reader().await.expect("reader");
    reputation::find(&mut reader, kind, &name.to_string()).await.expect("find")
}

async fn standing(store: &Store, kind: SubjectKind, name: impl ToString) -> Standing {
    kept(store, kind, name).await.expect("counted").standing
}

/// What is to be recorded of everything that is due: one command for each message.
pub async fn settled(store: &Store, now: UnixMicros, is_gone: impl Fn(usize) -> bool) -> Vec<RecordAttempt> {
    let taken = claim("worker", now, 1_000);
    let lease = taken.lease.id;
    let rows = store.run(taken).await.expect("claim").rows;
    let mut messages: BTreeMap<MessageId, Vec<Report>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let one = match is_gone(index) {
            true => Report { bounce: BounceType::UnknownUser, ..report(row, bounced(), true) },
            false => report(row, AfterAttempt::Delivered, true),
        };
        messages.entry(row.message_id).or_default().push(one);
    }
    messages.into_iter().map(|(message, reports)| record(lease, reports, message, now)).collect()
}

/// Sends to so many to whom nobody has written before.
pub async fn send(store: &Store, tenant: &Tenant, grant: GrantId, count: usize, seconds: u64) {
    let mut command = tenant.submission(store, grant, count, at(seconds)).await;
    for (_, recipient) in &mut command.recipients {
        *recipient = EmailAddress::parse(&format!("{}@elsewhere.example", fresh().simple())).expect("address");
    }
    let outcome = store.run(command).await.expect("submit");
    assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
}

/// So many recipients that are not there.
pub async fn bounce(store: &Store, tenant: &Tenant, grant: GrantId, count: usize, seconds: u64) {
    send(store, tenant, grant, count, seconds).await;
    for command in settled(store, at(seconds + 1), |_| true).await {
        store.run(command).await.expect("record");
    }
}

fn complaint(tenant: &Tenant, grant: GrantId, message_id: MessageId, recipient: &str, seconds: u64) -> TakeFeedback {
    let report = NewReport {
        id: FeedbackId::from_uuid(fresh()),
        kind: Kind::Complaint,
        outcome: Outcome::Counted,
        reason: "why",
        recipient: Some(EmailAddress::parse(recipient).expect("address")),
        bounce: None,
        status: "abuse".into(),
        diagnostic: String::new(),
        reporter: "fbl".into(),
        sends_feedback: true,
        event_id: EventId::from_uuid(fresh()),
    };
    TakeFeedback {
        sender: Some((grant, tenant.application)),
        message_id: Some(message_id),
        reports: vec![report],
        filing: None,
        suppressed_until: None,
        at: at(seconds),
    }
}

/// The end of a mailbox's pause.
#[derive(Clone)]
struct Unpause(Tenant, GrantId, UnixMicros);

impl Command for Unpause {
    type Outcome = bool;
    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let act = self.0.act(self.2);
        let end = Lift { act, event_id: EventId::from_uuid(fresh()), reason: "the list was bought; it is gone".into() };
        let of = (postfleet_core::stop::Kind::Pause, postfleet_core::stop::Scope::Grant, &*self.1.to_string());
        let lifted = stops::lift_of(tx, self.0.organization, of, &end).await?;
        Ok(lifted.is_some())
    }
}

/// From where to where a subject went, as events tell it.
async fn told(store: &Store, kind: &str) -> Vec<(String, String)> {
    let events = all_events(store).await.into_iter().filter(|event| event.event.trigger == Trigger::ReputationChanged);
    let facts = events.map(|event| serde_json::from_str::<serde_json::Value>(&event.event.data).expect("facts"));
    let of_kind = facts.filter(|facts| facts["subject_type"] == kind);
    let word = |value: &serde_json::Value| value.as_str().expect("word").to_owned();
    of_kind.map(|facts| (word(&facts["from"]), word(&facts["state"]))).collect()
}

fn steps(words: &[&str]) -> Vec<(String, String)> {
    words.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

#[tokio::test]
async fn a_mailbox_that_bounces_too_much_may_not_send_until_its_pause_is_lifted() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        bounce(store, &tenant, grant, 9, 1).await;
        assert_eq!(standing(store, SubjectKind::Grant, grant).await.state, State::UnderReview);
        // Under review it sends.
        bounce(store, &tenant, grant, 1, 3).await;
        assert_eq!(standing(store, SubjectKind::Grant, grant).await.state, State::Paused);
        assert_eq!(told(store, "grant").await, steps(&["healthy", "elevated", "under_review", "paused"]));
        let refused = store.run(tenant.submission(store, grant, 1, at(5)).await).await.expect("submit");
        assert!(matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "account_paused"), "{refused:?}");
        // Those with whom it shares a domain are looked at, and send.
        send(store, &tenant, other, 1, 6).await;
        for kind in ["domain", "workspace", "application", "organization"] {
            assert_eq!(told(store, kind).await, steps(&["healthy", "elevated", "under_review"]), "{kind}");
        }
        let shared = standing(store, SubjectKind::Domain, &tenant.domain).await;
        assert_eq!((shared.state, shared.window.counts().hard_bounces), (State::UnderReview, 10));
        // The pause has its evidence, and a record.
        let stopped: Vec<_> = all_events(store).await;
        let stopped = stopped.iter().find(|event| event.event.trigger == Trigger::SendingStopped).expect("stopped");
        let stop: serde_json::Value = serde_json::from_str(&stopped.event.data).expect("facts");
        assert_eq!((&stop["kind"], &stop["scope"]), (&"pause".into(), &"grant".into()));
        assert_eq!(stop["evidence"]["counts"]["hard_bounces"], 10);
        assert_eq!(stop["evidence"]["rates"]["hard_bounces"]["percent"], 10.0);
        let recorded = number(store, "SELECT count(*) FROM audit WHERE action = 'stop.raised'", &[]).await;
        assert_eq!(recorded, 1);
        // No time ends it, and good news neither.
        let taken = settled(store, at(90 * 86_400), |_| false).await;
        at_once(store, taken).await;
        assert_eq!(standing(store, SubjectKind::Grant, grant).await.state, State::Paused);
        assert!(store.run(Unpause(tenant.clone(), grant, at(90 * 86_400 + 1))).await.expect("lift"));
        let fresh_start = standing(store, SubjectKind::Grant, grant).await;
        assert_eq!((fresh_start.state, fresh_start.window.counts()), (State::Healthy, Counts::default()));
        assert_eq!(told(store, "grant").await.last(), steps(&["paused", "healthy"]).last());
        send(store, &tenant, grant, 1, 90 * 86_400 + 2).await;
    })
    .await;
}

#[tokio::test]
async fn complaints_pause_a_mailbox_and_each_counts_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let message = tenant.submit(store, grant, 6, at(1)).await;
        at_once(store, settled(store, at(2), |_| false).await).await;
        let states = [State::UnderReview, State::UnderReview, State::UnderReview, State::UnderReview, State::Paused];
        for (index, state) in states.into_iter().enumerate() {
            let to = format!("r{index}@elsewhere.example");
            // The first three times it comes, only one counts.
            for seconds in 3..6 {
                store.run(complaint(&tenant, grant, message, &to, seconds)).await.expect("take");
            }
            assert_eq!(standing(store, SubjectKind::Grant, grant).await.state, state, "{index}");
        }
        let refused = store.run(tenant.submission(store, grant, 1, at(9)).await).await.expect("submit");
        assert!(matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "account_paused"), "{refused:?}");
    })
    .await;
}

/// Many who count at once for few mailboxes: everybody stands where the ledger, read in its order, says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_at_once_or_one_by_one_everybody_stands_the_same() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = Vec::new();
        for local in ["a", "b", "c"] {
            grants.push(tenant.mailbox(store, local).await);
        }
        let mut sent = Vec::new();
        for index in 0..64 {
            let grant = grants[index % 3];
            sent.push((grant, tenant.submit(store, grant, 4, at(1)).await));
        }
        at_once(store, settled(store, at(2), |index| index % 31 == 0).await).await;
        let complaints = sent.iter().step_by(9);
        let complaints =
            complaints.map(|(grant, message)| complaint(&tenant, *grant, *message, "r1@elsewhere.example", 3));
        at_once(store, complaints.collect()).await;
        let mut all = Counts::default();
        for grant in grants {
            let kept = standing(store, SubjectKind::Grant, grant).await;
            let mut reader = store.reader().await.expect("reader");
            let recount = reputation::recount(&mut reader, grant).await.expect("recount").expect("counted");
            assert!(recount.agrees && recount.is_complete, "{recount:?} {kept:?}");
            let mut ledger = send_events::of_grant(&mut reader, grant, None, false, 10_000).await.expect("ledger");
            ledger.retain(|event| event.counted.is_anything());
            ledger.sort_by_key(|event| event.number);
            assert!((1..).zip(&ledger).all(|(number, event)| event.number == number), "no gaps");
            let mut replayed = Standing::new(at(0));
            for event in &ledger {
                replayed.observe(SubjectKind::Grant, event.counted, event.id.made_at());
            }
            assert_eq!((&replayed.window, replayed.state), (&kept.window, kept.state));
            let counts = kept.window.counts();
            all.attempts += counts.attempts;
            all.feedback_attempts += counts.feedback_attempts;
            all.hard_bounces += counts.hard_bounces;
            all.complaints += counts.complaints;
        }
        assert_eq!((all.attempts, all.hard_bounces, all.complaints), (256, 9, 8));
        for (kind, name) in [
            (SubjectKind::Domain, tenant.domain.to_string()),
            (SubjectKind::Workspace, tenant.workspace.to_string()),
            (SubjectKind::Application, tenant.application.to_string()),
            (SubjectKind::Organization, tenant.organization.to_string()),
        ] {
            assert_eq!(standing(store, kind, name).await.window.counts(), all, "{kind:?}");
        }
    })
    .await;
}

/// Sends and the outcome that pauses come at once: after the pause nothing of the mailbox is accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_very_next_send_is_refused() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        tenant.submit(store, grant, 10, at(1)).await;
        let outcome = settled(store, at(2), |_| true).await.remove(0);
        let mut sends = Vec::new();
        for _ in 0..24 {
            sends.push(tenant.submission(store, grant, 1, at(2)).await);
        }
        let later = sends.split_off(12);
        let (_, accepted, after) =
            futures::join!(async { store.run_near(3, outcome).await.expect("record") }, at_once(store, sends), async {
                at_once(store, later).await
            });
        let is_accepted = |outcome: &&SubmitOutcome| matches!(outcome, SubmitOutcome::Accepted { .. });
        let accepted = accepted.iter().chain(&after).filter(is_accepted).count();
        let events = all_events(store).await;
        let of_grant: Vec<_> = events.iter().filter(|event| event.event.grant_id == grant).collect();
        let stopped = of_grant.iter().find(|event| event.event.trigger == Trigger::SendingStopped).expect("stopped");
        let sends = of_grant.iter().filter(|event| event.event.trigger == Trigger::MessageCreated);
        let sequences: Vec<u64> = sends.map(|event| event.event.grant_sequence).collect();
        assert_eq!(sequences.len(), accepted + 1);
        assert!(sequences.iter().all(|sequence| *sequence < stopped.event.grant_sequence), "{sequences:?}");
        let refused = store.run(tenant.submission(store, grant, 1, at(3)).await).await.expect("submit");
        assert!(matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "account_paused"), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_removed_mailbox_is_forgotten_and_counts_for_whose_it_was() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        bounce(store, &tenant, grant, 3, 1).await;
        send(store, &tenant, grant, 2, 3).await;
        assert!(store.run(tenant.removal(grant, at(4))).await.expect("remove"));
        assert_eq!(kept(store, SubjectKind::Grant, grant).await, None);
        at_once(store, settled(store, at(5), |_| true).await).await;
        assert_eq!(kept(store, SubjectKind::Grant, grant).await, None);
        for (kind, name) in [
            (SubjectKind::Domain, tenant.domain.to_string()),
            (SubjectKind::Workspace, tenant.workspace.to_string()),
            (SubjectKind::Application, tenant.application.to_string()),
            (SubjectKind::Organization, tenant.organization.to_string()),
        ] {
            let counts = standing(store, kind, name).await.window.counts();
            assert_eq!((counts.attempts, counts.hard_bounces), (5, 5), "{kind:?}");
        }
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(reputation::recount(&mut reader, grant).await.expect("recount"), None);
    })
    .await;
}

#[tokio::test]
async fn a_window_that_the_ledger_does_not_bear_out_is_noticed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        bounce(store, &tenant, grant, 3, 1).await;
        let recount = async || {
            let mut reader = store.reader().await.expect("reader");
            reputation::recount(&mut reader, grant).await.expect("recount").expect("counted")
        };
        assert!(recount().await.agrees);
        store.run(Statement("UPDATE send_events SET counted = 3 WHERE number = 2")).await.expect("change");
        let found = recount().await;
        assert!(!found.agrees && found.is_complete && found.counts.hard_bounces == 2, "{found:?}");
        store.run(Statement("DELETE FROM send_events WHERE number = 1")).await.expect("change");
        assert!(!recount().await.is_complete);
    })
    .await;
}

#[tokio::test]
async fn the_worst_come_first_page_by_page() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = Vec::new();
        for count in [1, 3, 6, 10, 4] {
            let grant = tenant.mailbox(store, &format!("m{count}")).await;
            bounce(store, &tenant, grant, count, 1).await;
            grants.push((count, grant));
        }
        grants.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let expected: Vec<String> = grants[..4].iter().map(|(_, grant)| grant.to_string()).collect();
        let mut reader = store.reader().await.expect("reader");
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let page = reputation::worst(&mut reader, tenant.application, SubjectKind::Grant, after.take(), 2).await;
            let page = page.expect("page");
            after = page.last().map(|one| (one.badness, one.name.clone()));
            found.extend(page.iter().map(|one| one.name.clone()));
            if page.len() < 2 {
                break;
            }
        }
        assert_eq!(found, expected, "the one that is healthy is not among them");
    })
    .await;
}
