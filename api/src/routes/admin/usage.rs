//! `GET /usage`: what a tenant and its identities have used of their quotas.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use causeway_core::ErrorKind;
use causeway_core::identity::Scope;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{ONE, OfTenant};
use crate::auth::Caller;
use crate::openapi::{Answer, Operation, Tag};
use crate::problem::Problem;
use crate::router::Shared;

/// What a tenant has used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
struct UsageJson {
    /// The tenant.
    tenant_id: String,
    /// Bytes that it may use; null: unlimited.
    quota: Option<u64>,
    /// Bytes that it uses: of files, and reserved for uploads.
    bytes: u64,
    /// How many files it has.
    files: u64,
    /// Its identities, by their ids.
    identities: Vec<IdentityJson>,
}

/// What an identity has used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IdentityUsage")]
struct IdentityJson {
    /// Its id.
    identity: String,
    /// Bytes that the files that it made may use; null: unlimited.
    quota: Option<u64>,
    /// Bytes that they use, with what is reserved for its uploads.
    bytes: u64,
    /// How many files it made the current version of.
    files: u64,
}

pub fn operation() -> Operation {
    let example = json!({
        "tenant_id": "acme", "quota": 1_099_511_627_776_u64, "bytes": 5_368_709_120_u64, "files": 4_711,
        "identities": [{ "identity": "edi-partner", "quota": 10_737_418_240_u64, "bytes": 1_073_741_824, "files": 112 }],
    });
    Operation::new(Tag::Administration, "getUsage", "What is used of the quotas")
        .scope(Scope::Admin)
        .parameters(&ONE)
        .answer(Answer::json::<UsageJson>(StatusCode::OK, "What is used.", example))
        .fails([ErrorKind::InvalidArgument, ErrorKind::NotFound])
}

pub async fn usage(State(shared): State<Arc<Shared>>, caller: Caller, of: OfTenant) -> Result<Response, Problem> {
    let used = shared.gateway.usage(&caller.session, of.id()).await?;
    let one = |one: causeway_core::admin::IdentityUsage| IdentityJson {
        identity: one.id,
        quota: one.quota,
        bytes: one.bytes,
        files: one.files,
    };
    let identities = used.identities.into_iter().map(one).collect();
    let (tenant_id, quota, bytes, files) = (used.tenant, used.quota, used.bytes, used.files);
    Ok(crate::json::json(StatusCode::OK, &UsageJson { tenant_id, quota, bytes, files, identities }))
}
