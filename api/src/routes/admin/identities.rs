//! `/identities`: what every protocol acts as.

use causeway_core::identity::spec::{IdentitySpec, ViewSpec};
use causeway_core::identity::{Permission, Scope};
use serde_json::{Map, Value, json};

use super::{Draft, Kind, Told, answered, asked, bytes, example, maybe, members, page_of, texts};
use crate::members::Members;
use crate::openapi::{Operation, Parameter, Shape, schemas};

impl Kind for IdentitySpec {
    const ROUTE: &'static str = "/api/v1/identities";
    const ITEMS: &'static str = "identities";
    const ID: &'static str = "id";

    fn read(members: &mut Members, _: Option<&Self>) -> Draft<Self> {
        let id = maybe(members, "id");
        let scopes = texts(members, "scopes").unwrap_or_default();
        let quota = bytes(members, "quota");
        let entry =
            "each entry is an object with `at`, `permissions` (a list of strings) and, where it is another one, `path`";
        let view = members.read_as("view", entry, |value| value.as_array()?.iter().map(entry_of).collect());
        Draft { id, spec: Self { scopes, quota, view: view.unwrap_or_default() }, password: None }
    }

    fn show(&self) -> Map<String, Value> {
        let entry = |entry: &ViewSpec| {
            let path = entry.path.as_ref().unwrap_or(&entry.at);
            json!({ "at": entry.at, "path": path, "permissions": entry.permissions })
        };
        let view: Vec<Value> = self.view.iter().map(entry).collect();
        members(json!({ "scopes": self.scopes, "quota": self.quota, "view": view }))
    }
}

fn entry_of(value: &Value) -> Option<ViewSpec> {
    let entry = value.as_object()?;
    if entry.keys().any(|name| !["at", "path", "permissions"].contains(&name.as_str())) {
        return None;
    }
    let path = match entry.get("path") {
        None | Some(Value::Null) => None,
        Some(path) => Some(path.as_str()?.to_owned()),
    };
    let permissions = entry.get("permissions")?.as_array()?;
    let permissions = permissions.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    Some(ViewSpec { at: entry.get("at")?.as_str()?.to_owned(), path, permissions })
}

fn own() -> Map<String, Value> {
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let permissions: Vec<&str> = Permission::ALL.iter().map(|word| word.as_str()).chain(["*"]).collect();
    members(json!({
        "id": schemas::slug(),
        "scopes": {
            "type": ["array", "null"], "items": { "enum": scopes }, "description": "What it may do at all, over every protocol.",
        },
        "quota": schemas::maybe_bytes("Bytes that the files that it made may take; null: unlimited."),
        "view": {
            "type": ["array", "null"],
            "maxItems": 1000,
            "description": "What it sees of the tenant's tree; nothing else exists for it. No `at` stands twice.",
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["at", "permissions"],
                "properties": {
                    "at": schemas::tree_path("Where it sees it."),
                    "path": { "type": ["string", "null"], "format": "tree-path", "description": "Where that is in the tenant's tree; at the same path, where it is left out." },
                    "permissions": { "type": "array", "items": { "enum": permissions }, "description": "What may be done there; `*`: everything." },
                },
            },
        },
    }))
}

fn shape() -> Shape {
    answered("Identity", "What every protocol acts as.", own())
}

fn request() -> Value {
    json!({
        "id": "edi-partner", "scopes": ["files:read", "files:write"], "quota": 10_737_418_240_u64,
        "view": [{ "at": "/", "path": "/partners/edi", "permissions": ["list", "download"] }],
    })
}

pub const TOLD: Told = Told {
    scope: Scope::Admin,
    shape,
    page: || page_of("IdentityPage", "identities", "Identity"),
    body: || asked("NewIdentity", &[], own()),
    example: || example(request()),
    request,
    parameter: Parameter::path("id", "The identity's id.", schemas::text, "edi-partner"),
};

pub fn list_operation() -> Operation {
    TOLD.listed("listIdentities", "The identities", "identities")
}

pub fn make_operation() -> Operation {
    TOLD.made(
        "makeIdentity",
        "Declares an identity",
        "Without an `id` it gets one. The scope `admin:gateway` can only be given by who has it.",
        "getIdentity",
    )
}

pub fn get_operation() -> Operation {
    TOLD.got("getIdentity", "An identity")
}

pub fn replace_operation() -> Operation {
    TOLD.replaced("replaceIdentity", "Declares an identity anew", "All of it: what is left out is empty from then on.")
}

pub fn remove_operation() -> Operation {
    TOLD.removed(
        "removeIdentity",
        "Removes an identity",
        "Not while logins, mappings or API keys still name it: that is 409, and `used_by` lists them.",
    )
}
