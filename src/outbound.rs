//! What requests that the gateway makes have in common: a resolver that hands out no address but those that a connection may be made to.
//!
//! The address is looked at where the connection is made, so that a name cannot be one thing when it is checked and another when
//! it is used: the addresses that pass here are those that are connected to, and nothing resolves the name again. A literal
//! address never reaches a resolver: it is looked at in the URL ([`Targets::refused_literal`]).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;

use causeway_core::events::target::Targets;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Resolves names to the addresses that are admitted.
pub struct Admitted {
    targets: Targets,
    /// One name is looked up at a time, so that names whose servers are silent take no more than one thread.
    turn: Arc<Semaphore>,
}

impl Admitted {
    /// Those that these targets admit.
    pub fn new(targets: Targets) -> Self {
        Self { targets, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Resolve for Admitted {
    fn resolve(&self, name: Name) -> Resolving {
        let (targets, turn) = (self.targets, self.turn.clone());
        Box::pin(async move {
            let found = look_up(name, turn.acquire_owned().await?).await?;
            let admitted = admitted(targets, found);
            if admitted.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Asks the resolver of the system, on a thread of its own: that cannot be broken off, and the runtime has a limited number of threads
/// for what blocks, which every file waits for.
async fn look_up(name: Name, turn: OwnedSemaphorePermit) -> io::Result<Vec<SocketAddr>> {
    let (told, answer) = oneshot::channel();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
        drop(turn);
        // Nobody hears it where the request is over.
        let _ = told.send(found);
    })?;
    answer.await.map_err(io::Error::other)?
}

fn admitted(targets: Targets, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.retain(|address| targets.admits(address.ip()));
    found
}

/// The chain of causes, without the URL (which may carry a token in its path).
pub fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut source = std::error::Error::source(error);
    let mut last = None;
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(|| "the request failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_name_means_only_what_is_admitted_is_left() {
        let all =
            ["10.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[2606:4700::1]:0", "[::ffff:10.0.0.1]:0", "169.254.169.254:0"];
        let left = |allow_private: bool| {
            let found = all.iter().map(|text| text.parse().unwrap()).collect();
            let left = admitted(Targets::new(allow_private), found);
            left.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(left(false), ["8.8.8.8:0", "[2606:4700::1]:0"]);
        assert_eq!(left(true), &all[..5]);
    }

    #[tokio::test]
    async fn a_name_of_this_machine_has_no_public_address() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = Admitted::new(Targets::new(false)).resolve(name()).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("no public address")));
        assert!(Admitted::new(Targets::new(true)).resolve(name()).await.is_ok_and(|mut found| found.next().is_some()));
    }
}
