//! What comes back: a report counts once for each recipient, however many come at once.

use crate::support::{NOON, Tenant, all_events, at, at_once, fresh, on_each_engine, tenant};
use postfleet_core::bounce::BounceType;
use postfleet_core::event::Trigger;
use postfleet_core::feedback::{Kind, Outcome};
use postfleet_core::id::{BlobId, EventId, FeedbackId, GrantId, MessageId};
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::feedback::{self, Filing, NewReport, PruneFeedback, Record, RecordRefused, TakeFeedback, Taken};
use postfleet_store::messages::FiledCopy;
use postfleet_store::{Store, grants};

/// A mailbox that has sent a message.
async fn sent(store: &Store) -> (Tenant, GrantId, MessageId) {
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    let id = tenant.submit(store, grant, 1, NOON).await;
    (tenant, grant, id)
}

fn bounce(recipient: &str) -> NewReport {
    NewReport {
        id: FeedbackId::from_uuid(fresh()),
        kind: Kind::Bounce,
        outcome: Outcome::Counted,
        reason: "why",
        recipient: Some(EmailAddress::parse(recipient).expect("address")),
        bounce: Some(BounceType::UnknownUser),
        status: "5.1.1".into(),
        diagnostic: "smtp; 550".into(),
        reporter: "mx".into(),
        sends_feedback: true,
        event_id: EventId::from_uuid(fresh()),
    }
}

async fn take(
    store: &Store,
    tenant: &Tenant,
    grant: GrantId,
    message: MessageId,
    reports: Vec<NewReport>,
    date: UnixMicros,
) -> TakeFeedback {
    let raw = format!("Subject: {}\r\n\r\nSorry.\r\n", fresh());
    let blob = store.blobs().prepare(BlobId::from_uuid(fresh()), raw.as_bytes()).await.expect("body");
    let facts = tenant.received(store, &[grant], date).await.facts;
    let copy = FiledCopy::plain(tenant.copy(grant), &facts);
    let filing = Filing { blob, facts, copy, thread_id: None };
    TakeFeedback {
        sender: Some((grant, tenant.application)),
        message_id: Some(message),
        reports,
        filing: Some(filing),
        suppressed_until: None,
        at: date,
    }
}

async fn records(store: &Store, grant: Option<GrantId>) -> Vec<Record> {
    feedback::list(&mut store.reader().await.expect("reader"), grant, None, 100).await.expect("list")
}

async fn bounces(store: &Store) -> usize {
    all_events(store).await.iter().filter(|event| event.event.trigger == Trigger::MessageBounced).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_reports_that_come_at_once_one_counts() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, message) = sent(store).await;
        let mut commands = Vec::new();
        for _ in 0..12 {
            commands.push(take(store, &tenant, grant, message, vec![bounce("r0@elsewhere.example")], at(1)).await);
        }
        let taken = at_once(store, commands).await;
        let counted = taken.iter().filter(|taken| taken.outcomes == [Outcome::Counted]).count();
        let filed = taken.iter().filter(|taken| taken.filed).count();
        assert_eq!((counted, filed, bounces(store).await), (1, 1, 1));
        let outcomes: Vec<_> = records(store, Some(grant)).await.into_iter().map(|record| record.outcome).collect();
        assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn a_report_counts_for_each_of_its_recipients_and_each_kind() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, message) = sent(store).await;
        let complaint = NewReport { kind: Kind::Complaint, status: "abuse".into(), ..bounce("a@x.example") };
        let stranger = NewReport { outcome: Outcome::Unmatched, ..bounce("c@x.example") };
        let reports = vec![bounce("a@x.example"), bounce("A@X.example"), bounce("b@x.example"), complaint, stranger];
        let command = take(store, &tenant, grant, message, reports, at(1)).await;
        let filed_as = command.filing.as_ref().map(|filing| filing.copy.copy.message_id);
        let taken = store.run(command).await.expect("take");
        use Outcome::{Counted, Replayed, Unmatched};
        assert_eq!(taken, Taken { outcomes: vec![Counted, Replayed, Counted, Counted, Unmatched], filed: true });
        assert_eq!(bounces(store).await, 2);
        let events = all_events(store).await;
        let told = events.iter().find(|event| event.event.trigger == Trigger::MessageComplaint).expect("event");
        assert_eq!(
            told.event.data,
            format!(r#"{{"recipient":"a@x.example","at":{},"type":"abuse"}}"#, at(1).as_seconds())
        );
        // The sequence of the mailbox's events has no gap.
        let mut sequence: Vec<_> = events
            .iter()
            .filter(|event| event.event.grant_id == grant)
            .map(|event| event.event.grant_sequence)
            .collect();
        sequence.sort_unstable();
        assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>());
        let records = records(store, Some(grant)).await;
        assert_eq!(records.len(), 5);
        let of_a = records.iter().find(|record| record.kind == "complaint" && record.recipient == "a@x.example");
        let of_a = of_a.expect("record");
        assert_eq!((of_a.message_id, of_a.report_id), (Some(message), filed_as));
        assert_eq!(
            (of_a.status.as_str(), of_a.diagnostic.as_str(), of_a.reporter.as_str()),
            ("abuse", "smtp; 550", "mx")
        );
    })
    .await;
}

