//! The ledger of outcomes: one row for each recipient and happening, and as what it counts.

use crate::support::{Engine, Tenant, at, claim, fresh, on_each_engine, record, report, tenant};
use postfleet_core::bounce::BounceType;
use postfleet_core::delivery::{AfterAttempt, Reason};
use postfleet_core::feedback::{Kind, Outcome};
use postfleet_core::id::{EventId, FeedbackId, GrantId, MessageId};
use postfleet_core::send_event::{Counted, SendEventKind};
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::Store;
use postfleet_store::feedback::{NewReport, TakeFeedback};
use postfleet_store::queue::Report;
use postfleet_store::send_events::{self, SendEvent};

const ATTEMPT: Counted = Counted { attempt: true, feedback: true, hard_bounce: false, complaint: false };
const HARD: Counted = Counted { hard_bounce: true, ..ATTEMPT };

fn reason() -> Reason {
    Reason { code: 550, status: "5.1.1".into(), text: "no such user".into() }
}

/// What the ledger has of a mailbox, oldest first.
async fn ledger(store: &Store, grant: GrantId) -> Vec<SendEvent> {
    let mut reader = store.reader().await.expect("reader");
    let mut found = send_events::of_grant(&mut reader, grant, None, false, 1_000).await.expect("ledger");
    found.reverse();
    found
}

/// Settles the recipients of what is due as is said.
async fn settle(store: &Store, message: MessageId, outcomes: &[(AfterAttempt, BounceType, bool)], now: UnixMicros) {
    let taken = claim("worker", now, 10);
    let lease = taken.lease.id;
    let mut rows = store.run(taken).await.expect("claim").rows;
    rows.sort_by_key(|row| row.recipient.to_string());
    let reports = rows
        .iter()
        .zip(outcomes)
        .map(|(row, (after, bounce, reached))| Report { bounce: *bounce, ..report(row, after.clone(), *reached) });
    store.run(record(lease, reports.collect(), message, now)).await.expect("record");
}

async fn late(
    store: &Store,
    tenant: &Tenant,
    (grant, message): (GrantId, MessageId),
    kind: Kind,
    to: &str,
    seconds: u64,
) {
    let report = NewReport {
        id: FeedbackId::from_uuid(fresh()),
        kind,
        outcome: Outcome::Counted,
        reason: "why",
        recipient: Some(EmailAddress::parse(to).expect("address")),
        bounce: (kind == Kind::Bounce).then_some(BounceType::UnknownUser),
        status: if kind == Kind::Bounce { "5.1.1" } else { "abuse" }.into(),
        diagnostic: "it\nis so".into(),
        reporter: "mx".into(),
        sends_feedback: true,
        event_id: EventId::from_uuid(fresh()),
    };
    let command = TakeFeedback {
        sender: Some((grant, tenant.application)),
        message_id: Some(message),
        reports: vec![report],
        filing: None,
        suppressed_until: None,
        at: at(seconds),
    };
    store.run(command).await.expect("take");
}

async fn of_engine(engine: &Engine) -> (Tenant, GrantId) {
    let tenant = tenant(&engine.store, "self_hosted", None).await;
    let grant = tenant.mailbox(&engine.store, "sender").await;
    (tenant, grant)
}

