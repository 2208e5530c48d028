//! The product's store with tenants and mailboxes, driven by commands alone, and the record of what happened: every fact
//! goes to the oracle in the moment in which it is known.

use crate::dice::Dice;
use crate::history::{Account, Fact, Message, Places, Subject};
use crate::oracle::{DAY, Oracle, Wrong};
use crate::support::{NOON, Tenant, fresh, organization};
use futures::future::join_all;
use postfleet_core::id::{ApplicationId, DomainId, GrantId, MessageId, StopId, WorkspaceId};
use postfleet_core::plan::Plans;
use postfleet_core::reputation::State;
use postfleet_core::return_path::ReturnPaths;
use postfleet_core::stop::{Effect, Kind};
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_store::applications::{Application, CreateApplication};
use postfleet_store::domains::NewDomain;
use postfleet_store::events::{self, Event};
use postfleet_store::grants::{GrantOutcome, NewGrant};
use postfleet_store::organizations::OrganizationOutcome;
use postfleet_store::workspaces::{CreateOutcome, CreateWorkspace, PolicyChoice, Workspace};
use postfleet_store::{Command, Location, Store};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use tempfile::TempDir;

/// Commands that are given to the engine at once.
const AT_ONCE: usize = 500;

/// A mailbox of the world.
pub struct Mailbox {
    pub id: GrantId,
    pub email: EmailAddress,
    pub home: usize,
    pub is_removed: bool,
}

/// A message that was accepted.
pub struct Sent {
    pub id: MessageId,
    pub account: Account,
    pub at: i64,
    pub return_path: EmailAddress,
    pub to: Vec<String>,
}

/// A report that is on its way.
pub struct Pending {
    pub message: Message,
    pub later: crate::script::Later,
    pub to: String,
}

pub struct World {
    store: Store,
    _folder: TempDir,
    pub oracle: Oracle,
    /// Everything that happened, if it is kept.
    pub history: Option<Vec<Fact>>,
    pub dice: Dice,
    /// Where mailboxes are: a workspace and a domain each.
    pub homes: Vec<(Tenant, Places)>,
    pub mailboxes: Vec<Mailbox>,
    pub messages: Vec<Sent>,
    pub by_id: HashMap<MessageId, Message>,
    pub pending: BTreeMap<i64, Vec<Pending>>,
    /// Stops in force, as the log of events has them.
    pub stops: BTreeMap<(&'static str, Subject), StopId>,
    /// Mailboxes that were told to be paused, and when, to be looked at by the operator.
    pub paused: BTreeMap<Account, i64>,
    pub names: HashMap<String, Subject>,
    /// Who was stopped while a worker had their mail, and is to be let go.
    pub meanwhile: Vec<Subject>,
    /// Whether something was lifted, behind which mail may have waited.
    pub is_lifted: bool,
    pub return_paths: ReturnPaths,
    pub forger: ReturnPaths,
    seen: HashSet<(StopId, bool)>,
    position: i64,
    now: i64,
}

/// Organizations, each with two applications, two domains, and two workspaces in each application.
const ORGANIZATIONS: usize = 3;

/// A folder in memory where there is one: what a power cut leaves is not what this is about.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

impl World {
    pub async fn new(seed: u64, keeps_history: bool) -> Result<Self, Wrong> {
        let folder = folder();
        let (file, bodies) = (folder.path().join("store.db"), folder.path().join("bodies"));
        let mut world = Self {
            store: Store::open(Location::Sqlite(file), bodies, Plans::presets()).await.expect("open"),
            _folder: folder,
            oracle: Oracle::new(),
            history: keeps_history.then(Vec::new),
            dice: Dice::new(seed),
            homes: Vec::new(),
            mailboxes: Vec::new(),
            messages: Vec::new(),
            by_id: HashMap::new(),
            pending: BTreeMap::new(),
            stops: BTreeMap::new(),
            paused: BTreeMap::new(),
            names: HashMap::new(),
            meanwhile: Vec::new(),
            is_lifted: false,
            return_paths: ReturnPaths::new([7; 32]),
            forger: ReturnPaths::new([8; 32]),
            seen: HashSet::new(),
            position: 0,
            now: NOON.day().start().as_micros(),
        };
        for number in 0..ORGANIZATIONS {
            world.organization(number).await;
        }
        Ok(world)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The time; it goes on a little with each look at it.
    pub fn now(&mut self) -> UnixMicros {
        self.now += 1_000;
        UnixMicros::from_micros(self.now)
    }

    /// Moves the clock to a time; it never goes back.
    pub fn set_clock(&mut self, at: i64) {
        self.now = self.now.max(at);
    }

    pub fn today(&self) -> i64 {
        self.now.div_euclid(DAY)
    }

    /// Hands a fact to the oracle.
    pub fn fact(&mut self, fact: Fact) -> Result<(), Wrong> {
        let judged = self.oracle.see(&fact);
        if let Some(history) = &mut self.history {
            history.push(fact);
        }
        judged
    }

    /// Runs commands in their order, as many at once as the engine takes into a batch.
    pub async fn run_all<C: Command>(&self, commands: Vec<C>) -> Vec<C::Outcome> {
        let (mut outcomes, mut left) = (Vec::with_capacity(commands.len()), commands.into_iter());
        loop {
            let some: Vec<C> = left.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return outcomes;
            }
            // Without the runtime's budget, with which some would let others go first.
            let running = join_all(some.into_iter().map(|command| self.store.run(command)));
            let running = tokio::task::unconstrained(running).await;
            outcomes.extend(running.into_iter().map(|outcome| outcome.expect("command")));
        }
    }

