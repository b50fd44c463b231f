//! The gateway put together from its configuration: wire, spawn, wait to be told to stop, drain.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_api::{ConnectionInfo, OpsFront};
use causeway_core::identity::{ClientCertificate, Directory, Protocol};
use causeway_core::metrics;
#[cfg(feature = "nats")]
use causeway_core::ports::EventSink;
use causeway_core::ports::{BlobStore, Ledger};
use causeway_core::{Gateway, Parts};
use causeway_sftp::HostKey;
use causeway_store::blobs::{LocalBlobs, MemoryBlobs};
use causeway_store::ledger::{PostgresLedger, SqliteLedger};
use rustls::ServerConfig;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::audit_heads;
use crate::certificate;
use crate::config::Config;
use crate::config::database::Place;
use crate::config::node::host_name;
use crate::config::sftp::Sftp;
use crate::config::storage::Kind;
use crate::data_dir::{DataDir, make_folder};
use crate::descriptors;
use crate::documents::HttpDocuments;
use crate::failure::{Failure, Outcome};
use crate::ftps;
use crate::host_keys;
use crate::key_files::KeyFiles;
use crate::process::Process;
use crate::proxy::{Header, Proxies};
use crate::reload::{Reload, Source};
use crate::running::{self, Running};
use crate::sources::Sources;
use crate::startups::Startups;
use crate::supervisor::{Admits, Bound, Door, Supervisor, secure};
use crate::syslog::Syslog;
use crate::traces::{Export, Resource};
use crate::webhook::HttpSender;

/// Connections of the API at once; each may carry many requests.
const MAX_API_CONNECTIONS: usize = 10_000;
/// Connections of the operator's listener at once.
const MAX_OPS_CONNECTIONS: usize = 256;
/// How long SFTP or FTPS connections that were cut may take to put their end on record.
const ENDING: Duration = Duration::from_secs(5);

/// What is up, once everything is.
pub struct Up<'u> {
    /// Where SFTP listens.
    pub sftp: &'u [SocketAddr],
    /// Where FTPS with explicit TLS listens.
    pub ftps: &'u [SocketAddr],
    /// Where the API listens.
    pub api: &'u [SocketAddr],
    /// Where the operator's listener is.
    pub ops: &'u [SocketAddr],
    /// The API's URL.
    pub public_url: &'u str,
    /// The SSH host keys.
    pub host_keys: &'u [HostKey],
}

