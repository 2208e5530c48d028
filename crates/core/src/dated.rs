//! A map that holds no more than so many entries, each with a time: when it is full, the oldest makes room. For what may be
//! forgotten at any time, and must not grow with what strangers do.

use crate::time::UnixMicros;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Entries by key, and the keys by time.
#[derive(Clone, Debug)]
pub struct Dated<K, V> {
    entries: HashMap<K, (UnixMicros, V)>,
    order: BTreeSet<(UnixMicros, K)>,
    most: usize,
}

impl<K: Clone + Eq + Hash + Ord, V> Dated<K, V> {
    /// An empty one that will hold `most`.
    pub fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeSet::new(), most }
    }

    /// The value of a key, and its time.
    pub fn get(&self, key: &K) -> Option<(UnixMicros, &V)> {
        self.entries.get(key).map(|(at, value)| (*at, value))
    }

    /// Puts a value there under its time, in the place of the one before; the oldest goes if there is no room.
    pub fn put(&mut self, key: K, at: UnixMicros, value: V) {
        self.remove(&key);
        if self.entries.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert((at, key.clone()));
        self.entries.insert(key, (at, value));
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) {
        if let Some((key, (at, _))) = self.entries.remove_entry(key) {
            self.order.remove(&(at, key));
        }
    }

    /// Forgets what is older than `before`.
    pub fn forget(&mut self, before: UnixMicros) {
        while self.order.first().is_some_and(|(at, _)| *at < before) {
            if let Some((_, key)) = self.order.pop_first() {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros::from_seconds(seconds)
    }

    #[test]
    fn the_oldest_makes_room_and_there_is_never_more_than_fits() {
        let mut map = Dated::new(3);
        for number in 0..3 {
            map.put(number, at(number), ());
        }
        // Seen again, it is the youngest.
        map.put(0, at(9), ());
        map.put(3, at(10), ());
        let left: Vec<i64> = (0..4).filter(|number| map.get(number).is_some()).collect();
        assert_eq!(left, [0, 2, 3]);
        for number in 0..10_000 {
            map.put(number % 5, at(number), ());
            map.remove(&(number % 2));
            assert!(map.entries.len() <= 3 && map.entries.len() == map.order.len());
        }
    }

    #[test]
    fn what_is_older_is_forgotten_to_the_microsecond() {
        let mut map = Dated::new(3);
        map.put('a', at(1), 1);
        map.put('b', at(2), 2);
        map.forget(at(2));
        assert_eq!((map.get(&'a'), map.get(&'b')), (None, Some((at(2), &2))));
    }
}
