//! Who is asking: tenants, identities, the logins and keys that are mapped onto them, and live sessions. A login is
//! only another way to become an identity; what the identity may do is decided in [`crate::policy`].

mod api_key;
mod argon;
mod authorized_keys;
mod certificate;
mod client_certificate;
mod directory;
mod directory_error;
mod grounds;
mod key_book;
mod key_text;
mod live;
mod mapping;
mod oauth_client;
mod overlap;
mod penalty;
mod permission;
mod places;
mod presence;
mod public_key;
mod queue_time;
mod require;
mod session;
mod signing;
mod source;
pub mod spec;
pub mod texts;
mod throttle;
mod totp;
mod verify;
mod view;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use secrecy::SecretString;
use time::OffsetDateTime;

use crate::events::Webhook;

pub(crate) use api_key::KeyRefusal;
pub use api_key::{EndOfKey, KeyEnd};
pub use authorized_keys::{AuthorizedKey, KeyLineError, parse_key_file};
pub use certificate::{CertificateRefusal, CertificateRules, Revocations, UserCertificate};
pub(crate) use client_certificate::{CertificateIndex, stands_for};
pub use client_certificate::{CertificateMatcher, ClientCertificate, ClientCertificateRefusal, Standing, SubjectName};
pub use directory::{Directory, KeyMatch, LeftOut, LoginMatch};
pub use directory_error::DirectoryError;
pub(crate) use grounds::{By, Evidence, Grounds};
pub(crate) use key_book::KeyBook;
pub use key_text::{generate_key, key_in, without_keys};
pub use live::EndReason;
pub(crate) use live::{Life, Live};
pub use mapping::{Mapping, MappingError, NamePattern, PathTemplate};
pub use oauth_client::{OAuthClient, OAuthClientMatch, RedirectUri, origin_of};
pub use overlap::{Automaton, SharedName};
pub use penalty::{Offence, Overflow, Penalties, PenaltyLimits};
pub use permission::{Permission, PermissionSet, Scope, ScopeSet};
pub use places::SessionLimits;
pub(crate) use places::{Following, Place, Places};
pub use presence::{Presence, PresenceDemand};
pub use public_key::PublicKey;
pub use queue_time::QueueTime;
pub use require::{Factor, FactorSet, Progress, Require};
pub use session::{AuthMethod, Session, TokenOrigin};
pub(crate) use signing::examine;
pub use signing::{
    BodyMac, MAX_SIGNATURE_KEYS, MessageSignature, SignatureAlgorithm, SignatureKey, SignatureRule, SignedRequest,
    Signing, check_signing_secret,
};
pub use source::{lies_in, source_of, unmapped};
pub use throttle::{Throttle, ThrottleLimits};
pub(crate) use totp::Codes;
pub use totp::{check_totp_secret, generate_totp_secret, totp_uri};
pub use verify::{KEY_PREFIX, PasswordVerifier, check_phc, hash_key, hash_password};
pub use view::{Resolved, View, ViewEntry};

use crate::path::VirtualPath;
use crate::tokens::Issuer;

/// The protocols of the front ends, by the names that events carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SSH File Transfer Protocol.
    Sftp,
    /// The legacy copy protocol over SSH.
    Scp,
    /// FTP over TLS.
    Ftps,
    /// The REST API.
    Api,
    /// A background transfer of the gateway's own.
    Transfer,
    /// None: the gateway itself, or its operator at the machine.
    Gateway,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Sftp, Self::Scp, Self::Ftps, Self::Api, Self::Transfer, Self::Gateway];

    /// The name in events, audit entries and the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Scp => "scp",
            Self::Ftps => "ftps",
            Self::Api => "api",
            Self::Transfer => "transfer",
            Self::Gateway => "gateway",
        }
    }

    /// The one of this name that somebody can come by, or a transfer.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sftp, Self::Scp, Self::Ftps, Self::Api, Self::Transfer].into_iter().find(|p| p.as_str() == text)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where content written below `at` is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path in the tenant's tree.
    pub at: VirtualPath,
    /// The name of the storage.
    pub storage: String,
    /// Folder or key prefix inside the storage.
    pub path: String,
}

/// One tenant: its own tree, its own audit chain.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Slug from the configuration.
    pub id: Arc<str>,
    /// Bytes that its files may take together; none: unlimited.
    pub quota: Option<u64>,
    /// At least one, with one at `/`.
    pub mounts: Vec<Mount>,
    /// Which certificates its logins may show, and what is revoked.
    pub certificates: CertificateRules,
    /// The words by which its files may be classified.
    pub classifications: Vec<String>,
}

impl Tenant {
    /// The words of a tenant that names none of its own.
    pub fn default_classifications() -> Vec<String> {
        ["public", "internal", "confidential", "restricted"].map(str::to_owned).to_vec()
    }

    /// The mount that a path of the tenant's tree lies in: the longest `at` wins. This is the one place that asks
    /// "which mount is this".
    pub fn mount_of(&self, path: &VirtualPath) -> Option<&Mount> {
        self.mounts.iter().filter(|m| path.below(&m.at).is_some()).max_by_key(|m| m.at.as_str().len())
    }
}

/// What every protocol acts as.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Slug from the configuration.
    pub id: Arc<str>,
    /// What it may do at all; they bind every protocol.
    pub scopes: ScopeSet,
    /// Bytes that the files it created may take; none: unlimited.
    pub quota: Option<u64>,
    /// What it sees of the tenant's tree.
    pub view: View,
}

