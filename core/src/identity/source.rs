//! What a client's address counts as.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

#[cfg(test)]
mod tests {
    use super::*;

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
