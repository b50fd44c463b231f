//! A folder with a million entries: listing it takes time, and no memory to speak of.

use std::path::Path;

use rusqlite::Connection;
use tokio::io::AsyncReadExt as _;

use crate::harness::ftps::Ftps;
use crate::harness::sftp::{Body, OPENDIR, READDIR, Reply};
use crate::harness::{Gateway, Ledger, Plan, say};

const ENTRIES: usize = 1_000_000;
/// What listing them may add to what the daemon took before, in KiB: a fraction of what they would take together.
const MORE: u64 = 32 * 1024;

/// Puts the entries into a ledger that nobody uses, each like the one that is there. One by one through the front door
/// would take half an hour.
fn fill(database: &Path) {
    let connection = Connection::open(database).unwrap();
    let made = connection
        .execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1 - 1) \
             INSERT INTO nodes (id, tenant, parent, name, created_at, modified_at, attributes, created_by) \
             SELECT randomblob(16), tenant, parent, printf('entry-%07d', n), created_at, modified_at, attributes, created_by \
             FROM numbers, nodes WHERE name = 'entry-0000000'",
            [ENTRIES as i64],
        )
        .unwrap();
    assert_eq!(made, ENTRIES - 1);
}

fn nth(n: usize) -> String {
    format!("entry-{n:07}")
}

/// How much the daemon's peak has grown, in KiB.
fn growth(gateway: &Gateway, before: u64, what: &str) -> u64 {
    let more = gateway.memory("VmHWM").saturating_sub(before);
    say(&format!("{what}: {ENTRIES} entries, {} MiB more at the peak", more / 1024));
    more
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_entries_are_listed_in_little_memory() {
    let mut gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut sftp = gateway.sftp("edi01").await;
    sftp.mkdir("/inbound/many").await.unwrap();
    sftp.mkdir(&format!("/inbound/many/{}", nth(0))).await.unwrap();
    drop(sftp);
    gateway.stop().await;
    fill(&gateway.data().join("causeway.db"));
    gateway.start().await;

    // What a login and the first look into the ledger take is there before.
    let mut sftp = gateway.sftp("edi01").await;
    let mut ftps = Ftps::login(&gateway, "edi01").await;
    sftp.stat(&format!("/inbound/many/{}", nth(ENTRIES - 1))).await.unwrap();
    let before = gateway.memory("VmRSS");

    let handle = match sftp.call(OPENDIR, Body::default().string("/inbound/many")).await.unwrap() {
        Reply::Handle(handle) => handle,
        other => panic!("no handle: {other:?}"),
    };
    let mut seen = 0;
    loop {
        match sftp.call(READDIR, Body::default().string(&handle)).await {
            Ok(Reply::Names(names)) => {
                for (name, _) in names.iter().filter(|(name, _)| name != "." && name != "..") {
                    assert_eq!(*name, nth(seen));
                    seen += 1;
                }
            }
            Err(status) if status.code == 1 => break,
            other => panic!("no names: {other:?}"),
        }
    }
    assert_eq!(seen, ENTRIES);
    sftp.close(&handle).await.unwrap();
    let by_sftp = growth(&gateway, before, "SFTP");

    let (said, data) = ftps.open("MLSD /inbound/many").await;
    let mut data = data.unwrap_or_else(|| panic!("{said}"));
    let (mut seen, mut rest, mut piece) = (0, Vec::new(), vec![0; 1 << 16]);
    loop {
        let count = data.read(&mut piece).await.expect("a close_notify at the end");
        if count == 0 {
            break;
        }
        rest.extend_from_slice(&piece[..count]);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        let whole = rest.drain(..=end).collect::<Vec<u8>>();
        for line in String::from_utf8(whole).unwrap().lines().filter(|line| line.contains("entry-")) {
            assert!(line.ends_with(&format!("; {}", nth(seen))), "{line}");
            seen += 1;
        }
    }
    assert_eq!((seen, rest.len()), (ENTRIES, 0));
    assert!(ftps.reply().await.starts_with("226"));
    let by_ftps = growth(&gateway, before, "FTPS");

    // Over REST page by page; the cursor holds its place whatever comes and goes before it.
    let rest = gateway.rest("edi");
    let (mut seen, mut cursor, mut pages) = (0, String::new(), 0);
    loop {
        let page = rest.get(&format!("/files?path=/inbound/many&limit=1000{cursor}")).await.ok();
        for entry in page["entries"].as_array().unwrap() {
            assert_eq!(entry["name"], nth(seen).as_str());
            seen += 1;
        }
        pages += 1;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        if pages % 250 == 0 {
            let early =
                rest.post_json("/folders", &serde_json::json!({"path": format!("/inbound/many/early-{pages}")})).await;
            assert_eq!(early.status, 201, "{early:?}");
            let first = format!("/folders?path=/inbound/many/{}", nth(pages));
            assert_eq!(rest.delete(&first).await.status, 204);
        }
    }
    assert_eq!((seen, pages), (ENTRIES, ENTRIES / 1000));
    let by_rest = growth(&gateway, before, "REST");
    // And all of it goes at once, whatever its size.
    let began = std::time::Instant::now();
    let gone = rest.delete("/folders?path=/inbound/many&recursive=true").await;
    assert_eq!(gone.status, 204, "{gone:?}");
    say(&format!("REST: a folder of {ENTRIES} entries was removed in {:?}", began.elapsed()));
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(by_rest < MORE, "{by_rest} KiB");
    assert!(by_sftp < MORE && by_ftps < MORE, "{by_sftp} and {by_ftps} KiB");
}
