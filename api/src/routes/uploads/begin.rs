//! `POST /uploads`: begins an upload in chunks. No byte is sent yet.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::records::UploadPlan;
use causeway_core::transfer::MAX_CHUNKS;
use causeway_core::{Name, VirtualPath};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::UploadJson;
use crate::auth::Caller;
use crate::digest::from_hex;
use crate::json;
use crate::members::Members;
use crate::openapi::headers::LOCATION;
use crate::openapi::{Answer, Body, Operation, Tag, examples, problems, schemas};
use crate::problem::Problem;
use crate::router::Shared;
use crate::routes::content::content_type;
use crate::routes::header_value;

const MIB: u64 = 1 << 20;

/// Bytes of a chunk where the client does not say: 8 MiB, or more, so that there are at most a thousand.
pub const fn usual_chunk_size(size: u64) -> u64 {
    let thousandth = size.div_ceil(1000).div_ceil(MIB).saturating_mul(MIB);
    if thousandth > 8 * MIB { thousandth } else { 8 * MIB }
}

/// Where the file goes.
#[derive(Debug, PartialEq, Eq)]
enum Goal {
    Path(String),
    /// A folder, which is made if it is missing, and a name in it.
    Folder(String, String),
}

fn read(mut members: Members) -> Result<(Goal, UploadPlan), Problem> {
    let (path, destination, filename) = (members.text("path"), members.text("destination"), members.text("filename"));
    let goal = match (path, destination, filename) {
        (Some(path), None, None) => Some(Goal::Path(path)),
        (None, Some(folder), Some(name)) => Some(Goal::Folder(folder, name)),
        (None, Some(_), None) => {
            members.miss("filename", "this is required with `destination`");
            None
        }
        (None, None, Some(_)) => {
            members.miss("destination", "this is required with `filename`");
            None
        }
        (None, None, None) => {
            members.miss("path", "this is required; or `destination` and `filename`");
            None
        }
        (Some(_), ..) => {
            members.miss("path", "send either this, or `destination` and `filename`");
            None
        }
    };
    let whole = "this is a whole number of bytes, from 0 to 2^63 - 1";
    let size =
        members.read_as("size", whole, |value| Members::whole(value).filter(|size| i64::try_from(*size).is_ok()));
    if size.is_none() {
        members.miss("size", "this is required: the bytes of the whole file");
    }
    let bytes = "this is a whole number of bytes, at least 1, and gives at most 10000 chunks";
    let chunk_size = members.read_as("chunk_size", bytes, |value| {
        let asked = Members::whole(value).filter(|asked| (1..=i64::MAX.unsigned_abs()).contains(asked))?;
        (size.unwrap_or(0).div_ceil(asked) <= MAX_CHUNKS).then_some(asked)
    });
    let sha256 = members.read_as("sha256", "this is 64 hexadecimal digits", |value| from_hex(value.as_str()?));
    let overwrite = members.read_as("overwrite", "this is `true` or `false`", Value::as_bool).unwrap_or(false);
    let media = members.read_as("content_type", "this is a media type", |value| content_type(value.as_str()));
    members.finish()?;
    let (Some(goal), Some(size)) = (goal, size) else {
        return Err(Problem::field("body", "the body names no file"));
    };
    let plan = UploadPlan {
        size,
        chunk_size: chunk_size.unwrap_or_else(|| usual_chunk_size(size)),
        sha256: sha256.map(hex::encode),
        overwrite,
        content_type: media,
        metadata: None,
    };
    Ok((goal, plan))
}

pub fn operation() -> Operation {
    let by_path =
        json!({ "path": "/inbound/orders.csv", "size": 25_165_824, "chunk_size": 8_388_608, "overwrite": true });
    let by_name = json!({ "destination": "/inbound/2026", "filename": "orders.csv", "size": 25_165_824 });
    Operation::new(Tag::Uploads, "beginUpload", "Begins an upload in chunks")
        .text("The file is named by `path`, or by `destination` (a folder, which is made if it is missing and the caller may) and `filename`. The upload takes the place of the caller's incomplete upload of that name.")
        .scope(Scope::FilesWrite)
        .body(Body::json("The file.", schemas::new_upload(), by_path).example("in a folder", by_name))
        .answer(
            Answer::json::<UploadJson<'_>>(StatusCode::CREATED, "The upload. No byte of it is there.", examples::upload())
                .header(&LOCATION)
                .link("getUpload", "session_id", "$response.body#/session_id")
                .link("putChunk", "session_id", "$response.body#/session_id")
                .link("continueUpload", "session_id", "$response.body#/session_id")
                .link("completeUpload", "session_id", "$response.body#/session_id")
                .link("abandonUpload", "session_id", "$response.body#/session_id"),
        )
        .fails(problems::JSON)
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
        .fails([ErrorKind::FileTooLarge, ErrorKind::QuotaExceeded, ErrorKind::NoSpace, ErrorKind::TypeMismatch])
}

