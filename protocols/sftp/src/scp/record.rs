//! The messages of the scp protocol, as pure functions over bytes (see [`super`]).

use crate::exec::printable;

/// Go on; done.
pub(super) const OK: u8 = 0;
/// This one failed; a line follows.
pub(super) const WARNING: u8 = 1;
/// It is all over; a line follows.
pub(super) const FATAL: u8 = 2;

/// Seconds and microseconds since 1970 of the last change and the last access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) modified: (u64, u32),
    pub(super) accessed: (u64, u32),
}

/// A message of the sending side. Names are as they came: nobody has looked at them yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    File { mode: u32, size: u64, name: &'a [u8] },
    Folder { mode: u32, name: &'a [u8] },
    End,
    Times(Times),
    Warning,
    Fatal,
}

/// Why a line is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads a message from its line, which has no newline at its end any more.
pub(super) fn parse(line: &[u8]) -> Result<Record<'_>, Malformed> {
    match line.split_first() {
        Some((b'C', rest)) => {
            let (mode, size, name) = parse_entry(rest)?;
            Ok(Record::File { mode, size, name })
        }
        Some((b'D', rest)) => {
            let (mode, _, name) = parse_entry(rest)?;
            Ok(Record::Folder { mode, name })
        }
        Some((b'E', _)) => Ok(Record::End),
        Some((b'T', rest)) => parse_times(rest).map(Record::Times),
        Some((&WARNING, _)) => Ok(Record::Warning),
        Some((&FATAL, _)) => Ok(Record::Fatal),
        _ => Err(Malformed("what came is no message of the scp protocol")),
    }
}

/// `0644 5 name`.
fn parse_entry(rest: &[u8]) -> Result<(u32, u64, &[u8]), Malformed> {
    let (mode, rest) = rest.split_at_checked(4).ok_or(Malformed("a mode is missing"))?;
    if !mode.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return Err(Malformed("a mode is not four octal digits"));
    }
    let mode = mode.iter().fold(0, |mode, digit| mode * 8 + u32::from(digit - b'0'));
    let rest = rest.strip_prefix(b" ").ok_or(Malformed("a mode is not four octal digits"))?;
    let (size, rest) = number(rest).ok_or(Malformed("a size is not a number"))?;
    if i64::try_from(size).is_err() {
        return Err(Malformed("a size is out of range"));
    }
    let name = rest.strip_prefix(b" ").ok_or(Malformed("a size is not a number"))?;
    Ok((mode, size, name))
}

/// `1700000000 0 1700000000 0`.
fn parse_times(rest: &[u8]) -> Result<Times, Malformed> {
    let wrong = Malformed("times are not four numbers");
    let mut rest = rest;
    let mut next = |last: bool| {
        let (value, after) = number(rest).ok_or(wrong)?;
        rest = if last { after } else { after.strip_prefix(b" ").ok_or(wrong)? };
        Ok(value)
    };
    let [modified, modified_part, accessed] = [next(false)?, next(false)?, next(false)?];
    let accessed_part = next(true)?;
    if !rest.is_empty() {
        return Err(wrong);
    }
    let part = |value| u32::try_from(value).ok().filter(|part| *part < 1_000_000).ok_or(wrong);
    // What is beyond the microseconds of 63 bits is no time.
    let whole = |value| if value < i64::MAX as u64 / 1_000_000 { Ok(value) } else { Err(wrong) };
    Ok(Times { modified: (whole(modified)?, part(modified_part)?), accessed: (whole(accessed)?, part(accessed_part)?) })
}

/// Decimal digits at the beginning, and what is behind them.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((value, rest))
}

impl Record<'_> {
    /// The line, with its newline.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut line = match self {
            Self::File { mode, size, .. } => format!("C{:04o} {size} ", mode & 0o7777),
            Self::Folder { mode, .. } => format!("D{:04o} 0 ", mode & 0o7777),
            Self::End => "E".to_owned(),
            Self::Times(times) => {
                let ((modified, modified_part), (accessed, accessed_part)) = (times.modified, times.accessed);
                format!("T{modified} {modified_part} {accessed} {accessed_part}")
            }
            Self::Warning => "\u{1}".to_owned(),
            Self::Fatal => "\u{2}".to_owned(),
        }
        .into_bytes();
        if let Self::File { name, .. } | Self::Folder { name, .. } = self {
            line.extend_from_slice(name);
        }
        line.push(b'\n');
        line
    }
}

/// Says that this one failed.
pub(super) fn warning(sentence: &str) -> Vec<u8> {
    format!("\u{1}scp: {}\n", printable(sentence)).into_bytes()
}

/// Says that it is all over.
pub(super) fn fatal(sentence: &str) -> Vec<u8> {
    format!("\u{2}scp: {}\n", printable(sentence)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_those_of_openssh() {
        let file = Record::File { mode: 0o644, size: 5, name: b"a b.txt" };
        assert_eq!(parse(b"C0644 5 a b.txt"), Ok(file.clone()));
        assert_eq!(file.encode(), b"C0644 5 a b.txt\n");
        assert_eq!(parse(b"D0755 0 sub"), Ok(Record::Folder { mode: 0o755, name: b"sub" }));
        assert_eq!(parse(b"E"), Ok(Record::End));
        let times = Times { modified: (1_700_000_000, 0), accessed: (1_700_000_001, 5) };
        assert_eq!(parse(b"T1700000000 0 1700000001 5"), Ok(Record::Times(times)));
        assert_eq!(parse(b"\x01scp: no"), Ok(Record::Warning));
        assert_eq!(warning("a\nb"), b"\x01scp: a?b\n");
    }

    #[test]
    fn what_scp_would_not_take_is_refused() {
        for line in [
            &b""[..],
            b"X",
            b"C",
            b"C064",
            b"C0844 5 a",
            b"C06445 5 a",
            b"C0644 a",
            b"C0644 -5 a",
            b"C0644 5",
            b"C0644 99999999999999999999 a",
            b"C0644 9223372036854775808 a",
            b"T",
            b"T1 2 3",
            b"T1 2 3 4 ",
            b"T1 1000000 3 4",
            b"T-1 0 3 4",
            b"T9223372036854775 0 0 0",
            b" C0644 5 a",
        ] {
            assert!(parse(line).is_err(), "{}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(mode in 0u32..=0o7777, size in 0u64..=i64::MAX as u64, name in "[^\\n]{0,20}") {
            for record in [
                Record::File { mode, size, name: name.as_bytes() },
                Record::Folder { mode, name: name.as_bytes() },
                Record::Times(Times { modified: (size / 2_000_000, mode), accessed: (size / 3_000_000, 0) }),
            ] {
                let line = record.encode();
                prop_assert_eq!(parse(line.strip_suffix(b"\n").unwrap()), Ok(record));
            }
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&line);
        }
    }
}
