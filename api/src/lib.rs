//! The REST front end (contract, `api.md`): HTTP/1.1 and HTTP/2 over a connection that somebody else accepted and
//! secured, onto the facade of core. It knows HTTP and nothing of ledgers, blobs or TLS; every decision about who may
//! do what is core's.
//!
//! What it promises of its own: a `201` or `200` for content is sent only after [`causeway_core::Upload::commit`] has
//! returned; a body that did not end as its framing says is never committed; a download that fails in the middle ends
//! the connection (or the stream), so that no client can take it for whole; no file is ever held in memory.

mod auth;
mod body;
mod byteranges;
mod client;
mod conditions;
mod config;
mod cors;
mod digest;
mod disposition;
mod exposition;
mod interim;
mod json;
mod leaks;
mod linger;
mod members;
mod oauth;
mod openapi;
mod ops;
mod problem;
mod query;
mod quotas;
mod ranges;
mod requests;
mod respond;
mod resumable;
mod router;
mod routes;
mod serve;
mod signatures;
mod traces;
mod tus;

pub use config::ApiConfig;
pub use ops::OpsFront;
pub use problem::{status_of, title_of};
pub use router::Front;
pub use serve::ConnectionInfo;
#[cfg(feature = "fuzz")]
pub use signatures::fuzz;
