//! The hash chain (contract, `events.md`, "Audit"): every seal's hash is SHA-256 over the previous hash, as 32 raw bytes,
//! and the entry's bytes; the first one follows 32 zero bytes, or the hash of a signed cut.
//!
//! What the hashes alone cannot show is a chain whose last seals were cut off together with their entries, or that was made
//! anew from some place on: both are valid chains. A signed head shows that, from the place on that it names.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::{Breach, Verification};
use crate::records::Seal;

/// The hash before the first entry of a chain.
pub const GENESIS: [u8; 32] = [0; 32];

/// The hash of an entry in its place: SHA-256(previous || body).
pub fn link(previous: &[u8; 32], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(body).finalize().into()
}

/// A place of a chain, and the hash there.
type Place = (i64, [u8; 32]);

/// The state of a walk along a chain, seal by seal.
#[derive(Clone, Debug)]
pub(crate) struct Walker {
    previous: [u8; 32],
    sealed: u64,
    first: i64,
    last: i64,
    broken: Option<(i64, Breach)>,
    /// Where the chain may begin, if not at its beginning: behind one of these.
    cuts: BTreeSet<Place>,
    /// What signed heads say of the places to come.
    heads: BTreeSet<Place>,
    signed: i64,
    unknown_heads: u64,
}

impl Walker {
    pub(crate) const fn new() -> Self {
        Self {
            previous: GENESIS,
            sealed: 0,
            first: 0,
            last: 0,
            broken: None,
            cuts: BTreeSet::new(),
            heads: BTreeSet::new(),
            signed: 0,
            unknown_heads: 0,
        }
    }

    /// The chain may begin behind this place.
    pub(crate) fn may_begin_behind(&mut self, seq: i64, hash: [u8; 32]) {
        self.cuts.insert((seq, hash));
    }

    /// A head that is believed says that the chain reached this place with this hash. Before the walk comes there.
    pub(crate) fn expect(&mut self, seq: i64, hash: [u8; 32]) {
        self.heads.insert((seq, hash));
    }

    /// There is a head that proves nothing.
    pub(crate) const fn note_unknown(&mut self) {
        self.unknown_heads += 1;
    }

    /// Something is wrong at this place. The first place is kept.
    pub(crate) fn breach(&mut self, seq: i64, what: Breach) {
        if self.broken.is_none_or(|(first, _)| seq < first) {
            self.broken = Some((seq, what));
        }
    }

    /// The last place that was walked over.
    pub(crate) const fn last(&self) -> i64 {
        self.last
    }

    /// How many seals were walked over.
    pub(crate) const fn sealed(&self) -> u64 {
        self.sealed
    }

    /// Whether something is wrong so far.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Goes on with the next seal, in the order of `seq`, and its entry's bytes, if the entry is still there as it was. The
    /// first place that does not hold is kept: a seal that is missing, an entry that is missing, a hash that is not the one
    /// that follows from what is there or that was signed. A changed seal shows at its own place, as its entry hashes to
    /// something else.
    pub(crate) fn step(&mut self, seal: &Seal, body: Option<&[u8]>) {
        if self.sealed == 0 {
            self.begin(seal.seq);
        }
        let expected = self.last + 1;
        match body {
            _ if seal.seq != expected => self.breach(expected.min(seal.seq), Breach::Missing),
            None => self.breach(seal.seq, Breach::Missing),
            Some(body) if link(&self.previous, body) != seal.hash => self.breach(seal.seq, Breach::Changed),
            Some(_) => {}
        }
        self.sealed += 1;
        self.last = self.last.max(seal.seq);
        self.previous = seal.hash;
        self.compare(seal);
    }

    /// A chain of which the beginning was removed begins behind a cut. Where there is none for it, it is looked for behind
    /// the last one, or at its beginning, and what lies between is missing.
    fn begin(&mut self, first: i64) {
        self.first = first;
        if first == 1 {
            return;
        }
        if let Some((seq, hash)) = self.cuts.range(..(first, GENESIS)).next_back() {
            (self.last, self.previous) = (*seq, *hash);
        }
    }

    /// What heads say of this place, and of those before it that there are not.
    fn compare(&mut self, seal: &Seal) {
        while let Some((seq, hash)) = self.heads.pop_first() {
            if seq > seal.seq {
                self.heads.insert((seq, hash));
                return;
            }
            if seq < seal.seq {
                // Before the beginning, or missing, which was said.
                continue;
            }
            if hash != seal.hash {
                self.breach(seq, Breach::Rewritten);
            } else if self.broken.is_none_or(|(broken_at, _)| broken_at > seq) {
                self.signed = seq;
            }
        }
    }

    /// The finding, with the entries that wait for their seal and those that were put in beside the chain. These have no
    /// place in it: the first place after its end stands for them.
    pub(crate) fn finish(mut self, pending: u64, strays: u64) -> Verification {
        if self.sealed == 0 {
            // A cut leaves at least one entry.
            self.last = self.cuts.last().map_or(0, |(seq, _)| *seq);
            if self.last > 0 {
                self.breach(self.last + 1, Breach::Truncated);
            }
        }
        if self.heads.last().is_some_and(|(seq, _)| *seq > self.last) {
            self.breach(self.last + 1, Breach::Truncated);
        }
        if strays > 0 {
            self.breach(self.last + 1, Breach::Inserted);
        }
        Verification {
            entries: self.sealed + pending + strays,
            sealed: self.sealed,
            first: self.first,
            last: if self.sealed == 0 { 0 } else { self.last },
            valid: self.broken.is_none(),
            broken_at: self.broken.map(|(seq, _)| seq),
            breach: self.broken.map(|(_, what)| what),
            signed: self.signed,
            unknown_heads: self.unknown_heads,
        }
    }
}

#[cfg(test)]
#[path = "walker_test.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
