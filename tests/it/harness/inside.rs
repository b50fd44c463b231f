//! The core inside the test's own process, on a real ledger, with ports that can be made to fail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::identity::{
    ApiKey, CertificateRules, Directory, Identity, Login, Mount, PenaltyLimits, PermissionSet, PublicKey, Require,
    ScopeSet, SessionLimits, Signing, Tenant, TenantRecord, ThrottleLimits, View, ViewEntry,
};
use causeway_core::ports::{
    Answer, BlobStore, Durability, Ledger as LedgerPort, NoKeyFiles, Query, Reach, TxOp, WebhookSender,
};
use causeway_core::{
    Credential, Error, ErrorKind, Gateway, Parts, Peer, Protocol, Result, Session, Settings, VirtualPath,
};
use causeway_store::blobs::MemoryBlobs;
use causeway_store::ledger::{PostgresLedger, SqliteLedger};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::Ledger;
use super::plan::{api_key, new_database};

pub fn path(text: &str) -> VirtualPath {
    VirtualPath::parse(text).unwrap()
}

/// A ledger on empty data, that can be opened again as a restarted process would.
pub struct Place {
    folder: tempfile::TempDir,
    url: Option<SecretString>,
}

impl Place {
    pub async fn new(ledger: Ledger) -> Self {
        let url = match ledger {
            Ledger::Sqlite => None,
            Ledger::Postgres => Some(SecretString::from(new_database().await)),
        };
        Self { folder: tempfile::tempdir().unwrap(), url }
    }

    /// The PostgreSQL database, where it is one.
    pub fn database(&self) -> Option<&str> {
        self.url.as_ref().map(SecretString::expose_secret)
    }

    pub async fn open(&self) -> Arc<dyn LedgerPort> {
        match &self.url {
            None => Arc::new(SqliteLedger::open(&self.folder.path().join("ledger.db"), 0).await.unwrap()),
            Some(url) => Arc::new(PostgresLedger::connect(url).await.unwrap()),
        }
    }
}

struct NoWebhooks;

