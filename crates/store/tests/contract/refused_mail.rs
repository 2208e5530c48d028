//! Mail that was not taken: a record for each refusal, bounded by mailbox, reason and day; read, and removed when it is old.

use crate::support::{Tenant, at, fresh, number, on_each_engine, tenant};
use postfleet_core::id::{GrantId, RefusalId, uuid_v7};
use postfleet_core::problem::Exhausted;
use postfleet_core::refused_mail::{KEPT_A_DAY_MAX, Outcome, Stage};
use postfleet_core::{EmailAddress, Problem, ProblemKind, ReversePath, UnixMicros};
use postfleet_store::refused_mail::{self, Concerning, NewRefusal, Page, PruneRefusedMail, RecordRefusedMail, Refused};
use postfleet_store::{Store, params};
use std::sync::Arc;

const DAY: u64 = 86_400;

/// A refusal of mail from `sender` to the mailbox, so many seconds after noon.
pub fn refusal(tenant: &Tenant, grant: GrantId, sender: &str, code: &'static str, seconds: u64) -> NewRefusal {
    let mut random = [0; 10];
    random.copy_from_slice(&fresh().as_bytes()[6..]);
    let exhausted = Exhausted { scope: "grant", limit: 10, used: 9, resets_at: Some(at(seconds + 60)) };
    let problem = Problem::new(ProblemKind::OverQuota, code, "what was said");
    let concerning = Concerning {
        stage: Stage::Data,
        reverse_path: EmailAddress::parse(sender).map_or(ReversePath::Null, ReversePath::Mailbox),
        author: EmailAddress::parse("Ada@Sender.Example").ok(),
        message_id_header: Some("<1@sender.example>".to_owned()),
        octets: Some(1_234),
        ip: "192.0.2.1".parse().ok(),
        at: at(seconds),
    };
    NewRefusal {
        id: RefusalId::from_uuid(uuid_v7(at(seconds), random)),
        grant_id: grant,
        application_id: tenant.application,
        recipient: tenant.address("a"),
        outcome: Outcome::Deferred,
        problem: Problem { exhausted: Some(Box::new(exhausted)), ..problem },
        concerning: Arc::new(concerning),
        rules: None,
    }
}

fn all(grant_id: GrantId) -> Page<'static> {
    Page { grant_id, sender: None, code: None, before: None, limit: 1_000 }
}

pub async fn list(store: &Store, page: Page<'_>) -> Vec<Refused> {
    refused_mail::list(&mut store.reader().await.expect("reader"), page).await.expect("list")
}

#[tokio::test]
async fn a_refusal_is_read_as_it_was_written_newest_first() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (a, b) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let senders = ["Bob@One.Example", "", "carol@two.example"];
        for (seconds, sender) in senders.iter().enumerate() {
            let code = if seconds == 1 { "storage_full" } else { "daily_received_exceeded" };
            let refusals = [a, b].map(|grant| refusal(&tenant, grant, sender, code, seconds as u64));
            store.run(RecordRefusedMail(refusals.to_vec())).await.expect("record");
        }
        let found = list(store, all(a)).await;
        let seen: Vec<&str> = found.iter().map(|refused| refused.sender.as_str()).collect();
        assert_eq!(seen, ["carol@two.example", "", "bob@one.example"]);
        let oldest = &found[2];
        assert_eq!((oldest.stage.as_str(), oldest.outcome.as_str()), ("data", "deferred"));
        assert_eq!((oldest.code.as_str(), oldest.message.as_str()), ("daily_received_exceeded", "what was said"));
        assert_eq!((oldest.author.as_deref(), oldest.octets), (Some("ada@sender.example"), Some(1_234)));
        assert_eq!((oldest.maximum, oldest.used, oldest.scope.as_deref()), (Some(10), Some(9), Some("grant")));
        assert_eq!((oldest.resets_at, oldest.at, oldest.last_at, oldest.times), (Some(at(60)), at(0), at(0), 1));
        assert_eq!(oldest.recipient, tenant.address("a").to_string());
        assert_eq!(
            (oldest.message_id_header.as_deref(), oldest.ip.as_deref()),
            (Some("<1@sender.example>"), Some("192.0.2.1"))
        );

        let times = |found: &[Refused]| found.iter().map(|refused| refused.at).collect::<Vec<_>>();
        let of = |sender| Page { sender: Some(sender), ..all(a) };
        assert_eq!(times(&list(store, of("bob@one.example")).await), [at(0)]);
        assert_eq!(list(store, of("ada@sender.example")).await.len(), 3, "by what the message says, too");
        let full = Page { code: Some("storage_full"), ..all(a) };
        assert_eq!(times(&list(store, full).await), [at(1)]);
        let second = Page { before: Some(found[0].id), limit: 1, ..all(a) };
        assert_eq!(times(&list(store, second).await), [at(1)]);
    })
    .await;
}

#[tokio::test]
async fn a_flood_keeps_a_hundred_of_a_reason_and_counts_the_rest() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (a, b) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let kept = KEPT_A_DAY_MAX as usize;
        for second in 0..(kept as u64 + 50) {
            let sender = format!("x{second}@flood.example");
            store
                .run(RecordRefusedMail(vec![refusal(&tenant, a, &sender, "blocked_by_rule", second)]))
                .await
                .expect("record");
        }
        let found = list(store, all(a)).await;
        assert_eq!(found.len(), kept);
        let last = &found[0];
        assert_eq!((last.times, last.at, last.last_at), (51, at(kept as u64 - 1), at(kept as u64 + 49)));
        assert_eq!(found.iter().map(|refused| refused.times).sum::<u64>(), kept as u64 + 50, "all are counted");
        // Another reason, another mailbox and another day have their own.
        let others = [
            refusal(&tenant, a, "x@one.example", "storage_full", 200),
            refusal(&tenant, b, "x@one.example", "blocked_by_rule", 200),
            refusal(&tenant, a, "x@one.example", "blocked_by_rule", DAY),
        ];
        store.run(RecordRefusedMail(others.to_vec())).await.expect("record");
        assert_eq!((list(store, all(a)).await.len(), list(store, all(b)).await.len()), (kept + 2, 1));
    })
    .await;
}

#[tokio::test]
async fn what_is_old_goes_and_what_a_removed_mailbox_had() {
    const LEFT: &str = "SELECT (SELECT count(*) FROM refused_mail) + (SELECT count(*) FROM refused_mail_days)";
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for day in 0..3 {
            let refusals =
                (0..2).map(|second| refusal(&tenant, grant, "x@y.example", "storage_full", day * DAY + second));
            store.run(RecordRefusedMail(refusals.collect())).await.expect("record");
        }
        let prune = async |before: UnixMicros| store.run(PruneRefusedMail { before, limit: 3 }).await.expect("prune");
        assert_eq!(prune(at(0)).await, 0);
        assert_eq!(prune(at(2 * DAY)).await, 5, "three records, and the counters of two days");
        assert_eq!(prune(at(2 * DAY)).await, 1);
        assert_eq!(prune(at(2 * DAY)).await, 0);
        assert_eq!(list(store, all(grant)).await.len(), 2);
        assert_eq!(number(store, LEFT, params![]).await, 3);
        store.run(tenant.removal(grant, at(3 * DAY))).await.expect("remove");
        while store.run(postfleet_store::grants::PruneRemoved { limit: 10 }).await.expect("prune") {}
        assert_eq!(number(store, LEFT, params![]).await, 0);
    })
    .await;
}
