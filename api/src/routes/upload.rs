//! `POST /files/upload`: a form (RFC 7578) with `file`, `destination`, `overwrite` and `sha256` in any order; other
//! fields mean nothing. Where the destination is known when the file begins, the file goes straight into its upload;
//! where it is not, it waits in a spool on disk. Nothing is committed before the whole form and the whole body are there.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::namespace::Target;
use causeway_core::transfer::Disposition;
use causeway_core::{Error, ErrorKind, Name, Receipt, Session, Upload, UploadOptions, VirtualPath};
use http::{StatusCode, header};

use super::content::{content_type, created, overwritten, plain, stored};
use crate::body::BodyReader;
use crate::body::multipart::{Event, Head, Malformed, Parser, boundary};
use crate::body::spool::Spool;
use crate::digest;
use crate::disposition::{FormPart, form_part};
use crate::openapi::headers::{LOCATION, UPLOAD_COMPLETE};
use crate::openapi::{self, Answer, Operation, Tag, parameters, problems, schemas};
use crate::problem::{HttpFault, Problem};
use crate::query::{self, Query};
use crate::resumable;
use crate::router::{Shared, called};
use crate::signatures::Uploader;

/// The longest text field, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Parts of a form at most.
const MAX_PARTS: usize = 64;
/// What may follow the form, in bytes.
const MAX_EPILOGUE: usize = 64 * 1024;

pub fn operation() -> Operation {
    let example = serde_json::json!({ "file": "orders.csv", "destination": "/inbound", "overwrite": true });
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
    Operation::new(Tag::Files, "uploadFile", "A form with a file in it, or the file itself")
        .text("The fields may come in any order; fields that are not known mean nothing. Where `destination` comes before `file`, the content goes straight to its place. With `Upload-Complete` (draft-ietf-httpbis-resumable-upload) the body may be the file itself, of any other media type: `destination`, `filename` and `overwrite` stand in the query then, and only then, and `Content-Digest` and `Repr-Digest` are compared. A form comes whole: with `Upload-Complete: ?0` it is refused.")
        .scope(Scope::FilesWrite)
        .parameters(&parameters::RAW_UPLOAD)
        .parameters(&parameters::CREATION)
        .body(
            openapi::Body::form("The form (RFC 7578), or the content itself.", schemas::form(), example)
                .or_bytes("application/octet-stream"),
        )
        .answer(linked(created()))
        .answer(linked(overwritten()))
        .fails(problems::PLACE)
        .fails(problems::TAKEN)
        .fails(problems::CONTENT)
        .fails(problems::CREATION)
        .fails([ErrorKind::InvalidArgument])
        .fails([HttpFault::MediaType])
}

pub async fn upload(
    State(shared): State<Arc<Shared>>,
    caller: Uploader,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let content_type =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (form, complete) = (boundary(content_type), resumable::complete(&parts.headers));
    if form.is_none() && complete.is_some() {
        return resumable::post(&shared, &caller.session, (parts, body)).await;
    }
    if complete == Some(false) {
        let instead =
            "a form comes whole; send the file itself as the body, and its fields in the query, to send it in parts";
        return Err(Problem::http(HttpFault::MediaType).saying(instead));
    }
    let session = caller.session;
    let Some(boundary) = form else {
        return Err(Problem::http(HttpFault::MediaType).saying("send `multipart/form-data` with its boundary"));
    };
    let query = Query::parse(parts.uri.query(), &parameters::RAW_UPLOAD)?;
    for parameter in parameters::RAW_UPLOAD {
        if query.bytes(parameter.name)?.is_some() {
            return Err(Problem::field(parameter.name, "with a form this stands in the form; leave the query out"));
        }
    }
    plain(&parts.headers)?;
    let body = shared.body(&parts, body);
    if !session.scopes.allows(Scope::FilesWrite) {
        // Core says the same when an upload begins, but the file may be in the spool by then.
        let error = Error::permission_denied(Scope::FilesWrite.as_str());
        shared.gateway.refused(&session, Act::Upload, "", &error).await;
        return Err(error.into());
    }
    let max = shared.gateway.limits().max_file_size;
    if body.declared().is_some_and(|declared| declared > max.saturating_add((MAX_PARTS * MAX_TEXT) as u64)) {
        let error = Error::too_large(max);
        shared.gateway.refused(&session, Act::Upload, "", &error).await;
        return Err(error.into());
    }
    let resumable = !body.is_pending();
    let (fields, file) = (Fields::default(), FileField::Missing);
    let mut form = Form { shared: &shared, session: &session, fields, file, resumable };
    let mut events = Events { parser: Parser::new(&boundary), body };
    match form.read(&mut events).await {
        Ok(()) => {
            let receipt = form.complete().await?;
            Ok(stored(&shared, StatusCode::CREATED, &receipt))
        }
        Err(failure) => Err(form.give_up(failure).await),
    }
}

/// Why a form did not get to its end.
enum Failure {
    /// The body broke off: what is there can be resumed.
    Broken(Error),
    /// Core took no more.
    Refused(Error),
    /// The form is wrong: nothing is kept.
    Wrong(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Wrong(problem)
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed(why): Malformed) -> Self {
        Self::Wrong(Problem::from(Error::new(ErrorKind::InvalidArgument, why)))
    }
}

