//! Readings: how many mailboxes there were when a month ended and at most, and how much they kept.

use crate::support::{NOON, fresh, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use postfleet_store::readings::{self, Statement, TakeReadings};
use postfleet_store::{Store, params};

async fn statement(store: &Store, tenant: &crate::support::Tenant, at: UnixMicros, now: UnixMicros) -> Statement {
    let mut reader = store.reader().await.expect("reader");
    let found = readings::statement(&mut reader, tenant.organization, at.day().month(), now).await.expect("statement");
    found.expect("organization")
}

#[tokio::test]
async fn mailboxes_are_read_at_the_end_of_a_month_however_late_that_happens() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let second = NOON.day().month().end();
        let third = second.day().month().end();
        let make = async |at: UnixMicros| {
            let mut command = tenant.create(&format!("box{}", fresh().simple()));
            command.act.at = at;
            store.run(command.clone()).await.expect("grant");
            command.grant.id
        };
        let remove = async |grant: GrantId, at| assert!(store.run(tenant.removal(grant, at)).await.expect("removal"));
        let accounts = async |at: UnixMicros, now: UnixMicros| {
            let reading = statement(store, &tenant, at, now).await.organization.reading;
            reading.map(|reading| (reading.accounts, reading.accounts_peak))
        };
        // First month: three, of which two stay.
        let (first, other, gone) = (make(NOON).await, make(NOON).await, make(NOON).await);
        assert_eq!(accounts(NOON, NOON).await, Some((3, Some(3))));
        remove(gone, NOON).await;
        assert_eq!(accounts(NOON, NOON).await, Some((2, Some(3))));
        tenant.deliver(store, first, NOON).await;
        // Second month: one goes before the readings of the first are taken.
        remove(other, second).await;
        assert_eq!(accounts(second, second).await, Some((1, Some(2))));
        assert_eq!(accounts(NOON, second).await, Some((2, Some(3))));
        assert!(store.run(TakeReadings { now: second }).await.expect("read"));
        assert!(!store.run(TakeReadings { now: second }).await.expect("read"));
        make(second).await;
        for now in [second, third] {
            assert_eq!(accounts(NOON, now).await, Some((2, Some(3))));
            assert_eq!(accounts(second, now).await, Some((2, Some(2))));
        }
        // Third month: nothing changes. Of the second nothing was read, but it is only just over.
        assert!(store.run(TakeReadings { now: third }).await.expect("read"));
        let found = statement(store, &tenant, second, third).await;
        assert!(found.organization.is_final && found.applications[0].used.is_final);
        const KEPT: &str = "SELECT stored FROM usage WHERE owner_id = $1 AND month = 0";
        let kept = number(store, KEPT, params![tenant.organization.uuid()]).await;
        assert_eq!(found.organization.reading.map(|reading| reading.stored as i64), Some(kept));
        let application = found.applications[0].used.reading.expect("reading");
        assert_eq!((application.accounts, application.stored as i64, application.accounts_peak), (2, kept, None));
        assert_eq!(accounts(third, third).await, Some((2, Some(2))));
    })
    .await;
}

#[tokio::test]
async fn who_was_not_there_has_no_reading() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        tenant.mailbox(store, "a").await;
        assert!(store.run(TakeReadings { now: NOON }).await.expect("read"));
        assert_eq!(number(store, "SELECT count(*) FROM readings", &[]).await, 0);
        let before = NOON.day().month().first_day().start().minus(std::time::Duration::from_secs(1));
        let found = statement(store, &tenant, before, NOON).await;
        assert_eq!((found.organization.reading, found.applications.len()), (None, 0));
    })
    .await;
}
