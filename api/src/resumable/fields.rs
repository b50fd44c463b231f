//! The header fields of the draft: structured fields (RFC 9651), read strictly. A field that is not of its type counts as not sent,
//! as the draft wants it ("State"), parameters mean nothing.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};
use sfv::{BareItem, DictSerializer, Integer, Item, KeyRef, Parser};

/// Whether the request completes the upload.
pub const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
/// Where the request's content begins.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// The bytes of the whole.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// The limits of uploads.
pub const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
/// Which version of the draft is spoken, while it is one.
pub const INTEROP_VERSION: HeaderName = HeaderName::from_static("upload-draft-interop-version");
/// Which patch documents a resource takes (RFC 5789 section 3.1).
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The media type of what is appended.
pub const PARTIAL_UPLOAD: &str = "application/partial-upload";

/// The item in a field that stands there once; lines are joined as RFC 9651 section 4.2 joins them, and are no item then.
fn item(headers: &HeaderMap, name: &HeaderName) -> Option<BareItem> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Parser::new(value.as_bytes()).parse::<Item>().ok().map(|item| item.bare_item)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    u64::try_from(item(headers, name)?.as_integer()?).ok()
}

/// `Upload-Complete`.
pub fn complete(headers: &HeaderMap) -> Option<bool> {
    item(headers, &UPLOAD_COMPLETE)?.as_boolean()
}

/// `Upload-Offset`.
pub fn offset(headers: &HeaderMap) -> Option<u64> {
    number(headers, &UPLOAD_OFFSET)
}

/// `Upload-Length`.
pub fn length(headers: &HeaderMap) -> Option<u64> {
    number(headers, &UPLOAD_LENGTH)
}

/// `Upload-Draft-Interop-Version`.
pub fn interop_version(headers: &HeaderMap) -> Option<u64> {
    number(headers, &INTEROP_VERSION)
}

/// Whether the content is a part of an upload.
pub fn is_partial_upload(headers: &HeaderMap) -> bool {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(PARTIAL_UPLOAD))
}

/// A boolean as an item.
pub const fn boolean(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "?1" } else { "?0" })
}

/// `Upload-Limit`: the most bytes of the whole, and the seconds that the upload is kept. Larger numbers than an integer can be
/// (RFC 9651 section 3.3.1) are no limits that anybody could reach.
pub fn limit(max_size: u64, max_age: u64) -> Option<HeaderValue> {
    let mut limits = DictSerializer::new();
    for (name, value) in [("max-size", max_size), ("max-age", max_age)] {
        limits.bare_item(KeyRef::from_str(name).ok()?, Integer::try_from(value).unwrap_or(Integer::MAX));
    }
    HeaderValue::from_str(&limits.finish()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sent(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value).unwrap())).collect()
    }

    #[test]
    fn booleans_are_items_and_nothing_else() {
        let said = |values: &[&[u8]]| complete(&sent(&UPLOAD_COMPLETE, values));
        assert_eq!((said(&[b"?1"]), said(&[b"?0"]), said(&[b" ?1 "])), (Some(true), Some(false), Some(true)));
        assert_eq!(said(&[b"?1;a=b;c"]), Some(true), "parameters are let through");
        for wrong in [
            "", "1", "true", "?2", "?", "?1,", "?1, ?1", "?1 ?1", "\"?1\"", ":?1:", "?1;", "?1;A", "? 1", "?10", "(?1)",
        ] {
            assert_eq!(said(&[wrong.as_bytes()]), None, "{wrong}");
        }
        assert_eq!((said(&[b"?1", b"?1"]), said(&[b"?1\xff"]), said(&[])), (None, None, None));
    }

    #[test]
    fn numbers_are_whole_and_not_negative() {
        let said = |value: &[u8]| offset(&sent(&UPLOAD_OFFSET, &[value]));
        assert_eq!((said(b"0"), said(b"007"), said(b"999999999999999")), (Some(0), Some(7), Some(999_999_999_999_999)));
        assert_eq!(said(b"-0"), Some(0));
        for wrong in ["-1", "+1", "1.0", "1e3", "1000000000000000", "1, 2", "0x1", "", "?1", "@1"] {
            assert_eq!(said(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn limits_are_a_dictionary() {
        assert_eq!(limit(10, 20).unwrap(), "max-size=10, max-age=20");
        assert_eq!(limit(u64::MAX, 1).unwrap(), "max-size=999999999999999, max-age=1");
    }

    #[test]
    fn the_media_type_is_told_apart() {
        let typed = |value: &str| is_partial_upload(&sent(&header::CONTENT_TYPE, &[value.as_bytes()]));
        assert!(typed(PARTIAL_UPLOAD) && typed("Application/Partial-Upload; a=b"));
        assert!(!typed("application/partial-uploads") && !typed("*/*") && !is_partial_upload(&HeaderMap::new()));
    }
}
