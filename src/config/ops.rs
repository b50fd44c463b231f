//! `[ops]`: health and metrics, plain HTTP for the operator's own network.

use std::net::SocketAddr;

use super::listen;
use super::reader::Section;

/// The operator's listener.
#[derive(Clone, Debug)]
pub struct Ops {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
}

impl Ops {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let listen = listen::addresses(section, "listen", "127.0.0.1:9090");
        section.is_present().then_some(Self { listen })
    }
}
