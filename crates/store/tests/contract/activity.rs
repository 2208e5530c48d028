//! Reading the ledger of outcomes: pages that look at a bounded number of rows.

use crate::support::{at, on_each_engine, tenant};
use postfleet_core::id::{ApplicationId, SendEventId};
use postfleet_core::send_event::SendEventKind;
use postfleet_store::Store;
use postfleet_store::activity::{self, Filter, PruneActivity};
use postfleet_store::outbound::Submit;
use postfleet_store::send_events::SendEvent;
use postfleet_store::send_sums::SumUp;
use uuid::Uuid;

/// Everything of an application.
fn of_application(application_id: ApplicationId) -> Filter {
    Filter {
        application_id,
        grant_id: None,
        message_id: None,
        thread_id: None,
        kinds: Vec::new(),
        class: None,
        recipient: String::new(),
        recipient_domain: String::new(),
        sending_domain: String::new(),
        from: String::new(),
        since: at(0),
        before: SendEventId::from_uuid(Uuid::max()),
    }
}

/// All that a filter finds, in pages of two.
async fn all(store: &Store, mut filter: Filter) -> Vec<SendEvent> {
    let mut reader = store.reader().await.expect("reader");
    let mut found = Vec::new();
    loop {
        let page = activity::list(&mut reader, &filter, 2, 100).await.expect("page");
        found.extend(page.events);
        let Some(next) = page.next else { return found };
        filter.before = next;
    }
}

/// Whose a row is, is written later than the row, and by its writer where it comes late: nobody who asks sees a difference.
#[tokio::test]
async fn rows_are_found_once_wherever_the_head_is() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (first, second) = (tenant.mailbox(store, "first").await, tenant.mailbox(store, "second").await);
        let (mut of_first, mut of_second) = (0, 0);
        for (round, time) in [100, 300, 200, 50, 400].into_iter().enumerate() {
            tenant.submit(store, first, 2, at(time)).await;
            let submission = tenant.submission(store, second, 1, at(time + 1)).await;
            store.run(Submit { sender: tenant.address("second"), ..submission }).await.expect("submitted");
            (of_first, of_second) = (of_first + 2, of_second + 1);
            // Some rows before the head, some beyond it, and in later rounds some that are written behind it.
            for limit in [0, 1, 2] {
                if limit > 0 {
                    store.run(SumUp { until: at(350), limit }).await.expect("summed");
                }
                let every = of_application(tenant.application);
                let found = all(store, every.clone()).await;
                assert!(found.is_sorted_by(|one, next| one.id > next.id), "round {round}: newest first, each once");
                assert_eq!(found.len(), of_first + of_second, "round {round}, {limit} more in the sums");
                for (grant, count) in [(first, of_first), (second, of_second)] {
                    let its: Vec<_> = found.iter().filter(|one| one.sent.grant_id == grant).cloned().collect();
                    assert_eq!(its.len(), count);
                    assert_eq!(all(store, Filter { grant_id: Some(grant), ..every.clone() }).await, its);
                    let message = its[0].sent.message_id;
                    let of_message: Vec<_> = its.iter().filter(|one| one.sent.message_id == message).cloned().collect();
                    assert_eq!(all(store, Filter { message_id: Some(message), ..every.clone() }).await, of_message);
                }
            }
        }
        // What is removed is gone for everybody who asks.
        store.run(SumUp { until: at(1_000), limit: 100 }).await.expect("summed");
        store.run(PruneActivity { before: at(150), limit: 100 }).await.expect("pruned");
        let left = all(store, of_application(tenant.application)).await;
        assert!(left.iter().all(|one| one.id.made_at() >= at(150)) && left.len() == of_first + of_second - 6);
        assert_eq!(all(store, Filter { grant_id: Some(first), ..of_application(tenant.application) }).await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_page_looks_at_so_many_rows_and_the_next_goes_on_behind_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "sender").await;
        for second in 0..6 {
            tenant.submit(store, grant, 1 + usize::from(second == 0), at(second + 1)).await;
        }
        let all = Filter { recipient: "r1@elsewhere.example".to_owned(), ..of_application(tenant.application) };
        let mut reader = store.reader().await.expect("reader");
        let (mut filter, mut sizes) = (all.clone(), Vec::new());
        loop {
            let page = activity::list(&mut reader, &filter, 10, 3).await.expect("page");
            sizes.push(page.events.len());
            let Some(next) = page.next else { break };
            assert!(sizes.len() < 10, "it never ends");
            filter.before = next;
        }
        // Seven rows, three at once; the one that is wanted is among the oldest.
        assert_eq!(sizes.iter().sum::<usize>(), 1);
        assert_eq!((sizes.len(), sizes[0]), (3, 0));
        // With an index that leads there, a page is full or the last one.
        let by_grant = Filter { grant_id: Some(grant), recipient: String::new(), ..all.clone() };
        let page = activity::list(&mut reader, &by_grant, 7, 3).await.expect("page");
        assert_eq!((page.events.len(), page.next), (7, None));
        let page = activity::list(&mut reader, &by_grant, 6, 3).await.expect("page");
        assert_eq!((page.events.len(), page.next), (6, Some(page.events[5].id)));
        let none = Filter { kinds: vec![SendEventKind::Complaint], ..by_grant };
        let page = activity::list(&mut reader, &none, 6, 100).await.expect("page");
        assert_eq!((page.events.len(), page.next), (0, None));
    })
    .await;
}
