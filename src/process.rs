//! What an operator watches of the process itself and of the files that it stands on.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use causeway_core::identity::Protocol;
use causeway_core::metrics::{Family, Kind, Source, Unit, Value};
use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;

use crate::certificate::{Wanted, not_after};

/// This process.
pub struct Process {
    started: f64,
    /// What the listeners with TLS speak, and where a certificate is that nobody has named.
    tls: Vec<(Protocol, watch::Receiver<Wanted>)>,
    development: PathBuf,
}

impl Process {
    /// One that starts now. `tls`: what the listeners with TLS speak; `development`: the folder of the development certificate.
    pub fn new(tls: Vec<(Protocol, watch::Receiver<Wanted>)>, development: PathBuf) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self { started, tls, development }
    }

    /// When the certificates end that are in the files now. One that cannot be read is left out: the log says why.
    fn certificates(&self) -> Family {
        let name = "causeway_tls_certificate_not_after_timestamp";
        let family = Family::new(name, "When the certificate of a listener ends.", Kind::Gauge).of(Unit::Seconds);
        self.tls.iter().fold(family, |family, (protocol, wanted)| {
            let chain = wanted.borrow().files(&self.development).0;
            match not_after(&chain) {
                Some(at) => family.with([("protocol", protocol.as_str().into())], Value::Number(at as f64)),
                None => family,
            }
        })
    }
}

impl Source for Process {
    fn families(&self) -> Vec<Family> {
        let gauge = |name, help, unit: Option<Unit>, number: f64| {
            let family = Family::gauge(name, help, number);
            Family { unit, ..family }
        };
        let mut families = vec![
            Family::new("causeway_build", "What runs.", Kind::Info)
                .with([("version", env!("CARGO_PKG_VERSION").into())], Value::Said),
            self.certificates(),
            gauge("process_start_time", "When the process started.", Some(Unit::Seconds), self.started),
        ];
        if let Some(open) = open_files() {
            families.push(gauge("process_open_fds", "Files and sockets that are open.", None, open));
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            families.push(gauge("process_max_fds", "How many there may be.", None, most as f64));
        }
        if let Some(resident) = resident_bytes() {
            families.push(gauge("process_resident_memory", "Memory in use.", Some(Unit::Bytes), resident));
        }
        families
    }
}

/// proc(5), `/proc/self/fd`, but for the one that this look takes.
fn open_files() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some(count.saturating_sub(1) as f64)
}

/// proc(5), `VmRSS` of `/proc/self/status`, which is in KiB.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024) as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let families = Process::new(Vec::new(), PathBuf::new()).families();
        let number = |name: &str| {
            let family = families.iter().find(|family| family.name == name).unwrap();
            match family.samples.first().unwrap().value {
                Value::Number(number) => number,
                _ => 0.0,
            }
        };
        assert!(number("process_open_fds") >= 3.0);
        assert!(number("process_resident_memory") > 1_000_000.0);
        assert!(number("process_start_time") > 1_700_000_000.0);
        assert!(number("process_max_fds") >= number("process_open_fds"));
    }
}
