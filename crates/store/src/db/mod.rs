//! One connection to either engine, with one way of asking it something.
//!
//! A statement is a static text with `$1` placeholders and, where the engines differ, a fragment in braces (see
//! `dialect`). Values are of five kinds: integer, text, bytes, UUID, null. On SQLite no call here ever suspends, so
//! that its writer thread can run the same code without a runtime.

mod answer;
pub mod dialect;
pub mod postgres;
pub mod sqlite;
mod touched;

use answer::CopiedRow;
use sqlite::PassingRow;
pub(crate) use touched::Touched;
use uuid::Uuid;

/// A value bound to a placeholder.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// SQL null.
    Null,
    /// A 64-bit integer: counts, flags (0 or 1), microseconds.
    Int(i64),
    /// Text, JSON among it.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An id: 16 bytes in SQLite, `uuid` in PostgreSQL.
    Uuid(Uuid),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}
impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}
impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}
impl From<Uuid> for Param<'_> {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}
impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Builds the parameter list of a statement: `params![id.uuid(), now, "text"]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Param::from($value)),*] };
}

/// One row of an answer. Columns are read by position; asking for the wrong kind is a bug in the statement and
/// reported as [`DbError::Shape`].
pub enum Row {
    /// Values copied out of SQLite.
    Sqlite(CopiedRow),
    /// PostgreSQL's own row.
    Postgres(tokio_postgres::Row),
}

impl Row {
    /// An integer column that may be null.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, DbError> {
        match self {
            Self::Sqlite(row) => row.opt_int(column),
            Self::Postgres(row) => row.try_get(column).map_err(|_| DbError::Shape(column)),
        }
    }

    /// A text column that may be null, as it stands there.
    pub fn opt_str(&self, column: usize) -> Result<Option<&str>, DbError> {
        match self {
            Self::Sqlite(row) => row.opt_str(column),
            Self::Postgres(row) => row.try_get(column).map_err(|_| DbError::Shape(column)),
        }
    }

    /// A text column that may be null.
    pub fn opt_text(&self, column: usize) -> Result<Option<String>, DbError> {
        Ok(self.opt_str(column)?.map(str::to_owned))
    }

    /// A bytes column that may be null.
    pub fn opt_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, DbError> {
        match self {
            Self::Sqlite(row) => Ok(row.opt_bytes(column)?.map(<[u8]>::to_vec)),
            Self::Postgres(row) => row.try_get(column).map_err(|_| DbError::Shape(column)),
        }
    }

    /// A bytes column that may be null, as it stands there.
    pub fn opt_octets(&self, column: usize) -> Result<Option<&[u8]>, DbError> {
        match self {
            Self::Sqlite(row) => row.opt_bytes(column),
            Self::Postgres(row) => row.try_get(column).map_err(|_| DbError::Shape(column)),
        }
    }

    /// A bytes column, as it stands there.
    pub fn octets(&self, column: usize) -> Result<&[u8], DbError> {
        self.opt_octets(column)?.ok_or(DbError::Shape(column))
    }

    /// An id column that may be null.
    pub fn opt_uuid(&self, column: usize) -> Result<Option<Uuid>, DbError> {
        match self {
            Self::Sqlite(row) => {
                let octets = row.opt_bytes(column)?;
                octets.map(Uuid::from_slice).transpose().map_err(|_| DbError::Shape(column))
            }
            Self::Postgres(row) => row.try_get(column).map_err(|_| DbError::Shape(column)),
        }
    }

    /// An integer column.
    pub fn int(&self, column: usize) -> Result<i64, DbError> {
        self.opt_int(column)?.ok_or(DbError::Shape(column))
    }
    /// An integer column that counts something.
    pub fn count(&self, column: usize) -> Result<u64, DbError> {
        u64::try_from(self.int(column)?).map_err(|_| DbError::Shape(column))
    }
    /// A 0-or-1 column.
    pub fn flag(&self, column: usize) -> Result<bool, DbError> {
        Ok(self.int(column)? != 0)
    }
    /// A text column, as it stands there.
    pub fn str(&self, column: usize) -> Result<&str, DbError> {
        self.opt_str(column)?.ok_or(DbError::Shape(column))
    }
    /// A text column.
    pub fn text(&self, column: usize) -> Result<String, DbError> {
        self.opt_text(column)?.ok_or(DbError::Shape(column))
    }
    /// A bytes column.
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, DbError> {
        self.opt_bytes(column)?.ok_or(DbError::Shape(column))
    }
    /// An id column.
    pub fn uuid(&self, column: usize) -> Result<Uuid, DbError> {
        self.opt_uuid(column)?.ok_or(DbError::Shape(column))
    }
}

/// A row that is looked at while its statement runs: of SQLite nothing is copied. A list has many rows, and one look at each
/// is all that it needs.
pub enum Passing<'r> {
    /// SQLite's own row.
    Sqlite(PassingRow<'r>),
    /// A row of an answer.
    Answered(&'r Row),
}

impl Passing<'_> {
    /// An integer column.
    pub fn int(&self, column: usize) -> Result<i64, DbError> {
        match self {
            Self::Sqlite(row) => row.int(column),
            Self::Answered(row) => row.int(column),
        }
    }

    /// A 0-or-1 column.
    pub fn flag(&self, column: usize) -> Result<bool, DbError> {
        Ok(self.int(column)? != 0)
    }

    /// A text column that may be null, as it stands there.
    pub fn opt_str(&self, column: usize) -> Result<Option<&str>, DbError> {
        match self {
            Self::Sqlite(row) => row.opt_str(column),
            Self::Answered(row) => row.opt_str(column),
        }
    }

    /// A text column, as it stands there.
    pub fn str(&self, column: usize) -> Result<&str, DbError> {
        self.opt_str(column)?.ok_or(DbError::Shape(column))
    }

    /// An id column.
    pub fn uuid(&self, column: usize) -> Result<Uuid, DbError> {
        match self {
            Self::Sqlite(row) => row.uuid(column),
            Self::Answered(row) => row.uuid(column),
        }
    }
}

/// What is done with a row that passes.
pub type Look<'f> = &'f mut (dyn FnMut(Passing<'_>) -> Result<(), DbError> + Send);

/// What an engine may answer instead of rows.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// There is no room for more (ENOSPC, SQLITE_FULL, SQLSTATE 53100). Nothing was changed.
    #[error("the disk is full")]
    Full,
    /// A write or its sync failed: what is on disk is unknown, so nothing more may be accepted.
    #[error("writing to stable storage failed: {0}")]
    Write(String),
    /// A unique or foreign key was violated.
    #[error("constraint violated: {0}")]
    Constraint(String),
    /// Two transactions got in each other's way; running it again is right (SQLSTATE 40001, 40P01).
    #[error("serialization failure: {0}")]
    Serialization(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The statement is wrong.
    #[error("statement failed: {0}")]
    Statement(String),
    /// A column is not of the kind that the code expects.
    #[error("column {0} has an unexpected kind")]
    Shape(usize),
    /// What is stored does not parse as what the code expects; names the thing.
    #[error("stored {0} is malformed")]
    Malformed(&'static str),
}

/// A connection to one of the engines.
pub enum Db {
    /// Embedded.
    Sqlite(sqlite::Sqlite),
    /// Scale-out.
    Postgres(postgres::Postgres),
}

impl Db {
    /// Runs a statement that answers rows.
    pub async fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(db) => db.query(sql, params),
            Self::Postgres(db) => db.query(sql, params).await,
        }
    }

    /// Runs a statement and looks at each row that it answers; says how many there were.
    pub async fn each(&mut self, sql: &'static str, params: &[Param<'_>], look: Look<'_>) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(db) => db.each(sql, params, look),
            Self::Postgres(db) => {
                let rows = db.query(sql, params).await?;
                rows.iter().try_for_each(|row| look(Passing::Answered(row)))?;
                Ok(rows.len() as u64)
            }
        }
    }

    /// Runs a statement that answers at most one row; more are dropped.
    pub async fn query_one(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement for its effect; answers how many rows it changed.
    pub async fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(db) => db.execute(sql, params),
            Self::Postgres(db) => db.execute(sql, params).await,
        }
    }

    /// Runs a statement for its effect once for each of `rows`, in one round trip. What one row fails with ends the
    /// transaction, as if they had been run one after the other.
    pub async fn execute_each(&mut self, sql: &'static str, rows: &[Vec<Param<'_>>]) -> Result<(), DbError> {
        match self {
            Self::Sqlite(db) => db.execute_each(sql, rows),
            Self::Postgres(db) => db.execute_each(sql, rows).await,
        }
    }

    /// Runs several statements without parameters, such as a migration, after dialect substitution.
    pub async fn script(&mut self, sql: &str) -> Result<(), DbError> {
        match self {
            Self::Sqlite(db) => db.script(sql),
            Self::Postgres(db) => db.script(sql).await,
        }
    }

    /// The watched tables of which rows may have been changed since it was asked last, as far as nobody else changes them.
    pub(crate) fn take_touched(&mut self) -> Touched {
        match self {
            Self::Sqlite(db) => db.take_touched(),
            Self::Postgres(_) => Touched::default(),
        }
    }

    /// Starts a write transaction.
    pub async fn begin(&mut self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(db) => db.script("BEGIN IMMEDIATE"),
            Self::Postgres(db) => db.script("BEGIN").await,
        }
    }

    /// Commits. When it returns, everything is on stable storage.
    pub async fn commit(&mut self) -> Result<(), DbError> {
        self.script("COMMIT").await
    }

    /// Takes everything back since [`Db::begin`].
    pub async fn rollback(&mut self) -> Result<(), DbError> {
        match self {
            // SQLite has already rolled back after some errors; that is not a failure.
            Self::Sqlite(db) if db.is_autocommit() => Ok(()),
            Self::Sqlite(db) => db.script("ROLLBACK"),
            Self::Postgres(db) => db.script("ROLLBACK").await,
        }
    }
}
