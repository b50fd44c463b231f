//! A fault between every two steps of an upload in parts, and then the power goes: what was acknowledged of it is there, and it
//! is gone on with, or begun anew; there is all of the file or nothing of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::ports::{
    BlobReader, BlobStore, BlobWriter, Durability, Ledger as LedgerPort, Lock, Reach, transact,
};
use causeway_core::records::{BlobId, UploadConditions, UploadPlan, UploadRow, UploadState, now};
use causeway_core::transfer::{Completion, Disposition, PartAt};
use causeway_core::{Error, ErrorKind, Gateway, Result, Session, UploadOptions};
use causeway_store::blobs::{Op, PowerCut};
use sqlx::Connection as _;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::harness::inside::{Fault, Faulty, Place, path, rest, start};
use crate::harness::plan::postgres_url;
use crate::harness::{Ledger, Random, eventually, on_both_ledgers};

on_both_ledgers!(
    ledger_faults,
    blob_faults,
    a_caller_that_goes_away_loses_nothing_that_came,
    a_fault_of_the_storage_takes_nothing_that_was_acknowledged,
    a_completion_whose_beginning_was_not_answered_goes_on,
    a_lane_whose_row_is_gone_is_not_used_again,
    a_part_that_begins_puts_the_end_off,
    of_two_parts_at_one_offset_one_is_refused,
    little_pieces_are_not_gathered_without_end,
    an_upload_that_could_not_be_put_away_is_put_away_later,
);

const CHUNK: usize = 60_000;
const CHUNKS: u64 = 4;

/// What a client knows of its upload.
#[derive(Default)]
struct Known {
    id: Option<Uuid>,
    acknowledged: Vec<u64>,
    published: bool,
}

async fn send(gateway: &Gateway, session: &Arc<Session>, id: Uuid, number: u64, content: &Bytes) -> Result<()> {
    let mut part = gateway.begin_part(session, id, PartAt::Chunk(number)).await?;
    let (start, end) = part.range();
    part.write(content.slice(start as usize..end as usize)).await?;
    part.finish().await.map(drop)
}

async fn begin(gateway: &Gateway, session: &Arc<Session>, content: &Bytes) -> Result<Uuid> {
    let plan = UploadPlan {
        size: Some(content.len() as u64),
        chunk_size: CHUNK as u64,
        sha256: Some(crate::harness::sha256(content)),
        overwrite: false,
        content_type: None,
        metadata: None,
        conditions: UploadConditions::default(),
    };
    Ok(gateway.plan_upload(session, &path("/f"), plan, false).await?.id)
}

/// Begins it, and sends its chunks in this order.
async fn put_chunks(gateway: &Gateway, session: &Arc<Session>, content: &Bytes, known: &mut Known) -> Result<Uuid> {
    let id = begin(gateway, session, content).await?;
    known.id = Some(id);
    for number in [0, 2, 1, 3] {
        send(gateway, session, id, number, content).await?;
        known.acknowledged.push(number);
    }
    Ok(id)
}

/// The same, and completes it.
async fn put(gateway: &Gateway, session: &Arc<Session>, content: &Bytes, known: &mut Known) -> Result<()> {
    let id = put_chunks(gateway, session, content, known).await?;
    let completion = gateway.complete_upload(session, id, None).await?;
    assert!(matches!(completion, Completion::Published(_)), "{completion:?}");
    known.published = true;
    Ok(())
}

struct Case {
    place: Place,
    blobs: PowerCut,
    installation: Uuid,
    content: Bytes,
}

impl Case {
    async fn new(ledger: Ledger) -> Self {
        let content = Random::from(11).bytes(CHUNK * (CHUNKS as usize - 1) + 7);
        Self { place: Place::new(ledger).await, blobs: PowerCut::new(), installation: Uuid::new_v4(), content }
    }

    async fn start(&self) -> (Arc<Gateway>, Arc<Session>) {
        self.start_on(self.place.open().await).await
    }

    async fn start_on(&self, ledger: Arc<dyn LedgerPort>) -> (Arc<Gateway>, Arc<Session>) {
        let gateway = start(ledger, Arc::new(self.blobs.clone()), self.installation).await.unwrap();
        let session = rest(&gateway, "app").await;
        (gateway, session)
    }