pub async fn begin(State(shared): State<Arc<Shared>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let session = &caller.session;
    let (_, members) = Members::of(&shared, request).await?;
    let (goal, plan) = read(members)?;
    let (path, make_folders) = match goal {
        Goal::Path(path) => (shared.path(session, Act::Upload, path.as_bytes(), "path").await?, false),
        Goal::Folder(folder, name) => {
            let folder = shared.path(session, Act::Upload, folder.as_bytes(), "destination").await?;
            let joined = match Name::parse(&name).and_then(|name| folder.join(&name)) {
                Ok(path) => path,
                Err(error) => {
                    shared.gateway.refused(session, Act::Upload, &name, &error).await;
                    return Err(Problem::from(error).at("filename"));
                }
            };
            (joined, true)
        }
    };
    begun(&shared, session, &path, plan, make_folders).await
}

async fn begun(
    shared: &Shared,
    session: &Arc<causeway_core::Session>,
    path: &VirtualPath,
    plan: UploadPlan,
    make_folders: bool,
) -> Result<Response, Problem> {
    let upload = shared.gateway.plan_upload(session, path, plan, make_folders).await?;
    let mut response = json::json(StatusCode::CREATED, &UploadJson::of(&upload));
    if let Some(url) = header_value(&format!("{}/api/v1/uploads/{}", shared.config.public_url, upload.id)) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    Ok(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn plan(value: Value) -> Result<(Goal, UploadPlan), Vec<String>> {
        read(Members::parse(value.to_string().as_bytes()).unwrap()).map_err(|problem| {
            let document: Value = serde_json::from_slice(&problem.document("r")).unwrap();
            assert_eq!(document["status"], 400);
            document["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect()
        })
    }

    #[test]
    fn a_plan_says_where_and_how_much() {
        let (goal, small) = plan(json!({"path": "/a", "size": 12, "chunk_size": 5, "overwrite": true})).unwrap();
        assert_eq!(goal, Goal::Path("/a".into()));
        assert_eq!((small.chunks(), small.chunk(2), small.chunk(3), small.overwrite), (3, Some((10, 12)), None, true));
        let digest = "AB".repeat(32);
        let (goal, large) =
            plan(json!({"destination": "/d", "filename": "n", "size": 10_u64 << 30, "sha256": digest})).unwrap();
        assert_eq!(goal, Goal::Folder("/d".into(), "n".into()));
        assert_eq!(large.sha256, Some("ab".repeat(32)));
        assert!(large.chunks() <= 1000 && large.chunk_size % MIB == 0, "{large:?}");
        assert_eq!(plan(json!({"path": "/a", "size": 0})).unwrap().1.chunks(), 0);
        assert_eq!(plan(json!({"path": "/a", "size": 1, "sha256": null})).unwrap().1.chunk_size, 8 * MIB);
    }

    #[test]
    fn every_wrong_member_is_named() {
        assert_eq!(plan(json!({})).unwrap_err(), ["path", "size"]);
        assert_eq!(plan(json!({"path": 1, "size": -1})).unwrap_err(), ["path", "size"]);
        assert_eq!(plan(json!({"destination": "/", "size": 1})).unwrap_err(), ["filename"]);
        assert_eq!(plan(json!({"filename": "a", "size": 1})).unwrap_err(), ["destination"]);
        assert_eq!(plan(json!({"path": "/a", "filename": "a", "size": 1})).unwrap_err(), ["path"]);
        assert_eq!(plan(json!({"path": "/a", "size": 1, "chunk_size": 0})).unwrap_err(), ["chunk_size"]);
        assert_eq!(plan(json!({"path": "/a", "size": 10_001, "chunk_size": 1})).unwrap_err(), ["chunk_size"]);
        assert_eq!(plan(json!({"path": "/a", "size": u64::MAX})).unwrap_err(), ["size"]);
        assert_eq!(plan(json!({"path": "/a", "size": 1.5})).unwrap_err(), ["size"]);
        let all = json!({"path": "/a", "size": 1, "sha256": "x", "overwrite": "yes", "content_type": "x", "mode": 1});
        assert_eq!(plan(all).unwrap_err(), ["sha256", "overwrite", "content_type", "mode"]);
    }
}
