//! The old `scp` protocol (rcp's, as OpenSSH's scp.c speaks it): `scp -t` takes files, `scp -f` gives them.
//!
//! | message | what it says |
//! |---|---|
//! | `C0644 5 name` | a file of 5 bytes follows, and then a byte that says how reading it went |
//! | `D0755 0 name` … `E` | what stands between the two is in this folder |
//! | `T1700000000 0 1700000000 0` | times of modification and access of what comes next |
//! | byte 0 | go on; done |
//! | byte 1, a line | this one failed, the rest goes on |
//! | byte 2, a line | it is all over |
//!
//! The byte 0 that answers a file's last byte means that it is committed. A file that fails is left to be resumed over
//! SFTP; scp itself knows no resuming.

mod arguments;
mod record;
mod sink;
mod source;

#[cfg(test)]
mod tests;

use causeway_core::{Entry, Error};
use tokio_util::sync::CancellationToken;

pub(crate) use arguments::{PROGRAM, Scp};

use crate::exec::{Console, Line, Stdin, Terminal, printable};
use crate::files::Files;
use crate::flow::Flow;
use crate::session::Gone;

/// The longest message, in bytes: a name of 255, and what a client wants to say of it.
const LONGEST: usize = 4096;

/// Why a copy ends before its time.
#[derive(Debug)]
enum End {
    /// The client is gone.
    Gone,
    /// The client ended its input where more had to come. It may still take the exit status.
    Ended,
    /// The client said that it is over.
    Given,
    /// It cannot go on; this is said to the client.
    Fatal(String),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// What both directions need.
struct Exchange<'a, F, C> {
    files: &'a F,
    stdin: &'a mut Stdin,
    terminal: &'a mut Terminal<C>,
    flow: &'a Flow,
    scp: &'a Scp,
    /// What failed so far.
    failures: usize,
}

impl Scp {
    /// Runs it. Returns the exit status: 1 where anything failed.
    pub(crate) async fn run<F: Files, C: Console>(
        &self,
        files: &F,
        stdin: &mut Stdin,
        terminal: &mut Terminal<C>,
        flow: &Flow,
        shutdown: &CancellationToken,
    ) -> Result<u32, Gone> {
        let mut copy = Exchange { files, stdin, terminal, flow, scp: self, failures: 0 };
        let ended = if self.is_sink() { sink::run(&mut copy, shutdown).await } else { source::run(&mut copy).await };
        let failures = copy.failures;
        match ended {
            Ok(()) => Ok(u32::from(failures > 0)),
            Err(End::Given | End::Ended) => Ok(1),
            Err(End::Gone) => Err(Gone),
            Err(End::Fatal(sentence)) => {
                terminal.send(record::fatal(&sentence).into()).await?;
                Ok(1)
            }
        }
    }
}

impl<F: Files, C: Console> Exchange<'_, F, C> {
    async fn acknowledge(&mut self) -> Result<(), End> {
        Ok(self.terminal.send(bytes::Bytes::from_static(&[record::OK])).await?)
    }

    /// Tells that one thing failed.
    async fn fail(&mut self, path: &str, error: &Error) -> Result<(), End> {
        self.failures += 1;
        tracing::debug!(path, %error, "scp: one of several things failed");
        let line = record::warning(&format!("{}: {}", printable(path), error.message()));
        Ok(self.terminal.send(line.into()).await?)
    }

    /// Waits for the byte by which the client answers; false where it says that this one failed.
    async fn answered(&mut self) -> Result<bool, End> {
        match self.stdin.byte().await? {
            Some(record::OK) => Ok(true),
            Some(record::WARNING) => {
                self.failures += 1;
                match self.stdin.line(LONGEST).await? {
                    Line::Whole(_) => Ok(false),
                    Line::TooLong | Line::Cut => Err(End::Given),
                }
            }
            Some(record::FATAL) => Err(End::Given),
            Some(_) => Err(End::Fatal("what came is no answer of the scp protocol".to_owned())),
            None => Err(End::Ended),
        }
    }
}

/// What a client is told of the mode of an entry: as SFTP has it where none was set.
fn mode_of(entry: &Entry) -> u32 {
    entry.attributes.mode.unwrap_or(if entry.folder { 0o755 } else { 0o644 }) & 0o6777
}
