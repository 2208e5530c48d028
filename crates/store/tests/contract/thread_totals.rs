//! What a thread adds up to is what its messages and drafts are, whatever was done with them.

use crate::support::{NOON, Tenant, fresh, listed, number, on_each_engine, placed, tenant};
use postfleet_core::id::{AuditId, BlobId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::{Patch, UnixMicros};
use postfleet_store::db::DbError;
use postfleet_store::drafts::{CreateDraft, CreateOutcome, DeleteDraft, DraftOutcome, FromDraft, UpdateDraft};
use postfleet_store::messages::{MailboxCopy, MessageFacts, StoredMessage};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::policies::{CreatePolicy, PolicyChange, PolicyOutcome};
use postfleet_store::refile::{UpdateMessage, UpdateOutcome};
use postfleet_store::retention::{AfterJunk, PruneMailbox};
use postfleet_store::threads::{self, AfterThread, Recount, StoredThread, Totals};
use postfleet_store::{Command, Store, Tx, params};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAMS: u64 = 12;
const STEPS: u64 = 60;
const EVER: UnixMicros = UnixMicros::from_micros(i64::MIN);
const FOLDERS: [&str; 4] = ["inbox", "archive", "junk", "trash"];

/// Numbers that follow from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        if list.is_empty() { None } else { list.get(self.below(list.len())) }
    }
}

struct Case<'a> {
    store: &'a Store,
    tenant: &'a Tenant,
    grant: GrantId,
    dice: Dice,
    step: u64,
}

