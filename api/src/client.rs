//! Which client a request comes from. A proxy of HTTP in front of the gateway names it in `X-Forwarded-For`; that is believed
//! from `network.trusted_proxies` alone, and only as far as each hop that added to it is trusted too.

use std::net::{IpAddr, SocketAddr};

use causeway_core::identity::lies_in;
use http::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of a request's client, among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// The client of a request that came from `peer`: that itself, unless it is a trusted proxy. Then the list is read from its
/// end, where the nearest proxy has written, until an address that is none of the proxies'. What stands before that may be
/// anybody's invention. Where an entry is no address, the hop that wrote it counts.
pub fn client_of(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|network| lies_in(*network, address));
    let mut client = peer.to_canonical();
    if !trusted(client) {
        return client;
    }
    // Several fields are one list, in their order (RFC 9110 section 5.3).
    for field in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        // What stands before an entry is another hop's, and may be no text at all.
        for entry in field.as_bytes().rsplit(|byte| *byte == b',') {
            let text = std::str::from_utf8(entry).ok();
            let Some(address) = text.and_then(|entry| address(entry.trim())) else { return client };
            client = address;
            if !trusted(client) {
                return client;
            }
        }
    }
    client
}

/// An address as proxies write it: bare, with a port, or an IPv6 one in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, fields: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        client_of(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_proxies_that_are_trusted_are_believed() {
        assert_eq!(client("203.0.113.7", &["198.51.100.1"]), "203.0.113.7", "anybody can send the field");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("2001:db8:1::1", &["2001:db8:2::7"]), "2001:db8:2::7");
    }

    #[test]
    fn what_a_client_writes_itself_counts_for_nothing() {
        assert_eq!(client("10.0.0.1", &["127.0.0.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.9", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.1, 198.51.100.1, 10.0.0.2", "10.0.0.3"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["\u{e9}, 198.51.100.1"]), "198.51.100.1", "nor what is no text");
    }

    #[test]
    fn all_ways_to_write_an_address_are_read_and_nothing_else() {
        for (entry, wanted) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:db8:2::7]", "2001:db8:2::7"),
            ("[2001:db8:2::7]:4711", "2001:db8:2::7"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("198.51.100.1,", "10.0.0.1"),
            ("198.51.100.1, garbage, 10.0.0.2", "10.0.0.2"),
        ] {
            assert_eq!(client("10.0.0.1", &[entry]), wanted, "{entry}");
        }
    }
}
