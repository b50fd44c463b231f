//! Receivers as their makers write them: with the `standardwebhooks` libraries of PyPI and npm.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Told, tireless};
use crate::harness::{Ledger, eventually, has_tool, script, skip};

const OLD: &str = "whsec_T25lIHNlY3JldCBvZiB0aGUgdGVzdHM=";
const NEW: &str = "whsec_QW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3Rz";

/// A script that receives, and what it says of each post.
struct Script {
    child: Child,
    port: u16,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Script {
    fn start(mut command: Command) -> Self {
        command.args([OLD, NEW]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = output.next().expect("the script listens").unwrap().parse().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, port, lines }
    }

    /// What it said, once that are so many posts.
    async fn until(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} posts"), Duration::from_secs(30), || async {
            let lines = self.lines.lock().unwrap().clone();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A webhook is told of uploads before, during and after the rotation of its secret.
async fn verifies(command: Command) {
    let script = Script::start(command);
    let mut gateway = tireless(Ledger::Sqlite, 1000, "30s").start().await;
    let admin = gateway.rest("orders");
    let url = format!("http://127.0.0.1:{}/hook", script.port);
    let body = json!({ "id": "mine", "url": url, "secret": OLD, "events": ["file.uploaded"] });
    assert_eq!(admin.post_json("/webhooks", &body).await.status, 201);
    let mut told = Told::default();
    told.upload(&admin, &["größe 大きさ"], 2).await;
    script.until(2).await;
    let rotate = async |grace: &str| {
        let body = json!({ "secret": NEW, "grace": grace });
        admin.post_json("/webhooks/mine/rotate-secret", &body).await.ok();
    };
    rotate("1h").await;
    told.upload(&admin, &["b"], 2).await;
    script.until(4).await;
    rotate("0s").await;
    told.upload(&admin, &["c"], 2).await;
    let lines = script.until(6).await;
    assert_eq!(lines.len(), 6, "{lines:?}");
    let paths: Vec<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let twice = |name: &'static str| [name, name];
    assert_eq!(paths, ["/inbound/größe 大きさ", "/inbound/b", "/inbound/c"].map(twice).concat());
    let (before, during, after) = (json!([true, false]), json!([true, true]), json!([false, true]));
    for (line, (verified, plain)) in lines.iter().zip([
        (&before, &before),
        (&before, &before),
        // The older kind of signature has room for one: that of the new secret.
        (&during, &after),
        (&during, &after),
        (&after, &after),
        (&after, &after),
    ]) {
        assert_eq!((&line["verified"], &line["plain"]), (verified, plain), "{line}");
        assert_eq!((&line["type"], &line["same_id"]), (&json!("file.uploaded"), &json!(true)), "{line}");
        // Within the five minutes that the libraries allow for it is taken again; later, or changed in anything, it is not.
        assert_eq!((&line["soon"], &line["late"]), (&json!(true), &json!(false)), "{line}");
        assert_eq!(line["altered"], json!([false, false, false, false]), "{line}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standardwebhooks_of_pypi() {
    let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
        return skip("CAUSEWAY_TEST_PYTHON is not set to a Python with standardwebhooks; ./test makes one");
    };
    let mut command = Command::new(python);
    command.arg(script("webhook_receiver.py"));
    verifies(command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standardwebhooks_of_npm() {
    if !has_tool("node") {
        return;
    }
    let Some(modules) = std::env::var_os("CAUSEWAY_TEST_NODE_MODULES") else {
        return skip("CAUSEWAY_TEST_NODE_MODULES is not set to a folder with standardwebhooks; ./test makes one");
    };
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(script("webhook_receiver.js"));
    verifies(command).await;
}
