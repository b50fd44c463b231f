//! What the description says of the objects of administration: the operations of a kind, and the schemas.

use causeway_core::ErrorKind;
use causeway_core::identity::Scope;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{LIST, ONE, SHOWN};
use crate::openapi::headers::{ETAG, LOCATION};
use crate::openapi::{Answer, Body, Operation, Parameter, Shape, Tag, problems, schemas};
use crate::problem::HttpFault;

/// What the description says of a kind.
pub struct Told {
    /// The scope that its administrator needs.
    pub scope: Scope,
    /// Of one.
    pub shape: fn() -> Shape,
    /// Of a page.
    pub page: fn() -> Shape,
    /// Of a body.
    pub body: fn() -> Shape,
    /// One.
    pub example: fn() -> Value,
    /// A body.
    pub request: fn() -> Value,
    /// The parameter of the path.
    pub parameter: Parameter,
}

impl Told {
    fn answer(&self, status: StatusCode, about: &'static str) -> Answer {
        Answer::bare(status, about).content("application/json", (self.shape)(), Some((self.example)())).header(&ETAG)
    }

    /// `GET` of the list.
    pub fn listed(&self, id: &'static str, summary: &'static str, items: &'static str) -> Operation {
        let example = json!({ items: [(self.example)()], "next_cursor": null });
        Operation::new(Tag::Administration, id, summary)
            .text("By their names: those of the configuration, which cannot be changed here (`managed_by`), and those that were declared here. One that cannot be used has `left_out`, which says why.")
            .scope(self.scope)
            .parameters(&LIST)
            .answer(Answer::bare(StatusCode::OK, "A page.").content("application/json", (self.page)(), Some(example)))
            .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
    }

    /// `POST`.
    pub fn made(&self, id: &'static str, summary: &'static str, text: &'static str, link: &'static str) -> Operation {
        Operation::new(Tag::Administration, id, summary)
            .text(text)
            .scope(self.scope)
            .parameters(&ONE)
            .body(Body::json("What is declared.", (self.body)(), (self.request)()))
            .answer(
                self.answer(StatusCode::CREATED, "It counts on this node now, and on every other within a second.")
                    .header(&LOCATION)
                    .link(
                        link,
                        self.parameter.name,
                        if self.parameter.name == "username" {
                            "$response.body#/username"
                        } else {
                            "$response.body#/id"
                        },
                    ),
            )
            .fails(problems::JSON)
            .fails([ErrorKind::NotFound, ErrorKind::AlreadyExists, ErrorKind::QuotaExceeded, ErrorKind::NoSpace])
            .fails([HttpFault::InUse, HttpFault::LastAdmin])
    }

    /// `GET` of one.
    pub fn got(&self, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Tag::Administration, id, summary)
            .scope(self.scope)
            .parameters(&[self.parameter])
            .parameters(&ONE)
            .answer(self.answer(StatusCode::OK, "It."))
            .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
    }

    /// `PUT`.
    pub fn replaced(&self, id: &'static str, summary: &'static str, text: &'static str) -> Operation {
        Operation::new(Tag::Administration, id, summary)
            .text(text)
            .scope(self.scope)
            .parameters(&[self.parameter])
            .parameters(&ONE)
            .parameters(&[IF_MATCH])
            .body(Body::json("What is declared now.", (self.body)(), (self.request)()))
            .answer(self.answer(StatusCode::OK, "It counts on this node now, and on every other within a second."))
            .fails(problems::JSON)
            .fails([ErrorKind::NotFound, ErrorKind::PreconditionFailed, ErrorKind::NoSpace])
            .fails([HttpFault::Declared, HttpFault::InUse, HttpFault::LastAdmin, HttpFault::PreconditionRequired])
    }

    /// `DELETE`.
    pub fn removed(&self, id: &'static str, summary: &'static str, text: &'static str) -> Operation {
        Operation::new(Tag::Administration, id, summary)
            .text(text)
            .scope(self.scope)
            .parameters(&[self.parameter])
            .parameters(&ONE)
            .parameters(&[IF_MATCH])
            .answer(Answer::bare(StatusCode::NO_CONTENT, "It is gone."))
            .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound, ErrorKind::PreconditionFailed, ErrorKind::NoSpace])
            .fails([HttpFault::Declared, HttpFault::InUse, HttpFault::LastAdmin, HttpFault::PreconditionRequired])
    }
}

