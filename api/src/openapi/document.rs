//! Puts the document together (OpenAPI 3.1 section 4.8.1).

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::headers::{self, Header, RATE_LIMIT, RATE_LIMIT_POLICY, X_REQUEST_ID};
use super::operation::{Answer, Body, Operation, Tag};
use super::parameters::{Parameter, X_TENANT_ID};
use super::problems;
use super::routes::Routes;
use super::schemas::Shape;

const ABOUT: &str = "Files, uploads, events and the trail of a causeway gateway. What is reached here is what SFTP and FTPS reach: the same \
files, the same identities, the same rules.\n\nTimes are RFC 3339 in UTC, sizes are bytes, ids are UUIDs. A path is a path in the caller's own view. \
Every answer has `X-Request-Id`; every failure is a problem document (RFC 9457) whose `code` is for programs. A success of a request that \
writes is told only when it is on stable storage. Query parameters and JSON members that are not known are refused; answers may get more \
fields. `GET` is also answered as `HEAD`. A method that a route does not take is 405 with `Allow`.\n\nRequests may be signed, and an API key may demand it: \
with HTTP Message Signatures in `Signature-Input` and `Signature` (RFC 9421; hmac-sha256, ed25519, ecdsa-p256-sha256), which cover `@method`, `@target-uri`, \
of a body `content-digest` and `content-type`, and what else of the header changes the meaning; or with `X-Signature`, the HMAC-SHA-256 of the body in hex. \
A signature that is sent is always checked: 401 where it is not right, 422 where the body does not have the signed digest.";

/// The document of these routes.
pub fn document(routes: &Routes, public_url: &str) -> Value {
    let mut parts = Parts { generator: generator(), named: Map::new(), responses: Map::new() };
    let mut paths = Map::new();
    for (path, operations) in routes.described() {
        let mut item = Map::new();
        for (method, operation) in operations {
            item.insert((*method).to_owned(), parts.operation(operation, *method == "head"));
        }
        paths.insert((*path).to_owned(), item.into());
    }
    let mut schemas = parts.named;
    schemas.insert("Problem".into(), problems::schema());
    schemas.extend(parts.generator.take_definitions(true));
    let tags: Vec<Value> =
        Tag::ALL.iter().map(|tag| json!({ "name": tag.name(), "description": tag.description() })).collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "causeway",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The REST API of a file gateway.",
            "description": ABOUT,
            "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": if public_url.is_empty() { "/" } else { public_url } }],
        "security": security(None),
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": headers::ALL.iter().flat_map(|header| component(header)).collect::<Map<_, _>>(),
            "responses": parts.responses,
            "examples": problems::examples(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`cwk_…`) or a JSON Web Token (the gateway's own, or a configured issuer's) in `Authorization: Bearer` (RFC 6750).",
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "A client certificate that stands for a login, where no `Authorization` is sent.",
                },
            },
        },
    })
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator()
}

fn security(scope: Option<&str>) -> Value {
    let scopes: Vec<&str> = scope.into_iter().collect();
    json!([{ "bearer": scopes }, { "certificate": scopes }])
}

/// A header as an answer may have it, and as one always has it.
fn component(header: &Header) -> [(String, Value); 2] {
    let value = json!({ "description": header.description, "schema": (header.schema)() });
    let mut always = value.clone();
    if let Some(always) = always.as_object_mut() {
        always.insert("required".into(), true.into());
    }
    [(header.name.to_owned(), value), (format!("{}.always", header.name), always)]
}

/// Headers of an answer, with those that every answer has.
pub fn headers(own: &[(&Header, bool)]) -> Value {
    let always = [(&X_REQUEST_ID, true), (&RATE_LIMIT_POLICY, false), (&RATE_LIMIT, false)];
    own.iter()
        .chain(&always)
        .map(|(header, required)| {
            let always = if *required { ".always" } else { "" };
            let value = json!({ "$ref": format!("#/components/headers/{}{always}", header.name) });
            (header.name.to_owned(), value)
        })
        .collect::<Map<_, _>>()
        .into()
}