/// A legacy login and the identity that it becomes.
#[derive(Clone, Debug)]
pub struct Login {
    /// As configured; events carry it so.
    pub username: Arc<str>,
    /// The identity's id, in the same tenant.
    pub identity: Arc<str>,
    /// The protocols that it may come by.
    pub protocols: Vec<Protocol>,
    /// Argon2id PHC string.
    pub password_hash: Option<SecretString>,
    /// The secret of its time-based codes, in base32 (see [`check_totp_secret`]).
    pub totp_secret: Option<SecretString>,
    /// Keys that it may sign with.
    pub authorized_keys: Vec<AuthorizedKey>,
    /// A file of more keys, which is read at each login (see [`crate::ports::KeySource`]).
    pub authorized_keys_file: Option<String>,
    /// Client certificates of TLS that it may show.
    pub client_certificates: Vec<CertificateMatcher>,
    /// What it must prove.
    pub require: Require,
    /// Networks that it may come from; empty: all.
    pub allow_from: Vec<IpNet>,
    /// Start folder and root, in the identity's view.
    pub home: VirtualPath,
}

impl Login {
    /// Whether it may come by this protocol, and takes a TLS client certificate.
    pub fn takes_client_certificates(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol) && !self.client_certificates.is_empty()
    }
}

/// A key of the REST API.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Unique over the gateway.
    pub id: Arc<str>,
    /// The identity's id, in the same tenant.
    pub identity: Arc<str>,
    /// SHA-256 of the whole key.
    pub key_hash: [u8; 32],
    /// What its requests are signed with.
    pub signing: Signing,
    /// Narrows the identity's scopes; empty: all of them.
    pub scopes: ScopeSet,
    /// When it was made; none: that is not said, and its age counts from when this gateway first saw it.
    pub created: Option<OffsetDateTime>,
    /// From then on it is refused.
    pub expires: Option<OffsetDateTime>,
    /// Networks that it may come from; empty: all.
    pub allow_from: Vec<IpNet>,
    /// The key that stood in its place before a rotation, which counts for a while.
    pub previous: Option<PreviousKey>,
}

/// The old key of a rotation: the same key in all but its text.
#[derive(Clone, Debug)]
pub struct PreviousKey {
    /// SHA-256 of the whole key.
    pub key_hash: [u8; 32],
    /// When it was made; none: that is not said.
    pub created: Option<OffsetDateTime>,
    /// From then on it is refused.
    pub ends: OffsetDateTime,
}

/// One tenant with everybody in it, as the configuration declares it.
#[derive(Clone, Debug)]
pub struct TenantRecord {
    /// The tenant.
    pub tenant: Tenant,
    /// Its identities.
    pub identities: Vec<Identity>,
    /// Its logins.
    pub logins: Vec<Login>,
    /// Rules for more logins; the first that matches counts.
    pub mappings: Vec<Mapping>,
    /// Its API keys.
    pub api_keys: Vec<ApiKey>,
    /// Applications that act for its people.
    pub oauth_clients: Vec<OAuthClient>,
    /// The OpenID providers whose tokens it takes.
    pub issuers: Vec<Issuer>,
    /// Where its events are posted to.
    pub webhooks: Vec<Webhook>,
}

/// What a caller shows to be let in.
#[derive(Debug)]
pub enum Credential {
    /// A login and its password.
    Password {
        /// `name` or `name@tenant`.
        login: String,
        /// In clear.
        password: SecretString,
    },
    /// A login and a key whose signature the transport has verified.
    PublicKey {
        /// `name` or `name@tenant`.
        login: String,
        /// The key that signed.
        key: PublicKey,
        /// What its signature says of its holder; none of a key in software.
        presence: Option<Presence>,
    },
    /// A login and a certificate whose key's signature the transport has verified.
    Certificate {
        /// `name` or `name@tenant`.
        login: String,
        /// The certificate; none where it can let in nobody (its CA's signature is wrong, say): the refusal goes on record
        /// like any other.
        certificate: Option<UserCertificate>,
        /// What the signature says of the holder; none of a key in software.
        presence: Option<Presence>,
    },
    /// A login and a certificate that the client has shown in the TLS handshake.
    ClientCertificate {
        /// `name` or `name@tenant`.
        login: String,
        /// The certificate.
        certificate: ClientCertificate,
    },
    /// A login and the time-based code of its second step (RFC 6238).
    Code {
        /// `name` or `name@tenant`.
        login: String,
        /// As typed.
        code: SecretString,
    },
    /// An API key (`cwk_…`).
    ApiKey(SecretString),
    /// A JSON Web Token: the gateway's own, or an issuer's.
    Token(SecretString),
}

impl Credential {
    /// What it would prove of a login; none for API keys and tokens, which are no login's.
    pub const fn factor(&self) -> Option<Factor> {
        match self {
            Self::Password { .. } => Some(Factor::Password),
            Self::PublicKey { .. } => Some(Factor::PublicKey),
            Self::Certificate { .. } | Self::ClientCertificate { .. } => Some(Factor::Certificate),
            Self::Code { .. } => Some(Factor::Totp),
            Self::ApiKey(_) | Self::Token(_) => None,
        }
    }

    /// The login's name as it was sent; none for API keys and tokens.
    pub fn login(&self) -> Option<&str> {
        match self {
            Self::Password { login, .. }
            | Self::PublicKey { login, .. }
            | Self::Certificate { login, .. }
            | Self::ClientCertificate { login, .. }
            | Self::Code { login, .. } => Some(login),
            Self::ApiKey(_) | Self::Token(_) => None,
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address.
    pub ip: IpAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// The version string of the client's software (SSH identification, `User-Agent`), cut to 255 characters.
    pub client_version: Option<String>,
    /// The cipher of the connection, as the protocol names it.
    pub cipher: Option<String>,
    /// Where the listener requires client certificates: the one that was shown. The tenant whose login or key this is
    /// must know it, whatever else is proven.
    pub required_certificate: Option<ClientCertificate>,
}
