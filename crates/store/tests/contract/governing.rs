//! Mailboxes are moved, policies edited and swapped while others send: no send may be judged by a state that never was,
//! and a change is seen by whatever is asked for after its answer.
//!
//! Every client notes when each of its changes began and ended, in ticks of one counter. A state may then have held from
//! the begin of the change that made it to the end of the next one. The limit that a send was judged by must be one that
//! some single instant of that send explains: mailbox in workspace, workspace under policy, policy with that limit.

use crate::support::{Tenant, at, fresh, on_each_engine, tenant};
use crate::workspaces::{assign, update, workspace};
use postfleet_core::Patch;
use postfleet_core::id::{EventId, GrantId, PolicyId, WorkspaceId};
use postfleet_core::policy::{LimitField, LimitsChange};
use postfleet_store::Store;
use postfleet_store::grants::{GrantChange, UpdateGrant, UpdateOutcome as GrantOutcome};
use postfleet_store::moves::AssignOutcome;
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::policies::{CreatePolicy, PolicyChange, PolicyOutcome, UpdatePolicy};
use postfleet_store::workspaces::{UpdateOutcome, UpdateWorkspace};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MAILBOXES: usize = 16;
const POLICIES: usize = 3;
const WORKSPACES: usize = 2;
/// With the clients that change things there are 64.
const SENDERS: usize = 64 - MAILBOXES - POLICIES - WORKSPACES;
/// What every client does so often.
const ROUNDS: usize = 12;

/// One value of something, with the ticks between which it may have held.
#[derive(Clone, Copy, Debug)]
struct Held<T> {
    value: T,
    from: u64,
    until: u64,
}

/// What became of one thing. It has one client that changes it, so that the order is known.
#[derive(Clone, Debug)]
struct History<T>(Vec<Held<T>>);

impl<T: Copy + PartialEq> History<T> {
    fn starting(value: T) -> Self {
        Self(vec![Held { value, from: 0, until: u64::MAX }])
    }

    fn changed(&mut self, value: T, began: u64, ended: u64) {
        if let Some(last) = self.0.last_mut() {
            last.until = ended;
        }
        self.0.push(Held { value, from: began, until: u64::MAX });
    }

    fn during(&self, from: u64, until: u64) -> impl Iterator<Item = Held<T>> {
        self.0.iter().copied().filter(move |held| held.from <= until && held.until >= from)
    }
}

/// A send: which mailbox, by what limit it was judged, and when.
#[derive(Clone, Copy, Debug)]
struct Judged {
    mailbox: usize,
    limit: Option<u64>,
    began: u64,
    ended: u64,
}

/// Everything that happened.
struct Record {
    /// For each mailbox: its workspace.
    places: Vec<History<Option<usize>>>,
    /// For each workspace: its policy.
    attached: Vec<History<Option<usize>>>,
    /// For each policy: its limit.
    limits: Vec<History<u64>>,
    sends: Vec<Judged>,
}

impl Record {
    /// Whether one instant of the send explains its limit.
    fn explains(&self, send: &Judged) -> bool {
        self.places[send.mailbox].during(send.began, send.ended).any(|place| {
            let (from, until) = (send.began.max(place.from), send.ended.min(place.until));
            let Some(workspace) = place.value else { return send.limit.is_none() };
            self.attached[workspace].during(from, until).any(|attached| {
                let (from, until) = (from.max(attached.from), until.min(attached.until));
                let Some(policy) = attached.value else { return send.limit.is_none() };
                self.limits[policy].during(from, until).any(|limit| send.limit == Some(limit.value))
            })
        })
    }

    fn unexplained(&self) -> Vec<&Judged> {
        self.sends.iter().filter(|send| !self.explains(send)).collect()
    }
}

/// The fleet that is changed and sends.
#[derive(Clone)]
struct Fleet {
    store: Store,
    tenant: Tenant,
    mailboxes: Vec<GrantId>,
    workspaces: Vec<WorkspaceId>,
    policies: Vec<PolicyId>,
    tick: Arc<AtomicU64>,
}

