//! The backends of the gateway: the ledger on SQLite or PostgreSQL, and the blob stores. Each implements a port of
//! `causeway-core` and passes one suite of tests for that port.

pub mod blobs;
pub mod ledger;

mod swift;
