//! Random sequences of commands, run by the store and by the model, must come to the same.
//!
//! Every outcome is compared when it comes back, and in the end everything that is stored. Models with an error on
//! purpose show that the comparison notices.

use crate::model::{Model, Plant, event_line, usage_line};
use crate::support::{Engine, NOON, Tenant, bounced, claim, fresh, listed, record, report, tenant};
use crate::workspaces;
use postfleet_core::UnixMicros;
use postfleet_core::delivery::{AfterAttempt, Reason};
use postfleet_core::id::{GrantId, LeaseId, MessageId};
use postfleet_store::db::{DbError, Row};
use postfleet_store::grants::{GrantOutcome, PruneRemoved};
use postfleet_store::moves::AssignOutcome;
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::queue::{Claimed, ReleaseLeases};
use postfleet_store::threads::ThreadHints;
use postfleet_store::{Command, Store, StoreError, Tx, events, recount};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::collections::BTreeSet;
use std::time::Duration;

const COMMANDS_MAX: usize = 40;
const ADDRESSES: usize = 4;
const GRANTS_MAX: usize = 3;
const DAILY_SENDS_MAX: u64 = 3;
/// Sends a day of the plan `free`.
const PLAN_SENDS_MAX: u64 = 200;
const SUBJECTS: [&str; 4] = ["Invoice", "Re: Invoice", "Re: Re: invoice", "Re: x"];

/// One step of a program. Numbers choose among what there is at that moment.
#[derive(Clone, Debug)]
enum Step {
    Create { address: usize },
    Remove { address: usize },
    Move { address: usize, into: bool },
    Prune { limit: usize },
    Deliver { addresses: BTreeSet<usize>, about: About },
    Submit { address: usize, recipients: usize, about: About },
    Claim { node: usize, limit: usize },
    Release { node: usize },
    Record { claim: usize, first: usize, results: Vec<usize> },
    Wait { seconds: u64 },
}

/// How a message relates to earlier ones.
#[derive(Clone, Debug)]
struct About {
    subject: usize,
    correspondent: usize,
    answers: Option<usize>,
    refers: bool,
    /// Seconds by which it is filed late.
    late: u64,
}

