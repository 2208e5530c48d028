//! What callers of the store may be told.

use crate::db::DbError;
use postfleet_core::{Problem, ProblemKind};

/// Why a command or a read did not happen. Whatever it is, nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no room for more.
    #[error("the disk is full")]
    Full,
    /// An earlier write or sync failed, so nothing more is accepted until the process is started anew.
    #[error("the store has stopped after a failed write: {0}")]
    Stopped(String),
    /// The database cannot be reached just now.
    #[error("the database is not reachable: {0}")]
    Unreachable(String),
    /// A stored body does not match its hash.
    #[error("stored message body {0} is damaged")]
    Damaged(String),
    /// A fault of ours, or a malformed database.
    #[error("store fault: {0}")]
    Fault(String),
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Full => Self::Full,
            DbError::Write(cause) => Self::Stopped(cause),
            DbError::Lost(cause) | DbError::Serialization(cause) => Self::Unreachable(cause),
            other => Self::Fault(other.to_string()),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Problem {
                cause: Some(error.to_string()),
                ..Problem::new(ProblemKind::OutOfSpace, "disk_full", "the server is out of storage")
            },
            StoreError::Stopped(_) | StoreError::Unreachable(_) => Problem::unavailable(error),
            StoreError::Damaged(_) | StoreError::Fault(_) => Problem::internal(error),
        }
    }
}
