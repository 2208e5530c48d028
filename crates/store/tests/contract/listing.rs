//! Listings: newest first, and every entry exactly once when paged through, also among equal dates.

use crate::support::{Tenant, at, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_store::messages::{self, After, Page, StoredMessage};
use postfleet_store::threads::{self, AfterThread};
use postfleet_store::{Reader, Store};

const MESSAGES: u64 = 57;
const PAGE: usize = 7;
const EVER: UnixMicros = UnixMicros::from_micros(0);

/// A mailbox whose messages come five to a date, with those of another mailbox in between.
async fn filled(store: &Store, tenant: &Tenant) -> (GrantId, Vec<(UnixMicros, MessageId)>) {
    let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
    let mut filed = Vec::new();
    for number in 0..MESSAGES {
        // Scattered, so that neither ids nor insertion follow the dates.
        let date = at(number * 31 % MESSAGES / 5);
        filed.push((date, tenant.deliver(store, grant, date).await));
        tenant.deliver(store, other, date).await;
    }
    filed.sort_by(|one, two| two.cmp(one));
    (grant, filed)
}

async fn paged(
    page: &mut Page<'_>,
    next: impl AsyncFn(&Page<'_>) -> Vec<StoredMessage>,
) -> Vec<(UnixMicros, MessageId)> {
    let mut listed = Vec::new();
    loop {
        let messages = next(page).await;
        assert!(messages.len() <= page.limit);
        let Some(last) = messages.last() else { return listed };
        page.after = After { date: last.date, id: last.id };
        listed.extend(messages.iter().map(|message| (message.date, message.id)));
    }
}

async fn reader(store: &Store) -> Reader<'_> {
    store.reader().await.expect("reader")
}

#[tokio::test]
async fn messages_are_paged_through_exactly_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, filed) = filled(store, &tenant).await;
        for folder in ["", "inbox"] {
            let start = Page { grant_id: grant, folder, after: After::START, newer_than: EVER, limit: PAGE };
            let without = async |page: &Page<'_>| {
                messages::list_page_without_bodies(&mut reader(store).await, page).await.expect("page")
            };
            assert_eq!(paged(&mut start.clone(), without).await, filed, "folder {folder:?}");
            let with = async |page: &Page<'_>| {
                let rows = messages::list_page(&mut reader(store).await, page).await.expect("page");
                rows.into_iter().map(|(message, _)| message).collect()
            };
            assert_eq!(paged(&mut start.clone(), with).await, filed, "folder {folder:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_listing_ends_before_the_date_asked_for() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, filed) = filled(store, &tenant).await;
        let mut page = Page { grant_id: grant, folder: "", after: After::START, newer_than: at(4), limit: PAGE };
        let next = async |page: &Page<'_>| {
            messages::list_page_without_bodies(&mut reader(store).await, page).await.expect("page")
        };
        let newer: Vec<_> = filed.iter().copied().filter(|(date, _)| *date > at(4)).collect();
        assert_eq!(paged(&mut page, next).await, newer);
    })
    .await;
}

#[tokio::test]
async fn bodies_come_with_the_page() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        tenant.deliver(store, grant, at(1)).await;
        let page = Page { grant_id: grant, folder: "inbox", after: After::START, newer_than: EVER, limit: PAGE };
        let rows = messages::list_page(&mut reader(store).await, &page).await.expect("page");
        let body = store.blobs().load(&rows[0].1).await.expect("body");
        assert_eq!(body.len() as u64, rows[0].0.octets);
    })
    .await;
}

#[tokio::test]
async fn messages_are_read_by_their_ids_whatever_mailbox_they_are_in() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (one, two) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let mut expected = Vec::new();
        for (number, grant) in (0..).zip([one, two, one]) {
            let command = tenant.received(store, &[grant], at(number)).await;
            expected.push((command.copies[0].copy.message_id, grant));
            store.run(command).await.expect("deliver").expect("room");
        }
        let ids: Vec<MessageId> = expected.iter().map(|(id, _)| *id).chain([MessageId::first_at(at(9))]).collect();
        let rows = messages::anywhere_with_bodies(&mut reader(store).await, &ids).await.expect("rows");
        for (message, body) in &rows {
            assert_eq!(store.blobs().load(body).await.expect("body").len() as u64, message.octets);
        }
        let alone = messages::anywhere(&mut reader(store).await, &ids).await.expect("rows");
        expected.sort_unstable();
        for read in [rows.into_iter().map(|(message, _)| message).collect(), alone] {
            let mut found: Vec<_> = read.iter().map(|message| (message.id, message.grant_id)).collect();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
        assert!(messages::anywhere(&mut reader(store).await, &[]).await.expect("none").is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_messages_of_a_thread_are_paged_through_exactly_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let (mut filed, mut thread) = (Vec::new(), None);
        for number in 0..20 {
            let mut command = tenant.received(store, &[grant], at(number * 7 % 20 / 3)).await;
            command.facts.thread.in_reply_to = vec!["root@x".into()];
            if number == 0 {
                command.facts.thread.message_id = Some("root@x".into());
                thread = Some(command.copies[0].copy.new_thread_id);
            }
            filed.push((command.facts.date, command.copies[0].copy.message_id));
            store.run(command).await.expect("deliver").expect("room");
        }
        filed.sort_by(|one, two| two.cmp(one));
        let thread: ThreadId = thread.expect("thread");
        let mut page = Page { grant_id: grant, folder: "", after: After::START, newer_than: EVER, limit: 3 };
        let next =
            async |page: &Page<'_>| messages::list_thread(&mut reader(store).await, thread, page).await.expect("page");
        assert_eq!(paged(&mut page, next).await, filed);
        let ids: Vec<MessageId> = filed.iter().map(|(_, id)| *id).collect();
        let rows = messages::named_with_bodies(&mut reader(store).await, grant, &ids).await.expect("rows");
        for (message, body) in &rows {
            assert_eq!(store.blobs().load(body).await.expect("body").len() as u64, message.octets);
        }
        assert_eq!(rows.len(), ids.len());
        let other = tenant.mailbox(store, "b").await;
        let page = Page { grant_id: other, folder: "", after: After::START, newer_than: EVER, limit: 3 };
        assert!(next(&page).await.is_empty(), "a thread of another mailbox");
    })
    .await;
}

#[tokio::test]
async fn threads_are_paged_through_exactly_once_with_their_messages() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, filed) = filled(store, &tenant).await;
        let (mut after, mut listed, mut members) = (AfterThread::START, Vec::new(), Vec::new());
        loop {
            let page = threads::list(&mut reader(store).await, grant, after, EVER, PAGE).await.expect("page");
            for thread in &page {
                let ids = threads::ids(&mut reader(store).await, thread.id, 2).await.expect("ids");
                members.extend(ids.into_iter().map(|(id, is_draft)| (thread.sort_date, id, is_draft)));
            }
            let Some(last) = page.last() else { break };
            after = AfterThread { sort_date: last.sort_date, id: last.id };
            listed.extend(page.iter().map(|thread| (thread.sort_date, thread.id)));
        }
        assert_eq!(listed.len() as u64, MESSAGES);
        assert!(listed.windows(2).all(|pair| pair[0] > pair[1]), "latest first, without repeats");
        members.sort_by(|one, two| two.cmp(one));
        let filed: Vec<_> = filed.into_iter().map(|(date, id)| (date, id, false)).collect();
        assert_eq!(members, filed);
    })
    .await;
}
