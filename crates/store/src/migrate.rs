//! Brings a database to the current schema. Migrations are never edited once released: their hash is checked.

use crate::db::{Db, DbError};
use crate::params;

const MIGRATIONS: &[(i64, &str)] = &[(1, include_str!("../migrations/0001_initial.sql"))];

/// Applies what is missing, each migration in its own transaction.
pub(crate) async fn run(db: &mut Db) -> Result<(), DbError> {
    create_ledger(db).await?;
    for (version, sql) in MIGRATIONS {
        let hash = blake3::hash(sql.as_bytes());
        db.begin().await?;
        let applied = apply(db, *version, sql, hash.as_bytes()).await;
        match applied {
            Ok(()) => db.commit().await?,
            Err(error) => {
                db.rollback().await?;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// The row with version 0 is the lock that keeps two starting nodes apart.
async fn create_ledger(db: &mut Db) -> Result<(), DbError> {
    const CREATE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
        (version {int} NOT NULL PRIMARY KEY, hash {bytes} NOT NULL)";
    const LOCK_ROW: &str =
        "INSERT INTO schema_migrations (version, hash) VALUES (0, $1) ON CONFLICT (version) DO NOTHING";
    // PostgreSQL may report a duplicate when two nodes create the table at once; the second try finds it.
    if let Err(DbError::Constraint(_)) = db.script(CREATE).await {
        db.script(CREATE).await?;
    }
    db.execute(LOCK_ROW, params![[].as_slice()]).await?;
    Ok(())
}

async fn apply(db: &mut Db, version: i64, sql: &str, hash: &[u8]) -> Result<(), DbError> {
    const LOCK: &str = "SELECT version FROM schema_migrations WHERE version = 0 {lock}";
    const FIND: &str = "SELECT hash FROM schema_migrations WHERE version = $1";
    const RECORD: &str = "INSERT INTO schema_migrations (version, hash) VALUES ($1, $2)";
    db.query(LOCK, params![]).await?;
    if let Some(row) = db.query_one(FIND, params![version]).await? {
        let same = row.bytes(0)? == hash;
        return same.then_some(()).ok_or_else(|| DbError::Statement(format!("migration {version} was edited")));
    }
    db.script(sql).await?;
    db.execute(RECORD, params![version, hash]).await?;
    Ok(())
}
