//! The map of a content: which run of bytes is in which blob. Pure: no I/O. Blobs are append-only, so a byte that is
//! written again is a new run that hides the old one; whoever holds an older map keeps reading what it names.

use crate::records::{BlobId, Segment};

/// Runs sorted by start, not overlapping, maybe with gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments(Vec<Segment>);

impl Segments {
    pub(crate) fn new(runs: Vec<Segment>) -> Self {
        Self(runs)
    }

    pub(crate) fn runs(&self) -> &[Segment] {
        &self.0
    }

    /// End of the last run.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |run| run.start + run.len)
    }

    /// Length of the part from 0 that has no gap.
    pub(crate) fn prefix(&self) -> u64 {
        let mut at = 0;
        for run in &self.0 {
            if run.start != at {
                break;
            }
            at += run.len;
        }
        at
    }

    /// Where each stretch without gap begins and ends.
    pub(crate) fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for run in &self.0 {
            match ranges.last_mut() {
                Some((_, end)) if *end == run.start => *end += run.len,
                _ => ranges.push((run.start, run.start + run.len)),
            }
        }
        ranges
    }

    /// How many bytes there are.
    pub(crate) fn held(&self) -> u64 {
        self.0.iter().map(|run| run.len).sum()
    }

    /// Puts a run over what is there.
    pub(crate) fn put(&mut self, start: u64, len: u64, blob: Option<&BlobId>, offset: u64) {
        if len == 0 {
            return;
        }
        if start >= self.end() {
            self.push(Segment { start, len, blob: blob.cloned(), offset });
            return;
        }
        let tail = self.split(start + len);
        self.cut(start);
        self.push(Segment { start, len, blob: blob.cloned(), offset });
        for run in tail {
            self.push(run);
        }
    }

    /// Forgets everything from `size` on.
    pub(crate) fn cut(&mut self, size: u64) {
        self.split(size);
    }

    /// Forgets everything from `at` on and returns it.
    fn split(&mut self, at: u64) -> Vec<Segment> {
        let index = self.0.partition_point(|run| run.start + run.len <= at);
        let mut tail = self.0.split_off(index);
        if let Some(first) = tail.first_mut()
            && first.start < at
        {
            let head = Segment { len: at - first.start, ..first.clone() };
            first.len -= head.len;
            first.start = at;
            if first.blob.is_some() {
                first.offset += head.len;
            }
            self.0.push(head);
        }
        tail
    }

    fn push(&mut self, run: Segment) {
        if let Some(last) = self.0.last_mut()
            && last.start + last.len == run.start
            && last.blob == run.blob
            && (run.blob.is_none() || last.offset + last.len == run.offset)
        {
            last.len += run.len;
            return;
        }
        self.0.push(run);
    }

    /// Turns gaps up to `size` into zeros.
    pub(crate) fn fill(&mut self, size: u64) {
        if self.prefix() >= size {
            return;
        }
        let mut filled = Self::default();
        let mut at = 0;
        for run in std::mem::take(&mut self.0) {
            filled.put(at, run.start.saturating_sub(at), None, 0);
            at = run.start + run.len;
            filled.push(run);
        }
        filled.put(at, size.saturating_sub(at), None, 0);
        *self = filled;
    }

    /// The runs that cover `[offset, offset + len)`, clipped to it.
    pub(crate) fn clipped(&self, offset: u64, len: u64) -> impl Iterator<Item = Segment> + '_ {
        let end = offset.saturating_add(len);
        let first = self.0.partition_point(|run| run.start + run.len <= offset);
        self.0.iter().skip(first).take_while(move |run| run.start < end).map(move |run| {
            let start = run.start.max(offset);
            Segment {
                start,
                len: (run.start + run.len).min(end) - start,
                blob: run.blob.clone(),
                offset: if run.blob.is_some() { run.offset + (start - run.start) } else { 0 },
            }
        })
    }

    /// The blobs that are named, each once.
    pub(crate) fn blobs(&self) -> Vec<BlobId> {
        let mut blobs: Vec<BlobId> = self.0.iter().filter_map(|run| run.blob.clone()).collect();
        blobs.sort_by_key(|blob| blob.key);
        blobs.dedup_by_key(|blob| blob.key);
        blobs
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::option_option)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob() -> BlobId {
        BlobId { key: uuid::Uuid::nil(), storage: "s".into(), prefix: "p".into() }
    }

    /// What the map says each byte is: the position in the blob, zero, or a gap.
    fn bytes(map: &Segments, size: usize) -> Vec<Option<Option<u64>>> {
        let mut out = vec![None; size];
        for run in map.runs() {
            for i in 0..run.len {
                out[(run.start + i) as usize] = Some(run.blob.as_ref().map(|_| run.offset + i));
            }
        }
        out
    }

    proptest! {
        #[test]
        fn behaves_as_an_array_of_bytes(steps in proptest::collection::vec((0u64..64, 0u64..24, 0u8..4), 1..40)) {
            let (mut map, mut model, mut tail) = (Segments::default(), vec![None; 128], 0u64);
            for (start, len, what) in steps {
                match what {
                    0 => {
                        map.cut(start);
                        model[start as usize..].fill(None);
                    }
                    1 => {
                        map.put(start, len, None, 0);
                        model[start as usize..(start + len) as usize].fill(Some(None));
                    }
                    _ => {
                        map.put(start, len, Some(&blob()), tail);
                        for i in 0..len {
                            model[(start + i) as usize] = Some(Some(tail + i));
                        }
                        tail += len;
                    }
                }
                prop_assert_eq!(&bytes(&map, 128), &model);
                let mut at = 0;
                for run in map.runs() {
                    prop_assert!(run.start >= at && run.len > 0);
                    at = run.start + run.len;
                }
                let prefix = model.iter().position(Option::is_none).unwrap();
                prop_assert_eq!(map.prefix(), prefix as u64);
                prop_assert_eq!(map.held() as usize, model.iter().flatten().count());
                let stretches: Vec<usize> = map.ranges().iter().flat_map(|(start, end)| *start..*end).map(|at| at as usize).collect();
                let there: Vec<usize> = (0..128).filter(|at| model[*at].is_some()).collect();
                prop_assert_eq!(stretches, there);
                prop_assert!(map.ranges().windows(2).all(|pair| pair[0].1 < pair[1].0));
                let window: Vec<_> = map.clipped(start, len).collect();
                let covered: u64 = window.iter().map(|r| r.len).sum();
                let expected = model[start as usize..(start + len) as usize].iter().filter(|b| b.is_some()).count();
                prop_assert_eq!(covered as usize, expected);
            }
            let end = map.end();
            map.fill(end + 5);
            prop_assert_eq!(map.prefix(), end + 5);
        }
    }

    #[test]
    fn writing_in_order_stays_one_run() {
        let mut map = Segments::default();
        for i in 0..1000 {
            map.put(i * 10, 10, Some(&blob()), i * 10);
        }
        assert_eq!(map.runs().len(), 1);
        assert_eq!(map.blobs().len(), 1);
    }
}
