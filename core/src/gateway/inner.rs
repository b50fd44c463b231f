//! What every part of the gateway shares: the ports, the rules, and how an operation leaves its trail.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use futures::future::BoxFuture;
use secrecy::ExposeSecret;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::access::Place;
use super::feed::LOOKS;
use super::limits::Limits;
use super::login::Refusals;
use super::remembered::Remembered;
use super::{Parts, Settings};
use crate::audit::TRAIL;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Facts, Operation, Webhook};
use crate::identity::{Codes, Directory, KeyBook, Live, PasswordVerifier, Penalties, Places, Session, Throttle};
use crate::jobs::{Heads, Reap};
use crate::metrics::{Metrics, TimedBlobs, TimedLedger};
use crate::ports::{BlobStore, DocumentSource, Durability, KeySource, Ledger, Reach, Tx, WebhookSender, transact};
use crate::records::{Actor, AuditRecord, EventRecord, Micros, now};
use crate::tokens::{Mint, Providers};
use crate::transfer::{DownloadCore, Lanes, Pacer, Unsettled, UploadCore};

/// Tenant, identity and home: what the folders of a view depend on.
pub(crate) type ViewKey = (Arc<str>, Arc<str>, String);

/// Key files whose faults were told are remembered up to here: one complaint each will do, and a rule makes as many names of files
/// as clients like.
const MAX_COMPLAINTS: usize = 1_000;
/// Views whose folders are known to be there are remembered up to here: a rule makes a home for each name that it knows.
const MAX_ENSURED: usize = 10_000;

/// The shared part of a [`super::Gateway`].
pub(crate) struct Inner {
    /// What was counted.
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) storages: HashMap<String, Arc<dyn BlobStore>>,
    /// Who is known; see [`Inner::directory`].
    pub(crate) known: watch::Sender<Arc<Directory>>,
    /// Held by whoever is about to put another directory there.
    pub(crate) changing: tokio::sync::Mutex<()>,
    pub(crate) sender: Arc<dyn WebhookSender>,
    pub(crate) documents: Arc<dyn DocumentSource>,
    /// What is known of the gateway's own tokens.
    pub(crate) mint: Mint,
    /// The signed heads of the trail.
    pub(crate) heads: Heads,
    /// What is known of the issuers of others.
    pub(crate) providers: Providers,
    /// As they were at the start; those that can change while the gateway runs are asked of [`Inner::rules`].
    pub(crate) settings: Settings,
    /// The configuration as an operator may see it.
    pub(crate) configuration: Mutex<Arc<serde_json::Value>>,
    /// What of the settings can be changed, as it is now.
    pub(crate) limits: watch::Sender<Limits>,
    /// As they are now.
    rules: RwLock<Arc<Settings>>,
    /// Changes whenever deliveries were queued again, or an endpoint was enabled.
    pub(crate) requeued: watch::Sender<u64>,
    /// The webhooks of all tenants, as they are now.
    pub(crate) hooks: watch::Sender<Arc<[Webhook]>>,
    pub(crate) verifier: PasswordVerifier,
    pub(crate) throttle: Throttle,
    pub(crate) codes: Codes,
    pub(crate) keys: Arc<dyn KeySource>,
    /// Key files whose faults were told.
    pub(crate) complaints: Mutex<Remembered<String>>,
    pub(crate) penalties: Penalties,
    /// When the API keys were first seen and last used.
    pub(crate) key_book: KeyBook,
    /// How many sessions each login and source has.
    pub(crate) places: Arc<Places>,
    /// The sessions that are here.
    pub(crate) live: Arc<Live>,
    /// This process.
    pub(crate) incarnation: Uuid,
    /// Wakes the sequencer.
    pub(crate) wake: Arc<Notify>,
    /// The highest position of an event that this process has heard of: it wakes those who wait for events.
    pub(crate) positions: watch::Sender<i64>,
    /// Whose turn it is to look for events that are followed.
    pub(crate) looks: Semaphore,
    /// Takes over what was dropped without being finished.
    pub(crate) reaper: mpsc::UnboundedSender<Reap>,
    /// Wakes the workers of transfers.
    pub(crate) jobs_wake: Notify,
    /// Downloads of this process that are under way.
    pub(crate) downloads: Mutex<HashMap<Uuid, Weak<DownloadCore>>>,
    /// Wakes the purge of removed folders.
    pub(crate) purge_wake: Notify,
    /// The reaper's end, until the jobs are spawned.
    pub(crate) reaped: Mutex<Option<mpsc::UnboundedReceiver<Reap>>>,
    /// Uploads of this process that are under way.
    pub(crate) uploads: Mutex<HashMap<Uuid, Weak<UploadCore>>>,
    /// What the parts of uploads are appended to.
    pub(crate) lanes: Lanes,
    /// Uploads that ended and could not be put away, by their ids.
    pub(crate) unsettled: Mutex<HashMap<Uuid, Arc<Unsettled>>>,
    /// When the downloads under way began.
    pub(crate) reads: Mutex<BTreeSet<(Micros, Uuid)>>,
    /// Views whose folders are known to be there: tenant, identity, home.
    pub(crate) ensured: Mutex<Remembered<ViewKey>>,
    /// When this process last gave a sign of life.
    pub(crate) last_sign: Mutex<Option<std::time::Instant>>,
    /// When a login that is turned away again and again was last put on record.
    pub(crate) refusals: Mutex<Refusals>,
    /// The bandwidth of each session, while it moves something.
    pub(crate) pacers: Mutex<HashMap<Uuid, Weak<Pacer>>>,
    /// Cancelled when the gateway stops: no new operation begins.
    pub(crate) shutdown: CancellationToken,
    /// Commits, and the reaper.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the last session has left its trail.
    pub(crate) jobs_end: CancellationToken,
    /// The other jobs.
    pub(crate) jobs: TaskTracker,
}

