//! The FTPS front put together: its settings, its doors, its two listeners.

use std::sync::Arc;

use causeway_core::Gateway;
use causeway_ftp::{DataRules, Ends, Front, FtpsConfig, Start};

use crate::client_certificates::handshake::Asked;
use crate::config::Config;
use crate::proxy::{Header, Origin, Proxies};
use crate::sources::Sources;
use crate::startups::Startups;
use crate::supervisor::{Bound, Door, Supervisor};

/// What a client of the listener in clear hears that is turned away. The other one's awaits TLS: it hears nothing.
const REFUSAL: &str = "421 not now; come back later\r\n";

/// The front's settings, and whom it lets in.
pub struct Settings {
    /// With the rules of the logins that have some of their own.
    pub front: FtpsConfig,
    /// Of the two listeners together.
    pub door: Door,
}

/// What the configuration says; none where FTPS is not switched on.
pub fn settings(config: &Config) -> Option<Settings> {
    let ftps = config.ftps.as_ref()?;
    let data = DataRules { session_reuse: ftps.session_reuse, close_notify: ftps.close_notify };
    let logins = config.ftps_logins.iter().map(|(login, rules)| {
        let rules = DataRules {
            session_reuse: rules.session_reuse.unwrap_or(data.session_reuse),
            close_notify: rules.close_notify.unwrap_or(data.close_notify),
        };
        (login.clone(), rules)
    });
    let per_source = config.limits.sessions.per_address.map_or(usize::MAX, |sessions| sessions as usize);
    let door = Door {
        // A few more than sessions, so that the one too many hears why it is refused.
        sources: Sources::new(per_source.saturating_add(ftps.max_startups.full as usize)),
        startups: Some(Startups::new(ftps.max_startups, &config.limits.penalties.exempt)),
        proxies: Proxies::new(&config.trusted_proxies),
        header: Header::Required,
        ..Door::new(ftps.max_sessions as usize)
    };
    let front = FtpsConfig {
        banner: ftps.banner.clone(),
        passive_ports: ftps.passive_ports.clone(),
        passive_address: ftps.passive_address,
        passive_addresses: ftps.passive_addresses.clone(),
        active_mode: ftps.active_mode,
        mode_z: ftps.mode_z,
        data,
        logins: logins.collect(),
        login_grace: ftps.login_grace,
        line_timeout: ftps.line_timeout,
        idle_timeout: ftps.idle_timeout,
        stall_timeout: ftps.stall_timeout,
        data_timeout: ftps.data_timeout,
        max_auth_tries: ftps.max_auth_tries,
        certificate_required: ftps.client_certificates == Asked::Required,
        forwarders: Arc::new(Proxies::new(&config.trusted_proxies)),
    };
    Some(Settings { front, door })
}

/// Accepts on both listeners, explicit and implicit.
pub fn accept(supervisor: &Supervisor, front: &Front, gateway: &Arc<Gateway>, door: Door, bound: [Bound; 2]) {
    for (bound, start) in bound.into_iter().zip([Start::Explicit, Start::Implicit]) {
        let (front, shutdown, guard) = (front.clone(), supervisor.shutdown().clone(), gateway.clone());
        let door = Door {
            admits: Some(Arc::new(move |ip| guard.admits(ip))),
            refusal: if start == Start::Explicit { REFUSAL } else { "" },
            ..door.clone()
        };
        supervisor.accept_by(bound, door, move |stream, origin, startup| {
            let (front, shutdown) = (front.clone(), shutdown.clone());
            let Origin { peer, local, reached } = origin;
            async move { front.serve(stream, Ends { peer, local, reached }, start, shutdown, Box::new(startup)).await }
        });
    }
}
