//! `POST /transfers`: asks for files to be copied or moved in the background. `Idempotency-Key`: draft-ietf-httpapi-
//! idempotency-key-header, whose value may stand in quotes or not.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use causeway_core::events::Operation as Act;
use causeway_core::identity::Scope;
use causeway_core::jobs::transfers::{Enqueued, Source, TransferRequest};
use causeway_core::records::{JobOperation, TransferState};
use causeway_core::{ErrorKind, VirtualPath};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{RequestedJson, accepted};
use crate::auth::Caller;
use crate::members::Members;
use crate::openapi::headers::LOCATION;
use crate::openapi::parameters::IDEMPOTENCY_KEY;
use crate::openapi::{Answer, Body, Operation, Tag, examples, problems, schemas};
use crate::problem::{HttpFault, Problem};
use crate::router::Shared;

/// The longest `Idempotency-Key`, in bytes.
const MAX_KEY: usize = 255;
const USUAL_PRIORITY: i64 = 5;

/// What the members of a body ask for. Paths are as they were sent.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    source: String,
    destination: String,
    operation: JobOperation,
    overwrite: bool,
    priority: i64,
    notify: bool,
}

impl Asked {
    /// The digest that tells one request from another.
    fn digest(&self) -> [u8; 32] {
        let Self { source, destination, operation, overwrite, priority, notify } = self;
        let whole = json!([source, destination, operation.as_str(), overwrite, priority, notify]);
        Sha256::digest(whole.to_string()).into()
    }
}

/// Whether a name means a place of a remote (`bank:/out/x`).
fn names_remote(text: &str) -> bool {
    text.split_once(":/").is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    })
}

fn place(members: &mut Members, name: &str) -> String {
    let text = members.required(name);
    if names_remote(&text) {
        members.wrong(name, "remotes are not configured; name a path of this gateway, such as /outbound/");
    }
    text
}

fn read(mut members: Members) -> Result<Asked, Problem> {
    let source = place(&mut members, "source");
    let destination = place(&mut members, "destination");
    if let Err(error) = Source::parse(&source)
        && error.kind() == ErrorKind::InvalidArgument
    {
        members.miss("source", error.message().to_owned());
    }
    if destination.contains(['*', '?']) {
        members.miss("destination", "a pattern can only be a source; name a folder or a file");
    }
    let operation =
        members.read_as("operation", "this is `copy` or `move`", |value| JobOperation::parse(value.as_str()?));
    let overwrite = members.read_as("overwrite", "this is `true` or `false`", Value::as_bool);
    let most = "this is a whole number from 0 to 9; 9 goes first";
    let priority = members.read_as("priority", most, |value| {
        Members::whole(value).and_then(|level| i64::try_from(level).ok()).filter(|level| *level <= 9)
    });
    let notify = members.read_as("notify_on_completion", "this is `true` or `false`", Value::as_bool);
    members.finish()?;
    Ok(Asked {
        source,
        destination,
        operation: operation.unwrap_or(JobOperation::Copy),
        overwrite: overwrite.unwrap_or(false),
        priority: priority.unwrap_or(USUAL_PRIORITY),
        notify: notify.unwrap_or(true),
    })
}

/// The request's `Idempotency-Key`.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const NAME: &str = "Idempotency-Key";
    let mut values = headers.get_all(NAME).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let good = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good && more.is_none() {
        return Ok(Some(text.to_owned()));
    }
    Err(Problem::field(NAME, "this is 1 to 255 visible ASCII characters, such as a UUID, and is sent once"))
}

pub fn operation() -> Operation {
    let moved = json!({ "source": "/inbound/*.csv", "destination": "/archive/", "operation": "move" });
    let copied = json!({ "source": "/inbound/orders.csv", "destination": "/archive/orders-47.csv", "overwrite": true });
    Operation::new(Tag::Transfers, "requestTransfer", "Copies or moves files in the background")
        .text("The answer comes at once; the work is done by the identity that asks, under its permissions and quota, and outlives the request, the process and the node.")
        .scope(Scope::TransfersWrite)
        .parameters(&[IDEMPOTENCY_KEY])
        .body(Body::json("What goes where.", schemas::new_transfer(), moved).example("a file", copied))
        .answer(
            Answer::json::<RequestedJson>(StatusCode::ACCEPTED, "It is queued.", examples::requested())
                .header(&LOCATION)
                .link("getTransfer", "transfer_id", "$response.body#/transfer_id")
                .link("getTransferStatus", "transfer_id", "$response.body#/transfer_id")
                .link("cancelTransfer", "transfer_id", "$response.body#/transfer_id")
                .link("retryTransfer", "transfer_id", "$response.body#/transfer_id"),
        )
        .fails(problems::JSON)
        .fails(problems::PLACE)
        .fails([HttpFault::IdempotencyKey])
        .fails([ErrorKind::NoSpace])
}

