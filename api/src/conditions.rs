//! Conditional requests: RFC 9110 section 13 (`If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`,
//! `If-Range`), and the validators of section 8.8. Pure functions over headers. An entity tag is the content's SHA-256,
//! so it is always a strong one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use causeway_core::records::Micros;
use http::header::{self, HeaderMap, HeaderName};

use crate::problem::Problem;

/// The last second that an HTTP date can name, 9999-12-31T23:59:59Z.
const LAST_DATE: u64 = 253_402_300_799;

/// The `ETag` of a content.
pub fn etag(sha256: &[u8; 32]) -> String {
    format!("\"{}\"", hex::encode(sha256))
}

/// The `Last-Modified` of a moment, never later than now (section 8.8.2.1). None before 1970 and after 9999.
pub fn last_modified(at: Micros, now: SystemTime) -> Option<String> {
    let seconds = seconds_of(at)?.min(now.duration_since(UNIX_EPOCH).ok()?.as_secs());
    Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn seconds_of(at: Micros) -> Option<u64> {
    u64::try_from(at.div_euclid(1_000_000)).ok().filter(|seconds| *seconds <= LAST_DATE)
}

/// The tags of an `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: anything that is there.
    Any,
    /// These; the first field says whether it is a weak one.
    List(Vec<(bool, Vec<u8>)>),
}

/// A version that nothing has.
const NONE_HAS: i64 = -1;

impl Tags {
    /// The version that a change is meant for, where that of what is there is this (none: any), under this tag.
    pub fn version(&self, tag: &str, version: Option<i64>) -> Option<i64> {
        if self.name(tag) { version } else { Some(NONE_HAS) }
    }

    /// Strong comparison (section 8.8.3.2) with the tag of what is there.
    pub fn name(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(weak, named)| !weak && *named == tag.as_bytes()),
        }
    }

    /// The same with content, if there is any.
    fn holds_strong(&self, current: Option<&[u8; 32]>) -> bool {
        current.is_some_and(|current| self.name(&hex::encode(current)))
    }

    /// Weak comparison with what is there.
    fn holds_weak(&self, current: Option<&[u8; 32]>) -> bool {
        let Some(current) = current else { return false };
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|(_, tag)| *tag == hex::encode(current).into_bytes()),
        }
    }

    /// The digests among the strong tags: what core compares again at commit. A tag that is no digest matches nothing.
    pub fn digests(&self) -> Vec<[u8; 32]> {
        let Self::List(tags) = self else { return Vec::new() };
        tags.iter()
            .filter(|(weak, _)| !weak)
            .filter_map(|(_, tag)| {
                let mut digest = [0; 32];
                let lower = tag.iter().all(|byte| !byte.is_ascii_uppercase());
                (lower && hex::decode_to_slice(tag, &mut digest).is_ok()).then_some(digest)
            })
            .collect()
    }
}

