//! The API's description as OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.1.html>; its schemas are JSON Schema 2020-12),
//! made of what the router is made of: [`Routes`] takes a handler only together with its [`Operation`], so that no route can
//! be there without its description, nor a description without its route.
//!
//! Of our own and not utoipa's macros: an operation's failures are named by their kinds and told with status, title and
//! example out of the one table of [`crate::problem`], and a query's parameters are the constants that its handler reads by.

mod document;
pub mod examples;
pub mod headers;
mod operation;
mod page;
pub mod parameters;
pub mod problems;
mod routes;
pub mod schemas;
mod serve;

pub use operation::{Answer, Body, Operation, Tag};
pub use parameters::Parameter;
pub use routes::{Routes, resource};
pub use schemas::Shape;
pub use serve::{Reference, routes};