impl Fleet {
    fn now(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::SeqCst)
    }

    /// Moves one mailbox about.
    async fn move_about(self, mailbox: usize) -> History<Option<usize>> {
        let mut history = History::starting(Some(0));
        for round in 0..ROUNDS {
            let place = [Some(1), None, Some(0)][(round + mailbox) % 3];
            let began = self.now();
            self.put(mailbox, place, round).await;
            history.changed(place, began, self.now());
        }
        history
    }

    /// Gives one policy a limit that none ever had.
    async fn edit(self, policy: usize) -> History<u64> {
        let mut history = History::starting(first_limit(policy));
        for round in 1..=ROUNDS as u64 {
            let limit = first_limit(policy) + round;
            let began = self.now();
            self.set_limit(policy, limit).await;
            history.changed(limit, began, self.now());
        }
        history
    }

    /// Puts one workspace under another policy each time, or under none.
    async fn swap(self, workspace: usize) -> History<Option<usize>> {
        let mut history = History::starting(Some(0));
        for round in 0..ROUNDS {
            let policy = [Some(1), Some(2), None, Some(0)][(round + workspace) % 4];
            let began = self.now();
            self.attach(workspace, policy).await;
            history.changed(policy, began, self.now());
        }
        history
    }

    /// Both ways of moving, in turns: of the mailbox, and of the workspace.
    async fn put(&self, mailbox: usize, place: Option<usize>, round: usize) {
        let id = self.mailboxes[mailbox];
        let workspace = place.map(|number| self.workspaces[number]);
        if let (Some(workspace), true) = (workspace, round.is_multiple_of(2)) {
            let command = assign(&self.tenant, workspace, &[id], &[]);
            let outcome = self.store.run_near(mailbox as u64, command).await.expect("assign");
            assert!(matches!(outcome, AssignOutcome::Done { .. }), "{outcome:?}");
            return;
        }
        let command = UpdateGrant {
            act: self.tenant.act(at(60)),
            application_id: self.tenant.application,
            id,
            change: GrantChange { workspace_id: workspace.map_or(Patch::Clear, Patch::Set), ..GrantChange::default() },
            event_id: EventId::from_uuid(fresh()),
        };
        let outcome = self.store.run_near(mailbox as u64, command).await.expect("update");
        assert!(matches!(outcome, GrantOutcome::Done(_)), "{outcome:?}");
    }

    async fn set_limit(&self, policy: usize, limit: u64) {
        let command = UpdatePolicy {
            act: self.tenant.act(at(60)),
            application_id: self.tenant.application,
            id: self.policies[policy],
            change: daily_sends(limit),
        };
        let outcome = self.store.run_near(policy as u64, command).await.expect("edit");
        assert!(matches!(outcome, PolicyOutcome::Written(_)), "{outcome:?}");
    }

    async fn attach(&self, workspace: usize, policy: Option<usize>) {
        let policy_id = policy.map_or(Patch::Clear, |number| Patch::Set(self.policies[number]));
        let command = UpdateWorkspace { policy_id, ..update(&self.tenant, self.workspaces[workspace]) };
        let outcome = self.store.run_near(workspace as u64, command).await.expect("attach");
        assert!(matches!(outcome, UpdateOutcome::Updated(_)), "{outcome:?}");
    }

    /// Sends from one mailbox after the other.
    async fn send(self, sender: usize) -> Vec<Judged> {
        let mut sends = Vec::new();
        for round in 0..ROUNDS {
            let mailbox = (sender + round) % MAILBOXES;
            let command = self.tenant.submission(&self.store, self.mailboxes[mailbox], 1, at(1)).await;
            let began = self.now();
            let outcome = self.store.run_near(mailbox as u64, command).await.expect("submit");
            let SubmitOutcome::Accepted { daily, .. } = outcome else { panic!("refused: {outcome:?}") };
            sends.push(Judged { mailbox, limit: daily.limit, began, ended: self.now() });
        }
        sends
    }
}

/// Limits of different policies never meet, and none is ever reached.
fn first_limit(policy: usize) -> u64 {
    1_000_000 * (policy as u64 + 1)
}

