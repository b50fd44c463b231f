//! `[sftp]`: the SSH listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use causeway_sftp::{Algorithms, MAX_REKEY_BYTES};

use super::reader::{Parsed, Section};
use super::{algorithms, listen, value};
use crate::startups::StartupLimits;

/// With less, keys would be exchanged more than data.
const MIN_REKEY_BYTES: u64 = 64 * 1024;

/// Twenty times OpenSSH's: a gateway's partners come at the same full hour.
pub const MAX_STARTUPS: StartupLimits = StartupLimits { begin: 200, percent: 30, full: 1_000 };

/// A second at least: an exchange of keys takes a part of that.
fn rekey_time(text: &str) -> Parsed<Duration> {
    let time = value::duration(text)?;
    if time < Duration::from_secs(1) { Err(format!("`{text}` is too short; write at least \"1s\"")) } else { Ok(time) }
}

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
    /// Whether the old scp protocol (`scp -O`) is spoken.
    pub scp: bool,
    /// Connections at once that have not logged in.
    pub max_startups: StartupLimits,
    /// Channels of one connection at once.
    pub max_channels: u32,
    /// Open files and folders of one connection at once.
    pub max_handles: u32,
    /// What is offered.
    pub algorithms: Algorithms,
    /// Bytes in one direction after which new keys are agreed on.
    pub rekey_bytes: u64,
    /// How long a key lives.
    pub rekey_time: Duration,
    /// Whether compression is offered.
    pub compression: bool,
    /// How long a peer may be silent before it is asked whether it is still there; none: never.
    pub keepalive: Option<Duration>,
}

impl Sftp {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let host_keys = files(section, "host_keys", "name a private key");
        let host_certificates = files(section, "host_certificates", "name the `-cert.pub` of a host key");
        let algorithms = algorithms::read(section, !host_keys.is_empty());
        let rekey_bytes = section.text("rekey_limit_bytes", |text| {
            let bytes = value::size(text)?;
            if (MIN_REKEY_BYTES..=MAX_REKEY_BYTES).contains(&bytes) {
                Ok(bytes)
            } else {
                Err(format!("`{text}` is out of range; give \"64 KiB\" to \"1 GiB\""))
            }
        });
        let sftp = Self {
            listen: listen::addresses(section, "listen", "127.0.0.1:2022"),
            host_keys,
            host_certificates,
            banner: section.text("banner", |text| Ok(text.to_owned())).map(|f| f.value).unwrap_or_default(),
            login_grace: section.text("login_grace", value::duration).map_or(Duration::from_secs(30), |f| f.value),
            idle_timeout: section.text("idle_timeout", value::duration).map_or(Duration::from_mins(15), |f| f.value),
            max_auth_tries: section.number("max_auth_tries", 1..=100).map_or(6, |f| f.value),
            max_sessions: section.number("max_sessions", 1..=1_000_000).map_or(10_000, |f| f.value),
            scp: section.flag("scp").is_none_or(|found| found.value),
            max_startups: section.text("max_startups", value::startups).map_or(MAX_STARTUPS, |f| f.value),
            max_channels: section.number("max_channels", 1..=1_000).map_or(8, |f| f.value),
            max_handles: section.number("max_handles", 1..=100_000).map_or(256, |f| f.value),
            algorithms,
            rekey_bytes: rekey_bytes.map_or(MAX_REKEY_BYTES, |f| f.value),
            rekey_time: section.text("rekey_limit_time", rekey_time).map_or(Duration::from_hours(1), |f| f.value),
            compression: section.flag("compression").is_none_or(|f| f.value),
            keepalive: section
                .text("keepalive", value::duration_or_zero)
                .map_or(Some(Duration::from_mins(1)), |f| Some(f.value).filter(|time| !time.is_zero())),
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
        report.reads(&path);
        if let Err(error) = std::fs::File::open(&path) {
            report.error(&file.spot, format!("{} cannot be read: {}; {hint}", path.display(), error.kind()));
        }
        path
    });
    each.collect()
}
