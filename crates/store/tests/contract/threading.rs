//! Which conversation a message joins: by reference, by subject, and never across mailboxes.

use crate::support::{Tenant, at, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, ThreadId};
use postfleet_core::threading::SUBJECT_WINDOW;
use postfleet_store::threads::{self, ThreadHints};
use postfleet_store::{Store, messages};

const BOB: &str = "bob@elsewhere.example";
const EVE: &str = "eve@elsewhere.example";

struct Mailbox<'a> {
    store: &'a Store,
    tenant: &'a Tenant,
    grant: GrantId,
}

impl Mailbox<'_> {
    /// Files a received message and tells its thread.
    async fn receive(&self, date: UnixMicros, thread: ThreadHints) -> ThreadId {
        let mut command = self.tenant.received(self.store, &[self.grant], date).await;
        command.facts.thread = thread;
        let id = self.store.run(command).await.expect("deliver").expect("room")[0];
        let mut reader = self.store.reader().await.expect("reader");
        messages::find(&mut reader, self.grant, id).await.expect("find").expect("message").thread_id
    }
}

fn message(id: &str, subject: &str, from: &str) -> ThreadHints {
    ThreadHints {
        message_id: Some(id.into()),
        subject: subject.into(),
        correspondents: vec![from.into()],
        ..ThreadHints::default()
    }
}

fn answer(id: &str, in_reply_to: &[&str], references: &[&str]) -> ThreadHints {
    let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    ThreadHints { in_reply_to: list(in_reply_to), references: list(references), ..message(id, "Re: Other", EVE) }
}

#[tokio::test]
async fn references_join_whatever_the_subject() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let grant = tenant.mailbox(&engine.store, "a").await;
        let mailbox = Mailbox { store: &engine.store, tenant: &tenant, grant };
        let first = mailbox.receive(at(1), message("one@x", "Invoice", BOB)).await;
        let other = mailbox.receive(at(2), message("two@x", "Holidays", BOB)).await;
        assert_ne!(first, other);
        assert_eq!(mailbox.receive(at(3), answer("three@x", &["one@x"], &[])).await, first);
        assert_eq!(mailbox.receive(at(4), answer("four@x", &[], &["one@x", "three@x"])).await, first);
        // In-Reply-To says more than References, and the last reference more than the first.
        assert_eq!(mailbox.receive(at(5), answer("five@x", &["two@x"], &["one@x"])).await, other);
        assert_eq!(mailbox.receive(at(6), answer("six@x", &[], &["one@x", "two@x"])).await, other);
        // References to nothing known start a thread; the subject is not asked.
        let lost = ThreadHints { subject: "Re: Invoice".into(), ..answer("seven@x", &["gone@x"], &[]) };
        assert!(![first, other].contains(&mailbox.receive(at(7), lost).await));
    })
    .await;
}

#[tokio::test]
async fn threads_are_found_by_a_message_id_in_their_own_mailbox_only() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let grant = tenant.mailbox(&engine.store, "a").await;
        let other = tenant.mailbox(&engine.store, "b").await;
        let mailbox = Mailbox { store: &engine.store, tenant: &tenant, grant };
        let first = mailbox.receive(at(1), message("one@x", "Invoice", BOB)).await;
        let second = mailbox.receive(at(2), message("two@x", "Holidays", BOB)).await;
        assert_eq!(mailbox.receive(at(3), answer("three@x", &["one@x"], &[])).await, first);
        // The same message once more, elsewhere.
        assert_eq!(mailbox.receive(at(4), answer("three@x", &["two@x"], &[])).await, second);
        let mut reader = engine.store.reader().await.expect("reader");
        let mut found =
            async |grant, id: &str| threads::with_message_id(&mut reader, grant, id).await.expect("threads");
        assert_eq!(found(grant, "one@x").await, [first]);
        let both = found(grant, "three@x").await;
        assert!(both.len() == 2 && both.contains(&first) && both.contains(&second), "{both:?}");
        assert_eq!(found(grant, "nobody@x").await, []);
        assert_eq!(found(other, "one@x").await, []);
    })
    .await;
}

#[tokio::test]
async fn a_marked_subject_joins_only_with_the_same_correspondent_and_in_time() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let grant = tenant.mailbox(&engine.store, "a").await;
        let mailbox = Mailbox { store: &engine.store, tenant: &tenant, grant };
        let first = mailbox.receive(at(1), message("one@x", "Invoice", BOB)).await;
        assert_eq!(mailbox.receive(at(2), message("two@x", "RE: invoice", BOB)).await, first);
        assert_ne!(mailbox.receive(at(2), message("three@x", "Invoice", BOB)).await, first, "not marked");
        assert_ne!(mailbox.receive(at(3), message("four@x", "Re: Invoice", EVE)).await, first, "not hers");
        let late = at(2).plus(SUBJECT_WINDOW).plus(std::time::Duration::from_secs(60));
        assert_ne!(mailbox.receive(late, message("five@x", "Re: Invoice", BOB)).await, first, "too late");
    })
    .await;
}

