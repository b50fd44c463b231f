//! What an operator can set, and what russh makes of it.

use std::borrow::Cow;
use std::time::Duration;

use causeway_core::{Error, ErrorKind, Result};
use russh::server::Config;
use russh::{Limits, Preferred, SshId, compression};

use crate::algorithms::Algorithms;
use crate::auth;
use crate::host_certificate::HostCertificate;
use crate::host_key::HostKey;
use crate::session::HANDLES;

/// The most that may go over one key: russh's own limit, which is RFC 4253's advice (section 9).
pub const MAX_REKEY_BYTES: u64 = 1 << 30;

/// Keep-alive questions without an answer before a peer is called dead.
const UNANSWERED: usize = 3;

/// The settings of the SFTP front (`[sftp]` of the configuration).
#[derive(Debug)]
pub struct SftpConfig {
    /// The host keys, at least one; a client chooses among them by its own preference.
    pub host_keys: Vec<HostKey>,
    /// Certificates of host keys; each is offered before its plain key.
    pub host_certificates: Vec<HostCertificate>,
    /// Shown before the login (RFC 4252 section 5.4).
    pub banner: Option<String>,
    /// How long a connection may take to log in.
    pub login_grace: Duration,
    /// How long a connection may stay idle: nothing comes, nothing goes, nothing is being worked on.
    pub idle_timeout: Duration,
    /// Tries to log in on one connection; refused offers of keys count, as in OpenSSH.
    pub max_auth_tries: usize,
    /// Whether the old scp protocol (`scp -O`) is spoken.
    pub scp: bool,
    /// What is offered.
    pub algorithms: Algorithms,
    /// Bytes in one direction after which new keys are agreed on; at most [`MAX_REKEY_BYTES`].
    pub rekey_bytes: u64,
    /// How long a key lives.
    pub rekey_time: Duration,
    /// Whether `zlib@openssh.com` is offered: compression after the login only, so that nobody can make an unknown
    /// client's bytes be unpacked.
    pub compression: bool,
    /// How long a peer may be silent before it is asked whether it is still there; none: never.
    pub keepalive: Option<Duration>,
    /// Channels that one connection may have at the same time.
    pub max_channels: usize,
    /// Files and folders that one connection may have open at the same time.
    pub max_handles: usize,
}

impl SftpConfig {
    /// The defaults, with these host keys.
    pub fn new(host_keys: Vec<HostKey>) -> Self {
        Self {
            host_keys,
            host_certificates: Vec::new(),
            banner: None,
            login_grace: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(15),
            max_auth_tries: 6,
            scp: true,
            algorithms: Algorithms::default(),
            rekey_bytes: MAX_REKEY_BYTES,
            rekey_time: Duration::from_hours(1),
            compression: true,
            keepalive: Some(Duration::from_mins(1)),
            max_channels: 8,
            max_handles: HANDLES,
        }
    }
}

/// russh's configuration. `InvalidArgument` where there is no host key, none that may be shown, or a certificate of none of
/// them.
pub(crate) fn russh_config(config: SftpConfig) -> Result<Config> {
    let wrong = |what: &str| Err(Error::new(ErrorKind::InvalidArgument, what.to_owned()));
    if config.host_keys.is_empty() {
        return wrong("there is no host key; configure or generate one");
    }
    let orphan = config
        .host_certificates
        .iter()
        .find(|certificate| !config.host_keys.iter().any(|key| certificate.certifies(key)));
    if let Some(orphan) = orphan {
        let id = orphan.key_id();
        return wrong(&format!("the host certificate {id:?} is for none of the host keys; name its private key too"));
    }
    let algorithms = &config.algorithms;
    let keys: Vec<_> = config.host_keys.into_iter().map(HostKey::into_inner).collect();
    let keys: Vec<_> = keys.into_iter().filter(|key| algorithms.shows(&key.algorithm())).collect();
    if keys.is_empty() {
        return wrong("none of the host keys may be shown; name its algorithm in host_key_algorithms, or another key");
    }
    let rekey_bytes = usize::try_from(config.rekey_bytes.min(MAX_REKEY_BYTES)).unwrap_or(usize::MAX);
    let mut compressions = vec![compression::NONE];
    if config.compression {
        compressions.push(compression::ZLIB_LEGACY);
    }
    Ok(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-causeway")),
        methods: auth::methods(),
        // The gateway answers in the same time whoever is asked for; a delay on top would only slow down clients that
        // ask what there is (`none`) or offer several keys. Failed logins are throttled by the gateway.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        preferred: Preferred {
            kex: Cow::Owned(algorithms.kex_names()),
            key: Cow::Owned(algorithms.signatures()),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Owned(algorithms.cipher_names()),
            mac: Cow::Owned(algorithms.mac_names()),
            compression: Cow::Owned(compressions),
        },
        keys,
        limits: Limits {
            rekey_write_limit: rekey_bytes,
            rekey_read_limit: rekey_bytes,
            rekey_time_limit: config.rekey_time,
        },
        certificates: config.host_certificates.into_iter().map(HostCertificate::into_inner).collect(),
        window_size: crate::window::NEAR,
        maximum_packet_size: 65_535,
        channel_buffer_size: 256,
        event_buffer_size: 64,
        // A backstop: `auth` counts by itself, as russh counts the question for the methods (`none`) too.
        max_auth_attempts: config.max_auth_tries.saturating_add(1),
        keepalive_interval: config.keepalive,
        keepalive_max: UNANSWERED,
        // A backstop for clients whose socket takes nothing any more; see `connection` for the idle time itself.
        inactivity_timeout: Some(config.idle_timeout.saturating_add(Duration::from_mins(1))),
        ..Config::default()
    })
}
