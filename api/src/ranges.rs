//! Which bytes a `Range` header asks for: RFC 9110 section 14.1.2 and 14.2. A pure function.

/// What is to be sent of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200: no range, a malformed one, another unit, or several at once (section 14.2 lets a server
    /// ignore any `Range`).
    Whole,
    /// These bytes, with 206.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte; never before `first`, always inside the representation.
        last: u64,
    },
    /// Nothing that is there: 416.
    Unsatisfiable,
}

/// Reads the value of a `Range` header against a representation of `size` bytes.
pub fn select(value: &[u8], size: u64) -> Selection {
    let Some(spec) = byte_ranges(value) else { return Selection::Whole };
    let spec = trim(spec);
    let Some(dash) = spec.iter().position(|byte| *byte == b'-') else { return Selection::Whole };
    let (Some(first), Some(last)) = (spec.get(..dash), spec.get(dash + 1..)) else { return Selection::Whole };
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Selection::Whole,
        (true, false) => match number(last) {
            None => Selection::Whole,
            Some(0) => Selection::Unsatisfiable,
            // All of an empty representation cannot be told as a part (there is no last byte): 200 says it.
            Some(_) if size == 0 => Selection::Whole,
            Some(suffix) => Selection::Part { first: size.saturating_sub(suffix), last: size - 1 },
        },
        (false, open) => {
            let Some(first) = number(first) else { return Selection::Whole };
            let last = if open { u64::MAX } else { number(last).unwrap_or(0) };
            if !open && (number(spec.get(dash + 1..).unwrap_or_default()).is_none() || last < first) {
                return Selection::Whole;
            }
            if first >= size {
                return Selection::Unsatisfiable;
            }
            Selection::Part { first, last: last.min(size - 1) }
        }
    }
}

/// What follows `bytes=` (the unit is case-insensitive).
fn byte_ranges(value: &[u8]) -> Option<&[u8]> {
    let value = trim(value);
    let (unit, rest) = value.split_at_checked(6)?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(rest)
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
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
        Selection::Part { first, last }
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
        ] {
            assert_eq!(select(value.as_bytes(), size), expected, "{value} of {size}");
        }
    }

    #[test]
    fn what_is_no_single_byte_range_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=5-2",
            "bytes=0-1,3-4",
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

    proptest! {
        #[test]
        fn no_value_reaches_beyond_the_end(value in prop::collection::vec(any::<u8>(), 0..40), size in 0u64..100) {
            if let Selection::Part { first, last } = select(&value, size) {
                prop_assert!(first <= last && last < size);
            }
        }

        #[test]
        fn every_range_is_what_it_says(first in 0u64..200, length in 1u64..200, size in 0u64..200) {
            let last = first + length - 1;
            let expected = if first >= size { Selection::Unsatisfiable } else { part(first, last.min(size - 1)) };
            prop_assert_eq!(select(format!("bytes={first}-{last}").as_bytes(), size), expected);
        }
    }
}
