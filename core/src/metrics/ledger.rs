//! The ledger, timed; and its work kept where it was asked for in a trace.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::{Metrics, Timer};
use crate::error::Result;
use crate::ports::{Durability, Ledger, Query, Reach, Tx, TxOp};
use crate::trace::{TraceContext, current, placed};

/// The work of a transaction, where it was asked for in a trace. Whoever holds the writer of a ledger does what others have handed in,
/// too: what that puts on record must not get into the holder's trace, which may be another tenant's.
struct Placed {
    trace: Option<TraceContext>,
    op: Arc<dyn TxOp>,
}

impl TxOp for Placed {
    fn run<'t>(&'t self, tx: &'t mut dyn Tx) -> BoxFuture<'t, Result<()>> {
        Box::pin(placed(self.trace.clone(), self.op.run(tx)))
    }
}

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
        let op = Arc::new(Placed { trace: current(), op });
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::jobs::fake_ledger::FakeLedger;
    use crate::trace::scope;

    /// A ledger that only keeps what is handed in.
    #[derive(Default)]
    struct Waiting(Mutex<Vec<Arc<dyn TxOp>>>);

    #[async_trait]
    impl Ledger for Waiting {
        async fn write(&self, _: Reach, _: Durability, op: Arc<dyn TxOp>) -> Result<()> {
            self.0.lock().unwrap().push(op);
            Ok(())
        }

        async fn read(&self, reach: Reach) -> Result<Box<dyn Query>> {
            FakeLedger::default().read(reach).await
        }

        fn has_room(&self) -> Result<()> {
            Ok(())
        }

        async fn close(&self) {}
    }

    /// Notes where in a trace it is done.
    #[derive(Default)]
    struct Where(Mutex<Vec<Option<TraceContext>>>);

    impl TxOp for Where {
        fn run<'t>(&'t self, _: &'t mut dyn Tx) -> BoxFuture<'t, Result<()>> {
            Box::pin(async move {
                self.0.lock().unwrap().push(current());
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn work_is_where_it_was_asked_for_whoever_does_it() {
        let sent = |id: &str| TraceContext::parse(&format!("00-{id}-b7ad6b7169203331-01"), Some("a=1"));
        let own = sent("0af7651916cd43dd8448eb211c80319c");
        let holder = sent("1af7651916cd43dd8448eb211c80319c");
        assert!(own.is_some() && holder.is_some());
        let (waiting, seen) = (Arc::<Waiting>::default(), Arc::<Where>::default());
        let timed = TimedLedger::new(waiting.clone(), Arc::default());
        scope(own.clone(), timed.write(Reach::Gateway, Durability::Process, seen.clone())).await.unwrap();
        timed.write(Reach::Gateway, Durability::Process, seen.clone()).await.unwrap();
        let ops = std::mem::take(&mut *waiting.0.lock().unwrap());
        let ledger = FakeLedger::default();
        for op in ops {
            scope(holder.clone(), ledger.write(Reach::Gateway, Durability::Process, op)).await.unwrap();
        }
        assert_eq!(*seen.0.lock().unwrap(), [own, None]);
    }
}
