//! A fault between every two steps of an upload in parts, and then the power goes: what was acknowledged of it is there, and it
//! is gone on with, or begun anew; there is all of the file or nothing of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::records::{UploadPlan, UploadState};
use causeway_core::transfer::{Completion, PartAt};
use causeway_core::{ErrorKind, Gateway, Result, Session};
use causeway_store::blobs::{Op, PowerCut};
use uuid::Uuid;

use crate::harness::inside::{Fault, Faulty, Place, path, rest, start};
use crate::harness::{Ledger, Random, on_both_ledgers};

on_both_ledgers!(ledger_faults, blob_faults);

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

/// Begins it, sends its chunks in this order, completes it.
async fn put(gateway: &Gateway, session: &Arc<Session>, content: &Bytes, known: &mut Known) -> Result<()> {
    let plan = UploadPlan {
        size: content.len() as u64,
        chunk_size: CHUNK as u64,
        sha256: Some(crate::harness::sha256(content)),
        overwrite: false,
        content_type: None,
        metadata: None,
    };
    let id = gateway.plan_upload(session, &path("/f"), plan, false).await?.id;
    known.id = Some(id);
    for number in [0, 2, 1, 3] {
        send(gateway, session, id, number, content).await?;
        known.acknowledged.push(number);
    }
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
    for op in [Op::Create, Op::Append, Op::Sync] {
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
