//! The front on a real gateway, and clients that misbehave on it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::identity::{
    CertificateRules, Directory, Identity, Login, Mount, PenaltyLimits, PermissionSet, PublicKey, Require, ScopeSet,
    SessionLimits, Tenant, TenantRecord, ThrottleLimits, View, ViewEntry,
};
use causeway_core::ports::{Answer, BlobStore, Ledger, NoKeyFiles, Reach, WebhookSender};
use causeway_core::records::AuditFilter;
use causeway_core::{Credential, Parts, Peer, Protocol, Settings, VirtualPath};
use causeway_store::blobs::MemoryBlobs;
use causeway_store::ledger::SqliteLedger;
use russh::client::{self, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyBase64, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg};
use secrecy::ExposeSecret;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

mod host_keys;

use super::*;
use crate::codec::tests::{encode_init, encode_request};
use crate::codec::{FileAttributes, OpenFlags, Request};
use crate::files::Account;

/// How long a connection may take to end. Less than what a gateway that has given up a channel waits.
const PATIENCE: Duration = Duration::from_secs(20);

struct NoWebhooks;

#[async_trait]
impl WebhookSender for NoWebhooks {
    async fn post(&self, _: &causeway_core::events::Webhook, _: &[(&'static str, String)], _: Bytes) -> Answer {
        Answer::Status(200, None)
    }
}

struct AnyHost;

impl client::Handler for AnyHost {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

fn tenant(key: &PrivateKey) -> TenantRecord {
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
            username: "app".into(),
            identity: "app".into(),
            protocols: vec![Protocol::Sftp],
            password_hash: None,
            totp_secret: None,
            client_certificates: Vec::new(),
            authorized_keys: vec![PublicKey { blob: key.public_key().public_key_bytes() }.into()],
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

/// A front, and what a client needs to get in.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    ledger: Arc<dyn Ledger>,
    front: Front,
    shutdown: CancellationToken,
    key: Arc<PrivateKey>,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    async fn with(change: impl FnOnce(&mut SftpConfig)) -> Self {
        let key = generate_client_key("app").unwrap().0;
        let key = Arc::new(PrivateKey::from_openssh(key.expose_secret()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.path().join("l.db"), 0).await.unwrap());
        let settings = Settings {
            node: "test".into(),
            installation: Uuid::new_v4(),
            max_file_size: 1 << 30,
            incomplete_expiry: Duration::from_hours(1),
            temporary_names: globset::GlobSet::empty(),
            content_type_check: causeway_core::transfer::TypeCheck::Off,
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
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::new());
        let storages = HashMap::from([("memory".to_owned(), blobs)]);
        let directory = Directory::new(vec![tenant(&key)]).unwrap();
        let parts = Parts {
            ledger: ledger.clone(),
            storages,
            directory,
            keys: Arc::new(NoKeyFiles),
            documents: Arc::new(causeway_core::ports::NoDocuments),
            sender: Arc::new(NoWebhooks),
            settings,
        };
        // The second one is to be used next.
        let host_keys = [(); 2].map(|()| HostKey::generate(HostKeyKind::Ed25519).unwrap());
        let mut config = SftpConfig::new(host_keys.to_vec());
        change(&mut config);
        let front = Front::new(config, Gateway::start(parts).await.unwrap()).unwrap();
        Self { _folder: folder, ledger, front, shutdown: CancellationToken::new(), key }
    }

    /// The files of a login, as a session of the front sees them.
    pub(crate) async fn account(&self) -> Arc<Account> {
        let gateway = self.front.terms().gateway.clone();
        let key = PublicKey { blob: self.key.public_key().public_key_bytes() };
        let peer = Peer {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            protocol: Protocol::Sftp,
            client_version: None,
            cipher: None,
            required_certificate: None,
        };
        let session =
            gateway.login(Credential::PublicKey { login: "app".into(), key, presence: None }, &peer).await.unwrap();
        Arc::new(Account::new(gateway, session))
    }

    /// A client that is logged in and gives each channel this window, and its connection on the front's side.
    async fn client(&self, window: u32) -> (client::Handle<AnyHost>, JoinHandle<()>) {
        self.client_with(AnyHost, window).await
    }

    /// The same, with these callbacks.
    async fn client_with<H>(&self, callbacks: H, window: u32) -> (client::Handle<H>, JoinHandle<()>)
    where
        H: client::Handler<Error = russh::Error> + Send + 'static,
    {
        let (mut handle, serving) = self.stranger_with(callbacks, window).await;
        let key = PrivateKeyWithHashAlg::new(self.key.clone(), None);
        assert!(handle.authenticate_publickey("app", key).await.unwrap().success());
        (handle, serving)
    }

    /// The same, not logged in.
    async fn stranger(&self, window: u32) -> (client::Handle<AnyHost>, JoinHandle<()>) {
        self.stranger_with(AnyHost, window).await
    }

    async fn stranger_with<H>(&self, callbacks: H, window: u32) -> (client::Handle<H>, JoinHandle<()>)
    where
        H: client::Handler<Error = russh::Error> + Send + 'static,
    {
        let (near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(64 * 1024);
        let (front, shutdown) = (self.front.clone(), self.shutdown.clone());
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let serving = tokio::spawn(async move { front.serve(far, peer, shutdown).await });
        let config = client::Config { window_size: window, ..client::Config::default() };
        (client::connect_stream(Arc::new(config), near, callbacks).await.unwrap(), serving)
    }

    /// How many operations of this name are on record.
    async fn recorded(&self, operation: &str) -> usize {
        let filter = AuditFilter { operation: Some(operation.to_owned()), ..AuditFilter::default() };
        let mut query = self.ledger.read(Reach::Gateway).await.unwrap();
        let mut count = 0;
        for chain in query.chains().await.unwrap() {
            count += query.audit(&chain, &filter, 100).await.unwrap().len();
        }
        count
    }
}

async fn granted(channel: &mut Channel<Msg>) {
    loop {
        match timeout(PATIENCE, channel.wait()).await.unwrap() {
            Some(ChannelMsg::Success) => return,
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            other => panic!("the request is granted, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_for_a_command_and_is_gone_is_let_go() {
    let place = Place::new().await;
    let (handle, serving) = place.client(0).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, "true").await.unwrap();
    granted(&mut channel).await;
    drop((channel, handle));
    timeout(PATIENCE, serving).await.expect("the connection ends").unwrap();
    assert_eq!(place.recorded("logout").await, 1);
}

#[tokio::test]
async fn a_command_that_is_fed_is_refused() {
    let place = Place::new().await;
    let (handle, serving) = place.client(0).await;
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    granted(&mut channel).await;
    for _ in 0..600 {
        channel.data_bytes(Bytes::from_static(b"x")).await.unwrap();
    }
    // The connection is not stopped by it.
    let second = timeout(PATIENCE, handle.channel_open_session()).await.expect("the connection goes on").unwrap();
    place.shutdown.cancel();
    timeout(PATIENCE, serving).await.expect("the connection ends").unwrap();
    drop((channel, second, handle));
}

#[tokio::test]
async fn channels_without_end_end_the_connection() {
    let place = Place::new().await;
    let (handle, serving) = place.client(1 << 20).await;
    let mut opened = 0;
    while let Ok(mut channel) = timeout(PATIENCE, handle.channel_open_session()).await.unwrap() {
        opened += 1;
        assert!(opened <= 1000);
        channel.exec(false, "true").await.unwrap();
        while timeout(PATIENCE, channel.wait()).await.unwrap().is_some() {}
    }
    assert_eq!(opened, 1000);
    drop(handle);
    timeout(PATIENCE, serving).await.expect("the connection ends").unwrap();
}

#[tokio::test]
async fn what_is_cut_is_on_record_when_it_has_ended() {
    let place = Place::new().await;
    let (handle, serving) = place.client(1 << 20).await;
    let channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(false, "sftp").await.unwrap();
    let flags = OpenFlags(OpenFlags::WRITE | OpenFlags::CREAT | OpenFlags::TRUNC);
    let open = Request::Open { path: "/a".into(), flags, attributes: FileAttributes::default() };
    channel.data_bytes(encode_init(3)).await.unwrap();
    channel.data_bytes(encode_request(1, &open)).await.unwrap();
    let (mut read, _write) = channel.split();
    let mut replies = 0;
    while replies < 2 {
        if let Some(ChannelMsg::Data { .. }) = timeout(PATIENCE, read.wait()).await.unwrap() {
            replies += 1;
        }
    }
    place.shutdown.cancel();
    serving.abort();
    timeout(PATIENCE, place.front.ended()).await.expect("the connection ends");
    assert_eq!(place.recorded("logout").await, 1);
}

/// A flood of guesses fills the queue of password checks. What a client waits there is not taken off its time to log in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_other_logins_does_not_cost_the_grace() {
    const GRACE: Duration = Duration::from_secs(2);
    let place = Place::with(|config| config.login_grace = GRACE).await;
    let (gateway, begun) = (place.front.terms().gateway.clone(), Arc::new(AtomicU32::new(0)));
    let guess = move |n: u32, begun: Arc<AtomicU32>| {
        let gateway = gateway.clone();
        async move {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
            let peer =
                Peer { ip, protocol: Protocol::Sftp, client_version: None, cipher: None, required_certificate: None };
            let credential = Credential::Password { login: format!("nobody{n}"), password: "guess".into() };
            begun.fetch_add(1, Ordering::SeqCst);
            gateway.login(credential, &peer).await.unwrap_err();
        }
    };
    // As many as keep the queue busy for longer than the grace lasts.
    let start = std::time::Instant::now();
    guess(0, begun.clone()).await;
    let slots = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) as u128;
    let count = u32::try_from(2 * GRACE.as_micros() * slots / start.elapsed().as_micros()).unwrap().clamp(300, 3000);
    let (mut handle, _serving) = place.stranger(1 << 20).await;
    let flood: Vec<_> = (1..=count).map(|n| tokio::spawn(guess(n, begun.clone()))).collect();
    while begun.load(Ordering::SeqCst) <= count {
        tokio::task::yield_now().await;
    }
    let start = std::time::Instant::now();
    assert!(!handle.authenticate_password("app", "wrong").await.unwrap().success());
    assert!(start.elapsed() > GRACE, "the queue was not long enough: {:?}", start.elapsed());
    let key = PrivateKeyWithHashAlg::new(place.key.clone(), None);
    assert!(handle.authenticate_publickey("app", key).await.unwrap().success(), "there is time left");
    flood.iter().for_each(JoinHandle::abort);
}
