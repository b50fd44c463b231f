//! A tenant's CAs and revocation lists, and what they say of a certificate (RFC 5280 section 6).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use causeway_core::identity::{ClientCertificate, ClientCertificateRefusal, Standing};
use causeway_core::{Error, ErrorKind, Result};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};

use super::leaf::Leaf;
use crate::stamped::unreadable;

/// The longest file, in bytes: a list of some hundred thousand revoked certificates.
const MAX_BYTES: u64 = 32 << 20;

/// What one tenant trusts.
#[derive(Debug)]
pub struct Trust {
    authorities: Vec<TrustAnchor<'static>>,
    lists: Vec<CertRevocationList<'static>>,
}

impl Trust {
    /// Without lists nothing is revoked; with some, every CA between a certificate and the tenant's must have one.
    pub const fn new(authorities: Vec<TrustAnchor<'static>>, lists: Vec<CertRevocationList<'static>>) -> Self {
        Self { authorities, lists }
    }

    /// What is to be said of a certificate. Fails where a list that it depends on is out of date or not its CA's.
    pub fn examine(&self, certificate: &ClientCertificate, now: SystemTime) -> Result<Standing> {
        use ClientCertificateRefusal as No;
        let der = CertificateDer::from(certificate.leaf());
        let (Some(leaf), Ok(end_entity)) = (Leaf::read(&der), EndEntityCert::try_from(&der)) else {
            return Ok(Standing::Refused(No::Malformed));
        };
        if let Err(why) = leaf.counts_at(now) {
            return Ok(Standing::Refused(why));
        }
        let why = match self.verify(&end_entity, certificate, now) {
            Ok(()) => return Ok(Standing::Signed { names: leaf.names }),
            Err(webpki::Error::CertRevoked) => return Ok(Standing::Refused(No::Revoked)),
            Err(webpki::Error::UnknownRevocationStatus) => return Ok(Standing::Refused(No::NoList)),
            Err(webpki::Error::CrlExpired { .. }) => return Err(unusable("is out of date; fetch a new one")),
            Err(webpki::Error::InvalidCrlSignatureForPublicKey) => {
                return Err(unusable("is not signed by the CA that it names; fetch it again"));
            }
            Err(webpki::Error::IssuerNotCrlSigner) => {
                return Err(unusable("is of a CA that may not sign lists; its key usage must have cRLSign"));
            }
            Err(why) => why,
        };
        // One that is known by its fingerprint alone may be on a list all the same.
        let listed = self
            .lists
            .iter()
            .filter(|list| list.issuer() == end_entity.issuer())
            .any(|list| list.find_serial(end_entity.serial()).is_ok_and(|found| found.is_some()));
        Ok(if listed { Standing::Refused(No::Revoked) } else { Standing::Unsigned(why.to_string()) })
    }

    fn verify(
        &self,
        end_entity: &EndEntityCert<'_>,
        certificate: &ClientCertificate,
        now: SystemTime,
    ) -> std::result::Result<(), webpki::Error> {
        let intermediates: Vec<CertificateDer<'_>> =
            certificate.intermediates().iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO));
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        end_entity
            .verify_for_usage(
                algorithms,
                &self.authorities,
                &intermediates,
                now,
                KeyUsage::client_auth(),
                revocation,
                None,
            )
            .map(|_| ())
    }
}

fn unusable(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("a list in `client_crl` {why}"))
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{}: {why}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(path, "is longer than 32 MiB; shorten it"));
    }
    Ok(bytes)
}

/// Reads the CAs of a file (PEM). `InvalidArgument` names the file and what to do.
pub fn read_authorities(path: &Path) -> Result<Vec<TrustAnchor<'static>>> {
    let bytes = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|why| wrong(path, format_args!("{why}; name a PEM file with certificates of CAs")))?;
    if certificates.is_empty() {
        return Err(wrong(path, "there is no certificate in it; name a PEM file with certificates of CAs"));
    }
    let anchor = |der: &CertificateDer<'_>| {
        anchor_from_trusted_cert(der)
            .map(|anchor| anchor.to_owned())
            .map_err(|why| wrong(path, format_args!("a certificate in it cannot be used: {why}")))
    };
    certificates.iter().map(anchor).collect()
}

/// Reads the revocation lists of a file: PEM, one or several, or one in DER, as CAs publish them. `InvalidArgument` names the
/// file and what to do.
pub fn read_lists(path: &Path) -> Result<Vec<CertRevocationList<'static>>> {
    let bytes = read(path)?;
    // A SEQUENCE of more than 127 bytes (X.690 section 8.1.3): DER.
    let ders = if matches!(bytes.as_slice(), [0x30, 0x80..=0xff, ..]) {
        vec![CertificateRevocationListDer::from(bytes)]
    } else {
        CertificateRevocationListDer::pem_slice_iter(&bytes)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|why| wrong(path, format_args!("{why}; name a file with X.509 revocation lists")))?
    };
    if ders.is_empty() {
        return Err(wrong(path, "there is no revocation list in it; name a file with X.509 CRLs"));
    }
    let list = |der: &CertificateRevocationListDer<'_>| {
        OwnedCertRevocationList::from_der(der)
            .map(CertRevocationList::from)
            .map_err(|why| wrong(path, format_args!("a revocation list in it cannot be used: {why}")))
    };
    ders.iter().map(list).collect()
}

#[cfg(test)]
#[path = "trust_test.rs"]
mod tests;
