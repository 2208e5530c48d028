//! Connections that read, beside the writers.

use crate::db::postgres::Postgres;
use crate::db::sqlite::Sqlite;
use crate::db::{Db, DbError, Look, Param, Row};
use crate::error::StoreError;
use crate::search::{KNOWN_OCTETS_MAX, Known};
use parking_lot::Mutex;
use postfleet_core::plan::{Plan, Plans};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Reading connections open at once; more readers wait.
const READERS_MAX: usize = 16;

/// A pool of reading connections.
pub(super) struct Readers {
    origin: Origin,
    plans: Plans,
    idle: Mutex<Vec<Db>>,
    permits: Semaphore,
    /// Rows that were answered.
    pub(super) rows: AtomicU64,
    /// What was read of segments.
    known: Known,
}

enum Origin {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Readers {
    pub(super) fn sqlite(path: PathBuf, plans: Plans) -> Self {
        Self::new(Origin::Sqlite(path), plans)
    }

    pub(super) fn postgres(url: String, plans: Plans) -> Self {
        Self::new(Origin::Postgres(url), plans)
    }

    fn new(origin: Origin, plans: Plans) -> Self {
        let (idle, permits) = (Mutex::new(Vec::new()), Semaphore::new(READERS_MAX));
        let known = Known::new(KNOWN_OCTETS_MAX);
        Self { origin, plans, idle, permits, rows: AtomicU64::new(0), known }
    }

    pub(super) async fn take(&self) -> Result<Reader<'_>, StoreError> {
        let permit = self.permits.acquire().await.map_err(|_| StoreError::Stopped("readers are closed".into()))?;
        let idle = self.idle.lock().pop();
        let db = match idle {
            Some(Db::Postgres(connection)) if connection.is_closed() => self.open().await?,
            Some(db) => db,
            None => self.open().await?,
        };
        let (plans, home, rows, known) = (&self.plans, &self.idle, &self.rows, &self.known);
        Ok(Reader { db: Some(db), plans, home, rows, known, is_frozen: false, _permit: permit })
    }

    async fn open(&self) -> Result<Db, DbError> {
        match &self.origin {
            Origin::Sqlite(path) => Ok(Db::Sqlite(Sqlite::open_reader(path)?)),
            Origin::Postgres(url) => Ok(Db::Postgres(Postgres::connect(url).await?)),
        }
    }
}

/// A reading connection, given back when dropped. On SQLite its reads run in place: they take microseconds, far less
/// than the way to another thread and back.
pub struct Reader<'a> {
    db: Option<Db>,
    plans: &'a Plans,
    home: &'a Mutex<Vec<Db>>,
    rows: &'a AtomicU64,
    known: &'a Known,
    is_frozen: bool,
    _permit: SemaphorePermit<'a>,
}

impl Reader<'_> {
    /// The plan of that name, as the operator defines it.
    pub fn plan(&self, name: &str) -> Result<Arc<Plan>, DbError> {
        self.plans.find(name).cloned().ok_or(DbError::Malformed("plan"))
    }

    /// What was read of segments lately.
    pub(crate) fn known(&self) -> &'_ Known {
        self.known
    }

    /// From the next statement on, everything that is read is as it was at one moment, until [`Reader::thaw`] or until the reader is given back.
    pub async fn freeze(&mut self) -> Result<(), StoreError> {
        match &mut self.db {
            Some(db @ Db::Sqlite(_)) => db.script("BEGIN").await?,
            Some(db @ Db::Postgres(_)) => db.script("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?,
            None => return Err(StoreError::Fault("reader has no connection".into())),
        }
        self.is_frozen = true;
        Ok(())
    }

    /// From the next statement on, it sees everything that was committed before again.
    pub async fn thaw(&mut self) -> Result<(), StoreError> {
        if let Some(db) = self.db.as_mut().filter(|_| self.is_frozen) {
            db.script("COMMIT").await?;
        }
        self.is_frozen = false;
        Ok(())
    }

    /// Runs a statement that answers rows.
    pub async fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        match &mut self.db {
            Some(db) => {
                let rows = db.query(sql, params).await?;
                self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
                Ok(rows)
            }
            None => Err(StoreError::Fault("reader has no connection".into())),
        }
    }

    /// Runs a statement and looks at each row that it answers. What is done there keeps a connection busy: no more than to
    /// write it down somewhere.
    pub async fn each(&mut self, sql: &'static str, params: &[Param<'_>], look: Look<'_>) -> Result<(), StoreError> {
        match &mut self.db {
            Some(db) => {
                let rows = db.each(sql, params, look).await?;
                self.rows.fetch_add(rows, Ordering::Relaxed);
                Ok(())
            }
            None => Err(StoreError::Fault("reader has no connection".into())),
        }
    }

    /// Runs a statement that answers at most one row.
    pub async fn query_one(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // A connection in the middle of a transaction is closed, which ends it.
        if let Some(db) = self.db.take().filter(|_| !self.is_frozen) {
            self.home.lock().push(db);
        }
    }
}
