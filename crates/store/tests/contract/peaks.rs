//! The busiest day of a workspace's mailboxes, from the ledger of sends.

use crate::support::{NOON, fresh, on_each_engine, tenant};
use postfleet_core::UtcDay;
use postfleet_core::id::{GrantId, WorkspaceId};
use postfleet_store::db::DbError;
use postfleet_store::peaks::{self, Busiest, Peak};
use postfleet_store::{Command, Store, Tx, params};

/// So much was sent by a mailbox on a day.
#[derive(Clone, Debug)]
struct Sent(GrantId, i64, i64);

impl Command for Sent {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO daily_sends (grant_id, day, sent) VALUES ($1, $2, $3)";
        tx.execute(INSERT, params![self.0.uuid(), self.1, self.2]).await?;
        Ok(())
    }
}

async fn busiest(store: &Store, workspace: WorkspaceId, after: Option<GrantId>, limit: usize, since: i64) -> Busiest {
    let mut reader = store.reader().await.expect("reader");
    peaks::busiest(&mut reader, workspace, after, limit, UtcDay::from_number(since)).await.expect("busiest")
}

#[tokio::test]
async fn the_busiest_mailbox_is_found_page_by_page() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let mut boxes = Vec::new();
        for name in ["a", "b", "c"] {
            boxes.push(tenant.mailbox(store, name).await);
        }
        boxes.sort();
        let stranger = other.mailbox(store, "stranger").await;
        let day = NOON.day().number();
        let sent = [(boxes[0], 1, 900), (boxes[0], 3, 5), (boxes[1], 3, 7), (boxes[1], 2, 7), (boxes[2], 2, 6)];
        for (grant, days_ago, sent) in sent.into_iter().chain([(stranger, 2, 1_000)]) {
            store.run(Sent(grant, day - days_ago, sent)).await.expect("sent");
        }

        let (all, since) = (tenant.workspace, day - 3);
        let most = |grant, sent| Some((grant, sent));
        let expected = Busiest { mailbox: most(boxes[0], 900), looked_at: 3, last: None };
        assert_eq!(busiest(store, all, None, 10, since).await, expected, "not the stranger");
        let second = Busiest { mailbox: most(boxes[1], 7), looked_at: 1, last: Some(boxes[1]) };
        assert_eq!(busiest(store, all, Some(boxes[0]), 1, since).await, second);
        let rest = Busiest { mailbox: most(boxes[2], 6), looked_at: 1, last: None };
        assert_eq!(busiest(store, all, Some(boxes[1]), 2, since).await, rest);
        let quiet = Busiest { mailbox: None, looked_at: 3, last: None };
        assert_eq!(busiest(store, all, None, 10, day).await, quiet, "older days do not count");
        let nothing = Busiest::default();
        assert_eq!(busiest(store, WorkspaceId::from_uuid(fresh()), None, 10, since).await, nothing);

        let mut reader = store.reader().await.expect("reader");
        let since = UtcDay::from_number(since);
        let peak = peaks::of_mailbox(&mut reader, boxes[1], since).await.expect("peak");
        let latest = Peak { grant: boxes[1], day: UtcDay::from_number(day - 2), sent: 7 };
        assert_eq!(peak, Some(latest), "the latest of two");
        assert_eq!(peaks::of_mailbox(&mut reader, boxes[1], NOON.day()).await.expect("peak"), None);
    })
    .await;
}
