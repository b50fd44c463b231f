//! A TCP relay in front of the gateway that can freeze (a dead line that nobody has noticed) or be cut.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::ftps::connect_from;

#[derive(Clone, Copy, PartialEq)]
enum Line {
    Up,
    Frozen,
    Cut,
}

/// The relay.
pub struct Proxy {
    pub address: SocketAddr,
    line: Arc<watch::Sender<Line>>,
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Self {
        Self::before(target, Ipv4Addr::LOCALHOST.into(), Vec::new()).await
    }

    /// One that connects from this address, and sends this first on each connection.
    pub async fn before(target: SocketAddr, from: IpAddr, first: impl Into<Vec<u8>>) -> Self {
        let first = first.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(watch::channel(Line::Up).0);
        let lines = line.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(mut far) = connect_from(from, target).await else { continue };
                if far.write_all(&first).await.is_err() {
                    continue;
                }
                tokio::spawn(relay(near, far, lines.subscribe()));
            }
        });
        Self { address, line }
    }

    /// From now on nothing passes, but the connections stay.
    pub fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }
}

async fn relay(mut near: TcpStream, mut far: TcpStream, mut line: watch::Receiver<Line>) {
    let (mut a, mut b) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let state = *line.borrow_and_update();
        match state {
            Line::Cut => return,
            Line::Frozen => {
                if line.changed().await.is_err() {
                    return;
                }
            }
            Line::Up => tokio::select! {
                // In this order: what a client sends after the cut must not slip through beside it, as a CLOSE would,
                // which completes its upload.
                biased;
                changed = line.changed() => if changed.is_err() { return },
                read = near.read(&mut a) => match read {
                    Ok(n) if n > 0 => if far.write_all(&a[..n]).await.is_err() { return },
                    _ => return,
                },
                read = far.read(&mut b) => match read {
                    Ok(n) if n > 0 => if near.write_all(&b[..n]).await.is_err() { return },
                    _ => return,
                },
            },
        }
    }
}
