use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::events::{Facts, Operation};
use crate::jobs::fake_ledger::FakeLedger;
use crate::jobs::sequencer;
use crate::records::StoredEvent;

/// Keeps what it gets, by line and place.
#[derive(Debug, Default)]
struct Collector {
    got: Mutex<Vec<(String, i64)>>,
    refusals: Mutex<u32>,
    /// Whose events it refuses.
    barred: Mutex<Option<String>>,
    /// How many it takes at a time, if not all.
    most: Option<usize>,
    hangs: AtomicBool,
}

impl Collector {
    fn is_there(&self) -> Result<()> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(Error::new(ErrorKind::Unavailable, "away"));
        }
        Ok(())
    }

    fn seqs(&self) -> Vec<i64> {
        self.got.lock().unwrap().iter().map(|(_, seq)| *seq).collect()
    }
}

#[async_trait]
impl AuditSink for Collector {
    fn name(&self) -> &'static str {
        "collector"
    }

    async fn send(&self, entries: &[(Seal, AuditRecord)]) -> Result<()> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.is_there()?;
        let places = entries.iter().map(|(seal, record)| {
            assert_eq!(seal.entry, record.id);
            (seal.chain.clone(), seal.seq)
        });
        self.got.lock().unwrap().extend(places);
        Ok(())
    }
}

#[async_trait]
impl EventSink for Collector {
    fn name(&self) -> &'static str {
        "events"
    }

    async fn send(&self, events: &[StoredEvent]) -> (usize, Result<()>) {
        let kept = events.len().min(self.most.unwrap_or(usize::MAX));
        let kept = match &*self.barred.lock().unwrap() {
            Some(barred) => events[..kept].iter().take_while(|stored| stored.event.tenant != *barred).count(),
            None => kept,
        };
        let places = events[..kept].iter().map(|stored| (stored.event.tenant.clone(), stored.position));
        self.got.lock().unwrap().extend(places);
        let refused =
            events.get(kept).is_some_and(|next| Some(&next.event.tenant) == self.barred.lock().unwrap().as_ref());
        let ended = if refused { Err(Error::new(ErrorKind::Conflict, "not this one")) } else { self.is_there() };
        (kept, ended)
    }
}

fn entries(ledger: &Arc<FakeLedger>, sink: &Arc<Collector>, holder: Option<Uuid>) -> Forwarder {
    Forwarder::new(ledger.clone(), Box::new(Entries(sink.clone())), holder)
}

fn events(ledger: &Arc<FakeLedger>, sink: &Arc<Collector>) -> Forwarder {
    Forwarder::new(ledger.clone(), Box::new(Events(sink.clone())), None)
}

/// Passes until nothing is left. How many, or the first failure.
async fn all(forwarder: &Forwarder) -> Result<usize> {
    let mut sent = 0;
    loop {
        let pass = forwarder.forward().await?;
        sent += pass.sent;
        if let Some(error) = pass.refused {
            return Err(error);
        }
        if !pass.more {
            return Ok(sent);
        }
    }
}

/// Nobody tells of anything.
fn silence() -> watch::Receiver<i64> {
    watch::channel(0).1
}

