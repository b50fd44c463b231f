//! The configuration is read again while the gateway runs: at SIGHUP, and when its file or a file that it refers to has changed.
//! It is parsed and checked whole, with its secrets, before anything of it counts; one that is wrong changes nothing. What is right
//! is taken over in one go, as far as it can change in a gateway that runs ([`crate::config::keys`] says what can).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_core::Reconfigured;
use tokio::signal::unix::Signal;
use tokio::time::sleep;

use crate::config::changes::{Changed, between};
use crate::config::keys::Counts;
use crate::config::report::{Problems, Severity};
use crate::config::{Config, Secrets, parse};
use crate::failure::{Failure, Outcome};
use crate::running::Running;
use crate::stamped::Stamp;

/// How often the files are looked at. One that has changed is read when it was left alone for as long: an editor may be at it.
const LOOK: Duration = Duration::from_secs(1);
/// The longest sentence on record about a configuration that is not taken, in characters.
const MAX_WHY: usize = 900;

/// What tells that files were written anew; none: there is no such file.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// A configuration as it was read: the text that counts, and the files that are a part of it.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
    stamps: Stamps,
}

fn stamps<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Stamps {
    files.into_iter().map(|path| (path.clone(), Stamp::of(path).ok())).collect()
}

impl Source {
    /// Reads a file. The configuration is there only where it can be served.
    pub fn read(path: &Path) -> (Option<Config>, Problems, Self) {
        // The stamps are older than what was read: a change in between is found by the next look.
        let mut stamps = stamps([&path.to_owned()]);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let source = Self { path: path.to_owned(), text: String::new(), stamps };
                return (None, Problems::unreadable(path, &error), source);
            }
        };
        let (config, problems) = parse(path, &text, Secrets::Resolve);
        stamps.extend(self::stamps(problems.files()));
        let config = config.filter(|_| !problems.has(Severity::NotBuilt));
        (config, problems, Self { path: path.to_owned(), text, stamps })
    }
}

/// Why the configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGHUP.
    Signal,
    /// A file has changed.
    Files,
}

/// Watches the configuration, and takes it anew.
pub struct Reload {
    source: Source,
    hangup: Signal,
    /// What was seen of the files last, where that is not what counts; they may be still being written.
    seen: Option<Stamps>,
}

impl Reload {
    /// Of the configuration that counts.
    pub const fn new(source: Source, hangup: Signal) -> Self {
        Self { source, hangup, seen: None }
    }

    /// Waits until it is to be read again. Nothing is lost where this is dropped while it waits.
    pub async fn due(&mut self) -> Cause {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => return Cause::Signal,
                () = sleep(LOOK) => {
                    let now = stamps(self.source.stamps.keys());
                    if now == self.source.stamps {
                        self.seen = None;
                    } else if self.seen.as_ref() == Some(&now) {
                        return Cause::Files;
                    } else {
                        self.seen = Some(now);
                    }
                }
            }
        }
    }

    /// Reads it, and takes it over where it is right. What it comes to is told in the log and put on record.
    pub async fn run(&mut self, cause: Cause, running: &mut Running) {
        self.seen = None;
        // Older than what is read, so that nothing that comes later is missed.
        let before = stamps(self.source.stamps.keys());
        let path = self.source.path.clone();
        let read = tokio::task::spawn_blocking(move || Source::read(&path)).await;
        let (config, problems, source) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "reading the configuration again failed");
                return;
            }
        };
        let file = self.source.path.display().to_string();
        let outcome = match config {
            Some(config) => {
                for line in problems.render(true).lines() {
                    tracing::warn!("{line}");
                }
                let changes = self.changes(&source);
                running.adopt(config).await.map(|()| changes)
            }
            None => Err(Failure::configuration(problems.render(true).trim_end())),
        };
        match outcome {
            Ok(changes) => {
                self.source = source;
                tell(running, cause, &file, changes).await;
            }
            Err(failure) => {
                // Looked at again when one of the files has changed, those of the one that counts among them.
                self.source.stamps = before;
                self.source.stamps.extend(source.stamps);
                for line in failure.message.lines() {
                    tracing::error!("{line}");
                }
                tracing::error!(file, "the configuration is not taken; the one of before stays");
                let why: String =
                    failure.message.lines().collect::<Vec<_>>().join("; ").chars().take(MAX_WHY).collect();
                put(running, &Reconfigured::Refused(format!("the configuration is not taken: {why}"))).await;
            }
        }
    }

    /// What differs from what counts: keys, and files whose content is a part of it.
    fn changes(&self, new: &Source) -> Vec<Changed> {
        let mut changed = between(&self.source.text, &new.text);
        let old = &self.source.stamps;
        let files = new
            .stamps
            .iter()
            .filter(|(path, stamp)| **path != new.path && old.get(*path).is_some_and(|was| was != *stamp));
        changed.extend(files.map(|(path, _)| Changed { name: path.display().to_string(), counts: Counts::AtOnce }));
        changed
    }
}

async fn tell(running: &Running, cause: Cause, file: &str, changes: Vec<Changed>) {
    let (later, now): (Vec<_>, Vec<_>) = changes.into_iter().partition(|changed| changed.counts == Counts::Restart);
    let names = |list: Vec<Changed>| list.into_iter().map(|changed| changed.name).collect::<Vec<_>>();
    let (changed, needs_restart) = (names(now), names(later));
    if changed.is_empty() && needs_restart.is_empty() {
        if cause == Cause::Signal {
            tracing::info!(file, "the configuration was read again: nothing has changed");
        }
        return;
    }
    tracing::info!(file, changed = changed.join(", "), "the configuration is taken anew");
    if !needs_restart.is_empty() {
        tracing::warn!(
            keys = needs_restart.join(", "),
            "what these keys say now needs a restart; until then they say what they said"
        );
    }
    put(running, &Reconfigured::Taken { changed, needs_restart }).await;
}

async fn put(running: &Running, outcome: &Reconfigured) {
    if let Err(error) = running.gateway().reconfigured(outcome).await {
        tracing::error!(%error, "that the configuration was read again could not be put on record");
    }
}

/// Reads the configuration to serve it; what is not built yet is an error here, and so is what is wrong.
pub fn read_to_serve(path: &Path) -> Outcome<(Config, Problems, Source)> {
    let (config, problems, source) = Source::read(path);
    match config {
        Some(config) => Ok((config, problems, source)),
        None => Err(Failure::configuration(problems.render(true).trim_end())),
    }
}
