//! OpenSSH user certificates (OpenSSH's PROTOCOL.certkeys) into what the gateway decides about. What it cannot be told is
//! refused here: certificates of hosts, `force-command` (there is no command), critical options that are not known.

use std::fmt;

use causeway_core::identity::{PresenceDemand, PublicKey, UserCertificate};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, PublicKey as SshKey};

const SOURCE_ADDRESS: &str = "source-address";
const VERIFY_REQUIRED: &str = "verify-required";
const NO_TOUCH_REQUIRED: &str = "no-touch-required";
/// What the name of every certificate's algorithm ends with.
const MARKER: &[u8] = b"-cert-v01@openssh.com";

/// Why a certificate cannot let anybody in, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is a host's.
    NotOfUser,
    /// It has a critical option that is not known here, or that nothing here could honour.
    CriticalOption(String),
    /// Its `source-address` is no list of addresses and networks.
    SourceAddress,
    /// Its CA signed it by SHA-1 or DSA.
    Signature,
    /// The signature is not its CA's.
    Forged,
    /// A key in it cannot be written.
    Key,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOfUser => f.write_str("the certificate is one of a host; make one without `ssh-keygen -h`"),
            Self::CriticalOption(name) => write!(f, "the certificate has the critical option {name:?}; leave it out"),
            Self::SourceAddress => f.write_str("the certificate's source-address is no list of addresses and networks"),
            Self::Signature => f.write_str("the certificate is signed by SHA-1 or DSA; sign it with `-t rsa-sha2-512`"),
            Self::Forged => f.write_str("the certificate's signature is not by the CA that it names"),
            Self::Key => f.write_str("the certificate has a key of a kind that is not known"),
        }
    }
}

/// Reads a certificate and verifies its CA's signature. Whether the CA counts, and when, where and for whom the certificate
/// does, is the gateway's to say.
pub(crate) fn read(certificate: &Certificate) -> Result<UserCertificate, Unusable> {
    if certificate.cert_type() != CertType::User {
        return Err(Unusable::NotOfUser);
    }
    if !is_signed_well(certificate) {
        return Err(Unusable::Signature);
    }
    certificate.verify_signature().map_err(|_| Unusable::Forged)?;
    let mut source_addresses = Vec::new();
    let mut demand = PresenceDemand::default();
    for (name, value) in certificate.critical_options().iter() {
        match (name.as_str(), value.as_str()) {
            (SOURCE_ADDRESS, list) => source_addresses = networks(list).ok_or(Unusable::SourceAddress)?,
            (VERIFY_REQUIRED, "") => demand.verification = true,
            _ => return Err(Unusable::CriticalOption(name.clone())),
        }
    }
    demand.touch = !certificate.extensions().iter().any(|(name, _)| name == NO_TOUCH_REQUIRED);
    Ok(UserCertificate {
        key: plain(certificate.public_key()).ok_or(Unusable::Key)?,
        ca: plain(certificate.signature_key()).ok_or(Unusable::Key)?,
        key_id: certificate.key_id().to_owned(),
        serial: certificate.serial(),
        principals: certificate.valid_principals().to_vec(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        source_addresses,
        demand,
    })
}

/// Whether the CA signed by an algorithm that can be relied on (RFC 8332: `ssh-rsa` as a signature is SHA-1).
pub(crate) fn is_signed_well(certificate: &Certificate) -> bool {
    !matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa)
}

/// The key that a certificate (its blob) certifies.
pub(crate) fn certified_key(blob: &[u8]) -> Option<PublicKey> {
    // The reader of certificates follows a CA's key that is a certificate itself as deep as it goes; nobody makes such.
    if blob.windows(MARKER.len()).filter(|window| *window == MARKER).count() != 1 {
        return None;
    }
    plain(Certificate::from_bytes(blob).ok()?.public_key())
}

fn plain(key: &KeyData) -> Option<PublicKey> {
    SshKey::from(key.clone()).to_bytes().ok().map(|blob| PublicKey { blob })
}

/// The list of PROTOCOL.certkeys, strict as OpenSSH reads it: addresses and networks between commas, none negated, none
/// with a bit behind its prefix.
fn networks(list: &str) -> Option<Vec<IpNet>> {
    list.split(',').map(network).collect()
}

