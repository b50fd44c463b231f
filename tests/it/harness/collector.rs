//! A collector of traces, whose reading is not ours: `tests/clients/otlp_collector.py`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{eventually, skip};

/// The collector, until it is dropped.
pub struct Collector {
    child: Child,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    /// Starts one at this port (0: any). None: there is no Python for it.
    pub async fn start(port: u16) -> Option<Self> {
        let Ok(python) = std::env::var("CAUSEWAY_TEST_PYTHON") else {
            skip("CAUSEWAY_TEST_PYTHON is not set to a Python with opentelemetry-proto; ./test makes one");
            return None;
        };
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/otlp_collector.py"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, said) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::<Mutex<Vec<Value>>>::default());
        let kept = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let collector = Self { child, said };
        eventually("the collector is up", Duration::from_secs(30), || async {
            (!collector.said.lock().unwrap().is_empty()).then_some(())
        })
        .await;
        Some(collector)
    }

    /// What the configuration calls it.
    pub fn url(&self) -> String {
        let said = self.said.lock().unwrap();
        format!("http://127.0.0.1:{}", said[0]["port"])
    }

    /// All spans so far; what came must have been right.
    pub fn spans(&self) -> Vec<Value> {
        let said = self.said.lock().unwrap().clone();
        if let Some(wrong) = said.iter().find(|line| line.get("wrong").is_some()) {
            panic!("the collector was sent what is no request: {wrong}");
        }
        said[1..].to_vec()
    }

    /// Waits for a span of this name that is so.
    pub async fn span(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("a span `{name}`"), Duration::from_secs(30), || async {
            self.spans().into_iter().find(|span| span["name"] == name && holds(span))
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
