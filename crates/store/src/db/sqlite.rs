//! SQLite through rusqlite: the embedded engine. Calls block, and never suspend.

use super::answer::Answer;
use super::{DbError, Look, Param, Passing, Row, Touched, dialect};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi};
use std::collections::HashMap;
use std::path::Path;
use uuid::Uuid;

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
    /// What was changed, or may have been.
    touched: Touched,
}

type Texts = HashMap<(usize, usize), Text>;

/// A statement in SQLite's spelling, and what it changes.
struct Text {
    sql: Box<str>,
    touched: Touched,
}

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
        Ok(Self { connection, texts: HashMap::new(), touched: Touched::default() })
    }

    /// Moves what it can from the write-ahead log into the database file, without waiting for anybody.
    pub(crate) fn checkpoint(&mut self) -> Result<(), DbError> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(db_error)
    }

    pub(super) fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        let text = text(&mut self.texts, sql);
        self.touched = self.touched.and(text.touched);
        let mut statement = self.connection.prepare_cached(&text.sql).map_err(db_error)?;
        let mut answer = Answer::of(statement.column_count());
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(db_error)?;
        while let Some(row) = rows.next().map_err(db_error)? {
            for column in 0..answer.columns() {
                answer.push(row.get_ref(column).map_err(db_error)?);
            }
        }
        Ok(answer.rows().map(Row::Sqlite).collect())
    }

    pub(super) fn each(&mut self, sql: &'static str, params: &[Param<'_>], look: Look<'_>) -> Result<u64, DbError> {
        let text = text(&mut self.texts, sql);
        self.touched = self.touched.and(text.touched);
        let mut statement = self.connection.prepare_cached(&text.sql).map_err(db_error)?;
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(db_error)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(db_error)? {
            look(Passing::Sqlite(PassingRow(row)))?;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, DbError> {
        let text = text(&mut self.texts, sql);
        self.touched = self.touched.and(text.touched);
        let mut statement = self.connection.prepare_cached(&text.sql).map_err(db_error)?;
        let changed = statement.execute(rusqlite::params_from_iter(params)).map_err(db_error)?;
        Ok(changed as u64)
    }

    pub(super) fn execute_each(&mut self, sql: &'static str, rows: &[Vec<Param<'_>>]) -> Result<(), DbError> {
        let text = text(&mut self.texts, sql);
        self.touched = self.touched.and(text.touched);
        let mut statement = self.connection.prepare_cached(&text.sql).map_err(db_error)?;
        for row in rows {
            statement.execute(rusqlite::params_from_iter(row)).map_err(db_error)?;
        }
        Ok(())
    }

    pub(super) fn script(&mut self, sql: &str) -> Result<(), DbError> {
        self.touched = self.touched.and(Touched::of(sql));
        self.connection.execute_batch(&dialect::sqlite(sql)).map_err(db_error)
    }

    pub(super) fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn is_autocommit(&self) -> bool {
        self.connection.is_autocommit()
    }
}

/// A row of a statement that runs.
pub struct PassingRow<'r>(&'r rusqlite::Row<'r>);

impl PassingRow<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, DbError> {
        self.0.get_ref(column).map_err(|_| DbError::Shape(column))
    }

    pub(super) fn int(&self, column: usize) -> Result<i64, DbError> {
        match self.value(column)? {
            ValueRef::Integer(value) => Ok(value),
            _ => Err(DbError::Shape(column)),
        }
    }

    pub(super) fn opt_str(&self, column: usize) -> Result<Option<&str>, DbError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|_| DbError::Shape(column)),
            _ => Err(DbError::Shape(column)),
        }
    }

    pub(super) fn uuid(&self, column: usize) -> Result<Uuid, DbError> {
        match self.value(column)? {
            ValueRef::Blob(octets) => Uuid::from_slice(octets).map_err(|_| DbError::Shape(column)),
            _ => Err(DbError::Shape(column)),
        }
    }
}

fn text<'a>(texts: &'a mut Texts, sql: &'static str) -> &'a Text {
    texts.entry((sql.as_ptr() as usize, sql.len())).or_insert_with(|| {
        let sql: Box<str> = dialect::sqlite(sql).into();
        Text { touched: Touched::of(&sql), sql }
    })
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