/// So many entries, each with an event.
async fn append(ledger: &FakeLedger, tenant: &str, count: usize) {
    let tenant: Arc<str> = tenant.into();
    transact(ledger, Reach::Gateway, Durability::Disk, move |tx| {
        let tenant = tenant.clone();
        async move {
            for _ in 0..count {
                let facts = Facts::of_gateway_in(&tenant, "gw-1", Operation::Upload);
                tx.append_audit(&facts.audit()).await?;
                tx.append_events(&[facts.event("file.uploaded")]).await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
    while sequencer::run_once(ledger, &Arc::from([])).await.unwrap().sealed > 0 {}
}

#[tokio::test]
async fn everything_is_sent_once_and_in_order() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
    let one = entries(&ledger, &sink, Some(Uuid::now_v7()));
    append(&ledger, "acme", 450).await;
    assert_eq!(all(&one).await.unwrap(), 450);
    assert_eq!(all(&one).await.unwrap(), 0);
    append(&ledger, "acme", 3).await;
    let other = entries(&ledger, &sink, Some(Uuid::now_v7()));
    assert_eq!(all(&other).await.unwrap(), 0, "another one has the lease");
    assert_eq!(all(&one).await.unwrap(), 3);
    assert_eq!(sink.seqs(), (1..=453).collect::<Vec<_>>());
    append(&ledger, "acme", 1).await;
    assert_eq!(all(&entries(&ledger, &sink, None)).await.unwrap(), 1, "goes on where the other one was");
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_sent_later_and_at_the_end() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
    append(&ledger, "acme", 3).await;
    *sink.refusals.lock().unwrap() = 3;
    let end = CancellationToken::new();
    let job = entries(&ledger, &sink, None);
    let running = tokio::spawn({
        let end = end.clone();
        async move { job.run(silence(), end).await }
    });
    sleep(Duration::from_mins(1)).await;
    assert_eq!(sink.seqs(), [1, 2, 3]);
    append(&ledger, "acme", 2).await;
    end.cancel();
    running.await.unwrap();
    assert_eq!(sink.seqs(), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn news_are_sent_before_it_would_look() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
    let ((tell, news), end) = (watch::channel(0), CancellationToken::new());
    let job = events(&ledger, &sink);
    let running = tokio::spawn({
        let end = end.clone();
        async move { job.run(news, end).await }
    });
    sleep(Duration::from_millis(10)).await;
    append(&ledger, "acme", 2).await;
    tell.send_replace(2);
    sleep(GATHER + Duration::from_millis(10)).await;
    assert_eq!(sink.seqs(), [1, 2]);
    end.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn the_place_is_behind_what_is_kept() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Collector { most: Some(70), ..Collector::default() });
    let sink = Arc::new(sink);
    append(&ledger, "acme", 300).await;
    *sink.refusals.lock().unwrap() = 1;
    let forwarder = events(&ledger, &sink);
    assert_eq!(all(&forwarder).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(ledger.look(|state| state.places[&("events".to_owned(), "acme".to_owned())]), 70);
    assert_eq!(all(&forwarder).await.unwrap(), 230);
    assert_eq!(sink.seqs(), (1..=300).collect::<Vec<_>>(), "nothing twice, nothing left out");
}

#[tokio::test]
async fn who_is_refused_keeps_nobody_else_waiting() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
    for tenant in ["acme", "other", ""] {
        append(&ledger, tenant, 2).await;
    }
    *sink.barred.lock().unwrap() = Some("acme".to_owned());
    let forwarder = events(&ledger, &sink);
    assert_eq!(all(&forwarder).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(sink.seqs(), [5, 6, 3, 4]);
    *sink.barred.lock().unwrap() = None;
    assert_eq!(all(&forwarder).await.unwrap(), 2);
    assert_eq!(sink.seqs(), [5, 6, 3, 4, 1, 2]);
}

#[tokio::test]
async fn a_busy_chain_keeps_no_other_one_waiting() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
    append(&ledger, "acme", 450).await;
    append(&ledger, "globex", 1).await;
    let forwarder = entries(&ledger, &sink, None);
    let pass = forwarder.forward().await.unwrap();
    assert_eq!((pass.sent, pass.more), (201, true));
    assert!(sink.got.lock().unwrap().contains(&("globex".to_owned(), 1)));
    assert_eq!(all(&forwarder).await.unwrap(), 250);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_does_not_hold_up_the_end() {
    let (ledger, sink) = (Arc::new(FakeLedger::default()), Arc::new(Collector::default()));
    append(&ledger, "acme", 3).await;
    sink.hangs.store(true, Ordering::SeqCst);
    let end = CancellationToken::new();
    let job = entries(&ledger, &sink, None);
    let running = tokio::spawn({
        let end = end.clone();
        async move { job.run(silence(), end).await }
    });
    sleep(Duration::from_secs(30)).await;
    end.cancel();
    tokio::time::timeout(LAST + Duration::from_secs(1), running).await.unwrap().unwrap();
    sink.hangs.store(false, Ordering::SeqCst);
    assert_eq!(all(&entries(&ledger, &sink, None)).await.unwrap(), 3, "nothing was noted as sent");
}
