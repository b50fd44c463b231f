//! `/mappings`: rules that stand for many logins of one shape.

use causeway_core::identity::Scope;
use causeway_core::identity::spec::{LoginSpec, MAX_PATTERN, MappingSpec};
use serde_json::{Map, Value, json};

use super::{Draft, Kind, Told, answered, asked, example, maybe, members, page_of, texts};
use crate::members::Members;
use crate::openapi::{Operation, Parameter, Shape, schemas};

impl Kind for MappingSpec {
    const ROUTE: &'static str = "/api/v1/mappings";
    const ITEMS: &'static str = "mappings";
    const ID: &'static str = "id";

    fn read(members: &mut Members, _: Option<&Self>) -> Draft<Self> {
        let usual = LoginSpec::usual();
        let id = maybe(members, "id");
        let spec = Self {
            username: members.required("username"),
            identity: members.required("identity"),
            protocols: texts(members, "protocols").unwrap_or(usual.protocols),
            home: maybe(members, "home").unwrap_or(usual.home),
            authorized_keys_file: maybe(members, "authorized_keys_file"),
            require: maybe(members, "require").unwrap_or(usual.require),
            allow_from: texts(members, "allow_from").unwrap_or_default(),
        };
        Draft { id, spec, password: None }
    }

    fn show(&self) -> Map<String, Value> {
        members(json!({
            "username": self.username, "identity": self.identity, "protocols": self.protocols, "home": self.home,
            "authorized_keys_file": self.authorized_keys_file, "require": self.require, "allow_from": self.allow_from,
        }))
    }
}

fn own() -> Map<String, Value> {
    members(json!({
        "id": schemas::slug(),
        "username": {
            "type": "string", "format": "name-pattern", "maxLength": MAX_PATTERN,
            "description": "The names that it is for: a regular expression of the whole name, whose groups are `(?<name>…)`.",
        },
        "identity": { "type": "string", "format": "identity", "description": "The id of the identity that its logins become." },
        "protocols": { "type": ["array", "null"], "items": { "enum": ["sftp", "ftps", "api"] }, "minItems": 1, "description": "What they may come by." },
        "home": { "type": ["string", "null"], "format": "path-template", "description": "Start folder and root of each; `${name}` is what that group captured." },
        "authorized_keys_file": { "type": ["string", "null"], "format": "path-template", "description": "Each one's file of keys, below the configuration's folder." },
        "require": { "type": ["string", "null"], "format": "require", "description": "What each must prove." },
        "allow_from": { "type": ["array", "null"], "items": { "type": "string" }, "maxItems": 1000, "description": "Networks that they may come from; empty: all." },
    }))
}

fn request() -> Value {
    json!({
        "id": "branches", "username": "branch-(?<nr>[0-9]{3})", "identity": "edi-partner", "protocols": ["sftp"],
        "home": "/inbound/branch-${nr}", "authorized_keys_file": "keys/branch-${nr}.pub", "require": "any", "allow_from": [],
    })
}

fn shape() -> Shape {
    answered("Mapping", "A rule that stands for many logins of one shape.", own())
}

pub const TOLD: Told = Told {
    scope: Scope::Admin,
    shape,
    page: || page_of("MappingPage", "mappings", "Mapping"),
    body: || asked("NewMapping", &["username", "identity"], own()),
    example: || example(request()),
    request,
    parameter: Parameter::path("id", "The rule's id.", schemas::text, "branches"),
};

pub fn list_operation() -> Operation {
    TOLD.listed("listMappings", "The mapping rules", "mappings")
}

pub fn make_operation() -> Operation {
    TOLD.made(
        "makeMapping",
        "Declares a mapping rule",
        "Without an `id` it gets one. Logins win over rules, the configuration's rules over these, and of these the oldest counts.",
        "getMapping",
    )
}

pub fn get_operation() -> Operation {
    TOLD.got("getMapping", "A mapping rule")
}

pub fn replace_operation() -> Operation {
    TOLD.replaced("replaceMapping", "Declares a mapping rule anew", "All of it; it keeps its age.")
}

pub fn remove_operation() -> Operation {
    TOLD.removed("removeMapping", "Removes a mapping rule", "Nobody comes in by it from then on.")
}
