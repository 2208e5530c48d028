//! How much the mailboxes of a workspace have sent on their busiest days, from the ledger of sends.

use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UtcDay;
use postfleet_core::id::{GrantId, WorkspaceId};

/// The most that one mailbox has sent on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Which mailbox.
    pub grant: GrantId,
    /// On which day.
    pub day: UtcDay,
    /// How many messages.
    pub sent: u64,
}

/// What some mailboxes of a workspace have sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busiest {
    /// The mailbox that sent most on one day, and how much; `None` if none has sent anything.
    pub mailbox: Option<(GrantId, u64)>,
    /// How many mailboxes were looked at.
    pub looked_at: usize,
    /// The last of them, if there may be more: where the next look begins.
    pub last: Option<GrantId>,
}

pub(crate) const BUSIEST: &str = "SELECT g.id, \
    (SELECT max(s.sent) FROM daily_sends s WHERE s.grant_id = g.id AND s.day >= $4) \
    FROM grants g WHERE g.workspace_id = $1 AND g.id > $2 ORDER BY g.id LIMIT $3";
pub(crate) const DAYS: &str = "SELECT day, sent FROM daily_sends WHERE grant_id = $1 AND day >= $2 ORDER BY day";

/// Looks at no more than `limit` mailboxes of a workspace after `after`, from the day `since` on.
pub async fn busiest(
    reader: &mut Reader<'_>,
    workspace: WorkspaceId,
    after: Option<GrantId>,
    limit: usize,
    since: UtcDay,
) -> Result<Busiest, StoreError> {
    let after = after.map_or_else(uuid::Uuid::nil, GrantId::uuid);
    let rows = reader.query(BUSIEST, params![workspace.uuid(), after, limit as i64, since.number()]).await?;
    let mut found = Busiest { looked_at: rows.len(), ..Busiest::default() };
    for row in &rows {
        let (grant, sent) = (GrantId::from_uuid(row.uuid(0)?), count(row.opt_int(1)?.unwrap_or(0)));
        if sent > found.mailbox.map_or(0, |(_, most)| most) {
            found.mailbox = Some((grant, sent));
        }
        found.last = (rows.len() == limit).then_some(grant);
    }
    Ok(found)
}

/// The busiest day of a mailbox from the day `since` on, the latest of several.
pub async fn of_mailbox(reader: &mut Reader<'_>, grant: GrantId, since: UtcDay) -> Result<Option<Peak>, StoreError> {
    let rows = reader.query(DAYS, params![grant.uuid(), since.number()]).await?;
    let peaks =
        rows.iter().map(|row| Ok(Peak { grant, day: UtcDay::from_number(row.int(0)?), sent: count(row.int(1)?) }));
    let peaks = peaks.collect::<Result<Vec<_>, DbError>>()?;
    Ok(peaks.into_iter().filter(|peak| peak.sent > 0).max_by_key(|peak| (peak.sent, peak.day)))
}

fn count(sent: i64) -> u64 {
    u64::try_from(sent).unwrap_or(0)
}
