//! Connectors: that an application makes mailboxes, as clients of the hosted service expect to find it said. Mailboxes
//! do not depend on them.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ConnectorId};
use postfleet_core::{Patch, UnixMicros};

/// The only provider that there is.
pub const PROVIDER: &str = "nylas";

/// A connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connector {
    /// Its id.
    pub id: ConnectorId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// What is kept and shown, as a JSON object.
    pub settings: String,
    /// What is kept and shown.
    pub scope: Vec<String>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

impl Connector {
    /// What a record of a change shows of it. Its settings may hold what is nobody else's business.
    fn facts(&self) -> String {
        serde_json::json!({"name": self.name, "provider": PROVIDER, "scope": self.scope}).to_string()
    }
}

/// Makes an application's connector.
#[derive(Clone, Debug)]
pub struct CreateConnector {
    /// Who does it, and when.
    pub act: Act,
    /// The connector.
    pub connector: Connector,
}

impl Command for CreateConnector {
    /// False when the application has one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const INSERT: &str = "INSERT INTO connectors (application_id, provider, id, name, settings, scope, created_at, \
            updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (application_id, provider) DO NOTHING";
        let new = &self.connector;
        let scope = scope_text(&new.scope);
        let values = params![
            new.application_id.uuid(),
            PROVIDER,
            new.id.uuid(),
            &new.name,
            &new.settings,
            &scope,
            new.created_at.as_micros(),
            new.updated_at.as_micros()
        ];
        if tx.execute(INSERT, values).await? == 0 {
            return Ok(false);
        }
        record(tx, &self.act, "connector.created", new.id, None, Some(new)).await?;
        Ok(true)
    }
}

/// Changes an application's connector.
#[derive(Clone, Debug)]
pub struct UpdateConnector {
    /// Who does it, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// The name.
    pub name: Patch<String>,
    /// The settings, as a whole; cleared, there are none.
    pub settings: Patch<String>,
    /// The scope, as a whole; cleared, it is empty.
    pub scope: Patch<Vec<String>>,
}

impl Command for UpdateConnector {
    /// The connector as it is now; `None` if there is none.
    type Outcome = Option<Connector>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Connector>, DbError> {
        const UPDATE: &str = "UPDATE connectors SET name = $3, settings = $4, scope = $5, updated_at = $6 \
            WHERE application_id = $1 AND provider = $2";
        let Some(before) = lock(tx, self.application_id).await? else { return Ok(None) };
        let after = Connector {
            name: self.name.clone().apply(Some(before.name.clone())).unwrap_or_else(|| PROVIDER.to_owned()),
            settings: self.settings.clone().apply(Some(before.settings.clone())).unwrap_or_else(|| "{}".to_owned()),
            scope: self.scope.clone().apply(Some(before.scope.clone())).unwrap_or_default(),
            ..before.clone()
        };
        if after == before {
            return Ok(Some(before));
        }
        let after = Connector { updated_at: self.act.at, ..after };
        let (scope, at) = (scope_text(&after.scope), after.updated_at.as_micros());
        let values = params![self.application_id.uuid(), PROVIDER, &after.name, &after.settings, &scope, at];
        tx.execute(UPDATE, values).await?;
        record(tx, &self.act, "connector.updated", after.id, Some(&before), Some(&after)).await?;
        Ok(Some(after))
    }
}

/// Removes an application's connector. Its mailboxes stay.
#[derive(Clone, Debug)]
pub struct RemoveConnector {
    /// Who does it, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
}

impl Command for RemoveConnector {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM connectors WHERE application_id = $1 AND provider = $2";
        let Some(before) = lock(tx, self.application_id).await? else { return Ok(false) };
        tx.execute(REMOVE, params![self.application_id.uuid(), PROVIDER]).await?;
        record(tx, &self.act, "connector.deleted", before.id, Some(&before), None).await?;
        Ok(true)
    }
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    id: ConnectorId,
    before: Option<&Connector>,
    after: Option<&Connector>,
) -> Result<(), DbError> {
    let (id, before, after) = (id.to_string(), before.map(Connector::facts), after.map(Connector::facts));
    let (before, after) = (before.as_deref(), after.as_deref());
    audit::record(tx, act, Change { action, target_kind: "connector", target_id: &id, before, after }).await
}

macro_rules! connector_columns {
    () => {
        "id, application_id, name, settings, scope, created_at, updated_at"
    };
}

const FIND: &str =
    concat!("SELECT ", connector_columns!(), " FROM connectors WHERE application_id = $1 AND provider = $2");
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    connector_columns!(),
    " FROM connectors WHERE application_id = $1 ORDER BY provider LIMIT $2 OFFSET $3"
);

async fn lock(tx: &mut Tx, application: ApplicationId) -> Result<Option<Connector>, DbError> {
    const LOCK: &str =
        concat!("SELECT ", connector_columns!(), " FROM connectors WHERE application_id = $1 AND provider = $2 {lock}");
    tx.query_one(LOCK, params![application.uuid(), PROVIDER]).await?.as_ref().map(read).transpose()
}

/// Finds an application's connector.
pub async fn find(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Option<Connector>, StoreError> {
    let row = reader.query_one(FIND, params![application.uuid(), PROVIDER]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// An application's connectors.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
    offset: usize,
) -> Result<Vec<Connector>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid(), limit as i64, offset as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Connector, DbError> {
    Ok(Connector {
        id: ConnectorId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        settings: row.text(3)?,
        scope: serde_json::from_str(row.str(4)?).map_err(|_| DbError::Malformed("scope"))?,
        created_at: UnixMicros::from_micros(row.int(5)?),
        updated_at: UnixMicros::from_micros(row.int(6)?),
    })
}

fn scope_text(scope: &[String]) -> String {
    serde_json::Value::from(scope.to_vec()).to_string()
}
