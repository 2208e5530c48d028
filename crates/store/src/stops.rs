//! Stops: what keeps somebody from sending, and what did. [`raise`] and [`lift`] are the only ways to change it: each
//! writes its record and its events in the same transaction, and keeps the counts by which everybody else pays nothing.

mod change;
mod lifted;
mod reach;
mod read;
mod target;

pub(crate) use change::tell_swept;
pub use change::{Lift, LiftOutcome, LiftStop, NewStop, RaiseOutcome, RaiseStop, Raised, lift, lift_of, raise};
pub(crate) use lifted::lifted_at;
pub use lifted::resumed_at;
pub(crate) use reach::{lock_names, name_came, name_went};
pub use read::{Author, Behind, Page, Record, Whose, all_of_grant, behind, count_by_kind, find, list};
#[cfg(test)]
pub(crate) use read::{BEHIND, LIST, LIST_ABOVE, LIST_ACTIVE, LIST_ALL, LIST_OF_GRANT, LIST_OF_WORKSPACE};
pub use target::{Target, Within};

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::EmailAddress;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, StopId, ThreadId, WorkspaceId};
use postfleet_core::stop::{Effect, Kind, Scope, Stop, with_parents};
use std::collections::{BTreeSet, HashSet};

/// Who sends, as stops see it.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Whose the application is.
    pub organization: OrganizationId,
    /// The application.
    pub application: ApplicationId,
    /// The workspace of the mailbox, if it is in one.
    pub workspace: Option<WorkspaceId>,
    /// The mailbox.
    pub grant: GrantId,
    /// Its address.
    pub address: EmailAddress,
    /// The conversation, if it is known.
    pub thread: Option<ThreadId>,
}

impl Sender {
    /// What stops of the sender have as their subject.
    pub fn subjects(&self) -> Vec<String> {
        let ids = [
            Some(self.organization.to_string()),
            Some(self.application.to_string()),
            self.workspace.map(|id| id.to_string()),
            Some(self.grant.to_string()),
            self.thread.map(|id| id.to_string()),
            Some(self.address.key()),
        ];
        let domains = with_parents(self.address.domain()).into_iter().map(str::to_owned);
        ids.into_iter().flatten().chain(domains).collect()
    }
}

macro_rules! stop_columns {
    () => {
        "id, kind, effect, scope, subject, reason, value"
    };
}

fn read_stop(row: &Row) -> Result<Stop, DbError> {
    Ok(Stop {
        id: StopId::from_uuid(row.uuid(0)?),
        kind: Kind::named(row.str(1)?).ok_or(DbError::Malformed("kind of stop"))?,
        effect: Effect::named(row.str(2)?).ok_or(DbError::Malformed("effect of stop"))?,
        scope: Scope::named(row.str(3)?).ok_or(DbError::Malformed("scope of stop"))?,
        subject: row.text(4)?,
        reason: row.text(5)?,
        value: row.opt_int(6)?.map(|value| value.max(0) as u64),
    })
}

pub(crate) const IN_FORCE: &str = concat!(
    "SELECT ",
    stop_columns!(),
    " FROM stops WHERE organization_id = $1 AND lifted_at IS NULL AND subject IN \
     (SELECT e.value ->> 0 FROM {json_each}($2) AS e) UNION ALL SELECT ",
    stop_columns!(),
    // Whoever has registered what is below a restricted domain.
    " FROM stops WHERE kind = 'restriction' AND scope = 'domain' AND lifted_at IS NULL AND organization_id <> $1 \
     AND subject IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e)"
);

/// The stops that are in force for an organization and have one of these subjects, the oldest first.
pub(crate) async fn in_force(
    tx: &mut Tx,
    organization: OrganizationId,
    subjects: &BTreeSet<String>,
) -> Result<Vec<Stop>, DbError> {
    let subjects: Vec<[&String; 1]> = subjects.iter().map(|subject| [subject]).collect();
    let subjects = serde_json::to_string(&subjects).map_err(|_| DbError::Malformed("subjects"))?;
    let rows = tx.query(IN_FORCE, params![organization.uuid(), &subjects]).await?;
    let mut stops: Vec<Stop> = rows.iter().map(read_stop).collect::<Result<_, DbError>>()?;
    stops.sort_by_key(|stop| stop.id);
    Ok(stops)
}

/// The same for a reader: those that concern somebody who sends.
pub(crate) async fn read_in_force(reader: &mut Reader<'_>, sender: &Sender) -> Result<Vec<Stop>, StoreError> {
    let subjects: Vec<[String; 1]> = sender.subjects().into_iter().map(|subject| [subject]).collect();
    let subjects = serde_json::to_string(&subjects).map_err(|_| DbError::Malformed("subjects"))?;
    let rows = reader.query(IN_FORCE, params![sender.organization.uuid(), &subjects]).await?;
    let mut stops: Vec<Stop> = rows.iter().map(read_stop).collect::<Result<_, DbError>>()?;
    stops.sort_by_key(|stop| (stop.kind as usize, stop.scope as usize, stop.id));
    Ok(stops)
}

/// What a node knows of stops: the version of all of them, and the applications whose organizations have some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// It grows with each that is raised or lifted.
    pub version: i64,
    /// Applications that a stop may concern.
    pub applications: HashSet<ApplicationId>,
    /// Applications of which something may wait behind a stop that was lifted.
    pub releasing: HashSet<ApplicationId>,
}

/// What there is to be known, if it is not what is known already.
pub async fn news(reader: &mut Reader<'_>, known: i64) -> Result<Option<Known>, StoreError> {
    const HEAD: &str = "SELECT version, active FROM stops_head WHERE one = 1";
    macro_rules! applications {
        ($those:literal) => {
            concat!(
                "SELECT a.id FROM stops s JOIN applications a ON a.organization_id = s.organization_id WHERE ",
                $those,
                " UNION SELECT a.id FROM stops s JOIN domains d ON ",
                reach::is_under!("d.name", "s.subject"),
                " JOIN applications a ON a.organization_id = d.organization_id \
                 WHERE s.kind = 'restriction' AND s.scope = 'domain' AND ",
                $those
            )
        };
    }
    const APPLICATIONS: &str = applications!("s.lifted_at IS NULL");
    const RELEASING: &str = applications!("s.lifted_at > 0 AND s.swept = 0");
    let Some(head) = reader.query_one(HEAD, params![]).await? else { return Ok(None) };
    let version = head.int(0)?;
    if version == known {
        return Ok(None);
    }
    let mut applications = HashSet::new();
    if head.int(1)? > 0 {
        for row in reader.query(APPLICATIONS, params![]).await? {
            applications.insert(ApplicationId::from_uuid(row.uuid(0)?));
        }
    }
    let mut releasing = HashSet::new();
    for row in reader.query(RELEASING, params![]).await? {
        releasing.insert(ApplicationId::from_uuid(row.uuid(0)?));
    }
    Ok(Some(Known { version, applications, releasing }))
}

/// The stops that concern somebody who sends.
pub(crate) async fn of_sender(tx: &mut Tx, sender: &Sender) -> Result<Vec<Stop>, DbError> {
    in_force(tx, sender.organization, &sender.subjects().into_iter().collect()).await
}
