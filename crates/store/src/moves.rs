//! Moving mailboxes among workspaces. From the commit on, what the new place allows holds.

use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::grants::Placement;
use crate::params;
use crate::queue;
use crate::workspaces::{self, Workspace};
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, WorkspaceId};
use postfleet_core::{EmailAddress, UnixMicros};
use std::collections::{BTreeMap, BTreeSet};

/// Moves mailboxes of one application, which is locked, and announces each.
pub(crate) struct Mover<'a> {
    pub(crate) application_id: ApplicationId,
    /// What the ids of events are made from: a command cannot know beforehand which mailboxes it will move, and makes
    /// the same ids when it is run again.
    pub(crate) event_seed: &'a [u8; 32],
    pub(crate) at: UnixMicros,
}

impl Mover<'_> {
    /// Moves a mailbox unless it is no longer where it was seen; answers whether it did.
    pub(crate) async fn move_grant(
        &self,
        tx: &mut Tx,
        grant: GrantId,
        from: Option<WorkspaceId>,
        to: Option<WorkspaceId>,
        placement: Placement,
    ) -> Result<bool, DbError> {
        const MOVE: &str = "UPDATE grants SET workspace_id = $4, placement = $5, updated_at = $6 \
            WHERE application_id = $1 AND id = $2 AND workspace_id IS NOT DISTINCT FROM $3";
        let (from, to) = (from.map(WorkspaceId::uuid), to.map(WorkspaceId::uuid));
        let (application, at) = (self.application_id.uuid(), self.at.as_micros());
        let values = params![application, grant.uuid(), from, to, placement.name(), at];
        let moved = tx.execute(MOVE, values).await? > 0;
        if moved {
            queue::left_workspace(tx, (self.application_id, grant), from.map(WorkspaceId::from_uuid), self.at).await?;
            self.announce(tx, grant).await?;
        }
        Ok(moved)
    }

    /// Announces that a mailbox was moved; nothing if it is just being removed.
    pub(crate) async fn announce(&self, tx: &mut Tx, grant: GrantId) -> Result<(), DbError> {
        let Some(sequence) = events::next_sequence(tx, grant).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: event_id(self.event_seed, grant, self.at),
            application_id: self.application_id,
            grant_id: grant,
            grant_sequence: sequence,
            trigger: Trigger::GrantUpdated,
            message_id: None,
            data: "{}".into(),
            at: self.at,
        });
        Ok(())
    }
}

/// The id of the event that announces a move: the same however often the command is run.
pub fn event_id(seed: &[u8; 32], grant: GrantId, at: UnixMicros) -> EventId {
    let hash = blake3::keyed_hash(seed, grant.uuid().as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.as_bytes()[..10]);
    EventId::new(at, random)
}

/// How a request names a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantName {
    /// By its id.
    Id(GrantId),
    /// By its address.
    Email(EmailAddress),
}

/// Puts mailboxes into a workspace, and takes others out of it: all of them or none.
#[derive(Clone, Debug)]
pub struct AssignGrants {
    /// Who does it.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which workspace.
    pub workspace_id: WorkspaceId,
    /// Those that go into it, wherever they are.
    pub assign: Vec<GrantName>,
    /// Those that are to be in no workspace, if they are in this one.
    pub remove: Vec<GrantName>,
    /// What the ids of the events are made from.
    pub event_seed: [u8; 32],
}

/// What became of [`AssignGrants`]. Unless it is done, nothing was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignOutcome {
    /// Done.
    Done {
        /// The workspace.
        workspace: Workspace,
        /// What is in it as asked, in the order of the request.
        assigned: Vec<GrantId>,
        /// What was taken out of it.
        removed: Vec<GrantId>,
    },
    /// The application has no such workspace.
    WorkspaceUnknown,
    /// The application has no mailbox as the entry of that number among those to assign says.
    AssignUnknown(usize),
    /// Nor as that one says among those to remove.
    RemoveUnknown(usize),
    /// The mailbox is to be assigned and removed.
    Contradiction(GrantId),
}

impl Command for AssignGrants {
    type Outcome = AssignOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<AssignOutcome, DbError> {
        if workspaces::lock_application(tx, self.application_id).await?.is_none() {
            return Ok(AssignOutcome::WorkspaceUnknown);
        }
        let Some(found) = workspaces::lock(tx, self.application_id, self.workspace_id).await? else {
            return Ok(AssignOutcome::WorkspaceUnknown);
        };
        let assign = match self.resolve(tx, &self.assign).await? {
            Ok(ids) => ids,
            Err(unknown) => return Ok(AssignOutcome::AssignUnknown(unknown)),
        };
        let remove = match self.resolve(tx, &self.remove).await? {
            Ok(ids) => ids,
            Err(unknown) => return Ok(AssignOutcome::RemoveUnknown(unknown)),
        };
        if let Some(both) = assign.iter().find(|id| remove.contains(id)) {
            return Ok(AssignOutcome::Contradiction(*both));
        }
        let places = self.lock_grants(tx, assign.iter().chain(&remove)).await?;
        let here = Some(self.workspace_id);
        let removed: Vec<GrantId> = remove.into_iter().filter(|id| places.get(id) == Some(&here)).collect();
        self.carry_out(tx, &places, &assign, &removed).await?;
        Ok(AssignOutcome::Done { workspace: found.workspace, assigned: assign, removed })
    }
}

