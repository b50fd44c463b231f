//! Commands over SSH's `exec` (RFC 4254 section 6.5): `scp` and the checksum commands. There is no shell behind them; a
//! command line is cut into words as a shell would, and every other command is refused.

mod checksum;
mod glob;
mod stdin;
mod words;

#[cfg(test)]
pub(crate) mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use causeway_core::Protocol;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use checksum::printable;
pub(crate) use glob::expand;
pub(crate) use stdin::{Line, Stdin};
pub(crate) use words::Word;

use self::checksum::Checksum;
use crate::files::Files;
use crate::flow::Flow;
use crate::scp::{self, Scp};
use crate::session::{Closing, Gone, Inbound, Outbound};

/// What is told to those who ask for any other command.
const NO_SUCH_COMMAND: &str = "This is a file gateway: it has no shell and runs no commands but scp and checksums \
    (md5sum, sha1sum, sha256sum, ...). Use sftp or scp.";
/// What is told where scp's old protocol is switched off.
const NO_SCP: &str = "This file gateway does not speak the old scp protocol. Use sftp, or scp without -O.";

/// How long a client may take to hear that the gateway shuts down.
const FAREWELL: Duration = Duration::from_secs(5);

/// A command that is run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `scp -t` or `scp -f`.
    Scp(Scp),
    /// `md5sum` and its like.
    Checksum(Checksum),
}

impl Command {
    /// Reads a command line. Fails with a sentence for the client.
    pub(crate) fn parse(line: &[u8], scp: bool) -> Result<Self, String> {
        // What is no command of ours is told that there is no shell, however it is written.
        let words =
            words::split(line).map_err(|wrong| if is_ours(line) { wrong } else { NO_SUCH_COMMAND.to_owned() })?;
        let Some((program, arguments)) = words.split_first() else { return Err(NO_SUCH_COMMAND.to_owned()) };
        let program = program.text();
        let program = program.rsplit('/').next().unwrap_or_default();
        if program == scp::PROGRAM {
            return if scp { Scp::parse(arguments).map(Self::Scp) } else { Err(NO_SCP.to_owned()) };
        }
        match Checksum::parse(program, arguments) {
            Some(parsed) => parsed.map(Self::Checksum),
            None => Err(NO_SUCH_COMMAND.to_owned()),
        }
    }

    /// What events and audit entries call it.
    pub(crate) const fn protocol(&self) -> Protocol {
        match self {
            Self::Scp(_) => Protocol::Scp,
            Self::Checksum(_) => Protocol::Sftp,
        }
    }
}

/// Whether a line begins with the name of a command of ours.
fn is_ours(line: &[u8]) -> bool {
    let first = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let name = first.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    std::str::from_utf8(name).is_ok_and(|name| name == scp::PROGRAM || Checksum::parse(name, &[]).is_some())
}

/// Where a command writes to.
pub(crate) trait Console: Outbound {
    /// Sends bytes on the error stream.
    fn send_error(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// A console whose client may go away at any moment.
pub(crate) struct Terminal<C> {
    console: C,
    /// Nothing more is worked on for this client.
    lost: CancellationToken,
    /// The client is gone, and there is nobody to tell.
    closed: CancellationToken,
}

impl<C: Console> Terminal<C> {
    /// Writes to the output.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err(Gone),
            sent = self.console.send(bytes) => sent,
        }
    }

    /// Writes a line to the error stream.
    pub(crate) async fn complain(&mut self, line: &str) -> Result<(), Gone> {
        let bytes = Bytes::copy_from_slice(line.as_bytes());
        tokio::select! {
            biased;
            () = self.lost.cancelled() => Err(Gone),
            sent = self.console.send_error(bytes) => sent,
        }
    }

    /// Whether nothing more is to be worked on for this client.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    async fn finish(self, status: u32) {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => {}
            () = self.console.finish(status) => {}
        }
    }
}

/// Marks that something is being worked on, so that the connection is not idle, as long as it lives.
pub(crate) struct Busy<'a>(&'a Flow);

impl<'a> Busy<'a> {
    /// From now on.
    pub(crate) fn of(flow: &'a Flow) -> Self {
        flow.begin();
        Self(flow)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Runs a command to its end, or until the client is gone, the gateway shuts down, or ends the session: at a shutdown an upload
/// that is open may still be finished, whatever else is under way is broken off. What is being committed comes to its end in
/// any case.
pub(crate) async fn run<F: Files, I: Inbound, C: Console>(
    files: &F,
    command: &Command,
    flow: Arc<Flow>,
    inbound: I,
    console: C,
    closing: &Closing,
) {
    let shutdown = &closing.shutdown;
    let (lost, closed) = (CancellationToken::new(), CancellationToken::new());
    let (feed, mut stdin) = stdin::halves(inbound, flow.clone(), lost.clone(), closed.clone());
    let mut terminal = Terminal { console, lost, closed };
    let work = async {
        let reads = !matches!(command, Command::Scp(scp) if scp.is_sink());
        let ended = {
            let work = async {
                match command {
                    Command::Scp(scp) => scp.run(files, &mut stdin, &mut terminal, &flow, shutdown).await,
                    Command::Checksum(checksum) => checksum.run(files, &mut stdin, &mut terminal, &flow).await,
                }
            };
            tokio::select! {
                ended = work => Some(ended),
                () = shutdown.cancelled(), if reads => None,
            }
        };
        drop(stdin);
        match ended {
            Some(Ok(status)) => terminal.finish(status).await,
            // It may still be there, where it was given up: then the channel is closed for it.
            Some(Err(Gone)) => {
                let _ = timeout(FAREWELL, terminal.finish(1)).await;
            }
            None => {
                let told = terminal.complain("the gateway is shutting down; try again later\n");
                let _ = timeout(FAREWELL, told).await;
                let _ = timeout(FAREWELL, terminal.finish(1)).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = feed.pump() => {}
        // Dropped, an upload is left to be resumed; the connection tells the client why.
        () = closing.ended.cancelled() => {}
    }
}
