//! A line of the table: a route, who may call it, and how it is asked rightly.

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;

use super::callers::Has;
use crate::harness::rest::encode;
use crate::harness::{Gateway, Rest, Sftp};

/// Where a request is made.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub gateway: &'a Gateway,
    /// May do everything in `acme`, and operates the gateway.
    pub root: &'a Rest,
    /// Who asks rightly in the end: what is its identity's alone is made by it.
    pub right: &'a Rest,
    /// No other scene has this number.
    pub n: usize,
}

/// A request, but for who sends it.
#[derive(Default)]
pub struct Ask {
    /// What stands for the parameters of the route's path, in their order.
    ids: Vec<String>,
    pub query: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// What it is about, as long as that has to be there.
    _held: Option<Sftp>,
}

impl Ask {
    /// A request to a path without parameters.
    pub fn plain() -> Self {
        Self::default()
    }

    /// A request whose path has one parameter.
    pub fn of(id: impl Into<String>) -> Self {
        Self { ids: vec![id.into()], ..Self::default() }
    }

    pub fn and(mut self, id: impl Into<String>) -> Self {
        self.ids.push(id.into());
        self
    }

    pub fn query(mut self, name: &str, value: &str) -> Self {
        let between = if self.query.is_empty() { "" } else { "&" };
        self.query = format!("{}{between}{name}={}", self.query, encode(value));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn holding(self, session: Sftp) -> Self {
        Self { _held: Some(session), ..self }
    }

    /// The path that is asked, as it is below the root.
    pub fn path(&self, template: &str) -> String {
        let mut ids = self.ids.iter();
        let filled: Vec<String> = template
            .split('/')
            .map(|part| if part.starts_with('{') { encode(ids.next().expect(template)) } else { part.to_owned() })
            .collect();
        assert!(ids.next().is_none(), "{template} has fewer parameters");
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("{}{query}", filled.join("/"))
    }
}

/// Who may call a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody, whatever he shows.
    Nothing,
    /// Whoever says as which client of OAuth 2.0 he asks, and proves it in the form.
    Client,
    /// Whoever has a credential, and these scopes. The first one is that which the description names.
    Scopes(&'static [&'static str]),
}

/// What another tenant's credential with the same scopes is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// What the request names is not there for it: 404.
    NotThere,
    /// The same, of its own tenant: the answer tells of `acme` where `acme` asks, and does not where another does.
    TellsItsOwn,
    /// So, and where the query names another tenant it hears that this needs `admin:gateway` (403), whether or not there is one.
    TellsItsOwnAlone,
    /// The same, in its own tenant.
    DoesItsOwn,
    /// The same: who operates the gateway has no tenant's bounds.
    Reaches,
}

type Make = for<'a> fn(Scene<'a>) -> BoxFuture<'a, Ask>;

/// A line of the table.
pub struct Route {
    pub method: &'static str,
    /// As the description writes it.
    pub path: &'static str,
    pub needs: Needs,
    /// What else who asks rightly has to have, as it makes what the request is about.
    pub with: &'static [&'static str],
    /// The status of the right request.
    pub status: u16,
    pub foreign: Foreign,
    pub make: Make,
}

impl Route {
    pub const fn new(method: &'static str, path: &'static str, needs: Needs, status: u16, make: Make) -> Self {
        Self { method, path, needs, with: &[], status, foreign: Foreign::NotThere, make }
    }

    pub const fn foreign(self, foreign: Foreign) -> Self {
        Self { foreign, ..self }
    }

    pub const fn with(self, with: &'static [&'static str]) -> Self {
        Self { with, ..self }
    }

    /// What who asks rightly has: these scopes and no other.
    pub fn right(&self) -> Has {
        let Needs::Scopes(needs) = self.needs else { return Has::only(&["events:read"]) };
        // It needs no scope: one that is of no use.
        let any: &[&str] = if needs.is_empty() { &["events:read"] } else { &[] };
        Has::only(&[needs, self.with, any].concat())
    }

    /// What those have who may do everything else: one for each scope that it needs.
    pub fn too_small(&self) -> Vec<Has> {
        let Needs::Scopes(needs) = self.needs else { return Vec::new() };
        needs.iter().map(|scope| Has::AllBut(scope)).collect()
    }
}
