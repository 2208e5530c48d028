//! Unpacking, with an end: a report is gzip, a ZIP archive with one file, or bare. However small a thing is packed, no more
//! than [`UNPACKED_MAX`] octets of it are made.

use super::Unreadable;
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Octets of a report that are read. The largest in use are a few megabytes.
pub const UNPACKED_MAX: usize = 8 << 20;

/// Octets of a packed report.
const PACKED_MAX: usize = 4 << 20;

/// Parts of a message that are tried.
pub(super) const PARTS_MAX: usize = 4;

/// Files of an archive that are looked at.
const FILES_MAX: usize = 4;

pub(super) fn unpack(packed: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    match packed {
        [0x1f, 0x8b, ..] | [b'P', b'K', 3, 4, ..] if packed.len() > PACKED_MAX => Err(Unreadable::TooLarge),
        [0x1f, 0x8b, ..] => limited(MultiGzDecoder::new(packed)).map(Cow::Owned),
        [b'P', b'K', 3, 4, ..] => unzip(packed).map(Cow::Owned),
        bare if bare.len() > UNPACKED_MAX => Err(Unreadable::TooLarge),
        bare => Ok(Cow::Borrowed(bare)),
    }
}

fn unzip(packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut archive = ZipArchive::new(Cursor::new(packed)).map_err(|_| Unreadable::Packed)?;
    for index in 0..archive.len().min(FILES_MAX) {
        let file = archive.by_index(index).map_err(|_| Unreadable::Packed)?;
        if file.is_file() {
            // What the archive says of the size is a claim: octets are counted as they come.
            return limited(file);
        }
    }
    Err(Unreadable::Packed)
}

fn limited(reader: impl Read) -> Result<Vec<u8>, Unreadable> {
    let mut octets = Vec::new();
    reader.take(UNPACKED_MAX as u64 + 1).read_to_end(&mut octets).map_err(|_| Unreadable::Packed)?;
    if octets.len() > UNPACKED_MAX { Err(Unreadable::TooLarge) } else { Ok(octets) }
}
