//! One operation (OpenAPI 3.1 section 4.8.10): what a method of a route takes, and what it answers.

use causeway_core::identity::Scope;
use http::StatusCode;
use schemars::JsonSchema;
use serde_json::Value;

use super::headers::Header;
use super::parameters::Parameter;
use super::problems::Case;
use super::schemas::Shape;

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Who is asking.
    Auth,
    /// Access tokens for applications.
    OAuth,
    /// Files and their content.
    Files,
    /// Folders.
    Folders,
    /// Uploads that come in parts.
    Uploads,
    /// The same over tus.
    Tus,
    /// Copies and moves in the background, and looking every transfer up.
    Transfers,
    /// What happened.
    Events,
    /// The trail.
    Audit,
    /// Who may come and who is there, and what they may do.
    Administration,
    /// This description.
    Reference,
}

impl Tag {
    /// Every tag, in the order in which the reference has them.
    pub const ALL: [Self; 11] = [
        Self::Auth,
        Self::OAuth,
        Self::Files,
        Self::Folders,
        Self::Uploads,
        Self::Tus,
        Self::Transfers,
        Self::Events,
        Self::Audit,
        Self::Administration,
        Self::Reference,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "Auth",
            Self::OAuth => "OAuth 2.0",
            Self::Files => "Files",
            Self::Folders => "Folders",
            Self::Uploads => "Uploads in parts",
            Self::Tus => "tus",
            Self::Transfers => "Transfers",
            Self::Events => "Events",
            Self::Audit => "Audit",
            Self::Administration => "Administration",
            Self::Reference => "Reference",
        }
    }

    /// What it is about, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Auth => "Who is asking.",
            Self::OAuth => {
                "Access tokens for applications: on their own behalf, or on that of people who sign in and agree (RFC 6749, 7009, 7636, 7662, 8414)."
            }
            Self::Files => "Files: their content, what is known of them, moving, copying and removing them.",
            Self::Folders => "Folders are made and removed here; what is in one is told by `GET /api/v1/files`.",
            Self::Uploads => {
                "Large files in chunks, in any order and several at once; and going on with what broke off, whatever protocol began it."
            }
            Self::Tus => {
                "The resumable upload protocol tus 1.0.0 on the same uploads: creation, creation-with-upload, expiration, checksum, termination."
            }
            Self::Transfers => "Copies and moves in the background, and every transfer of any protocol, looked up.",
            Self::Events => "What happened to the files in the caller's view.",
            Self::Audit => "The trail of every operation, refused ones included, and whether it is unbroken.",
            Self::Administration => {
                "Tenants, identities, logins, keys and mapping rules, declared while the gateway runs, and the sessions that are there. What its configuration declares is shown, too, and cannot be changed here."
            }
            Self::Reference => "This description, for programs and for people.",
        }
    }
}

/// A request's body.
#[derive(Clone, Debug)]
pub struct Body {
    pub(super) media_type: &'static str,
    pub(super) description: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    pub(super) examples: Vec<(&'static str, Value)>,
    /// Further media types.
    pub(super) also: Vec<(&'static str, Shape)>,
}

impl Body {
    /// A JSON object, with an example.
    pub fn json(description: &'static str, shape: Shape, example: Value) -> Self {
        let examples = vec![("example", example)];
        Self { media_type: "application/json", description, shape, required: true, examples, also: Vec::new() }
    }

    /// A form (RFC 7578).
    pub fn form(description: &'static str, shape: Shape, example: Value) -> Self {
        Self { media_type: "multipart/form-data", ..Self::json(description, shape, example) }
    }

    /// A form as queries are written (RFC 6749 appendix B).
    pub fn urlencoded(description: &'static str, shape: Shape, example: Value) -> Self {
        Self { media_type: "application/x-www-form-urlencoded", ..Self::json(description, shape, example) }
    }

    /// Bytes of this media type.
    pub fn bytes(media_type: &'static str, description: &'static str) -> Self {
        let shape = Shape::bytes();
        Self { media_type, description, shape, required: true, examples: Vec::new(), also: Vec::new() }
    }

    /// One more example, under a name.
    pub fn example(mut self, name: &'static str, example: Value) -> Self {
        self.examples.push((name, example));
        self
    }

    /// The same, or bytes of this media type.
    pub fn or_bytes(mut self, media_type: &'static str) -> Self {
        self.also.push((media_type, Shape::bytes()));
        self
    }

    /// The same, which may be left out.
    pub fn optional(self) -> Self {
        Self { required: false, ..self }
    }
}

/// An answer that is no problem.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) description: &'static str,
    pub(super) headers: Vec<(&'static Header, bool)>,
    pub(super) content: Vec<(&'static str, Shape, Option<Value>)>,
    pub(super) links: Vec<Link>,
}

/// An operation that an answer leads to (section 4.8.20).
#[derive(Clone, Debug)]
pub struct Link {
    /// Its id.
    pub(super) operation: &'static str,
    /// Its parameter.
    pub(super) parameter: &'static str,
    /// Where the value is in this answer (section 4.8.20.4).
    pub(super) value: &'static str,
}

impl Answer {
    /// Without content.
    pub fn bare(status: StatusCode, description: &'static str) -> Self {
        Self { status, description, headers: Vec::new(), content: Vec::new(), links: Vec::new() }
    }

    /// A JSON text of this type, with an example.
    pub fn json<T: JsonSchema>(status: StatusCode, description: &'static str, example: Value) -> Self {
        Self::bare(status, description).content("application/json", Shape::of::<T>(), Some(example))
    }

    /// Content of one more media type.
    pub fn content(mut self, media_type: &'static str, shape: Shape, example: Option<Value>) -> Self {
        self.content.push((media_type, shape, example));
        self
    }

    /// A header that it always has.
    pub fn header(mut self, header: &'static Header) -> Self {
        self.headers.push((header, true));
        self
    }

    /// A header that it may have.
    pub fn maybe(mut self, header: &'static Header) -> Self {
        self.headers.push((header, false));
        self
    }

    /// A value of it that is a parameter of another operation.
    pub fn link(mut self, operation: &'static str, parameter: &'static str, value: &'static str) -> Self {
        self.links.push(Link { operation, parameter, value });
        self
    }
}

/// What a method of a route takes and answers.
#[derive(Clone, Debug)]
pub struct Operation {
    pub(super) tag: Tag,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) scope: Option<&'static str>,
    pub(super) open: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    pub(super) cases: Vec<Case>,
}

impl Operation {
    /// With its id (unique) and a line about it.
    pub fn new(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            description: "",
            scope: None,
            open: false,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// What else is to be said of it.
    pub fn text(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// The scope that its caller needs.
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope.as_str()), ..self }
    }

    /// Nobody has to say who is asking.
    pub fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// Parameters, after those that are there.
    pub fn parameters(mut self, parameters: &[Parameter]) -> Self {
        self.parameters.extend_from_slice(parameters);
        self
    }

    /// The request's body.
    pub fn body(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    /// An answer.
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// How it may fail, beside what every operation may fail with: kinds of core's errors, or faults of HTTP's own.
    pub fn fails<C: Into<Case>>(mut self, cases: impl IntoIterator<Item = C>) -> Self {
        self.cases.extend(cases.into_iter().map(Into::into));
        self
    }
}