/// Locks without caring for a panic elsewhere: what these locks guard stays whole after each statement.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { ledger, storages, directory, keys, documents, sender, settings } = parts;
        let (reaper, reaped) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::default());
        let ledger: Arc<dyn Ledger> = Arc::new(TimedLedger::new(ledger, metrics.clone()));
        let timed = |(name, store): (String, Arc<dyn BlobStore>)| {
            let store: Arc<dyn BlobStore> = Arc::new(TimedBlobs::new(&name, store, &metrics));
            (name, store)
        };
        let storages = storages.into_iter().map(timed).collect();
        let hooks = watch::Sender::new(directory.webhooks().to_vec().into());
        // Argon2 takes memory and a core for some ten milliseconds: as many at once as there are cores.
        let parallel = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            metrics,
            heads: Heads::new(&settings.audit),
            verifier: PasswordVerifier::new(parallel, directory.sample_hash().map(ExposeSecret::expose_secret)),
            throttle: Throttle::new(settings.throttle),
            codes: Codes::new(settings.throttle),
            keys,
            complaints: Mutex::new(Remembered::new(MAX_COMPLAINTS)),
            penalties: Penalties::new(settings.penalties.clone()),
            mint: Mint::new(&settings.tokens),
            providers: Providers::default(),
            documents,
            places: Places::new(settings.sessions),
            key_book: KeyBook::default(),
            live: Arc::default(),
            ledger,
            storages,
            known: watch::Sender::new(Arc::new(directory)),
            changing: tokio::sync::Mutex::new(()),
            sender,
            configuration: Mutex::default(),
            limits: watch::Sender::new(Limits::declared(&settings)),
            rules: RwLock::new(Arc::new(settings.clone())),
            requeued: watch::Sender::new(0),
            hooks,
            settings,
            incarnation: Uuid::now_v7(),
            wake: Arc::new(Notify::new()),
            positions: watch::Sender::new(0),
            looks: Semaphore::new(LOOKS),
            jobs_wake: Notify::new(),
            downloads: Mutex::default(),
            purge_wake: Notify::new(),
            reaper,
            reaped: Mutex::new(Some(reaped)),
            uploads: Mutex::default(),
            lanes: Lanes::default(),
            unsettled: Mutex::default(),
            reads: Mutex::default(),
            ensured: Mutex::new(Remembered::new(MAX_ENSURED)),
            last_sign: Mutex::default(),
            refusals: Mutex::default(),
            pacers: Mutex::default(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            jobs_end: CancellationToken::new(),
            jobs: TaskTracker::new(),
        }
    }

    /// Who is known now. A caller that asks it several things asks one and the same: it may be another one a moment later.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.known.borrow().clone()
    }

    /// The settings of now. A caller that asks several things asks one and the same.
    pub(crate) fn rules(&self) -> Arc<Settings> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// See [`super::Gateway::adopt`].
    pub(crate) async fn adopt(&self, wanted: Settings) {
        // A change of the limits through the API comes before it or after it.
        let _one = self.changing.lock().await;
        self.penalties.set_limits(wanted.penalties.clone());
        self.places.set_limits(wanted.sessions);
        let rules = Settings {
            max_file_size: wanted.max_file_size,
            incomplete_expiry: wanted.incomplete_expiry,
            temporary_names: wanted.temporary_names,
            content_type_check: wanted.content_type_check,
            bandwidth_up: wanted.bandwidth_up,
            bandwidth_down: wanted.bandwidth_down,
            throttle: wanted.throttle,
            api_key_max_age: wanted.api_key_max_age,
            penalties: wanted.penalties,
            sessions: wanted.sessions,
            ..self.settings.clone()
        };
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        self.follow_limits(self.directory().objects());
    }

    /// Runs a transaction, and wakes the sequencer for what it left.
    pub(crate) async fn write<T, F>(&self, reach: Reach, durability: Durability, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut dyn Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let out = transact(&*self.ledger, reach, durability, work).await?;
        if TRAIL {
            self.wake.notify_one();
        }
        Ok(out)
    }

    /// The storage of this name.
    pub(crate) fn storage(&self, name: &str) -> Result<&Arc<dyn BlobStore>> {
        self.storages.get(name).ok_or_else(|| Error::internal(format_args!("no storage named {name}")))
    }

    /// The facts of a session's operation.
    pub(crate) fn facts(&self, session: &Session, operation: Operation) -> Facts {
        Facts::of_session(session, &self.settings.node, operation)
    }

    /// The same, at a place.
    pub(crate) fn facts_at(&self, session: &Session, operation: Operation, place: &Place) -> Facts {
        let mut facts = self.facts(session, operation);
        facts.path = Some(place.path.as_str().to_owned());
        facts.view_path = Some(place.view_path.as_str().to_owned());
        facts
    }

    /// Puts an entry and events on record that go with no other change.
    pub(crate) async fn put(&self, durability: Durability, audit: AuditRecord, events: Vec<EventRecord>) -> Result<()> {
        self.write(Reach::of(&audit.chain), durability, move |tx| {
            let (audit, events) = (audit.clone(), events.clone());
            Box::pin(async move {
                tx.append_audit(&audit).await?;
                tx.append_events(&events).await
            })
        })
        .await
    }

    /// Who a session acts as, for what it makes.
    pub(crate) fn actor(session: &Session) -> Actor {
        Actor {
            identity: session.identity.id.to_string(),
            login: session.login.to_string(),
            protocol: session.protocol.as_str().to_owned(),
        }
    }

    /// Whether a name is announced only when it is renamed (`uploads.temporary_names`).
    pub(crate) fn is_temporary(&self, name: &str) -> bool {
        self.rules().temporary_names.is_match(name)
    }

    /// When the oldest download under way began; now, if there is none.
    pub(crate) fn oldest_read(&self) -> Micros {
        held(&self.reads).first().map_or_else(now, |(began, _)| *began)
    }

    /// Refuses new work once the gateway is stopping.
    pub(crate) fn require_open(&self) -> Result<()> {
        if self.shutdown.is_cancelled() {
            return Err(Error::new(ErrorKind::Unavailable, "the gateway is shutting down; connect again in a moment"));
        }
        Ok(())
    }
}
