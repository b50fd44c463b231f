//! `[sftp]`: the SSH listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::listen;
use super::reader::Section;
use super::value;

/// The SSH listener.
#[derive(Clone, Debug)]
pub struct Sftp {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Private keys in OpenSSH form; empty: generated ones.
    pub host_keys: Vec<PathBuf>,
    /// Certificates of host keys.
    pub host_certificates: Vec<PathBuf>,
    /// Shown before the login.
    pub banner: String,
    /// How long a client may take to log in.
    pub login_grace: Duration,
    /// How long a session may do nothing.
    pub idle_timeout: Duration,
    /// Attempts per connection.
    pub max_auth_tries: u32,
    /// Connections at once.
    pub max_sessions: u32,
}

impl Sftp {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let report = section.report();
        let host_keys = files(section, "host_keys", "name a private key");
        let host_certificates = files(section, "host_certificates", "name the `-cert.pub` of a host key");
        if let Some(found) = section.flag("scp")
            && found.value
        {
            report.without_effect(&found.spot, "SCP");
        }
        if let Some(found) = section.flag("legacy_algorithms")
            && found.value
        {
            report.not_built(&found.spot, "the choice of legacy algorithms");
        }
        let sftp = Self {
            listen: listen::addresses(section, "listen", "127.0.0.1:2022"),
            host_keys,
            host_certificates,
            banner: section.text("banner", |text| Ok(text.to_owned())).map(|f| f.value).unwrap_or_default(),
            login_grace: section.text("login_grace", value::duration).map_or(Duration::from_secs(30), |f| f.value),
            idle_timeout: section.text("idle_timeout", value::duration).map_or(Duration::from_mins(15), |f| f.value),
            max_auth_tries: section.number("max_auth_tries", 1..=100).map_or(6, |f| f.value),
            max_sessions: section.number("max_sessions", 1..=1_000_000).map_or(10_000, |f| f.value),
        };
        section.is_present().then_some(sftp)
    }
}

/// The files of a list, each of which can be read or is a problem.
fn files(section: &Section<'_>, key: &'static str, hint: &str) -> Vec<PathBuf> {
    let report = section.report();
    let found = section.texts(key, value::file_path).map(|f| f.value).unwrap_or_default();
    let each = found.iter().map(|file| {
        let path = report.path(&file.value);
        if let Err(error) = std::fs::File::open(&path) {
            report.error(&file.spot, format!("{} cannot be read: {}; {hint}", path.display(), error.kind()));
        }
        path
    });
    each.collect()
}
