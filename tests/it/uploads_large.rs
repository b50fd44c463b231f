//! A file far larger than the memory that the daemon may take, in chunks, eight at a time, killed and gone on with; and the
//! same protocol as a client writes it with `requests`. `CAUSEWAY_CHUNKS_MIB` sets the size (10240).

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::clients::run;
use crate::harness::plan::api_key;
use crate::harness::{Gateway, Ledger, Plan, Random, Rest, count, say, sha256, skip};
use crate::spine::events_come;
use crate::uploads::{begin, status};

/// What the daemon may take, in KiB.
const LIMIT: u64 = 150 * 1024;

fn check(gateway: &Gateway, what: &str, began: Instant) {
    let peak = gateway.memory("VmHWM");
    say(&format!("{what}: {:.1} s, resident at most {} MiB", began.elapsed().as_secs_f64(), peak / 1024));
    assert!(peak < LIMIT, "{what}: {peak} KiB resident at the peak");
}

/// Sends chunks, eight at a time, until they are over or `stop` of them are acknowledged.
async fn send(rest: &Rest, id: &str, chunks: &[u64], piece: Arc<dyn Fn(u64) -> Bytes + Send + Sync>, stop: usize) {
    let sent = Arc::new(AtomicUsize::new(0));
    let senders = (0..8).map(|lane| {
        let (rest, id, piece, sent) = (rest.clone(), id.to_owned(), piece.clone(), sent.clone());
        let mine: Vec<u64> = chunks.iter().copied().skip(lane).step_by(8).collect();
        tokio::spawn(async move {
            for n in mine {
                if sent.load(Ordering::Relaxed) >= stop {
                    return;
                }
                let request = rest.request(Method::PUT, &format!("/uploads/{id}/chunks/{n}")).body(piece(n));
                let answer = rest.send(request).await;
                assert_eq!(answer.status, 204, "{answer:?}");
                sent.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_of_a_large_file_leave_it_small() {
    let size = count("CAUSEWAY_CHUNKS_MIB", 10_240) as u64 * (1 << 20) + 1;
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");
    let id = begin(&rest, &json!({"path": "/large", "size": size})).await;
    let begun = status(&rest, &id).await;
    let (chunk, chunks) = (begun["chunk_size"].as_u64().unwrap(), begun["chunks"].as_u64().unwrap());
    // As of a sparse file: zeros, and an end that is not.
    let zeros = Bytes::from(vec![0; chunk as usize]);
    let end = Random::seeded("large chunks").bytes((size - (chunks - 1) * chunk) as usize);
    let piece: Arc<dyn Fn(u64) -> Bytes + Send + Sync> =
        Arc::new(move |n| if n + 1 == chunks { end.clone() } else { zeros.clone() });

    let began = Instant::now();
    let all: Vec<u64> = (0..chunks).collect();
    send(&rest, &id, &all, piece.clone(), chunks as usize / 3).await;
    check(&gateway, "the first third of the chunks", began);
    gateway.kill().await;
    gateway.start().await;
    let rest = gateway.rest("orders");
    let seen = status(&rest, &id).await;
    let received = seen["received"].as_array().unwrap().iter();
    let received: std::collections::BTreeSet<u64> =
        received.flat_map(|run| run[0].as_u64().unwrap()..=run[1].as_u64().unwrap()).collect();
    assert!(received.len() as u64 >= chunks / 3, "{seen}");
    let left: Vec<u64> = all.into_iter().filter(|n| !received.contains(n)).collect();
    send(&rest, &id, &left, piece.clone(), usize::MAX).await;
    check(&gateway, "all the chunks", began);

    let request = rest.request(Method::POST, &format!("/uploads/{id}/complete")).timeout(Duration::from_mins(10));
    let file = rest.send(request).await.ok();
    check(&gateway, "completed", began);
    let hash = tokio::task::spawn_blocking(move || {
        let mut hasher = Sha256::new();
        (0..chunks).for_each(|n| hasher.update(piece(n)));
        hex::encode(hasher.finalize())
    });
    assert_eq!(file["hash"], hash.await.unwrap().as_str());
    assert_eq!(file["size"], size);
    events_come(&rest, "file.uploaded", "/large", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_by_requests() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with requests; ./test makes one");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let content = Random::seeded("requests").bytes(5_000_001);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("content"), &content).unwrap();
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/chunks_session.py"));
    command.arg(format!("https://localhost:{}", gateway.api.port()));
    command.arg(gateway.data().join("certs/ca.pem")).arg(api_key("orders")).arg(folder.path().join("content"));
    run(command).await;
    assert_eq!(gateway.rest("orders").entry("/large", "content").await.unwrap()["hash"], sha256(&content));
}