impl Case<'_> {
    fn now(&self) -> UnixMicros {
        NOON.plus(Duration::from_secs(self.step))
    }

    /// Sometimes what is filed is older than what is there, and sometimes so old that it is not kept.
    fn date(&mut self) -> UnixMicros {
        const DAY: u64 = 86_400;
        let late = [0, 0, 0, 3, 40 * DAY];
        self.now().minus(Duration::from_secs(late[self.dice.below(late.len())]))
    }

    fn summary(&mut self, message_id: Option<&str>) -> String {
        let dice = &mut self.dice;
        let mut people = |most: usize| -> Vec<Value> {
            let person = |number: usize| {
                let email = [format!("p{number}@x.test"), format!("P{number}@X.test")][number % 2].clone();
                json!({"email": email, "name": format!("P {number}")})
            };
            (0..dice.below(most + 1)).map(|_| person(dice.below(6))).collect()
        };
        let (from, to, cc) = (people(1), people(3), people(2));
        let files =
            if dice.below(4) == 0 { json!([{"index": 1, "content_type": "text/plain", "size": 1}]) } else { json!([]) };
        json!({"subject": "Hello", "message_id": message_id, "from": from, "to": to, "cc": cc, "attachments": files})
            .to_string()
    }

    async fn messages(&self) -> Vec<StoredMessage> {
        listed(self.store, self.grant, "").await
    }

    async fn drafts(&self) -> Vec<StoredMessage> {
        listed(self.store, self.grant, "drafts").await
    }

    /// The thread of a message that is there, or none.
    async fn thread(&mut self) -> Option<ThreadId> {
        let messages = self.messages().await;
        if self.dice.flag() { self.dice.one_of(&messages).map(|message| message.thread_id) } else { None }
    }

    async fn receive(&mut self) {
        let date = self.date();
        let mut command = self.tenant.received(self.store, &[self.grant], date).await;
        let answered = self.messages().await;
        if let Some(answered) = self.dice.one_of(&answered).filter(|_| !self.step.is_multiple_of(3)) {
            let summary: Value = serde_json::from_str(&answered.summary).expect("summary");
            let id = summary["message_id"].as_str().unwrap_or_default().to_owned();
            command.facts.thread.in_reply_to = vec![id];
        }
        let id = command.facts.thread.message_id.clone();
        command.facts.summary = self.summary(id.as_deref());
        command.facts.folder = FOLDERS[self.dice.below(3)];
        (command.facts.unread, command.facts.starred) = (self.dice.flag(), self.dice.flag());
        self.store.run(placed(command)).await.expect("deliver").expect("room");
    }

    async fn send(&mut self) {
        let thread_id = self.thread().await;
        let submission = self.tenant.submission(self.store, self.grant, 1, self.now()).await;
        let summary = self.summary(submission.facts.thread.message_id.as_deref());
        let facts = MessageFacts { summary, starred: self.dice.flag(), ..submission.facts };
        let outcome = self.store.run(Submit { thread_id, facts, ..submission }).await.expect("submit");
        assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
    }

    async fn draft(&mut self) {
        let thread_id = self.thread().await;
        let Submit { blob, facts, copy, .. } = self.tenant.submission(self.store, self.grant, 1, self.now()).await;
        // What only waits to be sent adds nothing.
        let folder = if self.dice.below(4) == 0 { "scheduled" } else { "drafts" };
        let summary = self.summary(None);
        let facts = MessageFacts { folder, summary, unread: self.dice.flag(), ..facts };
        let starred = self.dice.flag();
        let command = CreateDraft { blob, facts, copy, thread_id, starred, schedule: None, answer: None };
        let outcome = self.store.run(command).await.expect("create");
        assert!(matches!(outcome, CreateOutcome::Created(_)), "{outcome:?}");
    }

    async fn edit(&mut self) {
        let drafts = self.drafts().await;
        let Some(draft) = self.dice.one_of(&drafts) else { return };
        let thread_id = self.thread().await.unwrap_or(draft.thread_id);
        let Submit { blob, facts, copy, .. } = self.tenant.submission(self.store, self.grant, 1, self.now()).await;
        let summary = self.summary(None);
        let facts = MessageFacts { folder: "drafts", summary, unread: self.dice.flag(), ..facts };
        let copy = MailboxCopy { message_id: draft.id, ..copy };
        let starred = self.dice.flag();
        let seen = draft.blob_id;
        let command = UpdateDraft { copy, seen, blob, facts, thread_id, starred, send_at: None, by: None };
        assert_eq!(self.store.run(command).await.expect("update"), DraftOutcome::Done);
    }

    async fn finish_draft(&mut self) {
        let drafts = self.drafts().await;
        let Some(draft) = self.dice.one_of(&drafts) else { return };
        let at = self.now();
        if self.dice.flag() {
            let command = DeleteDraft {
                application_id: self.tenant.application,
                grant_id: self.grant,
                id: draft.id,
                event_id: EventId::from_uuid(fresh()),
                audit_id: AuditId::from_uuid(fresh()),
                at,
            };
            assert!(self.store.run(command).await.expect("delete"));
            return;
        }
        let submission = self.tenant.submission(self.store, self.grant, 1, at).await;
        let copy = MailboxCopy { message_id: draft.id, new_thread_id: draft.thread_id, ..submission.copy };
        let summary = self.summary(submission.facts.thread.message_id.as_deref());
        let facts = MessageFacts { summary, starred: draft.starred, ..submission.facts };
        let from_draft = Some(FromDraft { seen: draft.blob_id, release: None, hold: None });
        let thread_id = Some(draft.thread_id);
        let outcome =
            self.store.run(Submit { copy, facts, thread_id, from_draft, ..submission }).await.expect("submit");
        assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
    }

    async fn mark(&mut self) {
        let messages = self.messages().await;
        let Some(message) = self.dice.one_of(&messages) else { return };
        let first = FOLDERS[self.dice.below(4)].to_owned();
        let mut folders = vec![first];
        let second = FOLDERS[self.dice.below(4)].to_owned();
        if !folders.contains(&second) {
            folders.push(second);
        }
        let named = (self.tenant.application, self.grant, message.id);
        let (event_id, at) = (EventId::from_uuid(fresh()), self.now());
        let dice = &mut self.dice;
        let update = UpdateMessage {
            folders: dice.flag().then_some(folders),
            unread: dice.flag().then_some(dice.flag()),
            starred: dice.flag().then_some(dice.flag()),
            ..UpdateMessage::nothing(named, event_id, at)
        };
        assert_eq!(self.store.run(update).await.expect("update"), UpdateOutcome::Done);
    }

    async fn prune(&mut self) {
        let command = PruneMailbox {
            grant_id: self.grant,
            limit: 1 + self.dice.below(4),
            after: AfterJunk::START,
            event_seed: [self.step as u8; 32],
            audit_id: AuditId::from_uuid(fresh()),
            now: self.now(),
        };
        self.store.run(command).await.expect("prune");
    }

    async fn take_step(&mut self) {
        match self.dice.below(11) {
            0..3 => self.receive().await,
            3 => self.send().await,
            4 | 5 => self.draft().await,
            6 => self.edit().await,
            7 => self.finish_draft().await,
            8 | 9 => self.mark().await,
            _ => self.prune().await,
        }
    }
}

