//! `[events]`: how events leave the gateway, and how long the trail is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::events::DeliveryRules;
use secrecy::SecretBox;

use super::reader::Section;
use super::{nats, secret, tokens, value};
use crate::syslog::Target;

const RETENTION: Duration = Duration::from_hours(2555 * 24);
const HEAD_INTERVAL: Duration = Duration::from_mins(5);

/// How events leave the gateway.
#[derive(Clone, Debug)]
pub struct Events {
    /// Time for one webhook attempt.
    pub webhook_timeout: Duration,
    /// How deliveries are tried again, and when an endpoint is left alone.
    pub delivery: DeliveryRules,
    /// Whether webhooks may go to private addresses.
    pub allow_private_addresses: bool,
    /// How long audit entries are kept.
    pub audit_retention: Duration,
    /// How often heads of the trail are signed.
    pub audit_head_interval: Duration,
    /// Where they are written to; none: in the data folder.
    pub audit_heads: Option<PathBuf>,
    /// What they are signed by; none: a key that is made in the data folder.
    pub audit_key: Option<Arc<SecretBox<[u8; 32]>>>,
    /// The collector that audit entries are sent to.
    pub syslog: Option<Target>,
    /// The stream that events are sent to.
    #[cfg_attr(not(feature = "nats"), allow(dead_code))]
    pub nats: Option<nats::Target>,
}

impl Events {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let report = section.report();
        let duration = |key, default| section.text(key, value::duration).map_or(default, |found| found.value);
        let key = section.secret_or_empty("audit_key", secret::storage_key);
        Self {
            webhook_timeout: section
                .text("webhook_timeout", value::duration)
                .map_or(Duration::from_secs(10), |f| f.value),
            delivery: delivery(section),
            allow_private_addresses: section.flag("webhook_allow_private_addresses").is_some_and(|f| f.value),
            audit_retention: duration("audit_retention", RETENTION),
            audit_head_interval: duration("audit_head_interval", HEAD_INTERVAL),
            audit_heads: section.text_or_empty("audit_heads", value::file_path).map(|f| report.path(&f.value)),
            audit_key: key.and_then(|found| tokens::bytes(&found.value?)),
            syslog: syslog(section),
            nats: nats::read(section),
        }
    }
}

/// The collector. Its port is that of RFC 5425 or RFC 6587 where none is said; the key is in the certificate's file where none is said.
fn syslog(section: &Section<'_>) -> Option<Target> {
    let file = |key| section.text_or_empty(key, value::file_path).map(|found| section.report().path(&found.value));
    let (ca, certificate, key) = (file("syslog_ca"), file("syslog_certificate"), file("syslog_key"));
    let found = section.text_or_empty("syslog", |text| value::url(text, &["tls", "tcp", "udp"]))?;
    if found.value.scheme() == "udp" {
        section.report().not_built(&found.spot, "syslog over UDP");
        return None;
    }
    let tls = found.value.scheme() == "tls";
    let identity = certificate.map(|chain| (chain.clone(), key.unwrap_or(chain)));
    if !tls && (identity.is_some() || ca.is_some()) {
        section.report().error(&found.spot, "certificates are for tls:// alone; write tls://, or take them out");
    }
    let host = found.value.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Target { tls, host, port: found.value.port().unwrap_or(if tls { 6514 } else { 601 }), ca, identity })
}

/// How deliveries are tried again, and when an endpoint is let alone.
fn delivery(section: &Section<'_>) -> DeliveryRules {
    let usual = DeliveryRules::default();
    let length = |name, usual| section.text(name, value::duration).map_or(usual, |found| found.value);
    let rules = DeliveryRules {
        max_attempts: section.number("webhook_max_attempts", 1..=1000).map_or(usual.max_attempts, |found| found.value),
        first_wait: length("webhook_first_wait", usual.first_wait),
        longest_wait: length("webhook_longest_wait", usual.longest_wait),
        breaker_failures: section
            .number("webhook_breaker_failures", 1..=1000)
            .map_or(usual.breaker_failures, |found| found.value),
        breaker_pause: length("webhook_breaker_pause", usual.breaker_pause),
        disable_after: length("webhook_disable_after", usual.disable_after),
    };
    if rules.longest_wait < rules.first_wait
        && let Some(found) = section.text("webhook_longest_wait", value::duration)
    {
        section.report().error(&found.spot, "is shorter than webhook_first_wait; make it longer, or that one shorter");
    }
    rules
}
