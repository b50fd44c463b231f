//! `PUT /files/content`: the raw body becomes the file (RFC 9110 section 9.3.4, conditions: section 13, digests: RFC
//! 9530). The answer goes out after core has committed. A body that does not end as it should leaves a detached upload.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::namespace::Target;
use causeway_core::transfer::Disposition;
use causeway_core::{Error, ErrorKind, Receipt, Session, Upload, UploadOptions, VirtualPath};
use http::{HeaderMap, StatusCode, header};

use super::uploads::UploadJson;
use super::{header_value, location};
use crate::body::BodyReader;
use crate::conditions::{Conditions, Tags, Verdict, etag};
use crate::digest;
use crate::json::{self, EntryJson};
use crate::openapi::headers::{ETAG, LOCATION, UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_LIMIT, UPLOAD_OFFSET};
use crate::openapi::{Answer, Body, Operation, Shape, Tag, examples, parameters, problems};
use crate::problem::{HttpFault, Problem};
use crate::query::Query;
use crate::resumable;
use crate::router::Shared;
use crate::signatures::Uploader;

pub fn put_operation() -> Operation {
    let linked = |answer: Answer| {
        answer
            .header(&LOCATION)
            .maybe(&UPLOAD_COMPLETE)
            .link("getFile", "file_id", "$response.body#/file_id")
            .link("downloadFile", "file_id", "$response.body#/file_id")
            .link("changeFile", "file_id", "$response.body#/file_id")
            .link("copyFile", "file_id", "$response.body#/file_id")
            .link("removeFile", "file_id", "$response.body#/file_id")
    };
    Operation::new(Tag::Files, "putContent", "The body becomes the file at a path")
        .text("A file that is there is replaced, unless a condition says otherwise. The media type of the body, whichever it is, becomes that of the file; content is sent without an encoding, and whole. With `Upload-Complete` (draft-ietf-httpbis-resumable-upload) it becomes an upload that can be resumed: `?1` with all of it, `?0` with its beginning, answered with the upload and its `Location`.")
        .scope(Scope::FilesWrite)
        .parameters(&[parameters::FILE_PATH, parameters::IF_MATCH, parameters::IF_NONE_MATCH])
        .parameters(&[parameters::IF_UNMODIFIED_SINCE, parameters::CONTENT_DIGEST, parameters::REPR_DIGEST])
        .parameters(&parameters::CREATION)
        .body(Body::bytes("application/octet-stream", "The content; without one the file is empty.").optional())
        .answer(linked(created()))
        .answer(linked(overwritten()))
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
        .fails(problems::CONTENT)
        .fails(problems::CREATION)
        .fails([ErrorKind::InvalidArgument, ErrorKind::PreconditionFailed])
        .fails([HttpFault::MediaType])
}

/// A new file, or an upload that waits for the rest of it.
pub fn created() -> Answer {
    let (file, example) = (Shape::either::<EntryJson<'_>, UploadJson<'_>>(), Some(examples::file()));
    Answer::bare(StatusCode::CREATED, "The file is new; or the upload, with `Upload-Complete: ?0`, waits for more.")
        .content("application/json", file, example)
        .maybe(&ETAG)
        .maybe(&UPLOAD_OFFSET)
        .maybe(&UPLOAD_LENGTH)
        .maybe(&UPLOAD_LIMIT)
}

/// A file that has other content now.
pub fn overwritten() -> Answer {
    let description = "The file was there, and has this content now.";
    Answer::json::<EntryJson<'_>>(StatusCode::OK, description, examples::file()).header(&ETAG)
}

pub async fn put(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let session = &caller.session;
    let query = Query::parse(query.as_deref(), &[parameters::FILE_PATH])?;
    let Some(path) = query.bytes("path")? else {
        return Err(Problem::field("path", "this is required: the path of the file"));
    };
    let path = shared.path(session, Act::Upload, path, "path").await?;
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110 section 14.5: a partial PUT that is not understood must not overwrite the whole.
        return Err(Problem::field("Content-Range", "a file is put whole here; leave `Content-Range` out"));
    }
    plain(&parts.headers)?;
    let conditions = Conditions::of(&parts.headers)?;
    let mut options = options_for(&shared, session, &path, &conditions).await?;
    if resumable::complete(&parts.headers).is_some() {
        return resumable::put(&shared, session, path, options, (parts, body)).await;
    }
    let mut body = shared.body(&parts, body);
    options.resumable = !body.is_pending();
    options.declared_size = body.declared();
    options.content_type = content_type(parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()));
    options.expected_sha256 = digest::declared(&parts.headers)?;
    let upload = match shared.gateway.begin_upload(session, &path, options).await {
        Ok(upload) => upload,
        Err(error) => return Err(as_condition(error, &conditions).into()),
    };
    let receipt = receive(upload, &mut body).await.map_err(|error| as_condition(error, &conditions))?;
    let status = if receipt.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(stored(&shared, status, &receipt))
}

/// Content is stored as it comes: a coded one would be stored coded, under a name and a digest that do not say so. Of
/// the transfer codings only `chunked` is undone below (RFC 9112 section 6.1).
pub fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    let only = |name, known: &str| {
        headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
    };
    if !only(header::CONTENT_ENCODING, "identity") || !only(header::TRANSFER_ENCODING, "chunked") {
        return Err(Problem::http(HttpFault::MediaType).saying("send the content as it is, without any encoding"));
    }
    Ok(())
}

