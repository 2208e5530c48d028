//! SQLite through rusqlite: the embedded engine. Calls block, and never suspend.

use super::answer::Answer;
use super::{DbError, Param, Row, dialect};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi};
use std::collections::HashMap;
use std::path::Path;

/// Statements kept prepared on each connection: more than there are in the crate.
const PREPARED_MAX: usize = 256;

/// The writer's page cache. Every commit looks through all of it, so a larger one costs more than the reads that it
/// saves: what falls out is still in the cache of the system.
const WRITER_CACHE_KIB: u32 = 16_384;

/// Pages of write-ahead log (4 KiB each, so 32 MiB) after which a commit also moves what is left of them into the
/// database file, and the log begins anew. A log that may grow longer moves fewer pages, but writes each to memory that
/// the system has to find and clear first, and that costs more.
const CHECKPOINT_PAGES: u32 = 8_192;

/// One SQLite connection.
pub struct Sqlite {
    connection: Connection,
    /// Texts in SQLite's spelling, by address and length of the static text that they come from: a cheap key.
    texts: Texts,
}

type Texts = HashMap<(usize, usize), Box<str>>;

impl Sqlite {
    /// Opens the connection that writes. Everything that is acknowledged relies on `synchronous=FULL`.
    pub fn open_writer(path: &Path) -> Result<Self, DbError> {
        let connection = Connection::open(path).map_err(db_error)?;
        let settings = format!(
            "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
             PRAGMA temp_store=MEMORY; PRAGMA cache_size=-{WRITER_CACHE_KIB}; \
             PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};"
        );
        Self::with_settings(connection, &settings)
    }

    /// Opens a connection that only reads, beside the writer.
    pub fn open_reader(path: &Path) -> Result<Self, DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(db_error)?;
        Self::with_settings(connection, "PRAGMA query_only=ON; PRAGMA cache_size=-16384;")
    }

    fn with_settings(connection: Connection, settings: &str) -> Result<Self, DbError> {
        connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(db_error)?;
        connection.execute_batch(settings).map_err(db_error)?;
        // Without it a statement is planned anew whenever another value is bound to it, which costs more than running it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(db_error)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
        Ok(Self { connection, texts: HashMap::new() })
    }

    /// Moves what it can from the write-ahead log into the database file, without waiting for anybody.
    pub(crate) fn checkpoint(&mut self) -> Result<(), DbError> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(db_error)
    }

    pub(super) fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let text = text(&mut self.texts, sql);
        let mut statement = self.connection.prepare_cached(text).map_err(db_error)?;
        let mut answer = Answer::of(statement.column_count());
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(db_error)?;
        while let Some(row) = rows.next().map_err(db_error)? {
            for column in 0..answer.columns() {
                answer.push(row.get_ref(column).map_err(db_error)?);
            }
        }
        Ok(answer.rows().map(Row::Sqlite).collect())
    }

    pub(super) fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, DbError> {
        let text = text(&mut self.texts, sql);
        let mut statement = self.connection.prepare_cached(text).map_err(db_error)?;
        let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(db_error)?;
        Ok(changed as u64)
    }

    pub(super) fn execute_each(&mut self, sql: &'static str, rows: &[Vec<Param<'_>>]) -> Result<(), DbError> {
        let text = text(&mut self.texts, sql);
        let mut statement = self.connection.prepare_cached(text).map_err(db_error)?;
        for row in rows {
            statement.execute(rusqlite::params_from_iter(row)).map_err(db_error)?;
        }
        Ok(())
    }

    pub(super) fn script(&mut self, sql: &str) -> Result<(), DbError> {
        self.connection.execute_batch(&dialect::sqlite(sql)).map_err(db_error)
    }

    pub(super) fn is_autocommit(&self) -> bool {
        self.connection.is_autocommit()
    }
}

fn text<'a>(texts: &'a mut Texts, sql: &'static str) -> &'a str {
    texts.entry((sql.as_ptr() as usize, sql.len())).or_insert_with(|| dialect::sqlite(sql).into())
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Param::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Param::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Param::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Param::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Param::Uuid(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value.as_bytes())),
        })
    }
}

fn db_error(error: rusqlite::Error) -> DbError {
    let rusqlite::Error::SqliteFailure(failure, _) = &error else {
        return DbError::Statement(error.to_string());
    };
    match failure.code {
        ErrorCode::DiskFull => DbError::Full,
        ErrorCode::ConstraintViolation => DbError::Constraint(error.to_string()),
        ErrorCode::SystemIoFailure => io_error(failure.extended_code, &error),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::CannotOpen => {
            DbError::Write(error.to_string())
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => DbError::Serialization(error.to_string()),
        _ => DbError::Statement(error.to_string()),
    }
}

/// A shared-memory file that cannot grow is a full disk and harms nothing; every other I/O error may have.
fn io_error(extended_code: i32, error: &rusqlite::Error) -> DbError {
    match extended_code {
        ffi::SQLITE_IOERR_SHMSIZE => DbError::Full,
        _ => DbError::Write(error.to_string()),
    }
}
