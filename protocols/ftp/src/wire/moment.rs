//! Times: `YYYYMMDDHHMMSS[.sss]` in UTC (RFC 3659 section 2.3), and those of LIST.

use time::{Date, Duration, Month, OffsetDateTime, Time};

/// Microseconds since 1970.
type Micros = i64;

/// From microseconds; the epoch for what no calendar has.
pub fn date(at: Micros) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `20261125003444`.
pub fn stamp(at: Micros) -> String {
    let t = date(at);
    format!("{:04}{:02}{:02}{:02}{:02}{:02}", t.year(), u8::from(t.month()), t.day(), t.hour(), t.minute(), t.second())
}

/// Reads a time value. None where it is none.
pub fn parse(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    if !matches!(whole.len(), 12 | 14) || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| whole.get(from..to)?.parse::<u8>().ok();
    let year: i32 = whole.get(..4)?.parse().ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(number(4, 6)?).ok()?, number(6, 8)?).ok()?;
    let second = if whole.len() == 14 { number(12, 14)? } else { 0 };
    // A leap second is taken as the one before it.
    let time = Time::from_hms(number(8, 10)?, number(10, 12)?, if second == 60 { 59 } else { second }).ok()?;
    let mut at = date.with_time(time).assume_utc().unix_timestamp().checked_mul(1_000_000)?;
    if let Some(fraction) = fraction {
        if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
        at = at.checked_add(six.parse::<i64>().ok()?)?;
    }
    Some(at)
}

/// `Nov 25 00:34`, or `Nov 25  2024` where that is more than half a year away.
pub fn listed(at: Micros, now: Micros) -> String {
    let (t, now) = (date(at), date(now));
    let month = match t.month() {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    };
    if (now - t) > Duration::days(180) || (t - now) > Duration::days(1) {
        format!("{month} {:>2}  {:04}", t.day(), t.year())
    } else {
        format!("{month} {:>2} {:02}:{:02}", t.day(), t.hour(), t.minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_and_written() {
        let at = parse("20261125003444").unwrap();
        assert_eq!(stamp(at), "20261125003444");
        assert_eq!(parse("20261125003444.25").unwrap() - at, 250_000);
        assert_eq!(stamp(parse("202611250034").unwrap()), "20261125003400");
        assert_eq!(stamp(0), "19700101000000");
        for wrong in
            ["", "2026", "20261325003444", "20260230000000", "20261125003444.", "2026112500344x", "+2261125003444"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_listing_shows_the_year_of_what_is_old() {
        let now = parse("20261125003444").unwrap();
        assert_eq!(listed(parse("20261103090100").unwrap(), now), "Nov  3 09:01");
        assert_eq!(listed(parse("20240229090100").unwrap(), now), "Feb 29  2024");
        assert_eq!(listed(parse("20270101090100").unwrap(), now), "Jan  1  2027");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(at in 0i64..4_000_000_000) {
            prop_assert_eq!(parse(&stamp(at * 1_000_000)), Some(at * 1_000_000));
        }
        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = parse(&text);
        }
    }
}
