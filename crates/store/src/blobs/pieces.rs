//! A body that is read piece by piece: unpacked with the memory of one window, and checked at its end.

use super::StoredBlob;
use crate::error::StoreError;
use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use zstd::stream::raw::{Decoder, Operation};

/// Octets of a piece.
pub const PIECE_OCTETS: usize = 64 << 10;

/// What is still to be read of a body.
pub struct BlobPieces {
    packed: BoxStream<'static, Result<Bytes, StoreError>>,
    /// What was read and is not unpacked yet.
    pending: Bytes,
    has_ended: bool,
    unpacker: Decoder<'static>,
    hasher: blake3::Hasher,
    left: u64,
    hash: [u8; 32],
}

impl BlobPieces {
    pub(super) fn new(
        packed: BoxStream<'static, Result<Bytes, StoreError>>,
        blob: &StoredBlob,
    ) -> Result<Self, StoreError> {
        let unpacker = Decoder::new().map_err(|error| StoreError::Fault(format!("failed to unpack: {error}")))?;
        let (pending, hasher) = (Bytes::new(), blake3::Hasher::new());
        let (left, hash) = (blob.octets, blob.hash);
        Ok(Self { packed, pending, has_ended: false, unpacker, hasher, left, hash })
    }

    /// The next octets; `None` at the end. The last of them are given only when the whole body has proved to be the one that
    /// was kept.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let octets = usize::try_from(self.left).map_or(PIECE_OCTETS, |left| left.min(PIECE_OCTETS));
        let mut piece = vec![0; octets];
        self.fill(&mut piece).await?;
        self.hasher.update(&piece);
        self.left -= octets as u64;
        if self.left == 0 && *self.hasher.finalize().as_bytes() != self.hash {
            return Err(self.damaged());
        }
        Ok(Some(piece))
    }

    async fn fill(&mut self, piece: &mut [u8]) -> Result<(), StoreError> {
        let mut filled = 0;
        while filled < piece.len() {
            let unpacked = self.unpacker.run_on_buffers(&self.pending, &mut piece[filled..]);
            let unpacked = unpacked.map_err(|_| self.damaged())?;
            self.pending.advance(unpacked.bytes_read);
            filled += unpacked.bytes_written;
            if unpacked.bytes_read > 0 || unpacked.bytes_written > 0 {
                continue;
            }
            if self.has_ended {
                return Err(self.damaged());
            }
            match self.packed.next().await {
                Some(more) => self.pending = more?,
                None => self.has_ended = true,
            }
        }
        Ok(())
    }

    fn damaged(&self) -> StoreError {
        StoreError::Damaged(hex::encode(self.hash))
    }
}
