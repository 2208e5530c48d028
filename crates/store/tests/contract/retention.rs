//! Mail whose time is over: found where it is, removed whole and once, and its room given back.

use crate::support::{
    Engine, NOON, Tenant, all_events, at_once, fresh, listed, number, on_each_engine, placed, tenant,
};
use postfleet_core::event::Trigger;
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{AuditId, GrantId, MessageId, PolicyId, WorkspaceId};
use postfleet_core::policy::{LimitField, LimitsChange};
use postfleet_core::retention::Windows;
use postfleet_core::{Patch, UnixMicros, UtcDay};
use postfleet_store::db::DbError;
use postfleet_store::drafts::CreateDraft;
use postfleet_store::grants::PruneRemoved;
use postfleet_store::policies::{CreatePolicy, PolicyChange, PolicyOutcome, UpdatePolicy};
use postfleet_store::retention::{
    self, AfterJunk, Claim, ClaimMailboxes, PruneMailbox, PruneReport, Pruned, Removed, Span,
};
use postfleet_store::threads::{self, AfterThread};
use postfleet_store::{Command, Store, Tx, audit, folders, messages, meters, params, recount};
use std::collections::BTreeSet;
use std::time::Duration;

const DAY: u64 = 86_400;

/// So many days and seconds before noon.
fn ago(days: u64, seconds: u64) -> UnixMicros {
    NOON.minus(Duration::from_secs(days * DAY + seconds))
}

fn prune(grant: GrantId, limit: usize) -> PruneMailbox {
    PruneMailbox {
        grant_id: grant,
        limit,
        after: AfterJunk::START,
        event_seed: [7; 32],
        audit_id: AuditId::from_uuid(fresh()),
        now: NOON,
    }
}

/// Removes all that is due, `limit` at a time.
async fn prune_all(store: &Store, grant: GrantId, limit: usize) -> Pruned {
    let mut sum = Pruned::default();
    let mut next = Some(AfterJunk::START);
    while let Some(after) = next {
        let pruned = store.run(PruneMailbox { after, ..prune(grant, limit) }).await.expect("prune");
        for (sum, more) in [(&mut sum.inbox, pruned.inbox), (&mut sum.spam, pruned.spam)] {
            *sum = Removed { messages: sum.messages + more.messages, octets: sum.octets + more.octets };
        }
        assert!(pruned.inbox.messages + pruned.spam.messages <= limit as u64, "no more at once");
        next = pruned.next;
    }
    sum
}

/// Files a message that was taken at that time.
async fn file(store: &Store, tenant: &Tenant, grant: GrantId, folder: &'static str, date: UnixMicros) -> MessageId {
    let mut command = tenant.received(store, &[grant], date).await;
    command.facts.folder = folder;
    command.facts.outgoing = folder == "sent";
    let id = command.facts.thread.message_id.clone();
    command.facts.summary = serde_json::json!({"subject": "Hello", "message_id": id}).to_string();
    store.run(placed(command)).await.expect("deliver").expect("room")[0]
}

async fn ids(store: &Store, grant: GrantId, listing: &str) -> BTreeSet<MessageId> {
    listed(store, grant, listing).await.into_iter().map(|message| message.id).collect()
}

/// What the counters of a mailbox, its application and its organization say that is kept.
async fn kept(store: &Store, tenant: &Tenant, grant: GrantId) -> [u64; 3] {
    let mut reader = store.reader().await.expect("reader");
    let own = number(store, "SELECT storage_octets FROM mailboxes WHERE grant_id = $1", params![grant.uuid()]).await;
    let mut kept = [own as u64, 0, 0];
    for (place, owner) in [tenant.application.uuid(), tenant.organization.uuid()].into_iter().enumerate() {
        let month = NOON.day().month();
        kept[place + 1] = meters::of_owner(&mut reader, owner, month).await.expect("usage").stored;
    }
    kept
}

async fn is_drift_free(store: &Store, tenant: &Tenant) {
    let counted = recount::of_organization(store, tenant.organization, NOON).await.expect("recount").expect("there");
    assert_eq!(counted.drift, [], "counters");
}

fn days(inbox: Option<i64>, spam: Option<i64>) -> PolicyChange {
    let fields = [(LimitField::InboxRetentionDays, inbox), (LimitField::SpamRetentionDays, spam)];
    let numbers =
        fields.into_iter().filter_map(|(field, days)| Some((field, field.name(), Patch::Set(days?)))).collect();
    PolicyChange {
        name: Some("Policy".into()),
        limits: LimitsChange { numbers, ..LimitsChange::default() },
        ..PolicyChange::default()
    }
}

