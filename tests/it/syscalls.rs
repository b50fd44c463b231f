//! The order of the system calls of a commit, which `kill -9` alone cannot show: content synced, then its folder, then
//! the ledger, and only then the reply.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::sftp::{CREATE, TRUNCATE, W};
use crate::harness::{Gateway, Ledger, Plan, Random, Rest, has_tool};

/// One system call, by the lines of the trace where it began and ended.
#[derive(Debug)]
struct Call {
    at: f64,
    name: String,
    arguments: String,
    began: usize,
    ended: usize,
}

fn parse(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    for (line, text) in trace.lines().enumerate() {
        let mut words = text.splitn(3, ' ').filter(|w| !w.is_empty());
        let text = text.trim_start();
        let (Some(thread), rest) = (words.next(), text.split_once(' ').map_or("", |(_, r)| r.trim_start())) else {
            continue;
        };
        let Some((at, what)) = rest.split_once(' ') else { continue };
        if what.starts_with("<... ") {
            if let Some(call) = unfinished.remove(thread) {
                calls[call].ended = line;
            }
        } else if let Some((name, arguments)) = what.split_once('(') {
            let open = what.ends_with("<unfinished ...>");
            if open {
                unfinished.insert(thread, calls.len());
            }
            calls.push(Call {
                at: at.parse().unwrap_or_default(),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
                began: line,
                ended: if open { usize::MAX } else { line },
            });
        }
    }
    calls
}

/// A trace of a running gateway.
struct Trace {
    child: std::process::Child,
    out: std::path::PathBuf,
}

impl Trace {
    async fn of(gateway: &Gateway) -> Option<Self> {
        let out = gateway.folder().join("trace");
        let child = Command::new("strace")
            .args(["-f", "-yy", "-ttt", "-s", "0", "-e"])
            .arg("trace=fsync,fdatasync,sync_file_range,pwrite64,pwritev,write,writev,sendto,sendmsg")
            .args(["-p", &gateway.pid().to_string(), "-o"])
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut trace = Self { child, out };
        for _ in 0..500 {
            if trace.child.try_wait().unwrap().is_some() {
                crate::harness::skip("strace may not attach here");
                return None;
            }
            let all = fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap().flatten().all(|task| {
                fs::read_to_string(task.path().join("status")).is_ok_and(|s| !s.contains("TracerPid:\t0\n"))
            });
            if all {
                return Some(trace);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("strace did not attach");
    }

    fn end(mut self) -> Vec<Call> {
        kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::INT).unwrap();
        self.child.wait().unwrap();
        parse(&fs::read_to_string(&self.out).unwrap())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// After `from`: blob synced, its folder synced, ledger synced, reply; each began after the one before had ended.
fn check(calls: &[Call], from: f64, content: &Path, port: u16, what: &str) {
    let calls: Vec<&Call> = calls.iter().filter(|c| c.at >= from).collect();
    let shown = || calls.iter().map(|c| format!("{} {}({}", c.at, c.name, c.arguments)).collect::<Vec<_>>().join("\n");
    let is_sync = |c: &&&Call| matches!(c.name.as_str(), "fsync" | "fdatasync");
    let inside = content.to_str().unwrap();
    // `12</data/content/acme/ab/abcdef>` or the folder `13</data/content/acme/ab>`.
    let path_of =
        |c: &Call| c.arguments.split_once('<').and_then(|(_, r)| r.split_once('>')).map(|(p, _)| p.to_owned());
    let of_content = |c: &Call| path_of(c).filter(|p| p.starts_with(inside));
    let blob = calls
        .iter()
        .filter(is_sync)
        .find(|c| of_content(c).is_some_and(|p| Path::new(&p).is_file()))
        .unwrap_or_else(|| panic!("{what}: the blob is not synced\n{}", shown()));
    let folder_path = Path::new(&path_of(blob).unwrap()).parent().unwrap().to_str().unwrap().to_owned();
    let folder = calls
        .iter()
        .filter(is_sync)
        .find(|c| path_of(c).as_deref() == Some(&folder_path))
        .unwrap_or_else(|| panic!("{what}: the blob's folder {folder_path} is not synced\n{}", shown()));
    assert!(blob.ended < folder.began, "{what}: the folder's sync began before the blob's had ended\n{}", shown());
    let ledger = calls
        .iter()
        .filter(is_sync)
        .find(|c| c.began > folder.ended && path_of(c).is_some_and(|p| p.ends_with("-wal")))
        .unwrap_or_else(|| panic!("{what}: the ledger is not synced after the folder\n{}", shown()));
    let socket = format!("127.0.0.1:{port}->");
    let reply = calls
        .iter()
        .find(|c| matches!(c.name.as_str(), "write" | "writev" | "sendto" | "sendmsg") && c.arguments.contains(&socket))
        .unwrap_or_else(|| panic!("{what}: no reply\n{}", shown()));
    assert!(ledger.ended < reply.began, "{what}: the reply left before the ledger was synced\n{}", shown());
    // The commit record itself was written between the folder's sync and its own.
    assert!(
        calls.iter().any(|c| {
            c.name.starts_with("pwrite")
                && c.began > folder.ended
                && c.ended < ledger.began
                && path_of(c).is_some_and(|p| p.ends_with("-wal"))
        }),
        "{what}: the ledger was not written after the content was durable\n{}",
        shown()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_then_folder_then_ledger_then_reply() {
    if !has_tool("strace") {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let content = Random::seeded("syscalls").bytes(100_000);
    let mut session = gateway.sftp("app01").await;
    let ca = fs::read(gateway.data().join("certs/ca.pem")).unwrap();
    let rest = Rest::http1(gateway.api, &ca, &crate::harness::plan::api_key("orders"));
    rest.list("/").await;
    let Some(trace) = Trace::of(&gateway).await else { return };

    let handle = session.open("/inbound/sftp.bin", W | CREATE | TRUNCATE).await.unwrap();
    session.write_all(&handle, 0, &content).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let closing = now();
    session.close(&handle).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;

    let (first, last) = (content.slice(..99_999), content.slice(99_999..));
    let (told, tell) = tokio::sync::oneshot::channel();
    let mut told = Some(told);
    let body = futures::stream::iter([first, last]).enumerate().then(move |(n, piece)| {
        let told = if n == 1 { told.take() } else { None };
        async move {
            if let Some(told) = told {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                told.send(now()).unwrap();
            }
            Ok::<_, std::io::Error>(piece)
        }
    });
    let request = rest
        .request(reqwest::Method::PUT, &crate::harness::rest::content_path("/inbound/rest.bin"))
        .body(reqwest::Body::wrap_stream(body));
    rest.send(request).await.ok();
    let finishing = tell.await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;

    let calls = trace.end();
    let of = |from: f64, to: f64| calls.iter().filter(|c| c.at >= from && c.at < to).count();
    assert!(of(closing, finishing) > 0 && of(finishing, f64::MAX) > 0, "nothing was traced");
    check(&calls, closing, &gateway.content(), gateway.sftp.port(), "SFTP");
    check(&calls, finishing, &gateway.content(), gateway.api.port(), "REST");
    assert_eq!(rest.read("/inbound/sftp.bin").await.body, content);
    assert_eq!(rest.read("/inbound/rest.bin").await.body, content);
}
