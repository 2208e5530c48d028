//! The raw bytes of messages: compressed, inline in their row up to 64 KiB, else as a file under their hash.
//!
//! A file and its folders are synced before the row that names it is written, so a crash leaves at most files that
//! no row names; the janitor removes those. The hash is checked on every read.

mod files;
mod place;

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use parking_lot::Mutex;
use postfleet_core::id::BlobId;
use std::path::PathBuf;
use std::sync::Arc;
use zstd::zstd_safe::CParameter;

/// Compressed octets up to which a body lives in its row.
pub const INLINE_OCTETS_MAX: usize = 64 << 10;

/// The cheapest level: it takes a third of the time of the default for nine tenths of its effect on mail.
const COMPRESSION_LEVEL: i32 = 1;

/// Bodies up to this size are looked through with a table that stays in the nearest cache of the processor, and for longer
/// repetitions: that takes three quarters of the time for 3 % more octets at most. Larger ones would lose more.
const SMALL_OCTETS_MAX: usize = 16 << 10;
/// Entries of that table, as a power of two: 16 KiB.
const SMALL_TABLE_LOG: u32 = 12;
/// The shortest repetition that is looked for in it, in octets.
const SMALL_MATCH_MIN: u32 = 6;

/// Octets that are compressed and hashed where they are: that takes less time than the way to another thread.
const IN_PLACE_OCTETS_MAX: usize = 128 << 10;

/// Where large bodies are.
#[derive(Debug)]
pub struct Blobs {
    files: files::Files,
    codecs: Arc<Codecs>,
}

/// A body that is ready to be named by a row: compressed, hashed, and (if large) already on stable storage.
#[derive(Clone, Debug)]
pub struct PreparedBlob {
    id: BlobId,
    hash: [u8; 32],
    octets: u64,
    inline: Option<Vec<u8>>,
}

impl PreparedBlob {
    /// The id under which a row will name it.
    pub fn id(&self) -> BlobId {
        self.id
    }
    /// Octets before compression.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

/// A body as its row describes it.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    hash: [u8; 32],
    octets: u64,
    inline: Option<Vec<u8>>,
}

impl Blobs {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StoreError> {
        Ok(Self { files: files::Files::open(folder)?, codecs: Arc::default() })
    }

    /// Fails when the folder cannot be the one whose bodies the database names, such as where its volume is not mounted.
    pub(crate) async fn check(&self, reader: &mut Reader<'_>) -> Result<(), StoreError> {
        const ANY: &str = "SELECT hash FROM blobs WHERE data IS NULL ORDER BY hash LIMIT 1";
        let Some(row) = reader.query_one(ANY, params![]).await? else { return Ok(()) };
        let hash = row.bytes(0)?.try_into().map_err(|_| DbError::Malformed("hash of a body"))?;
        self.files.expect(&hash)
    }

    /// Compresses and hashes `raw`, and writes it to a file if it is large. Nothing refers to it yet.
    pub async fn prepare(&self, id: BlobId, raw: &[u8]) -> Result<PreparedBlob, StoreError> {
        let octets = raw.len() as u64;
        let (hash, packed) = if raw.len() <= IN_PLACE_OCTETS_MAX {
            self.codecs.pack(raw)?
        } else {
            let (codecs, raw) = (self.codecs.clone(), raw.to_vec());
            let packing = tokio::task::spawn_blocking(move || codecs.pack(&raw));
            packing.await.map_err(|error| StoreError::Fault(format!("failed to compress: {error}")))??
        };
        if packed.len() <= INLINE_OCTETS_MAX {
            return Ok(PreparedBlob { id, hash, octets, inline: Some(packed) });
        }
        self.files.put(&hash, packed).await?;
        Ok(PreparedBlob { id, hash, octets, inline: None })
    }

    /// Reads a body back and checks it.
    pub async fn load(&self, blob: &StoredBlob) -> Result<Vec<u8>, StoreError> {
        let name = || blake3::Hash::from_bytes(blob.hash).to_hex().to_string();
        let raw = match &blob.inline {
            Some(packed) => self.codecs.unpack(packed, blob.octets),
            None => self.codecs.unpack(&self.files.get(&blob.hash).await?, blob.octets),
        };
        match raw {
            Some(raw) if *blake3::hash(&raw).as_bytes() == blob.hash => Ok(raw),
            _ => Err(StoreError::Damaged(name())),
        }
    }

