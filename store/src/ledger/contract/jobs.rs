//! Jobs, their steps, and what tells of other transfers.

use causeway_core::ports::Reach;
use causeway_core::records::{
    EventRecord, ItemKind, ItemState, Job, JobItem, JobOperation, JobOrder, TransferState, UploadRow, UploadState,
};
use uuid::Uuid;

use super::{Subject, T0, upload, write};

pub(in crate::ledger) fn job(tenant: &str, identity: &str, priority: i64) -> Job {
    Job {
        id: Uuid::now_v7(),
        tenant: tenant.into(),
        identity: identity.into(),
        login: "l".into(),
        state: TransferState::Queued,
        generation: 1,
        holder: Uuid::nil(),
        due_at: Some(T0),
        priority,
        attempts: 0,
        planned: false,
        size: 0,
        bytes: 0,
        partial: 0,
        files: 0,
        done: 0,
        failed: 0,
        error_code: None,
        error_message: None,
        created_at: T0,
        started_at: None,
        finished_at: None,
        order: JobOrder {
            operation: JobOperation::Copy,
            source: "/a/é*".into(),
            destination: "/b/".into(),
            source_path: None,
            destination_path: Some("/t/b".into()),
            overwrite: false,
            notify: true,
            api_key: true,
            issuer: Some("https://login.example".into()),
            grant: Some(Uuid::now_v7()),
            scopes: Some(vec!["files:read".into()]),
            client_ip: Some([192, 0, 2, 7].into()),
        },
    }
}

pub(in crate::ledger) fn item(number: i64, kind: ItemKind) -> JobItem {
    JobItem {
        number,
        kind,
        source: format!("/a/{number}"),
        destination: format!("/b/{number}"),
        size: 10,
        state: ItemState::Pending,
        error_code: None,
        error_message: None,
    }
}

async fn insert(ledger: &Subject, job: &Job) {
    write!(ledger, [job], |tx| tx.insert_job(&job).await).unwrap();
}

async fn found(ledger: &Subject, id: Uuid) -> Job {
    ledger.read(Reach::Gateway).await.unwrap().job(id).await.unwrap().unwrap()
}

async fn claim(ledger: &Subject, holder: Uuid, now: i64) -> Option<Job> {
    write!(ledger, [], |tx| tx.claim_job(holder, now + 100, now).await).unwrap()
}

pub async fn jobs_keep_every_field(ledger: Subject) {
    let row = Job {
        state: TransferState::Failed,
        generation: i64::MAX,
        holder: Uuid::now_v7(),
        due_at: None,
        attempts: 3,
        planned: true,
        size: i64::MAX as u64,
        bytes: 5,
        partial: 6,
        files: 7,
        done: 8,
        failed: 9,
        error_code: Some("c".into()),
        error_message: Some("é".into()),
        started_at: Some(T0 + 1),
        finished_at: Some(T0 + 2),
        ..job("acme", "i", 9)
    };
    insert(&ledger, &row).await;
    assert_eq!(found(&ledger, row.id).await, row);
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().job(Uuid::now_v7()).await.unwrap(), None);
    let order = JobOrder {
        operation: JobOperation::Move,
        overwrite: true,
        notify: false,
        api_key: false,
        issuer: None,
        grant: None,
        scopes: None,
        client_ip: None,
        source_path: Some("/s".into()),
        ..row.order.clone()
    };
    let other = Job { generation: 4, order, ..Job { id: row.id, ..job("acme", "j", 0) } };
    assert!(!write!(ledger, [other], |tx| tx.update_job(&other, 3).await).unwrap(), "another generation");
    let foreign = Job { tenant: "globex".into(), ..other.clone() };
    assert!(!write!(ledger, [foreign], |tx| tx.update_job(&foreign, i64::MAX).await).unwrap(), "another tenant");
    assert_eq!(found(&ledger, row.id).await, row);
    assert!(write!(ledger, [other], |tx| tx.update_job(&other, i64::MAX).await).unwrap());
    assert_eq!(found(&ledger, row.id).await, other);
    assert_eq!(write!(ledger, [other], |tx| tx.hold_job(other.id).await).unwrap(), Some(other.clone()));

    let steps = [item(0, ItemKind::Folder), item(1, ItemKind::File), item(2, ItemKind::Tree), item(3, ItemKind::Prune)];
    let id = other.id;
    write!(ledger, [steps], |tx| tx.insert_job_items(id, &steps).await).unwrap();
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.job_items(id, -1, None, 9).await.unwrap(), steps);
    assert_eq!(query.job_items(id, 0, Some(ItemState::Pending), 2).await.unwrap(), steps[1..3]);
    assert!(query.job_items(id, -1, Some(ItemState::Done), 9).await.unwrap().is_empty());
    drop(query);
    write!(ledger, [], |tx| tx.delete_job_items(id).await).unwrap();
    assert!(ledger.read(Reach::Gateway).await.unwrap().job_items(id, -1, None, 9).await.unwrap().is_empty());
}

