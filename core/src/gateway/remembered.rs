//! What is remembered of things that clients can make up without end: never more than so many.

use std::collections::HashSet;
use std::hash::Hash;

/// A set of at most so many.
#[derive(Debug)]
pub(crate) struct Remembered<K> {
    most: usize,
    keys: HashSet<K>,
}

impl<K: Eq + Hash> Remembered<K> {
    /// Nothing yet; at most this many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, keys: HashSet::new() }
    }

    /// Whether it is remembered.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.keys.contains(key)
    }

    /// Remembers one more; false where it is known already, or there is no room for it.
    pub(crate) fn add(&mut self, key: K) -> bool {
        self.keys.len() < self.most && self.keys.insert(key)
    }

    /// Remembers one more; where there is no room, all others are forgotten.
    pub(crate) fn add_anyway(&mut self, key: K) {
        if self.keys.len() >= self.most {
            self.keys.clear();
        }
        self.keys.insert(key);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut closing = Remembered::new(3);
        assert_eq!([1, 2, 2, 3, 4, 1].map(|key| closing.add(key)), [true, true, false, true, false, false]);
        assert_eq!([1, 2, 3, 4].map(|key| closing.has(&key)), [true, true, true, false]);
        closing.clear();
        assert!(closing.add(4));

        let mut turning = Remembered::new(3);
        for key in 0..1000 {
            turning.add_anyway(key);
            assert!(turning.has(&key) && turning.keys.len() <= 3, "{key}");
        }
    }
}
