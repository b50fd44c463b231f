use std::collections::BTreeMap;

use causeway_core::VirtualPath;
use causeway_core::records::Attributes;

use super::*;

fn entry(size: u64) -> Entry {
    Entry {
        id: Uuid::from_u128(1),
        path: VirtualPath::parse("/a/b.csv").unwrap(),
        name: "b.csv".into(),
        folder: false,
        size,
        sha256: Some([0xab; 32]),
        content_type: Some("text/csv".into()),
        created_at: 0,
        modified_at: 1_000_000_000_000_000,
        attributes: Attributes::default(),
        created_by: None,
        classification: None,
        tags: BTreeMap::new(),
        partial: false,
        mount_point: false,
    }
}

fn request(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn decide(size: u64, pairs: &[(HeaderName, &str)]) -> Result<Plan, Error> {
    let headers = request(pairs);
    plan(&entry(size), &Conditions::of(&headers).unwrap(), &headers, true)
}

fn content(plan: Plan) -> (StatusCode, Pieces, HeaderMap) {
    match plan {
        Plan::Content { status, pieces, headers } => (status, pieces, headers),
        Plan::Bare(status, _) => panic!("{status} without content"),
    }
}

#[test]
fn the_whole_file_with_everything_a_client_needs() {
    let (status, pieces, headers) = content(decide(10, &[]).unwrap());
    assert_eq!((status, pieces), (StatusCode::OK, Pieces::run(0, 10)));
    assert!(!headers.contains_key("content-digest"), "it was not asked for");
    let tag = format!("\"{}\"", "ab".repeat(32));
    for (name, value) in [
        ("etag", tag.as_str()),
        ("content-length", "10"),
        ("content-type", "text/csv"),
        ("accept-ranges", "bytes"),
        ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ("repr-digest", "sha-256=:q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=:"),
        ("content-disposition", "attachment; filename=\"b.csv\"; filename*=UTF-8''b.csv"),
        ("cache-control", "private, no-cache"),
    ] {
        assert_eq!(headers.get(name).unwrap(), value, "{name}");
    }
}

#[test]
fn a_part() {
    let (status, pieces, headers) = content(decide(10, &[(header::RANGE, "bytes=2-5")]).unwrap());
    assert_eq!((status, pieces), (StatusCode::PARTIAL_CONTENT, Pieces::run(2, 4)));
    assert_eq!(headers.get("content-range").unwrap(), "bytes 2-5/10");
    assert_eq!(headers.get("content-length").unwrap(), "4");
    assert!(headers.contains_key("repr-digest"));
}

#[test]
fn a_part_that_is_not_there_has_an_empty_answer() {
    let Plan::Bare(status, headers) = decide(10, &[(header::RANGE, "bytes=10-")]).unwrap() else { panic!("content") };
    assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(headers.get("content-range").unwrap(), "bytes */10");
    assert!(!headers.contains_key("content-length"));
}

#[test]
fn several_parts_are_a_multipart_body() {
    let (status, pieces, headers) = content(decide(10, &[(header::RANGE, "bytes=0-1,4-5,99-")]).unwrap());
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
    assert!(headers.get("content-type").unwrap().to_str().unwrap().starts_with("multipart/byteranges; boundary="));
    assert_eq!(headers.get("content-length").unwrap().to_str().unwrap(), pieces.len().to_string());
    assert!(!headers.contains_key("content-range"));
    assert!(headers.contains_key("repr-digest"), "of the whole file");
}

#[test]
fn digests_as_they_are_wanted() {
    let repr = HeaderName::from_static(WANT_REPR_DIGEST);
    let want = HeaderName::from_static(WANT_CONTENT_DIGEST);
    let (.., headers) = content(decide(10, &[(repr.clone(), "sha-256=0")]).unwrap());
    assert!(!headers.contains_key("repr-digest"), "not acceptable");
    let (.., headers) = content(decide(10, &[(repr, "sha-512=9"), (want.clone(), "sha-256=1")]).unwrap());
    assert!(headers.contains_key("repr-digest"));
    assert_eq!(headers.get("content-digest"), headers.get("repr-digest"), "the content is the representation");
    let (.., headers) = content(decide(10, &[(want, "sha-256=1"), (header::RANGE, "bytes=0-1")]).unwrap());
    assert!(!headers.contains_key("content-digest"), "a part's is not known");
}

#[test]
fn another_version_is_the_whole() {
    let other = format!("\"{}\"", "cd".repeat(32));
    let pairs = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, other.as_str())];
    assert_eq!(content(decide(10, &pairs).unwrap()).0, StatusCode::OK);
    let same = format!("\"{}\"", "ab".repeat(32));
    let pairs = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, same.as_str())];
    assert_eq!(content(decide(10, &pairs).unwrap()).0, StatusCode::PARTIAL_CONTENT);
}

#[test]
fn conditions_come_before_ranges() {
    let same = format!("\"{}\"", "ab".repeat(32));
    let pairs = [(header::RANGE, "bytes=99-"), (header::IF_NONE_MATCH, same.as_str())];
    let Plan::Bare(status, headers) = decide(10, &pairs).unwrap() else { panic!("content") };
    assert_eq!(status, StatusCode::NOT_MODIFIED);
    assert!(headers.contains_key("etag") && headers.contains_key("cache-control"));
    let failed = decide(10, &[(header::IF_MATCH, "\"x\"")]).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::PreconditionFailed);
}

#[test]
fn folders_have_no_content_and_odd_types_no_header() {
    let mut folder = entry(0);
    folder.folder = true;
    let error = plan(&folder, &Conditions::default(), &HeaderMap::new(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsFolder);
    let mut odd = entry(3);
    odd.content_type = Some("text/\nx".into());
    let (.., headers) = content(plan(&odd, &Conditions::default(), &HeaderMap::new(), true).unwrap());
    assert_eq!(headers.get("content-type").unwrap(), "application/octet-stream");
}
