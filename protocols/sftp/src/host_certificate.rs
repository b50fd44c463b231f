//! OpenSSH host certificates (OpenSSH's PROTOCOL.certkeys): clients that trust the CA (`@cert-authority` in `known_hosts`)
//! know the gateway without ever having met it.

use std::time::SystemTime;

use causeway_core::{Error, ErrorKind, Result};
use russh::keys::Certificate;
use russh::keys::ssh_key::certificate::CertType;

use crate::certificate;
use crate::host_key::HostKey;

/// The certificate of a host key.
#[derive(Clone, Debug)]
pub struct HostCertificate(Certificate);

impl HostCertificate {
    /// Reads the file that `ssh-keygen -s CA -h` makes (`…-cert.pub`). `InvalidArgument` where it is none, is one of a
    /// user, or is signed by SHA-1.
    pub fn from_openssh(line: &str) -> Result<Self> {
        let certificate = Certificate::from_openssh(line)
            .map_err(|_| invalid("this is no OpenSSH certificate; name the `-cert.pub` that `ssh-keygen -s` made"))?;
        if certificate.cert_type() != CertType::Host {
            return Err(invalid("this is a certificate of a user; make one of a host with `ssh-keygen -s CA -h`"));
        }
        if !certificate::is_signed_well(&certificate) {
            return Err(invalid("clients do not believe a signature by SHA-1; sign with `ssh-keygen -t rsa-sha2-512`"));
        }
        Ok(Self(certificate))
    }

    /// Whether it certifies this key.
    pub fn certifies(&self, key: &HostKey) -> bool {
        key.has_public(self.0.public_key())
    }

    /// Whether clients believe it at this time.
    pub fn is_valid_at(&self, time: SystemTime) -> bool {
        self.0.valid_after_time().is_none_or(|from| from <= time)
            && self.0.valid_before_time().is_none_or(|to| time < to)
    }

    /// Its CA's name for it.
    pub fn key_id(&self) -> &str {
        self.0.key_id()
    }

    pub(crate) fn into_inner(self) -> Certificate {
        self.0
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_key::HostKeyKind;
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use std::time::Duration;

    fn certify(key: &HostKey, of: CertType) -> String {
        let ca = PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519).unwrap();
        let subject = key.clone().into_inner();
        let mut builder =
            Builder::new_with_random_nonce(&mut russh::keys::key::safe_rng(), subject.public_key(), 1000, 2000)
                .unwrap();
        builder.cert_type(of).unwrap().key_id("gw").unwrap().all_principals_valid().unwrap();
        builder.sign(&ca).unwrap().to_openssh().unwrap()
    }

    #[test]
    fn a_certificate_belongs_to_its_key_and_time() {
        let [key, other] = [(); 2].map(|()| HostKey::generate(HostKeyKind::Ed25519).unwrap());
        let certificate = HostCertificate::from_openssh(&certify(&key, CertType::Host)).unwrap();
        assert!(certificate.certifies(&key) && !certificate.certifies(&other));
        assert_eq!(certificate.key_id(), "gw");
        let at = |seconds| certificate.is_valid_at(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!([999, 1000, 1999, 2000].map(at), [false, true, true, false]);
    }

    #[test]
    fn what_is_no_host_certificate_is_refused() {
        let key = HostKey::generate(HostKeyKind::Ed25519).unwrap();
        let user = HostCertificate::from_openssh(&certify(&key, CertType::User)).unwrap_err();
        assert!(user.message().contains("of a user"), "{user}");
        assert!(HostCertificate::from_openssh(&key.public_line().unwrap()).is_err());
        assert!(HostCertificate::from_openssh("").is_err());
    }
}