/// The threads of a mailbox, and what each should add up to.
async fn both(store: &Store, grant: GrantId) -> Vec<(StoredThread, Totals)> {
    let mut reader = store.reader().await.expect("reader");
    let stored = threads::list(&mut reader, grant, AfterThread::START, EVER, 1_000).await.expect("threads");
    let mut both = Vec::new();
    for thread in stored {
        let counted = store.run(Recount { grant_id: grant, thread: thread.id }).await.expect("recount");
        both.push((thread, counted));
    }
    both
}

/// The order in which people appeared is that in which their messages were filed, which a recount does not know.
fn comparable(totals: &Totals) -> Totals {
    let mut totals = totals.clone();
    for one in &mut totals.participants {
        one.email = one.email.to_lowercase();
    }
    totals.participants.sort_by(|one, two| one.email.cmp(&two.email));
    totals
}

/// Removes mail after thirty days.
async fn keep_for_thirty_days(store: &Store, tenant: &Tenant) {
    use postfleet_core::policy::{LimitField, LimitsChange};
    // Junk is not kept for longer than other mail.
    let days = [(LimitField::InboxRetentionDays, 30), (LimitField::SpamRetentionDays, 7)];
    let numbers = days.into_iter().map(|(field, days)| (field, field.name(), Patch::Set(days))).collect();
    let limits = LimitsChange { numbers, ..LimitsChange::default() };
    let change = PolicyChange { name: Some("Policy".into()), limits, ..PolicyChange::default() };
    let id = postfleet_core::id::PolicyId::from_uuid(fresh());
    let command = CreatePolicy { act: tenant.act(NOON), id, application_id: tenant.application, change };
    assert!(matches!(store.run(command).await.expect("policy"), PolicyOutcome::Written(_)));
    store
        .run(Sql("UPDATE workspaces SET policy_id = $1 WHERE id = $2", [id.uuid(), tenant.workspace.uuid()]))
        .await
        .expect("attach");
}

struct Sql(&'static str, [uuid::Uuid; 2]);

impl Command for Sql {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute(self.0, params![self.1[0], self.1[1]]).await
    }
}

#[tokio::test]
async fn threads_add_up_to_their_messages_after_random_programs() {
    const SEEN: &str = "SELECT count(DISTINCT thread_id) FROM messages WHERE grant_id = $1 \
        AND (draft = 0 OR folders <> '[\"scheduled\"]')";
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        keep_for_thirty_days(store, &tenant).await;
        let (mut compared, mut longest) = (0, 0);
        for program in 1..=PROGRAMS {
            let grant = tenant.mailbox(store, &format!("box{program}")).await;
            let mut case = Case { store, tenant: &tenant, grant, dice: Dice(program * 0x9E37_79B9), step: 0 };
            for step in 1..=STEPS {
                case.step = step;
                case.take_step().await;
                if step % 10 > 0 {
                    continue;
                }
                let both = both(store, grant).await;
                assert_eq!(both.len() as i64, number(store, SEEN, params![grant.uuid()]).await, "{program}.{step}");
                for (thread, counted) in &both {
                    assert_eq!(comparable(&thread.totals), comparable(counted), "program {program}, step {step}");
                    compared += 1;
                    longest = longest.max(counted.messages);
                }
            }
        }
        println!("{compared} threads compared, the longest of {longest} messages");
        assert!(compared > 300 && longest > 4, "{compared} {longest}");
    })
    .await;
}

/// The control: a column that is wrong is noticed.
#[tokio::test]
async fn a_thread_that_is_counted_wrong_is_noticed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.deliver(store, grant, NOON).await;
        for wrong in [
            "UPDATE threads SET unread_count = unread_count + 1 WHERE grant_id = $1 AND id <> $2",
            "UPDATE threads SET latest_id = $2 WHERE grant_id = $1",
            "UPDATE threads SET folders = '{\"inbox\":2}' WHERE grant_id = $1 AND id <> $2",
        ] {
            let before = both(store, grant).await.remove(0);
            store.run(Sql(wrong, [grant.uuid(), BlobId::from_uuid(fresh()).uuid()])).await.expect("spoiled");
            let after = both(store, grant).await.remove(0);
            assert_eq!(before.1, after.1);
            assert_ne!(comparable(&before.0.totals), comparable(&after.0.totals), "{wrong}");
        }
        assert_eq!(before_of(store, grant).await, Some(id));
    })
    .await;
}

/// The latest message of the only thread, as a recount has it.
async fn before_of(store: &Store, grant: GrantId) -> Option<MessageId> {
    both(store, grant).await.remove(0).1.latest.map(|(_, id)| id)
}
