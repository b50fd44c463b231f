//! Many sessions at once: 2,000 that do nothing take next to nothing, and 200 that work all get on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Barrier;

use crate::harness::{Gateway, Ledger, Plan, Random, Sftp, say};

/// What a session that does nothing may take of the daemon, in KiB.
const IDLE: u64 = 100;
/// What one that puts and gets small files may take at its peak, in KiB.
const BUSY: u64 = 1024;

/// Both ends of each connection are on this machine, and the daemon inherits the limit.
fn raise_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let maximum = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        setrlimit(Resource::Nofile, Rlimit { current: Some(maximum), maximum: limit.maximum }).unwrap();
        assert_eq!(maximum, wanted, "the test needs that many open files");
    }
}

async fn many(gateway: &Gateway, count: usize) -> Vec<Sftp> {
    let began = Instant::now();
    let sessions: Vec<Sftp> = futures::stream::iter(0..count)
        .map(|_| async {
            let mut sftp = gateway.sftp("app01").await;
            // What a client does first.
            sftp.names("/inbound").await.unwrap();
            sftp
        })
        .buffer_unordered(16)
        .collect()
        .await;
    say(&format!("{count} sessions in {:.1} s", began.elapsed().as_secs_f64()));
    sessions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_sessions_take_little() {
    const SESSIONS: usize = 2_000;
    raise_files(3 * SESSIONS as u64);
    let plan = Plan::new(Ledger::Sqlite).limits("sessions_per_address = 10000");
    let gateway = plan.start().await;
    // What the first ones make the daemon take for good is not theirs.
    drop(many(&gateway, 32).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = gateway.memory("VmRSS");
    let mut sessions = many(&gateway, SESSIONS).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = gateway.memory("VmRSS");
    let each = after.saturating_sub(before) / SESSIONS as u64;
    say(&format!("an idle session takes {each} KiB ({} MiB of {} MiB)", (after - before) >> 10, after >> 10));
    assert!(each <= IDLE, "an idle session takes {each} KiB");
    // They are there, each of them.
    for sftp in &mut sessions {
        sftp.names("/inbound").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_busy_sessions_all_get_on() {
    const SESSIONS: usize = 200;
    const TIME: Duration = Duration::from_secs(20);
    raise_files(4_000);
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    drop(many(&gateway, 32).await);
    let before = gateway.memory("VmRSS");
    let start = Arc::new(Barrier::new(SESSIONS));
    let mut tasks = Vec::new();
    for (n, mut sftp) in many(&gateway, SESSIONS).await.into_iter().enumerate() {
        let start = start.clone();
        tasks.push(tokio::spawn(async move {
            let mut random = Random::from(n as u64 + 1);
            start.wait().await;
            let (began, mut rounds) = (Instant::now(), 0_u64);
            while began.elapsed() < TIME {
                let size = 1 + random.below(64 * 1024) as usize;
                let content = random.bytes(size);
                let path = format!("/inbound/busy-{n}");
                sftp.put(&path, &content).await.unwrap();
                assert!(sftp.get(&path).await.unwrap() == content, "session {n} gets what it put");
                rounds += 1;
            }
            rounds
        }));
    }
    let mut rounds = Vec::new();
    for task in tasks {
        rounds.push(task.await.unwrap());
    }
    let (slowest, all) = (rounds.iter().min().unwrap(), rounds.iter().sum::<u64>());
    let peak = gateway.memory("VmHWM");
    let each = peak.saturating_sub(before) / SESSIONS as u64;
    say(&format!("{all} rounds, the slowest session {slowest}, at most {each} KiB for each"));
    assert!(slowest * 10 * SESSIONS as u64 >= all, "one session had {slowest} rounds, all of them {all}");
    assert!(each <= BUSY, "a busy session takes {each} KiB");
}
