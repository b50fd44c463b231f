//! The schemas of what goes in and out (JSON Schema 2020-12). Answers have those of their types; requests, whose members are
//! read one by one so that all that is wrong can be told at once, have them written out with the limits of the code.

use std::borrow::Cow;

use causeway_core::Protocol;
use causeway_core::events::EVENT_KINDS;
use causeway_core::namespace::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS};
use causeway_core::path::{MAX_NAME, MAX_PATH};
use causeway_core::transfer::MAX_CHUNKS;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// What a value looks like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// As this type is written.
    Typed(fn(&mut SchemaGenerator) -> Schema),
    /// Of this name among the components.
    Named(&'static str, Value),
    /// Written where it is used.
    Inline(Value),
}

impl Shape {
    /// That of a type.
    pub fn of<T: JsonSchema>() -> Self {
        Self::Typed(SchemaGenerator::subschema_for::<T>)
    }

    /// That of one of two types.
    pub fn either<One: JsonSchema, Other: JsonSchema>() -> Self {
        Self::Typed(|generator| {
            let (one, other) = (generator.subschema_for::<One>(), generator.subschema_for::<Other>());
            Schema::try_from(json!({ "oneOf": [one, other] })).unwrap_or_default()
        })
    }

    /// Bytes, of which nothing else is known.
    pub fn bytes() -> Self {
        Self::Inline(json!({ "type": "string", "format": "binary" }))
    }
}

/// A type that only has a schema: what a field holds that is text here and more than that to a client.
macro_rules! text {
    ($($(#[$about:meta])* $name:ident $schema:expr;)*) => {
        $(
            $(#[$about])*
            pub struct $name;

            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    Schema::try_from($schema).unwrap_or_default()
                }
            }
        )*
    };
}

text! {
    /// A moment in UTC with six digits of the second (RFC 3339).
    Moment json!({ "type": "string", "format": "date-time", "examples": ["2026-11-24T20:15:02.123456Z"] });
    /// A SHA-256 in lower-case hex.
    Sha256 json!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "examples": [HASH] });
    /// An entity tag with its quotes.
    EntityTag json!({ "type": "string", "pattern": "^\"[0-9a-f]{64}\"$", "examples": [format!("\"{HASH}\"")] });
    /// A path in the caller's own view.
    PathText json!({ "type": "string", "pattern": "^/", "maxLength": MAX_PATH, "examples": ["/inbound/orders.csv"] });
    /// The name of a file or folder.
    NameText json!({ "type": "string", "maxLength": MAX_NAME, "examples": ["orders.csv"] });
    /// An opaque place in a list.
    Cursor json!({ "type": "string", "minLength": 1, "examples": ["L2luYm91bmQvb3JkZXJzLmNzdg"] });
}

/// The digest of the examples.
pub const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
/// The id of the examples.
pub const ID: &str = "0199a0b2-7c4d-7e10-8b1f-3d5a6c7e8f90";

/// A path as a client may send it.
pub fn path() -> Value {
    json!({
        "type": "string",
        "format": "virtual-path",
        // The `/` at its beginning counts, whether it is sent or not.
        "maxLength": MAX_PATH - 1,
        "pattern": "^/?([^/\\u0000-\\u001f\\u007f-\\u009f]{1,255}(/[^/\\u0000-\\u001f\\u007f-\\u009f]{1,255})*)?/?$",
        "description": format!(
            "A path in the caller's own view, with or without the leading `/`: UTF-8 in NFC, parts of 1 to {MAX_NAME} bytes, none of \
             them `.` or `..`, no control characters, {MAX_PATH} bytes at most."
        ),
    })
}

/// A name as a client may send it.
pub fn name() -> Value {
    json!({
        "type": "string",
        "format": "file-name",
        "minLength": 1,
        "maxLength": MAX_NAME,
        "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]{1,255}$",
        "description": format!("A name: UTF-8 in NFC, 1 to {MAX_NAME} bytes, no `/`, no control characters, not `.` or `..`."),
    })
}

