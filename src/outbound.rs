//! What requests that the gateway makes have in common: a resolver that hands out no address but those that a connection may be made to.
//!
//! The address is looked at where the connection is made, so that a name cannot be one thing when it is checked and another when
//! it is used: the addresses that pass here are those that are connected to, and nothing resolves the name again. A literal
//! address never reaches a resolver: it is looked at in the URL ([`Targets::refused_literal`]).

use std::net::SocketAddr;

use causeway_core::events::target::Targets;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names to the addresses that are admitted.
pub struct Admitted(pub Targets);

impl Resolve for Admitted {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted = admitted(targets, found);
            if admitted.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
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
        let refused = Admitted(Targets::new(false)).resolve(name()).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("no public address")));
        assert!(Admitted(Targets::new(true)).resolve(name()).await.is_ok_and(|mut found| found.next().is_some()));
    }
}
