//! Drafts and sends at a later time: a draft is sent once, by whoever comes first, and never otherwise than it was read.

use crate::support::{
    Engine, NOON, Tenant, all_events, at, at_once, daily_sends, fresh, listed, number, on_each_engine, queue_rows,
    tenant,
};
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, BlobId, EventId, GrantId, MessageId, ScheduleId, ThreadId};
use postfleet_core::schedule::PENDING_MAX;
use postfleet_store::drafts::{CreateDraft, CreateOutcome, DeleteDraft, DraftOutcome, FromDraft, UpdateDraft};
use postfleet_store::messages::{MailboxCopy, MessageFacts, StoredMessage};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::schedules::{
    self, CancelOutcome, CancelSchedule, FailSchedule, NewSchedule, PostponeSchedule, PruneSchedules, Release,
    Schedule, ScheduleDraft, ScheduleOutcome, Status,
};
use postfleet_store::{Store, messages, params};

/// A mailbox whose drafts these are.
struct Case<'a> {
    store: &'a Store,
    tenant: Tenant,
    grant: GrantId,
}

impl<'a> Case<'a> {
    async fn new(engine: &'a Engine, daily: Option<u64>) -> Self {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", daily).await;
        let grant = tenant.mailbox(store, "a").await;
        Self { store, tenant, grant }
    }

    /// What a draft is, changed at a time, in a folder.
    async fn draft(&self, folder: &'static str, date: UnixMicros) -> CreateDraft {
        let Submit { blob, facts, copy, .. } = self.tenant.submission(self.store, self.grant, 1, date).await;
        let facts = MessageFacts { folder, ..facts };
        CreateDraft { blob, facts, copy, thread_id: None, starred: false, schedule: None, answer: None }
    }

    async fn made(&self, command: CreateDraft) -> StoredMessage {
        let id = command.copy.message_id;
        let outcome = self.store.run(command).await.expect("create");
        assert!(matches!(outcome, CreateOutcome::Created(_)), "{outcome:?}");
        self.find(id).await.expect("draft")
    }

    async fn find(&self, id: MessageId) -> Option<StoredMessage> {
        messages::find(&mut self.store.reader().await.expect("reader"), self.grant, id).await.expect("find")
    }

    /// A message that waits until `send_at`.
    async fn waiting(&self, use_draft: bool, send_at: UnixMicros) -> (StoredMessage, ScheduleId) {
        let schedule = new_schedule(use_draft, send_at);
        let draft = self.draft(if use_draft { "drafts" } else { "scheduled" }, NOON).await;
        (self.made(CreateDraft { schedule: Some(schedule), ..draft }).await, schedule.id)
    }

    async fn schedule(&self, id: ScheduleId) -> Schedule {
        let mut reader = self.store.reader().await.expect("reader");
        schedules::find(&mut reader, self.grant, id).await.expect("find").expect("schedule")
    }

    /// The command that sends a draft as it was read.
    async fn sending(&self, draft: &StoredMessage, release: Option<Release>, now: UnixMicros) -> Submit {
        let submission = self.tenant.submission(self.store, self.grant, 1, now).await;
        let new_thread_id = draft.thread_id;
        let copy = MailboxCopy { message_id: draft.id, new_thread_id, ..submission.copy };
        let from_draft = Some(FromDraft { seen: draft.blob_id, release, hold: None });
        Submit { copy, thread_id: Some(draft.thread_id), from_draft, ..submission }
    }

    async fn edit(&self, draft: &StoredMessage, send_at: Option<UnixMicros>, date: UnixMicros) -> UpdateDraft {
        let CreateDraft { blob, facts, copy, .. } = self.draft("drafts", date).await;
        let copy = MailboxCopy { message_id: draft.id, ..copy };
        let (seen, thread_id) = (draft.blob_id, draft.thread_id);
        UpdateDraft { copy, seen, blob, facts, thread_id, starred: true, send_at, by: None }
    }