fn about() -> impl Strategy<Value = About> {
    (0..SUBJECTS.len(), 0..2_usize, prop::option::of(0..20_usize), any::<bool>(), 0..3_u64).prop_map(
        |(subject, correspondent, answers, refers, late)| About { subject, correspondent, answers, refers, late },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let address = 0..ADDRESSES;
    let results = prop::collection::vec(0..7_usize, 3);
    prop_oneof![
        3 => address.clone().prop_map(|address| Step::Create { address }),
        1 => address.clone().prop_map(|address| Step::Remove { address }),
        2 => (address.clone(), any::<bool>()).prop_map(|(address, into)| Step::Move { address, into }),
        1 => (1..4_usize).prop_map(|limit| Step::Prune { limit }),
        5 => (prop::collection::btree_set(address.clone(), 1..=3), about())
            .prop_map(|(addresses, about)| Step::Deliver { addresses, about }),
        6 => (address, 1..=3_usize, about())
            .prop_map(|(address, recipients, about)| Step::Submit { address, recipients, about }),
        5 => (0..2_usize, 1..6_usize).prop_map(|(node, limit)| Step::Claim { node, limit }),
        1 => (0..2_usize).prop_map(|node| Step::Release { node }),
        6 => (0..4_usize, 0..4_usize, results)
            .prop_map(|(claim, first, results)| Step::Record { claim, first, results }),
        2 => prop_oneof![Just(1), Just(61), Just(86_400)].prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    // Most programs would do nothing without a mailbox to begin with.
    prop::collection::vec(step(), 1..COMMANDS_MAX).prop_map(|mut steps| {
        steps.splice(0..0, [Step::Create { address: 0 }, Step::Create { address: 1 }]);
        steps
    })
}

/// A program on its way through both.
struct Run<'a> {
    store: &'a Store,
    model: Model,
    tenant: Tenant,
    now: UnixMicros,
    grants: Vec<GrantId>,
    sent_ids: Vec<String>,
    threads: Vec<postfleet_core::id::ThreadId>,
    claims: Vec<(LeaseId, Vec<Claimed>)>,
}

type Compared = Result<(), String>;

fn same(what: &str, store: &str, model: &str) -> Compared {
    (store == model).then_some(()).ok_or_else(|| format!("{what}: the store says {store}, the model {model}"))
}

fn failed(error: StoreError) -> String {
    format!("the store failed: {error}")
}

/// Runs a program on a store that holds nothing.
async fn compare(store: &Store, program: &[Step], plant: Option<Plant>) -> Compared {
    store.run(Wipe).await.map_err(failed)?;
    let tenant = tenant(store, "unhurried", Some(DAILY_SENDS_MAX)).await;
    // An address without a mailbox stands for one that was never made.
    let grants = (0..ADDRESSES).map(|_| GrantId::from_uuid(fresh())).collect();
    let model = Model::new(GRANTS_MAX, DAILY_SENDS_MAX, PLAN_SENDS_MAX, plant);
    let (sent_ids, threads, claims) = (Vec::new(), Vec::new(), Vec::new());
    let mut run = Run { store, model, tenant, now: NOON, grants, sent_ids, threads, claims };
    for step in program {
        run.step(step).await?;
    }
    let found = recount::of_organization(store, run.tenant.organization, run.now).await.map_err(failed)?;
    let drift = found.map(|found| found.drift);
    same("the recount", &format!("{drift:?}"), "Some([])")?;
    let (stored, expected) = (run.picture().await.map_err(failed)?, run.model.picture());
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    let (surplus, missing) = (only(&stored, &expected), only(&expected, &stored));
    match surplus.is_empty() && missing.is_empty() {
        true => Ok(()),
        false => Err(format!("only the store has {surplus:#?}\nonly the model has {missing:#?}")),
    }
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Compared {
        match step {
            Step::Create { address } => self.create(*address).await,
            Step::Remove { address } => self.remove(*address).await,
            Step::Move { address, into } => self.assign(*address, *into).await,
            Step::Prune { limit } => self.prune(*limit).await,
            Step::Deliver { addresses, about } => self.deliver(addresses, about).await,
            Step::Submit { address, recipients, about } => self.submit(*address, *recipients, about).await,
            Step::Claim { node, limit } => self.claim(*node, *limit).await,
            Step::Release { node } => self.release(*node).await,
            Step::Record { claim, first, results } => self.record(*claim, *first, results).await,
            Step::Wait { seconds } => {
                self.now = self.now.plus(Duration::from_secs(*seconds));
                Ok(())
            }
        }
    }

    async fn create(&mut self, address: usize) -> Compared {
        let command = self.tenant.create(&format!("box{address}"));
        let outcome = match self.store.run(command.clone()).await.map_err(failed)? {
            GrantOutcome::Created(grant) => {
                self.grants[address] = grant.id;
                format!("created {}", grant.id)
            }
            GrantOutcome::Existing(grant) => format!("existing {}", grant.id),
            GrantOutcome::TooMany(cap) => format!("too many {}", cap.limit),
            other => format!("{other:?}"),
        };
        same("create", &outcome, &self.model.create(&command))
    }

    async fn remove(&mut self, address: usize) -> Compared {
        let command = self.tenant.removal(self.grants[address], self.now);
        let outcome = self.store.run(command.clone()).await.map_err(failed)?;
        same("remove", &outcome.to_string(), &self.model.remove(&command))
    }

    async fn assign(&mut self, address: usize, into: bool) -> Compared {
        let grant = [self.grants[address]];
        let (assign, remove) = if into { (grant.as_slice(), [].as_slice()) } else { ([].as_slice(), grant.as_slice()) };
        let mut command = workspaces::assign(&self.tenant, self.tenant.workspace, assign, remove);
        command.act.at = self.now;
        let outcome = match self.store.run(command.clone()).await.map_err(failed)? {
            AssignOutcome::Done { assigned, removed, .. } => format!("{assigned:?} {removed:?}"),
            AssignOutcome::AssignUnknown(0) | AssignOutcome::RemoveUnknown(0) => "unknown".into(),
            other => format!("{other:?}"),
        };
        same("move", &outcome, &self.model.assign(&command, grant[0]))
    }

    async fn prune(&mut self, limit: usize) -> Compared {
        while self.store.run(PruneRemoved { limit }).await.map_err(failed)? {}
        self.model.prune();
        Ok(())
    }

    async fn deliver(&mut self, addresses: &BTreeSet<usize>, about: &About) -> Compared {
        let grants: Vec<_> = addresses.iter().map(|address| self.grants[*address]).collect();
        let date = self.date(about);
        let mut command = self.tenant.received(self.store, &grants, date).await;
        command.facts.thread = self.hints(about);
        let outcome = self.store.run(command.clone()).await.map_err(failed)?.map_err(|problem| problem.public)?;
        self.threads.push(command.copies[0].copy.new_thread_id);
        same("deliver", &format!("{outcome:?}"), &self.model.deliver(&command))
    }

    async fn submit(&mut self, address: usize, recipients: usize, about: &About) -> Compared {
        let date = self.date(about);
        let mut command = self.tenant.submission(self.store, self.grants[address], recipients, date).await;
        command.facts.thread = self.hints(about);
        command.thread_id =
            about.answers.filter(|_| about.refers).and_then(|index| pick(&self.threads, index)).copied();
        let outcome = match self.store.run(command.clone()).await.map_err(failed)? {
            SubmitOutcome::Accepted { thread_id, daily, .. } => {
                format!("accepted {thread_id} {} of {}", daily.used, daily.limit.unwrap_or(u64::MAX))
            }
            SubmitOutcome::Refused(problem) => problem.code.to_owned(),
            SubmitOutcome::NoSuchGrant => "no such grant".into(),
            SubmitOutcome::Unvalidated => "unvalidated".into(),
            SubmitOutcome::MustWait | SubmitOutcome::Waits { .. } => "waits".into(),
            SubmitOutcome::Repeated { .. } => "repeated".into(),
            SubmitOutcome::Superseded => "superseded".into(),
            SubmitOutcome::Unheld => "unheld".into(),
            SubmitOutcome::Held(_) => "held".into(),
        };
        self.threads.push(command.copy.new_thread_id);
        same("submit", &outcome, &self.model.submit(&command))
    }

    async fn claim(&mut self, node: usize, limit: usize) -> Compared {
        let command = claim(&format!("node{node}"), self.now, limit);
        let rows = self.store.run(command.clone()).await.map_err(failed)?.rows;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        self.claims.push((command.lease.id, rows));
        same("claim", &format!("{ids:?}"), &format!("{:?}", self.model.claim(&command)))
    }

    async fn release(&mut self, node: usize) -> Compared {
        let owner = format!("node{node}");
        let before = LeaseId::from_uuid(fresh());
        let command = ReleaseLeases { owner: owner.clone(), before, now: self.now };
        let released = self.store.run(command).await.map_err(failed)?;
        same("release", &released.to_string(), &self.model.release_leases(&owner, self.now))
    }

    /// Reports on the rows of one message of one claim, an early one or the latest.
    async fn record(&mut self, claim: usize, first: usize, results: &[usize]) -> Compared {
        let recent: Vec<_> = self.claims.iter().rev().take(4).collect();
        let Some((lease, rows)) = pick(&recent, claim) else { return Ok(()) };
        let Some(message) = pick(rows, first).map(|row| row.message_id) else { return Ok(()) };
        let rows = rows.iter().filter(|row| row.message_id == message);
        let reports = rows.zip(results).map(|(row, result)| {
            let (after, reached) = self.result(*result);
            report(row, after, reached)
        });
        let command = record(*lease, reports.collect(), message, self.now);
        let outcome = self.store.run(command.clone()).await.map_err(failed)?;
        same("record", &format!("{:?}", outcome.lost), &self.model.record(&command))
    }

    fn result(&self, number: usize) -> (AfterAttempt, bool) {
        let retry = AfterAttempt::RetryAt(self.now.plus(Duration::from_secs(30)));
        let expired = AfterAttempt::Expired(Reason { code: 0, status: "4.4.7".into(), text: "too late".into() });
        match number {
            0 => (AfterAttempt::Delivered, true),
            1 => (retry, true),
            2 => (retry, false),
            3 => (bounced(), true),
            4 => (expired, false),
            // Nobody reached is what gives quota back, so it comes more often.
            _ => (bounced(), false),
        }
    }

    fn date(&self, about: &About) -> UnixMicros {
        self.now.minus(Duration::from_secs(about.late))
    }

    fn hints(&mut self, about: &About) -> ThreadHints {
        let answered: Vec<_> =
            about.answers.and_then(|index| pick(&self.sent_ids, index)).cloned().into_iter().collect();
        let id = format!("{}@test", fresh());
        self.sent_ids.push(id.clone());
        let (in_reply_to, references) = if about.refers { (Vec::new(), answered) } else { (answered, Vec::new()) };
        ThreadHints {
            message_id: Some(id),
            in_reply_to,
            references,
            subject: SUBJECTS[about.subject].into(),
            correspondents: vec![format!("c{}@elsewhere.example", about.correspondent)],
            hops: 0,
            counted_at: None,
        }
    }

    /// What is stored, in the lines of [`Model::picture`].
    async fn picture(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut lines = BTreeSet::new();
        let mut reader = self.store.reader().await?;
        for (sql, line) in TABLES {
            for row in reader.query(sql, &[]).await? {
                lines.insert(line(&row)?);
            }
        }
        for event in events::after(&mut reader, 0, 10_000).await? {
            let (position, event) = (event.position, event.event);
            let message = event.message_id;
            lines.insert(event_line(position, event.id, event.grant_id, event.grant_sequence, event.trigger, message));
        }
        for row in reader.query("SELECT DISTINCT grant_id, folder FROM listings", &[]).await? {
            let (grant, folder) = (GrantId::from_uuid(row.uuid(0)?), row.text(1)?);
            let ids: Vec<MessageId> =
                listed(self.store, grant, &folder).await.iter().map(|message| message.id).collect();
            lines.insert(format!("listing {grant} {folder:?} {ids:?}"));
        }
        Ok(lines)
    }
}

fn pick<T>(things: &[T], index: usize) -> Option<&T> {
    things.get(index % things.len().max(1))
}

type Line = fn(&Row) -> Result<String, DbError>;

const TABLES: &[(&str, Line)] = &[
    ("SELECT grant_count FROM organizations", |row| Ok(format!("grants {}", row.int(0)?))),
    ("SELECT grant_id, storage_octets, event_sequence FROM mailboxes", |row| {
        Ok(format!("mailbox {} {} {}", row.uuid(0)?, row.int(1)?, row.int(2)?))
    }),
    ("SELECT grant_id, folder, total, unread FROM folder_counts", |row| {
        Ok(format!("folder {} {} {} {}", row.uuid(0)?, row.text(1)?, row.int(2)?, row.int(3)?))
    }),
    (
        "SELECT grant_id, id, subject, earliest_date, received_date, sent_date, sort_date, message_count, unread_count, \
        latest_id, folders FROM threads",
        |row| {
            let date = UnixMicros::from_micros;
            let (earliest, sort) = (date(row.int(3)?), date(row.int(6)?));
            let (received, sent) = (row.opt_int(4)?.map(date), row.opt_int(5)?.map(date));
            let (grant, id, subject) = (row.uuid(0)?, row.uuid(1)?, row.text(2)?);
            let totals = (row.int(7)?, row.int(8)?, row.opt_uuid(9)?, row.text(10)?);
            Ok(format!("thread {grant} {id} {subject:?} {earliest:?} {received:?} {sent:?} {sort:?} {totals:?}"))
        },
    ),
    ("SELECT id, thread_id FROM messages", |row| Ok(format!("message {} {}", row.uuid(0)?, row.uuid(1)?))),
    ("SELECT grant_id, day, sent FROM daily_sends WHERE sent <> 0", |row| {
        Ok(format!("sent {} {} {}", row.uuid(0)?, row.int(1)?, row.int(2)?))
    }),
    // The one organization and its one application use the same.
    ("SELECT month, stored, sent, sent_by_removed, octets_in, octets_out FROM usage", |row| {
        Ok(match row.int(0)? {
            0 => format!("stored {}", row.int(1)?),
            month => usage_line(month, [row.int(2)?, row.int(3)?, row.int(4)?, row.int(5)?]),
        })
    }),
    ("SELECT id, copies FROM blobs", |row| Ok(format!("blob {} {}", row.uuid(0)?, row.int(1)?))),
    ("SELECT message_id, grant_id, recipients_open, quota_day FROM outbound", |row| {
        Ok(format!("outbound {} {} {} {:?}", row.uuid(0)?, row.uuid(1)?, row.int(2)?, row.opt_int(3)?))
    }),
    ("SELECT id, message_id, recipient, due_at, attempts, lease FROM queue", |row| {
        let (id, message, recipient) = (row.uuid(0)?, row.uuid(1)?, row.text(2)?);
        let (due, attempts, lease) = (row.int(3)?, row.int(4)?, row.opt_uuid(5)?);
        Ok(format!("queue {id} {message} {recipient} {due} {attempts} {lease:?}"))
    }),
];

/// Empties the store: it is quicker than another one.
struct Wipe;

impl Command for Wipe {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const WIPE: &[&str] = &[
            "DELETE FROM grants",
            "DELETE FROM workspaces",
            "DELETE FROM policies",
            "DELETE FROM applications",
            "DELETE FROM domains",
            "DELETE FROM organizations",
            "DELETE FROM removed_grants",
            "DELETE FROM mailboxes",
            "DELETE FROM blobs",
            "DELETE FROM messages",
            "DELETE FROM listings",
            "DELETE FROM folder_counts",
            "DELETE FROM threads",
            "DELETE FROM thread_keys",
            "DELETE FROM daily_sends",
            "DELETE FROM usage",
            "DELETE FROM transfers",
            "DELETE FROM readings",
            "DELETE FROM outbound",
            "DELETE FROM queue",
            "DELETE FROM destinations",
            "DELETE FROM attempts",
            "DELETE FROM events",
            "DELETE FROM audit",
            "UPDATE event_head SET position = 0",
        ];
        for statement in WIPE {
            tx.execute(statement, &[]).await?;
        }
        Ok(())
    }
}

