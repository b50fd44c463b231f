//! The one integration binary: real sockets on port 0, real clients, the real daemon. `harness` starts and talks to it;
//! every other module is one subject.

#![allow(
    missing_docs,
    clippy::case_sensitive_file_extension_comparisons,
    clippy::large_stack_arrays,
    clippy::unnecessary_debug_formatting,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod harness;

mod admin;
mod admin_settings;
mod api_keys;
mod api_keys_rest;
mod audit_trail;
mod bad_input;
mod certificates;
mod cli;
mod cli_keys;
mod client_certificates;
mod client_certificates_api;
mod clients;
mod content_types;
mod copies;
mod crash;
mod errors;
mod events_live;
mod faults;
mod ftps;
mod ftps_addresses;
mod ftps_attacks;
mod ftps_endings;
mod ftps_logins;
mod ftps_ports;
mod ftps_transcripts;
mod ftps_verbs;
mod half_files;
mod hardware_keys;
mod host_keys;
mod hostile_text;
mod interim;
mod large_folders;
mod limits;
mod live_sessions;
mod memory;
mod metrics;
mod model;
mod mounts;
#[cfg(feature = "nats")]
mod nats;
mod oauth;
mod oauth_attacks;
mod openapi;
mod problems;
mod problems_audit;
mod problems_transfers;
mod problems_uploads;
mod proxies;
mod purge;
mod race;
mod refusals;
mod reload;
mod reload_cli;
mod rest;
mod rest_bodies;
mod rest_changes;
mod resumable;
mod same_events;
mod same_rights;
mod schemathesis;
mod scp;
mod sessions;
mod sftp_extensions;
mod sftp_ops;
mod signed;
mod signed_clients;
mod slow_requests;
mod spine;
mod ssh_audit;
mod syscalls;
mod tidy;
mod tokens;
mod tokens_issuers;
mod totp_enrolment;
mod traces;
mod transfers;
mod transfers_endings;
mod transport;
mod tus;
mod uploads;
mod uploads_endings;
mod uploads_faults;
mod uploads_large;
mod uploads_resumed;
mod visibility;
mod webhook_receivers;
mod webhooks_rest;
mod who_may_call;
