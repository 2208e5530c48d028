//! Sends that are held: who decides first decides, an approval is spent once, and what is drained never overruns a quota.

use crate::opt_ins::question;
use crate::support::{
    Engine, NOON, Tenant, all_events, at_once, daily_sends, fresh, number, on_each_engine, queue_rows, tenant, trip,
};
use crate::workspaces::update;
use postfleet_core::UnixMicros;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::hold::{APPROVAL_PATIENCE, HELD_MAX, OnQuota, Reason, State};
use postfleet_core::id::{AuditId, BlobId, EventId, GrantId, HoldId};
use postfleet_store::db::DbError;
use postfleet_store::drafts::FromDraft;
use postfleet_store::holds::{
    self, CancelHold, CancelOutcome, DecideHold, DecideOutcome, Decision, EndHold, Hold, NewHold, PostponeHolds,
    PruneHolds, Release, Told,
};
use postfleet_store::idempotency::{Content, Once};
use postfleet_store::messages::{MailboxCopy, MessageFacts};
use postfleet_store::meters;
use postfleet_store::opt_ins::{AskOptIn, AskOutcome, OptIn};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::workspaces::UpdateWorkspace;
use postfleet_store::{Command, Store, Tx, params};
use std::time::Duration;

const TOMORROW: UnixMicros = UnixMicros::from_micros(NOON.as_micros() + 86_400_000_000);

/// Writes as many holds like one as a mailbox may have.
struct Fill(HoldId);

impl Command for Fill {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const COPY: &str = "INSERT INTO holds (id, grant_id, application_id, organization_id, message_id, is_draft, \
            blob_id, reason, state, recipients, version, author_kind, author_id, expires_at, created_at) \
            SELECT $2, grant_id, application_id, organization_id, message_id, is_draft, blob_id, reason, state, \
            recipients, version, author_kind, author_id, expires_at, created_at FROM holds WHERE id = $1";
        for _ in 1..HELD_MAX {
            tx.execute(COPY, params![self.0.uuid(), fresh()]).await?;
        }
        Ok(())
    }
}

struct Case<'a> {
    store: &'a Store,
    tenant: Tenant,
    grant: GrantId,
}

fn told() -> Told {
    Told { audit_id: AuditId::from_uuid(fresh()), event_id: EventId::from_uuid(fresh()), request_id: String::new() }
}

impl<'a> Case<'a> {
    /// A mailbox with a daily quota in a workspace that wants something of what is over it.
    async fn new(engine: &'a Engine, daily: u64, on_quota: OnQuota) -> Self {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(daily)).await;
        let grant = tenant.mailbox(store, "a").await;
        let change = UpdateWorkspace { on_quota: Some(on_quota), ..update(&tenant, tenant.workspace) };
        store.run(change).await.expect("workspace");
        Self { store, tenant, grant }
    }

    /// A send that says how it is held.
    async fn send(&self, content: u8, date: UnixMicros) -> Submit {
        let command = self.tenant.submission(self.store, self.grant, 1, date).await;
        let waiting = MessageFacts { folder: "scheduled", unread: false, ..command.facts.clone() };
        let author = self.act("agent", date).actor;
        let hold = Some(NewHold { id: HoldId::from_uuid(fresh()), author, waiting, told: told(), trip: trip() });
        let content = Content { hash: [content; 32], window: Duration::from_secs(120), may_repeat: false };
        Submit { hold, once: Once { key: None, content: Some(content), pool: None }, ..command }
    }

    async fn held(&self, content: u8, date: UnixMicros) -> Hold {
        match self.store.run(self.send(content, date).await).await.expect("submit") {
            SubmitOutcome::Held(hold) => *hold,
            other => panic!("not held: {other:?}"),
        }
    }

    /// The release of a hold.
    async fn release(&self, hold: &Hold, date: UnixMicros) -> Submit {
        let command = self.tenant.submission(self.store, self.grant, 1, date).await;
        let copy = MailboxCopy { message_id: hold.message_id, ..command.copy };
        let release = Release { id: hold.id, told: told() };
        let from_draft = Some(FromDraft { seen: hold.blob_id, release: None, hold: Some(release) });
        Submit { copy, from_draft, ..command }
    }

    fn act(&self, key: &str, at: UnixMicros) -> Act {
        let actor = Actor { kind: ActorKind::ApiKey, id: key.to_owned(), name: key.to_owned() };
        Act { record_id: AuditId::from_uuid(fresh()), actor, ..self.tenant.act(at) }
    }

    async fn version(&self) -> String {
        let mut reader = self.store.reader().await.expect("reader");
        let found = holds::version_of(&mut reader, self.tenant.application, self.grant).await;
        found.expect("version").expect("mailbox")
    }

