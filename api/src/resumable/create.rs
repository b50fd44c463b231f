//! Upload creation: `PUT /files/content?path=` and `POST /files/upload?destination=` with `Upload-Complete`. The content goes
//! into an upload resource; with `?1` it becomes the file in the same request, with `?0` the upload waits for more.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use causeway_core::events::Operation;
use causeway_core::records::{UploadConditions, UploadPlan};
use causeway_core::transfer::{Disposition, Incomplete, PartAt};
use causeway_core::{ErrorKind, Session, UploadOptions, VirtualPath};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::fields::{self, INTEROP_VERSION, UPLOAD_COMPLETE, UPLOAD_LIMIT, boolean};
use super::{SUPPORTED, VERSION, describe, failed, finish, interim_of, limits_of, location};
use crate::digest;
use crate::disposition::filename;
use crate::json;
use crate::openapi::{Parameter, schemas};
use crate::problem::{HttpFault, Problem};
use crate::query::Query;
use crate::router::Shared;
use crate::routes::content::{content_type, plain};
use crate::routes::uploads::UploadJson;
use crate::routes::uploads::begin::usual_chunk_size;
use crate::routes::uploads::receive::{Announced, Receiving};

/// The parameters of the query of `POST`.
const QUERY: [Parameter; 3] = [
    Parameter::query("destination", "The folder for the file.", schemas::path, "/inbound").required(),
    Parameter::query("filename", "The name of the file.", schemas::text, "orders.csv"),
    Parameter::query("overwrite", "Whether a file that is there is replaced.", schemas::flag, "true"),
];

/// What is to be made: where, and what must hold there.
struct Goal {
    path: VirtualPath,
    overwrite: bool,
    conditions: UploadConditions,
    make_folders: bool,
}

/// `PUT`: the file is made or replaced, as `options` say, out of the request's conditions.
pub async fn put(
    shared: &Shared,
    session: &Arc<Session>,
    path: VirtualPath,
    options: UploadOptions,
    (parts, body): (Parts, Body),
) -> Result<Response, Problem> {
    let goal = Goal {
        path,
        overwrite: !matches!(options.disposition, Disposition::Create { .. }),
        conditions: UploadConditions {
            absent: matches!(options.disposition, Disposition::Create { .. }),
            present: options.disposition == Disposition::Truncate,
            digests: options.if_match.map(|digests| digests.iter().map(hex::encode).collect()),
        },
        make_folders: false,
    };
    create(shared, session, goal, parts, body).await
}

/// `POST`: as the form of `/files/upload`, with the content itself as the body. Its fields stand in the query, the name there or in
/// `Content-Disposition: inline; filename=`.
pub async fn post(shared: &Shared, session: &Arc<Session>, (parts, body): (Parts, Body)) -> Result<Response, Problem> {
    let query = Query::parse(parts.uri.query(), &QUERY)?;
    let Some(folder) = query.bytes("destination")? else {
        return Err(Problem::field("destination", "this is required: the folder for the file"));
    };
    let sent = parts.headers.get(header::CONTENT_DISPOSITION).and_then(|value| filename(value.as_bytes()));
    let Some(name) = query.text("filename")?.map(str::to_owned).or(sent).filter(|name| !name.is_empty()) else {
        let how = "this is required: here, or as `Content-Disposition: inline; filename=…`";
        return Err(Problem::field("filename", how));
    };
    let overwrite = query.flag("overwrite")?;
    let folder = shared.path(session, Operation::Upload, folder, "destination").await?;
    let path = shared.path_in(session, &folder, &name, "filename").await?;
    let goal = Goal { path, overwrite, conditions: UploadConditions::default(), make_folders: true };
    create(shared, session, goal, parts, body).await
}

/// The length of the whole, as the request announces it ("Length").
fn announced(headers: &HeaderMap, complete: bool, declared: Option<u64>) -> Result<Option<u64>, Problem> {
    match (fields::length(headers), declared) {
        (Some(length), Some(declared)) if declared > length || (complete && declared != length) => {
            Err(Problem::http(HttpFault::InconsistentLength))
        }
        (None, declared) if complete => Ok(declared),
        (length, _) => Ok(length),
    }
}