/// The media type of a file, where the client gave one that says something. What curl puts on every body with `-d` does not.
pub fn content_type(sent: Option<&str>) -> Option<String> {
    let sent = sent?.trim();
    let (kind, subtype) = sent.split(';').next()?.trim().split_once('/')?;
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let form = sent.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let printable = sent.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (token(kind) && token(subtype) && printable && !form && sent.len() <= 255).then(|| sent.to_owned())
}

/// The response to a committed upload.
pub fn stored(shared: &Shared, status: StatusCode, receipt: &Receipt) -> Response {
    let entry = &receipt.entry;
    let mut response = json::entry(status, entry);
    let tag = entry.sha256.as_ref().and_then(|digest| header_value(&etag(digest)));
    for (name, value) in [(header::LOCATION, location(shared, entry.id)), (header::ETAG, tag)] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Takes a whole body into an upload and commits it. What breaks off or is refused is core's to keep or to remove.
async fn receive(upload: Upload, body: &mut BodyReader) -> Result<Receipt, Error> {
    loop {
        let taken = match body.next().await {
            Ok(Some(data)) => upload.append(data).await,
            Ok(None) => return upload.commit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            upload.detach(error.clone()).await;
            return Err(error);
        }
    }
}

/// What the conditions of a request mean for an upload. Those that core compares again at commit are left to it; the
/// others are looked at now, and what was seen is what must still be there.
async fn options_for(
    shared: &Shared,
    session: &Session,
    path: &VirtualPath,
    conditions: &Conditions,
) -> Result<UploadOptions, Problem> {
    let target = Target::Path(path.clone());
    let unmet = || Error::new(ErrorKind::PreconditionFailed, CONDITION);
    match (&conditions.if_match, &conditions.if_none_match) {
        (Some(_), Some(Tags::Any)) => return Err(shared.failed(session, Act::Upload, &target, unmet()).await),
        (None, Some(Tags::Any)) => return Ok(UploadOptions::new(Disposition::Create { reserve: false })),
        (Some(Tags::Any), None) => return Ok(UploadOptions::new(Disposition::Truncate)),
        (Some(tags @ Tags::List(_)), None) => {
            let mut options = UploadOptions::new(Disposition::Replace);
            options.if_match = Some(tags.digests());
            return Ok(options);
        }
        (_, Some(Tags::List(_))) => {}
        (None, None) if conditions.if_unmodified_since.is_some() => {}
        (None, None) => return Ok(UploadOptions::new(Disposition::Replace)),
    }
    let current = match shared.gateway.stat(session, &target).await {
        Ok(entry) => entry.sha256.map(|digest| (digest, entry.modified_at)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NoSuchFolder) => None,
        Err(error) => return Err(shared.failed(session, Act::Upload, &target, error).await),
    };
    if conditions.evaluate(current.as_ref().map(|(digest, at)| (digest, *at)), false) != Verdict::Proceed {
        return Err(shared.failed(session, Act::Upload, &target, unmet()).await);
    }
    Ok(match current {
        Some((digest, _)) => {
            let mut options = UploadOptions::new(Disposition::Replace);
            options.if_match = Some(vec![digest]);
            options
        }
        None => UploadOptions::new(Disposition::Create { reserve: false }),
    })
}

const CONDITION: &str = "the file is not as the request's conditions say; read it again and decide anew";

/// A name that is taken, or a file that is not there, is a condition that does not hold where the client made it one.
fn as_condition(error: Error, conditions: &Conditions) -> Error {
    let failed = match error.kind() {
        ErrorKind::AlreadyExists => conditions.if_none_match.is_some() || conditions.if_unmodified_since.is_some(),
        ErrorKind::NotFound => conditions.if_match.is_some(),
        _ => false,
    };
    if failed { Error::new(ErrorKind::PreconditionFailed, CONDITION) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn coded_content_is_refused() {
        let sent = |name, value| plain(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))])).is_ok();
        assert!(plain(&HeaderMap::new()).is_ok());
        assert!(sent(header::CONTENT_ENCODING, "identity") && sent(header::TRANSFER_ENCODING, "Chunked"));
        assert!(!sent(header::CONTENT_ENCODING, "gzip") && !sent(header::TRANSFER_ENCODING, "gzip, chunked"));
    }

    #[test]
    fn media_types_that_say_something() {
        assert_eq!(content_type(Some("text/csv; charset=utf-8")).as_deref(), Some("text/csv; charset=utf-8"));
        for none in
            [None, Some(""), Some("csv"), Some("a b/c"), Some("text/\u{e9}"), Some("application/x-www-form-urlencoded")]
        {
            assert_eq!(content_type(none), None, "{none:?}");
        }
        assert_eq!(content_type(Some(&format!("text/{}", "x".repeat(300)))), None);
    }

    #[test]
    fn conditions_that_do_not_hold_are_412() {
        let taken = Error::already_exists;
        let star = Conditions { if_none_match: Some(Tags::Any), ..Conditions::default() };
        let must = Conditions { if_match: Some(Tags::Any), ..Conditions::default() };
        assert_eq!(as_condition(taken(), &star).kind(), ErrorKind::PreconditionFailed);
        assert_eq!(as_condition(taken(), &Conditions::default()).kind(), ErrorKind::AlreadyExists);
        assert_eq!(as_condition(Error::not_found(), &must).kind(), ErrorKind::PreconditionFailed);
        assert_eq!(as_condition(Error::not_found(), &star).kind(), ErrorKind::NotFound);
    }
}
