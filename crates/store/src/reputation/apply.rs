//! Counting what happened in a batch, and beginning anew.

use super::read::standing;
use super::{Subject, guard, tell};
use crate::db::{Db, DbError, Param};
use crate::engine::Tx;
use crate::params;
use crate::send_events::{self, SendEvent};
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, SendEventId};
use postfleet_core::reputation::{Standing, SubjectKind, Transition};
use std::collections::BTreeMap;

/// A change of where somebody stands.
pub(super) struct Change {
    pub(super) subject: Subject,
    pub(super) transition: Transition,
    /// Where they stand after it.
    pub(super) standing: Standing,
    /// What it follows from.
    pub(super) outcome: SendEvent,
}

/// Counts what happened in the batch, writes it down, and does what follows. Answers what happened.
pub(crate) async fn apply(tx: &mut Tx) -> Result<Vec<SendEvent>, DbError> {
    let mut outcomes = tx.tally().take_outcomes();
    let counting = outcomes.iter().filter(|outcome| outcome.counted.is_anything());
    let concerned: BTreeMap<Subject, ()> = counting.flat_map(Subject::concerned).map(|one| (one, ())).collect();
    let (mut standings, mut kept) = (BTreeMap::new(), BTreeMap::new());
    let mut changes = Vec::new();
    if !concerned.is_empty() {
        (standings, kept) = lock(tx, concerned.into_keys().collect(), last(&outcomes)).await?;
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.counted.is_anything()) {
            count(outcome, &mut standings, &mut changes);
        }
    }
    send_events::write(tx.db(), &outcomes).await?;
    let (stay, moved): (Vec<_>, Vec<_>) = standings.iter().partition(|(one, now)| kept.get(one) == Some(&place(now)));
    write_counts(tx.db(), &stay).await?;
    write(tx.db(), &moved).await?;
    for change in &changes {
        tell::what_follows(tx, change).await?;
    }
    guard::look(tx, &outcomes, &standings).await?;
    Ok(outcomes)
}

/// Where somebody stands, without what was counted: their state, since when, and how bad it is.
type Place = (i64, UnixMicros, i64);

fn place(standing: &Standing) -> Place {
    (standing.state.number(), standing.since, standing.badness())
}

/// When the last of them happened.
fn last(outcomes: &[SendEvent]) -> UnixMicros {
    outcomes.iter().map(|outcome| outcome.id).max().map_or(UnixMicros::from_micros(0), SendEventId::made_at)
}

fn count(outcome: &mut SendEvent, standings: &mut BTreeMap<Subject, Standing>, changes: &mut Vec<Change>) {
    let at = outcome.id.made_at();
    for subject in Subject::concerned(outcome) {
        let Some(standing) = standings.get_mut(&subject) else { continue };
        let transition = standing.observe(subject.kind(), outcome.counted, at);
        if subject.kind() == SubjectKind::Grant {
            outcome.number = standing.window.counted();
        }
        if let Some(transition) = transition {
            let (standing, outcome) = (standing.clone(), outcome.clone());
            changes.push(Change { subject, transition, standing, outcome });
        }
    }
}

/// Reads where they stand, and of whom there is a row, the place that it has; on PostgreSQL nobody else counts for them
/// until the commit. All writers take the rows in the same order.
async fn lock(
    tx: &mut Tx,
    subjects: Vec<Subject>,
    now: UnixMicros,
) -> Result<(BTreeMap<Subject, Standing>, BTreeMap<Subject, Place>), DbError> {
    // There is one writer.
    const READ: &str = "SELECT r.kind, r.subject, r.organization_id, r.counts, r.state, r.since \
        FROM {json_each}($1) AS e CROSS JOIN reputation r \
        WHERE r.kind = CAST(e.value ->> 0 AS {int}) AND r.subject = e.value ->> 1";
    const LOCK: &str = "INSERT INTO reputation AS r (kind, subject, organization_id, application_id, counts, state, \
        badness, since) SELECT CAST(e.value ->> 0 AS {int}), e.value ->> 1, {hex_id}(e.value ->> 2), \
        {hex_id}(e.value ->> 3), '', CAST(0 AS {int}), CAST(0 AS {int}), CAST($2 AS {int}) FROM {json_each}($1) AS e \
        WHERE true ON CONFLICT (kind, subject) DO UPDATE SET state = r.state \
        RETURNING r.kind, r.subject, r.organization_id, r.counts, r.state, r.since";
    let list = Subject::list(&subjects);
    let rows = match tx.db() {
        db @ Db::Sqlite(_) => db.query(READ, params![&list]).await?,
        db @ Db::Postgres(_) => db.query(LOCK, params![&list, now.as_micros()]).await?,
    };
    let mut found = BTreeMap::new();
    for row in &rows {
        let organization = row.uuid(2)?;
        found.insert((row.int(0)?, row.text(1)?), (organization, standing(row, 3)?));
    }
    let (mut standings, mut places) = (BTreeMap::new(), BTreeMap::new());
    for subject in subjects {
        let kept = found.remove(&(subject.kind, subject.name.clone()));
        // A domain that has another owner now begins anew.
        let kept = kept.filter(|(organization, _)| *organization == subject.organization_id.uuid());
        if let Some((_, standing)) = &kept {
            places.insert(subject.clone(), place(standing));
        }
        standings.insert(subject, kept.map_or_else(|| Standing::new(now), |(_, standing)| standing));
    }
    Ok((standings, places))
}

