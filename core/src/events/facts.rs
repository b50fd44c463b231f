//! The facts of one operation. Its audit entry and its events are made from the same ones, so that they cannot tell two
//! stories (contract, `events.md`).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::{Operation, without_hidden};
use crate::audit::TRAIL;
use crate::audit::canonical::Value;
use crate::error::Error;
use crate::identity::{AuthMethod, Peer, Protocol, Session, without_keys};
use crate::path::MAX_PATH;
use crate::records::{AuditRecord, EventRecord, Micros, ObjectKey, instant, now};
use crate::trace::{TraceContext, current};

/// The longest text of a client's in an event, in characters.
pub const MAX_TEXT: usize = 255;
/// The longest error message in an event, in characters.
pub const MAX_MESSAGE: usize = 1024;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It was done.
    Completed,
    /// It went wrong.
    Failed,
    /// A rule refused it.
    Denied,
    /// It was given up.
    Cancelled,
}

impl Status {
    /// The word in events and audit entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
        }
    }

    /// How an operation ended that met this error.
    pub const fn of_failure(error: &Error) -> Self {
        if error.kind().is_refusal() { Self::Denied } else { Self::Failed }
    }

    /// The audit entry's `outcome`: `ok`, `error` or `denied`.
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Completed => "ok",
            Self::Failed | Self::Cancelled => "error",
            Self::Denied => "denied",
        }
    }
}

/// What one operation was, by whom, and what it came to. Text may be as a client sent it: it is cut when the entry and
/// the events are made (255 characters; paths 4,096; messages 1,024). In paths NUL, which PostgreSQL cannot store, is replaced,
/// in all other text whatever shows nothing itself ([`super::is_hidden`]).
#[derive(Clone, Debug)]
pub struct Facts {
    /// The tenant; none where it belongs to none (an unknown login).
    pub tenant: Option<Arc<str>>,
    /// The identity.
    pub identity: Option<String>,
    /// The login or key id.
    pub login: Option<String>,
    /// The OAuth client that acts, or is to act, for it.
    pub client: Option<String>,
    /// The protocol.
    pub protocol: Protocol,
    /// The session.
    pub session: Option<Uuid>,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// The node's name.
    pub node: String,
    /// How the session was authenticated. Audit only.
    pub auth_method: Option<AuthMethod>,
    /// The connection's cipher. Audit only.
    pub cipher: Option<String>,
    /// The client's software. Audit only.
    pub client_version: Option<String>,
    /// What was done.
    pub operation: Operation,
    /// How it ended.
    pub status: Status,
    /// When.
    pub at: Micros,
    /// The transfer that it belongs to.
    pub transfer_id: Option<Uuid>,
    /// The file's or folder's id.
    pub file_id: Option<Uuid>,
    /// The path in the tenant's tree.
    pub path: Option<String>,
    /// What the acting identity called it.
    pub view_path: Option<String>,
    /// The path before a rename, in the tenant's tree.
    pub previous_path: Option<String>,
    /// The file's size in bytes.
    pub size: Option<u64>,
    /// Bytes that were moved.
    pub bytes: Option<u64>,
    /// Whether that was the whole file.
    pub complete: Option<bool>,
    /// SHA-256 of the content.
    pub hash: Option<[u8; 32]>,
    /// Media type.
    pub content_type: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When what it is about ends: a key. Where it is none the field is left out.
    pub expires_at: Option<Micros>,
    /// The error's code and sentence.
    pub error: Option<(String, String)>,
    /// What administration was about.
    pub change: Option<Box<ObjectChange>>,
    /// What else is to be told of it, behind all other fields: what an administrator has changed.
    pub details: Vec<(&'static str, Value)>,
    /// Where in a trace it was done. It is told to nobody but with the requests that deliver its events.
    pub trace: Option<TraceContext>,
}

/// What a change of an object was. The audit entry has it whole, the event without what the object looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Which object. The id may be as a client sent it.
    pub key: ObjectKey,
    /// `created`, `changed` or `removed`.
    pub change: &'static str,
    /// What it was, its secrets masked; none: it was not there, or nothing came of the change.
    pub before: Option<serde_json::Value>,
    /// What it is, the same.
    pub after: Option<serde_json::Value>,
    /// The tenant of who did it, where that is another one.
    pub actor_tenant: Option<Arc<str>>,
}

impl ObjectChange {
    fn names(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("object_kind", text(Some(&self.key.kind)).into()),
            ("object_id", text(Some(&self.key.id)).into()),
            ("object_tenant", text(Some(&self.key.tenant)).into()),
            ("actor_tenant", self.actor_tenant.as_deref().into()),
            ("change", self.change.into()),
        ]
    }
}