/// Runs the gateway until it gets SIGTERM or SIGINT; a second signal ends what is still open at once. `ready` is called
/// when everything is up. SIGHUP, and changes of `source`'s files, have the configuration read again.
pub async fn run<R>(config: Config, source: Source, data_dir: DataDir, ready: R) -> Outcome
where
    R: FnOnce(&Up<'_>) -> Outcome + Send,
{
    descriptors::raise();
    let mut signals = Signals::new()?;
    let mut reload = Reload::new(source, hangup()?);
    let host_keys = match &config.sftp {
        Some(sftp) => running::load_host_keys(sftp, data_dir.path()).await?,
        None => Vec::new(),
    };
    let host_certificates = host_keys::load_certificates(config.sftp.as_ref().map_or(&[], |s| &s.host_certificates))?;
    let certs = data_dir.path().join("certs");
    let (mut tls_wanted, mut tls_seen) = (Vec::new(), Vec::new());
    let mut live = |protocol| -> Outcome<Option<watch::Receiver<Arc<ServerConfig>>>> {
        let Some(wanted) = running::wanted(protocol, &config) else { return Ok(None) };
        let (sender, receiver) = watch::channel(wanted);
        tls_seen.push((protocol, receiver.clone()));
        tls_wanted.extend(running::own_mode(protocol, &config).map(|own| (protocol, own, sender)));
        certificate::live(receiver, &certs).map(Some)
    };
    let (ftps_tls, api_tls) = (live(Protocol::Ftps)?, live(Protocol::Api)?);

    // Bound before the ledger is touched, so that a taken port is told at once; nothing is accepted yet.
    let sftp = Bound::bind("sftp", config.sftp.as_ref().map_or(&[], |s| &s.listen)).await?;
    let explicit = Bound::bind("ftps", config.ftps.as_ref().map_or(&[], |f| &f.listen)).await?;
    let implicit = Bound::bind("ftps", config.ftps.as_ref().map_or(&[], |f| &f.listen_implicit)).await?;
    let api = Bound::bind("api", config.api.as_ref().map_or(&[], |a| &a.listen)).await?;
    let ops = Bound::bind("ops", config.ops.as_ref().map_or(&[], |o| &o.listen)).await?;
    let public_url = config.api.as_ref().and_then(|a| a.public_url.clone());
    let public_url = public_url.unwrap_or_else(|| derive_url(&api.addresses, &host_name()));

    let ledger = open_ledger(&config).await?;
    let storages = open_storages(&config, data_dir.installation()).await?;
    let (grace, ledger_min_free) = (config.shutdown_grace, config.database.min_free);
    let sftp_door = config.sftp.as_ref().map(|sftp| sftp_door(sftp, &config));
    let sftp_config = config.sftp.as_ref();
    let sftp_config = sftp_config.map(|sftp| running::sftp_config(sftp, host_keys.clone(), host_certificates.clone()));
    let ftps = ftps::settings(&config);
    let proxies = Proxies::new(&config.trusted_proxies);
    let api_settings = config.api.as_ref().map(|api| running::api_config(api, &config, public_url.clone()));
    let storage_names = storages.keys().cloned().collect();
    let shown = config.shown.clone();
    let mut audit = audit_heads::open(&config, running::audit_settings(&config))?;
    if let Some(target) = config.events.syslog.clone() {
        audit.sink = Some(Arc::new(Syslog::new(target)?));
    }
    #[cfg(feature = "nats")]
    let event_sink = config.events.nats.clone().map(crate::nats::JetStream::new).transpose()?;
    let traces = export(&config, data_dir.installation())?;
    let mut parts = parts(config, ledger, storages, data_dir.installation(), public_url.clone())?;
    parts.settings.audit = audit;
    parts.settings.tracer = traces.as_ref().map(Export::tracer).unwrap_or_default();
    #[cfg(feature = "nats")]
    {
        parts.settings.event_sink = event_sink.map(|sink| Arc::new(sink) as Arc<dyn EventSink>);
    }
    let gateway = Gateway::start(parts).await?;
    gateway.show_configuration(shown);
    gateway.spawn_jobs();

    let addresses = [&sftp, &explicit, &implicit, &api, &ops].map(|bound| bound.addresses.clone());
    let supervisor = Supervisor::new();
    let sftp_front = sftp_config.map(|config| causeway_sftp::Front::new(config, gateway.clone())).transpose()?;
    let sftp_running = sftp_front.clone().zip(sftp_door.as_ref().map(|door| door.sources.clone()));
    if let (Some(front), Some(mut door)) = (sftp_front.clone(), sftp_door) {
        let (shutdown, guard) = (supervisor.shutdown().clone(), gateway.clone());
        door.admits = Some(Arc::new(move |ip| guard.admits(ip)));
        supervisor.accept_by(sftp, door, move |stream, origin, startup| {
            let (front, shutdown) = (front.clone(), shutdown.clone());
            async move { front.serve_holding(stream, origin.peer.ip(), shutdown, Box::new(startup)).await }
        });
    }
    let ftps_front = ftps.zip(ftps_tls).map(|(settings, tls)| {
        let front = causeway_ftp::Front::new(settings.front, tls, gateway.clone());
        let sources = settings.door.sources.clone();
        ftps::accept(&supervisor, &front, &gateway, settings.door, [explicit, implicit]);
        (front, sources)
    });
    let mut api_front = None;
    if let Some((tls, mut api_config)) = api_tls.zip(api_settings) {
        let spool = data_dir.path().join("spool");
        make_folder(&spool)?;
        api_config.spool_dir = spool;
        // The ledger, which is in the same folder by default, stops at its own limit: forms stop well before it.
        api_config.min_free_bytes = api_config.min_free_bytes.saturating_add(ledger_min_free);
        let front = Arc::new(causeway_api::Front::new(api_config, gateway.clone()));
        api_front = Some(front.clone());
        let shutdown = supervisor.shutdown().clone();
        let guard = gateway.clone();
        let admits: Admits = Arc::new(move |ip| guard.admits(ip));
        let door = Door { admits: Some(admits), proxies: proxies.clone(), ..Door::new(MAX_API_CONNECTIONS) };
        supervisor.accept_by(api, door, move |stream, origin, _| {
            let (front, shutdown, tls) = (front.clone(), shutdown.clone(), tls.borrow().clone());
            async move {
                let Some(stream) = secure(stream, origin.peer, tls).await else { return };
                let tls = stream.get_ref().1;
                let cipher = tls.negotiated_cipher_suite().and_then(|s| s.suite().as_str()).map(ToOwned::to_owned);
                let alpn = tls.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned());
                let chain = tls.peer_certificates().unwrap_or_default();
                let certificate = ClientCertificate::new(chain.iter().map(|one| one.to_vec()));
                let info = ConnectionInfo { ip: origin.peer.ip(), cipher, alpn, certificate };
                front.serve(stream, info, shutdown).await;
            }
        });
    }
    {
        let mut sources: Vec<Arc<dyn metrics::Source>> = vec![Arc::new(Process::new(tls_seen, certs))];
        sources.extend(api_front.as_ref().map(|front: &Arc<causeway_api::Front>| front.requests()));
        let front = Arc::new(OpsFront::new(gateway.clone(), sources));
        let shutdown = supervisor.shutdown().clone();
        let door = Door { proxies, ..Door::new(MAX_OPS_CONNECTIONS) };
        supervisor.accept_by(ops, door, move |stream, origin, _| {
            let (front, shutdown) = (front.clone(), shutdown.clone());
            let info = ConnectionInfo { ip: origin.peer.ip(), cipher: None, alpn: None, certificate: None };
            async move { front.serve(stream, info, shutdown).await }
        });
    }

    let [sftp, ftps, ftps_implicit, api, ops] = &addresses;
    let named = [("sftp", sftp), ("ftps", ftps), ("ftps_implicit", ftps_implicit), ("api", api), ("ops", ops)];
    for (protocol, addresses) in named {
        for address in addresses {
            tracing::info!(protocol, %address, "listening");
        }
    }
    ready(&Up { sftp, ftps, api, ops, public_url: &public_url, host_keys: &host_keys })?;
    data_dir.announce(&announcement(&named))?;

    let mut running = Running {
        gateway: gateway.clone(),
        installation: data_dir.installation(),
        data_dir: data_dir.path().to_owned(),
        storages: storage_names,
        grace,
        public_url,
        sftp: sftp_running,
        ftps: ftps_front.clone(),
        api: api_front,
        tls: tls_wanted,
    };
    let which = serve(&mut signals, &mut reload, &mut running).await;
    let grace = running.grace;
    tracing::info!(signal = which, grace = ?grace, "stopping");
    data_dir.withdraw();
    supervisor
        .drain(grace, async {
            signals.next().await;
        })
        .await;
    if let Some(front) = sftp_front
        && timeout(ENDING, front.ended()).await.is_err()
    {
        tracing::warn!(
            "SFTP connections that were cut have not ended; what they did last is put in order at the next start"
        );
    }
    if let Some((front, _)) = ftps_front
        && timeout(ENDING, front.ended()).await.is_err()
    {
        tracing::warn!(
            "FTPS connections that were cut have not ended; what they did last is put in order at the next start"
        );
    }
    gateway.stop().await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Begins the export of traces, where there is one.
fn export(config: &Config, installation: Uuid) -> Outcome<Option<Export>> {
    let Some(target) = &config.telemetry.traces else { return Ok(None) };
    let (node, installation) = (config.node.name.clone(), installation.to_string());
    Export::start(target, Resource { node, installation, version: env!("CARGO_PKG_VERSION") }).map(Some)
}

fn announcement(named: &[(&str, &Vec<SocketAddr>)]) -> Value {
    let listed = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Value>();
    let mut said = serde_json::Map::from_iter([("pid".to_owned(), json!(std::process::id()))]);
    said.extend(named.iter().map(|(protocol, addresses)| ((*protocol).to_owned(), listed(addresses))));
    Value::Object(said)
}

/// Whom SFTP lets in. One source may have a few more connections than sessions, so that the one too many hears why it is
/// refused.
fn sftp_door(sftp: &Sftp, config: &Config) -> Door {
    let limits = &config.limits;
    Door {
        sources: Sources::new(running::sftp_sources(sftp, config)),
        startups: Some(Startups::new(sftp.max_startups, &limits.penalties.exempt)),
        proxies: Proxies::new(&config.trusted_proxies),
        header: Header::Required,
        // OpenSSH's words; lines before the identification are for this (RFC 4253 section 4.2).
        refusal: "Not allowed at this time\r\n",
        ..Door::new(sftp.max_sessions as usize)
    }
}

/// The URL of the first API listener: `localhost` where only this machine reaches it, the host's name where it listens
/// on all addresses. That name is a guess, so it is warned of.
fn derive_url(addresses: &[SocketAddr], host: &str) -> String {
    match addresses.first() {
        Some(address) if address.ip().is_loopback() => format!("https://localhost:{}", address.port()),
        Some(address) if address.ip().is_unspecified() => {
            let url = format!("https://{host}:{}", address.port());
            tracing::warn!(url, "api.public_url is not set; links use the host's name, set it to what clients use");
            url
        }
        Some(address) => format!("https://{address}"),
        None => "https://localhost".to_owned(),
    }
}

/// Opens the ledger that the configuration names, and makes it where it is missing.
async fn open_ledger(config: &Config) -> Outcome<Arc<dyn Ledger>> {
    Ok(match &config.database.place {
        Place::Sqlite(path) => {
            if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                make_folder(folder)?;
            }
            Arc::new(SqliteLedger::open(path, config.database.min_free).await?)
        }
        Place::Postgres(url) => Arc::new(PostgresLedger::connect(url).await?),
        Place::Unresolved => {
            return Err(Failure::configuration("database.url is not resolved; check without --no-secrets"));
        }
    })
}