    async fn octets(&self) -> i64 {
        number(self.store, "SELECT storage_octets FROM mailboxes WHERE grant_id = $1", params![self.grant.uuid()]).await
    }

    async fn count(&self, folder: &str) -> i64 {
        const COUNT: &str = "SELECT total FROM folder_counts WHERE grant_id = $1 AND folder = $2";
        number(self.store, COUNT, params![self.grant.uuid(), folder]).await
    }

    async fn threads(&self) -> i64 {
        number(self.store, "SELECT count(*) FROM threads", &[]).await
    }

    async fn triggers(&self) -> Vec<Trigger> {
        all_events(self.store).await.into_iter().skip(1).map(|event| event.event.trigger).collect()
    }
}

fn new_schedule(use_draft: bool, send_at: UnixMicros) -> NewSchedule {
    NewSchedule { id: ScheduleId::from_uuid(fresh()), send_at, use_draft, by: None }
}

fn release(id: ScheduleId) -> Option<Release> {
    Some(Release { id, data: "{}".into(), event_id: EventId::from_uuid(fresh()), is_burst: false })
}

fn accepted(outcomes: &[SubmitOutcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, SubmitOutcome::Accepted { .. })).count()
}

#[tokio::test]
async fn a_draft_is_in_its_folder_alone_until_it_is_sent_and_then_in_sent() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, Some(1)).await;
        let draft = case.made(case.draft("drafts", NOON).await).await;
        assert!(draft.draft && draft.outgoing && draft.folders == ["drafts"]);
        assert_eq!((listed(case.store, case.grant, "").await.len(), case.count("drafts").await), (0, 1));
        assert_eq!((case.octets().await, case.threads().await), (draft.octets as i64, 1));

        let sending = case.sending(&draft, None, at(5)).await;
        assert_eq!(accepted(&[case.store.run(sending).await.expect("submit")]), 1);
        let sent = case.find(draft.id).await.expect("the sent copy has the same id");
        assert!(!sent.draft && sent.folders == ["sent"] && sent.thread_id == draft.thread_id);
        assert_eq!(listed(case.store, case.grant, "").await.len(), 1);
        assert!(listed(case.store, case.grant, "drafts").await.is_empty());
        assert_eq!((case.count("drafts").await, case.count("sent").await, case.threads().await), (0, 1, 1));
        assert_eq!(case.octets().await, sent.octets as i64);
        assert_eq!(number(case.store, "SELECT count(*) FROM blobs", &[]).await, 1, "the draft's body is let go");
        const SENT_DATE: &str = "SELECT sent_date - earliest_date FROM threads";
        assert_eq!(number(case.store, SENT_DATE, &[]).await, 0, "the conversation begins when it is sent");
        let told = [Trigger::DraftCreated, Trigger::MessageCreated, Trigger::QuotaReached];
        assert_eq!(case.triggers().await, told);

        // A refused one stays as it is.
        let draft = case.made(case.draft("drafts", at(6)).await).await;
        let refused = case.store.run(case.sending(&draft, None, at(7)).await).await.expect("submit");
        assert!(matches!(refused, SubmitOutcome::Refused(problem) if problem.code == "daily_quota_exceeded"));
        let kept = case.find(draft.id).await.expect("draft");
        assert_eq!((kept.draft, kept.blob_id, kept.date), (true, draft.blob_id, draft.date));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_send_a_draft_one_does() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let draft = case.made(case.draft("drafts", NOON).await).await;
        let mut commands = Vec::new();
        for _ in 0..16 {
            commands.push(case.sending(&draft, None, at(1)).await);
        }
        let outcomes = at_once(case.store, commands).await;
        assert_eq!(accepted(&outcomes), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == SubmitOutcome::Superseded).count(), 15);
        assert_eq!((queue_rows(case.store).await, daily_sends(case.store, case.grant, NOON).await), (1, 1));
        assert_eq!(listed(case.store, case.grant, "sent").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_draft_that_was_changed_meanwhile_is_read_again() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let draft = case.made(case.draft("drafts", NOON).await).await;
        let (first, second) = (case.edit(&draft, None, at(1)).await, case.edit(&draft, None, at(2)).await);
        assert_eq!(case.store.run(first.clone()).await.expect("edit"), DraftOutcome::Done);
        assert_eq!(case.store.run(second).await.expect("edit"), DraftOutcome::Changed);
        let sending = case.sending(&draft, None, at(3)).await;
        assert_eq!(case.store.run(sending).await.expect("submit"), SubmitOutcome::Superseded);
        let edited = case.find(draft.id).await.expect("draft");
        assert_eq!((edited.blob_id, edited.date, edited.starred), (first.blob.id(), at(1), true));
        let in_folder = listed(case.store, case.grant, "drafts").await;
        assert_eq!(in_folder.iter().map(|draft| draft.date).collect::<Vec<_>>(), [at(1)], "it has one place");
        assert_eq!((case.octets().await, case.count("drafts").await), (edited.octets as i64, 1));
        assert_eq!(case.triggers().await, [Trigger::DraftCreated, Trigger::DraftUpdated]);

        let delete = DeleteDraft {
            application_id: case.tenant.application,
            grant_id: case.grant,
            id: draft.id,
            event_id: EventId::from_uuid(crate::support::fresh()),
            audit_id: AuditId::from_uuid(crate::support::fresh()),
            at: at(4),
        };
        assert!(case.store.run(delete).await.expect("delete"));
        assert!(!case.store.run(delete).await.expect("delete"), "gone already");
        let told = [Trigger::DraftCreated, Trigger::DraftUpdated, Trigger::DraftDeleted];
        assert_eq!(case.triggers().await, told, "its end is told once");
        assert_eq!(case.store.run(first).await.expect("edit"), DraftOutcome::Gone);
        assert_eq!((case.octets().await, case.count("drafts").await, case.threads().await), (0, 0, 0));
        assert_eq!(number(case.store, "SELECT count(*) FROM blobs", &[]).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_draft_joins_a_conversation_and_leaves_it_again() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        case.tenant.deliver(case.store, case.grant, NOON).await;
        let thread = listed(case.store, case.grant, "inbox").await[0].thread_id;
        let fresh = case.draft("drafts", at(1)).await;
        let reply = case.made(CreateDraft { thread_id: Some(thread), ..fresh }).await;
        assert_eq!((reply.thread_id, case.threads().await), (thread, 1));
        const PLACE: &str = "SELECT sort_date FROM threads";
        assert_eq!(number(case.store, PLACE, &[]).await, NOON.as_micros(), "a draft moves no conversation");
        let elsewhere = ThreadId::from_uuid(crate::support::fresh());
        let moved = UpdateDraft { thread_id: elsewhere, ..case.edit(&reply, None, at(2)).await };
        assert_eq!(case.store.run(moved).await.expect("edit"), DraftOutcome::Done);
        assert_eq!(case.threads().await, 2);
        case.store
            .run(DeleteDraft {
                application_id: case.tenant.application,
                grant_id: case.grant,
                id: reply.id,
                event_id: EventId::from_uuid(crate::support::fresh()),
                audit_id: AuditId::from_uuid(crate::support::fresh()),
                at: at(3),
            })
            .await
            .expect("delete");
        assert_eq!(case.threads().await, 1, "a conversation of nothing is none");
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_released_once_at_its_time_and_not_before() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        for use_draft in [false, true] {
            let (message, id) = case.waiting(use_draft, at(100)).await;
            assert_eq!(case.count("drafts").await, i64::from(use_draft));
            let mut reader = case.store.reader().await.expect("reader");
            assert!(schedules::due(&mut reader, at(99), 10).await.expect("due").is_empty());
            assert_eq!(schedules::next_due(&mut reader).await.expect("due"), Some(at(100)));
            assert_eq!(schedules::due(&mut reader, at(100), 10).await.expect("due")[0].id, id);
            drop(reader);
            let early = case.sending(&message, release(id), at(99)).await;
            assert_eq!(case.store.run(early).await.expect("submit"), SubmitOutcome::Superseded);
            assert_eq!(case.schedule(id).await.status, Status::Pending);

            let releasing = case.sending(&message, release(id), at(100)).await;
            let again = Submit { ..releasing.clone() };
            assert_eq!(accepted(&[case.store.run(releasing).await.expect("submit")]), 1);
            let done = case.schedule(id).await;
            assert_eq!((done.status, done.closed_at), (Status::Success, Some(at(100))));
            assert_eq!(case.store.run(again).await.expect("submit"), SubmitOutcome::Superseded, "released twice");
            assert_eq!(case.find(message.id).await.expect("message").folders, ["sent"]);
            assert_eq!(case.triggers().await.last(), Some(&Trigger::MessageSendSuccess));
        }
        assert_eq!((queue_rows(case.store).await, daily_sends(case.store, case.grant, NOON).await), (2, 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_nodes_that_release_one_does() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let (message, id) = case.waiting(false, at(100)).await;
        let mut commands = Vec::new();
        for _ in 0..16 {
            commands.push(case.sending(&message, release(id), at(100)).await);
        }
        assert_eq!(accepted(&at_once(case.store, commands).await), 1);
        assert_eq!(queue_rows(case.store).await, 1);
        let told = case.triggers().await.into_iter().filter(|one| *one == Trigger::MessageSendSuccess).count();
        assert_eq!(told, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_is_not_sent_and_what_is_sent_is_not_cancelled() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let mut cancelled = 0;
        for _ in 0..8 {
            let (message, id) = case.waiting(false, at(100)).await;
            // A node whose clock is behind cancels while another one releases.
            let cancel = CancelSchedule { grant_id: case.grant, id, at: at(90) };
            let (sending, store) = (case.sending(&message, release(id), at(100)).await, case.store.clone());
            let releasing = tokio::spawn(async move { store.run_near(1, sending).await.expect("submit") });
            let outcome = case.store.run_near(2, cancel).await.expect("cancel");
            let sent = accepted(&[releasing.await.expect("task")]);
            let is_cancelled = outcome == CancelOutcome::Cancelled;
            assert_eq!(sent + usize::from(is_cancelled), 1, "{outcome:?}");
            assert_eq!(case.schedule(id).await.status == Status::Cancelled, is_cancelled);
            cancelled += i64::from(is_cancelled);
        }
        assert_eq!(queue_rows(case.store).await, 8 - cancelled);
        assert_eq!(number(case.store, "SELECT count(*) FROM messages WHERE draft = 1", &[]).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_send_is_cancelled_until_its_last_seconds() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let (message, id) = case.waiting(false, at(100)).await;
        let cancel = |now| CancelSchedule { grant_id: case.grant, id, at: now };
        let run = async |command| case.store.run(command).await.expect("cancel");
        assert_eq!(run(cancel(at(91))).await, CancelOutcome::TooLate);
        let stranger = case.tenant.mailbox(case.store, "b").await;
        assert_eq!(run(CancelSchedule { grant_id: stranger, ..cancel(NOON) }).await, CancelOutcome::Unknown);
        assert_eq!(run(cancel(at(90))).await, CancelOutcome::Cancelled);
        assert_eq!(run(cancel(at(200))).await, CancelOutcome::Cancelled, "it is cancelled already");
        assert!(case.find(message.id).await.is_none(), "what only waited is gone");
        assert_eq!((case.octets().await, case.threads().await), (0, 0));
        assert_eq!(number(case.store, "SELECT count(*) FROM blobs", &[]).await, 0);

        let (draft, id) = case.waiting(true, at(100)).await;
        assert_eq!(run(CancelSchedule { grant_id: case.grant, id, at: NOON }).await, CancelOutcome::Cancelled);
        assert!(case.find(draft.id).await.expect("a draft stays").draft);
        let releasing = case.sending(&draft, release(id), at(100)).await;
        assert_eq!(case.store.run(releasing).await.expect("submit"), SubmitOutcome::Superseded);
    })
    .await;
}

#[tokio::test]
async fn the_schedule_of_a_draft_follows_it() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let draft = case.made(case.draft("drafts", NOON).await).await;
        let copy = MailboxCopy { message_id: draft.id, ..case.tenant.copy(case.grant) };
        let schedule = new_schedule(true, at(100));
        let command = ScheduleDraft { copy, seen: draft.blob_id, schedule, answer: None, at: NOON };
        let run = async |command| case.store.run(command).await.expect("schedule");
        let stale = ScheduleDraft { seen: BlobId::from_uuid(fresh()), ..command.clone() };
        assert_eq!(run(stale).await, ScheduleOutcome::Superseded);
        assert_eq!(run(command.clone()).await, ScheduleOutcome::Scheduled);
        assert_eq!(run(command.clone()).await, ScheduleOutcome::Already(schedule.id));

        let later = case.edit(&draft, Some(at(200)), at(1)).await;
        assert_eq!(case.store.run(later).await.expect("edit"), DraftOutcome::Done);
        assert_eq!(case.schedule(schedule.id).await.send_at, at(200));
        let draft = case.find(draft.id).await.expect("draft");
        let early = case.sending(&draft, release(schedule.id), at(100)).await;
        assert_eq!(case.store.run(early).await.expect("submit"), SubmitOutcome::Superseded);
        let never = case.edit(&draft, None, at(2)).await;
        assert_eq!(case.store.run(never).await.expect("edit"), DraftOutcome::Done);
        assert_eq!(case.schedule(schedule.id).await.status, Status::Cancelled);

        // Removed, or sent by hand: in either case it is not sent later.
        for sends in [false, true] {
            let (draft, id) = case.waiting(true, at(100)).await;
            if sends {
                let sending = case.sending(&draft, None, at(3)).await;
                assert_eq!(accepted(&[case.store.run(sending).await.expect("submit")]), 1);
            } else {
                let delete = DeleteDraft {
                    application_id: case.tenant.application,
                    grant_id: case.grant,
                    id: draft.id,
                    event_id: EventId::from_uuid(crate::support::fresh()),
                    audit_id: AuditId::from_uuid(crate::support::fresh()),
                    at: at(3),
                };
                assert!(case.store.run(delete).await.expect("delete"));
            }
            assert_eq!(case.schedule(id).await.status, Status::Cancelled);
        }
    })
    .await;
}

