//! A gateway for fuzz targets of whole sessions: its content in memory, its ledger in a file that is gone with it, and one
//! login that owns everything.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::identity::{
    CertificateRules, Directory, Identity, Login, Mount, PenaltyLimits, PermissionSet, PublicKey, Require, ScopeSet,
    SessionLimits, Tenant, TenantRecord, ThrottleLimits, View, ViewEntry,
};
use causeway_core::namespace::Target;
use causeway_core::ports::{Answer, BlobStore, Ledger, NoKeyFiles, WebhookSender};
use causeway_core::records::Attributes;
use causeway_core::transfer::Disposition;
use causeway_core::{
    Credential, Gateway, Parts, Peer, Protocol, Result, Session, Settings, UploadOptions, VirtualPath,
};
use causeway_store::blobs::MemoryBlobs;
use causeway_store::ledger::SqliteLedger;

/// Argon2id of `secret` at its least cost: nothing is protected here, and a guess should take no time.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$eOxOrtir1SM$MKOdIjtXK+UYc2PTY1wUmw";
/// What the login's key is; nobody signs with it.
const KEY: &[u8] = b"\x00\x00\x00\x0bssh-ed25519";

struct NoWebhooks;

#[async_trait]
impl WebhookSender for NoWebhooks {
    async fn post(&self, _: &causeway_core::events::Webhook, _: &[(&'static str, String)], _: Bytes) -> Answer {
        Answer::Status(200, None)
    }
}

/// A gateway, and the folder of its ledger.
pub struct Scratch {
    pub gateway: Arc<Gateway>,
    _folder: tempfile::TempDir,
}

impl Scratch {
    /// A new one.
    pub async fn new() -> Self {
        // In memory where the system has such a folder: every run waits for the ledger's disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let ledger = SqliteLedger::open(&folder.path().join("ledger.db"), 0).await.expect("a ledger");
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::new());
        let settings = Settings {
            node: "fuzz".into(),
            installation: uuid::Uuid::nil(),
            max_file_size: 1 << 30,
            incomplete_expiry: Duration::from_hours(1),
            temporary_names: globset::GlobSet::empty(),
            content_type_check: causeway_core::transfer::TypeCheck::Event,
            bandwidth_up: None,
            bandwidth_down: None,
            throttle: ThrottleLimits { failures: 0, window: Duration::from_mins(1), ban: Duration::from_mins(1) },
            penalties: PenaltyLimits::default(),
            api_key_max_age: None,
            sessions: SessionLimits::default(),
            blob_grace: Duration::ZERO,
            idle_detach: Duration::from_hours(1),
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
        let parts = Parts {
            ledger,
            storages: HashMap::from([("memory".to_owned(), blobs)]),
            directory: Directory::new(vec![tenant()]).expect("a directory"),
            keys: Arc::new(NoKeyFiles),
            documents: Arc::new(causeway_core::ports::NoDocuments),
            sender: Arc::new(NoWebhooks),
            settings,
        };
        Self { gateway: Gateway::start(parts).await.expect("a gateway"), _folder: folder }
    }

    /// A session of the login `app`, whose password is `secret`.
    pub async fn session(&self, protocol: Protocol) -> Arc<Session> {
        let peer = Peer {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            protocol,
            client_version: None,
            cipher: None,
            required_certificate: None,
        };
        let credential =
            Credential::PublicKey { login: "app".into(), key: PublicKey { blob: KEY.to_vec() }, presence: None };
        self.gateway.login(credential, &peer).await.expect("the login is right")
    }

    /// Makes everything as it was in the beginning: a file `/f`, a folder `/d` with a file in it, and no more.
    pub async fn tidy(&self) {
        let session = self.session(Protocol::Ftps).await;
        self.empty(&session, VirtualPath::root()).await.expect("everything can be removed");
        let folder = path("/d");
        self.gateway.make_folder(&session, &folder, Attributes::default()).await.expect("a folder");
        for (name, content) in [("/f", &b"content of a file"[..]), ("/d/g", &[7; 9_000])] {
            let options = UploadOptions::new(Disposition::Replace);
            let upload = self.gateway.begin_upload(&session, &path(name), options).await.expect("an upload");
            upload.write_at(0, Bytes::copy_from_slice(content)).await.expect("room");
            upload.commit().await.expect("a file");
        }
        self.gateway.close_session(&session).await;
    }

    async fn empty(&self, session: &Arc<Session>, folder: VirtualPath) -> Result<()> {
        let mut folders = vec![folder.clone()];
        let mut seen = 0;
        while let Some(next) = folders.get(seen).cloned() {
            seen += 1;
            let mut listing = self.gateway.list(session, &next, None).await?;
            loop {
                let page = listing.next(100).await?;
                if page.is_empty() {
                    break;
                }
                for entry in page {
                    if entry.folder {
                        folders.push(entry.path);
                    } else {
                        self.gateway.remove_file(session, &Target::Path(entry.path)).await?;
                    }
                }
            }
        }
        for folder in folders.into_iter().skip(1).rev() {
            self.gateway.remove_folder(session, &folder).await?;
        }
        Ok(())
    }
}

fn path(text: &str) -> VirtualPath {
    VirtualPath::parse(text).expect("a path")
}

fn tenant() -> TenantRecord {
    let root = VirtualPath::root;
    let all = ViewEntry { at: root(), path: root(), permissions: PermissionSet::all() };
    TenantRecord {
        tenant: Tenant {
            id: "acme".into(),
            quota: None,
            mounts: vec![Mount { at: root(), storage: "memory".into(), path: "acme".into() }],
            certificates: CertificateRules::default(),
            classifications: Tenant::default_classifications(),
        },
        identities: vec![Identity {
            id: "app".into(),
            scopes: ScopeSet::all(),
            quota: None,
            view: View::new(vec![all]),
        }],
        logins: vec![Login {
            client_certificates: Vec::new(),
            username: "app".into(),
            identity: "app".into(),
            protocols: vec![Protocol::Sftp, Protocol::Ftps],
            password_hash: Some(PASSWORD_HASH.to_owned().into()),
            totp_secret: None,
            authorized_keys: vec![PublicKey { blob: KEY.to_vec() }.into()],
            authorized_keys_file: None,
            require: Require::Any,
            allow_from: Vec::new(),
            home: root(),
        }],
        mappings: Vec::new(),
        issuers: Vec::new(),
        api_keys: Vec::new(),
        oauth_clients: Vec::new(),
        webhooks: Vec::new(),
    }
}