    pub async fn run<C: Command>(&self, command: C) -> C::Outcome {
        self.store.run(command).await.expect("command")
    }

    // Who is there --------------------------------------------------------------------------------------------------

    async fn organization(&mut self, number: usize) {
        let mut command = organization("self_hosted", None);
        let second = Domain::parse(&format!("{}.example", fresh().simple())).expect("domain");
        command.domains.push(NewDomain::trusted(DomainId::from_uuid(fresh()), second));
        let domains = [command.domains[0].name.clone(), command.domains[1].name.clone()];
        let tenant = Tenant {
            organization: command.id,
            application: command.application_id,
            workspace: command.workspace_id,
            domain: domains[0].clone(),
        };
        assert_eq!(self.run(command).await, OrganizationOutcome::Created);
        let other = self.application(&tenant).await;
        self.names.insert(tenant.organization.to_string(), Subject::Organization(number));
        for (which, domain) in domains.iter().enumerate() {
            self.names.insert(domain.to_string(), Subject::Domain(number * 2 + which));
        }
        for (which, tenant) in [tenant, other].into_iter().enumerate() {
            let application = number * 2 + which;
            self.names.insert(tenant.application.to_string(), Subject::Application(application));
            for (side, workspace) in [tenant.workspace, self.workspace(&tenant).await].into_iter().enumerate() {
                let workspace_place = application * 2 + side;
                self.names.insert(workspace.to_string(), Subject::Workspace(workspace_place));
                for (which, domain) in domains.iter().enumerate() {
                    let places = Places {
                        domain: number * 2 + which,
                        workspace: workspace_place,
                        application,
                        organization: number,
                    };
                    self.homes.push((Tenant { workspace, domain: domain.clone(), ..tenant.clone() }, places));
                }
            }
        }
    }

    async fn application(&self, first: &Tenant) -> Tenant {
        let (id, workspace) = (ApplicationId::from_uuid(fresh()), WorkspaceId::from_uuid(fresh()));
        let application = Application {
            id,
            organization_id: first.organization,
            name: "Second".into(),
            environment: "production".into(),
            default_workspace_id: workspace,
            details: serde_json::Map::new(),
            created_at: NOON,
            updated_at: NOON,
        };
        assert!(self.run(CreateApplication { application, act: first.act(NOON) }).await);
        Tenant { application: id, workspace, ..first.clone() }
    }

    async fn workspace(&self, tenant: &Tenant) -> WorkspaceId {
        let id = WorkspaceId::from_uuid(fresh());
        let workspace = Workspace {
            id,
            application_id: tenant.application,
            name: "Second".into(),
            domain: String::new(),
            auto_group: false,
            on_quota: postfleet_core::hold::OnQuota::Reject,
            policy_id: None,
            created_at: NOON,
            updated_at: NOON,
        };
        let command =
            CreateWorkspace { act: tenant.act(NOON), workspace, policy: PolicyChoice::None, rule_ids: Vec::new() };
        assert!(matches!(self.run(command).await, CreateOutcome::Created(_)));
        id
    }