pub async fn jobs_are_listed_newest_first(ledger: Subject) {
    let all: Vec<Job> = (0..4).map(|n| job(if n == 2 { "other" } else { "acme" }, "i", 5)).collect();
    for one in &all {
        insert(&ledger, one).await;
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(query.jobs("acme", Uuid::max(), 9).await.unwrap()), [all[3].id, all[1].id, all[0].id]);
    assert_eq!(ids(query.jobs("acme", all[3].id, 1).await.unwrap()), [all[1].id]);
}

pub async fn jobs_are_claimed_in_turn(ledger: Subject) {
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().next_job_due().await.unwrap(), None);
    let holder = Uuid::now_v7();
    assert_eq!(claim(&ledger, holder, T0).await, None);
    let many: Vec<Job> = (0..4).map(|n| job("acme", "busy", if n == 2 { 9 } else { 5 })).collect();
    let few = job("acme", "calm", 0);
    let foreign = job("other", "busy", 0);
    let early = Job { due_at: Some(T0 + 50), ..job("acme", "calm", 9) };
    for one in many.iter().chain([&few, &foreign, &early]) {
        insert(&ledger, one).await;
    }
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().next_job_due().await.unwrap(), Some(T0));
    let mut order = Vec::new();
    for step in 0..6 {
        let got = claim(&ledger, holder, T0 + step).await.unwrap();
        assert_eq!((got.state, got.generation, got.holder, got.attempts), (TransferState::Running, 2, holder, 1));
        assert_eq!((got.due_at, got.started_at), (Some(T0 + step + 100), Some(T0 + step)));
        order.push(got.id);
    }
    // The one of the highest priority, then the tenant and the identity that have waited, then by age.
    let expected = [many[2].id, foreign.id, few.id, many[0].id, many[1].id, many[3].id];
    assert_eq!(order, expected);
    assert_eq!(claim(&ledger, holder, T0 + 49).await, None, "not due");
    assert_eq!(claim(&ledger, holder, T0 + 50).await.map(|job| job.id), Some(early.id));
}

pub async fn an_expired_lease_is_claimed_again(ledger: Subject) {
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    let row = job("acme", "i", 5);
    insert(&ledger, &row).await;
    let id = row.id;
    let first = claim(&ledger, one, T0).await.unwrap();
    assert_eq!(claim(&ledger, two, T0 + 99).await, None, "its lease is running");
    assert!(write!(ledger, [], |tx| tx.renew_job(id, 2, T0 + 200, 77).await).unwrap());
    assert_eq!(claim(&ledger, two, T0 + 150).await, None, "its lease was renewed");
    assert_eq!(found(&ledger, id).await.partial, 77);
    let second = claim(&ledger, two, T0 + 200).await.unwrap();
    assert_eq!((second.generation, second.attempts, second.partial), (3, 2, 0));
    assert_eq!((second.started_at, first.started_at), (Some(T0), Some(T0)));
    // The first one can do nothing any more.
    assert!(!write!(ledger, [], |tx| tx.renew_job(id, 2, T0 + 900, 0).await).unwrap());
    let steps = [item(0, ItemKind::File)];
    write!(ledger, [steps], |tx| tx.insert_job_items(id, &steps).await).unwrap();
    let done = JobItem { state: ItemState::Done, ..steps[0].clone() };
    assert!(!write!(ledger, [done], |tx| tx.settle_item(id, 2, &done).await).unwrap());
    // What a dead process had is free at once.
    assert_eq!(write!(ledger, [], |tx| tx.release_jobs(one, T0 + 201).await).unwrap(), 0);
    assert_eq!(write!(ledger, [], |tx| tx.release_jobs(two, T0 + 201).await).unwrap(), 1);
    let free = found(&ledger, id).await;
    assert_eq!((free.state, free.generation, free.due_at), (TransferState::Retrying, 4, Some(T0 + 201)));
    assert!(!write!(ledger, [done], |tx| tx.settle_item(id, 3, &done).await).unwrap());
    assert!(!write!(ledger, [done], |tx| tx.settle_item(id, 4, &done).await).unwrap(), "it does not run");
}

