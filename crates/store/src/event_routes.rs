//! Rules by which events are given to subjects of the message bus: making and changing them, and reading those of an
//! application.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::event_route::{EventRoute, Matcher, ROUTES_MAX};
use postfleet_core::id::{ApplicationId, EventRouteId};
use postfleet_core::{Patch, UnixMicros};
use serde_json::{Value, json};

/// A rule as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoute {
    /// Whose.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// The rule.
    pub route: EventRoute,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was changed last.
    pub updated_at: UnixMicros,
}

macro_rules! route_columns {
    () => {
        "application_id, id, name, priority, enabled, matching, subject, created_at, updated_at"
    };
}

fn read(row: &Row) -> Result<StoredRoute, DbError> {
    let matcher: Matcher = serde_json::from_str(row.str(5)?).map_err(|_| DbError::Malformed("event route"))?;
    Ok(StoredRoute {
        application_id: ApplicationId::from_uuid(row.uuid(0)?),
        name: row.text(2)?,
        route: EventRoute {
            id: EventRouteId::from_uuid(row.uuid(1)?),
            priority: row.int(3)?,
            enabled: row.flag(4)?,
            matcher,
            subject: row.text(6)?,
        },
        created_at: UnixMicros::from_micros(row.int(7)?),
        updated_at: UnixMicros::from_micros(row.int(8)?),
    })
}

pub(crate) const LIST: &str =
    concat!("SELECT ", route_columns!(), " FROM event_routes WHERE application_id = $1 ORDER BY id");

/// An application's rules, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<StoredRoute>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A rule of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: EventRouteId,
) -> Result<Option<StoredRoute>, StoreError> {
    const FIND: &str = concat!("SELECT ", route_columns!(), " FROM event_routes WHERE application_id = $1 AND id = $2");
    let row = reader.query_one(FIND, params![application.uuid(), id.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Whether any application has a rule.
pub async fn any(reader: &mut Reader<'_>) -> Result<bool, StoreError> {
    const ANY: &str = "SELECT application_id FROM event_routes LIMIT 1";
    Ok(reader.query_one(ANY, params![]).await?.is_some())
}

fn facts(stored: &StoredRoute) -> Value {
    json!({
        "name": stored.name,
        "priority": stored.route.priority,
        "enabled": stored.route.enabled,
        "match": stored.route.matcher,
        "subject": stored.route.subject,
    })
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    [before, after]: [Option<&StoredRoute>; 2],
) -> Result<(), DbError> {
    let id = after.or(before).map(|stored| stored.route.id.to_string()).unwrap_or_default();
    let text = |stored: Option<&StoredRoute>| stored.map(|stored| facts(stored).to_string());
    let (before, after) = (text(before), text(after));
    let change =
        Change { action, target_kind: "route", target_id: &id, before: before.as_deref(), after: after.as_deref() };
    audit::record(tx, act, change).await
}

/// Makes a rule.
#[derive(Clone, Debug)]
pub struct CreateRoute {
    /// Who, and when.
    pub act: Act,
    /// The rule.
    pub stored: StoredRoute,
}

impl Command for CreateRoute {
    /// False when there are as many as there may be.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
        const COUNT: &str = "SELECT count(*) FROM event_routes WHERE application_id = $1";
        const INSERT: &str =
            concat!("INSERT INTO event_routes (", route_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
        let StoredRoute { application_id, name, route, created_at, updated_at } = &self.stored;
        let application = application_id.uuid();
        tx.query_one(LOCK, params![application]).await?;
        let count = tx.query_one(COUNT, params![application]).await?.map_or(Ok(0), |row| row.count(0))?;
        if count >= ROUTES_MAX as u64 {
            return Ok(false);
        }
        let matching = written(&route.matcher);
        let values = params![
            application,
            route.id.uuid(),
            name,
            route.priority,
            route.enabled,
            &matching,
            &route.subject,
            created_at.as_micros(),
            updated_at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        record(tx, &self.act, "route.created", [None, Some(&self.stored)]).await?;
        Ok(true)
    }
}

fn written(matcher: &Matcher) -> String {
    serde_json::to_string(matcher).unwrap_or_else(|_| "{}".to_owned())
}

/// Changes a rule; what is kept stays.
#[derive(Clone, Debug)]
pub struct UpdateRoute {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: EventRouteId,
    /// What people call it.
    pub name: Option<String>,
    /// When it is asked.
    pub priority: Option<i64>,
    /// Whether it is asked.
    pub enabled: Option<bool>,
    /// What an event must be like; nothing if it is cleared.
    pub matcher: Patch<Matcher>,
    /// Where the event goes.
    pub subject: Option<String>,
}

impl Command for UpdateRoute {
    /// The rule as it is now; none if there is none.
    type Outcome = Option<StoredRoute>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<StoredRoute>, DbError> {
        const LOCKED: &str =
            concat!("SELECT ", route_columns!(), " FROM event_routes WHERE application_id = $1 AND id = $2 {lock}");
        const UPDATE: &str = "UPDATE event_routes SET name = $3, priority = $4, enabled = $5, matching = $6, subject = $7, \
            updated_at = $8 WHERE application_id = $1 AND id = $2";
        let (application, id) = (self.application_id.uuid(), self.id.uuid());
        let row = tx.query_one(LOCKED, params![application, id]).await?;
        let Some(before) = row.as_ref().map(read).transpose()? else { return Ok(None) };
        let was = before.route.clone();
        let route = EventRoute {
            id: was.id,
            priority: self.priority.unwrap_or(was.priority),
            enabled: self.enabled.unwrap_or(was.enabled),
            matcher: self.matcher.clone().apply(Some(was.matcher)).unwrap_or_default(),
            subject: self.subject.clone().unwrap_or(was.subject),
        };
        let name = self.name.clone().unwrap_or_else(|| before.name.clone());
        if name == before.name && route == before.route {
            return Ok(Some(before));
        }
        let after = StoredRoute { name, route, updated_at: self.act.at, ..before.clone() };
        let matching = written(&after.route.matcher);
        let values = params![
            application,
            id,
            &after.name,
            after.route.priority,
            after.route.enabled,
            &matching,
            &after.route.subject,
            self.act.at.as_micros()
        ];
        tx.execute(UPDATE, values).await?;
        record(tx, &self.act, "route.updated", [Some(&before), Some(&after)]).await?;
        Ok(Some(after))
    }
}

/// Removes a rule.
#[derive(Clone, Debug)]
pub struct RemoveRoute {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: EventRouteId,
}

impl Command for RemoveRoute {
    /// False when there is none.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCKED: &str =
            concat!("SELECT ", route_columns!(), " FROM event_routes WHERE application_id = $1 AND id = $2 {lock}");
        const REMOVE: &str = "DELETE FROM event_routes WHERE application_id = $1 AND id = $2";
        let (application, id) = (self.application_id.uuid(), self.id.uuid());
        let row = tx.query_one(LOCKED, params![application, id]).await?;
        let Some(before) = row.as_ref().map(read).transpose()? else { return Ok(false) };
        tx.execute(REMOVE, params![application, id]).await?;
        record(tx, &self.act, "route.removed", [Some(&before), None]).await?;
        Ok(true)
    }
}