    /// The power went, and came back.
    async fn check(&self, known: &Known, what: &str) {
        self.blobs.cut();
        let gateway = start(self.place.open().await, Arc::new(self.blobs.clone()), self.installation).await.unwrap();
        let session = rest(&gateway, "app").await;
        let visible = gateway.stat(&session, &Target::Path(path("/f"))).await.is_ok();
        assert!(visible || !known.published, "{what}: acknowledged, and lost");
        let Some(id) = known.id else {
            assert!(!visible, "{what}: it was not even begun");
            return;
        };
        let seen = gateway.incomplete_upload(&session, id).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(seen.state == UploadState::Committed, visible, "{what}: {seen:?}");
        let received: Vec<u64> = seen.received().into_iter().flat_map(|(first, last)| first..=last).collect();
        let lost = known.acknowledged.iter().find(|number| !received.contains(number));
        assert_eq!(lost, None, "{what}: acknowledged, and lost: {seen:?}");
        for number in (0..CHUNKS).filter(|number| !received.contains(number)) {
            send(&gateway, &session, id, number, &self.content)
                .await
                .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        }
        let completion = gateway.complete_upload(&session, id, None).await;
        assert!(matches!(completion, Ok(Completion::Published(_))), "{what}: and then: {completion:?}");
        let download = gateway.begin_download(&session, &Target::Path(path("/f"))).await.unwrap();
        let mut out = Vec::new();
        while let Some(piece) =
            Some(download.read_at(out.len() as u64, 65_536).await.unwrap()).filter(|p| !p.is_empty())
        {
            out.extend_from_slice(&piece);
        }
        download.finish().await.unwrap();
        assert!(out == self.content, "{what}: the content is another one");
        gateway.stop().await;
    }
}

async fn ledger_faults(ledger: Ledger) {
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::Gone { done: false }, Fault::Gone { done: true }] {
        let mut steps = 0;
        loop {
            let case = Case::new(ledger).await;
            let faulty = Faulty::new(case.place.open().await, fault);
            let gateway = start(faulty.clone(), Arc::new(case.blobs.clone()), case.installation).await.unwrap();
            let session = rest(&gateway, "app").await;
            faulty.fail_after(steps);
            let mut known = Known::default();
            let work = put(&gateway, &session, &case.content, &mut known);
            let answered = tokio::time::timeout(Duration::from_mins(1), work).await.expect("it hangs");
            let what = format!("{fault:?} at write {steps}: {answered:?}");
            let failed = faulty.failed();
            drop((session, gateway));
            case.check(&known, &what).await;
            if !failed {
                assert!(answered.is_ok(), "{what}");
                break;
            }
            steps += 1;
            assert!(steps < 50, "writes without end");
        }
        assert!(steps >= 8, "begin, four chunks, taking, seal and publish are writes of their own: {steps}");
    }
}

async fn blob_faults(ledger: Ledger) {
    for op in [Op::Create, Op::Append, Op::Sync, Op::Open, Op::Read] {
        for kind in [ErrorKind::Internal, ErrorKind::NoSpace] {
            for nth in 0..8 {
                let case = Case::new(ledger).await;
                let gateway =
                    start(case.place.open().await, Arc::new(case.blobs.clone()), case.installation).await.unwrap();
                let session = rest(&gateway, "app").await;
                case.blobs.take_log();
                case.blobs.fail_after(op, nth, kind);
                let mut known = Known::default();
                let answered = put(&gateway, &session, &case.content, &mut known).await;
                let done = case.blobs.take_log().iter().filter(|(done, _)| *done == op).count();
                let what = format!("{op:?} number {nth} fails: {answered:?}");
                assert_eq!(answered.is_err(), done > nth, "{what}: a failed step is never an acknowledgement");
                drop((session, gateway));
                if done <= nth {
                    assert!(nth > 0, "{op:?} is no step of an upload");
                    break;
                }
                case.check(&known, &what).await;
            }
        }
    }
}

/// A store whose appends wait, and say so.
struct Gated {
    blobs: PowerCut,
    waits: Arc<Notify>,
    gate: Arc<Semaphore>,
}

