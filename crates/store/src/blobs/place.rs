//! Whether the blob folder is the one that was opened. A volume that is gone leaves an empty folder in its place, which
//! takes files like any other; they would be hidden as soon as the volume is back.

use crate::error::StoreError;
use parking_lot::Mutex;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder, as it was seen last.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    identity: Identity,
    /// A body that was written there, relative to the folder.
    witness: Option<PathBuf>,
}

/// Device and number of a folder.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl Place {
    /// Remembers which folder it is.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let seen = Seen { identity: identity(&folder.metadata()?), witness: None };
        Ok(Self { folder: folder.to_owned(), seen: Mutex::new(seen) })
    }

    /// Remembers a body that is there.
    pub(super) fn has(&self, body: &str) {
        self.seen.lock().witness = Some(body.into());
    }

    /// Forgets a body that is about to be removed.
    pub(super) fn loses(&self, body: &str) {
        let mut seen = self.seen.lock();
        if seen.witness.as_deref() == Some(Path::new(body)) {
            seen.witness = None;
        }
    }

    /// Fails unless it is the folder that was opened, or one with the same bodies: a volume may be mounted anew.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let at_fault = |why: &dyn std::fmt::Display| {
            StoreError::Unreachable(format!("the blob folder {}: {why}", self.folder.display()))
        };
        let now = identity(&tokio::fs::metadata(&self.folder).await.map_err(|error| at_fault(&error))?);
        let witness = {
            let seen = self.seen.lock();
            if seen.identity == now {
                return Ok(());
            }
            seen.witness.clone()
        };
        let is_known = match witness {
            Some(body) => tokio::fs::try_exists(self.folder.join(body)).await.map_err(|error| at_fault(&error))?,
            None => false,
        };
        if !is_known {
            return Err(at_fault(&"it is another folder than at the start: is its volume mounted?"));
        }
        self.seen.lock().identity = now;
        Ok(())
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.folder.read_dir()?.next().is_none())
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
