//! The gateway that runs, and how it goes on with another configuration: what of it can change without a restart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use causeway_api::ApiConfig;
use causeway_core::audit::AuditSettings;
use causeway_core::identity::{Protocol, ThrottleLimits};
use causeway_core::tokens::TokenSettings;
use causeway_core::trace::Tracer;
use causeway_core::{Gateway, Settings};
use causeway_sftp::{HostCertificate, HostKey, SftpConfig};
use tokio::sync::watch;
use uuid::Uuid;

use crate::certificate::{Wanted, server_config};
use crate::client_certificates::handshake::Asked;
use crate::config::Config;
use crate::config::api::Api;
use crate::config::database::Place;
use crate::config::sftp::Sftp;
use crate::failure::{Failure, Outcome};
use crate::sources::Sources;
use crate::{ftps, host_keys};

/// What runs, as far as another configuration changes it.
pub struct Running {
    /// Core.
    pub gateway: Arc<Gateway>,
    /// See [`Settings::installation`].
    pub installation: Uuid,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The names of the storages that are open.
    pub storages: BTreeSet<String>,
    /// How long connections may go on after SIGTERM.
    pub grace: Duration,
    /// Under which URL clients find the API.
    pub public_url: String,
    /// SFTP, and the places of its sources.
    pub sftp: Option<(causeway_sftp::Front, Sources)>,
    /// FTPS, the same.
    pub ftps: Option<(causeway_ftp::Front, Sources)>,
    /// The API.
    pub api: Option<Arc<causeway_api::Front>>,
    /// What the listeners of FTPS and of the API are to speak, and whether they ask for certificates, which stays as at the start.
    pub tls: Vec<(Protocol, Asked, watch::Sender<Wanted>)>,
}

impl Running {
    /// Core.
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Goes on with this configuration, as far as it can without a restart. Where it fails everything is as it was.
    pub async fn adopt(&mut self, mut config: Config) -> Outcome {
        self.check_storages(&config)?;
        let sftp = match (&self.sftp, &config.sftp) {
            (Some((front, sources)), Some(sftp)) => {
                let keys = load_host_keys(sftp, &self.data_dir).await?;
                let certificates = host_keys::load_certificates(&sftp.host_certificates)?;
                let limit = sftp_sources(sftp, &config);
                Some((front.prepare(sftp_config(sftp, keys, certificates))?, limit, front.clone(), sources.clone()))
            }
            _ => None,
        };
        let mut tls = Vec::new();
        for (protocol, _, now) in &self.tls {
            let asked = now.borrow().asked;
            let Some(wanted) = wanted(*protocol, &config).map(|wanted| Wanted { asked, ..wanted }) else { continue };
            if *now.borrow() != wanted {
                server_config(&wanted.tls, &self.data_dir.join("certs"), wanted.asked)?;
                tls.push((now.clone(), wanted));
            }
        }
        let settings = settings(&config, self.installation, self.public_url.clone());
        let ftps = ftps::settings(&config);
        let api = config.api.as_ref().map(|api| api_config(api, &config, self.public_url.clone()));
        let tenants = std::mem::take(&mut config.tenants);
        let shown = std::mem::take(&mut config.shown);
        self.gateway.declare(tenants).await.map_err(|error| Failure::configuration(error.message()))?;
        // Nothing fails from here on.
        self.gateway.adopt(settings).await;
        self.gateway.show_configuration(shown);
        if let Some((prepared, limit, front, sources)) = sftp {
            front.adopt(prepared);
            sources.set_limit(limit);
        }
        if let (Some((front, sources)), Some(settings)) = (&self.ftps, ftps) {
            front.adopt(settings.front);
            sources.set_limit(settings.door.sources.limit());
        }
        if let (Some(front), Some(api)) = (&self.api, api) {
            front.adopt(&api);
        }
        for (now, wanted) in tls {
            now.send_replace(wanted);
        }
        self.follow_known();
        self.grace = config.shutdown_grace;
        Ok(())
    }

    /// Asks for certificates from now on where somebody who is known takes one, and from nobody else.
    pub fn follow_known(&self) {
        for (protocol, own, now) in &self.tls {
            let asked = in_use(*own, self.gateway.takes_client_certificates(*protocol));
            now.send_if_modified(|wanted| std::mem::replace(&mut wanted.asked, asked) != asked);
        }
    }

    /// A tenant whose files would have no place cannot come.
    fn check_storages(&self, config: &Config) -> Outcome {
        let mounts =
            config.tenants.iter().flat_map(|tenant| tenant.tenant.mounts.iter().map(move |mount| (tenant, mount)));
        for (tenant, mount) in mounts {
            if !self.storages.contains(&mount.storage) {
                return Err(Failure::configuration(format!(
                    "the mount at \"{}\" of tenant `{}` is in the storage `{}`, which is opened at a start alone; restart the \
                     gateway, or name another storage",
                    mount.at.as_str(),
                    tenant.tenant.id,
                    mount.storage
                )));
            }
        }
        Ok(())
    }
}

/// What the listener of a protocol is to speak; none where it is switched off.
pub fn wanted(protocol: Protocol, config: &Config) -> Option<Wanted> {
    let own = own_mode(protocol, config)?;
    Some(Wanted { tls: config.tls.clone(), asked: in_use(own, takes_any(config, protocol)) })
}