pub async fn steps_are_settled_once(ledger: Subject) {
    let row = job("acme", "i", 5);
    insert(&ledger, &row).await;
    let id = row.id;
    claim(&ledger, Uuid::now_v7(), T0).await.unwrap();
    let steps = [item(0, ItemKind::Folder), item(1, ItemKind::File), item(2, ItemKind::File)];
    write!(ledger, [steps], |tx| tx.insert_job_items(id, &steps).await).unwrap();
    let settle = async |item: JobItem| write!(ledger, [item], |tx| tx.settle_item(id, 2, &item).await).unwrap();
    let done = |item: &JobItem| JobItem { state: ItemState::Done, size: 25, ..item.clone() };
    assert!(settle(done(&steps[0])).await);
    assert!(settle(done(&steps[1])).await);
    assert!(!settle(done(&steps[1])).await, "once");
    let failed = JobItem {
        state: ItemState::Failed,
        error_code: Some("not_found".into()),
        error_message: Some("gone".into()),
        ..steps[2].clone()
    };
    assert!(settle(failed.clone()).await);
    let job = found(&ledger, id).await;
    assert_eq!((job.bytes, job.done, job.failed), (25, 1, 1), "a folder is no file, and the failed one moved nothing");
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    assert_eq!(query.job_items(id, -1, Some(ItemState::Failed), 9).await.unwrap(), [failed]);
    assert_eq!(query.job_items(id, -1, Some(ItemState::Done), 9).await.unwrap().len(), 2);
    drop(query);
    write!(ledger, [], |tx| tx.reset_job_items(id).await).unwrap();
    let again =
        ledger.read(Reach::Gateway).await.unwrap().job_items(id, -1, Some(ItemState::Pending), 9).await.unwrap();
    assert_eq!(again, [steps[2].clone()]);
}

pub async fn requests_are_remembered(ledger: Subject) {
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    let ask = async |identity: &'static str, digest: [u8; 32], job: Uuid, at: i64| {
        write!(ledger, [], |tx| tx.remember_request(("acme", identity), "key", (&digest, job), at).await).unwrap()
    };
    assert_eq!(ask("i", [1; 32], one, T0).await, None);
    assert_eq!(ask("i", [2; 32], two, T0 + 1).await, Some(([1; 32], one)));
    assert_eq!(ask("j", [2; 32], two, T0 + 1).await, None, "another identity's key");
    let known = async |identity: &'static str, key: &'static str, since: i64| {
        ledger.read(Reach::Gateway).await.unwrap().known_request(("acme", identity), key, since).await.unwrap()
    };
    assert_eq!(known("i", "key", T0).await, Some(([1; 32], one)));
    assert_eq!(known("i", "key", T0 + 1).await, None, "too old");
    assert_eq!(known("i", "other", T0).await, None);
    assert_eq!(known("k", "key", T0).await, None);
    assert_eq!(write!(ledger, [], |tx| tx.purge_requests(T0 + 1).await).unwrap(), 1);
    assert_eq!(ask("i", [2; 32], two, T0 + 2).await, None);
}

pub async fn ended_jobs_are_purged(ledger: Subject) {
    let ended =
        |at| Job { finished_at: Some(at), due_at: None, state: TransferState::Completed, ..job("acme", "i", 5) };
    let all = [ended(T0), ended(T0 + 10), job("acme", "i", 5)];
    for one in &all {
        insert(&ledger, one).await;
        let id = one.id;
        write!(ledger, [], |tx| tx.insert_job_items(id, &[item(0, ItemKind::File)]).await).unwrap();
    }
    let unfinished = async |identity: &'static str, most: u32| {
        ledger.read(Reach::Gateway).await.unwrap().unfinished_jobs(("acme", identity), most).await.unwrap()
    };
    assert_eq!((unfinished("i", 9).await, unfinished("i", 0).await, unfinished("j", 9).await), (1, 0, 0));
    assert_eq!(write!(ledger, [], |tx| tx.purge_jobs(T0 + 10).await).unwrap(), 1);
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let mut left = Vec::new();
    for one in &all {
        left.push((
            query.job(one.id).await.unwrap().is_some(),
            query.job_items(one.id, -1, None, 9).await.unwrap().len(),
        ));
    }
    assert_eq!(left, [(false, 0), (true, 1), (true, 1)]);
}

