//! Which webhooks are served: one dispatcher for each that there is now. Where one changes, its new dispatcher waits for the end of the
//! old one, so that no event overtakes another; the others wait for neither.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::OptionFuture;
use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::dispatcher::{self, Dispatcher};
use crate::events::Webhook;
use crate::gateway::Inner;

/// A webhook that is being served.
struct Served {
    webhook: Webhook,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    /// Whether this one would be served otherwise. (What it wants to hear is looked at when an event is queued.)
    fn differs(&self, webhook: &Webhook) -> bool {
        let same_previous = match (&self.webhook.previous, &webhook.previous) {
            (Some(was), Some(is)) => was.is(is),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.webhook.url != webhook.url
            || self.webhook.secret.expose_secret() != webhook.secret.expose_secret()
            || !same_previous
            || !self.webhook.tls.is(&webhook.tls)
    }
}

impl Inner {
    /// Serves the webhooks that there are, until the gateway stops. `poll`: how often the ledger is looked at for what other nodes
    /// queued.
    pub(crate) async fn dispatch_always(self: Arc<Self>, seen: watch::Receiver<i64>, poll: Duration) {
        let mut hooks = self.hooks.subscribe();
        let mut served: HashMap<String, Served> = HashMap::new();
        // Dispatchers that end. An endpoint that hangs keeps its own for a while.
        let mut ending: HashMap<String, JoinHandle<()>> = HashMap::new();
        let crowd = Arc::new(AtomicUsize::new(0));
        loop {
            let wanted = hooks.borrow_and_update().clone();
            let by_key: HashMap<String, &Webhook> = wanted.iter().map(|webhook| (webhook.key(), webhook)).collect();
            crowd.store(by_key.len(), Ordering::Relaxed);
            let over: Vec<String> = served
                .iter()
                .filter(|(key, one)| by_key.get(*key).is_none_or(|webhook| one.differs(webhook)))
                .map(|(key, _)| key.clone())
                .collect();
            ending.retain(|_, task| !task.is_finished());
            for key in over {
                if let Some(one) = served.remove(&key) {
                    one.end.cancel();
                    ending.insert(key, self.jobs.spawn(self.clone().see_end(one)));
                }
            }
            for (key, webhook) in by_key {
                let end = self.jobs_end.child_token();
                let earlier = ending.remove(&key);
                served.entry(key).or_insert_with(|| {
                    let dispatcher = Dispatcher {
                        ledger: self.ledger.clone(),
                        sender: self.sender.clone(),
                        webhook: webhook.clone(),
                        holder: self.settings.installation,
                        rules: self.settings.delivery.clone(),
                        node: self.settings.node.clone(),
                        poll,
                        crowd: crowd.clone(),
                        requeued: self.requeued.subscribe(),
                        wake: self.wake.clone(),
                        metrics: self.metrics.clone(),
                        tracer: self.settings.tracer.clone(),
                    };
                    let (positions, shutdown) = (seen.clone(), end.clone());
                    let task = self.jobs.spawn(async move {
                        if let Some(Err(error)) = OptionFuture::from(earlier).await {
                            tracing::error!(%error, "the end of a dispatcher was not seen");
                        }
                        dispatcher::run(dispatcher, positions, shutdown).await;
                    });
                    Served { webhook: webhook.clone(), end, task }
                });
            }
            tokio::select! {
                () = self.jobs_end.cancelled() => return,
                changed = hooks.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Waits for the end of a dispatcher, and lets go of what was kept for it.
    async fn see_end(self: Arc<Self>, one: Served) {
        let webhook = one.webhook.key();
        if let Err(error) = one.task.await {
            tracing::error!(%error, webhook, "a dispatcher ended early");
        }
        self.sender.forget(&webhook);
    }
}