/// Writes what was counted for those who stand where they stood. Nothing by which they are listed changes: the index is
/// left alone, which is a page less for each of them.
async fn write_counts(db: &mut Db, standings: &[(&Subject, &Standing)]) -> Result<(), DbError> {
    const WRITE: &str = "UPDATE reputation SET counts = $1 WHERE kind = $2 AND subject = $3";
    if standings.is_empty() {
        return Ok(());
    }
    let counts: Vec<String> = standings.iter().map(|(_, standing)| standing.window.to_string()).collect();
    let rows: Vec<Vec<Param<'_>>> = (standings.iter().zip(&counts))
        .map(|((subject, _), counts)| params![counts, subject.kind, &subject.name].to_vec())
        .collect();
    db.execute_each(WRITE, &rows).await
}

/// Writes where they stand.
async fn write(db: &mut Db, standings: &[(&Subject, &Standing)]) -> Result<(), DbError> {
    const WRITE: &str = "INSERT INTO reputation (kind, subject, organization_id, application_id, counts, state, badness, \
        since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, subject) DO UPDATE SET \
        organization_id = excluded.organization_id, counts = excluded.counts, state = excluded.state, \
        badness = excluded.badness, since = excluded.since";
    if standings.is_empty() {
        return Ok(());
    }
    let counts: Vec<String> = standings.iter().map(|(_, standing)| standing.window.to_string()).collect();
    let rows: Vec<Vec<Param<'_>>> =
        standings.iter().zip(&counts).map(|((subject, standing), counts)| row(subject, standing, counts)).collect();
    db.execute_each(WRITE, &rows).await
}

fn row<'a>(subject: &'a Subject, standing: &Standing, counts: &'a str) -> Vec<Param<'a>> {
    params![
        subject.kind,
        &subject.name,
        subject.organization_id.uuid(),
        subject.application_id.map(ApplicationId::uuid),
        counts,
        standing.state.number(),
        standing.badness(),
        standing.since.as_micros()
    ]
    .to_vec()
}

/// Lets a mailbox begin anew, whose pause was lifted: what was counted before counts no more.
pub(crate) async fn begin_anew(tx: &mut Tx, grant: GrantId, cause: SendEventId) -> Result<(), DbError> {
    const FIND: &str = "SELECT organization_id, application_id, counts, state, since FROM reputation \
        WHERE kind = $1 AND subject = $2 {lock}";
    let (kind, name) = (SubjectKind::Grant, grant.to_string());
    let Some(row) = tx.query_one(FIND, params![kind.number(), &name]).await? else { return Ok(()) };
    let subject = Subject {
        kind: kind.number(),
        name,
        organization_id: OrganizationId::from_uuid(row.uuid(0)?),
        application_id: row.opt_uuid(1)?.map(ApplicationId::from_uuid),
    };
    let mut standing = standing(&row, 2)?;
    let Some(transition) = standing.begin_anew(cause.made_at()) else { return Ok(()) };
    write(tx.db(), &[(&subject, &standing)]).await?;
    tell::changed(tx, (&subject, transition, &standing), cause).await
}

/// Nothing is known any more of who is gone.
pub(crate) async fn forget(tx: &mut Tx, kind: SubjectKind, name: &str) -> Result<(), DbError> {
    const FORGET: &str = "DELETE FROM reputation WHERE kind = $1 AND subject = $2";
    tx.tally().forget_reputation(kind, name);
    tx.execute(FORGET, params![kind.number(), name]).await?;
    Ok(())
}
