//! PostgreSQL through tokio-postgres: the scale-out engine.

use super::{DbError, Param, Row, dialect};
use bytes::BytesMut;
use std::collections::HashMap;
use std::time::Duration;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};

/// How long a connection is waited for, unless the URL says `connect_timeout`.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long what was sent may stay unacknowledged, unless the URL says `tcp_user_timeout`: a machine that has vanished
/// says nothing, and the system alone would wait for a quarter of an hour.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection on which nothing is sent is believed in, unless the URL says `keepalives_idle`.
const QUIET_AT_MOST: Duration = Duration::from_secs(30);
/// What the driver takes when the URL does not say `keepalives_idle`.
const QUIET_OF_THE_DRIVER: Duration = Duration::from_secs(2 * 60 * 60);

/// One PostgreSQL connection with its prepared statements.
pub struct Postgres {
    client: Client,
    prepared: HashMap<(usize, usize), Statement>,
}

impl Postgres {
    /// Connects by URL. The connection's driver runs until the connection is dropped.
    pub async fn connect(url: &str) -> Result<Self, DbError> {
        let (client, connection) = config(url)?.connect(NoTls).await.map_err(db_error)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "database connection ended");
            }
        });
        let mut postgres = Self { client, prepared: HashMap::new() };
        // An operator may have relaxed it in the server's configuration; an acknowledgement relies on it.
        postgres.script("SET synchronous_commit = on").await?;
        Ok(postgres)
    }

    /// Whether the connection has broken.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) async fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let statement = self.prepare(sql).await?;
        let rows = self.client.query(&statement, &refs(params)).await.map_err(db_error)?;
        Ok(rows.into_iter().map(Row::Postgres).collect())
    }

    pub(super) async fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, DbError> {
        let statement = self.prepare(sql).await?;
        self.client.execute(&statement, &refs(params)).await.map_err(db_error)
    }

    pub(super) async fn execute_each(&mut self, sql: &'static str, rows: &[Vec<Param<'_>>]) -> Result<(), DbError> {
        let statement = self.prepare(sql).await?;
        let (client, statement) = (&self.client, &statement);
        // They are sent one behind the other, without waiting for the answers in between.
        let each = rows.iter().map(|row| async move { client.execute(statement, &refs(row)).await });
        for answer in futures::future::join_all(each).await {
            answer.map_err(db_error)?;
        }
        Ok(())
    }

    pub(super) async fn script(&mut self, sql: &str) -> Result<(), DbError> {
        self.client.batch_execute(&dialect::postgres(sql)).await.map_err(db_error)
    }

    async fn prepare(&mut self, sql: &'static str) -> Result<Statement, DbError> {
        let key = (sql.as_ptr() as usize, sql.len());
        if let Some(statement) = self.prepared.get(&key) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&dialect::postgres(sql)).await.map_err(db_error)?;
        self.prepared.insert(key, statement.clone());
        Ok(statement)
    }
}

/// The URL, and bounds for what it leaves open.
fn config(url: &str) -> Result<Config, DbError> {
    let mut config: Config = url.parse().map_err(db_error)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_WITHIN);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(ACKNOWLEDGED_WITHIN);
    }
    if config.get_keepalives_idle() == QUIET_OF_THE_DRIVER {
        config.keepalives_idle(QUIET_AT_MOST);
    }
    Ok(config)
}

fn refs<'a>(params: &'a [Param<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Param::Null => Ok(IsNull::Yes),
            Param::Int(value) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            Param::Int(value) => value.to_sql(ty, out),
            Param::Text(value) => value.to_sql(ty, out),
            Param::Bytes(value) => value.to_sql(ty, out),
            Param::Uuid(value) => value.to_sql(ty, out),
        }
    }

    // The server has told the types of the placeholders; a value that does not fit is refused by it.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn db_error(error: tokio_postgres::Error) -> DbError {
    let Some(answer) = error.as_db_error() else {
        return DbError::Lost(error.to_string());
    };
    let text = format!("{} ({})", answer.message(), answer.code().code());
    match answer.code() {
        &SqlState::DISK_FULL => DbError::Full,
        &SqlState::IO_ERROR => DbError::Write(text),
        &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => DbError::Serialization(text),
        // The session has ended, whatever ended it.
        _ if matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) => DbError::Lost(text),
        &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::CANNOT_CONNECT_NOW => DbError::Lost(text),
        // It has become a standby; where it was reached, another may answer now.
        &SqlState::READ_ONLY_SQL_TRANSACTION => DbError::Lost(text),
        // Of memory, connections or another of its means it has too few just now.
        code if code.code().starts_with("53") => DbError::Lost(text),
        code if code.code().starts_with("23") => DbError::Constraint(text),
        _ => DbError::Statement(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_bounded_where_it_leaves_time_open() {
        let bounds = |url: &str| {
            let config = config(url).unwrap();
            let seconds = |duration: Duration| duration.as_secs();
            (
                config.get_connect_timeout().copied().map(seconds),
                config.get_tcp_user_timeout().copied().map(seconds),
                seconds(config.get_keepalives_idle()),
            )
        };
        assert_eq!(bounds("postgres://a@db.test/x"), (Some(10), Some(30), 30));
        let own = "postgres://a@db.test/x?connect_timeout=3&tcp_user_timeout=4&keepalives_idle=5";
        assert_eq!(bounds(own), (Some(3), Some(4), 5));
        assert!(config("postgres://a@db.test:port/x").is_err());
    }
}