impl Facts {
    /// An operation of a session: completed, now.
    pub fn of_session(session: &Session, node: &str, operation: Operation) -> Self {
        Self {
            tenant: Some(session.tenant.id.clone()),
            identity: Some(session.identity.id.to_string()),
            login: Some(session.login.to_string()),
            session: Some(session.id),
            client_ip: Some(session.client_ip),
            auth_method: Some(session.auth_method),
            cipher: session.cipher.clone(),
            client_version: session.client_version.clone(),
            transfer_id: session.errand.as_ref().map(|errand| errand.job),
            trace: current().or_else(|| session.span.context().cloned()),
            ..Self::bare(session.protocol, node, operation)
        }
    }

    /// An operation of a peer that has no session: a login that failed. Completed, now.
    pub fn of_peer(peer: &Peer, node: &str, operation: Operation) -> Self {
        Self {
            client_ip: Some(peer.ip),
            cipher: peer.cipher.clone(),
            client_version: peer.client_version.clone(),
            ..Self::bare(peer.protocol, node, operation)
        }
    }

    /// Of what the gateway does by itself in a tenant. Completed, now.
    pub fn of_gateway_in(tenant: &Arc<str>, node: &str, operation: Operation) -> Self {
        Self { tenant: Some(tenant.clone()), ..Self::of_gateway(node, operation) }
    }

    /// Something of the gateway's own, which no session has asked for. Completed, now.
    pub fn of_gateway(node: &str, operation: Operation) -> Self {
        Self::bare(Protocol::Gateway, node, operation)
    }

    /// What the gateway does by itself about somebody who came over the API. Completed, now.
    pub fn of_node(node: &str, operation: Operation) -> Self {
        Self::bare(Protocol::Api, node, operation)
    }

    fn bare(protocol: Protocol, node: &str, operation: Operation) -> Self {
        Self {
            tenant: None,
            identity: None,
            login: None,
            client: None,
            protocol,
            session: None,
            client_ip: None,
            node: node.to_owned(),
            auth_method: None,
            cipher: None,
            client_version: None,
            operation,
            status: Status::Completed,
            at: now(),
            transfer_id: None,
            file_id: None,
            path: None,
            view_path: None,
            previous_path: None,
            size: None,
            bytes: None,
            complete: None,
            hash: None,
            content_type: None,
            duration_ms: None,
            expires_at: None,
            error: None,
            change: None,
            details: Vec::new(),
            trace: current(),
        }
    }

    /// The same operation, refused or failed with this error.
    #[must_use]
    pub fn failed(mut self, error: &Error) -> Self {
        self.status = Status::of_failure(error);
        self.error = Some((error.kind().code().to_owned(), error.message().to_owned()));
        self
    }

    /// The audit entry, with a new id. Its body is flat: the event's fields with `outcome`, `auth_method`, `cipher` and
    /// `client_version`, as canonical JSON (RFC 8785).
    pub fn audit(&self) -> AuditRecord {
        let id = Uuid::now_v7();
        AuditRecord {
            id,
            chain: self.tenant.as_deref().unwrap_or_default().to_owned(),
            at: self.at,
            identity: text(self.identity.as_deref()),
            login: text(self.login.as_deref()),
            operation: self.operation.as_str().to_owned(),
            outcome: self.status.outcome().to_owned(),
            path: self.place(self.path.as_deref()),
            protocol: self.protocol.as_str().to_owned(),
            body: if TRAIL { self.entry(id).to_canonical() } else { Vec::new() },
        }
    }

    /// What stands in the audit entry.
    fn entry(&self, id: Uuid) -> Value {
        let mut fields = self.head(id);
        fields.extend([
            ("outcome", self.status.outcome().into()),
            ("auth_method", self.auth_method.map(AuthMethod::as_str).into()),
            ("cipher", text(self.cipher.as_deref()).into()),
            ("client_version", text(self.client_version.as_deref()).into()),
        ]);
        fields.extend(self.data());
        if let Some(change) = &self.change {
            fields.push(("before", change.before.as_ref().into()));
            fields.push(("after", change.after.as_ref().into()));
        }
        Value::Object(fields)
    }

