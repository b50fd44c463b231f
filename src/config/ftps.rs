//! `[ftps]`: FTP over TLS.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::listen;
use super::reader::{Parsed, Section};
use super::sftp::MAX_STARTUPS;
use super::value;
use crate::client_certificates::handshake::Asked;
use crate::startups::StartupLimits;

/// Whether clients are asked for a certificate.
pub const CLIENT_CERTIFICATES: &[(&str, Asked)] =
    &[("off", Asked::Off), ("optional", Asked::Optional), ("required", Asked::Required)];
/// `required` or `optional`: whether it is required.
pub const STRICTNESS: &[(&str, bool)] = &[("required", true), ("optional", false)];

/// The FTPS listeners.
#[derive(Clone, Debug)]
pub struct Ftps {
    /// Where to listen for explicit TLS.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for implicit TLS.
    pub listen_implicit: Vec<SocketAddr>,
    /// Ports of passive data connections.
    pub passive_ports: RangeInclusive<u16>,
    /// The address that PASV announces; none: the local one.
    pub passive_address: Option<IpAddr>,
    /// What is announced to the clients of a network.
    pub passive_addresses: Vec<(IpNet, IpAddr)>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: Asked,
    /// Whether PORT and EPRT are there.
    pub active_mode: bool,
    /// Whether MODE Z is there: off where nothing is said, as some clients use it wherever it is there.
    pub mode_z: bool,
    /// Whether data connections must resume the control connection's TLS session.
    pub session_reuse: bool,
    /// Whether an upload must end with close_notify.
    pub close_notify: bool,
    /// How long a session may do nothing.
    pub idle_timeout: Duration,
    /// How long a transfer may move nothing.
    pub stall_timeout: Duration,
    /// How long a data connection may take to come about.
    pub data_timeout: Duration,
    /// How long a client may take to log in.
    pub login_grace: Duration,
    /// How long a command may take from its first byte to its end.
    pub line_timeout: Duration,
    /// Shown in the greeting.
    pub banner: String,
    /// Attempts per connection.
    pub max_auth_tries: u32,
    /// Connections at once.
    pub max_sessions: u32,
    /// Connections at once that have not logged in, of both listeners together.
    pub max_startups: StartupLimits,
}

/// What a login's own `ftps` says: none: the listener's rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoginRules {
    /// See [`Ftps::session_reuse`].
    pub session_reuse: Option<bool>,
    /// See [`Ftps::close_notify`].
    pub close_notify: Option<bool>,
}

impl LoginRules {
    /// Reads the table of a login; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let rules = Self {
            session_reuse: section.text("session_reuse", value::one_of(STRICTNESS)).map(|f| f.value),
            close_notify: section.text("close_notify", value::one_of(STRICTNESS)).map(|f| f.value),
        };
        section.is_present().then_some(rules)
    }
}

fn address(text: &str) -> Parsed<IpAddr> {
    text.parse().map_err(|_| format!("`{text}` is no address to announce; write an IP address"))
}

impl Ftps {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let client_certificates = section.text("client_certificates", value::one_of(CLIENT_CERTIFICATES));
        let passive_address = section.text("passive_address", |text| match text {
            "auto" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| format!("`{text}` is no address to announce; write \"auto\" or an IP address")),
        });
        let passive_addresses = section.tables("passive_addresses").into_iter().filter_map(|table| {
            let network = table.require("network", table.text("network", value::network));
            let announced = table.require("address", table.text("address", address));
            Some((network?.value, announced?.value))
        });
        let banner = section.text("banner", |text| {
            if text.chars().any(char::is_control) || text.len() > 500 {
                return Err("is longer than one line of 500 bytes; shorten it".to_owned());
            }
            Ok(text.to_owned())
        });
        let flag = |key| section.text(key, value::one_of(STRICTNESS)).is_none_or(|f| f.value);
        let time = |key, default| section.text(key, value::duration).map_or(default, |f| f.value);
        let ftps = Self {
            listen: listen::addresses(section, "listen", "127.0.0.1:2121"),
            listen_implicit: listen::addresses(section, "listen_implicit", "127.0.0.1:2990"),
            passive_ports: section.text("passive_ports", value::ports).map_or(50_000..=50_099, |f| f.value),
            passive_address: passive_address.and_then(|f| f.value),
            passive_addresses: passive_addresses.collect(),
            client_certificates: client_certificates.map_or(Asked::Optional, |f| f.value),
            active_mode: section.flag("active_mode").is_some_and(|f| f.value),
            mode_z: section.flag("mode_z").is_some_and(|f| f.value),
            session_reuse: flag("session_reuse"),
            close_notify: flag("close_notify"),
            idle_timeout: time("idle_timeout", Duration::from_mins(15)),
            stall_timeout: time("stall_timeout", Duration::from_mins(2)),
            data_timeout: time("data_timeout", Duration::from_secs(30)),
            login_grace: time("login_grace", Duration::from_secs(30)),
            line_timeout: time("line_timeout", Duration::from_secs(30)),
            banner: banner.map(|f| f.value).unwrap_or_default(),
            max_auth_tries: section.number("max_auth_tries", 1..=100).map_or(6, |f| f.value),
            max_sessions: section.number("max_sessions", 1..=1_000_000).map_or(10_000, |f| f.value),
            max_startups: section.text("max_startups", value::startups).map_or(MAX_STARTUPS, |f| f.value),
        };
        section.is_present().then_some(ftps)
    }
}
