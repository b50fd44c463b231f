//! `/tenants`: for who operates the gateway.

use causeway_core::identity::Scope;
use causeway_core::identity::spec::{MountSpec, TenantSpec};
use serde_json::{Map, Value, json};

use super::{Draft, Kind, Told, answered, asked, bytes, example, maybe, members, page_of, texts};
use crate::members::Members;
use crate::openapi::{Operation, Parameter, Shape, schemas};
use crate::problem::HttpFault;

impl Kind for TenantSpec {
    const ROUTE: &'static str = "/api/v1/tenants";
    const ITEMS: &'static str = "tenants";
    const ID: &'static str = "id";

    fn read(members: &mut Members, _: Option<&Self>) -> Draft<Self> {
        let id = maybe(members, "id");
        let quota = bytes(members, "quota");
        let entry = "each mount is an object with `at`, `storage` and, where it is not the tenant's id, `path`";
        let mounts = members.read_as("mounts", entry, |value| value.as_array()?.iter().map(mount_of).collect());
        if mounts.is_none() {
            members.miss("mounts", "this is required: a list of mounts, one of them at `/`");
        }
        let classifications = texts(members, "classifications");
        Draft { id, spec: Self { quota, mounts: mounts.unwrap_or_default(), classifications }, password: None }
    }

    fn show(&self) -> Map<String, Value> {
        members(json!({ "quota": self.quota, "mounts": self.mounts, "classifications": self.classifications }))
    }
}

fn mount_of(value: &Value) -> Option<MountSpec> {
    let mount = value.as_object()?;
    if mount.keys().any(|name| !["at", "storage", "path"].contains(&name.as_str())) {
        return None;
    }
    let path = match mount.get("path") {
        None | Some(Value::Null) => None,
        Some(path) => Some(path.as_str()?.to_owned()),
    };
    let text = |name: &str| mount.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(MountSpec { at: text("at")?, storage: text("storage")?, path })
}

fn own() -> Map<String, Value> {
    members(json!({
        "id": schemas::slug(),
        "quota": schemas::maybe_bytes("Bytes that its files may take together; null: unlimited."),
        "mounts": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "description": "Where its content is placed; one of them at `/`, no `at` twice.",
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["at", "storage"],
                "properties": {
                    "at": schemas::tree_path("The path in the tenant's tree."),
                    "storage": { "type": "string", "format": "storage", "description": "The name of a storage of the configuration." },
                    "path": { "type": ["string", "null"], "format": "storage-path", "description": "Folder or key prefix inside the storage; the tenant's id where it is left out." },
                },
            },
        },
        "classifications": {
            "type": ["array", "null"], "maxItems": 100, "items": { "type": "string", "format": "slug" },
            "description": "The words by which its files may be classified; null: `public`, `internal`, `confidential`, `restricted`.",
        },
    }))
}

fn request() -> Value {
    json!({ "id": "newco", "quota": 1_099_511_627_776_u64, "mounts": [{ "at": "/", "storage": "local", "path": "newco" }], "classifications": null })
}

fn shown() -> Value {
    let mut shown = members(example(request()));
    shown.insert("tenant_id".into(), "newco".into());
    shown.into()
}

fn shape() -> Shape {
    answered("Tenant", "A tenant: its own tree, its own logins, its own trail.", own())
}

pub const TOLD: Told = Told {
    scope: Scope::AdminGateway,
    shape,
    page: || page_of("TenantPage", "tenants", "Tenant"),
    body: || asked("NewTenant", &["mounts"], own()),
    example: shown,
    request,
    parameter: Parameter::path("id", "The tenant's id.", schemas::text, "newco"),
};

pub fn list_operation() -> Operation {
    TOLD.listed("listTenants", "The tenants", "tenants")
}

pub fn make_operation() -> Operation {
    TOLD.made(
        "makeTenant",
        "Declares a tenant",
        "Its first identities and logins are declared with `?tenant=`. Its mounts name storages of the configuration.",
        "getTenant",
    )
}

pub fn get_operation() -> Operation {
    TOLD.got("getTenant", "A tenant")
}

pub fn replace_operation() -> Operation {
    TOLD.replaced("replaceTenant", "Declares a tenant anew", "All of it. Content that is there stays where it is.")
}

pub fn remove_operation() -> Operation {
    TOLD.removed(
        "removeTenant",
        "Removes a tenant",
        "Not while identities, logins or mappings of it are declared, nor while it has files. Its trail stays.",
    )
    .fails([HttpFault::TenantNotEmpty])
}