    async fn approval(&self, hold: &Hold, key: &str, at: UnixMicros) -> DecideHold {
        let version = self.version().await;
        let decision = Decision::Approve { seen: hold.blob_id, version, digest: [7; 32] };
        let event_id = EventId::from_uuid(fresh());
        DecideHold { act: self.act(key, at), hold: hold.clone(), decision, note: None, event_id }
    }

    async fn find(&self, id: HoldId) -> Hold {
        let mut reader = self.store.reader().await.expect("reader");
        holds::find(&mut reader, self.tenant.application, id).await.expect("find").expect("hold")
    }

    async fn records(&self, hold: &Hold) -> i64 {
        let id = hold.id.to_string();
        number(self.store, "SELECT count(*) FROM audit WHERE target_id = $1", params![&id]).await
    }

    async fn kept(&self) -> i64 {
        number(self.store, "SELECT count(*) FROM messages WHERE draft = 1", &[]).await
    }
}

fn accepted(outcomes: &[SubmitOutcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, SubmitOutcome::Accepted { .. })).count()
}

#[tokio::test]
async fn what_is_over_the_quota_is_refused_or_held_as_the_workspace_wants() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 0, OnQuota::Reject).await;
        let refused = case.store.run(case.send(1, NOON).await).await.expect("submit");
        assert!(matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "daily_quota_exceeded"));
        let wants = async |on_quota| {
            let change = UpdateWorkspace { on_quota: Some(on_quota), ..update(&case.tenant, case.tenant.workspace) };
            case.store.run(change).await.expect("workspace");
        };
        wants(OnQuota::Hold).await;
        let unsaid = Submit { hold: None, ..case.send(1, NOON).await };
        assert_eq!(case.store.run(unsaid).await.expect("submit"), SubmitOutcome::Unheld);
        assert_eq!(case.kept().await, 0, "nothing was done");
        let held = case.held(1, NOON).await;
        assert_eq!((held.reason, held.state), (Reason::Quota, State::Waiting));
        assert_eq!(case.held(1, NOON).await.id, held.id, "the same waits once");
        wants(OnQuota::Approve).await;
        assert_eq!(case.held(2, NOON).await.reason, Reason::Approval);
        assert_eq!((case.kept().await, case.records(&held).await), (2, 1));
        assert_eq!((queue_rows(case.store).await, daily_sends(case.store, case.grant, NOON).await), (0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_decide_at_once_one_does_and_the_approval_is_spent_once() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 1, OnQuota::Approve).await;
        case.tenant.submit(case.store, case.grant, 1, NOON).await;
        let hold = case.held(1, NOON).await;
        let own = case.store.run(case.approval(&hold, "agent", NOON).await).await.expect("decide");
        assert_eq!(own, DecideOutcome::Own);
        let stale = case.approval(&hold, "boss", NOON).await;
        let unseen =
            Decision::Approve { seen: BlobId::from_uuid(fresh()), version: case.version().await, digest: [7; 32] };
        let unseen = DecideHold { decision: unseen, ..stale.clone() };
        assert_eq!(case.store.run(unseen).await.expect("decide"), DecideOutcome::Changed);
        let older = Decision::Approve { seen: hold.blob_id, version: "other".into(), digest: [7; 32] };
        let older = DecideHold { decision: older, ..stale.clone() };
        assert_eq!(case.store.run(older).await.expect("decide"), DecideOutcome::Changed);
        let late = DecideHold { act: case.act("boss", NOON.plus(APPROVAL_PATIENCE)), ..stale };
        assert_eq!(case.store.run(late).await.expect("decide"), DecideOutcome::Over(State::Expired));

        let early = case.store.run(case.release(&hold, TOMORROW).await).await.expect("submit");
        assert_eq!(early, SubmitOutcome::Superseded, "nobody approved it");
        let mut commands = Vec::new();
        for key in ["boss", "chief", "other", "fourth"] {
            commands.push(case.approval(&hold, key, NOON).await);
            let reject = Decision::Reject("{}".into());
            commands.push(DecideHold { decision: reject, ..case.approval(&hold, key, NOON).await });
        }
        let outcomes = at_once(case.store, commands).await;
        let approved =
            outcomes.iter().filter(|one| matches!(one, DecideOutcome::Decided(hold) if hold.state == State::Approved));
        let rejected =
            outcomes.iter().filter(|one| matches!(one, DecideOutcome::Decided(hold) if hold.state == State::Rejected));
        // Whoever rejects takes an approval back that is not spent yet.
        assert!(approved.count() <= 1 && rejected.count() <= 1);

        let hold = case.held(2, NOON).await;
        let decided = case.store.run(case.approval(&hold, "boss", NOON).await).await.expect("decide");
        assert!(matches!(decided, DecideOutcome::Decided(_)), "{decided:?}");
        assert_eq!(case.find(hold.id).await.digest, Some([7; 32]));
        let over = case.store.run(case.release(&hold, NOON).await).await.expect("submit");
        assert!(matches!(&over, SubmitOutcome::Refused(problem) if problem.code == "daily_quota_exceeded"));
        assert_eq!(case.find(hold.id).await.state, State::Approved, "it waits for its quota");
        let mut commands = Vec::new();
        for _ in 0..16 {
            commands.push(case.release(&hold, TOMORROW).await);
        }
        assert_eq!(accepted(&at_once(case.store, commands).await), 1);
        assert_eq!(case.find(hold.id).await.state, State::Released);
        assert_eq!(daily_sends(case.store, case.grant, TOMORROW).await, 1);
        assert_eq!(case.records(&hold).await, 3, "made, approved, released");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approving_cancelling_and_expiring_exclude_each_other() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 0, OnQuota::Approve).await;
        for round in 0..8 {
            let hold = case.held(round, NOON).await;
            let approve = case.approval(&hold, "boss", NOON).await;
            let (id, event_id) = (hold.id, EventId::from_uuid(fresh()));
            let cancel = CancelHold { act: case.act("agent", NOON), grant_id: case.grant, id, event_id };
            let store = case.store.clone();
            let approving = tokio::spawn(async move { store.run_near(1, approve).await.expect("decide") });
            let cancelled = case.store.run_near(2, cancel.clone()).await.expect("cancel");
            approving.await.expect("task");
            assert_eq!(cancelled, CancelOutcome::Cancelled, "an approval that is not spent keeps nobody from it");
            assert_eq!(case.find(hold.id).await.state, State::Cancelled);
            let released = case.store.run(case.release(&hold, TOMORROW).await).await.expect("submit");
            assert_eq!(released, SubmitOutcome::Superseded);
            let again = CancelHold { act: case.act("agent", NOON), ..cancel };
            assert_eq!(case.store.run(again).await.expect("cancel"), CancelOutcome::Cancelled);
        }
        let hold = case.held(100, NOON).await;
        let end = EndHold {
            hold: hold.clone(),
            state: State::Expired,
            note: "late".into(),
            data: "{}".into(),
            told: told(),
            at: hold.expires_at.minus(Duration::from_micros(1)),
        };
        assert!(!case.store.run(end.clone()).await.expect("end"), "it is not late yet");
        assert!(case.store.run(EndHold { at: hold.expires_at, ..end }).await.expect("end"));
        let decided = case.store.run(case.approval(&hold, "boss", NOON).await).await.expect("decide");
        assert_eq!(decided, DecideOutcome::Over(State::Expired));
        assert_eq!((case.kept().await, queue_rows(case.store).await), (0, 0));
        assert_eq!(number(case.store, "SELECT count(*) FROM blobs", &[]).await, 0);
        let prune = PruneHolds { before: hold.expires_at.plus(Duration::from_secs(1)), limit: 100 };
        assert_eq!(case.store.run(prune).await.expect("prune"), 9);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_beside_many_senders_never_overruns_the_quota() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 10, OnQuota::Hold).await;
        let mut commands = Vec::new();
        for content in 0..32 {
            commands.push(case.send(content, NOON).await);
        }
        assert_eq!(accepted(&at_once(case.store, commands).await), 10);
        let waiting = {
            let mut reader = case.store.reader().await.expect("reader");
            holds::of_grant(&mut reader, case.grant, 100).await.expect("holds")
        };
        assert_eq!(waiting.len(), 22);
        let mut commands = Vec::new();
        for hold in &waiting {
            commands.push(case.release(hold, TOMORROW).await);
        }
        for content in 100..164 {
            commands.push(case.send(content, TOMORROW).await);
        }
        assert_eq!(accepted(&at_once(case.store, commands).await), 10);
        assert_eq!(daily_sends(case.store, case.grant, TOMORROW).await, 10);
        // What was not sent waits, each once.
        let open = number(case.store, "SELECT count(*) FROM holds WHERE closed_at IS NULL", &[]).await;
        assert_eq!(open, 22 + 64 - 10);
        let postpone =
            PostponeHolds { only: None, grant_id: case.grant, until: TOMORROW.plus(Duration::from_secs(60)) };
        case.store.run(postpone).await.expect("postpone");
        let mut reader = case.store.reader().await.expect("reader");
        assert_eq!(holds::due(&mut reader, TOMORROW, 10).await.expect("due"), []);
        assert_eq!(holds::next_due(&mut reader).await.expect("next"), Some(TOMORROW.plus(Duration::from_secs(60))));
    })
    .await;
}

