//! The parameters of requests (OpenAPI 3.1 section 4.8.12). Those of a query are what its handler reads by.

use serde_json::{Value, json};

use super::schemas;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// In the path.
    Path,
    /// In a header.
    Header,
}

impl Place {
    /// As OpenAPI writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Path => "path",
            Self::Header => "header",
        }
    }
}

/// A parameter of a request.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What it is for.
    pub description: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Its schema.
    pub schema: fn() -> Value,
    /// An example, as it is written in the request.
    pub example: &'static str,
}

impl Parameter {
    /// Of a query; it may be left out.
    pub const fn query(
        name: &'static str,
        description: &'static str,
        schema: fn() -> Value,
        example: &'static str,
    ) -> Self {
        Self { name, place: Place::Query, description, required: false, schema, example }
    }

    /// Of a path.
    pub const fn path(
        name: &'static str,
        description: &'static str,
        schema: fn() -> Value,
        example: &'static str,
    ) -> Self {
        Self { name, place: Place::Path, description, required: true, schema, example }
    }

    /// A header; it may be left out.
    pub const fn header(
        name: &'static str,
        description: &'static str,
        schema: fn() -> Value,
        example: &'static str,
    ) -> Self {
        Self { name, place: Place::Header, description, required: false, schema, example }
    }

