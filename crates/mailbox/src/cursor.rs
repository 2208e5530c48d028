//! Cursors: where a page of a list starts, as opaque text. A cursor says a place, never whose list it is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::search::Key;
use postfleet_core::{Problem, UnixMicros};

/// Writes a place: a time and an id.
pub(crate) fn write(date: UnixMicros, id: &[u8; 16]) -> String {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&date.as_micros().to_be_bytes());
    bytes[8..].copy_from_slice(id);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a place back.
pub(crate) fn read(cursor: &str) -> Result<(UnixMicros, [u8; 16]), Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?.try_into().map_err(|_| invalid())?;
    let (mut date, mut id) = ([0; 8], [0; 16]);
    date.copy_from_slice(&bytes[..8]);
    id.copy_from_slice(&bytes[8..]);
    Ok((UnixMicros::from_micros(i64::from_be_bytes(date)), id))
}

/// Writes a place among what was found: how much it counts, a time and an id.
pub(crate) fn write_found(key: &Key) -> String {
    let mut bytes = [0; 26];
    bytes[..2].copy_from_slice(&key.score.to_be_bytes());
    bytes[2..10].copy_from_slice(&key.date.to_be_bytes());
    bytes[10..].copy_from_slice(&key.id);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads one back.
pub(crate) fn read_found(cursor: &str) -> Result<Key, Problem> {
    let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
    let bytes: [u8; 26] = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?.try_into().map_err(|_| invalid())?;
    let (mut score, mut date, mut id) = ([0; 2], [0; 8], [0; 16]);
    score.copy_from_slice(&bytes[..2]);
    date.copy_from_slice(&bytes[2..10]);
    id.copy_from_slice(&bytes[10..]);
    Ok(Key { score: u16::from_be_bytes(score), date: i64::from_be_bytes(date), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_and_anything_else_is_refused() {
        let place = (UnixMicros::from_micros(1_700_000_000_123_456), [7; 16]);
        assert_eq!(read(&write(place.0, &place.1)).unwrap(), place);
        let key = Key { score: 513, date: place.0.as_micros(), id: place.1 };
        assert_eq!(read_found(&write_found(&key)).unwrap(), key);
        assert!(read(&write_found(&key)).is_err() && read_found(&write(place.0, &place.1)).is_err());
        for bad in ["", "abc", "%%%", &"A".repeat(33)] {
            assert_eq!(read(bad).unwrap_err().field.as_deref(), Some("page_token"), "{bad}");
            assert_eq!(read_found(bad).unwrap_err().field.as_deref(), Some("page_token"), "{bad}");
        }
    }
}