struct GatedWriter {
    writer: Box<dyn BlobWriter>,
    waits: Arc<Notify>,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl BlobStore for Gated {
    async fn create(&self, id: &BlobId) -> Result<Box<dyn BlobWriter>> {
        let writer = self.blobs.create(id).await?;
        Ok(Box::new(GatedWriter { writer, waits: self.waits.clone(), gate: self.gate.clone() }))
    }

    async fn open(&self, id: &BlobId) -> Result<Arc<dyn BlobReader>> {
        self.blobs.open(id).await
    }

    async fn remove(&self, id: &BlobId) -> Result<()> {
        self.blobs.remove(id).await
    }

    async fn claim(&self, gateway: Uuid) -> Result<()> {
        self.blobs.claim(gateway).await
    }

    async fn keys(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<BlobId>> {
        self.blobs.keys(after, limit).await
    }
}

#[async_trait]
impl BlobWriter for GatedWriter {
    async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        self.waits.notify_one();
        self.gate.acquire().await.expect("it is never closed").forget();
        self.writer.append(pieces).await
    }

    async fn sync(&mut self) -> Result<()> {
        self.writer.sync().await
    }
}

/// Its connection breaks while the storage writes.
async fn a_caller_that_goes_away_loses_nothing_that_came(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let (waits, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let gated = Gated { blobs: case.blobs.clone(), waits: waits.clone(), gate: gate.clone() };
    let gateway = start(case.place.open().await, Arc::new(gated), case.installation).await.unwrap();
    gateway.spawn_jobs();
    let session = rest(&gateway, "app").await;
    let content = Random::from(12).bytes(700_000);
    let id = begin(&gateway, &session, &content).await.unwrap();
    let at = |start| PartAt::Following { start, end: None, exact: true, total: None };
    let there = async |wanted: u64| {
        eventually("what came is kept", Duration::from_secs(20), || async {
            let seen = gateway.incomplete_upload(&session, id).await.unwrap();
            (seen.offset == wanted).then_some(())
        })
        .await;
    };
    // In the middle of a write that waits for the storage.
    let mut part = gateway.begin_part(&session, id, at(0)).await.unwrap();
    tokio::select! {
        biased;
        done = part.write(content.slice(..600_000)) => panic!("the storage still waits: {done:?}"),
        () = waits.notified() => {}
    }
    drop(part);
    gate.add_permits(100);
    there(600_000).await;
    gate.forget_permits(1000);
    // After a write whose bytes are still on their way.
    let mut part = gateway.begin_part(&session, id, at(600_000)).await.unwrap();
    for n in 600_000..601_024 {
        part.write(content.slice(n..=n)).await.unwrap();
    }
    waits.notified().await;
    drop(part);
    gate.add_permits(100);
    there(601_024).await;
    let mut part = gateway.begin_part(&session, id, at(601_024)).await.unwrap();
    part.write(content.slice(601_024..)).await.unwrap();
    part.finish().await.unwrap();
    let completion = gateway.complete_upload(&session, id, None).await.unwrap();
    assert!(matches!(completion, Completion::Published(_)), "its digest was announced: {completion:?}");
    gateway.stop().await;
}

/// The answer says that the same request may succeed later, so it has to be able to.
async fn a_fault_of_the_storage_takes_nothing_that_was_acknowledged(ledger: Ledger) {
    for op in [Op::Open, Op::Read] {
        for kind in [ErrorKind::Internal, ErrorKind::NoSpace] {
            let case = Case::new(ledger).await;
            let (gateway, session) = case.start().await;
            let id = put_chunks(&gateway, &session, &case.content, &mut Known::default()).await.unwrap();
            case.blobs.fail_next(op, kind);
            assert_eq!(gateway.complete_upload(&session, id, None).await.unwrap_err().kind(), kind);
            let again = gateway.complete_upload(&session, id, None).await;
            assert!(matches!(again, Ok(Completion::Published(_))), "{op:?} failed with {kind:?}: {again:?}");
        }
    }
}

/// The upload is taken to be completed, and nobody knows.
async fn a_completion_whose_beginning_was_not_answered_goes_on(ledger: Ledger) {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        let case = Case::new(ledger).await;
        let faulty = Faulty::new(case.place.open().await, fault);
        let (gateway, session) = case.start_on(faulty.clone()).await;
        let id = put_chunks(&gateway, &session, &case.content, &mut Known::default()).await.unwrap();
        faulty.fail_after(0);
        let first = gateway.complete_upload(&session, id, None).await;
        assert!(faulty.failed());
        match (fault, &first) {
            (Fault::Refused, Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            (Fault::AnswerLost, Ok(Completion::Published(_))) => {}
            _ => panic!("{fault:?}: {first:?}"),
        }
        let again = gateway.complete_upload(&session, id, None).await;
        assert!(matches!(again, Ok(Completion::Published(_))), "{fault:?}: {again:?}");
    }
}

/// It ends while the ledger does not answer: its owner goes on with it once it does, without waiting for the process's end.
async fn an_upload_that_could_not_be_put_away_is_put_away_later(ledger: Ledger) {
    for done in [false, true] {
        let case = Case::new(ledger).await;
        let faulty = Faulty::new(case.place.open().await, Fault::Gone { done });
        let (gateway, session) = case.start_on(faulty.clone()).await;
        let options = UploadOptions::new(Disposition::Replace);
        let upload = gateway.begin_upload(&session, &path("/f"), options).await.unwrap();
        let (id, middle) = (upload.id(), case.content.len() as u64 / 2);
        upload.append(case.content.slice(..middle as usize)).await.unwrap();
        faulty.fail_after(0);
        upload.detach(Error::new(ErrorKind::Incomplete, "the line broke")).await;
        assert!(faulty.failed());
        // It answers again.
        faulty.fail_after(1_000_000);
        assert_eq!(gateway.incomplete_upload(&session, id).await.unwrap().state == UploadState::Open, !done);
        gateway.spawn_jobs();
        eventually("it is put away", Duration::from_secs(20), || async {
            let seen = gateway.incomplete_upload(&session, id).await.unwrap();
            (seen.state == UploadState::Detached).then_some(())
        })
        .await;
        let at = PartAt::Following { start: middle, end: None, exact: true, total: None };
        let mut part = gateway.begin_part(&session, id, at).await.unwrap();
        part.write(case.content.slice(middle as usize..)).await.unwrap();
        assert_eq!(part.finish().await.unwrap().offset, case.content.len() as u64);
        // What is tried again later takes none of it back.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let completion = gateway.complete_upload(&session, id, None).await.unwrap();
        let Completion::Published(receipt) = completion else { panic!("{completion:?}") };
        assert_eq!(receipt.entry.size, case.content.len() as u64);
        gateway.stop().await;
    }
}

/// A crash of the database can take the row of a lane that this process goes on with.
async fn a_lane_whose_row_is_gone_is_not_used_again(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let ledger = case.place.open().await;
    let (gateway, session) = case.start_on(ledger.clone()).await;
    let id = begin(&gateway, &session, &case.content).await.unwrap();
    send(&gateway, &session, id, 0, &case.content).await.unwrap();
    transact(&*ledger, Reach::Gateway, Durability::Process, move |tx| {
        Box::pin(async move { tx.release_blobs(id, &[], now()).await })
    })
    .await
    .unwrap();
    assert_eq!(send(&gateway, &session, id, 1, &case.content).await.unwrap_err().kind(), ErrorKind::Conflict);
    send(&gateway, &session, id, 1, &case.content).await.unwrap();
}

/// Changes an upload's row behind the gateway's back.
async fn change(ledger: &dyn LedgerPort, id: Uuid, change: impl Fn(&mut UploadRow) + Send + Sync + 'static) {
    let change = Arc::new(change);
    let changed = transact(ledger, Reach::Gateway, Durability::Process, move |tx| {
        let change = change.clone();
        Box::pin(async move {
            let mut row = tx.upload(id).await?.expect("the upload is there");
            change(&mut row);
            assert!(tx.update_upload(&row, &[row.state], row.generation).await?);
            Ok(())
        })
    });
    changed.await.unwrap();
}

/// A part may take longer than what is left until the upload is given up.
async fn a_part_that_begins_puts_the_end_off(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let ledger = case.place.open().await;
    let (gateway, session) = case.start_on(ledger.clone()).await;
    let id = begin(&gateway, &session, &case.content).await.unwrap();
    let end = async || gateway.incomplete_upload(&session, id).await.unwrap().expires_at;
    let soon = now() + 60_000_000;
    for number in 0..2 {
        // The first with a new lane, the second with one that is there.
        change(&*ledger, id, move |row| row.expires_at = soon).await;
        let mut part = gateway.begin_part(&session, id, PartAt::Chunk(number)).await.unwrap();
        assert!(end().await > soon + 60_000_000, "chunk {number} is on its way");
        let (from, to) = part.range();
        part.write(case.content.slice(from as usize..to as usize)).await.unwrap();
        part.finish().await.unwrap();
    }
}

/// The sweeper has seen that the end has come, and a part is just putting it off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweeper_waits_for_a_part_that_ends() {
    if postgres_url().is_none() {
        return;
    }
    let case = Case::new(Ledger::Postgres).await;
    let ledger = case.place.open().await;
    let (gateway, session) = case.start_on(ledger.clone()).await;
    let id = begin(&gateway, &session, &case.content).await.unwrap();
    send(&gateway, &session, id, 0, &case.content).await.unwrap();
    change(&*ledger, id, |row| row.expires_at = now() - 1).await;
    let (put_off, seen) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let landing = tokio::spawn({
        let (ledger, put_off, seen) = (case.place.open().await, put_off.clone(), seen.clone());
        async move {
            let landing = transact(&*ledger, Reach::Gateway, Durability::Process, move |tx| {
                let (put_off, seen) = (put_off.clone(), seen.clone());
                Box::pin(async move {
                    let row = tx.upload(id).await?.expect("the upload is there");
                    tx.lock(&[Lock::Name(row.parent, row.name.clone())]).await?;
                    let row = UploadRow { expires_at: now() + 60_000_000, ..row };
                    assert!(tx.update_upload(&row, &[UploadState::Detached], row.generation).await?);
                    put_off.notify_one();
                    seen.notified().await;
                    Ok(())
                })
            });
            landing.await
        }
    });
    put_off.notified().await;
    gateway.spawn_jobs();
    let mut connection = sqlx::PgConnection::connect(case.place.database().unwrap()).await.unwrap();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut connection).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.notify_one();
    landing.await.unwrap().unwrap();
    gateway.stop().await;
    let known = Known { id: Some(id), acknowledged: vec![0], published: false };
    case.check(&known, "the end was put off while the sweeper looked").await;
}

