//! `[events]`: how events leave the gateway, and how long the trail is kept.

use std::time::Duration;

use causeway_core::events::DeliveryRules;

use super::reader::Section;
use super::value;

const RETENTION: Duration = Duration::from_hours(2555 * 24);

/// How events leave the gateway.
#[derive(Clone, Debug)]
pub struct Events {
    /// Time for one webhook attempt.
    pub webhook_timeout: Duration,
    /// How deliveries are tried again, and when an endpoint is left alone.
    pub delivery: DeliveryRules,
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
            delivery: delivery(section),
            allow_private_addresses: section.flag("webhook_allow_private_addresses").is_some_and(|f| f.value),
        }
    }
}

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
