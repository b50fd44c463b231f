//! What a client's address counts as.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The source that an address belongs to: what one client is sure to have of its own. That is an IPv4 address, or an IPv6
/// /64, in which it may take any address it likes (RFC 4291 section 2.5.4, RFC 8981). An IPv4-mapped address counts as
/// its IPv4 address.
pub fn source_of(ip: IpAddr) -> IpAddr {
    block_of(ip, 32, 64)
}

/// The first address of the block that an address lies in, with prefixes of these lengths.
pub(super) fn block_of(ip: IpAddr, v4: u8, v6: u8) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(u32::from(v4)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & !host))
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(u32::from(v6)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !host))
        }
    }
}

/// A network of IPv4-mapped addresses (`::ffff:10.0.0.0/104`, RFC 4291 section 2.5.5.2) as the IPv4 network that it is;
/// any other one as it stands. None where it begins at a mapped address and goes beyond them (`::ffff:192.0.2.0/24`): what
/// was meant cannot be told.
pub fn unmapped(network: IpNet) -> Option<IpNet> {
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(_), ip @ IpAddr::V4(_)) => IpNet::new(ip, network.prefix_len().checked_sub(96)?).ok(),
        _ => Some(network),
    }
}

/// Whether an address lies in a network. This is the one place that asks so: an address, and a network too, may be written
/// IPv4-mapped and then count as what they stand for. A mapped network as it stands would hold no client, and as an
/// exception keep nobody out.
pub fn lies_in(network: IpNet, ip: IpAddr) -> bool {
    unmapped(network).is_some_and(|network| network.contains(&ip.to_canonical()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_stand_for() {
        let holds = |network: &str, ip: &str| lies_in(network.parse().unwrap(), ip.parse().unwrap());
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:0/104", "::ffff:10.1.2.3/128", "0.0.0.0/0"] {
            for ip in ["10.1.2.3", "::ffff:10.1.2.3"] {
                assert!(holds(network, ip), "{ip} in {network}");
            }
            assert!(!holds(network, "2001:db8::1") && !holds(network, "::a01:203"), "{network}");
        }
        for network in
            ["11.0.0.0/8", "::ffff:11.0.0.0/104", "::ffff:10.1.2.4/128", "2001:db8::/32", "::ffff:10.0.0.0/24"]
        {
            assert!(!holds(network, "10.1.2.3") && !holds(network, "::ffff:10.1.2.3"), "{network}");
        }
        assert!(holds("::ffff:0:0/96", "192.0.2.1") && holds("2001:db8::/32", "2001:db8::1"));
        assert_eq!(unmapped("::ffff:192.0.2.0/24".parse().unwrap()), None);
    }

    #[test]
    fn blocks_of_all_lengths() {
        let block = |ip: &str, v4, v6| block_of(ip.parse().unwrap(), v4, v6).to_string();
        assert_eq!(block("192.0.2.77", 32, 64), "192.0.2.77");
        assert_eq!(block("192.0.2.77", 24, 64), "192.0.2.0");
        assert_eq!(block("192.0.2.77", 0, 64), "0.0.0.0");
        assert_eq!(block("::ffff:192.0.2.77", 24, 128), "192.0.2.0");
        assert_eq!(block("2001:db8:1:2:3::4", 32, 64), "2001:db8:1:2::");
        assert_eq!(block("2001:db8:1:2:3::4", 32, 128), "2001:db8:1:2:3::4");
        assert_eq!(block("2001:db8:1:2:3::4", 32, 0), "::");
    }
}
