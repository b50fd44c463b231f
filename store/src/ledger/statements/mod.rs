//! The statements of the ledger, one text for both databases. Each macro below makes the functions of one group of
//! tables for one connection type, which is a `Driver`; what the two dialects say differently is handed in:
//!
//! | argument | SQLite | PostgreSQL |
//! |---|---|---|
//! | `nil` | `x'00…'` | `UUID '00…'` |
//! | `update`, `key_share` | nothing (one writer) | ` FOR UPDATE`, ` FOR KEY SHARE`: row locks |
//! | `json` | `$2` | `CAST($2 AS jsonb)`: a parameter that holds JSON text |
//! | `texts` | `json_each` | `jsonb_array_elements_text`: a JSON list of strings as rows |
//! | `ids` | the same through `unhex` | the same through `CAST … AS uuid` |
//! | `member` | `json_extract(…, '$.identity')` | `CAST(… AS jsonb) ->> 'identity'`: the identity of a `records::Actor` |
//! | `skip` | nothing | ` FOR UPDATE OF j SKIP LOCKED`: what nobody else has locked |
//! | `shard` | 0 | a random one of 16: the row that an identity's use is added to |
//!
//! `ports` makes the traits of core out of these functions. Statements are prepared once per connection.

/// The condition of a statement that finds rows by their ids: that they are of the tenant at this parameter, or of any where it is
/// NULL (see `Reach`). `$table` is the table's name with its dot, or nothing.
macro_rules! within {
    ($table:literal, $tenant:literal) => {
        concat!(" AND (", $tenant, " IS NULL OR ", $table, "tenant = ", $tenant, ")")
    };
}

mod backlog;
mod blobs;
mod codes;
mod jobs;
mod keys;
mod leases;
mod nodes;
mod oauth;
mod objects;
mod ports;
mod query;
mod session;
mod sessions;
mod signatures;
mod tokens;
mod trail;
mod uploads;
mod webhooks;

pub(super) use backlog::backlog_statements;
pub(super) use blobs::blob_statements;
pub(super) use codes::code_statements;
pub(super) use jobs::{job_columns, job_statements};
pub(super) use keys::key_statements;
pub(super) use leases::lease_statements;
pub(super) use nodes::{node_columns, node_statements};
pub(super) use oauth::{grant_columns, oauth_statements};
pub(super) use objects::object_statements;
pub(super) use ports::{ports, run};
pub(super) use query::query_port;
pub(super) use session::session_type;
pub(super) use sessions::{session_columns, session_statements};
pub(super) use signatures::signature_statements;
pub(super) use tokens::token_statements;
pub(super) use trail::{audit_matches, audit_statements, event_statements};
pub(super) use webhooks::{deliveries_where, of_tenant, webhook_statements};
pub(super) use within;

pub(super) use uploads::{live, upload_columns, upload_statements};
