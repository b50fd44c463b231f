use uuid::Uuid;

use super::*;

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
    let expected = Verification { entries: 7, sealed: 5, first: 1, last: 5, valid: true, ..Verification::default() };
    assert_eq!(found, expected);
    let empty = Verification { valid: true, ..Verification::default() };
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

/// A walk along these rows that was told of cuts and heads.
fn walk_signed(rows: &[Row], cuts: &[usize], heads: &[usize], whole: &[Row]) -> Verification {
    let mut walker = Walker::new();
    for at in cuts {
        walker.may_begin_behind(whole[*at - 1].0.seq, whole[*at - 1].0.hash);
    }
    for at in heads {
        walker.expect(whole[*at - 1].0.seq, whole[*at - 1].0.hash);
    }
    for (seal, body) in rows {
        walker.step(seal, body.as_deref());
    }
    walker.finish(0, 0)
}

#[test]
fn a_head_shows_a_truncated_tail() {
    let whole = chain(8);
    assert_eq!(walk_signed(&whole, &[], &[3, 6], &whole).signed, 6);
    for left in 0..8usize {
        let found = walk_signed(&whole[..left], &[], &[3, 8], &whole);
        assert_eq!((found.broken_at, found.breach), (Some(left as i64 + 1), Some(Breach::Truncated)));
        assert_eq!(found.signed, if left < 3 { 0 } else { 3 });
    }
    assert!(walk_signed(&whole[..6], &[], &[6], &whole).valid, "what no head names may be gone unseen");
}

#[test]
fn a_head_shows_a_chain_that_was_made_anew() {
    let whole = chain(8);
    // Entry 4 is replaced, and everything behind it sealed again: the hashes hold.
    let mut anew = whole.clone();
    let mut previous = anew[2].0.hash;
    for (seal, body) in anew.iter_mut().skip(3) {
        if seal.seq == 4 {
            *body = Some(b"{}".to_vec());
        }
        previous = link(&previous, body.as_deref().unwrap());
        seal.hash = previous;
    }
    assert!(walk(&anew, 0, 0).valid);
    let found = walk_signed(&anew, &[], &[2, 3, 6, 8], &whole);
    assert_eq!((found.broken_at, found.breach, found.signed), (Some(6), Some(Breach::Rewritten), 3));
    let found = walk_signed(&anew, &[], &[4], &whole);
    assert_eq!((found.broken_at, found.signed), (Some(4), 0));
}

#[test]
fn a_cut_is_where_a_chain_may_begin() {
    let whole = chain(8);
    let found = walk_signed(&whole[4..], &[4], &[2, 4, 8], &whole);
    assert_eq!((found.valid, found.first, found.last, found.sealed, found.signed), (true, 5, 8, 4, 8));
    // An older cut of which the entries behind it are there does no harm.
    assert!(walk_signed(&whole[4..], &[2, 4], &[], &whole).valid);
    assert!(walk_signed(&whole, &[4], &[], &whole).valid, "a cut that was signed and not made");
    for (cuts, missing) in [(vec![], 1), (vec![2], 3), (vec![6], 1)] {
        let found = walk_signed(&whole[4..], &cuts, &[], &whole);
        assert_eq!((found.broken_at, found.breach), (Some(missing), Some(Breach::Missing)), "{cuts:?}");
    }
    // With another hash.
    let mut other = chain(8);
    other[3].0.hash[0] ^= 1;
    assert_eq!(walk_signed(&whole[4..], &[4], &[], &other).broken_at, Some(5));
    let found = walk_signed(&[], &[4], &[], &whole);
    assert_eq!((found.broken_at, found.last), (Some(5), 0), "a cut leaves an entry");
}

#[test]
fn the_first_breach_is_told_whenever_it_is_found() {
    let mut changed = chain(5);
    changed[1].1 = None;
    let mut walker = Walker::new();
    walker.breach(4, Breach::Forged);
    for (seal, body) in &changed {
        walker.step(seal, body.as_deref());
    }
    let found = walker.finish(0, 1);
    assert_eq!((found.broken_at, found.breach), (Some(2), Some(Breach::Missing)));
}
