//! What is remembered of rows that every request needs: whose key it has, and whose mailbox it names. Only where this process
//! alone writes (SQLite, whose folder is locked): then it is known after each commit whether such a row may have changed, and
//! nothing is remembered longer than it is true. Who has an answer to a change never meets what was before it.

use crate::db::Touched;
use crate::keys::Credential;
use parking_lot::RwLock;
use postfleet_core::id::{ApplicationId, GrantId};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tables whose rows are remembered, as bits of [`Touched`] in this order. A credential says what its organization's plan is.
pub(crate) const WATCHED: &[&str] = &["api_keys", "organizations", "grants"];
const KEYS: u8 = 0b011;
const GRANTS: u8 = 0b100;

/// Keys at once: as many as are in use in most installations, and some 500 octets each.
const KEYS_MAX: usize = 4_096;

/// Mailboxes at once: 32 octets each.
const MAILBOXES_MAX: usize = 262_144;

/// Parts that are locked by themselves.
const SHARDS: usize = 16;

/// Everything that is remembered.
pub(crate) struct Remembered {
    /// By the keyed hash of the key.
    pub(crate) credentials: Memory<[u8; 32], Arc<Credential>>,
    /// Whose they are.
    pub(crate) mailboxes: Memory<GrantId, ApplicationId>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { credentials: Memory::holding(KEYS_MAX), mailboxes: Memory::holding(MAILBOXES_MAX) }
    }
}

impl Remembered {
    /// Forgets what may not be true any more, after the commit that changed it and before anybody is told of that.
    pub(super) fn changed(&self, touched: Touched) {
        if touched.any_of(KEYS) {
            self.credentials.forget();
        }
        if touched.any_of(GRANTS) {
            self.mailboxes.forget();
        }
    }
}

/// Values that were read, each as long as none of its kind has changed since.
pub(crate) struct Memory<K, V> {
    /// How often something of this kind changed.
    changes: AtomicU64,
    hasher: RandomState,
    shards: [RwLock<Shard<K, V>>; SHARDS],
    /// Values of one part at once. Then it begins anew: what is needed comes back.
    shard_max: usize,
}

struct Shard<K, V> {
    as_of: AsOf,
    values: HashMap<K, V>,
}

/// After how many changes something was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AsOf(u64);

impl<K: Hash + Eq, V: Clone> Memory<K, V> {
    fn holding(max: usize) -> Self {
        let shard = || RwLock::new(Shard { as_of: AsOf(0), values: HashMap::new() });
        Self {
            changes: AtomicU64::new(0),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| shard()),
            shard_max: max / SHARDS,
        }
    }

    /// What is remembered; or, where nothing is, as of when that is which is read from now on.
    pub(crate) fn find(&self, key: &K) -> Result<V, AsOf> {
        let now = AsOf(self.changes.load(Ordering::Acquire));
        let shard = self.shard(key).read();
        shard.values.get(key).filter(|_| shard.as_of == now).cloned().ok_or(now)
    }

    /// Remembers what was read after [`Memory::find`] found nothing. What has changed meanwhile is not remembered.
    pub(crate) fn keep(&self, key: K, value: V, as_of: AsOf) {
        let mut shard = self.shard(&key).write();
        if as_of < shard.as_of {
            return;
        }
        if as_of > shard.as_of || shard.values.len() >= self.shard_max {
            shard.values.clear();
            shard.as_of = as_of;
        }
        shard.values.insert(key, value);
    }

    fn forget(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn shard(&self, key: &K) -> &RwLock<Shard<K, V>> {
        &self.shards[(self.hasher.hash_one(key) % SHARDS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(memory: &Memory<u32, u32>, key: u32, value: u32) -> AsOf {
        let as_of = memory.find(&key).expect_err("nothing is remembered");
        memory.keep(key, value, as_of);
        as_of
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let memory = Memory::holding(1_600);
        read(&memory, 1, 10);
        assert_eq!(memory.find(&1).ok(), Some(10));
        let before = memory.find(&2).expect_err("nothing yet");
        memory.forget();
        assert!(memory.find(&1).is_err(), "it may have changed");
        // Somebody read this row just before the change, and comes too late: before and after others.
        memory.keep(2, 20, before);
        assert!(memory.find(&2).is_err());
        for key in 0..100 {
            read(&memory, key, key + 1);
        }
        memory.keep(2, 20, before);
        assert_eq!((memory.find(&1).ok(), memory.find(&2).ok()), (Some(2), Some(3)));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let memory = Memory::holding(160);
        for key in 0..10_000 {
            read(&memory, key, key);
            assert_eq!(memory.find(&key).ok(), Some(key));
        }
        let kept: usize = memory.shards.iter().map(|shard| shard.read().values.len()).sum();
        assert!((1..=160).contains(&kept), "{kept}");
    }

    #[test]
    fn each_table_makes_forget_what_is_read_from_it() {
        for (place, table) in WATCHED.iter().enumerate() {
            let remembered = Remembered::default();
            let (hash, grant) = ([0; 32], GrantId::from_uuid(uuid::Uuid::nil()));
            let (keys, mailboxes) = (&remembered.credentials, &remembered.mailboxes);
            let before = (keys.find(&hash).err(), mailboxes.find(&grant).err());
            remembered.changed(Touched::of(&format!("UPDATE {table} SET x = 1")));
            let forgets = (keys.find(&hash).err() != before.0, mailboxes.find(&grant).err() != before.1);
            assert_eq!(forgets, (place < 2, place == 2), "{table}");
        }
    }
}
