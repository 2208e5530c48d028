//! Keys that were read before, by the text of their records: those who send much sign with few keys, and to read a key costs
//! as much as to use it. What is remembered depends on the text alone, so that nothing here grows old.

use super::key::{self, Key};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// Keys that are remembered at most.
pub const KEYS_MAX: usize = 1_024;

/// Octets of a record that is remembered: a key of 8192 bits (RSA) has fewer.
pub const RECORD_OCTETS_MAX: usize = 2_048;

/// Remembers keys. Each text has one place, which it takes from whatever had it before.
pub struct KeyCache {
    hasher: RandomState,
    places: Box<[Mutex<Option<Known>>]>,
}

struct Known {
    record: Box<str>,
    key: Arc<Key>,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: (0..KEYS_MAX).map(|_| Mutex::new(None)).collect() }
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyCache")
    }
}

impl KeyCache {
    /// The key of a record, or why there is none in it.
    pub(super) fn read(&self, record: &str) -> Result<Arc<Key>, &'static str> {
        if record.len() > RECORD_OCTETS_MAX {
            return key::parse(record).map(Arc::new);
        }
        let place = &self.places[self.hasher.hash_one(record) as usize % KEYS_MAX];
        // Nobody panics while it is held, and a place is written as a whole.
        let place = || place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = place().as_ref().filter(|known| *known.record == *record) {
            return Ok(known.key.clone());
        }
        let key = Arc::new(key::parse(record)?);
        *place() = Some(Known { record: record.into(), key: key.clone() });
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::{Algorithm, generate};

    #[test]
    fn a_key_is_read_once_and_what_is_none_each_time() {
        let (cache, record) = (KeyCache::default(), generate(Algorithm::Ed25519Sha256).unwrap().public_dns);
        let first = cache.read(&record).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.read(&record).unwrap()));
        let testing = cache.read(&format!("{record}; t=y")).unwrap();
        assert_eq!((first.is_testing, testing.is_testing), (false, true));
        for _ in 0..2 {
            assert_eq!(cache.read("v=DKIM1; p=").unwrap_err(), "the key was revoked");
        }
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let (cache, record) = (KeyCache::default(), generate(Algorithm::Ed25519Sha256).unwrap().public_dns);
        let of = |octets: usize| format!("{record}; n={}", "x".repeat(octets - record.len() - 4));
        for (octets, is_remembered) in [(RECORD_OCTETS_MAX, true), (RECORD_OCTETS_MAX + 1, false)] {
            let record = of(octets);
            let (one, other) = (cache.read(&record).unwrap(), cache.read(&record).unwrap());
            assert_eq!(Arc::ptr_eq(&one, &other), is_remembered, "{octets}");
        }
        for number in 0..2 * KEYS_MAX {
            cache.read(&format!("{record}; n={number}")).unwrap();
        }
        let remembered = cache.places.iter().filter(|place| place.lock().unwrap().is_some()).count();
        assert!((KEYS_MAX / 2..=KEYS_MAX).contains(&remembered), "{remembered}");
    }
}
