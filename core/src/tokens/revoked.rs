//! Which grants are revoked, as far as this process knows.

use std::collections::HashMap;

use uuid::Uuid;

use crate::records::{Micros, RevokedGrant};

/// How far behind the newest revocation others are looked for: what was written under way meanwhile, by clocks that differ.
const OVERLAP: i64 = 60_000_000;
/// How often everything is read again, in microseconds.
const ALL_EVERY: i64 = 60_000_000;

/// Grants that were revoked, until no token of theirs can hold any more.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    until: HashMap<Uuid, Micros>,
    /// When the newest one was revoked.
    newest: Micros,
    /// When all were read.
    all_at: Option<Micros>,
}

impl Revoked {
    /// Since when revocations have to be read now.
    pub(super) fn since(&self, now: Micros) -> Micros {
        match self.all_at {
            Some(at) if (0..ALL_EVERY).contains(&now.saturating_sub(at)) => self.newest.saturating_sub(OVERLAP),
            _ => 0,
        }
    }

    /// Takes what was read since that moment.
    pub(super) fn follow(&mut self, since: Micros, read: Vec<RevokedGrant>, now: Micros) {
        if since == 0 {
            self.all_at = Some(now);
            self.until.retain(|_, until| *until > now);
        }
        for RevokedGrant { grant, until, revoked_at } in read {
            self.newest = self.newest.max(revoked_at.min(now));
            self.add(grant, until);
        }
    }

    /// Adds one.
    pub(super) fn add(&mut self, grant: Uuid, until: Micros) {
        let known = self.until.entry(grant).or_insert(until);
        *known = until.max(*known);
    }

    /// Whether this one is revoked.
    pub(super) fn has(&self, grant: Uuid) -> bool {
        self.until.contains_key(&grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_revoked_is_known_until_it_matters_no_more() {
        let (one, two, three) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let row = |grant, until, revoked_at| RevokedGrant { grant, until, revoked_at };
        let (mut revoked, start) = (Revoked::default(), 1_000_000_000);
        assert_eq!(revoked.since(start), 0);
        revoked.follow(0, vec![row(one, start + 10, start - 5)], start);
        assert!(revoked.has(one) && !revoked.has(two));
        assert_eq!(revoked.since(start + 1), start - 5 - OVERLAP);
        revoked.add(two, start + ALL_EVERY * 2);
        revoked.follow(
            revoked.since(start + 1),
            vec![row(three, start + ALL_EVERY * 2, start + OVERLAP * 9)],
            start + 1,
        );
        assert!([one, two, three].iter().all(|grant| revoked.has(*grant)), "what is read adds to what is known");
        assert_eq!(revoked.since(start + 2), start + 1 - OVERLAP, "a clock ahead hides nothing");
        assert_eq!(revoked.since(start + ALL_EVERY), 0, "all of it once a minute");
        assert_eq!(revoked.since(start - 1), 0, "and when the clock was put back");
        revoked.follow(0, Vec::new(), start + ALL_EVERY);
        assert!(!revoked.has(one) && revoked.has(two) && revoked.has(three), "what is over is forgotten");
    }
}