#[tokio::test]
async fn a_release_that_fails_is_told_once_and_one_that_is_tried_again_is_due_later() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        for use_draft in [false, true] {
            let (message, id) = case.waiting(use_draft, at(100)).await;
            case.store.run(PostponeSchedule { id, due_at: at(130) }).await.expect("postpone");
            let mut reader = case.store.reader().await.expect("reader");
            assert!(schedules::due(&mut reader, at(129), 10).await.expect("due").is_empty());
            drop(reader);
            let fail = FailSchedule {
                schedule: case.schedule(id).await,
                reason: "blocked".into(),
                data: "{\"reason\":\"blocked\"}".into(),
                event_id: EventId::from_uuid(fresh()),
                at: at(130),
            };
            assert!(case.store.run(fail.clone()).await.expect("fail"));
            assert!(!case.store.run(fail).await.expect("fail"), "told already");
            let failed = case.schedule(id).await;
            assert_eq!((failed.status, failed.reason.as_deref()), (Status::Failed, Some("blocked")));
            assert_eq!(case.find(message.id).await.is_some(), use_draft, "only a draft stays");
            let releasing = case.sending(&message, release(id), at(131)).await;
            assert_eq!(case.store.run(releasing).await.expect("submit"), SubmitOutcome::Superseded);
        }
        let failed = all_events(case.store).await.into_iter().map(|event| event.event);
        let failed: Vec<_> = failed.filter(|event| event.trigger == Trigger::MessageSendFailed).collect();
        assert_eq!(failed.len(), 2);
        assert_eq!(failed[0].data, "{\"reason\":\"blocked\"}");
    })
    .await;
}

