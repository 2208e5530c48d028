//! Who reads the event log besides webhooks: one reader of each kind for the installation, worked for by one node at a time.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader as Read, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;

/// The sort of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Publishes every event to a message bus.
    Bus,
}

impl Kind {
    /// The word for it in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bus => "bus",
        }
    }
}

/// A reader, as its owner holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Everything up to here is told.
    pub position: i64,
    /// The number of this time of owning it: what is written under an older one changes nothing.
    pub fence: i64,
    /// Which stream it was told to; `None` if it was never told anything.
    pub source: Option<i64>,
}

/// Takes a reader that nobody works for, or that this node already works for, until `until`. It is made at the end of the
/// log if there is none.
#[derive(Clone, Debug)]
pub struct LeaseReader {
    /// Which.
    pub kind: Kind,
    /// The node.
    pub owner: String,
    /// Now.
    pub now: UnixMicros,
    /// When the lease ends.
    pub until: UnixMicros,
}

impl Command for LeaseReader {
    /// `None` when another node works for it.
    type Outcome = Option<Reader>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Reader>, DbError> {
        const MAKE: &str = "INSERT INTO readers (kind, position, owner, lease_until, fence) \
            SELECT $1, position, '', 0, 0 FROM event_head WHERE one = 1 ON CONFLICT (kind) DO NOTHING";
        const LEASE: &str = "UPDATE readers SET owner = $2, lease_until = $3, fence = fence + 1 \
            WHERE kind = $1 AND (owner = $2 OR lease_until <= $4) RETURNING position, fence, source";
        tx.execute(MAKE, params![self.kind.name()]).await?;
        let values = params![self.kind.name(), &self.owner, self.until.as_micros(), self.now.as_micros()];
        tx.query_one(LEASE, values).await?.as_ref().map(read).transpose()
    }
}

/// Writes down how far a reader is, and keeps it for longer.
#[derive(Clone, Debug)]
pub struct SaveReader {
    /// Which.
    pub kind: Kind,
    /// How far it is, under its fence.
    pub reader: Reader,
    /// When the lease ends.
    pub until: UnixMicros,
}

impl Command for SaveReader {
    /// False when it was taken again since: nothing was changed.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const SAVE: &str =
            "UPDATE readers SET position = $3, source = $4, lease_until = $5 WHERE kind = $1 AND fence = $2";
        let Reader { position, fence, source } = self.reader;
        let values = params![self.kind.name(), fence, position, source, self.until.as_micros()];
        Ok(tx.execute(SAVE, values).await? > 0)
    }
}

/// Gives a reader back, so that another node may take it at once.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseReader {
    /// Which.
    pub kind: Kind,
    /// Under which fence it was held.
    pub fence: i64,
    /// Now.
    pub now: UnixMicros,
}

impl Command for ReleaseReader {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const RELEASE: &str = "UPDATE readers SET owner = '', lease_until = $3 WHERE kind = $1 AND fence = $2";
        tx.execute(RELEASE, params![self.kind.name(), self.fence, self.now.as_micros()]).await?;
        Ok(())
    }
}

/// How far a reader is; `None` if there is none of that kind.
pub async fn find(reader: &mut Read<'_>, kind: Kind) -> Result<Option<Reader>, StoreError> {
    const FIND: &str = "SELECT position, fence, source FROM readers WHERE kind = $1";
    Ok(reader.query_one(FIND, params![kind.name()]).await?.as_ref().map(read).transpose()?)
}

fn read(row: &Row) -> Result<Reader, DbError> {
    Ok(Reader { position: row.int(0)?, fence: row.int(1)?, source: row.opt_int(2)? })
}
