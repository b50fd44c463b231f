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
    /// Whether the old scp protocol (`scp -O`) is spoken.
    pub scp: bool,
}

impl Sftp {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let report = section.report();
        let host_keys = section.texts("host_keys", value::file_path).map(|f| f.value).unwrap_or_default();
        for key in &host_keys {
            let path = report.path(&key.value);
            if let Err(error) = std::fs::File::open(&path) {
                report.error(
                    &key.spot,
                    format!("{} cannot be read: {}; name a private key", path.display(), error.kind()),
                );
            }
        }
        if let Some(found) = section.texts("host_certificates", value::file_path)
            && !found.value.is_empty()
        {
            report.not_built(&found.spot, "a host certificate");
        }
        if let Some(found) = section.flag("legacy_algorithms")
            && found.value
        {
            report.not_built(&found.spot, "the choice of legacy algorithms");
        }
        let sftp = Self {
            listen: listen::addresses(section, "listen", "127.0.0.1:2022"),
            host_keys: host_keys.iter().map(|key| report.path(&key.value)).collect(),
            banner: section.text("banner", |text| Ok(text.to_owned())).map(|f| f.value).unwrap_or_default(),
            login_grace: section.text("login_grace", value::duration).map_or(Duration::from_secs(30), |f| f.value),
            idle_timeout: section.text("idle_timeout", value::duration).map_or(Duration::from_mins(15), |f| f.value),
            max_auth_tries: section.number("max_auth_tries", 1..=100).map_or(6, |f| f.value),
            max_sessions: section.number("max_sessions", 1..=1_000_000).map_or(10_000, |f| f.value),
            scp: section.flag("scp").is_none_or(|found| found.value),
        };
        section.is_present().then_some(sftp)
    }
}