/// `If-Match` of a change.
pub const IF_MATCH: Parameter = Parameter::header(
    "If-Match",
    "The `etag` of the object that the change is meant for: a change without it is 428, one of another object than it is now 412.",
    schemas::word,
    "\"v12\"",
);

/// The schemas of what every object has beside its own members.
pub fn with_shown(mut own: Map<String, Value>) -> Map<String, Value> {
    let moment = json!({ "type": ["string", "null"], "format": "date-time" });
    let about = |mut schema: Value, text: &str| {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".into(), text.into());
            schema.insert("readOnly".into(), true.into());
        }
        schema
    };
    for (name, schema) in [
        ("tenant_id", about(json!({ "type": "string" }), "The tenant.")),
        (
            "managed_by",
            about(
                json!({ "enum": ["config", "api"] }),
                "Where it is declared: what the configuration declares cannot be changed here.",
            ),
        ),
        ("etag", about(json!({ "type": "string", "pattern": "^\"[cv][0-9a-f]+\"$" }), "What `If-Match` names of it.")),
        ("created_at", about(moment.clone(), "When it was declared; null of the configuration's.")),
        ("changed_at", about(moment, "When it was changed last; the same.")),
    ] {
        own.insert(name.to_owned(), schema);
    }
    own
}

/// A page of objects of a shape.
pub fn page_of(name: &'static str, items: &'static str, one: &'static str) -> Shape {
    Shape::Named(
        name,
        json!({
            "type": "object",
            "description": "A page.",
            "required": [items, "next_cursor"],
            "properties": {
                items: { "type": "array", "description": "By their names.", "items": { "$ref": format!("#/components/schemas/{one}") } },
                "next_cursor": { "type": ["string", "null"], "description": "The `cursor` of the next page; null where this is the last." },
            },
        }),
    )
}

/// The schema of an answer: the members of the body as they are shown, all of them there.
pub fn answered(name: &'static str, about: &str, own: Map<String, Value>) -> Shape {
    let mut members = with_shown(own);
    let required: Vec<String> = members.keys().cloned().collect();
    members.insert(
        "left_out".into(),
        json!({ "type": "string", "description": "Why it does not count; not there where it does." }),
    );
    // What cannot be read has none of its own members.
    let required: Vec<String> = required.into_iter().filter(|name| ALWAYS.contains(&name.as_str())).collect();
    Shape::Named(name, json!({ "type": "object", "description": about, "required": required, "properties": members }))
}

const ALWAYS: [&str; 5] = ["tenant_id", "managed_by", "etag", "created_at", "changed_at"];

/// The schema of a body. What is only shown may be sent back with it.
pub fn asked(name: &'static str, required: &[&str], own: Map<String, Value>) -> Shape {
    let mut members = with_shown(own);
    for name in SHOWN {
        if let Some(Value::Object(member)) = members.get_mut(name) {
            member.insert("description".into(), "As it was shown; it is passed over.".into());
        }
    }
    Shape::Named(
        name,
        json!({ "type": "object", "additionalProperties": false, "required": required, "properties": members }),
    )
}

/// Members of a `json!` object.
pub fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// What an example has beside its own members.
pub fn example(own: Value) -> Value {
    let mut out = members(json!({
        "tenant_id": "acme", "managed_by": "api", "etag": "\"v12\"", "created_at": "2026-11-24T20:15:02.123456Z",
        "changed_at": "2026-11-24T20:15:02.123456Z",
    }));
    out.extend(members(own));
    out.into()
}