fn daily_sends(limit: u64) -> PolicyChange {
    let field = LimitField::DailySends;
    let numbers = vec![(field, field.name(), Patch::Set(limit as i64))];
    PolicyChange { limits: LimitsChange { numbers, ..LimitsChange::default() }, ..PolicyChange::default() }
}

/// Every mailbox in the first workspace, every workspace under the first policy.
async fn fleet(store: &Store) -> Fleet {
    let tenant = tenant(store, "self_hosted", None).await;
    let mut fleet = Fleet {
        store: store.clone(),
        tenant: tenant.clone(),
        mailboxes: Vec::new(),
        workspaces: Vec::new(),
        policies: Vec::new(),
        tick: Arc::new(AtomicU64::new(1)),
    };
    for number in 0..POLICIES {
        let id = PolicyId::from_uuid(fresh());
        let change = PolicyChange { name: Some("Tier".into()), ..daily_sends(first_limit(number)) };
        let command = CreatePolicy { act: tenant.act(at(0)), id, application_id: tenant.application, change };
        assert!(matches!(store.run(command).await.expect("policy"), PolicyOutcome::Written(_)));
        fleet.policies.push(id);
    }
    for number in 0..WORKSPACES {
        fleet.workspaces.push(workspace(store, &tenant, "").await);
        fleet.attach(number, Some(0)).await;
    }
    for number in 0..MAILBOXES {
        fleet.mailboxes.push(tenant.mailbox(store, &format!("agent{number}")).await);
        fleet.put(number, Some(0), 0).await;
    }
    fleet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_send_is_judged_by_a_state_that_never_was() {
    on_each_engine(async |engine| {
        let fleet = fleet(&engine.store).await;
        let movers: Vec<_> = (0..MAILBOXES).map(|number| tokio::spawn(fleet.clone().move_about(number))).collect();
        let editors: Vec<_> = (0..POLICIES).map(|number| tokio::spawn(fleet.clone().edit(number))).collect();
        let swappers: Vec<_> = (0..WORKSPACES).map(|number| tokio::spawn(fleet.clone().swap(number))).collect();
        let senders: Vec<_> = (0..SENDERS).map(|number| tokio::spawn(fleet.clone().send(number))).collect();
        let record = Record {
            places: all(movers).await,
            attached: all(swappers).await,
            limits: all(editors).await,
            sends: all(senders).await.concat(),
        };
        assert_eq!(record.sends.len(), SENDERS * ROUNDS);
        assert!(record.unexplained().is_empty(), "{:#?}", record.unexplained());
        let limits: std::collections::BTreeSet<_> = record.sends.iter().map(|send| send.limit).collect();
        assert!(limits.len() > 3, "sends saw too little of the changes to show anything: {limits:?}");
    })
    .await;
}

async fn all<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut ended = Vec::with_capacity(tasks.len());
    for task in tasks {
        ended.push(task.await.expect("task"));
    }
    ended
}

/// The control: a limit of the past, and one of a workspace of before under a policy of after, are found.
#[test]
fn a_torn_judgement_is_found() {
    let mut places = History::starting(Some(0));
    places.changed(Some(1), 10, 12);
    let mut limits = [History::starting(100), History::starting(200)];
    limits[0].changed(101, 20, 22);
    let record = |limit, began, ended| Record {
        places: vec![places.clone()],
        attached: vec![History::starting(Some(0)), History::starting(Some(1))],
        limits: limits.to_vec(),
        sends: vec![Judged { mailbox: 0, limit, began, ended }],
    };
    for (limit, began, ended, explained) in [
        (Some(100), 0, 5, true),
        // The move was under way.
        (Some(100), 11, 15, true),
        (Some(200), 11, 15, true),
        // It had been answered.
        (Some(100), 13, 15, false),
        // Workspace of before, policy of after: no instant has both.
        (Some(101), 11, 30, false),
        (None, 0, 30, false),
    ] {
        let unexplained = record(limit, began, ended).unexplained().len();
        assert_eq!(unexplained == 0, explained, "{limit:?} {began} {ended}");
    }
}
