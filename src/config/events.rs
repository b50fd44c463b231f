//! `[events]`: how events leave the gateway, and how long the trail is kept.

use std::time::Duration;

use super::reader::Section;
use super::value;

const RETENTION: Duration = Duration::from_hours(2555 * 24);

/// How events leave the gateway.
#[derive(Clone, Debug)]
pub struct Events {
    /// Time for one webhook attempt.
    pub webhook_timeout: Duration,
    /// Attempts before a delivery is given up.
    pub webhook_max_attempts: u32,
    /// Whether webhooks may go to private addresses.
    pub allow_private_addresses: bool,
}

impl Events {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let report = section.report();
        if let Some(found) = section.text_or_empty("nats_url", |text| value::url(text, &["nats", "tls"])) {
            report.not_built(&found.spot, "the JetStream sink");
        }
        if let Some(found) = section.text_or_empty("syslog", |text| value::url(text, &["tls", "tcp", "udp"])) {
            report.not_built(&found.spot, "the syslog sink");
        }
        match section.text("audit_retention", value::duration) {
            Some(found) if found.value == RETENTION => {
                report.without_effect(&found.spot, "the removal of old audit entries");
            }
            Some(found) => {
                report.not_built(&found.spot, "the removal of old audit entries");
            }
            None => {}
        }
        Self {
            webhook_timeout: section
                .text("webhook_timeout", value::duration)
                .map_or(Duration::from_secs(10), |f| f.value),
            webhook_max_attempts: section.number("webhook_max_attempts", 1..=1000).map_or(12, |f| f.value),
            allow_private_addresses: section.flag("webhook_allow_private_addresses").is_some_and(|f| f.value),
        }
    }
}
