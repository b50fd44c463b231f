//! The headers of tus 1.0.0: numbers, `Upload-Metadata`, `Upload-Checksum`. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};

use crate::digest::from_hex;
use crate::problem::{HttpFault, Problem};
use crate::routes::uploads::receive::Announced;

/// Where a part begins, and where an upload goes on.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// The bytes of the whole.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// Whether the length is not known yet.
pub const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// What the client says of the file.
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// When an upload is given up.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// The digest of a body.
pub const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
/// The media type of a part.
pub const PART: &str = "application/offset+octet-stream";

/// A header that is a whole number; none where it is not sent.
pub fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| more.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()));
    match text.and_then(|text| text.parse().ok()).filter(|number: &u64| i64::try_from(*number).is_ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Problem::field(name.as_str(), "this is a whole number of bytes, sent once")),
    }
}

/// Whether the body is a part of an upload.
pub fn is_part(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(PART.as_bytes()))
}

/// Fails unless it is.
pub fn require_part(headers: &HeaderMap) -> Result<(), Problem> {
    if is_part(headers) {
        Ok(())
    } else {
        Err(Problem::http(HttpFault::MediaType).saying(format!("send `Content-Type: {PART}`")))
    }
}

/// `Upload-Checksum`: an algorithm and the digest in Base64.
pub fn checksum(headers: &HeaderMap) -> Result<Option<Announced>, Problem> {
    let Some(value) = headers.get(UPLOAD_CHECKSUM) else { return Ok(None) };
    let wrong = || Problem::field("Upload-Checksum", "this is `sha1` or `sha256`, a space, and the digest in Base64");
    let (algorithm, digest) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(wrong)?;
    let digest = STANDARD.decode(digest.trim()).map_err(|_| wrong())?;
    let announced = match algorithm {
        "sha1" => <[u8; 20]>::try_from(digest.as_slice()).map(Announced::Sha1),
        "sha256" => <[u8; 32]>::try_from(digest.as_slice()).map(Announced::Sha256),
        _ => return Err(wrong()),
    };
    announced.map(Some).map_err(|_| wrong())
}

/// What `Upload-Metadata` may say that means something here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The header as it was sent.
    pub raw: String,
    /// `filename` (tus-js-client, Uppy), or `name`.
    pub filename: Option<String>,
    /// `path`: where the file goes, its name included, or the folder that `filename` goes to where it ends in `/`.
    pub path: Option<String>,
    /// `filetype` (tus-js-client), or `type` (Uppy).
    pub filetype: Option<String>,
    /// `overwrite`: `true` or `false`.
    pub overwrite: bool,
    /// `sha256` of the whole, in hex.
    pub sha256: Option<[u8; 32]>,
}

/// Reads it: pairs of a key and its value in Base64, separated by commas; a value may be missing.
pub fn metadata(headers: &HeaderMap) -> Result<Metadata, Problem> {
    let wrong = |why: &'static str| Problem::field("Upload-Metadata", why);
    let mut out = Metadata::default();
    let (mut uppy, mut name) = (None, None);
    for value in headers.get_all(UPLOAD_METADATA) {
        let text = value.to_str().map_err(|_| wrong("this is not ASCII"))?;
        if !out.raw.is_empty() {
            out.raw.push(',');
        }
        out.raw.push_str(text);
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let bytes = STANDARD.decode(value.trim()).map_err(|_| wrong("a value is not Base64"))?;
            if !matches!(key, "filename" | "name" | "path" | "filetype" | "type" | "overwrite" | "sha256") {
                continue;
            }
            let text = String::from_utf8(bytes).map_err(|_| wrong("a value is not UTF-8"))?;
            match key {
                "filename" => out.filename = Some(text),
                "name" => name = Some(text),
                "path" => out.path = Some(text),
                "filetype" => out.filetype = Some(text),
                "type" => uppy = Some(text),
                "overwrite" => {
                    out.overwrite =
                        crate::query::flag(&text).ok_or_else(|| wrong("`overwrite` is `true` or `false`"))?;
                }
                _ => out.sha256 = Some(from_hex(&text).ok_or_else(|| wrong("`sha256` is 64 hexadecimal digits"))?),
            }
        }
    }
    out.filename = out.filename.or(name);
    out.filetype = out.filetype.or(uppy);
    Ok(out)
}

impl Metadata {
    /// The path that the file goes to.
    pub fn goal(&self) -> Result<String, Problem> {
        let file = self.filename.as_deref().filter(|name| !name.is_empty());
        let path = self.path.as_deref().filter(|path| !path.is_empty());
        if file.is_some_and(|name| name.contains('/')) && path.is_none_or(|path| path.ends_with('/')) {
            return Err(Problem::field("Upload-Metadata", "`filename` is a name; send `path` to name a folder"));
        }
        match (path, file) {
            (Some(folder), Some(name)) if folder.ends_with('/') => Ok(format!("{folder}{name}")),
            (Some(path), _) => Ok(path.to_owned()),
            (None, Some(name)) => Ok(format!("/{name}")),
            (None, None) => Err(Problem::field("Upload-Metadata", "`filename` or `path` is required")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn meta(pairs: &[(&str, &str)]) -> Metadata {
        let text: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
        metadata(&with(UPLOAD_METADATA, &text.join(","))).unwrap()
    }

    #[test]
    fn metadata_names_the_file() {
        let goal = |pairs: &[(&str, &str)]| meta(pairs).goal().ok();
        assert_eq!(goal(&[("filename", "ü.txt")]).as_deref(), Some("/ü.txt"));
        assert_eq!(goal(&[("name", "n"), ("is_confidential", "")]).as_deref(), Some("/n"));
        assert_eq!(goal(&[("filename", "local"), ("path", "/in/a.bin")]).as_deref(), Some("/in/a.bin"));
        assert_eq!(goal(&[("filename", "b"), ("path", "/in/")]).as_deref(), Some("/in/b"));
        assert_eq!(goal(&[("filename", "../b"), ("path", "/in/")]), None);
        assert_eq!(goal(&[("filename", "a/b")]), None);
        assert_eq!(goal(&[("overwrite", "true")]), None);
        let all = meta(&[("filetype", "text/csv"), ("overwrite", "true"), ("sha256", &"ab".repeat(32))]);
        assert_eq!((all.filetype.as_deref(), all.overwrite, all.sha256), (Some("text/csv"), true, Some([0xab; 32])));
        assert_eq!(metadata(&HeaderMap::new()).unwrap(), Metadata::default());
        assert_eq!(metadata(&with(UPLOAD_METADATA, "is_confidential")).unwrap().raw, "is_confidential");
    }

    #[test]
    fn wrong_headers_are_refused() {
        for value in ["filename ***", "overwrite eWVz", "sha256 eA==", "path /w=="] {
            assert!(metadata(&with(UPLOAD_METADATA, value)).is_err(), "{value}");
        }
        for value in ["", "-1", "+1", "1.0", "9223372036854775808", "1, 2"] {
            assert!(number(&with(UPLOAD_OFFSET, value), &UPLOAD_OFFSET).is_err(), "{value}");
        }
        assert_eq!(number(&with(UPLOAD_OFFSET, "007"), &UPLOAD_OFFSET).unwrap(), Some(7));
        for value in ["sha1", "sha1 AA==", "md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha256 ***"] {
            assert!(checksum(&with(UPLOAD_CHECKSUM, value)).is_err(), "{value}");
        }
        assert!(checksum(&with(UPLOAD_CHECKSUM, "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")).unwrap().is_some());
        assert!(require_part(&with(header::CONTENT_TYPE, "application/octet-stream")).is_err());
    }
}
