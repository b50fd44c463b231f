//! The configuration file: parsed and validated whole before anything binds. Every problem is reported in one go with
//! file, line, column and key ([`report`]). One section of the file is one module.

pub mod algorithms;
pub mod api;
pub mod changes;
pub mod database;
pub mod events;
pub mod ftps;
pub mod keys;
pub mod limits;
pub mod listen;
pub mod nats;
pub mod network;
pub mod node;
pub mod oauth;
pub mod ops;
pub mod reader;
pub mod report;
pub mod schema;
pub mod secret;
pub mod sftp;
pub mod shown;
pub mod storage;
pub mod telemetry;
pub mod tenant;
pub mod tls;
pub mod tokens;
pub mod transfers;
pub mod uploads;
pub mod value;

#[cfg(test)]
mod bad_test;
#[cfg(test)]
mod certificate_test;
#[cfg(test)]
mod client_certificate_test;
#[cfg(test)]
mod good_test;
#[cfg(test)]
mod issuer_test;
#[cfg(test)]
mod overlap_test;
#[cfg(test)]
mod sftp_test;
#[cfg(test)]
mod signing_test;

use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_core::gateway::OAuthSettings;
use causeway_core::identity::TenantRecord;
use causeway_core::jobs::transfers::TransferSettings;
use ipnet::IpNet;

use reader::Section;
use report::{Problems, Report, Severity, Spot};

/// A configuration that is right.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the configuration file, which paths in it are relative to.
    pub folder: PathBuf,
    /// Database, generated keys and certificates.
    pub data_dir: PathBuf,
    /// How long sessions may finish what they are at when the gateway stops.
    pub shutdown_grace: Duration,
    /// `[node]`.
    pub node: node::Node,
    /// `network.trusted_proxies`.
    pub trusted_proxies: Vec<IpNet>,
    /// `[sftp]`.
    pub sftp: Option<sftp::Sftp>,
    /// `[ftps]`.
    pub ftps: Option<ftps::Ftps>,
    /// The FTPS rules of single logins, by tenant and username.
    pub ftps_logins: Vec<((String, String), ftps::LoginRules)>,
    /// `[api]`.
    pub api: Option<api::Api>,
    /// `[ops]`.
    pub ops: Option<ops::Ops>,
    /// `[tls]`.
    pub tls: tls::Tls,
    /// `[database]`.
    pub database: database::Database,
    /// `[[storage]]`.
    pub storages: Vec<storage::Storage>,
    /// `[uploads]`.
    pub uploads: uploads::Uploads,
    /// `[transfers]`.
    pub transfers: TransferSettings,
    /// What `[oauth]` says of grants.
    pub oauth: OAuthSettings,
    /// What `[oauth]` says of tokens.
    pub tokens: tokens::Tokens,
    /// `[limits]`.
    pub limits: limits::Limits,
    /// `[events]`.
    pub events: events::Events,
    /// `[telemetry]`.
    pub telemetry: telemetry::Telemetry,
    /// `[[tenant]]`.
    pub tenants: Vec<TenantRecord>,
    /// The file as an operator may see it.
    pub shown: serde_json::Value,
}

/// Whether references to secrets are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are.
    Resolve,
    /// They are not (`check --no-secrets`).
    Skip,
}

/// Reads a file. The configuration is there only where no problem is an error; what is not built yet and the warnings
/// are among the problems of a right file, too.
pub fn load(path: &Path, secrets: Secrets) -> (Option<Config>, Problems) {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text, secrets),
        Err(error) => (None, Problems::unreadable(path, &error)),
    }
}

/// Reads the text of a file; `path` gives its name and the folder that relative paths belong to.
pub fn parse(path: &Path, text: &str, secrets: Secrets) -> (Option<Config>, Problems) {
    let report = Report::new(path, text, secrets == Secrets::Resolve);
    let config = match toml_span::parse(text) {
        Ok(value) => Some(Config { shown: shown::shown(&value), ..read(&Section::root(&report, &value)) }),
        Err(error) => {
            report.syntax(&error);
            None
        }
    };
    let problems = report.into_problems();
    (config.filter(|_| !problems.has(Severity::Error)), problems)
}

fn read(root: &Section<'_>) -> Config {
    let report = root.report();
    let data_dir = root.text("data_dir", value::file_path).map_or_else(|| "./causeway-data".to_owned(), |f| f.value);
    let data_dir = report.path(&data_dir);
    let shutdown_grace =
        root.text("shutdown_grace", value::duration_or_zero).map_or(Duration::from_secs(30), |f| f.value);
    let trusted_proxies = network::read(&root.table("network"));
    let mut limits = limits::Limits::read(&root.table("limits"));
    // A proxy does not pay for what its clients do.
    limits.penalties.exempt.extend(&trusted_proxies);
    let ftps = ftps::Ftps::read(&root.table("ftps"));
    let sftp = sftp::Sftp::read(&root.table("sftp"));
    let api = api::Api::read(&root.table("api"));
    if sftp.is_none() && api.is_none() && ftps.is_none() {
        report.error(&Spot::default(), "no protocol is switched on; add [sftp], [ftps] or [api]");
    }
    let (storages, names) = storage::read(root, &data_dir);
    let events = events::Events::read(&root.table("events"));
    let asked = tenant::Asking {
        ftps: ftps.as_ref().map(|ftps| ftps.client_certificates),
        api: api.as_ref().map(|api| api.client_certificates),
    };
    // One table, read by two.
    let table = root.table("oauth");
    let (tokens, oauth) = (tokens::read(&table), oauth::read(&table));
    drop(table);
    let around = tenant::Around {
        storages: &names,
        private_webhooks: events.allow_private_addresses,
        private_issuers: tokens.private_issuers,
        public_url: api.as_ref().and_then(|api| api.public_url.as_deref()),
        asked,
    };
    let declared = tenant::read(root, around);
    let (mut tenants, mut ftps_logins) = (Vec::new(), Vec::new());
    for tenant in declared {
        let id = tenant.record.tenant.id.to_string();
        ftps_logins.extend(tenant.ftps.into_iter().map(|(username, rules)| ((id.clone(), username), rules)));
        tenants.push(tenant.record);
    }
    Config {
        folder: report.path(""),
        shutdown_grace,
        node: node::Node::read(&root.table("node")),
        trusted_proxies,
        sftp,
        ftps,
        ftps_logins,
        api,
        ops: ops::Ops::read(&root.table("ops")),
        tls: tls::Tls::read(&root.table("tls")),
        database: database::Database::read(&root.table("database"), data_dir.join("causeway.db")),
        storages,
        uploads: uploads::Uploads::read(&root.table("uploads")),
        transfers: transfers::read(&root.table("transfers")),
        oauth,
        tokens,
        limits,
        events,
        telemetry: telemetry::Telemetry::read(&root.table("telemetry")),
        tenants,
        shown: serde_json::Value::Null,
        data_dir,
    }
}
