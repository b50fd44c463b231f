//! Addresses of data connections: PORT and PASV (RFC 959), EPRT and EPSV (RFC 2428).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `h1,h2,h3,h4,p1,p2`.
pub fn parse_port(text: &str) -> Option<SocketAddr> {
    let mut numbers = text.trim().split(',').map(|part| part.parse::<u8>().ok());
    let mut next = || numbers.next().flatten();
    let ip = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    let port = u16::from_be_bytes([next()?, next()?]);
    numbers.next().is_none().then_some(SocketAddr::from((ip, port)))
}

/// What stands in the parentheses of 227.
pub fn format_pasv(ip: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = ip.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// Why an EPRT is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eprt {
    /// It is not written as it should be.
    Malformed,
    /// Neither IPv4 nor IPv6.
    Protocol,
}

/// `|1|192.0.2.7|6446|`: any printable character as the delimiter.
pub fn parse_eprt(text: &str) -> Result<SocketAddr, Eprt> {
    let delimiter = text.chars().next().filter(|c| matches!(c, '!'..='~')).ok_or(Eprt::Malformed)?;
    let mut fields = text.split(delimiter).skip(1);
    let mut next = || fields.next().ok_or(Eprt::Malformed);
    let (family, address, port) = (next()?, next()?, next()?);
    if !next()?.is_empty() || fields.next().is_some() {
        return Err(Eprt::Malformed);
    }
    let ip: IpAddr = match family {
        "1" => IpAddr::V4(address.parse().map_err(|_| Eprt::Malformed)?),
        "2" => IpAddr::V6(address.parse().map_err(|_| Eprt::Malformed)?),
        other if other.parse::<u16>().is_ok() => return Err(Eprt::Protocol),
        _ => return Err(Eprt::Malformed),
    };
    Ok(SocketAddr::new(ip, port.parse().map_err(|_| Eprt::Malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_and_written() {
        assert_eq!(parse_port("192,0,2,7,25,46"), Some("192.0.2.7:6446".parse().unwrap()));
        assert_eq!(format_pasv(Ipv4Addr::new(192, 0, 2, 7), 6446), "192,0,2,7,25,46");
        for wrong in ["", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,256", "1,2,3,4,5,-1", "a,2,3,4,5,6"] {
            assert_eq!(parse_port(wrong), None, "{wrong}");
        }
        assert_eq!(parse_eprt("|1|192.0.2.7|6446|"), Ok("192.0.2.7:6446".parse().unwrap()));
        assert_eq!(parse_eprt("!2!2001:db8::7!6446!"), Ok("[2001:db8::7]:6446".parse().unwrap()));
        assert_eq!(parse_eprt("|3|x|6446|"), Err(Eprt::Protocol));
        for wrong in ["", "|", "|1|2001:db8::7|1|", "|1|192.0.2.7|6446", "|1|192.0.2.7|99999|", "|1|192.0.2.7|1|x"] {
            assert_eq!(parse_eprt(wrong), Err(Eprt::Malformed), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = (parse_port(&text), parse_eprt(&text));
        }
    }
}