#[tokio::test]
async fn so_many_may_wait_and_what_is_over_is_forgotten() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        let (first, id) = case.waiting(true, at(100)).await;
        let mut others = Vec::new();
        for _ in 1..PENDING_MAX {
            let draft = case.draft("drafts", NOON).await;
            others.push(CreateDraft { schedule: Some(new_schedule(true, at(100))), ..draft });
        }
        let outcomes = at_once(case.store, others).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, CreateOutcome::Created(_))));
        let one_more = CreateDraft { schedule: Some(new_schedule(true, at(100))), ..case.draft("drafts", NOON).await };
        let refused = at_once(case.store, vec![one_more.clone(), one_more.clone()]).await;
        assert_eq!(refused, [CreateOutcome::TooManySchedules, CreateOutcome::TooManySchedules]);
        assert!(case.find(one_more.copy.message_id).await.is_none());
        assert_eq!(case.count("drafts").await, PENDING_MAX as i64);
        case.store
            .run(DeleteDraft {
                application_id: case.tenant.application,
                grant_id: case.grant,
                id: first.id,
                event_id: EventId::from_uuid(crate::support::fresh()),
                audit_id: AuditId::from_uuid(crate::support::fresh()),
                at: at(1),
            })
            .await
            .expect("delete");
        assert!(matches!(case.store.run(one_more).await.expect("create"), CreateOutcome::Created(_)));

        let prune = |before| PruneSchedules { before, limit: 10 };
        assert_eq!(case.store.run(prune(at(1))).await.expect("prune"), 0);
        assert_eq!(case.schedule(id).await.status, Status::Cancelled);
        assert_eq!(case.store.run(prune(at(2))).await.expect("prune"), 1);
        let mut reader = case.store.reader().await.expect("reader");
        assert_eq!(schedules::find(&mut reader, case.grant, id).await.expect("find"), None);
        let newest = schedules::list(&mut reader, case.grant, None, 2).await.expect("list");
        let next = schedules::list(&mut reader, case.grant, Some(newest[1].id), 2).await.expect("list");
        assert!(newest[0].id > newest[1].id && newest[1].id > next[0].id);
    })
    .await;
}

