//! scp's own protocol (rcp's, as OpenSSH's scp.c speaks it) by hand, one file at a time.

use std::time::Duration;

use russh::ChannelStream;
use russh::client::Msg;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::harness::Sftp;

/// How long one step may take before a test calls it hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `scp`.
pub struct Scp(ChannelStream<Msg>);

impl Scp {
    /// `scp` with these arguments, on the connection of a session.
    pub async fn run(session: &Sftp, arguments: &str) -> Self {
        Self(session.command(&format!("scp {arguments}")).await)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sending = async {
            self.0.write_all(bytes.as_ref()).await?;
            self.0.flush().await
        };
        timeout(PATIENCE, sending).await.expect("it is taken in time").unwrap();
    }

    async fn byte(&mut self) -> Option<u8> {
        timeout(PATIENCE, self.0.read_u8()).await.expect("an answer in time").ok()
    }

    /// The next answer: whether it is the byte 0. What a refusal says is read.
    pub async fn goes_on(&mut self) -> bool {
        match self.byte().await {
            Some(0) => true,
            Some(_) => {
                self.line().await;
                false
            }
            None => false,
        }
    }

    /// The rest of a line.
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while let Some(byte) = self.byte().await.filter(|byte| *byte != b'\n') {
            line.push(byte);
        }
        String::from_utf8(line).unwrap()
    }

    /// The next message of `scp -f`, which is answered with the byte 0; none where it says that something failed.
    async fn message(&mut self) -> Option<String> {
        match self.byte().await {
            None | Some(1 | 2) => None,
            Some(kind) => {
                let line = format!("{}{}", char::from(kind), self.line().await);
                self.send([0]).await;
                Some(line)
            }
        }
    }

    /// Says that nothing more comes, and waits for the end.
    pub async fn end(mut self) {
        // Where it failed it may have ended by itself.
        let _ = self.0.shutdown().await;
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut Vec::new())).await.expect("an end in time");
    }
}

/// `scp -t`: whether the file was taken.
pub async fn put(session: &Sftp, target: &str, name: &[u8], content: &[u8]) -> bool {
    let mut scp = Scp::run(session, &format!("-t {target}")).await;
    let mut taken = scp.goes_on().await;
    if taken {
        scp.send([format!("C0644 {} ", content.len()).as_bytes(), name, b"\n"].concat()).await;
        taken = scp.goes_on().await;
    }
    if taken {
        scp.send([content, &[0]].concat()).await;
        taken = scp.goes_on().await;
    }
    scp.end().await;
    taken
}

/// `scp -f`: whether the file came.
pub async fn get(session: &Sftp, path: &str) -> bool {
    let mut scp = Scp::run(session, &format!("-f {path}")).await;
    scp.send([0]).await;
    let message = scp.message().await;
    if let Some(message) = &message {
        let size: usize = message.split(' ').nth(1).unwrap().parse().unwrap();
        for _ in 0..=size {
            scp.byte().await.expect("the content, and a byte that says that it is whole");
        }
        scp.send([0]).await;
    }
    scp.end().await;
    message.is_some()
}

/// `scp -r -t`: whether the folder was made in the root.
pub async fn make_folder(session: &Sftp, name: &str) -> bool {
    let mut scp = Scp::run(session, "-r -t /").await;
    assert!(scp.goes_on().await);
    scp.send(format!("D0755 0 {name}\n")).await;
    let made = scp.goes_on().await;
    if made {
        scp.send("E\n").await;
        assert!(scp.goes_on().await);
    }
    scp.end().await;
    made
}

/// `scp -r -f` of an empty folder.
pub async fn get_folder(session: &Sftp, path: &str) -> bool {
    let mut scp = Scp::run(session, &format!("-r -f {path}")).await;
    scp.send([0]).await;
    let (begun, ended) = (scp.message().await, scp.message().await);
    scp.end().await;
    begun.is_some_and(|message| message.starts_with('D')) && ended.as_deref() == Some("E")
}
