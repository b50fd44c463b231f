//! How the endpoint of a webhook fares, as the ledger keeps it: one word for all nodes.

use super::Micros;

/// How an endpoint fares. Where the ledger has no row of it nothing has failed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookHealth {
    /// `tenant/webhook`.
    pub webhook: String,
    /// Failed attempts since the last one that was accepted.
    pub failures: i64,
    /// When the first of them failed.
    pub failing_since: Option<Micros>,
    /// The circuit is open until then, and half open from then on; none: it is closed.
    pub probe_at: Option<Micros>,
    /// How often in a row it was opened.
    pub trips: i64,
    /// Since when nothing is sent at all; none: it is.
    pub disabled_at: Option<Micros>,
    /// Why.
    pub disabled_why: Option<String>,
    /// When this was written.
    pub changed_at: Micros,
}

/// What goes to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Everything.
    Closed,
    /// Nothing, until then.
    Open {
        /// When one attempt is made to see whether it is there again.
        until: Micros,
    },
    /// One attempt.
    HalfOpen,
}

impl Circuit {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl WebhookHealth {
    /// Of an endpoint of which nothing is known.
    pub fn new(webhook: &str) -> Self {
        Self { webhook: webhook.to_owned(), ..Self::default() }
    }

    /// Its circuit at a moment.
    pub fn circuit(&self, now: Micros) -> Circuit {
        match self.probe_at {
            None => Circuit::Closed,
            Some(until) if until > now => Circuit::Open { until },
            Some(_) => Circuit::HalfOpen,
        }
    }
}