struct Parts {
    generator: SchemaGenerator,
    named: Map<String, Value>,
    responses: Map<String, Value>,
}

impl Parts {
    fn operation(&mut self, operation: &Operation, head: bool) -> Value {
        let mut out = Map::new();
        out.insert("tags".into(), json!([operation.tag.name()]));
        out.insert("operationId".into(), operation.id.into());
        out.insert("summary".into(), operation.summary.into());
        let scope = operation.scope.map(|scope| format!("Needs the scope `{scope}`."));
        let text: Vec<&str> = [operation.description, scope.as_deref().unwrap_or_default()]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        if !text.is_empty() {
            out.insert("description".into(), text.join("\n\n").into());
        }
        let tenant = if operation.open { &[][..] } else { &[X_TENANT_ID][..] };
        let parameters: Vec<Value> = operation.parameters.iter().chain(tenant).map(parameter).collect();
        if !parameters.is_empty() {
            out.insert("parameters".into(), parameters.into());
        }
        if let Some(body) = &operation.body {
            out.insert("requestBody".into(), self.body(body));
        }
        let mut responses = Map::new();
        for (status, (name, answer)) in problems::answers(operation, head) {
            responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
            self.responses.insert(name, answer);
        }
        for answer in &operation.answers {
            responses.insert(answer.status.as_u16().to_string(), self.answer(answer));
        }
        out.insert("responses".into(), responses.into());
        let security = if operation.open { json!([]) } else { security(operation.scope) };
        out.insert("security".into(), security);
        out.into()
    }

    fn schema(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Typed(of) => of(&mut self.generator).to_value(),
            Shape::Inline(schema) => schema.clone(),
            Shape::Named(name, schema) => {
                self.named.insert((*name).to_owned(), schema.clone());
                json!({ "$ref": format!("#/components/schemas/{name}") })
            }
        }
    }

    fn body(&mut self, body: &Body) -> Value {
        let mut content = json!({ "schema": self.schema(&body.shape) });
        if !body.examples.is_empty()
            && let Some(content) = content.as_object_mut()
        {
            let examples: Map<String, Value> =
                body.examples.iter().map(|(name, value)| ((*name).to_owned(), json!({ "value": value }))).collect();
            content.insert("examples".into(), examples.into());
        }
        let mut contents = Map::from_iter([(body.media_type.to_owned(), content)]);
        for (media_type, shape) in &body.also {
            contents.insert((*media_type).to_owned(), json!({ "schema": self.schema(shape) }));
        }
        json!({ "description": body.description, "required": body.required, "content": contents })
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut out = Map::new();
        out.insert("description".into(), answer.description.into());
        out.insert("headers".into(), headers(&answer.headers));
        if !answer.content.is_empty() {
            let content: Map<String, Value> = answer
                .content
                .iter()
                .map(|(media_type, shape, example)| {
                    let mut content = Map::new();
                    content.insert("schema".into(), self.schema(shape));
                    if let Some(example) = example {
                        content.insert("examples".into(), json!({ "example": { "value": example } }));
                    }
                    ((*media_type).to_owned(), content.into())
                })
                .collect();
            out.insert("content".into(), content.into());
        }
        if !answer.links.is_empty() {
            let links: Map<String, Value> = answer
                .links
                .iter()
                .map(|link| {
                    let value = json!({ "operationId": link.operation, "parameters": { link.parameter: link.value } });
                    (link.operation.to_owned(), value)
                })
                .collect();
            out.insert("links".into(), links.into());
        }
        out.into()
    }
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = (parameter.schema)();
    // A number or a flag is one in the description too.
    let text = schema.get("type").is_none_or(|kind| kind == "string");
    let example =
        if text { parameter.example.into() } else { serde_json::from_str(parameter.example).unwrap_or_default() };
    let example: Value = example;
    json!({
        "name": parameter.name,
        "in": parameter.place.as_str(),
        "description": parameter.description,
        "required": parameter.required,
        "schema": schema,
        "examples": { "example": { "value": example } },
    })
}
