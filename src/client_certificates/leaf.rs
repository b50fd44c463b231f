//! What stands in a client's own certificate: its time and its names (RFC 5280 sections 4.1.2.5 and 4.2.1.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use causeway_core::identity::{ClientCertificateRefusal, SubjectName};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What is asked of a certificate.
pub struct Leaf {
    /// Seconds since 1970, both of them in its time.
    valid: (i64, i64),
    /// What it is made out to.
    pub names: Vec<SubjectName>,
}

impl Leaf {
    /// Reads a certificate; none where it cannot be read whole.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let names = match certificate.subject_alternative_name().ok()? {
            Some(extension) => extension.value.general_names.iter().filter_map(name).collect(),
            // The subject's common name is what people read; no client's name is taken from there (RFC 6125 section 6.4.4).
            None => Vec::new(),
        };
        let validity = certificate.validity();
        Some(Self { valid: (validity.not_before.timestamp(), validity.not_after.timestamp()), names })
    }

    /// Whether it is in its time.
    pub fn counts_at(&self, now: SystemTime) -> Result<(), ClientCertificateRefusal> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        if now < self.valid.0 {
            Err(ClientCertificateRefusal::NotYetValid)
        } else if now > self.valid.1 {
            Err(ClientCertificateRefusal::Expired)
        } else {
            Ok(())
        }
    }
}

fn name(name: &GeneralName<'_>) -> Option<SubjectName> {
    match name {
        GeneralName::DNSName(text) => Some(SubjectName::dns(text)),
        GeneralName::RFC822Name(text) => Some(SubjectName::email(text)),
        GeneralName::URI(text) => Some(SubjectName::Uri((*text).to_owned())),
        GeneralName::IPAddress(bytes) => address(bytes).map(SubjectName::Address),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}