/// How the configuration says that clients are asked for a certificate; none where the protocol has none, or is switched off.
pub fn own_mode(protocol: Protocol, config: &Config) -> Option<Asked> {
    match protocol {
        Protocol::Ftps => Some(config.ftps.as_ref()?.client_certificates),
        Protocol::Api => Some(config.api.as_ref()?.client_certificates),
        Protocol::Sftp | Protocol::Scp | Protocol::Transfer | Protocol::Gateway => None,
    }
}

fn takes_any(config: &Config, protocol: Protocol) -> bool {
    config.tenants.iter().flat_map(|tenant| &tenant.logins).any(|login| login.takes_client_certificates(protocol))
}

/// Whether clients are asked for a certificate. Where that is optional they are asked only if a login takes any: some old
/// clients do not know what to answer.
fn in_use(asked: Asked, taken: bool) -> Asked {
    if asked == Asked::Optional && !taken { Asked::Off } else { asked }
}

/// The host keys of the configuration, or generated ones.
pub async fn load_host_keys(sftp: &Sftp, data_dir: &Path) -> Outcome<Vec<HostKey>> {
    let (configured, folder) = (sftp.host_keys.clone(), data_dir.join("keys"));
    let loaded = tokio::task::spawn_blocking(move || host_keys::load(&configured, &folder)).await;
    loaded.map_err(|e| Failure::step("the host keys cannot be loaded", e))?
}

/// The settings of SFTP's front.
pub fn sftp_config(sftp: &Sftp, host_keys: Vec<HostKey>, host_certificates: Vec<HostCertificate>) -> SftpConfig {
    SftpConfig {
        host_keys,
        host_certificates,
        banner: Some(sftp.banner.clone()).filter(|text| !text.is_empty()),
        login_grace: sftp.login_grace,
        idle_timeout: sftp.idle_timeout,
        max_auth_tries: sftp.max_auth_tries as usize,
        algorithms: sftp.algorithms.clone(),
        rekey_bytes: sftp.rekey_bytes,
        rekey_time: sftp.rekey_time,
        compression: sftp.compression,
        keepalive: sftp.keepalive,
        max_channels: sftp.max_channels as usize,
        max_handles: sftp.max_handles as usize,
        scp: sftp.scp,
    }
}

/// Connections of SFTP that one source may have: a few more than sessions, so that the one too many hears why it is refused.
pub fn sftp_sources(sftp: &Sftp, config: &Config) -> usize {
    let sessions = config.limits.sessions.per_address.map_or(usize::MAX, |sessions| sessions as usize);
    sessions.saturating_add(sftp.max_startups.full as usize)
}

/// The settings of the API's front; its spool is to follow.
pub fn api_config(api: &Api, config: &Config, public_url: String) -> ApiConfig {
    ApiConfig {
        certificate_required: api.client_certificates == Asked::Required,
        cors_origins: api.cors_origins.clone(),
        header_timeout: api.header_timeout,
        body_timeout: api.body_timeout,
        body_min_rate: api.body_min_rate,
        body_grace: api.body_grace,
        idle_timeout: api.idle_timeout,
        signature_window: api.signature_window,
        signature_hosts: api.public_url.is_some().then(|| api.signature_hosts.clone()),
        trusted_proxies: config.trusted_proxies.clone(),
        event_heartbeat: api.event_heartbeat,
        event_stream_time: api.event_stream_time,
        event_streams_per_identity: api.event_streams_per_identity,
        requests_per_minute: config.limits.requests_per_minute,
        requests_per_minute_per_address: config.limits.requests_per_minute_per_address,
        ..ApiConfig::new(public_url, "")
    }
}

/// What core does with the trail, but for what is outside of the configuration: keys, and what was signed before.
pub fn audit_settings(config: &Config) -> AuditSettings {
    AuditSettings {
        head_interval: config.events.audit_head_interval,
        retention: Some(config.events.audit_retention),
        ..AuditSettings::default()
    }
}

/// The rules of core.
pub fn settings(config: &Config, installation: Uuid, public_url: String) -> Settings {
    Settings {
        node: config.node.name.clone(),
        installation,
        max_file_size: config.limits.max_file_size,
        incomplete_expiry: config.uploads.incomplete_expiry,
        temporary_names: config.uploads.temporary_names.clone(),
        content_type_check: config.uploads.content_type_check,
        bandwidth_up: config.limits.bandwidth_up,
        bandwidth_down: config.limits.bandwidth_down,
        throttle: ThrottleLimits {
            failures: config.limits.failed_logins,
            window: config.limits.failed_logins_window,
            ban: config.limits.ban,
        },
        penalties: config.limits.penalties.clone(),
        api_key_max_age: config.api.as_ref().and_then(|api| api.key_max_age),
        sessions: config.limits.sessions,
        blob_grace: config.uploads.blob_grace,
        idle_detach: config.uploads.idle_detach,
        checkpoint_bytes: config.uploads.checkpoint,
        private_webhooks: config.events.allow_private_addresses,
        delivery: config.events.delivery.clone(),
        transfers: config.transfers.clone(),
        oauth: config.oauth,
        tokens: TokenSettings {
            issuer: public_url,
            key_rotation: config.tokens.key_rotation,
            encryption_key: config.tokens.encryption_key.clone(),
        },
        audit: audit_settings(config),
        event_sink: None,
        tracer: Tracer::default(),
        sole_owner: matches!(config.database.place, Place::Sqlite(_)),
    }
}
