//! What an operator can set.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::identity::lies_in;
use ipnet::IpNet;
use tokio::net::TcpStream;

/// Programs in front of the gateway that hand data connections on, each with its client's address before everything else
/// (the PROXY protocol).
pub trait Forwarders: fmt::Debug + Send + Sync {
    /// Whether an address is one of theirs, and believed.
    fn forwards(&self, address: IpAddr) -> bool;
    /// Takes from such a connection whose it is, and nothing more; none where it does not say so in time.
    fn origin<'s>(&'s self, stream: &'s mut TcpStream) -> Pin<Box<dyn Future<Output = Option<IpAddr>> + Send + 's>>;
}

/// There are none.
#[derive(Clone, Copy, Debug)]
pub struct NoForwarders;

impl Forwarders for NoForwarders {
    fn forwards(&self, _address: IpAddr) -> bool {
        false
    }

    fn origin<'s>(&'s self, _stream: &'s mut TcpStream) -> Pin<Box<dyn Future<Output = Option<IpAddr>> + Send + 's>> {
        Box::pin(std::future::ready(None))
    }
}

/// What a login's data connections must keep to, where it is not the listener's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRules {
    /// A data connection must resume the control connection's TLS session.
    pub session_reuse: bool,
    /// An upload whose TLS stream ends without close_notify is incomplete.
    pub close_notify: bool,
}

/// The settings of the FTPS front (`[ftps]` of the configuration).
#[derive(Clone, Debug)]
pub struct FtpsConfig {
    /// Shown in the greeting.
    pub banner: String,
    /// The ports of passive data connections.
    pub passive_ports: RangeInclusive<u16>,
    /// The address that PASV announces; none: the local one of the control connection.
    pub passive_address: Option<IpAddr>,
    /// The addresses that are announced to clients of a network; the first network that fits wins.
    pub passive_addresses: Vec<(IpNet, IpAddr)>,
    /// Whether PORT and EPRT are there.
    pub active_mode: bool,
    /// Whether MODE Z (draft-preston-ftpext-deflate) is there. Some clients (lftp) pack wherever FEAT names it, and that costs
    /// many times the processor time of TLS.
    pub mode_z: bool,
    /// The rule for data connections.
    pub data: DataRules,
    /// The rules of single logins, by tenant and username.
    pub logins: HashMap<(String, String), DataRules>,
    /// How long a connection may take to be secured and logged in.
    pub login_grace: Duration,
    /// How long a command may take from its first byte to its end, once logged in.
    pub line_timeout: Duration,
    /// How long a connection may stay idle, once logged in.
    pub idle_timeout: Duration,
    /// How long a transfer may move nothing.
    pub stall_timeout: Duration,
    /// How long a data connection may take to come about, and then its TLS handshake.
    pub data_timeout: Duration,
    /// Tries to log in on one connection.
    pub max_auth_tries: u32,
    /// Whether a login counts only with a client certificate that its tenant knows. (That one is shown at all is up to the
    /// TLS settings.)
    pub certificate_required: bool,
    /// Who hands data connections on.
    pub forwarders: Arc<dyn Forwarders>,
}

impl FtpsConfig {
    /// The rules of a login.
    pub(crate) fn rules(&self, tenant: &str, login: &str) -> DataRules {
        self.logins.get(&(tenant.to_owned(), login.to_owned())).copied().unwrap_or(self.data)
    }

    /// The address that PASV announces to a client, where it is not the local one.
    pub(crate) fn announced(&self, client: IpAddr) -> Option<IpAddr> {
        self.passive_addresses
            .iter()
            .find(|(network, _)| lies_in(*network, client))
            .map(|(_, address)| *address)
            .or(self.passive_address)
    }
}
