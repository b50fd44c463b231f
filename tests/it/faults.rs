//! A fault between every two steps of a commit: each write of the ledger is refused, or done with its answer lost, or
//! the last thing before the database goes away; each operation of the blob store fails; and then the power goes, which
//! takes every byte that was not synced. After the restart there is all of an upload or nothing of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_core::namespace::Target;
use causeway_core::records::AuditFilter;
use causeway_core::transfer::Disposition;
use causeway_core::{ErrorKind, Gateway, Result, Session, UploadOptions};
use causeway_store::blobs::{Op, PowerCut};

use crate::harness::inside::{Fault, Faulty, Place, path, rest, sftp, start};
use crate::harness::{Ledger, Random, on_both_ledgers};

on_both_ledgers!(ledger_faults, blob_faults);

const OLD: &[u8] = b"the old version";

/// A content that is written piece by piece and sealed, and one that is written in one step: how long, whether it
/// overwrites, and how many writes of the ledger it takes at the least (begin, seal where there is one, publish).
const CASES: [(usize, bool, usize); 4] = [(180_000, false, 3), (180_000, true, 3), (4_000, false, 2), (4_000, true, 2)];

async fn put(gateway: &Gateway, session: &Arc<Session>, name: &str, content: &Bytes) -> Result<()> {
    let upload = gateway.begin_upload(session, &path(name), UploadOptions::new(Disposition::Replace)).await?;
    // In pieces above the interval of checkpoints, so that those are among the steps.
    for (n, piece) in content.chunks(50_000).enumerate() {
        upload.write_at(n as u64 * 50_000, content.slice_ref(piece)).await?;
    }
    upload.commit().await.map(drop)
}

async fn get(gateway: &Gateway, session: &Arc<Session>, name: &str) -> Option<Vec<u8>> {
    let download = match gateway.begin_download(session, &Target::Path(path(name))).await {
        Ok(download) => download,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            return None;
        }
    };
    let mut out = Vec::new();
    loop {
        let piece = download.read_at(out.len() as u64, 64 * 1024).await.unwrap();
        if piece.is_empty() {
            break;
        }
        out.extend_from_slice(&piece);
    }
    download.finish().await.unwrap();
    Some(out)
}

/// How many uploads of this path the trail says went well.
async fn uploads_on_record(gateway: &Gateway, session: &Session, name: &str) -> usize {
    let filter = AuditFilter {
        operation: Some("upload".into()),
        outcome: Some("ok".into()),
        path: Some(name.to_owned()),
        ..AuditFilter::default()
    };
    gateway.audit(session, &filter, 100).await.unwrap().len()
}

/// What a fault is done to: a new file, or one that is there.
struct Case {
    place: Place,
    blobs: PowerCut,
    installation: uuid::Uuid,
    content: Bytes,
    overwrites: bool,
}

impl Case {
    async fn new(ledger: Ledger, len: usize, overwrites: bool) -> Self {
        let case = Self {
            place: Place::new(ledger).await,
            blobs: PowerCut::new(),
            installation: uuid::Uuid::new_v4(),
            content: Random::from(7).bytes(len),
            overwrites,
        };
        let gateway = case.gateway().await;
        if overwrites {
            let session = rest(&gateway, "app").await;
            put(&gateway, &session, "/f", &Bytes::from_static(OLD)).await.unwrap();
        }
        gateway.stop().await;
        case
    }

    async fn gateway(&self) -> Arc<Gateway> {
        start(self.place.open().await, Arc::new(self.blobs.clone()), self.installation).await.unwrap()
    }

    fn old(&self) -> Option<Vec<u8>> {
        self.overwrites.then(|| OLD.to_vec())
    }