pub async fn other_transfers_are_found(ledger: Subject) {
    let row = |state, name: &str| UploadRow { state, ..upload(Uuid::now_v7(), name) };
    let open = row(UploadState::Open, "a");
    let told = UploadRow { incarnation: Uuid::nil(), ..row(UploadState::Detached, "b") };
    let parts = UploadRow { incarnation: Uuid::max(), ..row(UploadState::Detached, "c") };
    let copy = UploadRow { session: Uuid::nil(), ..row(UploadState::Open, "d") };
    let gone = row(UploadState::Committed, "e");
    for one in [&open, &told, &parts, &copy, &gone] {
        write!(ledger, [one], |tx| tx.insert_upload(&one).await).unwrap();
    }
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let ids = |rows: Vec<UploadRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(query.uploads_under_way("acme", Uuid::max(), 9).await.unwrap()), [parts.id, open.id]);
    assert_eq!(ids(query.uploads_under_way("acme", parts.id, 9).await.unwrap()), [open.id]);
    assert!(query.uploads_under_way("other", Uuid::max(), 9).await.unwrap().is_empty());
    drop(query);

    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    let event = |tenant: &str, kind: &str, transfer: Option<Uuid>| EventRecord {
        id: Uuid::now_v7(),
        tenant: tenant.into(),
        kind: kind.into(),
        at: T0,
        path: None,
        order_keys: Vec::new(),
        body: "{}".into(),
        transfer,
        quiet: kind == "transfer.failed",
        trace: None,
    };
    let all = [
        event("acme", "transfer.failed", Some(two)),
        event("acme", "file.uploaded", None),
        event("acme", "transfer.completed", Some(one)),
        event("acme", "transfer.completed", Some(two)),
        event("other", "transfer.completed", Some(Uuid::now_v7())),
    ];
    write!(ledger, [all], |tx| tx.append_events(&all).await).unwrap();
    let mut query = ledger.read(Reach::Gateway).await.unwrap();
    let ends = query.transfer_ends("acme", Uuid::max(), 9).await.unwrap();
    assert_eq!(ends, [all[3].clone(), all[0].clone(), all[2].clone()], "the last event of a transfer first");
    assert_eq!(query.transfer_ends("acme", two, 9).await.unwrap(), [all[2].clone()]);
    drop(query);
    let waiting = write!(ledger, [], |tx| tx.unpositioned(9).await).unwrap();
    assert_eq!(waiting.iter().map(|event| event.quiet).collect::<Vec<_>>(), [true, false, false, false, false]);
}

pub async fn two_workers_claim_two_jobs(ledger: Subject) {
    for round in 0..20 {
        let now = T0 + round * 1000;
        for _ in 0..2 {
            insert(&ledger, &Job { due_at: Some(now), ..job("acme", "i", 5) }).await;
        }
        let (one, two) = tokio::join!(claim(&ledger, Uuid::now_v7(), now), claim(&ledger, Uuid::now_v7(), now));
        let ids: Vec<Uuid> = [one, two].into_iter().flatten().map(|job| job.id).collect();
        assert!(!ids.is_empty(), "one of them gets a job whatever the other does");
        assert!(ids.len() < 2 || ids[0] != ids[1], "{ids:?}");
        // Whoever came too soon comes again.
        while claim(&ledger, Uuid::now_v7(), now).await.is_some() {}
        assert!(ledger.read(Reach::Gateway).await.unwrap().next_job_due().await.unwrap().is_some_and(|due| due > now));
    }
}

pub async fn a_step_and_a_cancel_exclude_each_other(ledger: Subject) {
    for _ in 0..20 {
        let row = job("acme", "i", 5);
        insert(&ledger, &row).await;
        let id = row.id;
        while claim(&ledger, Uuid::now_v7(), T0).await.is_some_and(|job| job.id != id) {}
        let steps = [item(0, ItemKind::File)];
        write!(ledger, [steps], |tx| tx.insert_job_items(id, &steps).await).unwrap();
        let done = JobItem { state: ItemState::Done, ..steps[0].clone() };
        let settle = async { write!(ledger, [done], |tx| tx.settle_item(id, 2, &done).await).unwrap() };
        let cancel = async {
            write!(ledger, [], |tx| {
                let job = tx.hold_job(id).await?.unwrap();
                let generation = job.generation;
                let ended = Job { state: TransferState::Cancelled, generation: generation + 1, due_at: None, ..job };
                assert!(tx.update_job(&ended, generation).await?);
                Ok(ended.done)
            })
            .unwrap()
        };
        let (settled, seen) = tokio::join!(settle, cancel);
        let end = found(&ledger, id).await;
        assert_eq!((end.state, end.done, seen), (TransferState::Cancelled, u64::from(settled), u64::from(settled)));
    }
}