/// Each has its bytes acknowledged, or is refused: never those of the other one.
async fn of_two_parts_at_one_offset_one_is_refused(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let (gateway, session) = case.start().await;
    let id = begin(&gateway, &session, &case.content).await.unwrap();
    for (from, exact) in [(0, true), (100, false)] {
        let at = PartAt::Following { start: from, end: Some(from + 100), exact, total: None };
        let mut first = gateway.begin_part(&session, id, at).await.unwrap();
        let mut second = gateway.begin_part(&session, id, at).await.unwrap();
        if !exact {
            second.all_or_nothing();
        }
        let range = from as usize..from as usize + 100;
        first.write(case.content.slice(range)).await.unwrap();
        second.write(Bytes::from_static(&[7; 100])).await.unwrap();
        assert_eq!(first.finish().await.unwrap().offset, from + 100);
        assert_eq!(second.finish().await.unwrap_err().kind(), ErrorKind::Conflict, "exact: {exact}");
    }
}

/// A frame of one byte takes far more than a byte of memory while it waits.
async fn little_pieces_are_not_gathered_without_end(ledger: Ledger) {
    let case = Case::new(ledger).await;
    let (gateway, session) = case.start().await;
    let appended = || case.blobs.take_log().iter().filter(|(op, _)| *op == Op::Append).count();
    let id = begin(&gateway, &session, &case.content).await.unwrap();
    let mut part = gateway
        .begin_part(&session, id, PartAt::Following { start: 0, end: None, exact: false, total: None })
        .await
        .unwrap();
    let upload =
        gateway.begin_upload(&session, &path("/little"), UploadOptions::new(Disposition::Replace)).await.unwrap();
    for n in 0..1500 {
        part.write(case.content.slice(n..=n)).await.unwrap();
    }
    part.finish().await.unwrap();
    assert_eq!(appended(), 2);
    for n in 0..1500 {
        upload.append(case.content.slice(n..=n)).await.unwrap();
    }
    upload.commit().await.unwrap();
    assert_eq!(appended(), 2);
}