#[tokio::test]
async fn with_a_mailbox_go_its_drafts_and_what_waits() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, None).await;
        case.made(case.draft("drafts", NOON).await).await;
        let (message, id) = case.waiting(false, at(100)).await;
        let left = case.schedule(id).await;
        case.store.run(case.tenant.removal(case.grant, at(1))).await.expect("remove");
        let releasing = case.sending(&message, release(id), at(100)).await;
        assert_eq!(case.store.run(releasing).await.expect("submit"), SubmitOutcome::NoSuchGrant);
        let new = case.draft("drafts", at(2)).await;
        assert_eq!(case.store.run(new).await.expect("create"), CreateOutcome::NoSuchGrant);
        while case.store.run(postfleet_store::grants::PruneRemoved { limit: 1 }).await.expect("prune") {}
        const LEFT: &str = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM blobs) \
            + (SELECT count(*) FROM listings) + (SELECT count(*) FROM schedules) + (SELECT count(*) FROM threads)";
        assert_eq!(number(case.store, LEFT, &[]).await, 0);
        let (reason, data) = (String::new(), "{}".to_owned());
        let event_id = EventId::from_uuid(fresh());
        let fail = FailSchedule { schedule: left, reason, data, event_id, at: at(3) };
        assert!(!case.store.run(fail).await.expect("fail"), "nobody is left to be told");
    })
    .await;
}