async fn create(
    shared: &Shared,
    session: &Arc<Session>,
    goal: Goal,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let complete = fields::complete(&parts.headers).unwrap_or(true);
    plain(&parts.headers)?;
    let mut body = shared.body(&parts, body);
    let (content, whole) = (digest::of_content(&parts.headers)?, digest::of_representation(&parts.headers)?);
    let size = announced(&parts.headers, complete, body.declared())?;
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let plan = UploadPlan {
        size,
        chunk_size: usual_chunk_size(size.unwrap_or(0)),
        sha256: whole.map(hex::encode),
        overwrite: goal.overwrite,
        content_type: content_type(media),
        metadata: None,
        conditions: goal.conditions,
    };
    let upload = match shared.gateway.plan_upload(session, &goal.path, plan, goal.make_folders).await {
        Ok(upload) => upload,
        Err(error) => return Ok(failed(shared, error.into(), false)),
    };
    let id = upload.id;
    let sending = shared.takeovers.begin(id);
    let interim = interim_of(&parts);
    let address = location(shared, id);
    if let (Some(interim), Some(address)) = (&interim, &address) {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, address.clone());
        headers.insert(INTEROP_VERSION, HeaderValue::from(VERSION));
        if let Some(limits) = limits_of(shared, &upload) {
            headers.insert(UPLOAD_LIMIT, limits);
        }
        interim.send(SUPPORTED, &headers);
    }
    let receiving = Receiving { taken: Some(sending.taken.clone()), interim };
    let received = if body.declared() == Some(0) {
        Ok(upload)
    } else {
        let at = PartAt::Following { start: 0, end: body.declared(), exact: true, total: None };
        match shared.gateway.begin_part(session, id, at).await {
            Ok(part) => receiving.receive(part, &mut body, content.map(Announced::Sha256), false).await,
            Err(error) => Err(error.into()),
        }
    };
    let mut response = match received {
        Err(problem) if problem.has_code("body_too_large") && size.is_some() => {
            // More than was announced: nobody can know what of it is right.
            give_up(shared, session, id).await;
            failed(shared, Problem::http(HttpFault::InconsistentLength), false)
        }
        Err(problem) => failed(shared, problem, false),
        Ok(upload) if !complete => waiting(shared, &upload),
        Ok(_) => {
            let (response, _) = finish(shared, session, id, None).await;
            // The whole content came, and is not to be had: there is nothing to go on with.
            if response.headers().get(UPLOAD_COMPLETE) == Some(&boolean(true)) {
                if !response.status().is_success() {
                    give_up(shared, session, id).await;
                }
                return Ok(response);
            }
            response
        }
    };
    if let Some(address) = address {
        response.headers_mut().insert(header::LOCATION, address);
    }
    Ok(response)
}

/// An upload that waits for more.
fn waiting(shared: &Shared, upload: &Incomplete) -> Response {
    let mut response = json::json(StatusCode::CREATED, &UploadJson::of(upload));
    let headers = response.headers_mut();
    headers.insert(UPLOAD_COMPLETE, boolean(false));
    describe(headers, shared, upload);
    response
}

pub(super) async fn give_up(shared: &Shared, session: &Arc<Session>, id: uuid::Uuid) {
    match shared.gateway.abandon_upload(session, id).await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // It expires.
        Err(error) => tracing::debug!(%error, upload = %id, "an upload of no use could not be given up"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_agree() {
        let said = |length: Option<u64>, complete, declared| {
            let length = length.map(|length| (fields::UPLOAD_LENGTH, HeaderValue::from(length)));
            announced(&HeaderMap::from_iter(length), complete, declared).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(said(None, true, Some(5)), Ok(Some(5)));
        assert_eq!(said(None, true, None), Ok(None));
        assert_eq!(said(None, false, Some(5)), Ok(None), "more is to come");
        assert_eq!((said(Some(9), false, Some(5)), said(Some(9), true, None)), (Ok(Some(9)), Ok(Some(9))));
        assert_eq!((said(Some(9), true, Some(9)), said(Some(5), false, Some(5))), (Ok(Some(9)), Ok(Some(5))));
        for (length, complete, declared) in [(9, true, 5), (5, true, 9), (5, false, 9)] {
            assert_eq!(said(Some(length), complete, Some(declared)), Err(400), "{length} {complete} {declared}");
        }
    }
}