#[tokio::test]
async fn so_many_sends_are_held_and_no_more() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 0, OnQuota::Hold).await;
        let hold = case.held(1, NOON).await;
        case.store.run(Fill(hold.id)).await.expect("fill");
        let refused = case.store.run(case.send(2, NOON).await).await.expect("submit");
        assert!(matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "too_many_holds"), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_held_is_stored_at_once_counted_when_it_leaves_and_crosses_the_quota() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 1, OnQuota::Hold).await;
        let used = async || {
            let mut reader = case.store.reader().await.expect("reader");
            let (owner, month) = (case.tenant.organization.uuid(), NOON.day().month());
            meters::of_owner(&mut reader, owner, month).await.expect("usage")
        };
        let kept = async || {
            let sum = number(case.store, "SELECT CAST(sum(octets) AS {int}) FROM messages", &[]).await;
            sum.unsigned_abs()
        };
        let crossed = async || {
            let events = all_events(case.store).await;
            events.iter().filter(|one| one.event.trigger == Trigger::QuotaExceeded).count()
        };
        case.tenant.submit(case.store, case.grant, 1, NOON).await;
        let before = used().await;
        assert_eq!((before.sent, crossed().await), (1, 0));
        let unsaid = Submit { hold: None, ..case.send(1, NOON).await };
        assert_eq!(case.store.run(unsaid).await.expect("submit"), SubmitOutcome::Unheld);
        assert_eq!(crossed().await, 0, "nothing was done");
        let hold = case.held(1, NOON).await;
        case.held(2, NOON).await;
        let waiting = used().await;
        assert_eq!((waiting.sent, waiting.octets_out), (before.sent, before.octets_out), "nothing has left");
        assert_eq!((waiting.stored, crossed().await), (kept().await, 1));

        let refused = case.store.run(case.release(&hold, NOON).await).await.expect("submit");
        assert!(matches!(&refused, SubmitOutcome::Refused(problem) if problem.code == "daily_quota_exceeded"));
        assert_eq!((used().await, crossed().await), (waiting, 1), "trying takes nothing and tells nothing");
        let counted = number(case.store, "SELECT count(*) FROM send_refusals", &[]).await;
        assert_eq!(counted, 0, "it was held, and not refused");
        let command = case.release(&hold, TOMORROW).await;
        let octets = command.blob.octets();
        assert_eq!(accepted(&[case.store.run(command).await.expect("submit")]), 1);
        let after = used().await;
        assert_eq!((after.sent, after.octets_out), (2, before.octets_out + octets));
        assert_eq!(after.stored, kept().await);
    })
    .await;
}

