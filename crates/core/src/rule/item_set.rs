//! The items of a list in memory: a keyed hash of 128 bits for each, and nothing else.
//!
//! An answer is wrong only if two values have one hash, which nobody can bring about without the key. The hashes
//! stand in one sorted run with gaps: a hash has its home where it would stand if all were spread evenly, and stands
//! there or a little behind. That makes a lookup one visit to memory even in a set of millions, and lets the set be
//! filled well: 16 octets for each hash, and gaps of a third of them at the most. Before them stands a filter of an
//! octet for each home, small enough for the processor's cache: most of what is looked up is in no list, and most of
//! that is told by the filter alone.

use super::sip;

/// Makes the hashes of one or many sets.
#[derive(Clone, Copy)]
pub struct ItemHasher {
    key: [u64; 2],
}

impl ItemHasher {
    /// The key is chance: whoever knows it can make values that are taken for each other.
    pub fn new(key: [u64; 2]) -> Self {
        Self { key }
    }

    fn hash(&self, value: &str) -> u128 {
        // Nought is the mark of a gap.
        sip::hash(self.key, value.as_bytes()).max(1)
    }
}

impl std::fmt::Debug for ItemHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ItemHasher(…)")
    }
}

/// A set of values, of which only hashes are kept.
#[derive(Clone, Debug)]
pub struct ItemSet {
    hasher: ItemHasher,
    slots: Vec<u128>,
    /// Over how many of the slots the homes are spread; those behind take what runs over the end.
    homes: usize,
    count: usize,
    /// Two bits of each hash; some are left of hashes that are gone.
    filter: Vec<u64>,
    /// How many hashes went since the filter was made.
    removals: usize,
}

/// Homes of the smallest set.
const HOMES_MIN: usize = 8;

/// Homes for each word of the filter: a home has eight bits of it.
const HOMES_PER_WORD: usize = 8;

impl ItemSet {
    /// An empty one.
    pub fn new(hasher: ItemHasher) -> Self {
        let filter = vec![0; HOMES_MIN / HOMES_PER_WORD];
        Self { hasher, slots: vec![0; HOMES_MIN], homes: HOMES_MIN, count: 0, filter, removals: 0 }
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The memory that it takes.
    pub fn octets(&self) -> usize {
        self.slots.capacity() * size_of::<u128>() + self.filter.capacity() * size_of::<u64>()
    }

    /// Whether a value is in it.
    pub fn contains(&self, value: &str) -> bool {
        let hash = self.hasher.hash(value);
        let (word, bits) = self.filter_bits(hash);
        self.filter[word] & bits == bits && self.slots.get(self.place(hash)) == Some(&hash)
    }

    /// Adds a value; false if it was there.
    pub fn insert(&mut self, value: &str) -> bool {
        let hash = self.hasher.hash(value);
        if self.slots.get(self.place(hash)) == Some(&hash) {
            return false;
        }
        // At most seven in eight homes are taken.
        if (self.count + 1) * 8 > self.homes * 7 {
            self.grow();
        }
        self.put(hash);
        self.count += 1;
        true
    }

    /// Takes a value out; false if it was not there.
    pub fn remove(&mut self, value: &str) -> bool {
        let hash = self.hasher.hash(value);
        let mut gap = self.place(hash);
        if self.slots.get(gap) != Some(&hash) {
            return false;
        }
        // What stands behind its home moves up.
        while let Some(next) = self.slots.get(gap + 1).copied().filter(|next| *next != 0 && self.home(*next) <= gap) {
            self.slots[gap] = next;
            gap += 1;
        }
        self.slots[gap] = 0;
        self.count -= 1;
        self.removals += 1;
        if self.removals > self.homes {
            self.make_filter();
        }
        true
    }

    fn home(&self, hash: u128) -> usize {
        (((hash >> 64) * self.homes as u128) >> 64) as usize
    }

    /// Where a hash stands, or would: at the first place from its home on that is a gap or not before it in the order.
    fn place(&self, hash: u128) -> usize {
        let mut place = self.home(hash);
        while self.slots.get(place).is_some_and(|slot| *slot != 0 && *slot < hash) {
            place += 1;
        }
        place
    }

    /// Puts in a hash that is not there: those behind it, up to the next gap, make room.
    fn put(&mut self, hash: u128) {
        let (mut place, mut carried) = (self.place(hash), hash);
        while carried != 0 {
            if place == self.slots.len() {
                self.slots.reserve_exact(1);
                self.slots.push(0);
            }
            carried = std::mem::replace(&mut self.slots[place], carried);
            place += 1;
        }
        let (word, bits) = self.filter_bits(hash);
        self.filter[word] |= bits;
    }

    /// A word of the filter, and the bits of it that a hash sets. The home is made of the hash's upper half, these of
    /// its lower half.
    fn filter_bits(&self, hash: u128) -> (usize, u64) {
        let low = hash as u64;
        let word = (u128::from(low) * self.filter.len() as u128) >> 64;
        (word as usize, 1 << (low & 63) | 1 << (low >> 6 & 63))
    }

    fn make_filter(&mut self) {
        self.removals = 0;
        self.filter = vec![0; self.homes.div_ceil(HOMES_PER_WORD)];
        for place in 0..self.slots.len() {
            if self.slots[place] != 0 {
                let (word, bits) = self.filter_bits(self.slots[place]);
                self.filter[word] |= bits;
            }
        }
    }

    /// A fifth more homes.
    fn grow(&mut self) {
        self.homes += (self.homes / 5).max(HOMES_MIN);
        self.filter = vec![0; self.homes.div_ceil(HOMES_PER_WORD)];
        self.removals = 0;
        let mut slots = Vec::with_capacity(self.homes + HOMES_MIN);
        slots.resize(self.homes, 0);
        let before = std::mem::replace(&mut self.slots, slots);
        for hash in before {
            if hash != 0 {
                self.put(hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn it_is_a_set(key: [u64; 2], steps in prop::collection::vec((any::<bool>(), 0_u16..400), 0..2_000)) {
            let (mut set, mut model) = (ItemSet::new(ItemHasher::new(key)), HashSet::new());
            for (adds, number) in steps {
                let value = number.to_string();
                if adds {
                    prop_assert_eq!(set.insert(&value), model.insert(number));
                } else {
                    prop_assert_eq!(set.remove(&value), model.remove(&number));
                }
                prop_assert_eq!(set.len(), model.len());
            }
            for number in 0..400 {
                prop_assert_eq!(set.contains(&number.to_string()), model.contains(&number), "{}", number);
            }
        }
    }

    #[test]
    fn it_stays_small() {
        let mut set = ItemSet::new(ItemHasher::new([3, 4]));
        for number in 0..200_000_usize {
            assert!(set.insert(&format!("{number}.example")));
            if number > 1_000 {
                assert!(set.octets() <= 24 * (number + 1), "{} octets for {number}", set.octets());
            }
        }
        assert!((0..200_000).all(|number| set.contains(&format!("{number}.example"))));
        assert!((200_000..400_000).all(|number| !set.contains(&format!("{number}.example"))));
        assert!((0..200_000).all(|number| set.remove(&format!("{number}.example"))));
        assert!(set.is_empty() && set.slots.iter().all(|slot| *slot == 0));
    }
}