#[tokio::test]
async fn threads_stay_within_their_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (one, two) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let mine = Mailbox { store, tenant: &tenant, grant: one };
        let theirs = Mailbox { store, tenant: &tenant, grant: two };
        let first = mine.receive(at(1), message("one@x", "Invoice", BOB)).await;
        assert_ne!(theirs.receive(at(2), answer("two@x", &["one@x"], &[])).await, first);
        assert_ne!(theirs.receive(at(3), message("three@x", "Re: Invoice", BOB)).await, first);

        // A thread named by the caller is looked for in the sender's own mailbox only.
        let mut command = tenant.submission(store, two, 1, at(4)).await;
        command.thread_id = Some(first);
        let (id, new) = (command.copy.message_id, command.copy.new_thread_id);
        store.run(command).await.expect("submit");
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(messages::find(&mut reader, two, id).await.expect("find").expect("message").thread_id, new);
        assert!(threads::find_thread(&mut reader, two, first).await.expect("find").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_thread_remembers_its_earliest_and_latest_dates() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mailbox = Mailbox { store, tenant: &tenant, grant };
        let thread = mailbox.receive(at(10), message("one@x", "Invoice", BOB)).await;
        let dates = async || {
            let mut reader = store.reader().await.expect("reader");
            let found = threads::find_thread(&mut reader, grant, thread).await.expect("find").expect("thread");
            (found.earliest_date, found.received_date, found.sent_date, found.sort_date)
        };
        // Nodes file messages in another order than they took them.
        mailbox.receive(at(30), answer("two@x", &["one@x"], &[])).await;
        mailbox.receive(at(20), answer("three@x", &["one@x"], &[])).await;
        assert_eq!(dates().await, (at(10), Some(at(30)), None, at(30)));
        mailbox.receive(at(5), answer("four@x", &["one@x"], &[])).await;
        assert_eq!(dates().await, (at(5), Some(at(30)), None, at(30)));

        // What was sent does not move a thread in which something was received.
        let mut command = tenant.submission(store, grant, 1, at(40)).await;
        command.thread_id = Some(thread);
        store.run(command).await.expect("submit");
        assert_eq!(dates().await, (at(5), Some(at(30)), Some(at(40)), at(30)));
    })
    .await;
}

#[tokio::test]
async fn a_thread_of_sent_messages_moves_with_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut first = tenant.submission(store, grant, 1, at(10)).await;
        first.facts.thread.message_id = Some("one@x".into());
        let thread = first.copy.new_thread_id;
        store.run(first).await.expect("submit");
        let mut second = tenant.submission(store, grant, 1, at(20)).await;
        second.facts.thread.in_reply_to = vec!["one@x".into()];
        store.run(second).await.expect("submit");
        let mut reader = store.reader().await.expect("reader");
        let found = threads::find_thread(&mut reader, grant, thread).await.expect("find").expect("thread");
        assert_eq!((found.received_date, found.sent_date, found.sort_date), (None, Some(at(20)), at(20)));
    })
    .await;
}

/// Programs that write words, dates or addresses where Message-IDs belong: the answer is found by its subject, for whom it
/// was exchanged with, and only for a while.
#[tokio::test]
async fn answers_of_broken_programs_find_their_conversation() {
    on_each_engine(async |engine| {
        let tenant = tenant(&engine.store, "self_hosted", None).await;
        let grant = tenant.mailbox(&engine.store, "a").await;
        let mailbox = Mailbox { store: &engine.store, tenant: &tenant, grant };
        let first = mailbox.receive(at(1), message("One.ABC@Host.X", "Invoice of March", BOB)).await;
        let broken = |id: &str, subject: &str, from: &str, in_reply_to: &[&str]| ThreadHints {
            correspondents: vec![from.to_owned()],
            subject: subject.to_owned(),
            ..answer(id, in_reply_to, &[])
        };
        for (number, (case, subject, from, in_reply_to, joins)) in [
            ("no reference", "Re: Invoice of March", BOB, &[][..], true),
            ("a word", "Re: Invoice of March", BOB, &["Friday"], true),
            ("an address", "Re: Invoice of March", BOB, &[BOB], true),
            ("half an id", "Re: Invoice of March", BOB, &["one.abc@"], true),
            ("another case", "Other", EVE, &["one.abc@host.x"], true),
            ("an id among words", "Other", EVE, &["Friday", "your", "One.ABC@Host.X"], true),
            ("in Chinese", "回复：Invoice of March", BOB, &["Friday"], true),
            ("counted", "RE[4]: Invoice of March", BOB, &["Friday"], true),
            ("somebody else", "Re: Invoice of March", EVE, &["Friday"], false),
            ("another subject", "Re: Invoice of May", BOB, &["Friday"], false),
            ("no answer", "Invoice of March", BOB, &["Friday"], false),
            ("another conversation", "Re: Invoice of March", BOB, &["gone@x"], false),
        ]
        .into_iter()
        .enumerate()
        {
            // Each in a mailbox of its own, so that none changes what the next finds.
            let grant = tenant.mailbox(&engine.store, &format!("m{number}")).await;
            let mailbox = Mailbox { grant, ..mailbox };
            let first = mailbox.receive(at(1), message("One.ABC@Host.X", "Invoice of March", BOB)).await;
            let hints = broken(&format!("{number}@x"), subject, from, in_reply_to);
            assert_eq!(mailbox.receive(at(2), hints).await == first, joins, "{case}");
        }
        let late = at(2).plus(SUBJECT_WINDOW);
        let old = mailbox.receive(late, broken("late@x", "Re: Invoice of March", BOB, &["Friday"])).await;
        assert_ne!(old, first, "too old");
    })
    .await;
}
