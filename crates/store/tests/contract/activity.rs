//! Reading the ledger of outcomes: pages that look at a bounded number of rows.

use crate::support::{at, on_each_engine, tenant};
use postfleet_core::id::SendEventId;
use postfleet_core::send_event::SendEventKind;
use postfleet_store::activity::{self, Filter};
use uuid::Uuid;

#[tokio::test]
async fn a_page_looks_at_so_many_rows_and_the_next_goes_on_behind_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "sender").await;
        for second in 0..6 {
            tenant.submit(store, grant, 1 + usize::from(second == 0), at(second + 1)).await;
        }
        let all = Filter {
            application_id: tenant.application,
            grant_id: None,
            message_id: None,
            thread_id: None,
            kinds: Vec::new(),
            class: None,
            recipient: "r1@elsewhere.example".to_owned(),
            recipient_domain: String::new(),
            sending_domain: String::new(),
            from: String::new(),
            since: at(0),
            before: SendEventId::from_uuid(Uuid::max()),
        };
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
