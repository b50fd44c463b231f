//! What an operator's scraper is told: what was counted, and what is so at this moment.

use std::time::Duration;

use tokio::time::timeout;

use super::inner::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Protocol;
use crate::metrics::{Family, Kind, Unit, Value, age};
use crate::ports::Reach;
use crate::records::{Backlog, WebhookHealth, now};

/// So far what waits in the ledger is counted.
const MOST: u32 = 100_000;
/// So long a scrape waits for the ledger: what else there is to tell matters most where that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

impl Inner {
    /// See [`super::Gateway::measured`].
    pub(crate) async fn measured(&self) -> Vec<Family> {
        let mut families = self.metrics.families();
        families.push(self.sessions_now());
        let away = |_| Error::new(ErrorKind::Unavailable, "the ledger does not answer in time");
        let waiting = timeout(PATIENCE, self.waiting()).await.map_err(away).flatten();
        let up = if waiting.is_ok() { 1.0 } else { 0.0 };
        families.push(Family::gauge("causeway_ledger_up", "Whether the ledger answered this scrape.", up));
        match waiting {
            Ok((backlog, healths)) => {
                families.extend(of_backlog(&backlog));
                families.push(self.circuits(&healths));
            }
            Err(error) => tracing::warn!(%error, "what waits in the ledger could not be measured"),
        }
        families
    }

    async fn waiting(&self) -> Result<(Backlog, Vec<WebhookHealth>)> {
        let mut query = self.ledger.read(Reach::Gateway).await?;
        Ok((query.backlog(MOST).await?, query.webhook_healths(None).await?))
    }

    fn sessions_now(&self) -> Family {
        let live = self.live.all();
        let family =
            Family::new("causeway_sessions", "Sessions that are here, and API requests under way.", Kind::Gauge);
        [Protocol::Sftp, Protocol::Ftps, Protocol::Api].into_iter().fold(family, |family, protocol| {
            let count = live.iter().filter(|session| session.protocol == protocol).count();
            family.with([("protocol", protocol.as_str().into())], Value::Number(count as f64))
        })
    }

    /// Of the webhooks that there are now: one that was removed is not told of any more.
    fn circuits(&self, healths: &[WebhookHealth]) -> Family {
        let hooks = self.hooks.borrow().clone();
        let name = "causeway_webhook_circuit";
        let mut family = Family::new(name, "1 for the state that a webhook's circuit is in.", Kind::Gauge);
        for hook in hooks.iter() {
            let key = hook.key();
            let health = healths.iter().find(|health| health.webhook == key);
            let is = match health {
                Some(health) if health.disabled_at.is_some() => "disabled",
                Some(health) => health.circuit(now()).as_str(),
                None => "closed",
            };
            for state in ["closed", "open", "half_open", "disabled"] {
                let labels = [
                    ("tenant", hook.tenant.to_string().into()),
                    ("webhook", hook.id.to_string().into()),
                    ("state", state.into()),
                ];
                family = family.with(labels, Value::Number(if state == is { 1.0 } else { 0.0 }));
            }
        }
        family
    }
}

/// The ledger's own numbers: every node of a cluster tells the same.
fn of_backlog(backlog: &Backlog) -> Vec<Family> {
    let seconds =
        |name, help, at| Family::new(name, help, Kind::Gauge).of(Unit::Seconds).with([], Value::Number(age(at)));
    let jobs = [("queued", backlog.queued), ("running", backlog.running), ("retrying", backlog.retrying)];
    let jobs = jobs.into_iter().fold(
        Family::new("causeway_jobs", "Background transfers that have not ended, counted up to 100000.", Kind::Gauge),
        |family, (state, count)| family.with([("state", state.into())], Value::Number(count as f64)),
    );
    vec![
        Family::gauge(
            "causeway_outbox_deliveries",
            "Webhook deliveries that wait, counted up to 100000.",
            backlog.deliveries as f64,
        ),
        seconds(
            "causeway_outbox_oldest_delivery_age",
            "How long the oldest of them has waited since its event.",
            backlog.oldest_delivery,
        ),
        Family::gauge(
            "causeway_webhook_dead_letters",
            "Webhook deliveries that were given up and are kept, counted up to 100000.",
            backlog.dead as f64,
        ),
        Family::gauge(
            "causeway_audit_unsealed_entries",
            "Audit entries that wait for their seal, counted up to 100000.",
            backlog.unsealed as f64,
        ),
        seconds("causeway_audit_unsealed_age", "How long the oldest of them has waited.", backlog.oldest_unsealed),
        Family::gauge(
            "causeway_events_unpositioned",
            "Events that wait for their position, counted up to 100000.",
            backlog.unpositioned as f64,
        ),
        seconds(
            "causeway_events_unpositioned_age",
            "How long the oldest of them has waited.",
            backlog.oldest_unpositioned,
        ),
        jobs,
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::super::fake;
    use super::*;
    use crate::jobs::fake_ledger::FakeLedger;

    fn names(families: &[Family]) -> Vec<&'static str> {
        families.iter().map(|family| family.name).collect()
    }

    #[tokio::test]
    async fn a_ledger_that_is_away_takes_its_own_numbers_alone() {
        let ledger = Arc::new(FakeLedger::default());
        let inner = Inner::new(fake::parts(ledger.clone(), Vec::new()));
        let up = |families: &[Family]| {
            families
                .iter()
                .find(|family| family.name == "causeway_ledger_up")
                .unwrap()
                .samples
                .first()
                .cloned()
                .unwrap()
        };
        let there = inner.measured().await;
        assert_eq!(up(&there).value, Value::Number(1.0));
        assert!(names(&there).contains(&"causeway_outbox_deliveries"));
        ledger.set_away(true);
        let away = inner.measured().await;
        assert_eq!(up(&away).value, Value::Number(0.0));
        assert!(!names(&away).contains(&"causeway_outbox_deliveries"));
        assert!(names(&away).contains(&"causeway_logins"));
    }

    #[tokio::test]
    async fn no_name_is_told_twice() {
        let inner = Inner::new(fake::parts(Arc::default(), Vec::new()));
        let mut names = names(&inner.measured().await);
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
