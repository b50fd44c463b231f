//! Which bytes a `Range` header asks for: RFC 9110 section 14.1.2 and 14.2. A pure function.

/// Ranges of one request at most. Who asks for more gets all of it (section 14.2 lets a server ignore any `Range`, and
/// tells it to beware of many small ones).
const MAX_RANGES: usize = 64;

/// Some bytes of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub first: u64,
    /// The last byte; never before `first`, always inside the representation.
    pub last: u64,
}

impl Span {
    /// How many bytes.
    pub const fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// `Content-Range` (section 14.4) in a representation of `size` bytes.
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }

    fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }
}

/// What is to be sent of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200: no range, a malformed one, another unit, too many, or more bytes than there are.
    Whole,
    /// These bytes, with 206.
    Part(Span),
    /// These bytes, two runs or more that do not touch each other, in the order in which they were asked for, with 206 and
    /// `multipart/byteranges`.
    Parts(Vec<Span>),
    /// Nothing that is there: 416.
    Unsatisfiable,
}

/// One element of the list.
enum Asked {
    Span(Span),
    /// Beyond the end.
    Nothing,
    /// All of an empty representation, which cannot be told as a part (there is no last byte): 200 says it.
    Empty,
}

/// Reads the value of a `Range` header against a representation of `size` bytes. Ranges that overlap or follow each other
/// are sent as one (section 15.3.7.2), those beyond the end are left out.
pub fn select(value: &[u8], size: u64) -> Selection {
    let Some(list) = byte_ranges(value) else { return Selection::Whole };
    let (mut spans, mut asked) = (Vec::new(), 0);
    for spec in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty()) {
        asked += 1;
        match one(spec, size) {
            Some(Asked::Span(span)) if asked <= MAX_RANGES => spans.push(span),
            Some(Asked::Nothing) if asked <= MAX_RANGES => {}
            Some(_) | None => return Selection::Whole,
        }
    }
    if spans.iter().fold(0u64, |sum, span| sum.saturating_add(span.len())) > size {
        return Selection::Whole;
    }
    let joined = join(spans);
    match (asked, joined.as_slice()) {
        (0, _) => Selection::Whole,
        (_, []) => Selection::Unsatisfiable,
        (_, [span]) => Selection::Part(*span),
        _ => Selection::Parts(joined),
    }
}

/// Makes one span of those that touch each other; it stands where the first of them stood.
fn join(spans: Vec<Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for mut span in spans {
        let mut place = joined.len();
        // A span that grew by one may touch another one now, so all are looked at again.
        while let Some(at) = joined.iter().position(|other| other.touches(span)) {
            let other = joined.remove(at);
            span = Span { first: span.first.min(other.first), last: span.last.max(other.last) };
            place = place.min(at).min(joined.len());
        }
        joined.insert(place, span);
    }
    joined
}

