//! When the API keys were first seen and last used, as this process knows it. A request notes its use here and waits for
//! nobody; a job carries the notes to the ledger, in groups.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::records::{KeyUse, Micros};

/// A key's use is written once in so long, at the most: a minute.
const PAUSE: Micros = 60_000_000;
/// No use so far. Uses are moments of this century.
const NEVER: Micros = 0;

#[derive(Debug)]
struct Line {
    tenant: Arc<str>,
    key: String,
    /// None: the ledger does not know the key yet, which is so for a moment after it was declared.
    first_seen: Option<Micros>,
    used: AtomicI64,
    /// The use that the ledger knows of.
    written: AtomicI64,
}

/// A use that is to be written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Noted {
    pub(crate) tenant: Arc<str>,
    pub(crate) key: String,
    pub(crate) digest: [u8; 32],
    pub(crate) at: Micros,
}

/// The book. It is looked up by digests of keys that were found by [`super::Directory::find_api_key`] before: never by what a
/// caller made up.
#[derive(Debug, Default)]
pub(crate) struct KeyBook(RwLock<HashMap<[u8; 32], Line>>);

impl KeyBook {
    fn line<T>(&self, digest: &[u8; 32], look: impl FnOnce(&Line) -> T) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(digest).map(look)
    }

    /// Takes what the ledger says of a key.
    pub(crate) fn add(&self, tenant: &Arc<str>, known: KeyUse) {
        let KeyUse { key, digest, first_seen, last_used } = known;
        let last_used = last_used.unwrap_or(NEVER);
        let mut lines = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A use that was noted here meanwhile stays.
        let used = lines.get(&digest).map_or(NEVER, |line| line.used.load(Ordering::Relaxed)).max(last_used);
        let (used, written) = (AtomicI64::new(used), AtomicI64::new(last_used));
        lines.insert(digest, Line { tenant: tenant.clone(), key, first_seen: Some(first_seen), used, written });
    }

    /// When the key was first seen; none where that is not known yet.
    pub(crate) fn first_seen(&self, digest: &[u8; 32]) -> Option<Micros> {
        self.line(digest, |line| line.first_seen).flatten()
    }

    /// When the key was last used, as far as this process knows.
    pub(crate) fn last_used(&self, digest: &[u8; 32]) -> Option<Micros> {
        self.line(digest, |line| line.used.load(Ordering::Relaxed)).filter(|used| *used != NEVER)
    }

    /// Notes that the key let somebody in.
    pub(crate) fn used(&self, (tenant, key): (&Arc<str>, &str), digest: &[u8; 32], now: Micros) {
        if self.line(digest, |line| line.used.fetch_max(now, Ordering::Relaxed)).is_some() {
            return;
        }
        let mut lines = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(*digest).or_insert_with(|| Line {
            tenant: tenant.clone(),
            key: key.to_owned(),
            first_seen: None,
            used: AtomicI64::new(NEVER),
            written: AtomicI64::new(NEVER),
        });
        line.used.fetch_max(now, Ordering::Relaxed);
    }

    /// The uses to write, in the order of the rows. `all`: those whose minute is not over, too.
    pub(crate) fn due(&self, now: Micros, all: bool) -> Vec<Noted> {
        let lines = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let due = lines.iter().filter_map(|(digest, line)| {
            let (used, written) = (line.used.load(Ordering::Relaxed), line.written.load(Ordering::Relaxed));
            let due = line.first_seen.is_some() && used > written && (all || now.saturating_sub(written) >= PAUSE);
            due.then(|| Noted { tenant: line.tenant.clone(), key: line.key.clone(), digest: *digest, at: used })
        });
        let mut due: Vec<Noted> = due.collect();
        due.sort_unstable();
        due
    }

    /// These uses are in the ledger.
    pub(crate) fn written(&self, noted: &[Noted]) {
        for one in noted {
            self.line(&one.digest, |line| line.written.fetch_max(one.at, Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Micros = 1_764_000_000_000_000;

    fn known(key: &str, digest: u8, last_used: Option<Micros>) -> KeyUse {
        KeyUse { key: key.into(), digest: [digest; 32], first_seen: T0, last_used }
    }

    #[test]
    fn a_use_is_written_once_a_minute() {
        let (book, tenant) = (KeyBook::default(), Arc::from("acme"));
        book.add(&tenant, known("b", 2, None));
        book.add(&tenant, known("a", 1, None));
        assert!(book.due(T0, true).is_empty(), "nobody came");
        book.used((&tenant, "b"), &[2; 32], T0 + 5);
        book.used((&tenant, "a"), &[1; 32], T0 + 6);
        book.used((&tenant, "new"), &[9; 32], T0 + 6);
        let due = book.due(T0 + 7, false);
        let keys: Vec<(&str, Micros)> = due.iter().map(|one| (one.key.as_str(), one.at)).collect();
        assert_eq!(
            keys,
            [("a", T0 + 6), ("b", T0 + 5)],
            "in the order of the rows; one that the ledger does not know has to wait"
        );
        book.add(&tenant, known("new", 9, None));
        let due = book.due(T0 + 7, false);
        assert_eq!(due.len(), 3, "and is not lost");
        book.written(&due);
        book.used((&tenant, "a"), &[1; 32], T0 + 100);
        assert!(book.due(T0 + 101, false).is_empty(), "its minute is not over");
        assert_eq!(book.due(T0 + 101, true).len(), 1, "at the end all is written");
        assert_eq!(book.due(T0 + 6 + PAUSE, false).len(), 1);
        assert_eq!(book.last_used(&[1; 32]), Some(T0 + 100));
    }

    #[test]
    fn what_another_node_knows_is_taken_over() {
        let (book, tenant) = (KeyBook::default(), Arc::from("acme"));
        book.add(&tenant, known("a", 1, None));
        assert_eq!((book.first_seen(&[1; 32]), book.last_used(&[1; 32])), (Some(T0), None));
        book.used((&tenant, "a"), &[1; 32], T0 + 5);
        book.add(&tenant, known("a", 1, Some(T0 + 9)));
        assert_eq!(book.last_used(&[1; 32]), Some(T0 + 9));
        assert!(book.due(T0 + 10 * PAUSE, false).is_empty(), "nothing is to be written that is older");
        book.used((&tenant, "a"), &[1; 32], T0 + 20);
        book.add(&tenant, known("a", 1, Some(T0 + 9)));
        assert_eq!(book.last_used(&[1; 32]), Some(T0 + 20), "nor is a newer one lost");
    }
}
