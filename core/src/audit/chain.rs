//! The hash chain (contract, `events.md`, "Audit"): every seal's hash is SHA-256 over the previous hash, as 32 raw bytes,
//! and the entry's bytes; the first one follows 32 zero bytes.
//!
//! What a walk cannot see is a chain whose last seals were cut off together with their entries: a shorter chain is a valid
//! one. Comparing it with a head that was kept elsewhere shows that.

use sha2::{Digest as _, Sha256};

use super::Verification;
use crate::error::Result;
use crate::ports::{Ledger, Reach};
use crate::records::Seal;

/// The hash before the first entry of a chain.
pub const GENESIS: [u8; 32] = [0; 32];

/// Seals that are read at a time.
const PAGE: u32 = 1000;

/// How often a walk looks again for what was sealed while it went; a busy chain is never quite done.
const ROUNDS: u32 = 8;

/// The hash of an entry in its place: SHA-256(previous || body).
pub fn link(previous: &[u8; 32], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(body).finalize().into()
}

/// The state of a walk along a chain, seal by seal.
#[derive(Clone, Debug)]
pub(crate) struct Walker {
    previous: [u8; 32],
    sealed: u64,
    first: i64,
    last: i64,
    broken_at: Option<i64>,
}

impl Walker {
    pub(crate) const fn new() -> Self {
        Self { previous: GENESIS, sealed: 0, first: 0, last: 0, broken_at: None }
    }

    /// Goes on with the next seal, in the order of `seq`, and its entry's bytes, if the entry is still there. The first
    /// place that does not hold is kept: a seal that is missing, an entry that is missing, a hash that is not the one
    /// that follows from what is there. A changed seal shows at its own place, as its entry hashes to something else.
    pub(crate) fn step(&mut self, seal: &Seal, body: Option<&[u8]>) {
        if self.sealed == 0 {
            self.first = seal.seq;
        }
        let expected = self.last + 1;
        if self.broken_at.is_none() {
            if seal.seq != expected {
                self.broken_at = Some(expected.min(seal.seq));
            } else if body.is_none_or(|body| link(&self.previous, body) != seal.hash) {
                self.broken_at = Some(seal.seq);
            }
        }
        self.sealed += 1;
        self.last = seal.seq;
        self.previous = seal.hash;
    }

    /// The finding, with the entries that wait for their seal and those that were put in beside the chain. These have no
    /// place in it: the first place after its end stands for them.
    pub(crate) fn finish(&self, pending: u64, strays: u64) -> Verification {
        let broken_at = self.broken_at.or((strays > 0).then_some(self.last + 1));
        Verification {
            entries: self.sealed + pending + strays,
            sealed: self.sealed,
            first: self.first,
            last: self.last,
            valid: broken_at.is_none(),
            broken_at,
        }
    }
}

/// Walks a chain from its beginning and tells whether it holds, and where it first does not. Entries that are sealed
/// while it goes are walked too. Fails only where the ledger cannot be read.
pub async fn verify_chain(ledger: &dyn Ledger, chain: &str) -> Result<Verification> {
    let mut walker = Walker::new();
    let mut counts = (0, 0);
    for round in 0..ROUNDS {
        let before = walker.sealed;
        loop {
            // A connection for each page only: a long walk must not keep one from those who serve clients.
            let page = ledger.read(Reach::of(chain)).await?.seals(chain, walker.last, PAGE).await?;
            for (seal, body) in &page {
                walker.step(seal, body.as_deref());
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        if round > 0 && walker.sealed == before {
            break;
        }
        counts = ledger.read(Reach::of(chain)).await?.unsealed_counts(chain).await?;
    }
    Ok(walker.finish(counts.0, counts.1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use uuid::Uuid;

    type Row = (Seal, Option<Vec<u8>>);

    fn chain(length: i64) -> Vec<Row> {
        let mut previous = GENESIS;
        (1..=length)
            .map(|seq| {
                let body = format!("{{\"n\":{seq}}}").into_bytes();
                previous = link(&previous, &body);
                (Seal { chain: "acme".into(), seq, entry: Uuid::now_v7(), hash: previous }, Some(body))
            })
            .collect()
    }

    fn walk(rows: &[Row], pending: u64, strays: u64) -> Verification {
        let mut walker = Walker::new();
        for (seal, body) in rows {
            walker.step(seal, body.as_deref());
        }
        walker.finish(pending, strays)
    }

    #[test]
    fn the_first_links_are_these() {
        // printf '%064d' 0 | xxd -r -p | cat - <(printf '{"a":1}') | sha256sum, and the same again after it.
        let first = link(&GENESIS, b"{\"a\":1}");
        assert_eq!(hex::encode(first), "b06a229070741292512e8760f470dd7a4c46ccfdf253df781d88dabe58c1ccb1");
        assert_eq!(
            hex::encode(link(&first, b"{\"a\":2}")),
            "a1d14784ae595e5334415f1ab3f83e6dd035dd72252a25352a9d3bfe1e7d08ba"
        );
    }

    #[test]
    fn a_whole_chain_holds() {
        let found = walk(&chain(5), 2, 0);
        let expected = Verification { entries: 7, sealed: 5, first: 1, last: 5, valid: true, broken_at: None };
        assert_eq!(found, expected);
        let empty = Verification { entries: 0, sealed: 0, first: 0, last: 0, valid: true, broken_at: None };
        assert_eq!(walk(&[], 0, 0), empty);
    }

    #[test]
    fn every_change_is_found_where_it_is() {
        for at in 0..5usize {
            let place = Some(at as i64 + 1);

            let mut changed = chain(5);
            changed[at].1.as_mut().unwrap()[1] ^= 1;
            assert_eq!(walk(&changed, 0, 0).broken_at, place);

            let mut missing = chain(5);
            missing[at].1 = None;
            assert_eq!(walk(&missing, 0, 0).broken_at, place);

            let mut seal = chain(5);
            seal[at].0.hash[31] ^= 1;
            assert_eq!(walk(&seal, 0, 0).broken_at, place);

            let mut gap = chain(5);
            gap.remove(at);
            let found = walk(&gap, 0, 0);
            // The last seal with its entry leaves a shorter chain behind, which is whole in itself.
            assert_eq!(found.broken_at, if at == 4 { None } else { place });
            assert_eq!(found.sealed, 4);

            // Removed, and those behind it moved up: the hashes tell.
            let mut moved = chain(5);
            moved.remove(at);
            for (seq, row) in (1..).zip(&mut moved) {
                row.0.seq = seq;
            }
            assert_eq!(walk(&moved, 0, 0).broken_at, if at == 4 { None } else { place });

            let mut inserted = chain(5);
            let body = b"{}".to_vec();
            let forged = Seal { hash: link(&inserted[at].0.hash, &body), seq: at as i64 + 2, ..inserted[at].0.clone() };
            inserted.insert(at + 1, (forged, Some(body)));
            for row in inserted.iter_mut().skip(at + 2) {
                row.0.seq += 1;
            }
            // Behind the last one it is an entry like any other, for whoever can write seals.
            assert_eq!(walk(&inserted, 0, 0).broken_at, if at == 4 { None } else { Some(at as i64 + 3) });
        }
    }

    #[test]
    fn swapped_entries_and_strays_are_found() {
        let mut swapped = chain(5);
        let body = swapped[1].1.take();
        swapped[1].1 = std::mem::replace(&mut swapped[2].1, body);
        assert_eq!(walk(&swapped, 0, 0).broken_at, Some(2));

        let stray = walk(&chain(3), 1, 1);
        assert_eq!((stray.valid, stray.broken_at, stray.entries), (false, Some(4), 5));
    }
}