/// A SHA-256 in hex, of either case.
pub fn sha256() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "SHA-256 of the whole content, in hex." })
}

/// A file's or upload's id.
pub fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// The id of something that an administrator declares.
pub fn slug() -> Value {
    json!({
        "type": "string", "format": "slug", "pattern": "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$",
        "description": "An id: a-z, 0-9 and inner hyphens, 64 at most.",
    })
}

/// A number of bytes, or null for no limit.
pub fn maybe_bytes(about: &str) -> Value {
    json!({ "type": ["integer", "null"], "format": "int64", "minimum": 1, "maximum": i64::MAX, "description": about })
}

/// A path of the tenant's tree, as an administrator writes it.
pub fn tree_path(about: &str) -> Value {
    json!({ "type": "string", "format": "tree-path", "pattern": "^/", "maxLength": MAX_PATH, "description": about })
}

/// Any text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// A word to look for.
pub fn word() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// `true` or `false`.
pub fn flag() -> Value {
    json!({ "type": "boolean", "default": false })
}

/// A moment as a client may send it.
pub fn moment() -> Value {
    json!({ "type": "string", "format": "date-time", "description": "A moment as RFC 3339 writes it." })
}

/// A number of bytes that a file may have.
pub fn size() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX, "description": "Bytes of the whole file." })
}

/// The same in a header, where it is text.
pub fn digits() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{1,18}$", "description": "A whole number of bytes." })
}

/// Entries of a page.
pub fn limit() -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": crate::query::MAX_LIMIT,
        "default": crate::query::DEFAULT_LIMIT,
    })
}

/// `POST /folders`.
pub fn new_folder() -> Shape {
    Shape::Named(
        "NewFolder",
        json!({
            "type": "object",
            "required": ["path"],
            "additionalProperties": false,
            "properties": { "path": path() },
        }),
    )
}

/// `POST /files/{file_id}/copy`.
pub fn copy() -> Shape {
    let mut destination = path();
    describe(&mut destination, "Where the copy goes; a path that ends in `/` is a folder, in which it keeps its name.");
    Shape::Named(
        "Copy",
        json!({
            "type": "object",
            "required": ["destination"],
            "additionalProperties": false,
            "properties": {
                "destination": destination,
                "overwrite": { "type": "boolean", "default": false, "description": "Whether a file that is there is replaced." },
            },
        }),
    )
}

/// `PATCH /files/{file_id}`.
pub fn change() -> Shape {
    let mut to = path();
    describe(&mut to, "Where the file goes; a path that ends in `/` is a folder, in which it keeps its name.");
    let plain = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
    Shape::Named(
        "Change",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "path": to,
                "overwrite": { "type": "boolean", "default": false, "description": "Whether a file at `path` is replaced." },
                "classification": {
                    "type": ["string", "null"],
                    "format": "classification",
                    "description": "One of the tenant's list (`public`, `internal`, `confidential`, `restricted` where it has none of its own); `null` for none.",
                },
                "tags": {
                    "type": "object",
                    "description": "All tags anew; `{}` takes them away.",
                    "maxProperties": MAX_TAGS,
                    "propertyNames": { "minLength": 1, "maxLength": MAX_TAG_KEY, "pattern": plain },
                    "additionalProperties": { "type": "string", "maxLength": MAX_TAG_VALUE, "pattern": plain },
                },
                "modified_at": moment(),
            },
        }),
    )
}