/// Gives the tenant's workspace a policy with these windows.
async fn policy(store: &Store, tenant: &Tenant, inbox: Option<i64>, spam: Option<i64>) -> PolicyId {
    let id = PolicyId::from_uuid(fresh());
    let command =
        CreatePolicy { act: tenant.act(NOON), id, application_id: tenant.application, change: days(inbox, spam) };
    assert!(matches!(store.run(command).await.expect("policy"), PolicyOutcome::Written(_)));
    store.run(Attach(tenant.workspace, id)).await.expect("attach");
    id
}

/// Puts a workspace under a policy.
struct Attach(WorkspaceId, PolicyId);

impl Command for Attach {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const ATTACH: &str = "UPDATE workspaces SET policy_id = $2 WHERE id = $1";
        tx.execute(ATTACH, params![self.0.uuid(), self.1.uuid()]).await
    }
}

/// Says since when a message is in junk, as moving it there does.
struct Junked(MessageId, UnixMicros);

impl Command for Junked {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const MOVE: &str = "UPDATE messages SET junked_at = $2 WHERE id = $1";
        tx.execute(MOVE, params![self.0.uuid(), self.1.as_micros()]).await
    }
}

#[tokio::test]
async fn each_folder_loses_what_is_older_than_its_window_and_nothing_else() {
    // On the plan `free` mail is kept for 30 days, and junk for 7.
    let cases: &[(&str, &'static str, u64, u64, bool)] = &[
        ("inbox, a second too old", "inbox", 30, 1, true),
        ("inbox, at the edge", "inbox", 30, 0, false),
        ("sent, too old", "sent", 31, 0, true),
        ("sent, young", "sent", 29, 0, false),
        ("archive, too old", "archive", 31, 0, true),
        ("trash, too old", "trash", 45, 0, true),
        ("trash, as old as old junk", "trash", 8, 0, false),
        ("junk, a second too old", "junk", 7, 1, true),
        ("junk, at the edge", "junk", 7, 0, false),
        ("junk, older than anything", "junk", 400, 0, true),
    ];
    on_each_engine(async |engine| {
        let store = &engine.store;
        for limit in [1, 3, 100] {
            let tenant = tenant(store, "free", None).await;
            let grant = tenant.mailbox(store, "a").await;
            let mut filed = Vec::new();
            for (_, folder, days, seconds, _) in cases {
                filed.push(file(store, &tenant, grant, folder, ago(*days, *seconds)).await);
            }
            let before = kept(store, &tenant, grant).await;
            let pruned = prune_all(store, grant, limit).await;
            let left = ids(store, grant, "").await;
            for ((name, folder, _, _, due), id) in cases.iter().zip(&filed) {
                assert_eq!(left.contains(id), !due, "{name}, {limit} at once");
                assert_eq!(ids(store, grant, folder).await.contains(id), !due, "{name}, in its folder");
            }
            assert_eq!(
                (pruned.inbox.messages, pruned.spam.messages),
                (5, 1),
                "one in junk was as old as any mail may be"
            );
            let octets = pruned.inbox.octets + pruned.spam.octets;
            assert_eq!(
                kept(store, &tenant, grant).await,
                before.map(|before| before - octets),
                "given back to all three"
            );
            is_drift_free(store, &tenant).await;
        }
        println!("cases: {}", cases.len() * 3);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_of_what_is_removed_and_others_keep_theirs() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        for number in 0..5 {
            let grants: &[GrantId] = if number == 0 { &[grant, other] } else { &[grant] };
            let mut command = tenant.received(store, grants, ago(31, number)).await;
            let id = command.facts.thread.message_id.clone().expect("id");
            command.facts.thread.correspondents = vec!["bob@elsewhere.example".into()];
            command.facts.summary = serde_json::json!({"subject": "Hello", "message_id": id,
                "from": [{"email": "bob@elsewhere.example"}]})
            .to_string();
            store.run(command).await.expect("deliver").expect("room");
        }
        let young = file(store, &tenant, other, "inbox", NOON).await;
        assert_eq!(prune_all(store, grant, 2).await.inbox.messages, 5);
        const LEFT: &str = "SELECT (SELECT count(*) FROM messages WHERE grant_id = $1) \
            + (SELECT count(*) FROM listings WHERE grant_id = $1) + (SELECT count(*) FROM threads WHERE grant_id = $1) \
            + (SELECT count(*) FROM thread_keys WHERE grant_id = $1)";
        assert_eq!(number(store, LEFT, params![grant.uuid()]).await, 0);
        let mut reader = store.reader().await.expect("reader");
        for count in folders::counts(&mut reader, grant).await.expect("counts") {
            assert_eq!((count.total, count.unread), (0, 0), "{}", count.folder);
        }
        // The other mailbox keeps its copy of the body that both had.
        assert_eq!(number(store, "SELECT count(*) FROM blobs WHERE copies = 1", &[]).await, 2);
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 2);
        assert_eq!(listed(store, other, "").await.len(), 2);
        assert_eq!(prune_all(store, other, 10).await.inbox.messages, 1, "until its own time is over");
        assert_eq!(ids(store, other, "").await, BTreeSet::from([young]));
        is_drift_free(store, &tenant).await;

        // What was removed can be asked for, until the mailbox is removed.
        let removal = tenant.removal(grant, NOON);
        assert!(store.run(removal).await.expect("remove"));
        while store.run(PruneRemoved { limit: 10 }).await.expect("prune") {}
        assert_eq!(number(store, "SELECT count(*) FROM pruned WHERE grant_id = $1", params![grant.uuid()]).await, 0);
        assert_eq!(store.run(prune(grant, 10)).await.expect("prune"), Pruned::default(), "of a mailbox that is gone");
    })
    .await;
}