    /// After the power went and came back: all of the upload, or nothing; and what was acknowledged is there.
    async fn check(&self, answered: &Result<()>, what: &str) {
        self.blobs.cut();
        let gateway = self.gateway().await;
        let session = rest(&gateway, "app").await;
        let seen = get(&gateway, &session, "/f").await;
        let before = usize::from(self.overwrites);
        let recorded = uploads_on_record(&gateway, &session, "/f").await;
        if seen.as_deref() == Some(&self.content[..]) {
            assert_eq!(recorded, before + 1, "{what}: visible, so it is on record once");
        } else {
            assert_eq!(seen, self.old(), "{what}: neither the new version nor the old one, whole");
            assert_eq!(recorded, before, "{what}: not visible, so it is not on record");
            assert!(answered.is_err(), "{what}: acknowledged, and lost");
        }
        // The tree goes on working, and nothing of the broken one is in the way.
        put(&gateway, &session, "/f", &self.content).await.unwrap_or_else(|e| panic!("{what}: and then: {e:?}"));
        assert_eq!(get(&gateway, &session, "/f").await.as_deref(), Some(&self.content[..]), "{what}");
        gateway.stop().await;
    }
}

async fn ledger_faults(ledger: Ledger) {
    for (len, overwrites, least) in CASES {
        for fault in [Fault::Refused, Fault::AnswerLost, Fault::Gone { done: false }, Fault::Gone { done: true }] {
            let (mut steps, mut acknowledged, mut visible_though_failed) = (0, 0, 0);
            loop {
                let case = Case::new(ledger, len, overwrites).await;
                let faulty = Faulty::new(case.place.open().await, fault);
                let gateway = start(faulty.clone(), Arc::new(case.blobs.clone()), case.installation).await.unwrap();
                let session = sftp(&gateway, "app").await;
                faulty.fail_after(steps);
                let work = put(&gateway, &session, "/f", &case.content);
                let answered = tokio::time::timeout(Duration::from_mins(1), work).await.expect("it hangs");
                let what = format!("{len} bytes, overwrites: {overwrites}, {fault:?} at write {steps}: {answered:?}");
                let failed = faulty.failed();
                drop((session, gateway));
                case.check(&answered, &what).await;
                acknowledged += usize::from(answered.is_ok());
                if !failed {
                    assert!(answered.is_ok(), "{what}");
                    break;
                }
                visible_though_failed += usize::from(answered.is_err() && fault == Fault::AnswerLost);
                steps += 1;
                assert!(steps < 50, "writes without end");
            }
            assert!(steps >= least, "begin, seal and publish are writes of their own: {steps}");
            if fault == Fault::AnswerLost {
                // The last write is the publication: its lost answer is looked up, and the upload is acknowledged.
                assert!(
                    acknowledged >= 2,
                    "a commit that happened is told as one: {acknowledged}, {visible_though_failed}"
                );
            }
        }
    }
}

async fn blob_faults(ledger: Ledger) {
    for (len, overwrites, _) in CASES {
        for op in [Op::Create, Op::Append, Op::Sync] {
            for kind in [ErrorKind::Internal, ErrorKind::NoSpace] {
                for nth in 0..8 {
                    let case = Case::new(ledger, len, overwrites).await;
                    let gateway = case.gateway().await;
                    let session = sftp(&gateway, "app").await;
                    case.blobs.take_log();
                    case.blobs.fail_after(op, nth, kind);
                    let answered = put(&gateway, &session, "/f", &case.content).await;
                    let done = case.blobs.take_log().iter().filter(|(done, _)| *done == op).count();
                    let what =
                        format!("{len} bytes, overwrites: {overwrites}, {op:?} number {nth} fails: {answered:?}");
                    assert_eq!(answered.is_err(), done > nth, "{what}: a failed step is never an acknowledgement");
                    if let Err(error) = &answered {
                        assert_eq!(error.kind(), kind, "{what}");
                    }
                    drop((session, gateway));
                    // The fault must not meet the next upload, if it has not come.
                    if done <= nth {
                        assert!(nth > 0, "{op:?} is no step of an upload");
                        break;
                    }
                    case.check(&answered, &what).await;
                }
            }
        }
    }
}