/// The conditions of a request.
// The names are those of the headers.
#[allow(clippy::struct_field_names)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`.
    pub if_match: Option<Tags>,
    /// `If-None-Match`.
    pub if_none_match: Option<Tags>,
    /// `If-Modified-Since`, in seconds since 1970.
    pub if_modified_since: Option<u64>,
    /// `If-Unmodified-Since`, in seconds since 1970.
    pub if_unmodified_since: Option<u64>,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Conditions {
    /// Reads them. A malformed tag list is refused (to ignore it could overwrite what the client meant to keep); a
    /// malformed date is ignored, as sections 13.1.3 and 13.1.4 say.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            if_match: tags(headers, &header::IF_MATCH)?,
            if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
            if_modified_since: date(headers, &header::IF_MODIFIED_SINCE),
            if_unmodified_since: date(headers, &header::IF_UNMODIFIED_SINCE),
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `If-None-Match`, the only one that counts for what has no date, lets a read of what is there go on.
    pub fn none_matches(&self, current: &[u8; 32]) -> bool {
        self.if_none_match.as_ref().is_none_or(|tags| !tags.holds_weak(Some(current)))
    }

    /// Evaluates them in the order of section 13.2.2. `current`: digest and modification time of what is there.
    /// `read`: whether the method is GET or HEAD.
    pub fn evaluate(&self, current: Option<(&[u8; 32], Micros)>, read: bool) -> Verdict {
        let digest = current.map(|(digest, _)| digest);
        let modified = current.and_then(|(_, at)| seconds_of(at));
        if let Some(tags) = &self.if_match {
            if !tags.holds_strong(digest) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) = (self.if_unmodified_since, modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        if let Some(tags) = &self.if_none_match {
            if tags.holds_weak(digest) {
                return if read { Verdict::NotModified } else { Verdict::Failed };
            }
        } else if read
            && let (Some(since), Some(modified)) = (self.if_modified_since, modified)
            && modified <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }
}

/// Whether `If-Range` lets the range be applied (section 13.1.5): only for the exact strong tag. A date is a weak
/// validator here, as clients may set it, and so never does.
pub fn range_applies(headers: &HeaderMap, current: &[u8; 32]) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.as_bytes().trim_ascii() == etag(current).as_bytes(),
        (Some(_), Some(_)) => false,
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let moment = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    Some(moment.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let mut any = false;
    let mut list = Vec::new();
    let mut present = false;
    for value in headers.get_all(name) {
        present = true;
        let value = value.as_bytes().trim_ascii();
        if value == b"*" {
            any = true;
        } else if !parse_list(value, &mut list) {
            return Err(malformed(name));
        }
    }
    match (present, any, list.is_empty()) {
        (false, ..) => Ok(None),
        (true, true, true) => Ok(Some(Tags::Any)),
        (true, false, false) => Ok(Some(Tags::List(list))),
        _ => Err(malformed(name)),
    }
}

fn malformed(name: &HeaderName) -> Problem {
    let detail = format!("`{name}` is no list of quoted entity tags and not `*`; send the `etag` as it was given");
    Problem::field(name.as_str(), detail)
}

/// `#entity-tag` (sections 5.6.1 and 8.8.3); empty elements are allowed.
fn parse_list(mut rest: &[u8], list: &mut Vec<(bool, Vec<u8>)>) -> bool {
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => return true,
            [b',', more @ ..] => {
                rest = more;
                continue;
            }
            _ => {}
        }
        let (weak, quoted) = match rest {
            [b'W', b'/', b'"', more @ ..] => (true, more),
            [b'"', more @ ..] => (false, more),
            _ => return false,
        };
        let Some(end) = quoted.iter().position(|byte| *byte == b'"') else { return false };
        let Some((tag, after)) = quoted.split_at_checked(end) else { return false };
        if tag.iter().any(|byte| *byte <= 0x20 || *byte == 0x7f) {
            return false;
        }
        list.push((weak, tag.to_vec()));
        rest = after.get(1..).unwrap_or_default().trim_ascii_start();
        if !matches!(rest, [] | [b',', ..]) {
            return false;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const DIGEST: [u8; 32] = [0xab; 32];
    const OTHER: [u8; 32] = [0xcd; 32];
    const AT: Micros = 1_000_000_000_500_000; // 2001-09-09T01:46:40.5Z
    const SAME: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn verdict(pairs: &[(HeaderName, &str)], there: bool, read: bool) -> Verdict {
        Conditions::of(&headers(pairs)).unwrap().evaluate(there.then_some((&DIGEST, AT)), read)
    }

    #[test]
    fn the_table_of_section_13_2_2() {
        let (mine, other) = (etag(&DIGEST), etag(&OTHER));
        let weak = format!("W/{mine}");
        let both = format!("{other}, {mine}");
        let (yes, no) = (true, false);
        for (name, value, there, read, expected) in [
            (header::IF_MATCH, mine.as_str(), yes, no, Verdict::Proceed),
            (header::IF_MATCH, both.as_str(), yes, no, Verdict::Proceed),
            (header::IF_MATCH, other.as_str(), yes, no, Verdict::Failed),
            (header::IF_MATCH, weak.as_str(), yes, no, Verdict::Failed),
            (header::IF_MATCH, "*", yes, no, Verdict::Proceed),
            (header::IF_MATCH, "*", no, no, Verdict::Failed),
            (header::IF_MATCH, mine.as_str(), no, no, Verdict::Failed),
            (header::IF_NONE_MATCH, "*", yes, no, Verdict::Failed),
            (header::IF_NONE_MATCH, "*", no, no, Verdict::Proceed),
            (header::IF_NONE_MATCH, mine.as_str(), yes, yes, Verdict::NotModified),
            (header::IF_NONE_MATCH, weak.as_str(), yes, yes, Verdict::NotModified),
            (header::IF_NONE_MATCH, other.as_str(), yes, yes, Verdict::Proceed),
            (header::IF_NONE_MATCH, mine.as_str(), yes, no, Verdict::Failed),
            (header::IF_MODIFIED_SINCE, SAME, yes, yes, Verdict::NotModified),
            (header::IF_MODIFIED_SINCE, BEFORE, yes, yes, Verdict::Proceed),
            (header::IF_MODIFIED_SINCE, SAME, yes, no, Verdict::Proceed),
            (header::IF_MODIFIED_SINCE, "yesterday", yes, yes, Verdict::Proceed),
            (header::IF_UNMODIFIED_SINCE, SAME, yes, no, Verdict::Proceed),
            (header::IF_UNMODIFIED_SINCE, BEFORE, yes, no, Verdict::Failed),
        ] {
            assert_eq!(verdict(&[(name.clone(), value)], there, read), expected, "{name}: {value}, {there}, {read}");
        }
    }

    #[test]
    fn tags_win_over_dates() {
        let (mine, other) = (etag(&DIGEST), etag(&OTHER));
        assert_eq!(
            verdict(&[(header::IF_MATCH, &mine), (header::IF_UNMODIFIED_SINCE, BEFORE)], true, false),
            Verdict::Proceed
        );
        assert_eq!(
            verdict(&[(header::IF_NONE_MATCH, &other), (header::IF_MODIFIED_SINCE, SAME)], true, true),
            Verdict::Proceed
        );
    }

    #[test]
    fn malformed_lists_are_refused() {
        for value in ["abc", "\"abc", "\"a\" \"b\"", "\"a\", *", "", ",", "w/\"a\"", "\"a b\""] {
            assert!(Conditions::of(&headers(&[(header::IF_MATCH, value)])).is_err(), "{value}");
        }
        let fine = Conditions::of(&headers(&[(header::IF_MATCH, " \"a\" ,, W/\"b\" ,\"\"")])).unwrap();
        let Some(Tags::List(list)) = fine.if_match else { panic!("a list") };
        assert_eq!(list.len(), 3);
    }

    #[test]
    fn digests_of_strong_tags_only() {
        let value = format!("{}, W/{}, \"x\", \"{}\"", etag(&DIGEST), etag(&OTHER), hex::encode_upper(OTHER));
        let conditions = Conditions::of(&headers(&[(header::IF_MATCH, &value)])).unwrap();
        assert_eq!(conditions.if_match.unwrap().digests(), vec![DIGEST]);
    }

    #[test]
    fn ranges_apply_to_the_exact_version_only() {
        assert!(range_applies(&HeaderMap::new(), &DIGEST));
        assert!(range_applies(&headers(&[(header::IF_RANGE, &etag(&DIGEST))]), &DIGEST));
        assert!(!range_applies(&headers(&[(header::IF_RANGE, &etag(&OTHER))]), &DIGEST));
        assert!(!range_applies(&headers(&[(header::IF_RANGE, &format!("W/{}", etag(&DIGEST)))]), &DIGEST));
        assert!(!range_applies(&headers(&[(header::IF_RANGE, SAME)]), &DIGEST));
    }

    #[test]
    fn dates_stay_in_the_range_of_the_format() {
        let now = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        assert_eq!(last_modified(AT, now).as_deref(), Some(SAME));
        assert_eq!(last_modified(-1, now), None);
        assert_eq!(last_modified(Micros::MAX, now), None);
        assert_eq!(last_modified(AT, UNIX_EPOCH).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
}
