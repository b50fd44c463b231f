//! OpenSSH's `sftp`: its knobs, resuming, and trees as partners have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::openssh::OpenSsh;
use crate::harness::sftp::{CREATE, W};
use crate::harness::{Ledger, Plan, Random, count, eventually, has_tool};

/// Every file below, and its content.
fn contents(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(root: &Path, folder: &Path, out: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                out.push((path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out.sort();
    out
}

/// Sizes of requests and how many wait at once, from one byte and one request upwards; a limit of bandwidth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_size_and_depth_of_requests() {
    if !has_tool("sftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let mut random = Random::seeded("knobs");
    for (n, (size, arguments)) in [
        (700, &["-B", "1", "-R", "1"][..]),
        (3_000, &["-B", "1", "-R", "64"]),
        (50_000, &["-B", "17", "-R", "200"]),
        (2_000_000, &["-B", "4096", "-R", "1"]),
        (2_000_000, &["-B", "32769", "-R", "3"]),
        (9_000_001, &["-B", "261120", "-R", "128"]),
        (9_000_001, &["-B", "65537", "-R", "512"]),
        (400_000, &["-l", "20000"]),
    ]
    .into_iter()
    .enumerate()
    {
        let client = OpenSsh::new(&gateway, "app01").arguments(arguments);
        let content = random.bytes(size);
        client.local("data", &content);
        let ran = client.batch(&format!("put data /inbound/k{n}\nget /inbound/k{n} back\n")).await;
        assert!(ran.success, "{arguments:?}: {ran:?}");
        assert!(fs::read(client.folder().join("back")).unwrap() == content, "{arguments:?}");
        assert!(gateway.rest("orders").read(&format!("/inbound/k{n}")).await.body == content, "{arguments:?}");
    }
}

/// `reput` goes on with what is there of a cut upload, `reget` with what is here of a download.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reput_and_reget_go_on() {
    if !has_tool("sftp") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let content = Random::seeded("resume").bytes(5_000_000);
    let client = OpenSsh::new(&gateway, "app01");
    client.local("data", &content);
    client.local("part", &content[..1_234_567]);
    let mut raw = gateway.sftp("app01").await;
    let handle = raw.open("/inbound/resumed", W | CREATE).await.unwrap();
    raw.write_all(&handle, 0, &content[..2_000_000]).await.unwrap();
    drop(raw);
    let partial = || async {
        let ran = client.batch("ls -l /inbound/resumed\n").await;
        ran.output.contains("2000000").then_some(())
    };
    eventually("the cut upload is detached", Duration::from_secs(30), partial).await;
    let ran = client.batch("reput data /inbound/resumed\nreget /inbound/resumed part\n").await;
    assert!(ran.success, "{ran:?}");
    assert!(gateway.rest("orders").read("/inbound/resumed").await.body == content);
    assert!(fs::read(client.folder().join("part")).unwrap() == content);
}

/// Ten thousand files in a tree, names in many scripts among them, there and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_of_ten_thousand_files() {
    if !has_tool("sftp") {
        return;
    }
    let files = count("CAUSEWAY_TREE_FILES", 10_000);
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let client = OpenSsh::new(&gateway, "app01");
    let root = client.folder().join("tree");
    let names = [
        "Größe",
        "naïve café",
        "Ελληνικά",
        "Русский",
        "日本語の名前",
        "한국어",
        "العربية",
        "עברית",
        "हिन्दी",
        "ไทย",
        "中文",
        "Tiếng Việt",
        "emoji 🚢",
        "quote's \"name\"",
        "semi;colon & amp",
        "percent %41",
        "trailing.",
        "-dash",
        "#hash",
        "tab-less [x] *star*",
    ];
    let mut random = Random::seeded("tree");
    for n in 0..files {
        let folder = root.join(format!("d{:02}", n % 40));
        if n < 40 {
            fs::create_dir_all(&folder).unwrap();
        }
        let name = if n < names.len() { names[n].to_owned() } else { format!("f{n:05}") };
        fs::write(folder.join(name), random.bytes(n % 300)).unwrap();
    }
    fs::create_dir(root.join("empty")).unwrap();
    let child = client.spawn("put -r tree /inbound/\nget -r /inbound/tree back\n");
    let ran = client.finish(child, Duration::from_mins(8)).await;
    assert!(ran.success, "{}", &ran.output[ran.output.len().saturating_sub(2000)..]);
    let (there, back) = (contents(&root), contents(&client.folder().join("back")));
    assert_eq!(there.len(), files);
    assert!(there == back, "what came back is what was sent");
    assert!(client.folder().join("back/empty").is_dir());
}
