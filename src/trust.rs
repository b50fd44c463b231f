//! Whom the gateway believes where it is the client: the certificates of a file.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::failure::{Failure, Outcome};

/// The certificates (PEM) of the file that a key of the configuration names. Fails where it cannot be read, or holds none.
pub fn certificates(path: &Path, key: &str) -> Outcome<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|e| wrong(path, key, e))?;
    if certificates.is_empty() {
        return Err(wrong(path, key, "it holds no certificate"));
    }
    Ok(certificates)
}

/// The same, as authorities.
pub fn roots(path: &Path, key: &str) -> Outcome<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, key)? {
        roots.add(certificate).map_err(|e| wrong(path, key, e))?;
    }
    Ok(roots)
}

fn wrong(path: &Path, key: &str, why: impl std::fmt::Display) -> Failure {
    Failure::configuration(format!("{key}: {}: {why}", path.display()))
}