/// `int-range` or `suffix-range`; none where it is neither.
fn one(spec: &[u8], size: u64) -> Option<Asked> {
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (spec.get(..dash)?, spec.get(dash + 1..)?);
    if first.is_empty() {
        return Some(match number(last)? {
            0 => Asked::Nothing,
            _ if size == 0 => Asked::Empty,
            suffix => Asked::Span(Span { first: size.saturating_sub(suffix), last: size - 1 }),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(if first >= size { Asked::Nothing } else { Asked::Span(Span { first, last: last.min(size - 1) }) })
}

/// What follows `bytes=` (the unit is case-insensitive).
fn byte_ranges(value: &[u8]) -> Option<&[u8]> {
    let (unit, rest) = value.trim_ascii().split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(rest)
}

/// Digits only; what does not fit is further than any file reaches.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(first: u64, last: u64) -> Selection {
        Selection::Part(Span { first, last })
    }

    fn parts(spans: &[(u64, u64)]) -> Selection {
        Selection::Parts(spans.iter().map(|(first, last)| Span { first: *first, last: *last }).collect())
    }

    #[test]
    fn the_examples_of_the_rfc() {
        for (value, size, expected) in [
            ("bytes=0-499", 10_000, part(0, 499)),
            ("bytes=500-999", 10_000, part(500, 999)),
            ("bytes=-500", 10_000, part(9500, 9999)),
            ("bytes=9500-", 10_000, part(9500, 9999)),
            ("Bytes=0-0", 10_000, part(0, 0)),
            ("bytes= 0-0 ", 10_000, part(0, 0)),
            ("bytes=0-99999", 10, part(0, 9)),
            ("bytes=-99999", 10, part(0, 9)),
            ("bytes=10-", 10, Selection::Unsatisfiable),
            ("bytes=10-20", 10, Selection::Unsatisfiable),
            ("bytes=-0", 10, Selection::Unsatisfiable),
            ("bytes=0-", 0, Selection::Unsatisfiable),
            ("bytes=-5", 0, Selection::Whole),
            ("bytes=99999999999999999999999-", 10, Selection::Unsatisfiable),
            ("bytes=0-99999999999999999999999", 10, part(0, 9)),
            ("bytes=0-0,-1", 10_000, parts(&[(0, 0), (9999, 9999)])),
            ("bytes= 0-999, 4500-5499, -1000", 10_000, parts(&[(0, 999), (4500, 5499), (9000, 9999)])),
            ("bytes=500-600,601-999", 10_000, part(500, 999)),
            ("bytes=500-700,601-999", 10_000, part(500, 999)),
        ] {
            assert_eq!(select(value.as_bytes(), size), expected, "{value} of {size}");
        }
    }

    #[test]
    fn several_are_bounded_and_joined() {
        for (value, expected) in [
            ("bytes=5-6,1-2", parts(&[(5, 6), (1, 2)])),
            ("bytes=5-6,,1-2,", parts(&[(5, 6), (1, 2)])),
            ("bytes=1-2,50-60", part(1, 2)),
            ("bytes=50-60,70-", Selection::Unsatisfiable),
            ("bytes=8-8,0-1,4-5,2-3", parts(&[(8, 8), (0, 5)])),
            ("bytes=0-1,4-5,2-3,8-9", parts(&[(0, 5), (8, 9)])),
            // More than there is: whoever wants that wants all of it.
            ("bytes=0-,0-", Selection::Whole),
            ("bytes=0-6,3-9", Selection::Whole),
            // One that is malformed spoils the list.
            ("bytes=0-1,x", Selection::Whole),
            ("bytes=0-1,5-4", Selection::Whole),
            ("bytes=,", Selection::Whole),
        ] {
            assert_eq!(select(value.as_bytes(), 10), expected, "{value}");
        }
        let many = |count: u64| {
            let list: Vec<String> = (0..count).map(|n| format!("{}-{}", n * 10, n * 10)).collect();
            select(format!("bytes={}", list.join(",")).as_bytes(), 100_000)
        };
        assert!(matches!(many(MAX_RANGES as u64), Selection::Parts(parts) if parts.len() == MAX_RANGES));
        assert_eq!(many(MAX_RANGES as u64 + 1), Selection::Whole);
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=5-2",
            "bytes=--1",
            "bytes=1",
            "items=0-1",
            "bytes=+1-2",
            "bytes=0 - 1",
            "bytes:0-1",
        ] {
            assert_eq!(select(value.as_bytes(), 10), Selection::Whole, "{value}");
        }
    }

    fn spans(selection: Selection) -> Vec<Span> {
        match selection {
            Selection::Part(span) => vec![span],
            Selection::Parts(spans) => spans,
            Selection::Whole | Selection::Unsatisfiable => Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn no_value_reaches_beyond_the_end(value in prop::collection::vec(any::<u8>(), 0..40), size in 0u64..100) {
            for span in spans(select(&value, size)) {
                prop_assert!(span.first <= span.last && span.last < size);
            }
        }

        #[test]
        fn every_range_is_what_it_says(first in 0u64..200, length in 1u64..200, size in 0u64..200) {
            let last = first + length - 1;
            let expected = if first >= size { Selection::Unsatisfiable } else { part(first, last.min(size - 1)) };
            prop_assert_eq!(select(format!("bytes={first}-{last}").as_bytes(), size), expected);
        }

        /// Every byte that was asked for is sent, once, and no other is.
        #[test]
        fn a_list_is_sent_once(asked in prop::collection::vec((0u64..100, 1u64..20), 1..12)) {
            let list: Vec<String> = asked.iter().map(|(first, len)| format!("{first}-{}", first + len - 1)).collect();
            let selection = select(format!("bytes={}", list.join(",")).as_bytes(), 120);
            let wanted: std::collections::BTreeSet<u64> =
                asked.iter().flat_map(|(first, len)| *first..(first + len).min(120)).collect();
            if selection == Selection::Whole {
                prop_assert!(asked.iter().map(|(_, len)| len).sum::<u64>() > 120);
            } else {
                let sent: Vec<u64> = spans(selection).iter().flat_map(|span| span.first..=span.last).collect();
                prop_assert_eq!(sent.len(), wanted.len());
                prop_assert_eq!(sent.into_iter().collect::<std::collections::BTreeSet<u64>>(), wanted);
            }
        }
    }
}