#[tokio::test]
async fn a_report_about_a_mailbox_that_is_gone_counts_for_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, message) = sent(store).await;
        let command = take(store, &tenant, grant, message, vec![bounce("a@x.example")], at(2)).await;
        assert!(store.run(tenant.removal(grant, at(1))).await.expect("removed"));
        let taken = store.run(command).await.expect("take");
        assert_eq!(taken, Taken { outcomes: vec![Outcome::Unmatched], filed: false });
        assert_eq!(bounces(store).await, 0);
    })
    .await;
}

#[tokio::test]
async fn refusals_are_recorded_once_and_only_at_the_domain_of_the_message() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, message) = sent(store).await;
        let other = crate::support::tenant(store, "self_hosted", None).await;
        let refused = |message_id, tenant: &Tenant| RecordRefused {
            id: FeedbackId::from_uuid(fresh()),
            message_id,
            domain: tenant.domain.clone(),
            outcome: Outcome::Forged,
            reason: "why",
            at: at(1),
        };
        for (message, tenant, expected) in
            [(message, &tenant, true), (message, &tenant, true), (message, &other, false)]
        {
            assert_eq!(store.run(refused(message, tenant)).await.expect("record"), expected);
        }
        assert!(!store.run(refused(MessageId::from_uuid(fresh()), &tenant)).await.expect("record"));
        // A message that was received is nobody's return path.
        let received = tenant.deliver(store, grant, NOON).await;
        assert!(!store.run(refused(received, &tenant)).await.expect("record"));
        assert_eq!(records(store, Some(grant)).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn records_are_paged_by_mailbox_and_pruned_by_age() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, message) = sent(store).await;
        let reports: Vec<_> = (0..5).map(|number| bounce(&format!("r{number}@x.example"))).collect();
        let ids: Vec<_> = reports.iter().rev().map(|report| report.id).collect();
        let command = take(store, &tenant, grant, message, reports, at(1)).await;
        store.run(command).await.expect("take");
        let nobodys = TakeFeedback {
            sender: None,
            message_id: None,
            reports: vec![NewReport { outcome: Outcome::Unsigned, ..bounce("x@x.example") }],
            filing: None,
            suppressed_until: None,
            at: at(1),
        };
        store.run(nobodys).await.expect("take");
        let page = async |before| {
            let mut reader = store.reader().await.expect("reader");
            let page = feedback::list(&mut reader, Some(grant), before, 3).await.expect("list");
            page.into_iter().map(|record| record.id).collect::<Vec<_>>()
        };
        assert_eq!(page(None).await, ids[..3]);
        assert_eq!(page(Some(ids[2])).await, ids[3..]);
        assert_eq!(records(store, None).await.len(), 1);
        assert_eq!(store.run(PruneFeedback { before: NOON, limit: 100 }).await.expect("prune"), 0);
        let later = at(3_600);
        assert_eq!(store.run(PruneFeedback { before: later, limit: 4 }).await.expect("prune"), 4);
        assert_eq!(store.run(PruneFeedback { before: later, limit: 4 }).await.expect("prune"), 2);
        assert_eq!((records(store, Some(grant)).await.len(), records(store, None).await.len()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn what_a_report_is_about_is_found_by_the_message_alone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, message) = sent(store).await;
        let received = tenant.deliver(store, grant, NOON).await;
        let mut reader = store.reader().await.expect("reader");
        let found = feedback::sent(&mut reader, message).await.expect("read").expect("message");
        assert_eq!(found.grant_id, grant);
        assert_eq!(feedback::sent(&mut reader, received).await.expect("read"), None);
        let holder = grants::holder(&mut reader, grant).await.expect("read").expect("mailbox");
        assert_eq!((holder.email, holder.mailbox.application_id), (tenant.address("a"), tenant.application));
        assert_eq!(grants::holder(&mut reader, GrantId::from_uuid(fresh())).await.expect("read"), None);
    })
    .await;
}
