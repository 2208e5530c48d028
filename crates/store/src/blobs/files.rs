//! Large bodies as files, through `object_store` with syncing on: `ab/abcdef….zst`.

use super::place::Place;
use crate::error::StoreError;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const SUFFIX: &str = ".zst";

#[derive(Debug)]
pub(super) struct Files {
    store: LocalFileSystem,
    place: Place,
}

impl Files {
    pub(super) fn open(folder: PathBuf) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&folder).map_err(|error| fault("create the blob folder", &error))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| fault("open the blob folder", &error))?;
        let place = Place::of(&folder).map_err(|error| fault("look at the blob folder", &error))?;
        Ok(Self { store: store.with_fsync(true), place })
    }

    /// Holds a body that the database names against the folder, which must not be an empty one then.
    pub(super) fn expect(&self, named: &[u8; 32]) -> Result<(), StoreError> {
        if self.place.is_empty().map_err(|error| fault("look into the blob folder", &error))? {
            return Err(StoreError::Fault(format!(
                "the blob folder {} is empty, and the database names bodies in it: mount its volume or restore them; if they \
                 are lost for good, put any file there",
                self.place.folder().display()
            )));
        }
        self.place.has(path(named).as_ref());
        Ok(())
    }

    /// Writes a file. When it returns, the file and the folders that name it are on stable storage. An equal file is
    /// written again, which makes it young: the janitor must not take it from under the row that is about to name it.
    /// After a failure (of a sync, too) nothing names the file, and whoever tries again writes another one.
    pub(super) async fn put(&self, hash: &[u8; 32], packed: Vec<u8>) -> Result<(), StoreError> {
        let path = path(hash);
        self.place.check().await?;
        match self.store.put(&path, PutPayload::from(packed)).await {
            Ok(_) => {}
            Err(error) if is_full(&error) => return Err(StoreError::Full),
            Err(error) => return Err(StoreError::Unreachable(format!("failed to write a body: {error}"))),
        }
        // It may have gone in between.
        self.place.check().await?;
        self.place.has(path.as_ref());
        Ok(())
    }

    pub(super) async fn get(&self, hash: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let read = async { self.store.get(&path(hash)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(object_store::Error::NotFound { .. }) => {
                self.place.check().await?;
                Err(StoreError::Damaged(hex::encode(hash)))
            }
            Err(error) => Err(StoreError::Unreachable(format!("failed to read a body: {error}"))),
        }
    }

    /// The octets of a file as they are read, a few at a time.
    pub(super) async fn pieces(
        &self,
        hash: &[u8; 32],
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let unreachable =
            |error: object_store::Error| StoreError::Unreachable(format!("failed to read a body: {error}"));
        match self.store.get(&path(hash)).await {
            Ok(found) => Ok(found.into_stream().map_err(unreachable).boxed()),
            Err(object_store::Error::NotFound { .. }) => {
                self.place.check().await?;
                Err(StoreError::Damaged(hex::encode(hash)))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    /// Hashes of the files last written more than `age` ago.
    pub(super) async fn older_than(&self, age: Duration) -> Result<Vec<[u8; 32]>, StoreError> {
        let files: Vec<_> =
            self.store.list(None).try_collect().await.map_err(|error| fault("list the bodies", &error))?;
        let old = files
            .into_iter()
            .filter(|file| SystemTime::from(file.last_modified).elapsed().is_ok_and(|elapsed| elapsed >= age));
        Ok(old.filter_map(|file| hash_of(&file.location)).collect())
    }

    /// Removes what writes that a crash cut short have left: files that `object_store` stages as `….zst#1` and never
    /// lists. Answers how many.
    pub(super) async fn remove_unfinished(&self, age: Duration) -> Result<usize, StoreError> {
        let folder = self.place.folder().to_owned();
        let removal = tokio::task::spawn_blocking(move || remove_staged(&folder, age));
        let removed = removal.await.map_err(|error| fault("clean the blob folder", &error))?;
        removed.map_err(|error| fault("clean the blob folder", &error))
    }

    pub(super) async fn remove(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let path = path(hash);
        self.place.loses(path.as_ref());
        match self.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault("remove a body", &error)),
        }
    }
}

fn remove_staged(folder: &std::path::Path, age: Duration) -> std::io::Result<usize> {
    let mut removed = 0;
    for shard in std::fs::read_dir(folder)? {
        let shard = shard?;
        if !shard.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(shard.path())? {
            let file = file?;
            let is_staged = file.file_name().to_string_lossy().contains(&format!("{SUFFIX}#"));
            let is_old = file.metadata()?.modified()?.elapsed().is_ok_and(|elapsed| elapsed >= age);
            if is_staged && is_old {
                std::fs::remove_file(file.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn path(hash: &[u8; 32]) -> Path {
    let name = hex::encode(hash);
    Path::from(format!("{}/{name}{SUFFIX}", &name[..2]))
}

fn hash_of(path: &Path) -> Option<[u8; 32]> {
    let name = path.filename()?.strip_suffix(SUFFIX)?;
    hex::decode(name).ok()?.try_into().ok()
}

/// Whether the cause behind an error is ENOSPC or EDQUOT.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(io, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn fault(doing: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::Fault(format!("failed to {doing}: {error}"))
}
