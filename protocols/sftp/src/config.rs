//! What an operator can set, and the algorithms that follow from it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::{Error, ErrorKind, Result};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::server::Config;
use russh::{Preferred, SshId, cipher, compression, kex, mac};

use crate::auth;
use crate::host_certificate::HostCertificate;
use crate::host_key::HostKey;

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
}

/// AES-GCM before ChaCha20, as it takes half the processor time where there are AES instructions; no CBC.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// Post-quantum first; no SHA-1. The last four are no exchanges but what both sides can do (RFC 8308, and OpenSSH's
/// strict key exchange against prefix truncation).
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

/// Compression only after the login, so that nobody can make an unknown client's bytes be unpacked.
const COMPRESSIONS: &[compression::Name] = &[compression::NONE, compression::ZLIB_LEGACY];

/// The names of the ciphers.
pub(crate) fn cipher_names() -> Arc<[&'static str]> {
    CIPHERS.iter().map(AsRef::as_ref).collect()
}

/// russh's configuration. `InvalidArgument` where there is no host key, or a certificate of none of them.
pub(crate) fn russh_config(config: SftpConfig) -> Result<Config> {
    if config.host_keys.is_empty() {
        return Err(Error::new(ErrorKind::InvalidArgument, "there is no host key; configure or generate one"));
    }
    let orphan = config
        .host_certificates
        .iter()
        .find(|certificate| !config.host_keys.iter().any(|key| certificate.certifies(key)));
    if let Some(orphan) = orphan {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the host certificate {:?} is for none of the host keys; name its private key too",
                orphan.key_id()
            ),
        ));
    }
    Ok(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-causeway")),
        methods: auth::methods(),
        // The gateway answers in the same time whoever is asked for; a delay on top would only slow down clients that
        // ask what there is (`none`) or offer several keys. Failed logins are throttled by the gateway.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: config.host_keys.into_iter().map(HostKey::into_inner).collect(),
        certificates: config.host_certificates.into_iter().map(HostCertificate::into_inner).collect(),
        window_size: 8 * 1024 * 1024,
        maximum_packet_size: 65_535,
        channel_buffer_size: 256,
        event_buffer_size: 64,
        preferred: Preferred {
            kex: Cow::Borrowed(EXCHANGES),
            key: Cow::Owned(host_key_algorithms()),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(COMPRESSIONS),
        },
        // A backstop: `auth` counts by itself, as russh counts the question for the methods (`none`) too.
        max_auth_attempts: config.max_auth_tries.saturating_add(1),
        // A backstop for clients whose socket takes nothing any more; see `connection` for the idle time itself.
        inactivity_timeout: Some(config.idle_timeout.saturating_add(Duration::from_mins(1))),
        ..Config::default()
    })
}

fn host_key_algorithms() -> Vec<Algorithm> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    vec![
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ]
}