    /// Removes files that no row names and that are older than `age`; answers how many. A younger one may belong to a
    /// message whose row is about to be written.
    pub async fn collect_orphans(
        &self,
        reader: &mut Reader<'_>,
        age: std::time::Duration,
    ) -> Result<usize, StoreError> {
        const NAMED: &str = "SELECT 1 FROM blobs WHERE hash = $1 AND data IS NULL LIMIT 1";
        let mut removed = self.files.remove_unfinished(age).await?;
        for hash in self.files.older_than(age).await? {
            if reader.query_one(NAMED, params![hash.as_slice()]).await?.is_none() {
                self.files.remove(&hash).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Compressors and decompressors with their working memory, kept for the next body: making one costs as much as using it.
#[derive(Default)]
struct Codecs {
    packers: Mutex<Vec<zstd::bulk::Compressor<'static>>>,
    unpackers: Mutex<Vec<zstd::bulk::Decompressor<'static>>>,
}

impl Codecs {
    fn pack(&self, raw: &[u8]) -> Result<([u8; 32], Vec<u8>), StoreError> {
        let fault = |error: std::io::Error| StoreError::Fault(format!("failed to compress: {error}"));
        let kept = self.packers.lock().pop();
        let mut packer = match kept {
            Some(packer) => packer,
            None => zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map_err(fault)?,
        };
        // Zero leaves it to the level.
        let is_small = raw.len() <= SMALL_OCTETS_MAX;
        let (table, shortest) = if is_small { (SMALL_TABLE_LOG, SMALL_MATCH_MIN) } else { (0, 0) };
        packer.set_parameter(CParameter::HashLog(table)).map_err(fault)?;
        packer.set_parameter(CParameter::MinMatch(shortest)).map_err(fault)?;
        let packed = packer.compress(raw).map_err(fault)?;
        self.packers.lock().push(packer);
        Ok((*blake3::hash(raw).as_bytes(), packed))
    }

    fn unpack(&self, packed: &[u8], octets: u64) -> Option<Vec<u8>> {
        let kept = self.unpackers.lock().pop();
        let mut unpacker = match kept {
            Some(unpacker) => unpacker,
            None => zstd::bulk::Decompressor::new().ok()?,
        };
        let raw = unpacker.decompress(packed, usize::try_from(octets).ok()?).ok();
        self.unpackers.lock().push(unpacker);
        raw
    }
}

impl std::fmt::Debug for Codecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Codecs({}, {})", self.packers.lock().len(), self.unpackers.lock().len())
    }
}

impl StoredBlob {
    /// Reads three columns from `first` on: hash, octets, data.
    pub(crate) fn from_row(row: &Row, first: usize) -> Result<Self, DbError> {
        let hash = row.bytes(first)?.try_into().map_err(|_| DbError::Malformed("blob hash"))?;
        Ok(Self { hash, octets: row.count(first + 1)?, inline: row.opt_bytes(first + 2)? })
    }
}

/// Writes the row of a prepared body that `copies` others will refer to.
pub(crate) async fn insert(tx: &mut Tx, blob: &PreparedBlob, copies: usize) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO blobs (id, hash, octets, data, copies) VALUES ($1, $2, $3, $4, $5)";
    let values =
        params![blob.id.uuid(), blob.hash.as_slice(), blob.octets as i64, blob.inline.as_deref(), copies as i64];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Takes one reference away; the last one takes the row with it. A file stays for the janitor.
pub(crate) async fn release(tx: &mut Tx, id: BlobId) -> Result<(), DbError> {
    const COUNT: &str = "UPDATE blobs SET copies = copies - 1 WHERE id = $1";
    const REMOVE: &str = "DELETE FROM blobs WHERE id = $1 AND copies <= 0";
    tx.execute(COUNT, params![id.uuid()]).await?;
    tx.execute(REMOVE, params![id.uuid()]).await?;
    Ok(())
}