/// `POST /uploads`.
pub fn new_upload() -> Shape {
    Shape::Named(
        "NewUpload",
        json!({
            "type": "object",
            "required": ["size"],
            "additionalProperties": false,
            "properties": {
                "path": path(),
                "destination": path(),
                "filename": name(),
                "size": size(),
                "chunk_size": {
                    "type": ["integer", "null"],
                    "format": "int64",
                    "minimum": 1,
                    "maximum": i64::MAX,
                    "description": format!("Bytes of a chunk, but for the last. It must give at most {MAX_CHUNKS} chunks. Without it: 8 MiB, or more where that gives more than a thousand."),
                },
                "sha256": { "type": ["string", "null"], "pattern": "^[0-9a-fA-F]{64}$", "description": "SHA-256 that the whole must have, in hex." },
                "overwrite": { "type": ["boolean", "null"], "default": false, "description": "Whether a file that is there is replaced." },
                "content_type": { "type": ["string", "null"], "format": "media-type", "maxLength": 255, "description": "Media type of the file." },
            },
            "oneOf": [
                { "required": ["path"], "properties": { "destination": false, "filename": false } },
                { "required": ["destination", "filename"], "properties": { "path": false } },
            ],
        }),
    )
}

/// `POST /transfers`.
pub fn new_transfer() -> Shape {
    let (mut source, mut destination) = (path(), path());
    describe(
        &mut source,
        "A file, a folder with all that is in it, or a pattern with `*`, `?`, `[a-z]` and `**`; `[[]` is a bracket. Names on remotes (`bank:/out`) are refused.",
    );
    describe(
        &mut destination,
        "A folder where it ends in `/`, is one, or the source is a pattern; otherwise the new name. Missing folders are made.",
    );
    if let Some(source) = source.as_object_mut() {
        source.insert("format".to_owned(), json!("transfer-source"));
    }
    if let Some(destination) = destination.as_object_mut() {
        destination.insert("format".to_owned(), json!("transfer-destination"));
    }
    let flag =
        |default: bool, about: &str| json!({ "type": ["boolean", "null"], "default": default, "description": about });
    Shape::Named(
        "NewTransfer",
        json!({
            "type": "object",
            "required": ["source", "destination"],
            "additionalProperties": false,
            "properties": {
                "source": source,
                "destination": destination,
                "operation": { "enum": ["copy", "move", null], "default": "copy", "description": "What is done with the files." },
                "overwrite": flag(false, "Whether files that are there are replaced."),
                "priority": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "maximum": 9,
                    "default": 5,
                    "description": "Of the identity's own transfers the highest goes first.",
                },
                "notify_on_completion": flag(true, "Whether its `transfer.*` events go to the tenant's webhooks."),
            },
        }),
    )
}

/// `POST /uploads/{session_id}/complete`.
pub fn completion() -> Shape {
    Shape::Named(
        "Completion",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "sha256": { "type": ["string", "null"], "pattern": "^[0-9a-fA-F]{64}$", "description": "SHA-256 that the whole must have, in hex." },
            },
        }),
    )
}

/// `POST /files/upload`.
pub fn form() -> Shape {
    let mut folder = path();
    describe(&mut folder, "The folder for the file; it is made if it is missing and the caller may.");
    Shape::Named(
        "UploadForm",
        json!({
            "type": "object",
            "required": ["file", "destination"],
            "properties": {
                "file": { "type": "string", "format": "binary", "description": "The content; the part's `filename` is the file's name." },
                "destination": folder,
                "overwrite": { "type": "boolean", "default": false, "description": "Whether a file that is there is replaced." },
                "sha256": sha256(),
            },
        }),
    )
}

fn describe(schema: &mut Value, text: &str) {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".into(), text.into());
    }
}

/// An event, of which the ledger has the text.
pub struct Event;

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut members = facts();
        let head = take(&mut members, &["id", "type", "timestamp", "tenant_id", "transfer_id", "status"]);
        let required: Vec<&String> = head.keys().collect();
        let always: Vec<String> = members.keys().cloned().collect();
        members.insert(
            "expires_at".to_owned(),
            json!({ "type": "string", "format": "date-time", "description": "Of `key.expiring`: when the key ends." }),
        );
        let data =
            json!({ "type": "object", "description": "What it is about.", "required": always, "properties": members });
        let mut schema =
            json!({ "type": "object", "description": "What happened.", "required": required, "properties": head });
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("data".into(), data);
        }
        Schema::try_from(schema).unwrap_or_default()
    }
}

