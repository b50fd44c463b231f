//! Where a webhook may go: the scheme, the port and the address of its URL. Pure: it resolves nothing and connects to nothing. It is asked
//! twice, when a webhook is declared and again where the connection is made, for every address that the name was resolved to:
//! what a name means may change between the two.
//!
//! Addresses are judged by what the special-purpose registries (RFC 6890 and its successors at IANA) say of them, and where an
//! IPv6 address carries an IPv4 one (mapped, NAT64, 6to4, ISATAP) by that one, too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The longest URL, in bytes.
const MAX_URL: usize = 2048;

/// Ports from 1024 on at which something else than HTTP listens that takes a request for its own: those of the Fetch standard
/// (fetch.spec.whatwg.org, "Port blocking"). Below 1024 only those of HTTP itself will do.
const BAD_PORTS: [u16; 21] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    // A broken-off HTTP request is a command to these.
    6379, 11211,
];

/// Where a cloud tells a machine its secrets, and no webhook ever is. Most are link-local or private as well; that of Azure is not.
const METADATA: [IpAddr; 11] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), // AWS, Google, Azure, Oracle, DigitalOcean, OpenStack
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)), // AWS: resolver
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),   // AWS: containers
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),  // AWS: pods
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), // Alibaba
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),     // Oracle
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),   // Azure: the host
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // AWS
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)), // AWS: pods
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), // Google
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)), // Oracle
];

/// What an address is, from what everybody may reach to what nobody should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    /// It can be reached from anywhere.
    Public,
    /// This machine's, its network's, or set aside for another purpose.
    Private,
    /// Nobody's that a webhook could be meant for: several machines, none, or where a cloud tells its secrets.
    Never,
}

/// What an address is.
pub fn kind_of(ip: IpAddr) -> AddressKind {
    if METADATA.contains(&ip) {
        return AddressKind::Never;
    }
    match ip {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

fn kind_of_v4(ip: Ipv4Addr) -> AddressKind {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b); // RFC 6598, carrier-grade NAT
    let protocols = a == 192 && b == 0 && c == 0; // RFC 6890
    let relay = a == 192 && b == 88 && c == 99; // RFC 7526
    let benchmark = a == 198 && (18..20).contains(&b); // RFC 2544
    // "This network" (RFC 791), multicast, reserved, broadcast.
    if a == 0 || a >= 224 {
        AddressKind::Never
    } else if ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || protocols
        || relay
        || benchmark
    {
        AddressKind::Private
    } else {
        AddressKind::Public
    }
}

fn kind_of_v6(ip: Ipv6Addr) -> AddressKind {
    let segments = ip.segments();
    // The IPv4 address in two neighbouring segments.
    let embedded = |high: u16, low: u16| kind_of(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into());
    let [first, second, third, .., high, low] = segments;
    match segments {
        // Unspecified, multicast.
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => AddressKind::Never,
        // IPv4-mapped (RFC 4291), and NAT64's well-known prefix (RFC 6052): what they stand for.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(high, low),
        // Loopback, IPv4-compatible, IPv4-translated and all else below ::/32; NAT64 of a network's own (RFC 8215).
        [0, 0, ..] | [0x64, 0xff9b, ..]
        // Teredo, ORCHID, benchmarking and other protocol assignments (2001::/23); documentation.
        | [0x2001, 0..=0x1ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressKind::Private,
        // 6to4 (RFC 3056) carries an IPv4 address.
        [0x2002, ..] => embedded(second, third),
        // ISATAP (RFC 5214): the interface's part carries one.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] if is_global(first) => embedded(high, low),
        // Unique-local, link-local, site-local and discard lie outside.
        _ if is_global(first) => AddressKind::Public,
        _ => AddressKind::Private,
    }
}

/// Global unicast is 2000::/3 alone.
const fn is_global(first: u16) -> bool {
    first & 0xe000 == 0x2000
}

/// Why a URL is none for a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is no absolute URL with a host.
    NoUrl,
    /// It is too long.
    TooLong,
    /// It has a name or a password in it.
    Password,
    /// Its host is an address that is not public.
    Address(IpAddr),
    /// Its host is a name of this machine.
    Localhost,
    /// It is not HTTPS.
    Scheme,
    /// HTTP is not spoken at this port.
    Port(u16),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUrl => f.write_str("this is no URL with a host; write one that begins with https://"),
            Self::TooLong => write!(f, "this is longer than {MAX_URL} bytes"),
            Self::Password => f.write_str("this has a name or a password in clear in it; take it out"),
            Self::Address(ip) => write!(f, "{ip} is no public address"),
            Self::Localhost => f.write_str("this is a name of the gateway's own machine, which has no public address"),
            Self::Scheme => f.write_str("this is not https; events are not sent in clear"),
            Self::Port(port) => write!(f, "port {port} is none for webhooks; use 443, or one from 1024 on"),
        }
    }
}

impl std::error::Error for Unfit {}

/// Which targets are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    allow_private: bool,
}

impl Targets {
    /// `allow_private`: for development, also loopback, link-local and private addresses, any port, and without TLS.
    pub const fn new(allow_private: bool) -> Self {
        Self { allow_private }
    }

    /// Whether a connection may be made to this address.
    pub fn admits(self, ip: IpAddr) -> bool {
        match kind_of(ip) {
            AddressKind::Public => true,
            AddressKind::Private => self.allow_private,
            AddressKind::Never => false,
        }
    }

    /// The literal address in a URL to which no connection may be made. None where its host is a name, or an address that may be.
    /// Literal addresses never reach a resolver, so this has to be asked of every URL that is connected to.
    pub fn refused_literal(self, url: &Url) -> Option<IpAddr> {
        literal(url).filter(|ip| !self.admits(*ip))
    }

    /// Whether a webhook may have this URL.
    pub fn check(self, url: &Url) -> Result<(), Unfit> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Unfit::Password);
        }
        if let Some(ip) = self.refused_literal(url) {
            return Err(Unfit::Address(ip));
        }
        let Some(host) = url.host() else { return Err(Unfit::NoUrl) };
        if !self.allow_private && matches!(host, Host::Domain(name) if is_localhost(name)) {
            return Err(Unfit::Localhost);
        }
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            _ => return Err(Unfit::Scheme),
        }
        match url.port_or_known_default() {
            Some(0) => Err(Unfit::Port(0)),
            Some(port) if !self.allow_private && !is_fit(port) => Err(Unfit::Port(port)),
            _ => Ok(()),
        }
    }

    /// The URL that a text is, where a webhook may have it.
    pub fn parse(self, text: &str) -> Result<Url, Unfit> {
        if text.len() > MAX_URL {
            return Err(Unfit::TooLong);
        }
        let url = Url::parse(text).map_err(|_| Unfit::NoUrl)?;
        self.check(&url)?;
        Ok(url)
    }
}

/// The address that stands in a URL, in whatever spelling: the parser has made one of them.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        // Of other schemes than those of the web the parser leaves a host as it is written.
        Host::Domain(name) => name.parse().ok(),
    }
}

/// RFC 6761 section 6.3.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

fn is_fit(port: u16) -> bool {
    matches!(port, 80 | 443) || (port >= 1024 && !BAD_PORTS.contains(&port))
}

#[cfg(test)]
#[path = "target_test.rs"]
mod tests;