#[tokio::test]
async fn each_removal_is_announced_once_in_order_and_reported() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut filed = Vec::new();
        for number in 0..12 {
            filed.push(file(store, &tenant, grant, "inbox", ago(40, 100 - number)).await);
        }
        let junk = file(store, &tenant, grant, "junk", ago(8, 0)).await;
        let began = all_events(store).await.last().map_or(0, |event| event.event.grant_sequence);
        // Several nodes at once: each message is removed by one of them.
        at_once(store, vec![prune(grant, 5); 8]).await;
        prune_all(store, grant, 5).await;
        let events: Vec<_> = all_events(store).await.into_iter().map(|event| event.event).collect();
        let told: Vec<_> = events.iter().filter(|event| event.trigger == Trigger::MessageDeleted).collect();
        let removed: Vec<_> = told.iter().map(|event| event.message_id.expect("message")).collect();
        assert_eq!(removed, [filed.clone(), vec![junk]].concat(), "the oldest first");
        let sequences: Vec<_> = told.iter().map(|event| event.grant_sequence).collect();
        assert_eq!(sequences, (began + 1..=began + 13).collect::<Vec<_>>(), "without gaps");
        assert_eq!(told.iter().map(|event| event.id).collect::<BTreeSet<_>>().len(), 13);

        let mut reader = store.reader().await.expect("reader");
        let days = retention::days(&mut reader, grant, 10).await.expect("report");
        assert_eq!(days.len(), 1);
        assert_eq!(days[0].windows, Windows { inbox_days: Some(30), spam_days: Some(7) });
        assert_eq!((days[0].inbox.messages, days[0].spam.messages, days[0].removed_at), (12, 1, NOON));
        let target = grant.to_string();
        let recorded = async || {
            const RECORDED: &str = "SELECT count(*) FROM audit WHERE action = 'grant.pruned' AND target_id = $1";
            number(store, RECORDED, params![target.as_str()]).await
        };
        assert_eq!(recorded().await, 1, "however many rounds it takes");
        file(store, &tenant, grant, "inbox", ago(40, 0)).await;
        let later = PruneMailbox { now: NOON.plus(Duration::from_secs(DAY)), ..prune(grant, 5) };
        store.run(later).await.expect("prune");
        assert_eq!(recorded().await, 1, "nor on how many days");
        policy(store, &tenant, Some(10), Some(5)).await;
        file(store, &tenant, grant, "inbox", ago(11, 0)).await;
        prune_all(store, grant, 5).await;
        assert_eq!(recorded().await, 2, "under other windows");
        let of = audit::Of::Application(tenant.application);
        let page = audit::Page { of, target_id: Some(&target), first: None, end: None, limit: 1 };
        let record = &audit::list(&mut reader, &page).await.expect("records")[0];
        assert_eq!(record.actor_kind, "system");
        assert_eq!(record.after.as_deref(), Some("{\"inbox_retention_days\":10,\"spam_retention_days\":5}"));

        let tomorrow = UtcDay::from_number(NOON.day().number() + 1);
        assert_eq!(store.run(PruneReport { before: tomorrow, limit: 10 }).await.expect("prune"), 1);
        assert_eq!(retention::days(&mut reader, grant, 10).await.expect("report").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn drafts_and_what_waits_are_never_removed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for folder in ["drafts", SCHEDULED] {
            let received = tenant.received(store, &[grant], ago(400, 0)).await;
            let mut facts = received.facts.clone();
            (facts.folder, facts.outgoing) = (folder, true);
            let (copy, thread_id) = (tenant.copy(grant), None);
            let blob = received.blob.clone();
            let draft = CreateDraft { blob, facts, copy, thread_id, starred: false, schedule: None, answer: None };
            store.run(draft).await.expect("draft");
        }
        assert_eq!(prune_all(store, grant, 10).await, Pruned::default());
        assert_eq!(number(store, "SELECT count(*) FROM messages WHERE draft = 1", &[]).await, 2);
    })
    .await;
}