/// An entry of the trail, of which the ledger has the text.
pub struct AuditEntry;

impl JsonSchema for AuditEntry {
    fn schema_name() -> Cow<'static, str> {
        "AuditEntry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut members = facts();
        members.remove("type");
        if let Value::Object(more) = json!({
            "outcome": { "enum": ["ok", "denied", "error"], "description": "How it ended." },
            "auth_method": { "type": ["string", "null"], "description": "What the login proved." },
            "cipher": { "type": ["string", "null"], "description": "The cipher of the connection." },
            "client_version": { "type": ["string", "null"], "description": "The client's software, as it says." },
            "seq": { "type": ["integer", "null"], "minimum": 1, "description": "Its place in the tenant's chain; null until it is sealed." },
            "entry_hash": { "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$", "description": "Its hash in the chain; null until it is sealed." },
        }) {
            members.extend(more);
        }
        let required: Vec<String> = members.keys().cloned().collect();
        members.extend(object_change());
        let schema = json!({ "type": "object", "description": "An entry of the trail, flat.", "required": required, "properties": members });
        Schema::try_from(schema).unwrap_or_default()
    }
}

/// What an entry of administration has beside the others.
fn object_change() -> Map<String, Value> {
    let text = |about: &str| json!({ "type": ["string", "null"], "description": about });
    let object = |about: &str| json!({ "type": ["object", "null"], "description": about });
    let members = json!({
        "object_kind": text("Of administration: what kind of object it was about."),
        "object_id": text("Which one."),
        "object_tenant": text("Whose."),
        "actor_tenant": text("The tenant of who did it, where that is another one."),
        "change": text("`created`, `changed` or `removed`; of a webhook `enabled`, `redelivered`, `replayed` or `tested`, too; `read` where that was refused."),
        "before": object("What it was, secrets masked."),
        "after": object("What it is, secrets masked."),
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn take(members: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), members.remove(*name)?))).collect()
}

/// What an operation's event and its entry in the trail tell (`core/src/events/facts.rs`).
fn facts() -> Map<String, Value> {
    let text = |about: &str| json!({ "type": ["string", "null"], "description": about });
    let id = |about: &str| json!({ "type": ["string", "null"], "format": "uuid", "description": about });
    let number = |about: &str| json!({ "type": ["integer", "null"], "minimum": 0, "description": about });
    let members = json!({
        "id": { "type": "string", "format": "uuid", "description": "Its id." },
        "type": { "enum": EVENT_KINDS, "description": "What happened." },
        "timestamp": { "type": "string", "format": "date-time", "description": "When." },
        "tenant_id": text("The tenant."),
        "transfer_id": id("The transfer that it belongs to."),
        "status": { "enum": ["completed", "failed", "denied", "cancelled"], "description": "How it ended." },
        "identity": text("Who did it."),
        "login": text("By which login."),
        "protocol": { "enum": Protocol::ALL.map(Protocol::as_str), "description": "Over which protocol." },
        "session": id("In which session."),
        "client_ip": text("From which address."),
        "node": text("The gateway's node."),
        "operation": { "type": "string", "description": "What was done." },
        "file_id": id("The file or folder."),
        "path": text("Its path in the tenant's tree."),
        "view_path": text("What the acting identity called it."),
        "previous_path": text("Its path before, where it was moved."),
        "name": text("Its name."),
        "size": number("The file's bytes."),
        "bytes": number("Bytes that were moved."),
        "complete": { "type": ["boolean", "null"], "description": "Whether that was the whole file." },
        "hash": { "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the content." },
        "hash_algorithm": { "enum": ["sha256", null], "description": "What `hash` is." },
        "content_type": text("Its media type."),
        "duration_ms": number("Milliseconds that it took."),
        "error_code": text("The kind of error."),
        "error_message": text("What went wrong, in a sentence."),
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