pub async fn request(State(shared): State<Arc<Shared>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let session = &caller.session;
    let key = key_of(request.headers())?;
    let (_, members) = Members::of(&shared, request).await?;
    let asked = read(members)?;
    shared.path(session, Act::Transfer, asked.source.as_bytes(), "source").await?;
    let destination: VirtualPath =
        shared.path(session, Act::Transfer, asked.destination.as_bytes(), "destination").await?;
    let request = TransferRequest {
        source: Source::parse(&asked.source).map_err(|error| Problem::from(error).at("source"))?,
        into_folder: asked.destination.is_empty() || asked.destination.ends_with('/'),
        destination,
        operation: asked.operation,
        overwrite: asked.overwrite,
        priority: asked.priority,
        notify: asked.notify,
        key: key.map(|key| (key, asked.digest())),
    };
    match shared.gateway.request_transfer(session, request).await {
        Ok(Enqueued::Job(id)) => Ok(accepted(&shared, id, TransferState::Queued)),
        Ok(Enqueued::KeyReused) => Err(Problem::http(HttpFault::IdempotencyKey)),
        Err(wrong) => {
            let problem = Problem::from(wrong.error);
            Err(match wrong.field {
                Some(field) => problem.at(field),
                None => problem,
            })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(value: Value) -> Result<Asked, Vec<String>> {
        read(Members::parse(value.to_string().as_bytes()).unwrap()).map_err(|problem| {
            let document: Value = serde_json::from_slice(&problem.document("r")).unwrap();
            assert_eq!(document["status"], 400);
            document["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect()
        })
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let plain = asked(json!({"source": "/a", "destination": "/b/"})).unwrap();
        assert_eq!(
            (plain.operation, plain.overwrite, plain.priority, plain.notify),
            (JobOperation::Copy, false, 5, true)
        );
        let whole = json!({"source": "/a/*.csv", "destination": "/b", "operation": "move", "overwrite": true,
            "priority": 9, "notify_on_completion": false});
        let whole = asked(whole).unwrap();
        assert_eq!(
            (whole.operation, whole.overwrite, whole.priority, whole.notify),
            (JobOperation::Move, true, 9, false)
        );
        assert_ne!(plain.digest(), whole.digest());
        assert_eq!(plain.digest(), asked(json!({"destination": "/b/", "source": "/a"})).unwrap().digest());
    }

    #[test]
    fn every_wrong_member_is_named() {
        assert_eq!(asked(json!({})).unwrap_err(), ["source", "destination"]);
        assert_eq!(
            asked(json!({"source": "bank:/x", "destination": "bank:/y"})).unwrap_err(),
            ["source", "destination"]
        );
        assert_eq!(asked(json!({"source": "/a/[", "destination": "/b/*"})).unwrap_err(), ["source", "destination"]);
        let all = json!({"source": 1, "destination": "/b", "operation": "link", "overwrite": "yes", "priority": 10,
            "notify_on_completion": 1, "colour": "red"});
        let fields = ["source", "operation", "overwrite", "priority", "notify_on_completion", "colour"];
        assert_eq!(asked(all).unwrap_err(), fields);
        for local in ["/a:/b", "a b:/c", "/x:/"] {
            assert!(!names_remote(local), "{local}");
        }
    }

    #[test]
    fn a_key_is_bounded_and_sent_once() {
        let key = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            key_of(&headers)
        };
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&["abc-1"]).unwrap().as_deref(), Some("abc-1"));
        assert_eq!(key(&["\"abc-1\""]).unwrap().as_deref(), Some("abc-1"));
        assert!(key(&[&"x".repeat(255)]).unwrap().is_some());
        for bad in [&[""][..], &["\"\""], &["a b"], &["é"], &[&"x".repeat(256)], &["a", "a"]] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }
}