    /// Makes so many mailboxes, spread over all workspaces and domains.
    pub async fn open(&mut self, count: usize) -> Result<(), Wrong> {
        let first = self.mailboxes.len();
        let mut commands = Vec::new();
        for account in first..first + count {
            let (tenant, _) = &self.homes[account % self.homes.len()];
            let grant = NewGrant { workspace_id: Some(tenant.workspace), ..tenant.new_grant(&format!("m{account}")) };
            commands.push(tenant.create_this(grant));
        }
        for outcome in self.run_all(commands).await {
            let GrantOutcome::Created(grant) = outcome else { panic!("not created: {outcome:?}") };
            let (account, home) = (self.mailboxes.len(), self.mailboxes.len() % self.homes.len());
            self.names.insert(grant.id.to_string(), Subject::Grant(account));
            self.mailboxes.push(Mailbox { id: grant.id, email: grant.email.clone(), home, is_removed: false });
            self.fact(Fact::Opened(account, self.homes[home].1))?;
        }
        self.look().await
    }

    pub fn home(&self, account: Account) -> &Tenant {
        &self.homes[self.mailboxes[account].home].0
    }

    /// The name of somebody in the product.
    pub fn name_of(&self, whom: Subject) -> String {
        let found = self.names.iter().find(|(_, subject)| **subject == whom);
        found.map(|(name, _)| name.clone()).expect("a subject of the world")
    }

    /// Removes a mailbox.
    pub async fn remove(&mut self, account: Account) -> Result<(), Wrong> {
        let now = self.now();
        let command = self.home(account).removal(self.mailboxes[account].id, now);
        assert!(self.run(command).await);
        self.mailboxes[account].is_removed = true;
        self.fact(Fact::Removed(account))
    }

    // What is told --------------------------------------------------------------------------------------------------

    /// Reads what was told since the last look.
    pub async fn look(&mut self) -> Result<(), Wrong> {
        const PAGE: usize = 5_000;
        loop {
            let page = {
                let mut reader = self.store.reader().await.expect("reader");
                events::after(&mut reader, self.position, PAGE).await.expect("events")
            };
            for event in &page {
                self.position = event.position;
                self.told(event)?;
            }
            if page.len() < PAGE {
                return self.fact(Fact::Told);
            }
        }
    }

    fn told(&mut self, Event { event, .. }: &Event) -> Result<(), Wrong> {
        use postfleet_core::event::Trigger::{ReputationChanged, SendingResumed, SendingStopped};
        let read = || serde_json::from_str::<Value>(&event.data).expect("facts");
        match event.trigger {
            ReputationChanged => self.told_of_change(&read(), event.at),
            SendingStopped => self.told_of_stop(&read(), event.at, true),
            SendingResumed => self.told_of_stop(&read(), event.at, false),
            _ => Ok(()),
        }
    }

    fn told_of_change(&mut self, facts: &Value, at: UnixMicros) -> Result<(), Wrong> {
        let state = |field: &str| facts[field].as_str().and_then(State::named).expect("a state");
        let whom = self.names[facts["subject"].as_str().expect("a subject")];
        let counted = |field: &str| facts["counts"][field].as_u64().expect("a count");
        let counts = facts["counts"]
            .is_object()
            .then(|| ["recipients", "recipients_of_feedback_domains", "hard_bounces", "complaints"].map(counted));
        let (from, to) = (state("from"), state("state"));
        self.fact(Fact::Changed { at: at.as_micros(), whom, from, to, counts })
    }

    fn told_of_stop(&mut self, facts: &Value, at: UnixMicros, is_raised: bool) -> Result<(), Wrong> {
        let text = |field: &str| facts[field].as_str().expect("a text").to_owned();
        let id: StopId = text("id").parse().expect("an id");
        // What concerns several applications is told to each.
        if !self.seen.insert((id, is_raised)) {
            return Ok(());
        }
        let kind = Kind::named(&text("kind")).expect("a kind");
        let whom = self.names[&text("subject")];
        if !is_raised {
            self.stops.remove(&(kind.name(), whom));
            self.is_lifted = true;
            return self.fact(Fact::Resumed { kind, whom });
        }
        self.stops.insert((kind.name(), whom), id);
        if let (Kind::Pause, Subject::Grant(account)) = (kind, whom) {
            self.paused.insert(account, at.as_micros());
        }
        let effect = Effect::named(&text("effect")).expect("an effect");
        self.fact(Fact::Stopped { kind, effect, whom })
    }
}
