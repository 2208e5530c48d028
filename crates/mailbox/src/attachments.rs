//! Attachments: described from what was kept of their message when it was filed, and read piece by piece.

use crate::summary::Summary;
use crate::view;
use postfleet_core::Problem;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_mail::message::{self as mail, Decoder, FileKind, Place};
use postfleet_schema::message::Attachment;
use postfleet_store::blobs::{BlobPieces, StoredBlob};
use postfleet_store::{Store, messages};
use std::ops::Range;

/// An attachment that was found.
#[derive(Debug)]
pub struct Found {
    /// Its description.
    pub attachment: Attachment,
    /// What it looks like.
    kind: FileKind,
    index: u32,
    place: Option<Place>,
    blob: StoredBlob,
}

/// Finds an attachment. `message` must be its message, if it is given.
pub async fn find(store: &Store, grant: GrantId, id: &str, message: Option<MessageId>) -> Result<Found, Problem> {
    let (owner, index) = view::parse_attachment_id(id).ok_or_else(Problem::not_found)?;
    if message.is_some_and(|message| message != owner) {
        return Err(Problem::not_found());
    }
    let found = messages::find_with_body(&mut store.reader().await?, grant, owner).await?;
    let (stored, blob) = found.ok_or_else(Problem::not_found)?;
    let summary = Summary::from_json(&stored.summary);
    let file = summary.attachments.iter().find(|file| file.index == index).ok_or_else(Problem::not_found)?;
    let place = summary.places.iter().find(|place| place.index == index).map(|place| place.place);
    let kind = place.map_or(FileKind::Other, |place| place.kind);
    Ok(Found { attachment: view::attachment(stored.grant_id, stored.id, file), kind, index, place, blob })
}

impl Found {
    /// The media type under which it is handed out.
    pub fn media_type(&self) -> &'static str {
        self.kind.media_type(&self.attachment.content_type)
    }

    /// A name for exactly these octets.
    pub fn tag(&self) -> String {
        let hash: String = self.blob.hash()[..16].iter().map(|octet| format!("{octet:02x}")).collect();
        format!("{hash}-{}", self.index)
    }

    /// Reads a range of its octets, which must be within its size.
    pub async fn read(self, store: &Store, range: Range<u64>) -> Result<Pieces, Problem> {
        let left = range.end.saturating_sub(range.start);
        let Some(place) = self.place.filter(|place| place.from_end <= self.blob.octets()) else {
            // It was filed before places were noted.
            let raw = store.blobs().load(&self.blob).await?;
            let (_, octets) = mail::attachment(&raw, self.index).ok_or_else(Problem::not_found)?;
            return Ok(Pieces { source: None, skipped: range.start, left, ready: octets });
        };
        let source = Source {
            blob: store.blobs().pieces(&self.blob).await?,
            before: self.blob.octets() - place.from_end,
            encoded: place.octets,
            decoder: Decoder::new(place.encoding),
        };
        Ok(Pieces { source: Some(source), skipped: range.start, left, ready: Vec::new() })
    }
}

/// Octets of an attachment that are still to be read.
pub struct Pieces {
    source: Option<Source>,
    /// Octets after decoding that come before the range.
    skipped: u64,
    /// Octets of the range that are still to come.
    left: u64,
    /// Decoded octets that were not given yet.
    ready: Vec<u8>,
}

/// A message that is read to its end, since only then it is known whether it is the one that was kept.
struct Source {
    blob: BlobPieces,
    /// Octets of the message before the content.
    before: u64,
    /// Octets of the content that were not read.
    encoded: u64,
    decoder: Decoder,
}

impl Pieces {
    /// The next octets; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        loop {
            let piece = self.take();
            // The last of them are held back until the message is read to its end and found undamaged.
            if !piece.is_empty() && self.left > 0 {
                return Ok(Some(piece));
            }
            let Some(source) = &mut self.source else {
                return Ok((!piece.is_empty()).then_some(piece));
            };
            if self.left == 0 {
                while source.blob.next().await?.is_some() {}
                self.source = None;
                return Ok((!piece.is_empty()).then_some(piece));
            }
            match source.next().await? {
                Some(decoded) => self.ready = decoded,
                None => self.source = None,
            }
        }
    }

    /// What is ready and in the range.
    fn take(&mut self) -> Vec<u8> {
        let mut piece = std::mem::take(&mut self.ready);
        let skip = usize::try_from(self.skipped).map_or(piece.len(), |skip| skip.min(piece.len()));
        piece.drain(..skip);
        self.skipped -= skip as u64;
        piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= piece.len() as u64;
        piece
    }
}

impl Source {
    /// More decoded octets, perhaps none; `None` at the end of the content.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let mut decoded = Vec::new();
        let piece = if self.encoded == 0 { None } else { self.blob.next().await? };
        let Some(mut piece) = piece else {
            self.decoder.finish(&mut decoded);
            return Ok((!decoded.is_empty()).then_some(decoded));
        };
        let before = usize::try_from(self.before).map_or(piece.len(), |before| before.min(piece.len()));
        piece.drain(..before);
        self.before -= before as u64;
        piece.truncate(usize::try_from(self.encoded).unwrap_or(usize::MAX));
        self.encoded -= piece.len() as u64;
        self.decoder.feed(&piece, &mut decoded);
        Ok(Some(decoded))
    }
}
