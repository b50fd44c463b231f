//! causeway: one daemon that speaks SFTP to legacy partners and REST to applications, over one virtual filesystem.

mod app;
mod audit_heads;
mod certificate;
mod cli;
mod client_certificates;
mod config;
mod data_dir;
mod descriptors;
mod documents;
mod failure;
mod ftps;
mod host_keys;
mod key_files;
mod logging;
#[cfg(feature = "nats")]
mod nats;
mod outbound;
mod process;
mod proxy;
mod reload;
mod revoked_keys;
mod running;
mod sources;
mod stamped;
mod startups;
mod supervisor;
mod syslog;
mod traces;
mod trust;
mod webhook;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // One provider of cryptography for every user of rustls; a second call, which nothing makes, would be harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