#[tokio::test]
async fn each_recipient_and_happening_has_a_row_that_says_as_what_it_counts() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = of_engine(engine).await;
        let message = tenant.submit(store, grant, 5, at(1)).await;
        use AfterAttempt::{Bounced, Delivered, Expired, Suppressed};
        let outcomes = [
            (Delivered, BounceType::Undetermined, true),
            (Bounced(reason()), BounceType::UnknownUser, true),
            (Bounced(reason()), BounceType::MailboxFull, true),
            (Expired(reason()), BounceType::Temporary, false),
            (Suppressed(postfleet_core::suppression::Reason::Manual), BounceType::General, false),
        ];
        settle(store, message, &outcomes, at(2)).await;
        let found = ledger(store, grant).await;
        let (accepted, settled) = found.split_at(5);
        assert!(accepted.iter().all(|one| one.kind == SendEventKind::Accepted && one.counted == Counted::NOTHING));
        let mut settled: Vec<_> = settled.to_vec();
        settled.sort_by_key(|one| one.recipient.as_ref().map(ToString::to_string));
        let expected = [
            (SendEventKind::Delivered, None, false, ATTEMPT),
            (SendEventKind::Bounced, Some(BounceType::UnknownUser), false, HARD),
            (SendEventKind::Bounced, Some(BounceType::MailboxFull), false, ATTEMPT),
            (SendEventKind::Bounced, Some(BounceType::Temporary), true, Counted::NOTHING),
            (SendEventKind::Rejected, None, false, Counted::NOTHING),
        ];
        let said: Vec<_> = settled.iter().map(|one| (one.kind, one.bounce, one.is_expired, one.counted)).collect();
        assert_eq!(said, expected);
        let one = &settled[1];
        assert_eq!(one.sent.message_id, message);
        assert_eq!(one.sent.workspace_id, Some(tenant.workspace));
        assert_eq!((one.sent.organization_id, one.sent.application_id), (tenant.organization, tenant.application));
        assert_eq!(one.sent.sender, tenant.address("sender"));
        assert!(one.sent.thread_id.is_some());
        assert_eq!((one.status.as_str(), one.reason.as_str()), ("5.1.1", "550 5.1.1 no such user"));
        assert_eq!(one.id.made_at().as_seconds(), at(2).as_seconds());
        let mut reader = store.reader().await.expect("reader");
        let adverse = send_events::of_grant(&mut reader, grant, None, true, 10).await.expect("adverse");
        assert_eq!(adverse.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_recipient_that_was_answered_once_is_an_attempt_although_it_expires_unanswered() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = of_engine(engine).await;
        let message = tenant.submit(store, grant, 1, at(1)).await;
        settle(store, message, &[(AfterAttempt::RetryAt(at(3)), BounceType::Greylisted, true)], at(2)).await;
        let nobody = (AfterAttempt::Expired(reason()), BounceType::Temporary, false);
        settle(store, message, &[nobody], at(4)).await;
        let found = ledger(store, grant).await;
        assert_eq!(found.iter().map(|one| one.counted).collect::<Vec<_>>(), [Counted::NOTHING, ATTEMPT]);
    })
    .await;
}

#[tokio::test]
async fn a_failure_counts_once_whoever_tells_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = of_engine(engine).await;
        let message = tenant.submit(store, grant, 2, at(1)).await;
        let gone = (AfterAttempt::Bounced(reason()), BounceType::UnknownUser, true);
        let taken = (AfterAttempt::Delivered, BounceType::Undetermined, true);
        settle(store, message, &[gone, taken], at(2)).await;
        late(store, &tenant, (grant, message), Kind::Bounce, "r0@elsewhere.example", 3).await;
        late(store, &tenant, (grant, message), Kind::Bounce, "R1@Elsewhere.example", 4).await;
        late(store, &tenant, (grant, message), Kind::Bounce, "r1@elsewhere.example", 5).await;
        late(store, &tenant, (grant, message), Kind::Complaint, "r1@elsewhere.example", 6).await;
        late(store, &tenant, (grant, message), Kind::Complaint, "r1@elsewhere.example", 7).await;
        let found = ledger(store, grant).await;
        let late: Vec<_> = found.iter().filter(|one| one.is_late).map(|one| one.counted).collect();
        let hard = Counted { hard_bounce: true, ..Counted::NOTHING };
        let complaint = Counted { complaint: true, ..Counted::NOTHING };
        assert_eq!(late, [Counted::NOTHING, hard, complaint]);
        assert!(found.iter().filter(|one| one.is_late).all(|one| one.reason == "it is so"));
    })
    .await;
}

/// A mailbox that is gone counts for those whose it was.
#[tokio::test]
async fn what_a_removed_mailbox_sent_counts_still() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = of_engine(engine).await;
        let message = tenant.submit(store, grant, 1, at(1)).await;
        assert!(store.run(tenant.removal(grant, at(2))).await.expect("remove"));
        settle(store, message, &[(AfterAttempt::Delivered, BounceType::Undetermined, true)], at(3)).await;
        let found = ledger(store, grant).await;
        let last = found.last().expect("row");
        assert_eq!((last.counted, last.number, last.is_of_removed), (ATTEMPT, 0, true));
    })
    .await;
}