/// The events of a form, out of its body.
struct Events {
    parser: Parser,
    body: BodyReader,
}

impl Events {
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.parser.next()? {
                return Ok(event);
            }
            let Some(data) = self.body.next().await.map_err(Failure::Broken)? else {
                let error = Error::new(ErrorKind::Incomplete, "the form has no closing boundary; send it again, whole");
                return Err(Failure::Broken(error));
            };
            self.parser.feed(data);
        }
    }

    /// Reads what follows the form: the body must be whole too.
    async fn epilogue(&mut self) -> Result<(), Failure> {
        let mut total = 0;
        while let Some(data) = self.body.next().await.map_err(Failure::Broken)? {
            total += data.len();
            if total > MAX_EPILOGUE {
                return Err(Malformed("too much follows the form's closing boundary").into());
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Fields {
    destination: Option<VirtualPath>,
    overwrite: Option<bool>,
    sha256: Option<[u8; 32]>,
}

enum FileField {
    Missing,
    /// On its way into its upload.
    Direct {
        upload: Upload,
    },
    /// Waiting for the rest of the form.
    Spooled {
        spool: Spool,
        name: Name,
        content_type: Option<String>,
    },
}

struct Form<'a> {
    shared: &'a Shared,
    session: &'a Arc<Session>,
    fields: Fields,
    file: FileField,
    /// Whether what comes of the file may be kept if the body breaks off.
    resumable: bool,
}

impl Form<'_> {
    /// Reads the whole form and the whole body.
    async fn read(&mut self, events: &mut Events) -> Result<(), Failure> {
        let mut parts = 0;
        loop {
            let head = match events.next().await? {
                Event::Part(head) => head,
                Event::End => return events.epilogue().await,
                // A part's content is taken where the part is.
                Event::Data(_) | Event::PartEnd => continue,
            };
            parts += 1;
            if parts > MAX_PARTS {
                return Err(Malformed("the form has too many parts").into());
            }
            let Some(part) = head.disposition.as_deref().and_then(form_part) else {
                return Err(Malformed("a part of the form has no `Content-Disposition: form-data` with a name").into());
            };
            match part.name.as_str() {
                "file" => self.file(part, &head, events).await?,
                "destination" | "overwrite" | "sha256" => {
                    let value = text(&part.name, events).await?;
                    self.field(&part.name, &value).await?;
                }
                _ => {}
            }
        }
    }

    async fn field(&mut self, name: &str, value: &[u8]) -> Result<(), Problem> {
        let text = std::str::from_utf8(value).map(str::trim);
        let twice = match name {
            "destination" => {
                let folder = self.shared.path(self.session, Act::Upload, value, name).await?;
                self.fields.destination.replace(folder).is_some()
            }
            "overwrite" => {
                let flag =
                    text.ok().and_then(query::flag).ok_or_else(|| Problem::field(name, "this is `true` or `false`"))?;
                self.fields.overwrite.replace(flag).is_some()
            }
            _ => {
                let digest = text.ok().and_then(digest::from_hex);
                let digest = digest.ok_or_else(|| Problem::field(name, "this is a SHA-256 as 64 hex digits"))?;
                self.fields.sha256.replace(digest).is_some()
            }
        };
        if twice { Err(Problem::field(name, "this field stands twice; send it once")) } else { Ok(()) }
    }

    async fn file(&mut self, part: FormPart, head: &Head, events: &mut Events) -> Result<(), Failure> {
        if !matches!(self.file, FileField::Missing) {
            return Err(Problem::field("file", "one file at a time; send a form for each").into());
        }
        let Some(name) = part.filename.filter(|name| !name.is_empty()) else {
            return Err(Problem::field("file", "the file has no name; send it as a file, with `filename`").into());
        };
        let name = match Name::parse(&name) {
            Ok(name) => name,
            Err(error) => {
                // The folder may come behind the file.
                let whole = self.fields.destination.as_ref().map(|folder| called(folder, &name));
                let shown = whole.as_deref().unwrap_or(&name);
                self.shared.gateway.refused(self.session, Act::Upload, shown, &error).await;
                return Err(Problem::from(error).at("file").into());
            }
        };
        let content_type = content_type(head.content_type.as_deref());
        self.file = if let Some(path) = self.direct(&name).await? {
            let options = self.options(self.fields.overwrite.unwrap_or(false), content_type);
            let begun = self.shared.gateway.begin_upload(self.session, &path, options).await;
            FileField::Direct { upload: begun.map_err(Problem::from)? }
        } else {
            let spool = self.shared.spools.open(self.shared.gateway.limits().max_file_size);
            FileField::Spooled { spool, name, content_type }
        };
        loop {
            let data = match events.next().await? {
                Event::Data(data) => data,
                Event::PartEnd => return Ok(()),
                Event::Part(_) | Event::End => return Err(Malformed("a part of the form has no end").into()),
            };
            let taken = match &mut self.file {
                FileField::Direct { upload, .. } => upload.append(data).await,
                FileField::Spooled { spool, .. } => spool.push(data).await,
                FileField::Missing => Ok(()),
            };
            taken.map_err(Failure::Refused)?;
        }
    }

    /// The path that the file can go to right away: where the destination is known, and either `overwrite` is too or
    /// there is nothing that it would matter for.
    async fn direct(&self, name: &Name) -> Result<Option<VirtualPath>, Problem> {
        let Some(folder) = &self.fields.destination else { return Ok(None) };
        let path = self.shared.path_in(self.session, folder, name.as_str(), "file").await?;
        if self.fields.overwrite.is_some() {
            return Ok(Some(path));
        }
        match self.shared.gateway.stat(self.session, &Target::Path(path.clone())).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NoSuchFolder) => Ok(Some(path)),
            _ => Ok(None),
        }
    }

    fn options(&self, overwrite: bool, content_type: Option<String>) -> UploadOptions {
        let disposition = if overwrite { Disposition::Replace } else { Disposition::Create { reserve: false } };
        let mut options = UploadOptions::new(disposition);
        options.content_type = content_type;
        options.expected_sha256 = self.fields.sha256;
        options.make_folders = true;
        options.resumable = self.resumable;
        options
    }

    /// The form is whole: the file becomes visible, or an error says why not.
    async fn complete(mut self) -> Result<Receipt, Problem> {
        match std::mem::replace(&mut self.file, FileField::Missing) {
            FileField::Missing => Err(Problem::field("file", "this is required: the file")),
            FileField::Direct { upload } => {
                // A digest that came after the content is as binding as one before it.
                if let Some(expected) = self.fields.sha256 {
                    upload.expect_sha256(expected).await?;
                }
                self.commit(upload).await
            }
            FileField::Spooled { spool, name, content_type } => {
                let Some(folder) = self.fields.destination.clone() else {
                    return Err(Problem::field("destination", "this is required: the folder for the file"));
                };
                let path = self.shared.path_in(self.session, &folder, name.as_str(), "file").await?;
                let mut options = self.options(self.fields.overwrite.unwrap_or(false), content_type);
                options.declared_size = Some(spool.len());
                let upload = self.shared.gateway.begin_upload(self.session, &path, options).await?;
                let upload = pour(spool, upload).await?;
                self.commit(upload).await
            }
        }
    }

    async fn commit(&self, upload: Upload) -> Result<Receipt, Problem> {
        upload.commit().await.map_err(|error| {
            // The name was free when the file began, so `overwrite`, which came later, was not asked for yet.
            if error.kind() == ErrorKind::AlreadyExists && self.fields.overwrite == Some(true) {
                return Error::new(ErrorKind::Conflict, "somebody else made this file meanwhile; send the form again")
                    .into();
            }
            let digest = error.kind() == ErrorKind::DigestMismatch;
            let problem = Problem::from(error);
            if digest { problem.at("sha256") } else { problem }
        })
    }

    /// Ends what was begun.
    async fn give_up(self, failure: Failure) -> Problem {
        match (self.file, failure) {
            (FileField::Direct { upload, .. }, Failure::Broken(error) | Failure::Refused(error)) => {
                upload.detach(error.clone()).await;
                error.into()
            }
            (FileField::Direct { upload, .. }, Failure::Wrong(problem)) => {
                if let Err(error) = upload.discard().await {
                    tracing::warn!(%error, "an upload could not be discarded");
                }
                problem
            }
            (FileField::Spooled { name, .. }, Failure::Refused(error)) => {
                // Core never saw this one, so it is recorded here.
                let gateway = &self.shared.gateway;
                match self.fields.destination.as_ref().and_then(|folder| folder.join(&name).ok()) {
                    Some(path) => gateway.failed(self.session, Act::Upload, &Target::Path(path), &error).await,
                    None => gateway.refused(self.session, Act::Upload, name.as_str(), &error).await,
                }
                error.into()
            }
            (_, Failure::Broken(error) | Failure::Refused(error)) => error.into(),
            (_, Failure::Wrong(problem)) => problem,
        }
    }
}

/// Reads a text field.
async fn text(name: &str, events: &mut Events) -> Result<Bytes, Failure> {
    let mut value = Vec::new();
    loop {
        match events.next().await? {
            Event::Data(data) if value.len() + data.len() <= MAX_TEXT => value.extend_from_slice(&data),
            Event::Data(_) => return Err(Problem::field(name, "this field is too long").into()),
            Event::PartEnd => return Ok(value.into()),
            Event::Part(_) | Event::End => return Err(Malformed("a part of the form has no end").into()),
        }
    }
}

/// Moves what waited into its upload.
async fn pour(spool: Spool, upload: Upload) -> Result<Upload, Problem> {
    let mut offset = 0;
    loop {
        let moved = match spool.read_at(offset).await {
            Ok(Some(data)) => {
                offset += data.len() as u64;
                upload.append(data).await
            }
            Ok(None) => return Ok(upload),
            Err(error) => Err(error),
        };
        if let Err(error) = moved {
            upload.detach(error.clone()).await;
            return Err(error.into());
        }
    }
}
