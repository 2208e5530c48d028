//! Going through all mailboxes, a page at a time, for those of which something is due. The nodes share one position, so
//! that each takes the page after that of another.

use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::limits::{self, policy_limit_columns};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::GrantId;
use postfleet_core::retention::Windows;
use uuid::Uuid;

/// Takes the next mailboxes to look at.
#[derive(Clone, Copy, Debug)]
pub struct ClaimMailboxes {
    /// Now.
    pub now: UnixMicros,
    /// When to begin anew, should these be the last.
    pub again: UnixMicros,
    /// How many.
    pub limit: usize,
}

/// Mailboxes after one, up to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The last of the page before.
    pub after: GrantId,
    /// The last of this one.
    pub last: GrantId,
}

/// What became of [`ClaimMailboxes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// These are to be looked at.
    Mailboxes(Span),
    /// There is nothing to look at before then.
    NotBefore(UnixMicros),
    /// Another node is just taking some.
    Elsewhere,
}

pub(crate) const PAGE: &str = "SELECT id FROM grants WHERE id > $1 ORDER BY id LIMIT $2";

impl Command for ClaimMailboxes {
    type Outcome = Claim;

    async fn run(&self, tx: &mut Tx) -> Result<Claim, DbError> {
        const HEAD: &str = "SELECT last_grant, next_at FROM pruning_head WHERE one = 1 {skip_locked}";
        const MOVE: &str = "UPDATE pruning_head SET last_grant = $1, next_at = $2 WHERE one = 1";
        let Some(head) = tx.query_one(HEAD, params![]).await? else { return Ok(Claim::Elsewhere) };
        let (after, next_at) = (head.uuid(0)?, UnixMicros::from_micros(head.int(1)?));
        // A clock that was set back does not stop it for longer than a round takes.
        if self.now < next_at && next_at <= self.again {
            return Ok(Claim::NotBefore(next_at));
        }
        let page = tx.query(PAGE, params![after, self.limit as i64]).await?;
        let last = page.last().map(|row| row.uuid(0)).transpose()?;
        let (position, next_at) =
            if page.len() < self.limit { (Uuid::nil(), self.again) } else { (last.unwrap_or(after), self.now) };
        tx.execute(MOVE, params![position, next_at.as_micros()]).await?;
        Ok(match last {
            Some(last) => Claim::Mailboxes(Span { after: GrantId::from_uuid(after), last: GrantId::from_uuid(last) }),
            None => Claim::NotBefore(next_at),
        })
    }
}

pub(crate) const IN_SPAN: &str = concat!(
    "SELECT g.id, o.plan, \
     (SELECT l.date FROM listings l WHERE l.grant_id = g.id AND l.folder = '' ORDER BY l.date LIMIT 1), \
     (SELECT l.date FROM listings l WHERE l.grant_id = g.id AND l.folder = $3 ORDER BY l.date LIMIT 1), ",
    policy_limit_columns!(),
    " FROM grants g JOIN applications a ON a.id = g.application_id JOIN organizations o ON o.id = a.organization_id \
     LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
     WHERE g.id > $1 AND g.id <= $2 ORDER BY g.id"
);

/// The mailboxes among these of which something may be due: of each its oldest message is looked at, and its oldest in
/// junk.
pub async fn due(reader: &mut Reader<'_>, span: Span, now: UnixMicros) -> Result<Vec<GrantId>, StoreError> {
    let values = params![span.after.uuid(), span.last.uuid(), SystemFolder::Junk.id()];
    let mut due = Vec::new();
    for row in reader.query(IN_SPAN, values).await? {
        let plan = reader.plan(row.str(1)?)?;
        let windows = Windows::of(&limits::effective(&plan, &row, 4)?);
        let date = |column| Ok::<_, DbError>(row.opt_int(column)?.map(UnixMicros::from_micros));
        if windows.is_due(date(2)?, date(3)?, now) {
            due.push(GrantId::from_uuid(row.uuid(0)?));
        }
    }
    Ok(due)
}