/// Opens the ledger that is there already.
pub async fn open_existing_ledger(config: &Config) -> Outcome<Arc<dyn Ledger>> {
    if let Place::Sqlite(path) = &config.database.place
        && !path.exists()
    {
        return Err(Failure::new(format!("there is no ledger at {} yet; run `causeway serve` first", path.display())));
    }
    open_ledger(config).await
}

/// The gateway of a configuration to administer, which serves nobody and touches no storage.
pub async fn to_administer(config: Config, installation: Uuid) -> Outcome<Gateway> {
    let ledger = open_existing_ledger(&config).await?;
    let names = config.storages.iter().map(|storage| storage.name.clone());
    let storages = names.map(|name| (name, Arc::new(MemoryBlobs::new()) as Arc<dyn BlobStore>)).collect();
    // It gives out no tokens, so nobody sees whose they would be.
    let public_url = config.api.as_ref().and_then(|api| api.public_url.clone()).unwrap_or_default();
    Ok(Gateway::to_administer(parts(config, ledger, storages, installation, public_url)?).await?)
}

/// The id that marks the storages as this gateway's. All nodes that share a ledger are one gateway: for PostgreSQL it
/// follows from where the database is, for SQLite it is the data folder's.
fn gateway_id(place: &Place, installation: Uuid) -> Uuid {
    let Place::Postgres(url) = place else { return installation };
    let Ok(url) = reqwest::Url::parse(url.expose_secret()) else { return installation };
    let name = format!("{}:{}{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(5432), url.path());
    let digest = Sha256::new().chain_update(b"causeway gateway id\0").chain_update(name.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

async fn open_storages(config: &Config, installation: Uuid) -> Outcome<HashMap<String, Arc<dyn BlobStore>>> {
    let gateway = gateway_id(&config.database.place, installation);
    let mut storages: HashMap<String, Arc<dyn BlobStore>> = HashMap::new();
    for storage in &config.storages {
        let in_storage =
            |e: causeway_core::Error| Failure::step(format_args!("storage `{}`", storage.name), e.message());
        let store: Arc<dyn BlobStore> = match &storage.kind {
            Kind::Local(root) => Arc::new(LocalBlobs::open(root).map_err(in_storage)?.named(&storage.name)),
            Kind::Memory => Arc::new(MemoryBlobs::new()),
            Kind::S3 => return Err(Failure::configuration("a storage of kind \"s3\" is not built yet")),
        };
        store.claim(gateway).await.map_err(in_storage)?;
        storages.insert(storage.name.clone(), store);
    }
    Ok(storages)
}

fn parts(
    config: Config,
    ledger: Arc<dyn Ledger>,
    storages: HashMap<String, Arc<dyn BlobStore>>,
    installation: Uuid,
    public_url: String,
) -> Outcome<Parts> {
    let keys = Arc::new(KeyFiles::new(&config.folder));
    let settings = running::settings(&config, installation, public_url);
    let directory = Directory::new(config.tenants).map_err(|e| Failure::configuration(e.to_string()))?;
    let sender = HttpSender::new(config.events.webhook_timeout, config.events.allow_private_addresses);
    let documents = Arc::new(HttpDocuments::new(config.tokens.private_issuers));
    Ok(Parts { ledger, storages, directory, keys, documents, sender: Arc::new(sender), settings })
}

/// Reads the configuration again as often as that is due, until a signal to stop comes.
async fn serve(signals: &mut Signals, reload: &mut Reload, running: &mut Running) -> &'static str {
    let mut known = running.gateway().watch_known();
    running.follow_known();
    loop {
        let cause = {
            let mut due = std::pin::pin!(reload.due());
            loop {
                tokio::select! {
                    which = signals.next() => return which,
                    cause = &mut due => break cause,
                    Ok(()) = known.changed() => running.follow_known(),
                }
            }
        };
        tokio::select! {
            which = signals.next() => return which,
            () = reload.run(cause, running) => {}
        }
    }
}

/// SIGHUP. From here on it does not end the process any more.
fn hangup() -> Outcome<Signal> {
    signal(SignalKind::hangup()).map_err(|e| Failure::step("signals cannot be watched", e))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Outcome<Self> {
        let failed = |e: std::io::Error| Failure::step("signals cannot be watched", e);
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_follows_from_the_listener() {
        let url = |address: &str| derive_url(&[address.parse().unwrap()], "gw-1.example");
        assert_eq!(url("127.0.0.1:8443"), "https://localhost:8443");
        assert_eq!(url("[::1]:8443"), "https://localhost:8443");
        assert_eq!(url("[::]:8443"), "https://gw-1.example:8443");
        assert_eq!(url("0.0.0.0:8443"), "https://gw-1.example:8443");
        assert_eq!(url("192.0.2.1:443"), "https://192.0.2.1:443");
        assert_eq!(url("[2001:db8::1]:443"), "https://[2001:db8::1]:443");
    }

    #[test]
    fn nodes_of_one_database_are_one_gateway() {
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let postgres = |url: &str| Place::Postgres(url.to_owned().into());
        let id = gateway_id(&postgres("postgres://u:p@db/causeway"), a);
        assert_eq!(id, gateway_id(&postgres("postgres://v:q@db:5432/causeway?sslmode=require"), b));
        assert_ne!(id, gateway_id(&postgres("postgres://u:p@db/other"), a));
        assert_eq!(gateway_id(&Place::Sqlite("x".into()), a), a);
    }

    #[test]
    fn the_announcement_names_all_listeners() {
        let (address, none) = (vec!["127.0.0.1:1".parse().unwrap()], Vec::new());
        let value = announcement(&[("sftp", &address), ("api", &none)]);
        assert_eq!(value["sftp"][0], "127.0.0.1:1");
        assert_eq!(value["api"], json!([]));
        assert_eq!(value["pid"], std::process::id());
    }
}