    /// The same, which a request must have.
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// `{file_id}`.
pub const FILE_ID: Parameter = Parameter::path(
    "file_id",
    "The file's id. It stays when the file is renamed or overwritten.",
    schemas::id,
    schemas::ID,
);
/// `{session_id}`.
pub const SESSION_ID: Parameter = Parameter::path("session_id", "The upload's id.", schemas::id, schemas::ID);
/// `{transfer_id}`.
pub const TRANSFER_ID: Parameter =
    Parameter::path("transfer_id", "The transfer's id, as answers and events have it.", schemas::id, schemas::ID);
/// `{id}` of a live session.
pub const LIVE_SESSION_ID: Parameter =
    Parameter::path("id", "The session's id, as the list and events have it.", schemas::id, schemas::ID);
/// `Idempotency-Key`.
pub const IDEMPOTENCY_KEY: Parameter = Parameter::header(
    "Idempotency-Key",
    "A key of the client's own: for 24 hours the same request with the same key is answered with the same transfer, and another request with it is refused.",
    idempotency_key,
    "0b7e6f0e-5a1c-4f6e-9d0a-2f1f3a4b5c6d",
);
/// `path`, where it must be there.
pub const FILE_PATH: Parameter =
    Parameter::query("path", "The path of the file.", schemas::path, "/inbound/orders.csv").required();
/// `limit`.
pub const LIMIT: Parameter = Parameter::query("limit", "Entries of a page at most.", schemas::limit, "100");
/// `cursor`.
pub const CURSOR: Parameter = Parameter::query(
    "cursor",
    "Where the page begins: `next_cursor` of the one before, as it was given.",
    cursor,
    "L2luYm91bmQvb3JkZXJzLmNzdg",
);

/// What of the draft's fields a request that creates an upload may have. `Upload-Offset` is none of them: the content begins at 0.
pub const CREATION: [Parameter; 3] = [
    Parameter::header(
        "Upload-Complete",
        "Creates an upload that can be resumed (draft-ietf-httpbis-resumable-upload): `?1` with all of the content, `?0` with its beginning, which may be empty. What is no boolean (RFC 9651) counts as not sent.",
        schemas::text,
        "?1",
    ),
    Parameter::header(
        "Upload-Length",
        "Bytes of the whole file, beside `Upload-Complete`; what is no number counts as not sent.",
        schemas::text,
        "1048576",
    ),
    Parameter::header(
        "Upload-Draft-Interop-Version",
        "`8` asks for interim answers `104 Upload Resumption Supported`: the first with the `Location` of the upload, more with its `Upload-Offset`. No description can list them. They are sent on HTTP/1.1 alone; any other value counts as not sent.",
        schemas::text,
        "8",
    ),
];
/// What stands in the query where the body of `POST /files/upload` is the file itself.
pub const RAW_UPLOAD: [Parameter; 3] = [
    Parameter::query(
        "destination",
        "The folder for the file, where the body is the file itself; it is made if it is missing. With a form it is a field.",
        schemas::path,
        "/inbound",
    ),
    Parameter::query(
        "filename",
        "The name of the file, where the body is the file itself, unless `Content-Disposition: inline; filename=` has it.",
        schemas::name,
        "orders.csv",
    ),
    Parameter::query(
        "overwrite",
        "Whether a file that is there is replaced, where the body is the file itself. With a form it is a field.",
        schemas::flag,
        "true",
    ),
];

const TAG: &str = "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"";
const DIGEST: &str = "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:";
const DATE: &str = "Tue, 24 Nov 2026 20:15:02 GMT";

/// `X-Tenant-Id`.
pub const X_TENANT_ID: Parameter = Parameter::header(
    "X-Tenant-Id",
    "The tenant that the caller means. Where it is sent it must be the credential's: with another one the answer is 403.",
    tenant,
    "acme",
);
/// `If-Match`.
pub const IF_MATCH: Parameter = Parameter::header(
    "If-Match",
    "Only if what is there has one of these entity tags; `*`: only if there is something (RFC 9110 section 13.1.1).",
    tags,
    TAG,
);
/// `If-None-Match`.
pub const IF_NONE_MATCH: Parameter = Parameter::header(
    "If-None-Match",
    "Only if what is there has none of these entity tags; `*`: only if there is nothing (RFC 9110 section 13.1.2).",
    tags,
    "*",
);
/// `If-Modified-Since`.
pub const IF_MODIFIED_SINCE: Parameter = Parameter::header(
    "If-Modified-Since",
    "Only if it was changed after this moment; what is no HTTP date is ignored (RFC 9110 section 13.1.3).",
    schemas::text,
    DATE,
);
/// `If-Unmodified-Since`.
pub const IF_UNMODIFIED_SINCE: Parameter = Parameter::header(
    "If-Unmodified-Since",
    "Only if it was not changed after this moment; what is no HTTP date is ignored (RFC 9110 section 13.1.4).",
    schemas::text,
    DATE,
);
/// `Range`.
pub const RANGE: Parameter = Parameter::header(
    "Range",
    "Which bytes are wanted, one range or up to 64 (RFC 9110 section 14.2); what is no such list is ignored.",
    schemas::text,
    "bytes=0-499",
);
/// `If-Range`.
pub const IF_RANGE: Parameter = Parameter::header(
    "If-Range",
    "The range counts only for the version with this strong entity tag; otherwise all is sent (RFC 9110 section 13.1.5).",
    schemas::text,
    TAG,
);
/// `Want-Repr-Digest`.
pub const WANT_REPR_DIGEST: Parameter = Parameter::header(
    "Want-Repr-Digest",
    "`sha-256=0` declines the digest of the whole content (RFC 9530 section 4).",
    schemas::text,
    "sha-256=1",
);
/// `Want-Content-Digest`.
pub const WANT_CONTENT_DIGEST: Parameter = Parameter::header(
    "Want-Content-Digest",
    "`sha-256` with a preference above 0 asks for the digest of what is sent, where that is the whole (RFC 9530 section 4).",
    schemas::text,
    "sha-256=1",
);
/// `Content-Digest`.
pub const CONTENT_DIGEST: Parameter = Parameter::header(
    "Content-Digest",
    "The digest of the body (RFC 9530): where the body has another `sha-256`, nothing of it is kept. Other algorithms are ignored.",
    digests,
    DIGEST,
);
/// `Repr-Digest`.
pub const REPR_DIGEST: Parameter = Parameter::header(
    "Repr-Digest",
    "The same as `Content-Digest`, as content is sent without an encoding here.",
    digests,
    DIGEST,
);

fn cursor() -> Value {
    json!({ "type": "string", "format": "cursor", "minLength": 1 })
}

fn idempotency_key() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]{1,255}$" })
}

fn tenant() -> Value {
    json!({ "type": "string", "format": "tenant" })
}

fn tags() -> Value {
    let tag = "(W/)?\"[!#-~]*\"";
    json!({ "type": "string", "format": "entity-tags", "pattern": format!("^(\\*|{tag}(, {tag})*)$") })
}

fn digests() -> Value {
    json!({ "type": "string", "format": "digest", "pattern": "^(sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:)?$" })
}
