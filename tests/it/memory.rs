//! A file far larger than the memory that the daemon may take. `CAUSEWAY_MEMORY_MIB` sets its size (5120).

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest, Sha256};

use crate::harness::openssh::OpenSsh;
use crate::harness::rest::content_path;
use crate::harness::{Gateway, Ledger, Plan, Random, count, has_tool, say};

/// What the daemon may take, in KiB.
const LIMIT: u64 = 150 * 1024;

fn check(gateway: &Gateway, what: &str, began: Instant) {
    let (peak, now) = (gateway.memory("VmHWM"), gateway.memory("VmRSS"));
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("{what}: {seconds:.1} s, resident {} MiB, at most {} MiB", now / 1024, peak / 1024));
    assert!(peak < LIMIT, "{what}: {peak} KiB resident at the peak");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_leave_it_small() {
    if !has_tool("sftp") {
        return;
    }
    let size = count("CAUSEWAY_MEMORY_MIB", 5120) as u64 * (1 << 20);
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let rest = gateway.rest("orders");

    // Zeros from a sparse file, and an end that is not zeros.
    let end = Random::seeded("memory").bytes(1 << 20);
    let client = OpenSsh::new(&gateway, "app01").option("Ciphers=aes128-gcm@openssh.com");
    let mut local = File::create(client.folder().join("large")).unwrap();
    local.set_len(size).unwrap();
    local.seek(SeekFrom::Start(size - end.len() as u64)).unwrap();
    local.write_all(&end).unwrap();
    drop(local);
    let zeros = Bytes::from(vec![0; 1 << 20]);
    let pieces = (size >> 20) as usize;
    let piece = |n: usize| if n + 1 == pieces { end.clone() } else { zeros.clone() };
    let mut hasher = Sha256::new();
    for n in 0..pieces {
        hasher.update(piece(n));
    }
    let hash = hex::encode(hasher.finalize());

    let began = Instant::now();
    let child = client.spawn("put large /inbound/sftp\n");
    let ran = client.finish(child, Duration::from_mins(10)).await;
    assert!(ran.success, "{ran:?}");
    check(&gateway, "SFTP upload", began);
    assert_eq!(rest.entry("/inbound", "sftp").await.unwrap()["hash"], hash.as_str());

    let began = Instant::now();
    let child = client.spawn("get /inbound/sftp /dev/null\n");
    let ran = client.finish(child, Duration::from_mins(10)).await;
    assert!(ran.success, "{ran:?}");
    check(&gateway, "SFTP download", began);
    gateway.sftp("app01").await.remove("/inbound/sftp").await.unwrap();

    let began = Instant::now();
    let body: Vec<Bytes> = (0..pieces).map(piece).collect();
    let body = futures::stream::iter(body).map(Ok::<_, std::io::Error>);
    let request = rest
        .request(reqwest::Method::PUT, &content_path("/inbound/rest"))
        .timeout(Duration::from_mins(10))
        .body(reqwest::Body::wrap_stream(body));
    assert_eq!(rest.send(request).await.ok()["hash"], hash.as_str());
    check(&gateway, "REST upload", began);

    let began = Instant::now();
    let request = rest.request(reqwest::Method::GET, &content_path("/inbound/rest")).timeout(Duration::from_mins(10));
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut hasher = Sha256::new();
    let mut received = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.unwrap();
        received += piece.len() as u64;
        hasher.update(&piece);
    }
    assert_eq!(received, size);
    assert_eq!(hex::encode(hasher.finalize()), hash);
    check(&gateway, "REST download", began);
}
