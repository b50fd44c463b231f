//! The ledger, timed.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::{Metrics, Timer};
use crate::error::Result;
use crate::ports::{Durability, Ledger, Query, Reach, TxOp};

/// A ledger whose transactions are timed, with what they wait for. All that the gateway does goes through it.
pub(crate) struct TimedLedger {
    inner: Arc<dyn Ledger>,
    metrics: Arc<Metrics>,
}

impl TimedLedger {
    /// This ledger, timed.
    pub(crate) fn new(inner: Arc<dyn Ledger>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl Ledger for TimedLedger {
    async fn write(&self, reach: Reach, durability: Durability, op: Arc<dyn TxOp>) -> Result<()> {
        let began = Instant::now();
        let done = self.inner.write(reach, durability, op).await;
        self.metrics.writes(durability).observe(began.elapsed());
        done.inspect_err(|error| self.metrics.ledger_failed(error))
    }

    async fn read(&self, reach: Reach) -> Result<Box<dyn Query>> {
        let began = Instant::now();
        let mut query = self.inner.read(reach).await.inspect_err(|error| self.metrics.ledger_failed(error))?;
        query.keep(Timer::since(began, self.metrics.reads()));
        Ok(query)
    }

    fn has_room(&self) -> Result<()> {
        self.inner.has_room()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
