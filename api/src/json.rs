//! JSON as the contract writes it (RFC 8259): files, folders, pages.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use causeway_core::Entry;
use causeway_core::events::timestamp;
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use crate::conditions::etag;
use crate::openapi::schemas::{EntityTag, Moment, NameText, PathText, Sha256};

/// Who made a file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CreatedBy")]
pub struct CreatedBy<'a> {
    /// The identity.
    identity: &'a str,
    /// Its login.
    login: &'a str,
    /// Over which protocol: `sftp`, `scp`, `ftps`, `api`, `transfer`.
    protocol: &'a str,
}

/// A file or folder as the contract writes it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schemars(rename = "Entry")]
pub enum EntryJson<'a> {
    /// `type: "file"`.
    File {
        /// Stays when the file is renamed or overwritten.
        file_id: uuid::Uuid,
        /// The last part of the path.
        #[schemars(with = "NameText")]
        name: &'a str,
        /// In the caller's own view.
        #[schemars(with = "PathText")]
        path: &'a str,
        /// Bytes.
        size: u64,
        /// SHA-256 of the content, lower-case hex.
        #[schemars(with = "Option<Sha256>")]
        hash: Option<String>,
        /// `sha256`.
        #[schemars(extend("const" = "sha256"))]
        hash_algorithm: &'static str,
        /// Media type.
        content_type: Option<&'a str>,
        /// As the `ETag` header has it, with its quotes.
        #[schemars(with = "Option<EntityTag>")]
        etag: Option<String>,
        /// When it was made.
        #[schemars(with = "Moment")]
        created_at: String,
        /// When it was changed last.
        #[schemars(with = "Moment")]
        modified_at: String,
        /// Who made the current version.
        created_by: Option<CreatedBy<'a>>,
        /// Classification.
        classification: Option<&'a str>,
        /// Labels.
        tags: &'a BTreeMap<String, String>,
    },
    /// `type: "folder"`.
    Folder {
        /// None for folders that exist only in the view.
        file_id: Option<uuid::Uuid>,
        /// The last part of the path; empty for the root.
        #[schemars(with = "NameText")]
        name: &'a str,
        /// In the caller's own view.
        #[schemars(with = "PathText")]
        path: &'a str,
        /// When it was made.
        #[schemars(with = "Moment")]
        created_at: String,
        /// When it was changed last.
        #[schemars(with = "Moment")]
        modified_at: String,
    },
}

impl<'a> EntryJson<'a> {
    /// Of an entry.
    pub fn of(entry: &'a Entry) -> Self {
        let (name, path) = (entry.name.as_str(), entry.path.as_str());
        let (created_at, modified_at) = (timestamp(entry.created_at), timestamp(entry.modified_at));
        if entry.folder {
            return Self::Folder {
                file_id: (!entry.id.is_nil()).then_some(entry.id),
                name,
                path,
                created_at,
                modified_at,
            };
        }
        Self::File {
            file_id: entry.id,
            name,
            path,
            size: entry.size,
            hash: entry.sha256.map(hex::encode),
            hash_algorithm: "sha256",
            content_type: entry.content_type.as_deref(),
            etag: entry.sha256.as_ref().map(etag),
            created_at,
            modified_at,
            created_by: entry.created_by.as_ref().map(|actor| CreatedBy {
                identity: &actor.identity,
                login: &actor.login,
                protocol: &actor.protocol,
            }),
            classification: entry.classification.as_deref(),
            tags: &entry.tags,
        }
    }
}

/// A JSON response.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Everything given here is text, numbers, lists and maps with text keys: it always serialises.
    let body = serde_json::to_vec(value).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// A file or folder as a JSON response.
pub fn entry(status: StatusCode, entry: &Entry) -> Response {
    json(status, &EntryJson::of(entry))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use causeway_core::VirtualPath;
    use causeway_core::records::{Actor, Attributes};

    fn sample(folder: bool) -> Entry {
        Entry {
            id: uuid::Uuid::from_u128(7),
            path: VirtualPath::parse("/inbound/orders.csv").unwrap(),
            name: "orders.csv".into(),
            folder,
            size: 3,
            sha256: (!folder).then_some([0xab; 32]),
            content_type: (!folder).then(|| "text/csv".into()),
            created_at: 1_000_000,
            modified_at: 1_500_000,
            attributes: Attributes::default(),
            created_by: Some(Actor { identity: "edi".into(), login: "edi01".into(), protocol: "sftp".into() }),
            classification: None,
            tags: BTreeMap::new(),
            partial: false,
            mount_point: false,
        }
    }

    #[test]
    fn a_file_is_as_the_contract_writes_it() {
        let file = serde_json::to_value(EntryJson::of(&sample(false))).unwrap();
        let hash = "ab".repeat(32);
        assert_eq!(
            file,
            serde_json::json!({
                "file_id": "00000000-0000-0000-0000-000000000007", "name": "orders.csv", "path": "/inbound/orders.csv",
                "type": "file", "size": 3, "hash": hash, "hash_algorithm": "sha256", "content_type": "text/csv",
                "etag": format!("\"{hash}\""), "created_at": "1970-01-01T00:00:01.000000Z",
                "modified_at": "1970-01-01T00:00:01.500000Z",
                "created_by": {"identity": "edi", "login": "edi01", "protocol": "sftp"},
                "classification": null, "tags": {},
            })
        );
    }

    #[test]
    fn a_folder_has_no_content() {
        let mut entry = sample(true);
        let folder = serde_json::to_value(EntryJson::of(&entry)).unwrap();
        assert_eq!(folder["type"], "folder");
        assert!(folder.get("size").is_none());
        entry.id = uuid::Uuid::nil();
        assert!(serde_json::to_value(EntryJson::of(&entry)).unwrap()["file_id"].is_null());
    }
}