fn network(text: &str) -> Option<IpNet> {
    if text.contains('/') {
        return text.parse().ok().filter(|network: &IpNet| network.trunc() == *network);
    }
    match text.parse().ok()? {
        std::net::IpAddr::V4(address) => Ipv4Net::new(address, 32).ok().map(IpNet::V4),
        std::net::IpAddr::V6(address) => Ipv6Net::new(address, 128).ok().map(IpNet::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;

    /// Of this type with these critical options, and the blobs of the certified key and the CA's.
    fn make(of: CertType, options: &[(&str, &str)]) -> (Certificate, Vec<u8>, Vec<u8>) {
        make_extended(of, options, "permit-pty")
    }

    fn make_extended(of: CertType, options: &[(&str, &str)], extension: &str) -> (Certificate, Vec<u8>, Vec<u8>) {
        let mut rng = russh::keys::key::safe_rng();
        let ca = PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap();
        let user = PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap();
        let mut builder = Builder::new_with_random_nonce(&mut rng, user.public_key(), 1000, 2000).unwrap();
        builder.serial(7).unwrap().key_id("partner 7").unwrap().cert_type(of).unwrap();
        builder.valid_principal("edi01").unwrap().valid_principal("edi02").unwrap();
        for (name, value) in options {
            builder.critical_option(*name, *value).unwrap();
        }
        builder.extension(extension, "").unwrap();
        let blob = |key: &PrivateKey| key.public_key().to_bytes().unwrap();
        (builder.sign(&ca).unwrap(), blob(&user), blob(&ca))
    }

    #[test]
    fn everything_is_told() {
        let (certificate, key, ca) = make(CertType::User, &[("source-address", "192.0.2.0/24,2001:db8::1,10.0.0.1")]);
        let read = read(&certificate).unwrap();
        assert_eq!((read.key.blob.clone(), read.ca.blob), (key, ca));
        assert_eq!((read.serial, read.key_id.as_str()), (7, "partner 7"));
        assert_eq!((read.valid_after, read.valid_before), (1000, 2000));
        assert_eq!(read.principals, ["edi01", "edi02"]);
        let sources: Vec<String> = read.source_addresses.iter().map(ToString::to_string).collect();
        assert_eq!(sources, ["192.0.2.0/24", "2001:db8::1/128", "10.0.0.1/32"]);
        assert_eq!(certified_key(&certificate.to_bytes().unwrap()), Some(read.key.clone()));
        assert_eq!(certified_key(&read.key.blob), None, "a plain key");
        assert_eq!(read.demand, PresenceDemand { touch: true, verification: false });
    }

    #[test]
    fn what_the_holder_has_to_show_is_told() {
        let certificate = make(CertType::User, &[("verify-required", "")]).0;
        assert_eq!(super::read(&certificate).unwrap().demand, PresenceDemand { touch: true, verification: true });
        let certificate = make_extended(CertType::User, &[], "no-touch-required").0;
        assert_eq!(super::read(&certificate).unwrap().demand, PresenceDemand { touch: false, verification: false });
    }

    #[test]
    fn a_signature_that_is_not_the_cas_is_found() {
        let mut blob = make(CertType::User, &[]).0.to_bytes().unwrap();
        super::read(&Certificate::from_bytes(&blob).unwrap()).unwrap();
        *blob.last_mut().unwrap() ^= 1;
        assert_eq!(super::read(&Certificate::from_bytes(&blob).unwrap()).unwrap_err(), Unusable::Forged);
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let why = |of, options: &[(&str, &str)]| read(&make(of, options).0).unwrap_err();
        assert_eq!(why(CertType::Host, &[]), Unusable::NotOfUser);
        for option in ["force-command", "verify-required", "foo", "Source-Address", ""] {
            assert_eq!(
                why(CertType::User, &[(option, "bar")]),
                Unusable::CriticalOption(option.to_owned()),
                "{option}"
            );
        }
        let one_of_two = [("source-address", "10.0.0.0/8"), ("zzz", "")];
        assert_eq!(why(CertType::User, &one_of_two), Unusable::CriticalOption("zzz".to_owned()));
        for list in ["", ",", "10.0.0.1,", "!10.0.0.1", "10.0.0.1/8", "10.0.0.0/33", "host", "10.0.0.0/8 ", "*"] {
            assert_eq!(why(CertType::User, &[("source-address", list)]), Unusable::SourceAddress, "{list}");
        }
    }
}