/// Rejected, too late: whoever was to be asked was not. One that leaves goes on waiting for its answer.
#[tokio::test]
async fn a_question_whose_mail_never_leaves_ends_with_it() {
    on_each_engine(async |engine| {
        let case = Case::new(engine, 0, OnQuota::Approve).await;
        let state = async |hold: &Hold| {
            const STATE: &str = "SELECT count(*) FROM opt_ins WHERE message_id = $1 AND state = 'not_sent'";
            number(case.store, STATE, params![hold.message_id.uuid()]).await
        };
        let asking = async |content: u8| {
            let hold = case.held(content, NOON).await;
            let email = format!("ada{content}@elsewhere.example");
            let opt_in = OptIn { message_id: hold.message_id, ..question(&case.tenant, case.grant, &email, NOON) };
            assert_eq!(case.store.run(AskOptIn { opt_in }).await.expect("ask"), AskOutcome::Kept);
            hold
        };
        let (rejected, late, waits) = (asking(1).await, asking(2).await, asking(3).await);
        let reject =
            DecideHold { decision: Decision::Reject("{}".into()), ..case.approval(&rejected, "boss", NOON).await };
        case.store.run(reject).await.expect("reject");
        let end = EndHold {
            hold: late.clone(),
            state: State::Expired,
            note: "late".into(),
            data: "{}".into(),
            told: told(),
            at: late.expires_at,
        };
        assert!(case.store.run(end).await.expect("end"));
        assert_eq!((state(&rejected).await, state(&late).await, state(&waits).await), (1, 1, 0));
        let events = all_events(case.store).await;
        assert_eq!(events.iter().filter(|one| one.event.trigger == Trigger::OptInNotSent).count(), 2);
        // Nobody was asked: they may be asked at once.
        let opt_in = question(&case.tenant, case.grant, "ada1@elsewhere.example", NOON);
        assert_eq!(case.store.run(AskOptIn { opt_in }).await.expect("ask"), AskOutcome::Kept);
    })
    .await;
}
