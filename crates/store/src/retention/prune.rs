//! Removing what is due from one mailbox, a little at a time: so little that mail does not wait for it.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::limits::{self, policy_limit_columns};
use crate::meters::Owner;
use crate::params;
use crate::purge::{self, Doomed, Purge, doomed_columns};
use crate::retention::report;
use postfleet_core::UnixMicros;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, AuditId, GrantId, MessageId, OrganizationId};
use postfleet_core::retention::{Window, Windows};
use serde_json::json;

/// Removes messages of a mailbox whose time is over, under the windows that hold at that moment.
#[derive(Clone, Debug)]
pub struct PruneMailbox {
    /// Which.
    pub grant_id: GrantId,
    /// Messages that it looks at, at most.
    pub limit: usize,
    /// Where it goes on in junk.
    pub after: AfterJunk,
    /// What the ids of its events are made from.
    pub event_seed: [u8; 32],
    /// The id of the record, should there be one.
    pub audit_id: AuditId,
    /// When.
    pub now: UnixMicros,
}

/// Junk is in the order in which it came, and what was moved there later is not due yet: it is passed over once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AfterJunk {
    date: i64,
    id: MessageId,
}

impl AfterJunk {
    /// Before the oldest.
    pub const START: Self = Self { date: i64::MIN, id: MessageId::from_uuid(uuid::Uuid::nil()) };
}

/// What was removed by one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// Messages.
    pub messages: u64,
    /// Octets of their raw forms.
    pub octets: u64,
}

/// What became of [`PruneMailbox`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// As old as mail may be.
    pub inbox: Removed,
    /// As old as junk may be.
    pub spam: Removed,
    /// Where to go on; `None` when nothing more is due.
    pub next: Option<AfterJunk>,
}

/// The oldest messages of a listing that were taken before some moment.
pub(crate) const EXPIRED: &str = concat!(
    "SELECT ",
    doomed_columns!(),
    ", m.junked_at FROM listings l JOIN messages m ON m.id = l.message_id \
     WHERE l.grant_id = $1 AND l.folder = $2 AND (l.date, l.message_id) > ($3, $4) AND l.date < $5 \
     ORDER BY l.date, l.message_id LIMIT $6"
);

impl Command for PruneMailbox {
    type Outcome = Pruned;

    async fn run(&self, tx: &mut Tx) -> Result<Pruned, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(Pruned::default());
        }
        let Some((owner, windows)) = holder(tx, self.grant_id).await? else { return Ok(Pruned::default()) };
        let mut pruned = Pruned::default();
        let old =
            self.expired(tx, "", AfterJunk::START, windows.due_before(Window::Inbox, self.now), self.limit).await?;
        pruned.inbox = self.remove(tx, owner, &old).await?;
        let left = self.limit - old.len();
        if left == 0 {
            pruned.next = Some(self.after);
        } else {
            let junk = SystemFolder::Junk.id();
            let before = windows.due_before(Window::Spam, self.now);
            let seen = self.expired(tx, junk, self.after, before, left).await?;
            pruned.next = seen
                .last()
                .filter(|_| seen.len() == left)
                .map(|last| AfterJunk { date: last.message.date, id: last.message.id });
            let is_over =
                |one: &Expired| windows.is_over(Window::Spam, one.junked_at.unwrap_or(one.message.date()), self.now);
            let over: Vec<Expired> = seen.into_iter().filter(is_over).collect();
            pruned.spam = self.remove(tx, owner, &over).await?;
        }
        self.tell(tx, owner, windows, &pruned).await?;
        Ok(pruned)
    }
}

impl PruneMailbox {
    async fn expired(
        &self,
        tx: &mut Tx,
        listing: &str,
        after: AfterJunk,
        before: Option<UnixMicros>,
        limit: usize,
    ) -> Result<Vec<Expired>, DbError> {
        let Some(before) = before else { return Ok(Vec::new()) };
        let grant = self.grant_id.uuid();
        let values = params![grant, listing, after.date, after.id.uuid(), before.as_micros(), limit as i64];
        tx.query(EXPIRED, values).await?.iter().map(Expired::read).collect()
    }

    /// Purges messages of the mailbox, which is locked.
    async fn remove(&self, tx: &mut Tx, owner: Owner, expired: &[Expired]) -> Result<Removed, DbError> {
        let purge = Purge {
            application_id: ApplicationId::from_uuid(owner.application),
            grant_id: self.grant_id,
            event_seed: self.event_seed,
            at: self.now,
        };
        let doomed: Vec<&Doomed> = expired.iter().map(|one| &one.message).collect();
        let octets = purge.run(tx, &doomed).await?;
        Ok(Removed { messages: doomed.len() as u64, octets })
    }

    /// Writes down what was removed; and into the record of changes when it was removed under other windows than before.
    async fn tell(&self, tx: &mut Tx, owner: Owner, windows: Windows, pruned: &Pruned) -> Result<(), DbError> {
        if pruned.inbox.messages + pruned.spam.messages == 0 {
            return Ok(());
        }
        let before = report::last_windows(tx, self.grant_id).await?;
        report::add(tx, self.grant_id, windows, pruned, self.now).await?;
        if before == Some(windows) {
            return Ok(());
        }
        let show = |windows: Windows| {
            json!({"inbox_retention_days": windows.inbox_days, "spam_retention_days": windows.spam_days}).to_string()
        };
        let (target, before, after) = (self.grant_id.to_string(), before.map(show), show(windows));
        let change = Change {
            action: "grant.pruned",
            target_kind: "grant",
            target_id: &target,
            before: before.as_deref(),
            after: Some(&after),
        };
        let act = Act {
            record_id: self.audit_id,
            actor: Actor { kind: ActorKind::System, id: String::new(), name: "retention".into() },
            organization_id: OrganizationId::from_uuid(owner.organization),
            application_id: Some(ApplicationId::from_uuid(owner.application)),
            request_id: String::new(),
            at: self.now,
        };
        audit::record(tx, &act, change).await
    }
}

/// Whose a mailbox is, and how long its mail is kept.
async fn holder(tx: &mut Tx, grant: GrantId) -> Result<Option<(Owner, Windows)>, DbError> {
    const READ: &str = concat!(
        "SELECT b.organization_id, b.application_id, o.plan, ",
        policy_limit_columns!(),
        " FROM grants g JOIN mailboxes b ON b.grant_id = g.id JOIN organizations o ON o.id = b.organization_id \
         LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id WHERE g.id = $1"
    );
    let Some(row) = tx.query_one(READ, params![grant.uuid()]).await? else { return Ok(None) };
    let plan = tx.plan(row.str(2)?)?;
    Ok(Some((Owner::read(&row, 0)?, Windows::of(&limits::effective(&plan, &row, 3)?))))
}

/// How long the mail of a mailbox is kept.
pub(crate) async fn windows(tx: &mut Tx, grant: GrantId) -> Result<Option<Windows>, DbError> {
    Ok(holder(tx, grant).await?.map(|(_, windows)| windows))
}

/// A message that may be due.
struct Expired {
    message: Doomed,
    /// When it was moved into junk.
    junked_at: Option<UnixMicros>,
}

impl Expired {
    fn read(row: &Row) -> Result<Self, DbError> {
        let junked_at = row.opt_int(purge::COLUMNS)?.map(UnixMicros::from_micros);
        Ok(Self { message: Doomed::read(row)?, junked_at })
    }
}