#[async_trait]
impl WebhookSender for NoWebhooks {
    async fn post(&self, _: &causeway_core::events::Webhook, _: &[(&'static str, String)], _: Bytes) -> Answer {
        Answer::Status(200, None)
    }
}

fn key_blob() -> Vec<u8> {
    let mut blob = 11_u32.to_be_bytes().to_vec();
    blob.extend_from_slice(b"ssh-ed25519");
    blob.extend_from_slice(&32_u32.to_be_bytes());
    blob.extend_from_slice(&[7; 32]);
    blob
}

/// The identity `app`, with all rights, and the identity `peer`, which sees `/in` as its root.
fn tenant(quota: Option<u64>) -> TenantRecord {
    let identity = |id: &str, seen: &str| Identity {
        id: id.into(),
        scopes: ScopeSet::all(),
        quota: None,
        view: View::new(vec![ViewEntry { at: path("/"), path: path(seen), permissions: PermissionSet::all() }]),
    };
    let login = |id: &str| Login {
        username: id.into(),
        identity: id.into(),
        protocols: vec![Protocol::Sftp],
        password_hash: None,
        totp_secret: None,
        client_certificates: Vec::new(),
        authorized_keys: vec![PublicKey { blob: key_blob() }.into()],
        authorized_keys_file: None,
        require: Require::Any,
        allow_from: Vec::new(),
        home: path("/"),
    };
    let key = |id: &str| ApiKey {
        id: id.into(),
        identity: id.into(),
        key_hash: Sha256::digest(api_key(id)).into(),
        signing: Signing::default(),
        scopes: ScopeSet::NONE,
        created: None,
        expires: None,
        allow_from: Vec::new(),
        previous: None,
    };
    TenantRecord {
        tenant: Tenant {
            id: "acme".into(),
            quota,
            mounts: vec![
                Mount { at: path("/"), storage: "local".into(), path: "acme".into() },
                Mount { at: path("/vault"), storage: "vault".into(), path: "acme".into() },
            ],
            certificates: CertificateRules::default(),
            classifications: Tenant::default_classifications(),
        },
        identities: vec![identity("app", "/"), identity("peer", "/in")],
        logins: vec![login("app"), login("peer")],
        mappings: Vec::new(),
        issuers: Vec::new(),
        api_keys: vec![key("app"), key("peer")],
        oauth_clients: Vec::new(),
        webhooks: Vec::new(),
    }
}

/// A gateway of its own incarnation. `installation` stays with the data.
pub async fn start(
    ledger: Arc<dyn LedgerPort>,
    blobs: Arc<dyn BlobStore>,
    installation: uuid::Uuid,
) -> Result<Arc<Gateway>> {
    start_with_vault(ledger, blobs, Arc::new(MemoryBlobs::new()), installation).await
}

/// The same, with the storage of what lies below `/vault`.
pub async fn start_with_vault(
    ledger: Arc<dyn LedgerPort>,
    blobs: Arc<dyn BlobStore>,
    vault: Arc<dyn BlobStore>,
    installation: uuid::Uuid,
) -> Result<Arc<Gateway>> {
    start_with_quota(ledger, blobs, vault, installation, None).await
}

/// The same, with a quota of the tenant's.
pub async fn start_with_quota(
    ledger: Arc<dyn LedgerPort>,
    blobs: Arc<dyn BlobStore>,
    vault: Arc<dyn BlobStore>,
    installation: uuid::Uuid,
    quota: Option<u64>,
) -> Result<Arc<Gateway>> {
    let settings = Settings {
        node: "inside".into(),
        installation,
        max_file_size: 1 << 30,
        incomplete_expiry: Duration::from_hours(1),
        temporary_names: globset::GlobSet::empty(),
        content_type_check: causeway_core::transfer::TypeCheck::Event,
        bandwidth_up: None,
        bandwidth_down: None,
        throttle: ThrottleLimits { failures: 10, window: Duration::from_mins(1), ban: Duration::from_mins(1) },
        penalties: PenaltyLimits::default(),
        api_key_max_age: None,
        sessions: SessionLimits::default(),
        blob_grace: Duration::ZERO,
        idle_detach: Duration::from_mins(1),
        checkpoint_bytes: 64 * 1024,
        private_webhooks: false,
        delivery: causeway_core::events::DeliveryRules { max_attempts: 3, ..Default::default() },
        transfers: causeway_core::jobs::transfers::TransferSettings::default(),
        oauth: causeway_core::gateway::OAuthSettings::default(),
        audit: causeway_core::audit::AuditSettings::default(),
        tokens: causeway_core::tokens::TokenSettings::default(),
        event_sink: None,
        tracer: causeway_core::trace::Tracer::default(),
        sole_owner: true,
    };
    let storages = HashMap::from([("local".to_owned(), blobs), ("vault".to_owned(), vault)]);
    let directory = Directory::new(vec![tenant(quota)]).unwrap();
    Gateway::start(Parts {
        ledger,
        storages,
        directory,
        keys: Arc::new(NoKeyFiles),
        documents: Arc::new(causeway_core::ports::NoDocuments),
        sender: Arc::new(NoWebhooks),
        settings,
    })
    .await
}

/// A session over SFTP, where an owner sees its partial uploads.
pub async fn sftp(gateway: &Gateway, login: &str) -> Arc<Session> {
    let credential =
        Credential::PublicKey { login: login.to_owned(), key: PublicKey { blob: key_blob() }, presence: None };
    gateway.login(credential, &peer(Protocol::Sftp)).await.unwrap()
}

/// A session over REST.
pub async fn rest(gateway: &Gateway, key: &str) -> Arc<Session> {
    gateway.login(Credential::ApiKey(SecretString::from(api_key(key))), &peer(Protocol::Api)).await.unwrap()
}

fn peer(protocol: Protocol) -> Peer {
    Peer {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol,
        client_version: None,
        cipher: None,
        required_certificate: None,
    }
}

/// How a write of the ledger fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not happen.
    Refused,
    /// It happens, and its answer is lost.
    AnswerLost,
    /// The database is away from then on, having done it or not.
    Gone { done: bool },
}

/// A ledger whose nth write from now on fails.
pub struct Faulty {
    inner: Arc<dyn LedgerPort>,
    fault: Fault,
    left: AtomicI64,
}

impl Faulty {
    pub fn new(inner: Arc<dyn LedgerPort>, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, fault, left: AtomicI64::new(i64::MAX) })
    }

    /// Lets `well` writes pass before the fault.
    pub fn fail_after(&self, well: usize) {
        self.left.store(well as i64, Ordering::SeqCst);
    }

    /// Whether the fault has come.
    pub fn failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    fn away() -> Error {
        Error::new(ErrorKind::Unavailable, "the ledger cannot be reached (a fault that the test made)")
    }

    fn gone(&self) -> bool {
        matches!(self.fault, Fault::Gone { .. }) && self.failed()
    }
}

#[async_trait]
impl LedgerPort for Faulty {
    async fn write(&self, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        if self.gone() {
            return Err(Self::away());
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return self.inner.write(reach, durability, op).await;
        }
        match self.fault {
            Fault::Refused | Fault::Gone { done: false } => Err(Self::away()),
            Fault::AnswerLost | Fault::Gone { done: true } => {
                self.inner.write(reach, durability, op).await?;
                Err(Self::away())
            }
        }
    }

    async fn read(&self, reach: Reach) -> Result<Box<dyn Query>> {
        if self.gone() { Err(Self::away()) } else { self.inner.read(reach).await }
    }

    fn has_room(&self) -> Result<()> {
        self.inner.has_room()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