#[tokio::test]
async fn what_is_moved_into_junk_is_kept_from_the_move_on_and_no_longer_than_other_mail() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        for limit in [1, 2, 100] {
            let tenant = tenant(store, "free", None).await;
            let grant = tenant.mailbox(store, "a").await;
            let mut expected = BTreeSet::new();
            for (name, age, moved, due) in [
                ("moved yesterday", 20, Some(1), false),
                ("moved yesterday, too", 19, Some(1), false),
                ("moved long ago", 20, Some(8), true),
                ("came there", 18, None, true),
                ("came there lately", 3, None, false),
                ("moved yesterday, as old as mail may be", 31, Some(1), true),
            ] {
                let id = file(store, &tenant, grant, "junk", ago(age, 0)).await;
                if let Some(days) = moved {
                    store.run(Junked(id, ago(days, 0))).await.expect(name);
                }
                if !due {
                    expected.insert(id);
                }
            }
            prune_all(store, grant, limit).await;
            assert_eq!(ids(store, grant, "junk").await, expected, "{limit} at once");
        }
    })
    .await;
}

#[tokio::test]
async fn windows_are_those_of_the_moment_and_no_row_says_when_a_mailbox_is_due() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let mut tenants = Vec::new();
        for days in 1..=8 {
            let tenant = tenant(store, "self_hosted", None).await;
            let policy = policy(store, &tenant, Some(days * 10), Some(5)).await;
            let grant = tenant.mailbox(store, "a").await;
            file(store, &tenant, grant, "inbox", ago(45, 0)).await;
            file(store, &tenant, grant, "inbox", NOON).await;
            tenants.push((tenant, policy, grant));
        }
        let found = async || due(store).await.into_iter().collect::<BTreeSet<_>>();
        let those = |range: std::ops::Range<usize>| tenants[range].iter().map(|one| one.2).collect::<BTreeSet<_>>();
        assert_eq!(found().await, those(0..4), "10 to 40 days; the others keep it");

        // Shortened: the command changes the policy and nothing else.
        let sequence = "SELECT CAST(sum(event_sequence) AS BIGINT) FROM mailboxes";
        let before = number(store, sequence, &[]).await;
        let (tenant, id, grant) = &tenants[7];
        let act = tenant.act(NOON);
        let change = PolicyChange { name: None, ..days(Some(44), None) };
        let shorten = UpdatePolicy { act, application_id: tenant.application, id: *id, change };
        assert!(matches!(store.run(shorten).await.expect("update"), PolicyOutcome::Written(_)));
        assert_eq!(number(store, sequence, &[]).await, before);
        assert!(found().await.contains(grant));

        // Found and then made longer: nothing is removed.
        let (tenant, id, grant) = &tenants[0];
        let change = PolicyChange { name: None, ..days(Some(90), None) };
        let lengthen = UpdatePolicy { act: tenant.act(NOON), application_id: tenant.application, id: *id, change };
        assert!(matches!(store.run(lengthen).await.expect("update"), PolicyOutcome::Written(_)));
        assert_eq!(prune_all(store, *grant, 10).await, Pruned::default());
        assert_eq!(prune_all(store, tenants[1].2, 10).await.inbox.messages, 1);
        assert_eq!(found().await, those(2..4).into_iter().chain(those(7..8)).collect::<BTreeSet<_>>());
    })
    .await;
}

/// All mailboxes of which something is due.
async fn due(store: &Store) -> Vec<GrantId> {
    let whole = Span { after: GrantId::from_uuid(uuid::Uuid::nil()), last: GrantId::from_uuid(uuid::Uuid::max()) };
    retention::due(&mut store.reader().await.expect("reader"), whole, NOON).await.expect("due")
}

