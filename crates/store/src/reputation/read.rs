//! Reading where somebody stands, and counting a mailbox anew from the ledger.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use crate::send_events;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId};
use postfleet_core::reputation::{Bucket, Counts, Standing, State, SubjectKind, Window};
use serde_json::{Value, json};

/// Rows of the ledger that are read at once.
const PAGE: usize = 1_000;
/// Rows of the ledger that are read at most to count a window anew: twice the greatest window.
const READ_MAX: usize = 250_000;

/// Where somebody stands, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Whose it is: an id, or the name of a domain.
    pub name: String,
    /// Of which organization.
    pub organization_id: OrganizationId,
    /// Where they stand.
    pub standing: Standing,
    /// How bad that is: 0 if healthy.
    pub badness: i64,
}

/// Reads three columns: the counts, the state, since when.
pub(super) fn standing(row: &Row, first: usize) -> Result<Standing, DbError> {
    let counts = row.text(first)?;
    // A row that was made only to be locked says nothing. One that cannot be read must not keep mail from being settled.
    let window = counts.parse::<Window>().unwrap_or_else(|error| {
        if !counts.is_empty() {
            tracing::error!(%error, counts, "reputation begins anew");
        }
        Window::default()
    });
    let state = State::numbered(row.int(first + 1)?).ok_or(DbError::Malformed("state of reputation"))?;
    Ok(Standing { window, state, since: UnixMicros::from_micros(row.int(first + 2)?) })
}

macro_rules! kept_columns {
    () => {
        "r.subject, r.organization_id, r.badness, r.counts, r.state, r.since"
    };
}

fn kept(row: &Row) -> Result<Kept, DbError> {
    Ok(Kept {
        name: row.text(0)?,
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        badness: row.int(2)?,
        standing: standing(row, 3)?,
    })
}

/// Where somebody stands; `None` if nothing was ever counted for them.
pub async fn find(reader: &mut Reader<'_>, kind: SubjectKind, name: &str) -> Result<Option<Kept>, StoreError> {
    const FIND: &str = concat!("SELECT ", kept_columns!(), " FROM reputation r WHERE r.kind = $1 AND r.subject = $2");
    let row = reader.query_one(FIND, params![kind.number(), name]).await?;
    Ok(row.as_ref().map(kept).transpose()?)
}

/// Where several stand, in no order; those for whom nothing was ever counted are left out.
pub async fn find_all(reader: &mut Reader<'_>, kind: SubjectKind, names: &[String]) -> Result<Vec<Kept>, StoreError> {
    const FIND: &str = concat!(
        "SELECT ",
        kept_columns!(),
        " FROM {json_each}($1) AS e CROSS JOIN reputation r WHERE r.kind = $2 AND r.subject = e.value ->> 0"
    );
    let names = Value::Array(names.iter().map(|name| json!([name])).collect()).to_string();
    let rows = reader.query(FIND, params![&names, kind.number()]).await?;
    Ok(rows.iter().map(kept).collect::<Result<_, DbError>>()?)
}

pub(crate) const WORST: &str = concat!(
    "SELECT ",
    kept_columns!(),
    " FROM reputation r WHERE r.application_id = $1 AND r.kind = $2 AND r.badness > 0 \
     AND (r.badness, r.subject) < ($3, $4) ORDER BY r.badness DESC, r.subject DESC LIMIT $5"
);

/// Those of an application that are not healthy, the worst first: `limit` of those after a place.
pub async fn worst(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    kind: SubjectKind,
    after: Option<(i64, String)>,
    limit: usize,
) -> Result<Vec<Kept>, StoreError> {
    let (badness, name) = after.unwrap_or((i64::MAX, String::new()));
    let values = params![application.uuid(), kind.number(), badness, &name, limit as i64];
    let rows = reader.query(WORST, values).await?;
    Ok(rows.iter().map(kept).collect::<Result<_, DbError>>()?)
}

pub(crate) const OF_APPLICATION: &str = concat!(
    "SELECT ",
    kept_columns!(),
    " FROM reputation r WHERE r.application_id = $1 AND r.kind = $2 ORDER BY r.badness DESC, r.subject DESC LIMIT $3"
);

/// Those of an application, the worst first.
pub async fn of_application(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    kind: SubjectKind,
    limit: usize,
) -> Result<Vec<Kept>, StoreError> {
    let rows = reader.query(OF_APPLICATION, params![application.uuid(), kind.number(), limit as i64]).await?;
    Ok(rows.iter().map(kept).collect::<Result<_, DbError>>()?)
}

/// A window, counted anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recount {
    /// What the ledger says.
    pub counts: Counts,
    /// Whether the ledger still has all of it.
    pub is_complete: bool,
    /// Whether it says the same as the window.
    pub agrees: bool,
}

/// Counts the window of a mailbox anew from the ledger: each outcome that counted has its number, and the window is
/// made of those with the highest, whatever is counted meanwhile.
pub async fn recount(reader: &mut Reader<'_>, grant: GrantId) -> Result<Option<Recount>, StoreError> {
    let Some(kept) = find(reader, SubjectKind::Grant, &grant.to_string()).await? else { return Ok(None) };
    let window = &kept.standing.window;
    let (last, expected) = (window.counted(), window.outcomes());
    let first = last - expected + 1;
    let (mut found, mut before, mut read) = (Bucket::default(), None, 0);
    while found.outcomes < expected && read < READ_MAX {
        let page = send_events::of_grant(reader, grant, before, false, PAGE).await?;
        // What was counted since the window was read is not part of it.
        for event in page.iter().filter(|event| (first..=last).contains(&event.number)) {
            found.add(&Bucket::from(event.counted));
        }
        read += page.len();
        before = page.last().map(|event| event.id);
        if page.len() < PAGE {
            break;
        }
    }
    let is_complete = found.outcomes == expected;
    let agrees = is_complete && found.counts == window.counts();
    Ok(Some(Recount { counts: found.counts, is_complete, agrees }))
}
