//! One channel of a connection (RFC 4254 section 6): it becomes an SFTP session by `subsystem sftp`, or runs one of the few
//! commands that there are; nothing else.
//! The task reads its channel from the moment it is opened, as russh stops the whole connection when a channel is full.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::poll;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::exec::{self, Command, Console};
use crate::files::Account;
use crate::flow::Flow;
use crate::refusal::NO_SHELL;
use crate::session::{self, Closing, Gone, Inbound, Incoming, Outbound};

/// The subsystem that there is.
pub(crate) const SUBSYSTEM: &str = "sftp";

/// How long a client that is refused may take to hear it. russh never wakes who waits for a window of a client that is gone.
const FAREWELL: Duration = Duration::from_secs(5);

/// `SSH_EXTENDED_DATA_STDERR` (RFC 4254 section 5.2).
const STDERR: u32 = 1;

/// What a channel was first asked to be: what comes later is refused. The handler, which answers, and the channel's task,
/// which acts, see the same requests in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An SFTP session.
    Sftp,
    /// A command.
    Exec(Vec<u8>),
    /// A shell, to be told that there is none.
    Shell,
}

impl Purpose {
    fn of(message: &ChannelMsg) -> Option<Self> {
        match message {
            ChannelMsg::RequestSubsystem { name, .. } if name == SUBSYSTEM => Some(Self::Sftp),
            ChannelMsg::RequestShell { .. } => Some(Self::Shell),
            ChannelMsg::Exec { command, .. } => Some(Self::Exec(command.clone())),
            _ => None,
        }
    }
}

/// Serves a channel until it ends.
pub(crate) async fn serve(channel: Channel<Msg>, connection: Arc<Connection>) {
    let (mut read, write) = channel.split();
    let purpose = loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = connection.shutdown().cancelled() => None,
            _ = connection.ended() => None,
        };
        let message = match message {
            None | Some(ChannelMsg::Close) => {
                let _ = write.close().await;
                return;
            }
            Some(message) => message,
        };
        if let Some(purpose) = Purpose::of(&message) {
            break purpose;
        }
    };
    let output = Output { write, flow: connection.flow().clone() };
    let refusal = match (purpose, connection.session()) {
        (Purpose::Sftp, Some(session)) => {
            let files = Arc::new(Account::new(connection.gateway().clone(), session.clone()));
            let flow = connection.flow().clone();
            let closing = Closing { shutdown: connection.shutdown().clone(), ended: session.ended().clone() };
            let ended = session::run(files, flow, Input { read }, output, closing).await;
            tracing::debug!(session = %session.id, ?ended, "an SFTP session ended");
            return;
        }
        (Purpose::Exec(line), Some(session)) => match Command::parse(&line, connection.scp()) {
            Ok(command) => {
                let session = Arc::new(session.over(command.protocol()));
                let closing = Closing { shutdown: connection.shutdown().clone(), ended: session.ended().clone() };
                let files = Account::new(connection.gateway().clone(), session);
                let flow = connection.flow().clone();
                exec::run(&files, &command, flow, Input { read }, output, &closing).await;
                return;
            }
            Err(refusal) => refusal,
        },
        (_, _) => NO_SHELL.to_owned(),
    };
    // Nothing reads this channel any more, and russh stops the connection where a channel that somebody could read is full.
    drop(read);
    let line = format!("{refusal}\r\n");
    let _ = timeout(FAREWELL, output.write.extended_data_bytes(STDERR, line.into_bytes())).await;
    let _ = timeout(FAREWELL, output.finish(1)).await;
}

struct Input {
    read: ChannelReadHalf,
}

impl Inbound for Input {
    async fn next(&mut self) -> Incoming {
        loop {
            match self.read.wait().await {
                Some(ChannelMsg::Data { data }) => return Incoming::Piece(data),
                Some(ChannelMsg::Eof) => return Incoming::End,
                Some(ChannelMsg::Close) | None => return Incoming::Lost,
                // Window adjustments, and requests that were refused.
                Some(_) => {}
            }
        }
    }
}

struct Output {
    write: ChannelWriteHalf<Msg>,
    flow: Arc<Flow>,
}

impl Output {
    async fn deliver<E>(&self, sending: impl Future<Output = Result<(), E>>) -> Result<(), Gone> {
        let mut sending = std::pin::pin!(sending);
        let sent = if let Poll::Ready(sent) = poll!(sending.as_mut()) {
            sent
        } else {
            // The window is used up, or keys are being exchanged: the socket has to be read for this to go on.
            let _waits = self.flow.send_waits();
            sending.await
        };
        self.flow.touch();
        sent.map_err(|_| Gone)
    }
}

impl Outbound for Output {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.deliver(self.write.data_bytes(bytes)).await
    }

    async fn finish(self, status: u32) {
        let _waits = self.flow.send_waits();
        // Where the client is gone there is nobody to tell.
        let _ = self.write.exit_status(status).await;
        let _ = self.write.eof().await;
        let _ = self.write.close().await;
    }
}

impl Console for Output {
    async fn send_error(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.deliver(self.write.extended_data_bytes(STDERR, bytes)).await
    }
}