/// Compares so many random programs; the first difference comes back with the smallest program that shows it.
fn compare_random(engine: &Engine, runtime: &tokio::runtime::Runtime, cases: u32, plant: Option<Plant>) -> Compared {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&program(), |program| {
        runtime.block_on(compare(&engine.store, &program, plant)).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, program)) => Err(format!("{why}\nafter {program:#?}")),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime")
}

fn check(engine: Option<Engine>, runtime: &tokio::runtime::Runtime, cases: u32) {
    let Some(engine) = engine else { return };
    if let Err(difference) = compare_random(&engine, runtime, cases, None) {
        panic!("{difference}");
    }
}

#[test]
fn sqlite_does_what_the_model_does() {
    let runtime = runtime();
    check(Some(runtime.block_on(Engine::sqlite())), &runtime, 64);
}

#[test]
fn postgres_does_what_the_model_does() {
    let runtime = runtime();
    check(runtime.block_on(Engine::postgres()), &runtime, 16);
}

/// The control: a model that is wrong in one respect is found out.
#[test]
fn a_wrong_model_is_found_out() {
    let runtime = runtime();
    let engine = runtime.block_on(Engine::sqlite());
    for plant in [
        Plant::KeepsQuota,
        Plant::JoinsAcrossMailboxes,
        Plant::IgnoresLeases,
        Plant::ForgetsOctets,
        Plant::AnnouncesRetries,
        Plant::KeepsBodies,
        Plant::KeepsLimits,
        Plant::CountsEachCopy,
        Plant::ForgetsRemovedSenders,
    ] {
        assert!(compare_random(&engine, &runtime, 256, Some(plant)).is_err(), "{plant:?} goes unnoticed");
    }
}