impl AssignGrants {
    /// The ids of mailboxes, each once; an error is the number of an entry that names none.
    async fn resolve(&self, tx: &mut Tx, names: &[GrantName]) -> Result<Result<Vec<GrantId>, usize>, DbError> {
        const BY_ID: &str = "SELECT id FROM grants WHERE application_id = $1 AND id = $2";
        const BY_EMAIL: &str = "SELECT id FROM grants WHERE application_id = $1 AND email_key = $2";
        let (mut ids, mut seen) = (Vec::new(), BTreeSet::new());
        for (number, name) in names.iter().enumerate() {
            let application = self.application_id.uuid();
            let found = match name {
                GrantName::Id(id) => tx.query_one(BY_ID, params![application, id.uuid()]).await?,
                GrantName::Email(email) => tx.query_one(BY_EMAIL, params![application, &email.key()]).await?,
            };
            let Some(row) = found else { return Ok(Err(number)) };
            let id = GrantId::from_uuid(row.uuid(0)?);
            if seen.insert(id) {
                ids.push(id);
            }
        }
        Ok(Ok(ids))
    }

    /// Where mailboxes are, which stay there until the commit. They are locked in the order of their ids.
    async fn lock_grants(
        &self,
        tx: &mut Tx,
        ids: impl Iterator<Item = &GrantId>,
    ) -> Result<BTreeMap<GrantId, Option<WorkspaceId>>, DbError> {
        const LOCK: &str = "SELECT workspace_id FROM grants WHERE application_id = $1 AND id = $2 {lock}";
        let ids: BTreeSet<GrantId> = ids.copied().collect();
        let mut places = BTreeMap::new();
        for id in ids {
            // One that was removed meanwhile moves nowhere.
            if let Some(row) = tx.query_one(LOCK, params![self.application_id.uuid(), id.uuid()]).await? {
                places.insert(id, row.opt_uuid(0)?.map(WorkspaceId::from_uuid));
            }
        }
        Ok(places)
    }

    async fn carry_out(
        &self,
        tx: &mut Tx,
        places: &BTreeMap<GrantId, Option<WorkspaceId>>,
        assign: &[GrantId],
        remove: &[GrantId],
    ) -> Result<(), DbError> {
        let mover = Mover { application_id: self.application_id, event_seed: &self.event_seed, at: self.act.at };
        let here = Some(self.workspace_id);
        let targets: BTreeMap<GrantId, Option<WorkspaceId>> =
            assign.iter().map(|id| (*id, here)).chain(remove.iter().map(|id| (*id, None))).collect();
        let mut moved = Moved::default();
        for (id, to) in targets {
            let Some(from) = places.get(&id).copied().filter(|from| *from != to) else { continue };
            if mover.move_grant(tx, id, from, to, Placement::Moved).await? {
                moved.add(id, from, to);
            }
        }
        moved.record(tx, &self.act, "workspace", &self.workspace_id.to_string()).await
    }
}

/// Mailboxes that were moved, as the record of the change shows them.
#[derive(Default)]
pub(crate) struct Moved {
    before: serde_json::Map<String, serde_json::Value>,
    after: serde_json::Map<String, serde_json::Value>,
}

impl Moved {
    pub(crate) fn add(&mut self, grant: GrantId, from: Option<WorkspaceId>, to: Option<WorkspaceId>) {
        let place = |workspace: Option<WorkspaceId>| workspace.map(|id| id.to_string()).into();
        self.before.insert(grant.to_string(), place(from));
        self.after.insert(grant.to_string(), place(to));
    }

    /// Writes one record of all; none if nothing was moved.
    pub(crate) async fn record(
        self,
        tx: &mut Tx,
        act: &Act,
        target_kind: &'static str,
        target_id: &str,
    ) -> Result<(), DbError> {
        if self.before.is_empty() {
            return Ok(());
        }
        let text = |places| serde_json::json!({ "workspace_of": serde_json::Value::Object(places) }).to_string();
        let (before, after) = (text(self.before), text(self.after));
        let change =
            Change { action: "grants.moved", target_kind, target_id, before: Some(&before), after: Some(&after) };
        audit::record(tx, act, change).await
    }
}