#[tokio::test]
async fn nodes_share_one_way_through_all_mailboxes() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = BTreeSet::new();
        for number in 0..7 {
            grants.insert(tenant.mailbox(store, &format!("box{number}")).await);
        }
        let again = NOON.plus(Duration::from_secs(3_600));
        let claim = |now| ClaimMailboxes { now, again: again.max(now), limit: 3 };
        let mut after = GrantId::from_uuid(uuid::Uuid::nil());
        for expected in [3, 3, 1] {
            let Claim::Mailboxes(span) = store.run(claim(NOON)).await.expect("claim") else { panic!("nothing to do") };
            assert_eq!(span.after, after, "it goes on where somebody else stopped");
            let inside = grants.iter().filter(|grant| **grant > span.after && **grant <= span.last).count();
            assert_eq!(inside, expected);
            after = span.last;
        }
        assert_eq!(store.run(claim(NOON)).await.expect("claim"), Claim::NotBefore(again));
        let early = again.minus(Duration::from_secs(1));
        assert_eq!(store.run(claim(early)).await.expect("claim"), Claim::NotBefore(again));
        let Claim::Mailboxes(first) = store.run(claim(again)).await.expect("claim") else { panic!("not begun anew") };
        assert_eq!(first.after, GrantId::from_uuid(uuid::Uuid::nil()));
    })
    .await;
}

#[tokio::test]
async fn a_conversation_stands_by_the_messages_that_it_has_left() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let grant = tenant.mailbox(store, "a").await;
        // Received long ago, answered lately: what is left was sent.
        let mut first = tenant.received(store, &[grant], ago(40, 0)).await;
        first.facts.thread.message_id = Some("one@x".into());
        first.facts.summary = "{\"subject\":\"Hello\",\"message_id\":\"one@x\"}".into();
        store.run(first).await.expect("deliver").expect("room");
        let mut second = tenant.received(store, &[grant], ago(2, 0)).await;
        second.facts.thread.message_id = Some("two@x".into());
        second.facts.thread.in_reply_to = vec!["one@x".into()];
        (second.facts.outgoing, second.facts.folder) = (true, "sent");
        store.run(placed(second)).await.expect("deliver").expect("room");
        assert_eq!(prune_all(store, grant, 10).await.inbox.messages, 1);
        let mut reader = store.reader().await.expect("reader");
        let list = threads::list(&mut reader, grant, AfterThread::START, UnixMicros::from_micros(i64::MIN), 10)
            .await
            .expect("threads");
        let dates: Vec<_> =
            list.iter().map(|one| (one.earliest_date, one.received_date, one.sent_date, one.sort_date)).collect();
        assert_eq!(dates, [(ago(2, 0), None, Some(ago(2, 0)), ago(2, 0))]);

        // An answer to what is left finds it; one to what is gone begins anew.
        for (id, answers, joins) in [("three@x", "two@x", true), ("four@x", "one@x", false)] {
            let mut answer = tenant.received(store, &[grant], ago(1, 0)).await;
            answer.facts.thread.message_id = Some(id.into());
            answer.facts.thread.in_reply_to = vec![answers.into()];
            let filed = store.run(answer).await.expect("deliver").expect("room")[0];
            let found = messages::find(&mut reader, grant, filed).await.expect("find").expect("message");
            assert_eq!(found.thread_id == list[0].id, joins, "{answers}");
        }
    })
    .await;
}

/// Pages that are freed are used again: where as much is removed as comes in, the file stays as large as it is.
#[tokio::test]
async fn a_file_does_not_grow_where_as_much_is_removed_as_comes_in() {
    let engine = Engine::sqlite().await;
    let store = &engine.store;
    let tenant = tenant(store, "free", None).await;
    let grant = tenant.mailbox(store, "a").await;
    let mut pages = Vec::new();
    for round in 0..12 {
        for number in 0..300 {
            file(store, &tenant, grant, "inbox", ago(31, 1_000_000 - round * 1_000 - number)).await;
        }
        prune_all(store, grant, 100).await;
        // Events have a retention of their own, and there are none to keep here.
        store.run(crate::support::Statement("DELETE FROM events")).await.expect("events");
        store.run(crate::support::Statement("DELETE FROM transfers")).await.expect("transfers");
        pages.push(number(store, "SELECT page_count FROM pragma_page_count", &[]).await);
    }
    println!("pages: {pages:?}");
    // Trees that were emptied and filled again are balanced a page more or less.
    assert!(pages[11] <= pages[2] + pages[2] / 100, "{pages:?}");
}