    /// An event about the operation, with a new id. `kind` is a name of the contract.
    pub fn event(&self, kind: &'static str) -> EventRecord {
        let id = Uuid::now_v7();
        let place = self.place(self.path.as_deref());
        let mut order_keys: Vec<String> = self.file_id.map(|id| id.to_string()).into_iter().collect();
        for key in [place.clone(), self.place(self.previous_path.as_deref())].into_iter().flatten() {
            if !order_keys.contains(&key) {
                order_keys.push(key);
            }
        }
        EventRecord {
            id,
            tenant: self.tenant.as_deref().unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            at: self.at,
            path: place,
            order_keys,
            body: if TRAIL { self.message(id, kind).to_json() } else { String::new() },
            transfer: self.transfer_id.filter(|_| self.protocol != Protocol::Transfer && ends_transfer(kind)),
            quiet: false,
            trace: self.trace.clone(),
        }
    }

    /// What stands in the event.
    fn message(&self, id: Uuid, kind: &'static str) -> Value {
        let mut fields = self.head(id);
        fields.insert(1, ("type", kind.into()));
        fields.push(("data", Value::Object(self.data())));
        Value::Object(fields)
    }

    /// A path as it is told. What was done has its name, whatever that is; what was not done may name an API key by mistake.
    fn place(&self, value: Option<&str>) -> Option<String> {
        let told = path(value)?;
        Some(if self.status == Status::Completed { told } else { without_keys(&told).into_owned() })
    }

    /// The fields above `data`, in the contract's order (without `type`).
    fn head(&self, id: Uuid) -> Vec<(&'static str, Value)> {
        vec![
            ("id", id.to_string().into()),
            ("timestamp", timestamp(self.at).into()),
            ("tenant_id", self.tenant.as_deref().into()),
            ("transfer_id", self.transfer_id.map(|id| id.to_string()).into()),
            ("status", self.status.as_str().into()),
        ]
    }

    /// The fields of `data`, in the contract's order.
    fn data(&self) -> Vec<(&'static str, Value)> {
        let path = |value| self.place(value);
        let place = path(self.path.as_deref());
        let name = place
            .as_deref()
            .and_then(|path| path.rsplit('/').next())
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
        let (code, message) = match &self.error {
            Some((code, message)) => (Some(code.clone()), Some(plain(message, MAX_MESSAGE))),
            None => (None, None),
        };
        let expires = self.expires_at.map(|at| ("expires_at", timestamp(at).into()));
        let mut data: Vec<(&'static str, Value)> = vec![
            ("identity", text(self.identity.as_deref()).into()),
            ("login", text(self.login.as_deref()).into()),
            ("protocol", self.protocol.as_str().into()),
            ("session", self.session.map(|id| id.to_string()).into()),
            ("client_ip", self.client_ip.map(|ip| ip.to_canonical().to_string()).into()),
            ("node", text(Some(&self.node)).into()),
            ("operation", self.operation.as_str().into()),
            ("file_id", self.file_id.map(|id| id.to_string()).into()),
            ("path", place.into()),
            ("view_path", path(self.view_path.as_deref()).into()),
            ("previous_path", path(self.previous_path.as_deref()).into()),
            ("name", name.into()),
            ("size", self.size.into()),
            ("bytes", self.bytes.into()),
            ("complete", self.complete.into()),
            ("hash", self.hash.map(hex::encode).into()),
            ("hash_algorithm", self.hash.map(|_| "sha256").into()),
            ("content_type", text(self.content_type.as_deref()).into()),
            ("duration_ms", self.duration_ms.into()),
            ("error_code", code.into()),
            ("error_message", message.into()),
        ];
        // Of an application's access alone.
        data.extend(text(self.client.as_deref()).map(|client| ("client_id", client.into())));
        data.extend(expires);
        data.extend(self.change.iter().flat_map(|change| change.names()));
        data.extend(self.details.iter().cloned());
        data
    }
}

/// Whether an event of this kind is the last one of a transfer.
fn ends_transfer(kind: &str) -> bool {
    matches!(kind, "transfer.completed" | "transfer.failed" | "transfer.cancelled")
}

/// A moment as events show it: RFC 3339, UTC, six digits of a second.
pub fn timestamp(at: Micros) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let moment = instant(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&format).unwrap_or_default()
}

fn text(value: Option<&str>) -> Option<String> {
    value.map(|value| plain(value, MAX_TEXT))
}

/// Text that names no file: cut, without what hides something, and without keys.
fn plain(value: &str, most: usize) -> String {
    without_keys(&without_hidden(&cut(value, most))).into_owned()
}

fn path(value: Option<&str>) -> Option<String> {
    value.map(|value| cut(value, MAX_PATH).into_owned())
}

fn cut(value: &str, most: usize) -> Cow<'_, str> {
    let short = match value.char_indices().nth(most) {
        Some((end, _)) => value.get(..end).unwrap_or_default(),
        None => value,
    };
    if short.contains('\0') { Cow::Owned(short.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(short) }
}

#[cfg(test)]
#[path = "facts_test.rs"]
mod tests;
