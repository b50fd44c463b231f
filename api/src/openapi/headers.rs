//! The headers of answers. Each stands once among the components of the description.

use serde_json::{Value, json};

use super::schemas::{HASH, ID};
use crate::signatures::ACCEPT_SIGNATURE as ACCEPT_SIGNATURE_FIELD;

/// A header of an answer.
#[derive(Debug)]
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub description: &'static str,
    /// Its schema, with an example.
    pub schema: fn() -> Value,
}

macro_rules! headers {
    ($($constant:ident $name:literal $description:literal $schema:expr;)*) => {
        $(
            #[doc = $description]
            pub const $constant: Header = Header { name: $name, description: $description, schema: || $schema };
        )*

        /// Every header.
        pub const ALL: &[&Header] = &[$(&$constant),*];
    };
}

fn text(example: &str) -> Value {
    json!({ "type": "string", "examples": [example] })
}

headers! {
    X_REQUEST_ID "X-Request-Id" "The id of this request, which every answer and every problem document has."
        json!({ "type": "string", "format": "uuid", "examples": [ID] });
    RATE_LIMIT_POLICY "RateLimit-Policy" "How many requests may come in a window (draft-ietf-httpapi-ratelimit-headers-10)."
        text("\"address\";q=60000;w=60, \"identity\";q=6000;w=60");
    RATE_LIMIT "RateLimit" "How many requests may still come now, and in how many seconds all of them may again."
        text("\"address\";r=59999;t=1, \"identity\";r=5999;t=1");
    RETRY_AFTER "Retry-After" "Seconds to wait before the same request is sent again."
        json!({ "type": "integer", "minimum": 1, "examples": [5] });
    WWW_AUTHENTICATE "WWW-Authenticate" "Which credential is wanted (RFC 6750)."
        text("Bearer realm=\"causeway\"");
    ACCEPT_SIGNATURE "Accept-Signature" "What to sign, where the API key demands signed requests (RFC 9421 section 5.1)."
        text(ACCEPT_SIGNATURE_FIELD);
    ALLOW "Allow" "The methods that the route takes."
        text("GET,HEAD");
    LOCATION "Location" "The address of what was made."
        json!({ "type": "string", "format": "uri-reference", "examples": [format!("https://gateway.example/api/v1/files/{ID}")] });
    ETAG "ETag" "The entity tag of what is there, always a strong one; of a file's content its SHA-256 in quotes."
        text(&format!("\"{HASH}\""));
    LAST_MODIFIED "Last-Modified" "When the file was changed last."
        text("Tue, 24 Nov 2026 20:15:02 GMT");
    CACHE_CONTROL "Cache-Control" "How long the answer may be kept."
        text("private, no-cache");
    PRAGMA "Pragma" "The same for caches of HTTP/1.0 (RFC 6749 section 5.1)."
        json!({ "type": "string", "const": "no-cache" });
    SET_COOKIE "Set-Cookie" "What binds a sign-in to the browser (RFC 6265)."
        text("__Host-causeway-sign-in=…; Path=/; Secure; HttpOnly; SameSite=Strict");
    VARY "Vary" "The header of the request that chose the form of the answer."
        text("accept");
    LINK "Link" "The address of the next page, where there is one (RFC 8288)."
        text("<https://gateway.example/api/v1/audit?cursor=MDE5OQ>; rel=\"next\"");
    X_NEXT_CURSOR "X-Next-Cursor" "The `cursor` of the next page, where there is one."
        text("MDE5OQ");
    X_ACCEL_BUFFERING "X-Accel-Buffering" "Tells a proxy to hand on what comes as it comes."
        json!({ "type": "string", "const": "no" });
    ACCEPT_RANGES "Accept-Ranges" "The unit of `Range`."
        json!({ "type": "string", "const": "bytes" });
    CONTENT_RANGE "Content-Range" "Which bytes these are (RFC 9110 section 14.4); absent where there are several ranges."
        text("bytes 0-499/1048576");
    CONTENT_DISPOSITION "Content-Disposition" "The file's name (RFC 6266)."
        text("attachment; filename=\"orders.csv\"; filename*=UTF-8''orders.csv");
    CONTENT_LENGTH "Content-Length" "Bytes of the content."
        json!({ "type": "integer", "minimum": 0, "examples": [1_048_576] });
    REPR_DIGEST "Repr-Digest" "The SHA-256 of the whole content (RFC 9530), unless `Want-Repr-Digest` declines it."
        text("sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:");
    CONTENT_DIGEST "Content-Digest" "The SHA-256 of what this answer carries, where `Want-Content-Digest` asks for it and it is the whole."
        text("sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:");
    CONTENT_SECURITY_POLICY "Content-Security-Policy" "What a browser may do with it: nothing that is not named here."
        text("default-src 'none'; sandbox");
    UPLOAD_OFFSET "Upload-Offset" "The bytes that are there from the beginning without a gap."
        json!({ "type": "integer", "minimum": 0, "examples": [524_288] });
    UPLOAD_LENGTH "Upload-Length" "The bytes of the whole file, where they were announced."
        json!({ "type": "integer", "minimum": 0, "examples": [1_048_576] });
    UPLOAD_COMPLETE "Upload-Complete" "Whether the upload is complete (draft-ietf-httpbis-resumable-upload): `?1` or `?0`."
        json!({ "type": "string", "enum": ["?0", "?1"] });
    UPLOAD_LIMIT "Upload-Limit" "The limits of uploads (the same draft), as a dictionary (RFC 9651)."
        text("max-size=107374182400, max-age=604800");
    ACCEPT_PATCH "Accept-Patch" "Which media type `PATCH` of an upload takes (RFC 5789)."
        json!({ "type": "string", "const": "application/partial-upload" });
    UPLOAD_DEFER_LENGTH "Upload-Defer-Length" "`1` where the bytes of the whole file were not announced."
        json!({ "type": "integer", "const": 1 });
    UPLOAD_METADATA "Upload-Metadata" "What the client said of the file when it began."
        text("filename b3JkZXJzLmNzdg==");
    UPLOAD_EXPIRES "Upload-Expires" "When the upload is given up, unless more of it comes."
        text("Tue, 01 Dec 2026 20:15:02 GMT");
    X_FILE_ID "X-File-Id" "The id of the file that the upload became, once all of it was there."
        json!({ "type": "string", "format": "uuid", "examples": [ID] });
    TUS_RESUMABLE "Tus-Resumable" "The version of tus that is spoken."
        json!({ "type": "string", "const": "1.0.0" });
    TUS_VERSION "Tus-Version" "The versions of tus that are known here."
        json!({ "type": "string", "const": "1.0.0" });
    TUS_MAX_SIZE "Tus-Max-Size" "The bytes that a file may have."
        json!({ "type": "integer", "minimum": 0, "examples": [1_099_511_627_776_u64] });
    TUS_EXTENSION "Tus-Extension" "The extensions of tus that are known here."
        text("creation,creation-with-upload,expiration,checksum,termination");
    TUS_CHECKSUM_ALGORITHM "Tus-Checksum-Algorithm" "The algorithms that `Upload-Checksum` may name."
        text("sha1,sha256");
}
